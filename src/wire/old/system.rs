//! `info`, `version` and `events` of old.

use serde::Serialize;

use super::short;
use crate::wire::system as new;

/// Answer of `version`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go_version: String,
}

impl Version {
    /// From the shape of today.
    pub fn from_canonical(version: new::Version) -> Version {
        let new::Version { version, git_commit, go_version, .. } = version;
        Version { version, git_commit, go_version }
    }
}

/// Answer of `info`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    pub debug: bool,
    pub containers: i64,
    pub images: i64,
    #[serde(rename = "NFd", skip_serializing_if = "is_zero")]
    pub n_fd: i64,
    #[serde(rename = "NGoroutines", skip_serializing_if = "is_zero")]
    pub n_goroutines: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub memory_limit: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub swap_limit: bool,
    #[serde(rename = "IPv4Forwarding", skip_serializing_if = "std::ops::Not::not")]
    pub ipv4_forwarding: bool,
    #[serde(rename = "NEventsListener", skip_serializing_if = "is_zero")]
    pub n_events_listener: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kernel_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub index_server_address: String,
}

impl Info {
    /// From the shape of today. There is no lxc, so its version stays away.
    pub fn from_canonical(info: new::Info) -> Info {
        Info {
            debug: info.debug,
            containers: info.containers,
            images: info.images,
            n_fd: info.n_fd,
            n_goroutines: info.n_goroutines,
            memory_limit: info.memory_limit,
            swap_limit: info.swap_limit,
            ipv4_forwarding: info.ipv4_forwarding,
            n_events_listener: info.n_events_listener,
            kernel_version: info.kernel_version,
            index_server_address: info.index_server_address,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    pub status: String,
    pub id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub time: i64,
}

/// What there were events for.
const EVENTS: &[(&str, &[&str])] = &[
    ("container", &["create", "start", "stop", "restart", "kill", "die", "destroy", "export"]),
    ("image", &["untag", "delete"]),
];

impl Event {
    /// From the shape of today; `None` for what was no event then.
    pub fn from_canonical(event: &new::Event) -> Option<Event> {
        let known = EVENTS
            .iter()
            .any(|(kind, actions)| *kind == event.kind && actions.contains(&event.action.as_str()));
        known.then(|| Event {
            status: event.action.clone(),
            id: short(&event.actor.id).to_owned(),
            from: event.from.clone(),
            time: event.time,
        })
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_later_versions_are_left_out() {
        let event = |kind: &str, action: &str| new::Event {
            kind: kind.into(),
            action: action.into(),
            actor: new::Actor { id: "ab".repeat(32), ..new::Actor::default() },
            from: "base".into(),
            time: 7,
            ..new::Event::default()
        };
        let shown = Event::from_canonical(&event("container", "start")).unwrap();
        assert_eq!(
            serde_json::to_string(&shown).unwrap(),
            "{\"status\":\"start\",\"id\":\"abababababab\",\"from\":\"base\",\"time\":7}"
        );
        assert!(Event::from_canonical(&event("container", "attach")).is_none());
        assert!(Event::from_canonical(&event("image", "start")).is_none());
    }

    #[test]
    fn what_says_nothing_stays_away() {
        let info = Info::from_canonical(new::Info::default());
        let shown = serde_json::to_string(&info).unwrap();
        assert_eq!(shown, "{\"Debug\":false,\"Containers\":0,\"Images\":0}");
    }
}
