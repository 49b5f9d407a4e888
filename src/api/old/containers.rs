//! Containers.

use super::super::Api;
use super::super::call::Call;
use super::super::render::container as render;
use super::{answers, find, flag, images, is_type, reply, wrapped};
use crate::base::{Error, Kind, Result, Timestamp};
use crate::container::{Change, State};
use crate::engine::{
    CreateRequest, ListQuery, RemoveHow, Snapshot, StopHow, UNKNOWN_CODE, WaitCondition, top_titles,
};
use crate::model::Signal;
use crate::wire::old::{self, config, container as wire};

/// Exit code of a run whose end nobody saw.
const LOST: i32 = -127;

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let (all, size) = (flag(call, "all")?, flag(call, "size")?);
    let selected = select(call, all)?;
    let (engine, today, now) = (call.engine(), call.answers(), Timestamp::now());
    let port_list = answers(call).port_list;
    let mut list = Vec::with_capacity(selected.len());
    for snapshot in &selected {
        let record = &snapshot.record;
        let mut line = render::summary(snapshot, None, now, today);
        if size {
            match engine.size(record.id.as_str()) {
                Ok(size) => render::add_size(size, &mut line.size_rw, &mut line.size_root_fs),
                Err(error) if error.kind() == Kind::NotFound => continue, // gone meanwhile
                Err(error) => return Err(error),
            }
        }
        let name = engine.image_names(&record.image).into_iter().next();
        let status = status(snapshot, &line.status, now);
        let line = wire::Summary::from_canonical(&line, name, &record.argv(), status, port_list);
        list.push(line);
    }
    reply(call, 200, &list[..])
}

/// Which containers are shown, newest first. Any of `limit`, `since` and `before` brings stopped
/// ones in as well.
fn select(call: &Call<'_, '_>, all: bool) -> Result<Vec<Snapshot>> {
    let engine = call.engine();
    let limit: i64 = call.text("limit").parse().unwrap_or(-1);
    // Any unambiguous beginning of an id; what means nothing matches nothing.
    let id = |name: &str| match call.text(name) {
        "" => None,
        text => Some(engine.get(text).map_or_else(|_| String::new(), |s| s.record.id.to_string())),
    };
    let (since, mut before) = (id("since"), id("before"));
    let any = all || limit != -1 || since.is_some() || before.is_some();
    let mut selected = Vec::new();
    for snapshot in engine.list(&ListQuery { all: any, ..ListQuery::default() })? {
        let own = snapshot.record.id.as_str();
        if let Some(wanted) = &before {
            if wanted == own {
                before = None;
            }
            continue;
        }
        let enough = usize::try_from(limit).is_ok_and(|limit| selected.len() >= limit);
        if enough || since.as_deref() == Some(own) {
            break;
        }
        selected.push(snapshot);
    }
    Ok(selected)
}

/// `Up 5 minutes` or `Exit 0`; `today` for what was not known then.
fn status(snapshot: &Snapshot, today: &str, now: Timestamp) -> String {
    match snapshot.state {
        State::Running { since, paused: false, .. } => {
            format!("Up {}", wire::age(now.since(since)))
        }
        State::Running { paused: true, .. } | State::Restarting { .. } => today.to_owned(),
        _ => format!("Exit {}", exit_code(&snapshot.state)),
    }
}

fn exit_code(state: &State) -> i32 {
    match state {
        State::Created { code, .. } => *code,
        State::Exited { code, .. } | State::Restarting { code, .. } => code.unwrap_or(LOST),
        State::Starting | State::Running { .. } | State::Removing => 0,
    }
}

pub(super) fn inspect(call: &mut Call<'_, '_>) -> Result<()> {
    let snapshot = find(call)?;
    if images::resolve(call.engine(), call.name).is_some() {
        return Err(Error::conflict("Conflict between containers and images"));
    }
    let Api { options, driver, .. } = call.api;
    let whole = render::inspect(&snapshot, Vec::new(), options, driver, call.answers());
    let program = std::env::current_exe().unwrap_or_default();
    let code = exit_code(&snapshot.state);
    let inspect = wire::Inspect::from_canonical(&whole, code, program.display().to_string());
    reply(call, 200, &inspect)
}

pub(super) fn top(call: &mut Call<'_, '_>) -> Result<()> {
    if !answers(call).top {
        return Err(Error::bad_parameter(
            "top was improved a lot since 1.3, please upgrade your docker client",
        ));
    }
    let id = find(call)?.record.id.clone();
    // ps(1) without options shows these columns; what it selects does not matter.
    let arguments = match call.text("ps_args") {
        "" => "-A",
        given => given,
    };
    let (titles, rows) = match call.engine().top(id.as_str(), arguments) {
        Err(error) if error.kind() == Kind::Conflict => (top_titles(arguments)?, Vec::new()),
        result => result?,
    };
    reply(call, 200, &wire::Top::new(titles, rows))
}

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<()> {
    let wanted: config::Config = old::read(&call.body()?)?;
    let engine = call.engine();
    let Some(image) = images::resolve(engine, &wanted.image) else {
        let (name, tag) = old::split_name(&wanted.image);
        let tag = if tag.is_empty() { "latest" } else { tag };
        return Err(Error::no_such("image", format!("{name} (tag: {tag})")));
    };
    let networked = !wanted.network_disabled;
    let today = wanted.into_request()?;
    let (mut config, _) = today.config.into_model()?;
    let (mut host, log_given) = today.host_config.into_model()?;
    let mut warnings = Vec::new();
    if networked && host.dns.is_empty() {
        if let Some(servers) = engine.fallback_dns() {
            let [one, other] = servers;
            warnings.push(format!(
                "The host's name servers cannot be reached from a container. Default servers are \
                 used: [{one} {other}]"
            ));
            host.dns = servers.map(str::to_owned).to_vec();
        }
    }
    // What the merge of today does otherwise.
    let own = &image.config;
    if config.cmd.as_ref().is_none_or(Vec::is_empty) {
        config.cmd.clone_from(&own.cmd);
    }
    config.tty |= own.tty;
    config.open_stdin |= own.open_stdin;
    config.stdin_once |= own.stdin_once;
    let entrypoint = config.entrypoint.as_ref().or(own.entrypoint.as_ref());
    if config.cmd.iter().chain(entrypoint).all(Vec::is_empty) {
        return Err(Error::bad_parameter("No command specified"));
    }
    if engine.image(&config.image).map_or(true, |other| other.id != image.id) {
        config.image = image.id.to_string(); // the engine takes the name otherwise
    }
    let request = CreateRequest { config, host, log_given, ..CreateRequest::default() };
    let created = engine.create(request)?;
    warnings.extend(created.warnings);
    if networked && !engine.info().ipv4_forwarding {
        warnings.push("IPv4 forwarding is disabled.".into());
    }
    reply(call, 201, &wire::Created { id: created.id.short().to_owned(), warnings })
}

pub(super) fn start(call: &mut Call<'_, '_>) -> Result<()> {
    let given = call.exchange.head.headers.get("Content-Type").unwrap_or_default();
    let host = match is_type(given, "application/json") {
        true => Some(old::read::<config::HostConfig>(&call.body()?)?),
        false => None,
    };
    let id = find(call)?.record.id.clone();
    if let Some(limits) = host.map_or(Ok(None), config::HostConfig::limits)? {
        let (host, _) = limits.into_model()?;
        let change = Change { host, ..Change::default() };
        call.patiently(|patience| call.engine().update(id.as_str(), &change, patience))?;
    }
    let started = call.patiently(|patience| call.engine().start(id.as_str(), patience));
    let started = started.map_err(|error| match error.kind() {
        Kind::NotModified => Error::conflict(format!("The container {id} is already running.")),
        _ => error,
    });
    wrapped(call, "starting", begun(started))?;
    call.reply_empty(204)
}

/// A program that cannot be started is no failure: it ends at once, with 127 or 126, as then.
fn begun(result: Result<()>) -> Result<()> {
    result.or_else(|error| match error.kind() {
        Kind::ProgramNotFound | Kind::ProgramNotExecutable => Ok(()),
        _ => Err(error),
    })
}

/// Seconds before SIGKILL; what is no such number is the container's own, else 10.
fn stop_how(call: &Call<'_, '_>) -> StopHow {
    let timeout = call.text("t").parse().ok().filter(|seconds| *seconds >= 0);
    StopHow { signal: None, timeout }
}

pub(super) fn stop(call: &mut Call<'_, '_>) -> Result<()> {
    let id = find(call)?.record.id.clone();
    let how = stop_how(call);
    let stopped = call.patiently(|patience| call.engine().stop(id.as_str(), how, patience));
    wrapped(call, "stopping", stopped)?;
    call.reply_empty(204)
}

pub(super) fn restart(call: &mut Call<'_, '_>) -> Result<()> {
    let id = find(call)?.record.id.clone();
    let how = stop_how(call);
    let restarted = call.patiently(|patience| call.engine().restart(id.as_str(), how, patience));
    wrapped(call, "restarting", begun(restarted))?;
    call.reply_empty(204)
}

pub(super) fn kill(call: &mut Call<'_, '_>) -> Result<()> {
    let id = find(call)?.record.id.clone();
    let killed = match call.engine().kill(id.as_str(), Signal::KILL) {
        Err(error) if error.kind() == Kind::Conflict => Ok(()), // it does not run
        result => result,
    };
    wrapped(call, "killing", killed)?;
    call.reply_empty(204)
}

pub(super) fn wait(call: &mut Call<'_, '_>) -> Result<()> {
    let id = find(call)?.record.id.clone();
    let waiter = call.engine().wait(id.as_str(), WaitCondition::NotRunning)?;
    let (code, _) = call.patiently(|patience| waiter.wait(patience))?;
    // Nobody but the state can tell an end that was not seen from one with that code.
    let lost = || call.engine().get(id.as_str()).is_ok_and(|now| exit_code(&now.state) == LOST);
    let status_code = if code == UNKNOWN_CODE && lost() { LOST } else { code };
    reply(call, 200, &wire::Waited { status_code })
}

pub(super) fn resize(call: &mut Call<'_, '_>) -> Result<()> {
    // The number is cut off, as then.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let side = |name: &str| old::integer(call.text(name)).map(|number| number as u16);
    let (rows, columns) = (side("h")?, side("w")?);
    let id = find(call)?.record.id.clone();
    call.engine().resize(id.as_str(), rows, columns)?;
    call.reply_empty(200)
}

pub(super) fn remove(call: &mut Call<'_, '_>) -> Result<()> {
    let how = RemoveHow { force: false, volumes: flag(call, "v")? };
    let snapshot = find(call)?;
    let id = snapshot.record.id.as_str();
    let removed = call.patiently(|patience| call.engine().remove(id, how, patience));
    removed.map_err(|error| match error.kind() {
        Kind::Conflict if !matches!(snapshot.state, State::Removing) => {
            Error::conflict("Impossible to remove a running container, please stop it first")
        }
        _ => error,
    })?;
    call.reply_empty(204)
}
