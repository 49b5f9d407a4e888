//! pause, unpause, restart policies.

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

fn count(d: &Daemon, name: &str) -> u64 {
    d.inspect(name)["RestartCount"].as_u64().unwrap()
}

#[test]
fn what_fails_is_started_again_so_many_times() {
    let d = Daemon::start();
    let script = "echo run; exit 3";
    d.ok(["run", "-d", "--name", "cx", "--restart", "on-failure:2", "busybox", "sh", "-c", script]);
    wait_until("it has given up", || count(&d, "cx") == 2 && d.status("cx") == "exited");
    assert_eq!(d.ok(["logs", "cx"]), "run\nrun\nrun");
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 3);
    d.ok(["start", "cx"]);
    wait_until("the count begins anew", || d.ok(["logs", "cx"]).lines().count() == 6);
    d.ok(["run", "-d", "--name", "cy", "--restart", "on-failure", "busybox", "true"]);
    assert_eq!(d.ok(["wait", "cy"]), "0");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((d.status("cy").as_str(), count(&d, "cy")), ("exited", 0));
    wait_until("it has given up again", || d.status("cx") == "exited" && count(&d, "cx") == 2);
    d.assert_nothing_left_behind();
}

#[test]
fn the_wait_for_the_next_start_can_be_cut_short() {
    let mut d = Daemon::start();
    let run = |d: &Daemon, name: &str| {
        d.ok(["run", "-d", "--name", name, "--restart", "always", "busybox", "false"]);
        // Pauses are long enough by then.
        wait_until("it was started thrice", || {
            count(d, name) >= 3 && d.status(name) == "restarting"
        });
    };
    run(&d, "cx");
    let status = d.ok(["ps", "--format", "{{.Status}}"]);
    assert!(status.starts_with("Restarting (1) "), "{status}");
    assert_eq!(d.inspect("cx")["State"]["Restarting"], true);
    let out = d.cli(["rm", "cx"]).output();
    assert!(out.stderr.contains("container is restarting: stop the container"), "{out:?}");
    let mut waiting = d.cli(["wait", "cx"]).spawn();
    d.ok(["stop", "cx"]);
    assert_eq!(waiting.wait(crate::harness::SOON).ok(), "1");
    let before = count(&d, "cx");
    assert_eq!(d.status("cx"), "exited");
    run(&d, "cy");
    d.ok(["kill", "cy"]);
    assert_eq!(d.status("cy"), "exited");
    run(&d, "cz");
    d.ok(["rm", "-f", "cz"]);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!((d.status("cx").as_str(), count(&d, "cx")), ("exited", before));
    // `always` does not heed a stop beyond the daemon's next start.
    d.restart();
    wait_until("it is started at boot", || {
        d.ok(["logs", "cx"]).is_empty() && count(&d, "cx") >= before
    });
    d.ok(["stop", "cx"]);
    d.assert_nothing_left_behind();
}

#[test]
fn policies_hold_across_daemons() {
    let mut d = Daemon::start();
    let names = ["always", "unless-stopped", "on-failure", "no"];
    for name in names {
        d.ok(["run", "-d", "--name", name, "--restart", name, "busybox", "sleep", "1000"]);
    }
    d.ok(["run", "-d", "--name", "halted", "--restart", "unless-stopped", "busybox", "sleep", "9"]);
    d.ok(["stop", "-t", "0", "halted"]);
    let plain = |name: &str| {
        let body = serde_json::json!({"Image": "busybox", "Cmd": ["sleep", "1000"]});
        let reply = d.post(&format!("/containers/create?name={name}"), &body);
        assert_eq!(reply.status, 201);
        d.ok(["start", name]);
    };
    plain("plain");
    plain("stopped");
    d.ok(["stop", "-t", "0", "stopped"]);
    // All end while no daemon is there.
    let pids: Vec<i32> = names
        .iter()
        .chain(&["plain"])
        .map(|name| i32::try_from(d.inspect(name)["State"]["Pid"].as_i64().unwrap()).unwrap())
        .collect();
    d.kill9();
    for pid in &pids {
        crate::harness::send_signal(*pid, libc::SIGKILL);
    }
    wait_until("all have ended", || {
        pids.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(d.try_start());
    for name in ["always", "unless-stopped", "on-failure", "plain"] {
        d.wait_status(name, "running");
    }
    for name in ["no", "halted", "stopped"] {
        assert_eq!(d.status(name), "exited", "{name}");
    }
    // The user's kill is a stop as well; somebody else's is none.
    d.ok(["kill", "unless-stopped"]);
    let pid = d.inspect("always")["State"]["Pid"].as_i64().unwrap();
    crate::harness::send_signal(i32::try_from(pid).unwrap(), libc::SIGKILL);
    wait_until("it runs again", || count(&d, "always") == 1);
    d.restart();
    assert_eq!(d.status("unless-stopped"), "exited");
    d.wait_status("always", "running");
    d.assert_nothing_left_behind();
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let d = Daemon::start();
    let run = |args: &[&str]| {
        let out = d.cli(["run", "-d"].iter().chain(args).chain(&["busybox", "true"])).output();
        assert_ne!(out.code, 0);
        out.stderr
    };
    let text = "conflicting options: cannot specify both --restart and --rm";
    assert!(run(&["--rm", "--restart", "always"]).contains(text));
    let text = "maximum retry count must be an integer";
    assert!(run(&["--restart", "on-failure:x"]).contains(text));
    assert!(run(&["--restart", "maybe"]).contains("unknown policy 'maybe'"));
    let text = "maximum retry count can only be used with 'on-failure'";
    assert!(run(&["--restart", "always:3"]).contains(text));
    let policy = serde_json::json!({"Name": "always"});
    let body = serde_json::json!({
        "Image": "busybox", "HostConfig": {"AutoRemove": true, "RestartPolicy": policy},
    });
    assert_eq!(d.post("/containers/create", &body).status, 400);
}

#[test]
fn events_of_before_a_restart_are_still_told() {
    let mut d = Daemon::start();
    d.ok(["run", "--rm", "--name", "cx", "busybox", "true"]);
    let before = events(&d);
    assert_eq!(before.last().map(String::as_str), Some("destroy"), "{before:?}");
    d.kill9();
    // As if the daemon had died while it wrote.
    let journal = d.run_root().join("events");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.extend_from_slice(b"[17,");
    std::fs::write(&journal, bytes).unwrap();
    d.restart();
    assert_eq!(events(&d), before);
    d.ok(["run", "--rm", "busybox", "true"]);
    let after = events(&d);
    assert!(after.starts_with(&before) && after.len() > before.len(), "{after:?}");
    d.assert_nothing_left_behind();
}

#[test]
fn what_removes_itself_does_so_whoever_the_daemon_is() {
    let mut d = Daemon::start();
    let polite = "trap 'exit 0' TERM; while :; do sleep 0.02; done";
    d.ok(["run", "-d", "--rm", "--name", "lives", "busybox", "sh", "-c", polite]);
    d.ok(["run", "-d", "--rm", "--name", "ends", "busybox", "sleep", "1000"]);
    d.ok(["create", "--rm", "--name", "waits", "busybox", "true"]);
    let pid = d.inspect("ends")["State"]["Pid"].as_i64().unwrap();
    d.kill9();
    crate::harness::send_signal(i32::try_from(pid).unwrap(), libc::SIGKILL);
    let gone = || !std::path::Path::new(&format!("/proc/{pid}")).exists();
    wait_until("it has ended", gone);
    assert!(d.try_start());
    let names = |d: &Daemon| d.ok(["ps", "-a", "--format", "{{.Names}}"]);
    wait_until("what ended meanwhile is gone", || names(&d) == "waits\nlives");
    assert_eq!(d.status("lives"), "running");
    d.ok(["stop", "lives"]);
    wait_until("what was stopped is gone", || names(&d) == "waits");
    d.restart();
    assert_eq!(d.status("waits"), "created");
    d.ok(["start", "waits"]);
    wait_until("what ran is gone", || names(&d).is_empty());
    d.assert_nothing_left_behind();
}

#[test]
fn an_image_says_how_its_containers_are_stopped() {
    let d = Daemon::start();
    let tar = d.dir().join("image.tar");
    std::fs::write(&tar, crate::harness::busybox_tar()).unwrap();
    let script = "trap 'exit 42' USR1; echo up; while :; do sleep 0.02; done";
    let changes = [
        "STOPSIGNAL SIGUSR1",
        "ENV GREETING=hi WHO=\"the world\"",
        "WORKDIR /srv",
        "WORKDIR app",
        "USER guest",
        "LABEL tier=front",
        "EXPOSE 80 53/udp",
        "VOLUME /data",
        "ONBUILD RUN true",
        "ENTRYPOINT [\"sh\", \"-c\"]",
        "HEALTHCHECK --interval=1h --retries=2 CMD test -f /ok",
    ];
    let command = format!("CMD [{}]", Value::from(script));
    let changes = changes.into_iter().chain([command.as_str()]).flat_map(|change| ["-c", change]);
    let file = tar.to_str().unwrap();
    d.ok(["import"].into_iter().chain(changes).chain([file, "shaped"]));
    let config = &d.api("GET", "/images/shaped/json").expect(200)["Config"];
    let expected = serde_json::json!({
        "Env": ["GREETING=hi", "WHO=the world"], "WorkingDir": "/srv/app", "User": "guest",
        "Labels": {"tier": "front"}, "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
        "Volumes": {"/data": {}}, "OnBuild": ["RUN true"], "StopSignal": "SIGUSR1",
        "Entrypoint": ["sh", "-c"], "Cmd": [script],
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&config[field], value, "{field}");
    }
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD-SHELL", "test -f /ok"]));
    assert_eq!(config["Healthcheck"]["Retries"], 2);

    let shown = d.ok(["run", "--rm", "shaped", "echo $GREETING $WHO, I am $(id -un) in $PWD"]);
    assert_eq!(shown, "hi the world, I am guest in /srv/app");
    d.ok(["run", "-d", "--name", "cx", "shaped"]);
    wait_until("it is up", || d.ok(["logs", "cx"]) == "up");
    d.ok(["stop", "cx"]);
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 42);
    // The container's own word overrules the image's.
    d.ok(["run", "-d", "--name", "cy", "--stop-signal", "KILL", "shaped"]);
    wait_until("it is up", || d.ok(["logs", "cy"]) == "up");
    d.ok(["stop", "cy"]);
    assert_eq!(d.inspect("cy")["State"]["ExitCode"], 137);
    let out = d.cli(["import", "-c", "RUN true", file]).output();
    assert!(out.stderr.contains("this instruction cannot be a change"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}
