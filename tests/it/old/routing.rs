//! Paths, methods, parameters, bodies, CORS: sections 2, 3 and 9.

use super::{Old, VERSIONS, assert_answer, assert_exactly, shell};
use crate::harness::{Daemon, Setup};

#[test]
fn every_version_has_its_routes_and_no_other() {
    let d = Daemon::start();
    for version in VERSIONS {
        let old = Old { d: &d, version };
        assert_eq!(old.get("/info").status, 200, "{version}");
        for (method, path) in [
            ("GET", "/_ping"),
            ("HEAD", "/info"),
            ("PUT", "/containers/create"),
            ("GET", "/auth"),
            ("GET", "/info/"),
            ("GET", "/containers/x/logs"),
            ("POST", "/containers/x/pause"),
            ("GET", "/"),
            ("GET", "/swarm"),
        ] {
            let reply = old.ask(method, path);
            assert_eq!(reply.status, 404, "{method} {path}");
            if method != "HEAD" {
                assert_exactly(&reply, 404, "404 page not found\n");
            }
        }
    }
    for bad in ["/v1.7/info", "/v1.10/info", "/v0/info", "/v1.1.1/info", "/v./info", "/v0.5/info"] {
        let reply = d.wire().ask("GET", bad);
        assert_eq!(reply.status, 400, "{bad}");
        assert!(reply.message().contains("1.0 to 1.6 and 1.24 to 1.44"), "{}", reply.text());
    }
    // Without a prefix it is the newest version.
    assert_eq!(d.wire().ask("GET", "/version").header("api-version"), Some("1.44"));
}

#[test]
fn what_is_not_served_says_so_as_text() {
    let d = Daemon::start();
    let old = Old::new(&d);
    for (method, path) in [
        ("GET", "/images/search?term=x"),
        ("GET", "/containers/x/export"),
        ("GET", "/containers/x/changes"),
        ("POST", "/commit?container=x"),
        ("POST", "/build"),
        ("POST", "/images/create?fromImage=x"),
        ("POST", "/images/busybox/insert?url=x&path=y"),
        ("POST", "/images/busybox/push"),
        ("POST", "/containers/x/copy"),
    ] {
        let reply = old.ask(method, path);
        assert_answer(&reply, 501, "");
        assert!(reply.text().contains("not supported yet"), "{path}: {}", reply.text());
    }
    for (version, status) in [("1.2", 500), ("1.3", 501)] {
        assert_answer(&old.at(version).ask("POST", "/build"), status, "");
    }
    let auth = |body: &str| old.post("/auth", "application/json", body);
    assert_exactly(&auth(""), 500, "EOF\n");
    assert_answer(&auth("{"), 500, "");
    assert_answer(&auth("{\"username\":\"x\"}"), 501, "login");
}

#[test]
fn unclean_paths_are_sent_to_clean_ones() {
    let d = Setup::new().flag("-api-enable-cors").start();
    let at = |path: &str| {
        let reply = d.wire().ask("GET", path);
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
        (reply.status, reply.header("location").unwrap_or_default().to_owned(), reply.body.len())
    };
    assert_eq!(at("/v1.6//info?x=1"), (301, "/v1.6/info".into(), 0));
    assert_eq!(at("/v1.6/a/../info"), (301, "/v1.6/info".into(), 0));
    assert_eq!(at("/v1.6/./images/json"), (301, "/v1.6/images/json".into(), 0));
    assert_eq!(at("/v1.6/%2e%2e/x%0d%0aEvil:%20y").1, "/x%0D%0AEvil:%20y");
}

#[test]
fn cors_headers_come_with_the_flag_alone() {
    let headers = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "Origin, X-Requested-With, Content-Type, Accept"),
        ("access-control-allow-methods", "GET, POST, DELETE, PUT, OPTIONS"),
    ];
    let asked = |d: &Daemon, method: &str, path: &str, origin: &str| {
        let mut wire = d.wire();
        wire.send(format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{origin}\r\n"));
        wire.reply_to(method)
    };
    let origin = "Origin: http://example.com\r\n";
    let with = Setup::new().flag("-api-enable-cors").start();
    for (method, path, status) in [
        ("GET", "/v1.6/info", 200),
        ("OPTIONS", "/v1.6/info", 200),
        ("OPTIONS", "/v1.6/no/such/thing", 200),
        ("GET", "/v1.6/containers/nothing/json", 404),
        ("GET", "/v1.6/images/search?term=x", 501),
        ("GET", "/v1.6/containers/json?all=maybe", 400),
    ] {
        let reply = asked(&with, method, path, origin);
        assert_eq!(reply.status, status, "{method} {path}");
        for (name, value) in headers {
            assert_eq!(reply.header(name), Some(value), "{method} {path}");
        }
    }
    let unknown = asked(&with, "GET", "/v1.6/no/such/thing", origin);
    assert_eq!((unknown.status, unknown.header("access-control-allow-origin")), (404, None));

    let without = Daemon::start();
    let reply = asked(&without, "OPTIONS", "/v1.6/info", "");
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(reply.header("access-control-allow-origin"), None);
    assert_answer(&asked(&without, "GET", "/v1.6/info", origin), 403, "");
}

#[test]
fn parameters_may_come_in_a_form() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let tag = |query: &str, kind: &str, body: &str| {
        old.post(&format!("/images/busybox/tag{query}"), kind, body)
    };
    assert_exactly(
        &tag("?repo=query", form, "repo=form&tag=a%20b"),
        500,
        "invalid reference format\n",
    );
    assert_exactly(&tag("?repo=query", form, "repo=form&tag=x"), 201, "");
    assert_eq!(old.get("/images/form:x/json").status, 200);
    assert_eq!(old.get("/images/query:x/json").status, 404);
    assert_exactly(&tag("?repo=query", "application/json", "repo=other"), 201, "");
    assert_eq!(old.get("/images/query/json").status, 200);
    assert_answer(&tag("", form, "repo=%zz"), 500, "");
    // A tar that is called a form is lost.
    let lost = old.post("/images/create?fromSrc=-", form, &"x".repeat(2000));
    assert_exactly(&lost, 500, "Tarball too short\n");
    // What reads no parameters does not mind.
    let made = old.post("/containers/create", form, &shell("true").to_string());
    assert_eq!(made.status, 201, "{}", made.text());
}

#[test]
fn booleans_are_gos() {
    let d = Daemon::start();
    let old = Old::new(&d);
    for good in ["", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false"] {
        assert_eq!(old.get(&format!("/containers/json?all={good}")).status, 200, "{good}");
    }
    let id = old.create(&shell("true"));
    for (method, path) in [
        ("GET", "/containers/json?all=maybe".to_owned()),
        ("GET", "/containers/json?size=2".to_owned()),
        ("GET", "/images/json?all=yes".to_owned()),
        ("POST", "/images/busybox/tag?repo=x&force=zz".to_owned()),
        ("POST", format!("/containers/{id}/attach?stream=x")),
        ("GET", format!("/containers/{id}/attach/ws?logs=x")),
        ("DELETE", format!("/containers/{id}?v=x")),
    ] {
        assert_exactly(&old.ask(method, &path), 400, "Bad parameter\n");
    }
}

#[test]
fn clients_of_http_1_0_are_served() {
    let d = Daemon::start();
    let mut wire = d.wire();
    wire.send("GET /v1.6/version HTTP/1.0\r\n\r\n");
    let reply = wire.reply();
    assert_eq!(reply.status, 200);
    assert!(reply.json()["Version"].is_string());
    assert_eq!(wire.rest(), b"");
    // A stream comes without chunks and ends with the connection.
    let old = Old::new(&d);
    let mut wire = d.wire();
    wire.send("GET /v1.6/events?since=1 HTTP/1.0\r\n\r\n");
    let (status, headers) = wire.head();
    assert_eq!(status, 200);
    assert!(!headers.iter().any(|(name, _)| name == "transfer-encoding"), "{headers:?}");
    old.create(&shell("true"));
    let mut seen = [0; 18];
    std::io::Read::read_exact(&mut wire.stream, &mut seen).unwrap();
    assert_eq!(&seen, b"{\"status\":\"create\"");
}
