//! Contexts: names for daemons, kept where Docker's clients keep them,
//! `contexts/meta/<sha256 of the name>/meta.json` beside `config.json`.
//!
//! - Only hosts without TLS are served; a context with keys is shown, and refused when used.
//! - What others wrote into a file and we do not know is shown, and never changed.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::config::Config;
use super::fail::Failure;
use crate::base::{Digest, atomic_file, order};

/// The context that is always there: what `-H` and the environment say.
pub(crate) const DEFAULT: &str = "default";
const NAMES: &str = "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$";

/// The directory of contexts.
pub(crate) struct Store<'a> {
    config: &'a Config,
}

/// One context, as its file says.
pub(crate) struct Context {
    pub(crate) name: String,
    pub(crate) meta: Value,
}

impl Context {
    /// Its address; empty when it has none.
    pub(crate) fn host(&self) -> &str {
        self.meta["Endpoints"]["docker"]["Host"].as_str().unwrap_or_default()
    }

    /// What it is for.
    pub(crate) fn description(&self) -> &str {
        self.meta["Metadata"]["Description"].as_str().unwrap_or_default()
    }
}

impl<'a> Store<'a> {
    pub(super) fn new(config: &'a Config) -> Store<'a> {
        Store { config }
    }

    /// Where the files of `name` are: `meta`, or `tls`.
    pub(crate) fn directory(&self, kind: &str, name: &str) -> Result<PathBuf, Failure> {
        let id = Digest::of(name.as_bytes()).hex();
        self.config.path(&format!("contexts/{kind}/{id}")).ok_or_else(|| {
            Failure::new("no home directory for contexts: set HOME or DOCKER_CONFIG")
        })
    }

    /// All contexts but the default one, by name.
    ///
    /// # Errors
    /// A file that is none of a context.
    pub(crate) fn list(&self) -> Result<Vec<Context>, Failure> {
        let Some(top) = self.config.path("contexts/meta") else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&top).into_iter().flatten().flatten() {
            let path = entry.path().join("meta.json");
            if path.exists() {
                found.push(read(path)?);
            }
        }
        order::sort_by(&mut found, |a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The context called `name`.
    ///
    /// # Errors
    /// None of that name.
    pub(crate) fn get(&self, name: &str) -> Result<Context, Failure> {
        let path = self.directory("meta", name)?.join("meta.json");
        match path.exists() {
            true => read(path),
            false => Err(Failure::new(format!(
                "context {name:?}: context not found: open {}: no such file or directory",
                path.display()
            ))),
        }
    }

    /// The address of the daemon that `name` means.
    ///
    /// # Errors
    /// None of that name; one with keys for TLS; one that names no daemon.
    pub(crate) fn host(&self, name: &str) -> Result<String, Failure> {
        let context = self.get(name).map_err(|failure| {
            let reason = failure.text;
            Failure::new(format!(
                "Failed to initialize: unable to resolve docker endpoint: {reason}"
            ))
        })?;
        let keys = self.directory("tls", name)?.join("docker");
        if keys.read_dir().is_ok_and(|mut files| files.next().is_some()) {
            return Err(Failure::not_served(&format!("context '{name}', which has keys for TLS,")));
        }
        match context.host() {
            "" => Err(Failure::new(format!("context {name:?} names no docker host"))),
            host => Ok(host.to_owned()),
        }
    }

    /// Writes a new context.
    ///
    /// # Errors
    /// A name that is taken or is none; those of the file system.
    pub(crate) fn create(&self, name: &str, host: &str, about: &str) -> Result<(), Failure> {
        check_name(name)?;
        let directory = self.directory("meta", name)?;
        let path = directory.join("meta.json");
        if path.exists() {
            return Err(Failure::new(format!("context {name:?} already exists")));
        }
        let metadata = if about.is_empty() { json!({}) } else { json!({"Description": about}) };
        let endpoint = json!({"docker": {"Host": host, "SkipTLSVerify": false}});
        let meta = json!({"Name": name, "Metadata": metadata, "Endpoints": endpoint});
        std::fs::create_dir_all(&directory)?;
        atomic_file::write(&path, meta.to_string().as_bytes(), 0o644)?;
        Ok(())
    }

    /// Removes the files of `name`.
    ///
    /// # Errors
    /// None of that name, unless `force`; those of the file system.
    pub(crate) fn remove(&self, name: &str, force: bool) -> Result<(), Failure> {
        let directory = self.directory("meta", name)?;
        if !force && !directory.exists() {
            return Err(Failure::new(format!("context {name:?} does not exist")));
        }
        for directory in [self.directory("tls", name)?, directory] {
            match std::fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let shown = directory.display();
                    return Err(Failure::new(format!("remove {shown}: {error}")));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

fn read(path: PathBuf) -> Result<Context, Failure> {
    let wrong = |why: String| Failure::new(format!("parsing {}: {why}", path.display()));
    let bytes = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
    let meta: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    match meta["Name"].as_str() {
        Some(name) => Ok(Context { name: name.to_owned(), meta }),
        None => Err(wrong("it has no name".to_owned())),
    }
}

/// Whether a context may be called `name`.
///
/// # Errors
/// Why not.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    match name {
        "" => Err(Failure::new("context name cannot be empty")),
        DEFAULT => Err(Failure::new("\"default\" is a reserved context name")),
        _ if name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(inner) =>
        {
            Ok(())
        }
        _ => Err(Failure::new(format!(
            "context name {name:?} is invalid, names are validated against regexp {NAMES:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_contexts() {
        for good in ["ab", "a.b+c_d-e", "0x"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "default", "-a", "a/b", "a b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
