//! The default bridge: addresses, the way out, the way to each other.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::keeper::Keeper;
use super::{HOST, LONG, OUTSIDE, Outside, SHORT};
use super::{address_of, connect, idle, ip, listen, on, rules, run_in, talk, veths};
use crate::harness::{
    Daemon, SOON, Setup, count, descriptors, processes_of, threads, wait_for, wait_until,
};

#[test]
fn a_container_has_an_address_a_gateway_and_a_name() {
    let d = Daemon::start();
    let bridge = ip(d.keeper_pid(), &["-o", "-4", "address", "show", "docker0"]);
    assert!(bridge.contains("172.17.42.1/16"), "{bridge}");
    let pid = idle(&d, "one", &["-h", "box.example.org"]);
    let shown = d.inspect("one")["NetworkSettings"].clone();
    assert_eq!(shown["IPAddress"], "172.17.0.2");
    assert_eq!(shown["IPPrefixLen"], 16);
    assert_eq!(shown["Gateway"], "172.17.42.1");
    assert_eq!(shown["Bridge"], "docker0");
    assert_eq!(shown["MacAddress"], "02:42:ac:11:00:02");
    assert_eq!(shown["Networks"]["bridge"]["IPAddress"], "172.17.0.2");
    assert_eq!(shown["Networks"]["bridge"]["NetworkID"].as_str().unwrap().len(), 64);

    let inside = ip(pid, &["-o", "address"]);
    assert!(inside.contains("eth0    inet 172.17.0.2/16 brd 172.17.255.255"), "{inside}");
    assert!(inside.contains("inet 127.0.0.1/8"), "{inside}");
    assert!(!inside.contains("fe80"), "no IPv6 address that others could talk to: {inside}");
    let link = ip(pid, &["-o", "link", "show", "eth0"]);
    assert!(link.contains("mtu 1500") && link.contains("02:42:ac:11:00:02"), "{link}");
    assert_eq!(ip(pid, &["route", "show", "default"]).trim(), "default via 172.17.42.1 dev eth0");
    let hosts = d.ok(["run", "--rm", "--net", "container:one", "busybox", "cat", "/etc/hosts"]);
    assert!(hosts.ends_with("172.17.0.2\tbox.example.org"), "{hosts}");
    assert_eq!(
        d.ok(["run", "--rm", "busybox", "ping", "-c1", "-W9", "172.17.0.2"]).lines().count(),
        6
    );
    assert_eq!(run_in(d.keeper_pid(), "cat", &["/proc/sys/net/ipv4/ip_forward"]).trim(), "1");

    d.ok(["rm", "-f", "one"]);
    wait_until("its interface is gone", || veths(&d).is_empty());
    d.assert_nothing_left_behind();
}

#[test]
fn addresses_are_given_out_in_a_ring() {
    let d = Daemon::start();
    idle(&d, "ca", &[]);
    idle(&d, "cb", &[]);
    d.ok(["rm", "-f", "ca"]);
    idle(&d, "cc", &[]);
    assert_eq!(address_of(&d, "cb"), "172.17.0.3");
    assert_eq!(address_of(&d, "cc"), "172.17.0.4");
    d.ok(["stop", "-t", "0", "cb"]);
    assert_eq!(address_of(&d, "cb"), "");
    assert_eq!(d.inspect("cb")["NetworkSettings"]["Ports"], serde_json::json!({}));
    d.ok(["start", "cb"]);
    assert_eq!(address_of(&d, "cb"), "172.17.0.5");
    d.assert_nothing_left_behind();
}

#[test]
fn a_small_network_is_used_up_and_an_address_waits_for_its_owner_to_be_gone() {
    let bridge = "ip link add br7 type bridge; ip address add 10.0.0.3/29 dev br7";
    let d = Setup::new().prepare(bridge).flag("-b").flag("br7").start();
    for (name, address) in
        [("ca", "10.0.0.2"), ("cb", "10.0.0.4"), ("cc", "10.0.0.5"), ("cd", "10.0.0.6")]
    {
        idle(&d, name, &[]);
        assert_eq!(address_of(&d, name), address);
    }
    let out = d.cli(["run", "-d", "--name", "ce", "busybox", "sleep", "9"]).output();
    assert_eq!(out.code, 125);
    assert!(out.stderr.contains("No unallocated IP available"), "{}", out.stderr);
    d.ok(["kill", "cb"]);
    d.ok(["start", "ce"]);
    assert_eq!(address_of(&d, "ce"), "10.0.0.4");
    for _ in 0..count(3, 50) {
        d.ok(["restart", "-t", "0", "ce"]);
        assert_eq!(address_of(&d, "ce"), "10.0.0.4");
    }
    d.assert_nothing_left_behind();
}

#[test]
fn containers_reach_the_outside_and_each_other() {
    reach_the_outside_and_each_other(Keeper::Nftables);
}

#[test]
fn by_iptables_containers_reach_the_outside_and_each_other() {
    reach_the_outside_and_each_other(Keeper::Legacy);
}

fn reach_the_outside_and_each_other(keeper: Keeper) {
    let d = keeper.setup().start();
    let outside = Outside::of(&d);
    let (one, two) = (idle(&d, "one", &[]), idle(&d, "two", &[]));
    let server = listen(outside.pid(), "0.0.0.0:7000");
    let seen = talk(one, &format!("{OUTSIDE}:7000"), &server);
    assert_eq!(seen.to_string(), HOST, "the outside sees the host");
    let server = listen(two, "0.0.0.0:80");
    let seen = talk(one, &format!("{}:80", address_of(&d, "two")), &server);
    assert_eq!(seen.to_string(), address_of(&d, "one"), "containers see each other");
    assert_eq!(talk(d.keeper_pid(), "172.17.0.3:80", &server).to_string(), "172.17.42.1");
    // What is not published is not reached from outside, even by who knows the way.
    ip(outside.pid(), &["route", "add", "172.17.0.0/16", "via", HOST]);
    assert!(connect(outside.pid(), "172.17.0.3:80", SHORT).is_none());
    // Nor is the host's loopback reached from a container.
    let _private = listen(d.keeper_pid(), "127.0.0.1:9000");
    assert!(connect(one, "172.17.42.1:9000", LONG).is_none());
    drop(server);
    d.assert_nothing_left_behind();
}

#[test]
fn without_a_bridge_there_is_loopback_only() {
    let d = Setup::new().flag("-b").flag("none").start();
    let links = |args: &[&str]| {
        let mut all = vec!["run", "--rm"];
        all.extend(args);
        all.extend(["busybox", "ls", "/sys/class/net"]);
        d.ok(all)
    };
    assert_eq!(links(&[]), "lo");
    assert_eq!(links(&["-p", "80:80"]), "lo");
    let out = d.cli(["run", "--net", "bridge", "busybox", "true"]).output();
    assert_eq!(out.code, 125);
    assert!(out.stderr.contains("network bridge not found"), "{}", out.stderr);
    assert_eq!(ip(d.keeper_pid(), &["-o", "link", "show", "type", "bridge"]), "");
    assert_eq!(rules(&d), "");
    d.assert_nothing_left_behind();
}

#[test]
fn some_containers_ask_for_another_network() {
    let d = Daemon::start();
    let links = |args: &[&str]| {
        let mut all = vec!["run", "--rm"];
        all.extend(args);
        all.extend(["busybox", "ls", "/sys/class/net"]);
        d.ok(all)
    };
    assert_eq!(links(&["-n=false"]), "lo");
    assert_eq!(links(&["--net", "none"]), "lo");
    assert_eq!(links(&["--net", "bridge"]), "eth0\nlo");
    assert_eq!(links(&[]), "eth0\nlo");
    assert!(links(&["--net", "host"]).contains("docker0"));
    idle(&d, "peer", &[]);
    let shared = ["run", "--rm", "--net", "container:peer", "busybox", "ip", "-o", "-4", "addr"];
    assert!(d.ok(shared).contains("172.17."), "the peer's address");
    d.assert_nothing_left_behind();
}

#[test]
fn an_address_stays_with_who_shares_the_network_of_a_dead_container() {
    let mut d = Daemon::start();
    idle(&d, "one", &[]);
    idle(&d, "two", &["--net", "container:one"]);
    d.ok(["rm", "-f", "one"]);
    assert_eq!(veths(&d).len(), 1, "its interface is still used");
    d.restart();
    // Nobody knows of that address any more: it may be given out again, but not be there twice.
    wait_until("the old interface is gone", || veths(&d).is_empty());
    idle(&d, "three", &[]);
    d.assert_nothing_left_behind();
}

#[test]
fn a_bridge_that_was_deleted_comes_back() {
    let d = Daemon::start();
    ip(d.keeper_pid(), &["link", "delete", "docker0"]);
    let pid = idle(&d, "one", &[]);
    let server = listen(pid, "0.0.0.0:80");
    talk(d.keeper_pid(), "172.17.0.2:80", &server);
    drop(server); // else it keeps the network of the container alive
    d.assert_nothing_left_behind();
}

#[test]
fn a_bridge_that_is_deleted_under_running_containers_comes_back_with_them() {
    let mut d = Daemon::start();
    let outside = Outside::of(&d);
    d.ok(["network", "create", "mine"]);
    let web = idle(&d, "web", &["-p", "8080:80", "-p", "127.0.0.1:8081:80"]);
    let two = idle(&d, "two", &["--network", "mine"]);
    d.ok(["network", "connect", "bridge", "two"]);
    let server = listen(web, "0.0.0.0:80");
    let to_two = format!("{}:80", on(&d, "two", "mine"));
    let other = listen(two, "0.0.0.0:80");
    let works = |d: &Daemon| {
        for (from, to) in [
            (outside.pid(), format!("{HOST}:8080")),
            (d.keeper_pid(), "127.0.0.1:8081".into()),
            (two, format!("{}:80", address_of(d, "web"))),
        ] {
            let through = wait_for(SOON, || connect(from, &to, SHORT).is_some());
            assert!(through, "no way to {to}: {}", d.log());
        }
        assert!(wait_for(SOON, || connect(d.keeper_pid(), &to_two, SHORT).is_some()));
    };
    works(&d);
    let own = d.api("GET", "/networks/mine").expect(200)["Id"].as_str().unwrap()[..12].to_owned();
    for bridge in ["docker0", &format!("br-{own}")] {
        ip(d.keeper_pid(), &["link", "delete", bridge]);
        works(&d);
    }
    // Their interfaces, one by one and at once: addresses, routes and all are as before.
    let before = ip(two, &["route"]);
    for link in veths(&d) {
        ip(d.keeper_pid(), &["link", "delete", &link]);
        works(&d);
    }
    let all = veths(&d).join(" ");
    run_in(d.keeper_pid(), "sh", &["-c", &format!("for i in {all}; do ip link delete $i; done")]);
    works(&d);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(lines(&ip(two, &["route"])), lines(&before));
    for link in veths(&d) {
        ip(d.keeper_pid(), &["link", "set", &link, "nomaster"]);
    }
    works(&d);
    // While nobody is there who could see it.
    d.kill9();
    for link in ["docker0", &veths(&d)[0]] {
        ip(d.keeper_pid(), &["link", "delete", link]);
    }
    d.restart();
    works(&d);
    // What was taken off a network stays off it.
    d.ok(["network", "disconnect", "mine", "two"]);
    std::thread::sleep(SHORT);
    assert_eq!(veths(&d).len(), 2);
    drop((server, other));
    d.assert_nothing_left_behind();
}

#[test]
fn many_containers_come_and_go() {
    let d = Daemon::start();
    let many = count(8, 300);
    d.ok(["run", "--rm", "--net", "none", "busybox", "true"]);
    let before = (descriptors(d.pid()).len(), threads(d.pid()));
    for round in 0..count(2, 5) {
        let run = |n: usize| {
            let name = format!("c{n}");
            let port = format!("{}:80", 20_000 + n);
            d.ok(["run", "-d", "--name", &name, "-p", &port, "busybox", "sleep", "100000"]);
        };
        std::thread::scope(|scope| {
            for start in 0..4 {
                scope.spawn(move || (start..many).step_by(4).for_each(run));
            }
        });
        assert_eq!(veths(&d).len(), many, "round {round}");
        let addresses = (0..many).map(|n| address_of(&d, &format!("c{n}")).parse().unwrap());
        let addresses: BTreeSet<Ipv4Addr> = addresses.collect();
        // One after the other, and none again before the ring has come round.
        let first = u32::from(Ipv4Addr::new(172, 17, 0, 2)) + (round * many) as u32;
        let expected = (first..first + many as u32).map(Ipv4Addr::from);
        assert!(addresses.iter().copied().eq(expected), "round {round}: {addresses:?}");
        // A monitor and a program for each, and no helper.
        assert_eq!(processes_of(&d).len(), 2 * many);
        let names: Vec<String> = (0..many).map(|n| format!("c{n}")).collect();
        let mut args = vec!["rm", "-f"];
        args.extend(names.iter().map(String::as_str));
        d.ok(args);
        wait_until("no interface is left", || veths(&d).is_empty());
        assert!(!rules(&d).contains("dnat to"), "{}", rules(&d));
        let small = wait_for(SOON, || {
            descriptors(d.pid()).len() <= before.0 && threads(d.pid()) <= before.1
        });
        assert!(small, "{before:?}, then {:?} and {}", descriptors(d.pid()), threads(d.pid()));
    }
    d.assert_nothing_left_behind();
}
