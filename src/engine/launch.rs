//! From a container's record to its launch file, and all that has to be there before a start.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Engine, RESERVE, make_dir};
use crate::base::{Context, Error, Kind, Result, atomic_file, tree};
use crate::container::{Record, State, capabilities, merge, validate};
use crate::image::Plan;
use crate::model::{Device, MountKind, MountPoint, NetworkMode};
use crate::network;
use crate::runtime::cgroup;
use crate::runtime::launch::{
    DeviceNode, Launch, Mount, MountSource, Namespace, Namespaces, Rootfs,
};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_SHM: u64 = 64 << 20;
/// Most device nodes that one `--device` of a directory may bring.
const MAX_DEVICES: usize = 1024;

const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READONLY_PATHS: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A launch file, and what has to stay open until the program runs.
pub(super) struct Prepared {
    pub(super) launch: Launch,
    /// Namespaces of other containers, held so that a path to them cannot come to mean another
    /// process meanwhile.
    pub(super) _pins: Vec<File>,
}

impl Engine {
    /// Makes all that run `record.run` needs outside of its own namespaces. What is made is
    /// released by `Engine::release`, also after an error.
    pub(super) fn prepare(&self, record: &Record) -> Result<Prepared> {
        let id = &record.id;
        let run_dir = self.run_dir(id);
        let mut pins = Vec::new();
        self.check_links(record)?;
        let mut network = self.connect(record)?;
        let (mut namespaces, peer) = self.namespaces(record, &mut pins)?;
        let mounts = mounts(record)?;
        let devices = devices(&record.host.devices)?;
        let rootfs = self.rootfs(record)?;

        make_dir(&run_dir, 0o700)?;
        let attachments = network.as_ref().map_or(&[][..], |network| &network.attachments);
        self.write_etc(record, &run_dir, peer.as_deref(), attachments)?;
        self.write_own_names(record, attachments)?;
        let cgroup::Created { dirs, v2, warnings } = self.cgroups.create(id, &record.host)?;
        for warning in warnings {
            crate::warn!("container {}: {warning}", id.short());
        }
        let security = validate::security(&record.host)?;
        // As late as can be: it was made beside all this.
        if let Some(network) = &mut network {
            let file = network.wait()?;
            namespaces.net = Namespace::Join(pin(file, &mut pins));
        }
        let networks = network.map(|network| network.attachments.clone()).unwrap_or_default();
        let (config, host) = (&record.config, &record.host);
        let unmasked = host.privileged || security.paths_unconfined;
        let launch = Launch {
            id: id.clone(),
            run: record.run,
            args: record.argv(),
            env: environment(record),
            cwd: if config.working_dir.is_empty() {
                "/".into()
            } else {
                config.working_dir.clone()
            },
            user: config.user.clone(),
            groups: host.group_add.clone(),
            tty: config.tty,
            open_stdin: config.open_stdin,
            stdin_once: config.stdin_once,
            rootfs,
            mounts,
            hostname: if host.uts_mode == "host" { String::new() } else { config.hostname.clone() },
            domainname: config.domainname.clone(),
            namespaces,
            capabilities: capabilities::granted(host, last_capability()),
            seccomp: !host.privileged && !security.seccomp_unconfined,
            no_new_privileges: security.no_new_privileges,
            privileged: host.privileged,
            readonly_rootfs: host.readonly_rootfs,
            masked_paths: paths(host.masked_paths.as_deref(), MASKED_PATHS, unmasked),
            readonly_paths: paths(host.readonly_paths.as_deref(), READONLY_PATHS, unmasked),
            devices,
            ulimits: host.ulimits.clone(),
            sysctls: host.sysctls.clone().into_iter().collect(),
            oom_score_adj: Some(host.oom_score_adj),
            shm_size: if host.shm_size == 0 { DEFAULT_SHM } else { host.shm_size },
            cgroup_dirs: dirs,
            cgroup_v2: v2,
            monitor_dirs: self.cgroups.outside().to_vec(),
            init: host.init,
            log: host.log.clone(),
            forwards: self.networks.forwards(&networks),
            networks,
            io_dir: self.layout.io(id),
            reserve: self.options.root.join(RESERVE),
            run_dir,
        };
        Ok(Prepared { launch, _pins: pins })
    }

    fn rootfs(&self, record: &Record) -> Result<Rootfs> {
        let id = &record.id;
        match self.images.plan(&record.image)? {
            Plan::Overlay { lower_base, lowers, options } => {
                let work = self.layout.work(id);
                // What a run that nobody cleaned up after has left is of no use to overlayfs.
                tree::remove(&work).context(|| format!("remove {}", work.display()))?;
                make_dir(&work, 0o700)?;
                let upper = self.layout.upper(id);
                Ok(Rootfs::Overlay { lower_base, lowers, upper, work, options })
            }
            Plan::Copy => {
                let path = self.layout.rootfs(id);
                if !path.exists() {
                    self.copy_rootfs(record, &path)?;
                }
                Ok(Rootfs::Dir { path })
            }
        }
    }

    /// Dying inside leaves a `.tmp-` directory, which the next attempt removes.
    fn copy_rootfs(&self, record: &Record, path: &Path) -> Result<()> {
        let dir = self.layout.dir(&record.id);
        let temp = dir.join(format!("{}rootfs", atomic_file::TEMP_PREFIX));
        let what = || format!("copy the root of container {}", record.id.short());
        tree::remove(&temp).context(what)?;
        self.images.copy_rootfs(&record.image, &temp)?;
        std::fs::rename(&temp, path).and_then(|()| atomic_file::sync_dir(&dir)).context(what)
    }

    /// Which namespaces are made or joined, and the run directory of the container whose network
    /// is shared.
    fn namespaces(
        &self,
        record: &Record,
        pins: &mut Vec<File>,
    ) -> Result<(Namespaces, Option<PathBuf>)> {
        let host = &record.host;
        let mut peer_dir = None;
        let net = match &host.network_mode {
            NetworkMode::Host => Namespace::Host,
            NetworkMode::Container(peer) => {
                let slot = self.slot(peer)?;
                peer_dir = Some(self.run_dir(&slot.id));
                self.join(record, peer, "net", pins)?
            }
            NetworkMode::Default | NetworkMode::None | NetworkMode::Named(_) => Namespace::New,
        };
        let mut by_mode = |mode: &str, kind: &str| match mode.strip_prefix("container:") {
            Some(peer) => self.join(record, peer, kind, pins),
            None if mode == "host" => Ok(Namespace::Host),
            None => Ok(Namespace::New),
        };
        let namespaces = Namespaces {
            net,
            pid: by_mode(&host.pid_mode, "pid")?,
            ipc: by_mode(&host.ipc_mode, "ipc")?,
            uts: by_mode(&host.uts_mode, "uts")?,
            cgroup: by_mode(&host.cgroupns_mode, "cgroup")?,
        };
        Ok((namespaces, peer_dir))
    }

    /// The namespace `kind` of the container that `peer` means, which has to run.
    fn join(
        &self,
        record: &Record,
        peer: &str,
        kind: &str,
        pins: &mut Vec<File>,
    ) -> Result<Namespace> {
        let slot = self.slot(peer)?;
        let pid = || match slot.snapshot().state {
            State::Running { pid, .. } if slot.id != record.id => Ok(pid),
            _ => Err(Error::conflict(format!(
                "cannot join {kind} namespace of a non running container: {}",
                slot.id
            ))),
        };
        let before = pid()?;
        let path = format!("/proc/{before}/ns/{kind}");
        let file = File::open(&path).context(|| format!("open {path}"))?;
        // Still the same run: so the file that was opened is of this container.
        if pid()? != before {
            return Err(Error::conflict(format!("container {} was started again", slot.id)));
        }
        Ok(Namespace::Join(pin(file, pins)))
    }

    /// Gives a container that is to be on networks its places there.
    fn connect(&self, record: &Record) -> Result<Option<network::Pending>> {
        let (config, host) = (&record.config, &record.host);
        let places = self.places(record)?;
        if places.is_empty() {
            return Ok(None);
        }
        let all = host.publish_all_ports;
        let exposed = config.exposed_ports.iter().filter(|_| all).collect();
        let wanted = network::Wanted { bindings: &host.port_bindings, exposed };
        let explain = |error: Error| match error.kind() {
            Kind::NotFound => error,
            kind => {
                let name = &record.name;
                let what = "driver failed programming external connectivity on endpoint";
                Error::new(kind, format!("{what} {name}: {error}"))
            }
        };
        self.networks.connect(&record.id, record.run, &places, &wanted).map_err(explain).map(Some)
    }
}

/// Keeps `file` open, and gives the path by which others open it.
fn pin(file: File, pins: &mut Vec<File>) -> PathBuf {
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    pins.push(file);
    path.into()
}

/// The environment but for `HOME`: ours, then the image's and the user's. An entry without `=`
/// takes a variable away.
fn environment(record: &Record) -> Vec<String> {
    let mut env = vec![PATH.to_owned(), format!("HOSTNAME={}", record.config.hostname)];
    if record.config.tty {
        env.push("TERM=xterm".into());
    }
    for entry in &record.config.env {
        let key = merge::key(entry);
        let known = env.iter().position(|other| merge::key(other) == key);
        match (known, entry.contains('=')) {
            (Some(at), true) => env[at].clone_from(entry),
            (Some(at), false) => drop(env.remove(at)),
            (None, true) => env.push(entry.clone()),
            (None, false) => {}
        }
    }
    env
}

fn paths(own: Option<&[String]>, default: &[&str], unmasked: bool) -> Vec<String> {
    match own {
        _ if unmasked => Vec::new(),
        Some(own) => own.to_vec(),
        None => default.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// The mounts of the launch file; a missing directory of the host is made where binds ask for it.
fn mounts(record: &Record) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    // Shared memory belongs to the IPC namespace: who shares the one sees the other.
    if record.host.ipc_mode == "host" {
        mounts.push(Mount {
            destination: "/dev/shm".into(),
            source: MountSource::Bind("/dev/shm".into()),
            readonly: false,
            propagation: String::new(),
        });
    }
    for MountPoint { kind, destination, rw, mode: _, propagation } in &record.mounts {
        let source = match kind {
            MountKind::Bind { source, create } => {
                let path = Path::new(source);
                if *create && std::fs::symlink_metadata(path).is_err() {
                    std::fs::create_dir_all(path)
                        .context(|| format!("make {source} to be mounted at {destination}"))?;
                }
                MountSource::Bind(path.to_owned())
            }
            MountKind::Tmpfs { options } => MountSource::Tmpfs(options.clone()),
            MountKind::Volume { name, .. } => {
                return Err(Error::not_implemented(format!("volumes are not served yet: {name}")));
            }
        };
        mounts.push(Mount {
            destination: destination.clone(),
            source,
            readonly: !rw,
            propagation: propagation.clone(),
        });
    }
    Ok(mounts)
}

/// The nodes of the devices asked for; a directory stands for all nodes below it.
fn devices(wanted: &[Device]) -> Result<Vec<DeviceNode>> {
    let mut nodes = Vec::new();
    for Device { host_path, container_path, permissions: _ } in wanted {
        let mut todo = vec![(PathBuf::from(host_path), container_path.clone())];
        while let Some((from, to)) = todo.pop() {
            let gather = || format!("gather information about device {}", from.display());
            let metadata = std::fs::metadata(&from).context(gather)?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                for entry in std::fs::read_dir(&from).context(gather)? {
                    let entry = entry.context(gather)?;
                    let kind = entry.file_type().context(gather)?;
                    if kind.is_dir() || kind.is_char_device() || kind.is_block_device() {
                        let name = entry.file_name().to_string_lossy().into_owned();
                        todo.push((entry.path(), format!("{to}/{name}")));
                    }
                }
            } else if kind.is_char_device() || kind.is_block_device() {
                let (major, minor) = device_numbers(metadata.rdev());
                nodes.push(DeviceNode {
                    path: to,
                    kind: if kind.is_block_device() { 'b' } else { 'c' },
                    major,
                    minor,
                    mode: metadata.mode() & 0o7777,
                    uid: metadata.uid(),
                    gid: metadata.gid(),
                });
            } else {
                return Err(Error::bad_parameter(format!("{} is not a device", from.display())));
            }
            if nodes.len() + todo.len() > MAX_DEVICES {
                return Err(Error::bad_parameter(format!("{host_path} holds too many devices")));
            }
        }
    }
    Ok(nodes)
}

/// Major and minor number in the kernel's 64-bit encoding, makedev(3).
fn device_numbers(rdev: u64) -> (u32, u32) {
    let part = |n: u64| u32::try_from(n & 0xffff_ffff).unwrap_or(0);
    let major = (rdev >> 8 & 0xfff) | (rdev >> 32 & 0xffff_f000);
    let minor = (rdev & 0xff) | (rdev >> 12 & 0xffff_ff00);
    (part(major), part(minor))
}

/// Number of the newest capability that this kernel knows.
pub(super) fn last_capability() -> u8 {
    let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    text.trim().parse().unwrap_or(40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::record;

    #[test]
    fn the_environment_is_ours_then_the_users() {
        let mut record = record("web");
        record.config.hostname = "box".into();
        record.config.tty = true;
        let own = ["A=1", "PATH=/bin", "TERM", "B", "A=2"];
        record.config.env = own.iter().map(|entry| (*entry).to_owned()).collect();
        assert_eq!(environment(&record), ["PATH=/bin", "HOSTNAME=box", "A=2"]);
        record.config.env.clear();
        assert_eq!(environment(&record), [PATH, "HOSTNAME=box", "TERM=xterm"]);
    }

    #[test]
    fn privileged_hides_nothing_and_an_own_list_wins() {
        assert!(paths(None, MASKED_PATHS, true).is_empty());
        assert_eq!(paths(None, MASKED_PATHS, false).len(), MASKED_PATHS.len());
        assert!(paths(Some(&[]), MASKED_PATHS, false).is_empty());
    }

    #[test]
    fn device_nodes_are_read_from_the_host() {
        let device = |path: &str| Device {
            host_path: path.into(),
            container_path: "/dev/x".into(),
            permissions: "rwm".into(),
        };
        let nodes = devices(&[device("/dev/null")]).unwrap();
        let node = &nodes[0];
        assert_eq!((node.kind, node.major, node.minor), ('c', 1, 3));
        assert!(devices(&[device("/etc/passwd")]).is_err());
        assert!(devices(&[device("/dev/nowhere")]).is_err());
        assert_eq!(device_numbers(0x0103), (1, 3));
    }
}
