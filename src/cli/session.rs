//! What the words in front of the command and the environment say: the daemon, the configuration.

use std::cell::OnceCell;
use std::path::PathBuf;

use serde::Deserialize;

use super::args::Args;
use super::client::{Client, DEFAULT_HOST};
use super::fail::Failure;

/// The surroundings of one command.
pub(crate) struct Session {
    globals: Args,
    config: OnceCell<Config>,
    client: OnceCell<Client>,
}

/// What we read of the client's `config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    #[serde(rename = "HttpHeaders")]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(rename = "detachKeys")]
    detach_keys: String,
    #[serde(rename = "psFormat")]
    ps_format: String,
    #[serde(rename = "imagesFormat")]
    images_format: String,
}

impl Session {
    /// The surroundings that `globals`, the words in front of the command, make.
    ///
    /// # Errors
    /// Words that contradict each other.
    pub(crate) fn new(globals: Args) -> Result<Session, Failure> {
        let context = globals.one("context");
        if context.is_some() && !globals.all("host").is_empty() {
            let text = "conflicting options: cannot specify both --host and --context";
            return Err(Failure::new(text));
        }
        let context = context
            .or_else(|| std::env::var("DOCKER_CONTEXT").ok().filter(|name| !name.is_empty()));
        match context.as_deref() {
            None | Some("default") => {}
            Some(name) => return Err(Failure::not_served(&format!("context '{name}'"))),
        }
        Ok(Session { globals, config: OnceCell::new(), client: OnceCell::new() })
    }

    /// Words in front of the command.
    pub(crate) fn globals(&self) -> &Args {
        &self.globals
    }

    /// The daemon.
    ///
    /// # Errors
    /// An address of a kind that is not served; two of them.
    pub(crate) fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let hosts = self.globals.all("host");
        if hosts.len() > 1 {
            return Err(Failure::new("Specify only one -H"));
        }
        if std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty()) {
            return Err(Failure::not_served("DOCKER_TLS_VERIFY"));
        }
        let host = hosts
            .into_iter()
            .next()
            .or_else(|| std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()))
            .unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let headers = self.config().headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let client = Client::new(&host, headers)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Keys that end an attached session, when the user set them.
    pub(crate) fn detach_keys(&self, args: &Args) -> Option<String> {
        let configured = &self.config().detach_keys;
        args.one("detach-keys")
            .or_else(|| (!configured.is_empty()).then(|| configured.clone()))
            .filter(|keys| !keys.is_empty())
    }

    /// The format of `ps`, from its flag or the configuration.
    pub(crate) fn ps_format(&self, args: &Args) -> String {
        args.one("format").unwrap_or_else(|| self.config().ps_format.clone())
    }

    /// The format of `images`, likewise.
    pub(crate) fn images_format(&self, args: &Args) -> String {
        args.one("format").unwrap_or_else(|| self.config().images_format.clone())
    }

    /// `config.json`; most hosts have none.
    fn config(&self) -> &Config {
        self.config.get_or_init(|| {
            let directory = self
                .globals
                .one("config")
                .map(PathBuf::from)
                .or_else(|| std::env::var_os("DOCKER_CONFIG").map(PathBuf::from))
                .or_else(|| {
                    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"))
                });
            let Some(path) = directory.map(|directory| directory.join("config.json")) else {
                return Config::default();
            };
            let Ok(bytes) = std::fs::read(&path) else {
                return Config::default();
            };
            serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                eprintln!("WARNING: Error loading config file: {}: {error}", path.display());
                Config::default()
            })
        })
    }
}
