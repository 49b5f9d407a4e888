//! What a run of a container has got on a network.

use std::net::{IpAddr, Ipv4Addr};

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
    /// Nothing leads out of the network.
    #[serde(default)]
    pub internal: bool,
    /// Ports on the host that lead to the container.
    #[serde(default)]
    pub ports: Vec<Published>,
}

impl Attachment {
    /// The container's hardware address. It follows from its address: what neighbours remember
    /// of the address stays right when another container gets it.
    pub fn mac(&self) -> [u8; 6] {
        mac_of(self.address)
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

/// Ports that are published together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Address on the host; unspecified is all.
    pub host: Ipv4Addr,
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
