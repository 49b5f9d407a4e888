//! Published ports without packet rules: the monitors of containers lead them on.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;

use super::keeper::{Keeper, legacy_rules};
use super::{HOST, LONG, OUTSIDE, Outside, SHORT};
use super::{address_of, connect, idle, ip, listen, pid_of, rules, run_in, talk};
use crate::harness::{Daemon, send_signal, wait_until};

#[test]
fn without_rules_containers_reach_the_outside_where_it_knows_the_way_back() {
    let d = Keeper::Nobody.setup().start();
    let info = d.api("GET", "/info").expect(200);
    assert!(
        info["DriverStatus"].as_array().unwrap().contains(&serde_json::json!(["Firewall", "none"]))
    );
    let warnings = info["Warnings"].to_string();
    assert_eq!(warnings.matches("No packet rules").count(), 1, "{warnings}");
    assert_eq!(d.log().matches("No packet rules").count(), 1, "{}", d.log());
    assert!(d.ok(["info"]).contains("Firewall: none"));
    assert_eq!((rules(&d).as_str(), legacy_rules(&d).as_str()), ("", ""));
    // Nothing is passed on that was not before: nobody would keep it in bounds.
    let forwards = || run_in(d.keeper_pid(), "cat", &["/proc/sys/net/ipv4/ip_forward"]);
    assert_eq!(forwards().trim(), "0");
    let local = "/proc/sys/net/ipv4/conf/docker0/route_localnet";
    assert_eq!(run_in(d.keeper_pid(), "cat", &[local]).trim(), "0");

    let outside = Outside::of(&d);
    let (one, two) = (idle(&d, "one", &[]), idle(&d, "two", &[]));
    talk(one, &format!("{}:80", address_of(&d, "two")), &listen(two, "0.0.0.0:80"));
    let server = listen(outside.pid(), "0.0.0.0:7000");
    let there = format!("{OUTSIDE}:7000");
    assert!(connect(one, &there, SHORT).is_none());
    run_in(d.keeper_pid(), "sh", &["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]);
    ip(outside.pid(), &["route", "add", "172.17.0.0/16", "via", HOST]);
    assert_eq!(talk(one, &there, &server).to_string(), address_of(&d, "one"));
    drop(server);
    d.assert_nothing_left_behind();
}

#[test]
fn each_direction_of_a_stream_ends_by_itself() {
    let d = Keeper::Nobody.setup().start();
    let outside = Outside::of(&d);
    let web = idle(&d, "web", &["-p", "8080:80"]);
    let server = listen(web, "0.0.0.0:80");
    let mut client = connect(outside.pid(), &format!("{HOST}:8080"), LONG).unwrap();
    let (mut end, _) = server.accept().unwrap();
    for side in [&client, &end] {
        side.set_read_timeout(Some(LONG)).unwrap();
    }
    client.write_all(b"a question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut got = String::new();
    end.read_to_string(&mut got).unwrap();
    assert_eq!(got, "a question");
    // While the container is paused nothing is lost.
    d.ok(["pause", "web"]);
    d.ok(["unpause", "web"]);
    end.write_all(&vec![b'x'; 1 << 20]).unwrap();
    drop(end);
    got.clear();
    client.read_to_string(&mut got).unwrap();
    assert_eq!(got.len(), 1 << 20);
    // With the container its connections end.
    let mut client = connect(outside.pid(), &format!("{HOST}:8080"), LONG).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    let kept = server.accept().unwrap();
    d.ok(["stop", "-t", "0", "web"]);
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    assert!(connect(outside.pid(), &format!("{HOST}:8080"), LONG).is_none());
    drop((server, kept));
    d.assert_nothing_left_behind();
}

#[test]
fn a_port_that_cannot_be_had_is_named() {
    let d = Keeper::Nobody.setup().start();
    idle(&d, "one", &["-p", "8080:80"]);
    let refuse = |args: &[&str], text: &str| {
        let mut all = vec!["run", "-d"];
        all.extend(args);
        all.extend(["busybox", "sleep", "99"]);
        let out = d.cli(all).output();
        assert_eq!(out.code, 125, "{out:?}");
        assert!(out.stderr.contains(text), "{}", out.stderr);
    };
    let taken = "Bind for 0.0.0.0:8080 failed: port is already allocated";
    refuse(&["--name", "two", "-p", "8080:80"], taken);
    let program = listen(d.keeper_pid(), "127.0.0.1:9090");
    refuse(&["--name", "three", "-p", "9090:90"], "Bind for 0.0.0.0:9090 failed: address already");
    refuse(&["-p", "10000-19999:10000-19999"], "10000 ports are to be published");
    refuse(&["-p", "80:80/sctp"], "sctp ports cannot be published");
    drop(program);
    d.ok(["start", "three"]);
    talk(d.keeper_pid(), "127.0.0.1:9090", &listen(pid_of(&d, "three"), "0.0.0.0:90"));
    // As many as there may be.
    let web = idle(&d, "web", &["-p", "10000-10999:10000-10999"]);
    talk(d.keeper_pid(), "127.0.0.1:10999", &listen(web, "0.0.0.0:10999"));
    d.ok(["rm", "-f", "one"]);
    d.ok(["start", "two"]);
    // A container that starts again has its port at once.
    for _ in 0..3 {
        d.ok(["restart", "-t", "0", "two"]);
    }
    talk(d.keeper_pid(), "127.0.0.1:8080", &listen(pid_of(&d, "two"), "0.0.0.0:80"));
    d.assert_nothing_left_behind();
}

#[test]
fn an_address_may_come_after_its_port() {
    for keeper in [Keeper::Nftables, Keeper::Legacy, Keeper::Nobody] {
        let d = keeper.setup().start();
        let outside = Outside::of(&d);
        let web = idle(&d, "web", &["-p", "192.0.2.99:8080:80", "-p", "192.0.2.99:8053:53/udp"]);
        let server = listen(web, "0.0.0.0:80");
        assert!(connect(outside.pid(), "192.0.2.99:8080", SHORT).is_none());
        ip(d.keeper_pid(), &["address", "add", "192.0.2.99/24", "dev", "out0"]);
        talk(outside.pid(), "192.0.2.99:8080", &server);
        let datagrams =
            crate::harness::in_netns(web, || std::net::UdpSocket::bind("0.0.0.0:53").unwrap());
        super::talk_udp(outside.pid(), "192.0.2.99:8053", &datagrams);
        assert!(connect(outside.pid(), &format!("{HOST}:8080"), LONG).is_none(), "{keeper:?}");
        drop((server, datagrams));
        d.assert_nothing_left_behind();
    }
}

/// Pages of a process that are its own, in bytes.
fn own_memory(pid: i32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let kib = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    kib("Private_Dirty:") * 1024
}

/// The processes in the daemon's network namespace.
fn processes(d: &Daemon) -> BTreeSet<i32> {
    let here = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let own = here(d.keeper_pid());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| here(*pid) == own).collect()
}

#[test]
fn twenty_proxies_need_no_process_more_and_little_memory() {
    let d = Keeper::Nobody.setup().start();
    let before = processes(&d);
    idle(&d, "plain", &[]);
    let plain = *processes(&d).difference(&before).next().unwrap();
    for n in 0..20 {
        idle(&d, &format!("c{n}"), &["-p", &format!("{}:80", 8000 + n)]);
    }
    for n in 0..20 {
        let server = listen(pid_of(&d, &format!("c{n}")), "0.0.0.0:80");
        talk(d.keeper_pid(), &format!("127.0.0.1:{}", 8000 + n), &server);
    }
    let now = processes(&d);
    let monitors: Vec<i32> = now.difference(&before).copied().collect();
    assert_eq!(monitors.len(), 21, "one per container");
    for monitor in monitors {
        let more = own_memory(monitor).saturating_sub(own_memory(plain));
        assert!(more < 500_000, "{more} bytes more than without a port");
        assert_eq!(std::fs::read_dir(format!("/proc/{monitor}/task")).unwrap().count(), 1);
    }
    d.assert_nothing_left_behind();
}

#[test]
fn ports_go_with_the_network_and_come_with_another() {
    let d = Keeper::Nobody.setup().start();
    d.ok(["network", "create", "one"]);
    let web = idle(&d, "web", &["--network", "one", "-p", "8080:80"]);
    let server = listen(web, "0.0.0.0:80");
    talk(d.keeper_pid(), "127.0.0.1:8080", &server);
    d.ok(["network", "disconnect", "one", "web"]);
    assert!(connect(d.keeper_pid(), "127.0.0.1:8080", LONG).is_none());
    d.ok(["network", "connect", "one", "web"]);
    drop(server);
    d.ok(["restart", "-t", "0", "web"]);
    talk(d.keeper_pid(), "127.0.0.1:8080", &listen(pid_of(&d, "web"), "0.0.0.0:80"));
    d.assert_nothing_left_behind();
}

#[test]
fn rules_by_iptables_are_healed_when_they_are_looked_at_and_leave_others_alone() {
    let d = Keeper::Legacy.setup().start();
    let outside = Outside::of(&d);
    assert!(d.ok(["info"]).contains("Firewall: iptables"));
    let iptables = |args: &[&str]| run_in(d.keeper_pid(), "iptables-legacy", args);
    iptables(&["-A", "FORWARD", "-s", "10.1.1.1", "-j", "DROP"]);
    iptables(&["-t", "nat", "-A", "PREROUTING", "-d", "10.1.1.1", "-j", "RETURN"]);
    let web = idle(&d, "web", &["-p", "8080:80"]);
    let server = listen(web, "0.0.0.0:80");
    let there = format!("{HOST}:8080");
    talk(outside.pid(), &there, &server);
    let whole = |text: &str| text.lines().filter(|l| l.contains("skiff")).count();
    let before = whole(&legacy_rules(&d));
    // A signal after a reload of the host's own rules.
    for table in ["filter", "nat"] {
        iptables(&["-t", table, "-F"]);
        iptables(&["-t", table, "-X"]);
    }
    assert!(connect(outside.pid(), &there, SHORT).is_none());
    assert!(send_signal(d.pid(), libc::SIGHUP));
    wait_until("the rules are back", || whole(&legacy_rules(&d)) == before);
    talk(outside.pid(), &there, &server);
    // The start of another container.
    iptables(&["-D", "FORWARD", "1"]);
    iptables(&["-A", "FORWARD", "-s", "10.1.1.1", "-j", "DROP"]);
    iptables(&["-t", "nat", "-F"]);
    idle(&d, "other", &[]);
    assert_eq!(whole(&legacy_rules(&d)), before);
    talk(outside.pid(), &there, &server);
    // The admin's drop wins, and what is the admin's stays.
    iptables(&["-P", "FORWARD", "DROP"]);
    assert!(connect(outside.pid(), &there, SHORT).is_none());
    let warnings = d.api("GET", "/info").expect(200)["Warnings"].to_string();
    assert!(
        warnings.contains("chain FORWARD of iptables' table filter is in the way"),
        "{warnings}"
    );
    iptables(&["-P", "FORWARD", "ACCEPT"]);
    assert!(!d.api("GET", "/info").expect(200)["Warnings"].to_string().contains("in the way"));
    drop(server);
    d.ok(["rm", "-f", "web", "other"]);
    assert_eq!(Keeper::Legacy.published(&d), 0);
    assert!(legacy_rules(&d).contains("-A FORWARD -s 10.1.1.1/32 -j DROP"));
    d.assert_nothing_left_behind();
}

#[test]
fn the_drop_of_somebody_else_wins_and_is_named() {
    let d = Daemon::start();
    let outside = Outside::of(&d);
    let web = idle(&d, "web", &["-p", "8080:80"]);
    let server = listen(web, "0.0.0.0:80");
    let there = format!("{HOST}:8080");
    talk(outside.pid(), &there, &server);
    let warnings = || d.api("GET", "/info").expect(200)["Warnings"].to_string();
    assert!(!warnings().contains("in the way"), "{}", warnings());
    let nft = |text: &str| run_in(d.keeper_pid(), "nft", &[text]);
    nft(
        "add table inet admin; add chain inet admin pass { type filter hook forward priority 10; policy drop; }",
    );
    let text = "Published ports may not be reached: chain pass of table inet admin (policy drop) is in the way";
    assert!(warnings().contains(text), "{}", warnings());
    assert!(connect(outside.pid(), &there, SHORT).is_none());
    // The admin lets them pass.
    nft(
        "add rule inet admin pass ct state established,related accept; add rule inet admin pass ct status dnat accept",
    );
    assert!(!warnings().contains("in the way"), "{}", warnings());
    talk(outside.pid(), &there, &server);
    // So does a rule of the kernel's older interface, which netlink does not tell of.
    let policy = |policy: &str| {
        run_in(d.keeper_pid(), "iptables-legacy", &["-P", "FORWARD", policy]);
    };
    policy("DROP");
    let text = "not be reached: chain FORWARD of iptables' table filter is in the way";
    assert!(warnings().contains(text), "{}", warnings());
    assert!(connect(outside.pid(), &there, SHORT).is_none());
    policy("ACCEPT");
    assert!(!warnings().contains("in the way"), "{}", warnings());
    talk(outside.pid(), &there, &server);
    drop(server);
    d.assert_nothing_left_behind();
}

#[test]
fn running_containers_keep_their_ports_whoever_keeps_the_rules_next() {
    let mut d = Keeper::Legacy.setup().start();
    let outside = Outside::of(&d);
    let web = idle(&d, "web", &["-p", "8080:80"]);
    let server = listen(web, "0.0.0.0:80");
    let there = format!("{HOST}:8080");
    talk(outside.pid(), &there, &server);
    // The last flag counts.
    d.set_flag("--firewall=nftables");
    d.restart();
    assert!(!legacy_rules(&d).contains("skiff"), "{}", legacy_rules(&d));
    assert_eq!(Keeper::Nftables.published(&d), 1);
    talk(outside.pid(), &there, &server);
    d.set_flag("--firewall=none");
    d.restart();
    assert!(!rules(&d).contains("skiff"), "{}", rules(&d));
    talk(outside.pid(), &there, &server);
    // What goes through a proxy now goes on when there are rules again.
    let mut client = connect(outside.pid(), &there, LONG).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    let (mut end, _) = server.accept().unwrap();
    d.set_flag("--firewall=iptables");
    d.restart();
    assert_eq!(Keeper::Legacy.published(&d), 1);
    talk(outside.pid(), &there, &server);
    assert!(d.ok(["info"]).contains("Firewall: iptables"));
    d.ok(["network", "create", "more"]);
    d.ok(["network", "connect", "more", "web"]);
    end.write_all(b"still here").unwrap();
    let mut got = [0; 10];
    client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"still here");
    drop((server, end));
    d.ok(["rm", "-f", "web"]);
    assert!(connect(outside.pid(), &there, LONG).is_none());
    d.assert_nothing_left_behind();
}

#[test]
fn an_unknown_keeper_is_refused() {
    let mut d = Daemon::start();
    d.kill9();
    d.set_flag("--firewall=ufw");
    assert!(!d.try_start());
    assert!(d.log().contains("invalid firewall 'ufw'"), "{}", d.log());
}
