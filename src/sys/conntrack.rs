//! Flows that the kernel follows, over netlink. conntrack(8),
//! linux/netfilter/nfnetlink_conntrack.h.
//!
//! A flow keeps the translation that its first packet met, as long as packets come: whoever sends
//! datagrams steadily does not see that rules have changed, unless his flow is forgotten.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netlink::{Message, Reply, Socket, attributes, code};

const SUBSYSTEM: u16 = 1;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;

const ORIGINAL: u16 = 1;
const ANSWER: u16 = 2;
const ZONE: u16 = 18;
const ADDRESSES: u16 = 1;
const PORTS: u16 = 2;
const V4_SOURCE: u16 = 1;
const V4_DESTINATION: u16 = 2;
const V6_SOURCE: u16 = 3;
const V6_DESTINATION: u16 = 4;
const PROTOCOL: u16 = 1;
const DESTINATION_PORT: u16 = 3;

const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// What a flow was before it was translated, and who answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Number of the protocol.
    pub protocol: u8,
    /// Where it was sent to.
    pub to: IpAddr,
    /// The port that it was sent to.
    pub port: u16,
    /// Where answers come from.
    pub answers_from: IpAddr,
}

/// Makes the kernel forget the flows of IPv4 and IPv6 that `stale` chooses, in the network
/// namespace of the calling thread: how many. Their next packets meet the rules anew.
///
/// # Errors
/// Those of the kernel, which may not be able to show its flows.
pub fn forget(stale: &mut dyn FnMut(&Flow) -> bool) -> io::Result<usize> {
    let mut socket = Socket::open(libc::NETLINK_NETFILTER, &[])?;
    let mut gone = Vec::new();
    for family in [IPV4, IPV6] {
        let list = Message::list(GET, "list flows").fixed(&[family, 0, 0, 0]);
        socket.each(list, &mut |reply| {
            if flow(&reply).is_some_and(|flow| stale(&flow)) {
                gone.extend(deletion(family, &reply));
            }
        })?;
    }
    let mut count = 0;
    for message in gone {
        match socket.ask(vec![message]) {
            Ok(_) => count += 1,
            Err(error) if code(&error) == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn deletion(family: u8, reply: &Reply) -> Option<Message> {
    let mut message = Message::new(DELETE, 0, "forget a flow").fixed(&[family, 0, 0, 0]);
    let rest = reply.body.get(4..)?;
    let original = find(rest, ORIGINAL)?;
    message.push_nest(ORIGINAL, |inner| inner.push_fixed(original));
    if let Some(zone) = find(rest, ZONE) {
        message.push(ZONE, zone);
    }
    Some(message)
}

fn flow(reply: &Reply) -> Option<Flow> {
    let rest = reply.body.get(4..)?;
    let (original, answer) = (find(rest, ORIGINAL)?, find(rest, ANSWER)?);
    let (to, ports) = (find(original, ADDRESSES)?, find(original, PORTS)?);
    let from = find(answer, ADDRESSES)?;
    Some(Flow {
        protocol: *find(ports, PROTOCOL)?.first()?,
        to: address(to, V4_DESTINATION, V6_DESTINATION)?,
        port: u16::from_be_bytes(*find(ports, DESTINATION_PORT)?.first_chunk()?),
        answers_from: address(from, V4_SOURCE, V6_SOURCE)?,
    })
}

fn address(bytes: &[u8], v4: u16, v6: u16) -> Option<IpAddr> {
    if let Some(value) = find(bytes, v4) {
        return value.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into());
    }
    find(bytes, v6)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into())
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::sys::nft::{Chain, ChainKind, Hook, Match, Rule, Table, Verdict};
    use crate::sys::ns::{self, NsKind};

    #[test]
    fn the_chosen_flow_is_forgotten() {
        std::thread::spawn(|| {
            let table = ns::unshare(NsKind::Net)
                .and_then(|()| ns::loopback_up())
                .and_then(|()| Table::open("skiff-t"));
            let mut table = match table {
                Ok(table) => table,
                Err(error) => return eprintln!("skipped: {error}"),
            };
            // Flows are followed where a rule asks for it.
            let hook = Some((ChainKind::Filter, Hook::Prerouting, 0));
            let rule = Rule {
                v6: false,
                chain: "all",
                matches: vec![Match::Established],
                verdict: Verdict::Accept,
                comment: "x".into(),
            };
            table.replace(&[Chain { name: "all", hook }], &[rule]).unwrap();
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().unwrap().port();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", ("127.0.0.1", port)).unwrap();
            let here = IpAddr::from(Ipv4Addr::LOCALHOST);
            let expected = Flow { protocol: 17, to: here, port, answers_from: here };
            let mut seen = Vec::new();
            forget(&mut |flow| {
                seen.push(*flow);
                false
            })
            .unwrap();
            assert_eq!(seen, [expected]);
            assert_eq!(forget(&mut |flow| flow.port == port).unwrap(), 1);
            assert_eq!(forget(&mut |_| true).unwrap(), 0);
        })
        .join()
        .unwrap();
    }
}
