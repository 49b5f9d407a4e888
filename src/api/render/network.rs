//! Networks and ports of a container, as `list` and `inspect` show them.

use std::collections::BTreeMap;

use crate::base::order::Ordered;
use crate::base::{Digest, Id};
use crate::container::State;
use crate::engine::Snapshot;
use crate::model::{Attachment, NetworkMode, PortProto, Published, Six};
use crate::wire::container as wire;
use crate::wire::container::network::{NetworkSettings, PortBinding};
use crate::wire::container::summary::Port;
use crate::wire::version::Answers;

/// The networks that a container takes part in; with addresses while it runs.
pub(super) fn networks(
    snapshot: &Snapshot,
    answers: Answers,
) -> BTreeMap<String, wire::EndpointSettings> {
    let Snapshot { record, state: _, networks: places, health: _ } = snapshot;
    let mut networks: BTreeMap<String, wire::EndpointSettings> = record
        .endpoints
        .iter()
        .map(|(name, endpoint)| (name.clone(), wire::EndpointSettings::from_model(endpoint)))
        .into_map();
    let own = match &record.host.network_mode {
        NetworkMode::Container(_) => None,
        NetworkMode::Default => Some("bridge"),
        NetworkMode::None => Some("none"),
        NetworkMode::Host => Some("host"),
        NetworkMode::Named(name) => Some(name.as_str()),
    };
    if let Some(asked) = networks.remove("default") {
        networks.entry(own.unwrap_or("bridge").to_owned()).or_insert(asked);
    }
    if let Some(own) = own {
        if networks.is_empty() {
            networks.insert(own.to_owned(), wire::EndpointSettings::default());
        }
    }
    for attachment in places.iter() {
        let shown = networks.entry(attachment.network.clone()).or_default();
        shown.network_id.clone_from(&attachment.network_id);
        shown.endpoint_id = endpoint_id(&snapshot.record.id, attachment);
        shown.gateway = attachment.gateway.to_string();
        shown.ip_address = attachment.address.to_string();
        shown.ip_prefix_len = attachment.prefix.into();
        shown.mac_address = attachment.mac_text();
        if let Some(Six { address, prefix, gateway }) = attachment.v6 {
            shown.ipv6_gateway = gateway.to_string();
            shown.global_ipv6_address = address.to_string();
            shown.global_ipv6_prefix_len = prefix.into();
        }
        if attachment.network != "bridge" {
            let mut names = vec![record.name.clone()];
            names.extend(shown.aliases.iter().flatten().cloned());
            names.push(record.id.short().to_owned());
            if !names.contains(&record.config.hostname) {
                names.push(record.config.hostname.clone());
            }
            shown.dns_names = Some(names);
        }
    }
    if !answers.dns_names {
        networks.values_mut().for_each(|endpoint| endpoint.dns_names = None);
    }
    networks
}

/// An id for the place that a run has on a network.
pub(in crate::api) fn endpoint_id(id: &Id, attachment: &Attachment) -> String {
    Digest::of(format!("{id} {}", attachment.link).as_bytes()).hex()
}

/// Networks, addresses and ports of `inspect`.
pub(super) fn settings(snapshot: &Snapshot, answers: Answers) -> NetworkSettings {
    let networks = networks(snapshot, answers);
    let Some(attachment) = snapshot.networks.first() else {
        return NetworkSettings { networks, ..NetworkSettings::default() };
    };
    let mut ports: BTreeMap<String, Option<Vec<PortBinding>>> =
        snapshot.record.config.exposed_ports.iter().map(|port| (port.to_string(), None)).into_map();
    for published in &attachment.ports {
        for (port, host_port) in one_by_one(published) {
            let binding = PortBinding {
                host_ip: published.host.to_string(),
                host_port: host_port.to_string(),
            };
            ports.entry(port.to_string()).or_default().get_or_insert_default().push(binding);
        }
    }
    let sandbox_key = match snapshot.state {
        State::Running { pid, .. } => format!("/proc/{pid}/ns/net"),
        _ => String::new(),
    };
    let endpoint_id = endpoint_id(&snapshot.record.id, attachment);
    let sandbox_id = Digest::of(endpoint_id.as_bytes()).hex();
    if attachment.network != "bridge" {
        return NetworkSettings {
            sandbox_id,
            sandbox_key,
            ports,
            networks,
            ..NetworkSettings::default()
        };
    }
    let six = attachment.v6;
    NetworkSettings {
        bridge: attachment.bridge.clone(),
        global_ipv6_address: six.map(|six| six.address.to_string()).unwrap_or_default(),
        global_ipv6_prefix_len: six.map_or(0, |six| six.prefix.into()),
        ipv6_gateway: six.map(|six| six.gateway.to_string()).unwrap_or_default(),
        sandbox_id,
        sandbox_key,
        ports,
        endpoint_id,
        gateway: attachment.gateway.to_string(),
        ip_address: attachment.address.to_string(),
        ip_prefix_len: attachment.prefix.into(),
        mac_address: attachment.mac_text(),
        networks,
        ..NetworkSettings::default()
    }
}

/// The ports of a container in a list: published ones, and those that are only served.
pub(super) fn ports(snapshot: &Snapshot) -> Vec<Port> {
    let Some(attachment) = snapshot.networks.first() else { return Vec::new() };
    let mut ports: Vec<Port> = Vec::new();
    for published in &attachment.ports {
        ports.extend(one_by_one(published).map(|(port, public_port)| Port {
            ip: published.host.to_string(),
            private_port: port.port,
            public_port,
            protocol: port.protocol.as_str().to_owned(),
        }));
    }
    let covers = |published: &Published, port: &PortProto| {
        let range = published.ports;
        range.protocol == port.protocol && (range.first..=range.last).contains(&port.port)
    };
    let exposed = snapshot.record.config.exposed_ports.iter();
    let alone = exposed.filter(|port| !attachment.ports.iter().any(|p| covers(p, port)));
    ports.extend(alone.map(|port| Port {
        private_port: port.port,
        protocol: port.protocol.as_str().to_owned(),
        ..Port::default()
    }));
    ports
}

/// The container's ports with those of the host that lead to them.
fn one_by_one(published: &Published) -> impl Iterator<Item = (PortProto, u16)> {
    let Published { first, ports, .. } = *published;
    ports.ports().zip(first..=u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::super::container::tests::snapshot;
    use super::*;
    use crate::base::Timestamp;
    use crate::wire::Version;

    #[test]
    fn what_is_on_a_bridge_has_an_address_and_ports() {
        let state = State::Running { since: Timestamp::ZERO, pid: 77, paused: false };
        let mut running = snapshot(state);
        let published = |ports: &str, host: Ipv4Addr, first| Published {
            host: host.into(),
            first,
            ports: ports.parse().unwrap(),
        };
        running.networks = Arc::new([Attachment {
            network: "bridge".into(),
            network_id: "net".into(),
            bridge: "docker0".into(),
            link: "veth1".into(),
            address: Ipv4Addr::new(172, 17, 0, 2),
            prefix: 16,
            gateway: Ipv4Addr::new(172, 17, 42, 1),
            v6: Some(Six {
                address: "fd00::2".parse().unwrap(),
                prefix: 64,
                gateway: "fd00::1".parse().unwrap(),
            }),
            own_mac: None,
            ports: vec![
                published("80-81/tcp", Ipv4Addr::UNSPECIFIED, 8080),
                published("81/tcp", Ipv4Addr::LOCALHOST, 9000),
            ],
            internal: false,
        }]);
        let mut record = (*running.record).clone();
        record.host.network_mode = NetworkMode::Default;
        for port in ["80/tcp", "53/udp"] {
            record.config.exposed_ports.extend([port.parse().unwrap()]);
        }
        running.record = Arc::new(record);

        let shown = settings(&running, Version::NEWEST.answers());
        assert_eq!((shown.bridge.as_str(), shown.ip_prefix_len), ("docker0", 16));
        assert_eq!((shown.ip_address.as_str(), &*shown.gateway), ("172.17.0.2", "172.17.42.1"));
        assert_eq!(shown.mac_address, "02:42:ac:11:00:02");
        assert_eq!(shown.sandbox_key, "/proc/77/ns/net");
        assert_eq!(shown.networks["bridge"].ip_address, "172.17.0.2");
        assert_eq!(shown.networks["bridge"].endpoint_id, shown.endpoint_id);
        assert_eq!((&*shown.global_ipv6_address, &*shown.ipv6_gateway), ("fd00::2", "fd00::1"));
        assert_eq!(shown.networks["bridge"].global_ipv6_prefix_len, 64);
        let text = serde_json::to_string(&shown.ports).unwrap();
        assert_eq!(
            text,
            "{\"53/udp\":null,\"80/tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"8080\"}],\
             \"81/tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"8081\"},\
             {\"HostIp\":\"127.0.0.1\",\"HostPort\":\"9000\"}]}"
        );
        let listed: Vec<_> = ports(&running)
            .iter()
            .map(|port| format!("{}:{}>{}", port.ip, port.public_port, port.private_port))
            .collect();
        assert_eq!(listed, ["0.0.0.0:8080>80", "0.0.0.0:8081>81", "127.0.0.1:9000>81", ":0>53"]);
    }
}
