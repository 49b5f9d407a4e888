//! The daemon dies after each named step of what it does; the next one finds every promise kept
//! and nothing half-made.
//!
//! `SKIFF_DIE_AFTER=step` kills it right after that step, without any clean-up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use crate::harness::{Daemon, Setup, Tar, Wire, busybox_tar, wait_for};

/// All steps that the source names, as `module/step`.
fn all_steps() -> BTreeSet<String> {
    fn search(dir: &Path, module: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let module = if module.is_empty() { &name } else { module };
            if path.is_dir() {
                search(&path, module, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("mod tests {").next().unwrap();
            let names = code.split("step::done(\"").skip(1);
            let names = names.filter_map(|rest| rest.split('"').next());
            found.extend(names.map(|name| format!("{module}/{name}")));
        }
    }
    let mut found = BTreeSet::new();
    search(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    found
}

/// Steps of a module by what is going on when they are passed: `engine/start.`.
fn steps(of: &str) -> Vec<String> {
    let all = all_steps();
    let steps: Vec<String> =
        all.iter().filter_map(|s| s.strip_prefix(of)).map(str::to_owned).collect();
    assert!(!steps.is_empty(), "no step of {of} is named");
    let of = of.rsplit('/').next().unwrap();
    steps.iter().map(|step| format!("{of}{step}")).collect()
}

/// Asks, and takes it that the daemon dies instead of answering: the status, if there was one.
fn ask(d: &Daemon, method: &str, path: &str, kind: &str, body: &[u8]) -> Option<u16> {
    use std::io::{Read, Write};
    let mut wire = Wire::connect(&d.socket()).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    wire.stream.write_all(head.as_bytes()).ok()?;
    wire.stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    wire.stream.read_to_end(&mut answer).ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

fn post(d: &Daemon, path: &str) -> Option<u16> {
    ask(d, "POST", path, "application/json", b"")
}

/// A daemon that will die after `step`; with the fixture image, and `x` created, when `made`.
fn doomed(step: &str, command: &[&str]) -> (Daemon, String) {
    let mut d = Daemon::start();
    let id = if command.is_empty() {
        String::new()
    } else {
        // With a policy, so that the daemon's -r does not start it again.
        let host = json!({"RestartPolicy": {"Name": "no"}});
        d.create(&json!({"Image": "busybox", "Cmd": command, "HostConfig": host}))
    };
    d.kill9();
    d.set_env("SKIFF_DIE_AFTER", step);
    // It may die as it starts, when adopting passes the step.
    d.try_start();
    (d, id)
}

/// The daemon must have died of `step`; the next one starts and is well.
#[track_caller]
fn revive(d: &mut Daemon, step: &str) {
    let died = wait_for(crate::harness::SOON, || d.ended());
    assert!(died, "{step} was never passed");
    d.clear_env();
    d.restart();
    assert_eq!(d.ok(["run", "--rm", "busybox", "echo", "well"]), "well", "after {step}");
}

#[test]
fn create() {
    for step in steps("engine/create.") {
        let (mut d, _) = doomed(&step, &[]);
        let body = json!({"Image": "busybox", "Cmd": ["echo", "x"]}).to_string();
        let answer =
            ask(&d, "POST", "/containers/create?name=cx", "application/json", body.as_bytes());
        revive(&mut d, &step);
        let there = d.api("GET", "/containers/cx/json").status == 200;
        assert!(there || answer != Some(201), "{step}: promised and gone");
        if there {
            assert_eq!(d.cli(["start", "-a", "cx"]).output().stdout, "x\n", "{step}");
        } else {
            // The name is free again.
            d.ok(["create", "--name", "cx", "busybox", "true"]);
        }
        d.assert_nothing_left_behind();
    }
}

#[test]
fn start() {
    for step in steps("engine/start.") {
        let (mut d, id) = doomed(&step, &["sh", "-c", "echo ran; sleep 1000"]);
        post(&d, &format!("/containers/{id}/start"));
        revive(&mut d, &step);
        let state = d.status(&id);
        assert!(["created", "running", "exited"].contains(&state.as_str()), "{step}: {state}");
        if state == "running" {
            d.ok(["stop", "-t", "0", &id]);
            assert_eq!(d.inspect(&id)["State"]["ExitCode"], 137, "{step}");
        }
        d.ok(["start", &id]);
        assert_eq!(d.status(&id), "running", "{step}");
        d.assert_nothing_left_behind();
    }
}

#[test]
fn exit() {
    for step in steps("engine/exit.") {
        let (mut d, id) = doomed(&step, &["sh", "-c", "echo ran; exit 7"]);
        post(&d, &format!("/containers/{id}/start"));
        revive(&mut d, &step);
        d.wait_status(&id, "exited");
        assert_eq!(d.inspect(&id)["State"]["ExitCode"], 7, "{step}");
        assert_eq!(d.ok(["logs", &id]), "ran", "{step}");
        d.assert_nothing_left_behind();
    }
}

#[test]
fn remove() {
    for step in steps("engine/remove.") {
        let (mut d, id) = doomed(&step, &["true"]);
        let answer =
            ask(&d, "DELETE", &format!("/containers/{id}?force=1"), "application/json", b"");
        revive(&mut d, &step);
        let there = d.api("GET", &format!("/containers/{id}/json")).status == 200;
        assert!(!there || answer != Some(204), "{step}: promised to be gone");
        if there {
            d.ok(["rm", &id]);
        }
        d.assert_nothing_left_behind();
    }
}

#[test]
fn stop_and_kill_of_a_running_one() {
    for step in steps("engine/exit.").into_iter().chain(steps("engine/remove.")) {
        let mut d = Daemon::start();
        let id = d.ok(["run", "-d", "busybox", "sleep", "1000"]);
        d.kill9();
        d.set_env("SKIFF_DIE_AFTER", &step);
        d.try_start();
        ask(&d, "DELETE", &format!("/containers/{id}?force=1"), "application/json", b"");
        revive(&mut d, &step);
        let status = d.api("GET", &format!("/containers/{id}/json")).status;
        assert!(matches!(status, 200 | 404), "{step}: {status}");
        d.assert_nothing_left_behind();
    }
}

#[test]
fn rename() {
    for step in steps("engine/rename.") {
        let (mut d, id) = doomed(&step, &["true"]);
        let answer = post(&d, &format!("/containers/{id}/rename?name=new"));
        revive(&mut d, &step);
        let name = d.inspect(&id)["Name"].as_str().unwrap().to_owned();
        assert!(name == "/new" || answer != Some(204), "{step}: promised and {name}");
        d.assert_nothing_left_behind();
    }
}

/// The monitor dies instead, which has inherited the variable: the daemon takes it well.
#[test]
fn monitor() {
    for step in steps("runtime/monitor-") {
        let (mut d, id) = doomed(&step, &["sleep", "1000"]);
        let answer = d.api("POST", &format!("/containers/{id}/start"));
        assert!(answer.status >= 400, "{step}: {}", answer.status);
        assert_ne!(d.status(&id), "running", "{step}");
        d.clear_env();
        d.restart();
        d.ok(["start", &id]);
        assert_eq!(d.status(&id), "running", "{step}");
        d.assert_nothing_left_behind();
    }
}

/// And once its program has ended: what it had written counts.
#[test]
fn monitor_at_the_end() {
    for step in steps("runtime/exit-") {
        let (mut d, id) = doomed(&step, &["sh", "-c", "echo ran; sleep 0.3; exit 7"]);
        d.api("POST", &format!("/containers/{id}/start")).expect(204);
        d.wait_status(&id, "exited");
        d.clear_env();
        d.restart();
        assert_eq!(d.ok(["logs", &id]), "ran", "{step}");
        let code = d.inspect(&id)["State"]["ExitCode"].clone();
        assert!(code == 7 || (code != 0 && step == "exit-reaped"), "{step}: {code}");
        d.ok(["start", &id]);
        assert_eq!(d.status(&id), "running", "{step}");
        d.assert_nothing_left_behind();
    }
}

/// What a client has been told of a name.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    There,
    Gone,
    Nothing,
}

#[test]
fn import_tag_untag_and_removal_of_images() {
    let of = ["image/import.", "image/tag.", "image/untag.", "image/remove."];
    for step in of.into_iter().flat_map(steps) {
        let (mut d, _) = doomed(&step, &[]);
        let tar = Tar::busybox().file("marker", 0o644, step.as_bytes()).bytes();
        let delete = |path: &str| ask(&d, "DELETE", path, "application/json", b"");
        let mut told = BTreeMap::from([("new:latest", Told::Gone), ("other:v1", Told::Gone)]);
        let imported =
            ask(&d, "POST", "/images/create?fromSrc=-&repo=new", "application/x-tar", &tar);
        told.insert("new:latest", Told::Nothing);
        let mut last = imported;
        // Each is asked only if the one before was answered: the daemon lives.
        let mut next = |name, done, answer: &dyn Fn() -> Option<u16>| {
            if last.is_some() {
                told.insert(name, Told::Nothing);
                last = answer();
                if last.is_some_and(|status| status < 300) {
                    told.insert(name, done);
                }
            }
        };
        next("other:v1", Told::There, &|| post(&d, "/images/new/tag?repo=other&tag=v1"));
        next("other:v1", Told::Gone, &|| delete("/images/other:v1"));
        next("new:latest", Told::Gone, &|| delete("/images/new"));
        revive(&mut d, &step);
        for (name, told) in told {
            let there = d.api("GET", &format!("/images/{name}/json")).status == 200;
            let right = match told {
                Told::There => there,
                Told::Gone => !there,
                Told::Nothing => true,
            };
            assert!(right, "{step}: {name} is {}", if there { "back" } else { "gone" });
        }
        // Every listed image runs.
        let listed = d.ok(["images", "--format", "{{.ID}}"]);
        for name in listed.lines() {
            assert_eq!(d.ok(["run", "--rm", name, "echo", "cx"]), "cx", "{step}: {name}");
        }
        d.import("new", &tar);
        assert_eq!(d.ok(["run", "--rm", "new", "cat", "/marker"]), step);
        d.assert_nothing_left_behind();
    }
}

#[test]
fn networks_are_made_and_removed() {
    for step in steps("network/network.") {
        let (mut d, _) = doomed(&step, &[]);
        let body = br#"{"Name":"mine"}"#;
        let made = ask(&d, "POST", "/networks/create", "application/json", body);
        let removed = made.and_then(|_| ask(&d, "DELETE", "/networks/mine", "", b""));
        revive(&mut d, &step);
        let there = d.api("GET", "/networks/mine").status == 200;
        assert!(removed.is_none() || !there, "{step}: it is back");
        assert!(made.is_none() || removed.is_some() || there || step.contains("removed"), "{step}");
        if !there {
            d.ok(["network", "create", "mine"]);
        }
        assert_eq!(d.ok(["run", "--rm", "--network", "mine", "busybox", "echo", "cx"]), "cx");
        d.ok(["network", "rm", "mine"]);
        let links = format!("/proc/{}/net/dev", d.keeper_pid());
        let links = std::fs::read_to_string(links).unwrap();
        assert!(!links.contains("br-"), "{step}: a bridge is left: {links}");
        d.assert_nothing_left_behind();
    }
}

#[test]
fn every_step_is_covered() {
    let covered = [
        "engine/create.",
        "engine/start.",
        "engine/exit.",
        "engine/remove.",
        "engine/rename.",
        "runtime/monitor-",
        "runtime/exit-",
        "image/import.",
        "image/tag.",
        "image/untag.",
        "image/remove.",
        "network/network.",
    ];
    let all = all_steps();
    let open: Vec<&String> =
        all.iter().filter(|step| !covered.iter().any(|prefix| step.starts_with(prefix))).collect();
    assert!(open.is_empty(), "no crash test for {open:?}");
}

/// Not at a step but at any moment: killed while it imports, again and again.
#[test]
fn import_killed_at_random_moments() {
    let mut d = Setup::new().no_image().start();
    for round in 0..crate::harness::count(6, 100) {
        let socket = d.socket();
        let writer = std::thread::spawn(move || {
            use std::io::Write;
            let Ok(mut wire) = Wire::connect(&socket) else { return };
            let tar = busybox_tar();
            let head = format!(
                "POST /images/create?fromSrc=-&repo=r HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
                tar.len()
            );
            // The daemon dies in the middle of it.
            drop(wire.stream.write_all(head.as_bytes()).and_then(|()| wire.stream.write_all(tar)));
        });
        std::thread::sleep(std::time::Duration::from_millis((round as u64 * 7) % 60));
        d.restart();
        writer.join().unwrap();
        for name in d.ok(["images", "--format", "{{.ID}}"]).lines() {
            assert_eq!(d.ok(["run", "--rm", name, "echo", "cx"]), "cx");
        }
    }
    d.assert_nothing_left_behind();
}
