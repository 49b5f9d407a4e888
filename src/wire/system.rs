//! The daemon itself: `info`, `version`, `events`, `_ping`, and the body of every error.

// The fields are the protocol's own words, explained in its reference.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::container::config::Empty;
use crate::base::fields;

/// Newest version served, as text; see [`super::Version::NEWEST`].
pub const API_VERSION: &str = "1.44";
/// Oldest version that clients may negotiate down to.
pub const MIN_API_VERSION: &str = "1.24";
/// Body of `_ping`.
pub const PONG: &str = "OK";
/// Name of the header that tells [`API_VERSION`].
pub const API_VERSION_HEADER: &str = "Api-Version";

/// Body of every error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    pub message: String,
}

fields! {
    /// Answer of `version`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Version {
        pub platform as "Platform": Platform,
        pub components as "Components": Vec<Component>,
        pub version as "Version": String,
        pub api_version as "ApiVersion": String,
        pub min_api_version as "MinAPIVersion": String,
        pub git_commit as "GitCommit": String,
        pub go_version as "GoVersion": String,
        pub os as "Os": String,
        pub arch as "Arch": String,
        pub kernel_version as "KernelVersion": String,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub experimental as "Experimental": bool,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub build_time as "BuildTime": String,
    }
}

/// Name of the product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Platform {
    pub name: String,
}

fields! {
    /// A part of the product.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Component {
        pub name as "Name": String,
        pub version as "Version": String,
        pub details as "Details": BTreeMap<String, String>,
    }
}

fields! {
    /// Something that happened.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Event {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub status: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub id: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub from: String,
        pub kind as "Type": String,
        pub action as "Action": String,
        pub actor as "Actor": Actor,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub scope: String,
        pub time: i64,
        pub time_nano as "timeNano": i64,
    }
}

fields! {
    /// What it happened to.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Actor {
        pub id as "ID": String,
        pub attributes as "Attributes": BTreeMap<String, String>,
    }
}

fields! {
    /// Answer of `info`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Info {
        pub id as "ID": String,
        pub containers as "Containers": i64,
        pub containers_running as "ContainersRunning": i64,
        pub containers_paused as "ContainersPaused": i64,
        pub containers_stopped as "ContainersStopped": i64,
        pub images as "Images": i64,
        pub driver as "Driver": String,
        pub driver_status as "DriverStatus": Vec<[String; 2]>,
        pub plugins as "Plugins": Plugins,
        pub memory_limit as "MemoryLimit": bool,
        pub swap_limit as "SwapLimit": bool,
        pub cpu_cfs_period as "CpuCfsPeriod": bool,
        pub cpu_cfs_quota as "CpuCfsQuota": bool,
        pub cpu_shares as "CPUShares": bool,
        pub cpu_set as "CPUSet": bool,
        pub pids_limit as "PidsLimit": bool,
        pub ipv4_forwarding as "IPv4Forwarding": bool,
        pub bridge_nf_iptables as "BridgeNfIptables": bool,
        pub bridge_nf_ip6tables as "BridgeNfIp6tables": bool,
        pub debug as "Debug": bool,
        pub n_fd as "NFd": i64,
        pub oom_kill_disable as "OomKillDisable": bool,
        pub n_goroutines as "NGoroutines": i64,
        pub system_time as "SystemTime": String,
        pub logging_driver as "LoggingDriver": String,
        pub cgroup_driver as "CgroupDriver": String,
        pub cgroup_version as "CgroupVersion": String,
        pub n_events_listener as "NEventsListener": i64,
        pub kernel_version as "KernelVersion": String,
        pub operating_system as "OperatingSystem": String,
        pub os_version as "OSVersion": String,
        pub os_type as "OSType": String,
        pub architecture as "Architecture": String,
        pub index_server_address as "IndexServerAddress": String,
        pub registry_config as "RegistryConfig": RegistryConfig,
        pub ncpu as "NCPU": i64,
        pub mem_total as "MemTotal": i64,
        pub generic_resources as "GenericResources": Option<Vec<Empty>>,
        pub docker_root_dir as "DockerRootDir": String,
        pub http_proxy as "HttpProxy": String,
        pub https_proxy as "HttpsProxy": String,
        pub no_proxy as "NoProxy": String,
        pub name as "Name": String,
        pub labels as "Labels": Vec<String>,
        pub experimental_build as "ExperimentalBuild": bool,
        pub server_version as "ServerVersion": String,
        pub runtimes as "Runtimes": BTreeMap<String, Runtime>,
        pub default_runtime as "DefaultRuntime": String,
        pub swarm as "Swarm": Swarm,
        pub live_restore_enabled as "LiveRestoreEnabled": bool,
        pub isolation as "Isolation": String,
        pub init_binary as "InitBinary": String,
        pub containerd_commit as "ContainerdCommit": Commit,
        pub runc_commit as "RuncCommit": Commit,
        pub init_commit as "InitCommit": Commit,
        pub security_options as "SecurityOptions": Vec<String>,
        pub cdi_spec_dirs as "CDISpecDirs": Vec<String>,
        pub warnings as "Warnings": Vec<String>,
    }
}

fields! {
    /// Kinds of drivers that are served.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Plugins {
        pub volume as "Volume": Vec<String>,
        pub network as "Network": Vec<String>,
        pub authorization as "Authorization": Option<Vec<String>>,
        pub log as "Log": Vec<String>,
    }
}

fields! {
    /// Where images are pulled from.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct RegistryConfig {
        pub insecure_registry_cidrs as "InsecureRegistryCIDRs": Vec<String>,
        pub index_configs as "IndexConfigs": BTreeMap<String, Empty>,
        pub mirrors as "Mirrors": Option<Vec<String>>,
    }
}

/// A program that runs containers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    pub path: String,
}

fields! {
    /// State of clustering.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Swarm {
        pub node_id as "NodeID": String,
        pub node_addr as "NodeAddr": String,
        pub local_node_state as "LocalNodeState": String,
        pub control_available as "ControlAvailable": bool,
        pub error as "Error": String,
        pub remote_managers as "RemoteManagers": Option<Vec<Empty>>,
    }
}

fields! {
    /// A commit that a part was built from.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Commit {
        pub id as "ID": String,
        pub expected as "Expected": String,
    }
}

/// Answer of `system/df`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiskUsage<'a> {
    pub layers_size: i64,
    pub images: Option<Vec<super::image::Summary>>,
    pub containers: Option<Vec<super::container::Summary<'a>>>,
    pub volumes: Option<Vec<Empty>>,
    pub build_cache: Option<Vec<Empty>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builder_size: Option<i64>,
}
