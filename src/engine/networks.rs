//! Networks: making, showing and removing them, and who is on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::slot::Slot;
use super::{Engine, Filters, ID_FILE, Snapshot, filter};
use crate::base::{Digest, Error, Id, Kind, Result, Timestamp, guard};
use crate::container::{Record, State};
use crate::model::network::parse_mac;
use crate::model::{Attachment, Endpoint, NetworkMode};
use crate::network::{self, Network, NewNetwork, Place};
use crate::runtime::launch::Launch;

const FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];
/// Stands among the endpoints of a container that was taken off all networks.
const NOWHERE: &str = "none";
const PRUNE_FILTERS: &[&str] = &["label", "label!", "until"];

/// A network, and who is on it.
#[derive(Debug, Clone)]
pub struct NetworkView {
    /// The network.
    pub network: Network,
    /// `bridge`, `host`, `null`.
    pub driver: &'static str,
    /// Whether a user has made it.
    pub made: bool,
    /// Running containers with their names and places.
    pub containers: Vec<(Id, String, Attachment)>,
}

/// What an endpoint asks for; it was checked.
fn place(network: String, endpoint: &Endpoint) -> Place {
    Place {
        network,
        address: endpoint.wanted_ipv4.parse().ok(),
        six: endpoint.wanted_ipv6.parse().ok(),
        mac: parse_mac(&endpoint.mac_address),
    }
}

impl Engine {
    /// The networks that a container is to be on, its way out first.
    pub(super) fn places(&self, record: &Record) -> Result<Vec<Place>> {
        let primary = match &record.host.network_mode {
            _ if record.config.network_disabled => return Ok(Vec::new()),
            NetworkMode::Default if self.networks.missing().is_some() => return Ok(Vec::new()),
            NetworkMode::Default => network::DEFAULT,
            NetworkMode::Named(name) => name,
            NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => {
                return Ok(Vec::new());
            }
        };
        let place = |(name, endpoint): (&String, &Endpoint)| place(name.clone(), endpoint);
        let mut places: Vec<Place> =
            record.endpoints.iter().filter(|(name, _)| *name != NOWHERE).map(place).collect();
        if places.is_empty() && record.endpoints.contains_key(NOWHERE) {
            return Ok(places);
        }
        let primary = self.networks.find(primary)?.name;
        match places.iter().position(|place| place.network == primary) {
            Some(at) => places[..=at].rotate_right(1),
            None if places.is_empty() => {
                places.push(Place { network: primary, ..Place::default() });
            }
            None => {}
        }
        Ok(places)
    }

    /// Names networks as they are called, and puts the one that the container starts in among
    /// `endpoints` when there are any.
    pub(super) fn name_networks(
        &self,
        mode: &NetworkMode,
        endpoints: BTreeMap<String, Endpoint>,
    ) -> Result<BTreeMap<String, Endpoint>> {
        let primary = match mode {
            NetworkMode::Named(name) => self.networks.find(name)?.name,
            NetworkMode::Default => network::DEFAULT.to_owned(),
            NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => {
                return Ok(endpoints);
            }
        };
        let mut named = BTreeMap::new();
        for (name, endpoint) in endpoints {
            let name = match name.as_str() {
                "default" => primary.clone(),
                name if name == primary => primary.clone(),
                name => self.networks.find(name)?.name,
            };
            named.insert(name, endpoint);
        }
        if !named.is_empty() || primary != network::DEFAULT {
            named.entry(primary).or_default();
        }
        Ok(named)
    }

    fn view(&self, network: Network, driver: &'static str, made: bool) -> NetworkView {
        let mut containers = Vec::new();
        for Snapshot { record, networks, .. } in self.snapshots() {
            for place in networks.iter().filter(|place| place.network_id == network.id) {
                containers.push((record.id.clone(), record.name.clone(), place.clone()));
            }
        }
        NetworkView { network, driver, made, containers }
    }

    fn predefined(&self) -> Vec<NetworkView> {
        let alone = |name: &str| {
            let id = Digest::of(format!("{} {name}", self.id).as_bytes()).hex();
            Network { id, name: name.into(), ..Network::default() }
        };
        let bridge = self.networks.default().cloned().map(|network| (network, "bridge"));
        let all = bridge.into_iter().chain([(alone("host"), "host"), (alone("none"), "null")]);
        // They are as old as the installation.
        let created = Timestamp::of_file(&self.options.root.join(ID_FILE)).unwrap_or_default();
        all.map(|(network, driver)| self.view(Network { created, ..network }, driver, false))
            .collect()
    }

    /// All networks that the filters choose.
    ///
    /// # Errors
    /// `BadParameter` for a filter.
    pub fn networks(&self, filters: &Filters) -> Result<Vec<NetworkView>> {
        filter::check_keys(filters, FILTERS)?;
        let check = |key: &str, good: &[&str]| {
            let values = filters.get(key).into_iter().flatten();
            let wrong = values.into_iter().find(|value| !good.contains(&value.as_str()));
            wrong.map_or(Ok(()), |wrong| Err(filter::invalid(&format!("{key}={wrong}"))))
        };
        check("type", &["builtin", "custom"])?;
        check("dangling", &["0", "1", "false", "true"])?;
        let mut all = self.predefined();
        all.extend(self.networks.list().into_iter().map(|n| self.view(n, "bridge", true)));
        let any = |key: &str, fits: &dyn Fn(&str) -> bool| {
            filters.get(key).is_none_or(|values| values.iter().any(|value| fits(value)))
        };
        all.retain(|view| {
            let NetworkView { network, driver, made, containers } = view;
            any("name", &|value| network.name.contains(value))
                && any("id", &|value| network.id.starts_with(value))
                && any("driver", &|value| *driver == value)
                && any("scope", &|value| value == "local")
                && any("type", &|value| value == if *made { "custom" } else { "builtin" })
                && any("dangling", &|value| {
                    let wanted = matches!(value, "1" | "true");
                    wanted == (*made && containers.is_empty())
                })
                && filter::has_labels(filters, "label", &network.labels)
        });
        Ok(all)
    }

    /// The network that `name` means: its name, its id, the beginning of its id.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn network(&self, name: &str) -> Result<NetworkView> {
        let all = self.networks(&Filters::new())?;
        let by_id = || {
            let mut fits = all.iter().filter(|view| view.network.id.starts_with(name));
            fits.next().filter(|_| !name.is_empty() && fits.next().is_none())
        };
        let found = all.iter().find(|view| view.network.name == name).or_else(by_id);
        found
            .cloned()
            .ok_or_else(|| Error::new(Kind::NotFound, format!("network {name} not found")))
    }

    /// Makes a network: its id.
    ///
    /// # Errors
    /// `Conflict` for a name that is taken, `Forbidden` for ours, `BadParameter` for addresses.
    pub fn create_network(&self, new: NewNetwork) -> Result<String> {
        let network = self.networks.create(new)?;
        self.emit_network("create", &network, None);
        Ok(network.id)
    }

    /// Removes a network.
    ///
    /// # Errors
    /// `Forbidden` while a running container is on it, and for ours.
    pub fn remove_network(&self, name: &str) -> Result<()> {
        let view = self.network(name)?;
        let network = self.networks.remove(&view.network.name)?;
        self.emit_network("destroy", &network, None);
        Ok(())
    }

    /// Removes all networks that no container is to be on: their names.
    ///
    /// # Errors
    /// `BadParameter` for a filter.
    pub fn prune_networks(&self, filters: &Filters) -> Result<Vec<String>> {
        filter::check_keys(filters, PRUNE_FILTERS)?;
        let until = filter::until(filters)?;
        let records: Vec<Arc<Record>> = self.snapshots().into_iter().map(|s| s.record).collect();
        let mut removed = Vec::new();
        for Network { name, created, labels, .. } in self.networks.list() {
            let wanted = |record: &Arc<Record>| {
                record.endpoints.contains_key(&name)
                    || record.host.network_mode == NetworkMode::Named(name.clone())
            };
            let chosen = until.is_none_or(|until| created <= until)
                && filter::has_labels(filters, "label", &labels)
                && !(filters.contains_key("label!")
                    && filter::has_labels(filters, "label!", &labels));
            if !chosen || records.iter().any(wanted) {
                continue;
            }
            match self.remove_network(&name) {
                Ok(()) => removed.push(name),
                Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        self.emit_prune("network", 0);
        Ok(removed)
    }

    /// Puts a container on a further network, at once when it runs.
    ///
    /// # Errors
    /// `Forbidden` when it is on it already or shares the network of somebody else.
    pub fn connect_network(&self, name: &str, container: &str, endpoint: Endpoint) -> Result<()> {
        let slot = self.slot(container)?;
        let record = slot.record();
        let forbidden = |text: String| Err(Error::new(Kind::Forbidden, text));
        if !matches!(record.host.network_mode, NetworkMode::Default | NetworkMode::Named(_)) {
            return forbidden(
                "container sharing network namespace with another container or host cannot be \
                 connected to any other network"
                    .into(),
            );
        }
        let network = self.networks.find(name)?;
        let place = place(network.name.clone(), &endpoint);
        let ordered = self.names.lock();
        let snapshot = slot.snapshot();
        let on_it = |places: &[Place]| places.iter().any(|p| p.network == network.name);
        if on_it(&self.places(&snapshot.record)?) {
            let name = &record.name;
            return forbidden(format!(
                "endpoint with name {name} already exists in network {}",
                network.name
            ));
        }
        let joined = match snapshot.state {
            State::Running { pid, .. } => {
                Some(self.networks.join(&slot.id, record.run, pid, &place)?)
            }
            _ => None,
        };
        let undo = guard(joined, |joined| {
            if let Some(joined) = joined {
                self.leave(&slot, &joined);
            }
        });
        let before = snapshot.record.endpoints.clone();
        slot.save(&self.layout, |record| {
            // The one that it starts in is named from now on, too.
            for place in self.places(record).unwrap_or_default() {
                record.endpoints.entry(place.network).or_default();
            }
            record.endpoints.remove(NOWHERE);
            record.endpoints.insert(network.name.clone(), endpoint);
        })?;
        if let Some(joined) = undo.keep() {
            let mut networks = snapshot.networks.to_vec();
            networks.push(joined.clone());
            let known = self
                .serve_names_of_running(&slot, &networks)
                .and_then(|()| self.set_networks(&slot, record.run, networks));
            if let Err(error) = known {
                self.leave(&slot, &joined);
                slot.save(&self.layout, |record| record.endpoints = before)?;
                return Err(error);
            }
        }
        drop(ordered);
        self.refresh_names();
        self.refresh_resolver(&slot);
        self.emit_network("connect", &network, Some(&slot.id));
        Ok(())
    }

    /// Takes a container off a network, at once when it runs.
    ///
    /// # Errors
    /// `Conflict` when it is not on it.
    pub fn disconnect_network(&self, name: &str, container: &str) -> Result<()> {
        let slot = self.slot(container)?;
        let network = self.networks.find(name)?;
        let ordered = self.names.lock();
        let snapshot = slot.snapshot();
        let mut places = self.places(&snapshot.record)?;
        if !places.iter().any(|place| place.network == network.name) {
            return Err(Error::conflict(format!(
                "container {} is not connected to network {}",
                slot.id, network.name
            )));
        }
        places.retain(|place| place.network != network.name);
        slot.save(&self.layout, |record| {
            record.endpoints.remove(&network.name);
            for place in &places {
                record.endpoints.entry(place.network.clone()).or_default();
            }
            if places.is_empty() {
                record.endpoints.insert(NOWHERE.into(), Endpoint::default());
            }
        })?;
        let (gone, rest): (Vec<_>, Vec<_>) =
            snapshot.networks.iter().cloned().partition(|n| n.network_id == network.id);
        for attachment in &gone {
            self.networks.leave(&slot.id, attachment)?;
        }
        if !gone.is_empty() {
            self.set_networks(&slot, snapshot.record.run, rest)?;
        }
        drop(ordered);
        self.refresh_names();
        self.refresh_resolver(&slot);
        self.emit_network("disconnect", &network, Some(&slot.id));
        Ok(())
    }

    /// The containers that run and have places on networks.
    pub(super) fn running(&self) -> Vec<network::Running> {
        let running = |Snapshot { record, state, networks, .. }: Snapshot| match state {
            State::Running { pid, .. } => Some((record.id.clone(), pid, networks)),
            _ => None,
        };
        self.snapshots().into_iter().filter_map(running).collect()
    }

    /// Waits until all networks are there: they are made beside the rest of the daemon's start.
    pub fn wait_for_networks(&self) {
        self.networks.settled();
    }

    /// Makes packet rules anew that somebody has taken away, where nobody tells when they do.
    pub fn check_rules(&self) {
        self.networks.check_rules();
    }

    fn leave(&self, slot: &Slot, attachment: &Attachment) {
        if let Err(error) = self.networks.leave(&slot.id, attachment) {
            crate::warn!("container {}: {error}", slot.id.short());
        }
    }

    /// Makes it known where run `run` of a container is, to the next daemon first.
    fn set_networks(&self, slot: &Slot, run: u64, networks: Vec<Attachment>) -> Result<()> {
        let mut launch = Launch::read(&self.run_dir(&slot.id))?;
        launch.networks.clone_from(&networks);
        let mut forwards = self.networks.forwards(&networks);
        // Where there are rules again, streams by way of the monitor go on all the same.
        for forward in &launch.forwards {
            let here = |place: &Attachment| place.addresses().any(|own| own == forward.to);
            let published = networks.iter().any(|place| here(place) && !place.ports.is_empty());
            if published && !forwards.contains(forward) {
                forwards.push(*forward);
            }
        }
        let moved = forwards != launch.forwards;
        launch.forwards.clone_from(&forwards);
        launch.rewrite()?;
        let mut inner = slot.lock();
        if inner.record.run != run || !matches!(inner.state, State::Running { .. }) {
            return Err(Error::conflict(format!("container {} has ended", slot.id)));
        }
        inner.networks = networks.into();
        let monitor = inner.monitor.clone().filter(|_| moved);
        drop(inner);
        monitor.map_or(Ok(()), |monitor| monitor.publish(forwards))
    }

    /// Has the monitors of running containers serve their published ports, where nothing else
    /// does: rules that an earlier daemon could make may be beyond this one. That is known once
    /// the networks are there, which a thread waits for. Dying in between, the next daemon goes on.
    pub(super) fn serve_ports(&self) {
        let published =
            |slot: &Arc<Slot>| slot.snapshot().networks.iter().any(|place| !place.ports.is_empty());
        let slots: Vec<Arc<Slot>> = self.containers.lock().by_id.values().cloned().collect();
        let slots: Vec<Arc<Slot>> = slots.into_iter().filter(published).collect();
        if slots.is_empty() {
            return;
        }
        let engine = self.me();
        let begun = self.spawn_thread("ports", move || {
            engine.networks.settled();
            for slot in slots {
                if let Err(error) = engine.serve_ports_of(&slot) {
                    crate::warn!("container {}: its ports: {error}", slot.id.short());
                }
            }
        });
        if let Err(error) = begun {
            crate::warn!("published ports: {error}");
        }
    }

    fn serve_ports_of(&self, slot: &Slot) -> Result<()> {
        let _ordered = self.names.lock();
        let Snapshot { record, networks, .. } = slot.snapshot();
        let wanted = self.networks.forwards(&networks);
        // Where there are rules again, a monitor goes on with what it has begun.
        if wanted.is_empty() {
            return Ok(());
        }
        let served = Launch::read(&self.run_dir(&slot.id))?.forwards;
        if wanted.iter().all(|forward| served.contains(forward)) {
            return Ok(());
        }
        self.set_networks(slot, record.run, networks.to_vec())
    }
}
