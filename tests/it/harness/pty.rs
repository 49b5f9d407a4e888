//! A program on a real terminal.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};

use super::{Collector, SOON, sys, wait_for};

/// A program that runs on a pseudo-terminal, seen from the keyboard's and the screen's side.
pub struct Terminal {
    child: Child,
    master: File,
    pub screen: Collector,
    seen: usize,
}

impl Terminal {
    /// Starts `program` on a terminal of `rows` and `columns`.
    pub fn start(program: &str, args: &[String], rows: u16, columns: u16) -> Terminal {
        let (master, path) = sys::open_pty();
        sys::set_size(master.as_raw_fd(), rows, columns);
        let side = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut command = Command::new(program);
        command.args(args).stdin(side()).stdout(side()).stderr(side());
        sys::with_terminal(&mut command);
        let child = command.spawn().unwrap();
        let master = File::from(master);
        let screen = Collector::new(master.try_clone().unwrap());
        Terminal { child, master, screen, seen: 0 }
    }

    pub fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        sys::set_size(self.master.as_raw_fd(), rows, columns);
    }

    pub fn is_raw(&self) -> bool {
        sys::is_raw(self.master.as_raw_fd())
    }

    /// Waits until the screen shows `text` after what was expected last.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let from = self.seen;
        let find = |bytes: &[u8]| {
            bytes.get(from..)?.windows(text.len()).position(|window| window == text.as_bytes())
        };
        let there = self.screen.wait(SOON, |bytes, _| find(bytes).is_some());
        assert!(there, "no {text:?} on the screen: {:?}", self.screen.text());
        self.seen = from + find(&self.screen.bytes()).unwrap() + text.len();
    }

    /// Waits for the program's end: its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let mut status = None;
        let ended = wait_for(SOON, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(ended, "hangs; the screen: {:?}", self.screen.text());
        let status = status.unwrap();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already, or the test is failing; an error can only mean the former.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
