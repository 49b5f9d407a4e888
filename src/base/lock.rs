//! A mutex whose poisoning ends the process.
//!
//! A panic while the lock was held means torn state. Going on would lie to clients; the
//! monitors carry on without us, and the next start adopts them.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// A mutex for plain state in memory. Never held across anything that can wait.
#[derive(Default)]
pub struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Lock<T> {
        Lock(Mutex::new(value))
    }

    /// Takes the lock. Ends the process when a holder panicked.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|_| torn())
    }

    /// Waits on `condvar` with this lock's guard for at most `time`.
    pub fn wait<'a>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> MutexGuard<'a, T> {
        condvar.wait_timeout(guard, time).unwrap_or_else(|_| torn()).0
    }
}

fn torn() -> ! {
    crate::error!("a thread panicked while it held a lock; state may be torn, stopping");
    std::process::exit(70)
}
