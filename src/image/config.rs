//! An image's config: the OCI image configuration, as Docker writes it, too.
//!
//! - Its bytes are the image: they are kept as they came, and their digest is the id.
//! - Read with tolerance: `null` is absent, unknown fields are ignored, a time that does not
//!   parse is none. What is needed to run it (layers) must be right.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use super::{History, Image, Layer};
use crate::base::fields::string_or_list;
use crate::base::order::Ordered;
use crate::base::{Context, Digest, Error, Result, Timestamp, fields};
use crate::model::PortSet;
use crate::model::config::{Healthcheck, RunConfig};

/// Largest config in bytes; the registries' own limit for manifests.
pub(super) const MAX_BYTES: u64 = 4 << 20;
/// Most layers: the kernel stacks 500.
pub(super) const MAX_LAYERS: usize = 500;

fields! {
    /// The file. Fields in the order in which Docker writes them.
    #[derive(Serialize, Default)]
    struct File {
        #[serde(skip_serializing_if = "String::is_empty")]
        author: String,
        architecture: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        variant: String,
        created by lenient: Option<Timestamp>,
        os: String,
        config: Run,
        #[serde(skip_serializing_if = "String::is_empty")]
        comment: String,
        history: Vec<HistoryEntry>,
        rootfs: RootFs,
    }
}

fields! {
    #[derive(Serialize, Default)]
    struct RootFs {
        kind as "type": String,
        diff_ids: Vec<Digest>,
    }
}

fields! {
    #[derive(Serialize, Default)]
    struct HistoryEntry {
        #[serde(skip_serializing_if = "Option::is_none")]
        created by lenient: Option<Timestamp>,
        #[serde(skip_serializing_if = "String::is_empty")]
        created_by: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        author: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        comment: String,
        #[serde(skip_serializing_if = "is_false")]
        empty_layer: bool,
    }
}

fields! {
    /// The `config` object.
    #[derive(Serialize, Default)]
    struct Run {
        #[serde(skip_serializing_if = "String::is_empty")]
        hostname as "Hostname": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        domainname as "Domainname": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        user as "User": String,
        #[serde(skip_serializing_if = "is_false")]
        attach_stdin as "AttachStdin": bool,
        #[serde(skip_serializing_if = "is_false")]
        attach_stdout as "AttachStdout": bool,
        #[serde(skip_serializing_if = "is_false")]
        attach_stderr as "AttachStderr": bool,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        exposed_ports as "ExposedPorts": BTreeMap<String, Empty>,
        #[serde(skip_serializing_if = "is_false")]
        tty as "Tty": bool,
        #[serde(skip_serializing_if = "is_false")]
        open_stdin as "OpenStdin": bool,
        #[serde(skip_serializing_if = "is_false")]
        stdin_once as "StdinOnce": bool,
        env as "Env": Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cmd as "Cmd" by string_or_list: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        healthcheck as "Healthcheck": Option<Health>,
        #[serde(skip_serializing_if = "String::is_empty")]
        image as "Image": String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        volumes as "Volumes": BTreeMap<String, Empty>,
        #[serde(skip_serializing_if = "String::is_empty")]
        working_dir as "WorkingDir": String,
        #[serde(skip_serializing_if = "Option::is_none")]
        entrypoint as "Entrypoint" by string_or_list: Option<Vec<String>>,
        #[serde(skip_serializing_if = "is_false")]
        network_disabled as "NetworkDisabled": bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        on_build as "OnBuild": Vec<String>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        labels as "Labels": BTreeMap<String, String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        stop_signal as "StopSignal": String,
        #[serde(skip_serializing_if = "Option::is_none")]
        stop_timeout as "StopTimeout": Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        shell as "Shell" by string_or_list: Option<Vec<String>>,
    }
}

/// `{}`, where the key alone counts; whatever is in it is ignored.
#[derive(Default)]
struct Empty;

impl Serialize for Empty {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::ser::SerializeMap::end(serializer.serialize_map(Some(0))?)
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Empty, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Empty)
    }
}

fields! {
    #[derive(Serialize, Default)]
    struct Health {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        test as "Test": Vec<String>,
        #[serde(skip_serializing_if = "is_zero")]
        interval as "Interval": i64,
        #[serde(skip_serializing_if = "is_zero")]
        timeout as "Timeout": i64,
        #[serde(skip_serializing_if = "is_zero")]
        start_period as "StartPeriod": i64,
        #[serde(skip_serializing_if = "is_zero")]
        start_interval as "StartInterval": i64,
        #[serde(skip_serializing_if = "is_zero")]
        retries as "Retries": i64,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants it so.
fn is_false(value: &bool) -> bool {
    !*value
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// What does not parse as a time is none.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| Timestamp::parse_rfc3339(&text)))
}

/// What a new image is made of.
pub(super) struct Draft<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) platform: &'a str,
    pub(super) author: &'a str,
    pub(super) created: Timestamp,
    /// Of the image below, base first; the new layer's entry comes last.
    pub(super) history: Vec<History>,
    pub(super) diff_ids: Vec<Digest>,
}

impl Draft<'_> {
    /// The config's bytes.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut platform = self.platform.split('/').map(str::to_owned);
        let os = platform.next().unwrap_or_default();
        let architecture = platform.next().unwrap_or_default();
        let history = self.history.iter().map(|entry| HistoryEntry {
            created: entry.created,
            created_by: entry.created_by.clone(),
            author: String::new(),
            comment: entry.comment.clone(),
            empty_layer: entry.empty_layer,
        });
        let file = File {
            author: self.author.to_owned(),
            architecture,
            variant: platform.next().unwrap_or_default(),
            created: Some(self.created),
            os,
            config: Run::from(self.config),
            comment: String::new(),
            history: history.collect(),
            rootfs: RootFs { kind: "layers".into(), diff_ids: self.diff_ids.clone() },
        };
        Ok(serde_json::to_vec(&file).map_err(std::io::Error::from)?)
    }
}

/// Parses a config; `size_of` tells the size of a layer that is here.
pub(super) fn parse(bytes: &[u8]) -> Result<Image> {
    let file: File = serde_json::from_slice(bytes)
        .map_err(std::io::Error::from)
        .context(|| "parse image config".into())?;
    let File { author, architecture, variant, created, os, config, comment, history, rootfs } =
        file;
    if rootfs.kind != "layers" || rootfs.diff_ids.len() > MAX_LAYERS {
        return Err(Error::bad_parameter("image config names no layers, or more than 500"));
    }
    let history: Vec<History> = history.into_iter().map(History::from).collect();
    let newest = history.last().map(|entry| entry.comment.clone()).unwrap_or_default();
    Ok(Image {
        id: Digest::of(bytes),
        parent: None,
        created,
        author,
        comment: if newest.is_empty() { comment } else { newest },
        architecture,
        variant,
        os,
        config: config.into(),
        layers: rootfs.diff_ids.iter().map(|id| Layer { diff_id: *id, size: 0 }).collect(),
        history,
        size: 0,
    })
}

/// `os/architecture[/variant]` of this host.
pub(super) fn host_platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        "arm" => "linux/arm/v7",
        "x86" => "linux/386",
        other => other,
    }
}

impl From<HistoryEntry> for History {
    fn from(entry: HistoryEntry) -> History {
        let HistoryEntry { created, created_by, author: _, comment, empty_layer } = entry;
        History { created, created_by, comment, empty_layer }
    }
}

impl From<&RunConfig> for Run {
    fn from(config: &RunConfig) -> Run {
        let keys = |keys: &BTreeSet<String>| keys.iter().map(|key| (key.clone(), Empty)).into_map();
        let ports = config.exposed_ports.iter().map(|port| (port.to_string(), Empty));
        Run {
            hostname: config.hostname.clone(),
            domainname: config.domainname.clone(),
            user: config.user.clone(),
            attach_stdin: config.attach_stdin,
            attach_stdout: config.attach_stdout,
            attach_stderr: config.attach_stderr,
            exposed_ports: ports.into_map(),
            tty: config.tty,
            open_stdin: config.open_stdin,
            stdin_once: config.stdin_once,
            env: config.env.clone(),
            cmd: config.cmd.clone(),
            healthcheck: config.healthcheck.as_ref().map(Health::from),
            image: config.image.clone(),
            volumes: keys(&config.volumes),
            working_dir: config.working_dir.clone(),
            entrypoint: config.entrypoint.clone(),
            network_disabled: config.network_disabled,
            on_build: config.on_build.clone(),
            labels: config.labels.clone(),
            stop_signal: config.stop_signal.clone(),
            stop_timeout: config.stop_timeout,
            shell: config.shell.clone(),
        }
    }
}

impl From<Run> for RunConfig {
    fn from(run: Run) -> RunConfig {
        RunConfig {
            hostname: run.hostname,
            domainname: run.domainname,
            user: run.user,
            attach_stdin: run.attach_stdin,
            attach_stdout: run.attach_stdout,
            attach_stderr: run.attach_stderr,
            tty: run.tty,
            open_stdin: run.open_stdin,
            stdin_once: run.stdin_once,
            env: run.env,
            cmd: run.cmd,
            entrypoint: run.entrypoint,
            image: run.image,
            volumes: run.volumes.into_keys().into_set(),
            working_dir: run.working_dir,
            // A port that does not parse is documentation for people; it publishes nothing.
            exposed_ports: PortSet::new(
                run.exposed_ports.keys().filter_map(|port| port.parse().ok()),
            ),
            labels: run.labels,
            stop_signal: run.stop_signal,
            stop_timeout: run.stop_timeout,
            healthcheck: run.healthcheck.map(Healthcheck::from),
            network_disabled: run.network_disabled,
            shell: run.shell,
            on_build: run.on_build,
        }
    }
}

impl From<&Healthcheck> for Health {
    fn from(check: &Healthcheck) -> Health {
        Health {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }
    }
}

impl From<Health> for Healthcheck {
    fn from(check: Health) -> Healthcheck {
        let Health { test, interval, timeout, start_period, start_interval, retries } = check;
        Healthcheck { test, interval, timeout, start_period, start_interval, retries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_made_by_docker_is_understood() {
        let bytes = br#"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"",
            "AttachStdin":false,"ExposedPorts":{"80/tcp":{},"odd":{}},"Tty":false,
            "Env":["PATH=/bin"],"Cmd":["sh"],"Image":"sha256:aa","Volumes":null,"WorkingDir":"",
            "Entrypoint":null,"OnBuild":null,"Labels":null,"ArgsEscaped":true},
            "container":"abc","container_config":{"Env":7},"created":"2023-05-18T22:34:17Z",
            "docker_version":"20.10.23",
            "history":[{"created":"odd","created_by":"/bin/sh -c #(nop) ADD"},
            {"created":"2023-05-18T22:34:17Z","created_by":"CMD","empty_layer":true}],
            "os":"linux","rootfs":{"type":"layers","diff_ids":[
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
        let image = parse(bytes).unwrap();
        assert_eq!(image.id, Digest::of(bytes));
        assert_eq!(image.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert_eq!(image.config.entrypoint, None);
        assert_eq!(image.config.exposed_ports.iter().count(), 1);
        assert_eq!((image.layers.len(), image.history.len()), (1, 2));
        assert_eq!(image.history[0].created, None);
        assert!(image.history[1].empty_layer);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = RunConfig {
            cmd: Some(vec!["sh".into()]),
            env: vec!["A=b".into()],
            volumes: ["/data".to_owned()].into(),
            exposed_ports: PortSet::new(["53/udp".parse().unwrap()]),
            healthcheck: Some(Healthcheck { retries: 3, ..Healthcheck::default() }),
            ..RunConfig::default()
        };
        let entry = History {
            created: None,
            created_by: String::new(),
            comment: "Imported from -".into(),
            empty_layer: false,
        };
        let draft = Draft {
            config: &config,
            platform: "linux/arm/v7",
            author: "me",
            created: Timestamp { seconds: 1, nanos: 0 },
            history: vec![entry],
            diff_ids: vec![Digest::of(b"")],
        };
        let image = parse(&draft.to_bytes().unwrap()).unwrap();
        assert_eq!(image.config, config);
        assert_eq!((image.architecture.as_str(), image.variant.as_str()), ("arm", "v7"));
        assert_eq!(image.comment, "Imported from -");
        assert_eq!(image.created, Some(Timestamp { seconds: 1, nanos: 0 }));
    }

    #[test]
    fn a_config_without_layers_is_refused() {
        for bad in [
            &b""[..],
            b"\0\0\0\0",
            b"{}",
            br#"{"rootfs":{"type":"layers","diff_ids":["../../x"]}}"#,
            br#"{"rootfs":{"type":"windows","diff_ids":[]}}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(br#"{"rootfs":{"type":"layers","diff_ids":null}}"#).is_ok());
    }
}
