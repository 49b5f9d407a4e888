//! Versions 1.0 to 1.6 by raw requests, with real containers.

mod attach;
mod client;
mod containers;
mod images;
mod network;
mod routing;
mod shapes;
mod system;
mod websocket;

use serde_json::{Value, json};

use crate::harness::{Daemon, Reply, Setup};

const VERSIONS: [&str; 7] = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6"];

/// The daemon as a client of these versions sees it.
struct Old<'a> {
    d: &'a Daemon,
    version: &'a str,
}

impl<'a> Old<'a> {
    fn new(d: &'a Daemon) -> Old<'a> {
        Old { d, version: "1.6" }
    }

    fn at(&self, version: &'a str) -> Old<'a> {
        Old { d: self.d, version }
    }

    fn path(&self, path: &str) -> String {
        format!("/v{}{path}", self.version)
    }

    #[track_caller]
    fn get(&self, path: &str) -> Reply {
        self.ask("GET", path)
    }

    /// Without a body and without any type.
    #[track_caller]
    fn ask(&self, method: &str, path: &str) -> Reply {
        self.d.wire().ask(method, &self.path(path))
    }

    #[track_caller]
    fn post(&self, path: &str, kind: &str, body: &str) -> Reply {
        self.d.send("POST", &self.path(path), kind, body.as_bytes())
    }

    /// A made container: its short id.
    #[track_caller]
    fn create(&self, config: &Value) -> String {
        let made = self.post("/containers/create", "application/json", &config.to_string());
        let made = made.expect(201);
        let id = made["Id"].as_str().unwrap().to_owned();
        assert_eq!(id.len(), 12, "{made}");
        id
    }

    #[track_caller]
    fn start(&self, id: &str) {
        assert_answer(&self.ask("POST", &format!("/containers/{id}/start")), 204, "");
    }

    /// One that runs this script.
    #[track_caller]
    fn running(&self, script: &str) -> String {
        let id = self.create(&shell(script));
        self.start(&id);
        id
    }

    #[track_caller]
    fn wait(&self, id: &str) -> i64 {
        let reply = self.ask("POST", &format!("/containers/{id}/wait")).expect(200);
        reply["StatusCode"].as_i64().unwrap()
    }

    #[track_caller]
    fn inspect(&self, id: &str) -> Value {
        self.get(&format!("/containers/{id}/json")).expect(200)
    }
}

/// A daemon on a host with this name server.
fn host_with_server(server: &str) -> Daemon {
    let script = format!(
        "echo nameserver {server} > /tmp/skiff-resolv.$$; \
         mount --bind /tmp/skiff-resolv.$$ /etc/resolv.conf; rm /tmp/skiff-resolv.$$"
    );
    Setup::new().prepare(&script).start()
}

fn shell(script: &str) -> Value {
    json!({"Image": "busybox", "Cmd": ["sh", "-c", script]})
}

/// An answer with this status and a body that begins with `text`; an error is a line of text.
#[track_caller]
fn assert_answer(reply: &Reply, status: u16, text: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert!(reply.text().starts_with(text), "{text:?} is not the beginning of {:?}", reply.text());
    if status >= 400 {
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(reply.text().ends_with('\n'));
    }
    for name in ["api-version", "ostype", "docker-experimental"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
}

/// An answer whose body is exactly this.
#[track_caller]
fn assert_exactly(reply: &Reply, status: u16, text: &str) {
    assert_answer(reply, status, text);
    assert_eq!(reply.text(), text);
}
