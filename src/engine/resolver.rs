//! Whom containers ask for names: their own name servers, and the files that those read; their
//! `resolv.conf`, which follows the host's.
//!
//! - A container on a network that users have made has a name server in its monitor. What it knows
//!   is in files below the run root: one per network, written whenever somebody comes or goes, and
//!   one per container.
//! - Others ask the host's servers. When those change, the files of running containers change with
//!   them, unless the container has changed its own.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::names::{is_made, known_as, split_link};
use super::slot::Slot;
use super::{Engine, Snapshot, etc};
use crate::base::{Context, Error, Id, Result};
use crate::container::{Record, State};
use crate::dns::servers::{RESOLV_CONF, words};
use crate::model::{Attachment, NetworkMode};
use crate::network::dns::Listening;
use crate::runtime::dns::names::{DIR, FILE, Text};
use crate::runtime::handle::Handle;
use crate::runtime::launch::{Launch, Namespace};
use crate::sys::poll::{self, Inotify, Interest};
use crate::warn;

/// Who changes the host's servers touches several files.
const CALM: Duration = Duration::from_millis(50);
/// Pause after a watch that could not be set.
const RETRY: Duration = Duration::from_secs(600);
/// Most symlinks that are followed.
const MAX_LINKS: usize = 16;

impl Engine {
    /// Writes the file of what a container with these places knows by itself, when it has a name
    /// server.
    pub(super) fn write_own_names(&self, record: &Record, networks: &[Attachment]) -> Result<()> {
        if !networks.iter().any(is_made) {
            return Ok(());
        }
        let path = self.run_dir(&record.id).join(FILE);
        let text = own_names(record, networks, &self.options.dns);
        text.write(&path).context(|| format!("write {}", path.display()))
    }

    /// Hands the sockets of a name server to the monitor of a container that is about to start,
    /// when it is to have one.
    pub(super) fn serve_names(&self, monitor: &Handle, launch: &Launch) -> Result<()> {
        match &launch.namespaces.net {
            Namespace::Join(path) if launch.networks.iter().any(is_made) => {
                monitor.serve_names(Listening::open(path)?.sockets())
            }
            _ => Ok(()),
        }
    }

    /// Lets a running container that comes to these networks have a name server.
    pub(super) fn serve_names_of_running(
        &self,
        slot: &Slot,
        networks: &[Attachment],
    ) -> Result<()> {
        let (monitor, record, state) = {
            let inner = slot.lock();
            (inner.monitor.clone(), Arc::clone(&inner.record), inner.state.clone())
        };
        let (Some(monitor), State::Running { pid, .. }) = (monitor, state) else {
            return Err(Error::conflict(format!("container {} has ended", slot.id)));
        };
        let has_one = self.run_dir(&slot.id).join(FILE).exists();
        if !has_one && networks.iter().any(is_made) {
            let listening = Listening::open(Path::new(&format!("/proc/{pid}/ns/net")))?;
            monitor.serve_names(listening.sockets())?;
        }
        self.write_own_names(&record, networks)
    }

    /// Brings what containers know by themselves up to date.
    pub(super) fn refresh_own_names(&self, all: &[Snapshot]) {
        for Snapshot { record, state, networks, .. } in all {
            let path = self.run_dir(&record.id).join(FILE);
            if matches!(state, State::Running { .. }) && path.exists() {
                said(&path, own_names(record, networks, &self.options.dns).write(&path));
            }
        }
    }

    /// Brings the files of networks up to date; those that nobody is on any more go.
    pub(super) fn refresh_networks(&self, all: &[Snapshot]) {
        let dir = self.options.run_root.join(DIR);
        let mut texts: Vec<(&str, Text)> = Vec::new();
        for Snapshot { record, networks, .. } in all {
            for place in networks.iter().filter(|place| is_made(place)) {
                let id = place.network_id.as_str();
                let at = texts.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
                    let mut text = Text::default();
                    text.network(&place.network);
                    texts.push((id, text));
                    texts.len() - 1
                });
                let names = known_as(record, place);
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                for address in place.addresses() {
                    texts[at].1.at(address, &names);
                }
            }
        }
        if !texts.is_empty() {
            if let Err(error) = super::make_dir(&dir, 0o700) {
                warn!("{error}");
            }
        }
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if texts.iter().all(|(id, _)| *id != name) {
                said(&entry.path(), std::fs::remove_file(entry.path()));
            }
        }
        for (id, text) in texts {
            let path = dir.join(id);
            said(&path, text.write(&path));
        }
    }

    /// Brings the resolv.conf of a running container up to date.
    pub(super) fn refresh_resolver(&self, slot: &Slot) {
        let Snapshot { record, state, networks, .. } = slot.snapshot();
        if !matches!(state, State::Running { .. }) {
            return;
        }
        let path = self.run_dir(&record.id).join(etc::RESOLV);
        let text = match &record.host.network_mode {
            NetworkMode::Container(peer) => {
                let peer = Id::parse(peer).map(|peer| self.run_dir(&peer).join(etc::RESOLV));
                match peer.map(std::fs::read_to_string) {
                    Some(Ok(text)) => text,
                    _ => return,
                }
            }
            mode => {
                let host = etc::host_file(*mode == NetworkMode::Host);
                // It is being changed, or there is no network at the moment.
                if words(&host, "nameserver").next().is_none() {
                    return;
                }
                self.resolv_conf(&record, &networks, &host)
            }
        };
        said(&path, etc::rewrite_resolv_conf(&path, &text));
    }

    /// Brings the resolv.conf of all running containers up to date.
    fn refresh_resolvers(&self) {
        let slots: Vec<Arc<Slot>> = self.containers.lock().by_id.values().map(Arc::clone).collect();
        let (sharing, own): (Vec<_>, Vec<_>) = slots
            .into_iter()
            .partition(|slot| matches!(slot.record().host.network_mode, NetworkMode::Container(_)));
        // Who shares a network takes over what the other has.
        own.iter().chain(&sharing).for_each(|slot| self.refresh_resolver(slot));
    }

    /// Follows the host's servers from now on; what has changed while no daemon was there is made
    /// up for.
    pub(super) fn watch_resolvers(&self) {
        let me = self.me.clone();
        let watching = self.spawn_thread("resolvers", move || {
            loop {
                // Before the files are looked at: no change goes unseen.
                let watch = watch(Path::new(RESOLV_CONF));
                match me.upgrade() {
                    Some(engine) => engine.refresh_resolvers(),
                    None => return,
                }
                let waited = watch.and_then(|watch| {
                    poll::wait(&[(watch.as_fd(), Interest::READ)], None).map(drop)
                });
                match waited {
                    Ok(()) => std::thread::sleep(CALM),
                    Err(error) => {
                        warn!("watch {RESOLV_CONF}: {error}");
                        std::thread::sleep(RETRY);
                    }
                }
            }
        });
        if let Err(error) = watching {
            warn!("{error}");
        }
    }
}

/// Logs what went wrong with the file of a container that may have ended meanwhile.
fn said(path: &Path, result: io::Result<()>) {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!("write {}: {error}", path.display());
        }
        _ => {}
    }
}

fn own_names(record: &Record, networks: &[Attachment], daemon_dns: &[String]) -> Text {
    let mut text = Text::default();
    for place in networks.iter().filter(|place| is_made(place)) {
        text.on(&place.network_id);
        // It is not on the network for all to see before it runs, yet knows itself.
        let names = known_as(record, place);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for address in place.addresses() {
            text.at(address, &names);
        }
    }
    let links = record.endpoints.values().flat_map(|endpoint| &endpoint.links);
    for link in record.host.links.iter().chain(links) {
        let (name, alias) = split_link(link);
        // Ids are known by their beginnings.
        let short = Id::parse(name).map(|id| id.short().to_owned());
        text.alias(alias, short.as_deref().unwrap_or(name));
    }
    let own = &record.host.dns;
    own.iter().for_each(|server| text.ask_inside(server));
    // Nothing gets out of internal networks, by way of a name server neither.
    let way_out = networks.iter().any(|place| !place.internal);
    if own.is_empty() && way_out {
        daemon_dns.iter().for_each(|server| text.ask(server));
        if daemon_dns.is_empty() {
            text.ask_host();
        }
    }
    text
}

/// Watches a file that may be a symlink, or may be replaced: itself and the directories that its
/// names are in.
fn watch(path: &Path) -> io::Result<Inotify> {
    let inotify = Inotify::new()?;
    let mut path = PathBuf::from(path);
    for _ in 0..MAX_LINKS {
        // A directory that is not there yet comes with an entry of one above.
        let mut dirs = path.ancestors().skip(1);
        let dir = dirs.find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
        inotify.watch_replacing(dir)?;
        match std::fs::read_link(&path) {
            Ok(target) => path = dir.join(target),
            Err(_) => break,
        }
    }
    match inotify.watch_replacing(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(inotify),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_file_is_watched_through_its_links() {
        let dir = std::env::temp_dir().join(format!("skiff-watch-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        let path = dir.join("etc/resolv.conf");
        std::os::unix::fs::symlink("../run/deep/conf", &path).unwrap();
        let changes = |what: &dyn Fn()| {
            let inotify = watch(&path).unwrap();
            what();
            let soon = Some(Instant::now() + Duration::from_secs(5));
            assert!(poll::wait(&[(inotify.as_fd(), Interest::READ)], soon).unwrap()[0].any());
        };
        changes(&|| std::fs::create_dir_all(dir.join("run")).unwrap());
        changes(&|| std::fs::create_dir_all(dir.join("run/deep")).unwrap());
        changes(&|| std::fs::write(dir.join("run/deep/conf"), "a").unwrap());
        changes(&|| std::fs::write(dir.join("run/deep/conf"), "b").unwrap());
        changes(&|| {
            std::fs::write(dir.join("run/deep/new"), "c").unwrap();
            std::fs::rename(dir.join("run/deep/new"), dir.join("run/deep/conf")).unwrap();
        });
        changes(&|| std::fs::remove_file(&path).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
