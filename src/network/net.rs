//! One network: its bridge and its addresses.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use super::pool::Pool;
use super::rules::Subnet;
use super::store::Network;
use crate::base::{Context, Error, Kind, Lock, Result};
use crate::model::Attachment;
use crate::sys::rtnl::Rtnl;

/// So many addresses may linger before it is looked which do.
const MANY_LINGER: usize = 64;

/// A network with a bridge.
pub(super) struct Net {
    pub(super) network: Network,
    pub(super) subnet: Subnet,
    addresses: Lock<Addresses>,
}

struct Addresses {
    pool: Pool,
    /// Those whose last owner may not be gone yet, with its interface.
    lingering: HashMap<Ipv4Addr, String>,
}

impl Net {
    pub(super) fn new(network: Network) -> Net {
        let subnet = network.subnet();
        let pool = Pool::new(subnet.gateway, subnet.prefix);
        let addresses = Lock::new(Addresses { pool, lingering: HashMap::new() });
        Net { network, subnet, addresses }
    }

    pub(super) fn attachment(&self, link: String, address: Ipv4Addr) -> Attachment {
        let Subnet { bridge, gateway, prefix, internal } = self.subnet.clone();
        Attachment {
            network: self.network.name.clone(),
            network_id: self.network.id.clone(),
            bridge,
            link,
            address,
            prefix,
            gateway,
            internal,
            ports: Vec::new(),
        }
    }

    /// The address asked for, else the next free one, whose last owner is gone.
    pub(super) fn take_address(&self, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr> {
        if let Some(address) = wanted {
            return self.take_this(address);
        }
        // They stay taken while we search, so that the search goes on behind them.
        let mut passed = Vec::new();
        let found = self.search(&mut passed);
        let mut addresses = self.addresses.lock();
        for (address, _) in passed {
            addresses.pool.release(address);
        }
        found
    }

    fn search(&self, passed: &mut Vec<(Ipv4Addr, String)>) -> Result<Ipv4Addr> {
        let mut rtnl = None;
        loop {
            let taken = {
                let mut addresses = self.addresses.lock();
                let taken = addresses.pool.take();
                taken.map(|address| (address, addresses.lingering.get(&address).cloned()))
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
            self.addresses.lock().lingering.remove(&address);
            return Ok(address);
        }
    }

    fn take_this(&self, address: Ipv4Addr) -> Result<Ipv4Addr> {
        let link = {
            let mut addresses = self.addresses.lock();
            if !addresses.pool.reserve(address) {
                let what = if addresses.pool.has(address) {
                    "Address already in use"
                } else {
                    "no configured subnet contains IP address"
                };
                return Err(Error::new(Kind::Conflict, format!("{what} {address}")));
            }
            addresses.lingering.get(&address).cloned()
        };
        let Some(link) = link else { return Ok(address) };
        let gone = Rtnl::open().and_then(|mut rtnl| rtnl.delete_link(&link));
        let mut addresses = self.addresses.lock();
        match gone {
            Ok(()) => drop(addresses.lingering.remove(&address)),
            Err(_) => addresses.pool.release(address),
        }
        gone.context(|| format!("delete {link}")).map(|()| address)
    }

    /// Takes this very address for who has it already.
    pub(super) fn reserve(&self, address: Ipv4Addr) -> bool {
        self.addresses.lock().pool.reserve(address)
    }

    /// Takes an address back; it lingers until interface `link` is gone.
    pub(super) fn give_back(&self, address: Ipv4Addr, link: String) {
        let many = {
            let mut addresses = self.addresses.lock();
            addresses.lingering.insert(address, link);
            addresses.pool.release(address);
            addresses.lingering.len() > MANY_LINGER
        };
        if many {
            if let Err(error) = self.forget_gone() {
                crate::debug!("{error}");
            }
        }
    }

    /// Forgets which addresses lingered once their interfaces are gone.
    fn forget_gone(&self) -> Result<()> {
        let links = Rtnl::open().and_then(|mut rtnl| rtnl.links());
        let links = links.context(|| "list interfaces".into())?;
        let there: HashSet<String> = links.into_iter().map(|link| link.name).collect();
        self.addresses.lock().lingering.retain(|_, link| there.contains(link));
        Ok(())
    }
}

fn open_once(rtnl: &mut Option<Rtnl>) -> Result<&mut Rtnl> {
    if rtnl.is_none() {
        *rtnl = Some(Rtnl::open().context(|| "open a netlink socket".into())?);
    }
    Ok(rtnl.as_mut().expect("it has just been opened"))
}
