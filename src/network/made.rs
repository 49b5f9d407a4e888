//! The networks that users make.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use super::net::Net;
use super::store::{self, AMONG, MASQUERADE, MTU, Network, boolean};
use super::{DEFAULT, Networks, bridge};
use crate::base::{Context, Error, Id, Kind, Result, Timestamp, guard, step};
use crate::model::range::{self, Range, overlap};
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
    /// Ranges of addresses, at most one of each family; what is missing is a free one.
    pub ranges: Vec<NewRange>,
    /// It has IPv6 beside IPv4.
    pub v6: bool,
    /// Nothing leads out of it or into it.
    pub internal: bool,
    /// User-made labels.
    pub labels: BTreeMap<String, String>,
    /// Options.
    pub options: BTreeMap<String, String>,
}

/// A range of addresses that is asked for.
#[derive(Debug, Clone, Default)]
pub struct NewRange {
    /// `10.1.0.0/16`; empty is a free one of IPv4.
    pub subnet: String,
    /// The bridge's address in it; empty is the first one.
    pub gateway: String,
    /// The part that addresses are given out of; empty is all.
    pub part: String,
    /// Addresses that no container gets, by what they are for.
    pub auxiliary: BTreeMap<String, String>,
}

/// The networks of the file.
pub(super) fn read(file: &Path) -> Result<Vec<Arc<Net>>> {
    Ok(store::read(file)?.into_iter().map(|network| Arc::new(Net::new(network))).collect())
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
        let NewNetwork { name, ranges, v6, internal, labels, options } = new;
        check_options(&options)?;
        let id = Id::random();
        let bridge = match options.get(BRIDGE_NAME) {
            Some(name) if name.is_empty() || name.len() > 15 || name.contains('/') => {
                return Err(Error::bad_parameter(format!("{name:?} is no name of an interface")));
            }
            Some(name) => name.clone(),
            None => format!("br-{}", id.short()),
        };
        let (id, created) = (id.to_string(), Timestamp::now());
        let mut network =
            Network { id, name, created, bridge, internal, labels, options, ..Network::default() };
        for range in &ranges {
            network.add_range(range)?;
        }
        let others: Vec<Range> = self.all().iter().flat_map(|net| net.network.ranges()).collect();
        if network.gateway.is_none() {
            let (own, prefix) = bridge::free_range(rtnl, &others)?;
            network.set_own(own, prefix);
        }
        if v6 {
            bridge::check_ipv6()?;
            if network.gateway6.is_none() {
                let (own, prefix) = bridge::free_range_ipv6(rtnl, &others, self.site)?;
                network.set_own(own, prefix);
            }
        }
        let clash = |range: &Range| others.iter().any(|other| overlap(*range, *other));
        if let Some(range) = network.ranges().find(clash) {
            let text = "Pool overlaps with other one on this address space: ";
            return Err(Error::new(Kind::Forbidden, format!("{text}{}", range::text(range))));
        }
        Ok(network)
    }

    /// Removes a network that no running container is on.
    ///
    /// # Errors
    /// `Forbidden` while it is used, and for ours.
    pub fn remove(&self, name: &str) -> Result<Network> {
        if PREDEFINED.contains(&name) {
            return Err(stays(name));
        }
        self.settled();
        let _ordered = self.save.lock();
        let net = self.get(name)?;
        let Network { id, name, bridge, .. } = &net.network;
        if name == DEFAULT {
            return Err(stays(name));
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

fn stays(name: &str) -> Error {
    let text = format!("{name} is a pre-defined network and cannot be removed");
    Error::new(Kind::Forbidden, text)
}

/// Option: name of the bridge.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
/// Option: address of the host for ports that name none.
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";

/// Checks the options that have a meaning; those of Docker that have none here are refused.
fn check_options(options: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in options {
        let fine = match key.as_str() {
            BRIDGE_NAME => true,
            MASQUERADE | AMONG => boolean(value).is_some(),
            // What IPv6 needs at least, and what an Ethernet frame holds at most.
            MTU => value.parse::<u32>().is_ok_and(|mtu| (1280..=65_535).contains(&mtu)),
            HOST_BINDING => value.parse::<Ipv4Addr>().is_ok(),
            key if key.starts_with("com.docker.network.") => {
                return Err(Error::not_implemented(format!("option {key} is not supported")));
            }
            _ => true,
        };
        if !fine {
            return Err(Error::bad_parameter(format!("invalid value {value:?} of option {key}")));
        }
    }
    Ok(())
}

impl Network {
    fn set_own(&mut self, own: IpAddr, prefix: u8) {
        match own {
            IpAddr::V4(own) => (self.gateway, self.prefix) = (Some(own), prefix),
            IpAddr::V6(own) => (self.gateway6, self.prefix6) = (Some(own), prefix),
        }
    }

    /// Address of the host for ports that name none; `None` is all.
    pub(super) fn host_binding(&self) -> Option<IpAddr> {
        let named = self.options.get(HOST_BINDING)?.parse::<Ipv4Addr>().ok()?;
        (!named.is_unspecified()).then_some(named.into())
    }

    fn add_range(&mut self, new: &NewRange) -> Result<()> {
        let NewRange { subnet, gateway, part, auxiliary } = new;
        let wrong = |what: &str, text: &str| {
            Err(Error::bad_parameter(format!("invalid {what} {text} of subnet {subnet:?}")))
        };
        if subnet.is_empty() {
            return match (gateway.as_str(), part.as_str()) {
                ("", "") if auxiliary.is_empty() => Ok(()),
                _ => Err(Error::bad_parameter("addresses without a subnet")),
            };
        }
        let whole = range::parse(subnet)
            .filter(|(own, prefix)| (1..=if own.is_ipv6() { 126 } else { 30 }).contains(prefix))
            .ok_or_else(|| Error::bad_parameter(format!("invalid subnet: {subnet}")))?;
        let v6 = whole.0.is_ipv6();
        if if v6 { self.gateway6.is_some() } else { self.gateway.is_some() } {
            return Err(Error::not_implemented("a second range of addresses of one family"));
        }
        let inside = |text: &str| {
            let address: IpAddr = text.parse().ok()?;
            range::covers(whole, (address, if v6 { 128 } else { 32 })).then_some(address)
        };
        let first = range::address(range::number(range::first(whole)) + 1, v6);
        let own = if gateway.is_empty() { Some(first) } else { inside(gateway) };
        let Some(own) = own else { return wrong("gateway address", gateway) };
        if !part.is_empty() {
            match range::parse(part).filter(|part| range::covers(whole, *part)) {
                Some(part) => self.parts.push((range::first(part), part.1)),
                None => return wrong("range", part),
            }
        }
        for (name, text) in auxiliary {
            match inside(text).filter(|address| *address != own) {
                Some(address) => drop(self.auxiliary.insert(name.clone(), address)),
                None => return wrong("auxiliary address", text),
            }
        }
        self.set_own(own, whole.1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(new: &NewRange) -> String {
        let mut network = Network::default();
        match network.add_range(new) {
            Ok(()) => network.ranges().map(|(own, prefix)| format!("{own}/{prefix}")).collect(),
            Err(error) => error.to_string(),
        }
    }

    fn of(subnet: &str) -> NewRange {
        NewRange { subnet: subnet.into(), ..NewRange::default() }
    }

    #[test]
    fn ranges_are_read() {
        let check = |text: &str, expected: &str| assert_eq!(add(&of(text)), expected, "{text}");
        check("10.1.0.0/16", "10.1.0.1/16");
        check("10.1.2.3/24", "10.1.2.1/24");
        check("fd00:1::/64", "fd00:1::1/64");
        check("", "");
        for wrong in ["10.1.0.0", "10.1.0.0/31", "10.1.0.0/0", "x/8", "fe80::/127", "1.2.3/8"] {
            check(wrong, &format!("invalid subnet: {wrong}"));
        }
    }

    #[test]
    fn what_belongs_to_a_range_is_in_it() {
        let gateway = |text: &str| NewRange { gateway: text.into(), ..of("fd00:1::/64") };
        assert_eq!(add(&gateway("fd00:1::ff")), "fd00:1::ff/64");
        for wrong in ["fd00:2::1", "10.0.0.1", "x"] {
            let text = format!("invalid gateway address {wrong} of subnet \"fd00:1::/64\"");
            assert_eq!(add(&gateway(wrong)), text);
        }
        let part = |text: &str| NewRange { part: text.into(), ..of("10.1.0.0/16") };
        assert_eq!(add(&part("10.1.2.0/24")), "10.1.0.1/16");
        assert!(add(&part("10.2.2.0/24")).starts_with("invalid range 10.2.2.0/24"));
        let aux = |text: &str| {
            let auxiliary = [("router".to_owned(), text.to_owned())].into();
            NewRange { auxiliary, ..of("10.1.0.0/16") }
        };
        assert_eq!(add(&aux("10.1.0.9")), "10.1.0.1/16");
        assert!(add(&aux("10.1.0.1")).starts_with("invalid auxiliary address 10.1.0.1"));
        assert_eq!(
            add(&NewRange { subnet: String::new(), ..part("10.1.2.0/24") }),
            "addresses without a subnet"
        );
        let mut twice = Network::default();
        twice.add_range(&of("10.1.0.0/16")).unwrap();
        twice.add_range(&of("fd00::/64")).unwrap();
        assert!(twice.add_range(&of("10.2.0.0/16")).is_err());
    }

    #[test]
    fn options_are_checked() {
        let check = |key: &str, value: &str| {
            check_options(&[(key.to_owned(), value.to_owned())].into()).map_err(|e| e.to_string())
        };
        for (key, value) in [(AMONG, "false"), (MASQUERADE, "1"), (MTU, "1400"), ("mine", "x")] {
            assert_eq!(check(key, value), Ok(()));
        }
        for (key, value) in [(AMONG, "no"), (MTU, "big"), (MTU, "68"), (HOST_BINDING, "::1")] {
            assert_eq!(check(key, value), Err(format!("invalid value {value:?} of option {key}")));
        }
        let text = "option com.docker.network.container_iface_prefix is not supported";
        assert_eq!(check("com.docker.network.container_iface_prefix", "x"), Err(text.to_owned()));
    }
}
