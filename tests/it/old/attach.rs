//! Attaching by a connection that is taken over: sections 7 and 8.12.

use serde_json::json;

use super::{Old, VERSIONS, assert_exactly, shell};
use crate::harness::{Daemon, Wire, wait_until};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";

/// Attached, the head read and checked byte by byte.
fn attached(old: &Old<'_>, id: &str, query: &str) -> Wire {
    let mut wire = old.d.wire();
    let path = old.path(&format!("/containers/{id}/attach?{query}"));
    wire.send(format!("POST {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_eq!(wire.exactly(HEAD.len()), HEAD);
    wire
}

fn cat(once: bool) -> serde_json::Value {
    json!({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": true, "StdinOnce": once})
}

#[test]
fn frames_come_from_1_6_on() {
    let d = Daemon::start();
    for version in VERSIONS {
        let old = Old { d: &d, version };
        let id = old.running("echo out; echo err >&2");
        old.wait(&id);
        let mut wire = attached(&old, &id, "logs=1&stdout=1&stderr=1");
        if version == "1.6" {
            assert_eq!(wire.frames(), ("out\n".into(), "err\n".into()));
        } else {
            let text = String::from_utf8(wire.rest()).unwrap();
            assert!(text == "out\nerr\n" || text == "err\nout\n", "{text:?}");
        }
        let mut half = attached(&old, &id, "logs=1&stderr=1");
        let rest = half.rest();
        let frame = b"\x02\0\0\0\0\0\0\x04err\n";
        assert_eq!(rest, if version == "1.6" { &frame[..] } else { b"err\n" });
    }
    // A terminal is never framed.
    let old = Old::new(&d);
    let id = old.create(&json!({"Image": "busybox", "Cmd": ["echo", "tty"], "Tty": true}));
    old.start(&id);
    old.wait(&id);
    assert_eq!(attached(&old, &id, "logs=1&stdout=1").rest(), b"tty\r\n");
}

#[test]
fn who_comes_before_the_start_gets_all() {
    let d = Daemon::start();
    for version in ["1.5", "1.6"] {
        let old = Old { d: &d, version };
        let id = old.create(&shell("echo one; sleep 0.1; echo two"));
        let mut wire = attached(&old, &id, "stream=1&stdout=1&stderr=1");
        old.start(&id);
        if version == "1.6" {
            assert_eq!(wire.frames().0, "one\ntwo\n");
        } else {
            assert_eq!(wire.rest(), b"one\ntwo\n");
        }
    }
}

#[test]
fn an_ended_container_is_not_waited_for() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.running("echo gone");
    old.wait(&id);
    assert_eq!(attached(&old, &id, "stream=1&stdout=1").rest(), b"");
    let both = attached(&old, &id, "stream=1&logs=1&stdout=1").rest();
    assert_eq!(both, b"\x01\0\0\0\0\0\0\x05gone\n");
    assert_eq!(attached(&old, &id, "").rest(), b"", "neither log nor stream");
    let failed = old.create(&json!({"Image": "busybox", "Cmd": ["/no/such/program"]}));
    let mut early = attached(&old, &failed, "stream=1&stdout=1");
    old.start(&failed);
    assert_eq!(early.rest(), b"");
    assert_eq!(attached(&old, &failed, "stream=1&stdout=1").rest(), b"");
    let never = old.create(&shell("true"));
    assert_eq!(attached(&old, &never, "logs=1&stdout=1").rest(), b"");
}

#[test]
fn input_reaches_the_program_and_its_end_does_once() {
    let d = Daemon::start();
    let old = Old::new(&d).at("1.5");
    let id = old.create(&cat(true));
    let mut wire = d.wire();
    // Input in one packet with the head is input.
    let path = old.path(&format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1"));
    wire.send(format!("POST {path} HTTP/1.1\r\nHost: t\r\n\r\nearly "));
    assert_eq!(wire.exactly(HEAD.len()), HEAD);
    old.start(&id);
    wire.send("late");
    assert_eq!(wire.exactly(10), b"early late");
    wire.half_close();
    assert_eq!(wire.rest(), b"");
    assert_eq!(old.wait(&id), 0, "cat has seen the end");
}

#[test]
fn a_half_close_ends_the_session_where_it_does_not_end_the_input() {
    let d = Daemon::start();
    let old = Old::new(&d).at("1.5");
    let id = old.create(&cat(false));
    old.start(&id);
    for text in ["one", "two"] {
        let mut wire = attached(&old, &id, "stream=1&stdin=1&stdout=1");
        wire.send(text);
        assert_eq!(wire.exactly(3), text.as_bytes());
        wire.half_close();
        assert_eq!(wire.rest(), b"", "the session has ended");
        assert_eq!(old.inspect(&id)["State"]["Running"], true, "and nothing else");
    }
    // Who sends nothing may close that direction and goes on.
    let mut listener = attached(&old, &id, "stream=1&stdout=1");
    listener.half_close();
    let mut writer = attached(&old, &id, "stream=1&stdin=1");
    writer.send("three");
    assert_eq!(listener.exactly(5), b"three");
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    assert_eq!(listener.rest(), b"");
}

#[test]
fn input_without_open_stdin_is_ignored() {
    let d = Daemon::start();
    let old = Old::new(&d).at("1.5");
    let id = old.running("sleep 0.3; cat; echo end");
    let mut wire = attached(&old, &id, "stream=1&stdin=1&stdout=1");
    wire.send("nobody reads this");
    wire.half_close();
    assert_eq!(wire.rest(), b"end\n");
}

#[test]
fn a_terminal_is_left_by_its_keys() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let shell = json!({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": true, "Tty": true});
    let id = old.create(&shell);
    old.start(&id);
    let mut wire = attached(&old, &id, "stream=1&stdin=1&stdout=1");
    wire.send("hi\n");
    assert_eq!(wire.exactly(8), b"hi\r\nhi\r\n");
    wire.send([0x10]);
    wire.send([0x11]);
    assert_eq!(wire.rest(), b"");
    assert_eq!(old.inspect(&id)["State"]["Running"], true);
    // A half of them is for the program.
    let mut wire = attached(&old, &id, "stream=1&stdin=1&stdout=1");
    wire.send([0x10, b'x', b'\n']);
    wait_until("it comes back", || {
        let mut seen = wire.exactly(4);
        seen.extend(wire.exactly(4));
        seen.ends_with(b"\x10x\r\n") || seen == b"^Px\r\n\x10x\r"
    });
}

#[test]
fn both_streams_are_drained() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let mut config = shell("head -c 300000 /dev/zero >&2 & head -c 300000 /dev/zero; wait");
    config["OpenStdin"] = json!(true);
    let id = old.create(&config);
    let mut wire = attached(&old, &id, "stream=1&stdin=1&stdout=1&stderr=1");
    old.start(&id);
    let (out, err) = wire.frames();
    assert_eq!((out.len(), err.len()), (300_000, 300_000));
}

#[test]
fn a_thousand_who_drop_leave_nothing() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.create(&cat(false));
    old.start(&id);
    for _ in 0..crate::harness::count(100, 1000) {
        drop(attached(&old, &id, "stream=1&stdin=1&stdout=1&logs=1"));
    }
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    d.assert_nothing_left_behind();
}

#[test]
fn a_log_comes_record_by_record_and_its_faults_are_not_told() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.running("echo one; echo two; printf three");
    old.wait(&id);
    let mut wire = attached(&old, &id, "logs=1&stdout=1");
    for line in ["one\n", "two\n", "three"] {
        assert_eq!(wire.frame(), Some((1, line.into())));
    }
    assert_eq!(wire.frame(), None);
    // Parameters in a form.
    let mut wire = d.wire();
    wire.send(format!(
        "POST {}?stdout=0 HTTP/1.1\r\nHost: t\r\nContent-Length: 15\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\nlogs=1&stdout=1",
        old.path(&format!("/containers/{id}/attach"))
    ));
    assert_eq!(wire.exactly(HEAD.len()), HEAD);
    assert_eq!(wire.frames().0, "one\ntwo\nthree");
    // A log that cannot be read is none, and a line that is none is left out.
    let full = old.inspect(&id)["ID"].as_str().unwrap().to_owned();
    let log = d.root().join("containers").join(full).join("io/container.log");
    let whole = std::fs::read(&log).unwrap();
    let torn = [b"{\"log\":tor\n", &whole[..]].concat();
    std::fs::write(&log, torn).unwrap();
    assert_eq!(attached(&old, &id, "logs=1&stdout=1").frames().0, "one\ntwo\nthree");
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    assert_eq!(attached(&old, &id, "logs=1&stdout=1").rest(), b"");
    assert!(d.log().contains(&format!("attach to container {id}: ")), "{}", d.log());
}

#[test]
fn all_who_listen_hear_and_all_may_speak() {
    let d = Daemon::start();
    let old = Old::new(&d).at("1.5");
    let id = old.create(&cat(true));
    old.start(&id);
    let query = "stream=1&stdin=1&stdout=1";
    let mut clients: Vec<Wire> = Vec::new();
    for _ in 0..3 {
        // It hears itself when it is attached.
        let mut client = attached(&old, &id, query);
        client.send("here");
        clients.push(client);
        for listener in &mut clients {
            assert_eq!(listener.exactly(4), b"here");
        }
    }
    for speaker in 0..3 {
        clients[speaker].send("said");
        for listener in &mut clients {
            assert_eq!(listener.exactly(4), b"said");
        }
    }
    // Who selects no stream has none, and is done.
    assert_eq!(attached(&old, &id, "stream=1").rest(), b"");
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    for mut client in clients {
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn a_failure_after_the_head_is_told_in_the_stream() {
    let d = crate::harness::Setup::new().flag("-api-enable-cors").start();
    let old = Old::new(&d);
    let id = old.create(&shell("true"));
    // As many as are held for a container that has not started.
    let held: Vec<Wire> = (0..256).map(|_| attached(&old, &id, "stream=1&stdout=1")).collect();
    let text = format!("Error: too many clients wait for container {id} to be started\n");
    let frame = [&[1, 0, 0, 0, 0, 0, 0, text.len() as u8], text.as_bytes()].concat();
    assert_eq!(attached(&old, &id, "stream=1&stdout=1").rest(), frame);
    let plain = old.at("1.5");
    assert_eq!(attached(&plain, &id, "stream=1&stdout=1").rest(), text.as_bytes());
    // By websocket nothing is told but the end.
    let mut wire = d.wire();
    wire.send(format!(
        "GET {} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Origin: http://x\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        old.path(&format!("/containers/{id}/attach/ws?stream=1&stdout=1"))
    ));
    assert_eq!(wire.head().0, 101);
    assert_eq!(wire.rest(), b"\x88\x02\x03\xe8");
    drop(held);
    d.assert_nothing_left_behind();
}
