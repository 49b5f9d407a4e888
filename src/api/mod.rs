//! The REST face of the daemon: parse, call `engine`, render.
//!
//! - No comparison of versions: what depends on one is in `wire`.
//! - No state of its own.
//! - What is refused is refused before the body is read.

mod attach;
mod call;
mod changes;
mod containers;
mod exec;
mod guard;
mod images;
mod networks;
mod old;
mod render;
mod router;
mod status;
mod streams;
mod system;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use call::Call;
use router::Found;

use crate::base::{Error, Kind, Result};
use crate::engine::Engine;
use crate::http::{Exchange, Handler, Reply};
use crate::wire::{Version, old as wire_old, system as wire_system};

/// What the handler is told by the daemon.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Answer requests of browsers from other origins.
    pub cors: bool,
    /// Names, beyond addresses and `localhost`, that a `Host` header may carry over tcp.
    pub hosts: Vec<String>,
    /// Data root.
    pub root: PathBuf,
    /// Directory of run-time files.
    pub run_root: PathBuf,
}

/// Answers the API's requests.
pub struct Api {
    engine: Arc<Engine>,
    options: Options,
    /// `overlay2` or `vfs`; found once, when the engine was opened.
    driver: String,
}

impl Api {
    /// A handler for any number of listeners.
    pub fn new(engine: Arc<Engine>, options: Options) -> Api {
        let driver = engine.info().driver;
        Api { engine, options, driver }
    }

    /// Answers, or leaves that to the caller with an error and, for versions 1.0 to 1.6, how
    /// they tell it.
    fn dispatch(
        &self,
        exchange: &mut Exchange<'_>,
        of_old: &mut Option<wire_old::Route>,
    ) -> Result<()> {
        let whole = crate::http::head::percent_decode(&exchange.head.path)
            .ok_or_else(|| Error::bad_parameter("invalid URL escape in the path"))?;
        let (version, path) = router::split_version(&whole);
        let version = version.map_or(Ok(Version::NEWEST), Version::of_path);
        if version.as_ref().is_ok_and(|version| version.old().is_some()) {
            *of_old = Some(wire_old::Route::Other);
            exchange.extra = self.old_headers();
        }
        guard::check_origin(exchange, &self.options)?;
        if exchange.head.method == "OPTIONS" {
            return Ok(exchange.reply(Reply { status: 200, ..Reply::default() })?);
        }
        let version = version?;
        if let Some(clean) = wire_old::cleaned(&whole).filter(|_| of_old.is_some()) {
            exchange.extra.clear();
            return Ok(exchange.reply(old::redirect(clean))?);
        }
        match router::find(&exchange.head.method, path, of_old.is_some()) {
            Found::Served(route, name) => {
                if let Some(failures) = of_old {
                    *failures = route.failures;
                }
                guard::check_body(exchange, route.body)?;
                if route.body == guard::Body::Form {
                    old::take_form(exchange)?;
                }
                let mut call = Call { api: self, exchange, name, version, large: false };
                let served = (route.serve)(&mut call);
                if call.large {
                    crate::sys::memory::trim();
                }
                served
            }
            Found::Refused(error) => {
                if of_old.is_some() && error.kind() == Kind::NotFound {
                    exchange.extra.clear(); // no route, no headers of routes
                }
                Err(error)
            }
        }
    }

    /// Headers of every answer to a version of today.
    fn headers(&self) -> Vec<(String, String)> {
        let mut all = vec![
            header(wire_system::API_VERSION_HEADER, wire_system::API_VERSION),
            header("Docker-Experimental", "false"),
            header("Ostype", "linux"),
        ];
        if self.options.cors {
            all.extend([
                header("Access-Control-Allow-Origin", "*"),
                header(
                    "Access-Control-Allow-Headers",
                    "Origin, X-Requested-With, Content-Type, Accept, X-Registry-Auth",
                ),
                header("Access-Control-Allow-Methods", "HEAD, GET, POST, DELETE, PUT, OPTIONS"),
            ]);
        }
        all
    }

    fn old_headers(&self) -> Vec<(String, String)> {
        let cors = if self.options.cors { wire_old::CORS } else { &[] };
        cors.iter().map(|(name, value)| header(name, value)).collect()
    }

    /// Answers with `error`, unless an answer has been begun: then the connection ends.
    fn fail(
        exchange: &mut Exchange<'_>,
        error: &Error,
        of_old: Option<wire_old::Route>,
    ) -> io::Result<()> {
        log(&format!("{} {}", exchange.head.method, exchange.head.path), error);
        if error.kind() == Kind::ClientGone || exchange.answered() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        exchange.reply(match of_old {
            Some(route) => old::failure(error, route),
            None => status::reply(error),
        })
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Logs how `what` failed: loudly when it is our fault, else for those who look for it.
fn log(what: &str, error: &Error) {
    match status::of(error.kind()) {
        _ if error.kind() == Kind::ClientGone => crate::debug!("{what}: the client went away"),
        500 => crate::error!("{what}: {error}"),
        status => crate::debug!("{what}: {status}: {error}"),
    }
}

impl Handler for Api {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        exchange.extra = self.headers();
        let mut of_old = None;
        match self.dispatch(exchange, &mut of_old) {
            Ok(()) => Ok(()),
            Err(error) => Api::fail(exchange, &error, of_old),
        }
    }
}
