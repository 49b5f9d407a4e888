//! Look-ups against name servers on the loopback interface.

use std::net::TcpListener;
use std::thread;

use super::*;
use crate::dns::message::{Failure, Record};

const SOON: Duration = Duration::from_secs(10);

/// What a server says to a question for one kind of addresses of a name; `None` is silence.
type Says = fn(&str, Kind) -> Option<Result<Vec<&'static str>, u8>>;

/// A name server at `ip` that answers for as long as the test runs. What does not fit into a
/// datagram is told by stream.
fn server(ip: &str, says: Says) -> SocketAddr {
    let datagrams = UdpSocket::bind((ip, 0)).unwrap();
    let at = datagrams.local_addr().unwrap();
    let streams = TcpListener::bind(at).unwrap();
    let answer = move |packet: &[u8], limit: usize| {
        let question = Question::parse(packet).unwrap();
        let said = says(&question.name, question.kind)?;
        Some(said.map_or_else(
            |code| {
                let mut answer = question.refuse(Failure::ServerFailed);
                answer[3] = answer[3] & 0xf0 | code;
                answer
            },
            |texts| {
                let address = |text: &&str| Record::Address(text.parse().unwrap());
                question.answer(&texts.iter().map(address).collect::<Vec<_>>(), limit)
            },
        ))
    };
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = datagrams.recv_from(&mut packet) {
            if let Some(answer) = answer(&packet[..length], 512) {
                datagrams.send_to(&answer, from).unwrap();
            }
        }
    });
    thread::spawn(move || {
        for stream in streams.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut packet = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut packet).unwrap();
            let answer = answer(&packet, 65_535).unwrap();
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    at
}

/// A server that nobody hears of, and one that is not there.
fn dead() -> SocketAddr {
    server("127.0.0.1", |_, _| None)
}

fn gone() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn names(conf: &str, servers: &[SocketAddr]) -> Names {
    let hosts = "127.0.0.9 Nine nine.lan # ten\n::9 nine\nx ten\n10.0.0.1\n127.0.0.9 nine\n";
    let mut names = Names::read(hosts.into(), conf, "box.home.lan");
    names.servers = servers.to_vec();
    names
}

fn find(names: &Names, host: &str) -> Result<Vec<String>, String> {
    let found = names.find(host, Instant::now() + SOON);
    found
        .map(|all| all.iter().map(ToString::to_string).collect())
        .map_err(|error| error.to_string())
}

fn one(text: &str) -> Result<Vec<String>, String> {
    Ok(vec![text.to_owned()])
}

/// One that knows `a.b` and `a.b.home.lan` by IPv4, `six` and `both.b` as well by IPv6.
fn knows(name: &str, kind: Kind) -> Option<Result<Vec<&'static str>, u8>> {
    Some(match (name, kind) {
        ("a.b", Kind::V4) => Ok(vec!["127.0.0.2"]),
        ("a.b.home.lan", Kind::V4) => Ok(vec!["127.0.0.3"]),
        ("both.b", Kind::V4) => Ok(vec!["127.0.0.4"]),
        ("both.b" | "six.b", Kind::V6) => Ok(vec!["::1"]),
        ("a.b" | "a.b.home.lan" | "six.b", _) => Ok(vec![]),
        _ => Err(3),
    })
}

#[test]
fn files_come_first() {
    let names = names("", &[gone()]);
    let both = find(&names, "NINE").unwrap();
    assert!(both.len() == 2 && ["::9", "127.0.0.9"].iter().all(|ip| both.contains(&(*ip).into())));
    assert_eq!(find(&names, "nine.lan."), one("127.0.0.9"));
    assert!(find(&names, "ten").unwrap_err().starts_with("look up ten: name server 127.0.0.1: "));
    for own in ["localhost", "LocalHost.", "web.localhost"] {
        assert!(find(&names, own).unwrap().contains(&"127.0.0.1".to_owned()), "{own}");
    }
}

#[test]
fn texts_that_need_no_look_up() {
    let resolve = |text| resolve(text, SOON).map(|all| all[0].to_string());
    for text in ["127.0.0.1:80", "[::1]:80"] {
        assert_eq!(resolve(text).unwrap(), text);
    }
    assert_eq!(resolve("[fe80::1%7]:80").unwrap(), "[fe80::1%7]:80");
    assert_eq!(resolve("x").unwrap_err().to_string(), "x is not HOST:PORT");
    assert_eq!(resolve("x:99999").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn names_are_searched_by_their_dots() {
    let at = server("127.0.0.1", knows);
    let known = names("", &[at]);
    assert_eq!(find(&known, "a.b"), one("127.0.0.2"));
    assert_eq!(find(&known, "a.b."), one("127.0.0.2"));
    let first = names("options ndots:2 edns0\n", &[at]);
    assert_eq!(find(&first, "a.b"), one("127.0.0.3"));
    assert_eq!(find(&first, "a.b."), one("127.0.0.2"));
    let other = names("domain x\nsearch y b\n", &[at]);
    assert_eq!(find(&other, "a"), one("127.0.0.2"));
    assert_eq!(find(&other, "six"), one("::1"));
    assert_eq!(find(&other, "both").unwrap().len(), 2);
    assert_eq!(find(&other, "no"), Err("no such host: no".into()));
    assert_eq!(find(&other, "no..such"), Err("no such host: no..such".into()));
}

#[test]
fn a_server_that_is_dead_or_fails_gives_way() {
    let live = server("127.0.0.1", knows);
    let failing = server("127.0.0.1", |_, _| Some(Err(2)));
    let six = server("::1", knows);
    for servers in [&[gone(), live][..], &[failing, live], &[gone(), six]] {
        assert_eq!(find(&names("", servers), "a.b"), one("127.0.0.2"));
        assert_eq!(find(&names("", servers), "x.b"), Err("no such host: x.b".into()));
    }
    let mut slow = names("options timeout:1 attempts:1\n", &[dead(), live]);
    assert_eq!(slow.patience, Duration::from_secs(1));
    slow.patience = Duration::from_millis(50);
    assert_eq!(find(&slow, "a.b"), one("127.0.0.2"));
    slow.servers = vec![dead(), dead()];
    let text = "look up a.b: name server 127.0.0.1: no answer in time";
    assert_eq!(find(&slow, "a.b"), Err(text.into()));
    slow.servers = vec![failing];
    let text = "look up a.b: name server 127.0.0.1: answers with error 2";
    assert_eq!(find(&slow, "a.b"), Err(text.into()));
    // No longer than the caller waits.
    let begun = Instant::now();
    let patient = names("", &[dead()]);
    let error = patient.find("a.b", begun + Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn one_kind_without_the_other_is_enough() {
    let mute = server("127.0.0.1", |_, kind| (kind == Kind::V4).then(|| Ok(vec!["127.0.0.5"])));
    let mut names = names("", &[mute]);
    names.patience = Duration::from_millis(50);
    assert_eq!(find(&names, "a.b"), one("127.0.0.5"));
}

#[test]
fn long_answers_come_by_stream() {
    let at = server("127.0.0.1", |_, kind| match kind {
        Kind::V4 => Some(Ok((0..200).map(|_| "127.0.0.6").collect())),
        _ => Some(Err(3)),
    });
    assert_eq!(find(&names("", &[at]), "a.b").unwrap().len(), 200);
}

#[test]
fn answers_of_others_are_not_taken() {
    // To another question first, then the right one.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let question = Question::parse(&packet[..length]).unwrap();
            let wrong = question.answer(&[Record::Address([127, 6, 6, 6].into())], 512);
            let right = question.answer(&[Record::Address([127, 0, 0, 7].into())], 512);
            let mut other_id = wrong.clone();
            other_id[0] ^= 1;
            let mut other_name = wrong;
            other_name[13] ^= 1;
            for answer in [b"x".to_vec(), other_id, other_name, right] {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    let found = find(&names("", &[at]), "a.b").unwrap();
    assert!(found.iter().all(|address| address == "127.0.0.7"), "{found:?}");
}
