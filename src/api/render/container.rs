//! Containers as `list` and `inspect` show them.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::Api;
use super::count;
use crate::base::{Digest, Timestamp, units};
use crate::container::{Record, State};
use crate::engine::Snapshot;
use crate::model::{LogDriver, NetworkMode};
use crate::wire::container as wire;
use crate::wire::container::inspect::GraphDriver;
use crate::wire::container::network::NetworkSettings;
use crate::wire::container::summary::{MountPoint, SummaryHostConfig, SummaryNetworks};
use crate::wire::version::Answers;

/// Shown for a container whose end nobody saw.
const UNKNOWN_CODE: i32 = 255;

/// A line of the list. `means` is what the image's name as typed means now.
pub(in crate::api) fn summary(
    snapshot: &Snapshot,
    means: Option<Digest>,
    answers: Answers,
) -> wire::Summary<'_> {
    let Snapshot { record, state } = snapshot;
    let image_id = record.image.to_string();
    let image = if means == Some(record.image) || record.config.image.is_empty() {
        record.config.image.as_str().into()
    } else {
        image_id.clone().into()
    };
    wire::Summary {
        id: record.id.as_str().into(),
        names: vec![format!("/{}", record.name)],
        image,
        image_id: image_id.into(),
        command: command(record),
        created: record.created.seconds,
        ports: Vec::new(),
        size_rw: None,
        size_root_fs: None,
        labels: std::borrow::Cow::Borrowed(&record.config.labels),
        state: status_word(state).into(),
        status: status_text(state, Timestamp::now()),
        host_config: SummaryHostConfig {
            network_mode: wire::network_mode_text(&record.host.network_mode),
            annotations: record.host.annotations.clone(),
        },
        network_settings: SummaryNetworks { networks: networks(record, answers) },
        mounts: record.mounts.iter().map(MountPoint::from_model).collect(),
    }
}

/// Puts sizes into the two fields that carry them.
pub(in crate::api) fn add_size(
    (rw, root): (u64, u64),
    size_rw: &mut Option<i64>,
    size_root_fs: &mut Option<i64>,
) {
    *size_rw = Some(count(rw));
    *size_root_fs = Some(count(root));
}

/// All about a container.
pub(in crate::api) fn inspect(snapshot: &Snapshot, api: &Api, answers: Answers) -> wire::Inspect {
    let Snapshot { record, state } = snapshot;
    let mut argv = record.argv();
    let path = if argv.is_empty() { String::new() } else { argv.remove(0) };
    let mut config = wire::Config::from_model(&record.config);
    if config.hostname.is_empty() {
        record.id.short().clone_into(&mut config.hostname);
    }
    let run_file = |name: &str| text(&api.options.run_root.join(record.id.as_str()).join(name));
    let own = api.options.root.join("containers").join(record.id.as_str());
    let log_path = match record.host.log.driver {
        LogDriver::JsonFile => text(&own.join("io/container.log")),
        LogDriver::None => String::new(),
    };
    wire::Inspect {
        id: record.id.to_string(),
        created: record.created.to_string(),
        path,
        args: argv,
        state: state_of(state),
        image: record.image.to_string(),
        resolv_conf_path: run_file("resolv.conf"),
        hostname_path: run_file("hostname"),
        hosts_path: run_file("hosts"),
        log_path,
        name: format!("/{}", record.name),
        restart_count: record.restart_count.into(),
        driver: api.driver.clone(),
        platform: "linux".into(),
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: String::new(),
        exec_ids: None,
        host_config: wire::HostConfig::from_model(&record.host),
        graph_driver: GraphDriver {
            data: Some([("UpperDir".to_owned(), text(&own.join("diff")))].into()),
            name: api.driver.clone(),
        },
        size_rw: None,
        size_root_fs: None,
        mounts: record.mounts.iter().map(MountPoint::from_model).collect(),
        config,
        network_settings: NetworkSettings {
            networks: networks(record, answers),
            ..NetworkSettings::default()
        },
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Program and arguments on one line; what has a blank in it is quoted.
fn command(record: &Record) -> String {
    let mut line = String::new();
    let words = [&record.config.entrypoint, &record.config.cmd].into_iter().flatten().flatten();
    for (at, word) in words.enumerate() {
        match (at, word.contains(' ')) {
            (0, _) => line.push_str(word),
            (_, true) => line.extend([" '", word.as_str(), "'"]),
            (_, false) => line.extend([" ", word.as_str()]),
        }
    }
    line
}

/// The networks that a container takes part in. Until they give addresses, only by name.
fn networks(record: &Record, answers: Answers) -> BTreeMap<String, wire::EndpointSettings> {
    let mut networks: BTreeMap<String, wire::EndpointSettings> = record
        .endpoints
        .iter()
        .map(|(name, endpoint)| (name.clone(), wire::EndpointSettings::from_model(endpoint)))
        .collect();
    let own = match &record.host.network_mode {
        NetworkMode::Container(_) => None,
        NetworkMode::Default => Some("bridge"),
        NetworkMode::None => Some("none"),
        NetworkMode::Host => Some("host"),
        NetworkMode::Named(name) => Some(name.as_str()),
    };
    if let Some(asked) = networks.remove("default") {
        networks.entry(own.unwrap_or("bridge").to_owned()).or_insert(asked);
    }
    if let Some(own) = own {
        if networks.is_empty() {
            networks.insert(own.to_owned(), wire::EndpointSettings::default());
        }
    }
    if !answers.dns_names {
        networks.values_mut().for_each(|endpoint| endpoint.dns_names = None);
    }
    networks
}

/// One word for a state.
fn status_word(state: &State) -> &'static str {
    match state {
        State::Created { .. } | State::Starting => "created",
        State::Running { paused: true, .. } => "paused",
        State::Running { paused: false, .. } => "running",
        State::Restarting { .. } => "restarting",
        State::Exited { .. } => "exited",
        State::Removing => "removing",
    }
}

/// A state for people: `Up 5 minutes`.
fn status_text(state: &State, now: Timestamp) -> String {
    let ago = |time: &Timestamp| units::human_duration(now.since(*time));
    match state {
        State::Created { .. } | State::Starting => "Created".into(),
        State::Running { since, paused: false, .. } => format!("Up {}", ago(since)),
        State::Running { since, paused: true, .. } => format!("Up {} (Paused)", ago(since)),
        State::Restarting { code, finished_at, .. } => {
            format!("Restarting ({code}) {} ago", ago(finished_at))
        }
        State::Exited { code, finished_at, .. } => {
            format!("Exited ({}) {} ago", code.unwrap_or(UNKNOWN_CODE), ago(finished_at))
        }
        State::Removing => "Removal In Progress".into(),
    }
}

fn state_of(state: &State) -> wire::State {
    let never = Timestamp::ZERO.to_string();
    let shown = wire::State {
        status: status_word(state).into(),
        started_at: never.clone(),
        finished_at: never,
        ..wire::State::default()
    };
    match state {
        State::Created { code, error } => wire::State {
            exit_code: (*code).into(),
            error: error.clone().unwrap_or_default(),
            ..shown
        },
        State::Starting | State::Removing => shown,
        State::Running { since, pid, paused } => wire::State {
            running: true,
            paused: *paused,
            pid: (*pid).into(),
            started_at: since.to_string(),
            ..shown
        },
        State::Restarting { code, started_at, finished_at } => wire::State {
            running: true,
            restarting: true,
            exit_code: (*code).into(),
            started_at: started_at.to_string(),
            finished_at: finished_at.to_string(),
            ..shown
        },
        State::Exited { code, oom_killed, started_at, finished_at, error } => wire::State {
            oom_killed: *oom_killed,
            exit_code: code.unwrap_or(UNKNOWN_CODE).into(),
            error: match (error, code) {
                (Some(error), _) => error.clone(),
                (None, None) => "the exit code is unknown: nobody saw the end".into(),
                (None, Some(_)) => String::new(),
            },
            started_at: started_at.to_string(),
            finished_at: finished_at.to_string(),
            ..shown
        },
    }
}
