//! A proxy between sockets of this process.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::*;
use crate::sys::poll;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LONG: Duration = Duration::from_secs(20);

/// A proxy that is served by a thread of its own.
struct Rig {
    stop: Sender<()>,
    thread: JoinHandle<Proxy>,
}

impl Rig {
    fn start(mut proxy: Proxy) -> Rig {
        let (stop, stopped): (_, Receiver<()>) = channel();
        let thread = std::thread::spawn(move || {
            while stopped.try_recv().is_err() {
                let soon = Instant::now() + Duration::from_millis(5);
                let Some(fd) = proxy.descriptor() else { break };
                let ready = poll::wait(&[(fd, Interest::READ)], Some(soon)).unwrap()[0].any();
                if ready {
                    proxy.serve();
                }
                proxy.settle(Instant::now());
            }
            proxy
        });
        Rig { stop, thread }
    }

    fn stop(self) -> Proxy {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

fn forward(protocol: &str, from: u16, to: u16) -> Forward {
    let ports = format!("{to}/{protocol}").parse().unwrap();
    Forward { listen: LOOPBACK, first: from, to: LOOPBACK, ports }
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server, a proxy in front of it, and the proxy's port.
fn tcp() -> (TcpListener, Rig, u16) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free_port();
    let mut proxy = Proxy::default();
    let to = server.local_addr().unwrap().port();
    proxy.set(&[forward("tcp", port, to)]).unwrap();
    (server, Rig::start(proxy), port)
}

fn connect(port: u16) -> TcpStream {
    let client = TcpStream::connect((LOOPBACK, port)).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client
}

fn accept(server: &TcpListener) -> TcpStream {
    let (end, _) = server.accept().unwrap();
    end.set_read_timeout(Some(LONG)).unwrap();
    end
}

fn is_over(proxy: &Proxy) -> bool {
    let open = proxy.open.as_ref().unwrap();
    open.streams.len() == 0 && open.talks.len() == 0
}

#[test]
fn each_direction_ends_by_itself() {
    let (server, rig, port) = tcp();
    for early in [true, false] {
        let mut client = connect(port);
        let mut end = accept(&server);
        let (mut first, mut second) = if early { (&client, &end) } else { (&end, &client) };
        first.write_all(b"all there is").unwrap();
        first.shutdown(Shutdown::Write).unwrap();
        let mut got = String::new();
        second.read_to_string(&mut got).unwrap();
        assert_eq!(got, "all there is");
        second.write_all(b"an answer").unwrap();
        second.shutdown(Shutdown::Write).unwrap();
        got.clear();
        first.read_to_string(&mut got).unwrap();
        assert_eq!(got, "an answer");
        assert_eq!((client.read(&mut [0]).unwrap(), end.read(&mut [0]).unwrap()), (0, 0));
    }
    let proxy = rig.stop();
    assert!(is_over(&proxy));
}

fn byte(number: usize) -> u8 {
    (number >> 7).to_le_bytes()[0]
}

#[test]
fn much_goes_both_ways_and_who_reads_slowly_loses_nothing() {
    const MUCH: usize = 8 << 20;
    let (server, rig, port) = tcp();
    let (client, end) = (connect(port), accept(&server));
    let write = |mut to: TcpStream, seed: usize| {
        std::thread::spawn(move || {
            let bytes: Vec<u8> = (0..MUCH).map(|n| byte(n * seed)).collect();
            to.write_all(&bytes).unwrap();
            to.shutdown(Shutdown::Write).unwrap();
        })
    };
    let read = |mut from: TcpStream, seed: usize, pause: u64| {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(pause));
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len(), MUCH);
            assert!(bytes.iter().enumerate().all(|(n, got)| *got == byte(n * seed)));
        })
    };
    let all = [
        write(client.try_clone().unwrap(), 3),
        write(end.try_clone().unwrap(), 5),
        read(end, 3, 300),
        read(client, 5, 0),
    ];
    for thread in all {
        thread.join().unwrap();
    }
    assert!(is_over(&rig.stop()));
}

#[test]
fn what_breaks_is_no_end() {
    let (server, rig, port) = tcp();
    // The server breaks off in the midst of an answer.
    let mut client = connect(port);
    let mut end = accept(&server);
    end.write_all(b"half").unwrap();
    let mut got = [0; 4];
    client.read_exact(&mut got).unwrap();
    inet::reset_at_close(end.as_fd());
    drop(end);
    assert_eq!(client.read(&mut got).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    // And the client in the midst of a question.
    let client = connect(port);
    let mut end = accept(&server);
    inet::reset_at_close(client.as_fd());
    drop(client);
    assert_eq!(end.read(&mut got).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    // Nobody listens.
    drop(server);
    let mut client = connect(port);
    assert_eq!(client.read(&mut got).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(is_over(&rig.stop()));
}

#[test]
fn an_answer_arrives_though_its_sender_wants_to_hear_no_more() {
    let (server, rig, port) = tcp();
    let mut client = connect(port);
    let mut end = accept(&server);
    client.write_all(&[1; 100_000]).unwrap();
    end.read_exact(&mut [0; 10]).unwrap();
    end.write_all(b"too much").unwrap();
    // Unread bytes make this a reset.
    drop(end);
    let mut got = [0; 8];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"too much");
    assert!(client.read(&mut got).is_err());
    assert!(is_over(&rig.stop()));
}

#[test]
fn a_port_of_somebody_else_is_named_and_all_is_as_before() {
    let taken = free_port();
    let held = TcpListener::bind((LOOPBACK, taken)).unwrap();
    let mut proxy = Proxy::default();
    let (one, two) = (free_port(), free_port());
    let error = proxy.set(&[forward("tcp", one, 1), forward("tcp", taken, 2)]).unwrap_err();
    let text = format!("Bind for 127.0.0.1:{taken} failed: address already in use");
    assert!(error.to_string().starts_with(&text), "{error}");
    assert!(proxy.descriptor().is_none());
    proxy.set(&[forward("tcp", one, 1)]).unwrap();
    assert!(proxy.set(&[forward("tcp", two, 1), forward("udp", taken, 2)]).is_ok());
    drop(TcpListener::bind((LOOPBACK, one)).unwrap());
    assert!(proxy.set(&[forward("tcp", one, 1), forward("tcp", taken, 2)]).is_err());
    assert!(TcpListener::bind((LOOPBACK, two)).is_err(), "it is served still");
    proxy.set(&[]).unwrap();
    assert!(proxy.descriptor().is_none());
    drop((TcpListener::bind((LOOPBACK, two)).unwrap(), held));
    let range = Forward { ports: "80-82/tcp".parse().unwrap(), ..forward("tcp", 7000, 1) };
    let ports: Vec<_> = ways(&[range]).iter().map(|w| (w.at.port(), w.to.port())).collect();
    assert_eq!(ports, [(7000, 80), (7001, 81), (7002, 82)]);
}

#[test]
fn connections_end_with_the_address_that_they_lead_to() {
    let (server, rig, port) = tcp();
    let mut client = connect(port);
    let _end = accept(&server);
    let mut proxy = rig.stop();
    let mut other = forward("tcp", free_port(), 1);
    let (first, to) = (port, server.local_addr().unwrap().port());
    proxy.set(&[other, forward("tcp", first, to)]).unwrap();
    assert_eq!(proxy.open.as_ref().unwrap().streams.len(), 1);
    other.to = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    proxy.set(&[Forward { to: other.to, ..forward("tcp", first, to) }]).unwrap();
    let way = ways(&[other])[0];
    assert_eq!(
        proxy.open.as_ref().unwrap().listeners.iter().next().unwrap().1.way.to.ip(),
        way.to.ip()
    );
    assert!(is_over(&proxy));
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn conversations_are_kept_apart_and_end_by_silence() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(LONG)).unwrap();
    let port = free_port();
    let mut proxy = Proxy::default();
    let to = server.local_addr().unwrap().port();
    proxy.set(&[forward("udp", port, to)]).unwrap();
    let rig = Rig::start(proxy);
    let clients: Vec<UdpSocket> = (0..3)
        .map(|n: u8| {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect((LOOPBACK, port)).unwrap();
            client.set_read_timeout(Some(LONG)).unwrap();
            client.send(&[n; 3]).unwrap();
            client
        })
        .collect();
    let mut peers = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let mut got = [0; 9];
        let (length, peer) = server.recv_from(&mut got).unwrap();
        assert_eq!(length, 3);
        server.send_to(&got[..1], peer).unwrap();
        peers.insert(peer);
    }
    assert_eq!(peers.len(), 3);
    for (n, client) in (0..).zip(&clients) {
        let mut got = [9; 9];
        assert_eq!((client.recv(&mut got).unwrap(), got[0]), (1, n));
    }
    // A long one arrives whole, and an empty one as well.
    for length in [60_000, 0] {
        clients[0].send(&vec![7; length]).unwrap();
        assert_eq!(server.recv_from(&mut vec![0; 65_000]).unwrap().0, length);
    }
    let mut proxy = rig.stop();
    let now = Instant::now();
    proxy.settle(now + Duration::from_secs(80));
    assert_eq!(proxy.open.as_ref().unwrap().talks.len(), 3);
    assert!(proxy.deadline().unwrap() > now + Duration::from_secs(60));
    proxy.settle(now + Duration::from_secs(91));
    assert!(is_over(&proxy));
    assert_eq!(proxy.deadline(), None);
}

#[test]
fn a_server_that_comes_late_hears_and_a_flood_ends_what_was_silent_longest() {
    let late = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = late.local_addr().unwrap().port();
    drop(late);
    let port = free_port();
    let mut proxy = Proxy::default();
    proxy.set(&[forward("udp", port, to)]).unwrap();
    let serve = |proxy: &mut Proxy| {
        let soon = Instant::now() + LONG;
        let fd = proxy.descriptor().unwrap();
        assert!(poll::wait(&[(fd, Interest::READ)], Some(soon)).unwrap()[0].any());
        proxy.serve();
    };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect((LOOPBACK, port)).unwrap();
    client.send(b"nobody hears").unwrap();
    serve(&mut proxy);
    let server = UdpSocket::bind((LOOPBACK, to)).unwrap();
    server.set_read_timeout(Some(LONG)).unwrap();
    client.send(b"now").unwrap();
    let mut got = [0; 20];
    let rig = Rig::start(proxy);
    assert_eq!(server.recv_from(&mut got).unwrap().0, 3);
    let mut proxy = rig.stop();
    let open = proxy.open.as_mut().unwrap();
    open.most = 2;
    for _ in 0..5 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"flood", (LOOPBACK, port)).unwrap();
        serve(&mut proxy);
        assert!(server.recv_from(&mut got).is_ok());
        assert!(proxy.open.as_ref().unwrap().talks.len() <= 2);
    }
}

#[test]
fn who_finds_no_room_waits() {
    let (server, rig, port) = tcp();
    let mut proxy = rig.stop();
    proxy.open.as_mut().unwrap().most = 2 * PER_STREAM;
    let rig = Rig::start(proxy);
    let clients: Vec<TcpStream> = (0..4).map(|_| connect(port)).collect();
    let mut served = Vec::new();
    for client in clients {
        let mut end = accept(&server);
        end.write_all(b"x").unwrap();
        served.push((client, end));
        if served.len() == 2 {
            std::thread::sleep(Duration::from_millis(50));
            served.clear();
        }
    }
    assert!(is_over(&rig.stop()));
}

#[test]
fn tokens_are_numbers() {
    for token in [
        Token::Listener(0),
        Token::Listener(u32::MAX),
        Token::Stream(7, Side::Client),
        Token::Stream(8, Side::Server),
        Token::Talk(9),
    ] {
        assert_eq!(Token::of(token.number()), token);
    }
}
