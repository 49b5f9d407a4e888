//! The networks that users have made, on disk: `networks.json` below the data root.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde::Serialize;

use super::rules::Subnet;
use crate::base::{Context, Result, Timestamp, atomic_file, fields, state_file};
use crate::model::range::Range;

/// Version of the file that this program writes.
const VERSION: u32 = 1;

/// Option: what leaves the host gets its address.
pub(super) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// Option: containers reach each other.
pub(super) const AMONG: &str = "com.docker.network.bridge.enable_icc";
/// Option: most bytes of a packet.
pub(super) const MTU: &str = "com.docker.network.driver.mtu";

fields! {
    /// A network. Fields only grow; each has a default.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Network {
        /// 64 hexadecimal digits.
        pub id: String,
        /// Its name.
        pub name: String,
        /// When it was made.
        pub created: Timestamp,
        /// Name of its bridge.
        pub bridge: String,
        /// The bridge's address.
        pub gateway: Option<Ipv4Addr>,
        /// Length of the prefix.
        pub prefix: u8,
        /// The bridge's address of IPv6, on networks that have it.
        pub gateway6: Option<Ipv6Addr>,
        /// Length of its prefix.
        pub prefix6: u8,
        /// The parts that addresses are given out of, unasked; at most one of each family.
        pub parts: Vec<Range>,
        /// Addresses that no container gets, by what they are for.
        pub auxiliary: BTreeMap<String, IpAddr>,
        /// Nothing leads out of it or into it.
        pub internal: bool,
        /// User-made labels.
        pub labels: BTreeMap<String, String>,
        /// Options, kept for clients.
        pub options: BTreeMap<String, String>,
    }
}

impl Network {
    /// What the kernel has to know of it.
    pub(super) fn subnet(&self) -> Subnet {
        let is = |option| self.options.get(option).and_then(|text| boolean(text));
        Subnet {
            bridge: self.bridge.clone(),
            gateway: self.gateway.unwrap_or(Ipv4Addr::UNSPECIFIED),
            prefix: self.prefix,
            v6: self.gateway6.map(|gateway| (gateway, self.prefix6)),
            internal: self.internal,
            masquerade: is(MASQUERADE).unwrap_or(true),
            among: is(AMONG).unwrap_or(true),
            mtu: self.options.get(MTU).and_then(|text| text.parse().ok()),
        }
    }

    /// Its ranges of addresses with the bridge's own in them, that of IPv4 first.
    pub fn ranges(&self) -> impl Iterator<Item = Range> {
        let four = self.gateway.map(|gateway| (gateway.into(), self.prefix));
        let six = self.gateway6.map(|gateway| (gateway.into(), self.prefix6));
        four.into_iter().chain(six)
    }
}

/// What Go takes for a boolean.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fields! {
    #[derive(Debug, Default, Serialize)]
    struct File {
        version: u32,
        networks: Vec<Network>,
    }
}

/// Reads all networks.
///
/// # Errors
/// Those of [`state_file::read`].
pub(super) fn read(path: &Path) -> Result<Vec<Network>> {
    let mut networks = Vec::new();
    state_file::read(path, "networks that were made are lost", &mut |bytes| {
        let file: File = serde_json::from_slice(bytes)?;
        if file.version != VERSION {
            return Err(io::Error::other(format!("version {} is not known", file.version)));
        }
        let whole = |network: &Network| network.id.len() == 64 && network.gateway.is_some();
        networks.extend(file.networks.into_iter().filter(whole));
        Ok(())
    })?;
    Ok(networks)
}

/// Writes all networks, durably.
pub(super) fn write(path: &Path, networks: Vec<Network>) -> Result<()> {
    let file = File { version: VERSION, networks };
    let bytes = serde_json::to_vec(&file).expect("a network has no map with odd keys");
    atomic_file::write(path, &bytes, 0o600).context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_read_back_as_written_and_a_damaged_file_is_put_aside() {
        let dir = std::env::temp_dir().join(format!("skiff-networks-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("networks.json");
        assert!(read(&path).unwrap().is_empty());
        let network = Network {
            id: "ab".repeat(32),
            name: "mine".into(),
            gateway: Some(Ipv4Addr::new(172, 18, 0, 1)),
            prefix: 16,
            gateway6: Some("fd00::1".parse().unwrap()),
            prefix6: 64,
            parts: vec![("172.18.4.0".parse().unwrap(), 24)],
            auxiliary: [("router".to_owned(), "fd00::9".parse().unwrap())].into(),
            internal: true,
            ..Network::default()
        };
        write(&path, vec![network.clone(), Network::default()]).unwrap();
        assert_eq!(read(&path).unwrap(), [network]);
        // As an earlier version wrote it.
        let old = format!(
            "{{\"version\":1,\"networks\":[{{\"id\":\"{}\",\"gateway\":\"10.0.0.1\",\"prefix\":24}}]}}",
            "ab".repeat(32)
        );
        std::fs::write(&path, old).unwrap();
        let read_back = read(&path).unwrap().remove(0);
        assert_eq!((read_back.subnet().v6, read_back.ranges().count()), (None, 1));
        std::fs::write(&path, "{\"version").unwrap();
        assert!(read(&path).unwrap().is_empty());
        let mut kept = std::fs::read_dir(&dir).unwrap().flatten().map(|entry| entry.file_name());
        let aside =
            |name: std::ffi::OsString| name.to_str().unwrap().starts_with("networks.json.damaged-");
        assert!(kept.any(aside) && !path.exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
