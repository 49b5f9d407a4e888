//! Events: all of a container's life, in order, and what is left of them after a restart.

use serde_json::Value;

use crate::harness::{Daemon, SOON, Tar, wait_until};

fn events(d: &Daemon, filters: &[&str]) -> Vec<Value> {
    let args = ["events", "--since", "1h", "--until", "0s", "--format", "json"];
    let filters = filters.iter().flat_map(|filter| ["-f", filter]);
    let lines = d.ok(args.into_iter().chain(filters));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["Action"].as_str().unwrap()).collect()
}

#[test]
fn a_whole_life_is_told_in_order_and_outlives_the_daemon() {
    let mut d = Daemon::start();
    let script = "trap 'exit 5' TERM; trap '' WINCH; echo up; while :; do sleep 0.02; done";
    let mut terminal = d.terminal(&["run", "-it", "--name", "cx", "busybox", "sh", "-c", script]);
    terminal.expect("up");
    terminal.type_in("\x10\x11");
    terminal.wait();
    d.ok(["pause", "cx"]);
    d.ok(["unpause", "cx"]);
    d.ok(["update", "--pids-limit", "100", "cx"]);
    d.ok(["rename", "cx", "cy"]);
    d.ok(["restart", "cy"]);
    wait_until("it is up again", || d.ok(["logs", "cy"]).matches("up").count() == 2);
    d.ok(["stop", "cy"]);
    d.ok(["start", "cy"]);
    d.ok(["kill", "cy"]);
    d.ok(["rm", "cy"]);
    let all = events(&d, &["type=container"]);
    let life = actions(&all);
    let expected = [
        "create", "attach", "start", "detach", "pause", "unpause", "update", "rename", "kill",
        "die", "stop", "start", "restart", "kill", "die", "stop", "start", "kill", "die",
        "destroy",
    ];
    let but_sizes: Vec<&str> = life.iter().copied().filter(|action| *action != "resize").collect();
    assert_eq!(but_sizes, expected);
    let resize = all.iter().find(|event| event["Action"] == "resize").expect("it has a size");
    let attributes = &resize["Actor"]["Attributes"];
    assert_eq!((&attributes["height"], &attributes["width"]), (&"24".into(), &"80".into()));
    let dies: Vec<&Value> = all.iter().filter(|event| event["Action"] == "die").collect();
    assert_eq!(dies[0]["Actor"]["Attributes"]["exitCode"], "5");
    assert!(dies[0]["Actor"]["Attributes"]["execDuration"].is_string());
    let times: Vec<i64> = all.iter().map(|event| event["timeNano"].as_i64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");

    // The next daemon knows them, and goes on; a line that was cut off harms nothing.
    d.kill9();
    let journal = d.run_root().join("events");
    let mut torn = std::fs::read(&journal).unwrap();
    torn.extend(b"[17,5,\"container\",\"for");
    std::fs::write(&journal, torn).unwrap();
    assert!(d.try_start());
    d.ok(["create", "--name", "cz", "busybox", "true"]);
    let mut after = events(&d, &["type=container"]);
    assert_eq!(after.pop().unwrap()["Action"], "create");
    assert_eq!(after, all);
    d.assert_nothing_left_behind();
}

#[test]
fn images_have_events_and_execs_that_are_left_too() {
    let d = Daemon::start();
    let id = d.import("small", &Tar::new().file("x", 0o644, b"x").bytes());
    d.ok(["tag", "small", "other:1"]);
    d.ok(["rmi", "small", "other:1"]);
    let all = events(&d, &["type=image"]);
    assert_eq!(actions(&all[1..]), ["import", "tag", "untag", "untag", "delete"]);
    assert_eq!(all[1]["Actor"]["ID"], id.as_str());

    d.ok(["run", "-d", "--name", "cx", "busybox", "sleep", "1000"]);
    let mut terminal = d.terminal(&["exec", "-it", "cx", "sh", "-c", "echo in; sleep 1000"]);
    terminal.expect("in");
    terminal.type_in("\x10\x11");
    terminal.wait();
    wait_until("it is told", || !events(&d, &["event=exec_detach"]).is_empty());
    let detach = &events(&d, &["event=exec_detach"])[0];
    assert_eq!(detach["Actor"]["Attributes"]["name"], "cx");
    assert_eq!(detach["Actor"]["Attributes"]["execID"].as_str().unwrap().len(), 64);
    d.ok(["rm", "-f", "cx"]);
    d.assert_nothing_left_behind();
}

#[test]
fn who_listens_gets_all_and_once() {
    let d = Daemon::start();
    let mut listener = d.cli(["events", "--format", "{{.Action}}", "-f", "type=container"]).spawn();
    wait_until("it listens", || d.ok(["info", "-f", "{{.NEventsListener}}"]) == "1");
    for _ in 0..20 {
        d.ok(["run", "--rm", "--network", "none", "busybox", "true"]);
    }
    let each = "create\nattach\nstart\ndie\ndestroy\n";
    let all = each.repeat(20);
    let told = listener.stdout.wait(SOON, |bytes, _| bytes.len() >= all.len());
    assert!(told, "{}", listener.stdout.text());
    assert_eq!(listener.stdout.text(), all);
    listener.signal(libc::SIGTERM);
    listener.wait(SOON);
    d.assert_nothing_left_behind();
}
