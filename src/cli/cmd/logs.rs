//! `logs`: what a container has written, and goes on to write.

use std::io::Read;

use crate::base::Timestamp;
use crate::cli::args::Args;
use crate::cli::attach::Outputs;
use crate::cli::client::{Client, Target, broken};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::session::Session;
use crate::cli::value::point_in_time;
use crate::http::client::RequestBody;
use crate::wire::container::inspect::Brief;

/// `logs`
pub(crate) fn logs(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    let name = args.free.first().map_or("", String::as_str);
    let now = Timestamp::now();
    let time = |flag| {
        let given = args.one(flag).filter(|text| !text.is_empty());
        given.map(|text| {
            point_in_time(&text, now)
                .map_err(|reason| Failure::new(format!("invalid value for \"{flag}\": {reason}")))
        })
    };
    let tail = args.one("tail").filter(|tail| tail != "all");
    let target = Target::new(&["containers", name, "logs"])
        .query("stdout", "1")
        .query("stderr", "1")
        .flag("follow", args.on("follow"))
        .flag("timestamps", args.on("timestamps"))
        .flag("details", args.on("details"))
        .maybe("since", time("since").transpose()?.as_deref())
        .maybe("until", time("until").transpose()?.as_deref())
        .maybe("tail", tail.as_deref());
    let mut response = client.stream("GET", target.as_str(), RequestBody::Empty)?;
    let raw = match response.headers.get("Content-Type") {
        Some(kind) if kind.contains("multiplexed-stream") => false,
        Some(kind) if kind.contains("raw-stream") => true,
        // Before API 1.42 the answer did not tell.
        _ => has_terminal(client, name)?,
    };
    let mut out = Outputs::new(raw)?;
    let mut chunk = vec![0; 256 << 10];
    loop {
        match response.read(&mut chunk).map_err(broken)? {
            0 => return Ok(0),
            count => out.write(&chunk[..count])?,
        }
    }
}

fn has_terminal(client: &Client, name: &str) -> Result<bool, Failure> {
    let container: Brief = client.get(Target::new(&["containers", name, "json"]).as_str())?;
    Ok(container.config.tty)
}
