//! Writing the log: a batch of output is one write; files rotate by size.
//!
//! - Never waits for anything but the disk, and never fails: on a full disk the file is cut back
//!   to its last whole record, output is dropped, and one record tells how much once there is
//!   room again.
//! - Makes no file before there is output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::encode::{Encoder, suffix};
use super::{Stream, file_path};
use crate::base::Timestamp;
use crate::model::LogConfig;

/// So much output is encoded before the records are looked at; bounds what a burst of empty
/// lines grows the buffer to.
const PIECE: usize = 8 * 1024;
/// Records are written when they are so long, or when the batch ends.
const BATCH: usize = 256 * 1024;

/// The writer of one run. There is one at a time per directory.
pub struct Writer {
    dir: PathBuf,
    max_size: u64,
    max_file: u32,
    file: Option<File>,
    /// Length of `file`; it ends with a whole record.
    size: u64,
    encoder: Encoder,
    out: Vec<u8>,
    /// Bytes of records that found no room.
    lost: u64,
}

impl Writer {
    /// A writer of the log in `dir`. Touches no file yet.
    pub fn new(dir: &Path, config: &LogConfig) -> Writer {
        Writer {
            dir: dir.to_owned(),
            max_size: config.max_size,
            max_file: config.max_file.max(1),
            file: None,
            size: 0,
            encoder: Encoder::default(),
            out: Vec::new(),
            lost: 0,
        }
    }

    /// Logs what the program has written.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let suffix = suffix(stream, Timestamp::now());
        for piece in bytes.chunks(PIECE) {
            self.encoder.encode(stream, piece, &suffix, &mut self.out);
            if self.out.len() >= BATCH {
                self.put();
            }
        }
        self.put();
    }

    /// The line of `stream` that has no newline yet and is in no record.
    pub fn unfinished(&self, stream: Stream) -> &[u8] {
        self.encoder.unfinished(stream)
    }

    /// Records unfinished lines as far as they have come: at the end, and when the output pauses,
    /// so that a prompt is seen.
    pub fn flush(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.encoder.unfinished(stream).is_empty() {
                let suffix = suffix(stream, Timestamp::now());
                self.encoder.finish(stream, &suffix, &mut self.out);
            }
        }
        self.put();
    }

    /// Writes the encoded records.
    fn put(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let mut records = std::mem::take(&mut self.out);
        if self.lost > 0 {
            // In front of what is to be written now, so that it stands where output is missing.
            let text = format!("[{} bytes of log lost: no room on the disk]\n", self.lost);
            let mut note = Vec::new();
            let suffix = suffix(Stream::Stderr, Timestamp::now());
            Encoder::default().encode(Stream::Stderr, text.as_bytes(), &suffix, &mut note);
            if self.append(&note).is_ok() {
                self.lost = 0;
            }
        }
        if self.lost > 0 || self.append_rotating(&records).is_err() {
            // What of it was written is counted as well: nobody can tell how much got through.
            self.lost += records.len() as u64;
        }
        records.clear();
        self.out = records;
    }

    /// Appends records, as many to each file as fit, one at least.
    fn append_rotating(&mut self, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() {
            self.open()?;
            let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
            let fitting = match records.get(..room) {
                None => records.len(),
                Some(part) => match part.iter().rposition(|&byte| byte == b'\n') {
                    Some(at) => at + 1,
                    None if self.size > 0 => 0,
                    None => super::scan::find(records, b'\n').map_or(records.len(), |at| at + 1),
                },
            };
            if fitting == 0 {
                self.rotate()?;
                continue;
            }
            self.append(&records[..fitting])?;
            records = &records[fitting..];
        }
        Ok(())
    }

    /// Bytes until the file is to be rotated; a limit of 0 is none.
    fn room(&self) -> u64 {
        if self.max_size == 0 { u64::MAX } else { self.max_size.saturating_sub(self.size) }
    }

    /// Appends whole records to the file; on failure cuts it back to its last whole record.
    fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.open()?;
        let file = self.file.as_mut().expect("it has just been opened");
        let mut written = 0;
        while written < records.len() {
            match file.write(&records[written..]) {
                Ok(count) if count > 0 => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    let whole = records[..written].iter().rposition(|&byte| byte == b'\n');
                    self.size += whole.map_or(0, |at| at as u64 + 1);
                    // If even this fails, readers skip the half record; the next open mends it.
                    let cut = file.set_len(self.size);
                    if cut.is_err() {
                        self.file = None;
                    }
                    return failed.and(Err(io::ErrorKind::WriteZero.into()));
                }
            }
        }
        self.size += written as u64;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o640);
        let file = options.open(file_path(&self.dir, 0))?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        self.end_half_record()
    }

    /// A power cut may have left half a record or zeros at the end: what comes next begins a line.
    fn end_half_record(&mut self) -> io::Result<()> {
        let Some(last) = self.size.checked_sub(1) else { return Ok(()) };
        let file = self.file.as_ref().expect("called with an open file");
        let mut byte = [0];
        file.read_exact_at(&mut byte, last)?;
        if byte != *b"\n" { self.append(b"\n") } else { Ok(()) }
    }

    /// Moves every file one place on and drops the oldest. Readers that have one open keep it.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        self.size = 0;
        for age in (0..self.max_file).rev() {
            let from = file_path(&self.dir, age);
            let moved = if age + 1 == self.max_file {
                std::fs::remove_file(&from)
            } else {
                std::fs::rename(&from, file_path(&self.dir, age + 1))
            };
            match moved {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::runtime::log::{Query, Reader};

    /// A directory that goes with the test.
    pub(in crate::runtime) struct Dir(pub(in crate::runtime) PathBuf);

    impl Dir {
        pub(in crate::runtime) fn new(name: &str) -> Dir {
            let path =
                std::env::temp_dir().join(format!("skiff-log-{name}-{}", std::process::id()));
            drop(std::fs::remove_dir_all(&path));
            std::fs::create_dir_all(&path).unwrap();
            Dir(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    pub(in crate::runtime) fn config(max_size: u64, max_file: u32) -> LogConfig {
        LogConfig { max_size, max_file, ..LogConfig::default() }
    }

    pub(in crate::runtime) fn read_all(dir: &Path) -> String {
        let query = Query { stdout: true, stderr: true, ..Query::default() };
        let mut out = Vec::new();
        Reader::open(dir, &query).unwrap().copy_to(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn files_rotate_at_whole_records_and_stay_below_their_size() {
        for (max_size, max_file) in [(1000, 3), (90, 2), (10, 1), (1 << 20, 3)] {
            let dir = Dir::new(&format!("rotate-{max_size}"));
            let mut writer = Writer::new(&dir.0, &config(max_size, max_file));
            let lines: Vec<String> = (0..100).map(|n| format!("line {n}\n")).collect();
            for batch in lines.chunks(7) {
                writer.write(Stream::Stdout, batch.concat().as_bytes());
            }
            let text = read_all(&dir.0);
            assert!(lines.concat().ends_with(&text), "{text}");
            assert!(!text.is_empty());
            let files = std::fs::read_dir(&dir.0).unwrap().count();
            assert!(files <= max_file as usize);
            for age in 0..max_file {
                let Ok(content) = std::fs::read_to_string(file_path(&dir.0, age)) else { break };
                assert!(content.ends_with('\n'));
                assert!(content.len() as u64 <= max_size || content.lines().count() == 1);
            }
            if max_size == 1 << 20 {
                assert_eq!(text, lines.concat());
            }
        }
    }

    #[test]
    fn a_new_run_goes_on_behind_a_half_record() {
        let dir = Dir::new("half");
        std::fs::write(file_path(&dir.0, 0), b"\0\0\0{\"log\":\"lost").unwrap();
        let mut writer = Writer::new(&dir.0, &config(0, 1));
        writer.write(Stream::Stdout, b"kept\npro");
        assert_eq!(writer.unfinished(Stream::Stdout), b"pro");
        assert_eq!(read_all(&dir.0), "kept\n");
        writer.flush();
        writer.write(Stream::Stdout, b"mpt\n");
        assert_eq!(read_all(&dir.0), "kept\nprompt\n");
    }

    #[test]
    fn a_full_disk_costs_records_but_no_half_one() {
        let dir = Dir::new("full");
        // In a thread with mounts of its own.
        let full = std::thread::scope(|scope| scope.spawn(|| on_a_full_disk(&dir.0)).join());
        full.unwrap();
    }

    fn on_a_full_disk(dir: &Path) {
        use crate::sys::mount::{self, Propagation};
        let own = crate::sys::ns::unshare(crate::sys::ns::NsKind::Mount)
            .and_then(|()| mount::set_propagation(Path::new("/"), Propagation::Private, true))
            .and_then(|()| mount::mount(Path::new("none"), dir, "tmpfs", 0, "size=64k"));
        if let Err(error) = own {
            eprintln!("skipped: needs to mount a small file system: {error}");
            return;
        }
        let ballast = dir.join("ballast");
        std::fs::write(&ballast, [0; 32 * 1024]).unwrap();
        let mut writer = Writer::new(dir, &config(0, 1));
        let mut expected = String::new();
        for n in 0..1000 {
            let line = format!("line {n}\n");
            writer.write(Stream::Stdout, line.as_bytes());
            if writer.lost == 0 {
                expected.push_str(&line);
            }
        }
        assert!(writer.lost > 0);
        let content = std::fs::read_to_string(file_path(dir, 0)).unwrap();
        assert!(content.ends_with("}\n"), "half a record");
        assert_eq!(read_all(dir), expected);
        std::fs::remove_file(&ballast).unwrap();
        writer.write(Stream::Stdout, b"there\n");
        assert_eq!(writer.lost, 0);
        let text = read_all(dir);
        let rest = text.strip_prefix(&expected).unwrap();
        assert!(rest.ends_with("bytes of log lost: no room on the disk]\nthere\n"), "{rest}");
        assert_eq!(rest.lines().count(), 2);
    }

    #[test]
    fn a_batch_of_empty_lines_keeps_the_buffer_small() {
        let dir = Dir::new("empty-lines");
        let mut writer = Writer::new(&dir.0, &config(0, 1));
        writer.write(Stream::Stderr, &[b'\n'; 100_000]);
        assert!(writer.out.capacity() < 4 * BATCH);
        assert_eq!(read_all(&dir.0).len(), 100_000);
    }
}
