//! `-H`: where to listen.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::base::{Context, Error, Result};
use crate::http::Listener;
use crate::sys;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const DEFAULT_ADDRESS: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 2375;
/// The group that may use the socket where there is one; it need not be there.
const DEFAULT_GROUP: &str = "docker";
const GROUPS: &str = "/etc/group";

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `unix:///path`
    Unix(PathBuf),
    /// `tcp://host:port`
    Tcp(String, u16),
    /// `fd://`: what the service manager gives.
    Inherited,
}

impl Address {
    /// All that were asked for; by default what the service manager gives, else the usual socket.
    pub(super) fn parse_all(texts: &[String]) -> Result<Vec<Address>> {
        if texts.is_empty() {
            let inherits = std::env::var_os("LISTEN_FDS").is_some()
                && std::env::var("LISTEN_PID")
                    .is_ok_and(|pid| pid == std::process::id().to_string());
            let usual = || Address::Unix(DEFAULT_SOCKET.into());
            return Ok(vec![if inherits { Address::Inherited } else { usual() }]);
        }
        texts.iter().map(|text| Address::parse(text)).collect()
    }

    /// `unix://PATH`, `fd://`, `[tcp://][HOST][:PORT]`; HOST may be an IPv6 address in brackets.
    fn parse(text: &str) -> Result<Address> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.is_empty() => Ok(Address::Unix(DEFAULT_SOCKET.into())),
            "unix" => Ok(Address::Unix(rest.into())),
            "fd" => Ok(Address::Inherited),
            "tcp" => Address::parse_tcp(rest)
                .ok_or_else(|| Error::bad_parameter(format!("invalid bind address: {text}"))),
            _ => {
                let text =
                    format!("invalid bind address: {text}: only unix, tcp and fd are served");
                Err(Error::bad_parameter(text))
            }
        }
    }

    fn parse_tcp(text: &str) -> Option<Address> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, if port.is_empty() { "" } else { port.strip_prefix(':')? })
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().ok()? };
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
        let host = if host.is_empty() { DEFAULT_ADDRESS } else { host };
        (!host.contains(odd)).then(|| Address::Tcp(host.to_owned(), port))
    }

    /// Whether only processes of this host can reach it.
    fn is_local(&self) -> bool {
        match self {
            Address::Tcp(host, _) => {
                host == "localhost"
                    || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
            Address::Unix(_) | Address::Inherited => true,
        }
    }
}

/// Binds all addresses; at least one listener comes of it. What was bound goes when one fails.
pub(super) fn listen(addresses: &[Address], group: &str) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for (done, address) in addresses.iter().enumerate() {
        match listen_on(address, group) {
            Ok(bound) => listeners.extend(bound),
            Err(error) => {
                unlink(&addresses[..done]);
                return Err(error);
            }
        }
    }
    if listeners.is_empty() {
        return Err(Error::bad_parameter("fd:// was asked for, but no sockets were inherited"));
    }
    Ok(listeners)
}

fn listen_on(address: &Address, group: &str) -> Result<Vec<Listener>> {
    if !address.is_local() {
        crate::warn!(
            "/!\\ whoever can reach {} is root on this host: there is no authentication /!\\",
            name(address)
        );
    }
    let bound = match address {
        Address::Inherited => return Listener::inherited(),
        Address::Unix(path) => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).context(|| format!("make {}", parent.display()))?;
            }
            Listener::unix(path, find_group(group)?)?
        }
        Address::Tcp(host, port) if host.contains(':') => {
            Listener::tcp(&format!("[{host}]:{port}"))?
        }
        Address::Tcp(host, port) => Listener::tcp(&format!("{host}:{port}"))?,
    };
    crate::info!("listening on {}", name(address));
    Ok(vec![bound])
}

fn name(address: &Address) -> String {
    match address {
        Address::Unix(path) => format!("unix://{}", path.display()),
        Address::Tcp(host, port) => format!("tcp://{host}:{port}"),
        Address::Inherited => "fd://".to_owned(),
    }
}

/// Removes the sockets that [`listen`] made.
pub(super) fn unlink(addresses: &[Address]) {
    for address in addresses {
        let Address::Unix(path) = address else { continue };
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                crate::warn!("remove the socket {}: {error}", path.display());
            }
            _ => {}
        }
    }
}

/// Host names that clients over tcp may rightly put into `Host`.
pub(super) fn names(addresses: &[Address]) -> Vec<String> {
    let own = sys::host::uname().map(|names| names.nodename).ok();
    let asked = addresses.iter().filter_map(|address| match address {
        Address::Tcp(host, _) if host.parse::<IpAddr>().is_err() => Some(host.clone()),
        _ => None,
    });
    asked.chain(own).collect()
}

/// The id of a group: by name, else as a number.
fn find_group(group: &str) -> Result<Option<u32>> {
    if group.is_empty() {
        return Ok(None);
    }
    let text = match fs::read_to_string(Path::new(GROUPS)) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        result => result.context(|| format!("read {GROUPS}"))?,
    };
    match id_of_group(&text, group) {
        None if group != DEFAULT_GROUP => {
            Err(Error::bad_parameter(format!("no such group: {group}")))
        }
        id => Ok(id),
    }
}

fn id_of_group(text: &str, group: &str) -> Option<u32> {
    let by_name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    by_name.or_else(|| group.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(
            Address::parse(text).ok().map(|address| name(&address)).as_deref(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn addresses_are_completed() {
        check("unix:///run/x.sock", Some("unix:///run/x.sock"));
        check("unix://", Some("unix:///var/run/docker.sock"));
        check("fd://", Some("fd://"));
        check("tcp://", Some("tcp://127.0.0.1:2375"));
        check("tcp://:7777", Some("tcp://127.0.0.1:7777"));
        check(":6666", Some("tcp://127.0.0.1:6666"));
        check("0.0.0.0", Some("tcp://0.0.0.0:2375"));
        check("box:4243", Some("tcp://box:4243"));
        check("tcp://[::1]:2375", Some("tcp://::1:2375"));
        check("[::1]", Some("tcp://::1:2375"));
        for wrong in
            ["http://x", "x:y", "a:b:1", "tcp://x:65536", "[x]:1", "[::1]1", "x/y", "npipe://"]
        {
            check(wrong, None);
        }
        let default = Address::parse_all(&[]).unwrap();
        assert_eq!(default, [Address::Unix(DEFAULT_SOCKET.into())]);
    }

    #[test]
    fn what_others_can_reach_is_known() {
        for (text, local) in [
            ("tcp://127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("localhost:1", true),
            ("unix:///x", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("box", false),
        ] {
            assert_eq!(Address::parse(text).unwrap().is_local(), local, "{text}");
        }
    }

    #[test]
    fn groups_are_found_by_name_or_number() {
        let text = "root:x:0:\ndockerx:x:5:\ndocker:x:998:a,b\nbroken\n";
        assert_eq!(id_of_group(text, "docker"), Some(998));
        assert_eq!(id_of_group(text, "77"), Some(77));
        assert_eq!(id_of_group(text, "wheel"), None);
        assert_eq!(id_of_group(text, "broken"), None);
    }
}
