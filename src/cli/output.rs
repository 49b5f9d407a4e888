//! What goes to a terminal or a pipe: tables, short texts, ages.

use std::borrow::Cow;
use std::io::Write;

use super::fail::Failure;
use crate::base::units::human_duration;
use crate::base::{Timestamp, Zone, time};

/// Rows whose cells line up; cells end at a tab, a line at its newline.
pub(crate) struct Table {
    minimum: usize,
    text: String,
}

impl Table {
    /// A table whose columns are at least `minimum` wide.
    pub(crate) fn new(minimum: usize) -> Table {
        Table { minimum, text: String::new() }
    }

    /// Adds a line of `cells`.
    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        for (at, cell) in cells.iter().enumerate() {
            self.text.push_str(if at == 0 { "" } else { "\t" });
            self.text.push_str(cell.as_ref());
        }
        self.text.push('\n');
    }

    /// Adds a line that has its tabs.
    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The lines with their cells padded: a column is as wide as its longest cell and three
    /// more, over consecutive lines that have that column; the last cell of a line is not padded.
    pub(crate) fn render(&self) -> String {
        let lines: Vec<Vec<&str>> =
            self.text.lines().map(|line| line.split('\t').collect()).collect();
        let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; line.len()]).collect();
        let columns = lines.iter().map(|line| line.len() - 1).max().unwrap_or(0);
        for column in 0..columns {
            let mut from = 0;
            while from < lines.len() {
                if lines[from].len() <= column + 1 {
                    from += 1;
                    continue;
                }
                let block = lines[from..].iter().take_while(|line| line.len() > column + 1).count();
                let cells = lines[from..from + block].iter().map(|line| line[column]);
                let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                for width in &mut widths[from..from + block] {
                    width[column] = (longest + 3).max(self.minimum);
                }
                from += block;
            }
        }
        let mut out = String::with_capacity(self.text.len() * 2);
        for (line, widths) in lines.iter().zip(&widths) {
            for (cell, &width) in line.iter().zip(widths) {
                out.push_str(cell);
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
            out.push('\n');
        }
        out
    }
}

/// Writes `text` to standard output.
///
/// # Errors
/// A closed pipe, which is told by nobody; a full disk.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output("output", error))
}

/// `text` cut to `most` characters, the last of which is then `…`.
pub(crate) fn ellipsis(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `text` without what could steer a terminal: control characters as Go writes them.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() && u32::from(c) < 0x80 => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The first 12 digits of an id, its algorithm left out.
pub(crate) fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

/// `5 minutes ago`.
pub(crate) fn age(seconds: i64, now: Timestamp) -> String {
    let then = Timestamp { seconds, nanos: 0 };
    format!("{} ago", human_duration(now.since(then)))
}

/// `2025-01-02 15:04:05 +0100 CET`, by the clock of this place.
pub(crate) fn created_at(seconds: i64) -> String {
    let (offset, name) = Zone::here().at(seconds);
    let time = Timestamp { seconds, nanos: 0 }.local(offset);
    format!("{time} {} {name}", time::offset(offset, ""))
}

/// RFC 3339 by the clock of this place.
pub(crate) fn rfc3339_here(time: Timestamp, digits: usize) -> String {
    time.rfc3339_at(digits, Zone::here().at(time.seconds).0)
}

/// An id as `--no-trunc` wants it.
pub(crate) fn shown_id(id: &str, whole: bool) -> &str {
    if whole { id } else { short_id(id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up_as_tabwriter_does_it() {
        let mut table = Table::new(10);
        table.row(&["A", "LONG HEADER", "C"]);
        table.row(&["aaaaaaaaaaaa", "x", "last"]);
        assert_eq!(
            table.render(),
            "A              LONG HEADER   C\naaaaaaaaaaaa   x             last\n"
        );
        let mut blocks = Table::new(4);
        blocks.line("aaaaaaaaa\tb");
        blocks.line("none");
        blocks.line("c\td");
        assert_eq!(blocks.render(), "aaaaaaaaa   b\nnone\nc   d\n");
        let mut empty = Table::new(10);
        empty.row(&["a", "", "é"]);
        assert_eq!(empty.render(), "a                   é\n");
    }

    #[test]
    fn texts_are_cut_and_escaped() {
        assert_eq!(ellipsis("/bin/sh -c 'while true'", 20), "/bin/sh -c 'while t…");
        assert_eq!(ellipsis("short", 20), "short");
        assert_eq!(escaped("plain é"), "plain é");
        assert_eq!(escaped("a\x1b[2J\n\u{9b}"), "a\\x1b[2J\\n\\u009b");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("web"), "web");
    }
}
