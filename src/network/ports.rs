//! Which ports of the host are published, and by whom.
//!
//! - Two containers never have one port on overlapping addresses.
//! - Whether a program of the host has a port is asked of the kernel by bind(2), once: no socket
//!   is held. So it needs no module, and wildcards, IPv6 sockets and all are judged as listening
//!   would be.

use std::collections::BTreeMap;
use std::net::IpAddr;

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
    Taken(IpAddr, u16),
    /// A program of the host has it.
    InUse(IpAddr, u16),
}

impl Ports {
    /// Reserves what `wanted` asks for in the name of `owner`. `exposed` are published on free
    /// ports, as far as they are not among `wanted`. What names no address of the host is published
    /// on all of `hosts`, on the same port.
    ///
    /// # Errors
    /// The first port that cannot be had; nothing is reserved then.
    pub(super) fn reserve(
        &mut self,
        owner: &Id,
        hosts: &[IpAddr],
        wanted: &BTreeMap<PortRange, Vec<PortBinding>>,
        exposed: impl Iterator<Item = PortProto>,
    ) -> Result<Vec<Published>> {
        let result = self.try_reserve(owner, hosts, wanted, exposed);
        if result.is_err() {
            self.release(owner);
        }
        result
    }

    fn try_reserve(
        &mut self,
        owner: &Id,
        hosts: &[IpAddr],
        wanted: &BTreeMap<PortRange, Vec<PortBinding>>,
        exposed: impl Iterator<Item = PortProto>,
    ) -> Result<Vec<Published>> {
        let mut got = Vec::new();
        for (ports, bindings) in wanted {
            for binding in bindings {
                self.bind(owner, hosts, *ports, binding, &mut got)?;
            }
        }
        let among = |port: PortProto| {
            let covers = |range: &PortRange| {
                range.protocol == port.protocol && (range.first..=range.last).contains(&port.port)
            };
            wanted.iter().any(|(range, bindings)| covers(range) && !bindings.is_empty())
        };
        for port in exposed.filter(|port| !among(*port)) {
            self.take_free(owner, hosts, port.into(), FREE, &mut got)?;
        }
        Ok(got)
    }

    fn bind(
        &mut self,
        owner: &Id,
        hosts: &[IpAddr],
        ports: PortRange,
        binding: &PortBinding,
        got: &mut Vec<Published>,
    ) -> Result<()> {
        let named = binding.address().map_err(Error::bad_parameter)?;
        let hosts = named.as_ref().map_or(hosts, std::slice::from_ref);
        match binding.range().map_err(Error::bad_parameter)? {
            Some((first, last)) if last - first == ports.span() => {
                self.take(owner, hosts, first, ports, got).map_err(Refused::error)
            }
            Some(range) if ports.span() == 0 => self.take_free(owner, hosts, ports, range, got),
            Some(_) => Err(Error::bad_parameter(format!(
                "invalid ranges specified for container and host ports: {ports} and {}",
                binding.host_port
            ))),
            None => ports
                .ports()
                .try_for_each(|port| self.take_free(owner, hosts, port.into(), FREE, got)),
        }
    }

    /// Takes these very ports on all of `hosts`, or none.
    fn take(
        &mut self,
        owner: &Id,
        hosts: &[IpAddr],
        first: u16,
        ports: PortRange,
        got: &mut Vec<Published>,
    ) -> Result<(), Refused> {
        for host in hosts {
            let published = Published { host: *host, first, ports };
            if let Some(port) = self.conflict(&published) {
                return Err(Refused::Taken(*host, port));
            }
            for port in first..=published.last() {
                if !is_free(*host, port, ports.protocol) {
                    return Err(Refused::InUse(*host, port));
                }
            }
        }
        for host in hosts {
            let published = Published { host: *host, first, ports };
            self.taken.push((owner.clone(), published));
            got.push(published);
        }
        Ok(())
    }

    /// Takes the next free port out of a range.
    fn take_free(
        &mut self,
        owner: &Id,
        hosts: &[IpAddr],
        ports: PortRange,
        (first, last): (u16, u16),
        got: &mut Vec<Published>,
    ) -> Result<()> {
        let in_turn = (first, last) == FREE;
        let start = match self.next.get(&ports.protocol) {
            Some(next) if in_turn => *next,
            _ => first,
        };
        let mut refused = None;
        for port in (start..=last).chain(first..start) {
            match self.take(owner, hosts, port, ports, got) {
                Ok(()) => {
                    if in_turn {
                        let next = if port == last { first } else { port + 1 };
                        self.next.insert(ports.protocol, next);
                    }
                    return Ok(());
                }
                Err(why) => refused = Some(why),
            }
        }
        match refused {
            Some(why) if first == last => Err(why.error()),
            _ => Err(Error::internal(format!(
                "no free port on the host for {ports}: {first}-{last} are all in use"
            ))),
        }
    }

    /// The first port of `wanted` that a container has.
    fn conflict(&self, wanted: &Published) -> Option<u16> {
        let clash = |(_, other): &(Id, Published)| {
            let hosts = other.host == wanted.host
                || other.host.is_ipv6() == wanted.host.is_ipv6()
                    && (other.host.is_unspecified() || wanted.host.is_unspecified());
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
    fn error(self) -> Error {
        let (Refused::Taken(host, port) | Refused::InUse(host, port)) = self;
        let place = std::net::SocketAddr::new(host, port);
        Error::internal(match self {
            Refused::Taken(..) => format!("Bind for {place} failed: port is already allocated"),
            Refused::InUse(..) => format!(
                "Bind for {place} failed: address already in use: a program of the host listens \
                 there"
            ),
        })
    }
}

/// Whether no program of the host has this port. An address that the host does not have yet has
/// none.
fn is_free(host: IpAddr, port: u16, protocol: Protocol) -> bool {
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

    const ALL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

    fn bind(ports: &mut Ports, spec: &str, host_ip: &str, host_port: &str) -> Result<Vec<u16>> {
        let binding = PortBinding { host_ip: host_ip.into(), host_port: host_port.into() };
        let wanted = [(spec.parse().unwrap(), vec![binding])].into();
        let got = ports.reserve(&Id::random(), &[ALL], &wanted, std::iter::empty())?;
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
        let got = ports.reserve(&owner, &[ALL], &wanted, exposed.into_iter()).unwrap();
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
        check("9/tcp", "::", "47080", "[47080, 47080]");
        check("9/tcp", "::1", "47080", "Bind for [::1]:47080 failed: port is already allocated");
        check("9/tcp", "x", "1", "invalid ip address: x");
    }

    #[test]
    fn a_port_is_the_same_one_in_both_families() {
        let mut ports = Ports::default();
        let six = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
        bind(&mut ports, "80/tcp", "::", "48000").unwrap();
        let binding = PortBinding { host_port: "48000-48001".into(), ..PortBinding::default() };
        let wanted = [("80/tcp".parse().unwrap(), vec![binding])].into();
        let owner = Id::random();
        let got = ports.reserve(&owner, &[ALL, six], &wanted, std::iter::empty()).unwrap();
        let got: Vec<_> = got.iter().map(|p| format!("{} {}", p.host, p.first)).collect();
        assert_eq!(got, ["0.0.0.0 48001", ":: 48001"]);
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
