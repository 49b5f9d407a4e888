//! Calls about containers that are answered at once.

use std::collections::BTreeMap;

use super::Api;
use super::call::{Call, JsonList};
use super::render::container as render;
use crate::base::{Error, Kind, Result, Timestamp};
use crate::container::Change;
use crate::engine::{CreateRequest, Engine, ListQuery, RemoveHow, Snapshot, StopHow};
use crate::model::Signal;
use crate::wire::container as wire;
use crate::wire::version::Answers;

/// A body of `start` up to this size is no configuration: `{}`, `null`, a newline.
const EMPTY_BODY: usize = 7;
/// What to do about a body that is too long: it is ports that make one so.
const MOST_PORTS: &str = "of one container some 10000 ports can be published: leave some out, or \
                          run it with --network host, where all are reached";

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let limit = call.integer("limit")?.unwrap_or_default();
    let query = ListQuery {
        all: call.flag("all"),
        limit: usize::try_from(limit).unwrap_or_default(),
        filters: call.filters()?,
    };
    let (engine, answers) = (call.engine(), call.answers());
    let found = measured(engine, engine.list(&query)?, call.flag("size"))?;
    let mut list = JsonList::new(call.exchange);
    summaries(engine, answers, &found, &mut |summary| list.push(&summary))?;
    call.large |= list.finish()?;
    Ok(())
}

/// Containers, each with the sizes of its writable layer and of its root when they are wanted.
type Measured = Vec<(Snapshot, Option<(u64, u64)>)>;

/// Adds the sizes; what is gone meanwhile is left out.
pub(super) fn measured(engine: &Engine, all: Vec<Snapshot>, with_size: bool) -> Result<Measured> {
    let mut found = Vec::with_capacity(all.len());
    for snapshot in all {
        let size = match with_size.then(|| engine.size(snapshot.record.id.as_str())) {
            Some(Err(error)) if error.kind() == Kind::NotFound => continue,
            size => size.transpose()?,
        };
        found.push((snapshot, size));
    }
    Ok(found)
}

/// Containers as a list shows them.
pub(super) fn summaries<'a>(
    engine: &Engine,
    answers: Answers,
    found: &'a Measured,
    push: &mut dyn FnMut(wire::Summary<'a>) -> Result<()>,
) -> Result<()> {
    let now = Timestamp::now();
    let mut images = BTreeMap::new();
    for (snapshot, size) in found {
        let typed = snapshot.record.config.image.as_str();
        // The name that the user typed is shown for as long as it means the same image.
        let means = *images.entry(typed).or_insert_with(|| engine.image(typed).ok().map(|i| i.id));
        let mut summary = render::summary(snapshot, means, now, answers);
        if let Some(size) = *size {
            render::add_size(size, &mut summary.size_rw, &mut summary.size_root_fs);
        }
        push(summary)?;
    }
    Ok(())
}

pub(super) fn prune(call: &mut Call<'_, '_>) -> Result<()> {
    let filters = call.filters()?;
    let pruned = call.patiently(|patience| call.engine().prune_containers(&filters, patience))?;
    let ids: Vec<String> = pruned.ids.iter().map(ToString::to_string).collect();
    let answer = wire::PruneResponse {
        containers_deleted: (!ids.is_empty()).then_some(ids),
        space_reclaimed: i64::try_from(pruned.reclaimed).unwrap_or(i64::MAX),
    };
    call.reply_json(200, &answer)
}

pub(super) fn inspect(call: &mut Call<'_, '_>) -> Result<()> {
    let snapshot = call.engine().get(call.name)?;
    let Api { options, driver, .. } = call.api;
    let execs = call.engine().execs_of(&snapshot.record.id);
    let mut inspect = render::inspect(&snapshot, execs, options, driver, call.answers());
    if call.flag("size") {
        let size = call.engine().size(snapshot.record.id.as_str())?;
        render::add_size(size, &mut inspect.size_rw, &mut inspect.size_root_fs);
    }
    call.reply_json(200, &inspect)
}

pub(super) fn top(call: &mut Call<'_, '_>) -> Result<()> {
    let arguments = match call.text("ps_args") {
        "" => "-ef",
        given => given,
    };
    let (titles, processes) = call.engine().top(call.name, arguments)?;
    call.reply_json(200, &wire::TopResponse { processes, titles })
}

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<()> {
    let request = call.body().and_then(|body| wire::CreateRequest::read(&body));
    let wire::CreateRequest { config, mut host_config, networking_config } =
        request.map_err(|error| match error.kind() {
            Kind::TooLong => Error::new(Kind::TooLong, format!("{error}; {MOST_PORTS}")),
            _ => error,
        })?;
    let answers = call.answers();
    if !answers.console_size {
        host_config.console_size = [0, 0];
    }
    if !answers.annotations {
        host_config.annotations.clear();
    }
    if host_config.ipc_mode.is_empty() {
        host_config.ipc_mode = answers.ipc_mode.into();
    }
    let (config, mac_address) = config.into_model()?;
    let (host, log_given) = host_config.into_model()?;
    let mut endpoints = networking_config.into_model()?;
    if !mac_address.is_empty() {
        let network = wire::network_mode_text(&host.network_mode).into_owned();
        endpoints.entry(network).or_default().mac_address = mac_address;
    }
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let request = CreateRequest {
        name: given(call.text("name").trim_start_matches('/')),
        config,
        host,
        log_given,
        endpoints,
        platform: given(call.text("platform")),
    };
    let created = call.engine().create(request)?;
    let answer = wire::CreateResponse { id: created.id.to_string(), warnings: created.warnings };
    call.reply_json(201, &answer)
}

pub(super) fn start(call: &mut Call<'_, '_>) -> Result<()> {
    if call.body()?.len() > EMPTY_BODY {
        return Err(Error::bad_parameter(
            "starting container with non-empty request body was deprecated since API v1.22 and \
             removed in v1.24",
        ));
    }
    if !call.text("checkpoint").is_empty() {
        return Err(Error::not_implemented("starting from a checkpoint is not supported"));
    }
    crate::wire::detach::parse(call.text("detachKeys"))?;
    call.patiently(|patience| call.engine().start(call.name, patience))?;
    call.reply_empty(204)
}

fn stop_how(call: &Call<'_, '_>) -> Result<StopHow> {
    Ok(StopHow { signal: signal(call)?, timeout: call.integer("t")? })
}

fn signal(call: &Call<'_, '_>) -> Result<Option<Signal>> {
    match call.text("signal") {
        "" => Ok(None),
        text => match Signal::parse(text) {
            Some(signal) => Ok(Some(signal)),
            None => Err(Error::bad_parameter(format!("invalid signal: {text}"))),
        },
    }
}

pub(super) fn stop(call: &mut Call<'_, '_>) -> Result<()> {
    let how = stop_how(call)?;
    call.patiently(|patience| call.engine().stop(call.name, how, patience))?;
    call.reply_empty(204)
}

pub(super) fn restart(call: &mut Call<'_, '_>) -> Result<()> {
    let how = stop_how(call)?;
    call.patiently(|patience| call.engine().restart(call.name, how, patience))?;
    call.reply_empty(204)
}

pub(super) fn kill(call: &mut Call<'_, '_>) -> Result<()> {
    let signal = signal(call)?.unwrap_or(Signal::KILL);
    call.engine().kill(call.name, signal)?;
    call.reply_empty(204)
}

pub(super) fn pause(call: &mut Call<'_, '_>) -> Result<()> {
    call.patiently(|patience| call.engine().pause(call.name, patience))?;
    call.reply_empty(204)
}

pub(super) fn unpause(call: &mut Call<'_, '_>) -> Result<()> {
    call.patiently(|patience| call.engine().unpause(call.name, patience))?;
    call.reply_empty(204)
}

pub(super) fn update(call: &mut Call<'_, '_>) -> Result<()> {
    let body = call.body()?;
    let mut host: wire::HostConfig = crate::wire::json::from_request(&body)?;
    let pids_limit = host.pids_limit.take();
    let (host, _) = host.into_model()?;
    let change = Change { host, pids_limit };
    let warnings = call.patiently(|patience| call.engine().update(call.name, &change, patience))?;
    call.reply_json(200, &wire::UpdateResponse { warnings })
}

pub(super) fn rename(call: &mut Call<'_, '_>) -> Result<()> {
    let new = call.text("name").trim_start_matches('/');
    call.engine().rename(call.name, new)?;
    call.reply_empty(204)
}

/// Rows and columns of a terminal.
pub(super) fn size(call: &Call<'_, '_>) -> Result<(u16, u16)> {
    let side = |name: &str| {
        let number = call.integer(name)?.unwrap_or_default();
        u16::try_from(number)
            .map_err(|_| Error::bad_parameter(format!("invalid value for {name}: {number}")))
    };
    Ok((side("h")?, side("w")?))
}

pub(super) fn resize(call: &mut Call<'_, '_>) -> Result<()> {
    let (rows, columns) = size(call)?;
    call.engine().resize(call.name, rows, columns)?;
    call.reply_empty(200)
}

pub(super) fn remove(call: &mut Call<'_, '_>) -> Result<()> {
    if call.flag("link") {
        return Err(Error::not_implemented("removing a link is not supported"));
    }
    let how = RemoveHow { force: call.flag("force"), volumes: call.flag("v") };
    call.patiently(|patience| call.engine().remove(call.name, how, patience))?;
    call.reply_empty(204)
}
