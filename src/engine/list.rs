//! Finding and listing containers.

use std::sync::Arc;

use super::slot::Slot;
use super::{Engine, Filters, ListQuery, Snapshot, filter};
use crate::base::order;
use crate::base::{Digest, Error, Id, Result};
use crate::container::State;
use crate::image::Plan;
use crate::model::{MountKind, NetworkMode, PortRange, Protocol};

const FILTERS: &[&str] = &[
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "name",
    "network", "publish", "since", "status", "volume",
];
const STATUSES: &[&str] =
    &["created", "dead", "exited", "paused", "removing", "restarting", "running"];

const HEALTH: &[&str] = &["healthy", "none", "starting", "unhealthy"];

impl Engine {
    /// The container that `name` means: full id, name, unique id prefix, in this order.
    ///
    /// # Errors
    /// `No such container: NAME`; `BadParameter` for an ambiguous prefix.
    pub fn get(&self, name: &str) -> Result<Snapshot> {
        Ok(self.slot(name)?.snapshot())
    }

    pub(super) fn slot(&self, name: &str) -> Result<Arc<Slot>> {
        let containers = self.containers.lock();
        let by_id = |id: &Id| containers.by_id.get(id).map(Arc::clone);
        let no_such = || Error::no_such("container", name);
        if let Some(slot) = Id::parse(name).as_ref().and_then(by_id) {
            return Ok(slot);
        }
        let plain = name.strip_prefix('/').unwrap_or(name);
        if let Some((id, _)) = containers.names.get(plain) {
            return by_id(id).ok_or_else(no_such);
        }
        if name.is_empty() {
            return Err(no_such());
        }
        let mut matching = containers.by_id.values().filter(|s| s.id.as_str().starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(slot), None) => Ok(Arc::clone(slot)),
            (None, _) => Err(no_such()),
            (Some(_), Some(_)) => Err(Error::bad_parameter(format!(
                "multiple IDs found with provided prefix: {name}"
            ))),
        }
    }

    pub(super) fn snapshots(&self) -> Vec<Snapshot> {
        let slots: Vec<_> = self.containers.lock().by_id.values().map(Arc::clone).collect();
        slots.iter().map(|slot| slot.snapshot()).collect()
    }

    /// Containers, newest first.
    ///
    /// # Errors
    /// `BadParameter` for an unknown filter.
    pub fn list(&self, query: &ListQuery) -> Result<Vec<Snapshot>> {
        let sieve = self.sieve(&query.filters)?;
        let mut found: Vec<_> = self.snapshots().into_iter().filter(|s| sieve.passes(s)).collect();
        if !query.all && query.limit == 0 && !sieve.any_state {
            found.retain(|snapshot| {
                matches!(snapshot.state, State::Running { .. } | State::Restarting { .. })
            });
        }
        order::sort_by(&mut found, |a, b| {
            (b.record.created, &b.record.id).cmp(&(a.record.created, &a.record.id))
        });
        if query.limit > 0 {
            found.truncate(query.limit);
        }
        Ok(found)
    }

    /// Looks up what the filters name, and checks their values.
    fn sieve(&self, filters: &Filters) -> Result<Sieve> {
        let unknown = filter::invalid;
        filter::check_keys(filters, FILTERS)?;
        let values = |key: &str| filters.get(key).cloned().unwrap_or_default();
        let (status, exited) = (values("status"), values("exited"));
        if let Some(word) = status.iter().find(|word| !STATUSES.contains(&word.as_str())) {
            return Err(unknown(&format!("status={word}")));
        }
        if let Some(word) = values("health").iter().find(|w| !HEALTH.contains(&w.as_str())) {
            return Err(unknown(&format!("health={word}")));
        }
        for key in ["expose", "publish"] {
            let wrong = |port: &&String| port.parse::<PortRange>().is_err();
            if let Some(port) = values(key).iter().find(wrong) {
                return Err(unknown(&format!("{key}={port}")));
            }
        }
        let codes: Result<Vec<i32>> = exited
            .iter()
            .map(|code| code.parse().map_err(|_| unknown(&format!("exited={code}"))))
            .collect();
        let created = |key: &str| -> Result<Vec<_>> {
            values(key).iter().map(|name| Ok(self.get(name)?.record.created)).collect()
        };
        let (since, before) = (created("since")?, created("before")?);
        let ancestors = match filters.get("ancestor") {
            Some(names) => self.descendants(names),
            None => Vec::new(),
        };
        Ok(Sieve {
            any_state: !status.is_empty()
                || !exited.is_empty()
                || !since.is_empty()
                || !before.is_empty(),
            by_ancestor: filters.contains_key("ancestor"),
            codes: codes?,
            since,
            before,
            ancestors,
            filters: filters.clone(),
        })
    }

    /// The images that are meant, and all that were made from them.
    fn descendants(&self, names: &[String]) -> Vec<Digest> {
        let mut found: Vec<Digest> =
            names.iter().filter_map(|name| Some(self.images.find(name)?.id)).collect();
        // Parents are older than their children.
        for image in self.images.list().iter().rev() {
            if image.parent.is_some_and(|parent| found.contains(&parent)) {
                found.push(image.id);
            }
        }
        found
    }

    /// Bytes in the container's writable layer, and in its whole root.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn size(&self, name: &str) -> Result<(u64, u64)> {
        let record = self.slot(name)?.record();
        let image = self.images.by_id(&record.image).map_or(0, |image| image.size);
        let own = match self.images.plan(&record.image) {
            Ok(Plan::Copy) => {
                let whole = tree_size(&self.layout.rootfs(&record.id));
                return Ok((whole.saturating_sub(image), whole.max(image)));
            }
            Ok(Plan::Overlay { .. }) | Err(_) => tree_size(&self.layout.upper(&record.id)),
        };
        Ok((own, own + image))
    }
}

/// Bytes of the files below `top`; what vanishes or cannot be read meanwhile is not counted.
fn tree_size(top: &std::path::Path) -> u64 {
    let mut sum = 0;
    let mut todo = vec![top.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                todo.push(entry.path());
            } else if metadata.is_file() {
                sum += metadata.len();
            }
        }
    }
    sum
}

/// Filters whose values have been looked up.
struct Sieve {
    /// Stopped containers are meant as well.
    any_state: bool,
    by_ancestor: bool,
    codes: Vec<i32>,
    since: Vec<crate::base::Timestamp>,
    before: Vec<crate::base::Timestamp>,
    ancestors: Vec<Digest>,
    filters: Filters,
}

impl Sieve {
    /// Values of one key are alternatives, but for labels; keys come all together.
    fn passes(&self, snapshot: &Snapshot) -> bool {
        let Snapshot { record, state, networks: attachments, health } = snapshot;
        let any = |key: &str, fits: &dyn Fn(&str) -> bool| {
            self.filters.get(key).is_none_or(|values| values.iter().any(|value| fits(value)))
        };
        let code = match state {
            State::Exited { code, .. } => Some(code.unwrap_or(super::wait::UNKNOWN_CODE)),
            State::Created { .. } => Some(0),
            _ => None,
        };
        let network = network_name(&record.host.network_mode);
        any("id", &|value| matches(value, record.id.as_str()))
            && any("name", &|value| {
                matches(value, &record.name) || matches(value, &format!("/{}", record.name))
            })
            && filter::has_labels(&self.filters, "label", &record.config.labels)
            && any("status", &|value| value == state.word())
            && any("health", &|value| value == health.as_ref().map_or("none", |h| h.status.word()))
            && any("network", &|value| value == network || record.endpoints.contains_key(value))
            && any("expose", &|value| {
                record.config.exposed_ports.ranges().any(|ports| {
                    has_port(value, ports.protocol, ports.first, ports.last)
                })
            })
            && any("publish", &|value| {
                attachments.iter().flat_map(|attachment| &attachment.ports).any(|published| {
                    has_port(value, published.ports.protocol, published.first, published.last())
                })
            })
            // There are no tasks without a cluster.
            && any("is-task", &|value| matches!(value, "false" | "0"))
            && any("volume", &|value| {
                record.mounts.iter().any(|mount| {
                    let bound = match &mount.kind {
                        MountKind::Bind { source, .. } => source == value,
                        MountKind::Volume { name, .. } => name == value,
                        MountKind::Tmpfs { .. } => false,
                    };
                    bound || mount.destination == value
                })
            })
            && (self.codes.is_empty() || code.is_some_and(|code| self.codes.contains(&code)))
            && (self.since.is_empty() || self.since.iter().any(|since| record.created > *since))
            && (self.before.is_empty() || self.before.iter().any(|other| record.created < *other))
            && (!self.by_ancestor || self.ancestors.contains(&record.image))
    }
}

/// Whether one of the ports that `wanted` names is among those from `first` to `last`.
fn has_port(wanted: &str, protocol: Protocol, first: u16, last: u16) -> bool {
    wanted.parse::<PortRange>().is_ok_and(|wanted| {
        wanted.protocol == protocol && wanted.first <= last && first <= wanted.last
    })
}

fn network_name(mode: &NetworkMode) -> &str {
    match mode {
        NetworkMode::Default => "bridge",
        NetworkMode::None => "none",
        NetworkMode::Host => "host",
        NetworkMode::Container(_) => "container",
        NetworkMode::Named(name) => name,
    }
}

/// Whether `text` has a part that `pattern` describes: letters stand for themselves, `.` for any,
/// `*` after one for any number of it, `^` and `$` for the ends, `\` takes a meaning away. This
/// is as much of regular expressions as names and ids ask for.
fn matches(pattern: &str, text: &str) -> bool {
    // Each star may multiply the work by the length of the text; names are short.
    if pattern.len() > 256 || pattern.bytes().filter(|b| *b == b'*').count() > 4 {
        return false;
    }
    let text = text.as_bytes();
    match pattern.as_bytes() {
        [b'^', rest @ ..] => matches_here(rest, text),
        rest => (0..=text.len()).any(|at| matches_here(rest, &text[at..])),
    }
}

fn matches_here(pattern: &[u8], text: &[u8]) -> bool {
    let (literal, byte, rest) = match pattern {
        [] => return true,
        [b'$'] => return text.is_empty(),
        [b'\\', byte, rest @ ..] => (true, *byte, rest),
        [byte, rest @ ..] => (*byte != b'.', *byte, rest),
    };
    let fits = |other: u8| !literal || other == byte;
    match rest {
        [b'*', rest @ ..] => {
            let most = text.iter().take_while(|b| fits(**b)).count();
            (0..=most).any(|count| matches_here(rest, &text[count..]))
        }
        rest => text.first().is_some_and(|b| fits(*b)) && matches_here(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::engine::tests::record;

    #[test]
    fn patterns_of_names_match_parts_and_ends() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        };
        check("web", "my-web-1", true);
        check("^web", "my-web", false);
        check("^/web$", "/web", true);
        check("^web$", "web1", false);
        check("w.b", "wxb", true);
        check(r"w\.b", "wxb", false);
        check("a.*z", "a123z", true);
        check("", "x", true);
        check("a*a*a*a*a*b", &"a".repeat(200), false);
    }

    fn snapshot(name: &str, code: Option<i32>) -> Snapshot {
        let mut record = record(name);
        record.config.labels.insert("tier".into(), "front".into());
        let state = State::Exited {
            code,
            oom_killed: false,
            started_at: Timestamp::ZERO,
            finished_at: Timestamp::ZERO,
            error: None,
        };
        Snapshot { record: Arc::new(record), state, networks: Arc::default(), health: None }
    }

    fn passes(filters: &[(&str, &str)], snapshot: &Snapshot) -> bool {
        let mut map = Filters::new();
        for (key, value) in filters {
            map.entry((*key).to_owned()).or_default().push((*value).to_owned());
        }
        let codes = map.get("exited").cloned().unwrap_or_default();
        Sieve {
            any_state: true,
            by_ancestor: false,
            codes: codes.iter().map(|code| code.parse().unwrap()).collect(),
            since: Vec::new(),
            before: Vec::new(),
            ancestors: Vec::new(),
            filters: map,
        }
        .passes(snapshot)
    }

    #[test]
    fn values_of_one_key_are_alternatives_and_keys_come_together() {
        let web = snapshot("web", Some(3));
        assert!(passes(&[("name", "db"), ("name", "we")], &web));
        assert!(!passes(&[("name", "web"), ("label", "tier=back")], &web));
        assert!(passes(&[("label", "tier"), ("status", "exited"), ("exited", "3")], &web));
        assert!(!passes(&[("exited", "0")], &web));
        assert!(passes(&[("exited", "255")], &snapshot("lost", None)));
        assert!(passes(&[("network", "bridge"), ("health", "none")], &web));
        assert!(passes(&[("is-task", "false")], &web) && !passes(&[("is-task", "true")], &web));
    }

    #[test]
    fn ports_are_named_alone_or_in_ranges() {
        let check = |wanted: &str, first: u16, last: u16, expected: bool| {
            assert_eq!(has_port(wanted, Protocol::Tcp, first, last), expected, "{wanted}");
        };
        check("80", 80, 80, true);
        check("80/udp", 80, 80, false);
        check("8000-8010/tcp", 8010, 8020, true);
        check("8000-8010", 8011, 8020, false);
        check("x", 80, 80, false);
    }
}
