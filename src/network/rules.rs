//! The packet rules of a bridge and of published ports, as data.
//!
//! - What our rules accept does not overrule a drop in somebody else's table.
//! - Containers are reached from elsewhere by published ports alone.
//! - A port on loopback is translated for this host's own packets: what comes from a bridge or by
//!   a cable for a loopback address is dropped before anybody could translate it.

use std::net::Ipv4Addr;

use crate::model::{Protocol, Published};
use crate::sys::nft::{Chain, ChainKind, Hook, Match, Rule, Verdict};

/// A bridge and its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subnet {
    /// Name of the bridge.
    pub bridge: String,
    /// Its own address.
    pub gateway: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// Nothing leads out of it or into it.
    pub internal: bool,
}

const LOOPBACK: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 0, 0, 0), 8);

/// The chains of our table.
pub(super) fn chains() -> [Chain; 6] {
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

/// The rules that all bridges share.
pub(super) fn common() -> Vec<Rule> {
    let jump = |chain| Rule {
        chain,
        matches: vec![Match::DestinationIsLocal],
        verdict: Verdict::Jump("ports"),
        comment: "published ports".to_owned(),
    };
    let (address, prefix) = LOOPBACK;
    let loopback = Rule {
        chain: "raw",
        matches: vec![Match::NotFrom("lo".to_owned()), Match::Destination(address, prefix)],
        verdict: Verdict::Drop,
        comment: "the host's loopback".to_owned(),
    };
    vec![loopback, jump("prerouting"), jump("output")]
}

/// The rules of a bridge.
pub(super) fn bridge(subnet: &Subnet) -> Vec<Rule> {
    let Subnet { bridge, gateway, prefix, internal } = subnet;
    let rule = |chain, matches, verdict, comment: &str| Rule {
        chain,
        matches,
        verdict,
        comment: comment.to_owned(),
    };
    let from = || Match::From(bridge.clone());
    let to = || Match::To(bridge.clone());
    let inside = || Match::Source(*gateway, *prefix);
    let of_loopback = || Match::Source(LOOPBACK.0, LOOPBACK.1);
    if *internal {
        let not_to = Match::NotTo(bridge.clone());
        let not_from = Match::NotFrom(bridge.clone());
        return vec![
            rule("forward", vec![from(), not_to], Verdict::Drop, "internal: no way out"),
            rule("forward", vec![to(), not_from], Verdict::Drop, "internal: no way in"),
        ];
    }
    vec![
        rule("forward", vec![to(), Match::Established], Verdict::Accept, "answers"),
        rule("forward", vec![to(), from()], Verdict::Accept, "among containers"),
        rule("forward", vec![to(), Match::Translated], Verdict::Accept, "published ports"),
        rule("forward", vec![to()], Verdict::Drop, "not published"),
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
            vec![of_loopback(), to()],
            Verdict::Masquerade,
            "from the host's loopback",
        ),
    ]
}

/// The rules of published ports that lead to `container`; `owner` is shown beside them.
///
/// A range is one rule where its ports have the same numbers on both sides; translation knows no
/// shift, so that each port is a rule elsewhere.
pub(super) fn published(published: &Published, container: Ipv4Addr, owner: &str) -> Vec<Rule> {
    let Published { host, first, ports } = *published;
    let number = match ports.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    let rule = |first, last, port| {
        let mut matches = vec![Match::Protocol(number), Match::Ports(first, last)];
        if !host.is_unspecified() {
            matches.insert(0, Match::Destination(host, 32));
        }
        let verdict = Verdict::Redirect(container, port);
        Rule { chain: "ports", matches, verdict, comment: owner.to_owned() }
    };
    if first == ports.first && ports.span() > 0 {
        return vec![rule(first, ports.last, None)];
    }
    let each = |index| rule(first + index, first + index, Some(ports.first + index));
    (0..=ports.span()).map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::nft::Table;
    use crate::sys::ns::{self, NsKind};

    #[test]
    fn the_kernel_takes_all_rules() {
        let subnet = Subnet {
            bridge: "docker0".into(),
            gateway: [172, 17, 42, 1].into(),
            prefix: 16,
            internal: false,
        };
        let address = Ipv4Addr::new(172, 17, 0, 2);
        let publish = |host: Ipv4Addr, first, ports: &str| {
            let ports = ports.parse().unwrap();
            published(&Published { host, first, ports }, address, "web")
        };
        let mut rules = common();
        rules.extend(bridge(&subnet));
        rules.extend(publish(Ipv4Addr::UNSPECIFIED, 10_000, "10000-19999/tcp"));
        assert_eq!(rules[10].verdict, Verdict::Redirect(address, None));
        rules.extend(publish(Ipv4Addr::LOCALHOST, 8080, "80-82/udp"));
        assert_eq!(rules[13].verdict, Verdict::Redirect(address, Some(82)));
        assert_eq!(rules[13].matches[2], Match::Ports(8082, 8082));
        rules.extend(bridge(&Subnet { bridge: "br1".into(), internal: true, ..subnet }));
        std::thread::spawn(move || {
            match ns::unshare(NsKind::Net).and_then(|()| Table::open("skiff-t")) {
                Ok(mut table) => {
                    table.replace(&chains(), &rules).unwrap();
                    assert_eq!(table.count().unwrap(), 16);
                    assert!(table.watch().is_ok());
                }
                Err(error) => eprintln!("skipped: {error}"),
            }
        })
        .join()
        .unwrap();
    }
}
