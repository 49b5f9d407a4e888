//! The launch file: all that monitor and init need to know, as one JSON file in the run directory.
//!
//! Written by the daemon before the monitor is spawned, read once by the monitor. Every path in
//! it was validated by `engine`; paths inside the root are still resolved by descriptor only.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::{Context, Error, Id, Result, fields};
use crate::model::{Attachment, Forward, LogConfig, Ulimit};

fields! {
    /// Everything about one run of one container.
    #[derive(Debug, Clone, Default, Serialize)]
    pub struct Launch {
        /// The container.
        pub id: Id,
        /// Number of this run, from 1; `exit.json` carries it.
        pub run: u64,
        /// The program, then its arguments; never empty.
        pub args: Vec<String>,
        /// The user's environment, complete but for `HOME`, which init adds when it is missing.
        pub env: Vec<String>,
        /// Working directory; created when missing. Absolute.
        pub cwd: String,
        /// `name|uid[:group|gid]`; empty is root.
        pub user: String,
        /// Supplementary groups by name or number.
        pub groups: Vec<String>,
        /// Run on a pseudo-terminal.
        pub tty: bool,
        /// Standard input is a pipe (or the terminal), not /dev/null.
        pub open_stdin: bool,
        /// Close standard input when the first attacher with input has ended its own.
        pub stdin_once: bool,
        /// Where the root file system comes from.
        pub rootfs: Rootfs,
        /// Mounts on top of the fixed ones, parents before children.
        pub mounts: Vec<Mount>,
        /// Host name; empty keeps the current one (`uts: host`).
        pub hostname: String,
        /// NIS domain name; empty sets none.
        pub domainname: String,
        /// Which namespaces are made, and which are joined.
        pub namespaces: Namespaces,
        /// Numbers of the capabilities in the bounding, permitted and effective sets (of root).
        pub capabilities: Vec<u8>,
        /// Install the default seccomp filter.
        pub seccomp: bool,
        /// Set no-new-privileges.
        pub no_new_privileges: bool,
        /// /sys and the cgroup tree are writable, all devices are there.
        pub privileged: bool,
        /// Mount the root read-only.
        pub readonly_rootfs: bool,
        /// Paths to hide.
        pub masked_paths: Vec<String>,
        /// Paths to make read-only.
        pub readonly_paths: Vec<String>,
        /// Devices beyond the default ones: path inside, and the host's node.
        pub devices: Vec<DeviceNode>,
        /// Resource limits.
        pub ulimits: Vec<Ulimit>,
        /// Kernel parameters, `net.ipv4.ip_forward` = `1`.
        pub sysctls: Vec<(String, String)>,
        /// For /proc/self/oom_score_adj; `None` leaves it.
        pub oom_score_adj: Option<i32>,
        /// Size of /dev/shm in bytes.
        pub shm_size: u64,
        /// Directories of the container's cgroups: one on v2, one per hierarchy on v1.
        pub cgroup_dirs: Vec<PathBuf>,
        /// Whether `cgroup_dirs` is a single v2 directory (CLONE_INTO_CGROUP works).
        pub cgroup_v2: bool,
        /// Groups that the monitor goes to, out of those of the daemon's service.
        pub monitor_dirs: Vec<PathBuf>,
        /// Process 1 is a reaper, and the program its child.
        pub init: bool,
        /// How output is logged.
        pub log: LogConfig,
        /// The container's `io` directory: log files and `exit.json`.
        pub io_dir: PathBuf,
        /// What is given up for `exit.json` on a full disk, see `base::atomic_file`.
        pub reserve: PathBuf,
        /// Its places on networks. Its network namespace is there already then, and is joined.
        pub networks: Vec<Attachment>,
        /// Ports that the monitor serves.
        pub forwards: Vec<Forward>,
        /// The run directory: this file, the socket, `hosts`, `hostname`, `resolv.conf`.
        pub run_dir: PathBuf,
    }
}

/// Where the root file system comes from. Mounted by init in the container's own mount
/// namespace, so that the host never sees it and the kernel unmounts it at the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rootfs {
    /// Overlayfs. Init changes into `lower_base` and mounts with relative lower names.
    Overlay {
        /// Directory that the names in `lowers` are relative to.
        lower_base: PathBuf,
        /// Layers, topmost first; short relative paths.
        lowers: Vec<String>,
        /// The container's writable directory.
        upper: PathBuf,
        /// Overlayfs' work directory, on the same file system as `upper`.
        work: PathBuf,
        /// Further mount options that this kernel knows, e.g. `redirect_dir=off,index=off`.
        options: String,
    },
    /// A whole copy in a directory.
    Dir {
        /// The directory.
        path: PathBuf,
    },
}

impl Default for Rootfs {
    fn default() -> Rootfs {
        Rootfs::Dir { path: PathBuf::new() }
    }
}

fields! {
    /// A mount on top of the fixed ones.
    #[derive(Debug, Clone, Default, Serialize)]
    pub struct Mount {
        /// Absolute, clean path inside; created when missing (as a file when the source is one).
        pub destination: String,
        /// What is mounted.
        pub source: MountSource,
        /// Read-only.
        pub readonly: bool,
        /// `rprivate`, `rslave`, `rshared`, …; empty is `rprivate`.
        pub propagation: String,
    }
}

/// What is mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A path of the host, with the mounts below it.
    Bind(PathBuf),
    /// A file system in memory with these options (`size=64m,mode=1777`).
    Tmpfs(String),
}

impl Default for MountSource {
    fn default() -> MountSource {
        MountSource::Tmpfs(String::new())
    }
}

fields! {
    /// Which namespaces are made new (`None`), shared with the host, or joined by path.
    #[derive(Debug, Clone, Default, Serialize)]
    pub struct Namespaces {
        /// Network.
        pub net: Namespace,
        /// Process ids.
        pub pid: Namespace,
        /// System V IPC and POSIX queues.
        pub ipc: Namespace,
        /// Host name.
        pub uts: Namespace,
        /// Cgroup root.
        pub cgroup: Namespace,
    }
}

/// One namespace of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespace {
    /// A new one.
    #[default]
    New,
    /// The host's.
    Host,
    /// That of this process, by the path of its namespace file.
    Join(PathBuf),
}

fields! {
    /// A device node to make inside.
    #[derive(Debug, Clone, Default, Serialize)]
    pub struct DeviceNode {
        /// Absolute path inside.
        pub path: String,
        /// `c` or `b`.
        pub kind: char,
        /// Major number.
        pub major: u32,
        /// Minor number.
        pub minor: u32,
        /// Permission bits.
        pub mode: u32,
        /// Owner.
        pub uid: u32,
        /// Group.
        pub gid: u32,
    }
}

impl Launch {
    /// Name of the launch file in the run directory.
    pub const FILE: &'static str = "launch.json";

    /// Writes the launch file. Not synced: the run directory does not outlive a reboot, and
    /// neither does the run.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self) -> Result<()> {
        let path = self.run_dir.join(Launch::FILE);
        let bytes = serde_json::to_vec(self).expect("a launch file has no map with odd keys");
        std::fs::write(&path, bytes).context(|| format!("write {}", path.display()))
    }

    /// Puts the cgroups on record that a container has joined since its start, for the execs that
    /// come. Whoever reads meanwhile finds the old file or the new one.
    ///
    /// # Errors
    /// Those of the file system; when there is no launch file.
    pub fn set_cgroups(run_dir: &Path, dirs: Vec<PathBuf>) -> Result<()> {
        let mut launch = Launch::read(run_dir)?;
        if launch.cgroup_dirs == dirs {
            return Ok(());
        }
        launch.cgroup_dirs = dirs;
        launch.rewrite()
    }

    /// Writes it over an earlier one: whole, or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn rewrite(&self) -> Result<()> {
        let path = self.run_dir.join(Launch::FILE);
        let bytes = serde_json::to_vec(self).expect("a launch file has no map with odd keys");
        let new = path.with_extension("new");
        std::fs::write(&new, bytes)
            .and_then(|()| std::fs::rename(&new, &path))
            .context(|| format!("write {}", path.display()))
    }

    /// Reads the launch file in `run_dir`.
    ///
    /// # Errors
    /// When it is missing or does not parse.
    pub fn read(run_dir: &Path) -> Result<Launch> {
        let path = run_dir.join(Launch::FILE);
        let bytes = std::fs::read(&path).context(|| format!("read {}", path.display()))?;
        let launch: Launch = serde_json::from_slice(&bytes)
            .map_err(std::io::Error::from)
            .context(|| format!("parse {}", path.display()))?;
        if launch.args.is_empty() {
            return Err(Error::internal(format!("{} names no program", path.display())));
        }
        Ok(launch)
    }
}
