//! What a run of a container has got on a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::PortRange;

/// A container's place on a bridge. Part of its launch file: a daemon that starts finds there
/// what the running ones hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Name of the network.
    pub network: String,
    /// Its id.
    pub network_id: String,
    /// Name of the bridge.
    pub bridge: String,
    /// Name of the interface on the host.
    pub link: String,
    /// The container's address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// The same of IPv6, on networks that have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<Six>,
    /// The hardware address, when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mac: Option<[u8; 6]>,
    /// Nothing leads out of the network.
    #[serde(default)]
    pub internal: bool,
    /// Ports on the host that lead to the container.
    #[serde(default)]
    pub ports: Vec<Published>,
}

/// A container's place in a network of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Six {
    /// The container's address.
    pub address: Ipv6Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The bridge's address.
    pub gateway: Ipv6Addr,
}

impl Attachment {
    /// The container's hardware address. Unless it was asked for, it follows from its address:
    /// what neighbours remember of the address stays right when another container gets it.
    pub fn mac(&self) -> [u8; 6] {
        self.own_mac.unwrap_or_else(|| mac_of(self.address))
    }

    /// The container's address, and that of IPv6 if it has one.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let six = self.v6.map(|six| six.address.into());
        [Some(self.address.into()), six].into_iter().flatten()
    }

    /// The same as text.
    pub fn mac_text(&self) -> String {
        self.mac().map(|byte| format!("{byte:02x}")).join(":")
    }
}

/// The hardware address that belongs to an address on a bridge.
pub fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// Ports that the monitor of a container leads on to it, where no packet rules do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Address on the host; unspecified is all of its family.
    pub listen: IpAddr,
    /// First port on the host; the others follow it one by one.
    pub first: u16,
    /// The container's address.
    pub to: IpAddr,
    /// The container's ports.
    pub ports: PortRange,
}

/// Who is to keep the packet rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirewallChoice {
    /// The first of the others that can.
    #[default]
    Auto,
    /// nf_tables.
    Nftables,
    /// iptables(8).
    Iptables,
    /// Nobody: there are none, and published ports are served by proxies.
    None,
}

impl FirewallChoice {
    /// All of them.
    const ALL: [FirewallChoice; 4] = [
        FirewallChoice::Auto,
        FirewallChoice::Nftables,
        FirewallChoice::Iptables,
        FirewallChoice::None,
    ];

    /// As it is called by users.
    pub fn name(self) -> &'static str {
        match self {
            FirewallChoice::Auto => "auto",
            FirewallChoice::Nftables => "nftables",
            FirewallChoice::Iptables => "iptables",
            FirewallChoice::None => "none",
        }
    }

    /// The one that is called so.
    pub fn parse(text: &str) -> Option<FirewallChoice> {
        FirewallChoice::ALL.into_iter().find(|choice| choice.name() == text)
    }
}

/// Reads a hardware address, six pairs of hexadecimal digits with colons between; no group address.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok().filter(|_| !part.starts_with('+'))?;
    }
    (parts.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

/// Ports that are published together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Address on the host; unspecified is all of its family.
    pub host: IpAddr,
    /// First port on the host; the others follow it one by one.
    pub first: u16,
    /// The container's ports.
    pub ports: PortRange,
}

impl Published {
    /// Last port on the host.
    pub fn last(&self) -> u16 {
        self.first.saturating_add(self.ports.span())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read() {
        assert_eq!(parse_mac("02:42:ac:11:00:0A"), Some([2, 0x42, 0xac, 0x11, 0, 10]));
        for wrong in
            ["", "02:42:ac:11:00", "03:42:ac:11:00:02", "2:42:ac:11:00:2", "02:42:ac:11:00:+2"]
        {
            assert_eq!(parse_mac(wrong), None, "{wrong}");
        }
        assert_eq!(parse_mac("00:00:00:00:00:00"), None);
        assert_eq!(parse_mac("02:42:ac:11:00:02:03"), None);
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let text = r#"{"network":"bridge","network_id":"n","bridge":"docker0","link":"veth0",
            "address":"172.17.0.2","prefix":16,"gateway":"172.17.42.1","internal":false,
            "ports":[{"host":"0.0.0.0","first":8080,"ports":"80/tcp"}]}"#;
        let read: Attachment = serde_json::from_str(text).unwrap();
        assert_eq!((read.v6, read.own_mac), (None, None));
        assert_eq!(read.ports[0].host, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let written = serde_json::to_string(&read).unwrap();
        assert!(!written.contains("v6") && !written.contains("own_mac"), "{written}");
    }
}
