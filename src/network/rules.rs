//! The packet rules of a bridge and of published ports, as data.
//!
//! - What our rules accept does not overrule a drop in somebody else's table.
//! - Containers are reached from elsewhere by published ports alone.
//! - A port on loopback is translated for this host's own packets; nothing from a bridge reaches
//!   the host's loopback.

use std::net::Ipv4Addr;

use crate::model::Protocol;
use crate::sys::nft::{Chain, ChainKind, Hook, Match, Rule, Verdict};

/// A bridge and its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Name of the bridge.
    pub bridge: String,
    /// Its own address.
    pub gateway: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
}

/// Ports of one protocol that are published together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Address on the host; unspecified is all.
    pub host: Ipv4Addr,
    /// First port on the host.
    pub first: u16,
    /// Last port on the host.
    pub last: u16,
    /// The container's address.
    pub container: Ipv4Addr,
    /// The container's port; of a range, the first, which is that of the host then.
    pub port: u16,
    /// Their protocol.
    pub protocol: Protocol,
}

const LOOPBACK: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 0, 0, 0), 8);

/// The chains of our table.
pub fn chains() -> [Chain; 6] {
    let at = |name, kind, hook, priority| Chain { name, hook: Some((kind, hook, priority)) };
    [
        at("raw", ChainKind::Filter, Hook::Prerouting, -300),
        at("forward", ChainKind::Filter, Hook::Forward, 0),
        at("prerouting", ChainKind::Nat, Hook::Prerouting, -100),
        at("output", ChainKind::Nat, Hook::Output, -100),
        at("postrouting", ChainKind::Nat, Hook::Postrouting, 100),
        Chain { name: "ports", hook: None },
    ]
}

/// The rules of a bridge.
pub fn bridge(subnet: &Subnet) -> Vec<Rule> {
    let Subnet { bridge, gateway, prefix } = subnet;
    let rule = |chain, matches, verdict, comment: &str| Rule {
        chain,
        matches,
        verdict,
        comment: comment.to_owned(),
    };
    let from = || Match::From(bridge.clone());
    let to = || Match::To(bridge.clone());
    let inside = || Match::Source(*gateway, *prefix);
    let loopback = |of: fn(Ipv4Addr, u8) -> Match| of(LOOPBACK.0, LOOPBACK.1);
    let jump = |chain| {
        rule(chain, vec![Match::DestinationIsLocal], Verdict::Jump("ports"), "published ports")
    };
    vec![
        rule(
            "raw",
            vec![from(), loopback(Match::Destination)],
            Verdict::Drop,
            "the host's loopback",
        ),
        rule("forward", vec![to(), Match::Established], Verdict::Accept, "answers"),
        rule("forward", vec![to(), from()], Verdict::Accept, "among containers"),
        rule("forward", vec![to(), Match::Translated], Verdict::Accept, "published ports"),
        rule("forward", vec![to()], Verdict::Drop, "not published"),
        jump("prerouting"),
        jump("output"),
        rule(
            "postrouting",
            vec![inside(), Match::NotTo(bridge.clone())],
            Verdict::Masquerade,
            "outward",
        ),
        rule(
            "postrouting",
            vec![inside(), to(), Match::Translated],
            Verdict::Masquerade,
            "back to containers",
        ),
        rule(
            "postrouting",
            vec![loopback(Match::Source), to()],
            Verdict::Masquerade,
            "from the host's loopback",
        ),
    ]
}

/// The rule of published ports. `owner` is shown beside it.
pub fn published(ports: &Published, owner: &str) -> Rule {
    let Published { host, first, last, container, port, protocol } = *ports;
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    let mut matches = vec![Match::Protocol(number), Match::Ports(first, last)];
    if !host.is_unspecified() {
        matches.insert(0, Match::Destination(host, 32));
    }
    let port = (first == last).then_some(port);
    let verdict = Verdict::Redirect(container, port);
    Rule { chain: "ports", matches, verdict, comment: owner.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::nft::Table;
    use crate::sys::ns::{self, NsKind};

    #[test]
    fn the_kernel_takes_all_rules() {
        let subnet =
            Subnet { bridge: "docker0".into(), gateway: [172, 17, 42, 1].into(), prefix: 16 };
        let mut ports = Published {
            host: Ipv4Addr::UNSPECIFIED,
            first: 10_000,
            last: 19_999,
            container: [172, 17, 0, 2].into(),
            port: 10_000,
            protocol: Protocol::Tcp,
        };
        let mut rules = bridge(&subnet);
        rules.push(published(&ports, "web"));
        assert_eq!(rules[10].verdict, Verdict::Redirect(ports.container, None));
        (ports.host, ports.last) = (Ipv4Addr::LOCALHOST, ports.first);
        rules.push(published(&ports, "web"));
        std::thread::spawn(move || {
            match ns::unshare(NsKind::Net).and_then(|()| Table::open("skiff-t")) {
                Ok(mut table) => {
                    table.replace(&chains(), &rules).unwrap();
                    assert_eq!(table.count().unwrap(), 12);
                    assert!(table.watch().is_ok());
                }
                Err(error) => eprintln!("skipped: {error}"),
            }
        })
        .join()
        .unwrap();
    }
}
