//! What containers know by name, and whom they ask for the rest.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{LONG, OUTSIDE, Outside};
use super::{idle, pid_of, run_in};
use crate::harness::{Daemon, Setup, count, in_netns, wait_until};

/// Gives the daemon's host an /etc of its own, with this server.
fn with_server(server: &str) -> Setup {
    Setup::new().prepare(&format!(
        "mount -t tmpfs tmp /mnt && mkdir /mnt/u /mnt/w && mount -t overlay \
         -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w over /etc && rm -f /etc/resolv.conf && \
         printf 'nameserver {server}\\nsearch home.test\\n' > /etc/resolv.conf"
    ))
}

/// Runs a script where the daemon runs.
#[track_caller]
fn on_host(d: &Daemon, script: &str) {
    let mut command = Command::new("nsenter");
    command.args([
        "--net",
        "--mount",
        "--target",
        &d.keeper_pid().to_string(),
        "sh",
        "-ec",
        script,
    ]);
    assert!(command.status().unwrap().success(), "{script}");
}

/// The address of a container on a network.
#[track_caller]
fn on(d: &Daemon, name: &str, network: &str) -> String {
    let networks = &d.inspect(name)["NetworkSettings"]["Networks"];
    networks[network]["IPAddress"].as_str().unwrap_or_default().to_owned()
}

/// What nslookup inside of a container says of a name: addresses in order, or the name of an
/// address.
fn look_up(d: &Daemon, container: &str, name: &str) -> String {
    let mut args = vec!["exec", container, "nslookup"];
    if name.parse::<Ipv4Addr>().is_err() {
        args.push("-type=a");
    }
    args.push(name);
    let out = d.cli(args).output();
    let (_, answer) = out.stdout.split_once("\n\n").unwrap_or_default();
    let value = |line: &str| {
        let address = line.strip_prefix("Address: ").map(str::to_owned);
        address.or_else(|| line.split_once("name = ").map(|(_, name)| name.to_owned()))
    };
    let found: std::collections::BTreeSet<String> = answer.lines().filter_map(value).collect();
    found.into_iter().collect::<Vec<_>>().join(" ")
}

/// A question for the addresses of a name, of these types.
fn question(name: &str, kind: u8) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, kind, 0, 1]);
    packet
}

/// Asks from the namespace of `pid` by datagram.
#[track_caller]
fn ask(pid: i32, name: &str, kind: u8) -> Vec<u8> {
    let packet = question(name, kind);
    in_netns(pid, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.connect("127.0.0.11:53").unwrap();
        socket.send(&packet).unwrap();
        let mut buffer = [0; 9000];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..2], packet[..2]);
        buffer[..length].to_vec()
    })
}

/// The same by a stream.
#[track_caller]
fn ask_by_stream(pid: i32, name: &str) -> Vec<u8> {
    let packet = question(name, 1);
    in_netns(pid, move || {
        let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(&(packet.len() as u16).to_be_bytes()).unwrap();
        stream.write_all(&packet).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        answer
    })
}

/// Takes the place of our table in the namespace of `pid`, as long as the program runs: no packet
/// rule can be made for the name server then.
#[track_caller]
fn without_rules_for_names(pid: i32) -> Child {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &pid.to_string(), "nft", "-i"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut owner = command.spawn().unwrap();
    let input = owner.stdin.as_mut().unwrap();
    input.write_all(b"add table ip skiff-names { flags owner; }\n").unwrap();
    wait_until("the table is taken", || run_in(pid, "nft", &["list", "tables"]).contains("names"));
    owner
}

#[test]
fn without_a_packet_rule_the_name_server_is_at_port_53_itself() {
    let d = Daemon::start();
    d.ok(["network", "create", "mine"]);
    idle(&d, "peer", &["--network", "mine"]);
    let web = idle(&d, "web", &[]);
    let mut owner = without_rules_for_names(web);
    // It is another's already: the container stays as it was.
    for take in [
        || drop_later(UdpSocket::bind("0.0.0.0:53").unwrap()),
        || drop_later(TcpListener::bind("0.0.0.0:53").unwrap()),
    ] {
        let taken = in_netns(web, take);
        let out = d.cli(["network", "connect", "mine", "web"]).output();
        assert_eq!(out.code, 1);
        let text = "a program of the container has port 53, and no packet rule leads around it";
        assert!(out.stderr.contains(text), "{}", out.stderr);
        assert_eq!(on(&d, "web", "mine"), "");
        drop(taken);
    }
    d.ok(["network", "connect", "mine", "web"]);
    assert_eq!(look_up(&d, "web", "peer"), on(&d, "peer", "mine"));
    assert_eq!(ask_by_stream(web, "peer")[7], 1);
    assert!(in_netns(web, || UdpSocket::bind("0.0.0.0:53").is_err()), "it is there itself");
    owner.kill().unwrap();
    owner.wait().unwrap();
    d.assert_nothing_left_behind();
}

fn drop_later(socket: impl std::any::Any + Send) -> Box<dyn std::any::Any + Send> {
    Box::new(socket)
}

/// A name server of a test, as long as this value.
struct Server {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// What a name server of a test says: names that begin with `x` are unknown, those with `l` are
/// cut in datagrams, all others have the address given.
fn answer(packet: &[u8], stream: bool, says: Ipv4Addr) -> Vec<u8> {
    let mut answer = packet.to_vec();
    answer[2] |= 0x80;
    answer[3] = 0x80;
    match packet[13] {
        b'x' => answer[3] |= 3,
        b'l' if !stream => answer[2] |= 2,
        _ => {
            answer[7] = 1;
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
            answer.extend(says.octets());
        }
    }
    answer
}

/// Answers at port 53 in the namespace of `pid`.
fn server(pid: i32, address: &str, says: Ipv4Addr) -> Server {
    let at = format!("{address}:53");
    let (datagrams, streams) =
        in_netns(pid, move || (UdpSocket::bind(&at).unwrap(), TcpListener::bind(&at).unwrap()));
    let short = Duration::from_millis(10);
    datagrams.set_read_timeout(Some(short)).unwrap();
    streams.set_nonblocking(true).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let by_datagram = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while !ends.load(Ordering::Relaxed) {
            if let Ok((length, from)) = datagrams.recv_from(&mut buffer) {
                datagrams.send_to(&answer(&buffer[..length], false, says), from).unwrap();
            }
        }
    });
    let ends = Arc::clone(&over);
    let by_stream = std::thread::spawn(move || {
        while !ends.load(Ordering::Relaxed) {
            let Ok((mut stream, _)) = streams.accept() else {
                std::thread::sleep(short);
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut packet).unwrap();
            let answer = answer(&packet, true, says);
            stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    Server { over, threads: vec![by_datagram, by_stream] }
}

/// The code of an answer, and the address that it ends with.
fn told(answer: &[u8]) -> (u8, Ipv4Addr) {
    let end: [u8; 4] = answer[answer.len() - 4..].try_into().unwrap();
    (answer[3] & 0xf, end.into())
}

#[test]
fn names_of_two_networks() {
    let d = Daemon::start();
    d.ok(["network", "create", "one"]);
    d.ok(["network", "create", "two"]);
    let web = idle(&d, "web", &["--network", "one"]);
    idle(&d, "db", &["--network", "one", "--network-alias", "store", "--hostname", "box"]);
    idle(&d, "db2", &["--network", "one", "--network-alias", "store"]);
    idle(&d, "far", &["--network", "two"]);
    idle(&d, "both", &["--network", "one", "--network", "two", "--link", "db:base"]);
    let db = on(&d, "db", "one");
    let id = d.inspect("db")["Id"].as_str().unwrap()[..12].to_owned();
    for name in ["db", "DB", "db.one", "box", &id] {
        assert_eq!(look_up(&d, "web", name), db, "{name}");
    }
    assert_eq!(look_up(&d, "web", "web"), on(&d, "web", "one"));
    assert_eq!(look_up(&d, "web", "store"), format!("{db} {}", on(&d, "db2", "one")));
    assert_eq!(look_up(&d, "web", &db), "db.one");
    for name in ["far", "base", "db.two", "one"] {
        assert_eq!(look_up(&d, "web", name), "", "{name}");
    }
    assert_eq!(look_up(&d, "both", "far"), on(&d, "far", "two"));
    assert_eq!(look_up(&d, "both", "base"), db);
    assert_eq!(look_up(&d, "far", "both"), on(&d, "both", "two"));
    // Of a peer nothing but its addresses is known, yet it exists.
    let answer = ask(web, "db", 28);
    assert_eq!((answer[3] & 0xf, answer[7]), (0, 0));
    let firsts: Vec<_> = (0..4).map(|_| told(&ask(web, "store", 1)).1).collect();
    assert!(firsts.iter().any(|first| *first != firsts[0]), "{firsts:?}");
    // Peers are in no file of the container.
    let hosts = d.ok(["exec", "web", "cat", "/etc/hosts"]);
    assert!(!hosts.contains(&db), "{hosts}");
    let resolv = d.ok(["exec", "web", "cat", "/etc/resolv.conf"]);
    assert!(resolv.starts_with("nameserver 127.0.0.11\n"), "{resolv}");
    assert!(resolv.contains("ndots:0"), "{resolv}");

    // What changes shows at once.
    d.ok(["rename", "db", "base"]);
    assert_eq!((look_up(&d, "web", "base"), look_up(&d, "web", "db")), (db.clone(), String::new()));
    assert_eq!(look_up(&d, "base", "base"), db);
    d.ok(["network", "connect", "--alias", "guest", "one", "far"]);
    assert_eq!(look_up(&d, "web", "guest"), on(&d, "far", "one"));
    assert_eq!(look_up(&d, "far", "web"), on(&d, "web", "one"));
    d.ok(["network", "disconnect", "one", "far"]);
    assert_eq!(look_up(&d, "web", "guest"), "");
    assert_eq!(look_up(&d, "far", "web"), "");
    d.ok(["stop", "-t", "0", "base"]);
    assert_eq!(look_up(&d, "web", "base"), "");
    d.ok(["start", "base"]);
    assert_eq!(look_up(&d, "web", "base"), on(&d, "base", "one"));
    d.ok(["rm", "-f", "base"]);
    assert_eq!(look_up(&d, "web", "base"), "");
    // One from the default network, which has had no name server.
    idle(&d, "late", &[]);
    let before = d.ok(["exec", "late", "cat", "/etc/resolv.conf"]);
    assert!(!before.contains("127.0.0.11"), "{before}");
    d.ok(["network", "connect", "one", "late"]);
    assert_eq!(look_up(&d, "late", "web"), on(&d, "web", "one"));
    assert_eq!(look_up(&d, "web", "late"), on(&d, "late", "one"));
    d.ok(["network", "disconnect", "one", "late"]);
    assert_eq!(d.ok(["exec", "late", "cat", "/etc/resolv.conf"]), before);
    d.assert_nothing_left_behind();
    let left = std::fs::read_dir(d.run_root().join("networks")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn the_first_thing_that_a_program_does_may_be_a_question() {
    let d = Daemon::start();
    d.ok(["network", "create", "mine"]);
    idle(&d, "db", &["--network", "mine"]);
    for _ in 0..count(3, 50) {
        let script = "nslookup -type=a db && nslookup -type=a self";
        d.ok(["run", "--rm", "--name", "self", "--network", "mine", "busybox", "sh", "-c", script]);
    }
    // Who shares a network asks the same server.
    let args = ["run", "--rm", "--network", "container:db", "busybox", "nslookup", "-type=a", "db"];
    assert!(d.ok(args).contains(&on(&d, "db", "mine")));
    d.assert_nothing_left_behind();
}

#[test]
fn what_is_not_known_is_asked_of_the_hosts_servers() {
    let mut d = with_server(OUTSIDE).start();
    let outside = Outside::of(&d);
    let _server1 = server(outside.pid(), OUTSIDE, [5, 6, 7, 8].into());
    d.ok(["network", "create", "mine"]);
    let web = idle(&d, "web", &["--network", "mine"]);
    idle(&d, "db", &["--network", "mine"]);
    assert_eq!(look_up(&d, "web", "example.org"), "5.6.7.8");
    assert_eq!(told(&ask(web, "xyz.org", 1)).0, 3);
    // An answer that was cut is asked for again by a stream.
    assert_eq!(ask(web, "long.org", 1)[2] & 2, 2);
    assert_eq!(told(&ask_by_stream(web, "long.org")), (0, [5, 6, 7, 8].into()));
    let db: Ipv4Addr = on(&d, "db", "mine").parse().unwrap();
    assert_eq!(told(&ask_by_stream(web, "db")), (0, db));

    // While no daemon is there, names are known and questions are passed on; a new server of the
    // host, at its loopback, is asked as soon as it is named.
    d.kill9();
    assert_eq!(told(&ask(web, "db", 1)), (0, db));
    assert_eq!(told(&ask(web, "example.org", 1)), (0, [5, 6, 7, 8].into()));
    let _server2 = server(d.keeper_pid(), "127.0.0.53", [9, 9, 9, 9].into());
    on_host(&d, "echo nameserver 127.0.0.53 > /etc/new; mv /etc/new /etc/resolv.conf");
    assert_eq!(told(&ask(web, "example.org", 1)), (0, [9, 9, 9, 9].into()));
    assert_eq!(told(&ask_by_stream(web, "long.org")), (0, [9, 9, 9, 9].into()));
    d.restart();
    assert_eq!(look_up(&d, "web", "example.org"), "9.9.9.9");
    assert_eq!(look_up(&d, "web", "db"), db.to_string());
    idle(&d, "new", &["--network", "mine"]);
    assert_eq!(look_up(&d, "web", "new"), on(&d, "new", "mine"));

    // Nothing of it gets out of an internal network.
    d.ok(["network", "create", "--internal", "inner"]);
    let inner = idle(&d, "inner", &["--network", "inner"]);
    assert_eq!(told(&ask(inner, "example.org", 1)).0, 2);
    assert_eq!(look_up(&d, "inner", "inner"), on(&d, "inner", "inner"));
    d.assert_nothing_left_behind();
}

#[test]
fn a_container_may_be_a_name_server_itself() {
    let d = with_server("127.0.0.53").start();
    let _server3 = server(d.keeper_pid(), "127.0.0.53", [9, 9, 9, 9].into());
    d.ok(["network", "create", "mine"]);
    let hole = idle(&d, "hole", &["--network", "mine"]);
    let hole_server = server(hole, "0.0.0.0", [1, 1, 1, 1].into());
    assert_eq!(look_up(&d, "hole", "example.org"), "9.9.9.9");
    let address = on(&d, "hole", "mine");
    assert_eq!(told(&ask(hole, "hole", 1)).1.to_string(), address);
    // Others that are told to ask it do, from their own network.
    let flags = ["--network", "mine", "--dns", &address, "--dns-search", "lan.test"];
    let web = idle(&d, "web", &flags);
    assert_eq!(look_up(&d, "web", "example.org"), "1.1.1.1");
    assert_eq!(told(&ask(web, "hole", 1)).1.to_string(), address);
    idle(&d, "own", &["--network", "mine", "--dns", "127.0.0.1"]);
    let own_server = server(pid_of(&d, "own"), "127.0.0.1", [2, 2, 2, 2].into());
    assert_eq!(look_up(&d, "own", "example.org"), "2.2.2.2");
    let resolv = d.ok(["exec", "web", "cat", "/etc/resolv.conf"]);
    assert_eq!(resolv, "nameserver 127.0.0.11\nsearch lan.test\noptions ndots:0");
    // Their sockets keep the networks of the containers alive.
    drop((hole_server, own_server));
    d.assert_nothing_left_behind();
}

#[test]
fn running_containers_follow_the_hosts_servers() {
    let mut d = with_server(OUTSIDE).start();
    let outside = Outside::of(&d);
    let _server6 = server(outside.pid(), OUTSIDE, [5, 6, 7, 8].into());
    let resolv = |name: &str| d.ok(["exec", name, "cat", "/etc/resolv.conf"]);
    idle(&d, "web", &[]);
    idle(&d, "shares", &["--network", "container:web"]);
    idle(&d, "stubborn", &[]);
    idle(&d, "own", &["--dns", "192.0.2.77"]);
    assert_eq!(resolv("web"), format!("nameserver {OUTSIDE}\nsearch home.test"));
    assert_eq!(look_up(&d, "web", "example.org"), "5.6.7.8");
    d.ok(["exec", "stubborn", "sh", "-c", "echo nameserver 192.0.2.99 > /etc/resolv.conf"]);
    // By a link to a file that is replaced, as programs do that manage the host's network.
    on_host(
        &d,
        "mkdir -p /etc/deep; printf 'nameserver 192.0.2.3\\n' > /etc/deep/conf; \
         ln -s deep/conf /etc/link; mv /etc/link /etc/resolv.conf",
    );
    let becomes = |name: &str, server: &str| {
        let text = format!("nameserver {server}");
        wait_until(server, || resolv(name) == text);
    };
    becomes("web", "192.0.2.3");
    becomes("shares", "192.0.2.3");
    on_host(&d, "echo nameserver 192.0.2.4 > /etc/deep/new; mv /etc/deep/new /etc/deep/conf");
    becomes("web", "192.0.2.4");
    on_host(&d, "echo nameserver 192.0.2.5 > /etc/deep/conf");
    becomes("web", "192.0.2.5");
    becomes("shares", "192.0.2.5");
    assert_eq!(resolv("stubborn"), "nameserver 192.0.2.99");
    assert!(resolv("own").starts_with("nameserver 192.0.2.77"));
    // What happened while no daemon was there is made up for.
    d.kill9();
    on_host(&d, "echo nameserver 192.0.2.2 > /etc/deep/conf");
    d.restart();
    wait_until("the file follows", || {
        d.ok(["exec", "web", "cat", "/etc/resolv.conf"]) == "nameserver 192.0.2.2"
    });
    assert_eq!(look_up(&d, "web", "example.org"), "5.6.7.8");
    d.assert_nothing_left_behind();
}

#[test]
fn files_say_what_the_flags_say() {
    let d = with_server(OUTSIDE).start();
    let run = |flags: &[&str], file: &str| {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["busybox", "cat", file]);
        d.ok(args)
    };
    let dns = ["--dns", "10.1.1.1", "--dns", "fd00::1", "--dns-search", "a.test"];
    assert_eq!(
        run(&[&dns[..], &["--dns-option", "timeout:1"]].concat(), "/etc/resolv.conf"),
        "nameserver 10.1.1.1\nnameserver fd00::1\nsearch a.test\noptions timeout:1"
    );
    assert_eq!(run(&["--dns-search", "."], "/etc/resolv.conf"), format!("nameserver {OUTSIDE}"));
    let hosts = run(
        &[
            "--add-host",
            "db:10.9.9.9",
            "--add-host",
            "up=host-gateway",
            "-h",
            "box",
            "--domainname",
            "b.test",
        ],
        "/etc/hosts",
    );
    assert!(hosts.contains("10.9.9.9\tdb\n172.17.42.1\tup\n"), "{hosts}");
    assert!(hosts.ends_with("\tbox.b.test box"), "{hosts}");
    assert_eq!(
        run(&["-h", "box", "--domainname", "b.test"], "/proc/sys/kernel/domainname"),
        "b.test"
    );
    assert_eq!(run(&["-h", "box"], "/etc/hostname"), "box");
    for (flags, why) in [
        (["--dns", "x"], "not an ip address"),
        (["--dns-search", "a b"], "search domain"),
        (["--add-host", "db:x"], "invalid"),
    ] {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        let out = d.cli(args.into_iter().chain(["busybox", "true"])).output();
        assert!(out.code != 0 && out.stderr.contains(why), "{flags:?}: {}", out.stderr);
    }
    d.assert_nothing_left_behind();
}
