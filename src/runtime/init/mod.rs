//! The steps inside the new namespaces, in order, until init becomes the user's program.

use std::os::fd::OwnedFd;

use super::launch::Launch;
use crate::base::Result;

/// Standard streams of the program, when it has no terminal. With a terminal init opens one
/// inside the container and sends the master's descriptor over the channel.
pub struct Stdio {
    /// Becomes descriptor 0.
    pub stdin: OwnedFd,
    /// Becomes descriptor 1.
    pub stdout: OwnedFd,
    /// Becomes descriptor 2.
    pub stderr: OwnedFd,
}

/// An init on its way.
pub struct Spawned {
    /// Its pid on the host; a child of the caller.
    pub pid: i32,
    /// SOCK_SEQPACKET socket. Init sends [`Message`]s; the end of file without a `Failed` means
    /// that exec has succeeded. The caller sends one byte to let a prepared init exec.
    pub channel: OwnedFd,
}

/// What init tells the monitor, one JSON packet each.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// All is set up, and init waits for the word to exec. Carries the master of the terminal as
    /// a descriptor when the launch file asks for one.
    Prepared {
        /// Pid of init as the host sees it.
        pid: i32,
    },
    /// A step failed; init ends.
    Failed {
        /// 126 not executable, 127 not found, 128 anything else.
        code: i32,
        /// What went wrong, for people.
        message: String,
    },
}

/// Clones an init for `launch` and returns at once. `stdio` is `None` with a terminal.
///
/// The caller must have one thread, and keeps its own namespaces.
///
/// # Errors
/// When the clone itself fails.
pub fn spawn(_launch: &Launch, _stdio: Option<Stdio>) -> Result<Spawned> {
    todo!()
}
