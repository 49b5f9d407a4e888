//! The daemon itself.

use std::io::Write;
use std::os::fd::AsFd;

use super::super::call::Call;
use super::super::render;
use super::{answers, reply};
use crate::base::{Error, Result, Timestamp};
use crate::engine::{Engine, EventQuery, Patience};
use crate::wire::old::{self, system as wire};

pub(super) fn info(call: &mut Call<'_, '_>) -> Result<()> {
    let info = render::system::info(call.engine().info());
    reply(call, 200, &wire::Info::from_canonical(info))
}

pub(super) fn version(call: &mut Call<'_, '_>) -> Result<()> {
    let version = render::system::version("");
    reply(call, 200, &wire::Version::from_canonical(version))
}

/// Those of before from `since` on, and all that come.
pub(super) fn events(call: &mut Call<'_, '_>) -> Result<()> {
    let since: i64 = call.text("since").parse().unwrap_or_default();
    let since = (since != 0).then_some(Timestamp { seconds: since, nanos: 0 });
    let mut events = call.engine().events(EventQuery { since, ..EventQuery::default() })?;
    let engine = call.engine();
    let client = call.exchange.watch();
    let patience = Patience { deadline: None, client: Some(client.as_fd()) };
    let mut stream = call.exchange.stream(200, "application/json")?;
    loop {
        match events.next(patience) {
            Ok(Some(event)) => {
                if let Some(mut event) = wire::Event::from_canonical(&render::event(&event)) {
                    event.from = shown_name(engine, event.from);
                    stream.write_all(&old::json(&event))?;
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => {
                stream.fail();
                return Err(error);
            }
        }
    }
}

/// The name under which the image that was typed as `typed` is listed.
fn shown_name(engine: &Engine, typed: String) -> String {
    let names = engine.image(&typed).map(|image| engine.image_names(&image.id));
    names.ok().and_then(|names| names.into_iter().next()).unwrap_or(typed)
}

pub(super) fn auth(call: &mut Call<'_, '_>) -> Result<()> {
    old::read::<serde::de::IgnoredAny>(&call.body()?)?;
    Err(Error::not_implemented("login is not supported yet"))
}

pub(super) fn build(call: &mut Call<'_, '_>) -> Result<()> {
    if !answers(call).build {
        return Err(Error::bad_parameter(
            "Multipart upload for build is no longer supported. Please upgrade your docker client.",
        ));
    }
    Err(Error::not_implemented("build is not supported yet"))
}
