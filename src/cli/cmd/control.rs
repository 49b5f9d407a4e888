//! `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`, `wait`, `rename`: one request per container.

use crate::cli::args::Args;
use crate::cli::client::{self, Client, Target};
use crate::cli::fail::{Failure, Outcome, for_each};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::http::client::RequestBody;
use crate::wire::container::WaitResponse;

/// `stop`
pub(crate) fn stop(session: &Session, args: &Args) -> Outcome {
    stop_or_restart(session, args, "stop")
}

/// `restart`
pub(crate) fn restart(session: &Session, args: &Args) -> Outcome {
    stop_or_restart(session, args, "restart")
}

fn stop_or_restart(session: &Session, args: &Args, verb: &str) -> Outcome {
    let client = session.client()?;
    let old = args.number("time");
    if old.is_some() {
        eprintln!("Flag --time has been deprecated, use --timeout instead");
    }
    if old.is_some() && args.number("timeout").is_some() {
        let text = "conflicting options: cannot specify both --timeout and --time";
        return Err(Failure::new(text));
    }
    let timeout = args.number("timeout").or(old).map(|seconds| seconds.to_string());
    let signal = args.one("signal");
    each_at_once(client, &args.free, &|client, name| {
        let target = Target::new(&["containers", name, verb])
            .maybe("t", timeout.as_deref())
            .maybe("signal", signal.as_deref());
        client.post(target.as_str())
    })
}

/// So many containers are stopped at the same time: each may take its whole grace period.
const AT_ONCE: usize = 32;

/// Does `work` on all `names` at once and prints each that it was done to, in their order. All
/// failures are told, as [`for_each`] tells them.
fn each_at_once(
    client: &Client,
    names: &[String],
    work: &(dyn Fn(&Client, &str) -> Result<(), Failure> + Sync),
) -> Outcome {
    let mut texts = Vec::new();
    for some in names.chunks(AT_ONCE) {
        std::thread::scope(|scope| -> Result<(), Failure> {
            let mut running = Vec::new();
            for name in some {
                let client = client.another();
                running.push(scope.spawn(move || work(&client, name)));
            }
            for (name, one) in some.iter().zip(running) {
                match one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                    Ok(()) => print(&format!("{name}\n"))?,
                    Err(failure) => texts.push(failure.text),
                }
            }
            Ok(())
        })?;
    }
    if texts.is_empty() { Ok(0) } else { Err(Failure::new(texts.join("\n"))) }
}

/// `kill`
pub(crate) fn kill(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    let signal = args.one("signal").unwrap_or_else(|| "KILL".to_owned());
    for_each(&args.free, |name| {
        let target = Target::new(&["containers", name, "kill"]).query("signal", &signal);
        post_and_print(client, &target, name)
    })
}

/// `pause`
pub(crate) fn pause(session: &Session, args: &Args) -> Outcome {
    post_to_each(session, args, "pause")
}

/// `unpause`
pub(crate) fn unpause(session: &Session, args: &Args) -> Outcome {
    post_to_each(session, args, "unpause")
}

fn post_to_each(session: &Session, args: &Args, verb: &str) -> Outcome {
    let client = session.client()?;
    for_each(&args.free, |name| {
        post_and_print(client, &Target::new(&["containers", name, verb]), name)
    })
}

fn post_and_print(client: &Client, target: &Target, name: &str) -> Result<(), Failure> {
    client.post(target.as_str())?;
    print(&format!("{name}\n"))
}

/// `rm`
pub(crate) fn remove(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    let force = args.on("force");
    for_each(&args.free, |name| {
        let name = name.trim_matches('/');
        if name.is_empty() {
            return Err(Failure::new("Container name cannot be empty"));
        }
        let target =
            Target::new(&["containers", name]).flag("force", force).flag("v", args.on("volumes"));
        match client.delete(target.as_str()) {
            Ok(_) => print(&format!("{name}\n")),
            Err(failure) if force && failure.is_not_found() => {
                eprintln!("{}", failure.text);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    })
}

/// `wait`
pub(crate) fn wait(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    for_each(&args.free, |name| {
        let target = Target::new(&["containers", name, "wait"]);
        let response = client.stream("POST", target.as_str(), RequestBody::Empty)?;
        let answer: WaitResponse = client::read(&client::whole(response)?)?;
        match answer.error.filter(|error| !error.message.is_empty()) {
            Some(error) => Err(Failure::new(error.message)),
            None => print(&format!("{}\n", answer.status_code)),
        }
    })
}

/// `rename`
pub(crate) fn rename(session: &Session, args: &Args) -> Outcome {
    let [from, to] = args.free.as_slice() else { return Ok(1) };
    let (from, to) = (from.trim(), to.trim());
    if from.is_empty() || to.is_empty() {
        return Err(Failure::new("Error: Neither old nor new names may be empty"));
    }
    let target = Target::new(&["containers", from, "rename"]).query("name", to);
    session.client()?.post(target.as_str()).map_err(|failure| {
        let text = format!("{}\nError: failed to rename container named {from}", failure.text);
        Failure { text, ..failure }
    })?;
    Ok(0)
}
