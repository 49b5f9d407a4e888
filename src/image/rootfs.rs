//! Root file systems: overlayfs over the layers where the kernel has it.
//!
//! Nothing is mounted here but one trial at open, in a mount namespace of its own. What a
//! container mounts, its init mounts, by a [`Plan`].

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Plan;
use super::attributes::OPAQUE;
use super::layers::{Layers, Stage};
use crate::base::{Context, Error, Result};
use crate::sys::fs;
use crate::sys::mount::{self, Propagation};
use crate::sys::ns::{self, NsKind};
use crate::sys::xattr;

/// Name of the init layer's tree below `layers`.
const INIT: &str = "init";
/// What bind mounts need in every root, so that none shows up as a change of the container.
const INIT_DIRS: [&str; 6] = ["dev", "dev/pts", "dev/shm", "etc", "proc", "sys"];
const INIT_FILES: [&str; 5] =
    [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"];
/// Options of mount(2) end with a page's last byte.
const MAX_OPTIONS: usize = 4095;
/// Overlayfs stacks so many lower directories.
const MAX_LOWERS: usize = 500;

/// How overlayfs is mounted here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlay {
    /// Mount options, without the directories.
    options: String,
}

/// The tree of the init layer.
pub(super) fn init_tree(layers: &Layers) -> PathBuf {
    layers.dir().join(INIT)
}

/// Makes the init layer if it is missing.
pub(super) fn make_init_layer(layers: &Layers) -> Result<()> {
    let tree = init_tree(layers);
    if tree.is_dir() {
        return Ok(());
    }
    let stage = layers.stage()?;
    let make = || -> io::Result<()> {
        let mode = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o755));
        mode(&stage.path)?;
        for dir in INIT_DIRS {
            let path = stage.path.join(dir);
            std::fs::create_dir(&path)?;
            mode(&path)?;
        }
        for file in INIT_FILES {
            let path = stage.path.join(file);
            File::create(&path)?;
            mode(&path)?;
        }
        // Dying before the rename: the sweep of the next open removes the stage.
        fs::syncfs(stage.fd.as_fd())?;
        std::fs::rename(&stage.path, &tree)
    };
    make().context(|| format!("make {}", tree.display()))
}

/// Makes the directory `upper` with owner and mode of `top`, the topmost layer's tree.
pub(super) fn make_upper(top: Option<&Path>, upper: &Path) -> io::Result<()> {
    std::fs::create_dir(upper)?;
    let (uid, gid, mode) = match top.map(std::fs::symlink_metadata).transpose()? {
        Some(top) => (top.uid(), top.gid(), top.mode() & 0o7777),
        None => (0, 0, 0o755),
    };
    std::os::unix::fs::chown(upper, Some(uid), Some(gid))?;
    std::fs::set_permissions(upper, Permissions::from_mode(mode))
}

/// The plan for layers by their short names, topmost first.
pub(super) fn plan<'a>(
    layers: &Layers,
    overlay: &Overlay,
    shorts: impl Iterator<Item = &'a str>,
) -> Result<Plan> {
    let mut lowers = vec![format!("../{INIT}")];
    lowers.extend(shorts.map(str::to_owned));
    let lower_base = layers.link_dir();
    let names: usize = lowers.iter().map(|lower| lower.len() + 1).sum();
    // Upper and work directory are named by their whole paths, below the same data root.
    let container = lower_base.as_os_str().len() + "containers/".len() + 64 + "/work".len();
    let fixed = "lowerdir=,upperdir=,workdir=,".len() + overlay.options.len();
    if lowers.len() > MAX_LOWERS || names + 2 * container + fixed > MAX_OPTIONS {
        return Err(Error::bad_parameter(format!(
            "the image has {} layers, more than the kernel can stack",
            lowers.len() - 1
        )));
    }
    Ok(Plan::Overlay { lower_base, lowers, options: overlay.options.clone() })
}

/// Finds out whether overlayfs works on the file system of the layers; a sentence if not.
pub(super) fn detect(layers: &Layers) -> Result<Overlay, String> {
    let tried = layers.stage().and_then(|stage| {
        // Only the thread that leaves the daemon's mount namespace: it takes its working
        // directory along, and both end with it.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("overlay".into());
            let thread = thread.spawn_scoped(scope, || trial(&stage));
            let thread = thread.context(|| "start a thread".into())?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    });
    tried.map_err(|error| format!("overlayfs cannot be mounted: {error}"))
}

/// Mounts as a container would: two layers, marks of deletion, options.
fn trial(stage: &Stage) -> Result<Overlay> {
    ns::unshare(NsKind::Mount).context(|| "make a mount namespace".into())?;
    mount::set_propagation(Path::new("/"), Propagation::Private, true)
        .context(|| "make mounts private".into())?;
    std::env::set_current_dir(&stage.path).context(|| "change directory".into())?;
    for dir in ["a", "b", "upper", "work", "root"] {
        std::fs::create_dir(dir).context(|| "make a directory".into())?;
    }
    let here = stage.fd.as_fd();
    fs::mknodat(here, Path::new("a/deleted"), libc::S_IFCHR, (0, 0))
        .and_then(|()| xattr::set_at(here, Path::new("a"), OPAQUE, b"y"))
        .context(|| "mark a deletion".into())?;
    let mount = |options: &str| {
        let data = format!("lowerdir=a:b,upperdir=upper,workdir=work{}", comma(options));
        mount::mount(Path::new("overlay"), Path::new("root"), "overlay", 0, &data)
    };
    // The parameters are there once the module is loaded, and the first mount may load it.
    let mut options = known_options();
    mount(&options).context(|| "trial mount".into())?;
    let now = known_options();
    if now != options {
        mount::detach(Path::new("root")).context(|| "unmount".into())?;
        options = now;
        mount(&options).context(|| "trial mount".into())?;
    }
    let sees = Path::new("root/deleted").symlink_metadata().is_err();
    // Not unmounted: that writes back the whole file system below, and start-up would wait for
    // it. The mount ends with the namespace, which ends with this thread.
    if !sees {
        return Err(Error::internal("it does not honour marks of deletion"));
    }
    Ok(Overlay { options })
}

fn comma(options: &str) -> String {
    if options.is_empty() { String::new() } else { format!(",{options}") }
}

/// The options that this kernel knows of those that keep a container's changes plain: whole
/// files, no redirects, no index.
fn known_options() -> String {
    let known = |name: &&str| Path::new("/sys/module/overlay/parameters").join(name).exists();
    let options = ["redirect_dir", "metacopy", "index"].into_iter().filter(known);
    options.map(|name| format!("{name}=off")).collect::<Vec<_>>().join(",")
}
