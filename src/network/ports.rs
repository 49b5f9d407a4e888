//! Which ports of the host are published, and by whom.
//!
//! - Two containers never have one port on overlapping addresses.
//! - Whether a program of the host has a port is asked of the kernel by bind(2), once: no socket
//!   is held. So it needs no module, and wildcards, IPv6 sockets and all are judged as listening
//!   would be.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::base::{Error, Id, Result};
use crate::model::{PortBinding, PortProto, PortRange, Protocol, Published};
use crate::sys::socket;

/// The ports that are given out where none is asked for.
const FREE: (u16, u16) = (49_153, 65_534);

/// The published ports of all containers.
#[derive(Debug, Default)]
pub(super) struct Ports {
    taken: Vec<(Id, Published)>,
    /// Where the search for a free port begins, by protocol.
    next: BTreeMap<Protocol, u16>,
}

/// A port that cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// Another container has it.
    Taken(u16),
    /// A program of the host has it.
    InUse(u16),
}

impl Ports {
    /// Reserves what `wanted` asks for in the name of `owner`. `exposed` are published on free
    /// ports, as far as they are not among `wanted`.
    ///
    /// # Errors
    /// The first port that cannot be had; nothing is reserved then.
    pub(super) fn reserve(
        &mut self,
        owner: &Id,
        wanted: &BTreeMap<PortRange, Vec<PortBinding>>,
        exposed: impl Iterator<Item = PortProto>,
    ) -> Result<Vec<Published>> {
        let result = self.try_reserve(owner, wanted, exposed);
        if result.is_err() {
            self.release(owner);
        }
        result
    }

    fn try_reserve(
        &mut self,
        owner: &Id,
        wanted: &BTreeMap<PortRange, Vec<PortBinding>>,
        exposed: impl Iterator<Item = PortProto>,
    ) -> Result<Vec<Published>> {
        let mut got = Vec::new();
        for (ports, bindings) in wanted {
            for binding in bindings {
                self.bind(owner, *ports, binding, &mut got)?;
            }
        }
        let among = |port: PortProto| {
            let covers = |range: &PortRange| {
                range.protocol == port.protocol && (range.first..=range.last).contains(&port.port)
            };
            wanted.iter().any(|(range, bindings)| covers(range) && !bindings.is_empty())
        };
        for port in exposed.filter(|port| !among(*port)) {
            got.push(self.take_free(owner, Ipv4Addr::UNSPECIFIED, port.into(), FREE)?);
        }
        Ok(got)
    }

    fn bind(
        &mut self,
        owner: &Id,
        ports: PortRange,
        binding: &PortBinding,
        got: &mut Vec<Published>,
    ) -> Result<()> {
        let host = binding.address().ok_or_else(|| {
            Error::not_implemented(format!(
                "publishing on the address {} is not served yet",
                binding.host_ip
            ))
        })?;
        match binding.range().map_err(Error::bad_parameter)? {
            Some((first, last)) if last - first == ports.span() => {
                let published = Published { host, first, ports };
                self.take(owner, published).map_err(|refused| refused.error(host))?;
                got.push(published);
            }
            Some(range) if ports.span() == 0 => {
                got.push(self.take_free(owner, host, ports, range)?);
            }
            Some(_) => {
                return Err(Error::bad_parameter(format!(
                    "invalid ranges specified for container and host ports: {ports} and {}",
                    binding.host_port
                )));
            }
            None => {
                for port in ports.ports() {
                    got.push(self.take_free(owner, host, port.into(), FREE)?);
                }
            }
        }
        Ok(())
    }

    /// Takes these very ports.
    fn take(&mut self, owner: &Id, published: Published) -> Result<(), Refused> {
        if let Some(port) = self.conflict(&published) {
            return Err(Refused::Taken(port));
        }
        let Published { host, first, ports } = published;
        for port in first..=published.last() {
            if !is_free(host, port, ports.protocol) {
                return Err(Refused::InUse(port));
            }
        }
        self.taken.push((owner.clone(), published));
        Ok(())
    }

    /// Takes the next free port out of a range.
    fn take_free(
        &mut self,
        owner: &Id,
        host: Ipv4Addr,
        ports: PortRange,
        (first, last): (u16, u16),
    ) -> Result<Published> {
        let in_turn = (first, last) == FREE;
        let start = match self.next.get(&ports.protocol) {
            Some(next) if in_turn => *next,
            _ => first,
        };
        let mut refused = None;
        for port in (start..=last).chain(first..start) {
            let published = Published { host, first: port, ports };
            match self.take(owner, published) {
                Ok(()) => {
                    if in_turn {
                        let next = if port == last { first } else { port + 1 };
                        self.next.insert(ports.protocol, next);
                    }
                    return Ok(published);
                }
                Err(why) => refused = Some(why),
            }
        }
        match refused {
            Some(why) if first == last => Err(why.error(host)),
            _ => Err(Error::internal(format!(
                "no free port on the host for {ports}: {first}-{last} are all in use"
            ))),
        }
    }

    /// The first port of `wanted` that a container has.
    fn conflict(&self, wanted: &Published) -> Option<u16> {
        let clash = |(_, other): &(Id, Published)| {
            let hosts = other.host == wanted.host
                || other.host.is_unspecified()
                || wanted.host.is_unspecified();
            let first = other.first.max(wanted.first);
            let clash = hosts
                && other.ports.protocol == wanted.ports.protocol
                && first <= other.last().min(wanted.last());
            clash.then_some(first)
        };
        self.taken.iter().find_map(clash)
    }

    /// What a running container holds, as it was found.
    pub(super) fn adopt(&mut self, owner: &Id, published: &[Published]) {
        self.taken.extend(published.iter().map(|ports| (owner.clone(), *ports)));
    }

    /// Takes all ports of `owner` back.
    pub(super) fn release(&mut self, owner: &Id) {
        self.taken.retain(|(other, _)| other != owner);
    }
}

impl Refused {
    fn error(self, host: Ipv4Addr) -> Error {
        Error::internal(match self {
            Refused::Taken(port) => {
                format!("Bind for {host}:{port} failed: port is already allocated")
            }
            Refused::InUse(port) => format!(
                "Bind for {host}:{port} failed: address already in use: a program of the host \
                 listens there"
            ),
        })
    }
}

/// Whether no program of the host has this port. An address that the host does not have yet has
/// none.
fn is_free(host: Ipv4Addr, port: u16, protocol: Protocol) -> bool {
    let stream = match protocol {
        Protocol::Tcp => true,
        Protocol::Udp => false,
        // Not every host can even make such a socket.
        Protocol::Sctp => return true,
    };
    match socket::try_bind(host, port, stream) {
        Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
        Ok(()) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn bind(ports: &mut Ports, spec: &str, host_ip: &str, host_port: &str) -> Result<Vec<u16>> {
        let binding = PortBinding { host_ip: host_ip.into(), host_port: host_port.into() };
        let wanted = [(spec.parse().unwrap(), vec![binding])].into();
        let got = ports.reserve(&Id::random(), &wanted, std::iter::empty())?;
        Ok(got.iter().flat_map(|p| [p.first, p.last()]).collect())
    }

    #[test]
    fn free_ports_come_in_turn_by_protocol() {
        let mut ports = Ports::default();
        let first = bind(&mut ports, "80/tcp", "", "").unwrap()[0];
        assert!(first >= FREE.0);
        assert!(bind(&mut ports, "80/tcp", "", "").unwrap()[0] > first);
        assert!(bind(&mut ports, "80/udp", "", "").unwrap()[0] >= FREE.0);
        let owner = Id::random();
        let exposed = ["80/tcp", "81/tcp"].map(|port| port.parse::<PortProto>().unwrap());
        let binding = PortBinding { host_ip: "127.0.0.1".into(), host_port: String::new() };
        let wanted = [("80/tcp".parse().unwrap(), vec![binding])].into();
        let got = ports.reserve(&owner, &wanted, exposed.into_iter()).unwrap();
        assert_eq!((got.len(), got[1].ports.first), (2, 81));
        ports.release(&owner);
        assert_eq!(ports.taken.len(), 3);
    }

    #[test]
    fn a_port_is_had_once() {
        let mut ports = Ports::default();
        let mut check = |spec: &str, ip: &str, port: &str, expected: &str| match bind(
            &mut ports, spec, ip, port,
        ) {
            Ok(got) => assert_eq!(format!("{got:?}"), expected, "{spec} {ip} {port}"),
            Err(error) => assert_eq!(error.to_string(), expected),
        };
        check("80-84/tcp", "127.0.0.1", "47080-47084", "[47080, 47084]");
        let taken = "Bind for 0.0.0.0:47080 failed: port is already allocated";
        check("9/tcp", "", "47080", taken);
        check("9/tcp", "127.0.0.2", "47080", "[47080, 47080]");
        check("9/udp", "", "47080", "[47080, 47080]");
        check("9/tcp", "", "47083-47086", "[47085, 47085]");
        check("9-10/tcp", "", "47086-47087", "[47086, 47087]");
        check(
            "9/tcp",
            "",
            "47086-47087",
            "no free port on the host for 9/tcp: 47086-47087 are all in use",
        );
        check(
            "9-11/tcp",
            "",
            "1-2",
            "invalid ranges specified for container and host ports: 9-11/tcp and 1-2",
        );
        check("9/tcp", "fe80::1", "1", "publishing on the address fe80::1 is not served yet");
    }

    #[test]
    fn programs_of_the_host_have_theirs() {
        let mut ports = Ports::default();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = tcp.local_addr().unwrap().port().to_string();
        let error = bind(&mut ports, "80/tcp", "", &number).unwrap_err().to_string();
        assert!(error.contains("address already in use"), "{error}");
        drop(tcp);
        bind(&mut ports, "80/tcp", "", &number).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let number = udp.local_addr().unwrap().port().to_string();
        assert!(bind(&mut ports, "80/udp", "127.0.0.1", &number).is_err());
        // Nobody has an address that is not there yet.
        bind(&mut ports, "80/tcp", "192.0.2.77", "80").unwrap();
    }
}
