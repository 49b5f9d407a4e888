//! From the model to what `inspect` shows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::config::Empty;
use super::host::{DeviceMapping, LogConfig, RestartPolicy, Ulimit};
use super::network::{EndpointIpamConfig, PortBinding};
use super::{Config, EndpointSettings, HealthConfig, HostConfig, mounts};
use crate::base::order::Ordered;
use crate::model;
use crate::model::ports::split_bindings;
use crate::model::{LogDriver, NetworkMode};

/// What a size of 0 for /dev/shm comes to.
const DEFAULT_SHM: u64 = 64 << 20;

/// What an empty mode of a namespace comes to.
fn private_or(mode: &str) -> String {
    if mode.is_empty() { "private".into() } else { mode.to_owned() }
}

/// `None` for an empty list, which Docker shows as `null`.
fn some<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Config {
    /// The protocol's form of what runs.
    pub fn from_model(config: &model::RunConfig) -> Config {
        let model::RunConfig {
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
            entrypoint,
            image,
            volumes,
            working_dir,
            exposed_ports,
            labels,
            stop_signal,
            stop_timeout,
            healthcheck,
            network_disabled,
            shell,
            on_build,
        } = config;
        let volumes = volumes.iter().map(|path| (path.clone(), Empty {})).into_map();
        Config {
            hostname: hostname.clone(),
            domainname: domainname.clone(),
            user: user.clone(),
            attach_stdin: *attach_stdin,
            attach_stdout: *attach_stdout,
            attach_stderr: *attach_stderr,
            exposed_ports: exposed_ports.iter().map(|port| (port.to_string(), Empty {})).into_map(),
            tty: *tty,
            open_stdin: *open_stdin,
            stdin_once: *stdin_once,
            env: Some(env.clone()),
            cmd: cmd.clone(),
            healthcheck: healthcheck.as_ref().map(HealthConfig::from_model),
            args_escaped: false,
            image: image.clone(),
            volumes: (!volumes.is_empty()).then_some(volumes),
            working_dir: working_dir.clone(),
            entrypoint: entrypoint.clone(),
            network_disabled: *network_disabled,
            mac_address: String::new(),
            on_build: some(on_build),
            labels: labels.clone(),
            stop_signal: stop_signal.clone(),
            stop_timeout: *stop_timeout,
            shell: shell.clone(),
        }
    }
}

impl HealthConfig {
    fn from_model(check: &model::Healthcheck) -> HealthConfig {
        let model::Healthcheck { test, interval, timeout, start_period, start_interval, retries } =
            check;
        HealthConfig {
            test: test.clone(),
            interval: *interval,
            timeout: *timeout,
            start_period: *start_period,
            start_interval: *start_interval,
            retries: *retries,
        }
    }
}

impl HostConfig {
    /// The protocol's form of what the host grants; as in Docker, some of what was not given is
    /// shown by what it comes to.
    #[allow(clippy::too_many_lines)] // one line per field
    pub fn from_model(host: &model::HostConfig) -> HostConfig {
        let model::HostConfig {
            binds,
            container_id_file,
            log,
            network_mode,
            port_bindings,
            publish_all_ports,
            restart,
            auto_remove,
            console_size,
            volumes_from,
            cap_add,
            cap_drop,
            dns,
            dns_options,
            dns_search,
            extra_hosts,
            group_add,
            ipc_mode,
            pid_mode,
            uts_mode,
            cgroupns_mode,
            cgroup_parent,
            links,
            oom_score_adj,
            privileged,
            readonly_rootfs,
            security_opt,
            tmpfs,
            shm_size,
            sysctls,
            mounts,
            masked_paths,
            readonly_paths,
            cpu_shares,
            memory,
            memory_swap,
            memory_reservation,
            memory_swappiness,
            oom_kill_disable,
            nano_cpus,
            cpu_period,
            cpu_quota,
            cpuset_cpus,
            cpuset_mems,
            blkio_weight,
            pids_limit,
            devices,
            ulimits,
            init,
            lxc_conf: _, // has no place in this shape
            annotations,
        } = host;
        HostConfig {
            binds: some(binds),
            container_id_file: container_id_file.clone(),
            log_config: LogConfig::from_model(log),
            network_mode: network_mode_text(network_mode).into_owned(),
            port_bindings: port_bindings
                .iter()
                .flat_map(|(range, list)| split_bindings(*range, list))
                .map(|(port, list)| (port.to_string(), Some(bindings(&list))))
                .into_map(),
            restart_policy: RestartPolicy::from_model(*restart),
            auto_remove: *auto_remove,
            volumes_from: some(volumes_from),
            console_size: [console_size.0.into(), console_size.1.into()],
            annotations: annotations.clone(),
            cap_add: some(cap_add),
            cap_drop: some(cap_drop),
            cgroupns_mode: private_or(cgroupns_mode),
            dns: Some(dns.clone()),
            dns_options: Some(dns_options.clone()),
            dns_search: Some(dns_search.clone()),
            extra_hosts: some(extra_hosts),
            group_add: some(group_add),
            ipc_mode: private_or(ipc_mode),
            links: some(links),
            oom_score_adj: (*oom_score_adj).into(),
            pid_mode: pid_mode.clone(),
            privileged: *privileged,
            publish_all_ports: *publish_all_ports,
            readonly_rootfs: *readonly_rootfs,
            security_opt: some(security_opt),
            tmpfs: tmpfs.clone(),
            uts_mode: uts_mode.clone(),
            shm_size: signed(if *shm_size == 0 { DEFAULT_SHM } else { *shm_size }),
            sysctls: sysctls.clone(),
            runtime: "skiff".into(),
            cpu_shares: signed(*cpu_shares),
            memory: signed(*memory),
            nano_cpus: signed(*nano_cpus),
            cgroup_parent: cgroup_parent.clone(),
            blkio_weight: *blkio_weight,
            cpu_period: signed(*cpu_period),
            cpu_quota: *cpu_quota,
            cpuset_cpus: cpuset_cpus.clone(),
            cpuset_mems: cpuset_mems.clone(),
            devices: devices.iter().map(DeviceMapping::from_model).collect(),
            memory_reservation: signed(*memory_reservation),
            memory_swap: match *memory_swap {
                0 => signed(memory.saturating_mul(2)),
                given => given,
            },
            memory_swappiness: memory_swappiness.map(i64::from),
            oom_kill_disable: Some(*oom_kill_disable),
            pids_limit: (*pids_limit != 0).then_some(*pids_limit),
            ulimits: ulimits.iter().map(Ulimit::from_model).collect(),
            mounts: mounts.iter().map(mounts::from_model).collect(),
            masked_paths: masked_paths.clone(),
            readonly_paths: readonly_paths.clone(),
            init: init.then_some(true),
            // Nothing of the model is shown in the rest, which `create` refuses.
            ..HostConfig::default()
        }
    }
}

fn bindings(list: &[model::PortBinding]) -> Vec<PortBinding> {
    let convert = |model::PortBinding { host_ip, host_port }: &model::PortBinding| PortBinding {
        host_ip: host_ip.clone(),
        host_port: host_port.clone(),
    };
    list.iter().map(convert).collect()
}

/// `default`, `none`, `host`, `container:ID`, or a network's name.
pub fn network_mode_text(mode: &NetworkMode) -> Cow<'_, str> {
    match mode {
        NetworkMode::Default => "default".into(),
        NetworkMode::None => "none".into(),
        NetworkMode::Host => "host".into(),
        NetworkMode::Container(id) => format!("container:{id}").into(),
        NetworkMode::Named(name) => name.into(),
    }
}

impl LogConfig {
    fn from_model(log: &model::LogConfig) -> LogConfig {
        let model::LogConfig { driver, max_size, max_file } = log;
        let size = match max_size {
            &u64::MAX => "-1".into(),
            size if size % (1 << 20) == 0 => format!("{}m", size >> 20),
            size => size.to_string(),
        };
        let option = |name: &str, value: String| (name.to_owned(), value);
        match driver {
            LogDriver::JsonFile => LogConfig {
                driver: "json-file".into(),
                config: [option("max-file", max_file.to_string()), option("max-size", size)].into(),
            },
            LogDriver::None => LogConfig { driver: "none".into(), config: BTreeMap::new() },
        }
    }
}

impl RestartPolicy {
    fn from_model(policy: Option<model::RestartPolicy>) -> RestartPolicy {
        let (name, count) = match policy {
            None | Some(model::RestartPolicy::No) => ("no", 0),
            Some(model::RestartPolicy::Always) => ("always", 0),
            Some(model::RestartPolicy::UnlessStopped) => ("unless-stopped", 0),
            Some(model::RestartPolicy::OnFailure(count)) => ("on-failure", count),
        };
        RestartPolicy { name: name.into(), maximum_retry_count: count.into() }
    }
}

impl DeviceMapping {
    fn from_model(device: &model::Device) -> DeviceMapping {
        let model::Device { host_path, container_path, permissions } = device;
        DeviceMapping {
            path_on_host: host_path.clone(),
            path_in_container: container_path.clone(),
            cgroup_permissions: permissions.clone(),
        }
    }
}

impl Ulimit {
    fn from_model(limit: &model::Ulimit) -> Ulimit {
        let model::Ulimit { name, soft, hard } = limit;
        Ulimit { name: name.clone(), hard: *hard, soft: *soft }
    }
}

impl EndpointSettings {
    /// What was asked for of one network; addresses are the network's to fill in.
    pub fn from_model(endpoint: &model::Endpoint) -> EndpointSettings {
        let model::Endpoint { aliases, wanted_ipv4, wanted_ipv6, mac_address, links } = endpoint;
        let wanted = !(wanted_ipv4.is_empty() && wanted_ipv6.is_empty());
        EndpointSettings {
            ipam_config: wanted.then(|| EndpointIpamConfig {
                ipv4_address: wanted_ipv4.clone(),
                ipv6_address: wanted_ipv6.clone(),
                link_local_ips: Vec::new(),
            }),
            links: some(links),
            aliases: some(aliases),
            mac_address: mac_address.clone(),
            ..EndpointSettings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;
    use crate::wire::container::CreateRequest;

    #[test]
    fn what_was_asked_for_is_shown_again() {
        let body = br#"{
            "Hostname":"h","User":"1:2","Tty":true,"Env":["A=b"],"Cmd":["x","y"],
            "Entrypoint":"e","Image":"busybox","Labels":{"k":"v"},"StopSignal":"INT",
            "StopTimeout":3,"ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},
            "Healthcheck":{"Test":["NONE"],"Interval":5},
            "HostConfig":{
                "Binds":["/a:/b:ro"],"NetworkMode":"container:abc","AutoRemove":true,
                "LogConfig":{"Type":"json-file","Config":{"max-size":"1m","max-file":"2"}},
                "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}],
                    "81/tcp":[{"HostIp":"","HostPort":"8081"}]},
                "RestartPolicy":{"Name":"on-failure","MaximumRetryCount":4},
                "CapAdd":["cap_net_admin"],"CapDrop":["ALL"],"Dns":["1.1.1.1"],
                "ConsoleSize":[24,80],"Memory":4194304,"MemorySwap":-1,"MemorySwappiness":0,
                "NanoCpus":500000000,"PidsLimit":10,"ShmSize":1024,"Privileged":true,
                "Devices":[{"PathOnHost":"/dev/fuse"}],
                "Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"Init":true,
                "Mounts":[
                    {"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":4096,"Mode":1023}},
                    {"Type":"bind","Source":"/s","Target":"/d","ReadOnly":true,
                     "BindOptions":{"Propagation":"rslave"}}]},
            "NetworkingConfig":{"EndpointsConfig":{"n":{"Aliases":["al"],
                "IPAMConfig":{"IPv4Address":"10.0.0.2"},"NetworkID":"ignored"}}}}"#;
        let request = CreateRequest::read(body).unwrap();
        let (run, mac) = request.config.clone().into_model().unwrap();
        let (host, log_given) = request.host_config.clone().into_model().unwrap();
        let endpoints = request.networking_config.into_model().unwrap();
        assert!(log_given && mac.is_empty());

        let config = Config::from_model(&run);
        assert_eq!(config, request.config);
        let mut asked = request.host_config;
        asked.cap_add = Some(vec!["NET_ADMIN".into()]);
        asked.devices[0].path_in_container = "/dev/fuse".into();
        asked.devices[0].cgroup_permissions = "rwm".into();
        asked.dns_options = Some(Vec::new());
        asked.dns_search = Some(Vec::new());
        asked.oom_kill_disable = Some(false);
        asked.runtime = "skiff".into();
        asked.ipc_mode = "private".into();
        asked.cgroupns_mode = "private".into();
        assert_eq!(HostConfig::from_model(&host), asked);

        let shown = EndpointSettings::from_model(&endpoints["n"]);
        assert_eq!(shown.aliases, Some(vec!["al".into()]));
        assert_eq!(shown.ipam_config.unwrap().ipv4_address, "10.0.0.2");
    }

    #[test]
    fn what_was_not_given_is_shown_by_what_it_comes_to() {
        let host = model::HostConfig { memory: 5 << 20, ..model::HostConfig::default() };
        let shown = HostConfig::from_model(&host);
        assert_eq!((shown.shm_size, shown.memory_swap), (64 << 20, 10 << 20));
        assert_eq!((&*shown.ipc_mode, &*shown.restart_policy.name), ("private", "no"));
    }

    #[test]
    fn an_empty_request_is_the_default_one() {
        let request = CreateRequest::read(b"{}").unwrap();
        let (host, log_given) = request.host_config.into_model().unwrap();
        assert_eq!(host, model::HostConfig::default());
        assert!(!log_given);
        let (run, _) = request.config.into_model().unwrap();
        assert_eq!(run, model::RunConfig::default());
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let check = |host: &str, kind: Kind, name: &str| {
            let body = format!("{{\"HostConfig\":{host}}}");
            let request = CreateRequest::read(body.as_bytes()).unwrap();
            let error = request.host_config.into_model().expect_err(host);
            assert_eq!(error.kind(), kind, "{host}: {error}");
            assert!(error.to_string().contains(name), "{host}: {error}");
        };
        check(r#"{"StorageOpt":{"size":"1g"}}"#, Kind::NotImplemented, "StorageOpt");
        check(r#"{"UsernsMode":"private"}"#, Kind::NotImplemented, "UsernsMode");
        check(r#"{"DeviceRequests":[{"Count":-1}]}"#, Kind::NotImplemented, "DeviceRequests");
        check(r#"{"BlkioDeviceReadIOps":[{}]}"#, Kind::NotImplemented, "BlkioDeviceReadIOps");
        check(r#"{"LogConfig":{"Type":"syslog"}}"#, Kind::NotImplemented, "syslog");
        check(
            r#"{"LogConfig":{"Type":"json-file","Config":{"labels":"x"}}}"#,
            Kind::NotImplemented,
            "labels",
        );
        check(r#"{"LogConfig":{"Config":{"max-file":"0"}}}"#, Kind::BadParameter, "max-file");
        check(r#"{"Runtime":"kata"}"#, Kind::BadParameter, "kata");
        check(r#"{"Memory":-5}"#, Kind::BadParameter, "Memory");
        check(r#"{"MemorySwappiness":101}"#, Kind::BadParameter, "swappiness");
        check(r#"{"OomScoreAdj":2000}"#, Kind::BadParameter, "oom score");
        check(r#"{"RestartPolicy":{"Name":"maybe"}}"#, Kind::BadParameter, "maybe");
        check(r#"{"PortBindings":{"x":[]}}"#, Kind::BadParameter, "PortBindings");
        check(r#"{"Mounts":[{"Type":"npipe","Target":"/x"}]}"#, Kind::NotImplemented, "npipe");
        check(
            r#"{"Mounts":[{"Type":"bind","Source":"/","Target":"/x","BindOptions":{"NonRecursive":true}}]}"#,
            Kind::NotImplemented,
            "NonRecursive",
        );
        check(
            r#"{"Mounts":[{"Type":"bind","Source":"x","Target":"/x"}]}"#,
            Kind::BadParameter,
            "'x'",
        );
    }
}
