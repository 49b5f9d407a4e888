//! `inspect`, for objects of any kind and in the groups.

use serde_json::Value;

use crate::cli::args::Args;
use crate::cli::client::Target;
use crate::cli::fail::{Failure, Outcome};
use crate::cli::output::print;
use crate::cli::reindent::{compact, reindent};
use crate::cli::session::Session;
use crate::cli::template::{Kind, Template};

/// Kinds that `--type` may name.
const KINDS: &[&str] = &[
    "config",
    "container",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
];

/// Where objects are looked for, in this order: the kind's name, the path around the object's
/// name, and the type that templates see.
const FAMILIES: [(&str, &str, &str, Kind); 4] = [
    ("container", "containers", "json", "Container"),
    ("image", "images", "json", "Image"),
    ("network", "networks", "", "Network"),
    ("volume", "volumes", "", "Volume"),
];

/// `inspect`
pub(crate) fn any(session: &Session, args: &Args) -> Outcome {
    match args.one("type").as_deref() {
        None => inspect(session, args, ""),
        Some(kind) if FAMILIES.iter().any(|(name, ..)| *name == kind) => {
            inspect(session, args, kind)
        }
        Some(kind) if KINDS.contains(&kind) => {
            Err(Failure::not_served(&format!("inspecting a {kind}")))
        }
        Some(kind) => {
            let what = match kind {
                "" => "type is empty".to_owned(),
                kind => format!("unknown type: {kind:?}"),
            };
            let known = KINDS.join("\", \"");
            Err(Failure::new(format!("{what}: must be one of \"{known}\"")))
        }
    }
}

/// `container inspect`
pub(crate) fn containers(session: &Session, args: &Args) -> Outcome {
    inspect(session, args, "container")
}

/// `image inspect`
pub(crate) fn images(session: &Session, args: &Args) -> Outcome {
    inspect(session, args, "image")
}

/// `network inspect`
pub(crate) fn networks(session: &Session, args: &Args) -> Outcome {
    inspect(session, args, "network")
}

/// Objects of one kind, or of the first in which the name is found.
fn inspect(session: &Session, args: &Args, wanted: &str) -> Outcome {
    let client = session.client()?;
    let size = args.on("size");
    show(args, &args.free, &|name| {
        for (family, path, end, kind) in FAMILIES {
            if !wanted.is_empty() && wanted != family {
                continue;
            }
            let parts = [path, name, end];
            let parts = if end.is_empty() { &parts[..2] } else { &parts };
            let target = Target::new(parts).flag("size", size && family == "container");
            match client.get_text(target.as_str()) {
                Ok(text) => {
                    if size && family != "container" {
                        eprintln!("WARNING: --size ignored for {family}");
                    }
                    return Ok((kind, text));
                }
                Err(failure) if wanted.is_empty() && is_elsewhere(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::new(format!("Error: No such object: {name}")))
    })
}

/// Whether the object may be of another kind: it is not there, there is no such family, or what
/// names it cannot name an image.
fn is_elsewhere(failure: &Failure) -> bool {
    matches!(failure.status, 404 | 501) || failure.text.contains("invalid reference format")
}

/// An object: its type, and its JSON.
pub(crate) type Found = Result<(Kind, String), Failure>;

/// Shows the objects that `names` mean: as a list, or by the template of `--format`. `look_up`
/// gives the type of an object and its JSON.
///
/// # Errors
/// What was not found, after what was shown; a template that does not parse.
pub(crate) fn show(args: &Args, names: &[String], look_up: &dyn Fn(&str) -> Found) -> Outcome {
    let format = args.one("format").unwrap_or_default();
    let template = match format.as_str() {
        "" | "json" => None,
        text => Some(Template::parse(text).map_err(|error| Failure::template(&error, 64))?),
    };
    let mut failures = Vec::new();
    let (mut objects, mut out) = (Vec::new(), String::new());
    for name in names {
        let shown = look_up(name).and_then(|(kind, text)| match &template {
            None if format == "json" => {
                objects.push(compact(&text));
                Ok(())
            }
            None => {
                objects.push(format!("\n    {}", reindent(&text, 1)));
                Ok(())
            }
            Some(template) => {
                out.push_str(&apply(template, kind, &text)?);
                Ok(())
            }
        });
        if let Err(failure) = shown {
            failures.push(failure.text);
        }
    }
    if template.is_none() {
        let end = if objects.is_empty() || format == "json" { "" } else { "\n" };
        out = format!("[{}{end}]\n", objects.join(","));
    } else if out.is_empty() {
        out.push('\n');
    }
    print(&out)?;
    if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
}

fn apply(template: &Template, kind: Kind, text: &str) -> Result<String, Failure> {
    let object: Value = serde_json::from_slice(text.as_bytes())
        .map_err(|error| Failure::new(format!("the daemon's answer is not understood: {error}")))?;
    let line =
        template.run_on_object(kind, &object).map_err(|error| Failure::template(&error, 1))?;
    Ok(line + "\n")
}
