//! Blocking, resetting and sending signals. signal(7).

use std::io;

use super::check;

/// A set of signals that the calling thread has blocked.
pub struct Blocked(libc::sigset_t);

/// Blocks `signals` for the calling thread and the threads it will start; they are then taken by
/// [`Blocked::wait`]. Children inherit the mask over exec: whoever starts one resets it.
/// pthread_sigmask(3).
///
/// # Errors
/// EINVAL for a number that is no signal.
pub fn block(signals: &[i32]) -> io::Result<Blocked> {
    // SAFETY: sigset_t is plain integers, for which zero is valid.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid sigset_t that outlives the calls.
    check(unsafe { libc::sigemptyset(&raw mut set) })?;
    for &signal in signals {
        // SAFETY: as above; a wrong number is refused with EINVAL.
        check(unsafe { libc::sigaddset(&raw mut set, signal) })?;
    }
    // SAFETY: `set` is initialised and outlives the call; no old mask is asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(Blocked(set)),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

impl Blocked {
    /// Waits for the next signal of the set. sigwait(3).
    ///
    /// # Errors
    /// None in practice.
    pub fn wait(&self) -> io::Result<i32> {
        let mut signal = 0;
        // SAFETY: the set is initialised; `signal` outlives the call.
        match unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } {
            0 => Ok(signal),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Ignores `signal` in this process; children inherit that over exec. signal(2).
///
/// # Errors
/// EINVAL for a number that is no signal, or one that cannot be ignored.
pub fn ignore(signal: i32) -> io::Result<()> {
    // SAFETY: SIG_IGN installs no handler of ours.
    if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
