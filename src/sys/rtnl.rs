//! Links, addresses and routes of a network namespace. rtnetlink(7), veth(4).
//!
//! Links are known by name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::netlink::{Message, Reply, Socket, as_text, as_u32, attributes, code};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const LINKINFO: u16 = 18;
const NET_NS_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const VETH_PEER: u16 = 1;
const BRPORT_MODE: u16 = 4;
const BRPORT_ISOLATED: u16 = 33;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_TABLE: u16 = 15;

const CREATE: u16 = 0x400 | 0x200;
const UP: u32 = 1;
const IPV4: u8 = 2;
/// RTNLGRP_LINK.
const LINK_GROUP: libc::c_int = 1;
const IPV6: u8 = 10;
/// Flag of an address: it is used at once, whoever else may have it.
const NODAD: u8 = 2;

/// A hardware address.
pub type Mac = [u8; 6];

/// A socket for the links, addresses and routes of one network namespace.
#[derive(Debug)]
pub struct Rtnl(Socket);

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, …; empty for hardware.
    pub kind: String,
    /// Whether it was brought up.
    pub up: bool,
    /// Number of the bridge that it is a port of; 0 is none.
    pub master: u32,
    /// Most bytes of a packet.
    pub mtu: u32,
}

/// A route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Destination; with a prefix of 0, all.
    pub to: IpAddr,
    /// Length of the prefix.
    pub prefix: u8,
    /// Next hop.
    pub gateway: Option<IpAddr>,
    /// Number of the interface; 0 when there are several.
    pub link: u32,
}

/// A pair of virtual interfaces; the end that stays is up from birth.
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// Name of the end that stays.
    pub name: &'a str,
    /// Number of the bridge that it becomes a port of.
    pub bridge: u32,
    /// The network namespace of the other end.
    pub namespace: BorrowedFd<'a>,
    /// Name of the other end.
    pub peer: &'a str,
    /// Hardware address of the other end.
    pub mac: Mac,
    /// Most bytes of a packet.
    pub mtu: u32,
    /// What comes from the port may go back through it.
    pub hairpin: bool,
    /// It neither sends to other ports that are isolated nor hears from them (4.18).
    pub isolated: bool,
}

/// struct ifinfomsg.
fn link_part(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

impl Rtnl {
    /// A socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn open() -> io::Result<Rtnl> {
        Socket::open(libc::NETLINK_ROUTE, &[]).map(Rtnl)
    }

    /// The interface of this name.
    ///
    /// # Errors
    /// Those of the kernel; that there is none is `None`.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let message = Message::new(RTM_GETLINK, 0, format!("find interface {name}"))
            .fixed(&link_part(0, 0, 0))
            .text(IFNAME, name);
        match self.0.ask(vec![message]) {
            Ok(replies) => Ok(replies.iter().find_map(link)),
            Err(error) if code(&error) == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All interfaces.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let message = Message::list(RTM_GETLINK, "list interfaces").fixed(&link_part(0, 0, 0));
        Ok(self.0.ask(vec![message])?.iter().filter_map(link).collect())
    }

    /// Makes a bridge with a hardware address that stays as it is, whatever its ports are.
    ///
    /// # Errors
    /// EEXIST; EOPNOTSUPP when the kernel has no bridges.
    pub fn add_bridge(&mut self, name: &str, mac: Mac) -> io::Result<()> {
        let message = Message::new(RTM_NEWLINK, CREATE, format!("make bridge {name}"))
            .fixed(&link_part(0, 0, 0))
            .text(IFNAME, name)
            .put(ADDRESS, &mac)
            .nest(LINKINFO, |info| info.push_text(INFO_KIND, "bridge"));
        self.0.ask(vec![message]).map(drop)
    }

    /// Makes a pair of virtual interfaces between a bridge and another namespace.
    ///
    /// # Errors
    /// EEXIST when one of the names is taken; ENODEV when the bridge is gone. Nothing is left
    /// then.
    pub fn add_veth(&mut self, veth: &Veth<'_>) -> io::Result<()> {
        let Veth { name, bridge, namespace, peer, mac, mtu, hairpin, isolated } = *veth;
        let what = format!("make interface {name}");
        let mut messages = vec![
            Message::new(RTM_NEWLINK, CREATE, what)
                .fixed(&link_part(0, UP, UP))
                .text(IFNAME, name)
                .put(MTU, &mtu.to_ne_bytes())
                .put(MASTER, &bridge.to_ne_bytes())
                .nest(LINKINFO, |info| {
                    info.push_text(INFO_KIND, "veth");
                    info.push_nest(INFO_DATA, |data| {
                        data.push_nest(VETH_PEER, |other| {
                            // It can come up only once the pair is one.
                            other.push_fixed(&link_part(0, 0, 0));
                            other.push_text(IFNAME, peer);
                            other.push(ADDRESS, &mac);
                            other.push(MTU, &mtu.to_ne_bytes());
                            other.push(NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
                        });
                    });
                }),
        ];
        if hairpin {
            messages.push(port_mode(name, BRPORT_MODE, "let packets turn round at"));
        }
        if isolated {
            messages.push(port_mode(name, BRPORT_ISOLATED, "isolate"));
        }
        self.0.ask(messages).map(drop)
    }

    /// Makes an interface a port of the bridge with this number; packets may turn round there. See
    /// [`Veth::isolated`].
    ///
    /// # Errors
    /// ENODEV.
    pub fn set_bridge(&mut self, name: &str, bridge: u32, isolated: bool) -> io::Result<()> {
        let message = Message::new(RTM_NEWLINK, 0, format!("connect interface {name}"))
            .fixed(&link_part(0, 0, 0))
            .text(IFNAME, name)
            .put(MASTER, &bridge.to_ne_bytes());
        let hairpin = port_mode(name, BRPORT_MODE, "let packets turn round at");
        let mut messages = vec![message, hairpin];
        if isolated {
            messages.push(port_mode(name, BRPORT_ISOLATED, "isolate"));
        }
        self.0.ask(messages).map(drop)
    }

    /// Bounds the packets of an interface.
    ///
    /// # Errors
    /// ENODEV; EINVAL for a bound that it cannot have.
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> io::Result<()> {
        let message = Message::new(RTM_NEWLINK, 0, format!("set the mtu of {name} to {mtu}"))
            .fixed(&link_part(0, 0, 0))
            .text(IFNAME, name)
            .put(MTU, &mtu.to_ne_bytes());
        self.0.ask(vec![message]).map(drop)
    }

    /// Brings an interface up.
    ///
    /// # Errors
    /// ENODEV.
    pub fn set_up(&mut self, name: &str) -> io::Result<()> {
        let message = Message::new(RTM_NEWLINK, 0, format!("bring interface {name} up"))
            .fixed(&link_part(0, UP, UP))
            .text(IFNAME, name);
        self.0.ask(vec![message]).map(drop)
    }

    /// Deletes an interface; a pair goes with either end. The kernel waits for a grace period
    /// inside, which takes tens of milliseconds.
    ///
    /// # Errors
    /// Those of the kernel; that there is none is success.
    pub fn delete_link(&mut self, name: &str) -> io::Result<()> {
        let message = Message::new(RTM_DELLINK, 0, format!("delete interface {name}"))
            .fixed(&link_part(0, 0, 0))
            .text(IFNAME, name);
        match self.0.ask(vec![message]) {
            Err(error) if code(&error) == Some(libc::ENODEV) => Ok(()),
            result => result.map(drop),
        }
    }

    /// The addresses of interface number `index` with their prefixes, the first one first: those
    /// of IPv6 without the ones that are good on the link alone, or those of IPv4.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn addresses(&mut self, index: u32, v6: bool) -> io::Result<Vec<(IpAddr, u8)>> {
        const LINK: u8 = 253;
        let message =
            Message::list(RTM_GETADDR, "list addresses").fixed(&[family(v6), 0, 0, 0, 0, 0, 0, 0]);
        let address = |reply: &Reply| {
            let head = reply.body.get(..8)?;
            let ours = reply.kind == RTM_NEWADDR
                && as_u32(&head[4..]) == index
                && head[0] == family(v6)
                && head[3] != LINK;
            // That of IPv6 is its own other end.
            let rest = &reply.body[8..];
            let value = find(rest, IFA_LOCAL).or_else(|| find(rest, IFA_ADDRESS))?;
            ours.then_some((as_address(value)?, head[1]))
        };
        Ok(self.0.ask(vec![message])?.iter().filter_map(address).collect())
    }

    /// Gives an interface an address.
    ///
    /// # Errors
    /// EEXIST when it has it already.
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let message = new_address(index, address, prefix);
        self.0.ask(vec![message]).map(drop)
    }

    /// Brings an interface up with addresses, and lets all else go by way of the gateways. Nothing
    /// waits until it is known that nobody else has an address.
    ///
    /// # Errors
    /// EEXIST when there is such an address or route already.
    pub fn bring_up(
        &mut self,
        index: u32,
        addresses: &[(IpAddr, u8)],
        gateways: &[IpAddr],
    ) -> io::Result<()> {
        const MAIN: u8 = 254;
        const BOOT: u8 = 3;
        const UNICAST: u8 = 1;
        let up = Message::new(RTM_NEWLINK, 0, format!("bring interface {index} up"))
            .fixed(&link_part(index, UP, UP));
        let mut messages = vec![up];
        messages.extend(addresses.iter().map(|(own, prefix)| new_address(index, *own, *prefix)));
        messages.extend(gateways.iter().map(|gateway| {
            let family = family(gateway.is_ipv6());
            Message::new(RTM_NEWROUTE, CREATE, format!("add default route by {gateway}"))
                .fixed(&[family, 0, 0, 0, MAIN, BOOT, 0, UNICAST, 0, 0, 0, 0])
                .put(RTA_GATEWAY, &octets(gateway))
                .put(RTA_OIF, &index.to_ne_bytes())
        }));
        self.0.ask(messages).map(drop)
    }

    /// The routes of all tables but the local one.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn routes(&mut self, v6: bool) -> io::Result<Vec<Route>> {
        const LOCAL: u32 = 255;
        let message = Message::list(RTM_GETROUTE, "list routes").fixed(&[
            family(v6),
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        let all: IpAddr =
            if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let route = |reply: &Reply| {
            let head = reply.body.get(..12)?;
            let rest = &reply.body[12..];
            let table = find(rest, RTA_TABLE).map_or(u32::from(head[4]), as_u32);
            let ours = reply.kind == RTM_NEWROUTE && head[0] == family(v6) && table != LOCAL;
            ours.then(|| Route {
                to: find(rest, RTA_DST).and_then(as_address).unwrap_or(all),
                prefix: head[1],
                gateway: find(rest, RTA_GATEWAY).and_then(as_address),
                link: find(rest, RTA_OIF).map_or(0, as_u32),
            })
        };
        Ok(self.0.ask(vec![message])?.iter().filter_map(route).collect())
    }
}

/// Tells when interfaces of a network namespace go.
#[derive(Debug)]
pub struct LinkWatch(Socket);

impl LinkWatch {
    /// A watch over the network namespace of the calling thread.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn open() -> io::Result<LinkWatch> {
        let socket = Socket::open(libc::NETLINK_ROUTE, &[LINK_GROUP])?;
        // All else would wake who waits.
        socket.hear_only(RTM_DELLINK)?;
        Ok(LinkWatch(socket))
    }

    /// Waits until interfaces were deleted, or taken off their bridge: their names. `None` when so
    /// many that some were lost.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn wait(&self) -> io::Result<Option<Vec<String>>> {
        let name = |reply: &Reply| {
            let rest = reply.body.get(16..).filter(|_| reply.kind == RTM_DELLINK)?;
            find(rest, IFNAME).map(as_text)
        };
        let replies = self.0.listen()?;
        Ok(replies.map(|replies| replies.iter().filter_map(name).collect()))
    }
}

fn family(v6: bool) -> u8 {
    if v6 { IPV6 } else { IPV4 }
}

/// Switches something on at a port of a bridge.
fn port_mode(name: &str, mode: u16, what: &str) -> Message {
    Message::new(RTM_NEWLINK, 0, format!("{what} {name}"))
        .fixed(&link_part(0, 0, 0))
        .text(IFNAME, name)
        .nest(LINKINFO, |info| {
            info.push_text(INFO_SLAVE_KIND, "bridge");
            info.push_nest(INFO_SLAVE_DATA, |data| data.push(mode, &[1]));
        })
}

fn new_address(index: u32, address: IpAddr, prefix: u8) -> Message {
    let [a, b, c, d] = index.to_ne_bytes();
    let (family, flags) = match address {
        IpAddr::V4(_) => (IPV4, 0),
        IpAddr::V6(_) => (IPV6, NODAD),
    };
    let message = Message::new(RTM_NEWADDR, CREATE, format!("add address {address}/{prefix}"))
        .fixed(&[family, prefix, flags, 0, a, b, c, d])
        .put(IFA_LOCAL, &octets(&address))
        .put(IFA_ADDRESS, &octets(&address));
    let IpAddr::V4(address) = address else { return message };
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    message.put(IFA_BROADCAST, &(u32::from(address) | host).to_be_bytes())
}

/// An address as it is in messages.
pub(super) fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn as_address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        _ => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
    }
}

fn link(reply: &Reply) -> Option<Link> {
    let head = reply.body.get(..16)?;
    if reply.kind != RTM_NEWLINK {
        return None;
    }
    let rest = &reply.body[16..];
    let kind = find(rest, LINKINFO).and_then(|info| find(info, INFO_KIND));
    Some(Link {
        index: as_u32(&head[4..]),
        name: find(rest, IFNAME).map(as_text).unwrap_or_default(),
        kind: kind.map(as_text).unwrap_or_default(),
        up: as_u32(&head[8..]) & UP != 0,
        master: find(rest, MASTER).map_or(0, as_u32),
        mtu: find(rest, MTU).map_or(0, as_u32),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::ns::{self, NsKind};

    /// Runs `work` in a network namespace of its own; not where namespaces are forbidden.
    fn apart(work: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            scope.spawn(|| match ns::unshare(NsKind::Net) {
                Ok(()) => work(),
                Err(error) => eprintln!("skipped: {error}"),
            });
        });
    }

    #[test]
    fn a_bridge_a_pair_and_a_route() {
        apart(|| {
            let inner = std::thread::spawn(|| {
                ns::unshare(NsKind::Net).unwrap();
                (File::open("/proc/thread-self/ns/net").unwrap(), Rtnl::open().unwrap())
            });
            let (namespace, mut inside) = inner.join().unwrap();
            let mut rtnl = Rtnl::open().unwrap();
            assert_eq!(rtnl.link("br9").unwrap(), None);
            let mac = [2, 0x42, 1, 2, 3, 4];
            rtnl.add_bridge("br9", mac).unwrap();
            let twice = rtnl.add_bridge("br9", mac).unwrap_err();
            assert_eq!(code(&twice), Some(libc::EEXIST));
            assert!(twice.to_string().starts_with("make bridge br9: "), "{twice}");
            let bridge = rtnl.link("br9").unwrap().unwrap();
            assert_eq!((bridge.kind.as_str(), bridge.up), ("bridge", false));
            let gateways: [IpAddr; 2] = ["10.9.0.1".parse().unwrap(), "fd09::1".parse().unwrap()];
            let to: [IpAddr; 2] = ["10.9.0.0".parse().unwrap(), "fd09::".parse().unwrap()];
            rtnl.set_up("br9").unwrap();
            for (gateway, to) in gateways.into_iter().zip(to) {
                let v6 = gateway.is_ipv6();
                rtnl.add_address(bridge.index, gateway, 24).unwrap();
                assert_eq!(rtnl.addresses(bridge.index, v6).unwrap(), [(gateway, 24)]);
                assert!(rtnl.routes(v6).unwrap().iter().any(|route| route.prefix == 24
                    && route.to == to
                    && route.link == bridge.index));
            }
            rtnl.set_mtu("br9", 1400).unwrap();

            let veth = Veth {
                name: "veth9",
                bridge: bridge.index,
                namespace: namespace.as_fd(),
                peer: "eth0",
                mac,
                mtu: 1400,
                hairpin: true,
                isolated: true,
            };
            rtnl.add_veth(&veth).unwrap();
            assert_eq!(code(&rtnl.add_veth(&veth).unwrap_err()), Some(libc::EEXIST));
            let outer = rtnl.link("veth9").unwrap().unwrap();
            assert_eq!((outer.master, outer.mtu, outer.up), (bridge.index, 1400, true));
            let eth0 = inside.link("eth0").unwrap().unwrap();
            assert!(!eth0.up);
            let own = [("10.9.0.2".parse().unwrap(), 24), ("fd09::2".parse().unwrap(), 24)];
            inside.bring_up(eth0.index, &own, &gateways).unwrap();
            for gateway in gateways {
                let routes = inside.routes(gateway.is_ipv6()).unwrap();
                assert!(routes.iter().any(|route| route.gateway == Some(gateway)));
            }
            assert!(rtnl.links().unwrap().len() >= 3);
            let watch = LinkWatch::open().unwrap();
            rtnl.set_bridge("veth9", bridge.index, true).unwrap();
            rtnl.delete_link("veth9").unwrap();
            rtnl.delete_link("veth9").unwrap();
            assert_eq!(watch.wait().unwrap().unwrap(), ["veth9"]);
            assert_eq!(inside.link("eth0").unwrap(), None);
        });
    }
}
