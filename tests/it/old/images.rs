//! Images: sections 6, 8.14 to 8.19 and 8.31.

use std::net::TcpListener;

use super::{Old, assert_answer, assert_exactly, shell};
use crate::harness::{Daemon, Tar, busybox_tar, in_netns};

const TAR: &str = "application/tar";

/// An image of one file: its full id.
fn import(d: &Daemon, name: &str, content: &str) -> String {
    let tar = Tar::new().file("file", 0o644, content.as_bytes()).bytes();
    d.import(name, &tar).trim_start_matches("sha256:").to_owned()
}

#[test]
fn an_import_of_the_body() {
    let d = Daemon::start();
    for version in super::VERSIONS {
        let old = Old { d: &d, version };
        let tar = Tar::new().file("file", 0o644, version.as_bytes()).bytes();
        let path = old.path("/images/create?fromSrc=-&repo=my/app&tag=v");
        let reply = d.send("POST", &path, TAR, &tar);
        assert_eq!(reply.status, 200);
        let image = old.get("/images/my/app:v/json").expect(200);
        let id = &image["id"].as_str().unwrap()[..12];
        if version == "1.0" {
            assert_eq!(reply.text(), format!("{id}\r\n"));
            assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        } else {
            assert_eq!(reply.text(), format!("{{\"status\":\"{id}\"}}"));
            assert_eq!(reply.header("content-type"), Some("application/json"));
        }
        assert_eq!(image["comment"], "Imported from -");
    }
    let old = Old::new(&d);
    let create = |query: &str, body: &str| old.post(&format!("/images/create{query}"), TAR, body);
    assert_exactly(&create("?fromSrc=-", ""), 500, "Tarball too short\n");
    assert_exactly(&create("?fromSrc=-", "123456789"), 500, "Tarball too short\n");
    assert_answer(&create("?fromSrc=-", &"not a tar ".repeat(200)), 500, "");
    let text = "Illegal tag name: a/b\n";
    assert_exactly(&create("?fromSrc=-&repo=x&tag=a/b", ""), 500, text);
    assert_answer(&create("?fromSrc=-&repo=UPPER", ""), 500, "invalid reference");
    assert_answer(&create("", ""), 400, "Bad parameter");
}

#[test]
fn an_import_by_url_tells_how_far_it_is() {
    let d = Daemon::start();
    let listener = in_netns(d.keeper_pid(), || TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let server = tiny_http::Server::from_listener(listener, None).unwrap();
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let reply = match request.url() {
                "/tar" => {
                    tiny_http::Response::from_data(busybox_tar()).with_chunked_threshold(1 << 30)
                }
                _ => tiny_http::Response::from_data("not here").with_status_code(404),
            };
            drop(request.respond(reply));
        }
    });
    let old = Old::new(&d);
    let create = |version, path: &str| {
        old.at(version)
            .ask("POST", &format!("/images/create?fromSrc=http://127.0.0.1:{port}{path}"))
    };
    let url = format!("http://127.0.0.1:{port}/tar");
    let reply = create("1.6", "/tar");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let text = reply.text();
    assert!(
        text.starts_with(&format!(
            "{{\"status\":\"Downloading from {url}\"}}{{\"status\":\"Importing\",\"progress\":\""
        )),
        "{text}"
    );
    assert!(text.contains(" (100%)\"}{}{\"status\":\""), "{text}");
    assert!(!text.contains('\n'), "nothing stands between messages: {text}");
    let id = &text[text.len() - 14..text.len() - 2];
    let image = old.get(&format!("/images/{id}/json")).expect(200);
    assert_eq!(image["comment"], format!("Imported from {url}"));

    let reply = create("1.0", "/tar");
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    let text = reply.text();
    assert!(text.starts_with(&format!("Downloading from {url}\r\nImporting ")), "{text:?}");
    assert!(text.contains(" (100%)\r\r\n"), "{text:?}");
    // Without a scheme; a name with a port is none.
    let url = format!("localhost:{port}/tar");
    let text = old.ask("POST", &format!("/images/create?fromSrc={url}&repo=short")).text();
    let begin = format!("{{\"status\":\"Downloading from http://{url}\"}}");
    assert!(text.starts_with(&begin), "{text}");
    let image = old.get("/images/short/json").expect(200);
    assert_eq!(image["comment"], format!("Imported from {url}"));
    // What fails after the first message is told in the stream.
    let text = create("1.6", "/none").text();
    let (_, failure) = text.split_once("}{").unwrap();
    assert!(
        failure.starts_with("\"error\":\"get http://")
            && failure.contains("\"errorDetail\":{\"message\":\"get http"),
        "{failure}"
    );
    let text = create("1.0", "/none").text();
    assert!(text.contains("\r\nError: get http://"), "{text:?}");
}

#[test]
fn a_list_has_a_line_for_each_tag() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let tag = |repo: &str, tag: &str| {
        let path = format!("/images/busybox/tag?repo={repo}&tag={tag}");
        assert_exactly(&old.ask("POST", &path), 201, "");
    };
    tag("u", "");
    tag("u/d", "a");
    tag("u:5000/d", "b");
    let untagged = import(&d, "gone", "1");
    import(&d, "gone", "2");
    let listed = |query: &str| -> Vec<String> {
        let list = old.get(&format!("/images/json{query}")).expect(200);
        let list = list.as_array().unwrap().iter();
        list.map(|line| match line["Repository"].as_str() {
            Some(repo) => format!("{repo}:{}", line["Tag"].as_str().unwrap()),
            None => line["Id"].as_str().unwrap().to_owned(),
        })
        .collect()
    };
    let mut all = listed("");
    all.sort_unstable();
    let mut expected =
        ["busybox:latest", "gone:latest", "u/d:a", "u:5000/d:b", "u:latest", &untagged];
    expected.sort_unstable();
    assert_eq!(all, expected);
    assert_eq!(listed("?all=1").len(), 6);
    for (filter, count) in [("u", 1), ("u*", 1), ("u*/*", 2), ("*5000*/*", 1), ("[", 0), ("x", 0)] {
        assert_eq!(listed(&format!("?filter={filter}")).len(), count, "{filter}");
    }
    let first = listed("?filter=gone");
    assert_eq!(first, ["gone:latest"]);
    let list = old.get("/images/json").expect(200);
    let list = list.as_array().unwrap();
    let key = |line: &serde_json::Value| {
        (-line["Created"].as_i64().unwrap(), line["Tag"].as_str().unwrap_or_default().to_owned())
    };
    assert!(list.is_sorted_by_key(key), "newest first, then by tag: {list:?}");
    // Time is bounded, whatever is asked.
    let evil = format!("?filter={}b", "*a".repeat(200));
    assert_eq!(listed(&evil), [""; 0]);
}

#[test]
fn names_of_images() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = import(&d, "app:v1", "1");
    let inspect = |name: &str| old.get(&format!("/images/{name}/json"));
    for name in ["app:v1", &id, &id[..12], &id[..6], &format!("app:{}", &id[..4])] {
        assert_eq!(inspect(name).expect(200)["id"], id.as_str(), "{name}");
    }
    for name in ["app", "app:v2", "nothing", "busybox:", &format!("busybox:{}", &id[..4])] {
        let text = format!("No such image: {name}\n");
        assert_exactly(&inspect(name), 404, &text);
        assert_exactly(&old.get(&format!("/images/{name}/history")), 404, &text);
        assert_exactly(&old.ask("POST", &format!("/images/{name}/tag?repo=x")), 404, &text);
        assert_exactly(&old.ask("DELETE", &format!("/images/{name}")), 404, &text);
    }
    assert_exactly(&old.ask("DELETE", "/images/"), 404, "No such image: \n");
    // The beginning of an id hides a repository spelled like it.
    let hidden = &id[..5];
    let tag = old.ask("POST", &format!("/images/busybox/tag?repo={hidden}"));
    assert_exactly(&tag, 201, "");
    assert_eq!(inspect(hidden).expect(200)["id"], id.as_str());
    let made = old.create(&serde_json::json!({"Image": hidden, "Cmd": ["x"]}));
    assert_eq!(old.inspect(&made)["Image"], id.as_str());
}

#[test]
fn tag_says_what_is_wrong() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let tag = |query: &str| old.ask("POST", &format!("/images/busybox/tag{query}"));
    assert_exactly(&tag(""), 500, "Repository name can't be empty\n");
    assert_exactly(&tag("?repo=x&tag=a/b"), 500, "Illegal tag name: a/b\n");
    assert_exactly(&tag("?repo=x&tag=a:b"), 500, "Illegal tag name: a:b\n");
    assert_exactly(&tag("?repo=x&tag=v"), 201, "");
    let other = import(&d, "other", "1");
    let moved = old.ask("POST", "/images/other/tag?repo=x&tag=v");
    assert_exactly(&moved, 201, "");
    assert_eq!(old.get("/images/x:v/json").expect(200)["id"], other.as_str());
}

#[test]
fn a_drawing_of_the_images() {
    let d = Daemon::start();
    let old = Old::new(&d);
    assert_exactly(&old.ask("POST", "/images/busybox/tag?repo=b&tag=v"), 201, "");
    let id = &old.get("/images/busybox/json").expect(200)["id"].as_str().unwrap()[..12].to_owned();
    let viz = old.get("/images/viz");
    assert_eq!(viz.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(
        viz.text(),
        format!(
            "digraph docker {{\n base -> \"{id}\" [style=invis]\n \"{id}\" \
             [label=\"{id}\\nb:v\\nbusybox:latest\",shape=box,fillcolor=\"paleturquoise\",\
             style=\"filled,rounded\"];\n base [style=invisible]\n}}\n"
        )
    );
    let none = crate::harness::Setup::new().no_image().start();
    let empty = "digraph docker {\n base [style=invisible]\n}\n";
    assert_exactly(&Old::new(&none).get("/images/viz"), 200, empty);
}

#[test]
fn a_removal_tells_its_steps() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let remove = |name: &str| old.ask("DELETE", &format!("/images/{name}"));
    let tag = |from: &str, to: &str| {
        let path = format!("/images/{from}/tag?repo={to}");
        assert_exactly(&old.ask("POST", &path), 201, "");
    };
    let steps = |id: &str| {
        let id = &id[..12];
        (
            format!("[{{\"Untagged\":\"{id}\"}}]"),
            format!("[{{\"Untagged\":\"{id}\"}},{{\"Deleted\":\"{id}\"}}]"),
        )
    };
    // Names that cannot be the beginning of an id, which would hide them.
    // By name: the image goes with the last one.
    let id = import(&d, "one", "1");
    tag("one", "two");
    assert_exactly(&remove("one"), 200, &steps(&id).0);
    assert_exactly(&remove("two:latest"), 200, &steps(&id).1);
    assert_exactly(&remove("two"), 404, "No such image: two\n");
    // By id: not when it has names in two repositories.
    let id = import(&d, "one", "2");
    tag("one", "two");
    let text = format!("Conflict, {id} wasn't deleted\n");
    assert_exactly(&remove(&id), 409, &text);
    assert_exactly(&remove("two"), 200, &steps(&id).0);
    tag("one", "one&tag=second");
    assert_exactly(&remove(&id[..12]), 200, &steps(&id).1);
    // Without a name.
    let id = import(&d, "one", "3");
    let next = import(&d, "one", "4");
    assert_exactly(&remove(&id), 200, &format!("[{{\"Deleted\":\"{}\"}}]", &id[..12]));
    // A repository with all its tags: other images lose their names and stay.
    let other = import(&d, "one:v", "5");
    assert_exactly(&remove("one"), 200, &steps(&next).1);
    assert_eq!(old.get("/images/one:v/json").status, 404);
    assert_eq!(old.get(&format!("/images/{other}/json")).status, 200);
    let text = format!("No such tag: busybox:{}\n", {
        let id = old.get("/images/busybox/json").expect(200)["id"].as_str().unwrap().to_owned();
        id[..4].to_owned()
    });
    let name = text.trim_end().trim_start_matches("No such tag: ");
    assert_exactly(&remove(name), 404, &text);
}

#[test]
fn a_removal_says_nothing_before_1_2() {
    let d = Daemon::start();
    for version in ["1.0", "1.1"] {
        let old = Old { d: &d, version };
        let id = import(&d, "one", version);
        assert_exactly(&old.ask("POST", "/images/one/tag?repo=two"), 201, "");
        assert_exactly(&old.ask("DELETE", "/images/one"), 204, "");
        assert_exactly(
            &old.get(&format!("/images/{id}/json")),
            404,
            &format!("No such image: {id}\n"),
        );
        assert_exactly(&old.get("/images/two/json"), 404, "No such image: two\n");
        assert_exactly(&old.ask("DELETE", "/images/one"), 404, "No such image: one\n");
    }
}

#[test]
fn an_image_in_use_stays() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let id = old.create(&shell("true"));
    for version in super::VERSIONS {
        let reply = old.at(version).ask("DELETE", "/images/busybox");
        assert_answer(&reply, 409, "Conflict, busybox wasn't deleted");
    }
    assert_exactly(&old.ask("POST", "/images/busybox/tag?repo=two"), 201, "");
    assert_eq!(old.ask("DELETE", "/images/two").status, 200, "another name may go");
    old.start(&id);
    assert_eq!(old.wait(&id), 0);
}
