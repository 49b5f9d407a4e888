//! What a container is to run, and what the host grants it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{PortBinding, PortRange, PortSet};
use crate::base::fields;

fields! {
    /// What is to run: the portable half of a container's configuration, and an image's `config`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct RunConfig {
        /// Host name inside; empty means the short id.
        pub hostname: String,
        /// Domain name inside; only used in `hosts` and for the NIS domain.
        pub domainname: String,
        /// `name|uid[:group|gid]`, looked up in the image; empty is root.
        pub user: String,
        /// Whether the creating client meant to attach standard input. Informational.
        pub attach_stdin: bool,
        /// The same for standard output.
        pub attach_stdout: bool,
        /// The same for standard error.
        pub attach_stderr: bool,
        /// Run on a pseudo-terminal.
        pub tty: bool,
        /// Keep standard input open, with or without clients.
        pub open_stdin: bool,
        /// Close standard input when the first attached client has ended its input.
        pub stdin_once: bool,
        /// `KEY=VALUE` entries, in order.
        pub env: Vec<String>,
        /// Command, or arguments of the entrypoint. `None` is "not given", unlike an empty list.
        pub cmd: Option<Vec<String>>,
        /// Program and first arguments. `None` is "not given".
        pub entrypoint: Option<Vec<String>>,
        /// The image as the user typed it.
        pub image: String,
        /// Container paths that are to be volumes.
        pub volumes: BTreeSet<String>,
        /// Working directory; empty is `/`.
        pub working_dir: String,
        /// Ports that the program serves.
        pub exposed_ports: PortSet,
        /// User-made labels.
        pub labels: BTreeMap<String, String>,
        /// Signal of `stop`; empty is SIGTERM.
        pub stop_signal: String,
        /// Seconds that `stop` waits before it kills; `None` is 10, -1 for ever.
        pub stop_timeout: Option<i64>,
        /// How to ask whether the program is well.
        pub healthcheck: Option<Healthcheck>,
        /// No network but loopback.
        pub network_disabled: bool,
        /// Shell of the shell form, for builds.
        pub shell: Option<Vec<String>>,
        /// Instructions for builds on top of this image.
        pub on_build: Vec<String>,
    }
}

fields! {
    /// How to ask whether the program is well. Durations are nanoseconds, 0 inherits, as in the API.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Healthcheck {
        /// Empty inherits; `["NONE"]` disables; `["CMD", …]`; `["CMD-SHELL", line]`.
        pub test: Vec<String>,
        /// Between two checks.
        pub interval: i64,
        /// Before a check counts as hung.
        pub timeout: i64,
        /// Time to start in which failures do not count.
        pub start_period: i64,
        /// Between two checks during the start period.
        pub start_interval: i64,
        /// Failures in a row that make the container unhealthy.
        pub retries: i64,
    }
}

fields! {
    /// What the host grants and how it sets things up: the half that is not portable.
    #[derive(Debug, Clone, PartialEq, Serialize)]
    pub struct HostConfig {
        /// `SRC:DST[:MODE]` as given.
        pub binds: Vec<String>,
        /// Where the id was to be written; kept for clients.
        pub container_id_file: String,
        /// How the output is logged.
        pub log: LogConfig,
        /// Which network the container starts in.
        pub network_mode: NetworkMode,
        /// Published ports by container port.
        pub port_bindings: BTreeMap<PortRange, Vec<PortBinding>>,
        /// Publish every exposed port on a random one.
        pub publish_all_ports: bool,
        /// What happens after an exit; `None` for a request that named no policy.
        pub restart: Option<RestartPolicy>,
        /// Remove the container when it has ended.
        pub auto_remove: bool,
        /// Terminal of the client that created it: rows, columns. Informational: clients set the size
        /// of a running terminal themselves.
        pub console_size: (u16, u16),
        /// Containers whose volumes are taken over, `NAME[:ro|rw]`.
        pub volumes_from: Vec<String>,
        /// Capabilities added, without `CAP_`, upper case; may hold `ALL`.
        pub cap_add: Vec<String>,
        /// Capabilities dropped, likewise.
        pub cap_drop: Vec<String>,
        /// DNS servers.
        pub dns: Vec<String>,
        /// Options of the resolver.
        pub dns_options: Vec<String>,
        /// Search domains.
        pub dns_search: Vec<String>,
        /// `NAME:ADDRESS` lines for `/etc/hosts`.
        pub extra_hosts: Vec<String>,
        /// Supplementary groups, by name or number.
        pub group_add: Vec<String>,
        /// `private`, `host`, `shareable`, `none`, `container:ID`; empty is private.
        pub ipc_mode: String,
        /// `host`, `container:ID`; empty is private.
        pub pid_mode: String,
        /// `host`; empty is private.
        pub uts_mode: String,
        /// `private`, `host`; empty is private.
        pub cgroupns_mode: String,
        /// Parent of the container's cgroup; empty is the daemon's own.
        pub cgroup_parent: String,
        /// `NAME[:ALIAS]` of linked containers.
        pub links: Vec<String>,
        /// -1000 to 1000.
        pub oom_score_adj: i32,
        /// Everything allowed: all devices, all capabilities, no masks.
        pub privileged: bool,
        /// The root file system is read-only.
        pub readonly_rootfs: bool,
        /// `no-new-privileges`, `seccomp=unconfined`, …
        pub security_opt: Vec<String>,
        /// Path to mount options.
        pub tmpfs: BTreeMap<String, String>,
        /// Size of /dev/shm in bytes; 0 is 64 MiB.
        pub shm_size: u64,
        /// Kernel parameters of the container's namespaces.
        pub sysctls: BTreeMap<String, String>,
        /// Mounts of today's API, before they are resolved.
        pub mounts: Vec<MountPoint>,
        /// Paths hidden from the container; `None` is the default list.
        pub masked_paths: Option<Vec<String>>,
        /// Paths shown read-only; `None` is the default list.
        pub readonly_paths: Option<Vec<String>>,
        /// Relative CPU weight, 1024 is one share; 0 is the default.
        pub cpu_shares: u64,
        /// Memory limit in bytes; 0 is none.
        pub memory: u64,
        /// Memory and swap together in bytes; 0 is twice `memory`, -1 is no limit.
        pub memory_swap: i64,
        /// Soft memory limit in bytes; 0 is none.
        pub memory_reservation: u64,
        /// 0 to 100; `None` is the kernel's.
        pub memory_swappiness: Option<u8>,
        /// Do not kill on out of memory (cgroup v1 only).
        pub oom_kill_disable: bool,
        /// CPUs in units of 1e-9; 0 is no limit.
        pub nano_cpus: u64,
        /// Period of the CPU quota in microseconds; 0 is the default.
        pub cpu_period: u64,
        /// CPU time per period in microseconds; 0 is none.
        pub cpu_quota: i64,
        /// CPUs that may be used, `0-2,4`.
        pub cpuset_cpus: String,
        /// Memory nodes that may be used.
        pub cpuset_mems: String,
        /// Weight of block I/O, 10 to 1000; 0 is the default.
        pub blkio_weight: u16,
        /// Number of processes; 0 and -1 are no limit.
        pub pids_limit: i64,
        /// Devices given to the container.
        pub devices: Vec<Device>,
        /// Resource limits.
        pub ulimits: Vec<Ulimit>,
        /// Run a reaper as process 1.
        pub init: bool,
        /// Options kept from `-lxc-conf`, already mapped; for old clients.
        pub lxc_conf: Vec<(String, String)>,
        /// Annotations; kept, without meaning here.
        pub annotations: BTreeMap<String, String>,
    }
}

impl Default for HostConfig {
    fn default() -> HostConfig {
        HostConfig {
            binds: Vec::new(),
            container_id_file: String::new(),
            log: LogConfig::default(),
            network_mode: NetworkMode::Default,
            port_bindings: BTreeMap::new(),
            publish_all_ports: false,
            restart: None,
            auto_remove: false,
            console_size: (0, 0),
            volumes_from: Vec::new(),
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            extra_hosts: Vec::new(),
            group_add: Vec::new(),
            ipc_mode: String::new(),
            pid_mode: String::new(),
            uts_mode: String::new(),
            cgroupns_mode: String::new(),
            cgroup_parent: String::new(),
            links: Vec::new(),
            oom_score_adj: 0,
            privileged: false,
            readonly_rootfs: false,
            security_opt: Vec::new(),
            tmpfs: BTreeMap::new(),
            shm_size: 0,
            sysctls: BTreeMap::new(),
            mounts: Vec::new(),
            masked_paths: None,
            readonly_paths: None,
            cpu_shares: 0,
            memory: 0,
            memory_swap: 0,
            memory_reservation: 0,
            memory_swappiness: None,
            oom_kill_disable: false,
            nano_cpus: 0,
            cpu_period: 0,
            cpu_quota: 0,
            cpuset_cpus: String::new(),
            cpuset_mems: String::new(),
            blkio_weight: 0,
            pids_limit: 0,
            devices: Vec::new(),
            ulimits: Vec::new(),
            init: false,
            lxc_conf: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }
}

fields! {
    /// How a container's output is logged.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct LogConfig {
        /// Where the output goes.
        pub driver: LogDriver,
        /// Size in bytes at which a file is rotated.
        pub max_size: u64,
        /// Number of files kept, the current one included; at least 1.
        pub max_file: u32,
    }
}

/// Where a container's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// One JSON object per line.
    #[default]
    JsonFile,
    /// Nowhere: only attached clients see it.
    None,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { driver: LogDriver::JsonFile, max_size: 10 << 20, max_file: 3 }
    }
}

/// Which network a container starts in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// The daemon's default bridge, or none where the daemon has no bridge.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's own network.
    Host,
    /// The network namespace of another container, by id or name.
    Container(String),
    /// A network by name or id; `bridge` is the default one.
    Named(String),
}

/// What happens after an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// Start again, also after a reboot.
    Always,
    /// The same unless the user stopped it.
    UnlessStopped,
    /// Start again after a failure, at most so many times in a row; 0 is without bound.
    OnFailure(u32),
}

fields! {
    /// One mount of a container, as asked for or as resolved.
    #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
    pub struct MountPoint {
        /// What is mounted.
        pub kind: MountKind,
        /// Absolute, clean path inside.
        pub destination: String,
        /// Whether the container may write.
        pub rw: bool,
        /// Mode words as the user gave them (`z`, `rslave`, …).
        pub mode: String,
        /// `rprivate`, `rslave`, …; empty is `rprivate`.
        pub propagation: String,
    }
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// A path of the host.
    Bind {
        /// Absolute host path.
        source: String,
        /// Make a missing source directory (binds do, mounts do not).
        create: bool,
    },
    /// A volume by name.
    Volume {
        /// Its name; 64 hex digits for an anonymous one.
        name: String,
        /// Whether the content of the image is copied into an empty one.
        copy_up: bool,
    },
    /// A file system in memory.
    Tmpfs {
        /// Mount options, `size=64m,mode=1777`.
        options: String,
    },
}

impl Default for MountKind {
    fn default() -> MountKind {
        MountKind::Tmpfs { options: String::new() }
    }
}

fields! {
    /// A device given to a container.
    #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
    pub struct Device {
        /// Path on the host.
        pub host_path: String,
        /// Path inside.
        pub container_path: String,
        /// `r`, `w`, `m` in any mix.
        pub permissions: String,
    }
}

fields! {
    /// One resource limit.
    #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
    pub struct Ulimit {
        /// `nofile`, `nproc`, …
        pub name: String,
        /// The limit in force; -1 is none.
        pub soft: i64,
        /// The most that it may be raised to; -1 is none.
        pub hard: i64,
    }
}

fields! {
    /// How a container takes part in one network: what was asked for, and what it got.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Endpoint {
        /// Names under which others on the network find it.
        pub aliases: Vec<String>,
        /// Address asked for, or empty.
        pub wanted_ipv4: String,
        /// IPv6 address asked for, or empty.
        pub wanted_ipv6: String,
        /// Hardware address asked for, or empty.
        pub mac_address: String,
        /// `NAME[:ALIAS]` known to this container alone.
        pub links: Vec<String>,
    }
}
