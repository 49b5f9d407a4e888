//! Messages of `images/create` and its like: JSON from 1.1 on, before that text.
//!
//! Nothing stands between messages or behind the last.

use crate::base::units::human_size;

/// In which form a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// JSON objects.
    Json,
    /// Lines for a terminal.
    Text,
}

/// Least bytes between two messages of one transfer.
const STEP: u64 = 512 << 10;

/// After how many bytes of `total` (0: not known) the next message is due.
pub fn step(total: u64) -> u64 {
    if total == 0 { STEP } else { STEP.min(total / 100) }
}

impl Voice {
    /// A line of text.
    pub fn status(self, text: &str) -> Vec<u8> {
        match self {
            Voice::Text => format!("{text}\r\n").into_bytes(),
            Voice::Json if text.is_empty() => b"{}".to_vec(),
            Voice::Json => object(&[("status", text)], ""),
        }
    }

    /// How far `action` has come; a total of 0 is not known.
    pub fn progress(self, action: &str, done: u64, total: u64) -> Vec<u8> {
        let size = |bytes| human_size(bytes, 4, " ");
        let far = match done.saturating_mul(100).checked_div(total) {
            None => format!("{done:>8}/? (n/a)"),
            Some(percent) => format!("{:>8}/{} ({percent}%)", size(done), size(total)),
        };
        match self {
            Voice::Text => format!("{action} {far}\r").into_bytes(),
            Voice::Json => object(&[("status", action), ("progress", &far)], ""),
        }
    }

    /// What broke the stream off.
    pub fn failure(self, text: &str) -> Vec<u8> {
        match self {
            Voice::Text => format!("Error: {text}\r\n").into_bytes(),
            Voice::Json => {
                let detail = object(&[("message", text)], "");
                let detail = String::from_utf8_lossy(&detail);
                object(&[("error", text)], &format!(",\"errorDetail\":{detail}"))
            }
        }
    }
}

/// An object of texts; `more` is written before its end as it is.
fn object(fields: &[(&str, &str)], more: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.extend_from_slice(if out.is_empty() { b"{\"" } else { b",\"" });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend(super::json(*value));
    }
    out.extend_from_slice(more.as_bytes());
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_two_forms() {
        let check = |made: Vec<u8>, text: &str| assert_eq!(String::from_utf8(made).unwrap(), text);
        check(Voice::Json.status("a \"<b>\""), r#"{"status":"a \"\u003cb\u003e\""}"#);
        check(Voice::Json.status(""), "{}");
        check(Voice::Text.status("a"), "a\r\n");
        check(Voice::Text.status(""), "\r\n");
        check(
            Voice::Json.progress("Importing", 60, 60),
            r#"{"status":"Importing","progress":"    60 B/60 B (100%)"}"#,
        );
        check(Voice::Text.progress("Importing", 12_345, 0), "Importing    12345/? (n/a)\r");
        check(
            Voice::Json.progress("Importing", 1_024, 180_100_000),
            r#"{"status":"Importing","progress":"1.024 kB/180.1 MB (0%)"}"#,
        );
        check(Voice::Json.failure("no"), r#"{"error":"no","errorDetail":{"message":"no"}}"#);
        check(Voice::Text.failure("no"), "Error: no\r\n");
    }

    #[test]
    fn steps_are_a_hundredth_at_most() {
        assert_eq!(step(0), 512 << 10);
        assert_eq!(step(1000), 10);
        assert_eq!(step(1 << 40), 512 << 10);
    }
}
