//! The daemon dies and comes back; the containers notice nothing.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Daemon, SOON, Wire, assert_flat, count, keep_stacks, wait_until};

/// Prints numbered lines to both streams until it is told to end, then exits with `code`.
fn chatter(code: usize) -> String {
    format!(
        "trap 'echo end; exit {code}' TERM; i=0; \
         while :; do echo out $i; echo err $i >&2; i=$((i+1)); [ $((i%20)) = 0 ] && sleep 0.02; done"
    )
}

#[track_caller]
fn assert_consecutive(text: &str, word: &str) -> usize {
    let mut next = 0;
    for line in text.lines().filter(|l| l.starts_with(word)) {
        assert_eq!(line, format!("{word} {next}"), "a line is missing or doubled");
        next += 1;
    }
    next
}

#[test]
fn containers_run_on_and_are_adopted() {
    let mut d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "-i",
        "--name",
        "cat",
        "busybox",
        "sh",
        "-c",
        "while read l; do echo got $l; done; exit 9",
    ]);
    d.ok(["run", "-d", "--name", "sleeper", "busybox", "sleep", "1000"]);
    d.ok(["run", "-d", "--name", "short", "busybox", "sh", "-c", "sleep 0.3; echo late; exit 5"]);
    d.ok(["create", "--name", "never", "busybox", "true"]);
    let pid = d.inspect("sleeper")["State"]["Pid"].clone();
    d.kill9();
    // This one ends while nobody watches.
    std::thread::sleep(Duration::from_millis(600));
    d.restart();
    assert_eq!(d.status("short"), "exited");
    assert_eq!(d.inspect("short")["State"]["ExitCode"], 5);
    assert_eq!(d.ok(["logs", "short"]), "late");
    assert_eq!(d.ok(["wait", "short"]), "5");
    assert_eq!(d.inspect("sleeper")["State"]["Pid"], pid);
    assert_eq!(d.status("never"), "created");

    // attach, logs, wait, stop work at once.
    let mut attached = d.cli(["attach", "cat"]).spawn();
    wait_until("the attached program answers", || {
        attached.write("x\n");
        attached.stdout.wait(Duration::from_millis(100), |bytes, _| bytes.starts_with(b"got x\n"))
    });
    let mut wait = d.cli(["wait", "cat"]).spawn();
    let mut follow = d.cli(["logs", "-f", "cat"]).spawn();
    follow.expect("got x");
    d.ok(["stop", "-t", "1", "cat"]);
    assert_eq!(wait.wait(SOON).stdout, "137\n");
    assert!(follow.wait(SOON).stdout.starts_with("got x\n"));
    assert_eq!(attached.wait(SOON).code, 137);
    d.ok(["stop", "-t", "0", "sleeper"]);
    assert_eq!(d.inspect("sleeper")["State"]["ExitCode"], 137);
    d.assert_nothing_left_behind();
}

#[test]
fn a_polite_end_leaves_containers_running_too() {
    let mut d = Daemon::start();
    d.ok(["run", "-d", "--name", "cx", "busybox", "sh", "-c", &chatter(3)]);
    assert_eq!(d.terminate(), 0);
    assert!(!d.dir().join("pid").exists(), "the pid file is still there");
    d.restart();
    assert_eq!(d.status("cx"), "running");
    d.ok(["stop", "cx"]);
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 3);
    assert!(assert_consecutive(&d.cli(["logs", "cx"]).output().stdout, "out") > 0);
    d.assert_nothing_left_behind();
}

/// Kills the daemon at a random moment while chatty containers run, again and again.
#[test]
fn no_line_is_missing_or_double_after_kills() {
    let mut d = Daemon::start();
    let containers = count(4, 20);
    for i in 0..containers {
        let name = format!("c{i}");
        let args =
            ["run", "-d", "--name", &name, "--log-opt", "max-size=1g", "busybox", "sh", "-c"];
        let script = chatter(i + 1);
        d.ok(args.into_iter().chain([script.as_str()]));
    }
    for round in 0..count(4, 50) {
        let pause = (round * 7919 + 13) % 97;
        std::thread::sleep(Duration::from_millis(pause as u64));
        d.kill9();
        std::thread::sleep(Duration::from_millis((pause % 11) as u64));
        d.restart();
        let running = d.ok(["ps", "-q"]).lines().count();
        assert_eq!(running, containers, "round {round}");
        // One of them is replaced each time, some kills later.
        if round % 2 == 1 {
            let name = format!("c{}", round % containers);
            d.ok(["restart", "-t", "5", &name]);
        }
    }
    for i in 0..containers {
        let name = format!("c{i}");
        d.ok(["stop", &name]);
        assert_eq!(d.inspect(&name)["State"]["ExitCode"], json!(i + 1));
        let out = d.cli(["logs", &name]).limit(10 * SOON).output();
        // A restarted one counts from 0 again: each run by itself.
        let mut runs = out.stdout.split("end\n").filter(|run| !run.is_empty());
        assert!(runs.by_ref().map(|run| assert_consecutive(run, "out")).sum::<usize>() > 0);
        for run in out.stderr.split("err 0\n").skip(1) {
            let text = format!("err 0\n{run}");
            assert_consecutive(&text, "err");
        }
    }
    d.assert_nothing_left_behind();
}

#[test]
fn a_dead_monitor_ends_its_container() {
    let mut d = Daemon::start();
    let id = d.ok(["run", "-d", "--name", "cx", "busybox", "sleep", "1000"]);
    let monitor = || {
        std::fs::read_dir("/proc").unwrap().flatten().find_map(|e| {
            let pid: i32 = e.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(e.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line);
            (line.contains("skiff-monitor") && line.contains(&id)).then_some(pid)
        })
    };
    let Some(pid) = monitor() else { panic!("no monitor names {id} in its command line") };
    crate::harness::send_signal(pid, libc::SIGKILL);
    d.wait_status("cx", "exited");
    d.ok(["start", "cx"]);
    assert_eq!(d.status("cx"), "running");
    // And while the daemon is away.
    let pid = monitor().unwrap();
    d.kill9();
    crate::harness::send_signal(pid, libc::SIGKILL);
    d.restart();
    d.wait_status("cx", "exited");
    d.ok(["start", "cx"]);
    d.assert_nothing_left_behind();
}

#[test]
fn a_second_daemon_on_the_same_root_is_refused() {
    let d = Daemon::start();
    let root = d.root();
    let other = d.dir().join("other.sock");
    let host = format!("unix://{}", other.display());
    let pid = d.dir().join("other.pid");
    let run = d.dir().join("other-run");
    let args = [
        "-d",
        "-g",
        root.to_str().unwrap(),
        "-H",
        &host,
        "-p",
        pid.to_str().unwrap(),
        "--exec-root",
        run.to_str().unwrap(),
    ];
    let out = crate::harness::Cli::new(crate::harness::skiff()).args(args).output();
    assert_ne!(out.code, 0);
    assert!(!out.stderr.is_empty());
    assert_eq!(d.ok(["run", "--rm", "busybox", "echo", "cx"]), "cx");
}

/// Containers with a policy and listeners of events wake nobody up.
#[test]
fn idle_means_idle() {
    let d = Daemon::start();
    let containers = count(3, 20);
    for n in 0..containers {
        let policy = ["unless-stopped", "always", "on-failure:3"][n % 3];
        d.ok(["run", "-d", "--restart", policy, "busybox", "sleep", "1000"]);
    }
    let listeners: Vec<Wire> = ["/events", "/v1.6/events", "/events?filters={\"event\":[\"die\"]}"]
        .iter()
        .map(|path| {
            let mut wire = d.wire();
            wire.send(format!("GET {} HTTP/1.1\r\nHost: t\r\n\r\n", path.replace('"', "%22")));
            assert_eq!(wire.head().0, 200);
            wire
        })
        .collect();
    let mut listener = d.cli(["events"]).spawn();
    d.ok(["create", "--name", "seen", "busybox", "true"]);
    listener.expect("create");
    let seconds = count(3, 60) as u64;
    let switches = || -> u64 {
        let monitors = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| {
            let pid: i32 = e.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(e.path().join("cmdline")).ok()?;
            let dir = d.dir().to_str().unwrap();
            let line = String::from_utf8_lossy(&line).into_owned();
            (line.contains("skiff-monitor") && line.contains(dir)).then_some(pid)
        });
        let all: Vec<i32> = monitors.chain([d.pid()]).collect();
        assert_eq!(all.len(), containers + 1, "the monitors were not found");
        all.iter()
            .flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten())
            .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
            .flat_map(|status| {
                let lines = status.lines().filter(|l| l.contains("ctxt_switches"));
                lines
                    .map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
                    .collect::<Vec<_>>()
            })
            .sum()
    };
    // Whoever is still busy with the last request ends first.
    let mut before = switches();
    wait_until("it settles", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = switches();
        let still = now == before;
        before = now;
        still
    });
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(seconds));
    assert_eq!(switches() - before, 0, "woke up within {:?}", began.elapsed());
    // They were all there, and hear of what comes next.
    d.ok(["rm", "seen"]);
    listener.expect("destroy");
    drop(listeners);
    listener.signal(libc::SIGTERM);
    listener.wait(SOON);
    d.assert_nothing_left_behind();
}

#[test]
fn memory_and_descriptors_stay_flat() {
    let d = Daemon::start();
    let round = || {
        let out = d.cli(["run", "--rm", "-i", "busybox", "cat"]).stdin("cx").output();
        assert_eq!(out.stdout, "cx");
        d.cli(["run", "--rm", "busybox", "no-such-program"]).output();
        d.ok(["ps", "-a"]);
    };
    // Until as many events are remembered as ever are.
    (0..60).for_each(|_| round());
    keep_stacks(&d, 20);
    assert_flat(&d, &[], || (0..count(30, 1000)).for_each(|_| round()));
    d.assert_nothing_left_behind();
}

#[test]
fn a_daemon_of_an_ordinary_user_says_what_it_needs() {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new(crate::harness::skiff());
    let Ok(out) = command.args(["-d", "-H", "unix:///none/s.sock"]).uid(65534).output() else {
        skip!("the binary is out of reach of an ordinary user");
    };
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(text, "skiff: the daemon needs to be started by root\n");
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn whatever_it_was_started_with_a_daemon_is_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let mut d = Daemon::start();
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode();
    for script in [
        "umask 000; exec \"$@\"",
        "umask 777; exec \"$@\"",
        "exec env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin \"$@\"",
        "exec \"$@\" <&- >&- 2>&-",
        "cd \"$(mktemp -d)\"; rmdir \"$PWD\"; exec \"$@\"",
        "exec 7</etc/shadow 8</; trap '' INT QUIT CHLD PIPE; exec \"$@\"",
    ] {
        d.start_through(&["sh", "-c", script, "sh"]);
        d.restart();
        let look = "umask; ls /proc/1/fd; pwd; exec sleep 1000";
        let id = d.ok(["run", "-d", "busybox", "sh", "-c", look]);
        assert_eq!(mode(d.socket()) & 0o777, 0o660, "{script}");
        assert_eq!(mode(d.root().join("containers").join(&id)) & 0o777, 0o700, "{script}");
        wait_until(script, || d.ok(["logs", &id]) == "0022\n0\n1\n2\n/");
        assert_eq!(d.ok(["exec", &id, "sh", "-c", "umask; trap; pwd"]), "0022\n/", "{script}");
        d.restart();
        assert_eq!(d.ok(["ps", "-q"]), id[..12], "{script}");
        d.ok(["rm", "-f", &id]);
    }
}
