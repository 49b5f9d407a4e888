//! Our packet rules: what they are, who keeps them, and that they stay.
//!
//! - All rules are known here as data, so that they can be made anew in one step: at a daemon's
//!   start, and when somebody has taken something out of them.
//! - The lock is held while the kernel is told, or the program that tells it: the order of changes
//!   is that of the data.
//! - Where the kernel can, the table of nf_tables belongs to our socket and stays when the daemon
//!   dies (6.9): nobody else can change it, and there is nothing to watch. Elsewhere a thread waits
//!   for word of deletions by others. Rules by iptables are looked at when containers start.

mod backend;
mod flows;
mod iptables;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::bridge;
use super::rules::{self, Subnet};
use crate::base::{Context, Error, Id, Kind, Lock, Result};
use crate::model::{Attachment, FirewallChoice, Published};
use crate::sys::nft::{self, Hook, Obstacle, Place, Rule, Watch};
use crate::{debug, info, warn};

use backend::Backend;
use flows::Change;
use iptables::Iptables;

/// Stack of the thread that watches.
const SMALL_STACK: usize = 64 * 1024;

/// The rules, and who keeps them.
pub(super) struct Firewall {
    choice: FirewallChoice,
    /// Name of the table, and what the names of chains begin with.
    name: String,
    /// Tells the next daemon that there are rules by iptables.
    marker: PathBuf,
    inner: Lock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// None before the first network is there.
    backend: Option<Backend>,
    /// Why it is not a better one.
    why: Option<String>,
    subnets: Vec<Subnet>,
    published: BTreeMap<Id, Entry>,
}

/// The published ports of a container.
struct Entry {
    /// The container's addresses, at most one of each family.
    container: Vec<IpAddr>,
    ports: Vec<Published>,
    /// Where their rules are, where rules have places.
    places: Vec<Place>,
}

impl Entry {
    fn rules(&self, owner: &Id) -> Vec<Rule> {
        let rules = |ports: &Published| {
            // No translation leads on from the loopback address of IPv6.
            let six = ports.host.is_ipv6();
            let same = |own: &&IpAddr| own.is_ipv6() == six && !(six && ports.host.is_loopback());
            let own = self.container.iter().find(same);
            own.map(|own| rules::published(ports, *own, owner.short())).unwrap_or_default()
        };
        self.ports.iter().flat_map(rules).collect()
    }

    /// That these ports are published.
    fn change(&self) -> Change<'_> {
        Change { container: &self.container, ports: &self.ports, over: false }
    }
}

impl Firewall {
    /// Nothing is made yet, and nothing is looked for.
    pub(super) fn new(choice: FirewallChoice, name: &str, marker: PathBuf) -> Arc<Firewall> {
        Arc::new(Firewall { choice, name: name.to_owned(), marker, inner: Lock::default() })
    }

    /// Makes the rules for these networks, in place of those that are there: an earlier daemon's,
    /// or ours. The first time it is found out who can keep them.
    ///
    /// # Errors
    /// The kernel's refusal; the first time only when the one that was asked for by name cannot
    /// keep any.
    pub(super) fn make(self: &Arc<Firewall>, subnets: Vec<Subnet>) -> Result<()> {
        let mut inner = self.inner.lock();
        let before = std::mem::replace(&mut inner.subnets, subnets);
        let watch = if inner.backend.is_none() {
            self.find(&mut inner)?
        } else {
            if let Err(error) = inner.rebuild() {
                inner.subnets = before;
                return Err(error);
            }
            None
        };
        let filters = inner.backend.as_ref().is_some_and(Backend::filters);
        for subnet in &inner.subnets {
            bridge::set_ways(subnet, filters);
        }
        drop(inner);
        if let Some(watch) = watch {
            let firewall = Arc::clone(self);
            std::thread::Builder::new()
                .name("packet rules".into())
                .stack_size(SMALL_STACK)
                .spawn(move || firewall.keep(&watch))
                .context(|| "start a thread (packet rules)".into())?;
        }
        Ok(())
    }

    /// Finds who can keep the rules, and makes them. Gives what is to be watched.
    fn find(&self, inner: &mut Inner) -> Result<Option<Watch>> {
        let mut refused = Vec::new();
        for candidate in backend::candidates(self.choice, &self.name) {
            match candidate.and_then(|backend| self.try_out(inner, backend)) {
                Ok(watch) => {
                    inner.why = Some(refused.join("; ")).filter(|why| !why.is_empty());
                    return Ok(watch);
                }
                Err(error) => refused.push(error.to_string()),
            }
        }
        // Only one by name gets here: without a name the last one keeps no rules and always can.
        let text = format!("--firewall={}: {}", self.choice.name(), refused.join("; "));
        Err(Error::new(Kind::Unavailable, text))
    }

    fn try_out(&self, inner: &mut Inner, backend: Backend) -> io::Result<Option<Watch>> {
        // Before the table is there: no deletion goes unseen.
        let watch = backend.watch()?;
        let name = backend.name();
        inner.backend = Some(backend);
        let made = inner.rebuild();
        let backend = inner.backend.take();
        let Some(backend) = backend else { return Ok(None) };
        match made {
            Ok(()) => {
                backend.clear_others(&self.name, &self.marker);
                let watch = watch.filter(|_| !backend.is_owned());
                inner.backend = Some(backend);
                Ok(watch)
            }
            Err(error) => {
                backend.clear();
                Err(io::Error::other(format!("{name}: {error}")))
            }
        }
    }

    /// Makes the rules anew whenever others have deleted something in them.
    fn keep(&self, watch: &Watch) {
        loop {
            if let Err(error) = watch.wait() {
                warn!("packet rules are not watched any more: {error}");
                return;
            }
            match self.inner.lock().heal() {
                Ok(()) => info!("packet rules were deleted by somebody else and are back"),
                Err(error) => warn!("{error}"),
            }
        }
    }

    /// Makes the rules anew where somebody has taken some of them away and nobody tells.
    pub(super) fn check(&self) {
        let mut inner = self.inner.lock();
        let whole = match &inner.backend {
            Some(Backend::Iptables(iptables)) => {
                iptables.is_whole(&rules::chains(), &inner.all().0)
            }
            // Others tell, or nobody can.
            _ => return,
        };
        let healed = match whole {
            Ok(true) => return,
            Ok(false) => inner.heal(),
            Err(error) => Err(error).context(|| "look at the packet rules".into()),
        };
        match healed {
            Ok(()) => info!("packet rules were deleted by somebody else and are back"),
            Err(error) => warn!("{error}"),
        }
    }

    /// Whether published ports are to be served by the monitors of containers.
    pub(super) fn needs_proxies(&self) -> bool {
        self.inner.lock().backend.as_ref().is_some_and(|backend| !backend.filters())
    }

    /// Who keeps the rules, and why it is not a better one.
    pub(super) fn describe(&self) -> Option<(&'static str, Option<String>)> {
        let inner = self.inner.lock();
        inner.backend.as_ref().map(|backend| (backend.name(), inner.why.clone()))
    }

    /// Chains of others that may keep published ports from being reached, as sentences.
    pub(super) fn obstacles(&self) -> Vec<String> {
        let inner = self.inner.lock();
        let hook = match &inner.backend {
            None => return Vec::new(),
            Some(Backend::Nobody) => Hook::Input,
            Some(Backend::Nftables(_) | Backend::Iptables(_)) => Hook::Forward,
        };
        let mut found = Vec::new();
        let mut look = |iptables: &Iptables| match iptables.forwards_nothing() {
            Ok(false) => {}
            Ok(true) => found.push("chain FORWARD of iptables' table filter".to_owned()),
            Err(error) => debug!("look for obstacles: {error}"),
        };
        if let Some(Backend::Iptables(iptables)) = &inner.backend {
            look(iptables);
        }
        let by_nftables = matches!(inner.backend, Some(Backend::Nftables(_)));
        drop(inner);
        // Beside rules in nf_tables, those of the older interface hold as well.
        if by_nftables {
            Iptables::of_older_filter(&self.name).iter().for_each(look);
        }
        match nft::obstacles(&self.name, hook) {
            Ok(others) => found.extend(others.into_iter().map(|other| {
                let Obstacle { family, table, chain, by_policy } = other;
                let how = if by_policy { "policy drop" } else { "a rule that drops all" };
                format!("chain {chain} of table {family} {table} ({how})")
            })),
            Err(error) => debug!("look for obstacles: {error}"),
        }
        found
    }

    /// Publishes the ports of an attachment of `owner`.
    ///
    /// # Errors
    /// The kernel's refusal, which names the rule; nothing is published then.
    pub(super) fn publish(&self, owner: &Id, attachment: &Attachment) -> Result<()> {
        if attachment.ports.is_empty() {
            return Ok(());
        }
        let container: Vec<IpAddr> = attachment.addresses().collect();
        let own = container.clone();
        let mut entry =
            Entry { container: own, ports: attachment.ports.clone(), places: Vec::new() };
        let mut inner = self.inner.lock();
        let added = match inner.backend.as_mut() {
            Some(backend) => backend.add(&entry.rules(owner)),
            None => Ok(Vec::new()),
        };
        let filters = inner.backend.as_ref().is_some_and(Backend::filters);
        match added {
            Ok(places) => {
                entry.places = places;
                inner.published.insert(owner.clone(), entry);
                drop(inner);
                if filters {
                    flows::forget(&[Change {
                        container: &container,
                        ports: &attachment.ports,
                        over: false,
                    }]);
                }
                Ok(())
            }
            // Somebody has deleted the table this very moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                inner.published.insert(owner.clone(), entry);
                inner.heal().inspect_err(|_| drop(inner.published.remove(owner)))
            }
            Err(error) => Err(error).context(|| "publish ports".into()),
        }
    }

    /// Takes the rules of `owner` out, if there are any.
    pub(super) fn withdraw(&self, owner: &Id) {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.published.remove(owner) else { return };
        let Some(backend) = inner.backend.as_mut() else { return };
        let rules = entry.rules(owner);
        match backend.remove(&rules, &entry.places) {
            Ok(()) => {}
            // Somebody has deleted them: then others may be missing as well.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                debug!("{error}: the packet rules are made anew");
                if let Err(error) = inner.rebuild() {
                    warn!("{error}");
                }
            }
            Err(error) => warn!("{error}"),
        }
        let filters = inner.backend.as_ref().is_some_and(Backend::filters);
        drop(inner);
        if filters {
            flows::forget(&[Change { over: true, ..entry.change() }]);
        }
    }
}

impl Inner {
    /// Makes all rules anew after a time without: flows that began meanwhile begin anew.
    fn heal(&mut self) -> Result<()> {
        self.rebuild()?;
        if self.backend.as_ref().is_some_and(Backend::filters) {
            let changes: Vec<Change<'_>> = self.published.values().map(Entry::change).collect();
            flows::forget(&changes);
        }
        Ok(())
    }

    /// All rules, and how many there are of each that publishes.
    fn all(&self) -> (Vec<Rule>, Vec<usize>) {
        let mut all = rules::common(false);
        if self.subnets.iter().any(|subnet| subnet.v6.is_some()) {
            all.extend(rules::common(true));
        }
        all.extend(self.subnets.iter().flat_map(rules::bridge));
        let mut counts = Vec::with_capacity(self.published.len());
        for (owner, entry) in &self.published {
            let rules = entry.rules(owner);
            counts.push(rules.len());
            all.extend(rules);
        }
        (all, counts)
    }

    /// Makes all rules anew, in one step.
    fn rebuild(&mut self) -> Result<()> {
        let (all, counts) = self.all();
        let common = all.len() - counts.iter().sum::<usize>();
        let Some(backend) = &mut self.backend else { return Ok(()) };
        let places = backend.replace(&all).context(|| "make the packet rules".into())?;
        let mut rest = places.get(common..).unwrap_or_default();
        for (entry, count) in self.published.values_mut().zip(counts) {
            let (own, others) = rest.split_at(count.min(rest.len()));
            entry.places = own.to_vec();
            rest = others;
        }
        Ok(())
    }
}
