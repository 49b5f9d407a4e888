//! `system dial-stdio`: the daemon's socket on standard input and output, for `ssh://` hosts.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::cli::args::Args;
use crate::cli::fail::Outcome;
use crate::cli::session::Session;

/// `system dial-stdio`
pub(crate) fn dial(session: &Session, _args: &Args) -> Outcome {
    // What the socket is, unix or tcp, makes no difference to what is done with it here.
    let socket = UnixStream::from(session.client()?.dial()?);
    let mut up = socket.try_clone()?;
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // Ends with this process: what still comes on standard input then has no reader.
    std::thread::spawn(move || {
        let copied = io::copy(&mut stdin, &mut up);
        drop(up.shutdown(Shutdown::Write));
        copied
    });
    io::copy(&mut &socket, &mut stdout)?;
    Ok(0)
}
