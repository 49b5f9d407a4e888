//! Limits of memory, processors, processes and descriptors: what values make sense.

use crate::base::{Error, Result};
use crate::model::{HostConfig, Ulimit};

/// Least memory limit in bytes, as 0.6.4 had it.
pub const MIN_MEMORY: u64 = 512 << 10;

/// Highest number in a cpuset: the kernel's own bound on processors and nodes.
const MAX_CPU: usize = 8192;

const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

fn bad<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::bad_parameter(message))
}

/// Checks all limits of `host` on a machine with `cpus` processors.
///
/// # Errors
/// `BadParameter`, in Docker's words where it has some.
pub fn check(host: &HostConfig, cpus: usize) -> Result<()> {
    check_memory(host)?;
    check_cpu(host, cpus)?;
    if host.blkio_weight != 0 && !(10..=1000).contains(&host.blkio_weight) {
        return bad("Range of blkio weight is from 10 to 1000");
    }
    if host.pids_limit < -1 {
        return bad(format!("invalid pids limit: {}", host.pids_limit));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return bad(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        ));
    }
    host.ulimits.iter().try_for_each(check_ulimit)
}

fn check_memory(host: &HostConfig) -> Result<()> {
    let memory = host.memory;
    if memory != 0 && memory < MIN_MEMORY {
        return bad("Minimum memory limit allowed is 512KB");
    }
    if memory > i64::MAX.unsigned_abs() || host.memory_reservation > i64::MAX.unsigned_abs() {
        return bad("invalid memory limit");
    }
    if host.memory_swap < -1 {
        return bad(format!("invalid memory-swap limit: {}", host.memory_swap));
    }
    if host.memory_swap > 0 && memory == 0 {
        return bad(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if host.memory_swap > 0 && host.memory_swap.unsigned_abs() < memory {
        return bad("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory > 0 && host.memory_reservation > memory {
        return bad(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    match host.memory_swappiness {
        Some(value) if value > 100 => {
            bad(format!("Invalid value: {value}, valid memory swappiness range is 0-100"))
        }
        _ => Ok(()),
    }
}

fn check_cpu(host: &HostConfig, cpus: usize) -> Result<()> {
    if host.nano_cpus > 0 && (host.cpu_period > 0 || host.cpu_quota > 0) {
        let other = if host.cpu_period > 0 { "CPU Period" } else { "CPU Quota" };
        return bad(format!("Conflicting options: Nano CPUs and {other} cannot both be set"));
    }
    let most = u64::try_from(cpus).unwrap_or(u64::MAX);
    if host.nano_cpus > most.saturating_mul(1_000_000_000) {
        return bad(format!(
            "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        ));
    }
    if host.cpu_period != 0 && !(1_000..=1_000_000).contains(&host.cpu_period) {
        return bad(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1_000 {
        return bad("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    for (what, text) in [("cpuset-cpus", &host.cpuset_cpus), ("cpuset-mems", &host.cpuset_mems)] {
        if !is_set(text) {
            return bad(format!("Invalid value {text} for {what}"));
        }
    }
    Ok(())
}

/// Whether `text` is a list of numbers and ranges, `0-2,7`, each below the kernel's bound; also
/// the empty one. Nothing is expanded.
fn is_set(text: &str) -> bool {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<usize>().ok()).flatten().filter(|n| *n < MAX_CPU)
    };
    let item = |item: &str| match item.split_once('-') {
        Some((from, to)) => match (number(from), number(to)) {
            (Some(from), Some(to)) => from <= to,
            _ => false,
        },
        None => number(item).is_some(),
    };
    text.len() <= 4096 && (text.is_empty() || text.split(',').all(item))
}

fn check_ulimit(limit: &Ulimit) -> Result<()> {
    if !ULIMITS.contains(&limit.name.as_str()) {
        return bad(format!("invalid ulimit type: {}", limit.name));
    }
    if limit.soft < -1 || limit.hard < -1 {
        return bad(format!("invalid ulimit {}: {}:{}", limit.name, limit.soft, limit.hard));
    }
    let above = limit.soft == -1 || limit.soft > limit.hard;
    if limit.hard != -1 && above {
        return bad(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}",
            limit.soft, limit.hard
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_processors_are_bounded() {
        for good in ["", "0", "0-2,7", "1,1", "8191"] {
            assert!(is_set(good), "{good}");
        }
        for bad in ["-", "a", "0-", "2-1", "0,,1", " 1", "0-2147483647", "8192", "+1"] {
            assert!(!is_set(bad), "{bad}");
        }
    }

    #[test]
    fn nonsense_is_refused_in_known_words() {
        let check = |change: &dyn Fn(&mut HostConfig), expected: Option<&str>| {
            let mut host = HostConfig::default();
            change(&mut host);
            let found = check(&host, 2).err().map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected);
        };
        check(&|h| h.memory = 524_287, Some("Minimum memory limit allowed is 512KB"));
        check(&|h| h.memory = 524_288, None);
        check(
            &|h| h.memory_swap = 5,
            Some("You should always set the Memory limit when using Memoryswap limit, see usage"),
        );
        check(
            &|h| (h.memory, h.memory_swap) = (1 << 20, 5),
            Some("Minimum memoryswap limit should be larger than memory limit, see usage"),
        );
        check(&|h| (h.memory, h.memory_swap) = (1 << 20, -1), None);
        check(
            &|h| h.nano_cpus = 3_000_000_000,
            Some("range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
        );
        check(
            &|h| (h.nano_cpus, h.cpu_quota) = (5, 5000),
            Some("Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        );
        check(&|h| h.pids_limit = -1, None);
        let ulimit = |name: &str, soft, hard| Ulimit { name: name.into(), soft, hard };
        check(&|h| h.ulimits = vec![ulimit("nofile", 1024, 2048)], None);
        check(&|h| h.ulimits = vec![ulimit("nofile", -1, -1)], None);
        check(&|h| h.ulimits = vec![ulimit("x", 1, 2)], Some("invalid ulimit type: x"));
        check(
            &|h| h.ulimits = vec![ulimit("core", 2, 1)],
            Some("ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        );
    }
}
