//! Networks: what is asked for. (What is shown is put together by `api`.)

// The fields are the protocol's own words, explained in its reference.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use serde::Serialize;

use super::container::EndpointSettings;
use crate::base::{Error, Kind, Result, fields};

fields! {
    /// Body of `networks/create`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct CreateRequest {
        pub name as "Name": String,
        pub driver as "Driver": String,
        pub scope as "Scope": String,
        pub internal as "Internal": bool,
        pub attachable as "Attachable": bool,
        pub ingress as "Ingress": bool,
        pub config_only as "ConfigOnly": bool,
        pub enable_ipv6 as "EnableIPv6": bool,
        pub ipam as "IPAM": Ipam,
        pub options as "Options": BTreeMap<String, String>,
        pub labels as "Labels": BTreeMap<String, String>,
    }
}

fields! {
    /// Addresses of a network.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Ipam {
        pub driver as "Driver": String,
        pub config as "Config": Vec<IpamConfig>,
        pub options as "Options": BTreeMap<String, String>,
    }
}

fields! {
    /// One range of addresses.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct IpamConfig {
        pub subnet as "Subnet": String,
        pub ip_range as "IPRange": String,
        pub gateway as "Gateway": String,
        pub auxiliary_addresses as "AuxiliaryAddresses": BTreeMap<String, String>,
    }
}

fields! {
    /// Answer of `networks/create`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct CreateResponse {
        pub id as "Id": String,
        pub warning as "Warning": String,
    }
}

fields! {
    /// Body of `connect` and `disconnect`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct ConnectRequest {
        pub container as "Container": String,
        pub force as "Force": bool,
        pub endpoint_config as "EndpointConfig": EndpointSettings,
    }
}

fields! {
    /// Answer of `prune`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct PruneResponse {
        pub networks_deleted as "NetworksDeleted": Option<Vec<String>>,
    }
}

/// What [`CreateRequest`] comes down to: subnet and gateway.
pub type Range = (String, String);

impl CreateRequest {
    /// The range of addresses, once all is seen to be served.
    ///
    /// # Errors
    /// `NotImplemented` and `BadParameter`, naming the field.
    pub fn check(&self) -> Result<Range> {
        let CreateRequest { driver, scope, ingress, config_only, enable_ipv6, ipam, .. } = self;
        let unserved = |what: &str| Err(Error::not_implemented(format!("{what} is not supported")));
        if !matches!(driver.as_str(), "" | "bridge" | "default") {
            return Err(Error::new(
                Kind::NotFound,
                format!("could not find plugin {driver} in v1 plugin registry: plugin not found"),
            ));
        }
        if *enable_ipv6 {
            return unserved("EnableIPv6");
        }
        if *ingress || *config_only || !matches!(scope.as_str(), "" | "local") {
            return unserved("a network of a swarm");
        }
        if !matches!(ipam.driver.as_str(), "" | "default") {
            return unserved("an IPAM driver of its own");
        }
        match ipam.config.as_slice() {
            [] => Ok(Range::default()),
            [IpamConfig { subnet, ip_range, gateway, auxiliary_addresses }] => {
                if !ip_range.is_empty() && ip_range != subnet {
                    return unserved("IPRange");
                }
                if !auxiliary_addresses.is_empty() {
                    return unserved("AuxiliaryAddresses");
                }
                Ok((subnet.clone(), gateway.clone()))
            }
            _ => unserved("a second range of addresses"),
        }
    }
}
