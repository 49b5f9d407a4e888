//! Published ports: who gets through, who does not, and who has a port.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::keeper::Keeper;
use super::{HOST, LONG, OUTSIDE, Outside, SHORT};
use super::{address_of, connect, idle, listen, pid_of, rules, talk, talk_udp};

use crate::harness::{Daemon, SOON, count, in_netns, processes_of, wait_for, wait_until};

#[test]
fn a_published_port_is_reached_from_everywhere() {
    reached_from_everywhere(Keeper::Nftables);
}

#[test]
fn a_port_published_by_iptables_is_reached_from_everywhere() {
    reached_from_everywhere(Keeper::Legacy);
}

#[test]
fn a_port_published_by_a_proxy_is_reached_from_everywhere() {
    reached_from_everywhere(Keeper::Nobody);
}

fn reached_from_everywhere(keeper: Keeper) {
    let d = keeper.setup().start();
    let outside = Outside::of(&d);
    let web = idle(&d, "web", &["-p", "8080:80", "-p", "8053:53/udp"]);
    let other = idle(&d, "other", &[]);
    let server = listen(web, "0.0.0.0:80");
    let datagrams = in_netns(web, || UdpSocket::bind("0.0.0.0:53").unwrap());
    let here = d.keeper_pid();

    // Who comes from outside is seen as he is, but by way of a proxy.
    let seen = if keeper.shows_peers() { OUTSIDE } else { "172.17.42.1" };
    assert_eq!(talk(outside.pid(), &format!("{HOST}:8080"), &server).to_string(), seen);
    assert_eq!(talk_udp(outside.pid(), &format!("{HOST}:8053"), &datagrams).to_string(), seen);
    for to in ["127.0.0.1", HOST, "172.17.42.1"] {
        talk(here, &format!("{to}:8080"), &server);
        talk_udp(here, &format!("{to}:8053"), &datagrams);
    }
    for to in [HOST, "172.17.42.1"] {
        talk(other, &format!("{to}:8080"), &server);
        talk_udp(other, &format!("{to}:8053"), &datagrams);
        // The container itself, by way of the host.
        talk(web, &format!("{to}:8080"), &server);
        talk_udp(web, &format!("{to}:8053"), &datagrams);
    }
    d.ok(["stop", "-t", "0", "web"]);
    assert!(connect(outside.pid(), &format!("{HOST}:8080"), SHORT).is_none());
    drop((server, datagrams));
    assert_eq!(keeper.published(&d), 0);
    d.assert_nothing_left_behind();
}

#[test]
fn a_port_on_loopback_is_for_this_host_alone() {
    for_this_host_alone(Keeper::Nftables);
}

#[test]
fn a_port_on_loopback_by_iptables_is_for_this_host_alone() {
    for_this_host_alone(Keeper::Legacy);
}

#[test]
fn a_port_on_loopback_by_a_proxy_is_for_this_host_alone() {
    for_this_host_alone(Keeper::Nobody);
}

fn for_this_host_alone(keeper: Keeper) {
    let d = keeper.setup().start();
    let outside = Outside::of(&d);
    let web = idle(&d, "web", &["-p", "127.0.0.1:8080:80", "-p", &format!("{HOST}:8081:81")]);
    let other = idle(&d, "other", &[]);
    let (server, second) = (listen(web, "0.0.0.0:80"), listen(web, "0.0.0.0:81"));
    talk(d.keeper_pid(), "127.0.0.1:8080", &server);
    talk(outside.pid(), &format!("{HOST}:8081"), &second);
    assert!(connect(d.keeper_pid(), "127.0.0.1:8081", LONG).is_none());
    for from in [outside.pid(), other] {
        assert!(connect(from, &format!("{HOST}:8080"), LONG).is_none());
    }
    // Not even by who sends packets for the loopback address over the cable.
    let open = "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet";
    super::run_in(outside.pid(), "sh", &["-c", open]);
    super::ip(outside.pid(), &["address", "delete", "127.0.0.1/8", "dev", "lo"]);
    super::ip(outside.pid(), &["route", "add", "127.0.0.1", "via", HOST, "src", "192.0.2.2"]);
    assert!(connect(outside.pid(), "127.0.0.1:8080", SHORT).is_none());
    drop((server, second));
    d.assert_nothing_left_behind();
}

#[test]
fn a_port_is_had_once_and_the_container_stays_startable() {
    let d = Daemon::start();
    idle(&d, "one", &["-p", "8080:80"]);
    let out = d.cli(["run", "-d", "--name", "two", "-p", "8080:80", "busybox", "sleep", "99"]);
    let out = out.output();
    assert_eq!(out.code, 125);
    let text = "Bind for 0.0.0.0:8080 failed: port is already allocated";
    assert!(out.stderr.contains(text), "{}", out.stderr);
    assert_eq!(d.status("two"), "created");
    // Another protocol, and another address of two that are told apart, are fine.
    idle(&d, "udp", &["-p", "8080:80/udp"]);
    d.ok(["rm", "-f", "one"]);
    d.ok(["start", "two"]);
    assert_eq!(d.ok(["port", "two", "80"]), "0.0.0.0:8080");

    let listener = listen(d.keeper_pid(), "0.0.0.0:9090");
    let out = d.cli(["run", "-d", "--name", "three", "-p", "9090:80", "busybox", "sleep", "99"]);
    let out = out.output();
    assert!(out.stderr.contains("Bind for 0.0.0.0:9090 failed: address already in use"), "{out:?}");
    drop(listener);
    // A process that another test was starting may have had a copy for a moment.
    wait_until("the port is free", || d.cli(["start", "three"]).output().code == 0);
    talk(d.keeper_pid(), "127.0.0.1:9090", &listen(pid_of(&d, "three"), "0.0.0.0:80"));
    d.assert_nothing_left_behind();
}

#[test]
fn free_ports_are_found_and_all_are_shown() {
    let d = Daemon::start();
    idle(&d, "web", &["-P", "--expose", "80", "--expose", "90-91/udp", "-p", "127.0.0.1:7000:70"]);
    let ports = d.ok(["port", "web"]);
    assert_eq!(
        ports,
        "70/tcp -> 127.0.0.1:7000\n80/tcp -> 0.0.0.0:49153\n90/udp -> 0.0.0.0:49153\n\
         91/udp -> 0.0.0.0:49154"
    );
    idle(&d, "next", &["-p", "80", "--expose", "99"]);
    assert_eq!(
        d.ok(["ps", "--filter", "name=next", "--format", "{{.Ports}}"]),
        "99/tcp, 0.0.0.0:49154->80/tcp"
    );
    let shown = &d.inspect("next")["NetworkSettings"]["Ports"];
    assert_eq!(shown["80/tcp"][0]["HostPort"], "49154");
    assert!(shown["99/tcp"].is_null());
    let out = d.cli(["port", "next", "81"]).output();
    assert_eq!(
        (out.code, out.stderr.as_str()),
        (1, "Error: No public port '81' published for next\n")
    );
    assert_eq!(d.cli(["port", "next", "x"]).output().code, 1);
    d.assert_nothing_left_behind();
}

/// Sends a datagram every few milliseconds until the container's newest server hears one.
fn steady_sender_reaches(client: &UdpSocket, server: &UdpSocket) {
    server.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut buffer = [0; 8];
    let reached = wait_for(Duration::from_secs(3), || {
        client.send(b"ping").ok(); // refused while nobody listens
        server.recv_from(&mut buffer).is_ok()
    });
    assert!(reached, "datagrams go elsewhere");
}

#[test]
fn who_sends_datagrams_steadily_reaches_the_container_that_is_there() {
    let d = Daemon::start();
    let outside = Outside::of(&d);
    let web = idle(&d, "web", &["-p", "8053:53/udp"]);
    let sender = |from: i32, to: String| {
        in_netns(from, move || {
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            client.connect(to).unwrap();
            client
        })
    };
    let clients = [
        sender(outside.pid(), format!("{HOST}:8053")),
        sender(d.keeper_pid(), "127.0.0.1:8053".into()),
    ];
    let serve = |pid| in_netns(pid, || UdpSocket::bind("0.0.0.0:53").unwrap());
    let reached = |server: UdpSocket| {
        clients.iter().for_each(|client| steady_sender_reaches(client, &server));
    };
    reached(serve(web));
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // They never pause, whatever happens to the container.
        for client in &clients {
            let (over, client) = (&over, client.try_clone().unwrap());
            scope.spawn(move || {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    client.send(b"on").ok();
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        let stop = super::OnDrop(|| over.store(true, std::sync::atomic::Ordering::Relaxed));
        d.ok(["restart", "-t", "0", "web"]);
        reached(serve(pid_of(&d, "web")));
        d.ok(["rm", "-f", "web"]);
        std::thread::sleep(Duration::from_millis(50));
        reached(serve(idle(&d, "heir", &["-p", "8053:53/udp"])));
        drop(stop);
    });
    d.assert_nothing_left_behind();
}

#[test]
fn ten_thousand_ports_are_one_rule() {
    let d = Daemon::start();
    let flags = ["-p", "10000-19999:10000-19999"];
    idle(&d, "small", &["-p", "1:1"]);
    let before = memory(d.pid());
    // The quickest of a few: others use the processors as well.
    let took = (0..3).map(|round| {
        if round > 0 {
            d.ok(["rm", "-f", "web"]);
        }
        let begin = Instant::now();
        idle(&d, "web", &flags);
        begin.elapsed()
    });
    let took = took.min().unwrap();
    // The soak is of the release binary, and has the machine for itself.
    let soak = count(0, 1) == 1;
    assert!(took < Duration::from_secs(if soak { 2 } else { 10 }), "{took:?}");
    let web = pid_of(&d, "web");
    // For each of the two a monitor and its program, and no helper.
    assert_eq!(processes_of(&d).len(), 4);
    talk(d.keeper_pid(), "127.0.0.1:17777", &listen(web, "0.0.0.0:17777"));
    assert_eq!(rules(&d).matches("dnat to").count(), 2, "{}", rules(&d));
    // To show them takes memory for a moment only.
    assert_eq!(d.inspect("web")["HostConfig"]["PortBindings"].as_object().unwrap().len(), 10_000);
    d.ok(["ps", "-a"]);
    let monitor = std::fs::read_to_string(format!("/proc/{web}/stat")).unwrap();
    let monitor = monitor.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap();
    let monitor = memory(monitor.parse().unwrap());
    let mut grown = 0;
    let small = wait_for(SOON, || {
        grown = memory(d.pid()).saturating_sub(before);
        grown + monitor < 1_000_000 || !soak && grown < 500_000
    });
    assert!(small, "{grown} bytes more, and {monitor} of the monitor");
    let record = d.root().join("containers").join(d.ok(["ps", "-lq", "--no-trunc"]));
    assert!(std::fs::metadata(record.join("record.json")).unwrap().len() < 4096);
    // A range may be shifted, and looks the same from outside.
    let other = idle(&d, "other", &["-p", "8000-8002:80-82"]);
    talk(d.keeper_pid(), "127.0.0.1:8002", &listen(other, "0.0.0.0:82"));
    assert_eq!(
        d.ok(["ps", "--filter", "name=web", "--format", "{{.Ports}}"]),
        "0.0.0.0:10000-19999->10000-19999/tcp"
    );
    d.assert_nothing_left_behind();
}

/// Bytes of memory that no file stands behind: pages of the program are shared with others or not,
/// as these come and go.
fn memory(pid: i32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Anonymous")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn more_ports_than_fit_are_refused_with_a_word_about_it() {
    let d = Daemon::start();
    for range in ["1-65535:1-65535", "20000-35999:20000-35999"] {
        let out = d.cli(["run", "-d", "-p", range, "busybox", "true"]).output();
        assert_eq!(out.code, 125);
        let text = "of one container some 10000 ports can be published";
        assert_eq!(out.stderr.matches(text).count(), 1, "{}", out.stderr);
    }
    // A client that looks for the answer when it has sent all gets it.
    let ports = (1..=65_535).map(|port| {
        (format!("{port}/tcp"), serde_json::json!([{"HostIp": "", "HostPort": port.to_string()}]))
    });
    let ports: serde_json::Map<String, serde_json::Value> = ports.collect();
    let body = serde_json::json!({"Image": "busybox", "HostConfig": {"PortBindings": ports}});
    let before = memory(d.pid());
    let reply = d.post("/containers/create", &body);
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("some 10000 ports"), "{}", reply.text());
    let grown = || memory(d.pid()).saturating_sub(before);
    assert!(wait_for(SOON, || grown() < 500_000), "{} bytes more", grown());
    d.assert_nothing_left_behind();
}

#[test]
fn ports_belong_to_containers_with_a_network_of_their_own() {
    let d = Daemon::start();
    let out = d.cli(["run", "--rm", "--net", "host", "-p", "80:80", "busybox", "true"]).output();
    assert_eq!(out.code, 0);
    assert!(out.stderr.contains("Published ports are discarded"), "{}", out.stderr);
    idle(&d, "peer", &[]);
    let out = d.cli(["run", "--net", "container:peer", "-p", "80:80", "busybox", "true"]).output();
    assert_eq!(out.code, 125);
    assert!(out.stderr.contains("conflicting options"), "{}", out.stderr);
    for wrong in ["x", "80:x", "x:80", "80/x", "1-2:3-5"] {
        assert_eq!(d.cli(["run", "-p", wrong, "busybox", "true"]).output().code, 125, "{wrong}");
    }
    assert_eq!(address_of(&d, "peer"), "172.17.0.2");
    d.assert_nothing_left_behind();
}
