//! The daemon dies, somebody flushes the rules: traffic goes on.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::keeper::Keeper;
use super::{HOST, LONG, Outside, SHORT};
use super::{address_of, connect, idle, ip, listen, pid_of, rules, run_in, talk, veths};
use crate::harness::{Daemon, Setup, count, wait_until};

#[test]
fn streams_through_a_published_port_outlive_the_daemon() {
    streams_outlive_the_daemon(Keeper::Nftables);
}

#[test]
fn streams_by_iptables_outlive_the_daemon() {
    streams_outlive_the_daemon(Keeper::Legacy);
}

#[test]
fn streams_through_a_proxy_outlive_the_daemon() {
    streams_outlive_the_daemon(Keeper::Nobody);
}

fn streams_outlive_the_daemon(keeper: Keeper) {
    let mut d = keeper.setup().start();
    let outside = Outside::of(&d);
    let web = idle(&d, "web", &["-p", "8080:80", "-p", "9000-9001:9000-9001/udp"]);
    idle(&d, "gone", &["-p", "8081:80"]);
    let server = listen(web, "0.0.0.0:80");
    let mut client = connect(outside.pid(), &format!("{HOST}:8080"), LONG).unwrap();
    let (mut end, _) = server.accept().unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let writer = std::thread::spawn({
        let (over, sent) = (Arc::clone(&over), Arc::clone(&sent));
        move || {
            while !over.load(Ordering::Relaxed) {
                end.write_all(&[7; 1000]).unwrap();
                sent.fetch_add(1000, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        all.len()
    });
    let ports = d.ok(["port", "web"]);
    for _ in 0..count(2, 20) {
        d.kill9();
        // New connections get through while nobody is there.
        talk(outside.pid(), &format!("{HOST}:8080"), &server);
        d.restart();
        talk(outside.pid(), &format!("{HOST}:8080"), &server);
        assert_eq!(address_of(&d, "web"), "172.17.0.2");
        assert_eq!(d.ok(["port", "web"]), ports);
    }
    // What lives keeps its address and its ports, what died has left nothing.
    idle(&d, "next", &[]);
    assert_eq!(address_of(&d, "next"), "172.17.0.4");
    let out = d.cli(["run", "-p", "8080:80", "busybox", "true"]).output();
    assert!(out.stderr.contains("port is already allocated"), "{}", out.stderr);
    let gone = pid_of(&d, "gone");
    d.kill9();
    crate::harness::send_signal(gone, libc::SIGKILL);
    d.restart();
    wait_until("the interface of the dead is gone", || veths(&d).len() == 2);
    d.wait_status("gone", "exited");
    let left = if keeper == Keeper::Nobody { 0 } else { 2 };
    assert_eq!(keeper.published(&d), left);
    idle(&d, "heir", &["-p", "8081:80"]);

    over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(reader.join().unwrap(), sent.load(Ordering::Relaxed), "not one byte is lost");
    drop(server);
    d.assert_nothing_left_behind();
}

fn flush_is_healed(d: &Daemon) {
    let outside = Outside::of(d);
    let web = idle(d, "web", &["-p", "8080:80"]);
    let server = listen(web, "0.0.0.0:80");
    let before = rules(d).matches("dnat to").count();
    ip(outside.pid(), &["route", "add", "172.17.0.0/16", "via", HOST]);
    for _ in 0..3 {
        run_in(d.keeper_pid(), "nft", &["flush", "ruleset"]);
        let begin = std::time::Instant::now();
        wait_until("the rules are back", || rules(d).matches("dnat to").count() == before);
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        talk(outside.pid(), &format!("{HOST}:8080"), &server);
        // And what is not published is closed again, even to who knows the way.
        assert!(connect(outside.pid(), "172.17.0.2:80", SHORT).is_none());
    }
    // And they go with their container.
    drop(server);
    d.ok(["rm", "-f", "web"]);
    assert!(!rules(d).contains("dnat to"), "{}", rules(d));
    d.assert_nothing_left_behind();
}

#[test]
fn a_flush_of_all_rules_is_healed() {
    flush_is_healed(&Daemon::start());
}

#[test]
fn a_flush_is_healed_where_tables_have_no_owner() {
    let mut d = Setup::new().env("SKIFF_SHARED_RULES", "1").start();
    flush_is_healed(&d);
    // A flush while no daemon is there is healed by the next one.
    let web = idle(&d, "web", &["-p", "8080:80"]);
    d.kill9();
    run_in(d.keeper_pid(), "nft", &["flush", "ruleset"]);
    d.restart();
    talk(d.keeper_pid(), "127.0.0.1:8080", &listen(web, "0.0.0.0:80"));
    // Somebody takes the rule of one container out.
    let table = rules(&d).lines().find(|l| l.contains("table ip skiff")).unwrap().to_owned();
    let table = table.split_whitespace().nth(2).unwrap().to_owned();
    run_in(d.keeper_pid(), "nft", &["flush", "chain", "ip", &table, "ports"]);
    wait_until("the rule is back", || rules(&d).contains("dnat to"));
    d.assert_nothing_left_behind();
}

#[test]
fn a_container_that_ends_while_nobody_watches_leaves_its_address_and_port() {
    let mut d = Daemon::start();
    for round in 0..count(3, 50) {
        let pid = idle(&d, "web", &["-p", "8080:80"]);
        d.kill9();
        crate::harness::send_signal(pid, libc::SIGKILL);
        d.restart();
        d.wait_status("web", "exited");
        wait_until(&format!("round {round}: its rule is gone"), || !rules(&d).contains("dnat to"));
        d.ok(["rm", "web"]);
        wait_until("its interface is gone", || veths(&d).is_empty());
    }
    d.assert_nothing_left_behind();
}
