//! `context`: names for daemons.

use serde_json::{Map, Value, json};

use super::inspect::show;
use crate::base::order;
use crate::cli::args::Args;
use crate::cli::client::parse_host;
use crate::cli::context::{Context, DEFAULT, check_name};
use crate::cli::fail::{Failure, Outcome, for_each};
use crate::cli::format::List;
use crate::cli::output::{ellipsis, escaped, print};
use crate::cli::session::Session;

const FIELDS: &[(&str, &str)] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("DockerEndpoint", "DOCKER ENDPOINT"),
    ("Error", "ERROR"),
    ("Current", ""),
];
const TABLE: &str = "table {{.Name}}{{if .Current}} *{{end}}\\t{{.Description}}\\t\
                     {{.DockerEndpoint}}\\t{{.Error}}";

/// `context ls`
pub(crate) fn list(session: &Session, args: &Args) -> Outcome {
    let current = session.context();
    let mut contexts = session.contexts().list()?;
    contexts.push(default(session)?);
    let about = "Current DOCKER_HOST based configuration";
    if let Some(context) = contexts.last_mut() {
        context.meta["Metadata"]["Description"] = about.into();
    }
    let mut rows: Vec<Value> = contexts.iter().map(|context| row(context, &current)).collect();
    if !contexts.iter().any(|context| context.name == current) {
        let error = session.contexts().get(&current).err().map_or_else(String::new, |f| f.text);
        let name = current.as_str();
        let error = ellipsis(&error, 45);
        rows.push(json!({"Name": name, "Description": "", "DockerEndpoint": "", "Error": error, "Current": true}));
    }
    order::sort_by(&mut rows, |a, b| a["Name"].as_str().cmp(&b["Name"].as_str()));
    let mut format = args.one("format").unwrap_or_default();
    if args.on("quiet") {
        format = "{{.Name}}".to_owned();
    } else if matches!(format.as_str(), "" | "table") {
        format = TABLE.to_owned();
    }
    let list = List { fields: FIELDS, columns: &[], complaint: ["template parsing error"; 2] };
    print(&list.render(&format, &rows)?)?;
    if is_overruled() {
        eprintln!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a \
             context, either set the global --context flag, or unset DOCKER_HOST environment \
             variable."
        );
    }
    Ok(0)
}

fn is_overruled() -> bool {
    std::env::var_os("DOCKER_HOST").is_some_and(|host| !host.is_empty())
}

fn row(context: &Context, current: &str) -> Value {
    json!({
        "Name": escaped(&context.name),
        "Description": escaped(context.description()),
        "DockerEndpoint": escaped(context.host()),
        "Error": "",
        "Current": context.name == current,
    })
}

/// The context that has no file.
fn default(session: &Session) -> Result<Context, Failure> {
    let host = session.default_host()?;
    let meta = json!({
        "Name": DEFAULT,
        "Metadata": {},
        "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": false}},
    });
    Ok(Context { name: DEFAULT.to_owned(), meta })
}

/// `context show`
pub(crate) fn current(session: &Session, _args: &Args) -> Outcome {
    print(&format!("{}\n", session.context()))?;
    Ok(0)
}

/// `context use`
pub(crate) fn choose(session: &Session, args: &Args) -> Outcome {
    let name = args.free[0].as_str();
    if name == DEFAULT {
        session.config().set("currentContext", "")?;
    } else {
        check_name(name)?;
        session.contexts().get(name)?;
        session.config().set("currentContext", name)?;
    }
    print(&format!("{name}\n"))?;
    eprintln!("Current context is now {name:?}");
    if name != DEFAULT && is_overruled() {
        eprintln!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use \
             {name:?}, either set the global --context flag, or unset DOCKER_HOST environment \
             variable."
        );
    }
    Ok(0)
}

/// `context create`
pub(crate) fn create(session: &Session, args: &Args) -> Outcome {
    let name = args.free[0].as_str();
    check_name(name)?;
    let given = args.one("docker");
    let from = args.one("from").filter(|from| !from.is_empty());
    let template = match (&given, from) {
        (Some(_), Some(_)) => {
            return Err(Failure::new("cannot use --docker flag when --from is set"));
        }
        (Some(_), None) => None,
        (None, from) => Some(from.unwrap_or_else(|| session.context())),
    };
    let (host, mut about) = match (given, template) {
        (Some(endpoint), _) => (endpoint_host(session, &endpoint)?, String::new()),
        (None, Some(other)) => {
            let other = one(session, &other)?;
            (other.host().to_owned(), other.description().to_owned())
        }
        (None, None) => (session.default_host()?, String::new()),
    };
    about = args.one("description").filter(|text| !text.is_empty()).unwrap_or(about);
    session.contexts().create(name, &host, &about)?;
    print(&format!("{name}\n"))?;
    eprintln!("Successfully created context {name:?}");
    Ok(0)
}

/// `host=tcp://h:1` or `from=NAME`; what speaks of TLS is refused by name.
fn endpoint_host(session: &Session, text: &str) -> Result<String, Failure> {
    let mut host = None;
    for pair in text.split(',') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let failed =
            |why: &str| Failure::new(format!("unable to create docker endpoint config: {why}"));
        match key {
            "host" if !value.is_empty() => {
                parse_host(value).map_err(|failure| failed(&failure.text))?;
                host = Some(value.to_owned());
            }
            "from" if !value.is_empty() => host = Some(one(session, value)?.host().to_owned()),
            "skip-tls-verify" if matches!(value, "false" | "") => {}
            "ca" | "cert" | "key" | "skip-tls-verify" => {
                return Err(Failure::not_served(&format!("'{key}' of a context")));
            }
            _ => return Err(failed(&format!("unrecognized config key: {key}"))),
        }
    }
    host.ok_or_else(|| Failure::new("docker endpoint configuration is required"))
}

/// The context called `name`, the default one included.
fn one(session: &Session, name: &str) -> Result<Context, Failure> {
    if name == DEFAULT { default(session) } else { session.contexts().get(name) }
}

/// `context rm`
pub(crate) fn remove(session: &Session, args: &Args) -> Outcome {
    let current = session.context();
    let force = args.on("force");
    for_each(&args.free, |name| {
        if name == DEFAULT {
            return Err(Failure::new("context \"default\" cannot be removed"));
        }
        if *name == current {
            if !force {
                let text = format!("context {name:?} is in use, set -f flag to force remove");
                return Err(Failure::new(text));
            }
            session.config().set("currentContext", "")?;
        }
        session.contexts().remove(name, force)?;
        print(&format!("{name}\n"))
    })
}

/// `context inspect`
pub(crate) fn inspect(session: &Session, args: &Args) -> Outcome {
    let current = [session.context()];
    let names = if args.free.is_empty() { current.as_slice() } else { args.free.as_slice() };
    show(args, names, &|name| {
        let context = one(session, name)?;
        let path = |kind| match name {
            DEFAULT => Ok("\"\\u003cIN MEMORY\\u003e\"".to_owned()),
            _ => {
                let path = session.contexts().directory(kind, name)?;
                Ok::<_, Failure>(Value::from(path.display().to_string()).to_string())
            }
        };
        let (meta_path, tls_path) = (path("meta")?, path("tls")?);
        // The order of the keys is that of Docker's clients.
        let meta = |key: &str| context.meta.get(key).cloned().unwrap_or(Value::Object(Map::new()));
        let text = format!(
            "{{\"Name\":{},\"Metadata\":{},\"Endpoints\":{},\"TLSMaterial\":{{}},\
             \"Storage\":{{\"MetadataPath\":{meta_path},\"TLSPath\":{tls_path}}}}}",
            Value::from(name),
            meta("Metadata"),
            meta("Endpoints"),
        );
        Ok(("ContextInfo", text))
    })
}
