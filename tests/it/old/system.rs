//! The daemon itself: sections 8.26 to 8.28.

use super::{Old, assert_exactly, shell};
use crate::harness::{Daemon, Wire};

#[test]
fn info_and_version() {
    let d = Daemon::start();
    for version in super::VERSIONS {
        let old = Old { d: &d, version };
        let text = old.get("/info").text();
        let mut at = 0;
        for key in [
            "Debug",
            "Containers",
            "Images",
            "NFd",
            "NGoroutines",
            "KernelVersion",
            "IndexServerAddress",
        ] {
            let key = format!("\"{key}\":");
            at += text[at..].find(&key).unwrap_or_else(|| panic!("{key} in {text}"));
        }
        assert!(text.starts_with("{\"Debug\":true,\"Containers\":0,\"Images\":1,"), "{text}");
        assert!(
            text.ends_with("\"IndexServerAddress\":\"https://index.docker.io/v1/\"}"),
            "{text}"
        );
        assert!(!text.contains("NEventsListener"), "there is none: {text}");
        let shown = old.get("/version").text();
        assert!(shown.starts_with("{\"Version\":\""), "{shown}");
        assert!(!shown.contains("ApiVersion") && !shown.ends_with('\n'), "{shown}");
    }
    assert!(d.ok(["info"]).contains("1.0 to 1.6 and 1.24 to 1.44"));
}

/// The next message of a stream.
fn message(wire: &mut Wire) -> String {
    String::from_utf8(wire.chunk().expect("the stream goes on")).unwrap()
}

#[test]
fn events_come_as_they_happen() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let listen = |query: &str| {
        let mut wire = d.wire();
        wire.send(format!("GET /v1.0/events{query} HTTP/1.1\r\nHost: t\r\n\r\n"));
        let (status, headers) = wire.head(); // at once, before anything happens
        assert_eq!(status, 200);
        assert!(headers.contains(&("content-type".into(), "application/json".into())));
        wire
    };
    let mut live = [listen(""), listen("?since=0"), listen("?since=x")];
    let info = old.get("/info").text();
    assert!(info.contains("\"NEventsListener\":3"), "{info}");
    let id = old.create(&shell("true"));
    old.start(&id);
    old.wait(&id);
    let id_and_from = format!(",\"id\":\"{id}\",\"from\":\"busybox:latest\",\"time\":");
    for wire in &mut live {
        for status in ["create", "start", "die"] {
            let text = message(wire);
            assert!(text.starts_with(&format!("{{\"status\":\"{status}\"{id_and_from}")), "{text}");
            assert!(text.ends_with('}'), "{text}");
        }
    }
    assert_exactly(&old.ask("DELETE", &format!("/containers/{id}")), 204, "");
    let text = message(&mut live[0]);
    assert!(text.starts_with("{\"status\":\"destroy\""), "{text}");
    // Those of before, from then on.
    for since in ["1", "-5"] {
        let mut wire = listen(&format!("?since={since}"));
        let seen: Vec<String> = (0..4).map(|_| message(&mut wire)).collect();
        let order = ["create", "start", "die", "destroy"];
        for (text, status) in seen.iter().zip(order) {
            assert!(text.starts_with(&format!("{{\"status\":\"{status}\"")), "{seen:?}");
        }
    }
    let image = old.get("/images/busybox/json").expect(200)["id"].as_str().unwrap().to_owned();
    assert_exactly(&old.ask("POST", "/images/busybox/tag?repo=x"), 201, "");
    assert_eq!(old.ask("DELETE", "/images/x").status, 200);
    let text = message(&mut live[0]);
    let expected = format!("{{\"status\":\"untag\",\"id\":\"{}\",\"time\":", &image[..12]);
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn each_deed_has_its_events() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let mut wire = d.wire();
    wire.send("GET /v1.3/events HTTP/1.1\r\nHost: t\r\n\r\n");
    wire.head();
    // As the first process of its namespace it is not ended by SIGTERM.
    let id = old.create(&serde_json::json!({"Image": "busybox", "Cmd": ["sleep", "1000"]}));
    let mut check = |method: &str, path: &str, statuses: &[&str]| {
        assert!(old.ask(method, path).status < 300, "{path}");
        for status in statuses {
            let text = message(&mut wire);
            assert!(
                text.starts_with(&format!("{{\"status\":\"{status}\",\"id\":")),
                "{path}: {text}"
            );
            // Images come from nowhere.
            assert_eq!(text.contains("\"from\""), path.starts_with("/containers"), "{text}");
        }
    };
    let deed = |what: &str| format!("/containers/{id}/{what}");
    check("POST", &deed("start"), &["create", "start"]);
    let stopped = ["kill", "kill", "die", "stop"];
    check("POST", &deed("stop?t=0"), &stopped);
    check("POST", &deed("start"), &["start"]);
    check("POST", &deed("restart?t=0"), &[&stopped[..], &["start", "restart"]].concat());
    check("POST", &deed("kill"), &["kill", "die"]);
    check("POST", &deed("kill"), &[]); // it does not run
    check("POST", &deed("stop"), &[]);
    check("DELETE", &format!("/containers/{id}"), &["destroy"]);
    check("POST", "/images/busybox/tag?repo=zoo", &[]);
    check("DELETE", "/images/zoo", &["untag"]);
    check("DELETE", "/images/busybox", &["untag", "delete"]);
    // What is to come is not there yet.
    let mut future = d.wire();
    future.send("GET /v1.3/events?since=99999999999 HTTP/1.1\r\nHost: t\r\n\r\n");
    future.head();
    let tar = crate::harness::busybox_tar();
    d.import("busybox", tar);
    old.create(&shell("true"));
    for wire in [&mut wire, &mut future] {
        assert!(message(wire).starts_with("{\"status\":\"create\""));
    }
}
