//! create, start, stop, restart, kill, wait, rm, rename, ps, inspect.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Daemon, SOON, wait_until};

/// Runs until it is told to stop, and then ends with code 0 at once.
const POLITE: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";

#[test]
fn create_start_stop_start_rm() {
    let d = Daemon::start();
    let id = d.ok(["create", "--name", "cx", "busybox", "sh", "-c", POLITE]);
    assert_eq!(d.status("cx"), "created");
    assert_eq!(d.ok(["start", "cx"]), "cx");
    assert_eq!(d.ok(["start", "cx"]), "cx", "starting what runs is no failure");
    wait_until("it is up", || d.ok(["logs", "cx"]) == "up");
    let began = Instant::now();
    assert_eq!(d.ok(["stop", "cx"]), "cx");
    assert!(began.elapsed() < Duration::from_secs(8), "stop waited for its time-out");
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 0);
    assert_eq!(d.ok(["stop", "cx"]), "cx");
    assert_eq!(d.ok(["start", &id[..12]]), &id[..12]);
    wait_until("it is up again", || d.ok(["logs", "cx"]) == "up\nup");
    let out = d.cli(["rm", "cx"]).output();
    assert_eq!(out.code, 1);
    let text = "cannot remove container \"cx\": container is running: stop the container before removing or force remove";
    assert!(out.stderr.contains(text), "{}", out.stderr);
    assert_eq!(d.ok(["rm", "-f", "cx"]), "cx");
    assert_eq!(d.api("GET", "/containers/cx/json").status, 404);
    d.assert_nothing_left_behind();
}

#[test]
fn stop_kills_what_does_not_heed() {
    let d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "--name",
        "cx",
        "busybox",
        "sh",
        "-c",
        "trap '' TERM; echo up; while :; do sleep 0.05; done",
    ]);
    wait_until("it is up", || d.ok(["logs", "cx"]) == "up");
    let began = Instant::now();
    d.ok(["stop", "-t", "1", "cx"]);
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(6)).contains(&took), "{took:?}");
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 137);
    d.assert_nothing_left_behind();
}

#[test]
fn the_stop_signal_and_the_time_to_stop_may_be_the_containers_own() {
    let d = Daemon::start();
    let script = "trap 'exit 42' USR1; echo up; while :; do sleep 0.05; done";
    d.ok(["run", "-d", "--name", "cx", "--stop-signal", "USR1", "busybox", "sh", "-c", script]);
    wait_until("it is up", || d.ok(["logs", "cx"]) == "up");
    d.ok(["stop", "cx"]);
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 42);
    let ignore = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    d.ok(["run", "-d", "--name", "cy", "--stop-timeout", "0", "busybox", "sh", "-c", ignore]);
    wait_until("it is up", || d.ok(["logs", "cy"]) == "up");
    let began = Instant::now();
    d.ok(["stop", "cy"]);
    assert!(began.elapsed() < Duration::from_secs(5));
    d.assert_nothing_left_behind();
}

#[test]
fn kill_sends_any_signal() {
    let d = Daemon::start();
    let script = "trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done";
    d.ok(["run", "-d", "--name", "cx", "busybox", "sh", "-c", script]);
    wait_until("it is up", || d.ok(["logs", "cx"]) == "up");
    d.ok(["kill", "-s", "HUP", "cx"]);
    wait_until("the signal arrives", || d.ok(["logs", "cx"]) == "up\nhup");
    assert_eq!(d.cli(["kill", "-s", "NONSENSE", "cx"]).output().code, 1);
    d.ok(["kill", "cx"]);
    assert_eq!(d.ok(["wait", "cx"]), "137");
    let out = d.cli(["kill", "cx"]).output();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("is not running"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}

#[test]
fn restart_starts_what_stands_and_what_runs() {
    let d = Daemon::start();
    d.ok(["create", "--name", "cx", "busybox", "sh", "-c", POLITE]);
    d.ok(["restart", "cx"]);
    wait_until("it is up", || d.ok(["logs", "cx"]) == "up");
    let pid = d.inspect("cx")["State"]["Pid"].clone();
    d.ok(["restart", "-t", "3", "cx"]);
    wait_until("it is up again", || d.ok(["logs", "cx"]) == "up\nup");
    assert_ne!(d.inspect("cx")["State"]["Pid"], pid);
    d.assert_nothing_left_behind();
}

#[test]
fn several_arguments_are_all_done_and_failures_counted() {
    let d = Daemon::start();
    for name in ["aa", "bb"] {
        d.ok(["create", "--name", name, "busybox", "true"]);
    }
    let out = d.cli(["rm", "aa", "missing", "bb"]).output();
    assert_eq!((out.code, out.stdout.as_str()), (1, "aa\nbb\n"));
    assert_eq!(out.stderr.trim(), "Error response from daemon: No such container: missing");
    let out = d.cli(["rm", "-f", "missing"]).output();
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert_eq!(d.cli(["start", "missing"]).output().code, 1);
    d.assert_nothing_left_behind();
}

#[test]
fn wait_prints_each_code() {
    let d = Daemon::start();
    d.ok(["run", "-d", "--name", "aa", "busybox", "sh", "-c", "sleep 0.3; exit 3"]);
    d.ok(["run", "-d", "--name", "bb", "busybox", "sh", "-c", "exit 4"]);
    assert_eq!(d.ok(["wait", "aa", "bb"]), "3\n4");
    assert_eq!(d.cli(["wait", "missing"]).output().code, 1);
}

#[test]
fn names_are_unique_checked_and_may_change() {
    let d = Daemon::start();
    let id = d.ok(["create", "--name", "first", "busybox", "true"]);
    let out = d.cli(["create", "--name", "first", "busybox", "true"]).output();
    assert_eq!(out.code, 1, "{}", out.stderr);
    let text = format!(
        "Conflict. The container name \"/first\" is already in use by container \"{id}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    );
    assert!(out.stderr.contains(&text), "{}", out.stderr);
    let out = d.cli(["create", "--name", "a/b", "busybox", "true"]).output();
    assert!(out.stderr.contains("only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"), "{}", out.stderr);
    d.ok(["rename", "first", "second"]);
    assert_eq!(d.inspect("second")["Name"], "/second");
    assert_eq!(d.api("GET", "/containers/first/json").status, 404);
    d.ok(["create", "--name", "first", "busybox", "true"]);
    assert_eq!(d.cli(["rename", "first", "second"]).output().code, 1);
    let made_up = d.ok(["create", "busybox", "true"]);
    let name = d.inspect(&made_up)["Name"].as_str().unwrap().to_owned();
    assert!(name.starts_with('/') && name.contains('_'), "{name}");
    // By any unique prefix, and by full id before a name of the same look.
    assert_eq!(d.inspect(&id[..6])["Id"], json!(id));
    d.assert_nothing_left_behind();
}

#[test]
fn ps_shows_and_filters() {
    let d = Daemon::start();
    d.ok(["run", "-d", "--name", "up", "-l", "color=red", "busybox", "sleep", "1000"]);
    let out = d
        .cli(["run", "--name", "down", "-l", "color=blue", "busybox", "sh", "-c", "exit 3"])
        .output();
    assert_eq!(out.code, 3);
    let table = d.ok(["ps"]);
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(head.join(" "), "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES");
    let row = lines.next().unwrap();
    assert!(row.contains("\"sleep 1000\"") && row.contains("Up ") && row.ends_with("up"), "{row}");
    assert_eq!(lines.next(), None);
    assert_eq!(d.ok(["ps", "-a", "--format", "{{.Names}} {{.State}}"]), "down exited\nup running");
    assert!(
        d.ok(["ps", "-a", "-f", "name=down", "--format", "{{.Status}}"]).starts_with("Exited (3) ")
    );
    let names = |flags: &[&str]| {
        let mut args = vec!["ps", "--format", "{{.Names}}"];
        args.extend(flags);
        d.ok(args)
    };
    assert_eq!(names(&["-a", "-f", "label=color=red"]), "up");
    assert_eq!(names(&["-a", "-f", "label=color"]), "down\nup");
    assert_eq!(names(&["-f", "status=exited"]), "down");
    assert_eq!(names(&["-f", "exited=3", "-a"]), "down");
    assert_eq!(names(&["-l"]), "down");
    assert_eq!(names(&["-n", "1"]), "down");
    assert_eq!(names(&["-a", "-f", "since=up"]), "down");
    assert_eq!(names(&["-a", "-f", "before=down"]), "up");
    assert_eq!(names(&["-a", "-f", "ancestor=busybox"]), "down\nup");
    assert_eq!(d.ok(["ps", "-q"]).len(), 12);
    assert_eq!(d.ok(["ps", "-q", "--no-trunc"]).len(), 64);
    assert!(d.ok(["ps", "-s", "-a"]).contains("(virtual "));
    let out = d.cli(["ps", "-f", "nonsense=1"]).output();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("invalid filter 'nonsense'"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}

#[test]
fn inspect_shows_objects_and_formats() {
    let d = Daemon::start();
    let id = d.ok([
        "create", "--name", "cx", "-l", "a=b", "-e", "K=v", "-m", "64m", "busybox", "echo", "hi",
    ]);
    let text = d.ok(["inspect", "cx"]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value[0]["Id"], json!(id));
    assert_eq!(value[0]["Config"]["Cmd"], json!(["echo", "hi"]));
    assert_eq!(value[0]["HostConfig"]["Memory"], json!(64 << 20));
    assert!(text.starts_with("[\n    {\n        \""), "four spaces: {}", &text[..20]);
    assert_eq!(
        d.ok(["inspect", "-f", "{{.Name}} {{.State.Status}} {{index .Config.Labels \"a\"}}", "cx"]),
        "/cx created b"
    );
    assert_eq!(d.ok(["inspect", "-f", "{{json .Config.Cmd}}", "cx"]), "[\"echo\",\"hi\"]");
    assert_eq!(d.ok(["inspect", "-f", "{{range .Config.Cmd}}<{{.}}>{{end}}", "cx"]), "<echo><hi>");
    let out = d.cli(["inspect", "cx", "missing"]).output();
    assert_eq!(out.code, 1);
    assert!(out.stdout.contains(&id));
    assert_eq!(out.stderr.trim(), "Error: No such object: missing");
    assert_eq!(d.cli(["inspect", "-f", "{{", "cx"]).output().code, 64);
    let image = d.ok(["inspect", "-f", "{{.Id}}", "busybox"]);
    assert!(image.starts_with("sha256:"));
    d.assert_nothing_left_behind();
}

#[test]
fn start_attached_gives_the_output_and_the_code() {
    let d = Daemon::start();
    d.ok(["create", "--name", "cx", "busybox", "sh", "-c", "echo out; exit 8"]);
    let out = d.cli(["start", "-a", "cx"]).output();
    assert_eq!((out.code, out.stdout.as_str()), (8, "out\n"));
    d.ok(["create", "-i", "--name", "cy", "busybox", "cat"]);
    let out = d.cli(["start", "-ai", "cy"]).stdin("through\n").output();
    assert_eq!((out.code, out.stdout.as_str()), (0, "through\n"));
    d.assert_nothing_left_behind();
}

#[test]
fn top_shows_the_processes() {
    let d = Daemon::start();
    d.ok(["run", "-d", "--name", "cx", "busybox", "sleep", "1234"]);
    let top = d.ok(["top", "cx"]);
    let head: Vec<&str> = top.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head.join(" "), "UID PID PPID C STIME TTY TIME CMD");
    assert!(top.contains("sleep 1234"), "{top}");
    let pid = d.inspect("cx")["State"]["Pid"].to_string();
    assert!(top.split_whitespace().any(|word| word == pid), "{top}");
    let reply = d.api("GET", "/containers/cx/top?ps_args=-o%20pid,comm").expect(200);
    assert_eq!(reply["Processes"][0][1], "sleep");
}

#[test]
fn a_new_root_is_written_and_kept_until_it_is_removed() {
    let d = Daemon::start();
    d.ok([
        "create",
        "--name",
        "cx",
        "busybox",
        "sh",
        "-c",
        "cat /kept 2>/dev/null; echo x >>/kept",
    ]);
    assert_eq!(d.cli(["start", "-a", "cx"]).output().stdout, "");
    assert_eq!(d.cli(["start", "-a", "cx"]).output().stdout, "x\n");
    assert_eq!(d.cli(["start", "-a", "cx"]).output().stdout, "x\nx\n");
    assert_eq!(d.cli(["run", "--rm", "busybox", "ls", "/kept"]).output().code, 1);
    d.assert_nothing_left_behind();
}

#[test]
fn an_exited_container_is_small() {
    let d = Daemon::start();
    let id = d.ok(["run", "-d", "busybox", "echo", "cx"]);
    d.ok(["wait", &id]);
    let dir = d.root().join("containers").join(&id);
    wait_until("overlay's work directory is gone", || !dir.join("work").exists());
    let list = std::process::Command::new("find").arg(&dir).output().unwrap();
    let entries = String::from_utf8(list.stdout).unwrap();
    assert!(entries.lines().count() <= 9, "{entries}");
}

#[test]
fn the_daemon_stays_up_and_answers_while_containers_end() {
    let d = Daemon::start();
    let mut runs = Vec::new();
    for i in 0..8 {
        let script = format!("sleep 0.{i}; exit {i}");
        runs.push(d.cli(["run", "--rm", "busybox", "sh", "-c", &script]).spawn());
    }
    for (i, mut run) in runs.into_iter().enumerate() {
        assert_eq!(run.wait(SOON).code, i as i32);
    }
    d.assert_nothing_left_behind();
}
