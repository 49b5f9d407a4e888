//! Files of state that a bad power supply or a bad block has ruined: the daemon starts all the
//! same, names what is broken, and loses nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Daemon, Tar, send_signal, wait_until};

/// Ways to ruin a file.
type Ruin = fn(&[u8]) -> Vec<u8>;

const RUINS: [(&str, Ruin); 5] = [
    ("empty", |_| Vec::new()),
    ("zeros", |old| vec![0; old.len().max(1)]),
    ("cut", |old| old[..old.len() / 2].to_vec()),
    ("noise", |old| old.iter().map(|byte| byte.wrapping_mul(97) ^ 0xa5).collect()),
    ("another shape", |_| b"[{\"version\":99,\"x\":null}]".to_vec()),
];

/// Files below `dir`, without the trees of images and containers.
fn state_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        let name = entry.file_name();
        if kind.is_dir() && name != "diff" && name != "tree" && name != "work" {
            found.extend(state_files(&path));
        } else if kind.is_file() && name != "lock" {
            found.push(path);
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn one_ruined_file_of_state_costs_what_it_is_about_and_no_more() {
    let mut d = Daemon::start();
    d.import("other", &Tar::busybox().file("marker", 0o644, b"cx").bytes());
    d.ok(["network", "create", "mine"]);
    let asleep = ["sleep", "100000"];
    let run = |d: &Daemon, name: &str, image: &str| {
        d.ok(["run", "-d", "--name", name, "--network", "mine", image, asleep[0], asleep[1]])
    };
    let safe = run(&d, "safe", "other");
    let ended =
        d.cli(["run", "--name", "ended", "other", "sh", "-c", "echo said; exit 3"]).output();
    assert_eq!(ended.code, 3);
    run(&d, "victim", "busybox");
    assert_eq!(d.ok(["run", "--name", "past", "busybox", "echo", "old"]), "old");

    let mut files = state_files(&d.root());
    files.extend(state_files(&d.run_root()));
    let mut others = ["safe", "ended"].map(|name| d.inspect(name)["Id"].clone()).to_vec();
    let image = d.api("GET", "/images/other/json").expect(200);
    others.push(image["Id"].clone());
    others.extend(image["RootFS"]["Layers"].as_array().unwrap().iter().cloned());
    let about_others = |path: &Path| {
        let names = others.iter().map(|name| name.as_str().unwrap().trim_start_matches("sha256:"));
        names.into_iter().any(|name| path.to_str().unwrap().contains(name))
    };
    files.retain(|path| !about_others(path));
    assert!(files.len() > 10, "{files:?}");

    for path in &files {
        for (how, ruin) in RUINS {
            // Gone with what an earlier damage was about.
            let Ok(old) = fs::read(path) else { continue };
            let what = format!("{} is {how}", path.display());
            d.kill9();
            fs::write(path, ruin(&old)).unwrap();
            let logged = d.log().len();
            assert!(d.try_start(), "{what}: the daemon does not start:\n{}", d.log());
            // A log is passed over where it is damaged, when it is read.
            let log = d.log();
            let complains = |line: &str| line.contains("WARN") || line.contains("ERROR");
            let named = log[logged..].lines().any(complains) || path.ends_with("container.log");
            assert!(named, "{what}, and nobody says so:\n{log}");
            assert_eq!(d.status("safe"), "running", "{what}");
            assert_eq!(d.inspect("safe")["Id"], safe.as_str(), "{what}");
            assert_eq!(d.cli(["exec", "safe", "echo", "in"]).output().stdout, "in\n", "{what}");
            assert_eq!(d.cli(["logs", "--tail", "1", "ended"]).output().stdout, "said\n", "{what}");
            assert_eq!(d.cli(["wait", "ended"]).output().stdout, "3\n", "{what}");
            for args in [&["ps", "-a"][..], &["images"], &["network", "ls"], &["info"]] {
                assert_eq!(d.cli(args).output().code, 0, "{what}: {args:?}");
            }
            assert_eq!(d.cli(["start", "-a", "ended"]).output().stdout, "said\n", "{what}");
            // Whole again, for the next.
            d.kill9();
            if path.parent().is_some_and(Path::exists) {
                fs::write(path, &old).unwrap();
            }
            assert!(d.try_start(), "{what}: then whole again:\n{}", d.log());
        }
    }
    send_signal(d.pid(), libc::SIGHUP);
    d.ok(["rm", "-f", "safe", "ended"]);
    wait_until("all is gone", || !d.ok(["ps", "-aq"]).contains(&safe[..12]));
}
