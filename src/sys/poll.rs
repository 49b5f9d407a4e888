//! Waiting for descriptors. poll(2), eventfd(2), inotify(7).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use super::check;

/// What is waited for. Errors and the end of both directions are always reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest(libc::c_short);

impl Interest {
    /// Nothing but errors and the end of both directions (POLLERR, POLLHUP).
    pub const GONE: Interest = Interest(0);
    /// Bytes (or a connection, or the end) to be read.
    pub const READ: Interest = Interest(libc::POLLIN);
    /// Room to write.
    pub const WRITE: Interest = Interest(libc::POLLOUT);
    /// The peer has ended its direction of a stream socket.
    pub const PEER_ENDED: Interest = Interest(libc::POLLRDHUP);

    /// Both this and `other`.
    #[must_use]
    pub const fn and(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready(libc::c_short);

impl Ready {
    /// A read gives bytes, the end, or an error at once.
    pub fn readable(self) -> bool {
        self.0 & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0
    }

    /// A write takes bytes or fails at once.
    pub fn writable(self) -> bool {
        self.0 & (libc::POLLOUT | libc::POLLERR) != 0
    }

    /// Nobody is at the other end any more.
    pub fn hung_up(self) -> bool {
        self.0 & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0
    }

    /// The peer has ended its direction; asked for by [`Interest::PEER_ENDED`].
    pub fn peer_ended(self) -> bool {
        self.0 & libc::POLLRDHUP != 0
    }

    /// Anything at all.
    pub fn any(self) -> bool {
        self.0 != 0
    }
}

/// Descriptors to be waited for, reusable without allocations: `clear`, `push` …, `wait`.
#[derive(Default)]
pub struct PollSet(Vec<libc::pollfd>);

impl PollSet {
    /// An empty set.
    pub const fn new() -> PollSet {
        PollSet(Vec::new())
    }

    /// Forgets all descriptors.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a descriptor and gives its index. One that is closed before the wait is reported as
    /// hung up.
    pub fn push(&mut self, fd: BorrowedFd<'_>, interest: Interest) -> usize {
        self.0.push(libc::pollfd { fd: fd.as_raw_fd(), events: interest.0, revents: 0 });
        self.0.len() - 1
    }

    /// Waits until one is ready or `deadline` has passed; gives how many are ready. poll(2).
    ///
    /// Begins again when a signal handler interrupts it.
    ///
    /// # Errors
    /// ENOMEM, or EINVAL when there are more descriptors than RLIMIT_NOFILE.
    pub fn wait(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            let timeout = timeout_millis(deadline);
            // SAFETY: the vector holds as many initialised entries as its length says, and is
            // borrowed mutably for the whole call.
            let ready =
                unsafe { libc::poll(self.0.as_mut_ptr(), self.0.len() as libc::nfds_t, timeout) };
            match check(ready) {
                Ok(ready) => return Ok(usize::try_from(ready).unwrap_or(0)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What the descriptor with this index is ready for, after a wait.
    pub fn ready(&self, index: usize) -> Ready {
        Ready(self.0.get(index).map_or(0, |entry| entry.revents))
    }
}

/// Milliseconds until `deadline`, rounded up, so that a wait never ends early; -1 is for ever.
fn timeout_millis(deadline: Option<Instant>) -> libc::c_int {
    let Some(deadline) = deadline else { return -1 };
    let left = deadline.saturating_duration_since(Instant::now());
    libc::c_int::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
}

/// Many descriptors to be waited for, of which few are ready at a time. It is readable itself while
/// one of them is ready. epoll(7).
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// What [`Epoll::ready`] fills.
pub struct Events {
    entries: [libc::epoll_event; Events::MOST],
    count: usize,
}

impl Events {
    /// Most at a time.
    const MOST: usize = 64;

    /// What was ready: what it was added with, and what for.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Ready)> {
        self.entries[..self.count].iter().map(|entry| {
            let (token, events) = (entry.u64, entry.events);
            // The kernel's bits are the same for both calls.
            (token, Ready(libc::c_short::try_from(events & 0x7fff).unwrap_or(0)))
        })
    }
}

impl Default for Events {
    fn default() -> Events {
        Events { entries: [libc::epoll_event { events: 0, u64: 0 }; Events::MOST], count: 0 }
    }
}

impl Epoll {
    /// Nothing to be waited for yet.
    ///
    /// # Errors
    /// EMFILE and its like.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: epoll_create1 takes an integer and touches no memory of ours.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Adds a descriptor, to be told of with `token`. It is removed when its open file is closed,
    /// by all who share it.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC; EEXIST when it is there already.
    pub fn add(&self, fd: BorrowedFd<'_>, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    /// Changes what a descriptor is waited for.
    ///
    /// # Errors
    /// ENOENT when it is not there.
    pub fn change(&self, fd: BorrowedFd<'_>, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    /// Removes a descriptor.
    ///
    /// # Errors
    /// ENOENT when it is not there.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, Interest::GONE, 0)
    }

    fn control(&self, what: i32, fd: BorrowedFd<'_>, how: Interest, token: u64) -> io::Result<()> {
        let events = u32::from(how.0.unsigned_abs());
        let mut event = libc::epoll_event { events, u64: token };
        let (own, fd) = (self.0.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` is an initialised epoll_event, which the call only reads.
        check(unsafe { libc::epoll_ctl(own, what, fd, &raw mut event) }).map(drop)
    }

    /// Tells what is ready now, without waiting.
    ///
    /// # Errors
    /// Those of epoll_wait(2).
    pub fn ready(&self, events: &mut Events) -> io::Result<()> {
        events.count = 0;
        let most = i32::try_from(Events::MOST).unwrap_or(1);
        let room = events.entries.as_mut_ptr();
        // SAFETY: the array has room for `most` events, and is borrowed mutably for the call.
        let count = check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), room, most, 0) })?;
        events.count = usize::try_from(count).unwrap_or(0);
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `fds` is ready or `deadline` has passed (`None` is for ever). Gives the
/// readiness of each, in order; all without any when the deadline has passed.
///
/// # Errors
/// Those of poll(2), but for EINTR.
pub fn wait(
    fds: &[(BorrowedFd<'_>, Interest)],
    deadline: Option<Instant>,
) -> io::Result<Vec<Ready>> {
    let mut set = PollSet(Vec::with_capacity(fds.len()));
    for &(fd, interest) in fds {
        set.push(fd, interest);
    }
    set.wait(deadline)?;
    Ok(set.0.iter().map(|entry| Ready(entry.revents)).collect())
}

/// Whether the client at the other end of a stream socket has gone. Over a unix socket that is
/// the end of both directions; over tcp a close cannot be told from a half-close before we send
/// something, so the end of the client's direction counts.
pub fn hung_up(fd: BorrowedFd<'_>) -> bool {
    let interest = if super::socket::is_tcp(fd) { Interest::PEER_ENDED } else { Interest::GONE };
    let now = Some(Instant::now());
    wait(&[(fd, interest)], now).is_ok_and(|ready| ready[0].any())
}

/// The interest to wait with until [`hung_up`] would be true of `fd`.
pub fn hang_up_interest(fd: BorrowedFd<'_>) -> Interest {
    if super::socket::is_tcp(fd) { Interest::PEER_ENDED } else { Interest::GONE }
}

/// A flag that waits can include: set by `notify`, reset by `drain`, readable while set.
/// eventfd(2).
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// A flag that is not set.
    ///
    /// # Errors
    /// EMFILE and its like.
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: eventfd takes two integers and touches no memory of ours.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(EventFd(unsafe { File::from_raw_fd(fd) }))
    }

    /// Sets the flag and wakes whoever waits.
    pub fn notify(&self) {
        // EAGAIN means that the counter is full: the flag is set, which is all that is asked.
        drop((&self.0).write(&1u64.to_ne_bytes()));
    }

    /// Resets the flag; gives whether it was set.
    pub fn drain(&self) -> bool {
        (&self.0).read(&mut [0; 8]).is_ok()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Tells of changes to files in a directory. inotify(7).
#[derive(Debug)]
pub struct Inotify(File);

impl Inotify {
    /// Watches the entries of directory `dir`: written to, made, moved.
    ///
    /// # Errors
    /// ENOSPC when the user's limit of watches is reached; EMFILE; those of the path.
    pub fn watch_dir(dir: &Path) -> io::Result<Inotify> {
        let inotify = Inotify::new()?;
        let mask = libc::IN_MODIFY
            | libc::IN_CREATE
            | libc::IN_MOVED_FROM
            | libc::IN_MOVED_TO
            | libc::IN_ONLYDIR;
        inotify.add(dir, mask)?;
        Ok(inotify)
    }

    /// Watches nothing yet.
    ///
    /// # Errors
    /// EMFILE; ENOMEM.
    pub fn new() -> io::Result<Inotify> {
        // SAFETY: inotify_init1 takes an integer and touches no memory of ours.
        let fd = check(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Inotify(unsafe { File::from_raw_fd(fd) }))
    }

    /// Watches also a file, or the entries of a directory: written to the end, made, moved,
    /// deleted.
    ///
    /// # Errors
    /// ENOSPC when the user's limit of watches is reached; those of the path.
    pub fn watch_replacing(&self, path: &Path) -> io::Result<()> {
        let mask = libc::IN_CLOSE_WRITE
            | libc::IN_CREATE
            | libc::IN_MOVED_FROM
            | libc::IN_MOVED_TO
            | libc::IN_DELETE;
        self.add(path, mask)
    }

    fn add(&self, path: &Path, mask: u32) -> io::Result<()> {
        let path = super::fs::c_path(path)?;
        // SAFETY: `path` is NUL-terminated and outlives the call; the descriptor is open.
        check(unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) }).map(drop)
    }

    /// Forgets what has been told so far; it readies for reading again with the next change.
    pub fn drain(&self) {
        let mut events = [0; 1024];
        while matches!((&self.0).read(&mut events), Ok(n) if n > 0) {}
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_ends_at_its_deadline_and_never_early() {
        let event = EventFd::new().unwrap();
        let start = Instant::now();
        let deadline = start + Duration::from_millis(20);
        let ready = wait(&[(event.as_fd(), Interest::READ)], Some(deadline)).unwrap();
        assert!(!ready[0].any());
        assert!(start.elapsed() >= Duration::from_millis(20));
        event.notify();
        event.notify();
        assert!(wait(&[(event.as_fd(), Interest::READ)], None).unwrap()[0].readable());
        assert!(event.drain());
        assert!(!event.drain());
    }

    #[test]
    fn a_half_closed_unix_client_is_not_gone_a_closed_one_is() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!hung_up(ours.as_fd()));
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!hung_up(ours.as_fd()));
        drop(theirs);
        assert!(hung_up(ours.as_fd()));
    }

    #[test]
    fn a_tcp_client_that_closes_is_gone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        assert!(!hung_up(ours.as_fd()));
        drop(theirs);
        let interest = hang_up_interest(ours.as_fd());
        let deadline = Instant::now() + Duration::from_secs(10);
        assert!(wait(&[(ours.as_fd(), interest)], Some(deadline)).unwrap()[0].any());
        assert!(hung_up(ours.as_fd()));
    }

    #[test]
    fn changes_in_a_directory_are_told() {
        let dir = std::env::temp_dir().join(format!("skiff-inotify-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let inotify = Inotify::watch_dir(&dir).unwrap();
        let now = || Some(Instant::now());
        assert!(!wait(&[(inotify.as_fd(), Interest::READ)], now()).unwrap()[0].any());
        std::fs::write(dir.join("x"), "y").unwrap();
        assert!(wait(&[(inotify.as_fd(), Interest::READ)], now()).unwrap()[0].readable());
        inotify.drain();
        assert!(!wait(&[(inotify.as_fd(), Interest::READ)], now()).unwrap()[0].any());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn an_epoll_tells_what_is_ready() {
        let (one, two) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        let epoll = Epoll::new().unwrap();
        let mut events = Events::default();
        let mut ready = |epoll: &Epoll| {
            epoll.ready(&mut events).unwrap();
            events.iter().map(|(token, ready)| (token, ready.writable())).collect::<Vec<_>>()
        };
        epoll.add(one.as_fd(), Interest::READ, 7).unwrap();
        epoll.add(two.as_fd(), Interest::READ, u64::MAX).unwrap();
        assert!(ready(&epoll).is_empty());
        two.notify();
        assert_eq!(ready(&epoll), [(u64::MAX, false)]);
        let now = Some(Instant::now());
        assert!(wait(&[(epoll.as_fd(), Interest::READ)], now).unwrap()[0].readable());
        epoll.remove(two.as_fd()).unwrap();
        epoll.change(one.as_fd(), Interest::WRITE, 8).unwrap();
        assert_eq!(ready(&epoll), [(8, true)]);
        drop(one);
        assert!(ready(&epoll).is_empty());
    }
}
