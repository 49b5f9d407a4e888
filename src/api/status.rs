//! From the kind of an error to the status that today's clients expect.

use crate::base::{Error, Kind};
use crate::http::Reply;
use crate::wire::system::ErrorBody;

/// The status of an answer that failed with `kind`.
pub(super) fn of(kind: Kind) -> u16 {
    match kind {
        Kind::NotModified => 304,
        // A program that cannot be started is a wrong request: its clients sent the name.
        Kind::BadParameter | Kind::TooLong | Kind::ProgramNotFound | Kind::ProgramNotExecutable => {
            400
        }
        Kind::Unauthorized => 401,
        Kind::Forbidden => 403,
        Kind::NotFound => 404,
        Kind::Conflict => 409,
        Kind::TimedOut | Kind::ClientGone | Kind::NoSpace | Kind::Internal => 500,
        Kind::NotImplemented => 501,
        Kind::Unavailable => 503,
    }
}

/// The answer for `error`.
pub(super) fn reply(error: &Error) -> Reply {
    let status = of(error.kind());
    if status == 304 {
        return Reply { status, ..Reply::default() };
    }
    let body = ErrorBody { message: message(error) };
    Reply {
        status,
        content_type: "application/json",
        headers: Vec::new(),
        body: super::call::json(&body),
    }
}

/// The text of `error`. Clients find out by certain words alone, and in lower case, why a program
/// could not be started, and exit with 127 or 126 then; the words follow where they are missing.
fn message(error: &Error) -> String {
    let text = error.to_string();
    let words: &[&str] = match error.kind() {
        Kind::ProgramNotFound => &["executable file not found", "no such file or directory"],
        Kind::ProgramNotExecutable => &["permission denied"],
        _ => return text,
    };
    if words.iter().any(|words| text.contains(words)) {
        return text;
    }
    let lower = text.to_ascii_lowercase();
    let missing = words.iter().find(|words| lower.contains(*words)).unwrap_or(&words[0]);
    format!("{text} ({missing})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_what_went_wrong() {
        let reply = reply(&Error::no_such("container", "web"));
        assert_eq!(reply.status, 404);
        assert_eq!(reply.body, b"{\"message\":\"No such container: web\"}\n");
        assert!(super::reply(&Error::new(Kind::NotModified, "")).body.is_empty());
    }

    #[test]
    fn clients_find_their_words_in_a_failed_start() {
        let check = |kind, text: &str, expected: &str| {
            assert_eq!(message(&Error::new(kind, text)), expected);
        };
        let not_found = "exec: \"nope\": executable file not found in $PATH";
        check(Kind::ProgramNotFound, not_found, not_found);
        check(
            Kind::ProgramNotFound,
            "exec /x: No such file or directory (os error 2)",
            "exec /x: No such file or directory (os error 2) (no such file or directory)",
        );
        check(Kind::ProgramNotFound, "exec /x", "exec /x (executable file not found)");
        check(
            Kind::ProgramNotExecutable,
            "exec: \"/etc\": is a directory",
            "exec: \"/etc\": is a directory (permission denied)",
        );
        check(Kind::NotFound, "x", "x");
    }
}
