//! Our table of packet rules: what is in it, and that it stays there.
//!
//! - All rules are known here as data, so that the table can be made anew in one step: at a
//!   daemon's start, and when somebody has taken something out of it.
//! - The lock is held while the kernel is told: its answers come at once, and the order of
//!   changes is that of the data.
//! - Where the kernel can, the table belongs to our socket and stays when the daemon dies (6.9):
//!   nobody else can change it, and there is nothing to watch. Elsewhere a thread waits for word
//!   of deletions by others.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::rules::{self, Subnet};
use crate::base::{Context, Id, Lock, Result};
use crate::model::Published;
use crate::sys::nft::{Place, Rule, Table, Watch};
use crate::{debug, info, warn};

/// Set in the environment: the table belongs to nobody, as on kernels that know no owners.
const SHARED: &str = "SKIFF_SHARED_RULES";
/// Stack of the thread that watches.
const SMALL_STACK: usize = 64 * 1024;

/// The rules, and the table that they are in.
pub(super) struct Firewall {
    inner: Lock<Inner>,
}

struct Inner {
    table: Table,
    subnets: Vec<Subnet>,
    published: BTreeMap<Id, Entry>,
    /// The table has been made.
    made: bool,
}

/// The published ports of a container.
struct Entry {
    container: Ipv4Addr,
    ports: Vec<Published>,
    /// Where their rules are; none while they are not in the table.
    places: Vec<Place>,
}

impl Entry {
    fn rules(&self, owner: &Id) -> Vec<Rule> {
        let rules = |ports| rules::published(ports, self.container, owner.short());
        self.ports.iter().flat_map(rules).collect()
    }
}

impl Firewall {
    /// The table of this name; nothing is made yet.
    ///
    /// # Errors
    /// When the kernel has no nf_tables.
    pub(super) fn open(name: &str) -> io::Result<Arc<Firewall>> {
        let mut table = Table::open(name)?;
        if std::env::var_os(SHARED).is_some() {
            table.share();
        }
        let inner = Inner { table, subnets: Vec::new(), published: BTreeMap::new(), made: false };
        Ok(Arc::new(Firewall { inner: Lock::new(inner) }))
    }

    /// Makes the table for these networks, in place of the one that is there: an earlier daemon's,
    /// or ours.
    pub(super) fn make(self: &Arc<Firewall>, subnets: Vec<Subnet>) -> Result<()> {
        let mut inner = self.inner.lock();
        let first = !inner.made;
        // Before the table is there: no deletion goes unseen.
        let watch = inner.table.watch().context(|| "watch the packet rules".into())?;
        let before = std::mem::replace(&mut inner.subnets, subnets);
        if let Err(error) = inner.rebuild() {
            inner.subnets = before;
            return Err(error);
        }
        if first && !inner.table.is_owned() {
            let firewall = Arc::clone(self);
            std::thread::Builder::new()
                .name("packet rules".into())
                .stack_size(SMALL_STACK)
                .spawn(move || firewall.keep(&watch))
                .context(|| "start a thread (packet rules)".into())?;
        }
        Ok(())
    }

    /// Makes the table anew whenever others have deleted something in it.
    fn keep(&self, watch: &Watch) {
        loop {
            if let Err(error) = watch.wait() {
                warn!("packet rules are not watched any more: {error}");
                return;
            }
            match self.inner.lock().rebuild() {
                Ok(()) => info!("packet rules were deleted by somebody else and are back"),
                Err(error) => warn!("{error}"),
            }
        }
    }

    /// Publishes ports of `owner`, whose address is `container`.
    ///
    /// # Errors
    /// The kernel's refusal, which names the rule; nothing is published then.
    pub(super) fn publish(
        &self,
        owner: &Id,
        container: Ipv4Addr,
        ports: &[Published],
    ) -> Result<()> {
        if ports.is_empty() {
            return Ok(());
        }
        let mut entry = Entry { container, ports: ports.to_vec(), places: Vec::new() };
        let mut inner = self.inner.lock();
        if !inner.made {
            inner.published.insert(owner.clone(), entry);
            return Ok(());
        }
        match inner.table.add(&entry.rules(owner)) {
            Ok(places) => {
                entry.places = places;
                inner.published.insert(owner.clone(), entry);
                Ok(())
            }
            // Somebody has deleted the table this very moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                inner.published.insert(owner.clone(), entry);
                inner.rebuild().inspect_err(|_| drop(inner.published.remove(owner)))
            }
            Err(error) => Err(error).context(|| "publish ports".into()),
        }
    }

    /// Takes the rules of `owner` out, if there are any.
    pub(super) fn withdraw(&self, owner: &Id) {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.published.remove(owner) else { return };
        if entry.places.is_empty() {
            return;
        }
        match inner.table.remove(&entry.places) {
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
    }
}

impl Inner {
    /// Makes the table with all that is to be in it, in one step.
    fn rebuild(&mut self) -> Result<()> {
        let mut all = rules::common();
        all.extend(self.subnets.iter().flat_map(rules::bridge));
        let common = all.len();
        let mut counts = Vec::with_capacity(self.published.len());
        for (owner, entry) in &self.published {
            let rules = entry.rules(owner);
            counts.push(rules.len());
            all.extend(rules);
        }
        let places = self
            .table
            .replace(&rules::chains(), &all)
            .context(|| "make the table of packet rules".into())?;
        let mut rest = places.get(common..).unwrap_or_default();
        for (entry, count) in self.published.values_mut().zip(counts) {
            let (own, others) = rest.split_at(count.min(rest.len()));
            entry.places = own.to_vec();
            rest = others;
        }
        self.made = true;
        Ok(())
    }
}
