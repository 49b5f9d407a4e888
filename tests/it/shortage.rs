//! What is used up: space on the disk, its inodes, descriptors.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::harness::{Daemon, Setup, wait_until};

const FULL: &str = "No space left on device";

/// Takes all space and all inodes that are left of a file system.
fn fill(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(dir.join("bytes")).ok();
    while file.as_mut().is_some_and(|file| file.write_all(&[0; 4096]).is_ok()) {}
    let name = |number: u32| dir.join(number.to_string());
    let first = (0..).find(|number| !name(*number).exists()).unwrap();
    assert!((first..first + 100_000).any(|number| fs::write(name(number), "").is_err()));
}

/// What a full disk must not keep anybody from, and what it may.
fn live_with_a_full_disk(options: &str) {
    let mut d = Setup::new().root_in_memory(options).start();
    let chat = "trap 'exit 5' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done";
    d.ok([
        "run",
        "-d",
        "--restart",
        "unless-stopped",
        "--name",
        "chat",
        "busybox",
        "sh",
        "-c",
        chat,
    ]);
    d.ok(["run", "-d", "--name", "quiet", "busybox", "sleep", "1000"]);
    d.ok(["create", "--name", "made", "busybox", "true"]);
    assert_eq!(d.ok(["run", "--name", "old", "busybox", "echo", "kept"]), "kept");
    d.ok(["tag", "busybox", "second"]);
    let root = d.seen(&d.root());
    fill(&root.join("filled"));

    // What needs space says so, and leaves nothing.
    let refused = |args: &[&str]| {
        let out = d.cli(args).output();
        assert!(
            out.code != 0 && out.stderr.contains(FULL),
            "{args:?}: {} {}",
            out.code,
            out.stderr
        );
    };
    refused(&["create", "--name", "new", "busybox", "true"]);
    refused(&["run", "--rm", "busybox", "true"]);
    let names = d.ok(["ps", "-a", "--format", "{{.Names}}"]);
    assert_eq!(names.lines().collect::<Vec<_>>(), ["old", "made", "quiet", "chat"]);
    // What replaces a small file has a reserve.
    d.ok(["tag", "busybox", "third"]);
    d.ok(["rmi", "third"]);
    for _ in 0..20 {
        d.ok(["rename", "old", "older"]);
        d.ok(["rename", "older", "old"]);
    }
    let drafts = |dir: &str| fs::read_dir(root.join(dir)).into_iter().flatten().count();
    assert_eq!((drafts("containers"), drafts("layers/tmp")), (4, 0));

    // What runs goes on, and can be looked at and into.
    assert_eq!(d.ok(["exec", "chat", "echo", "inside"]), "inside");
    assert_eq!(d.ok(["logs", "old"]), "kept");
    d.ok(["pause", "chat"]);
    d.ok(["unpause", "chat"]);
    assert!(d.ok(["logs", "--tail", "1", "chat"]).starts_with("line "));

    // A new daemon comes up on the full disk, and takes over what runs.
    d.restart();
    fill(&root.join("filled"));
    assert_eq!(d.ok(["ps", "--format", "{{.Names}}"]), "quiet\nchat");
    assert_eq!(d.ok(["exec", "quiet", "echo", "inside"]), "inside");
    d.ok(["stop", "chat"]);
    assert_eq!(d.ok(["wait", "chat"]), "5");
    d.ok(["kill", "quiet"]);
    assert_eq!(d.ok(["wait", "quiet"]), "137");
    // How they ended is on record.
    d.restart();
    assert_eq!(d.ok(["wait", "chat", "quiet"]), "5\n137");
    d.ok(["rm", "old"]);
    fill(&root.join("filled"));
    d.ok(["rm", "-f", "chat", "quiet", "made"]);
    fill(&root.join("filled"));
    d.ok(["rmi", "second"]);
    d.ok(["rmi", "busybox"]);
    assert_eq!(d.ok(["images", "-q"]), "");

    // With space again, all is as ever.
    fs::remove_dir_all(root.join("filled")).unwrap();
    d.import("busybox", crate::harness::busybox_tar());
    assert_eq!(d.ok(["run", "--rm", "busybox", "echo", "fine"]), "fine");
    assert_eq!((drafts("containers"), drafts("layers/tmp")), (0, 0));
}

#[test]
fn on_a_full_disk_all_but_growth_goes_on() {
    live_with_a_full_disk("size=12m,nr_inodes=2000");
}

#[test]
fn without_inodes_all_but_growth_goes_on() {
    live_with_a_full_disk("size=24m,nr_inodes=600");
}

#[test]
fn a_daemon_short_of_descriptors_takes_nothing_for_dead() {
    let mut d = Daemon::start();
    let names: Vec<String> = (0..12).map(|number| format!("c{number}")).collect();
    for name in &names {
        d.ok(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    }
    let out = d.cli(["run", "--name", "ended", "busybox", "sh", "-c", "exit 9"]).output();
    assert_eq!(out.code, 9);
    d.ok(["network", "create", "mine"]);
    let before: Vec<String> = names.iter().map(|n| d.inspect(n)["State"].to_string()).collect();
    // At each limit another step is the first that fails; none suffices for all.
    for limit in [10, 12, 14, 16, 18, 20] {
        d.kill9();
        d.start_through(&["prlimit", &format!("--nofile={limit}:{limit}")]);
        assert!(!d.try_start(), "it came up with {limit} descriptors:\n{}", d.log());
    }
    assert!(d.log().contains("Too many open files"), "{}", d.log());
    d.start_through(&[]);
    d.restart();
    let after: Vec<String> = names.iter().map(|n| d.inspect(n)["State"].to_string()).collect();
    assert_eq!(after, before);
    assert_eq!(d.ok(["wait", "ended"]), "9");
    assert!(d.ok(["network", "ls"]).contains("mine"));
    assert_eq!(d.ok(["exec", "c11", "echo", "alive"]), "alive");
}

#[test]
fn output_that_a_full_disk_takes_no_more_is_told() {
    let d = Daemon::start();
    assert_eq!(d.ok(["run", "--name", "said", "busybox", "echo", "said"]), "said");
    for args in [
        &["run", "--rm", "busybox", "echo", "x"][..],
        &["run", "-d", "--rm", "busybox", "true"],
        &["start", "-a", "said"],
        &["logs", "said"],
        &["ps"],
        &["version"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(crate::harness::skiff());
        let out = command.args(["-H", &d.host()]).args(args).stdout(full).output().unwrap();
        let told = format!("write to standard output: {FULL} (os error 28)\n");
        assert_eq!(
            (out.status.code(), String::from_utf8(out.stderr)),
            (Some(1), Ok(told)),
            "{args:?}"
        );
    }
    wait_until("they have removed themselves", || d.ok(["ps", "-aq"]).lines().count() == 1);
    d.assert_nothing_left_behind();
}
