//! Ports and how they are published.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::fields;

/// A transport protocol that can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
    /// `sctp`
    Sctp,
}

impl Protocol {
    /// `tcp`, `udp`, `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// A container's port: `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortProto {
    /// 1 to 65535.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl fmt::Display for PortProto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol.as_str())
    }
}

impl FromStr for PortProto {
    type Err = String;

    /// Parses `80`, `80/tcp`, `53/udp`; the error is a sentence for people.
    fn from_str(text: &str) -> Result<PortProto, String> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(format!("invalid proto: {protocol}")),
        };
        match port.parse() {
            Ok(port) if port > 0 => Ok(PortProto { port, protocol }),
            _ => Err(format!("invalid containerPort: {port}")),
        }
    }
}

impl Serialize for PortProto {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortProto {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PortProto, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fields! {
    /// Where a port is published on the host.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
    pub struct PortBinding {
        /// Host address; empty is all.
        pub host_ip: String,
        /// Host port or range `N-M`; empty is a free one.
        pub host_port: String,
    }
}
