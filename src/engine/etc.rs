//! The files that every container gets in its `/etc`: `hosts`, `hostname`, `resolv.conf`.
//!
//! Made anew at each start, in the run directory; init binds them over the container's own.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Engine;
use crate::base::{Context, Result};
use crate::container::Record;
use crate::model::NetworkMode;

const HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\n\
    ff00::0\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";
/// Servers for containers when the host has none that they could reach.
const FALLBACK: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

impl Engine {
    /// The servers that containers on a network get where neither they nor the daemon name any
    /// and those of the host are out of reach; `None` where that is not so.
    pub fn fallback_dns(&self) -> Option<[&'static str; 2]> {
        let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let none = self.options.dns.is_empty() && reachable(&host).next().is_none();
        none.then_some(FALLBACK)
    }
}

/// Writes the three files into `run_dir`. `peer` is the run directory of the container whose
/// network is shared: its files are taken over. `names` are addresses with the names that they
/// have for the container.
///
/// # Errors
/// Those of the file system.
pub(super) fn write(
    record: &Record,
    daemon_dns: &[String],
    run_dir: &Path,
    peer: Option<&Path>,
    names: &[(Ipv4Addr, String)],
) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = run_dir.join(name);
        // Everybody in the container may read them, whatever our umask is.
        std::fs::write(&path, text)
            .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o644)))
            .context(|| format!("write {}", path.display()))
    };
    put("hostname", format!("{}\n", record.config.hostname))?;
    if let Some(peer) = peer {
        for name in ["hosts", "resolv.conf"] {
            let path = peer.join(name);
            let text = std::fs::read_to_string(&path);
            put(name, text.context(|| format!("read {}", path.display()))?)?;
        }
        return Ok(());
    }
    let on_host = record.host.network_mode == NetworkMode::Host;
    // A host without these files is an odd one, but containers run there as well.
    let of_host = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    put("hosts", hosts_of(record, names))?;
    put("resolv.conf", resolv_conf(&of_host("/etc/resolv.conf"), record, daemon_dns, on_host))
}

/// The text of `hosts`.
pub(super) fn hosts_of(record: &Record, names: &[(Ipv4Addr, String)]) -> String {
    if record.host.network_mode == NetworkMode::Host {
        return hosts(std::fs::read_to_string("/etc/hosts").unwrap_or_default(), record, names);
    }
    hosts(HOSTS.to_owned(), record, names)
}

fn hosts(mut text: String, record: &Record, names: &[(Ipv4Addr, String)]) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for entry in &record.host.extra_hosts {
        if let Some((name, address)) = entry.split_once([':', '=']) {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            line(&mut text, address, name);
        }
    }
    for (address, names) in names {
        line(&mut text, &address.to_string(), names);
    }
    text
}

fn line(text: &mut String, address: &str, names: &str) {
    writeln!(text, "{address}\t{names}").expect("a string takes all that is written");
}

/// The values of `key` in a resolv.conf(5).
fn words<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().flat_map(move |line| {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let ours = words.next() == Some(key);
        words.filter(move |_| ours)
    })
}

/// The servers that are not on the host's loopback.
fn reachable(text: &str) -> impl Iterator<Item = &str> {
    words(text, "nameserver").filter(|server| {
        let address = server.split('%').next().unwrap_or_default().parse::<IpAddr>();
        address.is_ok_and(|address| !address.is_loopback())
    })
}

/// The container's own servers, else the daemon's, else the host's. Servers on the host's loopback
/// are out of a container's reach unless it shares the host's network.
fn resolv_conf(host: &str, record: &Record, daemon_dns: &[String], on_host: bool) -> String {
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
    let options = chosen(&wanted.dns_options, "options");

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
        assert!(resolv_conf(host, &record, &[], true).starts_with("nameserver 127.0.0.53\n"));
        assert_eq!(
            resolv_conf("nameserver ::1", &record, &[], false),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
        assert_eq!(resolv_conf(host, &record, &["1.1.1.1".into()], false), "nameserver 1.1.1.1\n");
        record.host.dns = vec!["2.2.2.2".into()];
        record.host.dns_search = vec![".".into()];
        assert_eq!(resolv_conf(host, &record, &["1.1.1.1".into()], false), "nameserver 2.2.2.2\n");
    }

    #[test]
    fn the_own_name_comes_last_with_its_domain() {
        let mut record = record("web");
        record.config.hostname = "box".into();
        record.config.domainname = "example.org".into();
        record.host.extra_hosts = vec!["db:10.0.0.2".into(), "six=[fe80::1]".into()];
        let names = [(Ipv4Addr::new(172, 17, 0, 2), "box.example.org box".to_owned())];
        let text = hosts(HOSTS.to_owned(), &record, &names);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"));
        assert!(text.ends_with(
            "ff02::2\tip6-allrouters\n10.0.0.2\tdb\nfe80::1\tsix\n172.17.0.2\tbox.example.org box\n"
        ));
    }
}
