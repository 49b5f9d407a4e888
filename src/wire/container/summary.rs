//! One line of a list of containers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::EndpointSettings;
use super::config::Empty;
use crate::base::fields;

/// A container in a list. Borrows when it is written, so that a list of thousands costs no copy.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary<'a> {
    pub id: Cow<'a, str>,
    pub names: Vec<String>,
    pub image: Cow<'a, str>,
    #[serde(rename = "ImageID")]
    pub image_id: Cow<'a, str>,
    pub command: String,
    pub created: i64,
    pub ports: Vec<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<i64>,
    pub labels: Cow<'a, BTreeMap<String, String>>,
    pub state: Cow<'a, str>,
    pub status: String,
    pub host_config: SummaryHostConfig<'a>,
    pub network_settings: SummaryNetworks,
    pub mounts: Vec<MountPoint>,
}

/// What a list shows of the host's half.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SummaryHostConfig<'a> {
    pub network_mode: Cow<'a, str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a list shows of networks.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SummaryNetworks {
    pub networks: BTreeMap<String, EndpointSettings>,
}

fields! {
    /// What a table of containers has to know: a part of [`Summary`].
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Line {
        pub id as "Id": String,
        pub names as "Names": Vec<String>,
        pub image as "Image": String,
        pub image_id as "ImageID": String,
        pub command as "Command": String,
        pub created as "Created": i64,
        pub ports as "Ports": Vec<Port>,
        pub size_rw as "SizeRw": u64,
        pub size_root_fs as "SizeRootFs": u64,
        pub labels as "Labels": BTreeMap<String, String>,
        pub state as "State": String,
        pub status as "Status": String,
        pub network_settings as "NetworkSettings": LineNetworks,
        pub mounts as "Mounts": Vec<MountPoint>,
    }
}

fields! {
    /// The names of a container's networks.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct LineNetworks {
        pub networks as "Networks": BTreeMap<String, Empty>,
    }
}

fields! {
    /// A port that is served or published.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Port {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub ip as "IP": String,
        pub private_port as "PrivatePort": u16,
        #[serde(skip_serializing_if = "is_zero")]
        pub public_port as "PublicPort": u16,
        pub protocol as "Type": String,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_zero(port: &u16) -> bool {
    *port == 0
}

fields! {
    /// A mount as it is.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct MountPoint {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub kind as "Type": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name as "Name": String,
        pub source as "Source": String,
        pub destination as "Destination": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver as "Driver": String,
        pub mode as "Mode": String,
        pub rw as "RW": bool,
        pub propagation as "Propagation": String,
    }
}
