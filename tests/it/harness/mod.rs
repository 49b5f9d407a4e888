//! What the tests stand on: a daemon of their own, commands with deadlines, raw HTTP, terminals,
//! images made on the spot, and the search for anything left behind.

mod collect;
mod command;
mod cost;
mod daemon;
mod http;
mod image;
mod leaks;
mod pty;
mod sys;

use std::time::{Duration, Instant};

pub use collect::Collector;
pub use command::{Cli, Output, Process};
pub use cost::{assert_flat, keep_stacks, monitor_of};
pub use daemon::{Daemon, Setup, skiff};
pub use http::{Reply, Wire, encode};
pub use image::{Tar, busybox_tar};
pub use leaks::{descriptors, processes_of, threads};
pub use pty::Terminal;
pub use sys::{Seqpacket, die_with_parent, in_netns, pass_as_third, send_signal};

/// How long anything that should happen soon may take, on a machine that has much else to do.
pub const SOON: Duration = Duration::from_secs(30);

/// `small` in `make test`, `large` in `make soak`.
pub fn count(small: usize, large: usize) -> usize {
    if std::env::var_os("SKIFF_SOAK").is_some() { large } else { small }
}

/// Waits until `condition` holds; panics after `SOON`, naming `what`.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(wait_for(SOON, condition), "not within {SOON:?}: {what}");
}

/// Whether `condition` came to hold within `limit`.
pub fn wait_for(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Says why this test cannot run here; `make test` counts these lines.
pub fn say_skipped(why: &str) {
    use std::io::Write;
    // Straight to the descriptor: the test runner swallows what `eprintln` writes.
    std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap();
}

/// Ends the test, saying why it cannot run here.
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::harness::say_skipped(&format!($($why)*));
        return;
    }};
}
