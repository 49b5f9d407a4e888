//! Networks of a container, as asked for and as shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::fields;

/// Networks that a new container is to take part in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkingConfig {
    pub endpoints_config: BTreeMap<String, EndpointSettings>,
}

fields! {
    /// How a container takes part in one network.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct EndpointSettings {
        pub ipam_config as "IPAMConfig": Option<EndpointIpamConfig>,
        pub links as "Links": Option<Vec<String>>,
        pub aliases as "Aliases": Option<Vec<String>>,
        pub mac_address as "MacAddress": String,
        pub network_id as "NetworkID": String,
        pub endpoint_id as "EndpointID": String,
        pub gateway as "Gateway": String,
        pub ip_address as "IPAddress": String,
        pub ip_prefix_len as "IPPrefixLen": i64,
        pub ipv6_gateway as "IPv6Gateway": String,
        pub global_ipv6_address as "GlobalIPv6Address": String,
        pub global_ipv6_prefix_len as "GlobalIPv6PrefixLen": i64,
        pub driver_opts as "DriverOpts": Option<BTreeMap<String, String>>,
        pub dns_names as "DNSNames": Option<Vec<String>>,
    }
}

fields! {
    /// Addresses asked for.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct EndpointIpamConfig {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub ipv4_address as "IPv4Address": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub ipv6_address as "IPv6Address": String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub link_local_ips as "LinkLocalIPs": Vec<String>,
    }
}

fields! {
    /// `NetworkSettings` of `inspect`: the default network's endpoint twice, for old scripts.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct NetworkSettings {
        pub bridge as "Bridge": String,
        pub sandbox_id as "SandboxID": String,
        pub sandbox_key as "SandboxKey": String,
        pub ports as "Ports": BTreeMap<String, Option<Vec<PortBinding>>>,
        pub hairpin_mode as "HairpinMode": bool,
        pub link_local_ipv6_address as "LinkLocalIPv6Address": String,
        pub link_local_ipv6_prefix_len as "LinkLocalIPv6PrefixLen": i64,
        pub secondary_ip_addresses as "SecondaryIPAddresses": Option<Vec<Address>>,
        pub secondary_ipv6_addresses as "SecondaryIPv6Addresses": Option<Vec<Address>>,
        pub endpoint_id as "EndpointID": String,
        pub gateway as "Gateway": String,
        pub global_ipv6_address as "GlobalIPv6Address": String,
        pub global_ipv6_prefix_len as "GlobalIPv6PrefixLen": i64,
        pub ip_address as "IPAddress": String,
        pub ip_prefix_len as "IPPrefixLen": i64,
        pub ipv6_gateway as "IPv6Gateway": String,
        pub mac_address as "MacAddress": String,
        pub networks as "Networks": BTreeMap<String, EndpointSettings>,
    }
}

fields! {
    /// A further address of an endpoint.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Address {
        pub addr as "Addr": String,
        pub prefix_len as "PrefixLen": i64,
    }
}

fields! {
    /// Where a port is published on the host.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct PortBinding {
        pub host_ip as "HostIp": String,
        pub host_port as "HostPort": String,
    }
}
