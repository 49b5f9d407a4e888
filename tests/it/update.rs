//! update and stats: limits as the kernel has them, figures as the kernel counts them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Daemon, wait_until};

/// The value of a file of a container's cgroup, by its name on v1 or on v2.
fn limit(d: &Daemon, name: &str, controller: &str, v1: &str, v2: &str) -> String {
    let id = d.inspect(name)["Id"].as_str().unwrap().to_owned();
    let root = PathBuf::from("/sys/fs/cgroup");
    let candidates = [
        root.join(controller).join("skiff").join(&id).join(v1),
        root.join("skiff").join(&id).join(v2),
    ];
    let found = candidates.iter().find_map(|path| fs::read_to_string(path).ok());
    found.unwrap_or_else(|| panic!("none of {candidates:?}")).trim().to_owned()
}

fn refused(d: &Daemon, args: &[&str]) -> String {
    let out = d.cli(["update"].iter().chain(args)).output();
    assert_eq!(out.code, 1, "{}", out.stdout);
    out.stderr
}

#[test]
fn limits_of_what_runs_change_at_once_and_last() {
    let d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "--name",
        "cx",
        "-m",
        "32m",
        "--pids-limit",
        "50",
        "busybox",
        "sleep",
        "1000",
    ]);
    let memory = || limit(&d, "cx", "memory", "memory.limit_in_bytes", "memory.max");
    let pids = || limit(&d, "cx", "pids", "pids.max", "pids.max");
    assert_eq!((memory().as_str(), pids().as_str()), ("33554432", "50"));
    assert_eq!(d.ok(["update", "-m", "48m", "--pids-limit", "60", "cx"]), "cx");
    assert_eq!((memory().as_str(), pids().as_str()), ("50331648", "60"));
    // Beyond the total of before: both at the same time.
    let text = refused(&d, &["-m", "100m", "cx"]);
    assert!(
        text.contains("Memory limit should be smaller than already set memoryswap limit"),
        "{text}"
    );
    assert_eq!(d.ok(["update", "-m", "100m", "--memory-swap", "200m", "cx"]), "cx");
    assert_eq!(memory(), "104857600");
    d.ok(["update", "-m", "16m", "--memory-swap", "-1", "--pids-limit", "-1", "cx"]);
    assert_eq!((memory().as_str(), pids().as_str()), ("16777216", "max"));
    d.ok(["update", "--cpus", "0.5", "-c", "512", "--cpuset-cpus", "0", "cx"]);
    let host = &d.inspect("cx")["HostConfig"];
    assert_eq!((&host["NanoCpus"], &host["CpuShares"]), (&json!(500_000_000), &json!(512)));
    assert_eq!((&host["Memory"], &host["MemorySwap"]), (&json!(16 << 20), &json!(-1)));
    assert_eq!(limit(&d, "cx", "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    let pid = d.inspect("cx")["State"]["Pid"].as_i64().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    let script = "grep Cpus_allowed_list /proc/self/status";
    assert_eq!(d.ok(["exec", "cx", "sh", "-c", script]), "Cpus_allowed_list:\t0");
    // The next run has them as well.
    d.ok(["restart", "-t", "0", "cx"]);
    assert_eq!((memory().as_str(), pids().as_str()), ("16777216", "max"));
    let events = d.ok(["events", "--since", "1h", "--until", "0s", "-f", "event=update"]);
    assert_eq!(events.lines().count(), 4, "{events}");
    d.assert_nothing_left_behind();
}

#[test]
fn limits_of_what_stands_hold_from_its_next_start_on() {
    let mut d = Daemon::start();
    d.ok(["create", "--name", "cx", "busybox", "sleep", "1000"]);
    d.ok(["update", "-m", "20m", "--blkio-weight", "300", "--restart", "unless-stopped", "cx"]);
    d.restart();
    let host = &d.inspect("cx")["HostConfig"];
    assert_eq!((&host["Memory"], &host["BlkioWeight"]), (&json!(20 << 20), &json!(300)));
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    d.ok(["start", "cx"]);
    assert_eq!(limit(&d, "cx", "memory", "memory.limit_in_bytes", "memory.max"), "20971520");
    // The policy of now counts, not that of the start.
    d.ok(["update", "--restart", "no", "cx"]);
    let pid = d.inspect("cx")["State"]["Pid"].as_i64().unwrap();
    crate::harness::send_signal(i32::try_from(pid).unwrap(), libc::SIGKILL);
    d.wait_status("cx", "exited");
    d.ok(["update", "--restart", "on-failure:1", "cx"]);
    d.ok(["start", "cx"]);
    let pid = d.inspect("cx")["State"]["Pid"].as_i64().unwrap();
    crate::harness::send_signal(i32::try_from(pid).unwrap(), libc::SIGKILL);
    wait_until("it runs again", || {
        d.inspect("cx")["RestartCount"] == 1 && d.status("cx") == "running"
    });
    d.ok(["rm", "-f", "cx"]);
    d.assert_nothing_left_behind();
}

#[test]
fn updates_that_make_no_sense_change_nothing() {
    let d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "--name",
        "cx",
        "-m",
        "32m",
        "--cpu-period",
        "50000",
        "busybox",
        "sleep",
        "1000",
    ]);
    d.ok(["run", "-d", "--rm", "--name", "cy", "busybox", "sleep", "1000"]);
    let id = d.inspect("cx")["Id"].as_str().unwrap().to_owned();
    for (args, expected) in [
        (&["cx"][..], "you must provide one or more flags"),
        (&["-m", "10m", "--memory-swap", "5m", "cx"], "Minimum memoryswap limit should be larger"),
        (&["-m", "1k", "cx"], "Minimum memory limit allowed"),
        (&["--cpus", "1", "cx"], "Nano CPUs cannot be updated as CPU Period has already been set"),
        (&["--cpuset-cpus", "0-2147483647", "cx"], "Invalid value 0-2147483647 for cpuset-cpus"),
        (&["--restart", "always", "cy"], "Restart policy cannot be updated because AutoRemove"),
        (&["--restart", "maybe", "cx"], "unknown policy 'maybe'"),
        (&["-m", "10m", "missing"], "No such container: missing"),
        (&["--blkio-weight", "5", "cx"], "Range of blkio weight is from 10 to 1000"),
    ] {
        let text = refused(&d, args);
        assert!(text.contains(expected), "{args:?}: {text}");
    }
    assert!(
        refused(&d, &["--cpus", "1", "cx"]).contains(&format!("Cannot update container {id}: "))
    );
    // What the kernel refuses is taken back: there is no such processor.
    let text = refused(&d, &["-m", "40m", "--cpuset-cpus", "8000", "cx"]);
    assert!(text.contains("set cpuset.cpus to 8000"), "{text}");
    let host = &d.inspect("cx")["HostConfig"];
    assert_eq!((&host["Memory"], &host["CpusetCpus"]), (&json!(32 << 20), &json!("")));
    assert_eq!(limit(&d, "cx", "memory", "memory.limit_in_bytes", "memory.max"), "33554432");
    assert_eq!(d.status("cx"), "running");
    let reply = d.post("/containers/cx/update", &json!({"KernelMemory": 5}));
    assert_eq!(reply.status, 501, "{}", reply.text());
    let reply = d.post("/containers/cx/update", &json!({"CpuShares": 100})).expect(200);
    assert_eq!(reply, json!({"Warnings": []}));
    let out = d.cli(["update", "-c", "200", "cx", "missing", "cy"]).output();
    assert_eq!((out.code, out.stdout.as_str()), (1, "cx\ncy\n"));
    d.assert_nothing_left_behind();
}

/// Keeps a processor busy, in 20 MB of memory, with three processes.
const BUSY: &str = "sleep 1000 & head -c 20000000 /dev/zero | tail -c 20000000 | sleep 1000 & \
                    while :; do :; done";

#[test]
fn stats_are_what_the_kernel_counts() {
    let d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "--name",
        "cx",
        "-m",
        "64m",
        "--pids-limit",
        "70",
        "busybox",
        "sh",
        "-c",
        BUSY,
    ]);
    d.ok(["run", "-d", "--name", "idle", "--network", "host", "busybox", "sleep", "1000"]);
    wait_until("it has its memory", || {
        let one = d.api("GET", "/containers/cx/stats?stream=0&one-shot=1").expect(200);
        one["memory_stats"]["usage"].as_u64() > Some(10 << 20)
    });
    let began = Instant::now();
    let two = d.api("GET", "/containers/cx/stats?stream=false").expect(200);
    assert!((0.9..5.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    let id = d.inspect("cx")["Id"].clone();
    assert_eq!((&two["name"], &two["id"]), (&json!("/cx"), &id));
    let number =
        |path: &str| two.pointer(path).unwrap_or_else(|| panic!("{path}: {two}")).as_u64().unwrap();
    let between =
        |path: &str| number(&format!("/cpu_stats{path}")) - number(&format!("/precpu_stats{path}"));
    let share = between("/cpu_usage/total_usage") as f64 / between("/system_cpu_usage") as f64
        * number("/cpu_stats/online_cpus") as f64;
    assert!((0.05..1.5).contains(&share), "{share} {two}");
    assert_eq!(number("/memory_stats/limit"), 64 << 20);
    assert_eq!(number("/pids_stats/limit"), 70);
    assert!(number("/pids_stats/current") >= 3);
    assert!(two["memory_stats"]["stats"].as_object().unwrap().len() > 10);
    assert!(two["preread"].as_str() < two["read"].as_str(), "{two}");
    // Its own interface, but not loopback; and one that shares the host's has none of its own.
    let names: Vec<_> = two["networks"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["eth0"]);
    let none = d.ok(["run", "-d", "--network", "none", "busybox", "sleep", "1000"]);
    let none = d.api("GET", &format!("/containers/{none}/stats?stream=0&one-shot=1")).expect(200);
    assert_eq!(none["networks"], Value::Null);
    let idle = d.api("GET", "/containers/idle/stats?stream=0&one-shot=1").expect(200);
    assert_eq!(idle["networks"], Value::Null);
    assert!(idle["memory_stats"]["limit"].as_u64().unwrap() < 1 << 50, "{idle}");
    d.ok(["rm", "-f", "cx", "idle"]);
    d.assert_nothing_left_behind();
}

#[test]
fn stats_go_on_until_the_container_or_the_client_goes() {
    let d = Daemon::start();
    d.ok(["run", "-d", "--name", "cx", "busybox", "sleep", "1000"]);
    let mut wire = d.wire();
    wire.send("GET /containers/cx/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    std::thread::sleep(Duration::from_millis(1300));
    d.ok(["stop", "-t", "0", "cx"]);
    std::thread::sleep(Duration::from_millis(1100));
    d.ok(["rm", "cx"]);
    let reply = wire.reply();
    let samples: Vec<Value> =
        reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(samples.len() >= 3, "{}", samples.len());
    let times =
        |at: usize| [&samples[at]["preread"], &samples[at]["read"]].map(|t| t.as_str().unwrap());
    assert_eq!(times(0)[0], "0001-01-01T00:00:00Z");
    assert_eq!(times(1)[0], times(0)[1]);
    assert_eq!(samples.last().unwrap()["read"], "0001-01-01T00:00:00Z", "it stands still");

    d.ok(["run", "-d", "--name", "cy", "busybox", "sleep", "1000"]);
    for _ in 0..5 {
        let mut wire = d.wire();
        wire.send("GET /containers/cy/stats HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let down = d.ok(["create", "--name", "down", "busybox", "true"]);
    let empty = d.api("GET", "/containers/down/stats?stream=0").expect(200);
    assert_eq!((&empty["id"], &empty["memory_stats"]), (&json!(down), &json!({})));
    for (path, status) in [
        ("/containers/down/stats?stream=0&one-shot=1", 409),
        ("/containers/cy/stats?stream=1&one-shot=1", 400),
        ("/containers/missing/stats", 404),
    ] {
        assert_eq!(d.api("GET", path).status, status, "{path}");
    }
    d.assert_nothing_left_behind();
}

#[test]
fn the_command_line_shows_figures() {
    let d = Daemon::start();
    d.ok(["run", "-d", "--name", "cx", "-m", "64m", "busybox", "sh", "-c", "while :; do :; done"]);
    d.ok(["create", "--name", "down", "busybox", "true"]);
    let out = d.ok(["stats", "--no-stream"]);
    let header = "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT";
    assert!(out.starts_with(header), "{out}");
    assert_eq!(out.lines().count(), 2);
    let line = out.lines().nth(1).unwrap();
    assert!(line.contains(" / 64MiB ") && line.contains("%"), "{line}");
    let format = "{{.Name}} {{.CPUPerc}} {{.PIDs}}";
    let all = d.ok(["stats", "-a", "--no-stream", "--format", format]);
    let mut lines: Vec<&str> = all.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines[1], "down 0.00% 0");
    let cpu: f64 = lines[0].split(' ').nth(1).unwrap().trim_end_matches('%').parse().unwrap();
    assert!(cpu > 5.0 && lines[0].ends_with(" 1"), "{all}");
    assert_eq!(d.ok(["stats", "--no-stream", "--format", "{{.Name}}", "down"]), "down");
    let out = d.cli(["stats", "--no-stream", "missing"]).output();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("No such container: missing"), "{}", out.stderr);
    let mut stream = d.cli(["stats", "--format", "{{.Name}}"]).spawn();
    stream.expect("cx\ncx\n");
    stream.signal(libc::SIGTERM);
    assert_eq!(stream.wait(crate::harness::SOON).code, 143);
    d.ok(["rm", "-f", "cx"]);
    d.assert_nothing_left_behind();
}
