//! The addresses of one network, given out in a ring.
//!
//! - One that was released is not given out again before the ring has come round, but when all
//!   others are taken.
//! - The first address of the network is never given to a container, and in IPv4 neither is the
//!   last one.
//! - Addresses are numbers here, those of IPv4 as well.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::range::{Range, address, bounds, number};

/// The addresses of a network.
#[derive(Debug)]
pub(super) struct Pool {
    /// First and last one that a container may have.
    all: (u128, u128),
    /// First and last one that is given out unasked.
    given: (u128, u128),
    /// The bridge's own.
    own: u128,
    v6: bool,
    /// The last one given out.
    last: u128,
    used: BTreeSet<u128>,
}

impl Pool {
    /// The network of which the address is the bridge's; unasked, it gives out those of `part`.
    pub(super) fn new(own: Range, part: Option<Range>) -> Pool {
        let v6 = own.0.is_ipv6();
        let (network, end) = bounds(own);
        let all = (network.saturating_add(2), if v6 { end } else { end.saturating_sub(1) });
        let given = part.map(bounds).map_or(all, |(a, b)| (a.max(all.0), b.min(all.1)));
        let last = given.0.saturating_sub(1);
        Pool { all, given, own: number(own.0), v6, last, used: BTreeSet::new() }
    }

    /// Gives the next free address out, `None` when there is none.
    pub(super) fn take(&mut self) -> Option<IpAddr> {
        let (first, last) = self.given;
        let behind = self.last.saturating_add(1).max(first)..=last;
        let mut ring = behind.chain(first..=self.last.min(last));
        let found = ring.find(|number| *number != self.own && !self.used.contains(number))?;
        self.used.insert(found);
        self.last = found;
        Some(address(found, self.v6))
    }

    /// Takes this very address, as a container that lives has it. False when it is taken or not
    /// one of ours to give.
    pub(super) fn reserve(&mut self, address: IpAddr) -> bool {
        self.has(address) && self.used.insert(number(address))
    }

    /// Whether this is an address of the network that a container may have.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let number = number(address);
        address.is_ipv6() == self.v6
            && (self.all.0..=self.all.1).contains(&number)
            && number != self.own
    }

    /// The address that is as far from the beginning as `other` is in its own network, if it is
    /// one that is given out.
    pub(super) fn twin(&self, pool: &Pool, other: IpAddr) -> Option<IpAddr> {
        let twin = number(other).checked_sub(pool.all.0)?.checked_add(self.all.0)?;
        (self.given.0..=self.given.1).contains(&twin).then(|| address(twin, self.v6))
    }

    /// Takes an address back; one that is free stays so.
    pub(super) fn release(&mut self, address: IpAddr) {
        self.used.remove(&number(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        crate::model::range::parse(text).unwrap()
    }

    fn take(pool: &mut Pool, count: usize) -> Vec<String> {
        (0..count).map(|_| pool.take().map_or("-".into(), |address| address.to_string())).collect()
    }

    #[test]
    fn the_order_is_a_ring() {
        let mut pool = Pool::new(range("172.17.42.1/16"), None);
        assert_eq!(take(&mut pool, 2), ["172.17.0.2", "172.17.0.3"]);
        pool.release("172.17.0.2".parse().unwrap());
        assert_eq!(take(&mut pool, 1), ["172.17.0.4"]);
        let mut pool = Pool::new(range("fd00::1/64"), None);
        assert_eq!(take(&mut pool, 2), ["fd00::2", "fd00::3"]);
    }

    #[test]
    fn a_small_network_is_used_up_and_what_is_released_comes_next() {
        let mut pool = Pool::new(range("10.0.0.3/29"), None);
        let all = ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6", "-"];
        assert_eq!(take(&mut pool, 5), all);
        pool.release("10.0.0.4".parse().unwrap());
        assert_eq!(take(&mut pool, 2), ["10.0.0.4", "-"]);
        let mut pool = Pool::new(range("fd00::1/126"), None);
        assert_eq!(take(&mut pool, 3), ["fd00::2", "fd00::3", "-"]);
    }

    #[test]
    fn what_lives_keeps_its_address() {
        let mut pool = Pool::new(range("10.0.0.1/29"), None);
        assert!(pool.reserve("10.0.0.2".parse().unwrap()));
        for refused in ["10.0.0.1", "10.0.0.2", "10.0.0.7", "fd00::3", "::a00:3"] {
            assert!(!pool.reserve(refused.parse().unwrap()), "{refused}");
        }
        assert_eq!(take(&mut pool, 1), ["10.0.0.3"]);
        assert_eq!(Pool::new(range("10.0.0.1/32"), None).take(), None);
        assert_eq!(Pool::new(range("255.255.255.255/32"), None).take(), None);
        assert_eq!(Pool::new(range("fd00::/128"), None).take(), None);
    }

    #[test]
    fn a_part_is_given_out_and_all_may_be_asked_for() {
        let mut pool = Pool::new(range("10.0.0.1/24"), Some(range("10.0.0.8/30")));
        assert!(pool.reserve("10.0.0.77".parse().unwrap()));
        assert_eq!(take(&mut pool, 5), ["10.0.0.8", "10.0.0.9", "10.0.0.10", "10.0.0.11", "-"]);
    }

    #[test]
    fn twins_are_as_far_from_the_beginning() {
        let four = Pool::new(range("10.0.0.1/16"), None);
        let six = Pool::new(range("fd00::1/120"), None);
        let twin = |text: &str| six.twin(&four, text.parse().unwrap()).map(|a| a.to_string());
        assert_eq!(twin("10.0.0.2").as_deref(), Some("fd00::2"));
        assert_eq!(twin("10.0.0.255").as_deref(), Some("fd00::ff"));
        assert_eq!(twin("10.0.1.0"), None);
    }
}
