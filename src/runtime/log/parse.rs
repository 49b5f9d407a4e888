//! Records to output: finds, filters and renders one record at a time.
//!
//! Our own records are taken apart by their fixed shape; others (an older version's, another
//! engine's) by a JSON parser. What is neither is skipped up to where the next record can begin.

use serde::Deserialize;

use super::scan::{find, plain};
use super::{Query, Stream};
use crate::base::Timestamp;

/// How every record of ours begins. Quotes in the text are escaped, so this is found nowhere else.
const PREFIX: &[u8] = br#"{"log":""#;
/// Between text and stream, and between stream and time.
const STREAM: &[u8] = br#"","stream":""#;
const TIME: &[u8] = br#"","time":""#;
const END: &[u8] = b"\"}";
/// Length of a time with nine digits: `2013-10-15T12:00:00.123456789Z`.
const TIME_LENGTH: usize = 30;
/// Length of all that follows the text, newline not included.
const TAIL_LENGTH: usize = STREAM.len() + 6 + TIME.len() + TIME_LENGTH + END.len();

/// Longest line that may be a record: 16 KiB of text, each byte escaped, and then some. Longer
/// ones are garbage.
pub(super) const MAX_RECORD: usize = 128 * 1024;

/// A time in its canonical form, in which order is that of the bytes.
type Time = [u8; TIME_LENGTH];

fn canonical(time: Timestamp) -> Time {
    time.rfc3339(9).as_bytes().try_into().unwrap_or(*b"9999-12-31T23:59:59.999999999Z")
}

/// What is known of a record without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) stream: Stream,
    time: Time,
    /// Its text ends with a newline.
    pub(super) ends_line: bool,
}

/// What a step through the input came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes are done with.
    Done(usize),
    /// The record goes on behind the end of the input.
    Incomplete,
    /// A record that is newer than asked for; so will be all that follow.
    Past,
}

/// Renders records as a query wants them.
pub(super) struct Renderer {
    query: Query,
    since: Option<Time>,
    until: Option<Time>,
    /// Whether the next record of each stream begins a line.
    at_line_start: [bool; 2],
}

impl Renderer {
    pub(super) fn new(query: &Query) -> Renderer {
        Renderer {
            query: query.clone(),
            since: query.since.map(canonical),
            until: query.until.map(canonical),
            at_line_start: [true; 2],
        }
    }

    /// Whether the query selects a record.
    pub(super) fn selects(&self, facts: &Facts) -> bool {
        let stream = match facts.stream {
            Stream::Stdout => self.query.stdout,
            Stream::Stderr => self.query.stderr,
        };
        stream
            && self.since.is_none_or(|since| facts.time >= since)
            && self.until.is_none_or(|until| facts.time <= until)
    }

    /// Takes the first record, or piece of garbage, off `input` and appends what it renders to.
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Step {
        let start = out.len();
        if self.query.framed {
            out.extend_from_slice(&[0; 8]);
        }
        let text_start = out.len();
        if self.query.timestamps {
            out.extend_from_slice(&[b' '; TIME_LENGTH + 1]);
        }
        let (facts, used) = match own_record(input, out) {
            Parsed::Record(facts, used) => (facts, used),
            Parsed::Incomplete if input.len() < MAX_RECORD => {
                out.truncate(start);
                return Step::Incomplete;
            }
            Parsed::Incomplete | Parsed::Garbage => {
                out.truncate(start);
                return self.other_line(input, out);
            }
        };
        if self.until.is_some_and(|until| facts.time > until) {
            out.truncate(start);
            return Step::Past;
        }
        if self.selects(&facts) {
            self.complete(&facts, start, text_start, out);
        } else {
            out.truncate(start);
        }
        Step::Done(used)
    }

    /// Fills in what stands before the text and is known only after it.
    fn complete(&mut self, facts: &Facts, start: usize, text_start: usize, out: &mut Vec<u8>) {
        let line_start =
            std::mem::replace(&mut self.at_line_start[facts.stream.index()], facts.ends_line);
        if self.query.timestamps {
            if line_start {
                out[text_start..text_start + TIME_LENGTH].copy_from_slice(&facts.time);
            } else {
                out.drain(text_start..=text_start + TIME_LENGTH);
            }
        }
        if self.query.framed {
            let length = u32::try_from(out.len() - text_start).unwrap_or(u32::MAX);
            out[start..text_start].copy_from_slice(&facts.stream.frame_header(length));
        }
    }

    /// A line that is no record of ours.
    fn other_line(&mut self, input: &[u8], out: &mut Vec<u8>) -> Step {
        let Some(end) = find(input, b'\n') else {
            // Zeros can go on for long; they are dropped as they come.
            let zeros = input.iter().take_while(|&&byte| byte == 0).count();
            return match zeros {
                0 if input.len() < MAX_RECORD => Step::Incomplete,
                0 => Step::Done(input.len() - PREFIX.len()),
                zeros => Step::Done(zeros),
            };
        };
        let line = &input[..end];
        // Half a record, or zeros, with a whole record behind.
        let next = line.windows(PREFIX.len()).skip(1).position(|window| window == PREFIX);
        if let Some(next) = next {
            return Step::Done(next + 1);
        }
        let Some(record) = foreign(line) else { return Step::Done(end + 1) };
        // Rendered by way of a record of our own shape: there is one way to render.
        let mut own = Vec::new();
        let mut encoder = super::encode::Encoder::default();
        let suffix = super::encode::suffix(record.stream, record.time);
        encoder.encode(record.stream, record.log.as_bytes(), &suffix, &mut own);
        encoder.finish(record.stream, &suffix, &mut own);
        let mut at = 0;
        while let Some(rest) = own.get(at..).filter(|rest| !rest.is_empty()) {
            match self.step(rest, out) {
                Step::Done(used) => at += used,
                Step::Past => return Step::Past,
                Step::Incomplete => break,
            }
        }
        Step::Done(end + 1)
    }
}

/// What the front of some input is.
enum Parsed {
    Record(Facts, usize),
    Incomplete,
    Garbage,
}

/// Parses a record of our own shape; its text goes to `out`.
fn own_record(input: &[u8], out: &mut Vec<u8>) -> Parsed {
    let head = &input[..input.len().min(PREFIX.len())];
    if !PREFIX.starts_with(head) {
        return Parsed::Garbage;
    }
    let mut at = PREFIX.len();
    let mut ends_line = false;
    loop {
        let Some(rest) = input.get(at..) else { return Parsed::Incomplete };
        let run = plain(rest);
        out.extend_from_slice(&rest[..run]);
        ends_line &= run == 0;
        match rest.get(run) {
            Some(b'"') => {
                at += run;
                break;
            }
            Some(b'\\') => match unescape(&rest[run..], out) {
                Ok(used) => {
                    ends_line = rest[run + 1] == b'n';
                    at += run + used;
                }
                Err(other) => return other,
            },
            Some(_) => return Parsed::Garbage,
            None => return Parsed::Incomplete,
        }
    }
    let Some(tail) = input.get(at..=at + TAIL_LENGTH) else {
        // Without its newline it is not whole; with one that comes early it never will be.
        let cut = find(&input[at..], b'\n').is_some();
        return if cut { Parsed::Garbage } else { Parsed::Incomplete };
    };
    match facts(&tail[..TAIL_LENGTH]) {
        Some((stream, time)) if tail[TAIL_LENGTH] == b'\n' => {
            Parsed::Record(Facts { stream, time, ends_line }, at + TAIL_LENGTH + 1)
        }
        _ => Parsed::Garbage,
    }
}

/// Stream and time from what follows the text of a record of our own.
fn facts(tail: &[u8]) -> Option<(Stream, Time)> {
    let rest = tail.strip_prefix(STREAM)?;
    let (name, rest) = rest.split_at_checked(6)?;
    let stream = match name {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let time: &Time = rest.strip_prefix(TIME)?.strip_suffix(END)?.try_into().ok()?;
    let shape = time[4] == b'-' && time[10] == b'T' && time[19] == b'.' && time[29] == b'Z';
    shape.then_some((stream, *time))
}

/// Appends what the escape at the front of `bytes` stands for; gives its length.
fn unescape(bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Parsed> {
    let byte = match bytes.get(1) {
        None => return Err(Parsed::Incomplete),
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
        Some(b'u') => return unescape_unicode(bytes, out),
        Some(_) => return Err(Parsed::Garbage),
    };
    out.push(byte);
    Ok(2)
}

fn unescape_unicode(bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Parsed> {
    let unit = |at: usize| -> Result<u32, Parsed> {
        let digits = bytes.get(at..at + 6).ok_or(Parsed::Incomplete)?;
        let hex = digits.strip_prefix(b"\\u").ok_or(Parsed::Garbage)?;
        let hex = std::str::from_utf8(hex).map_err(|_| Parsed::Garbage)?;
        u32::from_str_radix(hex, 16).map_err(|_| Parsed::Garbage)
    };
    let first = unit(0)?;
    let (code, used) = match first {
        // A pair that stands for one character above U+FFFF; a lone half is replaced.
        0xd800..0xdc00 => match unit(6) {
            Ok(second @ 0xdc00..0xe000) => {
                (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12)
            }
            Err(Parsed::Incomplete) => return Err(Parsed::Incomplete),
            _ => (0xfffd, 6),
        },
        other => (other, 6),
    };
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(used)
}

/// A record in any JSON shape.
struct Foreign {
    log: String,
    stream: Stream,
    time: Timestamp,
}

fn foreign(line: &[u8]) -> Option<Foreign> {
    #[derive(Deserialize)]
    struct Fields {
        log: String,
        #[serde(default)]
        stream: String,
        time: Timestamp,
    }
    // A parse of a long run of zeros would be tried for every one of them.
    let start = line.iter().position(|&byte| byte == b'{')?;
    let Fields { log, stream, time } = serde_json::from_slice(&line[start..]).ok()?;
    let stream = if stream == "stderr" { Stream::Stderr } else { Stream::Stdout };
    Some(Foreign { log, stream, time })
}

/// The facts of a whole line (without its newline), if it is a record; does not look at the text
/// of our own ones.
pub(super) fn facts_of_line(line: &[u8]) -> Option<Facts> {
    if let Some(at) = line.len().checked_sub(TAIL_LENGTH) {
        if let Some((stream, time)) = facts(&line[at..]) {
            let text = &line[..at];
            // `\n` ends a line, `\\n` is a backslash and an n.
            let slashes = text
                .strip_suffix(b"n")
                .map_or(0, |front| front.iter().rev().take_while(|&&byte| byte == b'\\').count());
            return Some(Facts { stream, time, ends_line: slashes % 2 == 1 });
        }
    }
    let Foreign { log, stream, time } = foreign(line)?;
    Some(Facts { stream, time: canonical(time), ends_line: log.ends_with('\n') })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        Query { stdout: true, stderr: true, ..Query::default() }
    }

    fn render(query: &Query, input: &[u8]) -> String {
        let mut renderer = Renderer::new(query);
        let mut out = Vec::new();
        let mut at = 0;
        while at < input.len() {
            match renderer.step(&input[at..], &mut out) {
                Step::Done(used) => {
                    assert!(used > 0);
                    at += used;
                }
                Step::Incomplete | Step::Past => break,
            }
        }
        String::from_utf8(out).unwrap()
    }

    fn record(text: &str, stream: &str, second: u32) -> String {
        format!(
            "{{\"log\":\"{text}\",\"stream\":\"{stream}\",\"time\":\"2024-01-01T00:00:{second:02}.000000000Z\"}}\n"
        )
    }

    #[test]
    fn text_is_unescaped() {
        let check = |text: &str, expected: &str| {
            assert_eq!(render(&query(), record(text, "stdout", 0).as_bytes()), expected, "{text}");
        };
        check("hello\\n", "hello\n");
        check("\\\"\\\\\\t\\r\\u001b\\/\\b\\f", "\"\\\t\r\x1b/\x08\x0c");
        check("\\u00e9\\ud83d\\ude00\\ud83dx", "\u{e9}\u{1f600}\u{fffd}x");
        check("gr\u{fc}n", "gr\u{fc}n");
        check("", "");
        check("\\x", "");
        check("\\u12", "");
    }

    #[test]
    fn garbage_is_skipped_and_what_follows_is_not() {
        let good = record("good\\n", "stdout", 0);
        let other = "{\"log\":\"other\\n\",\"stream\":\"stdout\",\"attrs\":{},\"time\":\"2024-01-01T00:00:00.5Z\"}\n";
        for garbage in [
            "\0\0\0\0",
            "\0\0\n",
            "\n",
            "{\"log\":\"half",
            "{\"log\":\"half\n",
            "{\"log\":\"x\",\"stream\":\"stdo",
            "{\"log\":\"x\",\"stream\":\"stdo\n",
            "not json\n",
            "[1]\n",
            "{\"log\":7}\n",
        ] {
            let input = format!("{good}{garbage}{good}");
            assert_eq!(render(&query(), input.as_bytes()), "good\ngood\n", "{garbage:?}");
            let input = format!("{garbage}{good}{other}");
            assert_eq!(render(&query(), input.as_bytes()), "good\nother\n", "{garbage:?}");
        }
    }

    #[test]
    fn every_cut_of_the_input_waits_for_more() {
        let input = record("a\\u001b\\\"b\\n", "stderr", 0);
        for cut in 0..input.len() {
            let mut out = Vec::new();
            let step = Renderer::new(&query()).step(&input.as_bytes()[..cut], &mut out);
            assert_eq!(step, Step::Incomplete, "{cut}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn endless_garbage_is_dropped() {
        let input = [b"{\"log\":\"".to_vec(), vec![b'x'; MAX_RECORD]].concat();
        let mut out = Vec::new();
        assert!(matches!(Renderer::new(&query()).step(&input, &mut out), Step::Done(n) if n > 0));
        assert!(matches!(Renderer::new(&query()).step(&[0; 99], &mut out), Step::Done(99)));
    }

    #[test]
    fn streams_and_times_are_selected() {
        let input =
            [record("a\\n", "stdout", 1), record("b\\n", "stderr", 2), record("c\\n", "stdout", 3)]
                .concat();
        let time = |second: i64| Some(Timestamp { seconds: 1_704_067_200 + second, nanos: 0 });
        let check = |query: Query, expected: &str| {
            assert_eq!(render(&query, input.as_bytes()), expected, "{query:?}");
        };
        check(Query { stderr: false, ..query() }, "a\nc\n");
        check(Query { stdout: false, ..query() }, "b\n");
        check(Query { since: time(2), ..query() }, "b\nc\n");
        check(Query { until: time(2), ..query() }, "a\nb\n");
        check(Query { since: time(2), until: time(2), ..query() }, "b\n");
    }

    #[test]
    fn times_stand_before_lines_and_frames_before_records() {
        let input = [
            record("pro", "stdout", 1),
            record("E\\n", "stderr", 2),
            record("mpt\\n", "stdout", 3),
            record("x\\n", "stdout", 4),
        ]
        .concat();
        let check = |query: Query, expected: &str| {
            assert_eq!(render(&query, input.as_bytes()), expected, "{query:?}");
        };
        let t = |second: u32| format!("2024-01-01T00:00:{second:02}.000000000Z ");
        let timed = Query { timestamps: true, ..query() };
        check(timed.clone(), &format!("{}pro{}E\nmpt\n{}x\n", t(1), t(2), t(4)));
        let framed = "\x01\0\0\0\0\0\0\x03pro\x02\0\0\0\0\0\0\x02E\n\x01\0\0\0\0\0\0\x04mpt\n\x01\0\0\0\0\0\0\x02x\n";
        check(Query { framed: true, ..query() }, framed);
        let both = Query { framed: true, stdout: false, ..timed };
        check(both, &format!("\x02\0\0\0\0\0\0\x21{}E\n", t(2)));
    }

    #[test]
    fn facts_are_read_from_the_end_of_a_line() {
        let check = |text: &str, ends_line: bool| {
            let line = record(text, "stderr", 1);
            let facts = facts_of_line(line.trim_end().as_bytes()).unwrap();
            assert_eq!((facts.stream, facts.ends_line), (Stream::Stderr, ends_line), "{text}");
        };
        check("a\\n", true);
        check("a\\\\n", false);
        check("a\\\\\\n", true);
        check("n", false);
        check("", false);
        assert_eq!(facts_of_line(b""), None);
        assert_eq!(facts_of_line(b"\0\0"), None);
        let other = b"{\"stream\":\"stdout\",\"log\":\"x\\n\",\"time\":\"2024-01-01T00:00:00Z\"}";
        assert!(facts_of_line(other).unwrap().ends_line);
    }
}
