//! The packet rules of a bridge and of published ports, as data.
//!
//! - What our rules accept does not overrule a drop in somebody else's table.
//! - Containers are reached from elsewhere by published ports alone.
//! - A port on loopback is translated for this host's own packets: what comes from a bridge or by
//!   a cable for a loopback address is dropped before anybody could translate it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// The same of IPv6, on networks that have it.
    pub v6: Option<(Ipv6Addr, u8)>,
    /// Nothing leads out of it or into it.
    pub internal: bool,
    /// What leaves the host gets its address.
    pub masquerade: bool,
    /// Containers reach each other.
    pub among: bool,
    /// Most bytes of a packet; `None` is the kernel's choice.
    pub mtu: Option<u32>,
}

impl Subnet {
    /// That of a bridge with nothing special about it.
    pub(super) fn of_bridge(name: &str, (gateway, prefix): (Ipv4Addr, u8)) -> Subnet {
        let bridge = name.to_owned();
        let (v6, internal, masquerade, among, mtu) = (None, false, true, true, None);
        Subnet { bridge, gateway, prefix, v6, internal, masquerade, among, mtu }
    }
}

/// The addresses of a family that are good on this host alone.
fn loopback(v6: bool) -> (IpAddr, u8) {
    match v6 {
        true => (Ipv6Addr::LOCALHOST.into(), 128),
        false => (Ipv4Addr::new(127, 0, 0, 0).into(), 8),
    }
}

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

fn new_rule(
    v6: bool,
    chain: &'static str,
    matches: Vec<Match>,
    verdict: Verdict,
    comment: &str,
) -> Rule {
    Rule { v6, chain, matches, verdict, comment: comment.to_owned() }
}

/// The rules that all bridges of a family share.
pub(super) fn common(v6: bool) -> Vec<Rule> {
    let (address, prefix) = loopback(v6);
    let loopback = Match::Destination(address, prefix);
    let rule =
        |chain, matches, verdict, comment: &str| new_rule(v6, chain, matches, verdict, comment);
    let jump = |chain| {
        let ports = Verdict::Jump("ports");
        rule(chain, vec![Match::DestinationIsLocal], ports, "published ports")
    };
    let foreign = vec![Match::NotFrom("lo".to_owned()), loopback.clone()];
    let mut rules = vec![
        rule("raw", foreign, Verdict::Drop, "the host's loopback"),
        jump("prerouting"),
        jump("output"),
    ];
    if v6 {
        // The kernel lets no answer in for an address of the loopback interface.
        rules.insert(2, rule("output", vec![loopback], Verdict::Accept, "the host's loopback"));
    }
    rules
}

/// The rules of a bridge.
pub(super) fn bridge(subnet: &Subnet) -> Vec<Rule> {
    let mut rules = of_family(subnet, (subnet.gateway.into(), subnet.prefix));
    if let Some((gateway, prefix)) = subnet.v6 {
        rules.extend(of_family(subnet, (gateway.into(), prefix)));
    }
    rules
}

fn of_family(subnet: &Subnet, (gateway, prefix): (IpAddr, u8)) -> Vec<Rule> {
    let Subnet { bridge, internal, masquerade, among, .. } = subnet;
    let v6 = gateway.is_ipv6();
    let rule =
        |chain, matches, verdict, comment: &str| new_rule(v6, chain, matches, verdict, comment);
    let from = || Match::From(bridge.clone());
    let to = || Match::To(bridge.clone());
    let inside = || Match::Source(gateway, prefix);
    if *internal {
        let not_to = Match::NotTo(bridge.clone());
        let not_from = Match::NotFrom(bridge.clone());
        let mut rules = vec![
            rule("forward", vec![from(), not_to], Verdict::Drop, "internal: no way out"),
            rule("forward", vec![to(), not_from], Verdict::Drop, "internal: no way in"),
        ];
        if !among {
            rules.push(rule("forward", vec![to()], Verdict::Drop, "not among containers"));
        }
        return rules;
    }
    let mut rules = vec![
        rule("forward", vec![to(), Match::Established], Verdict::Accept, "answers"),
        rule("forward", vec![to(), Match::Translated], Verdict::Accept, "published ports"),
        rule("forward", vec![to()], Verdict::Drop, "not published"),
    ];
    if *among {
        rules.insert(1, rule("forward", vec![to(), from()], Verdict::Accept, "among containers"));
    }
    if *masquerade {
        let not_to = Match::NotTo(bridge.clone());
        let matches = vec![inside(), not_to];
        rules.push(rule("postrouting", matches, Verdict::Masquerade, "outward"));
    }
    let back = vec![inside(), to(), Match::Translated];
    rules.push(rule("postrouting", back, Verdict::Masquerade, "back to containers"));
    if !v6 {
        let (address, prefix) = loopback(v6);
        let matches = vec![Match::Source(address, prefix), to()];
        rules.push(rule("postrouting", matches, Verdict::Masquerade, "from the host's loopback"));
    }
    rules
}

/// The rules of published ports that lead to `container`; `owner` is shown beside them.
///
/// Both addresses are of one family. A range is one rule where its ports have the same numbers on both sides; translation knows no
/// shift, so that each port is a rule elsewhere.
pub(super) fn published(published: &Published, container: IpAddr, owner: &str) -> Vec<Rule> {
    let Published { host, first, ports } = *published;
    let number = match ports.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    let rule = |first, last, port| {
        let mut matches = vec![Match::Protocol(number), Match::Ports(first, last)];
        if !host.is_unspecified() {
            let whole = if host.is_ipv6() { 128 } else { 32 };
            matches.insert(0, Match::Destination(host, whole));
        }
        let verdict = Verdict::Redirect(container, port);
        let v6 = host.is_ipv6();
        Rule { v6, chain: "ports", matches, verdict, comment: owner.to_owned() }
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
        let subnet = Subnet::of_bridge("docker0", (Ipv4Addr::new(172, 17, 42, 1), 16));
        let address: IpAddr = Ipv4Addr::new(172, 17, 0, 2).into();
        let publish = |host: &str, first, ports: &str, address| {
            let (host, ports) = (host.parse().unwrap(), ports.parse().unwrap());
            published(&Published { host, first, ports }, address, "web")
        };
        let mut rules = common(false);
        rules.extend(bridge(&subnet));
        rules.extend(publish("0.0.0.0", 10_000, "10000-19999/tcp", address));
        assert_eq!(rules[10].verdict, Verdict::Redirect(address, None));
        rules.extend(publish("127.0.0.1", 8080, "80-82/udp", address));
        assert_eq!(rules[13].verdict, Verdict::Redirect(address, Some(82)));
        assert_eq!(rules[13].matches[2], Match::Ports(8082, 8082));
        let v6 = Some(("fd00::1".parse().unwrap(), 64));
        rules.extend(bridge(&Subnet { bridge: "br1".into(), internal: true, ..subnet.clone() }));
        rules.extend(common(true));
        rules.extend(bridge(&Subnet { bridge: "br2".into(), v6, among: false, ..subnet }));
        rules.extend(publish("::", 8080, "80/tcp", "fd00::2".parse().unwrap()));
        let count = rules.len();
        std::thread::spawn(move || {
            match ns::unshare(NsKind::Net).and_then(|()| Table::open("skiff-t")) {
                Ok(mut table) => {
                    table.replace(&chains(), &rules).unwrap();
                    assert_eq!((table.count().unwrap(), count), (count, 32));
                    assert!(table.watch().is_ok());
                }
                Err(error) => eprintln!("skipped: {error}"),
            }
        })
        .join()
        .unwrap();
    }
}
