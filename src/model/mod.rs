//! Plain types that several modules share; no I/O, no lock.
//!
//! They derive serde because a container's record on disk is made of them: fields only grow,
//! each has a default, and the record carries a version. The API's shapes are in `wire`.

pub mod config;
pub mod health;
pub mod network;
pub mod port_set;
pub mod ports;
pub mod range;
pub mod reference;
pub mod signal;

pub use config::{
    Device, Endpoint, Healthcheck, HostConfig, LogConfig, LogDriver, MountKind, MountPoint,
    NetworkMode, RestartPolicy, RunConfig, Ulimit,
};
pub use health::{Health, HealthResult, HealthStatus};
pub use network::{Attachment, FirewallChoice, Forward, Published, Six};
pub use port_set::PortSet;
pub use ports::{PortBinding, PortProto, PortRange, Protocol};
pub use reference::Reference;
pub use signal::Signal;
