//! The default bridge: found or made, with an address that no route of the host covers.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::rules::Subnet;
use crate::base::{Context, Error, Kind, Result};
use crate::model::network::mac_of;
use crate::model::range::{Range, overlap};
use crate::sys::netlink::is_unknown;
use crate::sys::rtnl::{Link, Route, Rtnl};
use crate::sys::socket;
use crate::{info, warn};

/// Addresses for a bridge that is made, the first that is free wins.
const CANDIDATES: [(Ipv4Addr, u8); 12] = [
    (Ipv4Addr::new(172, 17, 42, 1), 16),
    (Ipv4Addr::new(10, 0, 42, 1), 16),
    (Ipv4Addr::new(10, 1, 42, 1), 16),
    (Ipv4Addr::new(10, 42, 42, 1), 16),
    (Ipv4Addr::new(172, 16, 42, 1), 24),
    (Ipv4Addr::new(172, 16, 43, 1), 24),
    (Ipv4Addr::new(172, 16, 44, 1), 24),
    (Ipv4Addr::new(10, 0, 42, 1), 24),
    (Ipv4Addr::new(10, 0, 43, 1), 24),
    (Ipv4Addr::new(192, 168, 42, 1), 24),
    (Ipv4Addr::new(192, 168, 43, 1), 24),
    (Ipv4Addr::new(192, 168, 44, 1), 24),
];

/// Takes the bridge `name` over as it is, or makes it.
///
/// # Errors
/// `Unavailable` when no candidate is free; those of the kernel, which may have no bridges.
pub(super) fn open(rtnl: &mut Rtnl, name: &str) -> Result<Subnet> {
    let link = rtnl.link(name).context(|| format!("find bridge {name}"))?;
    let addresses = match &link {
        Some(link) => {
            rtnl.addresses(link.index, false).context(|| format!("look at bridge {name}"))?
        }
        None => Vec::new(),
    };
    let (gateway, prefix) = match addresses.as_slice() {
        [] => free_address(&rtnl.routes(false).context(|| "look for a free address".into())?)?,
        [first, others @ ..] => {
            let (IpAddr::V4(gateway), prefix) = *first else {
                return Err(Error::internal("an address of another family"));
            };
            if !others.is_empty() {
                info!("bridge {name} has several addresses: {gateway}/{prefix} is used");
            }
            (gateway, prefix)
        }
    };
    let subnet = Subnet::of_bridge(name, (gateway, prefix));
    set_up(rtnl, &subnet)?;
    Ok(subnet)
}

/// Makes what is missing of a bridge: itself, its addresses, the settings that it needs. Gives what
/// is there now.
pub(super) fn set_up(rtnl: &mut Rtnl, subnet: &Subnet) -> Result<Link> {
    let Subnet { bridge: name, gateway, prefix, v6, mtu, .. } = subnet;
    let what = || format!("make bridge {name} ({gateway}/{prefix})");
    let find = |rtnl: &mut Rtnl| rtnl.link(name).context(what);
    let mut link = find(rtnl)?;
    if link.is_none() {
        rtnl.add_bridge(name, mac_of(*gateway)).map_err(|e| lacking("bridge", e)).context(what)?;
        // What containers send must not configure the host.
        write_setting(&format!("ipv6/conf/{name}/accept_ra"), "0");
        if let Some(mtu) = mtu {
            rtnl.set_mtu(name, *mtu).context(what)?;
        }
        link = find(rtnl)?;
    }
    let vanished = || Error::new(Kind::Internal, format!("{}: it has vanished", what()));
    let link = link.ok_or_else(vanished)?;
    if v6.is_some() {
        check_ipv6()?;
        // Nobody else is there to have our addresses.
        for (key, value) in [("accept_dad", "0"), ("disable_ipv6", "0")] {
            write_setting(&format!("ipv6/conf/{name}/{key}"), value);
        }
    }
    let six = v6.map(|(gateway, prefix)| (gateway.into(), prefix));
    for (own, prefix) in [Some(((*gateway).into(), *prefix)), six].into_iter().flatten() {
        let own: IpAddr = own;
        if rtnl.addresses(link.index, own.is_ipv6()).context(what)?.is_empty() {
            match rtnl.add_address(link.index, own, prefix) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                result => result.context(what)?,
            }
        }
    }
    if !link.up {
        rtnl.set_up(name).context(what)?;
    }
    Ok(link)
}

/// Says what a kernel lacks that does not know a kind of interface.
pub(super) fn lacking(module: &str, error: io::Error) -> io::Error {
    if !is_unknown(&error) {
        return error;
    }
    let text = format!("the kernel has no {module}, nor a module of that name to load: {error}");
    io::Error::new(ErrorKind::Unsupported, text)
}

/// Lets packets take the ways that rules guard. Without rules nothing keeps containers from what
/// listens on the host's loopback, and networks apart: then the host passes on no more than it did.
pub(super) fn set_ways(subnet: &Subnet, guarded: bool) {
    // Ports published on the host's loopback are reached by way of the bridge.
    let setting = format!("ipv4/conf/{}/route_localnet", subnet.bridge);
    write_setting(&setting, if guarded { "1" } else { "0" });
    if guarded {
        forward();
        if subnet.v6.is_some() {
            forward_ipv6();
        }
    }
}

/// Whether IPv6 can be had.
///
/// # Errors
/// `Unavailable`, with the reason.
pub(super) fn check_ipv6() -> Result<()> {
    if socket::has_ipv6() && setting("ipv6/conf").exists() {
        return Ok(());
    }
    let why = "the kernel has no IPv6: it lacks the module, or was booted with ipv6.disable=1";
    Err(Error::new(Kind::Unavailable, why))
}

/// Lets the host pass packets of IPv6 on. Where it takes its own addresses and routes from
/// routers, it would cease to: it is told to go on.
fn forward_ipv6() {
    let all = "ipv6/conf/all/forwarding";
    if std::fs::read_to_string(setting(all)).unwrap_or_default().trim() != "0" {
        return;
    }
    info!("IPv6 forwarding is switched on for containers");
    for entry in std::fs::read_dir(setting("ipv6/conf")).into_iter().flatten().flatten() {
        let path = entry.path().join("accept_ra");
        if std::fs::read_to_string(&path).is_ok_and(|value| value.trim() == "1") {
            if let Err(error) = std::fs::write(&path, "2") {
                warn!("set {} to 2: {error}", path.display());
            }
        }
    }
    write_setting(all, "1");
}

/// Lets the host pass packets on.
fn forward() {
    let read = std::fs::read_to_string(setting("ipv4/ip_forward")).unwrap_or_default();
    if read.trim() == "0" {
        info!("IPv4 forwarding is switched on for containers");
        write_setting("ipv4/ip_forward", "1");
    }
}

fn setting(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(name)
}

/// Sets a parameter of the network namespace of the calling thread. A host without IPv6 lacks
/// some; where they cannot be written, others decide about the host's settings.
pub(super) fn write_setting(name: &str, value: &str) {
    let path = setting(name);
    match std::fs::write(&path, value) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => warn!("set {} to {value}: {error}", path.display()),
    }
}

/// Whether a route covers the range or is covered by it. The default route covers all and says
/// nothing.
fn has_route(routes: &[Route], range: Range) -> bool {
    routes.iter().any(|route| route.prefix > 0 && overlap(range, (route.to, route.prefix)))
}

/// The first candidate that no route covers or is covered by.
fn free_address(routes: &[Route]) -> Result<(Ipv4Addr, u8)> {
    let free = |(own, prefix): &(Ipv4Addr, u8)| !has_route(routes, ((*own).into(), *prefix));
    CANDIDATES.into_iter().find(free).ok_or_else(|| {
        Error::new(
            Kind::Unavailable,
            "no free range of addresses for the bridge: make one with an address and name it by -b",
        )
    })
}

/// A range of addresses for a network that is made: the first one that no route and none of
/// `others` covers or is covered by; its first address is the bridge's.
///
/// # Errors
/// `Unavailable` when none is free.
pub(super) fn free_range(rtnl: &mut Rtnl, others: &[Range]) -> Result<Range> {
    let wide = (18..32).map(|n| (Ipv4Addr::new(172, n, 0, 1).into(), 16));
    let narrow = (0..=240).step_by(16).map(|n| (Ipv4Addr::new(192, 168, n, 1).into(), 20));
    first_free(rtnl, others, false, &mut wide.chain(narrow))
}

/// The same of IPv6, out of the local ranges that belong to `site`, as it were the installation.
///
/// # Errors
/// `Unavailable` when none is free.
pub(super) fn free_range_ipv6(rtnl: &mut Rtnl, others: &[Range], site: [u8; 5]) -> Result<Range> {
    let [a, b, c, d, e] = site.map(u16::from);
    let net = |n| Ipv6Addr::new(0xfd00 | a, b << 8 | c, d << 8 | e, n, 0, 0, 0, 1);
    first_free(rtnl, others, true, &mut (0..=u16::MAX).map(|n| (net(n).into(), 64)))
}

fn first_free(
    rtnl: &mut Rtnl,
    others: &[Range],
    v6: bool,
    mut candidates: &mut dyn Iterator<Item = Range>,
) -> Result<Range> {
    let routes = rtnl.routes(v6).context(|| "look for a free range of addresses".into())?;
    let taken =
        |range| has_route(&routes, range) || others.iter().any(|other| overlap(range, *other));
    Iterator::find(&mut candidates, |range| !taken(*range)).ok_or_else(|| {
        let family = if v6 { "IPv6" } else { "IPv4" };
        let text = format!(
            "could not find an available, non-overlapping {family} address pool: name one by \
             --subnet"
        );
        Error::new(Kind::Unavailable, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_module_is_named() {
        const EOPNOTSUPP: i32 = 95;
        const EEXIST: i32 = 17;
        let text = |number| lacking("veth", io::Error::from_raw_os_error(number)).to_string();
        assert!(text(EOPNOTSUPP).starts_with("the kernel has no veth"));
        assert!(!text(EEXIST).contains("veth"));
    }

    #[test]
    fn the_first_candidate_without_a_route_wins() {
        let route =
            |to: [u8; 4], prefix| Route { to: IpAddr::from(to), prefix, gateway: None, link: 1 };
        let check = |routes: &[Route], expected: Option<&str>| {
            let free = free_address(routes).ok();
            let free = free.map(|(address, prefix)| format!("{address}/{prefix}"));
            assert_eq!(free.as_deref(), expected);
        };
        let all = route([0, 0, 0, 0], 0);
        check(&[all], Some("172.17.42.1/16"));
        check(&[all, route([172, 17, 3, 0], 24)], Some("10.0.42.1/16"));
        check(&[route([172, 16, 0, 0], 12), route([10, 0, 0, 0], 15)], Some("10.42.42.1/16"));
        check(&[route([172, 16, 0, 0], 12), route([10, 0, 0, 0], 8)], Some("192.168.42.1/24"));
        let most = [route([172, 16, 0, 0], 12), route([10, 0, 0, 0], 8)];
        check(&[most[0], most[1], route([192, 168, 42, 9], 32)], Some("192.168.43.1/24"));
        check(&[most[0], most[1], route([192, 168, 0, 0], 16)], None);
        check(&[route([128, 0, 0, 0], 1), route([0, 0, 0, 0], 1)], None);
    }
}
