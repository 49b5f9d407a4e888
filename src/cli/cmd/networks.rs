//! `network create`, `ls`, `rm`, `connect`, `disconnect`, `prune`.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::create::{endpoint, pairs};
use super::usage::confirmed;
use crate::base::order;
use crate::cli::args::Args;
use crate::cli::client::{self, Target, filters};
use crate::cli::fail::{Failure, Outcome, for_each};
use crate::cli::format::List;
use crate::cli::output::{escaped, print, shown_id};
use crate::cli::session::Session;
use crate::cli::template::time_shown;
use crate::http::client::RequestBody;
use crate::model::range::{self, Range};
use crate::wire::network::{
    ConnectRequest, CreateRequest, CreateResponse, Ipam, IpamConfig, PruneResponse,
};

const LIST: List<'static> = List {
    fields: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("Label", "LABEL"),
        ("CreatedAt", "CREATED AT"),
    ],
    columns: &["ID", "Name", "Driver", "Scope"],
    complaint: ["failed to parse template", "failed to execute template"],
};

/// `--format raw`: a block of lines for each.
const RAW: &str =
    "network_id: {{.ID}}\\nname: {{.Name}}\\ndriver: {{.Driver}}\\nscope: {{.Scope}}\\n";

/// `k=v,k=v`
fn labels(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    let pairs = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    pairs.collect::<Vec<_>>().join(",")
}

/// `network ls`
pub(crate) fn list(session: &Session, args: &Args) -> Outcome {
    let target = Target::new(&["networks"]).maybe("filters", filters(&args.filters()).as_deref());
    let mut networks: Vec<Value> = session.client()?.get(target.as_str())?;
    order::sort_by(&mut networks, |a, b| a["Name"].as_str().cmp(&b["Name"].as_str()));
    let mut format = session.format(args, "networksFormat");
    match (args.on("quiet"), format.as_str()) {
        (true, "" | "table") => "{{.ID}}".clone_into(&mut format),
        (true, "raw") => "network_id: {{.ID}}".clone_into(&mut format),
        (false, "raw") => RAW.clone_into(&mut format),
        _ => {}
    }
    let whole = args.on("no-trunc");
    let row = |network: &Value| {
        let text = |name: &str| network[name].as_str().unwrap_or_default();
        json!({
            "ID": shown_id(text("Id"), whole),
            "Name": escaped(text("Name")),
            "Driver": text("Driver"),
            "Scope": text("Scope"),
            "IPv4": network["EnableIPv4"].as_bool().unwrap_or(false).to_string(),
            "IPv6": network["EnableIPv6"].to_string(),
            "Internal": network["Internal"].to_string(),
            "Labels": escaped(&labels(&network["Labels"])),
            "Label": network["Labels"],
            "CreatedAt": time_shown(text("Created")),
        })
    };
    print(&LIST.render(&format, &networks.iter().map(row).collect::<Vec<_>>())?)?;
    Ok(0)
}

/// Subnets with what belongs to each of them.
fn ranges(args: &Args) -> Result<Vec<IpamConfig>, Failure> {
    let mut all: Vec<(Range, IpamConfig)> = Vec::new();
    for subnet in args.all("subnet") {
        let Some(own) = range::parse(&subnet) else {
            return Err(Failure::new(format!("invalid CIDR address: {subnet}")));
        };
        if all.iter().any(|(other, _)| range::overlap(own, *other)) {
            return Err(Failure::new("multiple overlapping subnet configuration is not supported"));
        }
        all.push((own, IpamConfig { subnet, ..IpamConfig::default() }));
    }
    let has_subnets = !all.is_empty();
    let mut put = |what: &str, text: &str, put: &dyn Fn(&mut IpamConfig) -> bool| {
        let whole = |address: IpAddr| (address, if address.is_ipv6() { 128 } else { 32 });
        let wanted = range::parse(text).or_else(|| text.parse().ok().map(whole));
        let fits =
            |(own, _): &&mut (Range, _)| wanted.is_some_and(|part| range::covers(*own, part));
        let Some((_, config)) = all.iter_mut().find(fits) else {
            return Err(Failure::new(match has_subnets {
                true => format!("no matching subnet for {what} {text}"),
                false => "every ip-range or gateway must have a corresponding subnet".to_owned(),
            }));
        };
        if put(config) {
            return Ok(());
        }
        let subnet = &config.subnet;
        Err(Failure::new(format!("cannot configure multiple {what}s on subnet {subnet}")))
    };
    let set = |place: &mut String, text: &String| {
        let first = place.is_empty();
        place.clone_from(text);
        first
    };
    for part in args.all("ip-range") {
        put("range", &part, &|config| set(&mut config.ip_range, &part))?;
    }
    for gateway in args.all("gateway") {
        put("gateway", &gateway, &|config| set(&mut config.gateway, &gateway))?;
    }
    for (name, address) in pairs(&args.all("aux-address")) {
        put("aux-address", &address, &|config| {
            config.auxiliary_addresses.insert(name.clone(), address.clone());
            true
        })?;
    }
    Ok(all.into_iter().map(|(_, config)| config).collect())
}

/// `network create`
pub(crate) fn create(session: &Session, args: &Args) -> Outcome {
    let config = ranges(args)?;
    let request = CreateRequest {
        name: args.free.first().expect("the number was checked").clone(),
        driver: args.one("driver").unwrap_or_else(|| "bridge".to_owned()),
        internal: args.on("internal"),
        attachable: args.on("attachable"),
        enable_ipv6: args.on("ipv6"),
        ipam: Ipam { driver: "default".into(), config, ..Ipam::default() },
        options: pairs(&args.all("opt")),
        labels: pairs(&args.all("label")),
        ..CreateRequest::default()
    };
    let target = Target::new(&["networks", "create"]);
    let answer: CreateResponse = session.client()?.post_json(target.as_str(), &request)?;
    if !answer.warning.is_empty() {
        eprintln!("WARNING: {}", answer.warning);
    }
    print(&format!("{}\n", answer.id))?;
    Ok(0)
}

/// `network rm`
pub(crate) fn remove(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    for_each(&args.free, |name| match client.delete(Target::new(&["networks", name]).as_str()) {
        Err(failure) if args.on("force") && failure.is_not_found() => Ok(()),
        Err(failure) => Err(failure),
        Ok(_) => print(&format!("{name}\n")),
    })
}

fn post(session: &Session, network: &str, verb: &str, request: &ConnectRequest) -> Outcome {
    let bytes = serde_json::to_vec(request).expect("requests have keys of text");
    let body = RequestBody::Bytes("application/json", bytes);
    let target = Target::new(&["networks", network, verb]);
    client::whole(session.client()?.stream("POST", target.as_str(), body)?)?;
    Ok(0)
}

/// `network connect`
pub(crate) fn connect(session: &Session, args: &Args) -> Outcome {
    let [network, container] = args.free.as_slice() else {
        return Err(Failure::new("a network and a container are wanted"));
    };
    let request = ConnectRequest {
        container: container.clone(),
        force: false,
        endpoint_config: endpoint(&args.all("alias"), args, &args.all("link")),
    };
    post(session, network, "connect", &request)
}

/// `network disconnect`
pub(crate) fn disconnect(session: &Session, args: &Args) -> Outcome {
    let [network, container] = args.free.as_slice() else {
        return Err(Failure::new("a network and a container are wanted"));
    };
    let container = container.clone();
    let request =
        ConnectRequest { container, force: args.on("force"), ..ConnectRequest::default() };
    post(session, network, "disconnect", &request)
}

/// `network prune`
pub(crate) fn prune(session: &Session, args: &Args) -> Outcome {
    let warning =
        "WARNING! This will remove all custom networks not used by at least one container.\n";
    if !args.on("force") && !confirmed(warning)? {
        return Err(Failure::new("network prune has been cancelled"));
    }
    let target =
        Target::new(&["networks", "prune"]).maybe("filters", filters(&args.filters()).as_deref());
    let response = session.client()?.stream("POST", target.as_str(), RequestBody::Empty)?;
    let answer: PruneResponse = client::read(&client::whole(response)?)?;
    if let Some(names) = answer.networks_deleted.filter(|names| !names.is_empty()) {
        print(&format!("Deleted Networks:\n{}\n\n", names.join("\n")))?;
    }
    Ok(0)
}
