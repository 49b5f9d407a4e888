//! Terminals and pseudo-terminals. pty(7), termios(3), ioctl_tty(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::check;

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    io::IsTerminal::is_terminal(&fd)
}

/// The size of a terminal: rows, columns. TIOCGWINSZ.
///
/// # Errors
/// ENOTTY when it is none.
pub fn size(fd: BorrowedFd<'_>) -> io::Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize to the place given; `fd` is borrowed, so it is open.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ as _, &raw mut size) })?;
    Ok((size.ws_row, size.ws_col))
}

/// Sets the size of a terminal; its foreground processes get SIGWINCH. TIOCSWINSZ.
///
/// # Errors
/// ENOTTY when it is none.
pub fn set_size(fd: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize from the place given; `fd` is borrowed, so it is open.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size) }).map(drop)
}

/// Raw mode of a terminal, until dropped: each key is given at once, none has a meaning of its
/// own, nothing is echoed, output is not changed.
pub struct RawMode {
    fd: OwnedFd,
    before: libc::termios,
}

impl RawMode {
    /// Puts terminal `fd` into raw mode.
    ///
    /// # Errors
    /// ENOTTY when it is none.
    pub fn enter(fd: BorrowedFd<'_>) -> io::Result<RawMode> {
        let fd = fd.try_clone_to_owned()?;
        // SAFETY: termios is plain integers, for which zero is valid.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: tcgetattr writes one termios to the place given; `fd` is open.
        check(unsafe { libc::tcgetattr(fd.as_raw_fd(), &raw mut before) })?;
        let mut raw = before;
        // SAFETY: cfmakeraw changes the one initialised termios given.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        set_attributes(fd.as_fd(), &raw)?;
        Ok(RawMode { fd, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        drop(set_attributes(self.fd.as_fd(), &self.before));
    }
}

fn set_attributes(fd: BorrowedFd<'_>, attributes: &libc::termios) -> io::Result<()> {
    // SAFETY: tcsetattr reads one termios from the place given; `fd` is borrowed, so it is open.
    check(unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSADRAIN, attributes) }).map(drop)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::fd::FromRawFd;

    use super::*;

    /// A pseudo-terminal: its master, its slave.
    pub(crate) fn pty() -> (OwnedFd, OwnedFd) {
        let (mut master, mut slave) = (-1, -1);
        let null = std::ptr::null_mut();
        // SAFETY: openpty writes two integers to the places given; the rest is not asked for.
        let opened = unsafe {
            libc::openpty(&raw mut master, &raw mut slave, null, null.cast(), null.cast())
        };
        assert_eq!(opened, 0);
        // SAFETY: both were just opened for us.
        unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
    }

    #[test]
    fn the_size_set_is_the_size_got() {
        let (master, slave) = pty();
        set_size(master.as_fd(), 24, 100).unwrap();
        assert_eq!(size(slave.as_fd()).unwrap(), (24, 100));
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(size(null.as_fd()).is_err());
        assert!(is_terminal(slave.as_fd()) && !is_terminal(null.as_fd()));
    }

    #[test]
    fn raw_mode_ends_with_its_guard() {
        let (_master, slave) = pty();
        let flags = || {
            // SAFETY: as in `enter`.
            let mut now: libc::termios = unsafe { std::mem::zeroed() };
            // SAFETY: as in `enter`.
            check(unsafe { libc::tcgetattr(slave.as_raw_fd(), &raw mut now) }).unwrap();
            (now.c_lflag, now.c_oflag)
        };
        let before = flags();
        let raw = RawMode::enter(slave.as_fd()).unwrap();
        assert_eq!(flags().0 & (libc::ICANON | libc::ECHO | libc::ISIG), 0);
        drop(raw);
        assert_eq!(flags(), before);
    }
}
