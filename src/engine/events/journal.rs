//! The newest events, in a file below the run directory: `since` goes back beyond a restart of the
//! daemon, though not beyond one of the host.
//!
//! - One line of JSON per event, one write per line, never synced: the directory is in memory.
//! - Two files of at most [`LIMIT`] bytes; when one is full it takes the place of the other.
//! - A line that was cut off by the end of a daemon is passed over.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::base::Timestamp;
use crate::engine::Event;

const FILE: &str = "events";
const OLD: &str = "events.old";
/// Most bytes of one of the files.
const LIMIT: u64 = 128 << 10;
/// Longer lines, of objects with very long labels, are remembered in memory alone.
const LONGEST: usize = 16 << 10;
/// What an event may have happened to.
const KINDS: [&str; 8] =
    ["container", "image", "network", "volume", "daemon", "plugin", "builder", "config"];

/// A line: seconds, nanoseconds, kind, action, id, attributes.
type Line<S, M> = (i64, u32, S, S, S, M);

/// The journal; without a directory (its default) it keeps nothing.
#[derive(Default)]
pub(super) struct Journal {
    open: Option<Open>,
}

struct Open {
    dir: PathBuf,
    file: File,
    size: u64,
}

impl Journal {
    /// Opens the journal in `dir`, and gives the events that are in it, oldest first. Without a
    /// journal the daemon does as well.
    pub(super) fn open(dir: &Path) -> (Journal, Vec<Event>) {
        let mut events = Vec::new();
        for name in [OLD, FILE] {
            // What is no UTF-8 is in no whole line.
            let bytes = fs::read(dir.join(name)).unwrap_or_default();
            events.extend(String::from_utf8_lossy(&bytes).lines().filter_map(parse));
        }
        let open = append(dir).inspect_err(|error| crate::warn!("open {FILE}: {error}"));
        (Journal { open: open.ok() }, events)
    }

    /// Adds an event. A failure is told, and ends the journal.
    pub(super) fn add(&mut self, event: &Event) {
        let Some(open) = &mut self.open else { return };
        if let Err(error) = open.add(event) {
            crate::warn!("write {FILE} in {}: {error}", open.dir.display());
            self.open = None;
        }
    }
}

impl Open {
    fn add(&mut self, event: &Event) -> io::Result<()> {
        let Event { kind, action, id, attributes, time } = event;
        let line: Line<&str, &BTreeMap<String, String>> =
            (time.seconds, time.nanos, kind, action, id, attributes);
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        if line.len() > LONGEST {
            return Ok(());
        }
        if self.size + line.len() as u64 > LIMIT {
            fs::rename(self.dir.join(FILE), self.dir.join(OLD))?;
            *self = append(&self.dir)?;
        }
        self.file.write_all(&line)?;
        self.size += line.len() as u64;
        Ok(())
    }
}

/// The file, to be appended to. A line that was cut off is ended first.
fn append(dir: &Path) -> io::Result<Open> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join(FILE))?;
    let size = file.metadata()?.len();
    if size > 0 {
        file.write_all(b"\n")?;
    }
    Ok(Open { dir: dir.to_owned(), file, size: size + 1 })
}

fn parse(line: &str) -> Option<Event> {
    let (seconds, nanos, kind, action, id, attributes): Line<String, BTreeMap<String, String>> =
        serde_json::from_slice(line.as_bytes()).ok()?;
    let kind = KINDS.into_iter().find(|known| *known == kind)?;
    Some(Event { kind, action, id, attributes, time: Timestamp { seconds, nanos } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize, label: &str) -> Event {
        Event {
            kind: "container",
            action: number.to_string(),
            id: "ab".into(),
            attributes: [("name".to_owned(), label.to_owned())].into(),
            time: Timestamp { seconds: 5, nanos: 7 },
        }
    }

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn scratch(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("skiff-journal-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    #[test]
    fn what_was_written_is_read_but_for_a_torn_line() {
        let s = scratch("torn");
        let (mut journal, old) = Journal::open(&s.0);
        assert!(old.is_empty());
        for number in 0..3 {
            journal.add(&event(number, "a\nb"));
        }
        let whole = fs::read(s.0.join(FILE)).unwrap();
        for cut in 0..whole.len() {
            fs::write(s.0.join(FILE), &whole[..cut]).unwrap();
            let (mut journal, old) = Journal::open(&s.0);
            let lines = whole[..cut].iter().filter(|b| **b == b'\n').count();
            // The last byte of a line is its end alone.
            assert!(old.len() == lines || old.len() == lines + 1, "{cut}: {}", old.len());
            assert!(old.iter().enumerate().all(|(n, e)| *e == event(n, "a\nb")), "{cut}");
            journal.add(&event(9, "next"));
            let (_, again) = Journal::open(&s.0);
            assert_eq!(again.len(), old.len() + 1);
            assert_eq!(again.last(), Some(&event(9, "next")));
        }
        fs::write(s.0.join(FILE), [0xff, 0, b'\n', b'[', b'\n']).unwrap();
        assert!(Journal::open(&s.0).1.is_empty());
    }

    #[test]
    fn it_does_not_grow_and_keeps_the_newest() {
        let s = scratch("bound");
        let (mut journal, _) = Journal::open(&s.0);
        for number in 0..10_000 {
            journal.add(&event(number, "some name"));
        }
        journal.add(&event(0, &"x".repeat(LONGEST)));
        let sizes = [FILE, OLD].map(|name| fs::metadata(s.0.join(name)).unwrap().len());
        assert!(sizes.iter().all(|size| *size <= LIMIT), "{sizes:?}");
        let (_, events) = Journal::open(&s.0);
        assert!(events.len() > 1000);
        let last: Vec<_> = events.iter().rev().take(1000).map(|e| e.action.clone()).collect();
        let expected: Vec<_> = (9000..10_000).rev().map(|n: usize| n.to_string()).collect();
        assert_eq!(last, expected);
    }

    #[test]
    fn without_a_directory_nothing_is_kept() {
        let (mut journal, old) = Journal::open(Path::new("/nowhere/at/all"));
        journal.add(&event(1, "x"));
        assert!(old.is_empty());
    }
}
