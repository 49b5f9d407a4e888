//! Calls about execs.

use super::call::Call;
use super::{containers, streams};
use crate::base::{Error, Result};
use crate::engine::{AttachOptions, Attacher, Exec, ExecConfig, ExecState};
use crate::wire::exec::{ExecCreate, ExecCreated, ExecInspect, ExecStart, ProcessConfig};
use crate::wire::{detach, json};

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<()> {
    let body = call.body()?;
    let ExecCreate {
        attach_stdin,
        attach_stdout,
        attach_stderr,
        detach_keys,
        tty,
        env,
        cmd,
        privileged,
        user,
        working_dir,
        console_size,
    } = json::from_request(&body)?;
    if !working_dir.is_empty() && !working_dir.starts_with('/') {
        return Err(Error::bad_parameter(format!(
            "the working directory '{working_dir}' is invalid, it needs to be an absolute path"
        )));
    }
    let exec = Exec {
        args: cmd.unwrap_or_default(),
        env: env.unwrap_or_default(),
        cwd: working_dir,
        user,
        tty,
        open_stdin: attach_stdin,
        capabilities: None,
    };
    let config = ExecConfig {
        exec,
        privileged,
        stdout: attach_stdout,
        stderr: attach_stderr,
        detach_keys: detach::parse(&detach_keys)?,
        size: size(console_size),
    };
    let id = call.engine().exec_create(call.name, config)?.to_string();
    call.reply_json(201, &ExecCreated { id })
}

pub(super) fn start(call: &mut Call<'_, '_>) -> Result<()> {
    let body = call.body()?;
    // Whether there is a terminal was said when it was made.
    let ExecStart { detach, tty: _, console_size } =
        if body.is_empty() { ExecStart::default() } else { json::from_request(&body)? };
    let engine = call.engine();
    let exec = engine.exec_check(call.name)?;
    if detach {
        engine.exec_start(call.name, None, None)?;
        return call.reply_empty(200);
    }
    let ExecConfig { exec: Exec { tty, open_stdin, .. }, stdout, stderr, detach_keys, .. } =
        exec.config;
    let options = AttachOptions {
        stdin: open_stdin,
        stdout,
        stderr,
        logs: false,
        stream: true,
        framed: !tty,
        once: false,
    };
    let content_type = streams::content_type(call, tty);
    let (socket, early) = call.exchange.hijack(content_type)?;
    let client = Attacher { socket, early, options, detach_keys };
    engine.exec_start(call.name, Some(client), size(console_size))
}

/// Rows and columns, when there are any.
fn size(console_size: Option<[u16; 2]>) -> Option<(u16, u16)> {
    console_size.filter(|size| *size != [0, 0]).map(|[rows, columns]| (rows, columns))
}

pub(super) fn inspect(call: &mut Call<'_, '_>) -> Result<()> {
    let exec = call.engine().exec_inspect(call.name)?;
    let ExecConfig { exec: what, privileged, stdout, stderr, detach_keys, size: _ } = exec.config;
    let (running, exit_code, pid) = match exec.state {
        ExecState::Created => (false, None, 0),
        ExecState::Running(pid) => (true, None, pid),
        ExecState::Ended(code) => (false, Some(code), 0),
    };
    let mut args = what.args.into_iter();
    let answer = ExecInspect {
        id: exec.id.to_string(),
        running,
        exit_code,
        process: ProcessConfig {
            tty: what.tty,
            entrypoint: args.next().unwrap_or_default(),
            arguments: args.collect(),
            privileged,
            user: what.user,
        },
        open_stdin: what.open_stdin,
        open_stderr: stderr,
        open_stdout: stdout,
        can_remove: false,
        container_id: exec.container.to_string(),
        detach_keys: match &*detach_keys {
            keys if keys == detach::DEFAULT => String::new(),
            keys => String::from_utf8_lossy(keys).into_owned(),
        },
        pid,
    };
    call.reply_json(200, &answer)
}

pub(super) fn resize(call: &mut Call<'_, '_>) -> Result<()> {
    let (rows, columns) = containers::size(call)?;
    call.engine().exec_resize(call.name, rows, columns)?;
    call.reply_empty(200)
}
