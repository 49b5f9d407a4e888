//! The client's `config.json`, as Docker's clients have it: what we read of it, and how one entry
//! of it is changed without touching the others.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::args::Args;
use super::fail::Failure;
use super::reindent::reindent_with;
use crate::base::atomic_file;
use crate::base::order::Ordered;

/// The directory of the client's files, and what stands in `config.json`.
#[derive(Debug, Default)]
pub(crate) struct Config {
    directory: Option<PathBuf>,
    /// Null when there is no such file.
    values: Value,
    /// What is wrong with the file.
    error: Option<String>,
}

impl Config {
    /// Reads what `--config`, `DOCKER_CONFIG` or `HOME` point to. A file that cannot be read or is
    /// no JSON is told on standard error and counts as empty.
    pub(crate) fn load(globals: &Args) -> Config {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let directory = globals
            .one("config")
            .map(PathBuf::from)
            .or_else(|| set("DOCKER_CONFIG").map(PathBuf::from))
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".docker")));
        let mut config = Config { directory, ..Config::default() };
        let Some(path) = config.path("config.json") else { return config };
        let read = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Value>(&bytes)
                .map_err(|error| error.to_string())
                .and_then(checked)
                .map_err(|error| format!("parsing config file ({}): {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return config,
            Err(error) => Err(format!("loading config file: open {}: {error}", path.display())),
        };
        match read {
            Ok(values) => config.values = values,
            Err(error) => {
                eprintln!("WARNING: Error {error}");
                config.error = Some(error);
            }
        }
        config
    }

    /// A file or directory beside `config.json`; nothing where no home is known.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(name))
    }

    /// The text of entry `name`; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.values[name].as_str().unwrap_or_default()
    }

    /// The texts of the object `name`.
    pub(crate) fn texts(&self, name: &str) -> BTreeMap<String, String> {
        let entries = self.values[name].as_object().into_iter().flatten();
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        entries.filter_map(text).into_map()
    }

    /// The variables of proxies for containers of the daemon at `host`, in both spellings.
    pub(crate) fn proxies(&self, host: &str) -> Vec<(String, String)> {
        const NAMES: [(&str, &str); 5] = [
            ("httpProxy", "HTTP_PROXY"),
            ("httpsProxy", "HTTPS_PROXY"),
            ("noProxy", "NO_PROXY"),
            ("ftpProxy", "FTP_PROXY"),
            ("allProxy", "ALL_PROXY"),
        ];
        let all = &self.values["proxies"];
        let of = all.get(host).unwrap_or(&all["default"]);
        let set = NAMES.iter().filter_map(|(key, name)| Some((*name, of[key].as_str()?)));
        let set = set.filter(|(_, value)| !value.is_empty());
        set.flat_map(|(name, value)| {
            [name.to_owned(), name.to_ascii_lowercase()].map(|name| (name, value.to_owned()))
        })
        .collect()
    }

    /// Sets entry `name`, durably; an empty `value` removes it.
    ///
    /// # Errors
    /// A file that could not be read, so that nothing of it is lost; those of the file system.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<(), Failure> {
        if self.text(name) == value {
            return Ok(());
        }
        if let Some(error) = &self.error {
            return Err(Failure::new(error.clone()));
        }
        let Some(path) = self.path("config.json") else {
            return Err(Failure::new(
                "no home directory for config.json: set HOME or DOCKER_CONFIG",
            ));
        };
        let mut values = self.values.as_object().cloned().unwrap_or_default();
        match value {
            "" => values.remove(name),
            value => values.insert(name.to_owned(), value.into()),
        };
        let text = reindent_with(&Value::Object(values).to_string(), 0, "\t");
        if let Some(directory) = &self.directory {
            std::fs::create_dir_all(directory)?;
        }
        // A link stays one: what it leads to is replaced.
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        atomic_file::write(&path, text.as_bytes(), 0o600)?;
        Ok(())
    }
}

/// Entries of the wrong kind are a broken file, as for Docker's clients.
fn checked(values: Value) -> Result<Value, String> {
    const TEXTS: [&str; 7] = [
        "psFormat",
        "imagesFormat",
        "networksFormat",
        "volumesFormat",
        "statsFormat",
        "detachKeys",
        "currentContext",
    ];
    if !values.is_object() {
        return Err("it is no object".to_owned());
    }
    for name in TEXTS {
        if values.get(name).is_some_and(|value| !value.is_string() && !value.is_null()) {
            return Err(format!("{name} is no string"));
        }
    }
    let objects = ["HttpHeaders", "proxies"];
    match objects
        .iter()
        .find(|name| values.get(**name).is_some_and(|v| !v.is_object() && !v.is_null()))
    {
        Some(name) => Err(format!("{name} is no object")),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_entry_changes_and_the_others_stay() {
        let directory = std::env::temp_dir().join(format!("skiff-config-{}", std::process::id()));
        let values = json!({"auths": {"h": {"auth": "x"}}, "psFormat": "table {{.ID}}"});
        let config = Config { directory: Some(directory.clone()), values, error: None };
        config.set("currentContext", "far").unwrap();
        let text = std::fs::read_to_string(directory.join("config.json")).unwrap();
        assert_eq!(
            text,
            "{\n\t\"auths\": {\n\t\t\"h\": {\n\t\t\t\"auth\": \"x\"\n\t\t}\n\t},\n\
             \t\"currentContext\": \"far\",\n\t\"psFormat\": \"table {{.ID}}\"\n}"
        );
        let broken = Config { error: Some("broken".into()), ..config };
        assert!(broken.set("currentContext", "x").is_err());
        assert_eq!(std::fs::read_to_string(directory.join("config.json")).unwrap(), text);
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn proxies_of_a_host_or_of_all() {
        let values = json!({"proxies": {
            "default": {"httpProxy": "http://p:1", "noProxy": ""},
            "tcp://h:1": {"ftpProxy": "f"},
        }});
        let config = Config { values, ..Config::default() };
        let names = |host: &str| {
            config.proxies(host).iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>()
        };
        assert_eq!(names("unix:///x"), ["HTTP_PROXY=http://p:1", "http_proxy=http://p:1"]);
        assert_eq!(names("tcp://h:1"), ["FTP_PROXY=f", "ftp_proxy=f"]);
        assert!(Config::default().proxies("x").is_empty());
        assert!(checked(json!({"psFormat": 1})).is_err() && checked(json!([])).is_err());
        assert!(checked(json!({"HttpHeaders": "x"})).is_err());
        assert!(checked(json!({"psFormat": null, "x": 1})).is_ok());
    }
}
