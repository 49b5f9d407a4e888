//! Ports and how they are published.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{fields, order};

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

/// Ports of a container that follow each other: `80/tcp`, `8000-8010/udp`.
///
/// Ranges are kept as such: ten thousand ports that are published one by one are one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The first one.
    pub first: u16,
    /// The last one, not below the first.
    pub last: u16,
    /// Their protocol.
    pub protocol: Protocol,
}

impl PortRange {
    /// Each port by itself.
    pub fn ports(self) -> impl Iterator<Item = PortProto> {
        (self.first..=self.last).map(move |port| PortProto { port, protocol: self.protocol })
    }

    /// How many more than one they are.
    pub fn span(self) -> u16 {
        self.last.saturating_sub(self.first)
    }
}

impl From<PortProto> for PortRange {
    fn from(PortProto { port, protocol }: PortProto) -> PortRange {
        PortRange { first: port, last: port, protocol }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first != self.last {
            write!(f, "{}-", self.first)?;
        }
        write!(f, "{}/{}", self.last, self.protocol.as_str())
    }
}

impl FromStr for PortRange {
    type Err = String;

    /// Parses `80`, `80/tcp`, `8000-8010/udp`; the error is a sentence for people.
    fn from_str(text: &str) -> Result<PortRange, String> {
        let Some((first, last)) = text.split_once('-') else {
            return text.parse().map(|port: PortProto| port.into());
        };
        let PortProto { port: last, protocol } = last.parse()?;
        let PortProto { port: first, .. } = first.parse()?;
        if first > last {
            return Err(format!("invalid range of ports: {text}"));
        }
        Ok(PortRange { first, last, protocol })
    }
}

impl Serialize for PortRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PortRange, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fields! {
    /// Where a port is published on the host, or each of a range of ports.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
    pub struct PortBinding {
        /// Host address; empty is all.
        pub host_ip: String,
        /// Host port or range `N-M`; empty is a free one. A single port gets a free one of its
        /// range; a range of ports gets the range of the same length, one by one.
        pub host_port: String,
    }
}

impl PortBinding {
    /// The host's address; `None` is all of them.
    ///
    /// # Errors
    /// What is no address, as a sentence.
    pub fn address(&self) -> Result<Option<IpAddr>, String> {
        match self.host_ip.as_str() {
            "" => Ok(None),
            text => match text.parse() {
                Ok(address) => Ok(Some(address)),
                Err(_) => Err(format!("invalid ip address: {text}")),
            },
        }
    }

    /// First and last host port; `None` is a free one.
    ///
    /// # Errors
    /// What is no port and no range, as a sentence.
    pub fn range(&self) -> Result<Option<(u16, u16)>, String> {
        let wrong = || format!("invalid hostPort: {}", self.host_port);
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<u16>().map_err(|_| wrong()),
            false => Err(wrong()),
        };
        match self.host_port.split_once('-') {
            None if self.host_port.is_empty() => Ok(None),
            None => Ok(Some(number(&self.host_port)?).filter(|n| *n != 0).map(|n| (n, n))),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first == 0 || first > last { Err(wrong()) } else { Ok(Some((first, last))) }
            }
        }
    }

    /// The binding of port number `index` of a range with `span` ports more than one.
    fn part(&self, index: u16, span: u16) -> PortBinding {
        let host_port = match self.range() {
            Ok(Some((first, last))) if span > 0 && last - first == span => {
                (first + index).to_string()
            }
            _ => self.host_port.clone(),
        };
        PortBinding { host_ip: self.host_ip.clone(), host_port }
    }

    /// The binding of the port before, if this one goes on with it.
    fn follows(&self, range: &PortBinding, span: u16) -> bool {
        let end = match range.range() {
            Ok(Some((first, last))) if last - first == span => last,
            _ => return false,
        };
        let next = end.checked_add(1).map(|port| port.to_string());
        self.host_ip == range.host_ip && next.is_some_and(|next| next == self.host_port)
    }
}

/// Bindings by port, those that go on with each other put together.
pub fn join_bindings(
    single: impl IntoIterator<Item = (PortProto, Vec<PortBinding>)>,
) -> Vec<(PortRange, Vec<PortBinding>)> {
    let mut ports: Vec<_> = single.into_iter().collect();
    order::sort_by(&mut ports, |(a, _), (b, _)| (a.protocol, a.port).cmp(&(b.protocol, b.port)));
    let mut joined: Vec<(PortRange, Vec<PortBinding>)> = Vec::new();
    for (port, bindings) in ports {
        if let Some((range, last)) = joined.last_mut() {
            let goes_on = range.protocol == port.protocol
                && range.last.checked_add(1) == Some(port.port)
                && !bindings.is_empty()
                && bindings.len() == last.len()
                && bindings
                    .iter()
                    .zip(&*last)
                    .all(|(next, range_of)| next.follows(range_of, range.span()));
            if goes_on {
                range.last = port.port;
                for (next, range_of) in bindings.iter().zip(last) {
                    let first = range_of.host_port.split('-').next().unwrap_or_default();
                    range_of.host_port = format!("{first}-{}", next.host_port);
                }
                continue;
            }
        }
        joined.push((port.into(), bindings));
    }
    joined
}

/// The bindings of each port by itself.
pub fn split_bindings(
    range: PortRange,
    bindings: &[PortBinding],
) -> impl Iterator<Item = (PortProto, Vec<PortBinding>)> {
    range.ports().map(move |port| {
        let index = port.port - range.first;
        (port, bindings.iter().map(|binding| binding.part(index, range.span())).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(host_ip: &str, host_port: &str) -> PortBinding {
        PortBinding { host_ip: host_ip.into(), host_port: host_port.into() }
    }

    #[test]
    fn ranges_read_back_as_written() {
        for text in ["80/tcp", "53/udp", "8000-8010/tcp"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        for wrong in ["", "0", "x", "80-", "-80", "90-80", "1-2-3", "70000", "1-70000"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn host_ports_are_read() {
        let check = |text: &str, expected| assert_eq!(binding("", text).range(), expected);
        check("", Ok(None));
        check("0", Ok(None));
        check("80", Ok(Some((80, 80))));
        check("80-90", Ok(Some((80, 90))));
        for wrong in ["x", "90-80", "0-5", "-1", "65536", "1-", "+ 1"] {
            assert!(binding("", wrong).range().is_err(), "{wrong}");
        }
        assert_eq!(binding("", "").address(), Ok(None));
        for address in ["10.0.0.1", "::1"] {
            assert_eq!(binding(address, "").address(), Ok(address.parse().ok()));
        }
        assert_eq!(binding("x", "").address(), Err("invalid ip address: x".to_owned()));
    }

    #[test]
    fn ports_that_go_on_are_one_range_and_come_apart_again() {
        let port = |text: &str| text.parse::<PortProto>().unwrap();
        let one_by_one: Vec<_> = (10_000..=10_004_u16)
            .map(|n| (PortProto { port: n, protocol: Protocol::Tcp }, n + 5))
            .map(|(port, host)| (port, vec![binding("", &host.to_string())]))
            .collect();
        let mut all = one_by_one.clone();
        all.push((port("53/udp"), vec![binding("127.0.0.1", "53")]));
        all.push((port("54/udp"), vec![binding("127.0.0.1", "55")]));
        all.push((port("90"), vec![binding("", "")]));
        all.push((port("91"), vec![binding("", "")]));
        let joined = join_bindings(all);
        let shown: Vec<_> = joined
            .iter()
            .map(|(range, list)| format!("{range}={}:{}", list[0].host_ip, list[0].host_port))
            .collect();
        assert_eq!(
            shown,
            [
                "90/tcp=:",
                "91/tcp=:",
                "10000-10004/tcp=:10005-10009",
                "53/udp=127.0.0.1:53",
                "54/udp=127.0.0.1:55"
            ]
        );
        let (range, list) = &joined[2];
        assert_eq!(split_bindings(*range, list).collect::<Vec<_>>(), one_by_one);
        let any = [binding("", "80-90")];
        let (_, kept) = split_bindings(port("80").into(), &any).next().unwrap();
        assert_eq!(kept, any);
    }
}
