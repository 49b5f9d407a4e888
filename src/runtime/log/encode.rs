//! Output to records.
//!
//! The end of a batch that has no newline yet is kept as it came; the owner asks for it to be
//! recorded when the output pauses or ends.

use super::Stream;
use super::scan::{find, plain_ascii};
use crate::base::Timestamp;

/// Longest text of one record in bytes of output, as in Docker.
pub(super) const MAX_TEXT: usize = 16 * 1024;

const PREFIX: &[u8] = br#"{"log":""#;

/// What follows the text in a record: stream and time. One is made per batch.
pub(super) fn suffix(stream: Stream, time: Timestamp) -> String {
    let name = if stream == Stream::Stdout { "stdout" } else { "stderr" };
    format!("\",\"stream\":\"{name}\",\"time\":\"{}\"}}\n", time.rfc3339(9))
}

/// Unfinished lines of both streams.
#[derive(Default)]
pub(super) struct Encoder {
    unfinished: [Vec<u8>; 2],
}

impl Encoder {
    /// The line of `stream` that has no newline yet.
    pub(super) fn unfinished(&self, stream: Stream) -> &[u8] {
        &self.unfinished[stream.index()]
    }

    /// Appends the records of the lines that `bytes` end.
    pub(super) fn encode(&mut self, stream: Stream, bytes: &[u8], suffix: &str, out: &mut Vec<u8>) {
        let unfinished = &mut self.unfinished[stream.index()];
        let mut rest = bytes;
        while !unfinished.is_empty() && !rest.is_empty() {
            let window = &rest[..rest.len().min(MAX_TEXT - unfinished.len())];
            let newline = find(window, b'\n');
            let taken = newline.map_or(window.len(), |at| at + 1);
            unfinished.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            if newline.is_some() || unfinished.len() == MAX_TEXT {
                let recorded = record(unfinished, suffix, out, false);
                unfinished.drain(..recorded);
            }
        }
        while !rest.is_empty() {
            let recorded = record(rest, suffix, out, false);
            if recorded == 0 {
                unfinished.extend_from_slice(rest);
                return;
            }
            rest = &rest[recorded..];
        }
    }

    /// Appends a record of the unfinished line of `stream`, if there is one.
    pub(super) fn finish(&mut self, stream: Stream, suffix: &str, out: &mut Vec<u8>) {
        let unfinished = &mut self.unfinished[stream.index()];
        if !unfinished.is_empty() {
            record(unfinished, suffix, out, true);
            // Nobody may write for hours after a prompt.
            *unfinished = Vec::new();
        }
    }
}

/// Appends one record: the line that `bytes` begins with, or its first [`MAX_TEXT`] bytes. Gives
/// how many bytes it holds; none when the line is not finished and `last` is not set.
fn record(bytes: &[u8], suffix: &str, out: &mut Vec<u8>, last: bool) -> usize {
    let window = &bytes[..bytes.len().min(MAX_TEXT)];
    let full = window.len() == MAX_TEXT;
    let start = out.len();
    out.extend_from_slice(PREFIX);
    let mut at = 0;
    loop {
        let run = plain_ascii(&window[at..]);
        out.extend_from_slice(&window[at..at + run]);
        at += run;
        match window.get(at) {
            Some(b'\n') => {
                out.extend_from_slice(b"\\n");
                at += 1;
                break;
            }
            Some(byte) if byte.is_ascii() => {
                escape(*byte, out);
                at += 1;
            }
            Some(_) => {
                let run = window[at..].iter().take_while(|byte| !byte.is_ascii()).count();
                let ends_here = at + run == window.len() && !last;
                let taken = text(&window[at..at + run], ends_here, out);
                at += taken;
                if taken < run {
                    // A character that goes on in the next batch or record.
                    if full {
                        break;
                    }
                    out.truncate(start);
                    return 0;
                }
            }
            None if full || last => break,
            None => {
                out.truncate(start);
                return 0;
            }
        }
    }
    out.extend_from_slice(suffix.as_bytes());
    at
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
        }
    }
}

/// Appends a run of bytes above ASCII; what is no UTF-8 becomes U+FFFD. With `ends_here` an
/// unfinished character at the end is left out. Gives how many bytes were taken.
fn text(run: &[u8], ends_here: bool, out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while at < run.len() {
        match std::str::from_utf8(&run[at..]) {
            Ok(valid) => {
                out.extend_from_slice(valid.as_bytes());
                return run.len();
            }
            Err(error) => {
                out.extend_from_slice(&run[at..at + error.valid_up_to()]);
                at += error.valid_up_to();
                match error.error_len() {
                    None if ends_here => return at,
                    None => at = run.len(),
                    Some(length) => at += length,
                }
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFIX: &str = "\",\"stream\":\"stdout\"}\n";

    fn encode(pieces: &[&[u8]]) -> String {
        let mut encoder = Encoder::default();
        let mut out = Vec::new();
        for piece in pieces {
            encoder.encode(Stream::Stdout, piece, SUFFIX, &mut out);
        }
        encoder.finish(Stream::Stdout, SUFFIX, &mut out);
        String::from_utf8(out).unwrap().replace("\",\"stream\":\"stdout\"}", "")
    }

    #[test]
    fn text_is_written_as_json() {
        let check = |pieces: &[&[u8]], expected: &str| {
            assert_eq!(encode(pieces), expected, "{pieces:?}");
        };
        check(&[b"hello\n"], "{\"log\":\"hello\\n\n");
        check(&[b"a\nb"], "{\"log\":\"a\\n\n{\"log\":\"b\n");
        check(&[b"he", b"llo", b"\nx\n"], "{\"log\":\"hello\\n\n{\"log\":\"x\\n\n");
        check(&[b"\n\n"], "{\"log\":\"\\n\n{\"log\":\"\\n\n");
        check(&[b"\"\\\t\r\x1b[0m\0\x7f\n"], "{\"log\":\"\\\"\\\\\\t\\r\\u001b[0m\\u0000\x7f\\n\n");
        check(
            &["gr\u{fc}\u{df} \u{2028}<&>\n".as_bytes()],
            "{\"log\":\"gr\u{fc}\u{df} \u{2028}<&>\\n\n",
        );
        check(&[b"a\xffb\xc3\n"], "{\"log\":\"a\u{fffd}b\u{fffd}\\n\n");
        check(&[b"\xe2\x82", b"\xac\n"], "{\"log\":\"\u{20ac}\\n\n");
        check(&[b"\xe2\x82"], "{\"log\":\"\u{fffd}\n");
    }

    #[test]
    fn a_forged_record_stays_text() {
        let forged = b"\"}\n{\"log\":\"forged\\n\",\"stream\":\"stdout\"}\n";
        let records = encode(&[forged]);
        assert_eq!(records.lines().count(), 2);
        assert!(records.lines().all(|line| line.starts_with("{\"log\":\"")));
        assert!(!records[1..].contains("{\"log\":\"forged"));
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let euros = "\u{20ac}".repeat(10_000);
        for offset in 0..3 {
            let mut line = "x".repeat(offset).into_bytes();
            line.extend_from_slice(euros.as_bytes());
            line.push(b'\n');
            for size in [1, 1000, 100_000] {
                let pieces: Vec<&[u8]> = line.chunks(size).collect();
                let records = encode(&pieces);
                assert!(!records.contains('\u{fffd}'));
                assert_eq!(records.lines().count(), 2);
                let joined: String =
                    records.lines().map(|record| &record[PREFIX.len()..]).collect();
                assert_eq!(joined.len(), line.len() + 1);
                assert!(records.lines().all(|record| record.len() <= MAX_TEXT + PREFIX.len()));
            }
        }
    }
}
