//! The program's standard streams, and the last steps that an init and an exec have in common.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::cwd::WorkingDirectory;
use super::identity::Identity;
use super::program::{self, Program};
use super::{Message, privileges, send};
use crate::base::{Context, Kind, Result};
use crate::runtime::launch::Launch;
use crate::sys::{self, node, process};

/// Where the program's standard streams come from.
pub(super) enum Streams {
    /// Standard input and output are in place already; standard error still is the daemon's, for
    /// warnings.
    Pipes { stderr: OwnedFd },
    /// The end for the program, and the one for the monitor.
    Terminal { slave: OwnedFd, master: OwnedFd },
}

/// What init and an exec end with.
impl Streams {
    /// Begins a session, becomes the user, and goes to the working directory.
    pub(super) fn become_user(
        &self,
        launch: &Launch,
        identity: &Identity,
        cwd: &WorkingDirectory,
    ) -> Result<()> {
        sys::host::set_umask(0o022);
        process::reset_signals();
        process::new_session().context(|| "begin a session".into())?;
        self.give_to(identity)?;
        let entered = cwd.enter();
        privileges::limit_resources(launch);
        privileges::give_up(launch, identity)?;
        // Some file systems let only the user in, not root.
        if entered.is_err() {
            cwd.enter().map_err(|error| error.with_kind(Kind::ProgramNotExecutable))?;
        }
        cwd.check()
    }

    /// Closes what the program must not have, finds it, and tells the monitor that it could go;
    /// the word to do so comes by `channel`.
    pub(super) fn prepare(
        &self,
        launch: &Launch,
        identity: &Identity,
        channel: BorrowedFd<'_>,
        pid: i32,
    ) -> Result<Program> {
        process::close_all_but(&self.still_needed(channel));
        let program = program::find(launch, &identity.home)?;
        self.put_in_place()?;
        send(channel, &Message::Prepared { pid }, self.master())
            .context(|| "tell the monitor".into())?;
        process::close_all_but(&[channel.as_raw_fd()]);
        Ok(program)
    }

    /// Lets the user open them again by their names under /dev, and makes the terminal the one of
    /// the session.
    fn give_to(&self, identity: &Identity) -> Result<()> {
        let own = |fd: BorrowedFd<'_>| {
            let ours = node::stat(fd).is_ok_and(|stat| stat.is_stream());
            if ours && identity.uid != 0 {
                return node::set_owner(fd, Some(identity.uid), None);
            }
            Ok(())
        };
        match self {
            Streams::Pipes { stderr } => [own(io::stdin().as_fd()), own(io::stdout().as_fd())]
                .into_iter()
                .chain([own(stderr.as_fd())])
                .collect::<io::Result<()>>()
                .context(|| "give the standard streams to the user".into()),
            Streams::Terminal { slave, .. } => {
                node::set_owner(slave.as_fd(), Some(identity.uid), None)
                    .and_then(|()| process::set_controlling_terminal(slave.as_fd()))
                    .context(|| "set the controlling terminal".into())
            }
        }
    }

    fn still_needed(&self, channel: BorrowedFd<'_>) -> Vec<i32> {
        let mut fds = vec![channel.as_raw_fd()];
        match self {
            Streams::Pipes { stderr } => fds.push(stderr.as_raw_fd()),
            Streams::Terminal { slave, master } => {
                fds.extend([slave.as_raw_fd(), master.as_raw_fd()]);
            }
        }
        fds
    }

    /// Makes them the descriptors 0 to 2, as far as they are not yet.
    fn put_in_place(&self) -> Result<()> {
        match self {
            Streams::Pipes { stderr } => process::duplicate_onto(stderr.as_fd(), 2),
            Streams::Terminal { slave, .. } => {
                (0..3).try_for_each(|number| process::duplicate_onto(slave.as_fd(), number))
            }
        }
        .context(|| "set the standard streams".into())
    }

    fn master(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Streams::Pipes { .. } => None,
            Streams::Terminal { master, .. } => Some(master.as_fd()),
        }
    }
}
