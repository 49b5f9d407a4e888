//! Containers as `list` and `inspect` showed them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::config::Config;
use super::{full, short};
use crate::base::order;
use crate::wire::container as new;
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
            texts.sort_unstable();
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

impl Summary {
    /// From the two shapes of today; `name` is the first name of the image, if it has one.
    pub fn from_canonical(
        line: &new::Summary<'_>,
        whole: &new::Inspect,
        name: Option<String>,
        ports_as_text: bool,
    ) -> Summary {
        let status = if whole.state.running {
            line.status.clone()
        } else {
            format!("Exit {}", whole.state.exit_code)
        };
        Summary {
            id: line.id.to_string(),
            image: name.unwrap_or_else(|| short(&line.image_id).to_owned()),
            command: format!("{} {}", whole.path, whole.args.join(" ")),
            created: line.created,
            status,
            ports: Ports::from_canonical(&line.ports, ports_as_text),
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
    pub exit_code: i64,
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
    pub port_mapping: Option<BTreeMap<String, BTreeMap<String, String>>>,
}

impl Inspect {
    /// From the shape of today; `init` is the path of our program.
    pub fn from_canonical(whole: &new::Inspect, init: String) -> Inspect {
        let new::State { running, pid, exit_code, started_at, finished_at, .. } =
            whole.state.clone();
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
            network_settings: NetworkSettings::default(),
            sys_init_path: init,
            resolv_conf_path: whole.resolv_conf_path.clone(),
            hostname_path: whole.hostname_path.clone(),
            hosts_path: whole.hosts_path.clone(),
            volumes: started
                .then(|| mounts().map(|m| (m.destination.clone(), m.source.clone())).collect()),
            volumes_rw: started.then(|| mounts().map(|m| (m.destination.clone(), m.rw)).collect()),
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
        let shown = |as_text| {
            serde_json::to_string(&Summary::from_canonical(&line, &whole(), None, as_text)).unwrap()
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
        let shown = serde_json::to_string(&Inspect::from_canonical(&whole(), "/x".into())).unwrap();
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
    fn cells_of_top_are_split_at_blanks() {
        let top = Top::new(vec!["CMD".into()], vec![vec!["1".into(), "sleep 5".into()]]);
        assert_eq!(top.processes.unwrap(), [["1", "sleep", "5"]]);
        assert_eq!(Top::new(Vec::new(), Vec::new()).processes, None);
    }
}
