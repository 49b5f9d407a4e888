//! What the kernel has counted in a container's cgroups.
//!
//! A file that is missing, since its controller is, or that ends in the middle counts as nothing.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Cgroups, Layout, OURS, parent, v1};
use crate::base::Id;
use crate::model::HostConfig;

/// More than the longest of the files has.
const MOST: usize = 16 * 1024;

/// What a container has used, and what it uses now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Number of processes and its limit; `u64::MAX` is none.
    pub pids: Option<(u64, u64)>,
    /// Bytes of block I/O.
    pub io_bytes: Vec<Io>,
    /// Operations of block I/O; v1 alone.
    pub io_count: Vec<Io>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// All of it.
    pub total: u64,
    /// In the programs.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
    /// For each processor; v1 alone.
    pub each: Vec<u64>,
    /// Periods of the quota so far, those in which it was used up, and the time of waiting.
    pub throttled: [u64; 3],
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub usage: u64,
    /// At most, until now; v1 alone.
    pub most: u64,
    /// How often the limit was hit.
    pub failures: u64,
    /// The limit; `u64::MAX` is none.
    pub limit: u64,
    /// `memory.stat` as it is.
    pub parts: Vec<(String, u64)>,
}

/// A sum of block I/O.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Io {
    /// Of this device.
    pub device: (u64, u64),
    /// `read`, `write`, and on v1 others.
    pub operation: String,
    /// Bytes or operations.
    pub value: u64,
}

/// Files of a group, read one after the other into the same room.
struct Files {
    dir: PathBuf,
    buffer: Vec<u8>,
}

impl Files {
    fn of(dir: PathBuf) -> Files {
        Files { dir, buffer: vec![0; MOST] }
    }

    /// Goes on with the group in the hierarchy of `controller`, if there is one.
    fn enter(&mut self, all: &[v1::Hierarchy], controller: &str, group: &Path) -> bool {
        let hierarchy = v1::find(all, controller);
        if let Some(hierarchy) = hierarchy {
            self.dir = hierarchy.root.join(group);
        }
        hierarchy.is_some()
    }

    fn read(&mut self, name: &str) -> &str {
        let path: &Path = &self.dir.join(name);
        let mut length = 0;
        if let Ok(mut file) = File::open(path) {
            while let Ok(count @ 1..) = file.read(&mut self.buffer[length..]) {
                length += count;
            }
        }
        std::str::from_utf8(&self.buffer[..length]).unwrap_or_default()
    }

    /// The only number of a file; a word (`max`) is no limit.
    fn number(&mut self, name: &str) -> Option<u64> {
        match self.read(name).trim_end() {
            "" => None,
            text => Some(text.parse().unwrap_or(u64::MAX)),
        }
    }

    /// Lines `name number`.
    fn pairs(&mut self, name: &str) -> Vec<(String, u64)> {
        let pair = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        self.read(name).lines().filter_map(pair).collect()
    }

    fn pids(&mut self) -> Option<(u64, u64)> {
        Some((self.number("pids.current")?, self.number("pids.max").unwrap_or(u64::MAX)))
    }
}

fn value_of(pairs: &[(String, u64)], name: &str) -> u64 {
    pairs.iter().find(|(own, _)| own == name).map_or(0, |(_, value)| *value)
}

impl Cgroups {
    /// What container `id` uses, which was made by `host`.
    pub fn usage(&self, id: &Id, host: &HostConfig) -> Usage {
        let Ok(parent) = parent(&host.cgroup_parent) else { return Usage::default() };
        let group = parent.join(OURS).join(id.as_str());
        match &self.layout {
            Layout::None => Usage::default(),
            Layout::V1(all) => usage_v1(all, &group),
            Layout::V2(root) => usage_v2(root.join(&group)),
        }
    }
}

fn usage_v1(all: &[v1::Hierarchy], group: &Path) -> Usage {
    // In nanoseconds; the kernel counts these in ticks of 10 ms for all of user space.
    const TICK: u64 = 10_000_000;
    let mut usage = Usage::default();
    let Usage { cpu, memory, .. } = &mut usage;
    let files = &mut Files::of(PathBuf::new());
    if files.enter(all, "cpuacct", group) {
        cpu.total = files.number("cpuacct.usage").unwrap_or(0);
        let each = files.read("cpuacct.usage_percpu").split_whitespace();
        cpu.each = each.filter_map(|time| time.parse().ok()).collect();
        let ticks = files.pairs("cpuacct.stat");
        (cpu.user, cpu.system) =
            (value_of(&ticks, "user") * TICK, value_of(&ticks, "system") * TICK);
    }
    if files.enter(all, "cpu", group) {
        let pairs = files.pairs("cpu.stat");
        cpu.throttled =
            ["nr_periods", "nr_throttled", "throttled_time"].map(|name| value_of(&pairs, name));
    }
    if files.enter(all, "memory", group) {
        let mut number = |name| files.number(name).unwrap_or(0);
        memory.usage = number("memory.usage_in_bytes");
        memory.most = number("memory.max_usage_in_bytes");
        memory.failures = number("memory.failcnt");
        memory.limit = number("memory.limit_in_bytes");
        memory.parts = files.pairs("memory.stat");
    }
    if files.enter(all, "pids", group) {
        usage.pids = files.pids();
    }
    if files.enter(all, "blkio", group) {
        usage.io_bytes = io_v1(files.read("blkio.throttle.io_service_bytes_recursive"));
        usage.io_count = io_v1(files.read("blkio.throttle.io_serviced_recursive"));
    }
    usage
}

fn usage_v2(dir: PathBuf) -> Usage {
    let mut files = Files::of(dir);
    let pairs = files.pairs("cpu.stat");
    let nanos = |name| value_of(&pairs, name) * 1000;
    let count = |name| value_of(&pairs, name);
    let cpu = Cpu {
        total: nanos("usage_usec"),
        user: nanos("user_usec"),
        system: nanos("system_usec"),
        each: Vec::new(),
        throttled: [count("nr_periods"), count("nr_throttled"), nanos("throttled_usec")],
    };
    let memory = Memory {
        usage: files.number("memory.current").unwrap_or(0),
        most: 0,
        failures: value_of(&files.pairs("memory.events"), "oom"),
        limit: files.number("memory.max").unwrap_or(0),
        parts: files.pairs("memory.stat"),
    };
    Usage {
        cpu,
        memory,
        pids: files.pids(),
        io_bytes: io_v2(files.read("io.stat")),
        io_count: Vec::new(),
    }
}

fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Lines `8:0 Read 4096`; the last one is a sum without a device.
fn io_v1(text: &str) -> Vec<Io> {
    let io = |line: &str| {
        let mut fields = line.split(' ');
        let device = device(fields.next()?)?;
        let operation = fields.next()?.to_owned();
        Some(Io { device, operation, value: fields.next()?.parse().ok()? })
    };
    text.lines().filter_map(io).collect()
}

/// Lines `8:0 rbytes=4096 wbytes=0 rios=1 …`.
fn io_v2(text: &str) -> Vec<Io> {
    let mut all = Vec::new();
    for line in text.lines() {
        let Some((first, rest)) = line.split_once(' ') else { continue };
        let Some(device) = device(first) else { continue };
        for (key, operation) in [("rbytes=", "read"), ("wbytes=", "write")] {
            let value = rest.split(' ').find_map(|field| field.strip_prefix(key)?.parse().ok());
            all.extend(value.map(|value| Io { device, operation: operation.to_owned(), value }));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("skiff-usage-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (name, content) in files {
            std::fs::write(dir.join(name), content).unwrap();
        }
        dir
    }

    fn io(device: (u64, u64), operation: &str, value: u64) -> Io {
        Io { device, operation: operation.into(), value }
    }

    #[test]
    fn v2_is_read() {
        let stat = "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 7\n\
                    nr_throttled 2\nthrottled_usec 9\n";
        let io_stat = "8:0 rbytes=4096 wbytes=512 rios=1 wios=1 dbytes=0 dios=0\n7:0 \n";
        let dir = dir(
            "v2",
            &[
                ("cpu.stat", stat),
                ("memory.current", "65536\n"),
                ("memory.max", "max\n"),
                ("memory.stat", "anon 100\nfile 200\n"),
                ("memory.events", "low 0\noom 3\noom_kill 1\n"),
                ("pids.current", "2\n"),
                ("pids.max", "50\n"),
                ("io.stat", io_stat),
            ],
        );
        let usage = usage_v2(dir.clone());
        let Cpu { total, user, system, each, throttled } = usage.cpu;
        assert_eq!((total, user, system, each), (3_000_000, 2_000_000, 1_000_000, Vec::new()));
        assert_eq!(throttled, [7, 2, 9000]);
        let memory = usage.memory;
        assert_eq!((memory.usage, memory.limit, memory.failures), (65536, u64::MAX, 3));
        assert_eq!(memory.parts, [("anon".to_owned(), 100), ("file".to_owned(), 200)]);
        assert_eq!(usage.pids, Some((2, 50)));
        assert_eq!(usage.io_bytes, [io((8, 0), "read", 4096), io((8, 0), "write", 512)]);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(usage_v2(dir).cpu, Cpu::default());
    }

    #[test]
    fn v1_is_read() {
        let blkio = "8:0 Read 4096\n8:0 Write 0\nTotal 4096\n";
        let root = dir(
            "v1",
            &[
                ("cpuacct.usage", "5000\n"),
                ("cpuacct.usage_percpu", "2000 3000 \n"),
                ("cpuacct.stat", "user 3\nsystem 1\n"),
                ("cpu.stat", "nr_periods 4\nnr_throttled 1\nthrottled_time 77\n"),
                ("memory.usage_in_bytes", "10\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.max_usage_in_bytes", "30\n"),
                ("memory.failcnt", "2\n"),
                ("memory.stat", "cache 5\n"),
                ("pids.current", "1\n"),
                ("pids.max", "max\n"),
                ("blkio.throttle.io_service_bytes_recursive", blkio),
            ],
        );
        let controllers = vec!["cpu", "cpuacct", "memory", "pids", "blkio"];
        let all = [v1::Hierarchy { controllers, root: root.clone() }];
        let usage = usage_v1(&all, Path::new(""));
        assert_eq!((usage.cpu.total, usage.cpu.each), (5000, vec![2000, 3000]));
        assert_eq!((usage.cpu.user, usage.cpu.throttled), (30_000_000, [4, 1, 77]));
        let memory = usage.memory;
        assert_eq!((memory.usage, memory.most, memory.failures), (10, 30, 2));
        assert_eq!(usage.pids, Some((1, u64::MAX)));
        assert_eq!(usage.io_bytes, [io((8, 0), "Read", 4096), io((8, 0), "Write", 0)]);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
