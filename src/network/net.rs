//! One network: its bridge and its addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Place;
use super::addresses::{Addresses, no_subnet};
use super::rules::Subnet;
use super::store::Network;
use crate::base::Result;
use crate::model::{Attachment, Six};

/// A network with a bridge.
pub(super) struct Net {
    pub(super) network: Network,
    pub(super) subnet: Subnet,
    four: Addresses,
    six: Option<Addresses>,
}

/// Addresses of a container, and the interface that they go with.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) four: Ipv4Addr,
    pub(super) six: Option<Ipv6Addr>,
}

impl Net {
    pub(super) fn new(network: Network) -> Net {
        let subnet = network.subnet();
        let addresses = |own: (IpAddr, u8)| {
            let part = network.parts.iter().find(|part| part.0.is_ipv6() == own.0.is_ipv6());
            Addresses::new(own, part.copied(), network.auxiliary.values().copied())
        };
        let four = addresses((subnet.gateway.into(), subnet.prefix));
        let six = subnet.v6.map(|(gateway, prefix)| addresses((gateway.into(), prefix)));
        Net { network, subnet, four, six }
    }

    pub(super) fn attachment(
        &self,
        link: String,
        taken: &Taken,
        mac: Option<[u8; 6]>,
    ) -> Attachment {
        let Subnet { bridge, gateway, prefix, v6, internal, .. } = self.subnet.clone();
        let six = taken.six.zip(v6);
        Attachment {
            network: self.network.name.clone(),
            network_id: self.network.id.clone(),
            bridge,
            link,
            address: taken.four,
            prefix,
            gateway,
            v6: six.map(|(address, (gateway, prefix))| Six { address, prefix, gateway }),
            own_mac: mac,
            internal,
            ports: Vec::new(),
        }
    }

    /// The host's addresses that ports which name none are published on: those of the families
    /// that the container has.
    pub(super) fn hosts(&self, attachment: &Attachment) -> Vec<IpAddr> {
        if let Some(named) = self.network.host_binding() {
            return vec![named];
        }
        let six = attachment.v6.map(|_| Ipv6Addr::UNSPECIFIED.into());
        [Some(Ipv4Addr::UNSPECIFIED.into()), six].into_iter().flatten().collect()
    }

    /// The addresses asked for, else the next free ones, whose last owner is gone.
    pub(super) fn take(&self, place: &Place) -> Result<Taken> {
        let wanted = place.six.map(IpAddr::V6);
        if let (None, Some(six)) = (&self.six, wanted) {
            return Err(no_subnet(six));
        }
        let IpAddr::V4(four) = self.four.take(place.address.map(IpAddr::V4))? else {
            unreachable!("a pool of IPv4 has no others")
        };
        let Some(addresses) = &self.six else { return Ok(Taken { four, six: None }) };
        let six = match wanted {
            None => addresses.take_twin(&self.four, four.into()),
            wanted => addresses.take(wanted),
        };
        match six {
            Ok(IpAddr::V6(six)) => Ok(Taken { four, six: Some(six) }),
            Ok(IpAddr::V4(_)) => unreachable!("a pool of IPv6 has no others"),
            Err(error) => {
                self.four.put_back(four.into());
                Err(error)
            }
        }
    }

    /// Takes these very addresses for who has them already.
    pub(super) fn reserve(&self, taken: &Taken) -> bool {
        let four = self.four.reserve(taken.four.into());
        let six = match (&self.six, taken.six) {
            (Some(addresses), Some(six)) => addresses.reserve(six.into()),
            _ => true,
        };
        four && six
    }

    /// Takes addresses back; they linger until interface `link` is gone.
    pub(super) fn give_back(&self, taken: &Taken, link: String) {
        if let (Some(addresses), Some(six)) = (&self.six, taken.six) {
            addresses.give_back(six.into(), link.clone());
        }
        self.four.give_back(taken.four.into(), link);
    }
}
