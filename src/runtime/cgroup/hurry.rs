//! Hurrying the kernel's grace periods along while a process joins cgroups of version 1.
//!
//! - The first join after a rest waits for a grace period, about 10 ms; hurried along, 0.1 ms. What
//!   that costs the host is a short interrupt of each processor. A host that must not have that
//!   says so in /sys/kernel/rcu_normal, and the kernel obeys it.
//! - There is one switch for the whole host. It is turned only under its lock, only when it is off,
//!   and to a value that nobody else writes: found without the lock, it was left by one of us that
//!   was killed meanwhile, and the next start turns it off.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use crate::sys::lock;

const SWITCH: &str = "/sys/kernel/rcu_expedited";
const OFF: &str = "0";
/// On, for the kernel; and ours.
const OURS: &str = "735";

/// The switch, opened but not turned.
pub struct Hurry(File);

/// Turned on; dropping it turns it off and gives the lock up.
pub struct Hurried(File);

impl Hurry {
    /// Opens the switch, if there is one that we may turn.
    pub fn open() -> Option<Hurry> {
        File::options().read(true).write(true).open(SWITCH).ok().map(Hurry)
    }

    /// Turns it on, unless another has: whoever has turned it on turns it off again, so nobody may
    /// take another's "on" for the host's own. Never waits.
    pub fn begin(self) -> Option<Hurried> {
        let locked = lock::try_exclusive(self.0.as_fd()).is_ok_and(|locked| locked);
        let free = locked && (self.says(OFF) || self.says(OURS));
        (free && self.0.write_at(OURS.as_bytes(), 0).is_ok()).then_some(Hurried(self.0))
    }

    fn says(&self, value: &str) -> bool {
        let mut text = [0; 16];
        let read = self.0.read_at(&mut text, 0).unwrap_or(0);
        text[..read].trim_ascii_end() == value.as_bytes()
    }
}

impl Drop for Hurried {
    fn drop(&mut self) {
        if let Err(error) = self.0.write_at(OFF.as_bytes(), 0) {
            crate::warn!("write {OFF} to {SWITCH}: {error}");
        }
    }
}

/// Turns the switch off if one of us was killed while it was on.
pub(super) fn heal() {
    if let Some(switch) = Hurry::open().filter(|switch| switch.says(OURS)) {
        drop(switch.begin());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn what_a_killed_one_left_on_is_turned_off() {
        let Some(switch) = Hurry::open() else {
            eprintln!("skipped: needs {SWITCH}, and root");
            return;
        };
        // As if killed: the lock is given up, and the switch stays.
        switch.0.write_at(OURS.as_bytes(), 0).unwrap();
        drop(switch);
        // Others may be starting containers at the same time.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !Hurry::open().unwrap().says(OFF) {
            assert!(Instant::now() < deadline, "it stays on");
            heal();
        }
    }
}
