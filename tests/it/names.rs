//! Names of hosts and users are read from files and asked for by DNS; the modules that the host's
//! nsswitch.conf names are never loaded.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::harness::{Cli, Daemon, skiff, wait_until};

const DATABASES: &str = "passwd: trap files\ngroup: trap files\nhosts: trap files\n";

/// Whether somebody waits in open(2) of the fifo; whoever does is let go.
fn is_sprung(trap: &Path) -> bool {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(trap).is_ok()
}

#[test]
fn modules_of_nsswitch_conf_are_not_loaded() {
    let mut d = Daemon::start();
    // A module that holds up for ever whoever opens it.
    let modules = d.dir().join("modules");
    fs::create_dir(&modules).unwrap();
    let trap = modules.join("libnss_trap.so.2");
    Cli::new("mkfifo").args([&trap]).output().ok();
    let conf = d.dir().join("nsswitch.conf");
    fs::write(&conf, DATABASES).unwrap();
    let keeper = d.keeper_pid().to_string();
    let modules = modules.to_str().unwrap().to_owned();
    let inside = |args: &[&str]| {
        Cli::new("nsenter")
            .args(["--target", &keeper, "--net", "--mount"])
            .args(args)
            .env("LD_LIBRARY_PATH", &modules)
    };
    inside(&["mount", "--bind", conf.to_str().unwrap(), "/etc/nsswitch.conf"]).output().ok();

    // It catches others.
    let caught = inside(&["getent", "hosts", "localhost"]).spawn();
    wait_until("the trap catches getent", || is_sprung(&trap));
    drop(caught);

    d.set_env("LD_LIBRARY_PATH", &modules);
    d.restart();
    let out = d.cli(["import", "http://localhost:1/x.tar", "cx"]).output();
    assert_eq!(out.code, 1);
    let looked_up = ["refused", "no such host"].iter().any(|why| out.stderr.contains(why));
    assert!(looked_up, "{}", out.stderr);
    assert_eq!(d.ok(["run", "--rm", "-u", "guest", "busybox", "id", "-u"]), "405");
    let out = inside(&[skiff(), "-H", "tcp://localhost:1", "ps"]).output();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("localhost:1"), "{}", out.stderr);
    assert!(!is_sprung(&trap));
    inside(&["umount", "/etc/nsswitch.conf"]).output().ok();
    d.assert_nothing_left_behind();
}
