//! What a container is to run: `create` and the `Config` of `inspect`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{HostConfig, NetworkingConfig};
use crate::base::fields::string_or_list;
use crate::base::{Result, fields};
use crate::wire::json;

/// An empty object, the value of set-like maps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

fields! {
    /// The portable half of a container's configuration, and an image's.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Config {
        pub hostname as "Hostname": String,
        pub domainname as "Domainname": String,
        pub user as "User": String,
        pub attach_stdin as "AttachStdin": bool,
        pub attach_stdout as "AttachStdout": bool,
        pub attach_stderr as "AttachStderr": bool,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub exposed_ports as "ExposedPorts": BTreeMap<String, Empty>,
        pub tty as "Tty": bool,
        pub open_stdin as "OpenStdin": bool,
        pub stdin_once as "StdinOnce": bool,
        pub env as "Env": Option<Vec<String>>,
        pub cmd as "Cmd" by string_or_list: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub healthcheck as "Healthcheck": Option<HealthConfig>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub args_escaped as "ArgsEscaped": bool,
        pub image as "Image": String,
        pub volumes as "Volumes": Option<BTreeMap<String, Empty>>,
        pub working_dir as "WorkingDir": String,
        pub entrypoint as "Entrypoint" by string_or_list: Option<Vec<String>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub network_disabled as "NetworkDisabled": bool,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub mac_address as "MacAddress": String,
        pub on_build as "OnBuild": Option<Vec<String>>,
        pub labels as "Labels": BTreeMap<String, String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub stop_signal as "StopSignal": String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub stop_timeout as "StopTimeout": Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub shell as "Shell" by string_or_list: Option<Vec<String>>,
    }
}

fields! {
    /// A health check; durations in nanoseconds.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct HealthConfig {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub test as "Test": Vec<String>,
        #[serde(skip_serializing_if = "is_zero")]
        pub interval as "Interval": i64,
        #[serde(skip_serializing_if = "is_zero")]
        pub timeout as "Timeout": i64,
        #[serde(skip_serializing_if = "is_zero")]
        pub start_period as "StartPeriod": i64,
        #[serde(skip_serializing_if = "is_zero")]
        pub start_interval as "StartInterval": i64,
        #[serde(skip_serializing_if = "is_zero")]
        pub retries as "Retries": i64,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Body of `create`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateRequest {
    #[serde(flatten)]
    pub config: Config,
    pub host_config: HostConfig,
    pub networking_config: NetworkingConfig,
}

impl CreateRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Those of [`json::from_request`].
    pub fn read(body: &[u8]) -> Result<CreateRequest> {
        // Not one struct with `flatten`: that would hide the names of the fields from the reader.
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Rest {
            host_config: HostConfig,
            networking_config: NetworkingConfig,
        }
        let parsed = json::Parsed::request(body)?;
        let Rest { host_config, networking_config } = parsed.clone().read()?;
        Ok(CreateRequest { config: parsed.read()?, host_config, networking_config })
    }
}

fields! {
    /// Answer of `create`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct CreateResponse {
        pub id as "Id": String,
        pub warnings as "Warnings": Vec<String>,
    }
}
