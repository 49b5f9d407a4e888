//! What a request to create a container may say; all checked before anything is done.
//!
//! What is wrong is `BadParameter`; what this engine does not serve is `NotImplemented` and names
//! the option. Nothing is ignored in silence: what has no effect becomes a warning.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{capabilities, health, limits, merge, mounts};
use crate::base::{Error, Result};
use crate::model::network::parse_mac;
use crate::model::{
    Device, Endpoint, HostConfig, MountPoint, NetworkMode, RestartPolicy, RunConfig, Signal,
};

const MAX_ID: u64 = i32::MAX as u64;
/// Kernel parameters that belong to the container's IPC namespace.
const IPC_SYSCTLS: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

fn bad<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::bad_parameter(message))
}

fn unserved<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Error::not_implemented(format!("{what} is not served yet")))
}

/// What the checks found out.
#[derive(Debug, Default)]
pub struct Checked {
    /// All mounts, parents before children.
    pub mounts: Vec<MountPoint>,
    /// What has no effect, as sentences.
    pub warnings: Vec<String>,
}

/// Checks the merged `config` with `host` and `endpoints` on a machine with `cpus` processors,
/// brings spellings into one form and resolves the mounts.
///
/// # Errors
/// See the module.
pub fn check(
    config: &mut RunConfig,
    host: &mut HostConfig,
    endpoints: &BTreeMap<String, Endpoint>,
    cpus: usize,
) -> Result<Checked> {
    let mut checked = Checked::default();
    check_program(config)?;
    check_identity(config)?;
    limits::check(host, cpus)?;
    if host.auto_remove && !matches!(host.restart, None | Some(RestartPolicy::No)) {
        return bad("can't create 'AutoRemove' container with restart policy");
    }
    check_unserved(host)?;
    check_network(config, host, endpoints, &mut checked.warnings)?;
    check_names_and_servers(host)?;
    check_namespaces(host)?;
    check_privileges(host)?;
    check_sysctls(host)?;
    host.devices.iter().try_for_each(check_device)?;
    checked.mounts = mounts::resolve(host)?;
    Ok(checked)
}

/// Checks what the request itself says of volumes and health checks, which images may say
/// without being refused.
///
/// # Errors
/// `BadParameter` and `NotImplemented`.
pub fn check_request(config: &RunConfig) -> Result<()> {
    if let Some(volume) = config.volumes.iter().next() {
        return Err(Error::not_implemented(format!("volumes are not served yet: {volume}")));
    }
    config.healthcheck.as_ref().map_or(Ok(()), health::validate)
}

/// What an image asks for that has no effect here, as sentences.
pub fn image_warnings(image: &RunConfig, mounts: &[MountPoint]) -> Vec<String> {
    let mut warnings = Vec::new();
    for volume in &image.volumes {
        let path = mounts::clean(volume);
        if !mounts.iter().any(|mount| mount.destination == path) {
            warnings.push(format!(
                "Volumes are not served yet: {path} stays in the container's own layer."
            ));
        }
    }
    warnings
}

fn check_program(config: &mut RunConfig) -> Result<()> {
    let words = || config.entrypoint.iter().chain(&config.cmd).flatten();
    if words().next().is_none_or(String::is_empty) {
        return bad("no command specified");
    }
    if words().chain(&config.env).any(|word| word.contains('\0')) {
        return bad("a NUL byte in the command or in the environment");
    }
    if let Some(entry) = config.env.iter().find(|entry| merge::key(entry).is_empty()) {
        return bad(format!("invalid environment variable: {entry}"));
    }
    if !config.working_dir.is_empty() {
        if !config.working_dir.starts_with('/') || config.working_dir.contains('\0') {
            return bad(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                config.working_dir
            ));
        }
        config.working_dir = mounts::clean(&config.working_dir);
    }
    if !config.stop_signal.is_empty() && Signal::parse(&config.stop_signal).is_none() {
        return bad(format!("invalid signal: {}", config.stop_signal));
    }
    Ok(())
}

fn check_identity(config: &RunConfig) -> Result<()> {
    for (what, name) in [("hostname", &config.hostname), ("domainname", &config.domainname)] {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        // 64 is the kernel's bound on both.
        if name.len() > 64 || !name.bytes().all(fine) {
            return bad(format!("invalid {what} format: {name}"));
        }
    }
    check_user(&config.user)
}

/// `name|uid[:group|gid]`, each name a word, each number one that the kernel has.
fn check_user(user: &str) -> Result<()> {
    if user.is_empty() {
        return Ok(());
    }
    let (name, group) =
        user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
    let fine = |part: &str| {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == ':';
        part.len() <= 256 && !part.starts_with('-') && !part.contains(odd)
    };
    if !fine(name) || !group.is_none_or(|group| fine(group) && !group.is_empty()) {
        return bad(format!("invalid user: {user}"));
    }
    for part in std::iter::once(name).chain(group) {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if digits && part.parse::<u64>().map_or(true, |number| number > MAX_ID) {
            return bad(format!("uids and gids must be in range 0-{MAX_ID}: {user}"));
        }
    }
    Ok(())
}

fn check_unserved(host: &HostConfig) -> Result<()> {
    if let Some(from) = host.volumes_from.first() {
        return unserved(format!("volumes-from {from}"));
    }
    Ok(())
}

fn check_network(
    config: &RunConfig,
    host: &HostConfig,
    endpoints: &BTreeMap<String, Endpoint>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let own = match &host.network_mode {
        NetworkMode::Container(peer) if peer.is_empty() => {
            return bad("invalid container format container:<name|id>");
        }
        NetworkMode::Default | NetworkMode::Named(_) => true,
        NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => false,
    };
    if !own && !host.links.is_empty() {
        return bad("conflicting options: links and a network that is not the container's own");
    }
    for (name, endpoint) in endpoints {
        let predefined = matches!(name.as_str(), "default" | "bridge" | "host" | "none");
        if !own && !predefined {
            return bad(format!("conflicting options: network {name} and the network mode"));
        }
        check_endpoint(endpoint, predefined)?;
    }
    check_ports(config, host, warnings)
}

/// Checks what is asked for on a network; `predefined` ones give no choice.
///
/// # Errors
/// See the module.
pub fn check_endpoint(endpoint: &Endpoint, predefined: bool) -> Result<()> {
    let Endpoint { aliases, wanted_ipv4, wanted_ipv6, mac_address, links: _ } = endpoint;
    if predefined && !aliases.is_empty() {
        return bad("network-scoped aliases are only supported for user-defined networks");
    }
    if predefined && !(wanted_ipv4.is_empty() && wanted_ipv6.is_empty()) {
        return bad("user specified IP address is supported on user defined networks only");
    }
    if !wanted_ipv4.is_empty() && wanted_ipv4.parse::<Ipv4Addr>().is_err() {
        return bad(format!("invalid IPv4 address: {wanted_ipv4}"));
    }
    if !wanted_ipv6.is_empty() && wanted_ipv6.parse::<Ipv6Addr>().is_err() {
        return bad(format!("invalid IPv6 address: {wanted_ipv6}"));
    }
    if !mac_address.is_empty() && parse_mac(mac_address).is_none() {
        return bad(format!("invalid MAC address: {mac_address}"));
    }
    if let Some(alias) = aliases.iter().find(|alias| alias.contains(char::is_whitespace)) {
        return bad(format!("invalid alias: {alias:?}"));
    }
    Ok(())
}

fn check_ports(config: &RunConfig, host: &HostConfig, warnings: &mut Vec<String>) -> Result<()> {
    for (ports, bindings) in &host.port_bindings {
        for binding in bindings {
            let range = binding.range().or_else(bad)?;
            if range.is_some_and(|(first, last)| ports.span() > 0 && last - first != ports.span()) {
                return bad(format!(
                    "invalid ranges specified for container and host Ports: {ports} and {}",
                    binding.host_port
                ));
            }
            binding.address().or_else(bad)?;
        }
    }
    let publishes = host.publish_all_ports && !config.exposed_ports.is_empty()
        || host.port_bindings.values().any(|bindings| !bindings.is_empty());
    let own = !config.network_disabled;
    match &host.network_mode {
        NetworkMode::Default | NetworkMode::Named(_) if own => Ok(()),
        NetworkMode::Container(_) if publishes => {
            bad("conflicting options: port publishing and the container type network mode")
        }
        _ if publishes => {
            warnings.push(
                "Published ports are discarded: the network is not the container's own.".into(),
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_names_and_servers(host: &HostConfig) -> Result<()> {
    for server in &host.dns {
        if server.parse::<IpAddr>().is_err() {
            return bad(format!("{server} is not an ip address"));
        }
    }
    let word = |text: &String| {
        text.len() <= 255 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
    };
    for text in host.dns_search.iter().chain(&host.dns_options) {
        if !word(text) {
            return bad(format!("invalid DNS search domain or option: {text:?}"));
        }
    }
    for entry in &host.extra_hosts {
        let invalid = || Error::bad_parameter(format!("bad format for add-host: {entry:?}"));
        let (name, address) = entry.split_once([':', '=']).ok_or_else(invalid)?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
            return bad(format!("invalid IP address in add-host: {address:?}"));
        }
        if !word(&name.to_owned()) {
            return Err(invalid());
        }
    }
    for group in &host.group_add {
        check_user(group)?;
        if group.is_empty() || group.contains(':') {
            return bad(format!("invalid group: {group:?}"));
        }
    }
    Ok(())
}

fn check_namespaces(host: &HostConfig) -> Result<()> {
    let peer = |mode: &str| mode.strip_prefix("container:").is_some_and(|peer| !peer.is_empty());
    let ipc = host.ipc_mode.as_str();
    if ipc == "none" {
        return unserved("IPC mode none");
    }
    if !(matches!(ipc, "" | "private" | "host" | "shareable") || peer(ipc)) {
        return bad(format!("invalid IPC mode: {ipc}"));
    }
    let pid = host.pid_mode.as_str();
    if !(matches!(pid, "" | "private" | "host") || peer(pid)) {
        return bad(format!("invalid PID mode: {pid}"));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return bad(format!("invalid UTS mode: {}", host.uts_mode));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "private" | "host") {
        return bad(format!("invalid cgroup namespace mode: {}", host.cgroupns_mode));
    }
    let parent = host.cgroup_parent.as_str();
    if parent.split('/').any(|part| part == "..") || parent.contains(['\0', '\n']) {
        return bad(format!("invalid cgroup-parent: {parent}"));
    }
    Ok(())
}

fn check_privileges(host: &mut HostConfig) -> Result<()> {
    for name in host.cap_add.iter_mut().chain(host.cap_drop.iter_mut()) {
        *name = capabilities::canonical(name)?;
    }
    security(host)?;
    for path in host.masked_paths.iter().chain(&host.readonly_paths).flatten() {
        if !path.starts_with('/') || path.contains('\0') {
            return bad(format!("invalid masked or read-only path: {path}"));
        }
    }
    Ok(())
}

/// What `security_opt` comes down to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Security {
    /// Set no-new-privileges.
    pub no_new_privileges: bool,
    /// No seccomp filter.
    pub seccomp_unconfined: bool,
    /// Nothing is masked or read-only.
    pub paths_unconfined: bool,
}

/// Reads the security options.
///
/// # Errors
/// `BadParameter` for what is malformed, `NotImplemented` for profiles.
pub fn security(host: &HostConfig) -> Result<Security> {
    let mut security = Security::default();
    for option in &host.security_opt {
        let (key, value) = match option.split_once(['=', ':']) {
            Some((key, value)) => (key, Some(value)),
            None => (option.as_str(), None),
        };
        match (key, value) {
            ("no-new-privileges", None | Some("true")) => security.no_new_privileges = true,
            ("no-new-privileges", Some("false")) => security.no_new_privileges = false,
            ("seccomp", Some("unconfined")) => security.seccomp_unconfined = true,
            ("seccomp", Some("builtin")) => security.seccomp_unconfined = false,
            ("seccomp", Some(_)) => return unserved("a seccomp profile"),
            ("systempaths", Some("unconfined")) => security.paths_unconfined = true,
            ("apparmor", Some("unconfined")) | ("label", Some("disable")) => {}
            ("apparmor" | "label", Some(_)) => {
                return unserved(format!("security option {option}"));
            }
            (_, None) => return bad(format!("invalid --security-opt 1: {option:?}")),
            (_, Some(_)) => return bad(format!("invalid --security-opt 2: {option:?}")),
        }
    }
    Ok(security)
}

fn check_sysctls(host: &HostConfig) -> Result<()> {
    for (name, value) in &host.sysctls {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
        let plain = |b: u8| b.is_ascii_graphic() && b != b'+' || b == b' ' || b == b'\t';
        let well_formed = name.bytes().all(fine)
            && !name.contains("..")
            && value.bytes().all(plain)
            && value.len() <= 4096;
        let private_ipc = !matches!(host.ipc_mode.as_str(), "host");
        let allowed = (IPC_SYSCTLS.contains(&name.as_str()) || name.starts_with("fs.mqueue."))
            && private_ipc
            || name.starts_with("net.") && host.network_mode != NetworkMode::Host;
        if !well_formed || !allowed {
            return bad(format!("sysctl {name:?} is not allowed"));
        }
    }
    Ok(())
}

fn check_device(device: &Device) -> Result<()> {
    let Device { host_path, container_path, permissions } = device;
    for path in [host_path, container_path] {
        if !path.starts_with('/') || path.contains('\0') {
            return bad(format!("invalid device path: {path}"));
        }
    }
    if permissions.is_empty() || permissions.bytes().any(|b| !b"rwm".contains(&b)) {
        return bad(format!("invalid device mode: {permissions}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PortBinding;

    fn checked(change: impl FnOnce(&mut RunConfig, &mut HostConfig)) -> Result<Checked> {
        let mut config = RunConfig { cmd: Some(vec!["sh".into()]), ..RunConfig::default() };
        let mut host = HostConfig::default();
        change(&mut config, &mut host);
        check(&mut config, &mut host, &BTreeMap::new(), 2)
    }

    fn publish(host: &mut HostConfig, ports: &str, host_ip: &str, host_port: &str) {
        let binding = PortBinding { host_ip: host_ip.into(), host_port: host_port.into() };
        host.port_bindings.insert(ports.parse().unwrap(), vec![binding]);
    }

    fn refusal(change: impl FnOnce(&mut RunConfig, &mut HostConfig)) -> String {
        checked(change).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_request_passes() {
        assert!(checked(|_, _| {}).unwrap().warnings.is_empty());
        let discarded = checked(|_, h| {
            h.network_mode = NetworkMode::Host;
            publish(h, "80", "", "");
        });
        assert_eq!(discarded.unwrap().warnings.len(), 1);
        assert!(checked(|_, h| publish(h, "80-82", "127.0.0.1", "8080-8082")).is_ok());
    }

    #[test]
    fn programs_and_places_are_checked() {
        assert_eq!(refusal(|c, _| c.cmd = None), "no command specified");
        assert_eq!(refusal(|c, _| c.cmd = Some(vec![String::new()])), "no command specified");
        assert_eq!(refusal(|c, _| c.env = vec!["=x".into()]), "invalid environment variable: =x");
        assert_eq!(
            refusal(|c, _| c.working_dir = "srv".into()),
            "the working directory 'srv' is invalid, it needs to be an absolute path"
        );
        assert_eq!(refusal(|c, _| c.stop_signal = "NOPE".into()), "invalid signal: NOPE");
        assert_eq!(refusal(|c, _| c.hostname = "a b".into()), "invalid hostname format: a b");
    }

    #[test]
    fn ports_are_checked() {
        let refused = |ports, ip, port| refusal(|_, h| publish(h, ports, ip, port));
        assert_eq!(refused("80", "", "x"), "invalid hostPort: x");
        assert_eq!(refused("80", "1.2.3", ""), "invalid ip address: 1.2.3");
        assert_eq!(
            refused("80-82", "", "90-91"),
            "invalid ranges specified for container and host Ports: 80-82/tcp and 90-91"
        );
        let of_container = refusal(|_, h| {
            h.network_mode = NetworkMode::Container("x".into());
            publish(h, "80", "", "");
        });
        assert!(of_container.starts_with("conflicting options"), "{of_container}");
    }

    #[test]
    fn users_are_words_or_numbers_of_the_kernel() {
        for good in ["", "root", "0", "web:www", "1000:1000", "2147483647", "name-x"] {
            assert!(check_user(good).is_ok(), "{good}");
        }
        for bad in ["4294967296", "-1", "a b", "a:b:c", "a:", "0:99999999999999999999", "x\n"] {
            assert!(check_user(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let check = |expected: &str, change: &dyn Fn(&mut HostConfig)| {
            let error = checked(|_, host| change(host)).unwrap_err();
            assert_eq!(error.kind(), crate::base::Kind::NotImplemented);
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("other", &|h| h.volumes_from = vec!["other".into()]);
        check("data", &|h| h.binds = vec!["data:/x".into()]);
        check("profile", &|h| h.security_opt = vec!["seccomp={}".into()]);
    }

    #[test]
    fn parameters_of_the_host_kernel_stay_out_of_reach() {
        let sysctl = |name: &str, value: &str| {
            checked(|_, h| h.sysctls = [(name.to_owned(), value.to_owned())].into()).is_ok()
        };
        assert!(sysctl("net.ipv4.ip_forward", "1"));
        assert!(sysctl("kernel.msgmax", "65536"));
        assert!(!sysctl("kernel.core_pattern", "x"));
        assert!(!sysctl("net.a", "1+kernel.core_pattern=/x"));
        assert!(!sysctl("net./../kernel", "1"));
        assert!(!sysctl("net.x", "1\n2"));
        let host = checked(|_, h| {
            h.network_mode = NetworkMode::Host;
            h.sysctls = [("net.x".to_owned(), "1".to_owned())].into();
        });
        assert!(host.is_err());
    }

    #[test]
    fn security_options_are_read() {
        let read = |options: &[&str]| {
            let security_opt = options.iter().map(|text| (*text).to_owned()).collect();
            security(&HostConfig { security_opt, ..HostConfig::default() })
        };
        assert!(read(&["no-new-privileges"]).unwrap().no_new_privileges);
        assert!(read(&["no-new-privileges:true"]).unwrap().no_new_privileges);
        assert!(read(&["seccomp=unconfined"]).unwrap().seccomp_unconfined);
        assert!(read(&["x"]).is_err() && read(&["x=y"]).is_err());
    }
}
