//! What a container was to run: the body of `create`, the `Config` of `inspect`, and what `start`
//! took.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Error, Result};
use crate::wire::container as new;
use crate::wire::container::config::Empty;

/// Least memory limit in bytes.
const MIN_MEMORY: i64 = 524_288;

/// What runs, and its limits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Config {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub memory: i64,
    pub memory_swap: i64,
    pub cpu_shares: i64,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub port_specs: Option<Vec<String>>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub env: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub dns: Option<Vec<String>>,
    pub image: String,
    pub volumes: Option<BTreeMap<String, Empty>>,
    pub volumes_from: String,
    pub working_dir: String,
    pub entrypoint: Option<Vec<String>>,
    pub network_disabled: bool,
    pub privileged: bool,
}

impl Config {
    /// The form of today.
    ///
    /// # Errors
    /// `Internal` for a memory limit out of range, `NotImplemented` naming the field.
    pub fn into_request(self) -> Result<new::CreateRequest> {
        let Config {
            hostname,
            domainname,
            user,
            memory,
            memory_swap,
            cpu_shares,
            attach_stdin,
            attach_stdout,
            attach_stderr,
            port_specs,
            tty,
            open_stdin,
            stdin_once,
            env,
            cmd,
            dns,
            image,
            volumes,
            volumes_from,
            working_dir,
            entrypoint,
            network_disabled,
            privileged,
        } = self;
        if memory < 0 || (1..MIN_MEMORY).contains(&memory) {
            return Err(Error::internal(format!(
                "Memory limit must be given in bytes (minimum {MIN_MEMORY} bytes)"
            )));
        }
        refuse_if(port_specs.is_some_and(|list| !list.is_empty()), "PortSpecs")?;
        refuse_if(volumes.is_some_and(|map| !map.is_empty()), "Volumes")?;
        refuse_if(!volumes_from.is_empty(), "VolumesFrom")?;
        let config = new::Config {
            hostname,
            domainname,
            user,
            attach_stdin,
            attach_stdout,
            attach_stderr,
            tty,
            open_stdin,
            stdin_once,
            env,
            cmd,
            image,
            working_dir,
            entrypoint,
            network_disabled,
            ..new::Config::default()
        };
        let host_config = new::HostConfig {
            memory,
            // Only "no limit" had a meaning, and only with a limit of memory.
            memory_swap: if memory > 0 && memory_swap < 0 { -1 } else { 0 },
            cpu_shares,
            dns,
            privileged,
            ..new::HostConfig::default()
        };
        Ok(new::CreateRequest { config, host_config, ..new::CreateRequest::default() })
    }

    /// The form of these versions.
    pub fn from_canonical(config: &new::Config, host: Option<&new::HostConfig>) -> Config {
        let host = host.cloned().unwrap_or_default();
        let config = config.clone();
        Config {
            hostname: config.hostname,
            domainname: config.domainname,
            user: config.user,
            memory: host.memory,
            memory_swap: host.memory_swap,
            cpu_shares: host.cpu_shares,
            attach_stdin: config.attach_stdin,
            attach_stdout: config.attach_stdout,
            attach_stderr: config.attach_stderr,
            port_specs: None,
            tty: config.tty,
            open_stdin: config.open_stdin,
            stdin_once: config.stdin_once,
            env: config.env,
            cmd: config.cmd,
            dns: host.dns,
            image: config.image,
            volumes: config.volumes,
            volumes_from: host.volumes_from.unwrap_or_default().join(","),
            working_dir: config.working_dir,
            entrypoint: config.entrypoint,
            network_disabled: config.network_disabled,
            privileged: host.privileged,
        }
    }
}

fn refuse_if(asked: bool, field: &str) -> Result<()> {
    if asked {
        Err(Error::not_implemented(format!("{field} is not supported yet")))
    } else {
        Ok(())
    }
}

/// Body of `start`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HostConfig {
    pub binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub lxc_conf: Option<Vec<KeyValue>>,
}

/// An option of lxc.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

impl HostConfig {
    /// Refuses by name what cannot be served.
    ///
    /// # Errors
    /// `NotImplemented`.
    pub fn check(&self) -> Result<()> {
        // The id file is written by the client.
        let HostConfig { binds, container_id_file: _, lxc_conf } = self;
        refuse_if(binds.as_ref().is_some_and(|list| !list.is_empty()), "Binds of a start")?;
        match lxc_conf.iter().flatten().next() {
            Some(option) => refuse_if(true, &format!("LxcConf {}={}", option.key, option.value)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;
    use crate::wire::old;

    fn request(body: &str) -> Result<new::CreateRequest> {
        old::read::<Config>(body.as_bytes())?.into_request()
    }

    #[test]
    fn a_config_becomes_todays_two_halves() {
        let made = request(
            r#"{"image":"base","CMD":["date"],"Memory":524288,"MemorySwap":-1,"CpuShares":5,
               "Dns":["1.1.1.1"],"Privileged":true,"Volumes":null,"Unknown":1}"#,
        )
        .unwrap();
        assert_eq!(made.config.cmd, Some(vec!["date".to_owned()]));
        let host = made.host_config;
        assert_eq!((host.memory, host.memory_swap, host.cpu_shares), (524_288, -1, 5));
        assert!(host.privileged);
        assert_eq!(request(r#"{"MemorySwap":-1}"#).unwrap().host_config.memory_swap, 0);
        assert_eq!(request(r#"{"Cmd":[]}"#).unwrap().config.cmd, Some(Vec::new()));
        assert_eq!(request(r#"{"Cmd":null}"#).unwrap().config.cmd, None);
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name() {
        for (body, name) in [
            (r#"{"PortSpecs":["80"]}"#, "PortSpecs"),
            (r#"{"Volumes":{"/v":{}}}"#, "Volumes"),
            (r#"{"VolumesFrom":"abc"}"#, "VolumesFrom"),
        ] {
            let error = request(body).unwrap_err();
            assert_eq!(error.kind(), Kind::NotImplemented);
            assert!(error.to_string().starts_with(name), "{error}");
        }
        for memory in [-1, 1, 524_287] {
            let error = request(&format!("{{\"Memory\":{memory}}}")).unwrap_err();
            assert!(error.to_string().contains("minimum 524288 bytes"), "{error}");
        }
    }

    #[test]
    fn a_start_takes_an_empty_host_config_alone() {
        let check = |body: &str| old::read::<HostConfig>(body.as_bytes()).and_then(|h| h.check());
        check(r#"{"Binds":null,"ContainerIDFile":"/x","LxcConf":[]}"#).unwrap();
        check("{}").unwrap();
        assert_eq!(check(r#"{"Binds":["/a:/b"]}"#).unwrap_err().kind(), Kind::NotImplemented);
        assert_eq!(check(r#"{"LxcConf":{"a":"b"}}"#).unwrap_err().kind(), Kind::Internal);
        let error = check(r#"{"LxcConf":[{"Key":"a","Value":"b"}]}"#).unwrap_err();
        assert!(error.to_string().starts_with("LxcConf a=b"), "{error}");
    }
}
