//! What a container was to run: the body of `create`, the `Config` of `inspect`, and what `start`
//! took.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::order::Ordered as _;
use crate::base::{Error, Result, fields, units};
use crate::wire::container as new;
use crate::wire::container::config::Empty;
use crate::wire::container::network::PortBinding;

/// Least memory limit in bytes.
const MIN_MEMORY: i64 = 524_288;

fields! {
    /// What runs, and its limits.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Config {
        pub hostname as "Hostname": String,
        pub domainname as "Domainname": String,
        pub user as "User": String,
        pub memory as "Memory": i64,
        pub memory_swap as "MemorySwap": i64,
        pub cpu_shares as "CpuShares": i64,
        pub attach_stdin as "AttachStdin": bool,
        pub attach_stdout as "AttachStdout": bool,
        pub attach_stderr as "AttachStderr": bool,
        pub port_specs as "PortSpecs": Option<Vec<String>>,
        pub tty as "Tty": bool,
        pub open_stdin as "OpenStdin": bool,
        pub stdin_once as "StdinOnce": bool,
        pub env as "Env": Option<Vec<String>>,
        pub cmd as "Cmd": Option<Vec<String>>,
        pub dns as "Dns": Option<Vec<String>>,
        pub image as "Image": String,
        pub volumes as "Volumes": Option<BTreeMap<String, Empty>>,
        pub volumes_from as "VolumesFrom": String,
        pub working_dir as "WorkingDir": String,
        pub entrypoint as "Entrypoint": Option<Vec<String>>,
        pub network_disabled as "NetworkDisabled": bool,
        pub privileged as "Privileged": bool,
    }
}

impl Config {
    /// The form of today.
    ///
    /// # Errors
    /// `BadParameter` for a port or a memory limit that is none.
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
            return Err(Error::bad_parameter(format!(
                "Memory limit must be given in bytes (minimum {MIN_MEMORY} bytes)"
            )));
        }
        let mut port_bindings = BTreeMap::new();
        for spec in port_specs.iter().flatten() {
            let (port, binding) = published(spec)?;
            port_bindings.insert(port, Some(vec![binding]));
        }
        let list = |text: String| text.split(',').map(str::to_owned).collect();
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
            volumes,
            working_dir,
            // An empty one was none: the image's counts.
            entrypoint: entrypoint.filter(|words| !words.is_empty()),
            network_disabled,
            exposed_ports: port_bindings.keys().map(|port| (port.clone(), Empty {})).into_map(),
            ..new::Config::default()
        };
        let host_config = new::HostConfig {
            memory,
            // It has a meaning with a limit of memory alone; negative is no limit.
            memory_swap: if memory > 0 { memory_swap.max(-1) } else { 0 },
            cpu_shares,
            dns,
            privileged,
            port_bindings,
            // What an image exposes was published.
            publish_all_ports: !network_disabled,
            volumes_from: Some(volumes_from).filter(|text| !text.is_empty()).map(list),
            ..new::HostConfig::default()
        };
        Ok(new::CreateRequest { config, host_config, ..new::CreateRequest::default() })
    }

    /// The form of these versions.
    pub fn from_canonical(config: &new::Config, host: Option<&new::HostConfig>) -> Config {
        let host = host.cloned().unwrap_or_default();
        let config = config.clone();
        let given = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
        let mut specs = Vec::new();
        for (port, bindings) in &host.port_bindings {
            specs.extend(bindings.iter().flatten().map(|binding| port_spec(port, binding)));
        }
        let bound = |port: &&String| host.port_bindings.contains_key(port.as_str());
        let exposed = config.exposed_ports.keys().filter(|port| !bound(port));
        specs.extend(exposed.map(|port| port_spec(port, &PortBinding::default())));
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
            port_specs: given(Some(specs)),
            tty: config.tty,
            open_stdin: config.open_stdin,
            stdin_once: config.stdin_once,
            env: given(config.env),
            cmd: config.cmd,
            dns: given(host.dns),
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

/// `[PUBLIC:]PRIVATE[/tcp or /udp]`: the port inside, and where it is published. A public port of
/// 0 or none is chosen; an empty one is the same as inside.
fn published(spec: &str) -> Result<(String, PortBinding)> {
    let wrong = |why: &str| Error::bad_parameter(format!("Invalid port format: {spec}{why}"));
    let (ports, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    if !matches!(protocol, "tcp" | "udp") {
        return Err(wrong(": unknown protocol."));
    }
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits).ok_or_else(|| wrong(""))
    };
    let (public, private) = match ports.split_once(':') {
        None => (0, number(ports)?),
        Some(("", private)) => (number(private)?, number(private)?),
        Some((public, private)) => (number(public)?, number(private)?),
    };
    let host_port = if public == 0 { String::new() } else { public.to_string() };
    Ok((format!("{private}/{protocol}"), PortBinding { host_ip: String::new(), host_port }))
}

fn port_spec(port: &str, binding: &PortBinding) -> String {
    let port = port.strip_suffix("/tcp").unwrap_or(port);
    match &*binding.host_port {
        "" | "0" => port.to_owned(),
        public => format!("{public}:{port}"),
    }
}

fn refuse_if(asked: bool, field: &str) -> Result<()> {
    if asked {
        Err(Error::not_implemented(format!("{field} is not supported yet")))
    } else {
        Ok(())
    }
}

fields! {
    /// Body of `start`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct HostConfig {
        pub binds as "Binds": Option<Vec<String>>,
        pub container_id_file as "ContainerIDFile": String,
        pub lxc_conf as "LxcConf": Option<Vec<KeyValue>>,
    }
}

fields! {
    /// An option of lxc.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct KeyValue {
        pub key as "Key": String,
        pub value as "Value": String,
    }
}

impl HostConfig {
    /// The limits that are asked for by the names of cgroup files; `None` for no change. What
    /// cannot be served is refused by name.
    ///
    /// # Errors
    /// `NotImplemented`; `BadParameter` for a value that is no number.
    pub fn limits(self) -> Result<Option<new::HostConfig>> {
        // The id file is written by the client.
        let HostConfig { binds, container_id_file: _, lxc_conf } = self;
        refuse_if(binds.is_some_and(|list| !list.is_empty()), "Binds of a start")?;
        let options = lxc_conf.unwrap_or_default();
        let mut limits = new::HostConfig::default();
        for KeyValue { key, value } in &options {
            let wrong = || Error::bad_parameter(format!("invalid value of LxcConf {key}={value}"));
            let size = || units::parse_size(value).ok().and_then(|size| i64::try_from(size).ok());
            match key.as_str() {
                "lxc.cgroup.memory.limit_in_bytes" => limits.memory = size().ok_or_else(wrong)?,
                "lxc.cgroup.memory.memsw.limit_in_bytes" => {
                    limits.memory_swap = size().ok_or_else(wrong)?;
                }
                "lxc.cgroup.memory.soft_limit_in_bytes" => {
                    limits.memory_reservation = size().ok_or_else(wrong)?;
                }
                "lxc.cgroup.cpu.shares" => limits.cpu_shares = size().ok_or_else(wrong)?,
                "lxc.cgroup.cpuset.cpus" => limits.cpuset_cpus.clone_from(value),
                "lxc.cgroup.cpuset.mems" => limits.cpuset_mems.clone_from(value),
                _ => refuse_if(true, &format!("LxcConf {key}={value}"))?,
            }
        }
        Ok(Some(limits).filter(|_| !options.is_empty()))
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
        let swap = request(r#"{"Memory":524288,"MemorySwap":1048576}"#).unwrap();
        assert_eq!(swap.host_config.memory_swap, 1_048_576);
        assert_eq!(request(r#"{"MemorySwap":-1}"#).unwrap().host_config.memory_swap, 0);
        assert_eq!(request(r#"{"Cmd":[]}"#).unwrap().config.cmd, Some(Vec::new()));
        assert_eq!(request(r#"{"Cmd":null}"#).unwrap().config.cmd, None);
    }

    #[test]
    fn ports_are_published_as_their_specs_say() {
        for (spec, port, public, shown) in [
            ("80", "80/tcp", "", "80"),
            ("0:080", "80/tcp", "", "80"),
            ("8080:80", "80/tcp", "8080", "8080:80"),
            (":53/udp", "53/udp", "53", "53:53/udp"),
            ("80/udp", "80/udp", "", "80/udp"),
        ] {
            let made = request(&format!("{{\"PortSpecs\":[\"{spec}\"]}}")).unwrap();
            assert!(made.config.exposed_ports.contains_key(port), "{spec}");
            let binding = made.host_config.port_bindings[port].as_ref().unwrap();
            assert_eq!(binding[0].host_port, public, "{spec}");
            let back = Config::from_canonical(&made.config, Some(&made.host_config));
            assert_eq!(back.port_specs, Some(vec![shown.to_owned()]));
        }
        for bad in ["1:2:3", "80/", "80/TCP", "80/x", "a", "+1", "-1", "65536", "80:", "80/tcp/udp"]
        {
            let error = request(&format!("{{\"PortSpecs\":[\"{bad}\"]}}")).unwrap_err();
            assert!(error.to_string().starts_with("Invalid port format"), "{bad}: {error}");
        }
    }

    #[test]
    fn nothing_is_null_and_not_an_empty_list() {
        let config = new::Config { env: Some(Vec::new()), ..new::Config::default() };
        let shown = serde_json::to_string(&Config::from_canonical(&config, None)).unwrap();
        for key in ["PortSpecs", "Env", "Cmd", "Dns", "Volumes", "Entrypoint"] {
            assert!(shown.contains(&format!("\"{key}\":null")), "{key} in {shown}");
        }
    }

    #[test]
    fn memory_has_a_least() {
        for memory in [-1, 1, 524_287] {
            let error = request(&format!("{{\"Memory\":{memory}}}")).unwrap_err();
            assert!(error.to_string().contains("minimum 524288 bytes"), "{error}");
        }
    }

    #[test]
    fn a_start_takes_limits_alone() {
        let check = |body: &str| old::read::<HostConfig>(body.as_bytes()).and_then(|h| h.limits());
        assert_eq!(check(r#"{"Binds":null,"ContainerIDFile":"/x","LxcConf":[]}"#).unwrap(), None);
        assert_eq!(check("{}").unwrap(), None);
        let limits = check(
            r#"{"LxcConf":[{"Key":"lxc.cgroup.cpuset.cpus","Value":"0,1"},
               {"Key":"lxc.cgroup.memory.limit_in_bytes","Value":"512M"}]}"#,
        );
        let limits = limits.unwrap().unwrap();
        assert_eq!((&*limits.cpuset_cpus, limits.memory), ("0,1", 512 << 20));
        let wrong = check(r#"{"LxcConf":[{"Key":"lxc.cgroup.cpu.shares","Value":"x"}]}"#);
        assert_eq!(wrong.unwrap_err().kind(), Kind::BadParameter);
        assert_eq!(check(r#"{"Binds":["/a:/b"]}"#).unwrap_err().kind(), Kind::NotImplemented);
        assert_eq!(check(r#"{"LxcConf":{"a":"b"}}"#).unwrap_err().kind(), Kind::BadParameter);
        let error = check(r#"{"LxcConf":[{"Key":"a","Value":"b"}]}"#).unwrap_err();
        assert!(error.to_string().starts_with("LxcConf a=b"), "{error}");
    }
}
