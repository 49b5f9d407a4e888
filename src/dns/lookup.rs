//! Addresses of a host by its name: /etc/hosts, then DNS by the servers of /etc/resolv.conf, as
//! hosts(5) and resolv.conf(5) say. nsswitch.conf is not looked at.
//!
//! - Both kinds of addresses are asked for at once. A server that does not answer in time or fails
//!   gives way to the next, twice around; an answer that was cut is asked for again by a stream.
//! - A name that does not exist and servers that do not answer are different errors.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::message::{self, Kind, Question};
use super::servers;
use crate::sys;

const HOSTS: &str = "/etc/hosts";
/// For a server to answer, in the first round; twice that in the second.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often all servers are asked.
const ROUNDS: u32 = 2;
/// Most servers, names to search below, seconds and rounds that a resolv.conf is followed in.
const MOST_SERVERS: usize = 3;
const MOST_SEARCHED: usize = 6;
const MOST_SECONDS: u32 = 30;
const MOST_ROUNDS: u32 = 5;
/// Longest datagram that is taken.
const LONGEST: usize = 4096;

/// The addresses of `HOST:PORT`, best first, within `patience`.
///
/// # Errors
/// A text that is none; a name that does not exist; servers that give no answer.
pub fn resolve(address: &str, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    let split = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = split else {
        let text = format!("{address} is not HOST:PORT");
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    };
    addresses(host, port, patience)
}

/// The addresses of `host`, a name or an address (that of IPv6 may be in brackets), with this port,
/// best first, within `patience`.
///
/// # Errors
/// A name that does not exist; servers that give no answer.
pub fn addresses(host: &str, port: u16, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Some(address) = servers::at_port(literal, port) {
        return Ok(vec![address]);
    }
    let found = Names::of_host().find(host, Instant::now() + patience)?;
    Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// What a host knows of names.
struct Names {
    hosts: String,
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    /// A name with as many dots is looked up as it is before it is searched.
    dots: usize,
    patience: Duration,
    rounds: u32,
}

/// Why there are no addresses.
enum Trouble {
    NoSuchName,
    Failed(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Failed(error)
    }
}

impl Names {
    fn of_host() -> Names {
        let hosts = std::fs::read_to_string(HOSTS).unwrap_or_default();
        let own = sys::host::uname().map_or_else(|_| String::new(), |names| names.nodename);
        Names::read(hosts, &servers::of_host(), &own)
    }

    fn read(hosts: String, conf: &str, own: &str) -> Names {
        let mut names = Names {
            hosts,
            servers: Vec::new(),
            search: own.split_once('.').map(|(_, domain)| domain.into()).into_iter().collect(),
            dots: 1,
            patience: PATIENCE,
            rounds: ROUNDS,
        };
        let listed = servers::words(conf, "nameserver").filter_map(servers::socket_address);
        names.servers.extend(listed.take(MOST_SERVERS));
        if names.servers.is_empty() {
            names.servers.extend(servers::socket_address("127.0.0.1"));
        }
        // The last line of these counts.
        for line in conf.lines() {
            let mut words = line.split_ascii_whitespace();
            if let Some("search" | "domain") = words.next() {
                names.search = words.take(MOST_SEARCHED).map(str::to_owned).collect();
            }
        }
        for option in servers::words(conf, "options") {
            let Some((name, Ok(value))) =
                option.split_once(':').map(|(name, value)| (name, value.parse::<u32>()))
            else {
                continue;
            };
            match name {
                "ndots" => names.dots = value.min(15) as usize,
                "timeout" => {
                    names.patience = Duration::from_secs(value.clamp(1, MOST_SECONDS).into());
                }
                "attempts" => names.rounds = value.clamp(1, MOST_ROUNDS),
                _ => {}
            }
        }
        names
    }

    /// The addresses of `host`, best first.
    fn find(&self, host: &str, until: Instant) -> io::Result<Vec<IpAddr>> {
        let name = host.strip_suffix('.').unwrap_or(host);
        let mut found = self.listed(name);
        if found.is_empty() && is_local(name) {
            found = vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        }
        if found.is_empty() {
            found =
                self.searched(name, host.len() > name.len(), until).map_err(|why| match why {
                    Trouble::NoSuchName => io::Error::other(format!("no such host: {host}")),
                    Trouble::Failed(error) => {
                        io::Error::new(error.kind(), format!("look up {host}: {error}"))
                    }
                })?;
        }
        Ok(best_first(&found))
    }

    /// What /etc/hosts says.
    fn listed(&self, name: &str) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for line in self.hosts.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse) else { continue };
            if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }

    /// Asks for `name` as it is and below the domains that are searched, in the order that
    /// resolv.conf(5) tells.
    fn searched(&self, name: &str, whole: bool, until: Instant) -> Result<Vec<IpAddr>, Trouble> {
        let dots = name.bytes().filter(|&byte| byte == b'.').count();
        let mut names: Vec<String> = Vec::new();
        if !whole {
            names.extend(self.search.iter().map(|domain| format!("{name}.{domain}")));
        }
        let place = if dots >= self.dots { 0 } else { names.len() };
        names.insert(place, name.to_owned());
        for name in &names {
            match self.asked(name, until) {
                Err(Trouble::NoSuchName) => {}
                other => return other,
            }
        }
        Err(Trouble::NoSuchName)
    }

    /// Asks one server after the other.
    fn asked(&self, name: &str, until: Instant) -> Result<Vec<IpAddr>, Trouble> {
        let mut last = io::Error::from(ErrorKind::TimedOut);
        for round in 0..self.rounds {
            for &server in &self.servers {
                let now = Instant::now();
                if now >= until {
                    return Err(last.into());
                }
                match ask(server, name, until.min(now + self.patience * (1 << round))) {
                    Err(Trouble::Failed(error)) => {
                        let text = format!("name server {}: {error}", server.ip());
                        last = io::Error::new(error.kind(), text);
                    }
                    other => return other,
                }
            }
        }
        Err(last.into())
    }
}

/// Whether a name is this host's own, whoever else claims it. RFC 6761.
fn is_local(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

/// Asks `server` for both kinds of addresses of `name`.
fn ask(server: SocketAddr, name: &str, until: Instant) -> Result<Vec<IpAddr>, Trouble> {
    let mut random = [0; 4];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let mut open = Vec::new();
    for (kind, id) in [(Kind::V4, &random[..2]), (Kind::V6, &random[2..])] {
        let id = u16::from_be_bytes([id[0], id[1]]);
        open.push((id, message::ask(name, kind, id).ok_or(Trouble::NoSuchName)?));
    }
    let socket = UdpSocket::bind(any_like(server.ip()))?;
    socket.connect(server)?;
    for (_, packet) in &open {
        socket.send(packet)?;
    }
    let mut found = Vec::new();
    let mut failure = None;
    let mut buffer = vec![0; LONGEST];
    while !open.is_empty() {
        let answer = match receive(&socket, &mut buffer, until) {
            Ok(length) => &buffer[..length],
            // One kind is better than none: some servers do not answer for what they do not know.
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        let is_answered = |(id, packet): &(u16, Vec<u8>)| {
            Question::parse(packet).is_ok_and(|question| question.is_answered_by(answer, *id))
        };
        let Some(place) = open.iter().position(is_answered) else { continue };
        let (_, packet) = open.swap_remove(place);
        let answer = match message::is_truncated(answer) {
            true => by_stream(server, &packet, until),
            false => Ok(answer.to_vec()),
        };
        match answer.and_then(|answer| read(&answer)) {
            Ok(addresses) => found.extend(addresses),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if found.is_empty() => Err(error.into()),
        _ if found.is_empty() => Err(Trouble::NoSuchName),
        _ => Ok(found),
    }
}

/// The addresses of an answer, none when there is no such name.
fn read(answer: &[u8]) -> io::Result<Vec<IpAddr>> {
    match message::code(answer) {
        0 => Ok(message::addresses(answer)),
        3 => Ok(Vec::new()),
        code => Err(io::Error::other(format!("answers with error {code}"))),
    }
}

fn any_like(ip: IpAddr) -> SocketAddr {
    match ip {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The time that is left; an error when there is none.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(left) }
}

fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no answer in time")
}

/// A time-out of a socket, as one of ours.
fn on_time<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => timed_out(),
        _ => error,
    })
}

fn receive(socket: &UdpSocket, buffer: &mut [u8], until: Instant) -> io::Result<usize> {
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        match socket.recv(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return on_time(result),
        }
    }
}

/// Asks the same by a stream, in which answers have any length.
fn by_stream(server: SocketAddr, packet: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
        stream.set_write_timeout(Some(left(until)?))?;
        stream.set_read_timeout(Some(left(until)?))?;
        let length = u16::try_from(packet.len()).unwrap_or(0);
        stream.write_all(&[&length.to_be_bytes()[..], packet].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.set_read_timeout(Some(left(until)?))?;
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    let answer: Vec<u8> = on_time(exchange())?;
    let id = message::id(packet).unwrap_or(0);
    match Question::parse(packet) {
        Ok(question) if question.is_answered_by(&answer, id) => Ok(answer),
        _ => Err(io::Error::from(ErrorKind::InvalidData)),
    }
}

/// Those to which there is a way first, of them IPv6 first, as far as our own address is of the
/// same reach: the part of RFC 6724 that matters to who has one address of each kind.
fn best_first(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let ranked: Vec<_> = addresses.iter().map(|&address| (rank(address), address)).collect();
    let of_rank = |rank| ranked.iter().filter(move |(own, _)| *own == rank);
    (0..3).flat_map(of_rank).map(|(_, address)| *address).collect()
}

fn rank(address: IpAddr) -> u8 {
    // Connecting a datagram socket sends nothing; it finds the way.
    let way = UdpSocket::bind(any_like(address))
        .and_then(|socket| socket.connect((address, 9)).and_then(|()| socket.local_addr()));
    let near = |ip: Ipv6Addr| (ip.is_unique_local(), ip.is_unicast_link_local());
    match (address, way.map(|from| from.ip())) {
        (IpAddr::V6(to), Ok(IpAddr::V6(from))) if near(to) == near(from) => 0,
        (_, Ok(_)) => 1,
        (_, Err(_)) => 2,
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
