//! `inspect`, for objects of any kind and in the groups.

use serde_json::Value;

use crate::cli::args::Args;
use crate::cli::client::{Client, Target};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::output::print;
use crate::cli::reindent::{compact, reindent};
use crate::cli::session::Session;
use crate::cli::template::Template;

/// Kinds that `--type` may name; only the first two exist here.
const KINDS: &[&str] = &[
    "container",
    "image",
    "config",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
];

/// `inspect`
pub(crate) fn any(session: &Session, args: &Args) -> Outcome {
    match args.one("type").as_deref() {
        None | Some("") => inspect(session, args, None),
        Some(kind @ ("container" | "image")) => inspect(session, args, Some(kind)),
        Some(kind) if KINDS.contains(&kind) => {
            Err(Failure::not_served(&format!("inspecting a {kind}")))
        }
        Some(kind) => Err(Failure::new(format!(
            "unknown type: {kind:?}: must be one of \"config\", \"container\", \"image\", \
             \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
        ))),
    }
}

/// `container inspect`
pub(crate) fn containers(session: &Session, args: &Args) -> Outcome {
    inspect(session, args, Some("container"))
}

/// `image inspect`
pub(crate) fn images(session: &Session, args: &Args) -> Outcome {
    inspect(session, args, Some("image"))
}

fn inspect(session: &Session, args: &Args, kind: Option<&str>) -> Outcome {
    let format = args.one("format").unwrap_or_default();
    let template = match format.as_str() {
        "" | "json" => None,
        text => {
            let parsed = Template::parse(&text.replace("\\t", "\t").replace("\\n", "\n"));
            Some(parsed.map_err(|error| Failure::template(&error, 64))?)
        }
    };
    let client = session.client()?;
    let size = kind != Some("image") && args.on("size");
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for name in &args.free {
        match look_up(client, name, kind, size) {
            Ok(text) => found.push(text),
            Err(failure) => failures.push(failure.text),
        }
    }
    let mut out = String::new();
    match &template {
        None if format == "json" => {
            let objects: Vec<String> = found.iter().map(|text| compact(text)).collect();
            out = format!("[{}]\n", objects.join(","));
        }
        None => {
            let objects: Vec<String> =
                found.iter().map(|text| format!("\n    {}", reindent(text, 1))).collect();
            let end = if objects.is_empty() { "" } else { "\n" };
            out = format!("[{}{end}]\n", objects.join(","));
        }
        Some(template) => {
            for text in &found {
                match apply(template, text) {
                    Ok(line) => out.push_str(&line),
                    Err(failure) => {
                        failures.push(failure.text);
                        break;
                    }
                }
            }
            if out.is_empty() {
                out.push('\n');
            }
        }
    }
    print(&out)?;
    if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
}

fn apply(template: &Template, text: &str) -> Result<String, Failure> {
    let object: Value = serde_json::from_str(text)
        .map_err(|error| Failure::new(format!("the daemon's answer is not understood: {error}")))?;
    let line = template.run(&object).map_err(|error| Failure::template(&error, 1))?;
    Ok(format!("{line}\n"))
}

/// The object called `name`: a container, else an image.
fn look_up(client: &Client, name: &str, kind: Option<&str>, size: bool) -> Result<String, Failure> {
    let get = |family: &str| {
        let target =
            Target::new(&[family, name, "json"]).flag("size", size && family == "containers");
        client.get_text(target.as_str())
    };
    match kind {
        Some("image") => get("images"),
        Some(_) => get("containers"),
        None => match get("containers") {
            Err(failure) if failure.is_not_found() => match get("images") {
                Err(failure) if failure.is_not_found() => {
                    Err(Failure::new(format!("Error: No such object: {name}")))
                }
                answer => answer,
            },
            answer => answer,
        },
    }
}
