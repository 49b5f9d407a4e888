//! pause, unpause.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Daemon, wait_until};

/// Writes a number every 20 ms.
const COUNT: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";

fn events(d: &Daemon) -> Vec<String> {
    let lines = d.ok(["events", "--since", "1h", "--until", "0s", "--format", "json"]);
    let action = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["Type"] == "container").then(|| event["Action"].as_str().unwrap().to_owned())
    };
    lines.lines().filter_map(action).collect()
}

#[test]
fn what_is_paused_stands_still_and_goes_on() {
    let mut d = Daemon::start();
    d.ok(["run", "-d", "--name", "cx", "busybox", "sh", "-c", COUNT]);
    wait_until("it counts", || !d.ok(["logs", "cx"]).is_empty());
    let id = d.inspect("cx")["Id"].as_str().unwrap().to_owned();
    assert_eq!(d.ok(["pause", "cx"]), "cx");
    let out = d.cli(["pause", "cx"]).output();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains(&format!("Container {id} is already paused")), "{}", out.stderr);
    let before = d.ok(["logs", "cx"]);
    let state = &d.inspect("cx")["State"];
    assert_eq!((&state["Status"], &state["Running"]), (&"paused".into(), &true.into()));
    assert_eq!(state["Paused"], true);
    assert!(d.ok(["ps", "--format", "{{.Status}}"]).ends_with("(Paused)"));
    assert_eq!(d.cli(["start", "cx"]).output().code, 1);
    let out = d.cli(["rm", "cx"]).output();
    assert!(out.stderr.contains("container is paused and must be unpaused first"), "{out:?}");
    // The next daemon sees it as well.
    d.restart();
    assert_eq!(d.status("cx"), "paused");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(d.ok(["logs", "cx"]), before);
    assert_eq!(d.ok(["unpause", "cx"]), "cx");
    wait_until("it goes on", || d.ok(["logs", "cx"]) != before);
    let out = d.cli(["unpause", "cx"]).output();
    assert!(out.stderr.contains(&format!("Container {id} is not paused")), "{}", out.stderr);
    d.ok(["rm", "-f", "cx"]);
    assert_eq!(d.cli(["pause", "cx"]).output().code, 1);
    d.assert_nothing_left_behind();
}

#[test]
fn what_is_paused_can_be_stopped_killed_restarted_and_removed() {
    let d = Daemon::start();
    let script = "trap 'exit 5' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 0.02; done";
    d.ok(["run", "-d", "--name", "cx", "busybox", "sh", "-c", script]);
    wait_until("it is up", || d.ok(["logs", "cx"]) == "up");
    d.ok(["pause", "cx"]);
    d.ok(["kill", "-s", "HUP", "cx"]);
    assert_eq!(d.status("cx"), "paused");
    d.ok(["unpause", "cx"]);
    wait_until("the signal arrives", || d.ok(["logs", "cx"]) == "up\nhup");
    let began = Instant::now();
    d.ok(["pause", "cx"]);
    d.ok(["stop", "cx"]);
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 5);
    for verb in ["kill", "restart"] {
        d.ok(["start", "cx"]);
        d.ok(["pause", "cx"]);
        d.ok([verb, "cx"]);
    }
    d.ok(["pause", "cx"]);
    d.ok(["rm", "-f", "cx"]);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let events = events(&d);
    let at = events.iter().position(|action| action == "pause").unwrap();
    assert_eq!(events[at..at + 3], ["pause", "kill", "unpause"]);
    d.assert_nothing_left_behind();
}
