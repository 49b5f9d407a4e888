//! Mounts of `create`, both ways.

use super::host::{BindOptions, Mount, TmpfsOptions, VolumeOptions};
use super::summary::MountPoint;
use crate::base::{Error, Result, units};
use crate::model;
use crate::model::MountKind;

/// The model's form of a mount asked for.
pub(super) fn into_model(mount: Mount) -> Result<model::MountPoint> {
    let Mount {
        kind,
        source,
        target,
        read_only,
        consistency,
        bind_options,
        volume_options,
        tmpfs_options,
        cluster_options,
    } = mount;
    let wrong = |why: &str| {
        Error::bad_parameter(format!("invalid mount config for type \"{kind}\": {why}"))
    };
    if target.is_empty() {
        return Err(wrong("field Target must not be empty"));
    }
    if !target.starts_with('/') {
        return Err(wrong(&format!("invalid mount path: '{target}' mount path must be absolute")));
    }
    // A word for hosts that run containers in a virtual machine; all mean the same here.
    if !matches!(&*consistency, "" | "default" | "consistent" | "cached" | "delegated") {
        return Err(wrong(&format!("unknown consistency {consistency:?}")));
    }
    let foreign = [
        (bind_options.is_some() && kind != "bind", "BindOptions"),
        (volume_options.is_some() && kind != "volume", "VolumeOptions"),
        (tmpfs_options.is_some() && kind != "tmpfs", "TmpfsOptions"),
        (cluster_options.is_some(), "ClusterOptions"),
    ];
    if let Some((_, field)) = foreign.iter().find(|(given, _)| *given) {
        return Err(wrong(&format!("field {field} must not be specified")));
    }
    let mut propagation = String::new();
    let kind = match &*kind {
        "bind" => {
            if !source.starts_with('/') {
                return Err(wrong(&format!(
                    "invalid mount path: '{source}' mount path must be absolute"
                )));
            }
            let (wanted, create) = bind(bind_options.unwrap_or_default())?;
            propagation = wanted;
            MountKind::Bind { source, create }
        }
        "volume" => volume(source, volume_options.unwrap_or_default())?,
        "tmpfs" if !source.is_empty() => {
            return Err(wrong("field Source must not be specified"));
        }
        "tmpfs" => MountKind::Tmpfs { options: tmpfs(&tmpfs_options.unwrap_or_default())? },
        "npipe" | "cluster" => {
            return Err(Error::not_implemented(format!("mount type \"{kind}\" is not supported")));
        }
        _ => return Err(wrong("mount type unknown")),
    };
    Ok(model::MountPoint {
        kind,
        destination: target,
        rw: !read_only,
        mode: String::new(),
        propagation,
    })
}

fn refuse_if(asked: bool, field: &str) -> Result<()> {
    if asked {
        return Err(Error::not_implemented(format!("{field} of a mount is not supported")));
    }
    Ok(())
}

/// Propagation, and whether a missing source is made.
fn bind(options: BindOptions) -> Result<(String, bool)> {
    let BindOptions {
        propagation,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    } = options;
    refuse_if(non_recursive, "NonRecursive")?;
    refuse_if(read_only_non_recursive, "ReadOnlyNonRecursive")?;
    refuse_if(read_only_force_recursive, "ReadOnlyForceRecursive")?;
    Ok((propagation, create_mountpoint))
}

fn volume(name: String, options: VolumeOptions) -> Result<MountKind> {
    let VolumeOptions { no_copy, labels, driver_config, subpath } = options;
    refuse_if(!labels.is_empty(), "Labels")?;
    refuse_if(!subpath.is_empty(), "Subpath")?;
    let driver = driver_config.unwrap_or_default();
    refuse_if(
        !matches!(&*driver.name, "" | "local") || !driver.options.is_empty(),
        "DriverConfig",
    )?;
    Ok(MountKind::Volume { name, copy_up: !no_copy })
}

fn tmpfs(options: &TmpfsOptions) -> Result<String> {
    let TmpfsOptions { size_bytes, mode } = *options;
    let mut words = Vec::new();
    match size_bytes {
        0 => {}
        1.. => words.push(format!("size={size_bytes}")),
        _ => return Err(Error::bad_parameter("SizeBytes of a mount must not be negative")),
    }
    if mode != 0 {
        words.push(format!("mode={mode:o}"));
    }
    Ok(words.join(","))
}

/// The request's form of a mount in the model.
pub(super) fn from_model(mount: &model::MountPoint) -> Mount {
    let model::MountPoint { kind, destination, rw, mode: _, propagation } = mount;
    let mut shown = Mount { target: destination.clone(), read_only: !rw, ..Mount::default() };
    match kind {
        MountKind::Bind { source, create } => {
            shown.kind = "bind".into();
            shown.source.clone_from(source);
            if *create || !propagation.is_empty() {
                shown.bind_options = Some(BindOptions {
                    propagation: propagation.clone(),
                    create_mountpoint: *create,
                    ..BindOptions::default()
                });
            }
        }
        MountKind::Volume { name, copy_up } => {
            shown.kind = "volume".into();
            shown.source.clone_from(name);
            if !copy_up {
                shown.volume_options =
                    Some(VolumeOptions { no_copy: true, ..VolumeOptions::default() });
            }
        }
        MountKind::Tmpfs { options } => {
            shown.kind = "tmpfs".into();
            shown.tmpfs_options = tmpfs_options(options);
        }
    }
    shown
}

/// Of mount options, those that the request's form can say.
fn tmpfs_options(text: &str) -> Option<TmpfsOptions> {
    let mut options = TmpfsOptions::default();
    for word in text.split(',') {
        if let Some(size) = word.strip_prefix("size=").and_then(|s| units::parse_size(s).ok()) {
            options.size_bytes = i64::try_from(size).unwrap_or(i64::MAX);
        } else if let Some(mode) = word.strip_prefix("mode=") {
            options.mode = u32::from_str_radix(mode, 8).unwrap_or_default();
        }
    }
    (options != TmpfsOptions::default()).then_some(options)
}

impl MountPoint {
    /// A mount as it was resolved.
    pub fn from_model(mount: &model::MountPoint) -> MountPoint {
        let model::MountPoint { kind, destination, rw, mode, propagation } = mount;
        let shown = MountPoint {
            destination: destination.clone(),
            mode: mode.clone(),
            rw: *rw,
            propagation: propagation.clone(),
            ..MountPoint::default()
        };
        match kind {
            MountKind::Bind { source, create: _ } => MountPoint {
                kind: "bind".into(),
                source: source.clone(),
                propagation: if propagation.is_empty() {
                    "rprivate".into()
                } else {
                    propagation.clone()
                },
                ..shown
            },
            MountKind::Volume { name, copy_up: _ } => MountPoint {
                kind: "volume".into(),
                name: name.clone(),
                driver: "local".into(),
                ..shown
            },
            MountKind::Tmpfs { options: _ } => MountPoint { kind: "tmpfs".into(), ..shown },
        }
    }
}
