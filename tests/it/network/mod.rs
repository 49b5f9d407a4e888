//! Containers on the network. The host of these tests is the daemon's network namespace; another
//! one is the world outside, on a cable to the host.

mod bridge;
mod dns;
mod flush;
mod keeper;
mod made;
mod proxy;
mod publish;
mod survive;
mod v6;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Daemon, in_netns};

/// Addresses of the cable's two ends.
const HOST: &str = "192.0.2.1";
const OUTSIDE: &str = "192.0.2.2";
/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(20);
/// How long it is tried to get through where nobody may.
const SHORT: Duration = Duration::from_millis(400);

/// A host on a cable to the daemon's.
struct Outside {
    keeper: Child,
}

impl Outside {
    #[track_caller]
    fn of(d: &Daemon) -> Outside {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up; echo; exec sleep 100000"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        keeper.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let outside = Outside { keeper };
        let there = outside.pid().to_string();
        ip(d.keeper_pid(), &["link", "add", "out0", "type", "veth", "peer", "name", "eth0"]);
        ip(d.keeper_pid(), &["link", "set", "eth0", "netns", &there]);
        for (pid, link, address) in
            [(d.keeper_pid(), "out0", HOST), (outside.pid(), "eth0", OUTSIDE)]
        {
            ip(pid, &["address", "add", &format!("{address}/24"), "dev", link]);
            ip(pid, &["link", "set", link, "up"]);
        }
        outside
    }

    fn pid(&self) -> i32 {
        self.keeper.id() as i32
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}

/// Runs `program` in the network namespace of process `pid`: its output; it must succeed.
#[track_caller]
fn run_in(pid: i32, program: &str, args: &[&str]) -> String {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &pid.to_string(), program]).args(args);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[track_caller]
fn ip(pid: i32, args: &[&str]) -> String {
    run_in(pid, "ip", args)
}

/// Starts a container that waits: the pid of its program.
#[track_caller]
fn idle(d: &Daemon, name: &str, flags: &[&str]) -> i32 {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(flags);
    args.extend(["busybox", "sleep", "100000"]);
    d.ok(args);
    pid_of(d, name)
}

#[track_caller]
fn pid_of(d: &Daemon, name: &str) -> i32 {
    d.inspect(name)["State"]["Pid"].as_i64().unwrap() as i32
}

#[track_caller]
fn address_of(d: &Daemon, name: &str) -> String {
    d.inspect(name)["NetworkSettings"]["IPAddress"].as_str().unwrap().to_owned()
}

/// The address of a container on one of its networks.
#[track_caller]
fn on(d: &Daemon, name: &str, network: &str) -> String {
    let networks = &d.inspect(name)["NetworkSettings"]["Networks"];
    networks[network]["IPAddress"].as_str().unwrap_or_default().to_owned()
}

/// A socket that listens in the namespace of `pid`.
#[track_caller]
fn listen(pid: i32, at: &str) -> TcpListener {
    let at = at.to_owned();
    in_netns(pid, move || TcpListener::bind(&at).unwrap())
}

/// A connection from the namespace of `pid`, `None` when nobody answers in time.
fn connect(pid: i32, to: &str, limit: Duration) -> Option<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    in_netns(pid, move || TcpStream::connect_timeout(&to, limit).ok())
}

/// Connects from `from` to `to`, which leads to `listener`; both say something. Gives the address
/// that the listener sees.
#[track_caller]
fn talk(from: i32, to: &str, listener: &TcpListener) -> IpAddr {
    let mut client = connect(from, to, LONG).unwrap_or_else(|| panic!("no way to {to}"));
    let (mut server, peer) = listener.accept().unwrap();
    for end in [&client, &server] {
        end.set_read_timeout(Some(LONG)).unwrap();
    }
    let mut buffer = [0; 4];
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut buffer).unwrap();
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"pong");
    peer.ip()
}

/// The same with datagrams.
#[track_caller]
fn talk_udp(from: i32, to: &str, server: &UdpSocket) -> IpAddr {
    let to: SocketAddr = to.parse().unwrap();
    let client = in_netns(from, move || {
        let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let client = UdpSocket::bind(any).unwrap();
        client.connect(to).unwrap();
        client
    });
    for end in [&client, server] {
        end.set_read_timeout(Some(LONG)).unwrap();
    }
    let mut buffer = [0; 8];
    client.send(b"ping").unwrap();
    let (length, peer) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"ping");
    server.send_to(b"pong", peer).unwrap();
    let length = client.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"pong");
    peer.ip()
}

/// Does something at the end of a block, also of one that panics.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// The interfaces of containers on the daemon's host.
fn veths(d: &Daemon) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/net/dev", d.keeper_pid())).unwrap();
    let names = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    names.filter(|name| name.starts_with("veth")).map(str::to_owned).collect()
}

/// The packet rules of the daemon's host, as nft(8) shows them.
fn rules(d: &Daemon) -> String {
    run_in(d.keeper_pid(), "nft", &["list", "ruleset"])
}
