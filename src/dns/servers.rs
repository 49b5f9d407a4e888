//! The servers that a host asks: resolv.conf(5).

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Where a host keeps its own.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved writes the servers behind it.
const BEHIND_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// Address of systemd-resolved on the host's loopback.
const RESOLVED: &str = "127.0.0.53";
/// Servers for containers when the host has none that they could reach.
pub const FALLBACK: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
/// The port that they listen at.
const PORT: u16 = 53;

/// The values of `key` in a resolv.conf(5).
pub fn words<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().flat_map(move |line| {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let ours = words.next() == Some(key);
        words.filter(move |_| ours)
    })
}

/// The servers that are not on the host's loopback.
pub fn reachable(text: &str) -> impl Iterator<Item = &str> {
    words(text, "nameserver").filter(|server| {
        let address = server.split('%').next().unwrap_or_default().parse::<IpAddr>();
        address.is_ok_and(|address| !address.is_loopback())
    })
}

/// The host's own file; empty when it cannot be read.
pub fn of_host() -> String {
    std::fs::read_to_string(RESOLV_CONF).unwrap_or_default()
}

/// The same for a container, which does not reach the host's loopback: where only systemd-resolved
/// is named, the file in which that tells whom it asks.
pub fn for_containers() -> String {
    let text = of_host();
    let behind = {
        let mut servers = words(&text, "nameserver");
        let alone = servers.next() == Some(RESOLVED) && servers.next().is_none();
        alone.then(|| std::fs::read_to_string(BEHIND_RESOLVED).ok()).flatten()
    };
    behind.unwrap_or(text)
}

/// Where a server listens.
pub fn socket_address(server: &str) -> Option<SocketAddr> {
    at_port(server, PORT)
}

/// A port of an address; an interface behind a `%` is one of this network namespace.
pub fn at_port(address: &str, port: u16) -> Option<SocketAddr> {
    let (address, zone) = address.split_once('%').unwrap_or((address, ""));
    if zone.is_empty() {
        return Some(SocketAddr::new(address.parse().ok()?, port));
    }
    let index = zone.parse().ok().or_else(|| {
        let path = format!("/sys/class/net/{zone}/ifindex");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    });
    let address: Ipv6Addr = address.parse().ok()?;
    Some(SocketAddrV6::new(address, port, 0, index?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read() {
        let text = "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver\t10.0.0.1 ; x\n\
                    nameserver fe80::1%lo\nnameserver ::1\nsearch a b\n";
        let all: Vec<_> = words(text, "nameserver").collect();
        assert_eq!(all, ["127.0.0.53", "10.0.0.1", "fe80::1%lo", "::1"]);
        assert_eq!(reachable(text).collect::<Vec<_>>(), ["10.0.0.1", "fe80::1%lo"]);
        assert_eq!(socket_address("10.0.0.1"), "10.0.0.1:53".parse().ok());
        assert_eq!(socket_address("fd00::1"), "[fd00::1]:53".parse().ok());
        assert_eq!(socket_address("fe80::1%7"), "[fe80::1%7]:53".parse().ok());
        assert_eq!(socket_address("fe80::1%nowhere"), None);
        assert_eq!(socket_address("x"), None);
    }
}
