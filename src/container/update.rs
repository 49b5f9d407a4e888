//! Changing the limits and the restart policy of a container that exists.

use crate::base::{Error, Result};
use crate::model::{HostConfig, RestartPolicy};

/// What is to change. Of `host` only limits and the restart policy count; what holds its default
/// there stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The new values.
    pub host: HostConfig,
    /// Number of processes; 0 and below lift the limit.
    pub pids_limit: Option<i64>,
}

impl Change {
    /// `current` with the change made to it. The limits are still to be checked as a whole.
    ///
    /// # Errors
    /// `Conflict` for what contradicts a limit that stays, in Docker's words.
    pub fn apply(&self, current: &HostConfig) -> Result<HostConfig> {
        let Change { host: new, pids_limit } = self;
        check(new, current)?;
        let mut host = current.clone();
        take(&mut host.blkio_weight, &new.blkio_weight);
        take(&mut host.cpu_shares, &new.cpu_shares);
        take(&mut host.nano_cpus, &new.nano_cpus);
        take(&mut host.cpu_period, &new.cpu_period);
        take(&mut host.cpu_quota, &new.cpu_quota);
        take(&mut host.cpuset_cpus, &new.cpuset_cpus);
        take(&mut host.cpuset_mems, &new.cpuset_mems);
        take(&mut host.memory, &new.memory);
        take(&mut host.memory_swap, &new.memory_swap);
        take(&mut host.memory_reservation, &new.memory_reservation);
        take(&mut host.restart, &new.restart);
        if let Some(limit) = pids_limit {
            host.pids_limit = (*limit).max(0);
        }
        Ok(host)
    }
}

/// Takes a value over, if there is one.
fn take<T: Default + PartialEq + Clone>(to: &mut T, from: &T) {
    if *from != T::default() {
        to.clone_from(from);
    }
}

fn check(new: &HostConfig, current: &HostConfig) -> Result<()> {
    let cannot = |what: &str, set: &str| {
        Err(Error::conflict(format!(
            "Conflicting options: {what} cannot be updated as {set} has already been set"
        )))
    };
    match () {
        () if new.nano_cpus > 0 && current.cpu_period > 0 => cannot("Nano CPUs", "CPU Period"),
        () if new.nano_cpus > 0 && current.cpu_quota > 0 => cannot("Nano CPUs", "CPU Quota"),
        () if new.cpu_period > 0 && current.nano_cpus > 0 => cannot("CPU Period", "NanoCPUs"),
        () if new.cpu_quota > 0 && current.nano_cpus > 0 => cannot("CPU Quota", "NanoCPUs"),
        () if new.memory_swap == 0 && new.memory > total(current) => Err(Error::conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the \
             memoryswap at the same time",
        )),
        () if current.auto_remove && !matches!(new.restart, None | Some(RestartPolicy::No)) => {
            Err(Error::conflict(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ))
        }
        () => Ok(()),
    }
}

/// Memory and swap together as they are now; without a limit, what no limit exceeds.
fn total(current: &HostConfig) -> u64 {
    match u64::try_from(current.memory_swap) {
        Ok(0) if current.memory > 0 => current.memory.saturating_mul(2),
        Ok(given) if given > 0 => given,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(fill: impl FnOnce(&mut HostConfig)) -> Change {
        let mut host = HostConfig::default();
        fill(&mut host);
        Change { host, pids_limit: None }
    }

    #[test]
    fn what_is_given_changes_and_the_rest_stays() {
        let current = HostConfig {
            memory: 8 << 20,
            cpu_shares: 512,
            pids_limit: 7,
            restart: Some(RestartPolicy::Always),
            privileged: true,
            ..HostConfig::default()
        };
        let mut wanted = change(|h| {
            h.memory = 16 << 20;
            h.cpuset_cpus = "0".into();
        });
        let host = wanted.apply(&current).unwrap();
        assert_eq!((host.memory, host.cpu_shares, host.pids_limit), (16 << 20, 512, 7));
        assert_eq!((host.restart, &*host.cpuset_cpus), (Some(RestartPolicy::Always), "0"));
        assert!(host.privileged);
        wanted.pids_limit = Some(-1);
        assert_eq!(wanted.apply(&current).unwrap().pids_limit, 0);
        let host = change(|h| h.restart = Some(RestartPolicy::No)).apply(&current).unwrap();
        assert_eq!(host.restart, Some(RestartPolicy::No));
    }

    #[test]
    fn what_contradicts_is_refused_in_dockers_words() {
        let check = |current: HostConfig, change: Change, expected: &str| {
            let error = change.apply(&current).unwrap_err();
            assert_eq!(error.kind(), crate::base::Kind::Conflict);
            assert!(error.to_string().contains(expected), "{error}");
        };
        let with = |fill: fn(&mut HostConfig)| change(fill).host;
        check(
            with(|h| h.memory = 4 << 20),
            change(|h| h.memory = 9 << 20),
            "Memory limit should be smaller than already set memoryswap limit",
        );
        check(
            with(|h| h.cpu_period = 5000),
            change(|h| h.nano_cpus = 1),
            "Nano CPUs cannot be updated as CPU Period has already been set",
        );
        check(
            with(|h| h.nano_cpus = 1),
            change(|h| h.cpu_quota = 5000),
            "CPU Quota cannot be updated as NanoCPUs has already been set",
        );
        check(
            with(|h| h.auto_remove = true),
            change(|h| h.restart = Some(RestartPolicy::Always)),
            "Restart policy cannot be updated because AutoRemove is enabled",
        );
        let unlimited = with(|h| (h.memory, h.memory_swap) = (4 << 20, -1));
        assert!(change(|h| h.memory = 9 << 20).apply(&unlimited).is_ok());
    }
}
