//! The server over raw sockets, and with our own client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::client::{self, Connection, Host, Request, RequestBody};
use super::{Exchange, Handler, Limits, Listener, Reply, serve};
use crate::base::Kind;

/// One path per way to answer.
struct Paths;

impl Handler for Paths {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        exchange.extra.push(("Api-Version".into(), "1.44".into()));
        let text = |status, body: &str| Reply {
            status,
            content_type: "text/plain",
            body: body.into(),
            ..Reply::default()
        };
        match &*exchange.head.path.clone() {
            "/echo" => match exchange.body_bytes(1 << 20) {
                Ok(body) => exchange.reply(Reply { body, ..text(200, "") }),
                Err(error) => exchange.reply(text(400, &error.to_string())),
            },
            "/count" => {
                let count = io::copy(&mut exchange.body(), &mut io::sink())?;
                exchange.reply(text(200, &count.to_string()))
            }
            "/unread" => exchange.reply(text(200, "unread")),
            "/empty" => exchange.reply(Reply { status: 204, ..Reply::default() }),
            "/stream" => {
                let mut stream = exchange.stream(200, "text/plain")?;
                stream.write_all(b"one,")?;
                stream.write_all(b"two")
            }
            "/fail" => {
                let mut stream = exchange.stream(200, "text/plain")?;
                stream.write_all(b"one,")?;
                stream.fail();
                Ok(())
            }
            "/back" => {
                let (mut body, mut stream) = exchange.duplex(200, "text/plain")?;
                let mut piece = [0; 3];
                loop {
                    match body.read(&mut piece)? {
                        0 => return Ok(()),
                        count => stream.write_all(&piece[..count])?,
                    }
                }
            }
            "/hijack" => {
                let (fd, early) = exchange.hijack("application/vnd.docker.multiplexed-stream")?;
                let mut socket = UnixStream::from(fd);
                std::thread::spawn(move || {
                    socket.write_all(&early)?;
                    let mut all = Vec::new();
                    socket.read_to_end(&mut all)?;
                    socket.write_all(&all)
                });
                Ok(())
            }
            "/panic" => panic!("as the test asked"),
            "/half-panic" => {
                let mut stream = exchange.stream(200, "text/plain")?;
                stream.write_all(b"one,")?;
                panic!("as the test asked")
            }
            "/silent" => Ok(()),
            "/smuggle" => {
                let headers = vec![("X".into(), "a\r\nSet-Cookie: b\u{e9}".into())];
                exchange.reply(Reply { headers, ..text(200, "") })
            }
            _ => exchange.reply(text(404, "no such path")),
        }
    }
}

fn limits() -> Limits {
    Limits { connections: 8, head_timeout: Duration::from_millis(400) }
}

/// The path of a server's socket; the file goes with it, the server stays.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

impl Socket {
    fn host(&self) -> Host {
        Host::Unix(self.0.clone())
    }
}

fn start(limits: Limits) -> Socket {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("skiff-http-{}-{number}.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = Listener::unix(&path, None).unwrap();
    std::thread::spawn(move || serve(listener, &limits, Arc::new(Paths)));
    Socket(path)
}

fn connect(socket: &Socket) -> UnixStream {
    let stream = UnixStream::connect(&socket.0).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// What comes back for `request`, up to the end of the connection.
fn talk(request: &str) -> String {
    let server = start(limits());
    let mut stream = connect(&server);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Status codes in an answer.
fn statuses(answer: &str) -> Vec<u16> {
    let heads = answer.split("HTTP/1.").skip(1);
    heads.map(|head| head[2..5].parse().unwrap()).collect()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

const CLOSE: &str = "Host: d\r\nConnection: close\r\n";

#[test]
fn plain_answers_have_one_length_and_the_server_s_name() {
    let answer = talk(&format!("GET /unread HTTP/1.1\r\n{CLOSE}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(concat!("Server: skiff/", env!("CARGO_PKG_VERSION"), " (linux)\r\n")));
    assert_eq!(answer.matches("Content-Length: 6\r\n").count(), 1, "{answer}");
    assert!(
        answer.contains("Content-Type: text/plain\r\n") && answer.contains("Api-Version: 1.44")
    );
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("\r\n\r\nunread"));

    let answer = talk(&format!("HEAD /unread HTTP/1.1\r\n{CLOSE}\r\n"));
    assert!(answer.contains("Content-Length: 6\r\n") && body(&answer).is_empty(), "{answer}");

    let answer = talk(&format!("GET /empty HTTP/1.1\r\n{CLOSE}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
    assert!(!answer.contains("Content-Length") && body(&answer).is_empty(), "{answer}");

    let answer = talk(&format!("GET /smuggle HTTP/1.1\r\n{CLOSE}\r\n"));
    assert!(answer.contains("X: a??Set-Cookie: b?\r\n"), "{answer}");
}

#[test]
fn requests_follow_each_other_and_pipelines_are_answered_in_order() {
    let one = "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n\r\n";
    let chunked = "POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = talk(&format!(
        "{one}1\r\n{chunked}1;x=y\r\n2\r\n0\r\nT: v\r\n\r\n{one}3GET /x HTTP/1.1\r\n{CLOSE}\r\n"
    ));
    assert_eq!(statuses(&answer), [200, 200, 200, 404], "{answer}");
    let bodies: Vec<_> = answer.split("\r\n\r\n").skip(1).map(|part| &part[..1]).collect();
    assert_eq!(bodies, ["1", "2", "3", "n"]);
}

#[test]
fn an_unread_body_is_no_request() {
    let hidden = "GET /empty HTTP/1.1\r\nHost: d\r\n\r\n";
    for request in [
        format!("POST /unread HTTP/1.1\r\n{CLOSE}Content-Length: 34\r\n\r\n{hidden}"),
        format!(
            "POST /unread HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{hidden}GET /x \
             HTTP/1.1\r\n{CLOSE}\r\n",
            hidden.len()
        ),
        format!(
            "POST /unread HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n\
             {hidden}\r\n0\r\n\r\nGET /x HTTP/1.1\r\n{CLOSE}\r\n",
            hidden.len()
        ),
        format!("POST /unread HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\n{hidden}"),
        "POST /unread HTTP/1.1\r\nHost: d\r\nContent-Length: 100000000000\r\n\r\n".to_owned(),
        format!(
            "POST /unread HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\
             \r\n{hidden}",
            hidden.len()
        ),
        format!(
            "POST /unread HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n{hidden}"
        ),
    ] {
        let answer = talk(&request);
        assert!(!statuses(&answer).contains(&204), "{request:?} gave {answer}");
        assert_eq!(statuses(&answer)[0], 200, "{answer}");
    }
}

#[test]
fn a_waiting_client_is_told_to_continue_once_the_body_is_wanted() {
    let server = start(limits());
    let mut stream = connect(&server);
    let head =
        format!("POST /echo HTTP/1.1\r\n{CLOSE}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n\r\n");
    (&stream).write_all(b"hi").unwrap();
    let mut answer = String::new();
    reader.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
}

#[test]
fn streams_are_chunked_or_end_with_the_connection() {
    let answer = talk(&format!("GET /stream HTTP/1.1\r\n{CLOSE}\r\n"));
    assert!(answer.contains("Transfer-Encoding: chunked\r\n"), "{answer}");
    assert_eq!(body(&answer), "4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n");
    let answer = talk("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(!answer.contains("chunked") && !answer.contains("keep-alive"), "{answer}");
    assert_eq!(body(&answer), "one,two");
    let answer = talk(&format!("HEAD /stream HTTP/1.1\r\n{CLOSE}\r\n"));
    assert_eq!(body(&answer), "");
    let answer = talk("GET /fail HTTP/1.1\r\nHost: d\r\n\r\n");
    assert_eq!(body(&answer), "4\r\none,\r\n");
}

#[test]
fn old_clients_keep_the_connection_only_when_they_ask() {
    let twice = "GET /unread HTTP/1.0\r\n\r\nGET /unread HTTP/1.0\r\n\r\n";
    assert_eq!(statuses(&talk(twice)), [200]);
    let twice = "GET /unread HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\n";
    let answer = talk(twice);
    assert_eq!(statuses(&answer), [200, 404]);
    assert!(answer.starts_with("HTTP/1.0") && answer.contains("Connection: keep-alive\r\n"));
}

#[test]
fn a_panic_is_one_request_s_misfortune() {
    let path = start(limits());
    let mut stream = connect(&path);
    stream.write_all(b"GET /panic HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(statuses(&answer), [500]);
    assert!(body(&answer).starts_with("{\"message\":\"internal error"), "{answer}");
    let answer = talk("GET /half-panic HTTP/1.1\r\nHost: d\r\n\r\n");
    assert_eq!(body(&answer), "4\r\none,\r\n", "the body must not look whole");
    assert_eq!(statuses(&talk("GET /silent HTTP/1.1\r\nHost: d\r\n\r\n")), [500]);
    let mut response = client::send(&path.host(), request("GET", "/unread")).unwrap();
    assert_eq!(response.body_bytes(100).unwrap(), b"unread");
}

#[test]
fn heads_that_are_too_long_or_too_slow_are_refused() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: d\r\n\r\n", "a".repeat(20_000));
    assert_eq!(statuses(&talk(&long)), [431]);
    let many = "A: b\r\n".repeat(200);
    assert_eq!(statuses(&talk(&format!("GET / HTTP/1.1\r\nHost: d\r\n{many}\r\n"))), [431]);
    let endless = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(200_000));
    assert_eq!(statuses(&talk(&endless)), [431]);
    assert_eq!(statuses(&talk("\r\n\r\nnonsense\r\n\r\n")), [400]);
    assert_eq!(talk(""), "", "an idle connection is closed in silence");

    let server = start(limits());
    let stream = connect(&server);
    let began = Instant::now();
    let mut answer = String::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let slow = b"GET / HTTP/1.1\r\nHost: d\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
            for byte in slow.chunks(1) {
                if (&stream).write_all(byte).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        (&stream).read_to_string(&mut answer).unwrap();
    });
    assert_eq!(statuses(&answer), [408]);
    assert!(began.elapsed() < Duration::from_secs(5));
}

fn request<'a>(method: &'a str, target: &'a str) -> Request<'a> {
    Request { method, target, headers: Vec::new(), body: RequestBody::Empty }
}

#[test]
fn silent_connections_make_room() {
    let limits = Limits { connections: 8, head_timeout: Duration::from_secs(60) };
    let path = start(limits);
    let idle: Vec<_> = (0..40).map(|_| connect(&path)).collect();
    let began = Instant::now();
    let mut response = client::send(&path.host(), request("GET", "/unread")).unwrap();
    assert_eq!(response.body_bytes(100).unwrap(), b"unread");
    assert!(began.elapsed() < Duration::from_secs(8));
    drop(idle);
}

#[test]
fn hijacked_sockets_keep_early_bytes_and_half_close() {
    for (wanted, head) in [
        (
            "Connection: Upgrade\r\nUpgrade: tcp\r\n",
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\
             Connection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.44\r\n\r\n",
        ),
        ("", "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"),
    ] {
        let server = start(limits());
        let mut stream = connect(&server);
        let request = format!(
            "POST /hijack HTTP/1.1\r\nHost: d\r\n{wanted}Content-Length: 2\r\n\r\n{{}}early"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut seen = vec![0; head.len() + 5];
        stream.read_exact(&mut seen).unwrap();
        assert_eq!(String::from_utf8_lossy(&seen), format!("{head}early"));
        // Longer than the time-out of heads: it must not outlive the takeover.
        std::thread::sleep(limits().head_timeout * 2);
        stream.write_all(b"late").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "late");
    }
}

#[test]
fn the_client_hijacks_and_gives_a_refusal_back() {
    let server = start(limits());
    let host = server.host();
    let (fd, early) = client::hijack(&host, request("POST", "/hijack")).unwrap().ok().unwrap();
    assert!(early.is_empty());
    let mut stream = UnixStream::from(fd);
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all, "hello");
    let mut refused = client::hijack(&host, request("POST", "/x")).unwrap().err().unwrap();
    assert_eq!((refused.status, refused.body_bytes(100).unwrap()), (404, b"no such path".to_vec()));
}

#[test]
fn one_connection_serves_several_calls() {
    let server = start(limits());
    let host = server.host();
    let mut connection = Connection::open(&host).unwrap();
    for round in 0..3 {
        let body = RequestBody::Bytes("text/plain", b"hello".to_vec());
        let mut response = connection.send(Request { body, ..request("POST", "/echo") }).unwrap();
        assert_eq!(response.body_bytes(100).unwrap(), b"hello");
        let mut source: &[u8] = &vec![7; 1_000_000];
        let body = RequestBody::Stream("application/x-tar", &mut source);
        let mut response = connection.send(Request { body, ..request("POST", "/count") }).unwrap();
        assert_eq!(response.body_bytes(100).unwrap(), b"1000000");
        let mut response = connection.send(request("GET", "/stream")).unwrap();
        assert_eq!(response.body_bytes(100).unwrap(), b"one,two");
        assert_eq!(connection.send(request("POST", "/empty")).unwrap().status, 204);
        if round == 1 {
            std::thread::sleep(limits().head_timeout * 2); // the daemon hangs up; nobody minds
        }
    }
    let broken = connection.send(request("GET", "/fail")).unwrap().body_bytes(100).unwrap_err();
    assert!(broken.to_string().contains("the body ended early"), "{broken}");
    let mut source: &[u8] = b"there and back";
    let body = RequestBody::Stream("text/plain", &mut source);
    let mut response = connection.send(Request { body, ..request("POST", "/back") }).unwrap();
    assert_eq!(response.body_bytes(100).unwrap(), b"there and back");
    let mut none = connection.send(request("HEAD", "/unread")).unwrap();
    assert_eq!(none.body_bytes(100).unwrap(), b"");
}

#[test]
fn a_refused_body_gives_the_refusal_not_a_broken_pipe() {
    let server = start(limits());
    let host = server.host();
    let mut source = io::repeat(7).take(64 << 20);
    let body = RequestBody::Stream("application/x-tar", &mut source);
    let mut response = client::send(&host, Request { body, ..request("POST", "/x") }).unwrap();
    assert_eq!(
        (response.status, response.body_bytes(100).unwrap()),
        (404, b"no such path".to_vec())
    );
}

#[test]
fn nobody_there_is_said_as_docker_says_it() {
    let host = Host::Unix("/nowhere/docker.sock".into());
    let error = client::send(&host, request("GET", "/_ping")).err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(
        error.to_string(),
        "Cannot connect to the Docker daemon at unix:///nowhere/docker.sock. \
         Is the docker daemon running?"
    );
}

#[test]
fn tcp_serves_both_families_and_sockets_are_not_stolen() {
    let listener = Listener::tcp("0.0.0.0:0").unwrap();
    let Listener::Tcp(bound) = &listener else { panic!("tcp gives tcp") };
    let port = bound.local_addr().unwrap().port();
    assert!(bound.as_fd().try_clone_to_owned().is_ok());
    std::thread::spawn(move || serve(listener, &limits(), Arc::new(Paths)));
    let host = Host::Tcp(format!("127.0.0.1:{port}"));
    assert_eq!(client::send(&host, request("GET", "/empty")).unwrap().status, 204);

    let path = start(limits());
    assert_eq!(Listener::unix(&path.0, None).unwrap_err().kind(), Kind::Conflict);
    let deep = std::env::temp_dir().join("d".repeat(120)).join(format!("{}", std::process::id()));
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("docker.sock");
    drop(Listener::unix(&path, None).unwrap());
    let again = Listener::unix(&path, None).unwrap();
    std::thread::spawn(move || serve(again, &limits(), Arc::new(Paths)));
    assert_eq!(client::send(&Host::Unix(path), request("GET", "/empty")).unwrap().status, 204);
    std::fs::remove_dir_all(deep.parent().unwrap()).unwrap();
}
