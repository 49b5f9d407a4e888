//! Containers: what `create` takes, what `list`, `inspect`, `wait` and `top` give.

// The fields are the protocol's own words, explained in its reference.
#![allow(missing_docs)]

pub mod config;
mod from_model;
pub mod host;
pub mod inspect;
mod into_model;
mod mounts;
pub mod network;
pub mod summary;

pub use config::{Config, CreateRequest, CreateResponse, HealthConfig};
pub use from_model::network_mode_text;
pub use host::HostConfig;
pub use inspect::{Inspect, State};
pub use network::{EndpointSettings, NetworkingConfig};
pub use summary::Summary;

use serde::{Deserialize, Serialize};

use crate::base::fields;

fields! {
    /// Answer of `wait`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct WaitResponse {
        pub status_code as "StatusCode": i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error as "Error": Option<WaitError>,
    }
}

/// Why a container could not be started or waited for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitError {
    pub message: String,
}

fields! {
    /// Answer of `top`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct TopResponse {
        pub processes as "Processes": Vec<Vec<String>>,
        pub titles as "Titles": Vec<String>,
    }
}

fields! {
    /// Answer of `prune`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct PruneResponse {
        pub containers_deleted as "ContainersDeleted": Option<Vec<String>>,
        pub space_reclaimed as "SpaceReclaimed": i64,
    }
}

fields! {
    /// Answer of `update`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct UpdateResponse {
        pub warnings as "Warnings": Vec<String>,
    }
}
