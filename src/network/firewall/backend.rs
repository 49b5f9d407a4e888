//! Who keeps the packet rules: the kernel's nf_tables, told by netlink; iptables(8); nobody.
//!
//! Nobody is for hosts where neither can be had: then the monitors of containers are proxies for
//! their published ports.

use std::io;
use std::path::Path;

use super::iptables::Iptables;
use crate::model::FirewallChoice;
use crate::network::rules::chains;
use crate::sys::nft::{Place, Rule, Table, Watch};
use crate::{debug, warn};

/// Set in the environment: the table belongs to nobody, as on kernels that know no owners.
const SHARED: &str = "SKIFF_SHARED_RULES";

/// Who keeps the rules.
pub(super) enum Backend {
    Nftables(Table),
    Iptables(Iptables),
    Nobody,
}

/// Those that may be able to, the best one first; or why one is not.
pub(super) fn candidates(choice: FirewallChoice, name: &str) -> Vec<io::Result<Backend>> {
    let mut all = Vec::new();
    if matches!(choice, FirewallChoice::Auto | FirewallChoice::Nftables) {
        all.push(nftables(name).map(Backend::Nftables));
    }
    // They are looked for when the first one fails only; that costs a few look-ups of files.
    if matches!(choice, FirewallChoice::Auto | FirewallChoice::Iptables) {
        let found = Iptables::all(name);
        if found.is_empty() {
            all.push(Err(io::Error::new(io::ErrorKind::NotFound, "there is no iptables")));
        }
        all.extend(found.into_iter().map(|found| Ok(Backend::Iptables(found))));
    }
    if matches!(choice, FirewallChoice::Auto | FirewallChoice::None) {
        all.push(Ok(Backend::Nobody));
    }
    all
}

fn nftables(name: &str) -> io::Result<Table> {
    let mut table = Table::open(name).map_err(|error| {
        io::Error::new(error.kind(), format!("nf_tables cannot be used: {error}"))
    })?;
    if std::env::var_os(SHARED).is_some() {
        table.share();
    }
    Ok(table)
}

impl Backend {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Backend::Nftables(_) => "nftables",
            Backend::Iptables(_) => "iptables",
            Backend::Nobody => "none",
        }
    }

    /// Whether there are rules at all.
    pub(super) fn filters(&self) -> bool {
        !matches!(self, Backend::Nobody)
    }

    /// Whether nobody else can change the rules.
    pub(super) fn is_owned(&self) -> bool {
        matches!(self, Backend::Nftables(table) if table.is_owned())
    }

    /// What tells of deletions by others, where something does.
    pub(super) fn watch(&self) -> io::Result<Option<Watch>> {
        match self {
            Backend::Nftables(table) => table.watch().map(Some),
            Backend::Iptables(_) | Backend::Nobody => Ok(None),
        }
    }

    /// Makes all rules anew: where they are.
    pub(super) fn replace(&mut self, rules: &[Rule]) -> io::Result<Vec<Place>> {
        match self {
            Backend::Nftables(table) => table.replace(&chains(), rules),
            Backend::Iptables(iptables) => iptables.replace(&chains(), rules).map(|()| Vec::new()),
            Backend::Nobody => Ok(Vec::new()),
        }
    }

    /// Adds rules: where they are. `NotFound` when others have deleted what they belong to.
    pub(super) fn add(&mut self, rules: &[Rule]) -> io::Result<Vec<Place>> {
        match self {
            Backend::Nftables(table) => table.add(rules),
            Backend::Iptables(iptables) => {
                iptables.add(&chains(), rules).map(|()| Vec::new()).map_err(as_missing)
            }
            Backend::Nobody => Ok(Vec::new()),
        }
    }

    /// Removes rules. `NotFound` when others have done so.
    pub(super) fn remove(&mut self, rules: &[Rule], places: &[Place]) -> io::Result<()> {
        match self {
            Backend::Nftables(table) => table.remove(places),
            Backend::Iptables(iptables) => iptables.remove(&chains(), rules).map_err(as_missing),
            Backend::Nobody => Ok(()),
        }
    }

    /// Removes what an attempt has left.
    pub(super) fn clear(&self) {
        if let Backend::Iptables(iptables) = self {
            if let Err(error) = iptables.clear(&chains()) {
                debug!("remove rules by iptables: {error}");
            }
        }
    }

    /// Removes what an earlier daemon has made by other means; `marker` tells of iptables.
    pub(super) fn clear_others(&self, name: &str, marker: &Path) {
        let by_iptables = matches!(self, Backend::Iptables(_));
        if by_iptables {
            if let Err(error) = std::fs::write(marker, "iptables\n") {
                warn!("write {}: {error}", marker.display());
            }
        } else if marker.exists() {
            for iptables in Iptables::all(name) {
                if let Err(error) = iptables.clear(&chains()) {
                    warn!("remove rules of an earlier daemon by iptables: {error}");
                }
            }
            if let Err(error) = std::fs::remove_file(marker) {
                warn!("remove {}: {error}", marker.display());
            }
        }
        if !matches!(self, Backend::Nftables(_)) {
            match Table::open(name).and_then(|mut table| table.delete()) {
                Ok(()) => {}
                Err(error) => debug!("no table of an earlier daemon: {error}"),
            }
        }
    }
}

/// The program does not tell why: that something is gone is the likeliest, and a second attempt
/// that makes all anew tells.
fn as_missing(error: io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, error.to_string())
}
