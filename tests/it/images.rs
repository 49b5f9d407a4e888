//! import, images, tag, rmi, history, inspect.

use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Cli, Daemon, Setup, Tar, busybox_tar, encode, in_netns, wait_until};

#[test]
fn import_from_a_file_and_from_stdin_prints_the_id() {
    let d = Setup::new().no_image().start();
    let file = d.dir().join("image.tar");
    std::fs::write(&file, busybox_tar()).unwrap();
    let id = d.ok(["import", file.to_str().unwrap(), "one:v1"]);
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(d.ok(["inspect", "-f", "{{.Id}}", "one:v1"]), id);
    let id = d.cli(["import", "-", "two"]).stdin(busybox_tar()).output().ok();
    assert_eq!(d.ok(["inspect", "-f", "{{.Id}}", "two:latest"]), id);
    // 0.6.4 took the tag as an argument of its own.
    d.cli(["import", "-", "three", "old"]).stdin(busybox_tar()).output().ok();
    assert_eq!(d.ok(["run", "--rm", "three:old", "echo", "cx"]), "cx");
    let out = d.cli(["import", "/no/such/file", "cx"]).output();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("/no/such/file"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}

#[test]
fn import_takes_changes_and_a_message() {
    let d = Daemon::start();
    let flags = ["-c", "CMD [\"echo\", \"hi\"]", "-c", "ENV A=b", "-m", "a message"];
    let mut args = vec!["import"];
    args.extend(flags);
    args.extend(["-", "changed"]);
    d.cli(args).stdin(busybox_tar()).output().ok();
    assert_eq!(d.ok(["run", "--rm", "changed"]), "hi");
    assert_eq!(
        d.ok(["inspect", "-f", "{{.Config.Cmd}} {{.Config.Env}}", "changed"]),
        "[echo hi] [A=b]"
    );
    assert!(d.ok(["history", "changed"]).contains("a message"));
}

fn packed_by(program: &str) -> Option<Vec<u8>> {
    let output = Command::new(program).arg("--version").output();
    output.ok().filter(|o| o.status.success())?;
    Some(Cli::new(program).args(["-c"]).stdin(busybox_tar()).output().bytes)
}

#[test]
fn import_unpacks_every_compression() {
    let d = Setup::new().no_image().start();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(busybox_tar()).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(busybox_tar()).unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(busybox_tar(), level);
    let mut packed = vec![
        ("plain", busybox_tar().to_vec()),
        ("gzip", gzip.finish().unwrap()),
        ("bzip2", bzip2.finish().unwrap()),
        ("zstd", zstd),
    ];
    packed.extend(packed_by("xz").map(|bytes| ("xz", bytes)));
    packed.extend(packed_by("zstd").map(|bytes| ("zstd-program", bytes)));
    let mut layers = Vec::new();
    for (name, bytes) in &packed {
        d.import(name, bytes);
        assert_eq!(d.ok(["run", "--rm", name, "echo", name]), *name);
        layers.push(d.ok(["inspect", "-f", "{{index .RootFS.Layers 0}}", name]));
    }
    // The layer is named after its content unpacked, so that all of them share one.
    layers.dedup();
    assert_eq!(layers.len(), 1, "{layers:?}");
    d.assert_nothing_left_behind();
}

#[test]
fn import_from_a_url() {
    let d = Setup::new().no_image().start();
    let listener = in_netns(d.keeper_pid(), || std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let server = tiny_http::Server::from_listener(listener, None).unwrap();
    let server = std::sync::Arc::new(server);
    let serving = std::sync::Arc::clone(&server);
    let thread = std::thread::spawn(move || {
        for request in serving.incoming_requests() {
            let answer = match request.url() {
                "/image.tar" => tiny_http::Response::from_data(busybox_tar()).with_status_code(200),
                "/short" => tiny_http::Response::from_data(&busybox_tar()[..100_000]),
                _ => tiny_http::Response::from_data("not here").with_status_code(404),
            };
            // The daemon may hang up on what it does not like.
            drop(request.respond(answer));
        }
    });
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    let id = d.ok(["import", &url("image.tar"), "from-url"]);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(d.ok(["run", "--rm", "from-url", "echo", "cx"]), "cx");
    for path in ["missing", "short"] {
        let out = d.cli(["import", &url(path), "bad"]).output();
        assert_eq!(out.code, 1, "{path}: {}", out.stdout);
        assert!(!out.stderr.is_empty());
    }
    assert_eq!(d.ok(["images", "-q"]).lines().count(), 1);
    server.unblock();
    thread.join().unwrap();
    d.assert_nothing_left_behind();
}

#[test]
fn a_damaged_tar_leaves_nothing() {
    let d = Setup::new().no_image().start();
    let tar = busybox_tar();
    let mut garbled = tar.to_vec();
    garbled[0..512].fill(b'x');
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(tar).unwrap();
    let gzip = gzip.finish().unwrap();
    let bad: [(&str, &[u8]); 4] = [
        ("cut", &tar[..tar.len() / 2]),
        ("garbled", &garbled),
        ("cut gzip", &gzip[..gzip.len() / 2]),
        ("text", b"this is not a tar file at all, but somebody thought it might be one"),
    ];
    for (what, bytes) in bad {
        let out = d.cli(["import", "-", "bad"]).stdin(bytes).output();
        assert_eq!(out.code, 1, "{what}: {}", out.stdout);
        assert!(!out.stderr.is_empty(), "{what}");
    }
    assert_eq!(d.ok(["images", "-aq"]), "");
    d.assert_nothing_left_behind();
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let d = Setup::new().no_image().start();
    let mut wire = d.wire();
    wire.send(format!(
        "POST /images/create?fromSrc=-&repo=x HTTP/1.1\r\nHost: test\r\n\
         Content-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        busybox_tar().len()
    ));
    wire.send(&busybox_tar()[..1 << 20]);
    drop(wire);
    d.assert_nothing_left_behind();
    assert_eq!(d.ok(["images", "-aq"]), "");
}

#[test]
fn tags_come_move_and_go() {
    let d = Daemon::start();
    let id = d.ok(["images", "-q", "--no-trunc"]);
    d.ok(["tag", "busybox", "other:v1"]);
    d.ok(["tag", "-f", "busybox", "old", "spelling"]);
    let names = d.ok(["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["busybox:latest", "old:spelling", "other:v1"]);
    let second = d.import("second", &Tar::busybox().file("marker", 0o644, b"cx").bytes());
    d.ok(["tag", "second", "other:v1"]);
    assert_eq!(d.ok(["inspect", "-f", "{{.Id}}", "other:v1"]), second);
    assert_eq!(d.ok(["rmi", "other:v1"]), "Untagged: other:v1");
    let out = d.ok(["rmi", "old:spelling"]);
    assert_eq!(out, "Untagged: old:spelling");
    let out = d.ok(["rmi", "busybox"]);
    assert!(out.starts_with("Untagged: busybox:latest\nDeleted: sha256:"), "{out}");
    assert!(out.contains(&id), "{out}");
    let out = d.cli(["rmi", "busybox"]).output();
    assert_eq!(
        (out.code, out.stderr.trim()),
        (1, "Error response from daemon: No such image: busybox:latest")
    );
    assert_eq!(d.cli(["rmi", "-f", "busybox"]).output().code, 0);
    assert_eq!(d.ok(["images", "-q"]).lines().count(), 1);
    for bad in ["Upper:x", "a:b:c", "x:", ":y", "a//b"] {
        assert_ne!(d.cli(["tag", "second", bad]).output().code, 0, "{bad}");
    }
    d.assert_nothing_left_behind();
}

#[test]
fn an_image_in_use_stays() {
    let d = Daemon::start();
    let id = d.ok(["images", "-q"]);
    d.ok(["create", "--name", "cx", "busybox", "true"]);
    let out = d.cli(["rmi", "busybox"]).output();
    assert_eq!(out.code, 1);
    let text =
        "conflict: unable to remove repository reference \"busybox\" (must force) - container ";
    assert!(out.stderr.contains(text), "{}", out.stderr);
    let out = d.cli(["rmi", &id]).output();
    assert!(
        out.stderr.contains("(must be forced) - image is being used by stopped container"),
        "{}",
        out.stderr
    );
    d.ok(["run", "-d", "--name", "cy", "busybox", "sleep", "1000"]);
    let out = d.cli(["rmi", "-f", &id]).output();
    assert_eq!(out.code, 1);
    assert!(
        out.stderr.contains("(cannot be forced) - image is being used by running container"),
        "{}",
        out.stderr
    );
    d.ok(["rm", "-f", "cx", "cy"]);
    d.ok(["tag", "busybox", "twice"]);
    let out = d.cli(["rmi", &id]).output();
    assert!(
        out.stderr.contains("(must be forced) - image is referenced in multiple repositories"),
        "{}",
        out.stderr
    );
    d.ok(["rmi", "-f", &id]);
    assert_eq!(d.ok(["images", "-aq"]), "");
    d.assert_nothing_left_behind();
}

#[test]
fn images_table_and_json() {
    let d = Daemon::start();
    let table = d.ok(["images"]);
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head.join(" "), "REPOSITORY TAG IMAGE ID CREATED SIZE");
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[1], row[2].len()), ("busybox", "latest", 12));
    assert!(row.last().unwrap().ends_with("MB"), "{row:?}");
    let json: Value = serde_json::from_str(&d.ok(["images", "--format", "json"])).unwrap();
    assert_eq!(json["Repository"], "busybox");
    let list = d.api("GET", "/images/json").expect(200);
    assert_eq!(list[0]["RepoTags"], json!(["busybox:latest"]));
    assert!(list[0]["Size"].as_u64().unwrap() > 500_000);
    let filter = |text: &str| format!("/images/json?filters={}", encode(text));
    let none = d.api("GET", &filter(r#"{"reference":["nothing*"]}"#)).expect(200);
    assert_eq!(none, json!([]));
    let one = d.api("GET", &filter(r#"{"reference":["busy*"]}"#)).expect(200);
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_eq!(d.ok(["images", "-q", "busybox"]).len(), 12);
    assert_eq!(d.ok(["images", "-q", "other"]), "");
    let history = d.ok(["history", "busybox"]);
    let head: Vec<&str> = history.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head.join(" "), "IMAGE CREATED CREATED BY SIZE COMMENT");
    assert!(history.contains("Imported from -"), "{history}");
}

#[test]
fn images_survive_a_kill_and_the_same_tar_is_one_layer() {
    let mut d = Daemon::start();
    d.import("again", busybox_tar());
    let layers = |d: &Daemon| {
        let layers = std::fs::read_dir(d.root().join("layers")).unwrap();
        layers.flatten().filter(|e| e.file_name().len() >= 64).count()
    };
    let before = d.ok(["images", "--no-trunc"]);
    let count = layers(&d);
    d.restart();
    let id_column = |table: &str| -> Vec<String> {
        table.lines().map(|l| l.split_whitespace().nth(2).unwrap().to_owned()).collect()
    };
    assert_eq!(id_column(&d.ok(["images", "--no-trunc"])), id_column(&before));
    assert_eq!(layers(&d), count);
    assert_eq!(d.ok(["run", "--rm", "again", "echo", "cx"]), "cx");
}

#[test]
fn files_keep_what_the_tar_says_of_them() {
    let d = Daemon::start();
    let tar = Tar::busybox()
        .dir("deep", 0o750)
        .file("deep/file", 0o4711, b"data")
        .hardlink("deep/hard", "deep/file")
        .symlink("deep/soft", "file")
        .fifo("deep/fifo")
        .bytes();
    d.import("kinds", &tar);
    let stat = |path: &str| d.ok(["run", "--rm", "kinds", "stat", "-c", "%a %u %g %F %Y %h", path]);
    assert_eq!(stat("/deep/file"), "4711 0 0 regular file 1700000000 2");
    assert_eq!(stat("/deep/hard"), "4711 0 0 regular file 1700000000 2");
    assert!(stat("/deep/soft").contains("symbolic link"));
    assert!(stat("/deep/fifo").contains("fifo 1700000000"));
    assert!(stat("/deep").starts_with("750 "));
    assert_eq!(d.ok(["run", "--rm", "kinds", "cat", "/deep/soft"]), "data");
}

#[test]
fn one_damaged_file_of_state_fails_no_listing() {
    let mut d = Daemon::start();
    d.import("second", &Tar::busybox().file("marker", 0o644, b"cx").bytes());
    let good = d.ok(["create", "--name", "good", "busybox", "echo", "fine"]);
    let bad = d.ok(["create", "--name", "bad", "busybox", "true"]);
    d.kill9();
    std::fs::write(d.root().join("containers").join(&bad).join("record.json"), b"").unwrap();
    d.restart();
    assert_eq!(d.ok(["ps", "-a", "--format", "{{.Names}}"]), "good");
    assert_eq!(d.cli(["start", "-a", &good]).output().stdout, "fine\n");
    assert!(d.log().contains(&bad[..12]), "the log names the damaged container");
    d.kill9();
    for entry in walk(&d.root().join("images")) {
        if entry.is_file() && std::fs::metadata(&entry).unwrap().len() > 0 {
            std::fs::write(&entry, b"\0\0\0").unwrap();
            break;
        }
    }
    d.restart();
    wait_until("images are listed", || d.cli(["images"]).output().code == 0);
    assert_eq!(d.cli(["ps", "-a"]).output().code, 0);
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found.sort_unstable();
    found
}
