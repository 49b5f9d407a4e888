//! `attach`: the connection is handed to the engine.

use super::call::Call;
use super::streams;
use crate::base::Result;
use crate::engine::{AttachOptions, Attacher};
use crate::wire::detach;

pub(super) fn attach(call: &mut Call<'_, '_>) -> Result<()> {
    let detach_keys = detach::parse(call.text("detachKeys"))?;
    let snapshot = call.engine().attach_check(call.name)?;
    let config = &snapshot.record.config;
    let options = AttachOptions {
        stdin: call.flag("stdin") && config.open_stdin,
        stdout: call.flag("stdout"),
        stderr: call.flag("stderr"),
        logs: call.flag("logs"),
        stream: call.flag("stream"),
        framed: !config.tty,
    };
    let content_type = streams::content_type(call, config.tty);
    let (socket, early) = call.exchange.hijack(content_type)?;
    call.engine()
        .attach(snapshot.record.id.as_str(), Attacher { socket, early, options, detach_keys })
}
