//! `info`, `version`, `events`.

use serde_json::{Value, json};

use crate::base::Timestamp;
use crate::base::units::binary_size;
use crate::cli::args::Args;
use crate::cli::client::{Target, filters, objects};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::output::{escaped, print, rfc3339_here};
use crate::cli::session::Session;
use crate::cli::template::{Data, Template};
use crate::cli::value::point_in_time;
use crate::http::client::RequestBody;
use crate::wire::system::API_VERSION;

/// Version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit it was built from, where the build says so.
const COMMIT: &str = match option_env!("SKIFF_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// `-v`. Scripts know this line.
pub(crate) fn version_line() -> String {
    format!("Docker version {VERSION}, build {COMMIT}")
}

/// Names of architectures as the API has them.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The template of `--format`; `json` is the whole.
fn template(args: &Args) -> Result<Option<Template>, Failure> {
    let format = args.one("format").unwrap_or_default();
    let text = match format.as_str() {
        "" => return Ok(None),
        "json" => "{{json .}}",
        text => text,
    };
    Template::parse(text).map(Some).map_err(|error| Failure::template(&error, 64))
}

fn run(template: &Template, data: &Data) -> Result<String, Failure> {
    let line = template.run(data).map_err(|error| Failure::new(format!("template: {error}")))?;
    Ok(line + "\n")
}

fn parsed(text: &str) -> Result<Value, Failure> {
    serde_json::from_slice(text.as_bytes())
        .map_err(|error| Failure::new(format!("the daemon's answer is not understood: {error}")))
}

/// `version`
pub(crate) fn version(session: &Session, args: &Args) -> Outcome {
    let template = template(args)?;
    let client = session.client();
    let spoken = client.as_ref().map_or(API_VERSION, |client| client.version()).to_owned();
    let server = client.and_then(|client| client.get_text("/version"));
    let context = session.context();
    if let Some(template) = template {
        let sent = server.as_ref().map_or(Ok(Value::Null), |text| parsed(text))?;
        let data = json!({
            "Client": {
                "Version": VERSION, "ApiVersion": spoken, "DefaultAPIVersion": API_VERSION,
                "GitCommit": COMMIT, "GoVersion": "none", "Os": std::env::consts::OS,
                "Arch": arch(), "Context": context,
            },
            "Server": sent,
        });
        print(&run(&template, &Data::typed("Versions", &data))?)?;
        return server.map(|_| 0);
    }
    let line = |name: &str, value: &str| format!(" {name:<18} {value}\n");
    let mut out = String::from("Client:\n");
    let api = match spoken.as_str() {
        API_VERSION => spoken,
        _ => format!("{spoken} (downgraded from {API_VERSION})"),
    };
    for (name, value) in [
        ("Version:", VERSION),
        ("API version:", &api),
        ("Git commit:", COMMIT),
        ("OS/Arch:", &format!("{}/{}", std::env::consts::OS, arch())),
        ("Context:", &context),
    ] {
        out.push_str(&line(name, value));
    }
    print(&out)?;
    print(&server_block(&parsed(&server?)?))?;
    Ok(0)
}

fn server_block(server: &Value) -> String {
    let text = |name: &str| server[name].as_str().unwrap_or_default();
    let platform = server["Platform"]["Name"].as_str().unwrap_or_default();
    let name = if platform.is_empty() { "" } else { " " };
    let mut out = format!("\nServer:{name}{}\n Engine:\n", escaped(platform));
    let api = format!("{} (minimum version {})", text("ApiVersion"), text("MinAPIVersion"));
    let os = format!("{}/{}", text("Os"), text("Arch"));
    for (name, value) in [
        ("Version:", text("Version")),
        ("API version:", &api),
        ("Go version:", text("GoVersion")),
        ("Git commit:", text("GitCommit")),
        ("Built:", text("BuildTime")),
        ("OS/Arch:", &os),
        ("Experimental:", if server["Experimental"] == true { "true" } else { "false" }),
    ] {
        if !value.is_empty() {
            out.push_str(&format!("  {name:<17} {}\n", escaped(value)));
        }
    }
    for component in list(&server["Components"]) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&component["Name"]);
        if name == "Engine" {
            continue;
        }
        out.push_str(&format!(" {}:\n", escaped(&name)));
        let version = text(&component["Version"]);
        out.push_str(&format!("  {:<17} {}\n", "Version:", escaped(&version)));
        if let Some(commit) = component["Details"]["GitCommit"].as_str() {
            out.push_str(&format!("  {:<17} {}\n", "GitCommit:", escaped(commit)));
        }
    }
    out
}

/// `info`
pub(crate) fn info(session: &Session, args: &Args) -> Outcome {
    let template = template(args)?;
    let answer = session.client().and_then(|client| client.get_text("/info"));
    let context = session.context();
    let debug = session.globals().on("debug");
    if let Some(template) = template {
        let mut sent = parsed(&answer?)?;
        if let Some(fields) = sent.as_object_mut() {
            let client = json!({
                "Version": VERSION, "DefaultAPIVersion": API_VERSION, "GitCommit": COMMIT,
                "Os": std::env::consts::OS, "Arch": arch(), "Context": context, "Debug": debug,
                "Plugins": [],
            });
            fields.insert("ClientInfo".to_owned(), client);
        }
        print(&run(&template, &Data::typed("Info", &sent))?)?;
        return Ok(0);
    }
    print(&format!(
        "Client:\n Version:    {VERSION}\n Context:    {context}\n Debug Mode: {debug}\n\nServer:\n"
    ))?;
    let info = parsed(&answer?)?;
    print(&info_block(&info))?;
    for warning in list(&info["Warnings"]) {
        eprintln!("{}", escaped(warning.as_str().unwrap_or_default()));
    }
    Ok(0)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The texts of a list, a blank between them.
fn words(value: &Value) -> String {
    list(value).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

/// What stands in the answer, line by line: the words that people read, and the key.
const INFO: [(&str, &str); 9] = [
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
];
const HOST: [(&str, &str); 5] = [
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
];
const DAEMON: [(&str, &str); 4] =
    [("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir"), ("Debug Mode", "Debug")];
const DEBUG: [(&str, &str); 4] = [
    (" File Descriptors", "NFd"),
    (" Goroutines", "NGoroutines"),
    (" System Time", "SystemTime"),
    (" EventsListeners", "NEventsListener"),
];

fn info_block(info: &Value) -> String {
    let mut lines = Vec::new();
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let line = |&(name, key): &(&str, &str)| format!("{name}: {}", shown(&info[key]));
    for entry in &INFO {
        lines.push(line(entry));
        if entry.1 == "Driver" {
            let status = list(&info["DriverStatus"]).iter();
            lines.extend(status.map(|pair| format!(" {}: {}", shown(&pair[0]), shown(&pair[1]))));
        }
    }
    lines.push(line(&("Cgroup Version", "CgroupVersion")));
    lines.push("Plugins:".into());
    for name in ["Volume", "Network", "Log"] {
        lines.push(format!(" {name}: {}", words(&info["Plugins"][name])));
    }
    lines.push(format!("Swarm: {}", shown(&info["Swarm"]["LocalNodeState"])));
    let runtimes = info["Runtimes"].as_object().into_iter().flatten();
    let runtimes: Vec<&str> = runtimes.map(|(name, _)| name.as_str()).collect();
    lines.push(format!("Runtimes: {}", runtimes.join(" ")));
    lines.push(line(&("Default Runtime", "DefaultRuntime")));
    lines.push("Security Options:".into());
    for option in list(&info["SecurityOptions"]) {
        lines.extend(security_lines(option.as_str().unwrap_or_default()));
    }
    lines.extend(HOST.iter().map(line));
    let memory = info["MemTotal"].as_u64().unwrap_or(0);
    lines.push(format!("Total Memory: {}", binary_size(memory)));
    lines.extend(DAEMON.iter().map(line));
    if info["Debug"] == true {
        lines.extend(DEBUG.iter().map(line));
    }
    let labels = list(&info["Labels"]);
    if !labels.is_empty() {
        lines.push("Labels:".into());
        lines.extend(labels.iter().map(|label| format!(" {}", shown(label))));
    }
    lines.push(line(&("Experimental", "ExperimentalBuild")));
    lines.push("Insecure Registries:".into());
    let nets = list(&info["RegistryConfig"]["InsecureRegistryCIDRs"]).iter();
    lines.extend(nets.map(|net| format!(" {}", shown(net))));
    lines.push(line(&("Live Restore Enabled", "LiveRestoreEnabled")));
    lines.iter().map(|line| format!(" {}\n", escaped(line))).collect()
}

/// `name=seccomp,profile=builtin` on two lines.
fn security_lines(option: &str) -> Vec<String> {
    let parts = option.split(',').enumerate().map(|(at, part)| {
        let (key, value) = part.split_once('=').unwrap_or(("", part));
        match (at, key) {
            (0, _) => format!(" {value}"),
            (_, "profile") => format!("  Profile: {value}"),
            _ => format!("  {key}: {value}"),
        }
    });
    parts.collect()
}

/// `events`
pub(crate) fn events(session: &Session, args: &Args) -> Outcome {
    let template = template(args)
        .and_then(|template| {
            // A field that events do not have is told before one comes.
            if let Some(template) = &template {
                let event = Data::typed("Event", &json!({}));
                template.run(&event).map_err(|error| Failure::template(&error, 64))?;
            }
            Ok(template)
        })
        .map_err(|failure| Failure {
            text: failure.text.replacen("template parsing error", "Error parsing format", 1),
            ..failure
        })?;
    let now = Timestamp::now();
    let time = |flag| {
        let given = args.one(flag).filter(|text| !text.is_empty());
        given.map(|text| point_in_time(&text, now).map_err(Failure::new)).transpose()
    };
    let target = Target::new(&["events"])
        .maybe("since", time("since")?.as_deref())
        .maybe("until", time("until")?.as_deref())
        .maybe("filters", filters(&args.filters()).as_deref());
    let response = session.client()?.stream("GET", target.as_str(), RequestBody::Empty)?;
    for event in objects::<Value>(response) {
        let event = event?;
        match &template {
            Some(template) => print(&run(template, &Data::typed("Event", &event))?)?,
            None => print(&event_line(&event))?,
        }
    }
    Ok(0)
}

fn event_line(event: &Value) -> String {
    let number = |name: &str| event[name].as_i64().unwrap_or(0);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nanos = u32::try_from(number("timeNano").rem_euclid(1_000_000_000)).unwrap_or(0);
    let time = match number("timeNano") {
        0 => Timestamp { seconds: number("time"), nanos: 0 },
        whole => Timestamp { seconds: whole.div_euclid(1_000_000_000), nanos },
    };
    let mut line = rfc3339_here(time, 9);
    let actor = &event["Actor"];
    for word in [&event["Type"], &event["Action"], &actor["ID"]] {
        line.push(' ');
        line.push_str(&escaped(&text(word)));
    }
    let attributes = actor["Attributes"].as_object().into_iter().flatten();
    let attributes: Vec<String> =
        attributes.map(|(name, value)| format!("{name}={}", text(value))).collect();
    if !attributes.is_empty() {
        line.push_str(&format!(" ({})", escaped(&attributes.join(", "))));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let event = json!({
            "Type": "container", "Action": "start", "time": 5,
            "timeNano": 1_735_830_245_123_456_789_i64,
            "Actor": {"ID": "abc", "Attributes": {"name": "y", "image": "x"}},
        });
        let offset = crate::base::Zone::here().at(1_735_830_245).0;
        let time = Timestamp { seconds: 1_735_830_245, nanos: 123_456_789 }.rfc3339_at(9, offset);
        assert_eq!(event_line(&event), format!("{time} container start abc (image=x, name=y)\n"));
    }
}
