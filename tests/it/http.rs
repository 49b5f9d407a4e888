//! The socket: limits, keep-alive, chunks, hijack, versions, families that are not served.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Daemon, SOON, Setup, Wire, assert_flat, busybox_tar, count, in_netns, keep_stacks, monitor_of,
    wait_until,
};

#[test]
fn a_connection_serves_one_request_after_another() {
    let d = Daemon::start();
    let mut wire = d.wire();
    for _ in 0..3 {
        assert_eq!(wire.ask("GET", "/_ping").body, b"OK");
        assert_eq!(wire.ask("HEAD", "/_ping").status, 200);
        assert_eq!(wire.ask("GET", "/containers/nothing/json").status, 404);
    }
    // Two requests in one packet.
    wire.send("GET /_ping HTTP/1.1\r\nHost: t\r\n\r\nGET /version HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(wire.reply().body, b"OK");
    assert_eq!(wire.reply().json()["ApiVersion"], "1.44");
    wire.send("GET /_ping HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert_eq!(wire.reply().status, 200);
    assert_eq!(wire.rest(), b"");
    let mut old = d.wire();
    old.send("GET /_ping HTTP/1.0\r\n\r\n");
    assert_eq!(old.reply().status, 200);
    assert_eq!(old.rest(), b"", "1.0 ends the connection");
}

#[test]
fn a_long_list_comes_in_pieces_and_whole() {
    let d = Daemon::start();
    let labels = json!({ "long": "x".repeat(4000) });
    for _ in 0..20 {
        let body = json!({ "Image": "busybox", "Cmd": ["true"], "Labels": labels });
        d.post("/containers/create", &body).expect(201);
    }
    let mut wire = d.wire();
    for _ in 0..2 {
        let reply = wire.ask("GET", "/containers/json?all=1&size=1");
        assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
        let list = reply.json();
        let list = list.as_array().unwrap();
        assert_eq!(list.len(), 20);
        assert!(list.iter().all(|c| c["Labels"] == labels && c["SizeRw"] == 0));
    }
    assert!(wire.ask("GET", "/containers/json?all=1&limit=2").header("content-length").is_some());
    let mut old = d.wire();
    old.send("GET /containers/json?all=1 HTTP/1.0\r\n\r\n");
    assert_eq!(old.reply().json().as_array().unwrap().len(), 20);
    assert_eq!(d.ok(["ps", "-a", "-q"]).lines().count(), 20);
}

#[test]
fn ping_tells_version_and_kind() {
    let d = Daemon::start();
    for method in ["GET", "HEAD"] {
        let reply = d.api(method, "/_ping");
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("api-version"), Some("1.44"));
        assert_eq!(reply.header("ostype"), Some("linux"));
        assert!(reply.header("server").is_some());
    }
    let version = d.api("GET", "/v1.41/version").expect(200);
    assert_eq!(version["ApiVersion"], "1.44");
    assert_eq!(version["MinAPIVersion"], "1.24");
    let info = d.api("GET", "/info").expect(200);
    for key in [
        "ID",
        "Containers",
        "Images",
        "Driver",
        "MemTotal",
        "NCPU",
        "KernelVersion",
        "OSType",
        "ServerVersion",
    ] {
        assert!(!info[key].is_null(), "{key} in {info}");
    }
}

#[test]
fn versions_are_two_numbers_in_the_served_ranges() {
    let d = Daemon::start();
    for good in ["/v1.24/version", "/v1.44/version", "/version", "/v1.40/_ping"] {
        assert_eq!(d.api("GET", good).status, 200, "{good}");
    }
    for bad in [
        "/v1.45/version",
        "/v1.7/version",
        "/v1.23/version",
        "/v2.0/version",
        "/v0.9/version",
        "/v1.99/_ping",
    ] {
        let reply = d.api("GET", bad);
        assert_eq!(reply.status, 400, "{bad}");
        assert!(reply.text().contains("1.44"), "{bad} names no range: {}", reply.text());
    }
}

#[test]
fn families_that_are_not_served_say_so() {
    let d = Daemon::start();
    let swarm = ["/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs", "/nodes/x"];
    for path in swarm {
        let reply = d.api("GET", path);
        assert_eq!(reply.status, 503, "{path}");
        assert!(reply.message().contains("not a swarm manager"), "{path}: {}", reply.text());
    }
    let other = [
        ("POST", "/containers/create/nothing"),
        ("GET", "/plugins"),
        ("POST", "/build"),
        ("POST", "/session"),
        ("GET", "/plugins/x"),
        ("POST", "/volumes/create"),
        ("POST", "/commit"),
        ("GET", "/containers/cx/export"),
        ("POST", "/auth"),
        ("GET", "/images/search?term=x"),
    ];
    for (method, path) in other.into_iter().skip(1) {
        let reply = d.api(method, path);
        assert!(matches!(reply.status, 200 | 501), "{method} {path}: {}", reply.status);
        if reply.status == 501 {
            assert!(!reply.message().is_empty(), "{path}");
        }
    }
    let reply = d.api("GET", "/no/such/thing");
    assert_eq!(reply.status, 404);
    assert!(!reply.message().is_empty(), "never a bare 404");
    let reply = d.api("PUT", "/containers/json");
    assert!(matches!(reply.status, 404 | 405), "{}", reply.status);
}

#[test]
fn heads_have_limits() {
    let d = Daemon::start();
    let status = |head: String| {
        let mut wire = d.wire();
        // The daemon may hang up before it has read all of it.
        drop(wire.stream.write_all(head.as_bytes()));
        wire.reply().status
    };
    let long = "x".repeat(9_000);
    assert_eq!(status(format!("GET /_ping HTTP/1.1\r\nHost: t\r\nLong: {long}\r\n\r\n")), 431);
    let many: String = (0..150).map(|i| format!("H{i}: x\r\n")).collect();
    assert_eq!(status(format!("GET /_ping HTTP/1.1\r\nHost: t\r\n{many}\r\n")), 431);
    let big: String = (0..90).map(|i| format!("H{i}: {}\r\n", "y".repeat(1_000))).collect();
    assert_eq!(status(format!("GET /_ping HTTP/1.1\r\nHost: t\r\n{big}\r\n")), 431);
    let uri = status(format!("GET /{long} HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert!(matches!(uri, 414 | 431), "{uri}");
    for bad in [
        "nonsense\r\n\r\n",
        "GET /_ping HTTP/1.1\r\nbroken header\r\n\r\n",
        "GET /_ping HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n",
        "GET /_ping HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n",
        "GET /_ping HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /containers/create HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /containers/create HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: nonsense\r\n\r\n",
        "GET /_ping HTTP/9.9\r\nHost: t\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: t\r\n\r\n",
    ] {
        let status = status(bad.to_owned());
        assert!(matches!(status, 400 | 404 | 501 | 505), "{bad:?}: {status}");
    }
    assert_eq!(d.api("GET", "/_ping").status, 200);
}

#[test]
fn a_length_of_a_petabyte_takes_no_memory() {
    let d = Daemon::start();
    for path in ["/containers/create", "/images/create?fromSrc=-"] {
        let mut wire = d.wire();
        wire.send(format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
             Content-Length: 1000000000000000\r\n\r\n{{}}"
        ));
        wire.half_close();
        let status = wire.reply().status;
        assert!(matches!(status, 200 | 400 | 413 | 500), "{path}: {status}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", d.pid())).unwrap();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 64 << 10, "{peak}");
    assert_eq!(d.api("GET", "/_ping").status, 200);
}

#[test]
fn slow_and_silent_clients_hold_nobody_up() {
    let d = Daemon::start();
    let mut slow: Vec<Wire> = (0..count(50, 500)).map(|_| d.wire()).collect();
    for wire in &mut slow {
        wire.send("GET /_ping HT");
    }
    let began = Instant::now();
    assert_eq!(d.api("GET", "/_ping").status, 200);
    assert!(began.elapsed() < Duration::from_secs(2));
    for wire in slow.iter_mut().take(3) {
        wire.send("TP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(wire.reply().status, 200);
    }
    drop(slow);
    d.assert_nothing_left_behind();
}

#[test]
fn bodies_may_be_chunked_and_announced() {
    let d = Daemon::start();
    let body = json!({"Image": "busybox", "Cmd": ["true"]}).to_string();
    let (first, second) = body.split_at(7);
    let mut wire = d.wire();
    wire.send(
        "POST /containers/create HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(wire.head().0, 100);
    wire.send(format!("{:x}\r\n{first}\r\n", first.len()));
    wire.send(format!("{:X};ext=1\r\n{second}\r\n0\r\nTrailer: x\r\n\r\n", second.len()));
    assert_eq!(wire.reply().status, 201);
    assert_eq!(wire.ask("GET", "/_ping").status, 200, "the connection goes on");
    wire.send("POST /containers/create HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(wire.reply().status, 400);
    d.assert_nothing_left_behind();
}

#[test]
fn an_unread_body_does_not_become_the_next_request() {
    let d = Daemon::start();
    let mut wire = d.wire();
    let body = "GET /evil HTTP/1.1\r\n\r\n";
    wire.send(format!(
        "POST /no/such/thing HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(wire.reply().status, 404);
    wire.send("GET /_ping HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let rest = String::from_utf8(wire.rest()).unwrap();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 200"), "{rest}");
}

#[test]
fn bodies_are_read_as_go_reads_them() {
    let d = Daemon::start();
    let id = d.create(&json!({"image": "busybox", "CMD": ["echo", "cx"], "Labels": {"Key": "v"}, "Unknown": 1, "User": null}));
    let config = &d.inspect(&id)["Config"];
    assert_eq!(config["Cmd"], json!(["echo", "cx"]));
    assert_eq!(config["Labels"], json!({"Key": "v"}));
    let bad: [(&str, &str, u16); 5] = [
        ("application/json", "{", 400),
        ("application/json", "[]", 400),
        ("application/json", r#"{"Image": 3}"#, 400),
        ("text/plain", r#"{"Image": "busybox"}"#, 400),
        ("application/json", r#"{"Image": "nothing-of-the-kind"}"#, 404),
    ];
    for (kind, body, status) in bad {
        let reply = d.send("POST", "/containers/create", kind, body.as_bytes());
        assert!(
            reply.status == status || reply.status == 415,
            "{kind} {body}: {} {}",
            reply.status,
            reply.text()
        );
        assert!(!reply.message().is_empty());
    }
    let deep = "[".repeat(100_000);
    let reply = d.send("POST", "/containers/create", "application/json", deep.as_bytes());
    assert_eq!(reply.status, 400);
    let huge = format!("{{\"Image\":\"{}\"}}", "x".repeat(80 << 20));
    let mut wire = d.wire();
    wire.send(format!("POST /containers/create HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", huge.len()));
    drop(wire.stream.write_all(huge.as_bytes()));
    assert!(matches!(wire.reply().status, 400 | 413));
}

/// A container whose program reads its standard input; attached by hand.
fn attach(d: &Daemon, upgrade: bool, early: &str) -> (String, Wire) {
    let id = d.create(&json!({
        "Image": "busybox", "Cmd": ["sh", "-c", "cat; echo end >&2"],
        "OpenStdin": true, "StdinOnce": true, "AttachStdin": true,
    }));
    let mut wire = d.wire();
    let extra = if upgrade { "Connection: Upgrade\r\nUpgrade: tcp\r\n" } else { "" };
    wire.send(format!(
        "POST /containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: t\r\n{extra}\r\n{early}"
    ));
    let (status, headers) = wire.head();
    assert_eq!(status, if upgrade { 101 } else { 200 });
    let kind = headers.iter().find(|(name, _)| name == "content-type").unwrap();
    assert!(kind.1.contains("stream"), "{kind:?}");
    (id, wire)
}

#[test]
fn hijack_with_early_bytes_and_half_close() {
    let d = Daemon::start();
    for upgrade in [false, true] {
        let (id, mut wire) = attach(&d, upgrade, "early ");
        d.api("POST", &format!("/containers/{id}/start")).expect(204);
        wire.send("late\n");
        wire.half_close();
        assert_eq!(wire.frames(), ("early late\n".to_owned(), "end\n".to_owned()));
        // The streams close only after the exit status is known.
        assert_eq!(d.inspect(&id)["State"]["Status"], "exited");
        assert_eq!(d.inspect(&id)["State"]["ExitCode"], 0);
    }
    d.assert_nothing_left_behind();
}

#[test]
fn dropped_attaches_leak_nothing() {
    let d = Daemon::start();
    d.ok(["run", "-d", "-i", "--name", "cx", "busybox", "cat"]);
    let monitor = monitor_of(&d, "cx");
    let drop_some = |count: usize| {
        for i in 0..count {
            let mut wire = d.wire();
            wire.send("POST /containers/cx/attach?stream=1&stdin=1&stdout=1&stderr=1&logs=1 HTTP/1.1\r\nHost: t\r\n\r\n");
            if i % 3 == 0 {
                assert_eq!(wire.head().0, 200);
            }
        }
    };
    // So many events are remembered.
    keep_stacks(&d, 200);
    drop_some(300);
    assert_flat(&d, &[monitor], || drop_some(count(60, 1000)));
    let reply = d.api("GET", "/containers/cx/json").expect(200);
    assert_eq!(reply["State"]["Running"], json!(true));
    d.assert_nothing_left_behind();
}

#[test]
fn answers_stream_as_they_come() {
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
        "while read l; do echo $l; done",
    ]);
    let mut follow = d.wire();
    follow.send("GET /containers/cx/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: t\r\n\r\n");
    let (status, headers) = follow.head();
    assert_eq!(status, 200);
    assert!(headers.iter().any(|(n, v)| n == "transfer-encoding" && v == "chunked"), "{headers:?}");
    let mut input = d.cli(["attach", "cx"]).spawn();
    for text in ["one\n", "two\n"] {
        input.write(text);
        let mut seen = Vec::new();
        while !seen.ends_with(text.as_bytes()) {
            seen.extend(follow.chunk().expect("more to come"));
        }
    }
    d.ok(["kill", "cx"]);
    assert_eq!(follow.chunk(), None);
    assert_eq!(follow.ask("GET", "/_ping").status, 200, "and the connection goes on");
}

#[test]
fn events_tell_what_happens() {
    let d = Daemon::start();
    let mut wire = d.wire();
    wire.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(wire.head().0, 200);
    d.ok(["run", "--rm", "--name", "cx", "busybox", "true"]);
    let mut text = String::new();
    while !text.contains("\"destroy\"") {
        text.push_str(&String::from_utf8(wire.chunk().expect("more to come")).unwrap());
    }
    let actions: Vec<String> = serde_json::Deserializer::from_str(&text)
        .into_iter::<Value>()
        .map(|event| event.unwrap())
        .filter(|event| event["Type"] == "container")
        .map(|event| event["Action"].as_str().unwrap().to_owned())
        .collect();
    let order = ["create", "attach", "start", "die", "destroy"];
    let mut found = order.iter().filter(|a| actions.iter().any(|b| b == *a));
    assert_eq!(found.by_ref().count(), order.len(), "{actions:?}");
}

#[test]
fn browsers_are_kept_out() {
    let d = Daemon::start();
    let mut wire = d.wire();
    wire.send("GET /version HTTP/1.1\r\nHost: t\r\nOrigin: http://evil.example\r\n\r\n");
    assert_eq!(wire.reply().status, 403);
    let mut wire = d.wire();
    wire.send(
        "POST /containers/create HTTP/1.1\r\nHost: t\r\nOrigin: null\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(wire.reply().status, 403);
    let d = Setup::new().flag("-api-enable-cors").no_image().start();
    let mut wire = d.wire();
    wire.send("GET /version HTTP/1.1\r\nHost: t\r\nOrigin: http://friend.example\r\n\r\n");
    let reply = wire.reply();
    assert_eq!(reply.status, 200);
    assert!(reply.header("access-control-allow-origin").is_some());
}

#[test]
fn tcp_warns_and_checks_the_host() {
    let d = Setup::new().flag("-H").flag("tcp://127.0.0.1:4243").no_image().start();
    wait_until("the log warns", || d.log().contains("4243"));
    let ask = |host: &'static str| {
        in_netns(d.keeper_pid(), move || {
            use std::io::Read;
            let mut stream = std::net::TcpStream::connect("127.0.0.1:4243").unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            write!(stream, "GET /_ping HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text.split(' ').nth(1).unwrap().to_owned()
        })
    };
    assert_eq!(ask("127.0.0.1:4243"), "200");
    assert_eq!(ask("localhost:4243"), "200");
    assert_eq!(ask("[::1]:4243"), "200");
    assert_eq!(ask("rebound.example"), "403");
}

#[test]
fn the_socket_is_for_root_and_its_group() {
    let d = Daemon::start();
    let mode = std::fs::metadata(d.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mode = std::fs::metadata(d.root()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7, 0, "others look into the data root: {mode:o}");
    // No abstract socket that a container with the host's network could reach.
    let listing = std::fs::read_to_string(format!("/proc/{}/net/unix", d.pid())).unwrap();
    d.ok(["run", "-d", "busybox", "sleep", "1000"]);
    let after = std::fs::read_to_string(format!("/proc/{}/net/unix", d.pid())).unwrap();
    for text in [listing, after] {
        let abstract_ones: Vec<&str> = text.lines().filter(|l| l.contains(" @")).collect();
        assert!(abstract_ones.is_empty(), "{abstract_ones:?}");
    }
}

#[test]
fn few_descriptors_do_not_end_the_daemon() {
    let d = Daemon::start();
    let pid = d.pid().to_string();
    let limited =
        std::process::Command::new("prlimit").args(["--pid", &pid, "--nofile=40:40"]).status();
    if !limited.is_ok_and(|s| s.success()) {
        skip!("no prlimit");
    }
    let many: Vec<_> = (0..100).map(|_| Wire::connect(&d.socket())).collect();
    drop(many);
    wait_until("it answers", || {
        Wire::connect(&d.socket()).is_ok_and(|mut wire| {
            wire.send("GET /_ping HTTP/1.0\r\n\r\n");
            wire.reply().status == 200
        })
    });
}

#[test]
fn create_by_api_refuses_what_is_not_served() {
    let d = Daemon::start();
    let refused = |host: Value| {
        let body = json!({"Image": "busybox", "Cmd": ["true"], "HostConfig": host});
        let reply = d.post("/containers/create", &body);
        (reply.status, reply.message())
    };
    let (status, why) = refused(json!({"VolumesFrom": ["a"]}));
    assert!(status == 501 && why.contains("volumes-from"), "{status} {why}");
    let (status, why) = refused(json!({"Binds": ["volume:/data"]}));
    assert!(status == 501 && why.contains("volume"), "{status} {why}");
    let (status, why) = refused(json!({"Links": ["a:b"]}));
    let text = "could not get container for a: No such container: a";
    assert!(status == 400 && why == text, "{status} {why}");
    let (status, why) = refused(json!({"NetworkMode": "mine"}));
    assert!(status == 404 && why.contains("network mine not found"), "{status} {why}");
    assert_eq!(d.api("GET", "/containers/json?all=1").json(), json!([]));
}

#[test]
fn wait_conditions() {
    let d = Daemon::start();
    let id = d.create(&json!({"Image": "busybox", "Cmd": ["sh", "-c", "exit 5"]}));
    // Never ran: not-running is true at once.
    let reply = d.api("POST", &format!("/containers/{id}/wait")).expect(200);
    assert_eq!(reply["StatusCode"], json!(0));
    let mut next = d.wire();
    next.send(format!("POST /containers/{id}/wait?condition=next-exit HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
    let mut removed = d.wire();
    removed.send(format!("POST /containers/{id}/wait?condition=removed HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
    // The head comes before the end: today's client starts the container only then.
    assert_eq!(next.head().0, 200);
    assert_eq!(removed.head().0, 200);
    d.api("POST", &format!("/containers/{id}/start")).expect(204);
    let body: Value = serde_json::from_slice(&next.chunk().unwrap()).unwrap();
    assert_eq!(body["StatusCode"], json!(5));
    d.api("DELETE", &format!("/containers/{id}")).expect(204);
    let body: Value = serde_json::from_slice(&removed.chunk().unwrap()).unwrap();
    assert_eq!(body["StatusCode"], json!(5));
    assert_eq!(d.api("POST", "/containers/missing/wait").status, 404);
    drop((next, removed));
    d.assert_nothing_left_behind();
}

#[test]
fn import_over_http_streams_progress() {
    let d = Setup::new().no_image().start();
    let reply =
        d.send("POST", "/images/create?fromSrc=-&repo=x&tag=y", "application/x-tar", busybox_tar());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let last: Value = serde_json::from_str(reply.text().lines().last().unwrap()).unwrap();
    assert!(last["status"].as_str().unwrap().starts_with("sha256:"), "{last}");
    assert_eq!(d.api("GET", "/images/x:y/json").status, 200);
    let reply = d.api("POST", "/images/create?fromImage=busybox&tag=latest");
    assert!(matches!(reply.status, 404 | 501), "{}", reply.status);
}

#[test]
fn a_client_that_leaves_before_the_rest_of_an_answer_is_no_error() {
    let d = Daemon::start();
    // `run` hears from its start that there is no such program, and leaves while its wait is told
    // that the container is gone.
    for _ in 0..20 {
        assert_eq!(d.cli(["run", "--rm", "busybox", "none"]).output().code, 127);
    }
    d.assert_nothing_left_behind();
    assert!(!d.log().contains("ERROR"), "{}", d.log());
}
