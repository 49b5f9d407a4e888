//! From the flags of `run` and `create` to the body of a request.

use std::collections::BTreeMap;

use crate::base::moment;
use crate::base::order::Ordered;
use crate::cli::args::Args;
use crate::cli::client::Target;
use crate::cli::fail::{Failure, Outcome, for_each};
use crate::cli::output::{escaped, print};
use crate::cli::session::Session;
use crate::cli::{publish, value};
use crate::wire::container::config::Empty;
use crate::wire::container::host::{LogConfig, RestartPolicy};
use crate::wire::container::network::EndpointIpamConfig;
use crate::wire::container::{
    Config, CreateRequest, EndpointSettings, HealthConfig, HostConfig, NetworkingConfig,
    UpdateResponse,
};

/// What the flags ask for, detached or not.
///
/// # Errors
/// Values that contradict each other or that are not served; files that cannot be read.
pub(crate) fn request(args: &Args) -> Result<CreateRequest, Failure> {
    let mut config = config(args)?;
    let mut host_config = host_config(args)?;
    ports(args, &mut config, &mut host_config)?;
    let networking_config = networking(args, &host_config.network_mode)?;
    Ok(CreateRequest { config, host_config, networking_config })
}

/// The networks that are asked for by name. Aliases and addresses of flags are for the first one.
fn networking(args: &Args, first: &str) -> Result<NetworkingConfig, Failure> {
    let mut endpoints_config = BTreeMap::new();
    for (at, text) in args.all("network").iter().enumerate() {
        let (name, own) = network_value(text)?;
        if at > 0 || own != EndpointSettings::default() {
            endpoints_config.insert(name, own);
        }
    }
    let asked = endpoint(&args.all("network-alias"), args, &[]);
    if asked != EndpointSettings::default() {
        let own: &mut EndpointSettings = endpoints_config.entry(first.to_owned()).or_default();
        if let Some(aliases) = asked.aliases {
            own.aliases.get_or_insert_default().extend(aliases);
        }
        own.ipam_config = asked.ipam_config.or(own.ipam_config.take());
    }
    if let Some(mac) = args.one("mac-address") {
        endpoints_config.entry(first.to_owned()).or_default().mac_address = mac;
    }
    if endpoints_config.len() > 1 || args.all("network").len() > 1 {
        endpoints_config.entry(first.to_owned()).or_default();
    }
    Ok(NetworkingConfig { endpoints_config })
}

/// Addresses that are asked for, if any are.
fn addresses(ipv4: Option<String>, ipv6: Option<String>) -> Option<EndpointIpamConfig> {
    let asks = ipv4.is_some() || ipv6.is_some();
    let (ipv4_address, ipv6_address) = (ipv4.unwrap_or_default(), ipv6.unwrap_or_default());
    asks.then(|| EndpointIpamConfig { ipv4_address, ipv6_address, link_local_ips: Vec::new() })
}

/// What is asked for on one network.
pub(super) fn endpoint(aliases: &[String], args: &Args, links: &[String]) -> EndpointSettings {
    EndpointSettings {
        ipam_config: addresses(args.one("ip"), args.one("ip6")),
        links: some(links.to_vec()),
        aliases: some(aliases.to_vec()),
        ..EndpointSettings::default()
    }
}

/// `NAME`, or `name=NAME,alias=A,ip=ADDRESS,ip6=ADDRESS,mac-address=ADDRESS`.
fn network_value(text: &str) -> Result<(String, EndpointSettings), Failure> {
    let mut own = EndpointSettings::default();
    if !text.contains('=') {
        return Ok((text.to_owned(), own));
    }
    let (mut name, mut ip, mut ip6) = (String::new(), None, None);
    for field in text.split(',') {
        let (key, value) = split(field, '=');
        match key.as_str() {
            "name" => name = value,
            "alias" => own.aliases.get_or_insert_default().push(value),
            "ip" => ip = Some(value),
            "ip6" => ip6 = Some(value),
            "mac-address" => own.mac_address = value,
            _ => return Err(Failure::new(format!("invalid field key {key}"))),
        }
    }
    if name.is_empty() {
        return Err(Failure::new("network name/id is not specified"));
    }
    own.ipam_config = addresses(ip, ip6);
    Ok((name, own))
}

/// What is published is exposed as well.
fn ports(args: &Args, config: &mut Config, host: &mut HostConfig) -> Result<(), Failure> {
    for text in args.all("expose") {
        let ports = publish::expose(&text).map_err(Failure::new)?;
        config.exposed_ports.extend(ports.ports().map(|port| (port.to_string(), Empty {})));
    }
    for text in args.all("publish") {
        let (ports, binding) = publish::publish(&text).map_err(Failure::new)?;
        for (port, binding) in publish::one_by_one(ports, binding) {
            config.exposed_ports.insert(port.clone(), Empty {});
            host.port_bindings.entry(port).or_default().get_or_insert_default().push(binding);
        }
    }
    host.publish_all_ports = args.on("publish-all");
    Ok(())
}

fn config(args: &Args) -> Result<Config, Failure> {
    let detached = args.on("detach");
    let streams = args.all("attach");
    let attached = |name: &str| streams.iter().any(|stream| stream.eq_ignore_ascii_case(name));
    let default = streams.is_empty() && !detached;
    if detached && !streams.is_empty() {
        let text = "conflicting options: cannot specify both --attach and --detach";
        return Err(Failure::new(text));
    }
    let stdin = attached("stdin") || default && args.on("interactive");
    let open_stdin = args.on("interactive");
    let (image, command) = args.free.split_first().expect("the number was checked");
    let entrypoint = args.one("entrypoint").map(|program| vec![program]);
    Ok(Config {
        hostname: args.one("hostname").unwrap_or_default(),
        domainname: args.one("domainname").unwrap_or_default(),
        user: args.one("user").unwrap_or_default(),
        attach_stdin: stdin,
        attach_stdout: attached("stdout") || default,
        attach_stderr: attached("stderr") || default,
        tty: args.on("tty"),
        open_stdin,
        stdin_once: open_stdin && stdin,
        env: some(environment(args)?),
        cmd: some(command.to_vec()),
        image: image.clone(),
        volumes: some_map(anonymous_volumes(args)),
        working_dir: args.one("workdir").unwrap_or_default(),
        entrypoint,
        labels: labels(args)?,
        stop_signal: args.one("stop-signal").unwrap_or_default(),
        stop_timeout: args.number("stop-timeout"),
        healthcheck: healthcheck(args)?,
        ..Config::default()
    })
}

fn healthcheck(args: &Args) -> Result<Option<HealthConfig>, Failure> {
    let time = |name: &str| {
        let length = args.one(name).map(|text| moment::duration(&text).expect("was checked"));
        length.map_or(0, |length| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX))
    };
    let command = args.one("health-cmd").filter(|command| !command.is_empty());
    let asked = HealthConfig {
        test: command.map_or(Vec::new(), |command| vec!["CMD-SHELL".to_owned(), command]),
        interval: time("health-interval"),
        timeout: time("health-timeout"),
        start_period: time("health-start-period"),
        start_interval: time("health-start-interval"),
        retries: args.number("health-retries").unwrap_or_default(),
    };
    let nothing = asked == HealthConfig::default();
    match args.on("no-healthcheck") {
        true if nothing => {
            Ok(Some(HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() }))
        }
        true => Err(Failure::new("--no-healthcheck conflicts with --health-* options")),
        false if asked.retries < 0 => Err(Failure::new("--health-retries cannot be negative")),
        false => Ok((!nothing).then_some(asked)),
    }
}

fn host_config(args: &Args) -> Result<HostConfig, Failure> {
    let text = |name: &str| args.one(name).unwrap_or_default();
    let number = |name: &str| args.number(name).unwrap_or(0);
    let size = |name: &str| args.one(name).map_or(0, |text| value::swap(&text).unwrap_or(0));
    let checked = "was checked";
    let mut host = HostConfig {
        binds: some(binds(args)),
        container_id_file: text("cidfile"),
        log_config: LogConfig { driver: text("log-driver"), config: pairs(&args.all("log-opt")) },
        network_mode: network(args),
        auto_remove: args.on("rm"),
        annotations: pairs(&args.all("annotation")),
        cap_add: some(args.all("cap-add")),
        cap_drop: some(args.all("cap-drop")),
        cgroupns_mode: mode(args, "cgroupns", "CGROUP", &["private", "host"])?,
        dns: some(args.all("dns")),
        dns_options: some(args.all("dns-option")),
        dns_search: some(args.all("dns-search")),
        extra_hosts: some(
            args.all("add-host").iter().map(|t| value::extra_host(t).expect(checked)).collect(),
        ),
        group_add: some(args.all("group-add")),
        links: some(args.all("link")),
        ipc_mode: text("ipc"),
        oom_score_adj: number("oom-score-adj"),
        pid_mode: mode(args, "pid", "PID", &["host"])?,
        privileged: args.on("privileged"),
        readonly_rootfs: args.on("read-only"),
        init: args.switch("init"),
        tmpfs: args.all("tmpfs").iter().map(|spec| split(spec, ':')).collect(),
        uts_mode: mode(args, "uts", "UTS", &["host"])?,
        shm_size: size("shm-size"),
        sysctls: pairs(&args.all("sysctl")),
        cgroup_parent: text("cgroup-parent"),
        oom_kill_disable: args.switch("oom-kill-disable"),
        ulimits: args.all("ulimit").iter().map(|t| value::ulimit(t).expect(checked)).collect(),
        mounts: args.all("mount").iter().map(|t| value::mount(t).expect(checked)).collect(),
        ..limits(args)?
    };
    for device in args.all("device") {
        host.devices.push(value::device(&device).map_err(Failure::new)?);
    }
    security(args, &mut host)?;
    lxc_conf(args, &mut host)?;
    Ok(host)
}

/// What `update` can change, too.
fn limits(args: &Args) -> Result<HostConfig, Failure> {
    let text = |name: &str| args.one(name).unwrap_or_default();
    let number = |name: &str| args.number(name).unwrap_or(0);
    let size = |name: &str| args.one(name).map_or(0, |text| value::swap(&text).unwrap_or(0));
    let weight = number("blkio-weight");
    Ok(HostConfig {
        restart_policy: restart_policy(args)?,
        blkio_weight: u16::try_from(weight).map_err(|_| {
            Failure::new(format!("invalid argument \"{weight}\" for \"--blkio-weight\" flag"))
        })?,
        cpu_shares: number("cpu-shares"),
        memory: size("memory"),
        nano_cpus: args.one("cpus").map_or(0, |text| {
            i64::try_from(value::cpus(&text).expect("was checked")).unwrap_or(i64::MAX)
        }),
        cpu_period: number("cpu-period"),
        cpu_quota: number("cpu-quota"),
        cpuset_cpus: text("cpuset-cpus"),
        cpuset_mems: text("cpuset-mems"),
        memory_reservation: size("memory-reservation"),
        memory_swap: size("memory-swap"),
        pids_limit: args.number("pids-limit"),
        ..HostConfig::default()
    })
}

/// `update`
pub(crate) fn update(session: &Session, args: &Args) -> Outcome {
    let mut host = limits(args)?;
    if args.one("restart").is_none() {
        host.restart_policy = RestartPolicy::default();
    }
    if host == HostConfig::default() {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let client = session.client()?;
    let mut warnings = Vec::new();
    let outcome = for_each(&args.free, |name| {
        let target = Target::new(&["containers", name, "update"]);
        let answer: UpdateResponse = client.post_json(target.as_str(), &host)?;
        warnings.extend(answer.warnings);
        print(&format!("{name}\n"))
    });
    for warning in &warnings {
        print(&format!("{}\n", escaped(warning)))?;
    }
    outcome
}

pub(super) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn some_map<V>(map: BTreeMap<String, V>) -> Option<BTreeMap<String, V>> {
    (!map.is_empty()).then_some(map)
}

fn split(text: &str, at: char) -> (String, String) {
    let (name, value) = text.split_once(at).unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

pub(super) fn pairs(list: &[String]) -> BTreeMap<String, String> {
    list.iter().map(|pair| split(pair, '=')).into_map()
}

/// Files first, then `-e`; a name alone takes the value that it has here, if it has one.
pub(super) fn environment(args: &Args) -> Result<Vec<String>, Failure> {
    let mut entries = Vec::new();
    for file in args.all("env-file") {
        entries.extend(pairs_of(&file)?);
    }
    entries.extend(args.all("env"));
    Ok(entries
        .into_iter()
        .filter_map(|entry| match entry.contains('=') {
            true => Some(entry),
            false => {
                std::env::var_os(&entry).map(|value| format!("{entry}={}", value.to_string_lossy()))
            }
        })
        .collect())
}

fn labels(args: &Args) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for file in args.all("label-file") {
        labels.extend(pairs(&pairs_of(&file)?));
    }
    labels.extend(pairs(&args.all("label")));
    Ok(labels)
}

fn pairs_of(file: &str) -> Result<Vec<String>, Failure> {
    value::pairs_of_file(&read_file(file)?)
        .map_err(|reason| Failure::new(format!("{file}: {reason}")))
}

fn read_file(file: &str) -> Result<String, Failure> {
    std::fs::read(file)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|error| Failure::new(format!("open {file}: {}", reason(&error))))
}

/// What the kernel says about a file, as scripts know it.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// `-v` with a source: a relative one is seen from here.
fn binds(args: &Args) -> Vec<String> {
    let volumes = args.all("volume").into_iter().filter(|volume| volume.contains(':'));
    volumes
        .map(|volume| match volume.split_once(':') {
            Some((source, rest)) if source.starts_with('.') => {
                format!("{}:{rest}", value::absolute(source))
            }
            _ => volume,
        })
        .collect()
}

fn anonymous_volumes(args: &Args) -> BTreeMap<String, Empty> {
    let volumes = args.all("volume").into_iter().filter(|volume| !volume.contains(':'));
    volumes.map(|volume| (volume, Empty {})).into_map()
}

/// `--network`, or the switch of 0.6.4.
fn network(args: &Args) -> String {
    let first = args.all("network").first().and_then(|text| network_value(text).ok());
    match (first, args.switch("networking")) {
        (Some((network, ..)), _) => network,
        (None, Some(false)) => "none".to_owned(),
        (None, _) => "default".to_owned(),
    }
}

fn restart_policy(args: &Args) -> Result<RestartPolicy, Failure> {
    match args.one("restart").as_deref() {
        // Told in any case: a request that names no policy follows the daemon's `-r`.
        None | Some("no" | "") => Ok(RestartPolicy { name: "no".into(), maximum_retry_count: 0 }),
        Some(_) if args.on("rm") => {
            Err(Failure::new("conflicting options: cannot specify both --restart and --rm"))
        }
        Some(policy) => {
            let (name, count) = policy.split_once(':').unwrap_or((policy, ""));
            if name.is_empty() {
                let text = "invalid restart policy format: no policy provided before colon";
                return Err(Failure::new(text));
            }
            let maximum_retry_count = match count {
                "" => 0,
                count => count.parse().map_err(|_| {
                    let text = "invalid restart policy format: maximum retry count must be an \
                                integer";
                    Failure::new(text)
                })?,
            };
            Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
        }
    }
}

/// A namespace: one of `known`, or that of a container.
fn mode(args: &Args, flag: &str, name: &str, known: &[&str]) -> Result<String, Failure> {
    let mode = args.one(flag).unwrap_or_default();
    let of_container = flag == "pid" && mode.starts_with("container:") && mode.len() > 10;
    if mode.is_empty() || known.contains(&mode.as_str()) || of_container {
        return Ok(mode);
    }
    Err(Failure::new(format!("--{flag}: invalid {name} mode")))
}

fn security(args: &Args, host: &mut HostConfig) -> Result<(), Failure> {
    let mut kept = Vec::new();
    for option in args.all("security-opt") {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((&option, ""));
        match (name, value) {
            ("systempaths", "unconfined") => {
                host.masked_paths = Some(Vec::new());
                host.readonly_paths = Some(Vec::new());
            }
            ("seccomp", "unconfined" | "builtin") => kept.push(format!("seccomp={value}")),
            ("seccomp", file) if !file.is_empty() => {
                kept.push(format!("seccomp={}", read_file(file)?));
            }
            ("no-new-privileges", "") => kept.push(option),
            (_, "") => return Err(Failure::new(format!("Invalid --security-opt: {option:?}"))),
            _ => kept.push(format!("{name}={value}")),
        }
    }
    host.security_opt = some(kept);
    Ok(())
}

/// Options of the engine of old that have a meaning here; all others are refused by name.
fn lxc_conf(args: &Args, host: &mut HostConfig) -> Result<(), Failure> {
    for option in args.all("lxc-conf") {
        let (key, value) = split(&option, '=');
        let (key, value) = (key.trim(), value.trim());
        let wrong = || Failure::new(format!("invalid value '{value}' of lxc option '{key}'"));
        let number = || value.parse::<i64>().map_err(|_| wrong());
        let size = || value::swap(value).map_err(|_| wrong());
        match key {
            "lxc.cgroup.memory.limit_in_bytes" => host.memory = size()?,
            "lxc.cgroup.memory.memsw.limit_in_bytes" => host.memory_swap = size()?,
            "lxc.cgroup.memory.soft_limit_in_bytes" => host.memory_reservation = size()?,
            "lxc.cgroup.cpu.shares" => host.cpu_shares = number()?,
            "lxc.cgroup.cpu.cfs_period_us" => host.cpu_period = number()?,
            "lxc.cgroup.cpu.cfs_quota_us" => host.cpu_quota = number()?,
            "lxc.cgroup.cpuset.cpus" => host.cpuset_cpus = value.to_owned(),
            "lxc.cgroup.cpuset.mems" => host.cpuset_mems = value.to_owned(),
            "lxc.cgroup.pids.max" => host.pids_limit = Some(number()?),
            "lxc.network.type" if value == "empty" => host.network_mode = "none".to_owned(),
            "lxc.network.type" if value == "none" => host.network_mode = "host".to_owned(),
            "lxc.cap.drop" => {
                let names = value.split_whitespace().map(str::to_owned);
                host.cap_drop.get_or_insert_default().extend(names);
            }
            _ => return Err(Failure::not_served(&format!("lxc option '{key}'"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Parsed, parse};
    use crate::cli::command;

    fn ask(line: &str) -> Result<CreateRequest, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let run = command::find("run").unwrap();
        match parse(run, &words) {
            Ok(Parsed::Args(args)) => request(&args).map_err(|failure| failure.text),
            Ok(Parsed::Help) => Err("help".into()),
            Err(failure) => Err(failure.text),
        }
    }

    #[test]
    fn streams_follow_the_flags() {
        let check = |line: &str, expected: [bool; 6]| {
            let Config {
                attach_stdin,
                attach_stdout,
                attach_stderr,
                open_stdin,
                stdin_once,
                tty,
                ..
            } = ask(line).unwrap().config;
            let got = [attach_stdin, attach_stdout, attach_stderr, open_stdin, stdin_once, tty];
            assert_eq!(got, expected, "{line}");
        };
        check("x", [false, true, true, false, false, false]);
        check("-i x", [true, true, true, true, true, false]);
        check("-it x", [true, true, true, true, true, true]);
        check("-d x", [false; 6]);
        check("-di x", [false, false, false, true, false, false]);
        check("-a stdin -i x", [true, false, false, true, true, false]);
        check("-a STDERR x", [false, false, true, false, false, false]);
        assert!(ask("-d -a stdout x").unwrap_err().starts_with("conflicting options"));
    }

    #[test]
    fn values_reach_their_fields() {
        let request =
            ask("-m 4m --memory-swap -1 --cpus 1.5 -c 512 -v ./a:/b:ro -v /c --tmpfs /t:size=1m \
             --device /dev/x:r --ulimit nofile=1:2 -e A=1 -l a=b -l c --network none --rm \
             --add-host h=1.2.3.4 --entrypoint e --security-opt no-new-privileges \
             --security-opt systempaths=unconfined --log-opt max-size=1k img cmd -x")
            .unwrap();
        let (config, host) = (request.config, request.host_config);
        assert_eq!((host.memory, host.memory_swap, host.nano_cpus), (4 << 20, -1, 1_500_000_000));
        assert_eq!(host.cpu_shares, 512);
        let binds = host.binds.unwrap();
        assert!(binds[0].starts_with('/') && binds[0].ends_with("/a:/b:ro"), "{binds:?}");
        assert!(config.volumes.unwrap().contains_key("/c"));
        assert_eq!(host.tmpfs["/t"], "size=1m");
        assert_eq!(host.devices[0].cgroup_permissions, "r");
        assert_eq!(host.ulimits[0].hard, 2);
        assert_eq!(config.env, Some(vec!["A=1".to_owned()]));
        assert_eq!((config.labels["a"].as_str(), config.labels["c"].as_str()), ("b", ""));
        assert_eq!((host.network_mode.as_str(), host.auto_remove), ("none", true));
        assert_eq!(host.extra_hosts.unwrap(), ["h:1.2.3.4"]);
        assert_eq!(config.entrypoint.unwrap(), ["e"]);
        assert_eq!(config.cmd.unwrap(), ["cmd", "-x"]);
        assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
        assert_eq!(host.masked_paths, Some(vec![]));
        assert_eq!(host.log_config.config["max-size"], "1k");
        assert_eq!(host.restart_policy.name, "no");
    }

    #[test]
    fn ports_are_published_and_exposed() {
        let request = ask("-p 8000-8001:80-81 -p 127.0.0.1:53:53/udp -p 80 --expose 9 -P x");
        let CreateRequest { config, host_config: host, .. } = request.unwrap();
        let exposed: Vec<_> = config.exposed_ports.keys().map(String::as_str).collect();
        assert_eq!(exposed, ["53/udp", "80/tcp", "81/tcp", "9/tcp"]);
        let bound = |port: &str| {
            let list = host.port_bindings[port].iter().flatten();
            list.map(|b| format!("{}:{}", b.host_ip, b.host_port)).collect::<Vec<_>>()
        };
        assert_eq!(bound("80/tcp"), [":8000", ":"]);
        assert_eq!(bound("53/udp"), ["127.0.0.1:53"]);
        assert!(host.publish_all_ports);
    }

    #[test]
    fn old_spellings_mean_what_they_meant() {
        assert_eq!(ask("-n=false x").unwrap().host_config.network_mode, "none");
        assert_eq!(ask("-n x").unwrap().host_config.network_mode, "default");
        assert_eq!(ask("--entrypoint= x").unwrap().config.entrypoint.unwrap(), [""]);
        let host = ask("-lxc-conf lxc.cgroup.cpu.shares=7 -lxc-conf lxc.network.type=empty x");
        let host = host.unwrap().host_config;
        assert_eq!((host.cpu_shares, host.network_mode.as_str()), (7, "none"));
        assert_eq!(
            ask("-lxc-conf lxc.aa_profile=x y").unwrap_err(),
            "skiff: lxc option 'lxc.aa_profile' is not served yet"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (line, expected) in [
            ("--pid x b", "--pid: invalid PID mode"),
            (
                "--no-healthcheck --health-retries 2 b",
                "--no-healthcheck conflicts with --health-* options",
            ),
            ("--health-retries -1 b", "--health-retries cannot be negative"),
            (
                "--health-interval -1s b",
                "invalid argument \"-1s\" for \"--health-interval\" flag: time: invalid duration \"-1s\"",
            ),
            (
                "--restart on-failure:x b",
                "invalid restart policy format: maximum retry count must be an integer",
            ),
            (
                "--restart always --rm b",
                "conflicting options: cannot specify both --restart and --rm",
            ),
            ("--security-opt x b", "Invalid --security-opt: \"x\""),
            ("--env-file /nowhere b", "open /nowhere: no such file or directory"),
            ("-p x b", "invalid containerPort: x"),
            ("--expose 1:2 b", "invalid port format for --expose: 1:2"),
        ] {
            assert_eq!(ask(line).unwrap_err(), expected);
        }
    }
}
