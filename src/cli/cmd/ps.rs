//! `ps` and `top`.

use std::borrow::Cow;

use serde::Deserialize;

use crate::base::Timestamp;
use crate::base::order::{self, Ordered};
use crate::base::units::human_size;
use crate::cli::args::Args;
use crate::cli::client::{Target, filters};
use crate::cli::fail::Outcome;
use crate::cli::format::{List, Rows};
use crate::cli::output::{Table, age, created_at, ellipsis, escaped, print, short_id, shown_id};
use crate::cli::session::Session;
use crate::cli::template::Data;
use crate::wire::container::TopResponse;
use crate::wire::container::summary::{Line, MountPoint, Port};

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
    ("Platform", "PLATFORM"),
];

/// `--format raw`: a block of lines for each.
const RAW: &str = "container_id: {{.ID}}\\nimage: {{.Image}}\\ncommand: {{.Command}}\\n\
    created_at: {{.CreatedAt}}\\nstate: {{.State}}\\nstatus: {{.Status}}\\nnames: {{.Names}}\\n\
    labels:{{pad .Labels 1 0}}\\nports:{{pad .Ports 1 0}}\\n";

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
    let mut format = session.format(args, "psFormat");
    if args.on("quiet") {
        if args.one("format").is_some_and(|format| !matches!(format.as_str(), "" | "table")) {
            eprintln!(
                "WARNING: Ignoring custom format, because both --format and --quiet are set."
            );
        }
        format = String::new(); // asks for no sizes
    }
    // `json` alone shows them as they are; who wants them asks for them.
    let named = format.contains(".Size") || format.contains("{{json .}}");
    let sizes = args.switch("size").unwrap_or(named);
    let last = args.number("last").filter(|last| *last > 0);
    let last = last.or_else(|| args.on("latest").then_some(1));
    let mut wanted = args.filters();
    for (old, name) in [("sinceId", "since"), ("beforeId", "before")] {
        wanted.extend(args.one(old).map(|id| (name.to_owned(), id)));
    }
    if format == "raw" {
        format = format!("{RAW}{}", if sizes { "size: {{.Size}}\\n" } else { "" });
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
    let lines: Vec<Line> = session.client()?.get(target.as_str())?;
    let rows = Containers { lines, whole, now: Timestamp::now() };
    let columns = if sizes { COLUMNS } else { &COLUMNS[..COLUMNS.len() - 1] };
    let list = List {
        fields: FIELDS,
        columns,
        complaint: ["failed to parse template", "failed to execute template"],
    };
    print(&list.render_rows(&format, &rows)?)?;
    Ok(0)
}

/// The containers of an answer, as rows.
pub(crate) struct Containers {
    pub(crate) lines: Vec<Line>,
    pub(crate) whole: bool,
    pub(crate) now: Timestamp,
}

impl Rows for Containers {
    fn count(&self) -> usize {
        self.lines.len()
    }

    fn cell(&self, at: usize, name: &str) -> Data {
        let line = &self.lines[at];
        let text = match name {
            "ID" => shown_id(&line.id, self.whole).to_owned(),
            "Image" => escaped(&image(line, self.whole)).into_owned(),
            "Command" if self.whole => quoted(&line.command),
            "Command" => quoted(&ellipsis(&line.command, 20)),
            "CreatedAt" => created_at(line.created),
            "RunningFor" => age(line.created, self.now),
            "Status" => escaped(&line.status).into_owned(),
            "State" => escaped(&line.state).into_owned(),
            "Ports" => ports(&line.ports),
            "Names" => escaped(&names(line, self.whole)).into_owned(),
            "Size" => size(line),
            "Labels" => {
                let labels = line.labels.iter().map(|(name, value)| format!("{name}={value}"));
                escaped(&labels.collect::<Vec<_>>().join(",")).into_owned()
            }
            "Label" => {
                let labels = line.labels.iter();
                let labels = labels.map(|(name, value)| (name.clone(), Data::text(value)));
                return Data::Map(labels.into_map(), "s");
            }
            "Mounts" => escaped(&mounts(&line.mounts, self.whole)).into_owned(),
            "LocalVolumes" => {
                line.mounts.iter().filter(|mount| mount.driver == "local").count().to_string()
            }
            "Networks" => {
                let networks: Vec<&str> =
                    line.network_settings.networks.keys().map(String::as_str).collect();
                escaped(&networks.join(",")).into_owned()
            }
            // It is told by newer daemons.
            "Platform" => return Data::Null("*Platform"),
            _ => String::new(),
        };
        Data::Text(text)
    }
}

/// The image as it was named, its digest and the parts that go without saying left out.
fn image(line: &Line, whole: bool) -> Cow<'_, str> {
    let image = line.image.as_str();
    match image {
        "" => "<no image>".into(),
        _ if whole => image.into(),
        _ if short_id(image) == short_id(&line.image_id) => short_id(image).into(),
        _ => {
            let name = image.split('@').next().unwrap_or(image);
            let name = name.strip_prefix("docker.io/").unwrap_or(name);
            name.strip_prefix("library/").unwrap_or(name).into()
        }
    }
}

/// All names, or the first that is no link's.
fn names(line: &Line, whole: bool) -> String {
    let names: Vec<&str> =
        line.names.iter().map(|name| name.strip_prefix('/').unwrap_or(name)).collect();
    match names.iter().find(|name| !name.contains('/')) {
        Some(own) if !whole => (*own).to_owned(),
        _ => names.join(","),
    }
}

/// In double quotes, as Go's `%q` writes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn size(line: &Line) -> String {
    let written = human_size(line.size_rw, 3, "");
    match line.size_root_fs {
        0 => written,
        all => format!("{written} (virtual {})", human_size(all, 3, "")),
    }
}

/// Names of volumes and sources of binds.
fn mounts(list: &[MountPoint], whole: bool) -> String {
    let names = list.iter().map(|mount| match mount.name.as_str() {
        "" => mount.source.as_str(),
        name => name,
    });
    let names = names.map(|name| if whole { name.to_owned() } else { ellipsis(name, 15) });
    names.collect::<Vec<_>>().join(",")
}

/// A run of ports that follow each other, published under their own numbers or not at all.
struct Run<'a> {
    ip: &'a str,
    protocol: &'a str,
    first: u16,
    last: u16,
}

impl Run<'_> {
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
fn ports(list: &[Port]) -> String {
    let mut ports: Vec<(u16, &str, u16, &str)> = list
        .iter()
        .map(|port| (port.private_port, &*port.ip, port.public_port, &*port.protocol))
        .collect();
    order::sort_by(&mut ports, Ord::cmp);
    let (mut runs, mut done, mut others): (Vec<Run<'_>>, Vec<String>, Vec<String>) =
        Default::default();
    for (port, ip, public, protocol) in ports {
        if !ip.is_empty() && public != port {
            others.push(format!("{}->{port}/{protocol}", address(ip, &public.to_string())));
            continue;
        }
        match runs.iter_mut().find(|run| run.ip == ip && run.protocol == protocol) {
            None => runs.push(Run { ip, protocol, first: port, last: port }),
            Some(run) if run.last.checked_add(1) == Some(port) => run.last = port,
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
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn ports_are_grouped() {
        let port = |ip: &str, public_port: u16, private_port: u16| Port {
            ip: ip.to_owned(),
            private_port,
            public_port,
            protocol: "tcp".to_owned(),
        };
        let check = |list: &[Port], expected: &str| assert_eq!(ports(list), expected);
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
        check(&[port("", 0, 65535), port("", 0, 0)], "0/tcp, 65535/tcp");
    }

    #[test]
    fn a_row_is_what_a_table_shows() {
        let row = |container: Value, whole: bool| {
            let now = Timestamp { seconds: 1_000, nanos: 0 };
            let lines = vec![serde_json::from_value(container).unwrap()];
            let rows = Containers { lines, whole, now };
            move |name: &str| match rows.cell(0, name) {
                Data::Text(text) => text,
                other => other.json(false),
            }
        };
        let container = json!({
            "Id": "a".repeat(64), "Names": ["/other/alias", "/web"],
            "Image": "docker.io/library/busybox:1@sha256:0", "ImageID": "sha256:1",
            "Command": "sh -c 'echo \"x\"\u{1b} and more'", "Created": 700, "Status": "Up 5 minutes",
            "State": "running", "Ports": [], "Labels": {"b": "2", "a": "1"},
            "SizeRw": 0, "SizeRootFs": 7_800_000, "Odd": [1],
            "Mounts": [{"Source": "/a/very/long/source/path"}, {"Name": "v", "Driver": "local"}],
            "NetworkSettings": {"Networks": {"b": {"IPAddress": "1.2.3.4"}, "a": {}}},
        });
        let short = row(container.clone(), false);
        assert_eq!(short("ID"), "aaaaaaaaaaaa");
        assert_eq!(short("Names"), "web");
        assert_eq!(short("Image"), "busybox:1");
        assert_eq!(short("Command"), "\"sh -c 'echo \\\"x\\\"\\x1b an…\"");
        assert_eq!(short("RunningFor"), "5 minutes ago");
        assert_eq!(short("Size"), "0B (virtual 7.8MB)");
        assert_eq!(short("Labels"), "a=1,b=2");
        assert_eq!(short("Label"), "{\"a\":\"1\",\"b\":\"2\"}");
        assert_eq!(short("Mounts"), "/a/very/long/s…,v");
        assert_eq!((short("LocalVolumes"), short("Networks")), ("1".into(), "a,b".into()));
        assert_eq!(row(container, true)("Names"), "other/alias,web");
        assert_eq!(row(json!({}), false)("Image"), "<no image>");
        let by_id =
            json!({"Image": "sha256:0123456789abcdef", "ImageID": "sha256:0123456789abcdef"});
        assert_eq!(row(by_id, false)("Image"), "0123456789ab");
    }
}
