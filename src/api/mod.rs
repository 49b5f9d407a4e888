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
use crate::wire::{Version, system as wire_system};

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

    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Result<()> {
        guard::check_origin(exchange, &self.options)?;
        if exchange.head.method == "OPTIONS" {
            return Ok(exchange.reply(Reply { status: 200, ..Reply::default() })?);
        }
        let path = crate::http::head::percent_decode(&exchange.head.path)
            .ok_or_else(|| Error::bad_parameter("invalid URL escape in the path"))?;
        let (version, path) = router::split_version(&path);
        let version = version.map_or(Ok(Version::NEWEST), Version::of_path)?;
        match router::find(&exchange.head.method, path) {
            Found::Served(route, name) => {
                guard::check_body(exchange, route.body)?;
                (route.serve)(&mut Call { api: self, exchange, name, version })
            }
            Found::Refused(error) => Err(error),
        }
    }

    /// Answers with `error`, unless an answer has been begun: then the connection ends.
    fn fail(exchange: &mut Exchange<'_>, error: &Error) -> io::Result<()> {
        log(&format!("{} {}", exchange.head.method, exchange.head.path), error);
        if error.kind() == Kind::ClientGone || exchange.answered() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        exchange.reply(status::reply(error))
    }
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
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        exchange.extra = vec![
            header(wire_system::API_VERSION_HEADER, wire_system::API_VERSION),
            header("Docker-Experimental", "false"),
            header("Ostype", "linux"),
        ];
        if self.options.cors {
            exchange.extra.extend([
                header("Access-Control-Allow-Origin", "*"),
                header(
                    "Access-Control-Allow-Headers",
                    "Origin, X-Requested-With, Content-Type, Accept, X-Registry-Auth",
                ),
                header("Access-Control-Allow-Methods", "HEAD, GET, POST, DELETE, PUT, OPTIONS"),
            ]);
        }
        match self.dispatch(exchange) {
            Ok(()) => Ok(()),
            Err(error) => Api::fail(exchange, &error),
        }
    }
}
