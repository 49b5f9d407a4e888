//! From what `create` was sent to the model. A known field that asks for what is not served is
//! refused by its name; its default value is accepted.

use std::collections::BTreeMap;

use super::host::{DeviceMapping, LogConfig, RestartPolicy, Ulimit};
use super::network::{EndpointIpamConfig, PortBinding};
use super::{Config, EndpointSettings, HealthConfig, HostConfig, NetworkingConfig, mounts};
use crate::base::order::Ordered;
use crate::base::{Error, Result, units};
use crate::model;
use crate::model::ports::{join_bindings, split_bindings};
use crate::model::{LogDriver, NetworkMode, PortProto, PortRange, PortSet};

fn refuse(field: &str) -> Error {
    Error::not_implemented(format!("{field} is not supported"))
}

fn refuse_if(asked: bool, field: &str) -> Result<()> {
    if asked { Err(refuse(field)) } else { Ok(()) }
}

/// A number that must not be negative.
fn unsigned(field: &str, number: i64) -> Result<u64> {
    u64::try_from(number)
        .map_err(|_| Error::bad_parameter(format!("invalid {field}: {number} is negative")))
}

fn ports<V>(field: &str, map: BTreeMap<String, V>) -> Result<BTreeMap<PortProto, V>> {
    let mut ports = BTreeMap::new();
    for (port, value) in map {
        let parsed = port.parse::<PortProto>();
        let why = |why| Error::bad_parameter(format!("invalid {field} {port:?}: {why}"));
        ports.insert(parsed.map_err(why)?, value);
    }
    Ok(ports)
}

impl Config {
    /// The model's form, and the hardware address asked for in the old place.
    ///
    /// # Errors
    /// `BadParameter` and `NotImplemented`, naming the field.
    pub fn into_model(self) -> Result<(model::RunConfig, String)> {
        let Config {
            hostname,
            domainname,
            user,
            attach_stdin,
            attach_stdout,
            attach_stderr,
            exposed_ports,
            tty,
            open_stdin,
            stdin_once,
            env,
            cmd,
            healthcheck,
            args_escaped: _, // a mark of Windows images, without meaning on Linux
            image,
            volumes,
            working_dir,
            entrypoint,
            network_disabled,
            mac_address,
            on_build,
            labels,
            stop_signal,
            stop_timeout,
            shell,
        } = self;
        let config = model::RunConfig {
            hostname,
            domainname,
            user,
            attach_stdin,
            attach_stdout,
            attach_stderr,
            tty,
            open_stdin,
            stdin_once,
            env: env.unwrap_or_default(),
            cmd,
            entrypoint,
            image,
            volumes: volumes.unwrap_or_default().into_keys().into_set(),
            working_dir,
            exposed_ports: PortSet::new(
                ports("ExposedPorts", exposed_ports)?.into_keys().map(PortRange::from),
            ),
            labels,
            stop_signal,
            stop_timeout,
            healthcheck: healthcheck.map(HealthConfig::into_model),
            network_disabled,
            shell,
            on_build: on_build.unwrap_or_default(),
        };
        Ok((config, mac_address))
    }
}

impl HealthConfig {
    fn into_model(self) -> model::Healthcheck {
        let HealthConfig { test, interval, timeout, start_period, start_interval, retries } = self;
        model::Healthcheck { test, interval, timeout, start_period, start_interval, retries }
    }
}

impl HostConfig {
    /// The model's form, and whether a log configuration was given.
    ///
    /// # Errors
    /// `BadParameter` and `NotImplemented`, naming the field.
    #[allow(clippy::too_many_lines)] // one line per field
    pub fn into_model(self) -> Result<(model::HostConfig, bool)> {
        let HostConfig {
            binds,
            container_id_file,
            log_config,
            network_mode,
            port_bindings,
            restart_policy,
            auto_remove,
            volume_driver,
            volumes_from,
            console_size,
            annotations,
            cap_add,
            cap_drop,
            cgroupns_mode,
            dns,
            dns_options,
            dns_search,
            extra_hosts,
            group_add,
            ipc_mode,
            cgroup,
            links,
            oom_score_adj,
            pid_mode,
            privileged,
            publish_all_ports,
            readonly_rootfs,
            security_opt,
            storage_opt,
            tmpfs,
            uts_mode,
            userns_mode,
            shm_size,
            sysctls,
            runtime,
            isolation,
            cpu_shares,
            memory,
            nano_cpus,
            cgroup_parent,
            blkio_weight,
            blkio_weight_device,
            blkio_device_read_bps,
            blkio_device_write_bps,
            blkio_device_read_iops,
            blkio_device_write_iops,
            cpu_period,
            cpu_quota,
            cpu_realtime_period,
            cpu_realtime_runtime,
            cpuset_cpus,
            cpuset_mems,
            devices,
            device_cgroup_rules,
            device_requests,
            kernel_memory,
            kernel_memory_tcp,
            memory_reservation,
            memory_swap,
            memory_swappiness,
            oom_kill_disable,
            pids_limit,
            ulimits,
            cpu_count,
            cpu_percent,
            io_maximum_iops,
            io_maximum_bandwidth,
            mounts,
            masked_paths,
            readonly_paths,
            init,
        } = self;

        refuse_if(!matches!(&*volume_driver, "" | "local"), "VolumeDriver")?;
        refuse_if(!cgroup.is_empty(), "Cgroup")?;
        refuse_if(!storage_opt.is_empty(), "StorageOpt")?;
        refuse_if(!matches!(&*userns_mode, "" | "host"), "UsernsMode")?;
        refuse_if(!matches!(&*isolation, "" | "default"), "Isolation")?;
        refuse_if(!blkio_weight_device.is_empty(), "BlkioWeightDevice")?;
        refuse_if(!blkio_device_read_bps.is_empty(), "BlkioDeviceReadBps")?;
        refuse_if(!blkio_device_write_bps.is_empty(), "BlkioDeviceWriteBps")?;
        refuse_if(!blkio_device_read_iops.is_empty(), "BlkioDeviceReadIOps")?;
        refuse_if(!blkio_device_write_iops.is_empty(), "BlkioDeviceWriteIOps")?;
        refuse_if(cpu_realtime_period != 0, "CpuRealtimePeriod")?;
        refuse_if(cpu_realtime_runtime != 0, "CpuRealtimeRuntime")?;
        refuse_if(device_cgroup_rules.is_some_and(|rules| !rules.is_empty()), "DeviceCgroupRules")?;
        refuse_if(device_requests.is_some_and(|list| !list.is_empty()), "DeviceRequests")?;
        refuse_if(kernel_memory > 0, "KernelMemory")?;
        refuse_if(kernel_memory_tcp > 0, "KernelMemoryTCP")?;
        refuse_if(cpu_count != 0, "CpuCount")?;
        refuse_if(cpu_percent != 0, "CpuPercent")?;
        refuse_if(io_maximum_iops != 0, "IOMaximumIOps")?;
        refuse_if(io_maximum_bandwidth != 0, "IOMaximumBandwidth")?;
        // The names under which today's engines know the runtime that they come with.
        if !matches!(&*runtime, "" | "skiff" | "runc" | "io.containerd.runc.v2") {
            return Err(Error::bad_parameter(format!(
                "unknown or invalid runtime name: {runtime}"
            )));
        }

        let log = log_config.into_model()?;
        let log_given = log.is_some();
        let host = model::HostConfig {
            binds: binds.unwrap_or_default(),
            container_id_file,
            log: log.unwrap_or_default(),
            network_mode: network_mode_of(&network_mode),
            port_bindings: port_ranges(port_bindings)?,
            publish_all_ports,
            restart: restart_policy.into_model()?,
            auto_remove,
            console_size: (rows_or_columns(console_size[0]), rows_or_columns(console_size[1])),
            volumes_from: volumes_from.unwrap_or_default(),
            cap_add: capabilities(cap_add),
            cap_drop: capabilities(cap_drop),
            dns: dns.unwrap_or_default(),
            dns_options: dns_options.unwrap_or_default(),
            dns_search: dns_search.unwrap_or_default(),
            extra_hosts: extra_hosts.unwrap_or_default(),
            group_add: group_add.unwrap_or_default(),
            ipc_mode,
            pid_mode,
            uts_mode,
            cgroupns_mode,
            cgroup_parent,
            links: links.unwrap_or_default(),
            oom_score_adj: score(oom_score_adj)?,
            privileged,
            readonly_rootfs,
            security_opt: security_opt.unwrap_or_default(),
            tmpfs,
            shm_size: unsigned("ShmSize", shm_size)?,
            sysctls,
            mounts: mounts.into_iter().map(mounts::into_model).collect::<Result<_>>()?,
            masked_paths,
            readonly_paths,
            cpu_shares: unsigned("CpuShares", cpu_shares)?,
            memory: unsigned("Memory", memory)?,
            memory_swap,
            memory_reservation: unsigned("MemoryReservation", memory_reservation)?,
            memory_swappiness: swappiness(memory_swappiness)?,
            oom_kill_disable: oom_kill_disable.unwrap_or_default(),
            nano_cpus: unsigned("NanoCpus", nano_cpus)?,
            cpu_period: unsigned("CpuPeriod", cpu_period)?,
            cpu_quota,
            cpuset_cpus,
            cpuset_mems,
            blkio_weight,
            pids_limit: pids_limit.unwrap_or_default(),
            devices: devices.into_iter().map(DeviceMapping::into_model).collect(),
            ulimits: ulimits.into_iter().map(Ulimit::into_model).collect(),
            init: init.unwrap_or_default(),
            lxc_conf: Vec::new(),
            annotations,
        };
        Ok((host, log_given))
    }
}

/// Ports that go on with each other are one from here on. Ranges are read as well, though no
/// client is known to write them.
fn port_ranges(
    map: BTreeMap<String, Option<Vec<PortBinding>>>,
) -> Result<BTreeMap<PortRange, Vec<model::PortBinding>>> {
    let mut single = Vec::with_capacity(map.len());
    for (text, list) in map {
        let range: PortRange = text
            .parse()
            .map_err(|why| Error::bad_parameter(format!("invalid PortBindings {text:?}: {why}")))?;
        let list = bindings(list);
        single.extend(split_bindings(range, &list));
    }
    Ok(join_bindings(single).into_iter().into_map())
}

fn bindings(list: Option<Vec<PortBinding>>) -> Vec<model::PortBinding> {
    let convert = |PortBinding { host_ip, host_port }| model::PortBinding { host_ip, host_port };
    list.unwrap_or_default().into_iter().map(convert).collect()
}

fn rows_or_columns(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn network_mode_of(text: &str) -> NetworkMode {
    match text {
        "" | "default" => NetworkMode::Default,
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        _ => match text.strip_prefix("container:") {
            Some(name) => NetworkMode::Container(name.to_owned()),
            None => NetworkMode::Named(text.to_owned()),
        },
    }
}

/// Capabilities in the model's spelling: upper case, without `CAP_`.
fn capabilities(list: Option<Vec<String>>) -> Vec<String> {
    let plain = |name: String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
    };
    list.unwrap_or_default().into_iter().map(plain).collect()
}

fn score(number: i64) -> Result<i32> {
    match i32::try_from(number) {
        Ok(score @ -1000..=1000) => Ok(score),
        _ => Err(Error::bad_parameter(format!(
            "invalid value {number}, range for oom score adj is [-1000, 1000]"
        ))),
    }
}

/// Older clients send -1 for "not given".
fn swappiness(number: Option<i64>) -> Result<Option<u8>> {
    match number {
        None | Some(-1) => Ok(None),
        Some(number) => match u8::try_from(number) {
            Ok(number @ 0..=100) => Ok(Some(number)),
            _ => Err(Error::bad_parameter(format!(
                "invalid value: {number}, valid memory swappiness range is 0-100"
            ))),
        },
    }
}

impl RestartPolicy {
    fn into_model(self) -> Result<Option<model::RestartPolicy>> {
        let RestartPolicy { name, maximum_retry_count } = self;
        if maximum_retry_count != 0 && name != "on-failure" {
            return Err(Error::bad_parameter(
                "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            ));
        }
        match &*name {
            "" => Ok(None),
            "no" => Ok(Some(model::RestartPolicy::No)),
            "always" => Ok(Some(model::RestartPolicy::Always)),
            "unless-stopped" => Ok(Some(model::RestartPolicy::UnlessStopped)),
            "on-failure" => match u32::try_from(maximum_retry_count) {
                Ok(count) => Ok(Some(model::RestartPolicy::OnFailure(count))),
                Err(_) => Err(Error::bad_parameter(
                    "invalid restart policy: maximum retry count cannot be negative",
                )),
            },
            _ => Err(Error::bad_parameter(format!(
                "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', \
                 'on-failure', or 'unless-stopped'"
            ))),
        }
    }
}

impl LogConfig {
    /// The model's form; `None` when nothing was given. Also reads the daemon's own flags.
    ///
    /// # Errors
    /// `NotImplemented` for an unknown driver or option, `BadParameter` for a wrong value.
    pub fn into_model(self) -> Result<Option<model::LogConfig>> {
        let LogConfig { driver, config } = self;
        let driver = match &*driver {
            "" if config.is_empty() => return Ok(None),
            "" | "json-file" => LogDriver::JsonFile,
            "none" => LogDriver::None,
            _ => return Err(refuse(&format!("logging driver {driver:?}"))),
        };
        let mut log = model::LogConfig { driver, ..model::LogConfig::default() };
        for (option, value) in config {
            let wrong = |why: &str| {
                Error::bad_parameter(format!("invalid log option {option}={value}: {why}"))
            };
            match (driver, &*option, &*value) {
                (_, "mode", "blocking") | (LogDriver::JsonFile, "compress", "false") => {}
                (LogDriver::JsonFile, "max-size", "-1") => log.max_size = u64::MAX,
                (LogDriver::JsonFile, "max-size", _) => {
                    log.max_size = units::parse_size(&value).map_err(|why| wrong(&why))?;
                    if log.max_size == 0 {
                        return Err(wrong("must be positive"));
                    }
                }
                (LogDriver::JsonFile, "max-file", _) => match value.parse() {
                    Ok(number) if number > 0 => log.max_file = number,
                    _ => return Err(wrong("must be a number of at least 1")),
                },
                _ => return Err(refuse(&format!("log option {option}={value}"))),
            }
        }
        Ok(Some(log))
    }
}

impl DeviceMapping {
    fn into_model(self) -> model::Device {
        let DeviceMapping { path_on_host, path_in_container, cgroup_permissions } = self;
        let or = |text: String, default: &str| {
            if text.is_empty() { default.to_owned() } else { text }
        };
        model::Device {
            container_path: or(path_in_container, &path_on_host),
            host_path: path_on_host,
            permissions: or(cgroup_permissions, "rwm"),
        }
    }
}

impl Ulimit {
    fn into_model(self) -> model::Ulimit {
        let Ulimit { name, hard, soft } = self;
        model::Ulimit { name, soft, hard }
    }
}

impl NetworkingConfig {
    /// Endpoints by network.
    ///
    /// # Errors
    /// `NotImplemented`, naming the field.
    pub fn into_model(self) -> Result<BTreeMap<String, model::Endpoint>> {
        let NetworkingConfig { endpoints_config } = self;
        let mut endpoints = BTreeMap::new();
        for (name, endpoint) in endpoints_config {
            endpoints.insert(name, endpoint.into_model()?);
        }
        Ok(endpoints)
    }
}

impl EndpointSettings {
    /// The model's form.
    ///
    /// # Errors
    /// `NotImplemented`, naming the field.
    pub fn into_model(self) -> Result<model::Endpoint> {
        let EndpointSettings {
            ipam_config,
            links,
            aliases,
            mac_address,
            driver_opts,
            // What a network gave its endpoint; of no meaning in a request.
            network_id: _,
            endpoint_id: _,
            gateway: _,
            ip_address: _,
            ip_prefix_len: _,
            ipv6_gateway: _,
            global_ipv6_address: _,
            global_ipv6_prefix_len: _,
            dns_names: _,
        } = self;
        let EndpointIpamConfig { ipv4_address, ipv6_address, link_local_ips } =
            ipam_config.unwrap_or_default();
        refuse_if(driver_opts.is_some_and(|map| !map.is_empty()), "DriverOpts of an endpoint")?;
        refuse_if(!link_local_ips.is_empty(), "LinkLocalIPs")?;
        Ok(model::Endpoint {
            aliases: aliases.unwrap_or_default(),
            wanted_ipv4: ipv4_address,
            wanted_ipv6: ipv6_address,
            mac_address,
            links: links.unwrap_or_default(),
        })
    }
}
