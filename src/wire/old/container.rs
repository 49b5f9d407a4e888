//! Containers as `list` and `inspect` showed them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::config::Config;
use super::{full, short};
use crate::base::order::{self, Ordered as _};
use crate::wire::container as new;
use crate::wire::container::network::{self, PortBinding};
use crate::wire::container::summary::Port;

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    pub id: String,
    pub image: String,
    pub command: String,
    pub created: i64,
    pub status: String,
    pub ports: Ports,
    pub size_rw: i64,
    pub size_root_fs: i64,
}

/// Published ports: objects from 1.5 on, before that one text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Ports {
    Text(String),
    List(Option<Vec<OldPort>>),
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OldPort {
    pub private_port: u16,
    pub public_port: u16,
    #[serde(rename = "Type")]
    pub protocol: String,
}

impl Ports {
    fn from_canonical(ports: &[Port], as_text: bool) -> Ports {
        let published = ports.iter().filter(|port| port.public_port > 0);
        if as_text {
            let mut texts: Vec<String> = published
                .map(|port| {
                    let udp = if port.protocol == "udp" { "/udp" } else { "" };
                    format!("{}->{}{udp}", port.public_port, port.private_port)
                })
                .collect();
            order::sort_by(&mut texts, |a, b| a.cmp(b));
            texts.dedup();
            return Ports::Text(texts.join(", "));
        }
        let mut list: Vec<OldPort> = published
            .map(|port| OldPort {
                private_port: port.private_port,
                public_port: port.public_port,
                protocol: port.protocol.clone(),
            })
            .collect();
        order::sort_by(&mut list, |a, b| {
            (&a.protocol, a.private_port).cmp(&(&b.protocol, b.private_port))
        });
        list.dedup();
        Ports::List(Some(list).filter(|list| !list.is_empty()))
    }
}

/// An age as it was shown then: units are cut off, years have decimals.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if minutes < 1 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if hours < 1 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if days < 14 => format!("{days} days"),
        () if days < 90 => format!("{} weeks", days / 7),
        () if days < 730 => format!("{} months", days / 30),
        () => format!("{:.6} years", age.as_secs_f64() / (365.0 * 86_400.0)),
    }
}

impl Summary {
    /// From the shape of today, and what that has not: the first name of the image, if it has
    /// one, the words of the command, and the state in the words of then.
    pub fn from_canonical(
        line: &new::Summary<'_>,
        name: Option<String>,
        words: &[String],
        status: String,
        port_list: bool,
    ) -> Summary {
        let (program, arguments) = words.split_first().map_or(("", &[][..]), |(p, a)| (p, a));
        Summary {
            id: line.id.to_string(),
            image: name.unwrap_or_else(|| short(&line.image_id).to_owned()),
            command: format!("{program} {}", arguments.join(" ")),
            created: line.created,
            status,
            ports: Ports::from_canonical(&line.ports, !port_list),
            size_rw: line.size_rw.unwrap_or_default(),
            size_root_fs: line.size_root_fs.unwrap_or_default(),
        }
    }
}

/// All about a container.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspect {
    #[serde(rename = "ID")]
    pub id: String,
    pub created: String,
    pub path: String,
    pub args: Vec<String>,
    pub config: Config,
    pub state: State,
    pub image: String,
    pub network_settings: NetworkSettings,
    pub sys_init_path: String,
    pub resolv_conf_path: String,
    pub hostname_path: String,
    pub hosts_path: String,
    pub volumes: Option<BTreeMap<String, String>>,
    #[serde(rename = "VolumesRW")]
    pub volumes_rw: Option<BTreeMap<String, bool>>,
}

/// What a container is doing. Nothing is a ghost here: output and exit of what outlives the
/// daemon are never lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    pub running: bool,
    pub pid: i64,
    pub exit_code: i32,
    pub started_at: String,
    pub finished_at: String,
    pub ghost: bool,
}

/// Its place in the network.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: i64,
    pub gateway: String,
    pub bridge: String,
    pub port_mapping: Option<PortMapping>,
}

/// Public ports by private ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortMapping {
    pub tcp: BTreeMap<String, String>,
    pub udp: BTreeMap<String, String>,
}

impl NetworkSettings {
    /// From the shape of today; nothing but zeros when it has no address.
    fn from_canonical(of_today: &network::NetworkSettings) -> NetworkSettings {
        let network::NetworkSettings { bridge, ports, gateway, ip_address, ip_prefix_len, .. } =
            of_today;
        if ip_address.is_empty() {
            return NetworkSettings::default();
        }
        let of_protocol = |suffix: &str| {
            let public =
                |list: &Option<Vec<PortBinding>>| Some(list.as_ref()?.last()?.host_port.clone());
            let mapped = ports.iter().filter_map(|(port, bindings)| {
                Some((port.strip_suffix(suffix)?.to_owned(), public(bindings)?))
            });
            mapped.into_map()
        };
        NetworkSettings {
            ip_address: ip_address.clone(),
            ip_prefix_len: *ip_prefix_len,
            gateway: gateway.clone(),
            bridge: bridge.clone(),
            port_mapping: Some(PortMapping { tcp: of_protocol("/tcp"), udp: of_protocol("/udp") }),
        }
    }
}

impl Inspect {
    /// From the shape of today and the exit code in the numbers of then; `init` is the path of
    /// our program.
    pub fn from_canonical(whole: &new::Inspect, exit_code: i32, init: String) -> Inspect {
        let new::State { running, pid, started_at, finished_at, .. } = whole.state.clone();
        let started = started_at != crate::base::Timestamp::ZERO.to_string();
        let mounts = || whole.mounts.iter();
        Inspect {
            id: whole.id.clone(),
            created: whole.created.clone(),
            path: whole.path.clone(),
            args: whole.args.clone(),
            config: Config::from_canonical(&whole.config, Some(&whole.host_config)),
            state: State { running, pid, exit_code, started_at, finished_at, ghost: false },
            image: full(&whole.image).to_owned(),
            network_settings: NetworkSettings::from_canonical(&whole.network_settings),
            sys_init_path: init,
            resolv_conf_path: whole.resolv_conf_path.clone(),
            hostname_path: whole.hostname_path.clone(),
            hosts_path: whole.hosts_path.clone(),
            volumes: started
                .then(|| mounts().map(|m| (m.destination.clone(), m.source.clone())).into_map()),
            volumes_rw: started.then(|| mounts().map(|m| (m.destination.clone(), m.rw)).into_map()),
        }
    }
}

/// Answer of `create`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    pub id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Answer of `top`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Top {
    pub titles: Vec<String>,
    pub processes: Option<Vec<Vec<String>>>,
}

impl Top {
    /// Each row split at blanks, as ps(1)'s output was.
    pub fn new(titles: Vec<String>, rows: Vec<Vec<String>>) -> Top {
        let cells = |row: Vec<String>| -> Vec<String> {
            row.iter().flat_map(|cell| cell.split_whitespace()).map(str::to_owned).collect()
        };
        let rows: Vec<_> = rows.into_iter().map(cells).collect();
        Top { titles, processes: Some(rows).filter(|rows| !rows.is_empty()) }
    }
}

/// Answer of `wait`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Waited {
    pub status_code: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> new::Inspect {
        new::Inspect {
            id: "ab".repeat(32),
            path: "/bin/x".into(),
            image: format!("sha256:{}", "cd".repeat(32)),
            state: new::State { exit_code: 3, ..new::State::default() },
            ..new::Inspect::default()
        }
    }

    #[test]
    fn a_line_has_its_old_keys_and_a_trailing_blank() {
        let line = new::Summary {
            id: "ab".repeat(32).into(),
            image_id: format!("sha256:{}", "cd".repeat(32)).into(),
            created: 5,
            ..new::Summary::default()
        };
        let shown = |as_text: bool| {
            let words = ["/bin/x".to_owned()];
            let line = Summary::from_canonical(&line, None, &words, "Exit 3".into(), !as_text);
            serde_json::to_string(&line).unwrap()
        };
        let id = "ab".repeat(32);
        assert_eq!(
            shown(false),
            format!(
                "{{\"Id\":\"{id}\",\"Image\":\"cdcdcdcdcdcd\",\"Command\":\"/bin/x \",\"Created\":5,\
                 \"Status\":\"Exit 3\",\"Ports\":null,\"SizeRw\":0,\"SizeRootFs\":0}}"
            )
        );
        assert!(shown(true).contains("\"Ports\":\"\""));
    }

    #[test]
    fn ports_are_a_text_before_1_5_and_a_list_from_then_on() {
        let port = |private_port, public_port, protocol: &str| Port {
            private_port,
            public_port,
            protocol: protocol.into(),
            ip: String::new(),
        };
        let ports = [port(53, 49_153, "udp"), port(80, 49_153, "tcp"), port(81, 0, "tcp")];
        let text = Ports::from_canonical(&ports, true);
        assert_eq!(text, Ports::Text("49153->53/udp, 49153->80".into()));
        let list = serde_json::to_string(&Ports::from_canonical(&ports, false)).unwrap();
        assert_eq!(
            list,
            "[{\"PrivatePort\":80,\"PublicPort\":49153,\"Type\":\"tcp\"},\
             {\"PrivatePort\":53,\"PublicPort\":49153,\"Type\":\"udp\"}]"
        );
    }

    #[test]
    fn inspect_has_its_old_keys_in_order() {
        let inspect = Inspect::from_canonical(&whole(), 3, "/x".into());
        let shown = serde_json::to_string(&inspect).unwrap();
        let mut at = 0;
        for key in [
            "ID",
            "Created",
            "Path",
            "Args",
            "Config",
            "State",
            "Ghost",
            "Image",
            "NetworkSettings",
            "PortMapping",
            "SysInitPath",
            "ResolvConfPath",
            "HostnamePath",
            "HostsPath",
            "Volumes\":",
            "VolumesRW",
        ] {
            let key = format!("\"{key}");
            at += shown[at..].find(&key).unwrap_or_else(|| panic!("{key} in {shown}"));
        }
        assert!(shown.contains(&format!("\"Image\":\"{}\"", "cd".repeat(32))));
    }

    #[test]
    fn a_network_is_shown_while_there_is_an_address() {
        let shown = |network: &network::NetworkSettings| {
            serde_json::to_string(&NetworkSettings::from_canonical(network)).unwrap()
        };
        assert_eq!(
            shown(&network::NetworkSettings::default()),
            r#"{"IPAddress":"","IPPrefixLen":0,"Gateway":"","Bridge":"","PortMapping":null}"#
        );
        let bound = |port: &str| {
            Some(vec![PortBinding { host_ip: "0.0.0.0".into(), host_port: port.into() }])
        };
        let ports = [("80/tcp".to_owned(), bound("49153")), ("81/tcp".to_owned(), None)];
        let network = network::NetworkSettings {
            bridge: "docker0".into(),
            ports: ports.into(),
            gateway: "172.17.42.1".into(),
            ip_address: "172.17.0.2".into(),
            ip_prefix_len: 16,
            ..network::NetworkSettings::default()
        };
        assert_eq!(
            shown(&network),
            r#"{"IPAddress":"172.17.0.2","IPPrefixLen":16,"Gateway":"172.17.42.1","Bridge":"docker0","PortMapping":{"Tcp":{"80":"49153"},"Udp":{}}}"#
        );
    }

    #[test]
    fn ages_are_those_of_then() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 seconds"),
            (60, "About a minute"),
            (7199, "About an hour"),
            (7200, "2 hours"),
            (13 * 86_400, "13 days"),
            (89 * 86_400, "12 weeks"),
            (90 * 86_400, "3 months"),
            (912 * 86_400 + 43_200, "2.500000 years"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn cells_of_top_are_split_at_blanks() {
        let top = Top::new(vec!["CMD".into()], vec![vec!["1".into(), "sleep 5".into()]]);
        assert_eq!(top.processes.unwrap(), [["1", "sleep", "5"]]);
        assert_eq!(Top::new(Vec::new(), Vec::new()).processes, None);
    }
}
