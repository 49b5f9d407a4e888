//! Networks of containers: bridges, addresses, published ports, packet rules.
//!
//! - State is plain data behind mutexes that are never held over a system call that waits. Order:
//!   made networks, what containers hold, addresses of a network, ports.
//! - What a container holds is known from its launch file, so that the next daemon finds it.
//! - Rules are data (`rules`); `sys::nft` knows how the kernel is told.
//! - An interface goes with its namespace, which the kernel takes down when it likes. Until then
//!   the address lingers: it is not given out again.
//! - What the default network needs is made beside the rest of the daemon's start, by a thread.
//!   Whoever needs it waits for it: `opened` before a network is looked for, `settled` before a
//!   container gets anything on one.

mod addresses;
mod bridge;
pub mod dns;
mod firewall;
mod heal;
mod made;
mod namespace;
mod net;
mod pool;
mod ports;
mod proxied;
mod rules;
mod store;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

use crate::base::{Context, Digest, Error, Id, Kind, Lock, Result, guard};
use crate::model::{Attachment, FirewallChoice, PortBinding, PortProto, PortRange};
use crate::sys::rtnl::{Link, Rtnl};
use crate::warn;

use firewall::Firewall;
pub use heal::{Running, WhoRuns};
pub use made::{NewNetwork, NewRange};
pub use namespace::Pending;
use net::{Net, Taken};
use ports::Ports;
use rules::Subnet;
pub use store::Network;

/// Name of the network that containers are on unless they ask for another.
pub const DEFAULT: &str = "bridge";
/// Its bridge unless the daemon is told of another.
const DEFAULT_BRIDGE: &str = "docker0";
/// `-b none`: no bridge.
const NO_BRIDGE: &str = "none";

/// What the networks are opened with.
pub struct Options<'a> {
    /// Name of the default bridge; empty is `docker0`, `none` is none.
    pub bridge: &'a str,
    /// Name of the table of packet rules.
    pub table: &'a str,
    /// Id of the installation.
    pub installation: &'a str,
    /// File of the networks that users have made.
    pub file: PathBuf,
    /// Who is to keep the packet rules.
    pub firewall: FirewallChoice,
    /// File that tells the next daemon of rules by iptables.
    pub marker: PathBuf,
}

/// All networks.
pub struct Networks {
    me: Weak<Networks>,
    installation: String,
    /// The default network, once it is there.
    opened: OnceLock<Opened>,
    /// That all networks and their rules are there.
    settled: OnceLock<()>,
    /// Whether a failure of the rules ends the daemon.
    strict: bool,
    watching: OnceLock<()>,
    who_runs: OnceLock<WhoRuns>,
    made: Lock<Vec<Arc<Net>>>,
    /// Orders changes of `made`, and is held while they are written.
    save: Lock<()>,
    file: PathBuf,
    firewall: Arc<Firewall>,
    held: Lock<HashMap<Id, Vec<Held>>>,
    ports: Lock<Ports>,
    /// What the names of our interfaces begin with.
    links: String,
    /// The installation's part of local ranges of IPv6.
    site: [u8; 5],
}

/// The default network, or why there is none.
#[derive(Default)]
struct Opened {
    default: Option<Arc<Net>>,
    missing: Option<String>,
}

/// What a container holds on a network.
struct Held {
    net: Arc<Net>,
    taken: Taken,
    link: String,
}

/// A network that a container is to be on.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Name or id of the network.
    pub network: String,
    /// The address asked for.
    pub address: Option<Ipv4Addr>,
    /// The address of IPv6 asked for.
    pub six: Option<Ipv6Addr>,
    /// The hardware address asked for.
    pub mac: Option<[u8; 6]>,
}

/// Ports that a container wants to have published.
pub struct Wanted<'a> {
    /// By container port.
    pub bindings: &'a BTreeMap<PortRange, Vec<PortBinding>>,
    /// Those that get a free port of the host.
    pub exposed: Vec<PortProto>,
}

impl Networks {
    /// The networks that users have made, and the default one, which is looked for later unless it
    /// was asked for by name.
    ///
    /// # Errors
    /// When a bridge that was asked for by name cannot be had, or the file of networks not be read
    /// for want of descriptors or memory. Without the default one
    /// containers run without network, and it is said why.
    pub fn open(options: &Options<'_>) -> Result<Arc<Networks>> {
        let Options { bridge: name, table, installation, file, firewall, marker } = options;
        let opened = OnceLock::new();
        if *name == NO_BRIDGE {
            let missing = Some("the daemon runs with -b none".to_owned());
            opened.get_or_init(|| Opened { missing, ..Opened::default() });
        } else if !name.is_empty() {
            let net = Arc::new(open_bridge(name, default_id(installation))?);
            opened.get_or_init(|| Opened { default: Some(net), ..Opened::default() });
        }
        let made = Lock::new(made::read(file)?);
        Ok(Arc::new_cyclic(|me| Networks {
            me: Weak::clone(me),
            installation: (*installation).to_owned(),
            opened,
            settled: OnceLock::new(),
            strict: *firewall != FirewallChoice::Auto,
            watching: OnceLock::new(),
            who_runs: OnceLock::new(),
            made,
            save: Lock::default(),
            file: file.clone(),
            firewall: Firewall::new(*firewall, table, marker.clone()),
            held: Lock::default(),
            ports: Lock::default(),
            links: link_prefix(installation),
            site: site(installation),
        }))
    }

    fn opened(&self) -> &Opened {
        self.opened.get_or_init(|| {
            match open_bridge(DEFAULT_BRIDGE, default_id(&self.installation)) {
                Ok(net) => Opened { default: Some(Arc::new(net)), missing: None },
                Err(error) => {
                    warn!("containers have no network: {error}");
                    Opened { default: None, missing: Some(error.to_string()) }
                }
            }
        })
    }

    /// Why containers have no network by default; `None` when they have one.
    pub fn missing(&self) -> Option<&str> {
        self.opened().missing.as_deref()
    }

    /// Name of the default bridge, if there is one.
    pub fn default(&self) -> Option<&Network> {
        self.opened().default.as_ref().map(|net| &net.network)
    }

    fn all(&self) -> Vec<Arc<Net>> {
        self.opened().default.iter().cloned().chain(self.made.lock().iter().cloned()).collect()
    }

    fn subnets(&self) -> Vec<Subnet> {
        self.all().iter().map(|net| net.subnet.clone()).collect()
    }

    /// The network that `name` means: its name, its id, the beginning of its id.
    fn get(&self, name: &str) -> Result<Arc<Net>> {
        let all = self.all();
        let by_id = || {
            let mut fits = all.iter().filter(|net| net.network.id.starts_with(name));
            fits.next().filter(|_| !name.is_empty() && fits.next().is_none())
        };
        let found = all.iter().find(|net| net.network.name == name).or_else(by_id);
        found.cloned().ok_or_else(|| {
            let why = match self.missing() {
                Some(why) if name == DEFAULT => format!(": {why}"),
                _ => String::new(),
            };
            Error::new(Kind::NotFound, format!("network {name} not found{why}"))
        })
    }

    /// Gives container `id` an address on each of these networks, and its ports, for run `run`,
    /// and begins to make its network namespace.
    ///
    /// # Errors
    /// When addresses or ports are used up or taken; nothing is held then.
    pub fn connect(
        &self,
        id: &Id,
        run: u64,
        places: &[Place],
        wanted: &Wanted<'_>,
    ) -> Result<Pending> {
        if places.len() > namespace::MOST {
            return Err(Error::bad_parameter("too many networks"));
        }
        self.settled();
        let undo = guard((), |()| self.release(id));
        let mut attachments = Vec::new();
        for place in places {
            attachments.push(self.take_place(id, run, place)?);
        }
        if let Some((first, _)) = attachments.first_mut() {
            let hosts = self.get(&first.network_id)?.hosts(first);
            let exposed = wanted.exposed.iter().copied();
            first.ports = self.ports.lock().reserve(id, &hosts, wanted.bindings, exposed)?;
            self.check_forwards(first)?;
        }
        let pending = Pending::begin(attachments)?;
        self.firewall.check();
        if let Some(first) = pending.attachments.first() {
            self.firewall.publish(id, first).map_err(|error| {
                Error::new(error.kind(), format!("ports cannot be published: {error}"))
            })?;
        }
        undo.keep();
        Ok(pending)
    }

    /// Takes an address on a network in the name of container `id`.
    fn take_place(&self, id: &Id, run: u64, place: &Place) -> Result<(Attachment, Subnet)> {
        let net = self.get(&place.network)?;
        let taken = net.take(place)?;
        let mut held = self.held.lock();
        let own = held.entry(id.clone()).or_default();
        let number = (0..namespace::MOST)
            .find(|number| !own.iter().any(|h| h.link == link_name(&self.links, id, run, *number)));
        let link = link_name(&self.links, id, run, number.unwrap_or_default());
        let attachment = net.attachment(link.clone(), &taken, place.mac);
        own.push(Held { net: Arc::clone(&net), taken, link });
        drop(held);
        Ok((attachment, net.subnet.clone()))
    }

    /// Puts running container `id`, whose init is `pid`, on a further network.
    ///
    /// # Errors
    /// When there is no address, or no interface can be made; nothing is held then.
    pub fn join(&self, id: &Id, run: u64, pid: i32, place: &Place) -> Result<Attachment> {
        self.settled();
        let (attachment, subnet) = self.take_place(id, run, place)?;
        let undo = guard((), |()| self.let_go(id, &attachment));
        namespace::plug_in(pid, attachment.clone(), subnet)?;
        undo.keep();
        Ok(attachment)
    }

    /// Takes a running container off a network; on return its interface is gone.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn leave(&self, id: &Id, attachment: &Attachment) -> Result<()> {
        if !attachment.ports.is_empty() {
            self.firewall.withdraw(id);
            self.ports.lock().release(id);
        }
        let link = &attachment.link;
        // First: else it would be missed and made again.
        let held = self.take_held(id, link);
        let deleted = Rtnl::open().and_then(|mut rtnl| rtnl.delete_link(link));
        if let Err(error) = deleted {
            self.held.lock().entry(id.clone()).or_default().extend(held);
            return Err(error).context(|| format!("delete {link}"));
        }
        if let Some(Held { net, taken, link }) = held {
            net.give_back(&taken, link);
        }
        Ok(())
    }

    fn take_held(&self, id: &Id, link: &str) -> Option<Held> {
        let mut held = self.held.lock();
        let own = held.get_mut(id)?;
        let at = own.iter().position(|held| held.link == link)?;
        Some(own.remove(at))
    }

    fn let_go(&self, id: &Id, attachment: &Attachment) {
        if let Some(Held { net, taken, link }) = self.take_held(id, &attachment.link) {
            net.give_back(&taken, link);
        }
    }

    /// Takes over what a running container holds.
    pub fn adopt(&self, id: &Id, attachments: &[Attachment]) {
        for attachment in attachments {
            let Attachment { link, address, v6, ports, network, .. } = attachment;
            let all = self.all();
            let Some(net) = all.iter().find(|net| net.network.id == attachment.network_id) else {
                let id = id.short();
                warn!("container {id} is on network {network}, which this daemon does not serve");
                continue;
            };
            let taken = Taken { four: *address, six: v6.map(|six| six.address) };
            if !net.reserve(&taken) {
                warn!("container {} has the address {address} beside another", id.short());
            }
            let (net, link) = (Arc::clone(net), link.clone());
            self.held.lock().entry(id.clone()).or_default().push(Held { net, taken, link });
            self.ports.lock().adopt(id, ports);
            if let Err(error) = self.firewall.publish(id, attachment) {
                warn!("container {}: {error}", id.short());
            }
        }
    }

    /// To be called when all running containers are adopted: makes the networks, sets the packet
    /// rules in force, and removes what the dead have left. By a thread, unless it was asked for
    /// by name who is to keep the rules.
    ///
    /// # Errors
    /// When who was asked for by name cannot keep rules.
    pub fn settle(&self, who_runs: WhoRuns) -> Result<()> {
        self.who_runs.get_or_init(|| who_runs);
        if self.strict {
            self.make_all()?;
            self.settled.get_or_init(|| ());
        }
        let Some(networks) = self.me.upgrade() else { return Ok(()) };
        namespace::spawn(move || networks.settled()).map(drop)
    }

    /// Waits until all networks are there.
    pub fn settled(&self) {
        self.settled.get_or_init(|| {
            if let Err(error) = self.make_all() {
                warn!("containers are not reached and reach nobody from outside: {error}");
            }
        });
    }

    fn make_all(&self) -> Result<()> {
        self.set_up_made();
        let subnets = self.subnets();
        if subnets.is_empty() {
            return Ok(());
        }
        self.watch();
        self.firewall.make(subnets)?;
        if let Some(missing) = self.missing_rules() {
            warn!("{missing}");
        }
        if let Err(error) = self.sweep() {
            warn!("{error}");
        }
        // What was deleted while no daemon was there.
        if let Err(error) = self.heal(None) {
            warn!("{error}");
        }
        Ok(())
    }

    /// Deletes our interfaces that belong to no running container. There are some only where
    /// somebody else keeps the namespace of a dead one alive.
    fn sweep(&self) -> Result<()> {
        let mut rtnl = Rtnl::open().context(|| "open a netlink socket".into())?;
        let links = rtnl.links().context(|| "list interfaces".into())?;
        let held: HashSet<String> =
            self.held.lock().values().flatten().map(|held| held.link.clone()).collect();
        for Link { name, kind, .. } in &links {
            let ours = name.strip_prefix(&self.links).is_some_and(|rest| rest.len() == OWN_DIGITS);
            if kind == "veth" && ours && !held.contains(name) {
                rtnl.delete_link(name).context(|| format!("delete {name}"))?;
            }
        }
        Ok(())
    }

    /// Takes back what container `id` holds; nothing when it holds nothing.
    pub fn release(&self, id: &Id) {
        let Some(own) = self.held.lock().remove(id) else { return };
        // First: nothing may lead to an address that somebody else gets.
        self.firewall.withdraw(id);
        self.ports.lock().release(id);
        for Held { net, taken, link } in own {
            net.give_back(&taken, link);
        }
    }
}

/// Takes the bridge over, or makes it.
fn open_bridge(name: &str, id: String) -> Result<Net> {
    if name.len() > 15 || name.contains('/') || name.contains(char::is_whitespace) {
        return Err(Error::bad_parameter(format!("{name:?} is no name of an interface")));
    }
    let mut rtnl = Rtnl::open().context(|| "open a netlink socket".into())?;
    let Subnet { bridge, gateway, prefix, internal, .. } = bridge::open(&mut rtnl, name)?;
    Ok(Net::new(Network {
        id,
        name: DEFAULT.to_owned(),
        bridge,
        gateway: Some(gateway),
        prefix,
        internal,
        ..Network::default()
    }))
}

fn default_id(installation: &str) -> String {
    Digest::of(format!("{installation} {DEFAULT}").as_bytes()).hex()
}

/// What tells the local ranges of IPv6 of installations apart.
fn site(installation: &str) -> [u8; 5] {
    let digest = Digest::of(format!("{installation} IPv6").as_bytes()).hex();
    let byte = |at: usize| {
        digest.get(2 * at..2 * at + 2).and_then(|text| u8::from_str_radix(text, 16).ok())
    };
    [0, 1, 2, 3, 4].map(|at| byte(at).unwrap_or_default())
}

/// Digits of a container's id, of its run, and of the network's number, in the name of an
/// interface.
const OWN_DIGITS: usize = 7 + 2;

/// What the names of our interfaces begin with; daemons that share a host are told apart.
fn link_prefix(installation: &str) -> String {
    format!("veth{}", installation.get(..2).unwrap_or_default())
}

/// Name of an interface of a run, 15 bytes in all. That of the run before may not be gone yet.
fn link_name(prefix: &str, id: &Id, run: u64, number: usize) -> String {
    let number = b"0123456789abcdefghijklmnopqrstuvwxyz".get(number).map_or('_', |b| (*b).into());
    format!("{prefix}{}{:x}{number}", &id.as_str()[..OWN_DIGITS - 2], run & 0xf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_named_after_container_run_and_network() {
        let id = Id::parse(&"0123456789abcdef".repeat(4)).unwrap();
        let prefix = link_prefix("fedc");
        assert_eq!(link_name(&prefix, &id, 1, 0), "vethfe012345610");
        assert_eq!(link_name(&prefix, &id, 0x1f, 35), "vethfe0123456fz");
    }
}
