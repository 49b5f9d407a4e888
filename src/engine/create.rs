//! Creating and renaming containers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::slot::Slot;
use super::{CreateRequest, Created, Engine};
use crate::base::{Digest, Error, Id, Kind, Result, Timestamp, guard, step};
use crate::container::{DiskState, Record, State, merge, names, validate};
use crate::image::{Driver, Image};
use crate::model::{HostConfig, NetworkMode};
use crate::runtime::cgroup::Support;
use crate::sys;

/// How often a made-up name may be taken before we give up.
const NAME_ATTEMPTS: u32 = 64;

impl Engine {
    /// Creates a container.
    ///
    /// # Errors
    /// `NotFound` for the image, `Conflict` for the name, `BadParameter` for the rest.
    pub fn create(&self, request: CreateRequest) -> Result<Created> {
        let image = self.images.get(&request.config.image)?;
        check_platform(&image, request.platform.as_deref(), &request.config.image)?;
        let name = request.name.clone().filter(|name| !name.is_empty());
        let name = name.as_deref().map(names::check).transpose()?;
        let id = Id::random();
        let (mut record, warnings) = self.draft(&id, request.clone(), &image)?;

        let reserved = guard(self.reserve(&id, name, image.id)?, |_| self.unreserve(&id));
        record.name = (*reserved).clone();
        self.images.pin(&image.id, &id);
        let pinned = guard((), |()| self.images.unpin(&id));
        // Looked at again now that a removal of the image would see us.
        if self.images.by_id(&image.id).is_none() {
            return Err(Error::no_such("image", &request.config.image));
        }
        // Dying before the publication leaves a `.tmp-` directory at most, which adopt deletes.
        let draft = self.layout.draft(&record, |upper| match self.images.driver() {
            (Driver::Overlay, _) => self.images.make_upper(&image.id, upper),
            // The whole root is copied at the first start.
            (Driver::Copy, _) => Ok(()),
        })?;
        step::done("create.made");
        self.layout.publish(&draft, &id)?;
        // Dying from here on, adopt finds a created container, which nobody has been told of.
        step::done("create.recorded");

        let record = Arc::new(record);
        let slot = Slot::new(Arc::clone(&record), State::Created { code: 0, error: None });
        self.containers.lock().by_id.insert(id.clone(), Arc::new(slot));
        self.emit_container("create", &record, &[]);
        pinned.keep();
        reserved.keep();
        Ok(Created { id, warnings })
    }

    /// The record that a request asks for, but for its name; and what could not be honoured.
    fn draft(
        &self,
        id: &Id,
        request: CreateRequest,
        image: &Image,
    ) -> Result<(Record, Vec<String>)> {
        let CreateRequest { name: _, config, mut host, log_given, endpoints, platform: _ } =
            request;
        validate::check_request(&config)?;
        for link in &host.links {
            let name = link.split(':').next().unwrap_or_default();
            self.slot(name).map_err(|why| {
                Error::bad_parameter(format!("could not get container for {name}: {why}"))
            })?;
        }
        let mut config = merge::merge(config, &image.config);
        if !log_given {
            host.log.clone_from(&self.options.log);
        }
        if let NetworkMode::Container(peer) = &host.network_mode {
            let own_names =
                !config.hostname.is_empty() || !host.dns.is_empty() || !host.extra_hosts.is_empty();
            if own_names {
                return Err(Error::bad_parameter(
                    "conflicting options: hostname, dns or add-host and the network mode",
                ));
            }
            // By id from now on: the peer may be renamed.
            let peer = self.slot(peer)?;
            host.network_mode = NetworkMode::Container(peer.id.to_string());
            config.hostname.clone_from(&peer.record().config.hostname);
        }
        let endpoints = self.name_networks(&host.network_mode, endpoints)?;
        let checked = validate::check(&mut config, &mut host, &endpoints, self.cpus)?;
        let mut warnings = checked.warnings;
        warnings.extend(validate::image_warnings(&image.config, &checked.mounts));
        warnings.extend(unsupported(self.cgroups.support(), &host));
        if host.ipc_mode.starts_with("container:") {
            warnings.push(
                "/dev/shm is the container's own: it is not shared with its IPC namespace yet."
                    .into(),
            );
        }
        if config.hostname.is_empty() {
            config.hostname = default_hostname(id, &host.network_mode, &host.uts_mode);
        }
        let record = Record {
            version: Record::VERSION,
            id: id.clone(),
            name: String::new(),
            created: Timestamp::now(),
            image: image.id,
            config,
            host,
            endpoints,
            mounts: checked.mounts,
            run: 0,
            restart_count: 0,
            stopped_by_user: false,
            state: DiskState::Created,
        };
        Ok((record, warnings))
    }

    /// Takes the name for container `id`, or makes one up.
    fn reserve(&self, id: &Id, name: Option<&str>, image: Digest) -> Result<String> {
        let mut containers = self.containers.lock();
        let name = match name {
            Some(name) => match containers.names.get(name) {
                Some((other, _)) => return Err(name_taken(name, other)),
                None => name.to_owned(),
            },
            None => (0..NAME_ATTEMPTS)
                .map(|attempt| names::made_up(id, attempt))
                .find(|name| !containers.names.contains_key(name))
                .ok_or_else(|| Error::internal("no free name was found"))?,
        };
        containers.names.insert(name.clone(), (id.clone(), image));
        Ok(name)
    }

    fn unreserve(&self, id: &Id) {
        self.containers.lock().names.retain(|_, (owner, _)| owner != id);
    }

    /// Renames a container.
    ///
    /// # Errors
    /// `Conflict` for a taken name, `BadParameter` for an illegal one.
    pub fn rename(&self, name: &str, new: &str) -> Result<()> {
        let slot = self.slot(name)?;
        let new = names::check(new)?;
        let record = slot.record();
        if record.name == new {
            return Err(Error::bad_parameter(
                "Renaming a container with the same name as its current name",
            ));
        }
        let reserved = guard(self.reserve(&slot.id, Some(new), record.image)?, |new| {
            self.containers.lock().names.remove(&new);
        });
        // The record is written whole or not at all: adopt finds the old name or the new one.
        slot.save(&self.layout, |record| record.name = new.to_owned()).map_err(|error| {
            if slot.lock().gone { Error::no_such("container", name) } else { error }
        })?;
        step::done("rename.recorded");
        if !self.containers.lock().by_id.contains_key(&slot.id) {
            return Err(Error::no_such("container", name));
        }
        reserved.keep();
        self.containers.lock().names.remove(&record.name);
        self.refresh_names();
        self.emit_container("rename", &slot.record(), &[("oldName", format!("/{}", record.name))]);
        Ok(())
    }
}

/// What the kernel cannot limit although it is asked for, in Docker's words.
pub(super) fn unsupported(support: &Support, host: &HostConfig) -> Vec<String> {
    let swap = host.memory_swap != 0 || host.memory_swappiness.is_some();
    let memory = host.memory != 0 || host.memory_reservation != 0;
    let quota = host.nano_cpus != 0 || host.cpu_quota != 0;
    let cpuset = !host.cpuset_cpus.is_empty() || !host.cpuset_mems.is_empty();
    let cases = [
        (
            memory && !support.memory,
            "memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
        ),
        (
            swap && support.memory && !support.swap,
            "swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
        ),
        (
            host.cpu_shares != 0 && !support.cpu_shares,
            "CPU shares or the cgroup is not mounted. Shares discarded.",
        ),
        (
            quota && !support.cpu_quota,
            "CPU CFS quota or the cgroup is not mounted. Quota discarded.",
        ),
        (
            host.blkio_weight != 0 && !support.blkio_weight,
            "Block I/O weight or the cgroup is not mounted. Weight discarded.",
        ),
        (cpuset && !support.cpuset, "cpuset or the cgroup is not mounted. Cpuset discarded."),
        (
            host.pids_limit > 0 && !support.pids,
            "PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
        ),
    ];
    let missing = cases.into_iter().filter(|(missing, _)| *missing);
    missing.map(|(_, what)| format!("Your kernel does not support {what}")).collect()
}

fn name_taken(name: &str, owner: &Id) -> Error {
    Error::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You \
         have to remove (or rename) that container to be able to reuse that name."
    ))
}

fn default_hostname(id: &Id, network: &NetworkMode, uts: &str) -> String {
    if *network == NetworkMode::Host || uts == "host" {
        if let Ok(host) = sys::host::uname() {
            return host.nodename;
        }
    }
    id.short().to_owned()
}

/// Whether the image is for the wished `os/arch[/variant]`.
fn check_platform(image: &Image, wished: Option<&str>, name: &str) -> Result<()> {
    let Some(wished) = wished.filter(|wished| !wished.is_empty()) else { return Ok(()) };
    let mut parts = wished.split('/');
    let matches = |part: Option<&str>, own: &str| part.is_none_or(|part| part == own);
    let architecture = |part: &str| match part {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        part => part.to_owned(),
    };
    let fits = matches(parts.next(), &image.os)
        && matches(parts.next().map(architecture).as_deref(), &image.architecture)
        && (image.variant.is_empty() || matches(parts.next(), &image.variant));
    if fits {
        return Ok(());
    }
    Err(Error::new(
        Kind::NotFound,
        format!(
            "image with reference {name} was found but does not match the specified platform: \
             wanted {wished}, actual: {}/{}",
            image.os, image.architecture
        ),
    ))
}

/// Attributes of a container's events: its labels, then what the engine says.
pub(super) fn event_attributes(
    record: &Record,
    more: &[(&str, String)],
) -> BTreeMap<String, String> {
    let mut attributes = record.config.labels.clone();
    attributes.insert("image".into(), record.config.image.clone());
    attributes.insert("name".into(), record.name.clone());
    for (key, value) in more {
        attributes.insert((*key).to_owned(), value.clone());
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::record;

    #[test]
    fn a_taken_name_is_told_in_dockers_words() {
        let id = Id::random();
        assert_eq!(
            name_taken("web", &id).to_string(),
            format!(
                "Conflict. The container name \"/web\" is already in use by container \"{id}\". \
                 You have to remove (or rename) that container to be able to reuse that name."
            )
        );
    }

    #[test]
    fn labels_do_not_overrule_the_names_of_events() {
        let mut record = record("web");
        record.config.labels.insert("name".into(), "forged".into());
        record.config.labels.insert("a".into(), "b".into());
        let attributes = event_attributes(&record, &[("exitCode", "3".into())]);
        assert_eq!(attributes["name"], "web");
        assert_eq!((attributes["a"].as_str(), attributes["exitCode"].as_str()), ("b", "3"));
    }
}
