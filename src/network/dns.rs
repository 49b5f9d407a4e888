//! The sockets of a container's name server, in the container's network namespace.
//!
//! - It is asked at 127.0.0.11, port 53. A program in the container may want port 53 of all
//!   addresses for itself, so the sockets have other ports, and a packet rule inside the namespace
//!   leads there. Where there are no packet rules they are bound to port 53.
//! - Who serves by the sockets is not this module's business.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::namespace;
use crate::base::{Context, Result};
use crate::sys::nft::{Chain, ChainKind, Hook, Match, Rule, Table, Verdict};
use crate::sys::ns::{self, NsKind};

/// Where containers on networks that users have made ask for names.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
const TABLE: &str = "skiff-names";
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The sockets, and the namespace that they are in.
pub struct Listening {
    datagrams: UdpSocket,
    streams: TcpListener,
    namespace: File,
}

impl Listening {
    /// Opens them in the namespace at `path`.
    ///
    /// # Errors
    /// When there are no descriptors; when there are no packet rules and port 53 is taken.
    pub fn open(path: &Path) -> Result<Listening> {
        let namespace = File::open(path).context(|| format!("open {}", path.display()))?;
        let inside = namespace.try_clone().context(|| "keep a network namespace".into())?;
        let opened = namespace::spawn(move || {
            ns::enter(inside.as_fd(), NsKind::Net)
                .and_then(|()| listen())
                .context(|| "open the sockets of the container's name server".into())
        })?;
        let (datagrams, streams) = namespace::join(opened)?;
        Ok(Listening { datagrams, streams, namespace })
    }

    /// Datagrams, streams, the namespace.
    pub fn sockets(&self) -> [BorrowedFd<'_>; 3] {
        [self.datagrams.as_fd(), self.streams.as_fd(), self.namespace.as_fd()]
    }
}

fn listen() -> io::Result<(UdpSocket, TcpListener)> {
    let datagrams = UdpSocket::bind((ADDRESS, 0))?;
    let streams = TcpListener::bind((ADDRESS, 0))?;
    let ports = [(UDP, datagrams.local_addr()?.port()), (TCP, streams.local_addr()?.port())];
    match redirect(ports) {
        Ok(()) => Ok((datagrams, streams)),
        Err(error) => {
            crate::debug!("no packet rules for names: {error}");
            at_port().map_err(|taken| match taken.kind() {
                io::ErrorKind::AddrInUse => io::Error::new(taken.kind(), format!(
                    "a program of the container has port {PORT}, and no packet rule leads around \
                     it ({error})"
                )),
                _ => taken,
            })
        }
    }
}

/// The sockets where they are asked.
fn at_port() -> io::Result<(UdpSocket, TcpListener)> {
    Ok((UdpSocket::bind((ADDRESS, PORT))?, TcpListener::bind((ADDRESS, PORT))?))
}

/// Leads what is for port 53 to these ports.
fn redirect(ports: [(u8, u16); 2]) -> io::Result<()> {
    const CHAIN: &str = "output";
    let rule = |(protocol, port): (u8, u16)| Rule {
        v6: false,
        chain: CHAIN,
        matches: vec![
            Match::Destination(ADDRESS.into(), 32),
            Match::Protocol(protocol),
            Match::Ports(PORT, PORT),
        ],
        verdict: Verdict::Redirect(ADDRESS.into(), Some(port)),
        comment: "names".to_owned(),
    };
    let mut table = Table::open(TABLE)?;
    let chain = Chain { name: CHAIN, hook: Some((ChainKind::Nat, Hook::Output, -100)) };
    if !table.exists()? {
        return table.make(&[chain], &ports.map(rule));
    }
    // Of a server before this one.
    table.share();
    table.replace(&[chain], &ports.map(rule)).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn port_53_leads_to_the_sockets_and_stays_free_for_others() {
        std::thread::spawn(|| {
            if let Err(error) = ns::unshare(NsKind::Net) {
                eprintln!("skipped: {error}");
                return;
            }
            ns::loopback_up().unwrap();
            // A later one takes over from an earlier one.
            drop(listen().unwrap());
            let (datagrams, streams) = listen().unwrap();
            if datagrams.local_addr().unwrap().port() == PORT {
                eprintln!("skipped: no packet rules");
                return;
            }
            let others = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
            let _others = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect((ADDRESS, PORT)).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.send(b"ask").unwrap();
            let mut buffer = [0; 10];
            let (length, from) = datagrams.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"ask");
            datagrams.send_to(b"told", from).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), 4);
            client.connect(("127.0.0.1", PORT)).unwrap();
            client.send(b"other").unwrap();
            assert_eq!(others.recv(&mut buffer).unwrap(), 5);
            let stream = std::net::TcpStream::connect((ADDRESS, PORT)).unwrap();
            let (_, peer) = streams.accept().unwrap();
            assert_eq!(peer, stream.local_addr().unwrap());
        })
        .join()
        .unwrap();
    }
}
