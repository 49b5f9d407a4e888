//! Health checks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Daemon, assert_flat, busybox_tar, count, encode, keep_stacks, monitor_of, wait_until,
};

/// Runs `cx`, checked by `command`, with further flags.
fn run(d: &Daemon, command: &str, flags: &[&str]) {
    let mut args = vec!["run", "-d", "--name", "cx", "--health-cmd", command];
    args.extend(flags);
    args.extend(["busybox", "sleep", "100000"]);
    d.ok(args);
}

fn health(d: &Daemon) -> Value {
    d.inspect("cx")["State"]["Health"].clone()
}

fn wait_health(d: &Daemon, status: &str) {
    wait_until(&format!("it is {status}"), || health(d)["Status"] == status);
}

fn checks(d: &Daemon) -> Vec<Value> {
    health(d)["Log"].as_array().cloned().unwrap_or_default()
}

fn events(d: &Daemon) -> Vec<String> {
    let flags = ["--since", "1h", "--until", "0s", "--filter", "event=health_status"];
    let out = d.ok(["events", "--format", "{{.Action}}"].iter().chain(&flags));
    out.lines().map(str::to_owned).collect()
}

const FAST: &[&str] = &["--health-interval", "100ms", "--health-retries", "2"];

#[test]
fn from_starting_to_unhealthy_to_healthy() {
    let d = Daemon::start();
    run(&d, "echo looked; test -f /ok", FAST);
    assert_eq!(health(&d)["Status"], "starting");
    assert!(d.ok(["ps"]).contains("(health: starting)"));
    assert_eq!(d.ok(["ps", "-q", "-f", "health=starting"]).lines().count(), 1);
    wait_health(&d, "unhealthy");
    assert!(d.ok(["ps"]).contains("(unhealthy)"));
    let shown = health(&d);
    assert!(shown["FailingStreak"].as_i64().unwrap() >= 2, "{shown}");
    assert_eq!(
        (&shown["Log"][0]["ExitCode"], &shown["Log"][0]["Output"]),
        (&json!(1), &json!("looked\n"))
    );
    assert!(shown["Log"][0]["End"].as_str() > shown["Log"][0]["Start"].as_str());
    d.ok(["exec", "cx", "touch", "/ok"]);
    wait_health(&d, "healthy");
    assert!(d.ok(["ps"]).contains("(healthy)"));
    assert_eq!(d.ok(["ps", "-q", "-f", "health=healthy"]).lines().count(), 1);
    assert_eq!(d.ok(["ps", "-q", "-f", "health=none"]), "");
    assert_eq!(health(&d)["FailingStreak"], 0);
    let last = || checks(&d).last().map(|check| check["End"].as_str().unwrap().to_owned());
    for _ in 0..6 {
        let before = last();
        wait_until("the next check", || last() != before);
    }
    assert_eq!(checks(&d).len(), 5);
    assert_eq!(events(&d), ["health_status: unhealthy", "health_status: healthy"]);
    assert_eq!(d.inspect("cx")["ExecIDs"], Value::Null);
    assert_eq!(d.cli(["ps", "-f", "health=odd"]).output().code, 1);
    // What does not run is not healthy, and begins anew.
    d.ok(["kill", "cx"]);
    d.wait_status("cx", "exited");
    assert_eq!(health(&d)["Status"], "unhealthy");
    assert!(!d.ok(["ps", "-a"]).contains("healthy"));
    d.ok(["start", "cx"]);
    wait_health(&d, "healthy");
    d.assert_nothing_left_behind();
}

#[test]
fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let d = Daemon::start();
    let slow = ["--health-timeout", "300ms", "--health-interval", "100ms", "--health-retries", "1"];
    run(&d, "echo begun; sleep 4321; true", &slow);
    wait_health(&d, "unhealthy");
    let check = checks(&d)[0].clone();
    assert_eq!(check["ExitCode"], -1);
    assert_eq!(check["Output"], "Health check exceeded timeout (300ms): begun\n");
    wait_until("a second one", || checks(&d).len() > 1);
    d.ok(["pause", "cx"]);
    d.ok(["unpause", "cx"]);
    // One may be running now; those of before are gone.
    let sleeping = d.ok(["top", "cx"]).lines().filter(|line| line.contains("sleep 4321")).count();
    assert!(sleeping <= 2, "{}", d.ok(["top", "cx"]));
    d.ok(["rm", "-f", "cx"]);

    run(&d, "head -c 10000 /dev/zero | tr '\\0' x", FAST);
    wait_health(&d, "healthy");
    let output = checks(&d)[0]["Output"].as_str().unwrap().to_owned();
    assert_eq!((output.len(), output.ends_with("xxx...")), (4096, true));
    d.ok(["rm", "-f", "cx"]);
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "1000"],
        "Healthcheck": {"Test": ["CMD", "/missing"], "Interval": 100_000_000, "Retries": 1}
    });
    d.post("/containers/create?name=cx", &body).expect(201);
    assert_eq!(health(&d), Value::Null);
    d.ok(["start", "cx"]);
    wait_health(&d, "unhealthy");
    let check = checks(&d)[0].clone();
    assert_eq!(check["ExitCode"], -1);
    assert!(check["Output"].as_str().unwrap().contains("no such file or directory"), "{check}");
    d.assert_nothing_left_behind();
}

#[test]
fn failures_while_it_starts_do_not_count() {
    let d = Daemon::start();
    let flags = [
        "--health-start-period",
        "1000s",
        "--health-start-interval",
        "50ms",
        "--health-interval",
        "2000s",
        "--health-retries",
        "1",
    ];
    run(&d, "test -f /ok", &flags);
    wait_until("many checks", || checks(&d).len() == 5);
    let shown = health(&d);
    assert_eq!((&shown["Status"], &shown["FailingStreak"]), (&json!("starting"), &json!(0)));
    // Nothing is asked of one that stands still.
    d.ok(["pause", "cx"]);
    let before = checks(&d);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(checks(&d), before);
    d.ok(["unpause", "cx"]);
    d.ok(["exec", "cx", "touch", "/ok"]);
    d.assert_nothing_left_behind();
}

#[test]
fn images_ask_and_flags_overrule() {
    let d = Daemon::start();
    let change = encode("HEALTHCHECK --interval=100ms --retries=1 CMD test -f /ok");
    let path = format!("/images/create?fromSrc=-&repo=checked&changes={change}");
    let reply = d.send("POST", &path, "application/x-tar", busybox_tar());
    assert_eq!(reply.status, 200);
    let shown = d.ok(["inspect", "-f", "{{json .Config.Healthcheck.Test}}", "checked"]);
    assert_eq!(shown, r#"["CMD-SHELL","test -f /ok"]"#);
    let start = |flags: &[&str]| {
        d.cli(["rm", "-f", "cx"]).output();
        let all = [&["run", "-d", "--name", "cx"][..], flags, &["checked", "sleep", "1000"]];
        d.ok(all.concat());
    };
    start(&[]);
    wait_health(&d, "unhealthy");
    start(&["--health-cmd", "true"]);
    wait_health(&d, "healthy");
    start(&["--no-healthcheck"]);
    assert_eq!(health(&d), Value::Null);
    assert_eq!(d.ok(["ps", "-q", "-f", "health=none"]).lines().count(), 1);
    assert!(!d.ok(["ps"]).contains("health"));
    for (check, text) in [
        (json!({"Test": ["CMD", "x"], "Interval": 5}), "cannot be less than 1ms"),
        (json!({"Test": ["CMD", "x"], "Retries": -1}), "cannot be negative"),
        (json!({"Test": ["CMD"]}), "has no command"),
        (json!({"Test": ["ODD", "x"]}), "ODD"),
    ] {
        let body = json!({"Image": "busybox", "Cmd": ["true"], "Healthcheck": check});
        let reply = d.post("/containers/create", &body);
        assert_eq!(reply.status, 400);
        assert!(reply.message().contains(text), "{}", reply.text());
    }
    d.assert_nothing_left_behind();
}

#[test]
fn a_new_daemon_goes_on() {
    let mut d = Daemon::start();
    run(&d, "echo $$ >>/checks; sleep 0.2; test -f /ok", FAST);
    d.ok(["exec", "cx", "touch", "/ok"]);
    wait_health(&d, "healthy");
    for _ in 0..count(3, 20) {
        d.kill9();
        d.restart();
        let shown = health(&d);
        assert_eq!(shown["Status"], "healthy");
        assert!(!shown["Log"].as_array().unwrap().is_empty());
        let last = || checks(&d).last().map(|check| check["End"].clone());
        let before = last();
        wait_until("the next check", || last() != before);
    }
    // It came back to the same container, and sees a change.
    d.ok(["exec", "cx", "rm", "/ok"]);
    wait_health(&d, "unhealthy");
    d.assert_nothing_left_behind();
}

#[test]
fn many_checks_leave_memory_flat() {
    let d = Daemon::start();
    for n in 0..3 {
        let name = format!("c{n}");
        let flags = ["--health-cmd", "echo ok", "--health-interval", "20ms"];
        let rest = ["busybox", "sleep", "100000"];
        let all = [&["run", "-d", "--name", &name][..], &flags, &rest].concat();
        d.ok(all);
    }
    let pid = d.pid();
    let monitors: Vec<i32> = ["c0", "c1", "c2"].map(|name| monitor_of(&d, name)).into();
    let last = || d.inspect("c2")["State"]["Health"]["Log"][4]["End"].clone();
    let see = |checks: usize| {
        for _ in 0..checks {
            let before = last();
            wait_until("the next check", || last() != before);
        }
    };
    keep_stacks(&d, 20);
    see(60);
    assert_flat(&d, &monitors, || see(count(60, 500)));
    // One thread for all of them, which ends with them.
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
        names.flatten().filter(|name| name == "health\n").count()
    };
    assert_eq!(threads(), 1);
    d.ok(["rm", "-f", "c0", "c1", "c2"]);
    wait_until("its thread has ended", || threads() == 0);
    d.assert_nothing_left_behind();
}
