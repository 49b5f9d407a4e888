//! What the words in front of the command, the environment and the client's files say: which
//! daemon is meant, and the user's own defaults.

use std::cell::OnceCell;

use super::args::Args;
use super::client::{Client, DEFAULT_HOST};
use super::config::Config;
use super::context::{DEFAULT, Store};
use super::fail::Failure;

/// The surroundings of one command.
pub(crate) struct Session {
    globals: Args,
    config: OnceCell<Config>,
    client: OnceCell<Client>,
}

impl Session {
    /// The surroundings that `globals`, the words in front of the command, make.
    ///
    /// # Errors
    /// Words that contradict each other.
    pub(crate) fn new(globals: Args) -> Result<Session, Failure> {
        if globals.one("context").is_some() && !globals.all("host").is_empty() {
            let text = "conflicting options: cannot specify both --host and --context";
            return Err(Failure::new(text));
        }
        Ok(Session { globals, config: OnceCell::new(), client: OnceCell::new() })
    }

    /// Words in front of the command.
    pub(crate) fn globals(&self) -> &Args {
        &self.globals
    }

    /// `config.json`; most hosts have none.
    pub(crate) fn config(&self) -> &Config {
        self.config.get_or_init(|| Config::load(&self.globals))
    }

    /// The contexts that the user has made.
    pub(crate) fn contexts(&self) -> Store<'_> {
        Store::new(self.config())
    }

    /// The name of the context that counts: what `--context` says; the default one when a host is
    /// named by `-H` or `DOCKER_HOST`; what `DOCKER_CONTEXT` or `config.json` says.
    pub(crate) fn context(&self) -> String {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(name) = self.globals.one("context").filter(|name| !name.is_empty()) {
            return name;
        }
        if !self.globals.all("host").is_empty() || set("DOCKER_HOST").is_some() {
            return DEFAULT.to_owned();
        }
        match (set("DOCKER_CONTEXT"), self.config().text("currentContext")) {
            (Some(name), _) => name,
            (None, "") => DEFAULT.to_owned(),
            (None, name) => name.to_owned(),
        }
    }

    /// The daemon's address by `-H` or `DOCKER_HOST`: that of the default context.
    ///
    /// # Errors
    /// Two of them.
    pub(crate) fn default_host(&self) -> Result<String, Failure> {
        let hosts = self.globals.all("host");
        if hosts.len() > 1 {
            return Err(Failure::new(
                "Failed to initialize: unable to resolve docker endpoint: Specify only one -H",
            ));
        }
        let set = || std::env::var("DOCKER_HOST").ok();
        let host = hosts.into_iter().next().or_else(set).filter(|host| !host.is_empty());
        Ok(host.unwrap_or_else(|| DEFAULT_HOST.to_owned()))
    }

    /// The daemon.
    ///
    /// # Errors
    /// An address of a kind that is not served; two of them; a context that does not exist.
    pub(crate) fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        if std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty()) {
            return Err(Failure::not_served("DOCKER_TLS_VERIFY"));
        }
        let host = match self.context() {
            name if name == DEFAULT => self.default_host()?,
            name => self.contexts().host(&name)?,
        };
        let headers = self.config().texts("HttpHeaders").into_iter().collect();
        let client = Client::new(&host, headers)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Keys that end an attached session, when the user set them.
    pub(crate) fn detach_keys(&self, args: &Args) -> Option<String> {
        Some(self.or_configured(args, "detach-keys", "detachKeys")).filter(|keys| !keys.is_empty())
    }

    /// The format of a list, from `--format` or from entry `name` of the configuration.
    pub(crate) fn format(&self, args: &Args, name: &str) -> String {
        self.or_configured(args, "format", name)
    }

    fn or_configured(&self, args: &Args, flag: &str, name: &str) -> String {
        let given = args.one(flag).filter(|value| !value.is_empty());
        given.unwrap_or_else(|| self.config().text(name).to_owned())
    }
}
