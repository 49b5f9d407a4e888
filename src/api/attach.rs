//! `attach`: the connection is handed to the engine, or pumped from and to a websocket.

use std::os::unix::net::UnixStream;

use super::call::Call;
use super::streams;
use crate::base::{Context, Result};
use crate::engine::{AttachOptions, Attacher, Snapshot};
use crate::http::websocket::{self, Pump};
use crate::wire::detach;

fn asked(call: &Call<'_, '_>) -> Result<(Snapshot, AttachOptions)> {
    let snapshot = call.engine().attach_check(call.name)?;
    let config = &snapshot.record.config;
    let options = AttachOptions {
        stdin: call.flag("stdin") && config.open_stdin,
        stdout: call.flag("stdout"),
        stderr: call.flag("stderr"),
        logs: call.flag("logs"),
        stream: call.flag("stream"),
        framed: !config.tty,
        once: false,
    };
    Ok((snapshot, options))
}

pub(super) fn attach(call: &mut Call<'_, '_>) -> Result<()> {
    let detach_keys = detach::parse(call.text("detachKeys"))?;
    let (snapshot, options) = asked(call)?;
    let content_type = streams::content_type(call, snapshot.record.config.tty);
    let (socket, early) = call.exchange.hijack(content_type)?;
    call.engine()
        .attach(snapshot.record.id.as_str(), Attacher { socket, early, options, detach_keys })
}

pub(super) fn websocket(call: &mut Call<'_, '_>) -> Result<()> {
    let (snapshot, options) = asked(call)?;
    // A close frame is no half of an end.
    let options = AttachOptions { framed: false, once: true, ..options };
    let head = websocket::handshake(&call.exchange.head, false);
    let text = call.answers().websocket_text;
    over_websocket(call, &snapshot, options, head, text)
}

/// Attaches by websocket when the handshake came about; this thread carries the bytes until the
/// end.
pub(super) fn over_websocket(
    call: &mut Call<'_, '_>,
    snapshot: &Snapshot,
    options: AttachOptions,
    handshake: Result<Vec<u8>, Vec<u8>>,
    text: bool,
) -> Result<()> {
    let detach_keys = detach::parse(call.text("detachKeys"))?;
    let head = match handshake {
        Ok(head) => head,
        Err(refusal) => return Ok(call.exchange.take_over(&refusal).map(drop)?),
    };
    let (ours, theirs) = UnixStream::pair().context(|| "make a pair of sockets".into())?;
    let (client, early) = call.exchange.take_over(&head)?;
    let attacher = Attacher { socket: theirs.into(), early: Vec::new(), options, detach_keys };
    let attached = call.engine().attach(snapshot.record.id.as_str(), attacher);
    // Of a failure the client is told by an end without data: the pump finds the session closed.
    let how = Pump { input: options.stdin && options.stream, text };
    let pumped = websocket::pump(client, early, ours, how);
    attached?;
    pumped.context(|| "attach by websocket".into())
}
