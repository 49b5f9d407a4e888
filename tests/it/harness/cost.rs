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
struct Cost(Vec<Taken>);

impl Cost {
    /// The least of some samples: what a request or a check takes for a moment is not counted.
    fn of(daemon: &Daemon, monitors: &[i32]) -> Cost {
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

    /// What has grown since `before`: memory by more than a twentieth, or descriptors at all.
    fn growth_since(&self, before: &Cost) -> Option<String> {
        println!("daemon, monitors: {before:?}, then {self:?}");
        let mut both = before.0.iter().zip(&self.0);
        let grown = both.find(|(was, is)| {
            is.memory > was.memory + was.memory / 20 || is.descriptors > was.descriptors
        });
        grown.map(|(was, is)| format!("{was:?} became {is:?}"))
    }
}

/// Whether `work` leaves daemon and monitors as they were.
///
/// What grows once may be the stack of a thread more than there were ever at the same time, which
/// the C library keeps; a leak grows each time.
#[track_caller]
pub fn assert_flat(daemon: &Daemon, monitors: &[i32], mut work: impl FnMut()) {
    let mut before = Cost::of(daemon, monitors);
    let mut grown = None;
    for _ in 0..3 {
        work();
        let after = Cost::of(daemon, monitors);
        grown = after.growth_since(&before);
        if grown.is_none() {
            return;
        }
        before = after;
    }
    panic!("it grows each time: {}", grown.unwrap_or_default());
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
