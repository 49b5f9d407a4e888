//! `ps` and `top`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::Timestamp;
use crate::base::order;
use crate::base::units::human_size;
use crate::cli::args::Args;
use crate::cli::client::{Target, filters};
use crate::cli::fail::Outcome;
use crate::cli::format::{List, labels};
use crate::cli::output::{Table, age, created_at, ellipsis, escaped, print, short_id, shown_id};
use crate::cli::session::Session;
use crate::wire::container::TopResponse;

pub(crate) const FIELDS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("RunningFor", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Status", "STATUS"),
    ("State", "STATE"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Label", "LABEL"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
];

const COLUMNS: &[&str] =
    &["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", "Size"];

/// What `-q` has to know of a container: of thousands, the rest is passed over as text.
#[derive(Deserialize)]
struct OnlyId {
    #[serde(rename = "Id")]
    id: String,
}

/// `ps`
pub(crate) fn ps(session: &Session, args: &Args) -> Outcome {
    let mut format = session.ps_format(args);
    if args.on("quiet") {
        if args.one("format").is_some_and(|format| !matches!(format.as_str(), "" | "table")) {
            eprintln!(
                "WARNING: Ignoring custom format, because both --format and --quiet are set."
            );
        }
        format = String::new(); // asks for no sizes
    }
    let sizes = args.on("size") || format.contains(".Size") || format.contains("json");
    let last = args.number("last").filter(|last| *last > 0);
    let last = last.or_else(|| args.on("latest").then_some(1));
    let mut wanted: Vec<(String, String)> = args
        .all("filter")
        .iter()
        .filter_map(|filter| filter.split_once('='))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    for (old, name) in [("sinceId", "since"), ("beforeId", "before")] {
        wanted.extend(args.one(old).map(|id| (name.to_owned(), id)));
    }
    let target = Target::new(&["containers", "json"])
        .flag("all", args.on("all"))
        .flag("size", sizes)
        .maybe("limit", last.map(|last| last.to_string()).as_deref())
        .maybe("filters", filters(&wanted).as_deref());
    let whole = args.on("no-trunc");
    if args.on("quiet") {
        let containers: Vec<OnlyId> = session.client()?.get(target.as_str())?;
        let lines = containers.iter().flat_map(|one| [shown_id(&one.id, whole), "\n"]);
        print(&lines.collect::<String>())?;
        return Ok(0);
    }
    let containers: Vec<Value> = session.client()?.get(target.as_str())?;
    let now = Timestamp::now();
    let rows: Vec<Value> = containers.iter().map(|container| row(container, whole, now)).collect();
    let columns = if args.on("size") { COLUMNS } else { &COLUMNS[..COLUMNS.len() - 1] };
    let list = List {
        fields: FIELDS,
        columns,
        complaint: ["failed to parse template", "failed to execute template"],
    };
    print(&list.render(&format, &rows)?)?;
    Ok(0)
}

/// A container as tables and templates show it.
pub(crate) fn row(container: &Value, whole: bool, now: Timestamp) -> Value {
    let text = |name: &str| container[name].as_str().unwrap_or_default();
    let created = container["Created"].as_i64().unwrap_or(0);
    let image = match text("Image") {
        "" => "<no image>",
        image if image.starts_with("sha256:") && !whole => short_id(image),
        image => image,
    };
    let command = text("Command");
    let command = if whole { command.to_owned() } else { ellipsis(command, 20) };
    let names = container["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = names.map(|name| name.trim_start_matches('/')).collect();
    let own = |name: &&str| whole || !name.contains('/');
    let networks = container["NetworkSettings"]["Networks"].as_object();
    let networks: Vec<&str> =
        networks.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let (mounts, volumes) = mounts(&container["Mounts"], whole);
    json!({
        "ID": shown_id(text("Id"), whole),
        "Image": escaped(image),
        "Command": quoted(&command),
        "CreatedAt": created_at(created),
        "RunningFor": age(created, now),
        "Status": escaped(text("Status")),
        "State": escaped(text("State")),
        "Ports": ports(&container["Ports"]),
        "Names": escaped(&names.into_iter().filter(own).collect::<Vec<_>>().join(",")),
        "Size": size(container),
        "Labels": escaped(&labels(container.get("Labels"))),
        "Label": container["Labels"],
        "Mounts": escaped(&mounts),
        "LocalVolumes": volumes.to_string(),
        "Networks": escaped(&networks.join(",")),
    })
}

/// In double quotes, as Go's `%q` writes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn size(container: &Value) -> String {
    let bytes = |name: &str| container[name].as_u64().unwrap_or(0);
    let written = human_size(bytes("SizeRw"), 3, "");
    match bytes("SizeRootFs") {
        0 => written,
        all => format!("{written} (virtual {})", human_size(all, 3, "")),
    }
}

/// Names of volumes and sources of binds, and how many volumes there are.
fn mounts(list: &Value, whole: bool) -> (String, usize) {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    let text = |mount: &Value, name: &str| mount[name].as_str().unwrap_or_default().to_owned();
    let name = |mount: &Value| match text(mount, "Name") {
        name if name.is_empty() => text(mount, "Source"),
        name => name,
    };
    let names = list.iter().map(|mount| match name(mount) {
        name if whole => name,
        name => ellipsis(&name, 15),
    });
    let volumes = list.iter().filter(|mount| text(mount, "Driver") == "local").count();
    (names.collect::<Vec<_>>().join(","), volumes)
}

/// A run of ports that follow each other, published under their own numbers or not at all.
struct Run {
    ip: String,
    protocol: String,
    first: u64,
    last: u64,
}

impl Run {
    fn shown(&self) -> String {
        let Run { ip, protocol, first, last } = self;
        let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
        if ip.is_empty() {
            return format!("{ports}/{protocol}");
        }
        format!("{}->{ports}/{protocol}", address(ip, &ports))
    }
}

fn address(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// First unpublished ports and those with the same number inside and outside, grouped; then
/// those with another number outside.
fn ports(list: &Value) -> String {
    let mut ports: Vec<(u64, String, u64, String)> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let text = |name: &str| port[name].as_str().unwrap_or_default().to_owned();
            let number = |name: &str| port[name].as_u64().unwrap_or(0);
            (number("PrivatePort"), text("IP"), number("PublicPort"), text("Type"))
        })
        .collect();
    order::sort_by(&mut ports, Ord::cmp);
    let (mut runs, mut done, mut others): (Vec<Run>, Vec<String>, Vec<String>) = Default::default();
    for (port, ip, public, protocol) in ports {
        if !ip.is_empty() && public != port {
            others.push(format!("{}->{port}/{protocol}", address(&ip, &public.to_string())));
            continue;
        }
        match runs.iter_mut().find(|run| run.ip == ip && run.protocol == protocol) {
            None => runs.push(Run { ip, protocol, first: port, last: port }),
            Some(run) if port == run.last + 1 => run.last = port,
            Some(run) => {
                done.push(run.shown());
                (run.first, run.last) = (port, port);
            }
        }
    }
    done.extend(runs.iter().map(Run::shown));
    done.extend(others);
    done.join(", ")
}

/// `top`
pub(crate) fn top(session: &Session, args: &Args) -> Outcome {
    let (name, options) = args.free.split_first().expect("the number was checked");
    let options = (!options.is_empty()).then(|| options.join(" "));
    let target = Target::new(&["containers", name, "top"]).maybe("ps_args", options.as_deref());
    let answer: TopResponse = session.client()?.get(target.as_str())?;
    let mut table = Table::new(20);
    for line in std::iter::once(&answer.titles).chain(&answer.processes) {
        table.row(&line.iter().map(|cell| escaped(cell)).collect::<Vec<_>>());
    }
    print(&table.render())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_grouped() {
        let port = |ip: &str, public: u64, private: u64| match ip {
            "" => json!({"PrivatePort": private, "Type": "tcp"}),
            _ => json!({"IP": ip, "PublicPort": public, "PrivatePort": private, "Type": "tcp"}),
        };
        let check = |list: &[Value], expected: &str| assert_eq!(ports(&json!(list)), expected);
        check(&[], "");
        check(&[port("", 0, 80), port("", 0, 81), port("", 0, 90)], "80-81/tcp, 90/tcp");
        check(
            &[
                port("0.0.0.0", 8001, 8001),
                port("0.0.0.0", 8000, 8000),
                port("0.0.0.0", 8002, 8002),
            ],
            "0.0.0.0:8000-8002->8000-8002/tcp",
        );
        check(
            &[port("0.0.0.0", 8080, 80), port("::", 8080, 80), port("", 0, 443)],
            "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        );
    }

    #[test]
    fn a_row_is_what_a_table_shows() {
        let now = Timestamp { seconds: 1_000, nanos: 0 };
        let container = json!({
            "Id": "a".repeat(64), "Names": ["/web", "/other/alias"], "Image": "busybox",
            "Command": "sh -c 'echo \"x\"\u{1b} and more'", "Created": 700, "Status": "Up 5 minutes",
            "State": "running", "Ports": [], "Labels": {"b": "2", "a": "1"},
            "SizeRw": 0, "SizeRootFs": 7_800_000,
            "Mounts": [{"Source": "/a/very/long/source/path"}],
        });
        let short = row(&container, false, now);
        assert_eq!(short["ID"], "aaaaaaaaaaaa");
        assert_eq!(short["Names"], "web");
        assert_eq!(short["Command"], "\"sh -c 'echo \\\"x\\\"\\x1b an…\"");
        assert_eq!(short["RunningFor"], "5 minutes ago");
        assert_eq!(short["Size"], "0B (virtual 7.8MB)");
        assert_eq!(short["Labels"], "a=1,b=2");
        assert_eq!(short["Mounts"], "/a/very/long/s…");
        assert_eq!(row(&container, true, now)["Names"], "web,other/alias");
        assert_eq!(row(&json!({}), false, now)["Image"], "<no image>");
    }
}
