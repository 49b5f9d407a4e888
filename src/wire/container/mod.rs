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

/// Answer of `wait`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitResponse {
    pub status_code: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WaitError>,
}

/// Why a container could not be started or waited for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitError {
    pub message: String,
}

/// Answer of `top`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TopResponse {
    pub processes: Vec<Vec<String>>,
    pub titles: Vec<String>,
}
