//! From method and path to handler: one table, read top to bottom.

use super::call::Call;
use super::guard::Body;
use super::{attach, containers, exec, images, networks, old, streams, system};
use crate::base::{Error, Kind, Result};
use crate::wire::old::Route as Failures;

/// A route that is served.
pub(super) struct Route {
    method: &'static str,
    /// `{name}` stands for any text, slashes included; at most once.
    pattern: &'static str,
    pub(super) body: Body,
    pub(super) serve: fn(&mut Call<'_, '_>) -> Result<()>,
    /// How versions 1.0 to 1.6 tell its failures.
    pub(super) failures: Failures,
}

const fn route(
    method: &'static str,
    pattern: &'static str,
    serve: fn(&mut Call<'_, '_>) -> Result<()>,
) -> Route {
    Route { method, pattern, body: Body::Json, serve, failures: Failures::Other }
}

pub(super) const fn get(
    pattern: &'static str,
    serve: fn(&mut Call<'_, '_>) -> Result<()>,
) -> Route {
    route("GET", pattern, serve)
}

const fn head(pattern: &'static str, serve: fn(&mut Call<'_, '_>) -> Result<()>) -> Route {
    route("HEAD", pattern, serve)
}

pub(super) const fn post(
    pattern: &'static str,
    serve: fn(&mut Call<'_, '_>) -> Result<()>,
) -> Route {
    route("POST", pattern, serve)
}

pub(super) const fn delete(
    pattern: &'static str,
    serve: fn(&mut Call<'_, '_>) -> Result<()>,
) -> Route {
    route("DELETE", pattern, serve)
}

pub(super) const fn with(body: Body, route: Route) -> Route {
    Route { body, ..route }
}

pub(super) const fn failing(failures: Failures, route: Route) -> Route {
    Route { failures, ..route }
}

/// What is served. Fixed paths stand before patterns that would take them for a name.
static ROUTES: &[Route] = &[
    get("/_ping", system::ping),
    head("/_ping", system::ping),
    get("/version", system::version),
    get("/info", system::info),
    get("/events", streams::events),
    get("/system/df", system::usage),
    get("/containers/json", containers::list),
    get("/containers/{name}/json", containers::inspect),
    get("/containers/{name}/logs", streams::logs),
    get("/containers/{name}/stats", streams::stats),
    get("/containers/{name}/top", containers::top),
    post("/containers/create", containers::create),
    post("/containers/prune", containers::prune),
    post("/containers/{name}/start", containers::start),
    post("/containers/{name}/stop", containers::stop),
    post("/containers/{name}/restart", containers::restart),
    post("/containers/{name}/kill", containers::kill),
    post("/containers/{name}/pause", containers::pause),
    post("/containers/{name}/unpause", containers::unpause),
    post("/containers/{name}/update", containers::update),
    post("/containers/{name}/wait", streams::wait),
    post("/containers/{name}/rename", containers::rename),
    post("/containers/{name}/resize", containers::resize),
    with(Body::Hijacked, post("/containers/{name}/attach", attach::attach)),
    post("/containers/{name}/exec", exec::create),
    post("/exec/{name}/start", exec::start),
    post("/exec/{name}/resize", exec::resize),
    get("/exec/{name}/json", exec::inspect),
    get("/containers/{name}/attach/ws", attach::websocket),
    delete("/containers/{name}", containers::remove),
    get("/networks", networks::list),
    post("/networks/create", networks::create),
    post("/networks/prune", networks::prune),
    get("/networks/{name}", networks::inspect),
    delete("/networks/{name}", networks::remove),
    post("/networks/{name}/connect", networks::connect),
    post("/networks/{name}/disconnect", networks::disconnect),
    get("/images/json", images::list),
    get("/images/{name}/json", images::inspect),
    get("/images/{name}/history", images::history),
    with(Body::Tar, post("/images/create", images::create)),
    post("/images/{name}/tag", images::tag),
    delete("/images/{name}", images::remove),
];

/// What today's engines serve and this one does not, by method (empty is any) and pattern, with
/// the family's name.
static UNSERVED: &[(&str, &str, &str)] = &[
    ("GET", "/images/search", "search"),
    ("GET", "/containers/{name}/changes", "diff"),
    ("GET", "/containers/{name}/export", "export"),
    ("", "/containers/{name}/archive", "cp"),
    ("POST", "/containers/{name}/copy", "cp"),
    ("POST", "/commit", "commit"),
    ("POST", "/build", "build"),
    ("POST", "/build/{name}", "build"),
    ("POST", "/session", "a build session"),
    ("POST", "/grpc", "a build session"),
    ("GET", "/images/get", "save"),
    ("GET", "/images/{name}/get", "save"),
    ("POST", "/images/load", "load"),
    ("POST", "/images/prune", "prune"),
    ("POST", "/images/{name}/push", "push"),
    ("", "/volumes", "the family of volumes"),
    ("", "/volumes/{name}", "the family of volumes"),
    ("", "/plugins", "the family of plugins"),
    ("", "/plugins/{name}", "the family of plugins"),
    ("GET", "/distribution/{name}", "distribution"),
    ("POST", "/auth", "login"),
];

/// First path elements of what only a cluster's manager serves.
const SWARM: &[&str] = &["swarm", "nodes", "services", "tasks", "secrets", "configs"];

/// What a request comes to.
pub(super) enum Found<'p> {
    /// A handler, and what stands for `{name}`.
    Served(&'static Route, &'p str),
    /// Nothing, and why.
    Refused(Error),
}

/// Splits `/v1.41/info` into the version's text and `/info`.
pub(super) fn split_version(path: &str) -> (Option<&str>, &str) {
    let split = path.strip_prefix("/v").and_then(|rest| {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        (digits > 0 && rest[digits..].starts_with('/')).then(|| rest.split_at(digits))
    });
    match split {
        Some((version, rest)) => (Some(version), rest),
        None => (None, path),
    }
}

/// The handler of `method` and `path`, which carries no version, among those of versions 1.0 to
/// 1.6 or of today.
pub(super) fn find<'p>(method: &str, path: &'p str, of_old: bool) -> Found<'p> {
    let (routes, unserved) = if of_old { (old::ROUTES, old::UNSERVED) } else { (ROUTES, UNSERVED) };
    let matches = |pattern| matches(pattern, path, of_old);
    // What is not served comes first where a name of a served pattern would take its path.
    let unserved = unserved
        .iter()
        .find(|(m, pattern, _)| (m.is_empty() || *m == method) && matches(pattern).is_some());
    if let Some((_, _, family)) = unserved {
        // `docker inspect NAME` asks one family after the other and goes on after these words.
        return Found::Refused(Error::not_implemented(format!("{family} is not supported yet")));
    }
    for route in routes.iter().filter(|route| route.method == method) {
        if let Some(name) = matches(route.pattern) {
            return Found::Served(route, name);
        }
    }
    if of_old {
        return Found::Refused(Error::new(Kind::NotFound, "404 page not found"));
    }
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if SWARM.contains(&first) {
        return Found::Refused(Error::new(
            Kind::Unavailable,
            "This node is not a swarm manager. Clustering is not part of this engine.",
        ));
    }
    Found::Refused(Error::new(Kind::NotFound, "page not found"))
}

/// What stands for `{name}` when `path` is of `pattern`; empty for a pattern without. In old
/// versions it may be any text, even none.
fn matches<'p>(pattern: &str, path: &'p str, of_old: bool) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once("{name}") else {
        return (pattern == path).then_some("");
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    if of_old {
        return Some(name);
    }
    // Names of containers are shown with a slash in front, and some clients send it.
    let name = name.trim_start_matches('/');
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> String {
        let (version, path) = split_version(path);
        let version = version.map(|v| format!("v{v} ")).unwrap_or_default();
        match find(method, path, false) {
            Found::Served(route, name) => format!("{version}{} {name}", route.pattern),
            Found::Refused(error) => format!("{version}{:?} {error}", error.kind()),
        }
    }

    #[test]
    fn paths_find_their_handlers() {
        let check = |method: &str, path: &str, expected: &str| {
            assert_eq!(found(method, path).trim_end(), expected, "{method} {path}");
        };
        check("GET", "/_ping", "/_ping");
        check("HEAD", "/v1.41/_ping", "v1.41 /_ping");
        check("GET", "/containers/json", "/containers/json");
        check("GET", "/containers/web/json", "/containers/{name}/json web");
        check("GET", "/containers//web/json", "/containers/{name}/json web");
        check(
            "GET",
            "/images/localhost:5000/me/app/json",
            "/images/{name}/json localhost:5000/me/app",
        );
        check("DELETE", "/v1.24/images/a/b:c", "v1.24 /images/{name} a/b:c");
        check("POST", "/containers/create", "/containers/create");
        check("POST", "/containers/x/attach", "/containers/{name}/attach x");
        check("GET", "/vault/json", "NotFound page not found");
        check("GET", "/v1.41", "NotFound page not found");
        check("GET", "/", "NotFound page not found");
        check("PUT", "/info", "NotFound page not found");
        check("GET", "/containers//json", "NotFound page not found");
    }

    #[test]
    fn every_family_of_today_has_an_answer_of_its_own() {
        for (method, path) in [
            ("POST", "/build"),
            ("POST", "/build/prune"),
            ("POST", "/commit"),
            ("GET", "/containers/x/export"),
            ("GET", "/containers/x/changes"),
            ("HEAD", "/containers/x/archive"),
            ("PUT", "/containers/x/archive"),
            ("GET", "/images/search"),
            ("POST", "/images/a/b/push"),
            ("GET", "/images/a/b/get"),
            ("GET", "/images/get"),
            ("POST", "/images/load"),
            ("POST", "/images/prune"),
            ("DELETE", "/volumes/data"),
            ("GET", "/plugins"),
            ("GET", "/distribution/a/b/json"),
            ("POST", "/auth"),
            ("POST", "/session"),
        ] {
            let answer = found(method, path);
            assert!(answer.starts_with("NotImplemented "), "{method} {path}: {answer}");
        }
        for path in ["/swarm", "/services/x", "/nodes", "/tasks", "/secrets/create", "/configs"] {
            let answer = found("GET", path);
            assert!(
                answer.starts_with("Unavailable This node is not a swarm manager."),
                "{answer}"
            );
        }
    }

    #[test]
    fn no_served_route_is_hidden_by_an_unserved_one() {
        for (routes, of_old) in [(ROUTES, false), (old::ROUTES, true)] {
            for route in routes {
                let path = route.pattern.replace("{name}", "some/name");
                let found = find(route.method, &path, of_old);
                let right = matches!(found, Found::Served(r, _) if r.pattern == route.pattern);
                assert!(right, "{path}");
            }
        }
    }

    #[test]
    fn old_versions_have_a_table_of_their_own() {
        let served = |method: &str, path: &'static str| match find(method, path, true) {
            Found::Served(_, name) => Some(name),
            Found::Refused(_) => None,
        };
        assert_eq!(served("GET", "/containers/ps"), Some(""));
        assert_eq!(served("DELETE", "/containers/"), Some(""));
        assert_eq!(served("GET", "/images/localhost:5000/a/json"), Some("localhost:5000/a"));
        for (method, path) in [
            ("GET", "/_ping"),
            ("HEAD", "/info"),
            ("PUT", "/containers/create"),
            ("GET", "/auth"),
            ("GET", "/containers/x/logs"),
            ("GET", "/info/"),
        ] {
            assert_eq!(served(method, path), None, "{method} {path}");
        }
    }
}
