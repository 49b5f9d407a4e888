//! Versions 1.0 to 1.6: what they ask for is done by the same calls of the engine, and answered
//! in the words and shapes of then, which are in `wire::old`.
//!
//! - A failure is a line of text; its status is looked up by kind and route.
//! - Parameters of a `POST` may come in a form, and win over those of the query.

mod attach;
mod containers;
mod images;
mod system;

use super::call::Call;
use super::guard::Body;
use super::router::{Route, delete, failing, get, post, with};
use crate::base::{Context, Error, Kind, Result};
use crate::engine::Snapshot;
use crate::http::{Exchange, Query, Reply};
use crate::wire::old::{self, Route as Failures};

/// Largest form.
const MAX_FORM: usize = 1 << 20;

/// What is served.
pub(super) static ROUTES: &[Route] = &[
    get("/events", system::events),
    get("/info", system::info),
    get("/version", system::version),
    get("/images/json", images::list),
    get("/images/viz", images::viz),
    get("/images/{name}/history", images::history),
    get("/images/{name}/json", images::inspect),
    get("/containers/json", containers::list),
    get("/containers/ps", containers::list),
    get("/containers/{name}/json", containers::inspect),
    failing(Failures::Body, get("/containers/{name}/top", containers::top)),
    get("/containers/{name}/attach/ws", attach::websocket),
    failing(Failures::Body, with(Body::Any, post("/auth", system::auth))),
    failing(Failures::Body, with(Body::Any, post("/build", system::build))),
    with(Body::Form, post("/images/create", images::create)),
    with(Body::Form, post("/images/{name}/tag", images::tag)),
    failing(Failures::Body, with(Body::Any, post("/containers/create", containers::create))),
    failing(
        Failures::Lifecycle,
        with(Body::Any, post("/containers/{name}/kill", containers::kill)),
    ),
    failing(
        Failures::Lifecycle,
        with(Body::Form, post("/containers/{name}/restart", containers::restart)),
    ),
    failing(
        Failures::Lifecycle,
        with(Body::Any, post("/containers/{name}/start", containers::start)),
    ),
    failing(
        Failures::Lifecycle,
        with(Body::Form, post("/containers/{name}/stop", containers::stop)),
    ),
    with(Body::Any, post("/containers/{name}/wait", containers::wait)),
    failing(
        Failures::Body,
        with(Body::Form, post("/containers/{name}/resize", containers::resize)),
    ),
    with(Body::Form, post("/containers/{name}/attach", attach::attach)),
    failing(Failures::Remove, delete("/containers/{name}", containers::remove)),
    delete("/images/{name}", images::remove),
];

/// What was served then and is not here, with the family's name.
pub(super) static UNSERVED: &[(&str, &str, &str)] = &[
    ("GET", "/images/search", "search"),
    ("GET", "/containers/{name}/export", "export"),
    ("GET", "/containers/{name}/changes", "diff"),
    ("POST", "/commit", "commit"),
    ("POST", "/images/{name}/insert", "insert"),
    ("POST", "/images/{name}/push", "push"),
    ("POST", "/containers/{name}/copy", "cp"),
];

/// The answer for `error`.
pub(super) fn failure(error: &Error, route: Failures) -> Reply {
    match old::status(error.kind(), route) {
        204 => Reply { status: 204, ..Reply::default() },
        status => Reply {
            status,
            content_type: old::TEXT,
            headers: Vec::new(),
            body: format!("{error}\n").into_bytes(),
        },
    }
}

/// Where a path that is not clean leads.
pub(super) fn redirect(clean: String) -> Reply {
    Reply { status: 301, headers: vec![("Location".to_owned(), clean)], ..Reply::default() }
}

/// Adds what a form says to the parameters of the query, in front of them. The body is read by
/// this.
pub(super) fn take_form(exchange: &mut Exchange<'_>) -> Result<()> {
    let given = exchange.head.headers.get("Content-Type").unwrap_or_default();
    if !is_type(given, "application/x-www-form-urlencoded") {
        return Ok(());
    }
    let body = exchange.body_bytes(MAX_FORM).map_err(|error| error.with_kind(Kind::Internal))?;
    let form = std::str::from_utf8(&body).ok().and_then(Query::parse);
    let form = form.ok_or_else(|| Error::internal("invalid URL escape in the form"))?;
    exchange.head.query.0.splice(0..0, form.0);
    Ok(())
}

/// Whether `given` is the media type `wanted`, whatever its parameters.
fn is_type(given: &str, wanted: &str) -> bool {
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// A boolean parameter.
fn flag(call: &Call<'_, '_>, name: &str) -> Result<bool> {
    old::boolean(call.text(name))
}

fn reply<T: serde::Serialize + ?Sized>(
    call: &mut Call<'_, '_>,
    status: u16,
    body: &T,
) -> Result<()> {
    call.reply_bytes(status, old::json(body))
}

/// What this version answers.
fn answers(call: &Call<'_, '_>) -> old::Answers {
    call.version.old().expect("the table of routes is for these versions alone")
}

/// The container that the path names: an ambiguous beginning of an id means none.
fn find(call: &Call<'_, '_>) -> Result<Snapshot> {
    call.engine().get(call.name).map_err(|error| match error.kind() {
        Kind::BadParameter => Error::no_such("container", call.name),
        _ => error,
    })
}

/// A failure whose cause changes nothing about its status: `Error stopping container X: CAUSE`.
fn wrapped<T>(call: &Call<'_, '_>, doing: &str, result: Result<T>) -> Result<T> {
    result
        .map_err(|error| match error.kind() {
            Kind::NotFound => error.with_kind(Kind::Internal),
            _ => error,
        })
        .context(|| format!("Error {doing} container {}", call.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_match_without_their_parameters() {
        assert!(is_type("Application/JSON; charset=utf-8", "application/json"));
        assert!(!is_type("application/jsonx", "application/json"));
        assert!(!is_type("", "application/json"));
    }

    #[test]
    fn failures_are_lines_of_text() {
        let reply = failure(&Error::conflict("Conflict, it is so"), Failures::Other);
        assert_eq!((reply.status, reply.content_type), (409, "text/plain; charset=utf-8"));
        assert_eq!(reply.body, b"Conflict, it is so\n");
        let reply = failure(&Error::new(Kind::NotModified, ""), Failures::Lifecycle);
        assert_eq!((reply.status, reply.body.len()), (204, 0));
    }
}
