//! What the manual promises for the time between a flush of the packet rules and their return:
//! the daemon is stopped meanwhile, so that nothing is healed.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use super::keeper::{Keeper, legacy_rules};
use super::{HOST, LONG, OUTSIDE, Outside, SHORT};
use super::{connect, idle, ip, listen, on, rules, run_in, talk};
use crate::harness::{Daemon, Setup, send_signal, wait_until};

/// A stream from outside through a published port.
struct Stream {
    client: TcpStream,
    server: TcpStream,
}

impl Stream {
    #[track_caller]
    fn open(outside: &Outside, listener: &std::net::TcpListener) -> Stream {
        let client = connect(outside.pid(), &format!("{HOST}:8080"), LONG).unwrap();
        let (server, _) = listener.accept().unwrap();
        Stream { client, server }
    }

    /// Whether a word gets through in both directions within this time.
    fn goes_on(&mut self, limit: Duration) -> bool {
        let mut buffer = [0; 4];
        let ends = [(&self.client, &self.server), (&self.server, &self.client)];
        ends.into_iter().all(|(mut from, mut to)| {
            to.set_read_timeout(Some(limit)).unwrap();
            from.write_all(b"word").is_ok() && to.read_exact(&mut buffer).is_ok()
        })
    }
}

/// What is there with rules: a host outside that knows the way to containers, one with a published
/// port, one on another network, one on an internal network.
struct Scene {
    d: Daemon,
    outside: Outside,
    web: i32,
    alone: i32,
    inner: i32,
    /// Where `inner` is.
    shut_in: String,
}

impl Scene {
    #[track_caller]
    fn of(setup: Setup) -> Scene {
        let d = setup.start();
        let outside = Outside::of(&d);
        ip(outside.pid(), &["route", "add", "172.16.0.0/12", "via", HOST]);
        let web = idle(&d, "web", &["-p", "8080:80", "-p", "127.0.0.1:8081:80"]);
        d.ok(["network", "create", "--subnet", "172.29.1.0/24", "apart"]);
        d.ok(["network", "create", "--internal", "--subnet", "172.29.2.0/24", "inner"]);
        let alone = idle(&d, "alone", &["--network", "apart"]);
        let inner = idle(&d, "inner", &["--network", "inner"]);
        let shut_in = on(&d, "inner", "inner");
        Scene { d, outside, web, alone, inner, shut_in }
    }

    /// What holds with rules.
    #[track_caller]
    fn is_guarded(&self) {
        let Scene { d, outside, web, alone, inner, .. } = self;
        let server = listen(*web, "0.0.0.0:80");
        for (from, to) in [(outside.pid(), HOST), (d.keeper_pid(), HOST), (*alone, HOST)] {
            talk(from, &format!("{to}:8080"), &server);
        }
        talk(d.keeper_pid(), "127.0.0.1:8081", &server);
        assert!(connect(outside.pid(), "172.17.0.2:80", SHORT).is_none());
        assert!(connect(*alone, "172.17.0.2:80", SHORT).is_none());
        let abroad = listen(outside.pid(), &format!("{OUTSIDE}:7000"));
        let seen = talk(*web, &format!("{OUTSIDE}:7000"), &abroad);
        assert_eq!(seen.to_string(), HOST, "in the host's name");
        assert!(connect(*inner, &format!("{OUTSIDE}:7000"), SHORT).is_none());
        assert!(!self.reaches_loopback());
    }

    /// What the manual says for the time without rules, sentence by sentence.
    #[track_caller]
    fn is_as_promised_without_rules(&self) {
        let Scene { d, outside, web, alone, inner, shut_in } = self;
        let server = listen(*web, "0.0.0.0:80");
        // Published ports are not reached.
        let here = d.keeper_pid();
        for (from, to) in [
            (outside.pid(), format!("{HOST}:8080")),
            (outside.pid(), format!("{HOST}:8081")),
            (here, format!("{HOST}:8080")),
            (here, "127.0.0.1:8080".to_owned()),
            (here, "127.0.0.1:8081".to_owned()),
            (*alone, format!("{HOST}:8080")),
        ] {
            assert!(connect(from, &to, SHORT).is_none(), "{to} is reached");
        }
        // Containers are reached by whoever sends packets their way, on other networks too.
        for from in [outside.pid(), *alone] {
            talk(from, "172.17.0.2:80", &server);
        }
        // Those of internal networks have no way out: nobody gets an answer.
        let closed = listen(*inner, "0.0.0.0:80");
        assert!(connect(outside.pid(), &format!("{shut_in}:80"), SHORT).is_none());
        drop(closed);
        // What containers send has their own address.
        let abroad = listen(outside.pid(), &format!("{OUTSIDE}:7000"));
        let seen: IpAddr = "172.17.0.2".parse().unwrap();
        assert_eq!(talk(*web, &format!("{OUTSIDE}:7000"), &abroad), seen);
        assert!(connect(*inner, &format!("{OUTSIDE}:7000"), SHORT).is_none());
        // The host's loopback is reached by containers that make such packets.
        assert!(self.reaches_loopback());
        // Among the containers of a network, and with the host, all goes on.
        let own = listen(*web, "0.0.0.0:81");
        talk(here, "172.17.0.2:81", &own);
        talk(*web, "172.17.0.2:81", &own);
    }

    /// Whether who is on a bridge gets to the host's loopback address by sending packets for it.
    #[track_caller]
    fn reaches_loopback(&self) -> bool {
        let Scene { d, web, .. } = self;
        let listener = listen(d.keeper_pid(), "127.0.0.1:7002");
        let settings = [
            "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet",
            "ip address delete 127.0.0.1/8 dev lo",
            "ip route add 127.0.0.1 via 172.17.42.1 src 172.17.0.2",
        ];
        run_in(*web, "sh", &["-c", &settings.join(" && ")]);
        let reached = connect(*web, "127.0.0.1:7002", SHORT).is_some();
        drop(listener);
        let settings = ["ip route delete 127.0.0.1", "ip address add 127.0.0.1/8 dev lo"];
        run_in(*web, "sh", &["-c", &settings.join(" && ")]);
        reached
    }
}

/// Waits for the rules to be as many as they were, no longer than the manual says.
#[track_caller]
fn are_back(count: impl Fn() -> usize, before: usize) {
    let begin = Instant::now();
    wait_until("the rules are back", || count() == before);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn while_a_flushed_table_is_not_back_all_is_as_the_manual_says() {
    let scene = Scene::of(Setup::new().env("SKIFF_SHARED_RULES", "1"));
    let Scene { d, outside, web, .. } = &scene;
    scene.is_guarded();
    let count = || rules(d).matches("comment").count();
    let before = count();
    let listener = listen(*web, "0.0.0.0:80");
    let mut quiet = Stream::open(outside, &listener);
    let mut busy = Stream::open(outside, &listener);
    assert!(quiet.goes_on(LONG) && busy.goes_on(LONG));
    drop(listener);

    send_signal(d.pid(), libc::SIGSTOP);
    run_in(d.keeper_pid(), "nft", &["flush", "ruleset"]);
    assert_eq!(rules(d), "");
    scene.is_as_promised_without_rules();
    // A connection through a published port that says something breaks, or waits for the rules.
    busy.goes_on(SHORT);
    assert_eq!(rules(d), "", "nobody has healed anything meanwhile");
    send_signal(d.pid(), libc::SIGCONT);
    are_back(count, before);
    scene.is_guarded();
    // One that was silent all the time goes on.
    assert!(quiet.goes_on(LONG));
    drop((quiet, busy));
    scene.d.assert_nothing_left_behind();
}

#[test]
fn while_flushed_rules_of_iptables_are_not_back_all_is_as_the_manual_says() {
    let scene = Scene::of(Keeper::Legacy.setup());
    let Scene { d, outside, web, .. } = &scene;
    scene.is_guarded();
    let count = || legacy_rules(d).matches("skiff").count();
    let before = count();
    let listener = listen(*web, "0.0.0.0:80");
    let mut quiet = Stream::open(outside, &listener);
    assert!(quiet.goes_on(LONG));
    drop(listener);

    // What another program flushes in nf_tables is nothing to these.
    run_in(d.keeper_pid(), "nft", &["flush", "ruleset"]);
    assert_eq!(count(), before);
    for table in ["mangle", "filter", "nat"] {
        for how in ["-F", "-X"] {
            run_in(d.keeper_pid(), "iptables-legacy", &["-t", table, how]);
        }
    }
    assert_eq!(count(), 0);
    scene.is_as_promised_without_rules();
    assert_eq!(count(), 0, "nothing tells of these");
    send_signal(d.pid(), libc::SIGHUP);
    are_back(count, before);
    scene.is_guarded();
    assert!(quiet.goes_on(LONG));
    drop(quiet);
    scene.d.assert_nothing_left_behind();
}

#[test]
fn a_table_that_is_owned_stays_as_long_as_its_daemon_lives() {
    let mut scene = Scene::of(Setup::new());
    let flush = |d: &Daemon| run_in(d.keeper_pid(), "nft", &["flush", "ruleset"]);
    let count = |d: &Daemon| rules(d).matches("comment").count();
    let before = count(&scene.d);
    send_signal(scene.d.pid(), libc::SIGSTOP);
    flush(&scene.d);
    if count(&scene.d) == 0 {
        println!("skipped: tables have no owners here");
        return;
    }
    assert_eq!(count(&scene.d), before);
    send_signal(scene.d.pid(), libc::SIGCONT);
    scene.is_guarded();
    // It outlives the daemon, belongs to nobody then, and is healed by the next one.
    scene.d.kill9();
    assert_eq!(count(&scene.d), before);
    scene.is_guarded();
    flush(&scene.d);
    assert_eq!(count(&scene.d), 0);
    scene.is_as_promised_without_rules();
    scene.d.restart();
    are_back(|| count(&scene.d), before);
    scene.is_guarded();
    scene.d.assert_nothing_left_behind();
}
