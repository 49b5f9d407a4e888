//! The files that every container gets in its `/etc`: `hosts`, `hostname`, `resolv.conf`.
//!
//! Made anew at each start, in the run directory; init binds them over the container's own.

use std::fmt::Write as _;
use std::fs::{File, FileTimes, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Engine;
use super::names::{is_made, write_over};
use crate::base::{Context, Error, Result};
use crate::container::Record;
use crate::dns::servers::{self, FALLBACK, reachable, words};
use crate::model::{Attachment, NetworkMode};
use crate::network::dns;

const HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\n\
    ff00::0\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";
/// Stands for the host's address on the default bridge.
const HOST_GATEWAY: &str = "host-gateway";

impl Engine {
    /// The servers that containers on a network get where neither they nor the daemon name any
    /// and those of the host are out of reach; `None` where that is not so.
    pub fn fallback_dns(&self) -> Option<[&'static str; 2]> {
        let none = self.options.dns.is_empty() && reachable(&host_file(false)).next().is_none();
        none.then_some(FALLBACK)
    }

    /// Writes the three files into `run_dir`. `peer` is the run directory of the container whose
    /// network is shared: its files are taken over.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn write_etc(
        &self,
        record: &Record,
        run_dir: &Path,
        peer: Option<&Path>,
        networks: &[Attachment],
    ) -> Result<()> {
        let put = |name: &str, text: String| {
            let path = run_dir.join(name);
            // Everybody in the container may read them, whatever our umask is.
            std::fs::write(&path, text)
                .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o644)))
                .context(|| format!("write {}", path.display()))
        };
        put("hostname", format!("{}\n", record.config.hostname))?;
        let (hosts, resolv) = match peer {
            Some(peer) => {
                let read = |name: &str| {
                    let path = peer.join(name);
                    let text = std::fs::read_to_string(&path);
                    text.context(|| format!("read {}", path.display()))
                };
                (read("hosts")?, read(RESOLV)?)
            }
            None => {
                let hosts = self.hosts_of(record, &self.peers(record, networks))?;
                (hosts, self.resolv_conf(record, networks, &host_file(on_host(record))))
            }
        };
        put("hosts", hosts)?;
        put(RESOLV, resolv)?;
        let path = run_dir.join(RESOLV);
        mark(&path).context(|| format!("mark {}", path.display()))
    }

    /// The text of `hosts`.
    ///
    /// # Errors
    /// When it names the default bridge's address and there is none.
    pub(super) fn hosts_of(&self, record: &Record, names: &[(IpAddr, String)]) -> Result<String> {
        let gateway = self.networks.default().and_then(|network| network.gateway);
        let text = match on_host(record) {
            // A host without the file is an odd one, but containers run there as well.
            true => std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
            false => HOSTS.to_owned(),
        };
        hosts(text, record, gateway.map(IpAddr::from), names)
    }

    /// The text of `resolv.conf`, where the host's says `host`.
    pub(super) fn resolv_conf(
        &self,
        record: &Record,
        networks: &[Attachment],
        host: &str,
    ) -> String {
        let served = networks.iter().any(is_made);
        resolv_conf(host, record, &self.options.dns, served)
    }
}

/// Name of the resolver's file in a run directory.
pub(super) const RESOLV: &str = "resolv.conf";

fn on_host(record: &Record) -> bool {
    record.host.network_mode == NetworkMode::Host
}

/// The text of the host's resolv.conf, or what stands for it in a container that does not share
/// the host's network.
pub(super) fn host_file(shares: bool) -> String {
    // A host without the file is an odd one, but containers run there as well.
    if shares { servers::of_host() } else { servers::for_containers() }
}

/// Gives a file of ours a time of whole seconds, which no other writer leaves: so it is known that
/// the container has not changed it.
fn mark(path: &Path) -> std::io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = UNIX_EPOCH + Duration::from_secs(now.as_secs());
    File::options().write(true).open(path)?.set_times(FileTimes::new().set_modified(time))
}

/// Changes a container's resolv.conf in place, unless the container has done so.
pub(super) fn rewrite_resolv_conf(path: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::metadata(path)?.mtime_nsec() != 0 || std::fs::read_to_string(path)? == text {
        return Ok(());
    }
    write_over(path, text)?;
    mark(path)
}

fn hosts(
    mut text: String,
    record: &Record,
    gateway: Option<IpAddr>,
    names: &[(IpAddr, String)],
) -> Result<String> {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for entry in &record.host.extra_hosts {
        if let Some((name, address)) = entry.split_once([':', '=']) {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            match gateway {
                Some(gateway) if address == HOST_GATEWAY => {
                    line(&mut text, &gateway.to_string(), name);
                }
                None if address == HOST_GATEWAY => {
                    return Err(Error::bad_parameter(
                        "unable to derive the IP value for host-gateway",
                    ));
                }
                _ => line(&mut text, address, name),
            }
        }
    }
    for (address, names) in names {
        line(&mut text, &address.to_string(), names);
    }
    Ok(text)
}

fn line(text: &mut String, address: &str, names: &str) {
    writeln!(text, "{address}\t{names}").expect("a string takes all that is written");
}

/// The container's own servers, else the daemon's, else the host's. Servers on the host's loopback
/// are out of a container's reach unless it shares the host's network. One that is `served` asks its
/// own name server, which asks those.
fn resolv_conf(host: &str, record: &Record, daemon_dns: &[String], served: bool) -> String {
    let on_host = on_host(record);
    let own = |words: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        words.map(str::to_owned).collect()
    };
    let wanted = &record.host;
    let mut servers = if wanted.dns.is_empty() { daemon_dns.to_vec() } else { wanted.dns.clone() };
    let from_host = servers.is_empty();
    if from_host {
        servers = match on_host {
            true => own(&mut words(host, "nameserver")),
            false => own(&mut reachable(host)),
        };
        if servers.is_empty() && !on_host {
            servers = FALLBACK.map(str::to_owned).to_vec();
        }
    }
    let chosen = |given: &[String], key: &str| match given {
        [] if from_host => own(&mut words(host, key)),
        given => given.to_vec(),
    };
    let mut search = chosen(&wanted.dns_search, "search");
    search.retain(|domain| domain != ".");
    let mut options = chosen(&wanted.dns_options, "options");
    if served {
        servers = vec![dns::ADDRESS.to_string()];
        // Names of peers have no dot, and are asked for as they are.
        if !options.iter().any(|option| option.starts_with("ndots:")) {
            options.push("ndots:0".to_owned());
        }
    }

    let mut text = String::new();
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    for (key, values) in [("search", search), ("options", options)] {
        if !values.is_empty() {
            text.push_str(&format!("{key} {}\n", values.join(" ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::record;

    #[test]
    fn servers_come_from_the_nearest_who_names_some() {
        let host = "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver 10.0.0.1\n\
                    search lan home\noptions ndots:2\n";
        let mut record = record("web");
        assert_eq!(
            resolv_conf(host, &record, &[], false),
            "nameserver 10.0.0.1\nsearch lan home\noptions ndots:2\n"
        );
        assert_eq!(
            resolv_conf(host, &record, &[], true),
            "nameserver 127.0.0.11\nsearch lan home\noptions ndots:2\n"
        );
        assert_eq!(
            resolv_conf("nameserver ::1", &record, &[], false),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
        assert_eq!(resolv_conf(host, &record, &["1.1.1.1".into()], false), "nameserver 1.1.1.1\n");
        record.host.dns = vec!["2.2.2.2".into()];
        record.host.dns_search = vec![".".into()];
        assert_eq!(resolv_conf(host, &record, &["1.1.1.1".into()], false), "nameserver 2.2.2.2\n");
        record.host.dns_options = vec!["timeout:1".into()];
        assert_eq!(
            resolv_conf(host, &record, &[], true),
            "nameserver 127.0.0.11\noptions timeout:1 ndots:0\n"
        );
        record.host.network_mode = NetworkMode::Host;
        record.host.dns.clear();
        assert!(resolv_conf(host, &record, &[], false).starts_with("nameserver 127.0.0.53\n"));
    }

    #[test]
    fn a_file_that_the_container_has_changed_stays() {
        let path = std::env::temp_dir().join(format!("skiff-resolv-{}", std::process::id()));
        std::fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
        mark(&path).unwrap();
        rewrite_resolv_conf(&path, "nameserver 10.0.0.22\n").unwrap();
        rewrite_resolv_conf(&path, "nameserver 10.0.0.3\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "nameserver 10.0.0.3\n");
        std::fs::write(&path, "own\n").unwrap();
        rewrite_resolv_conf(&path, "nameserver 10.0.0.4\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "own\n");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_own_name_comes_last_with_its_domain() {
        let mut record = record("web");
        record.config.hostname = "box".into();
        record.config.domainname = "example.org".into();
        record.host.extra_hosts =
            vec!["db:10.0.0.2".into(), "six=[fe80::1]".into(), "up:host-gateway".into()];
        let names = [(IpAddr::from([172, 17, 0, 2]), "box.example.org box".to_owned())];
        let gateway = Some(IpAddr::from([172, 17, 42, 1]));
        let text = hosts(HOSTS.to_owned(), &record, gateway, &names).unwrap();
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"));
        assert!(text.ends_with(
            "ff02::2\tip6-allrouters\n10.0.0.2\tdb\nfe80::1\tsix\n172.17.42.1\tup\n\
             172.17.0.2\tbox.example.org box\n"
        ));
        assert!(hosts(HOSTS.to_owned(), &record, None, &names).is_err());
    }
}
