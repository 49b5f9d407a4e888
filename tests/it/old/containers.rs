//! Containers: sections 4, 8.1 to 8.11 and 8.30.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Old, assert_answer, assert_exactly, shell};
use crate::harness::{Daemon, Tar, wait_until};

const JSON: &str = "application/json";

#[test]
fn a_life_from_create_to_delete() {
    let d = Daemon::start();
    for version in super::VERSIONS {
        let old = Old { d: &d, version };
        let id = old.create(&json!({
            "Image": "busybox", "Cmd": ["sh", "-c", "test $A = b && pwd && exit 3"], "Env": ["A=b"],
            "WorkingDir": "/tmp", "Memory": 4_194_304, "MemorySwap": -1, "CpuShares": 5,
            "User": "", "Hostname": "box", "Domainname": "example.com", "PortSpecs": null,
            "Volumes": {}, "VolumesFrom": "", "Entrypoint": null, "Dns": null,
        }));
        assert_eq!(old.inspect(&id)["State"]["Running"], false, "{version}");
        assert_eq!(old.wait(&id), 0, "never started");
        old.start(&id);
        assert_eq!(old.wait(&id), 3);
        let shown = old.inspect(&id);
        assert_eq!(shown["State"]["ExitCode"], 3);
        assert_eq!(shown["Config"]["Hostname"], "box");
        assert_eq!(shown["Config"]["Memory"], 4_194_304);
        // Again, and away.
        old.start(&id);
        assert_eq!(old.wait(&id), 3);
        assert_exactly(&old.ask("DELETE", &format!("/containers/{id}?v=1")), 204, "");
        assert_answer(&old.get(&format!("/containers/{id}/json")), 404, "No such container: ");
    }
    d.assert_nothing_left_behind();
}

#[test]
fn names_are_ids_and_their_beginnings() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let ids: Vec<String> = (0..17).map(|_| old.create(&shell("true"))).collect();
    assert_eq!(old.inspect(&ids[0])["ID"].as_str().unwrap().len(), 64);
    let full = old.inspect(&ids[0])["ID"].as_str().unwrap().to_owned();
    assert_eq!(old.inspect(&full)["ID"], full.as_str());
    // Of seventeen two begin alike.
    let first = |id: &String| id[..1].to_owned();
    let twice = ids.iter().map(first).find(|a| ids.iter().filter(|b| first(b) == *a).count() > 1);
    let twice = twice.unwrap();
    for (method, path) in [
        ("GET", format!("/containers/{twice}/json")),
        ("GET", format!("/containers/{twice}/top")),
        ("POST", format!("/containers/{twice}/start")),
        ("POST", format!("/containers/{twice}/stop")),
        ("POST", format!("/containers/{twice}/restart")),
        ("POST", format!("/containers/{twice}/kill")),
        ("POST", format!("/containers/{twice}/wait")),
        ("POST", format!("/containers/{twice}/attach")),
        ("GET", format!("/containers/{twice}/attach/ws")),
        ("POST", format!("/containers/{twice}/resize?h=1&w=1")),
        ("DELETE", format!("/containers/{twice}")),
    ] {
        assert_exactly(&old.ask(method, &path), 404, &format!("No such container: {twice}\n"));
    }
    assert_exactly(&old.ask("DELETE", "/containers/"), 404, "No such container: \n");
    assert_exactly(
        &old.ask("GET", "/containers/nothing/json"),
        404,
        "No such container: nothing\n",
    );
}

#[test]
fn create_says_what_is_wrong() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let create = |body: &str| old.post("/containers/create", JSON, body);
    assert_exactly(&create(""), 500, "EOF\n");
    for bad in ["{", "[]", "{\"Cmd\":\"x\"}", "{\"Memory\":1.5}", "{\"Env\":{}}"] {
        assert_answer(&create(bad), 500, "");
    }
    let missing = "No such image: nothing (tag: latest)\n";
    assert_exactly(&create("{\"Image\":\"nothing\",\"Cmd\":[\"x\"]}"), 404, missing);
    let missing = "No such image: host:5000/a (tag: b)\n";
    assert_exactly(&create("{\"Image\":\"host:5000/a:b\"}"), 404, missing);
    assert_exactly(&create("{}"), 404, "No such image:  (tag: latest)\n");
    assert_exactly(&create("{\"Image\":\"busybox\"}"), 500, "No command specified\n");
    for memory in ["-1", "1", "524287"] {
        let text = "Memory limit must be given in bytes (minimum 524288 bytes)\n";
        let body = format!("{{\"Image\":\"busybox\",\"Cmd\":[\"x\"],\"Memory\":{memory}}}");
        assert_exactly(&create(&body), 500, text);
    }
    // What a later version will serve is refused by name, unless nothing is asked for.
    for (volumes, status, text) in [
        ("\"Volumes\":{\"/v\":{}}", 501, "volumes are not served yet: /v\n"),
        ("\"Volumes\":{\"/v\":null}", 501, "volumes are not served yet: /v\n"),
        ("\"Volumes\":{\"/v\":\"x\"}", 500, ""),
        ("\"Volumes\":[]", 500, ""),
        ("\"VolumesFrom\":\"a,b\"", 501, "volumes-from a is not served yet\n"),
    ] {
        let body = format!("{{\"Image\":\"busybox\",\"Cmd\":[\"x\"],{volumes}}}");
        assert_answer(&create(&body), status, text);
    }
    for spec in ["1:2:3", "80/x", "a"] {
        let body = json!({"Image": "busybox", "Cmd": ["x"], "PortSpecs": [spec]}).to_string();
        assert_answer(&create(&body), 500, "Invalid port format");
    }
    // Go's reading: any case, the last of several, null, the first value alone, no type at all.
    for good in [
        "{\"IMAGE\":\"x\",\"image\":\"busybox\",\"cmd\":[\"true\"],\"Volumes\":null,\"What\":{}} {",
        "{\"Image\":\"busybox\",\"Entrypoint\":[\"true\"]}",
        "{\"Image\":\"busybox\",\"Entrypoint\":[\"true\"],\"Cmd\":[]}",
        "{\"Image\":\"busybox\",\"Entrypoint\":[],\"Cmd\":[\"true\"],\"Memory\":524288}",
    ] {
        let mut wire = d.wire();
        let length = good.len();
        wire.send(format!(
            "POST /v1.6/containers/create HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n"
        ));
        wire.send(good);
        let reply = wire.reply();
        assert_eq!(reply.status, 201, "{good}: {}", reply.text());
    }
}

#[test]
fn start_reads_its_body_when_it_is_json() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.create(&shell("sleep 100"));
    let start =
        |id: &str, kind: &str, body: &str| old.post(&format!("/containers/{id}/start"), kind, body);
    assert_exactly(&start(&id, JSON, ""), 500, "EOF\n");
    assert_answer(&start(&id, "Application/JSON; charset=utf-8", "{"), 500, "");
    assert_answer(&start(&id, JSON, "{\"LxcConf\":{\"a\":\"b\"}}"), 500, "");
    assert_exactly(&start("nothing", JSON, "{}"), 404, "No such container: nothing\n");
    assert_answer(&start("nothing", JSON, "{"), 500, ""); // the body comes first
    assert_exactly(
        &start("nothing", "application/jsonx", "{"),
        404,
        "No such container: nothing\n",
    );
    for (bind, status) in [("[\"/srv:/www:ro\"]", 501), ("\"/srv\"", 500), ("[1]", 500)] {
        assert_answer(&start(&id, JSON, &format!("{{\"Binds\":{bind}}}")), status, "");
    }
    assert_answer(
        &start(&id, JSON, "{\"LxcConf\":[{\"Key\":\"a\",\"Value\":\"b\"}]}"),
        501,
        "LxcConf a=b",
    );
    let limit = json!({"LxcConf": [{"Key": "lxc.cgroup.cpu.shares", "Value": "99"}]});
    let limited = old.create(&shell("true"));
    assert_exactly(&start(&limited, JSON, &limit.to_string()), 204, "");
    assert_eq!(old.inspect(&limited)["Config"]["CpuShares"], 99);
    let body = "{\"Binds\":null,\"ContainerIDFile\":\"/x\",\"LxcConf\":[]}";
    assert_exactly(&start(&id, JSON, body), 204, "");
    let full = old.inspect(&id)["ID"].as_str().unwrap().to_owned();
    let pid = old.inspect(&id)["State"]["Pid"].as_i64().unwrap();
    assert!(pid > 0);
    let text = format!("Error starting container {id}: The container {full} is already running.\n");
    assert_exactly(&start(&id, "text/plain", "{"), 500, &text);
    assert_eq!(old.inspect(&id)["State"]["Pid"], pid, "and nothing has happened to it");
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
}

#[test]
fn a_program_that_is_missing_ends_with_127() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.create(&json!({"Image": "busybox", "Cmd": ["/no/such/program"]}));
    old.start(&id);
    assert_eq!(old.wait(&id), 127);
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/restart")), 204, "");
    assert_eq!(old.wait(&id), 127);
    let state = &old.inspect(&id)["State"];
    assert_eq!((&state["Running"], &state["ExitCode"]), (&json!(false), &json!(127)));
    assert_exactly(&old.ask("DELETE", &format!("/containers/{id}")), 204, "");
}

#[test]
fn stop_restart_and_kill() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.running("trap 'exit 5' TERM; echo set; while :; do sleep 0.05; done");
    let set = || d.ok(["logs", &id]).lines().filter(|line| *line == "set").count();
    wait_until("it has its trap", || set() == 1);
    let ask = |what: &str| old.ask("POST", &format!("/containers/{id}/{what}"));
    assert_exactly(&ask("stop?t=30"), 204, "");
    assert_eq!(old.wait(&id), 5);
    for what in ["stop", "stop?t=-1", "stop?t=x", "kill"] {
        assert_exactly(&ask(what), 204, "");
    }
    assert_exactly(&ask("restart?t=0"), 204, "");
    wait_until("it has its trap", || set() == 2);
    let before = old.inspect(&id)["State"]["Pid"].clone();
    assert_exactly(&ask("restart?t=20"), 204, "");
    let after = old.inspect(&id)["State"].clone();
    assert!(after["Running"] == true && after["Pid"] != before, "{after}");
    assert_exactly(&ask("kill"), 204, "");
    assert_eq!(old.inspect(&id)["State"]["Running"], false);
    assert_eq!(old.wait(&id), 137);
    // Zero seconds is at once.
    let id = old.running("trap '' TERM; while :; do sleep 0.05; done");
    let began = Instant::now();
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/stop?t=0")), 204, "");
    assert!(began.elapsed() < Duration::from_secs(8));
    for what in ["start", "stop", "restart", "kill", "wait"] {
        let reply = old.ask("POST", &format!("/containers/nothing/{what}"));
        assert_exactly(&reply, 404, "No such container: nothing\n");
    }
}

#[test]
fn wait_blocks_until_the_end() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.create(&json!({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": true}));
    old.start(&id);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| old.wait(&id));
        wait_until("it runs", || old.inspect(&id)["State"]["Running"] == true);
        assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
        assert_eq!(waits.join().unwrap(), 137);
    });
}

/// The whole machine dies: daemon, monitor, program.
fn cut_the_power(d: &mut Daemon, id: &str) {
    let pid = Old::new(d).inspect(id)["State"]["Pid"].as_i64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    d.kill9();
    crate::harness::send_signal(parent.trim().parse().unwrap(), libc::SIGKILL);
    crate::harness::send_signal(i32::try_from(pid).unwrap(), libc::SIGKILL);
}

#[test]
fn nothing_becomes_a_ghost() {
    let mut d = Daemon::start();
    let config = json!({"Image": "busybox", "Cmd": ["sh", "-c", "read line; exit 7"],
                        "OpenStdin": true});
    let id = Old::new(&d).create(&config);
    Old::new(&d).start(&id);
    let pid = Old::new(&d).inspect(&id)["State"]["Pid"].clone();
    d.restart();
    let old = Old::new(&d);
    let state = old.inspect(&id)["State"].clone();
    assert_eq!(
        (&state["Running"], &state["Ghost"], &state["Pid"]),
        (&json!(true), &json!(false), &pid)
    );
    let status = old.get("/containers/json").expect(200)[0]["Status"].clone();
    assert!(status.as_str().unwrap().starts_with("Up "), "{status}");
    // It is attached to, and its exit code is its own.
    let mut wire = d.wire();
    let path = old.path(&format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1"));
    wire.send(format!("POST {path} HTTP/1.1\r\nHost: t\r\n\r\nline\n"));
    assert_eq!(wire.head().0, 200);
    assert_eq!(wire.rest(), b"");
    assert_eq!(old.wait(&id), 7);
    // With -r, which is the default, what has died with the machine runs again.
    old.start(&id);
    cut_the_power(&mut d, &id);
    d.restart();
    let old = Old::new(&d);
    wait_until("it runs again", || old.inspect(&id)["State"]["Running"] == true);
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    // A former ghost starts like any other.
    old.start(&id);
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    d.assert_nothing_left_behind();
}

#[test]
fn an_end_that_nobody_saw_is_minus_127() {
    let mut d = Daemon::start();
    let id = Old::new(&d).running("exec sleep 1000");
    cut_the_power(&mut d, &id);
    d.set_flag("-r=false");
    d.restart();
    let old = Old::new(&d);
    assert_eq!(old.wait(&id), -127);
    assert_eq!(old.inspect(&id)["State"]["ExitCode"], -127);
    let list = old.get("/containers/json?all=1").expect(200);
    assert_eq!(list[0]["Status"], "Exit -127");
}

#[test]
fn a_list_is_cut_as_asked() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let oldest = old.create(&shell("true"));
    let running = old.running("sleep 100");
    let newest = old.create(&shell("true"));
    let all = [newest.as_str(), running.as_str(), oldest.as_str()];
    let listed = |query: &str| -> Vec<String> {
        let list = old.get(&format!("/containers/json{query}")).expect(200);
        let list = list.as_array().unwrap().iter();
        list.map(|line| line["Id"].as_str().unwrap()[..12].to_owned()).collect()
    };
    assert_eq!(listed(""), [all[1]]);
    assert_eq!(listed("?limit=abc"), [all[1]]);
    assert_eq!(listed("?limit=-1"), [all[1]]);
    assert_eq!(listed("?all=1"), all);
    assert_eq!(listed("?limit=0"), [""; 0]);
    assert_eq!(listed("?limit=2"), all[..2]);
    assert_eq!(listed("?limit=-5"), all);
    assert_eq!(listed("?since=unknown"), all);
    assert_eq!(listed("?before=unknown"), [""; 0]);
    assert_eq!(listed(&format!("?since={running}")), all[..1]);
    assert_eq!(listed(&format!("?before={running}")), all[2..]);
    let whole = old.inspect(&running)["ID"].as_str().unwrap().to_owned();
    assert_eq!(listed(&format!("?before={whole}")), all[2..]);
    assert_eq!(listed(&format!("?since={oldest}&before={newest}")), all[1..2]);
    assert_eq!(listed(&format!("?before={newest}&limit=1")), all[1..2]);
    assert_eq!(old.get("/containers/json").body, old.get("/containers/ps").body);
    assert_exactly(&old.ask("POST", &format!("/containers/{running}/kill")), 204, "");
    assert_exactly(&old.get("/containers/json"), 200, "[]");
}

#[test]
fn sizes_are_shown_when_asked_for() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.running("head -c 5000 /dev/zero > /file");
    old.wait(&id);
    let line =
        |query: &str| old.get(&format!("/containers/json?all=1{query}")).expect(200)[0].clone();
    assert_eq!((&line("")["SizeRw"], &line("")["SizeRootFs"]), (&json!(0), &json!(0)));
    assert!(line("&size=1")["SizeRw"].as_i64().unwrap() >= 5000);
    assert!(line("&size=1")["SizeRootFs"].as_i64().unwrap() > 5000);
}

#[test]
fn top_is_there_from_1_4_on() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.running("sleep 1000 & wait");
    let path = format!("/containers/{id}/top");
    assert_answer(&old.at("1.3").get(&path), 500, "top was improved");
    wait_until("both run", || {
        let top = old.at("1.4").get(&path).expect(200);
        assert_eq!(top["Titles"], json!(["PID", "TTY", "TIME", "CMD"]));
        top["Processes"].as_array().is_some_and(|list| list.len() == 2)
    });
    // The child may still be the shell that will become it.
    wait_until("cells are split at blanks", || {
        let top = old.get(&format!("{path}?ps_args=u")).expect(200);
        assert_eq!((&top["Titles"][0], &top["Titles"][10]), (&json!("USER"), &json!("COMMAND")));
        let mut rows = top["Processes"].as_array().unwrap().iter();
        rows.any(|row| row[0] == "root" && row[10] == "sleep" && row[11] == "1000")
    });
    assert_answer(&old.get(&format!("{path}?ps_args=%00")), 500, "");
    assert_exactly(&old.get("/containers/nothing/top"), 404, "No such container: nothing\n");
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    let ended = r#"{"Titles":["PID","TTY","TIME","CMD"],"Processes":null}"#;
    assert_exactly(&old.get(&path), 200, ended);
}

#[test]
fn resize_takes_two_numbers() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let tty = json!({"Image": "busybox", "Tty": true, "OpenStdin": true,
                     "Cmd": ["sh", "-c", "trap 'stty size' WINCH; while :; do sleep 0.05; done"]});
    let id = old.create(&tty);
    let resize =
        |id: &str, query: &str| old.ask("POST", &format!("/containers/{id}/resize{query}"));
    for query in ["", "?h=1", "?w=1", "?h=x&w=1", "?h=1&w="] {
        assert_answer(&resize("nothing", query), 500, "strconv.ParseInt: parsing");
    }
    let text = "strconv.ParseInt: parsing \"9223372036854775808\": value out of range\n";
    assert_exactly(&resize("nothing", "?h=1&w=9223372036854775808"), 500, text);
    assert_exactly(&resize("nothing", "?h=1&w=1"), 404, "No such container: nothing\n");
    assert_answer(&resize(&id, "?h=1&w=1"), 500, "");
    old.start(&id);
    assert_exactly(&resize(&id, "?h=65561&w=91"), 200, "");
    let sized = || d.ok(["logs", &id]).contains("25 91");
    wait_until("it has the new size", || {
        // The trap may not have been set when the first signal came.
        assert_exactly(&resize(&id, "?h=26&w=90"), 200, "");
        assert_exactly(&resize(&id, "?h=25&w=91"), 200, "");
        sized()
    });
    let plain = old.running("sleep 100");
    assert_answer(&resize(&plain, "?h=1&w=1"), 500, "");
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    assert_answer(&resize(&id, "?h=1&w=1"), 500, "");
}

#[test]
fn a_running_container_is_not_removed() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.running("sleep 100");
    let path = format!("/containers/{id}");
    assert_answer(&old.ask("DELETE", &path), 406, "Impossible to remove a running container");
    assert_eq!(old.inspect(&id)["State"]["Running"], true);
    assert_exactly(&old.ask("POST", &format!("{path}/stop?t=0")), 204, "");
    assert_exactly(&old.ask("DELETE", &path), 204, "");
    assert_exactly(&old.ask("DELETE", &path), 404, &format!("No such container: {id}\n"));
    d.assert_nothing_left_behind();
}

#[test]
fn a_name_of_both_kinds_is_a_conflict() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.create(&shell("true"));
    let tag = old.ask("POST", &format!("/images/busybox/tag?repo={id}"));
    assert_exactly(&tag, 201, "");
    let text = "Conflict between containers and images\n";
    assert_exactly(&old.get(&format!("/containers/{id}/json")), 409, text);
    assert_exactly(&old.get(&format!("/images/{id}/json")), 409, text);
    // What is of one kind alone is not of the other.
    let text = "No such container: busybox\n";
    assert_exactly(&old.get("/containers/busybox/json"), 404, text);
}

#[test]
fn a_line_names_the_image_and_the_whole_command() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let long = "x".repeat(300);
    let id = old.create(&json!({"Image": "busybox", "Cmd": ["true"]}));
    old.create(&json!({"Image": "busybox", "Cmd": ["echo", long, "y"]}));
    let line = |at: usize| old.get("/containers/json?all=1").expect(200)[at].clone();
    assert_eq!(line(0)["Command"], format!("echo {long} y"));
    assert_eq!(
        (&line(1)["Command"], &line(1)["Image"]),
        (&json!("true "), &json!("busybox:latest"))
    );
    assert_eq!(
        (&old.inspect(&id)["Path"], &old.inspect(&id)["Args"]),
        (&json!("true"), &json!([]))
    );
    // Of several names the first; without any the short id.
    for name in ["zoo", "ape"] {
        let path = format!("/images/busybox/tag?repo={name}");
        assert_exactly(&old.ask("POST", &path), 201, "");
    }
    assert_eq!(line(1)["Image"], "ape:latest");
    let image = old.inspect(&id)["Image"].as_str().unwrap().to_owned();
    let other = Tar::new().file("file", 0o644, b"").bytes();
    for name in ["ape", "busybox", "zoo"] {
        d.import(name, &other);
    }
    assert_eq!(line(1)["Image"], image[..12]);
    assert_eq!(old.inspect(&id)["Config"]["Image"], "busybox", "as it was typed");
}

#[test]
fn a_network_is_shown_while_there_is_one() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let nothing = json!({"IPAddress": "", "IPPrefixLen": 0, "Gateway": "", "Bridge": "",
                         "PortMapping": null});
    let mut config = shell("sleep 1000");
    let with = old.create(&config);
    config["NetworkDisabled"] = json!(true);
    let without = old.create(&config);
    for id in [&with, &without] {
        assert_eq!(old.inspect(id)["NetworkSettings"], nothing, "it does not run");
        old.start(id);
    }
    assert_eq!(old.inspect(&without)["NetworkSettings"], nothing);
    let shown = old.inspect(&with)["NetworkSettings"].clone();
    assert_eq!(shown["PortMapping"], json!({"Tcp": {}, "Udp": {}}));
    for version in super::VERSIONS {
        let list = old.at(version).get("/containers/json").expect(200);
        let ports = if version < "1.5" { json!("") } else { json!(null) };
        assert_eq!(list[0]["Ports"], ports, "{version}");
    }
    for id in [&with, &without] {
        assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    }
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.running("sh -c 'sleep 1000; :' \"$(printf 'a\\377b')\"");
    wait_until("it runs", || {
        let top = old.get(&format!("/containers/{id}/top?ps_args=u")).expect(200);
        top["Processes"].as_array().unwrap().iter().any(|row| row[15] == "a\u{fffd}b")
    });
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
}
