//! A real browser: the page in `tests/browser` attaches by websocket and calls the API with CORS.

use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Cli, Daemon, Setup, in_netns};

const CHROMIUM: &str = "/usr/bin/chromium";
const PAGE: &str = include_str!("../browser/index.html");
/// A browser may take its time to come up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A port of the daemon's network that nobody listens on.
fn free_port(d: &Daemon) -> u16 {
    let bound = in_netns(d.keeper_pid(), || TcpListener::bind("127.0.0.1:0").unwrap());
    bound.local_addr().unwrap().port()
}

/// Serves the page in the daemon's network, opens it in a browser there, and gives what it
/// reports.
fn report_of_the_page(d: &Daemon, daemon_port: u16) -> Value {
    let listener = in_netns(d.keeper_pid(), || TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let server = tiny_http::Server::from_listener(listener, None).unwrap();
    let (tell, report) = mpsc::channel();
    std::thread::spawn(move || {
        for mut request in server.incoming_requests() {
            let kind = tiny_http::Header::from_bytes("Content-Type", "text/html").unwrap();
            if request.url() == "/report" {
                let mut text = String::new();
                request.as_reader().read_to_string(&mut text).unwrap();
                drop(tell.send(text));
            }
            let page = if request.url().starts_with("/?") { PAGE } else { "" };
            drop(request.respond(tiny_http::Response::from_string(page).with_header(kind)));
        }
    });
    let home = d.dir().join("browser");
    let page = format!("http://127.0.0.1:{port}/?daemon=127.0.0.1:{daemon_port}&report=1");
    // In a pid namespace of its own: all of its processes end with the first.
    let browser = Cli::new("nsenter")
        .args(["--target", &d.keeper_pid().to_string(), "--net"])
        .args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", CHROMIUM])
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        .args([&format!("--user-data-dir={}", home.display()), &page])
        .env("HOME", home.to_str().unwrap())
        .spawn();
    let text = report.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        panic!("the page has reported nothing; the browser says: {}", browser.stderr.text())
    });
    drop(browser);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_page_drives_a_container() {
    if !Path::new(CHROMIUM).exists() {
        skip!("chromium is not installed");
    }
    // The port is known once there is a network, so the address comes with the second start.
    let mut d = Setup::new().flag("--api-enable-cors").start();
    let port = free_port(&d);
    d.set_flag("-H");
    d.set_flag(&format!("tcp://127.0.0.1:{port}"));
    d.restart();
    assert_eq!(
        report_of_the_page(&d, port),
        json!({
            "images": 1,
            "refused": "406 Impossible to remove a running container, please stop it first",
            "close": [1000, true],
            "seen": true,
            "exit": 3,
            "left": 0,
            // There is no such container: refused before the upgrade.
            "websocket": "the websocket was refused",
        })
    );
    assert!(d.log().contains("OPTIONS /v1.6/containers/create"), "asked for leave first");
}

#[test]
fn no_page_drives_a_daemon_that_allows_none() {
    if !Path::new(CHROMIUM).exists() {
        skip!("chromium is not installed");
    }
    let mut d = Daemon::start();
    let port = free_port(&d);
    d.set_flag("-H");
    d.set_flag(&format!("tcp://127.0.0.1:{port}"));
    d.restart();
    assert_eq!(
        report_of_the_page(&d, port),
        json!({"error": "TypeError: Failed to fetch", "websocket": "the websocket was refused"})
    );
    assert_eq!(d.log().matches("(Origin)").count(), 2, "{}", d.log());
}
