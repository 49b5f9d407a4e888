//! Who is connected: the cap, and which connection makes room.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::{Arc, Condvar};
use std::time::{Duration, Instant};

use super::super::socket::Socket;
use crate::base::Lock;
use crate::sys;

/// Nobody is sent away who has waited for less: its request may be on the way.
const GRACE: Duration = Duration::from_millis(20);
/// How long to wait for a change when nobody can be sent away.
const PAUSE: Duration = Duration::from_secs(1);

/// So many connections leave holes in the heap that are worth giving back when all have gone.
const MANY: usize = 32;

/// How long after the last connection its like have ended as well.
const FAREWELL: Duration = Duration::from_millis(200);

/// The connections of one listener.
pub(super) struct Crowd {
    limit: usize,
    members: Lock<Members>,
    changed: Condvar,
}

#[derive(Default)]
struct Members {
    open: usize,
    /// Most that were open since there was none.
    peak: usize,
    next: u64,
    /// Those that wait for a request's head, longest first.
    silent: BTreeMap<u64, (Instant, Arc<Socket>)>,
}

/// The right to one connection; given back when dropped.
pub(super) struct Seat(Arc<Crowd>);

/// Marks a connection as one that waits for a request's head.
pub(super) struct Silence<'a>(&'a Crowd, u64);

impl Crowd {
    /// An empty one that takes `limit` connections, at least one.
    pub(super) fn new(limit: usize) -> Crowd {
        let members = Lock::new(Members::default());
        Crowd { limit: limit.max(1), members, changed: Condvar::new() }
    }

    /// Waits until there is room for one more.
    pub(super) fn seat(crowd: &Arc<Crowd>) -> Seat {
        let mut members = crowd.members.lock();
        while members.open >= crowd.limit {
            let pause = members.send_one_away();
            members = Lock::wait(&crowd.changed, members, pause);
        }
        members.open += 1;
        members.peak = members.peak.max(members.open);
        Seat(Arc::clone(crowd))
    }

    /// A new connection could not be taken for want of descriptors, memory or threads: sends one
    /// away, if one can be, and waits a little.
    pub(super) fn make_room(&self) {
        let mut members = self.members.lock();
        let pause = members.send_one_away().min(GRACE);
        drop(Lock::wait(&self.changed, members, pause));
    }

    /// The connection waits for its next request from now on, until this is dropped.
    pub(super) fn silence(&self, socket: &Arc<Socket>) -> Silence<'_> {
        let mut members = self.members.lock();
        let key = members.next;
        members.next += 1;
        members.silent.insert(key, (Instant::now(), Arc::clone(socket)));
        Silence(self, key)
    }
}

impl Members {
    /// Ends the connection that has waited longest, and tells how long to wait for a change.
    fn send_one_away(&mut self) -> Duration {
        let Some(first) = self.silent.first_entry() else { return PAUSE };
        let left = GRACE.saturating_sub(first.get().0.elapsed());
        if left.is_zero() {
            // Its thread reads the end and gives the seat back.
            first.remove().1.shutdown(Shutdown::Both);
            return GRACE;
        }
        left
    }
}

impl Seat {
    /// Where it is.
    pub(super) fn crowd(&self) -> &Crowd {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut members = self.0.members.lock();
        members.open -= 1;
        // One seat is that of the accept loop, which takes it before it waits.
        let peak = if members.open <= 1 { std::mem::take(&mut members.peak) } else { 0 };
        drop(members);
        self.0.changed.notify_one();
        if peak >= MANY {
            // The threads of the others are on their way out, with memory of theirs.
            std::thread::sleep(FAREWELL);
            sys::memory::trim();
        }
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.0.members.lock().silent.remove(&self.1);
    }
}
