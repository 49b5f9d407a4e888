//! The addresses of one network, given out in a ring.
//!
//! - One that was released is not given out again before the ring has come round, but when all
//!   others are taken.
//! - The first address of the network is never given to a container.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The addresses of a network.
#[derive(Debug)]
pub(super) struct Pool {
    network: u32,
    broadcast: u32,
    /// The bridge's own.
    own: u32,
    /// The last one given out.
    last: u32,
    used: BTreeSet<u32>,
}

impl Pool {
    /// The network of which `own` with this prefix is the bridge's address.
    pub(super) fn new(own: Ipv4Addr, prefix: u8) -> Pool {
        let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        let network = u32::from(own) & !host;
        // The first one is passed over: the ring begins behind it.
        let last = network.saturating_add(1);
        Pool { network, broadcast: network | host, own: own.into(), last, used: BTreeSet::new() }
    }

    fn is_free(&self, address: u32) -> bool {
        address > self.network.saturating_add(1)
            && address < self.broadcast
            && address != self.own
            && !self.used.contains(&address)
    }

    /// Gives the next free address out, `None` when there is none.
    pub(super) fn take(&mut self) -> Option<Ipv4Addr> {
        let behind = self.last.saturating_add(1)..self.broadcast;
        let before = self.network.saturating_add(2)..self.last.saturating_add(1);
        let found = behind.chain(before).find(|address| self.is_free(*address))?;
        self.used.insert(found);
        self.last = found;
        Some(found.into())
    }

    /// Takes this very address, as a container that lives has it. False when it is taken or not
    /// one of ours to give.
    pub(super) fn reserve(&mut self, address: Ipv4Addr) -> bool {
        let address = address.into();
        self.is_free(address) && self.used.insert(address)
    }

    /// Whether this is an address of the network that a container may have.
    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        address > self.network.saturating_add(1) && address < self.broadcast && address != self.own
    }

    /// Takes an address back; one that is free stays so.
    pub(super) fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_bytes(pool: &mut Pool, count: usize) -> Vec<Option<u8>> {
        (0..count).map(|_| pool.take().map(|address| address.octets()[3])).collect()
    }

    #[test]
    fn the_order_is_a_ring() {
        let mut pool = Pool::new(Ipv4Addr::new(172, 17, 42, 1), 16);
        assert_eq!(last_bytes(&mut pool, 2), [Some(2), Some(3)]);
        pool.release(Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(last_bytes(&mut pool, 1), [Some(4)]);
    }

    #[test]
    fn a_small_network_is_used_up_and_what_is_released_comes_next() {
        let mut pool = Pool::new(Ipv4Addr::new(10, 0, 0, 3), 29);
        let all = [Some(2), Some(4), Some(5), Some(6), None];
        assert_eq!(last_bytes(&mut pool, 5), all);
        pool.release(Ipv4Addr::new(10, 0, 0, 4));
        assert_eq!(last_bytes(&mut pool, 2), [Some(4), None]);
    }

    #[test]
    fn what_lives_keeps_its_address() {
        let mut pool = Pool::new(Ipv4Addr::new(10, 0, 0, 1), 29);
        assert!(pool.reserve(Ipv4Addr::new(10, 0, 0, 2)));
        for refused in [1, 2, 7] {
            assert!(!pool.reserve(Ipv4Addr::new(10, 0, 0, refused)));
        }
        assert_eq!(last_bytes(&mut pool, 1), [Some(3)]);
        assert_eq!(Pool::new(Ipv4Addr::new(10, 0, 0, 1), 32).take(), None);
    }
}
