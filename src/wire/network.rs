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
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subnet as "Subnet": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub ip_range as "IPRange": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub gateway as "Gateway": String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub auxiliary_addresses as "AuxiliaryAddresses": BTreeMap<String, String>,
    }
}

/// A network as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shown<'a> {
    pub name: &'a str,
    pub id: &'a str,
    pub created: String,
    pub scope: &'a str,
    pub driver: &'a str,
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    pub ipam: ShownIpam,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub config_from: ConfigFrom,
    pub config_only: bool,
    pub containers: BTreeMap<&'a str, ShownContainer<'a>>,
    pub options: BTreeMap<&'a str, &'a str>,
    pub labels: &'a BTreeMap<String, String>,
}

/// Addresses of a network as they are shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ShownIpam {
    pub driver: &'static str,
    pub options: Option<BTreeMap<String, String>>,
    pub config: Vec<IpamConfig>,
}

/// Where the configuration of a network comes from: nowhere.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigFrom {
    pub network: &'static str,
}

/// Who is on a network.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ShownContainer<'a> {
    pub name: &'a str,
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    pub mac_address: String,
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
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

impl CreateRequest {
    /// Sees to it that all is served. What has no effect becomes a warning.
    ///
    /// # Errors
    /// `NotImplemented` and `BadParameter`, naming the field.
    pub fn check(&mut self) -> Result<String> {
        let CreateRequest { driver, scope, ingress, config_only, enable_ipv6, ipam, .. } = self;
        let unserved = |what: &str| Err(Error::not_implemented(format!("{what} is not supported")));
        if !matches!(driver.as_str(), "" | "bridge" | "default") {
            return Err(Error::new(
                Kind::NotFound,
                format!("could not find plugin {driver} in v1 plugin registry: plugin not found"),
            ));
        }
        if *ingress || *config_only || !matches!(scope.as_str(), "" | "local") {
            return unserved("a network of a swarm");
        }
        if !matches!(ipam.driver.as_str(), "" | "default") {
            return unserved("an IPAM driver of its own");
        }
        if !ipam.options.is_empty() {
            return unserved("an option of an IPAM driver");
        }
        let mut warning = String::new();
        if !*enable_ipv6 {
            let six = |config: &IpamConfig| config.subnet.contains(':');
            if let Some(IpamConfig { subnet, .. }) = ipam.config.iter().find(|c| six(c)) {
                warning = format!("subnet {subnet} is left out: the network has no IPv6");
            }
            ipam.config.retain(|config| !six(config));
        }
        Ok(warning)
    }
}
