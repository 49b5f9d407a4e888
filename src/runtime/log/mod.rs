//! The container's log: json-file format, writer with rotation, reader, follower.
//!
//! One record is one line, as Docker's json-file driver writes it:
//!
//! ```text
//! {"log":"text\n","stream":"stdout","time":"2013-10-15T12:00:00.123456789Z"}
//! ```
//!
//! - A line of output is one record. A longer one than 16 KiB, or one that pauses before its end
//!   (a prompt), is several: only the last of them ends with `\n`.
//! - Quotes and control bytes of the output are escaped, so that no output can forge a record.
//! - `container.log` is written to; `container.log.1` is the one before it, and so on. A file
//!   that has been rotated away is never written to again.
//! - The monitor writes; everybody else reads, and copes with half lines, zeros and garbage, as
//!   a power cut leaves them.

mod encode;
mod follow;
mod parse;
mod reader;
mod scan;
mod tail;
mod writer;

use std::path::{Path, PathBuf};

pub use reader::Reader;
pub use writer::Writer;
#[cfg(test)]
pub(super) use writer::tests::{Dir, read_all};

use crate::base::Timestamp;

/// Which of the program's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// 0 or 1.
    pub(crate) fn index(self) -> usize {
        usize::from(self == Stream::Stderr)
    }

    /// The eight-byte stdcopy header of a piece of `length` bytes.
    pub(crate) fn frame_header(self, length: u32) -> [u8; 8] {
        let [a, b, c, d] = length.to_be_bytes();
        [if self == Stream::Stdout { 1 } else { 2 }, 0, 0, 0, a, b, c, d]
    }
}

/// Which part of a log is wanted, and in what shape.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Put the time (RFC 3339, nine digits, UTC) and a space before each line.
    pub timestamps: bool,
    /// Not older than.
    pub since: Option<Timestamp>,
    /// Not newer than.
    pub until: Option<Timestamp>,
    /// Only the last lines of those.
    pub tail: Option<u64>,
    /// Eight-byte stdcopy headers, one before each record; false is raw.
    pub framed: bool,
}

/// The `age`-th log file in `dir`; 0 is the one written to.
fn file_path(dir: &Path, age: u32) -> PathBuf {
    match age {
        0 => dir.join("container.log"),
        age => dir.join(format!("container.log.{age}")),
    }
}

/// Removes the oldest log file that has been rotated away; false when there is none.
pub(super) fn drop_oldest(dir: &Path) -> bool {
    let ages = (1..).take_while(|age| file_path(dir, *age).exists());
    ages.last().is_some_and(|age| std::fs::remove_file(file_path(dir, age)).is_ok())
}
