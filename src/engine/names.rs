//! The names that containers know each other by.
//!
//! - On a network that users have made, everybody knows everybody by name, id and aliases: those
//!   are asked for by DNS (`resolver`). On the default one links alone are known: lines of `hosts`.
//! - The lines are written anew, in place, whenever somebody comes or goes. They are files: names
//!   are known while no daemon is there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use super::slot::Slot;
use super::{Engine, Snapshot};
use crate::base::{Error, Result};
use crate::container::{Record, State};
use crate::model::{Attachment, NetworkMode};
use crate::network;
use crate::warn;

impl Engine {
    /// Addresses with their names, as the `hosts` of `record` with these places on networks has
    /// them: its own ones first.
    pub(super) fn peers(
        &self,
        record: &Record,
        attachments: &[Attachment],
    ) -> Vec<(IpAddr, String)> {
        let others = if has_links(record, attachments) { self.on_networks() } else { Vec::new() };
        names(record, attachments, &others)
    }

    /// The containers that `record` is linked to on the default network, each with its alias.
    /// One that was removed meanwhile takes the link with it.
    fn linked(&self, record: &Record) -> Vec<(Arc<Slot>, String)> {
        if matches!(record.host.network_mode, NetworkMode::Named(_)) {
            return Vec::new();
        }
        let linked = |link: &String| {
            let (name, alias) = split_link(link);
            self.slot(name).ok().map(|slot| (slot, alias.to_owned()))
        };
        record.host.links.iter().filter_map(linked).collect()
    }

    /// Whether all that a container is linked to run.
    pub(super) fn check_links(&self, record: &Record) -> Result<()> {
        for (slot, alias) in self.linked(record) {
            let Snapshot { record: other, state, .. } = slot.snapshot();
            if !matches!(state, State::Running { .. }) {
                return Err(Error::internal(format!(
                    "Cannot link to a non running container: /{} AS /{}/{alias}",
                    other.name, record.name
                )));
            }
        }
        Ok(())
    }

    /// Puts those that others are linked to before these.
    pub(super) fn linked_first(&self, slots: Vec<Arc<Slot>>) -> Vec<Arc<Slot>> {
        let mut rest = slots;
        let mut ordered = Vec::new();
        while !rest.is_empty() {
            let waits = |slot: &Arc<Slot>| {
                let linked = self.linked(&slot.record());
                linked.iter().any(|(other, _)| rest.iter().any(|slot| Arc::ptr_eq(slot, other)))
            };
            let (mut later, mut now): (Vec<_>, Vec<_>) = rest.iter().cloned().partition(waits);
            if now.is_empty() {
                // Renamed until they lead round in a ring.
                now.append(&mut later);
            }
            ordered.append(&mut now);
            rest = later;
        }
        ordered
    }

    /// Containers that have places on networks.
    fn on_networks(&self) -> Vec<Snapshot> {
        let mut all = self.snapshots();
        all.retain(|snapshot| !snapshot.networks.is_empty());
        all
    }

    /// Brings all that running containers know of networks up to date.
    pub(super) fn refresh_names(&self) {
        let _ordered = self.names.lock();
        let all = self.on_networks();
        self.refresh_hosts(&all, |_| true);
        self.refresh_own_names(&all);
        self.refresh_networks(&all);
    }

    /// After a container came or went: its neighbours get to know.
    pub(super) fn neighbours_changed(&self, attachments: &[Attachment]) {
        if attachments.is_empty() {
            return;
        }
        let _ordered = self.names.lock();
        let all = self.on_networks();
        // On the default network links may lead to it.
        self.refresh_hosts(&all, |s| has_links(&s.record, &s.networks));
        if attachments.iter().any(is_made) {
            self.refresh_networks(&all);
        }
    }

    fn refresh_hosts(&self, all: &[Snapshot], chosen: impl Fn(&Snapshot) -> bool) {
        for snapshot in all {
            let Snapshot { record, state, networks, .. } = snapshot;
            if !matches!(state, State::Running { .. }) || !chosen(snapshot) {
                continue;
            }
            let Ok(text) = self.hosts_of(record, &names(record, networks, all)) else { continue };
            let path = self.run_dir(&record.id).join("hosts");
            if let Err(error) = write_over(&path, &text) {
                // One that has just ended has none.
                if error.kind() != std::io::ErrorKind::NotFound {
                    warn!("write {}: {error}", path.display());
                }
            }
        }
    }
}

/// Whether it is a place on a network that a user has made.
pub(super) fn is_made(attachment: &Attachment) -> bool {
    attachment.network != network::DEFAULT
}

fn has_links(record: &Record, attachments: &[Attachment]) -> bool {
    !record.host.links.is_empty() && !attachments.iter().all(is_made)
}

/// Writes without a moment at which the file is empty or another one: it is mounted.
pub(super) fn write_over(path: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::read_to_string(path)? == text {
        return Ok(());
    }
    let mut file = File::options().write(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn names(
    record: &Record,
    attachments: &[Attachment],
    others: &[Snapshot],
) -> Vec<(IpAddr, String)> {
    let mut lines = Vec::new();
    let (host, domain) = (&record.config.hostname, &record.config.domainname);
    let own = match domain.as_str() {
        "" => host.clone(),
        domain => format!("{host}.{domain} {host}"),
    };
    let shares = matches!(record.host.network_mode, NetworkMode::Host);
    if attachments.is_empty() && !shares && !host.is_empty() {
        lines.push((Ipv4Addr::LOCALHOST.into(), own.clone()));
    }
    for attachment in attachments {
        lines.extend(attachment.addresses().map(|address| (address, own.clone())));
    }
    let links = || record.host.links.iter().map(|link| split_link(link));
    for Snapshot { record: other, networks, .. } in others {
        if other.id == record.id {
            continue;
        }
        for place in networks.iter().filter(|place| !is_made(place)) {
            if !attachments.iter().any(|own| own.network_id == place.network_id) {
                continue;
            }
            let mut words: Vec<String> = links()
                .filter(|(name, _)| means(name, other))
                .map(|(_, alias)| alias.to_owned())
                .collect();
            if !words.is_empty() {
                words.extend(known_as(other, place));
                let words = distinct(words).join(" ");
                lines.extend(place.addresses().map(|address| (address, words.clone())));
            }
        }
    }
    lines
}

/// The container that a link leads to, and the name that it goes by.
pub(super) fn split_link(link: &str) -> (&str, &str) {
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    (name.trim_start_matches('/'), alias.rsplit('/').next().unwrap_or(alias))
}

/// The names by which others on a network know a container.
pub(super) fn known_as(record: &Record, place: &Attachment) -> Vec<String> {
    let mut names = vec![record.name.clone()];
    if let Some(endpoint) = record.endpoints.get(&place.network) {
        names.extend(endpoint.aliases.iter().cloned());
    }
    names.push(record.id.short().to_owned());
    if is_made(place) {
        names.push(record.config.hostname.clone());
    }
    distinct(names)
}

fn means(name: &str, record: &Record) -> bool {
    record.name == name || name.len() >= 12 && record.id.as_str().starts_with(name)
}

fn distinct(words: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    words.into_iter().filter(|word| seen.insert(word.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::Timestamp;
    use crate::engine::tests::record;
    use crate::model::{Endpoint, Six};

    fn place(network: &str, last: u8) -> Attachment {
        Attachment {
            network: network.into(),
            network_id: network.into(),
            bridge: "br".into(),
            link: "veth".into(),
            address: Ipv4Addr::new(10, 0, 0, last),
            prefix: 24,
            gateway: Ipv4Addr::new(10, 0, 0, 1),
            v6: None,
            own_mac: None,
            internal: false,
            ports: Vec::new(),
        }
    }

    fn running(record: Record, places: Vec<Attachment>) -> Snapshot {
        let state = State::Running { since: Timestamp::ZERO, pid: 1, paused: false };
        Snapshot { record: Arc::new(record), state, networks: places.into(), health: None }
    }

    #[test]
    fn neighbours_are_known_in_hosts_by_links_alone() {
        let mut web = record("web");
        web.config.hostname = "box".into();
        let mut db = record("db");
        let endpoint = Endpoint { aliases: vec!["store".into()], ..Endpoint::default() };
        db.endpoints.insert("mine".into(), endpoint);
        let far = running(record("far"), vec![place("other", 9)]);
        let short = db.id.short().to_owned();
        db.config.hostname.clone_from(&short);
        assert_eq!(known_as(&db, &place("mine", 4)), ["db", "store", &short]);
        assert_eq!(known_as(&web, &place("mine", 4))[2], "box");
        let db = running(db, vec![place("bridge", 3), place("mine", 4)]);
        let others = [db, far];
        let own = [place("bridge", 2), place("mine", 5)];
        let shown = |web: &Record, own: &[Attachment]| -> Vec<String> {
            let lines = names(web, own, &others);
            lines.into_iter().map(|(address, names)| format!("{address} {names}")).collect()
        };
        assert_eq!(shown(&web, &[]), ["127.0.0.1 box"]);
        assert_eq!(shown(&web, &own[..1]), ["10.0.0.2 box"]);
        assert_eq!(shown(&web, &own[1..]), ["10.0.0.5 box"]);
        let mut six = own[1].clone();
        let (address, gateway) = ("fd00::5".parse().unwrap(), "fd00::1".parse().unwrap());
        six.v6 = Some(Six { address, prefix: 64, gateway });
        assert_eq!(shown(&web, &[six]), ["10.0.0.5 box", "fd00::5 box"]);
        web.host.links = vec!["/db:/web/base".into()];
        assert_eq!(
            shown(&web, &own[..1]),
            ["10.0.0.2 box".to_owned(), format!("10.0.0.3 base db {short}")]
        );
        assert_eq!(shown(&web, &own[1..]), ["10.0.0.5 box"]);
    }
}
