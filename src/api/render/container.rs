//! Containers as `list` and `inspect` show them.

use std::path::Path;

use super::super::Options;
use super::{count, network};
use crate::base::order::Ordered;
use crate::base::{Digest, Id, Timestamp, units};
use crate::container::{Record, State};
use crate::engine::{Snapshot, UNKNOWN_CODE};
use crate::model::{Health, HealthResult, HealthStatus, LogDriver};
use crate::wire::container as wire;
use crate::wire::container::inspect::{self, GraphDriver};
use crate::wire::container::summary::{MountPoint, SummaryHostConfig, SummaryNetworks};
use crate::wire::version::Answers;

/// A line of the list. `means` is what the image's name as typed means now.
pub(in crate::api) fn summary(
    snapshot: &Snapshot,
    means: Option<Digest>,
    now: Timestamp,
    answers: Answers,
) -> wire::Summary<'_> {
    let Snapshot { record, state, networks: _, health } = snapshot;
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
        ports: network::ports(snapshot),
        size_rw: None,
        size_root_fs: None,
        labels: std::borrow::Cow::Borrowed(&record.config.labels),
        state: status_word(state).into(),
        status: status_text(state, health.as_deref(), now),
        host_config: SummaryHostConfig {
            network_mode: wire::network_mode_text(&record.host.network_mode),
            annotations: record.host.annotations.clone(),
        },
        network_settings: SummaryNetworks { networks: network::networks(snapshot, answers) },
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
pub(in crate::api) fn inspect(
    snapshot: &Snapshot,
    execs: Vec<Id>,
    options: &Options,
    driver: &str,
    answers: Answers,
) -> wire::Inspect {
    let Snapshot { record, state, networks: _, health } = snapshot;
    let mut argv = record.argv();
    let path = if argv.is_empty() { String::new() } else { argv.remove(0) };
    let mut config = wire::Config::from_model(&record.config);
    if config.hostname.is_empty() {
        record.id.short().clone_into(&mut config.hostname);
    }
    let run_file = |name: &str| text(&options.run_root.join(record.id.as_str()).join(name));
    let own = options.root.join("containers").join(record.id.as_str());
    let log_path = match record.host.log.driver {
        LogDriver::JsonFile => text(&own.join("io/container.log")),
        LogDriver::None => String::new(),
    };
    wire::Inspect {
        id: record.id.to_string(),
        created: record.created.to_string(),
        path,
        args: argv,
        state: wire::State { health: health.as_deref().map(health_of), ..state_of(state) },
        image: record.image.to_string(),
        resolv_conf_path: run_file("resolv.conf"),
        hostname_path: run_file("hostname"),
        hosts_path: run_file("hosts"),
        log_path,
        name: format!("/{}", record.name),
        restart_count: record.restart_count.into(),
        driver: driver.to_owned(),
        platform: "linux".into(),
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: String::new(),
        exec_ids: (!execs.is_empty()).then(|| execs.iter().map(Id::to_string).collect()),
        host_config: wire::HostConfig::from_model(&record.host),
        graph_driver: GraphDriver {
            data: Some(
                std::iter::once(("UpperDir".to_owned(), text(&own.join("diff")))).into_map(),
            ),
            name: driver.to_owned(),
        },
        size_rw: None,
        size_root_fs: None,
        mounts: record.mounts.iter().map(MountPoint::from_model).collect(),
        config,
        network_settings: network::settings(snapshot, answers),
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
fn status_text(state: &State, health: Option<&Health>, now: Timestamp) -> String {
    let ago = |time: &Timestamp| units::human_duration(now.since(*time));
    match state {
        State::Created { .. } | State::Starting => "Created".into(),
        State::Running { since, paused: false, .. } => match health.map(|health| health.status) {
            None => format!("Up {}", ago(since)),
            Some(HealthStatus::Starting) => format!("Up {} (health: starting)", ago(since)),
            Some(status) => format!("Up {} ({})", ago(since), status.word()),
        },
        State::Running { since, paused: true, .. } => format!("Up {} (Paused)", ago(since)),
        State::Restarting { code, finished_at, .. } => {
            format!("Restarting ({}) {} ago", code.unwrap_or(UNKNOWN_CODE), ago(finished_at))
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
        State::Restarting { code, oom_killed, started_at, finished_at, error } => wire::State {
            running: true,
            restarting: true,
            oom_killed: *oom_killed,
            exit_code: code.unwrap_or(UNKNOWN_CODE).into(),
            error: error.clone().unwrap_or_default(),
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

fn health_of(health: &Health) -> inspect::Health {
    let Health { status, failing_streak, log } = health;
    let result = |result: &HealthResult| {
        let HealthResult { start, end, code, output } = result;
        inspect::HealthResult {
            start: start.to_string(),
            end: end.to_string(),
            exit_code: *code,
            output: output.clone(),
        }
    };
    inspect::Health {
        status: status.word().to_owned(),
        failing_streak: *failing_streak,
        log: log.iter().map(result).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::container::DiskState;
    use crate::model::{HostConfig, NetworkMode, RunConfig};
    use crate::wire::Version;

    pub(in crate::api::render) fn snapshot(state: State) -> Snapshot {
        let record = Record {
            version: Record::VERSION,
            id: Id::parse(&"ab".repeat(32)).unwrap(),
            name: "web".into(),
            created: Timestamp { seconds: 1_700_000_000, nanos: 0 },
            image: Digest::of(b"image"),
            config: RunConfig {
                cmd: Some(vec!["sh".into(), "-c".into(), "sleep 1".into()]),
                env: vec!["A=b".into()],
                image: "busybox".into(),
                labels: [("k".to_owned(), "v".to_owned())].into(),
                ..RunConfig::default()
            },
            host: HostConfig { network_mode: NetworkMode::None, ..HostConfig::default() },
            endpoints: BTreeMap::new(),
            mounts: Vec::new(),
            run: 1,
            restart_count: 0,
            stopped_by_user: false,
            state: DiskState::Starting,
        };
        Snapshot { record: Arc::new(record), state, networks: Arc::default(), health: None }
    }

    fn running() -> Snapshot {
        snapshot(State::Running {
            since: Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 },
            pid: 77,
            paused: false,
        })
    }

    const NOW: Timestamp = Timestamp { seconds: 1_700_000_300, nanos: 0 };

    #[test]
    fn a_line_of_the_list_has_todays_shape() {
        let snapshot = running();
        let image = snapshot.record.image;
        let shown = summary(&snapshot, Some(image), NOW, Version::NEWEST.answers());
        let network = "{\"IPAMConfig\":null,\"Links\":null,\"Aliases\":null,\"MacAddress\":\"\",\
                       \"NetworkID\":\"\",\"EndpointID\":\"\",\"Gateway\":\"\",\"IPAddress\":\"\",\
                       \"IPPrefixLen\":0,\"IPv6Gateway\":\"\",\"GlobalIPv6Address\":\"\",\
                       \"GlobalIPv6PrefixLen\":0,\"DriverOpts\":null,\"DNSNames\":null}";
        let expected = format!(
            "{{\"Id\":\"{id}\",\"Names\":[\"/web\"],\"Image\":\"busybox\",\"ImageID\":\"{image}\",\
             \"Command\":\"sh -c 'sleep 1'\",\"Created\":1700000000,\"Ports\":[],\
             \"Labels\":{{\"k\":\"v\"}},\"State\":\"running\",\"Status\":\"Up 4 minutes\",\
             \"HostConfig\":{{\"NetworkMode\":\"none\"}},\
             \"NetworkSettings\":{{\"Networks\":{{\"none\":{network}}}}},\"Mounts\":[]}}",
            id = "ab".repeat(32),
        );
        assert_eq!(serde_json::to_string(&shown).unwrap(), expected);
        let moved = summary(&snapshot, None, NOW, Version::NEWEST.answers());
        assert_eq!(moved.image, image.to_string());
        let read: wire::summary::Line =
            crate::wire::json::from_answer(expected.as_bytes()).unwrap();
        assert_eq!((read.id, read.names), ("ab".repeat(32), vec!["/web".to_owned()]));
        assert!(read.network_settings.networks.contains_key("none"));
    }

    #[test]
    fn inspect_has_the_keys_that_scripts_look_for() {
        let options = Options {
            root: "/var/lib/skiff".into(),
            run_root: "/run/skiff".into(),
            ..Options::default()
        };
        let shown =
            inspect(&running(), Vec::new(), &options, "overlay2", Version::NEWEST.answers());
        let text = serde_json::to_string(&shown).unwrap();
        let read: wire::Inspect = crate::wire::json::from_answer(text.as_bytes()).unwrap();
        assert_eq!(read, shown);

        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys = |value: &serde_json::Value| {
            value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            keys(&value),
            "AppArmorProfile Args Config Created Driver ExecIDs GraphDriver HostConfig \
             HostnamePath HostsPath Id Image LogPath MountLabel Mounts Name NetworkSettings Path \
             Platform ProcessLabel ResolvConfPath RestartCount State"
        );
        assert_eq!(
            keys(&value["State"]),
            "Dead Error ExitCode FinishedAt OOMKilled Paused Pid Restarting Running StartedAt \
             Status"
        );
        assert_eq!(
            keys(&value["NetworkSettings"]),
            "Bridge EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen HairpinMode \
             IPAddress IPPrefixLen IPv6Gateway LinkLocalIPv6Address LinkLocalIPv6PrefixLen \
             MacAddress Networks Ports SandboxID SandboxKey SecondaryIPAddresses \
             SecondaryIPv6Addresses"
        );
        assert_eq!(value["State"]["StartedAt"], "2023-11-14T22:13:20.5Z");
        assert_eq!(value["State"]["FinishedAt"], "0001-01-01T00:00:00Z");
        assert_eq!(value["State"]["Pid"], 77);
        assert_eq!(value["Path"], "sh");
        assert_eq!(value["Args"], serde_json::json!(["-c", "sleep 1"]));
        assert_eq!(value["Config"]["Hostname"], "abababababab");
        assert_eq!(value["HostConfig"]["RestartPolicy"]["Name"], "no");
        let id = "ab".repeat(32);
        assert_eq!(value["LogPath"], format!("/var/lib/skiff/containers/{id}/io/container.log"));
        assert_eq!(value["HostsPath"], format!("/run/skiff/{id}/hosts"));
    }

    #[test]
    fn every_state_has_its_words() {
        let then = Timestamp { seconds: NOW.seconds - 60, nanos: 0 };
        let check = |state: State, word: &str, text: &str| {
            assert_eq!(status_word(&state), word);
            assert_eq!(status_text(&state, None, NOW), text);
            let shown = state_of(&state);
            assert_eq!(shown.status, word);
            assert_eq!(shown.running, matches!(word, "running" | "paused" | "restarting"));
        };
        let exited = |code| State::Exited {
            code,
            oom_killed: true,
            started_at: then,
            finished_at: then,
            error: None,
        };
        check(State::Created { code: 127, error: Some("x".into()) }, "created", "Created");
        check(State::Starting, "created", "Created");
        let running = |paused| State::Running { since: then, pid: 1, paused };
        check(running(false), "running", "Up About a minute");
        check(running(true), "paused", "Up About a minute (Paused)");
        check(exited(Some(3)), "exited", "Exited (3) About a minute ago");
        check(exited(None), "exited", "Exited (255) About a minute ago");
        check(
            State::Restarting {
                code: Some(1),
                oom_killed: false,
                started_at: then,
                finished_at: then,
                error: None,
            },
            "restarting",
            "Restarting (1) About a minute ago",
        );
        check(State::Removing, "removing", "Removal In Progress");
        for (status, text) in [
            (HealthStatus::Starting, "Up About a minute (health: starting)"),
            (HealthStatus::Healthy, "Up About a minute (healthy)"),
            (HealthStatus::Unhealthy, "Up About a minute (unhealthy)"),
        ] {
            let health = Health { status, ..Health::default() };
            assert_eq!(status_text(&running(false), Some(&health), NOW), text);
            assert_eq!(
                status_text(&exited(Some(0)), Some(&health), NOW),
                "Exited (0) About a minute ago"
            );
        }
        assert!(state_of(&exited(None)).error.contains("unknown"));
        assert!(state_of(&exited(Some(0))).oom_killed);
    }
}
