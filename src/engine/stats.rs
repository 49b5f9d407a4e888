//! What running containers use.
//!
//! Asked for anew each time: nothing is collected while nobody asks.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::slot::Slot;
use super::{Engine, Patience};
use crate::base::{Kind, Result, Timestamp};
use crate::container::{Record, State};
use crate::model::NetworkMode;
use crate::runtime::cgroup::usage::Usage;
use crate::sys;

/// What a container uses, at one moment. Its default is that of one that does not run.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When.
    pub time: Timestamp,
    /// What its cgroups say; a limit of memory beyond what the host has is what the host has.
    pub usage: Usage,
    /// Time of all processors of the host, in nanoseconds.
    pub host_time: u64,
    /// Number of processors.
    pub cpus: usize,
    /// Its network interfaces, if it has some of its own.
    pub interfaces: Vec<Interface>,
}

/// What went through a network interface: bytes, packets, errors, drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name inside.
    pub name: String,
    /// In.
    pub received: [u64; 4],
    /// Out.
    pub sent: [u64; 4],
}

/// The samples of one container.
pub struct StatsStream {
    engine: Arc<Engine>,
    slot: Arc<Slot>,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample {
            time: Timestamp::ZERO,
            usage: Usage::default(),
            host_time: 0,
            cpus: 0,
            interfaces: Vec::new(),
        }
    }
}

impl Engine {
    /// The samples of a container, from now on.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn stats(&self, name: &str) -> Result<StatsStream> {
        Ok(StatsStream { engine: self.me(), slot: self.slot(name)? })
    }
}

impl StatsStream {
    /// Its record as it is now.
    pub fn record(&self) -> Arc<Record> {
        self.slot.record()
    }

    /// What it uses now; `None` when it does not run.
    pub fn sample(&self) -> Option<Sample> {
        let (record, pid) = {
            let inner = self.slot.lock();
            let State::Running { pid, .. } = inner.state else { return None };
            (Arc::clone(&inner.record), pid)
        };
        let mut usage = self.engine.cgroups.usage(&record.id, &record.host);
        let limit = &mut usage.memory.limit;
        *limit = (*limit).min(sys::host::total_memory().unwrap_or(u64::MAX));
        let shared =
            matches!(record.host.network_mode, NetworkMode::Host | NetworkMode::Container(_));
        let interfaces = if shared {
            Vec::new()
        } else {
            interfaces(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default())
        };
        Some(Sample {
            time: Timestamp::now(),
            usage,
            host_time: host_time(self.engine.cpus),
            cpus: self.engine.cpus,
            interfaces,
        })
    }

    /// Waits for the time of the next sample; false when the container is gone.
    ///
    /// # Errors
    /// `ClientGone`.
    pub fn pause(&self, length: Duration, patience: Patience<'_>) -> Result<bool> {
        let patience = Patience { deadline: Some(Instant::now() + length), ..patience };
        match self.slot.watch(patience, |inner| inner.gone.then_some(())) {
            Err(error) if error.kind() == Kind::TimedOut => Ok(true),
            result => result.map(|()| false),
        }
    }
}

/// The time that all processors have spent, idle or not, in nanoseconds. Read once, then counted by
/// the clock: that is a hundred times as fast and, at ticks of 10 ms, more exact.
fn host_time(cpus: usize) -> u64 {
    static BEGIN: OnceLock<(Instant, u64)> = OnceLock::new();
    let (at, spent) = BEGIN.get_or_init(|| {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        (Instant::now(), spent(&stat))
    });
    let since = u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX);
    spent.saturating_add(since.saturating_mul(cpus as u64))
}

/// The sum of all times in the first line of /proc/stat. Guest time is counted in user time already.
fn spent(stat: &str) -> u64 {
    const TICK: u64 = 10_000_000;
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let fields = line.unwrap_or_default().split_ascii_whitespace().take(8);
    fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>().saturating_mul(TICK)
}

/// The interfaces in a /proc/PID/net/dev, but for loopback.
fn interfaces(dev: &str) -> Vec<Interface> {
    let interface = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let name = name.trim();
        let counts: Vec<u64> =
            counts.split_ascii_whitespace().map_while(|count| count.parse().ok()).collect();
        if name == "lo" || counts.len() < 12 {
            return None;
        }
        let four = |at: usize| [counts[at], counts[at + 1], counts[at + 2], counts[at + 3]];
        Some(Interface { name: name.to_owned(), received: four(0), sent: four(8) })
    };
    dev.lines().skip(2).filter_map(interface).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_host_are_added() {
        let stat = "cpu  1 2 3 4 5 6 7 8 90 100\ncpu0 1 2 3 4 5 6 7 8 90 100\nintr 5\n";
        assert_eq!(spent(stat), 36 * 10_000_000);
        assert_eq!(spent(""), 0);
        let before = host_time(2);
        std::thread::sleep(Duration::from_millis(5));
        assert!(host_time(2) - before >= 10_000_000);
    }

    #[test]
    fn interfaces_are_read() {
        let dev = "Inter-|   Receive      |  Transmit\n\
                    face |bytes packets errs drop fifo frame compressed multicast|bytes ...\n   \
                    lo:  9 9 0 0 0 0 0 0  9 9 0 0 0 0 0 0\n \
                    eth0: 10 11 12 13 0 0 0 0 20 21 22 23 0 0 0 0\n";
        let [eth] = &interfaces(dev)[..] else { panic!("not one") };
        assert_eq!(
            (&*eth.name, eth.received, eth.sent),
            ("eth0", [10, 11, 12, 13], [20, 21, 22, 23])
        );
    }
}
