//! Attaching: by a connection that is taken over, and by websocket.

use std::fs::File;
use std::io::Write;

use super::super::attach::over_websocket;
use super::super::call::Call;
use super::{answers, find, flag};
use crate::base::{Context, Result};
use crate::engine::{AttachOptions, Attacher, Snapshot};
use crate::http::websocket;
use crate::wire::{detach, old};

/// What the client asks for of which container.
fn asked(call: &Call<'_, '_>) -> Result<(Snapshot, AttachOptions)> {
    let [logs, stream, stdin, stdout, stderr] =
        ["logs", "stream", "stdin", "stdout", "stderr"].map(|name| flag(call, name));
    let (logs, stream, stdin, stdout, stderr) = (logs?, stream?, stdin?, stdout?, stderr?);
    let id = find(call)?.record.id.clone();
    let snapshot = call.engine().attach_check(id.as_str())?;
    let config = &snapshot.record.config;
    let stdin = stdin && config.open_stdin;
    let framed = answers(call).frames && !config.tty;
    let options = AttachOptions { stdin, stdout, stderr, logs, stream, framed, once: true };
    Ok((snapshot, options))
}

pub(super) fn attach(call: &mut Call<'_, '_>) -> Result<()> {
    let (snapshot, options) = asked(call)?;
    let detach_keys = detach::parse("")?;
    let (socket, early) = call.exchange.take_over(old::RAW_HEAD)?;
    let mut client = File::from(socket.try_clone().context(|| "attach".into())?);
    let attacher = Attacher { socket, early, options, detach_keys };
    call.engine().attach(snapshot.record.id.as_str(), attacher).inspect_err(|error| {
        // A client that has gone is not told.
        drop(client.write_all(&old::attach_failure(error, options.framed)));
    })
}

/// Never framed. As then, the client must say of which origin it is.
pub(super) fn websocket(call: &mut Call<'_, '_>) -> Result<()> {
    let (snapshot, options) = asked(call)?;
    let head = websocket::handshake(&call.exchange.head, true);
    over_websocket(call, &snapshot, AttachOptions { framed: false, ..options }, head, true)
}
