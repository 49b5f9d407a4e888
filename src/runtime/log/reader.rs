//! Reading the log: from the oldest file (or the last lines) to the present end.
//!
//! A reader holds one file open and goes from it to the next younger one, wherever rotation has
//! moved both meanwhile. It is deterministic about the end: a file that has a younger one is
//! never written to again, so it is read to its end before the reader moves on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::parse::{MAX_RECORD, Renderer, Step};
use super::{Query, file_path, tail};
use crate::base::{Context, Error, Kind, Result, Timestamp};

/// Output is rendered in pieces of about this size.
const BATCH: usize = 64 * 1024;
/// Bytes read at a time.
const BLOCK: usize = 64 * 1024;

/// A reader of a container's log.
pub struct Reader {
    pub(super) dir: PathBuf,
    renderer: Renderer,
    file: Option<File>,
    /// Where in `file` the next read begins.
    offset: u64,
    input: Vec<u8>,
    /// The part of `input` that is not rendered yet.
    start: usize,
    end: usize,
    out: Vec<u8>,
    /// When the query's time ends.
    pub(super) until: Option<Timestamp>,
    /// A record newer than asked for was seen.
    pub(super) past: bool,
}

impl Reader {
    /// A reader of what `query` wants from the log in `dir`. A log that does not exist is empty.
    ///
    /// # Errors
    /// When files are there and cannot be read.
    pub fn open(dir: &Path, query: &Query) -> Result<Reader> {
        let renderer = Renderer::new(query);
        let start = match query.tail {
            Some(lines) => tail::start(dir, lines, &renderer),
            None => oldest(dir).map(|file| file.map(|file| (file, 0))),
        };
        let start = start.context(|| format!("read the log in {}", dir.display()))?;
        let (file, offset) = start.map_or((None, 0), |(file, offset)| (Some(file), offset));
        let mut reader = Reader {
            dir: dir.to_owned(),
            renderer,
            file,
            offset,
            input: Vec::new(),
            start: 0,
            end: 0,
            out: Vec::new(),
            until: query.until,
            past: false,
        };
        if let Some(file) = &mut reader.file {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(reader)
    }

    /// Writes what there is to `out`, up to the present end.
    ///
    /// # Errors
    /// `ClientGone` when `out` is closed; other failures of `out` and of the files.
    pub fn copy_to(&mut self, out: &mut dyn Write) -> Result<()> {
        loop {
            let piece = self.next_piece()?;
            if piece.is_empty() {
                return Ok(());
            }
            out.write_all(piece).map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                    Error::from(error).with_kind(Kind::ClientGone)
                }
                _ => error.into(),
            })?;
        }
    }

    /// Renders the next piece; an empty one is the present end.
    ///
    /// # Errors
    /// Those of the files.
    pub fn next_piece(&mut self) -> Result<&[u8]> {
        self.out.clear();
        self.fill().context(|| format!("read the log in {}", self.dir.display()))?;
        Ok(&self.out)
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.out.len() < BATCH && !self.past {
            if self.render() {
                continue;
            }
            // The younger file is looked for before the read: what is read up to the end after
            // it has appeared is all that the file will ever hold.
            let younger = match &self.file {
                Some(file) => younger(&self.dir, file)?,
                None => oldest(&self.dir)?,
            };
            if self.read()? {
                continue;
            }
            let Some(younger) = younger else { return Ok(()) };
            // Half a record at the end of a finished file stays half.
            (self.start, self.end, self.offset) = (0, 0, 0);
            self.file = Some(younger);
        }
        Ok(())
    }

    /// Renders what has been read; false when that asks for more input.
    fn render(&mut self) -> bool {
        while self.start < self.end {
            if self.out.len() >= BATCH {
                return true;
            }
            match self.renderer.step(&self.input[self.start..self.end], &mut self.out) {
                Step::Done(used) => self.start += used,
                Step::Incomplete => return false,
                Step::Past => {
                    self.past = true;
                    return true;
                }
            }
        }
        false
    }

    /// Reads on in the file; false at its present end.
    fn read(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        self.input.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.input.len() < self.end + BLOCK {
            // At most twice: a record that does not fit in MAX_RECORD is dropped.
            self.input.resize(if self.end == 0 { BLOCK } else { MAX_RECORD + BLOCK }, 0);
        }
        let read = loop {
            match file.read(&mut self.input[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.end += read;
        self.offset += read as u64;
        if read == 0 && self.end > 0 && file.metadata()?.len() < self.offset {
            // A full disk made the writer take back the half record that we hold.
            self.offset -= self.end as u64;
            self.end = 0;
            file.seek(SeekFrom::Start(self.offset))?;
        }
        Ok(read > 0)
    }
}

fn open(dir: &Path, age: u32) -> io::Result<Option<File>> {
    match File::open(file_path(dir, age)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens all log files there are, youngest first, by calling `see` with each until that is
/// content. Rotation leaves one gap at a time, so two missing names are the end.
///
/// A file that rotation moves meanwhile may be seen twice, but none is left out.
pub(super) fn each(
    dir: &Path,
    mut see: impl FnMut(u32, File) -> io::Result<bool>,
) -> io::Result<()> {
    let mut missing = 0;
    for age in 0.. {
        match open(dir, age)? {
            Some(file) => {
                missing = 0;
                if see(age, file)? {
                    break;
                }
            }
            None => missing += 1,
        }
        if missing == 2 {
            break;
        }
    }
    Ok(())
}

fn oldest(dir: &Path) -> io::Result<Option<File>> {
    let mut oldest = None;
    each(dir, |_, file| {
        oldest = Some(file);
        Ok(false)
    })?;
    Ok(oldest)
}

/// Whether two open files are one. Neither inode can be used anew while they are open.
pub(super) fn same(a: &File, b: &File) -> io::Result<bool> {
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.ino(), a.dev()) == (b.ino(), b.dev()))
}

/// The file that was begun when `file` was rotated away; none when it is the one written to. When
/// rotation has dropped `file` already, the oldest that is left.
fn younger(dir: &Path, file: &File) -> io::Result<Option<File>> {
    loop {
        let mut previous = None;
        let mut place = None;
        let mut oldest = None;
        each(dir, |age, other| {
            if same(file, &other)? {
                place = Some(age);
                return Ok(true);
            }
            oldest = previous.replace(other);
            Ok(false)
        })?;
        drop(oldest);
        let Some(place) = place else { return Ok(previous) };
        // Files only move to higher places: still there means that nothing has moved meanwhile.
        match open(dir, place)? {
            Some(other) if same(file, &other)? => return Ok(previous),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::runtime::log::writer::tests::{Dir, config, read_all};
    use crate::runtime::log::{Stream, Writer};

    #[test]
    fn a_reader_survives_rotation() {
        let dir = Dir::new("reader-rotates");
        let mut writer = Writer::new(&dir.0, &config(500, 600));
        let query = Query { stdout: true, stderr: true, ..Query::default() };
        let mut reader = Reader::open(&dir.0, &query).unwrap();
        let mut got = Vec::new();
        let mut expected = String::new();
        for n in 0..100 {
            for _ in 0..n % 9 {
                let line = format!("line {n} {}\n", "x".repeat(n));
                writer.write(Stream::Stdout, line.as_bytes());
                expected.push_str(&line);
            }
            if n % 3 == 0 {
                reader.copy_to(&mut got).unwrap();
                assert!(got == expected.as_bytes(), "{n}");
            }
        }
        assert!(read_all(&dir.0) == expected);
    }

    #[test]
    fn a_reader_that_is_overtaken_goes_on_with_what_is_left() {
        let dir = Dir::new("reader-overtaken");
        let mut writer = Writer::new(&dir.0, &config(300, 2));
        writer.write(Stream::Stdout, b"first\n");
        let query = Query { stdout: true, ..Query::default() };
        let mut reader = Reader::open(&dir.0, &query).unwrap();
        for n in 0..50 {
            writer.write(Stream::Stdout, format!("{n}\n").as_bytes());
        }
        let mut got = Vec::new();
        reader.copy_to(&mut got).unwrap();
        let got = String::from_utf8(got).unwrap();
        assert!(got.starts_with("first\n") && got.ends_with("48\n49\n"), "{got}");
    }

    #[test]
    fn half_a_record_that_is_taken_back_is_forgotten() {
        let dir = Dir::new("taken-back");
        let path = file_path(&dir.0, 0);
        let record = |text: &str| {
            format!(
                "{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:00.000000000Z\"}}\n"
            )
        };
        std::fs::write(&path, record("a") + "{\"log\":\"lo").unwrap();
        let query = Query { stdout: true, ..Query::default() };
        let mut reader = Reader::open(&dir.0, &query).unwrap();
        let mut got = Vec::new();
        reader.copy_to(&mut got).unwrap();
        std::fs::write(&path, record("a")).unwrap();
        reader.copy_to(&mut got).unwrap();
        std::fs::write(&path, record("a") + &record("b")).unwrap();
        reader.copy_to(&mut got).unwrap();
        assert_eq!(got, b"a\nb\n");
    }

    #[test]
    fn long_records_are_read_whole() {
        let dir = Dir::new("long-records");
        let mut writer = Writer::new(&dir.0, &config(0, 1));
        let line = "\x01".repeat(40_000) + "\n";
        writer.write(Stream::Stdout, line.as_bytes());
        assert!(read_all(&dir.0) == line);
    }

    /// Prints the speed of both directions; asserts only what a debug build reaches anywhere.
    #[test]
    fn encoding_and_parsing_are_quick() {
        let dir = Dir::new("speed");
        for width in [20, 77] {
            let line = "x".repeat(width - 1) + "\n";
            let batch = line.repeat(65_536 / width);
            let mut writer = Writer::new(&dir.0, &config(1 << 30, 1));
            let count = if cfg!(debug_assertions) { 50 } else { 1600 };
            let start = Instant::now();
            for _ in 0..count {
                writer.write(Stream::Stdout, batch.as_bytes());
            }
            let mega = (batch.len() * count) as f64 / 1e6;
            let written = mega / start.elapsed().as_secs_f64();
            let start = Instant::now();
            let query = Query { stdout: true, framed: true, ..Query::default() };
            Reader::open(&dir.0, &query).unwrap().copy_to(&mut io::sink()).unwrap();
            let read = mega / start.elapsed().as_secs_f64();
            println!("{width}-byte lines: {written:.0} MB/s written, {read:.0} MB/s read");
            assert!(written > 1.0 && read > 1.0);
            std::fs::remove_file(file_path(&dir.0, 0)).unwrap();
        }
    }
}
