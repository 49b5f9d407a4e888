//! `import`: an image from a file, from standard input, or from the web.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};

use super::create::reason;
use super::images::target;
use crate::base::units::human_size;
use crate::cli::args::Args;
use crate::cli::client::{Target, objects};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::output::{escaped, print};
use crate::cli::session::Session;
use crate::http::client::{RequestBody, Response};
use crate::wire::stream::{Message, ProgressDetail};

/// `import`
pub(crate) fn import(session: &Session, args: &Args) -> Outcome {
    let source = &args.free[0];
    let named = match args.free.get(1) {
        Some(name) => Some(target(name, args.free.get(2))?),
        None => None,
    };
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    let mut query = Target::new(&["images", "create"])
        .query("fromSrc", if is_url { source } else { "-" })
        .maybe("repo", named.as_ref().map(|(repository, _)| repository.as_str()))
        .maybe("tag", named.as_ref().map(|(_, tag)| tag.as_str()))
        .maybe("message", args.one("message").as_deref())
        .maybe("platform", args.one("platform").as_deref());
    for change in args.all("change") {
        query = query.query("changes", &change);
    }
    let mut input: Box<dyn Read> = match source.as_str() {
        _ if is_url => Box::new(std::io::empty()),
        "-" => Box::new(std::io::stdin().lock()),
        path => Box::new(
            File::open(path)
                .map_err(|error| Failure::new(format!("open {path}: {}", reason(&error))))?,
        ),
    };
    let body = match is_url {
        true => RequestBody::Empty,
        false => RequestBody::Stream("application/x-tar", &mut input),
    };
    let response = session.client()?.stream("POST", query.as_str(), body)?;
    let id = show(response)?;
    print(&format!("{id}\n"))?;
    Ok(0)
}

/// Shows a progress stream on standard error; the last status that stands alone is the result.
///
/// # Errors
/// What the stream says; a stream that breaks off.
pub(crate) fn show(response: Response) -> Result<String, Failure> {
    let terminal = std::io::stderr().is_terminal();
    let mut last = None;
    let mut open_line = false;
    let mut err = std::io::stderr().lock();
    for message in objects::<Message>(response) {
        let message = message?;
        if let Some(error) = message.error_detail {
            return Err(Failure::new(error.message));
        }
        if let Some(detail) = message.progress_detail.filter(|detail| detail.current > 0) {
            if terminal {
                let bar = bar(&detail);
                // Nobody is left to be told when standard error is gone.
                drop(write!(err, "\r\x1b[K{} {bar}", escaped(&message.status)));
                open_line = true;
            }
            continue;
        }
        if let Some(status) = last.replace(message.status).filter(|status| !status.is_empty()) {
            let start = if open_line { "\r\x1b[K" } else { "" };
            drop(writeln!(err, "{start}{}", escaped(&status)));
            open_line = false;
        }
    }
    if open_line {
        drop(write!(err, "\r\x1b[K"));
    }
    last.filter(|status| !status.is_empty())
        .ok_or_else(|| Failure::new("the daemon's answer broke off"))
}

/// `[====>    ]  12MB/34MB`
fn bar(detail: &ProgressDetail) -> String {
    let current = human_size(detail.current, 4, "");
    if detail.total == 0 {
        return current;
    }
    let done = detail.current.min(detail.total).saturating_mul(50) / detail.total;
    let done = usize::try_from(done).unwrap_or(50);
    let head = if done < 50 { ">" } else { "" };
    format!("[{:<50}]  {current}/{}", "=".repeat(done) + head, human_size(detail.total, 4, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up() {
        let shown = |current, total| bar(&ProgressDetail { current, total });
        assert_eq!(shown(500, 0), "500B");
        assert_eq!(shown(500, 1_000), format!("[{}>{}]  500B/1kB", "=".repeat(25), " ".repeat(24)));
        assert_eq!(shown(1_000, 1_000), format!("[{}]  1kB/1kB", "=".repeat(50)));
        assert_eq!(shown(2_000, 1_000), format!("[{}]  2kB/1kB", "=".repeat(50)));
    }
}
