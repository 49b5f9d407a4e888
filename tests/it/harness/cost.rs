//! What a daemon and monitors cost, and that it does not grow.

use std::fs;
use std::time::Duration;

use super::{Daemon, Wire};

/// Anonymous memory in KB and descriptors of a process.
#[derive(Debug, Clone, Copy)]
struct Taken {
    pid: i32,
    memory: u64,
    descriptors: usize,
}

/// The cost of a daemon, and of monitors.
#[derive(Debug)]
pub struct Cost(Vec<Taken>);

impl Cost {
    /// The least of some samples: what a request or a check takes for a moment is not counted.
    pub fn of(daemon: &Daemon, monitors: &[i32]) -> Cost {
        let pids = [daemon.pid()].into_iter().chain(monitors.iter().copied());
        let mut least: Vec<Taken> = pids.map(taken).collect();
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(50));
            for known in &mut least {
                let Taken { pid, memory, descriptors } = taken(known.pid);
                let descriptors = descriptors.min(known.descriptors);
                *known = Taken { pid, memory: memory.min(known.memory), descriptors };
            }
        }
        Cost(least)
    }

    /// Whether nothing has grown since `before`: memory by a twentieth at most, descriptors not
    /// at all.
    #[track_caller]
    pub fn assert_flat_since(&self, before: &Cost) {
        println!("daemon, monitors: {before:?}, then {self:?}");
        for (was, is) in before.0.iter().zip(&self.0) {
            let most = was.memory + was.memory / 20;
            assert!(is.memory <= most, "{} KB became {} KB", was.memory, is.memory);
            assert!(is.descriptors <= was.descriptors, "{was:?} became {is:?}");
        }
    }
}

fn taken(pid: i32) -> Taken {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Anonymous")).unwrap();
    let memory = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Taken { pid, memory, descriptors }
}

/// Lets the C library keep as many stacks of threads as it ever will, some 16 KB of each: one for
/// each of the most connections that there were at the same time.
pub fn keep_stacks(daemon: &Daemon, connections: usize) {
    let all: Vec<Wire> = (0..connections)
        .map(|_| {
            let mut wire = daemon.wire();
            wire.send("GET /_ping HTTP/1.1\r\nHost: t\r\n\r\n");
            assert_eq!(wire.head().0, 200);
            wire
        })
        .collect();
    drop(all);
}

/// The monitor of a running container: the parent of its first process.
pub fn monitor_of(daemon: &Daemon, name: &str) -> i32 {
    let pid = daemon.inspect(name)["State"]["Pid"].to_string();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
