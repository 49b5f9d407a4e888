//! The networks that users make.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use super::net::Net;
use super::store::{self, Network};
use super::{DEFAULT, Networks, bridge};
use crate::base::{Context, Error, Id, Kind, Result, Timestamp, guard, step};
use crate::sys::rtnl::Rtnl;
use crate::warn;

/// Names that are ours.
const PREDEFINED: [&str; 4] = [DEFAULT, "host", "none", "default"];
/// Most networks beside the default one.
const MOST: usize = 1000;

/// What a network is to be made of.
#[derive(Debug, Clone, Default)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// Range of addresses, `10.1.0.0/16`; empty is a free one.
    pub subnet: String,
    /// The bridge's address in it; empty is the first one.
    pub gateway: String,
    /// Nothing leads out of it or into it.
    pub internal: bool,
    /// User-made labels.
    pub labels: BTreeMap<String, String>,
    /// Options; `com.docker.network.bridge.name` names the bridge.
    pub options: BTreeMap<String, String>,
}

/// The networks of the file.
pub(super) fn read(file: &Path) -> Vec<Arc<Net>> {
    store::read(file).into_iter().map(|network| Arc::new(Net::new(network))).collect()
}

impl Networks {
    /// Makes the bridges of the networks that users have made. One that cannot be had now is made
    /// when a container wants it.
    pub(super) fn set_up_made(&self) {
        let made = self.made.lock().clone();
        if made.is_empty() {
            return;
        }
        let mut rtnl = Rtnl::open().ok();
        for net in made {
            if let Some(Err(error)) = rtnl.as_mut().map(|rtnl| bridge::set_up(rtnl, &net.subnet)) {
                warn!("network {}: {error}", net.network.name);
            }
        }
    }

    /// The networks that users have made.
    pub fn list(&self) -> Vec<Network> {
        self.made.lock().iter().map(|net| net.network.clone()).collect()
    }

    /// The network that `name` means.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn find(&self, name: &str) -> Result<Network> {
        Ok(self.get(name)?.network.clone())
    }

    /// Makes a network: its id.
    ///
    /// # Errors
    /// `Conflict` for a name that is taken, `Forbidden` for ours, `BadParameter` for addresses.
    pub fn create(&self, new: NewNetwork) -> Result<Network> {
        let name = new.name.as_str();
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > 128 || !name.bytes().all(fine) {
            return Err(Error::bad_parameter(format!("invalid name of a network: {name:?}")));
        }
        if PREDEFINED.contains(&name) {
            return Err(predefined(name));
        }
        self.settled();
        let _ordered = self.save.lock();
        let made = self.made.lock().clone();
        if made.iter().any(|net| net.network.name == name) {
            let text = format!("network with name {name} already exists");
            return Err(Error::conflict(text));
        }
        if made.len() >= MOST {
            return Err(Error::conflict("too many networks"));
        }
        let mut rtnl = Rtnl::open().context(|| "open a netlink socket".into())?;
        let network = self.draft(new, &mut rtnl)?;
        if rtnl.link(&network.bridge).context(|| "find a bridge".into())?.is_some() {
            return Err(Error::conflict(format!("interface {} exists already", network.bridge)));
        }
        let net = Arc::new(Net::new(network.clone()));
        let before = || made.iter().map(|net| net.network.clone());
        store::write(&self.file, before().chain([network.clone()]).collect())?;
        // Dying here, the next start finds a network and makes its bridge.
        step::done("network.recorded");
        let recorded = guard((), |()| {
            if let Err(error) = store::write(&self.file, before().collect()) {
                warn!("{error}: network {} will be there after a restart", network.name);
            }
        });
        bridge::set_up(&mut rtnl, &net.subnet)?;
        recorded.keep();
        self.made.lock().push(net);
        self.watch();
        self.set_rules();
        Ok(network)
    }

    fn draft(&self, new: NewNetwork, rtnl: &mut Rtnl) -> Result<Network> {
        let NewNetwork { name, subnet, gateway, internal, labels, options } = new;
        let others = self.subnets();
        let (address, prefix) = match subnet.as_str() {
            "" if gateway.is_empty() => bridge::free_range(rtnl, &others)?,
            "" => return Err(Error::bad_parameter("a gateway without a subnet")),
            text => first_of(text)?,
        };
        if let Some(other) = others
            .iter()
            .find(|other| bridge::overlap((address, prefix), (other.gateway, other.prefix)))
        {
            return Err(Error::new(
                Kind::Forbidden,
                format!("Pool overlaps with other one on this address space: {}", other.bridge),
            ));
        }
        let gateway = match gateway.as_str() {
            "" => address,
            text => text
                .parse()
                .ok()
                .filter(|own: &Ipv4Addr| bridge::overlap((*own, 32), (address, prefix)))
                .ok_or_else(|| Error::bad_parameter(format!("invalid gateway address: {text}")))?,
        };
        let id = Id::random();
        let bridge = match options.get("com.docker.network.bridge.name") {
            Some(name) if name.is_empty() || name.len() > 15 || name.contains('/') => {
                return Err(Error::bad_parameter(format!("{name:?} is no name of an interface")));
            }
            Some(name) => name.clone(),
            None => format!("br-{}", id.short()),
        };
        Ok(Network {
            id: id.to_string(),
            name,
            created: Timestamp::now(),
            bridge,
            gateway: Some(gateway),
            prefix,
            internal,
            labels,
            options,
        })
    }

    /// Removes a network that no running container is on.
    ///
    /// # Errors
    /// `Forbidden` while it is used, and for ours.
    pub fn remove(&self, name: &str) -> Result<Network> {
        if PREDEFINED.contains(&name) {
            return Err(predefined(name));
        }
        self.settled();
        let _ordered = self.save.lock();
        let net = self.get(name)?;
        let Network { id, name, bridge, .. } = &net.network;
        if name == DEFAULT {
            return Err(predefined(name));
        }
        let used = |held: &super::Held| Arc::ptr_eq(&held.net, &net);
        let mut made = self.made.lock();
        if self.held.lock().values().flatten().any(used) {
            return Err(Error::new(
                Kind::Forbidden,
                format!(
                    "error while removing network: network {name} id {id} has active endpoints"
                ),
            ));
        }
        // From here on nobody finds it.
        made.retain(|other| !Arc::ptr_eq(other, &net));
        let rest = made.iter().map(|net| net.network.clone()).collect();
        drop(made);
        // Before it is off the record: dying in between, the next start makes the bridge again, and
        // so does the next container, should the record not be written.
        let deleted = Rtnl::open().and_then(|mut rtnl| rtnl.delete_link(bridge));
        if let Err(error) = deleted {
            warn!("delete bridge {bridge}: {error}");
        }
        step::done("network.unplugged");
        if let Err(error) = store::write(&self.file, rest) {
            self.made.lock().push(net);
            return Err(error);
        }
        step::done("network.removed");
        self.set_rules();
        Ok(net.network.clone())
    }

    /// Brings the packet rules up to date with the networks.
    fn set_rules(&self) {
        let subnets = self.subnets();
        if let Err(error) = self.firewall.make(subnets) {
            warn!("containers are not reached and reach nobody from outside: {error}");
        }
    }
}

fn predefined(name: &str) -> Error {
    let text = format!("operation is not permitted on predefined {name} network ");
    Error::new(Kind::Forbidden, text)
}

/// The first address of a range, and its prefix.
fn first_of(subnet: &str) -> Result<(Ipv4Addr, u8)> {
    let wrong = || Error::bad_parameter(format!("invalid subnet: {subnet}"));
    let (address, prefix) = subnet.split_once('/').ok_or_else(wrong)?;
    if address.contains(':') {
        return Err(Error::not_implemented(format!("subnet {subnet}: IPv6 is not served yet")));
    }
    let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().ok().filter(|n| (1..=30).contains(n)).ok_or_else(wrong)?;
    let host = u32::MAX >> prefix;
    Ok(((u32::from(address) & !host | 1).into(), prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let check = |text: &str, expected: Option<&str>| {
            let got = first_of(text).ok().map(|(address, prefix)| format!("{address}/{prefix}"));
            assert_eq!(got.as_deref(), expected, "{text}");
        };
        check("10.1.0.0/16", Some("10.1.0.1/16"));
        check("10.1.2.3/24", Some("10.1.2.1/24"));
        for wrong in ["", "10.1.0.0", "10.1.0.0/31", "10.1.0.0/0", "x/8", "fe80::/64", "1.2.3/8"] {
            check(wrong, None);
        }
    }
}
