//! `--init`: process 1 is the reaper, the program its child.

use std::fs;

use serde_json::json;

use crate::harness::{Daemon, wait_until};

fn init_pid(d: &Daemon, name: &str) -> i64 {
    d.inspect(name)["State"]["Pid"].as_i64().unwrap()
}

#[test]
fn an_init_reaps_for_the_program() {
    let d = Daemon::start();
    let script = "(sleep 0.1 &) ; sleep 0.4; ps -o stat,args | grep -c '^Z'; echo $$; exit 7";
    let out = d.cli(["run", "--rm", "--init", "busybox", "sh", "-c", script]).output();
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(out.code, 7, "{}", out.stderr);
    assert_eq!(lines[0], "0");
    assert_ne!(lines[1], "1");
    let without = d.ok(["run", "--rm", "busybox", "sh", "-c", "echo $$"]);
    assert_eq!(without, "1");
    d.assert_nothing_left_behind();
}

#[test]
fn an_init_passes_signals_on_and_ends_as_the_program_does() {
    let d = Daemon::start();
    // Not process 1, so that signals without a handler act.
    d.ok(["run", "-d", "--name", "plain", "--init", "busybox", "sleep", "1000"]);
    d.ok(["stop", "plain"]);
    assert_eq!(d.inspect("plain")["State"]["ExitCode"], 143);
    let script = "trap 'echo hup' HUP; trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done";
    d.ok(["run", "-d", "--name", "cx", "--init", "busybox", "sh", "-c", script]);
    wait_until("it is up", || d.ok(["logs", "cx"]) == "up");
    d.ok(["kill", "-s", "HUP", "cx"]);
    wait_until("the signal arrives", || d.ok(["logs", "cx"]) == "up\nhup");
    d.ok(["stop", "cx"]);
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 5);
    d.ok(["start", "cx"]);
    d.ok(["kill", "cx"]);
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 137);
    d.assert_nothing_left_behind();
}

#[test]
fn what_an_init_cannot_start_is_told_as_ever() {
    let d = Daemon::start();
    let out = d.cli(["run", "--init", "--name", "cx", "busybox", "/etc/passwd"]).output();
    assert_eq!(out.code, 126, "{}", out.stderr);
    let out = d.cli(["run", "--init", "busybox", "nothing-here"]).output();
    assert_eq!(out.code, 127, "{}", out.stderr);
    // What only exec itself finds out.
    let script = "printf '#!/nowhere\\n' >/tmp/x; chmod +x /tmp/x; exec /tmp/x";
    let out = d.cli(["run", "--init", "busybox", "sh", "-c", script]).output();
    assert_eq!(out.code, 127, "{}", out.stderr);
    let body = json!({"Image": "busybox", "Cmd": ["/bin"], "HostConfig": {"Init": true}});
    let id = d.create(&body);
    assert_eq!(d.inspect(&id)["HostConfig"]["Init"], true);
    assert_eq!(d.api("POST", &format!("/containers/{id}/start")).status, 400);
    d.assert_nothing_left_behind();
}

#[test]
fn an_init_is_small_and_shows_nothing_of_the_host() {
    let d = Daemon::start();
    let script = "tr '\\0' ' ' </proc/1/cmdline; echo; cat /proc/1/comm; cat /proc/1/environ; \
                  ls /proc/1/fd; cat /proc/1/maps; echo done; exec sleep 1000";
    d.ok(["run", "-d", "--name", "cx", "--init", "busybox", "sh", "-c", script]);
    wait_until("it has looked", || d.ok(["logs", "cx"]).contains("done"));
    let log = d.cli(["logs", "cx"]).output();
    let shown: Vec<&str> = log.stdout.lines().collect();
    assert_eq!((shown[0].trim(), shown[1]), ("skiff-init", "skiff-init"));
    assert_eq!(shown[2..], ["done"], "{log:?}");
    assert_eq!(log.stderr.matches("ermission denied").count(), 2, "{log:?}");
    let pid = init_pid(&d, "cx");
    assert_eq!(fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 0, "no descriptor");
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let field = |name: &str| -> u64 {
        let line = smaps.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    eprintln!("init: {} KB in use, {} KB of its own", field("Rss:"), field("Private_Dirty:"));
    assert!(field("Private_Dirty:") < 300, "{smaps}");
    d.ok(["rm", "-f", "cx"]);
    d.assert_nothing_left_behind();
}

#[test]
fn what_is_typed_reaches_the_program_below_an_init() {
    let d = Daemon::start();
    let script = "trap 'echo got-int' INT; echo up; while :; do sleep 0.05; done";
    let mut terminal =
        d.terminal(&["run", "-it", "--init", "--name", "cx", "busybox", "sh", "-c", script]);
    terminal.expect("up");
    terminal.type_in("\x03");
    terminal.expect("got-int");
    d.ok(["rm", "-f", "cx"]);
    d.assert_nothing_left_behind();
}

#[test]
fn an_init_in_the_hosts_processes_reaps_and_leaves_nothing() {
    let d = Daemon::start();
    let args = ["run", "-d", "--name", "cx", "--pid", "host", "--init", "busybox", "sh", "-c"];
    d.ok(args.into_iter().chain(["(sleep 0.1 &); exec sleep 1000"]));
    let pid = init_pid(&d, "cx");
    let children = || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    wait_until("its orphan is reaped", || children().split_whitespace().count() == 1);
    d.ok(["kill", "cx"]);
    d.assert_nothing_left_behind();
}
