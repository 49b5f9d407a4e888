//! `port`.

use serde_json::Value;

use crate::base::order;
use crate::cli::args::Args;
use crate::cli::client::Target;
use crate::cli::fail::{Failure, Outcome};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::model::PortProto;

/// `port`
pub(crate) fn port(session: &Session, args: &Args) -> Outcome {
    let name = args.free.first().expect("the number was checked");
    let wanted = match args.free.get(1) {
        None => None,
        Some(text) => match text.parse::<PortProto>() {
            Ok(port) => Some((text, port)),
            Err(why) => return Err(Failure::new(format!("Error: invalid port ({text}): {why}"))),
        },
    };
    let target = Target::new(&["containers", name, "json"]);
    let container: Value = session.client()?.get(target.as_str())?;
    let lines = lines(&container["NetworkSettings"]["Ports"], wanted.map(|(_, port)| port));
    if lines.is_empty() {
        if let Some((text, _)) = wanted {
            let text = format!("Error: No public port '{text}' published for {name}");
            return Err(Failure::new(text));
        }
    }
    print(&lines.concat())?;
    Ok(0)
}

/// `0.0.0.0:8080` for each place of one port; of all ports with `80/tcp -> ` in front.
fn lines(ports: &Value, wanted: Option<PortProto>) -> Vec<String> {
    let mut found = Vec::new();
    for (port, bindings) in ports.as_object().into_iter().flatten() {
        let Ok(port) = port.parse::<PortProto>() else { continue };
        for binding in bindings.as_array().into_iter().flatten() {
            let text = |name: &str| binding[name].as_str().unwrap_or_default();
            let ip = match text("HostIp") {
                ip if ip.contains(':') => format!("[{ip}]"),
                ip => ip.to_owned(),
            };
            found.push((port, format!("{ip}:{}\n", text("HostPort"))));
        }
    }
    order::sort_by(&mut found, |(a, _), (b, _)| a.cmp(b));
    match wanted {
        Some(wanted) => {
            found.into_iter().filter(|(port, _)| *port == wanted).map(|(_, place)| place).collect()
        }
        None => found.into_iter().map(|(port, place)| format!("{port} -> {place}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_in_their_order() {
        let ports = serde_json::json!({
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "81"}],
            "9/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
            "7/tcp": null,
        });
        assert_eq!(
            lines(&ports, None).concat(),
            "9/udp -> 127.0.0.1:53\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:81\n"
        );
        assert_eq!(lines(&ports, "80".parse().ok()).concat(), "0.0.0.0:8080\n[::]:81\n");
        assert!(lines(&ports, "7".parse().ok()).is_empty());
    }
}
