//! Who keeps the packet rules: the same tests with nf_tables, with iptables, with nobody.

use std::path::PathBuf;

use super::run_in;
use crate::harness::{Daemon, Setup};

/// Who keeps the packet rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    Nftables,
    /// The kernel's older interface, by the programs of the name.
    Legacy,
    /// The monitors are proxies.
    Nobody,
}

impl Keeper {
    /// How the daemon is to be started.
    pub fn setup(self) -> Setup {
        match self {
            Keeper::Nftables => Setup::new(),
            Keeper::Legacy => Setup::new().flag("--firewall=iptables").env("PATH", &legacy_path()),
            // Whatever the host of the tests does.
            Keeper::Nobody => Setup::new()
                .prepare("echo 0 >/proc/sys/net/ipv4/ip_forward")
                .flag("--firewall=none"),
        }
    }

    /// How many rules publish ports.
    #[track_caller]
    pub fn published(self, d: &Daemon) -> usize {
        match self {
            Keeper::Nftables => super::rules(d).matches("dnat to").count(),
            Keeper::Legacy => legacy_rules(d).matches("-j DNAT").count(),
            Keeper::Nobody => 0,
        }
    }

    /// Whether the container sees who has come from outside.
    pub fn shows_peers(self) -> bool {
        self != Keeper::Nobody
    }
}

/// The packet rules of the older interface on the daemon's host.
#[track_caller]
pub fn legacy_rules(d: &Daemon) -> String {
    run_in(d.keeper_pid(), "iptables-legacy-save", &[])
}

/// A search path on which the plain names mean the older programs.
fn legacy_path() -> String {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("legacy");
    std::fs::create_dir_all(&dir).unwrap();
    for name in ["restore", "save"] {
        let to = format!("/usr/sbin/iptables-legacy-{name}");
        // Another test may have been faster.
        match std::os::unix::fs::symlink(to, dir.join(format!("iptables-{name}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => panic!("{error}"),
            _ => {}
        }
    }
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", dir.display())
}
