//! `run`, `create`, `start` and `attach`: from the request to the exit code.
//!
//! The streams and the wait for the exit are in place before the container starts: nothing that
//! it writes is missed, and a container that removes itself is not gone before it was asked.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use super::create::{reason, request};
use super::import::show;
use crate::base::Digest;
use crate::cli::args::Args;
use crate::cli::attach::{Ended, Session as Attached, Wish};
use crate::cli::client::{self, Client, Hijacked, Target};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::output::{escaped, print};
use crate::cli::session::Session;
use crate::http::client::{RequestBody, Response};
use crate::model::Reference;
use crate::sys::tty;
use crate::wire::container::inspect::Brief;
use crate::wire::container::{Config, CreateRequest, CreateResponse, WaitResponse};

/// `run`
pub(crate) fn run(session: &Session, args: &Args) -> Outcome {
    let mut asked = request(args).map_err(|failure| match failure.text.as_str() {
        text if text.ends_with("--attach and --detach") => failure,
        _ => failure.of_run(),
    })?;
    add_proxies(session, &mut asked.config.env).map_err(Failure::of_run)?;
    check_terminal(asked.config.tty && asked.config.attach_stdin)?;
    start_new(session, args, &asked).map_err(|failure| match failure.code {
        1 => with_code_of_program(failure.of_run()),
        _ => failure,
    })
}

/// `create`
pub(crate) fn create(session: &Session, args: &Args) -> Outcome {
    let mut asked = request(args)?;
    add_proxies(session, &mut asked.config.env)?;
    let id = make(session.client()?, args, &asked)?;
    print(&format!("{id}\n"))?;
    Ok(0)
}

/// Adds the variables of the proxies that the user has configured, where nothing else was said.
fn add_proxies(session: &Session, env: &mut Option<Vec<String>>) -> Result<(), Failure> {
    for (name, value) in session.config().proxies(&session.client()?.host().to_string()) {
        let env = env.get_or_insert_default();
        if !env.iter().any(|entry| entry.split('=').next() == Some(&name)) {
            env.push(format!("{name}={value}"));
        }
    }
    Ok(())
}

/// A container that cannot start tells by its exit code whether its program was found.
pub(super) fn with_code_of_program(failure: Failure) -> Failure {
    let says = |words: &[&str]| words.iter().any(|word| failure.text.contains(word));
    if failure.status == 0 || failure.status == 404 {
        return failure;
    }
    match () {
        () if says(&["executable file not found", "no such file or directory"]) => {
            failure.code(127)
        }
        () if says(&["permission denied", "is a directory"]) => failure.code(126),
        () => failure,
    }
}

pub(super) fn check_terminal(needed: bool) -> Result<(), Failure> {
    use std::os::fd::AsFd;
    if needed && !tty::is_terminal(std::io::stdin().as_fd()) {
        return Err(Failure::new("the input device is not a TTY"));
    }
    Ok(())
}

fn start_new(session: &Session, args: &Args, asked: &CreateRequest) -> Outcome {
    let client = session.client()?;
    let id = make(client, args, asked)?;
    let Config { attach_stdin, attach_stdout, attach_stderr, tty, .. } = asked.config;
    if !(attach_stdin || attach_stdout || attach_stderr) {
        start_it(client, &id)?;
        print(&format!("{id}\n"))?;
        return Ok(0);
    }
    let wish = Wish {
        family: "containers",
        id,
        tty,
        stdin: attach_stdin,
        proxy: !tty && args.switch("sig-proxy").unwrap_or(true),
        detach_keys: session.detach_keys(args),
    };
    let streams = [(attach_stdout, "stdout"), (attach_stderr, "stderr")];
    let attached = Attached::new(client, wish.clone())?;
    let hijacked = attach_to(client, &wish, &streams)?;
    let waiting = wait_for(client, &wish.id, condition(asked.host_config.auto_remove))?;
    start_it(client, &wish.id)?;
    match follow(client, &wish, attached, hijacked, waiting, false)? {
        (_, Ended::Detached) => Ok(0),
        (code, Ended::Output) => Ok(code),
    }
}

/// Pumps, then asks for the exit code.
fn follow(
    client: &Client,
    wish: &Wish,
    attached: Attached<'_>,
    hijacked: Hijacked,
    waiting: Response,
    redraw: bool,
) -> Result<(u8, Ended), Failure> {
    if wish.tty {
        attached.resize(redraw);
    }
    let ended = attached.pump(hijacked)?;
    drop(attached); // from here on a signal ends us
    match ended {
        Ended::Detached => Ok((0, ended)),
        Ended::Output => Ok((exit_code(client, &wish.id, waiting)?, ended)),
    }
}

fn condition(removes_itself: bool) -> &'static str {
    if removes_itself { "removed" } else { "next-exit" }
}

fn start_it(client: &Client, id: &str) -> Result<(), Failure> {
    client.post(Target::new(&["containers", id, "start"]).as_str())
}

fn attach_to(client: &Client, wish: &Wish, streams: &[(bool, &str)]) -> Result<Hijacked, Failure> {
    let mut target = Target::new(&["containers", &wish.id, "attach"])
        .query("stream", "1")
        .flag("stdin", wish.stdin)
        .maybe("detachKeys", wish.detach_keys.as_deref());
    for &(on, name) in streams {
        target = target.flag(name, on);
    }
    client.hijack(target.as_str(), None)
}

/// Asks for the exit code; the answer's head says that the daemon watches.
fn wait_for(client: &Client, id: &str, condition: &str) -> Result<Response, Failure> {
    let target = Target::new(&["containers", id, "wait"]).query("condition", condition);
    client.stream("POST", target.as_str(), RequestBody::Empty)
}

/// How often a daemon that went away is asked again, a tenth of a second apart.
pub(super) const RETURNING: u32 = 100;

/// The exit code of `waiting`. A daemon that went away meanwhile is asked again when it is back:
/// the container has outlived it.
fn exit_code(client: &Client, id: &str, waiting: Response) -> Outcome {
    let mut answer = client::whole(waiting);
    for _ in 0..RETURNING {
        match &answer {
            Err(failure) if failure.status == 0 => {}
            _ => break,
        }
        std::thread::sleep(Duration::from_millis(100));
        answer = wait_for(client, id, "not-running").and_then(client::whole);
    }
    let answer: WaitResponse = client::read(&answer?)?;
    if let Some(error) = answer.error.filter(|error| !error.message.is_empty()) {
        let text = format!("Error waiting for container: {}", error.message);
        return Err(Failure::new(text).code(125));
    }
    Ok(u8::try_from(answer.status_code & 0xff).unwrap_or(255))
}

/// Creates a container; its id.
fn make(client: &Client, args: &Args, asked: &CreateRequest) -> Result<String, Failure> {
    let pull = args.one("pull").unwrap_or_else(|| "missing".to_owned());
    match pull.as_str() {
        "missing" | "never" | "always" => {}
        other => {
            return Err(Failure::new(format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            )));
        }
    }
    let image = &asked.config.image;
    if Digest::parse(image).is_none() && Digest::parse_hex(image).is_none() {
        Reference::parse(image).map_err(Failure::new)?;
    }
    let id_file = IdFile::create(args.one("cidfile"))?;
    let target = Target::new(&["containers", "create"])
        .maybe("name", args.one("name").as_deref())
        .maybe("platform", platform(args).as_deref());
    if pull == "always" {
        fetch(client, args, image)?;
    }
    let mut made: Result<CreateResponse, Failure> = client.post_json(target.as_str(), asked);
    if let Err(failure) = &made {
        let missing = failure.is_not_found() && failure.text.contains("No such image");
        if missing && pull == "missing" {
            let shown = Reference::parse(image).map_or_else(|_| image.clone(), |r| r.to_string());
            eprintln!("Unable to find image '{shown}' locally");
            fetch(client, args, image)?;
            made = client.post_json(target.as_str(), asked);
        }
    }
    let created = made?;
    for warning in &created.warnings {
        eprintln!("WARNING: {warning}");
    }
    id_file.write(&created.id)?;
    Ok(created.id)
}

/// The platform that is asked for, by flag or by the environment.
fn platform(args: &Args) -> Option<String> {
    let set = || std::env::var("DOCKER_DEFAULT_PLATFORM").ok();
    args.one("platform").or_else(set).filter(|platform| !platform.is_empty())
}

/// Has the daemon pull `image`; what it says goes to standard error.
fn fetch(client: &Client, args: &Args, image: &str) -> Result<(), Failure> {
    let reference = Reference::parse(image).map_err(Failure::new)?;
    let tag = match (&reference.tag, &reference.digest) {
        (_, Some(digest)) => digest.to_string(),
        (tag, None) => tag.clone().unwrap_or_else(|| "latest".to_owned()),
    };
    let target = Target::new(&["images", "create"])
        .query("fromImage", &reference.repository)
        .query("tag", &tag)
        .maybe("platform", platform(args).as_deref());
    let response = client.stream("POST", target.as_str(), RequestBody::Empty)?;
    show(response).map(|last| eprintln!("{}", escaped(&last)))
}

/// The file of `--cidfile`: made before the container, and removed again if none comes of it.
struct IdFile(Option<(String, std::fs::File)>);

impl IdFile {
    fn create(path: Option<String>) -> Result<IdFile, Failure> {
        let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(IdFile(None)) };
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => Ok(IdFile(Some((path, file)))),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Failure::new(format!(
                    "container ID file found, make sure the other container isn't running or delete {path}"
                )))
            }
            Err(error) => Err(Failure::new(format!(
                "failed to create the container ID file: open {path}: {}",
                reason(&error)
            ))),
        }
    }

    fn write(mut self, id: &str) -> Result<(), Failure> {
        match self.0.take() {
            Some((path, mut file)) => file.write_all(id.as_bytes()).map_err(|error| {
                Failure::new(format!(
                    "Failed to write the container ID to the file {path}: {error}"
                ))
            }),
            None => Ok(()),
        }
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.0 {
            // The failure that brought us here is told; this file was ours and is empty.
            drop(std::fs::remove_file(path));
        }
    }
}

/// `start`
pub(crate) fn start(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    if args.on("attach") || args.on("interactive") {
        return start_attached(session, args);
    }
    let mut failed = Vec::new();
    for name in &args.free {
        match start_it(client, name) {
            Ok(()) => print(&format!("{name}\n"))?,
            Err(failure) => {
                eprintln!("{}", failure.text);
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(0);
    }
    Err(Failure::new(format!("Error: failed to start containers: {}", failed.join(", "))))
}

fn start_attached(session: &Session, args: &Args) -> Outcome {
    let [name] = args.free.as_slice() else {
        return Err(Failure::new("you cannot start and attach multiple containers at once"));
    };
    let client = session.client()?;
    let container: Brief = client.get(Target::new(&["containers", name, "json"]).as_str())?;
    let tty = container.config.tty;
    let wish = Wish {
        family: "containers",
        id: container.id,
        tty,
        stdin: args.on("interactive") && container.config.open_stdin,
        proxy: !tty && args.switch("sig-proxy").unwrap_or(true),
        detach_keys: session.detach_keys(args),
    };
    check_terminal(wish.tty && wish.stdin)?;
    let attached = Attached::new(client, wish.clone())?;
    let hijacked = attach_to(client, &wish, &[(true, "stdout"), (true, "stderr")])?;
    let waiting = wait_for(client, &wish.id, condition(container.host_config.auto_remove))?;
    start_it(client, &wish.id).map_err(with_code_of_program)?;
    let (code, _) = follow(client, &wish, attached, hijacked, waiting, false)?;
    Ok(code)
}

/// `attach`
pub(crate) fn attach(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    let name = args.free.first().map_or("", String::as_str);
    let container: Brief = client.get(Target::new(&["containers", name, "json"]).as_str())?;
    let state = &container.state;
    let cannot = |what: &str| Err(Failure::new(format!("You cannot attach to a {what}")));
    match () {
        () if !state.running => return cannot("stopped container, start it first"),
        () if state.paused => return cannot("paused container, unpause it first"),
        () if state.restarting => {
            return cannot("restarting container, wait until it is running");
        }
        () => {}
    }
    let tty = container.config.tty;
    let wish = Wish {
        family: "containers",
        id: container.id,
        tty,
        stdin: container.config.open_stdin && !args.on("no-stdin"),
        proxy: !tty && args.switch("sig-proxy").unwrap_or(true),
        detach_keys: session.detach_keys(args),
    };
    check_terminal(wish.tty && wish.stdin)?;
    let waiting = wait_for(client, &wish.id, "not-running")?;
    let attached = Attached::new(client, wish.clone())?;
    let hijacked = attach_to(client, &wish, &[(true, "stdout"), (true, "stderr")])?;
    match follow(client, &wish, attached, hijacked, waiting, true)? {
        (_, Ended::Detached) => Err(Failure::new("read escape sequence")),
        (code, Ended::Output) => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_whether_the_program_was_found() {
        let code = |status: u16, text: &str| {
            let failure = Failure { status, ..Failure::new(text) };
            with_code_of_program(failure.of_run()).code
        };
        assert_eq!(code(400, "exec: \"x\": executable file not found in $PATH"), 127);
        assert_eq!(code(400, "exec /x: no such file or directory"), 127);
        assert_eq!(code(400, "exec /etc/passwd: permission denied"), 126);
        assert_eq!(code(500, "disk on fire"), 125);
        assert_eq!(code(404, "No such image: x"), 125);
        assert_eq!(code(0, "open /x: no such file or directory"), 125);
    }
}
