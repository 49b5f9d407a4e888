//! Logs: both streams, following, tails, times, rotation, drivers.

use std::time::Duration;

use crate::harness::{Daemon, SOON, Setup, count, wait_until};

#[test]
fn both_streams_are_kept_apart_and_in_order() {
    let d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "--name",
        "cx",
        "busybox",
        "sh",
        "-c",
        "echo a; echo b >&2; echo c; printf tail",
    ]);
    d.ok(["wait", "cx"]);
    let out = d.cli(["logs", "cx"]).output();
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("a\nc\ntail", "b\n"));
    let out = d.cli(["logs", "missing"]).output();
    assert_eq!(
        (out.code, out.stderr.trim()),
        (1, "Error response from daemon: No such container: missing")
    );
    d.assert_nothing_left_behind();
}

#[test]
fn tails_times_since_and_until() {
    let d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "--name",
        "cx",
        "busybox",
        "sh",
        "-c",
        "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done",
    ]);
    d.ok(["wait", "cx"]);
    assert_eq!(d.ok(["logs", "-n", "2", "cx"]), "4\n5");
    assert_eq!(d.ok(["logs", "--tail", "0", "cx"]), "");
    assert_eq!(d.ok(["logs", "--tail=all", "cx"]).lines().count(), 5);
    let stamped = d.ok(["logs", "-t", "-n", "1", "cx"]);
    let (time, line) = stamped.split_once(' ').unwrap();
    assert_eq!((time.len(), line), ("2025-01-02T15:04:05.123456789Z".len(), "5"), "{stamped}");
    assert_eq!(d.ok(["logs", "--since", "1h", "cx"]).lines().count(), 5);
    assert_eq!(d.ok(["logs", "--until", "1h", "cx"]), "");
    assert_eq!(d.ok(["logs", "--since", "2099-01-01", "cx"]), "");
    assert_eq!(d.ok(["logs", "--since", time, "cx"]), "5");
}

#[test]
fn following_ends_with_the_container_and_misses_nothing() {
    let d = Daemon::start();
    let script = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); [ $((i%100)) = 0 ] && sleep 0.1; done";
    d.ok(["run", "-d", "--name", "cx", "busybox", "sh", "-c", script]);
    let mut follow = d.cli(["logs", "-f", "cx"]).spawn();
    let out = follow.wait(SOON);
    let expected: Vec<String> = (0..500).map(|i| format!("line {i}")).collect();
    assert_eq!(out.stdout.lines().collect::<Vec<_>>(), expected);
    // Of a container that has ended, it ends at once.
    assert_eq!(d.ok(["logs", "-f", "-n", "1", "cx"]), "line 499");
    d.assert_nothing_left_behind();
}

#[test]
fn following_shows_lines_as_they_come() {
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
        "while read l; do echo $l; done; sleep 1000",
    ]);
    let mut attached = d.cli(["attach", "cx"]).spawn();
    let follow = d.cli(["logs", "-f", "cx"]).spawn();
    for text in ["first", "second", "third"] {
        attached.write(&format!("{text}\n"));
        follow.expect(text);
    }
    d.ok(["rm", "-f", "cx"]);
    let mut follow = follow;
    assert_eq!(follow.wait(SOON).stdout, "first\nsecond\nthird\n");
    d.assert_nothing_left_behind();
}

#[test]
fn rotation_keeps_the_newest_lines_within_the_limit() {
    let d = Daemon::start();
    let lines = 20_000;
    let script =
        format!("i=0; while [ $i -lt {lines} ]; do echo line $i of the log; i=$((i+1)); done");
    let args = [
        "run",
        "--name",
        "cx",
        "--log-opt",
        "max-size=100k",
        "--log-opt",
        "max-file=3",
        "busybox",
        "sh",
        "-c",
    ];
    let mut args: Vec<&str> = args.to_vec();
    args.push(&script);
    let out = d.cli(args).output();
    assert_eq!(out.stdout.lines().count(), lines, "the attached client sees all");
    let logged = d.ok(["logs", "cx"]);
    let numbers: Vec<usize> =
        logged.lines().map(|l| l.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(*numbers.last().unwrap(), lines - 1);
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "a hole or a doubled line");
    let io = d.root().join("containers").join(d.inspect("cx")["Id"].as_str().unwrap()).join("io");
    let sizes: Vec<u64> = std::fs::read_dir(&io)
        .unwrap()
        .flatten()
        .filter(|e| e.file_name() != "exit.json")
        .map(|e| e.metadata().unwrap().len())
        .collect();
    assert!(sizes.len() <= 3, "{sizes:?}");
    assert!(sizes.iter().sum::<u64>() <= 310_000, "{sizes:?}");
    assert!(sizes.iter().sum::<u64>() >= 150_000, "{sizes:?}");
    d.assert_nothing_left_behind();
}

#[test]
fn a_follower_lives_through_rotations() {
    let d = Daemon::start();
    let lines = count(5_000, 100_000);
    let script = format!(
        "sleep 0.3; i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); [ $((i%250)) = 0 ] && sleep 0.02; done"
    );
    let flags = [
        "run",
        "-d",
        "--name",
        "cx",
        "--log-opt",
        "max-size=64k",
        "--log-opt",
        "max-file=4",
        "busybox",
        "sh",
        "-c",
    ];
    let mut args: Vec<&str> = flags.to_vec();
    args.push(&script);
    d.ok(args);
    let out = d.cli(["logs", "-f", "cx"]).limit(10 * SOON).spawn().wait(10 * SOON);
    let expected: Vec<String> = (0..lines).map(|i| format!("line {i}")).collect();
    assert!(
        out.stdout.lines().eq(expected.iter()),
        "{} of {lines} lines",
        out.stdout.lines().count()
    );
}

#[test]
fn drivers_and_options_are_checked() {
    let d = Daemon::start();
    d.ok(["run", "--name", "cx", "--log-driver", "none", "busybox", "echo", "unlogged"]);
    let out = d.cli(["logs", "cx"]).output();
    assert_eq!(out.code, 1);
    assert!(
        out.stderr.contains("configured logging driver does not support reading"),
        "{}",
        out.stderr
    );
    for flags in
        [["--log-driver", "syslog"], ["--log-opt", "nonsense=1"], ["--log-opt", "max-size=abc"]]
    {
        let mut args = vec!["create"];
        args.extend(flags);
        args.extend(["busybox", "true"]);
        let out = d.cli(args).output();
        assert_eq!(out.code, 1, "{flags:?}: {}", out.stdout);
    }
    d.assert_nothing_left_behind();
}

#[test]
fn the_daemons_default_may_be_set() {
    let d = Setup::new()
        .flag("--log-opt")
        .flag("max-size=50k")
        .flag("--log-opt")
        .flag("max-file=2")
        .start();
    let script = "i=0; while [ $i -lt 5000 ]; do echo line $i of the log; i=$((i+1)); done";
    d.ok(["run", "-d", "--name", "cx", "busybox", "sh", "-c", script]);
    d.ok(["wait", "cx"]);
    assert!(d.ok(["logs", "cx"]).lines().count() < 4000);
}

#[test]
fn bytes_that_are_no_text_stay_as_they_are_on_attach() {
    let d = Daemon::start();
    let out =
        d.cli(["run", "--name", "cx", "busybox", "printf", "a\\377\\000\\033[31m\\\\\"z"]).output();
    assert_eq!(out.bytes, b"a\xff\0\x1b[31m\\\"z");
    let logged = d.cli(["logs", "cx"]).output();
    assert_eq!(String::from_utf8_lossy(&logged.bytes), "a\u{fffd}\0\x1b[31m\\\"z");
}

#[test]
fn very_long_lines_come_back_whole() {
    let d = Daemon::start();
    let script = "head -c 300000 /dev/zero | tr '\\0' x; echo; echo end";
    d.ok(["run", "-d", "--name", "cx", "busybox", "sh", "-c", script]);
    d.ok(["wait", "cx"]);
    let lines: Vec<usize> = d.ok(["logs", "cx"]).lines().map(str::len).collect();
    assert_eq!(lines, [300_000, 3]);
}

#[test]
fn an_attach_with_logs_has_neither_hole_nor_double() {
    let d = Daemon::start();
    let script =
        "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; sleep 0.5; echo last";
    d.ok(["run", "-d", "--name", "cx", "busybox", "sh", "-c", script]);
    let mut wires = Vec::new();
    for _ in 0..5 {
        let mut wire = d.wire();
        wire.send("POST /containers/cx/attach?logs=1&stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: t\r\n\r\n");
        let (status, _) = wire.head();
        assert_eq!(status, 200);
        wires.push(wire);
        std::thread::sleep(Duration::from_millis(10));
    }
    let expected: Vec<String> =
        (0..3000).map(|i| format!("line {i}")).chain(["last".to_owned()]).collect();
    for wire in &mut wires {
        let (out, _) = wire.frames();
        assert!(out.lines().eq(expected.iter()), "{} lines", out.lines().count());
    }
    wait_until("it has ended", || d.status("cx") == "exited");
    d.assert_nothing_left_behind();
}
