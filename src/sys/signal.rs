//! Blocking, resetting and sending signals; children that have ended. signal(7), signalfd(2).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

pub use libc::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};

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

/// Blocks all signals but those by which the kernel tells of an error of our own.
///
/// # Errors
/// None in practice.
pub fn block_all() -> io::Result<Blocked> {
    const OWN: [i32; 7] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGSYS,
    ];
    let last = libc::SIGRTMAX();
    // Those that the C library keeps for itself lie between the others and cannot be named.
    let all: Vec<i32> = (1..32).chain(libc::SIGRTMIN()..=last).collect();
    block(&all.into_iter().filter(|signal| !OWN.contains(signal)).collect::<Vec<_>>())
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

/// Signals as a descriptor: readable when one of them is pending.
#[derive(Debug)]
pub struct SignalFd(File);

impl SignalFd {
    /// Blocks `signals` for the calling thread and takes them by descriptor from now on.
    ///
    /// A process must call this before it starts other threads, which inherit the mask: a thread
    /// that does not block a signal still suffers it. Children of a clone inherit the mask, too;
    /// they call [`super::process::reset_signals`].
    ///
    /// # Errors
    /// EINVAL for numbers that are no signals; EMFILE.
    pub fn new(signals: &[i32]) -> io::Result<SignalFd> {
        let Blocked(set) = block(signals)?;
        // SAFETY: `set` is an initialised signal set that outlives the call; -1 asks for a new
        // descriptor.
        let fd = check(unsafe {
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(SignalFd(unsafe { File::from_raw_fd(fd) }))
    }

    /// Takes the next pending signal, if there is one.
    pub fn next(&self) -> Option<i32> {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        let read = (&self.0).read(&mut info).ok()?;
        // The record begins with the signal's number, a u32.
        let number = info.get(..4).filter(|_| read >= 4)?;
        i32::try_from(u32::from_ne_bytes(number.try_into().ok()?)).ok()
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Lets `signals` act on the calling thread again. pthread_sigmask(3).
///
/// # Errors
/// EINVAL for a number that is no signal.
pub fn unblock(signals: &[i32]) -> io::Result<()> {
    // SAFETY: sigset_t is plain integers, for which zero is valid.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid sigset_t that outlives the calls.
    check(unsafe { libc::sigemptyset(&raw mut set) })?;
    for &signal in signals {
        // SAFETY: as above; a wrong number is refused with EINVAL.
        check(unsafe { libc::sigaddset(&raw mut set, signal) })?;
    }
    // SAFETY: `set` is initialised and outlives the call; no old mask is asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) }
    {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Ignores `signal` in this process and in what it execs. signal(2).
///
/// # Errors
/// EINVAL for numbers that are no signals, SIGKILL and SIGSTOP.
pub fn ignore(signal: i32) -> io::Result<()> {
    // SAFETY: SIG_IGN runs no code of ours.
    if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Sends `signal` to process `pid`. kill(2).
///
/// The caller knows that `pid` is still the process that it means: its own child, not reaped yet.
///
/// # Errors
/// EINVAL for a pid below 1 (groups are never meant here); ESRCH, EPERM.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid < 1 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: kill takes two integers and touches no memory of ours.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Sends `signal` to the process group that process `leader` leads. kill(2).
///
/// The caller knows that `leader` is its own child, not reaped yet, and leads a group.
///
/// # Errors
/// EINVAL for a pid below 2 (-1 would mean all processes); ESRCH, EPERM.
pub fn kill_group(leader: i32, signal: i32) -> io::Result<()> {
    if leader < 2 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: kill takes two integers and touches no memory of ours.
    check(unsafe { libc::kill(-leader, signal) }).map(drop)
}

/// A descriptor that is readable when child `pid`, not reaped yet, has ended. pidfd_open(2).
///
/// # Errors
/// ESRCH; ENOSYS before Linux 5.3.
pub fn end_of_child(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = i32::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reaps child `pid` if it has ended: its exit code, 128 + signal when a signal killed it.
/// waitpid(2).
///
/// Also one that was cloned with another exit signal than SIGCHLD.
///
/// # Errors
/// ECHILD when it is none, or was reaped already.
pub fn reap(pid: i32) -> io::Result<Option<i32>> {
    if pid < 1 {
        return Err(io::Error::from_raw_os_error(libc::ECHILD));
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for an integer.
    let reaped =
        check(unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG | libc::__WALL) })?;
    Ok((reaped > 0).then(|| exit_code(status)))
}

/// Reaps any child that has ended: its pid and its exit code. waitpid(2).
///
/// # Errors
/// ECHILD when there is none.
pub fn reap_any() -> io::Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for an integer.
    let pid = check(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) })?;
    Ok((pid > 0).then(|| (pid, exit_code(status))))
}

/// The exit code that a wait status means: the program's own, or 128 + signal.
fn exit_code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read() {
        // In a thread of its own: the mask must not stay with the test runner's.
        std::thread::spawn(|| {
            let signals = SignalFd::new(&[libc::SIGWINCH]).unwrap();
            assert_eq!(signals.next(), None);
            // SAFETY: pthread_kill to ourselves of a signal that we block.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGWINCH) };
            assert_eq!(signals.next(), Some(libc::SIGWINCH));
            assert_eq!(signals.next(), None);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn odd_numbers_are_refused() {
        assert!(SignalFd::new(&[0]).is_err());
        assert!(ignore(libc::SIGKILL).is_err());
        assert!(kill(0, 0).is_err());
        assert!(kill(-1, 9).is_err());
    }

    #[test]
    #[allow(clippy::zombie_processes)] // Reaped by its pid.
    fn a_child_is_reaped_once() {
        let child = std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let end = end_of_child(pid).unwrap();
        let interest = crate::sys::poll::Interest::READ;
        assert!(crate::sys::poll::wait(&[(end.as_fd(), interest)], None).unwrap()[0].any());
        assert_eq!(reap(pid).unwrap(), Some(7));
        assert!(reap(pid).is_err());
        assert!(reap(-1).is_err());
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(exit_code(3 << 8), 3);
        assert_eq!(exit_code(9), 137);
    }
}
