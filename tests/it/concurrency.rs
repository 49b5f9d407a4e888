//! Several clients on one container, as the table says that tells what each meets.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Daemon, Wire, count, wait_until};

const DEAF: &str = "trap '' TERM; echo up; while :; do sleep 0.05; done";

fn start_deaf(d: &Daemon, name: &str) {
    d.ok(["run", "-d", "--name", name, "busybox", "sh", "-c", DEAF]);
    wait_until("it is up", || d.ok(["logs", name]) == "up");
}

fn begin(d: &Daemon, method: &str, path: &str) -> Wire {
    let mut wire = d.wire();
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
    wire
}

#[test]
fn created_and_exited() {
    let d = Daemon::start();
    let id = d.create(&json!({"Image": "busybox", "Cmd": ["true"]}));
    let post = |what: &str| d.api("POST", &format!("/containers/{id}/{what}")).status;
    assert_eq!(post("stop"), 304);
    assert_eq!(post("kill"), 409);
    assert_eq!(post("start"), 204);
    d.wait_status(&id, "exited");
    assert_eq!((post("stop"), post("kill")), (304, 409));
    assert_eq!(post("restart"), 204);
    d.wait_status(&id, "exited");
    assert_eq!(d.api("DELETE", &format!("/containers/{id}")).status, 204);
    assert_eq!(d.api("DELETE", &format!("/containers/{id}")).status, 404);
}

#[test]
fn running() {
    let d = Daemon::start();
    start_deaf(&d, "cx");
    let status = |method: &str, what: &str| d.api(method, &format!("/containers/cx{what}")).status;
    assert_eq!(status("POST", "/start"), 304);
    assert_eq!(status("DELETE", ""), 409);
    assert_eq!(status("POST", "/kill?signal=CONT"), 204);
    assert_eq!(status("DELETE", "?force=1"), 204);
    assert_eq!(status("GET", "/json"), 404);
    d.assert_nothing_left_behind();
}

#[test]
fn while_it_is_stopping() {
    let d = Daemon::start();
    start_deaf(&d, "cx");
    let mut stop = begin(&d, "POST", "/containers/cx/stop?t=60");
    wait_until("the stop is under way", || d.api("DELETE", "/containers/cx").status == 409);
    // Reads are answered at once.
    let began = Instant::now();
    assert_eq!(d.api("GET", "/containers/cx/json").status, 200);
    assert_eq!(d.api("GET", "/containers/cx/logs?stdout=1").status, 200);
    assert_eq!(d.api("GET", "/containers/cx/top").status, 200);
    assert!(d.ok(["ps"]).contains("cx"));
    assert!(began.elapsed() < Duration::from_secs(5));
    // A second stop joins, and the earlier deadline wins.
    let mut start = begin(&d, "POST", "/containers/cx/start");
    let began = Instant::now();
    let mut join = begin(&d, "POST", "/containers/cx/stop?t=1");
    assert_eq!(join.reply().status, 204);
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(stop.reply().status, 204);
    // The start waited for the end, and then started.
    assert_eq!(start.reply().status, 204);
    assert_eq!(d.status("cx"), "running");
    wait_until("it is up again", || d.ok(["logs", "cx"]) == "up\nup");
    drop((stop, start, join));

    stop = begin(&d, "POST", "/containers/cx/stop?t=60");
    wait_until("the stop is under way", || d.api("DELETE", "/containers/cx").status == 409);
    assert_eq!(d.api("POST", "/containers/cx/kill").status, 204, "delivered at once");
    assert_eq!(stop.reply().status, 204);
    drop(stop);
    d.api("POST", "/containers/cx/start").expect(204);
    wait_until("it is up again", || d.ok(["logs", "cx"]) == "up\nup\nup");
    stop = begin(&d, "POST", "/containers/cx/stop?t=60");
    wait_until("the stop is under way", || d.api("DELETE", "/containers/cx").status == 409);
    assert_eq!(d.api("DELETE", "/containers/cx?force=1").status, 204, "killed at once");
    let status = stop.reply().status;
    assert!(matches!(status, 204 | 404), "{status}");
    drop(stop);
    d.assert_nothing_left_behind();
}

#[test]
fn a_client_that_goes_away_stops_waiting() {
    let d = Daemon::start();
    start_deaf(&d, "cx");
    let threads = || std::fs::read_dir(format!("/proc/{}/task", d.pid())).unwrap().count();
    let mut before = 0;
    wait_until("threads of earlier calls are gone", || {
        before = threads();
        std::thread::sleep(Duration::from_millis(100));
        threads() == before
    });
    let waits: Vec<Wire> = (0..5).map(|_| begin(&d, "POST", "/containers/cx/wait")).collect();
    wait_until("they wait", || threads() >= before + 5);
    drop(waits);
    wait_until("their threads are gone", || threads() <= before);
    d.assert_nothing_left_behind();
}

#[test]
fn many_at_once_agree_on_one_outcome() {
    let d = Daemon::start();
    for round in 0..count(5, 100) {
        let id = d.create(&json!({"Image": "busybox", "Cmd": ["sleep", "1000"]}));
        let mut starts: Vec<Wire> =
            (0..4).map(|_| begin(&d, "POST", &format!("/containers/{id}/start"))).collect();
        let mut statuses: Vec<u16> = starts.iter_mut().map(|w| w.reply().status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 304, 304, 304], "round {round}");
        let mut removes: Vec<Wire> =
            (0..4).map(|_| begin(&d, "DELETE", &format!("/containers/{id}?force=1"))).collect();
        let statuses: Vec<u16> = removes.iter_mut().map(|w| w.reply().status).collect();
        assert!(statuses.iter().all(|s| matches!(s, 204 | 404)), "{statuses:?}");
        assert!(statuses.contains(&204), "{statuses:?}");
    }
    d.assert_nothing_left_behind();
}

#[test]
fn one_name_for_many_is_won_by_one() {
    let d = Daemon::start();
    let body = json!({"Image": "busybox", "Cmd": ["true"]}).to_string();
    let mut wires: Vec<Wire> = (0..8)
        .map(|_| {
            let mut wire = d.wire();
            wire.send(format!(
                "POST /containers/create?name=one HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            wire
        })
        .collect();
    let mut statuses: Vec<u16> = wires.iter_mut().map(|w| w.reply().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    drop(wires);
    d.assert_nothing_left_behind();
}

#[test]
fn a_remove_while_others_read() {
    let d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "-i",
        "--name",
        "cx",
        "busybox",
        "sh",
        "-c",
        "while :; do echo x; sleep 0.01; done",
    ]);
    let mut follow = begin(&d, "GET", "/containers/cx/logs?follow=1&stdout=1");
    assert_eq!(follow.head().0, 200);
    let mut attach = begin(&d, "POST", "/containers/cx/attach?stream=1&stdout=1");
    assert_eq!(attach.head().0, 200);
    let mut wait = begin(&d, "POST", "/containers/cx/wait");
    assert_eq!(wait.head().0, 200);
    assert_eq!(d.api("DELETE", "/containers/cx?force=1").status, 204);
    while follow.chunk().is_some() {}
    attach.frames();
    let body: serde_json::Value = serde_json::from_slice(&wait.chunk().unwrap()).unwrap();
    assert_eq!(body["StatusCode"], json!(137));
    drop((follow, attach, wait));
    d.assert_nothing_left_behind();
}

#[test]
fn runs_side_by_side() {
    let d = Daemon::start();
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let host = d.host();
            std::thread::spawn(move || {
                for j in 0..count(5, 250) {
                    let text = format!("{i} {j}");
                    let args = ["-H", &host, "run", "--rm", "busybox", "echo", &text];
                    let out = crate::harness::Cli::new(crate::harness::skiff()).args(args).output();
                    assert_eq!((out.code, out.stdout.trim()), (0, text.as_str()), "{}", out.stderr);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(d.ok(["ps", "-aq"]), "");
    d.assert_nothing_left_behind();
}
