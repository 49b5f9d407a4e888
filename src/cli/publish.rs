//! How published and exposed ports are written on the command line.

use std::net::IpAddr;

use crate::cli::value::Checked;
use crate::model::ports::{PortBinding, PortRange, split_bindings};

/// What `-p` takes: `[IP:][PUBLIC[-END]:]PRIVATE[-END][/PROTOCOL]`, `:PORT` for the same number on
/// both sides, or `target=…,published=…,protocol=…`.
///
/// # Errors
/// Which part is wrong.
pub(crate) fn publish(text: &str) -> Checked<(PortRange, PortBinding)> {
    if text.contains('=') {
        return long(text);
    }
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (host_ip, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((ip, rest)) => (ip, rest),
        None => match rest.match_indices(':').nth_back(1) {
            Some((at, _)) => (&rest[..at], &rest[at + 1..]),
            None => ("", rest),
        },
    };
    if !host_ip.is_empty() && host_ip.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {host_ip}"));
    }
    let (host_port, ports) = match rest.rsplit_once(':') {
        // As of old; today a free port would be meant, which `-p PORT` asks for as well.
        Some(("", port)) if host_ip.is_empty() => (port, port),
        Some((host_port, ports)) => (host_port, ports),
        None => ("", rest),
    };
    let ports = range(ports, protocol)?;
    let binding = PortBinding { host_ip: host_ip.into(), host_port: host_port.into() };
    check(ports, &binding)?;
    Ok((ports, binding))
}

fn range(ports: &str, protocol: &str) -> Checked<PortRange> {
    if ports.is_empty() {
        return Err("no port specified".into());
    }
    format!("{ports}/{protocol}").parse().map_err(|why: String| {
        match why.strip_prefix("invalid r") {
            Some(_) => format!("invalid containerPort: {ports}"),
            None => why,
        }
    })
}

fn check(ports: PortRange, binding: &PortBinding) -> Checked {
    match binding.range()? {
        Some((first, last)) if ports.span() > 0 && last - first != ports.span() => Err(format!(
            "invalid ranges specified for container and host Ports: {}-{} and {}",
            ports.first, ports.last, binding.host_port
        )),
        _ => Ok(()),
    }
}

fn long(text: &str) -> Checked<(PortRange, PortBinding)> {
    let (mut target, mut published, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field format (must be key=value): {field}"))?;
        match name {
            "target" => target = value,
            "published" => published = value,
            "protocol" => protocol = value,
            "mode" if matches!(value, "host" | "ingress") => {}
            _ => return Err(format!("invalid field key: {name}")),
        }
    }
    if target.is_empty() {
        return Err(format!("missing target field: {text}"));
    }
    let ports = range(target, protocol)?;
    let binding = PortBinding { host_ip: String::new(), host_port: published.into() };
    check(ports, &binding)?;
    Ok((ports, binding))
}

/// What `--expose` takes: `PORT[-END][/PROTOCOL]`.
///
/// # Errors
/// In the words that scripts know.
pub(crate) fn expose(text: &str) -> Checked<PortRange> {
    if text.contains(':') {
        return Err(format!("invalid port format for --expose: {text}"));
    }
    text.parse().map_err(|why| format!("invalid range format for --expose: {text}, error: {why}"))
}

/// Each port by itself with its binding, as a request carries them.
pub(crate) fn one_by_one(
    ports: PortRange,
    binding: PortBinding,
) -> Vec<(String, crate::wire::container::network::PortBinding)> {
    let wire = |PortBinding { host_ip, host_port }| crate::wire::container::network::PortBinding {
        host_ip,
        host_port,
    };
    split_bindings(ports, &[binding])
        .flat_map(|(port, list)| list.into_iter().map(move |b| (port.to_string(), wire(b))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_every_form() {
        let check = |text: &str, expected: &str| {
            let got = publish(text).map(|(ports, binding)| {
                format!("{} {} {ports}", binding.host_ip, binding.host_port)
            });
            assert_eq!(got.unwrap_or_else(|why| why), expected, "{text}");
        };
        check("80", "  80/tcp");
        check("53/udp", "  53/udp");
        check("8080:80", " 8080 80/tcp");
        check("0:80", " 0 80/tcp");
        check(":80", " 80 80/tcp");
        check("127.0.0.1:8080:80/udp", "127.0.0.1 8080 80/udp");
        check("127.0.0.1::80", "127.0.0.1  80/tcp");
        check("[::1]:8080:80", "::1 8080 80/tcp");
        check("8000-8002:80", " 8000-8002 80/tcp");
        check("8000-8002:9000-9002", " 8000-8002 9000-9002/tcp");
        check("target=80,published=8080,protocol=udp", " 8080 80/udp");
        check("x", "invalid containerPort: x");
        check("80:x", "invalid containerPort: x");
        check("x:80", "invalid hostPort: x");
        check("80/x", "invalid proto: x");
        check("80/", "invalid proto: ");
        check("1.2.3:1:80", "invalid IP address: 1.2.3");
        check(
            "8000-8002:9000-9001",
            "invalid ranges specified for container and host Ports: 9000-9001 and 8000-8002",
        );
        check("published=80", "missing target field: published=80");
        check("target=80,x=y", "invalid field key: x");
        check("70000:80", "invalid hostPort: 70000");
        check("90-80", "invalid containerPort: 90-80");
    }

    #[test]
    fn exposed_ports_are_read() {
        assert_eq!(expose("80-82/udp").unwrap().to_string(), "80-82/udp");
        assert_eq!(expose("1:2").unwrap_err(), "invalid port format for --expose: 1:2");
        assert!(expose("x").unwrap_err().starts_with("invalid range format for --expose: x"));
    }

    #[test]
    fn a_range_is_asked_for_port_by_port() {
        let (ports, binding) = publish("8000-8001:80-81").unwrap();
        let all = one_by_one(ports, binding);
        let shown: Vec<_> = all.iter().map(|(p, b)| format!("{p}={}", b.host_port)).collect();
        assert_eq!(shown, ["80/tcp=8000", "81/tcp=8001"]);
    }
}
