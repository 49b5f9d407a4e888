//! What the host grants: `HostConfig` of `create` and `inspect`, every field of 1.44.

use std::collections::BTreeMap;

use serde::Serialize;

use super::network::PortBinding;
use crate::base::fields;
use crate::base::fields::string_or_list;

fields! {
    /// The half of a container's configuration that is not portable.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct HostConfig {
        pub binds as "Binds": Option<Vec<String>>,
        pub container_id_file as "ContainerIDFile": String,
        pub log_config as "LogConfig": LogConfig,
        pub network_mode as "NetworkMode": String,
        pub port_bindings as "PortBindings": BTreeMap<String, Option<Vec<PortBinding>>>,
        pub restart_policy as "RestartPolicy": RestartPolicy,
        pub auto_remove as "AutoRemove": bool,
        pub volume_driver as "VolumeDriver": String,
        pub volumes_from as "VolumesFrom": Option<Vec<String>>,
        pub console_size as "ConsoleSize": [u64; 2],
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub annotations as "Annotations": BTreeMap<String, String>,
        pub cap_add as "CapAdd" by string_or_list: Option<Vec<String>>,
        pub cap_drop as "CapDrop" by string_or_list: Option<Vec<String>>,
        pub cgroupns_mode as "CgroupnsMode": String,
        pub dns as "Dns": Option<Vec<String>>,
        pub dns_options as "DnsOptions": Option<Vec<String>>,
        pub dns_search as "DnsSearch": Option<Vec<String>>,
        pub extra_hosts as "ExtraHosts": Option<Vec<String>>,
        pub group_add as "GroupAdd": Option<Vec<String>>,
        pub ipc_mode as "IpcMode": String,
        pub cgroup as "Cgroup": String,
        pub links as "Links": Option<Vec<String>>,
        pub oom_score_adj as "OomScoreAdj": i64,
        pub pid_mode as "PidMode": String,
        pub privileged as "Privileged": bool,
        pub publish_all_ports as "PublishAllPorts": bool,
        pub readonly_rootfs as "ReadonlyRootfs": bool,
        pub security_opt as "SecurityOpt": Option<Vec<String>>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub storage_opt as "StorageOpt": BTreeMap<String, String>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub tmpfs as "Tmpfs": BTreeMap<String, String>,
        pub uts_mode as "UTSMode": String,
        pub userns_mode as "UsernsMode": String,
        pub shm_size as "ShmSize": i64,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub sysctls as "Sysctls": BTreeMap<String, String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub runtime as "Runtime": String,
        pub isolation as "Isolation": String,
        pub cpu_shares as "CpuShares": i64,
        pub memory as "Memory": i64,
        pub nano_cpus as "NanoCpus": i64,
        pub cgroup_parent as "CgroupParent": String,
        pub blkio_weight as "BlkioWeight": u16,
        pub blkio_weight_device as "BlkioWeightDevice": Vec<WeightDevice>,
        pub blkio_device_read_bps as "BlkioDeviceReadBps": Vec<ThrottleDevice>,
        pub blkio_device_write_bps as "BlkioDeviceWriteBps": Vec<ThrottleDevice>,
        pub blkio_device_read_iops as "BlkioDeviceReadIOps": Vec<ThrottleDevice>,
        pub blkio_device_write_iops as "BlkioDeviceWriteIOps": Vec<ThrottleDevice>,
        pub cpu_period as "CpuPeriod": i64,
        pub cpu_quota as "CpuQuota": i64,
        pub cpu_realtime_period as "CpuRealtimePeriod": i64,
        pub cpu_realtime_runtime as "CpuRealtimeRuntime": i64,
        pub cpuset_cpus as "CpusetCpus": String,
        pub cpuset_mems as "CpusetMems": String,
        pub devices as "Devices": Vec<DeviceMapping>,
        pub device_cgroup_rules as "DeviceCgroupRules": Option<Vec<String>>,
        pub device_requests as "DeviceRequests": Option<Vec<DeviceRequest>>,
        #[serde(skip_serializing_if = "is_zero")]
        pub kernel_memory as "KernelMemory": i64,
        #[serde(skip_serializing_if = "is_zero")]
        pub kernel_memory_tcp as "KernelMemoryTCP": i64,
        pub memory_reservation as "MemoryReservation": i64,
        pub memory_swap as "MemorySwap": i64,
        pub memory_swappiness as "MemorySwappiness": Option<i64>,
        pub oom_kill_disable as "OomKillDisable": Option<bool>,
        pub pids_limit as "PidsLimit": Option<i64>,
        pub ulimits as "Ulimits": Vec<Ulimit>,
        pub cpu_count as "CpuCount": i64,
        pub cpu_percent as "CpuPercent": i64,
        pub io_maximum_iops as "IOMaximumIOps": u64,
        pub io_maximum_bandwidth as "IOMaximumBandwidth": u64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub mounts as "Mounts": Vec<Mount>,
        pub masked_paths as "MaskedPaths": Option<Vec<String>>,
        pub readonly_paths as "ReadonlyPaths": Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub init as "Init": Option<bool>,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_zero(number: &i64) -> bool {
    *number == 0
}

fields! {
    /// How the output is logged.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct LogConfig {
        pub driver as "Type": String,
        pub config as "Config": BTreeMap<String, String>,
    }
}

fields! {
    /// What happens after an exit.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct RestartPolicy {
        pub name as "Name": String,
        pub maximum_retry_count as "MaximumRetryCount": i64,
    }
}

fields! {
    /// A device given to a container.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct DeviceMapping {
        pub path_on_host as "PathOnHost": String,
        pub path_in_container as "PathInContainer": String,
        pub cgroup_permissions as "CgroupPermissions": String,
    }
}

fields! {
    /// Devices asked of a driver.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct DeviceRequest {
        pub driver as "Driver": String,
        pub count as "Count": i64,
        pub device_ids as "DeviceIDs": Vec<String>,
        pub capabilities as "Capabilities": Vec<Vec<String>>,
        pub options as "Options": BTreeMap<String, String>,
    }
}

fields! {
    /// Weight of a block device.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct WeightDevice {
        pub path as "Path": String,
        pub weight as "Weight": u16,
    }
}

fields! {
    /// Rate of a block device.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct ThrottleDevice {
        pub path as "Path": String,
        pub rate as "Rate": u64,
    }
}

fields! {
    /// A resource limit.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Ulimit {
        pub name as "Name": String,
        pub hard as "Hard": i64,
        pub soft as "Soft": i64,
    }
}

fields! {
    /// A mount asked for.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Mount {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub kind as "Type": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub source as "Source": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub target as "Target": String,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub read_only as "ReadOnly": bool,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub consistency as "Consistency": String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub bind_options as "BindOptions": Option<BindOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub volume_options as "VolumeOptions": Option<VolumeOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tmpfs_options as "TmpfsOptions": Option<TmpfsOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cluster_options as "ClusterOptions": Option<super::config::Empty>,
    }
}

fields! {
    /// Options of a mount of kind `bind`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct BindOptions {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub propagation as "Propagation": String,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub non_recursive as "NonRecursive": bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub create_mountpoint as "CreateMountpoint": bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub read_only_non_recursive as "ReadOnlyNonRecursive": bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub read_only_force_recursive as "ReadOnlyForceRecursive": bool,
    }
}

fields! {
    /// Options of a mount of kind `volume`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct VolumeOptions {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub no_copy as "NoCopy": bool,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub labels as "Labels": BTreeMap<String, String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub driver_config as "DriverConfig": Option<DriverConfig>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subpath as "Subpath": String,
    }
}

fields! {
    /// A volume's driver.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct DriverConfig {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name as "Name": String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub options as "Options": BTreeMap<String, String>,
    }
}

fields! {
    /// Options of a mount of kind `tmpfs`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct TmpfsOptions {
        #[serde(skip_serializing_if = "is_zero")]
        pub size_bytes as "SizeBytes": i64,
        #[serde(skip_serializing_if = "is_no_mode")]
        pub mode as "Mode": u32,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_no_mode(mode: &u32) -> bool {
    *mode == 0
}
