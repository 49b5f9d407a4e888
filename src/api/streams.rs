//! Calls whose answers come in pieces, or late: logs, events, stats, wait.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use super::call::{Call, json};
use super::render;
use crate::base::{Error, Kind, Result};
use crate::engine::{EventQuery, LogQuery, Patience, Sample, WaitCondition};
use crate::model::LogDriver;
use crate::wire::container::{WaitError, WaitResponse};
use crate::wire::query;

/// Type of a stream without frames.
pub(super) const RAW: &str = "application/vnd.docker.raw-stream";
/// Type of a stream of frames.
pub(super) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// Type of the output of a container with or without a terminal.
pub(super) fn content_type(call: &Call<'_, '_>, tty: bool) -> &'static str {
    if !tty && call.answers().multiplexed_type { MULTIPLEXED } else { RAW }
}

pub(super) fn logs(call: &mut Call<'_, '_>) -> Result<()> {
    let (stdout, stderr) = (call.flag("stdout"), call.flag("stderr"));
    if !(stdout || stderr) {
        return Err(Error::bad_parameter("Bad parameters: you must choose at least one stream"));
    }
    let snapshot = call.engine().get(call.name)?;
    let record = &snapshot.record;
    if record.host.log.driver == LogDriver::None {
        return Err(Error::not_implemented("configured logging driver does not support reading"));
    }
    let query = LogQuery {
        stdout,
        stderr,
        follow: call.flag("follow"),
        timestamps: call.flag("timestamps"),
        since: query::time("since", call.exchange.head.query.get("since"))?,
        until: query::time("until", call.exchange.head.query.get("until"))?,
        // `all`, nothing, and what is no number mean all, as in Docker.
        tail: call.text("tail").parse().ok(),
        framed: !record.config.tty,
    };
    let content_type = content_type(call, record.config.tty);
    let engine = call.engine();
    let client = call.exchange.watch();
    let patience = Patience { deadline: None, client: Some(client.as_fd()) };
    let mut stream = call.exchange.stream(200, content_type)?;
    let outcome = engine.logs(record.id.as_str(), &query, &mut stream, patience);
    if outcome.is_err() {
        stream.fail();
    }
    outcome
}

pub(super) fn events(call: &mut Call<'_, '_>) -> Result<()> {
    let query = EventQuery {
        since: query::time("since", call.exchange.head.query.get("since"))?,
        until: query::time("until", call.exchange.head.query.get("until"))?,
        filters: call.filters()?,
    };
    let mut events = call.engine().events(query)?;
    let client = call.exchange.watch();
    let patience = Patience { deadline: None, client: Some(client.as_fd()) };
    let mut stream = call.exchange.stream(200, "application/json")?;
    loop {
        match events.next(patience) {
            Ok(Some(event)) => stream.write_all(&json(&render::event(&event)))?,
            Ok(None) => return Ok(()),
            Err(error) => {
                stream.fail();
                return Err(error);
            }
        }
    }
}

/// One sample each second, or one that is compared with that of a second before, or one alone.
pub(super) fn stats(call: &mut Call<'_, '_>) -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(1);
    let query = &call.exchange.head.query;
    let stream = query.get("stream").is_none_or(|text| query::boolean(Some(text)));
    let alone = call.flag("one-shot");
    if stream && alone {
        return Err(Error::bad_parameter("cannot have stream=true and one-shot=true"));
    }
    let samples = call.engine().stats(call.name)?;
    if !stream {
        let mut before = samples.sample();
        let now = match (&before, alone) {
            (Some(_), false) => {
                call.patiently(|patience| samples.pause(PAUSE, patience))?;
                samples.sample()
            }
            (None, true) => {
                let id = &samples.record().id;
                return Err(Error::conflict(format!("container {id} is not running")));
            }
            _ => before.take(),
        };
        let (before, now) = (before.unwrap_or_default(), now.unwrap_or_default());
        return call.reply_bytes(200, render::stats::stats(&samples.record(), &before, &now));
    }
    let client = call.exchange.watch();
    let patience = Patience { deadline: None, client: Some(client.as_fd()) };
    let mut out = call.exchange.stream(200, "application/json")?;
    let mut before = Sample::default();
    loop {
        let now = samples.sample().unwrap_or_default();
        out.write_all(&render::stats::stats(&samples.record(), &before, &now))?;
        before = now;
        match samples.pause(PAUSE, patience) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                out.fail();
                return Err(error);
            }
        }
    }
}

pub(super) fn wait(call: &mut Call<'_, '_>) -> Result<()> {
    let condition = match call.text("condition") {
        _ if !call.answers().condition_of_wait => WaitCondition::NotRunning,
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(Error::bad_parameter(format!("invalid condition: {other:?}"))),
    };
    let waiter = call.engine().wait(call.name, condition)?;
    let client = call.exchange.watch();
    let patience = Patience { deadline: None, client: Some(client.as_fd()) };
    // The head goes out before the wait: clients start the container when they have seen it.
    let mut stream = call.exchange.stream(200, "application/json")?;
    let answer = match waiter.wait(patience) {
        Ok((code, error)) => WaitResponse {
            status_code: code.into(),
            error: error.map(|message| WaitError { message }),
        },
        Err(error) if error.kind() == Kind::ClientGone => {
            stream.fail();
            return Err(error);
        }
        Err(error) => {
            WaitResponse { status_code: -1, error: Some(WaitError { message: error.to_string() }) }
        }
    };
    Ok(stream.write_all(&json(&answer))?)
}
