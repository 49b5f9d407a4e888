//! Networks of containers: bridge, addresses, published ports, packet rules.
//!
//! - State is plain data behind a mutex that is never held over a system call that waits.
//! - What a container holds is known from its launch file, so that the next daemon finds it.
//! - Rules are data (`rules`); `sys::nft` knows how the kernel is told.
//! - An interface goes with its namespace, which the kernel takes down when it likes. Until then
//!   the address lingers: it is not given out again.

mod bridge;
mod firewall;
mod namespace;
mod pool;
mod ports;
mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::base::{Context, Digest, Error, Id, Kind, Lock, Result, guard};
use crate::model::{Attachment, PortBinding, PortProto, PortRange};
use crate::sys::rtnl::{Link, Rtnl};
use crate::warn;

use firewall::Firewall;
pub use namespace::Pending;
use pool::Pool;
use ports::Ports;
use rules::Subnet;

/// Name of the network that containers are on unless they ask for another.
pub const DEFAULT: &str = "bridge";
/// Its bridge unless the daemon is told of another.
const DEFAULT_BRIDGE: &str = "docker0";
/// `-b none`: no bridge.
const NO_BRIDGE: &str = "none";
/// So many addresses may linger before it is looked which do.
const MANY_LINGER: usize = 64;

/// What the networks are opened with.
pub struct Options<'a> {
    /// Name of the bridge; empty is the default one, `none` is none.
    pub bridge: &'a str,
    /// Name of the table of packet rules.
    pub table: &'a str,
    /// Id of the installation.
    pub installation: &'a str,
}

/// All networks.
pub struct Networks {
    bridge: Option<Bridge>,
    /// Why there is no bridge.
    missing: Option<String>,
}

/// The default bridge.
struct Bridge {
    /// Id of the network.
    id: String,
    /// What the names of our interfaces begin with.
    links: String,
    subnet: Subnet,
    firewall: Result<Arc<Firewall>, String>,
    state: Lock<State>,
}

struct State {
    pool: Pool,
    ports: Ports,
    held: HashMap<Id, Held>,
    /// Addresses whose last owner may not be gone yet, with its interface.
    lingering: HashMap<Ipv4Addr, String>,
}

/// What a container holds.
struct Held {
    address: Ipv4Addr,
    link: String,
}

/// Ports that a container wants to have published.
pub struct Wanted<'a> {
    /// By container port.
    pub bindings: &'a BTreeMap<PortRange, Vec<PortBinding>>,
    /// Those that get a free port of the host.
    pub exposed: Vec<PortProto>,
}

impl Networks {
    /// Opens the bridge.
    ///
    /// # Errors
    /// When a bridge that was asked for by name cannot be had. Without the default one
    /// containers run without network, and it is said why.
    pub fn open(options: &Options<'_>) -> Result<Networks> {
        let name = options.bridge;
        if name == NO_BRIDGE {
            let missing = Some("the daemon runs with -b none".to_owned());
            return Ok(Networks { bridge: None, missing });
        }
        let wanted = if name.is_empty() { DEFAULT_BRIDGE } else { name };
        match Bridge::open(wanted, options) {
            Ok(bridge) => Ok(Networks { bridge: Some(bridge), missing: None }),
            Err(error) if name.is_empty() => {
                warn!("containers have no network: {error}");
                Ok(Networks { bridge: None, missing: Some(error.to_string()) })
            }
            Err(error) => Err(error),
        }
    }

    /// Why containers have no network by default; `None` when they have one.
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    fn bridge(&self) -> Result<&Bridge> {
        self.bridge.as_ref().ok_or_else(|| {
            let why = self.missing.as_deref().unwrap_or("there is none");
            Error::new(Kind::NotFound, format!("network {DEFAULT} not found: {why}"))
        })
    }

    /// Gives container `id` an address and its ports for run `run`, and begins to make its
    /// network namespace.
    ///
    /// # Errors
    /// When addresses or ports are used up or taken; nothing is held then.
    pub fn connect(&self, id: &Id, run: u64, wanted: &Wanted<'_>) -> Result<Pending> {
        self.bridge()?.connect(id, run, wanted)
    }

    /// Takes over what a running container holds.
    pub fn adopt(&self, id: &Id, attachment: &Attachment) {
        match &self.bridge {
            Some(bridge) if bridge.subnet.bridge == attachment.bridge => {
                bridge.adopt(id, attachment);
            }
            _ => warn!(
                "container {} is on bridge {}, which this daemon does not serve",
                id.short(),
                attachment.bridge
            ),
        }
    }

    /// To be called when all running containers are adopted: sets the packet rules in force, and
    /// removes what the dead have left.
    pub fn settle(&self) {
        let Some(bridge) = &self.bridge else { return };
        match &bridge.firewall {
            Err(why) => warn!("containers are not reached and reach nobody from outside: {why}"),
            Ok(firewall) => {
                if let Err(error) = firewall.make() {
                    warn!("{error}");
                }
            }
        }
        if let Err(error) = bridge.sweep() {
            warn!("{error}");
        }
    }

    /// Takes back what container `id` holds; nothing when it holds nothing.
    pub fn release(&self, id: &Id) {
        if let Some(bridge) = &self.bridge {
            bridge.release(id);
        }
    }
}

impl Bridge {
    fn open(name: &str, options: &Options<'_>) -> Result<Bridge> {
        if name.len() > 15 || name.contains('/') || name.contains(char::is_whitespace) {
            return Err(Error::bad_parameter(format!("{name:?} is no name of an interface")));
        }
        let mut rtnl = Rtnl::open().context(|| "open a netlink socket".into())?;
        let subnet = bridge::open(&mut rtnl, name)?;
        let firewall = Firewall::open(options.table, vec![subnet.clone()])
            .map_err(|error| format!("nf_tables cannot be used: {error}"));
        let state = State {
            pool: Pool::new(subnet.gateway, subnet.prefix),
            ports: Ports::default(),
            held: HashMap::new(),
            lingering: HashMap::new(),
        };
        let id = Digest::of(format!("{} {DEFAULT}", options.installation).as_bytes()).hex();
        let links = link_prefix(options.installation);
        Ok(Bridge { id, links, subnet, firewall, state: Lock::new(state) })
    }

    fn connect(&self, id: &Id, run: u64, wanted: &Wanted<'_>) -> Result<Pending> {
        let Subnet { bridge, gateway, prefix } = &self.subnet;
        let address = self.take_address()?;
        let link = link_name(&self.links, id, run);
        {
            let mut state = self.state.lock();
            state.held.insert(id.clone(), Held { address, link: link.clone() });
        }
        let undo = guard((), |()| self.release(id));
        let ports = {
            let mut state = self.state.lock();
            state.ports.reserve(id, wanted.bindings, wanted.exposed.iter().copied())?
        };
        let attachment = Attachment {
            network: DEFAULT.to_owned(),
            network_id: self.id.clone(),
            bridge: bridge.clone(),
            link,
            address,
            prefix: *prefix,
            gateway: *gateway,
            ports,
        };
        let pending = Pending::begin(attachment, self.subnet.clone())?;
        if !pending.attachment.ports.is_empty() {
            let firewall = self.firewall.as_ref().map_err(|why| {
                Error::new(Kind::Unavailable, format!("ports cannot be published: {why}"))
            })?;
            firewall.publish(id, address, &pending.attachment.ports)?;
        }
        undo.keep();
        Ok(pending)
    }

    /// The next free address, whose last owner is gone.
    fn take_address(&self) -> Result<Ipv4Addr> {
        // They stay taken while we search, so that the search goes on behind them.
        let mut passed = Vec::new();
        let found = self.search(&mut passed);
        let mut state = self.state.lock();
        for (address, _) in passed {
            state.pool.release(address);
        }
        found
    }

    fn search(&self, passed: &mut Vec<(Ipv4Addr, String)>) -> Result<Ipv4Addr> {
        let mut rtnl = None;
        loop {
            let taken = {
                let mut state = self.state.lock();
                let taken = state.pool.take();
                taken.map(|address| (address, state.lingering.get(&address).cloned()))
            };
            let over = taken.is_none();
            match taken {
                Some((address, None)) => return Ok(address),
                Some((address, Some(link))) => passed.push((address, link)),
                None => {}
            }
            let Some((_, link)) = passed.last() else {
                return Err(Error::internal("No unallocated IP available"));
            };
            let rtnl = open_once(&mut rtnl)?;
            if over {
                // Nobody else can be waited for. Returns when it is gone.
                rtnl.delete_link(link).context(|| format!("delete {link}"))?;
            } else if rtnl.link(link).context(|| format!("look for {link}"))?.is_some() {
                continue;
            }
            let (address, _) = passed.pop().expect("there was a last one");
            self.state.lock().lingering.remove(&address);
            return Ok(address);
        }
    }

    fn adopt(&self, id: &Id, attachment: &Attachment) {
        let Attachment { link, address, ports, .. } = attachment;
        {
            let mut state = self.state.lock();
            if !state.pool.reserve(*address) {
                warn!("container {} has the address {address} beside another", id.short());
            }
            state.ports.adopt(id, ports);
            state.held.insert(id.clone(), Held { address: *address, link: link.clone() });
        }
        if let Ok(firewall) = &self.firewall {
            if let Err(error) = firewall.publish(id, *address, ports) {
                warn!("container {}: {error}", id.short());
            }
        }
    }

    /// Deletes our interfaces on the bridge that belong to no running container. There are some
    /// only where somebody else keeps the namespace of a dead one alive.
    fn sweep(&self) -> Result<()> {
        let mut rtnl = Rtnl::open().context(|| "open a netlink socket".into())?;
        let what = || format!("look at bridge {}", self.subnet.bridge);
        let links = rtnl.links().context(what)?;
        let bridge = links.iter().find(|link| link.name == self.subnet.bridge);
        let Some(bridge) = bridge.map(|link| link.index) else { return Ok(()) };
        let held: HashSet<String> =
            self.state.lock().held.values().map(|held| held.link.clone()).collect();
        for Link { name, kind, master, .. } in &links {
            let ours = name.strip_prefix(&self.links).is_some_and(|rest| rest.len() == OWN_DIGITS);
            if *master == bridge && kind == "veth" && ours && !held.contains(name) {
                rtnl.delete_link(name).context(|| format!("delete {name}"))?;
            }
        }
        Ok(())
    }

    fn release(&self, id: &Id) {
        let held = self.state.lock().held.remove(id);
        let Some(Held { address, link }) = held else { return };
        // First: nothing may lead to an address that somebody else gets.
        if let Ok(firewall) = &self.firewall {
            firewall.withdraw(id);
        }
        let many = {
            let mut state = self.state.lock();
            state.ports.release(id);
            state.lingering.insert(address, link);
            state.pool.release(address);
            state.lingering.len() > MANY_LINGER
        };
        if many {
            if let Err(error) = self.forget_gone() {
                crate::debug!("{error}");
            }
        }
    }

    /// Forgets which addresses lingered once their interfaces are gone.
    fn forget_gone(&self) -> Result<()> {
        let what = || "list interfaces".to_owned();
        let links = Rtnl::open().and_then(|mut rtnl| rtnl.links()).context(what)?;
        let there: HashSet<String> = links.into_iter().map(|link| link.name).collect();
        self.state.lock().lingering.retain(|_, link| there.contains(link));
        Ok(())
    }
}

fn open_once(rtnl: &mut Option<Rtnl>) -> Result<&mut Rtnl> {
    if rtnl.is_none() {
        *rtnl = Some(Rtnl::open().context(|| "open a netlink socket".into())?);
    }
    Ok(rtnl.as_mut().expect("it has just been opened"))
}

/// Digits of a container's id, and of its run, in the name of its interface.
const OWN_DIGITS: usize = 7 + 2;

/// What the names of our interfaces begin with; daemons that share a host are told apart.
fn link_prefix(installation: &str) -> String {
    format!("veth{}", installation.get(..2).unwrap_or_default())
}

/// Name of the interface of a run, 15 bytes in all. That of the run before may not be gone yet.
fn link_name(prefix: &str, id: &Id, run: u64) -> String {
    format!("{prefix}{}{:02x}", &id.as_str()[..OWN_DIGITS - 2], run & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_named_after_container_and_run() {
        let id = Id::parse(&"0123456789abcdef".repeat(4)).unwrap();
        let prefix = link_prefix("fedc");
        assert_eq!(link_name(&prefix, &id, 1), "vethfe012345601");
        assert_eq!(link_name(&prefix, &id, 0x1ff), "vethfe0123456ff");
    }
}
