//! `--init`: process 1 stays our own, starts the program as its child, forwards every signal to
//! it, reaps what is orphaned, and ends with the program's code.
//!
//! - It is the process that was there anyway: nothing more is executed, no file of the container
//!   is trusted. It lets go of the pages of our program before it rests.
//! - The program leads a process group of its own, in the foreground of the terminal if there is
//!   one: what is typed reaches it once, and not by way of us as well.
//! - Nothing of the monitor is to be seen: its command line and its environment are overwritten,
//!   and nobody can look into this process, which is not dumpable.

use std::convert::Infallible;
use std::os::fd::BorrowedFd;

use super::fail;
use super::program::Program;
use crate::base::{Context, Result};
use crate::sys::memory;
use crate::sys::process::{self, Clone, exit_now};
use crate::sys::signal::{self, Blocked};
use crate::sys::title::Title;

/// What `ps` shows of it.
const NAME: &str = "skiff-init";

/// Starts `program` as a child and stays as its reaper. That the child cannot become the program
/// is told over `channel`.
///
/// # Errors
/// When there is no child.
pub(super) fn run(
    program: &Program,
    channel: BorrowedFd<'_>,
    title: Option<Title>,
) -> Result<Infallible> {
    // Before the child is there: its end must not be missed, nor what is meant for it.
    let signals = signal::block_all().context(|| "block signals".into())?;
    // Process 1 is it anyway; in a pid namespace that is shared, somebody else is.
    process::become_subreaper().context(|| "become the reaper of orphans".into())?;
    let child = process::clone_process(Clone::default(), || {
        process::lead_foreground_group();
        process::reset_signals();
        fail(channel, &program.exec())
    });
    let child = child.context(|| "clone the program's process".into())?;
    // The channel, too: its end tells that the program runs. And the streams: only the program
    // and its children hold them open.
    process::close_all();
    if let Some(title) = title {
        title.set(NAME);
    }
    memory::trim();
    if let Err(error) = memory::forget_program() {
        crate::debug!("let go of what only the start needed: {error}");
    }
    rest(child, &signals)
}

fn rest(child: i32, signals: &Blocked) -> ! {
    loop {
        match signals.wait() {
            Ok(libc::SIGCHLD) => {
                while let Ok(Some((pid, code))) = signal::reap_any() {
                    if pid == child {
                        exit_now(code);
                    }
                }
            }
            // It may be on its way out: then it needs no signal any more.
            Ok(number) => drop(signal::kill(child, number)),
            Err(_) => {}
        }
    }
}
