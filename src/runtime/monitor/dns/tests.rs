//! A name server in a network namespace of its own, with other servers to ask.

// Lengths here are small.
#![allow(clippy::cast_possible_truncation)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::runtime::dns::names::{FILE, Text};

const PATIENCE: Duration = Duration::from_secs(20);

/// A question for the addresses of a name.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut packet = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// What a server answers: the question with this code, and an address.
fn answer(packet: &[u8], code: u8, address: [u8; 4]) -> Vec<u8> {
    let mut answer = packet.to_vec();
    answer[2] |= 0x80;
    answer[3] = code;
    if code == 0 {
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
        answer.extend(address);
    }
    answer
}

/// The last four bytes, and the code.
fn told(answer: &[u8]) -> (Vec<u8>, u8) {
    (answer[answer.len() - 4..].to_vec(), message::code(answer))
}

struct Rig {
    dir: PathBuf,
    over: Arc<AtomicBool>,
    at: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Rig {
    /// Runs in the namespace of the calling thread.
    fn new(name: &str, fill: impl FnOnce(&mut Text)) -> Rig {
        let dir = std::env::temp_dir().join(format!("skiff-dns-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut own = Text::default();
        own.on("n");
        fill(&mut own);
        own.write(&dir.join(FILE)).unwrap();
        let mut network = Text::default();
        network.network("mine");
        for last in 1..=3 {
            network.at([10, 0, 0, last].into(), &["web"]);
        }
        network.write(&dir.join("n")).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.11:0").unwrap();
        let at = datagrams.local_addr().unwrap();
        let streams = TcpListener::bind(at).unwrap();
        let inside = File::open("/proc/thread-self/ns/net").unwrap().into();
        let sockets = Sockets { datagrams, streams, inside };
        let mut server = NameServer::new(sockets, &dir, &dir).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let (mut set, mut parts) = (PollSet::new(), Vec::new());
                server.watch(&mut set, |part| parts.push(part));
                let soon = Instant::now() + Duration::from_millis(20);
                set.wait(Some(server.deadline().unwrap_or(soon).min(soon))).unwrap();
                for (index, part) in parts.into_iter().enumerate() {
                    let ready = set.ready(index);
                    if ready.any() {
                        server.handle(part, ready);
                    }
                }
                server.settle(Instant::now());
                assert!(server.asked.len() <= MOST_ASKED && server.clients.len() <= MOST_CLIENTS);
            }
        });
        Rig { dir, over, at, thread: Some(thread) }
    }

    fn ask(&self, packet: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE / 5)).unwrap();
        let mut buffer = [0; 9000];
        // As resolvers do it: a datagram may get lost among many.
        for _ in 0..5 {
            socket.send_to(packet, self.at).unwrap();
            if let Ok(length) = socket.recv(&mut buffer) {
                return buffer[..length].to_vec();
            }
        }
        panic!("no answer")
    }

    fn ask_by_stream(&self, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for packet in packets {
            stream.write_all(&(packet.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(packet).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let mut answers = Vec::new();
        while !all.is_empty() {
            let length = usize::from(u16::from_be_bytes([all[0], all[1]]));
            answers.push(all[2..2 + length].to_vec());
            all.drain(..2 + length);
        }
        answers
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        drop(std::fs::remove_dir_all(&self.dir));
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// Runs `work` in a network namespace of its own.
fn apart(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| match ns::unshare(NsKind::Net).and_then(|()| ns::loopback_up()) {
            Ok(()) => work(),
            Err(error) => eprintln!("skipped: {error}"),
        });
    });
}

/// A server at port 53 of an address, as long as the test: what it says by datagram and by stream.
fn upstream(address: &str, say: impl Fn(&[u8], bool) -> Option<Vec<u8>> + Send + Clone + 'static) {
    let datagrams = UdpSocket::bind((address, 53)).unwrap();
    let streams = TcpListener::bind((address, 53)).unwrap();
    let by_stream = say.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = datagrams.recv_from(&mut buffer) {
            if let Some(answer) = say(&buffer[..length], false) {
                datagrams.send_to(&answer, from).unwrap();
            }
        }
    });
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = streams.accept() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut packet).unwrap();
            if let Some(answer) = by_stream(&packet, true) {
                stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
                stream.write_all(&answer).unwrap();
            }
        }
    });
}

#[test]
fn names_of_peers_are_answered_in_turn() {
    apart(|| {
        let rig = Rig::new("peers", |own| own.alias("store", "web"));
        let mut firsts = std::collections::BTreeSet::new();
        for id in 0..6 {
            let answer = rig.ask(&question(id, "store"));
            assert_eq!(message::id(&answer), Some(id));
            assert_eq!((answer[7], message::code(&answer)), (3, 0));
            firsts.insert(answer[38]);
        }
        assert_eq!(firsts.len(), 3);
        // Nobody is there to be asked for others.
        assert_eq!(message::code(&rig.ask(&question(9, "other"))), 2);
        let mut six = question(10, "web.mine");
        let at = six.len() - 3;
        six[at] = 28;
        let answer = rig.ask(&six);
        assert_eq!((answer[7], message::code(&answer)), (0, 0));
        let answers =
            rig.ask_by_stream(&[question(1, "web"), question(2, "x"), question(3, "WEB")]);
        let codes: Vec<u8> = answers.iter().map(|answer| message::code(answer)).collect();
        assert_eq!(codes, [0, 2, 0]);
    });
}

#[test]
fn others_are_asked_until_one_knows() {
    apart(|| {
        let silent = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&silent);
        upstream("127.0.0.2", move |_, _| {
            heard.fetch_add(1, Ordering::Relaxed);
            None
        });
        upstream("127.0.0.3", |packet, _| Some(answer(packet, 2, [0; 4])));
        upstream("127.0.0.4", |packet, stream| match stream {
            false if packet[13] == b'l' => {
                let mut cut = answer(packet, 0, [9, 9, 9, 9]);
                cut[2] |= 2;
                Some(cut)
            }
            _ if packet[13] == b'n' => Some(answer(packet, 3, [0; 4])),
            _ => Some(answer(packet, 0, [5, 6, 7, 8 + u8::from(stream)])),
        });
        let rig = Rig::new("others", |own| {
            own.ask("127.0.0.99");
            own.ask_inside("127.0.0.2");
            own.ask("127.0.0.3");
            own.ask("127.0.0.4");
        });
        let began = Instant::now();
        let answer = rig.ask(&question(0xabcd, "example.org"));
        assert_eq!(told(&answer), (vec![5, 6, 7, 8], 0));
        assert_eq!(message::id(&answer), Some(0xabcd));
        assert!(began.elapsed() >= Duration::from_secs(2));
        // From now on the one that has answered is asked first.
        let asked = silent.load(Ordering::Relaxed);
        assert!(asked >= 1);
        assert_eq!(message::code(&rig.ask(&question(2, "nowhere.org"))), 3);
        let long = question(3, "long.org");
        assert!(message::is_truncated(&rig.ask(&long)));
        let answers = rig.ask_by_stream(&[long, question(4, "web"), question(5, "b.org")]);
        assert_eq!(told(&answers[0]), (vec![5, 6, 7, 9], 0));
        assert_eq!((answers[1][7], told(&answers[2]).0), (3, vec![5, 6, 7, 9]));
        assert_eq!(silent.load(Ordering::Relaxed), asked);
    });
}

#[test]
fn what_makes_no_sense_and_too_much_of_it_does_no_harm() {
    apart(|| {
        upstream("127.0.0.2", |_, _| None);
        let rig = Rig::new("harm", |own| own.ask("127.0.0.2"));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = |packet: &[u8]| drop(socket.send_to(packet, rig.at));
        let mut seed = 1_u64;
        for round in 0..2000 {
            let mut packet = question(round, "a.example.org");
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (seed >> 33) as usize % packet.len();
                packet[at] = seed.to_be_bytes()[1];
            }
            send(&packet[..packet.len() - usize::from(round % 5)]);
        }
        send(&[0; 5000]);
        let streams: Vec<TcpStream> = (0..3 * MOST_CLIENTS)
            .map(|_| {
                let mut stream = TcpStream::connect(rig.at).unwrap();
                stream.write_all(&[0, 200, 1, 2, 3]).unwrap();
                stream
            })
            .collect();
        let mut stream = TcpStream::connect(rig.at).unwrap();
        stream.write_all(&[255, 255, 0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        assert_eq!(rig.ask(&question(7, "web"))[7], 3);
        let full = rig.ask_by_stream(&[question(8, "web")]);
        assert_eq!(full[0][7], 3);
        drop(streams);
    });
}
