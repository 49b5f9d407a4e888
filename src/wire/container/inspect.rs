//! `inspect` of a container.

use std::collections::BTreeMap;

use serde::Serialize;

use super::network::NetworkSettings;
use super::summary::MountPoint;
use super::{Config, HostConfig};
use crate::base::fields;

fields! {
    /// All about a container.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Inspect {
        pub id as "Id": String,
        pub created as "Created": String,
        pub path as "Path": String,
        pub args as "Args": Vec<String>,
        pub state as "State": State,
        pub image as "Image": String,
        pub resolv_conf_path as "ResolvConfPath": String,
        pub hostname_path as "HostnamePath": String,
        pub hosts_path as "HostsPath": String,
        pub log_path as "LogPath": String,
        pub name as "Name": String,
        pub restart_count as "RestartCount": i64,
        pub driver as "Driver": String,
        pub platform as "Platform": String,
        pub mount_label as "MountLabel": String,
        pub process_label as "ProcessLabel": String,
        pub app_armor_profile as "AppArmorProfile": String,
        pub exec_ids as "ExecIDs": Option<Vec<String>>,
        pub host_config as "HostConfig": HostConfig,
        pub graph_driver as "GraphDriver": GraphDriver,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw as "SizeRw": Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs as "SizeRootFs": Option<i64>,
        pub mounts as "Mounts": Vec<MountPoint>,
        pub config as "Config": Config,
        pub network_settings as "NetworkSettings": NetworkSettings,
    }
}

fields! {
    /// What attaching has to know of a container: a part of [`Inspect`].
    #[derive(Debug, Default, PartialEq, Serialize)]
    pub struct Brief {
        pub id as "Id": String,
        pub state as "State": State,
        pub config as "Config": BriefConfig,
        pub host_config as "HostConfig": BriefHostConfig,
    }
}

fields! {
    /// The part of [`Config`] that attaching has to know.
    #[derive(Debug, Default, PartialEq, Serialize)]
    pub struct BriefConfig {
        pub tty as "Tty": bool,
        pub open_stdin as "OpenStdin": bool,
    }
}

fields! {
    /// The part of [`HostConfig`] that attaching has to know.
    #[derive(Debug, Default, PartialEq, Serialize)]
    pub struct BriefHostConfig {
        pub auto_remove as "AutoRemove": bool,
    }
}

fields! {
    /// What a container is doing.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct State {
        pub status as "Status": String,
        pub running as "Running": bool,
        pub paused as "Paused": bool,
        pub restarting as "Restarting": bool,
        pub oom_killed as "OOMKilled": bool,
        pub dead as "Dead": bool,
        pub pid as "Pid": i64,
        pub exit_code as "ExitCode": i64,
        pub error as "Error": String,
        pub started_at as "StartedAt": String,
        pub finished_at as "FinishedAt": String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub health as "Health": Option<Health>,
    }
}

fields! {
    /// What health checks have come to.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Health {
        pub status as "Status": String,
        pub failing_streak as "FailingStreak": u32,
        pub log as "Log": Vec<HealthResult>,
    }
}

fields! {
    /// One health check.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct HealthResult {
        pub start as "Start": String,
        pub end as "End": String,
        pub exit_code as "ExitCode": i32,
        pub output as "Output": String,
    }
}

fields! {
    /// The storage driver and what it keeps of an object.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct GraphDriver {
        pub data as "Data": Option<BTreeMap<String, String>>,
        pub name as "Name": String,
    }
}
