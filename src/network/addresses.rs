//! The addresses of one family on a network, and those that linger: their last owner may not be
//! gone yet, with its interface.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::pool::Pool;
use crate::base::{Context, Error, Kind, Lock, Result};
use crate::model::range::Range;
use crate::sys::rtnl::Rtnl;

/// So many addresses may linger before it is looked which do.
const MANY_LINGER: usize = 64;

/// The addresses of a network.
pub(super) struct Addresses(Lock<Inner>);

struct Inner {
    pool: Pool,
    lingering: HashMap<IpAddr, String>,
}

impl Addresses {
    /// See [`Pool::new`]; those of `auxiliary` are never given out.
    pub(super) fn new(
        own: Range,
        part: Option<Range>,
        auxiliary: impl Iterator<Item = IpAddr>,
    ) -> Addresses {
        let mut pool = Pool::new(own, part);
        for address in auxiliary {
            pool.reserve(address);
        }
        Addresses(Lock::new(Inner { pool, lingering: HashMap::new() }))
    }

    /// The address asked for, else the next free one, whose last owner is gone.
    pub(super) fn take(&self, wanted: Option<IpAddr>) -> Result<IpAddr> {
        if let Some(address) = wanted {
            return self.take_this(address);
        }
        // They stay taken while we search, so that the search goes on behind them.
        let mut passed = Vec::new();
        let found = self.search(&mut passed);
        let mut inner = self.0.lock();
        for (address, _) in passed {
            inner.pool.release(address);
        }
        found
    }

    /// The address that belongs to `other`, an address of `others`; else the next free one. As
    /// hardware addresses follow from `other`, neighbours remember them rightly.
    pub(super) fn take_twin(&self, others: &Addresses, other: IpAddr) -> Result<IpAddr> {
        let twin = {
            let others = others.0.lock();
            let mut inner = self.0.lock();
            let twin = inner.pool.twin(&others.pool, other);
            twin.filter(|twin| !inner.lingering.contains_key(twin) && inner.pool.reserve(*twin))
        };
        twin.map_or_else(|| self.take(None), Ok)
    }

    fn search(&self, passed: &mut Vec<(IpAddr, String)>) -> Result<IpAddr> {
        let mut rtnl = None;
        loop {
            let taken = {
                let mut inner = self.0.lock();
                let taken = inner.pool.take();
                taken.map(|address| (address, inner.lingering.get(&address).cloned()))
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
            self.0.lock().lingering.remove(&address);
            return Ok(address);
        }
    }

    fn take_this(&self, address: IpAddr) -> Result<IpAddr> {
        let link = {
            let mut inner = self.0.lock();
            if !inner.pool.reserve(address) {
                if !inner.pool.has(address) {
                    return Err(no_subnet(address));
                }
                let text = format!("Address already in use {address}");
                return Err(Error::new(Kind::Conflict, text));
            }
            inner.lingering.get(&address).cloned()
        };
        let Some(link) = link else { return Ok(address) };
        let gone = Rtnl::open().and_then(|mut rtnl| rtnl.delete_link(&link));
        let mut inner = self.0.lock();
        match gone {
            Ok(()) => drop(inner.lingering.remove(&address)),
            Err(_) => inner.pool.release(address),
        }
        gone.context(|| format!("delete {link}")).map(|()| address)
    }

    /// Takes this very address for who has it already.
    pub(super) fn reserve(&self, address: IpAddr) -> bool {
        self.0.lock().pool.reserve(address)
    }

    /// Takes an address back that nobody has had.
    pub(super) fn put_back(&self, address: IpAddr) {
        self.0.lock().pool.release(address);
    }

    /// Takes an address back; it lingers until interface `link` is gone.
    pub(super) fn give_back(&self, address: IpAddr, link: String) {
        let many = {
            let mut inner = self.0.lock();
            inner.lingering.insert(address, link);
            inner.pool.release(address);
            inner.lingering.len() > MANY_LINGER
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
        self.0.lock().lingering.retain(|_, link| there.contains(link));
        Ok(())
    }
}

/// An address was asked for that the network does not have.
pub(super) fn no_subnet(address: IpAddr) -> Error {
    Error::new(Kind::Conflict, format!("no configured subnet contains IP address {address}"))
}

fn open_once(rtnl: &mut Option<Rtnl>) -> Result<&mut Rtnl> {
    if rtnl.is_none() {
        *rtnl = Some(Rtnl::open().context(|| "open a netlink socket".into())?);
    }
    Ok(rtnl.as_mut().expect("it has just been opened"))
}
