//! The directory of containers: what is on disk, and in which order it gets there.
//!
//! ```text
//! containers/<id>/record.json   the record
//!                 io/           log and exit.json, written by the monitor
//!                 diff/         the writable layer (or `rootfs/`, a whole copy)
//!                 work/         overlayfs' own, only while it runs
//! containers/.tmp-<id>          being made; a start removes it
//! containers/.trash-<id>        removed, its files are being deleted; a start goes on with that
//! containers/.damaged-<id>      a record that could not be read; left for a person to look at
//! ```
//!
//! - A container comes into being, and ceases to be, by one rename.
//! - One damaged container never keeps the others from being read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Record;
use crate::base::{Context, Id, Result, Timestamp, atomic_file, is_shortage, tree};
use crate::warn;

const RECORD: &str = "record.json";
const UPPER: &str = "diff";
const WORK: &str = "work";
const TRASH_PREFIX: &str = ".trash-";
const DAMAGED_PREFIX: &str = ".damaged-";

/// Where everything of a container is.
#[derive(Debug, Clone)]
pub struct Layout {
    containers: PathBuf,
}

/// What was found on disk.
#[derive(Debug, Default)]
pub struct Found {
    /// Containers, each with whether a work directory was left behind.
    pub records: Vec<(Record, bool)>,
    /// Half-made and removed ones, to be deleted.
    pub rubbish: Vec<PathBuf>,
}

impl Layout {
    /// Makes the directory of containers below the data root.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(root: &Path) -> Result<Layout> {
        let containers = root.join("containers");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&containers)
            .context(|| format!("make {}", containers.display()))?;
        Ok(Layout { containers })
    }

    /// The container's directory.
    pub fn dir(&self, id: &Id) -> PathBuf {
        self.containers.join(id.as_str())
    }

    /// Its log and `exit.json`.
    pub fn io(&self, id: &Id) -> PathBuf {
        self.dir(id).join("io")
    }

    /// Its writable layer.
    pub fn upper(&self, id: &Id) -> PathBuf {
        self.dir(id).join(UPPER)
    }

    /// Overlayfs' work directory.
    pub fn work(&self, id: &Id) -> PathBuf {
        self.dir(id).join(WORK)
    }

    /// Its whole root, where roots are copied.
    pub fn rootfs(&self, id: &Id) -> PathBuf {
        self.dir(id).join("rootfs")
    }

    /// Makes all of a new container under a temporary name, synced. `make_root` makes what becomes
    /// the writable layer, if there is to be one by now. Dying inside leaves a `.tmp-` directory,
    /// which the next start removes.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind then.
    pub fn draft(
        &self,
        record: &Record,
        make_root: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let temp = self.containers.join(format!("{}{}", atomic_file::TEMP_PREFIX, record.id));
        make(&temp, record, make_root).inspect_err(|_| undo(&temp))?;
        Ok(temp)
    }

    /// Gives a draft its own name, durably: from now on the container exists.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind then.
    pub fn publish(&self, draft: &Path, id: &Id) -> Result<()> {
        let dir = self.dir(id);
        std::fs::rename(draft, &dir)
            .and_then(|()| atomic_file::sync_dir(&self.containers))
            .context(|| format!("make {}", dir.display()))
            .inspect_err(|_| [draft, &dir].into_iter().for_each(undo))
    }

    /// Replaces the record, durably.
    ///
    /// # Errors
    /// Those of the file system; the old record is then still there.
    pub fn write(&self, record: &Record) -> Result<()> {
        atomic_file::write(&self.dir(&record.id).join(RECORD), &record.to_bytes(), 0o600)
            .context(|| format!("write the record of container {}", record.id.short()))
    }

    /// When the record was written last: with a run under way, that is when it began.
    pub fn written_at(&self, id: &Id) -> Option<Timestamp> {
        Timestamp::of_file(&self.dir(id).join(RECORD))
    }

    /// Takes a container out of sight, durably. What is returned is to be deleted.
    ///
    /// # Errors
    /// Those of the file system; the container is then still there.
    pub fn discard(&self, id: &Id) -> Result<PathBuf> {
        let trash = self.containers.join(format!("{TRASH_PREFIX}{id}"));
        let dir = self.dir(id);
        std::fs::rename(&dir, &trash)
            .and_then(|()| atomic_file::sync_dir(&self.containers))
            .context(|| format!("remove the directory of container {}", id.short()))?;
        Ok(trash)
    }

    /// Reads all containers. Damaged ones are set aside and logged.
    ///
    /// # Errors
    /// When the directory itself cannot be read, or descriptors or memory have run out.
    pub fn load(&self) -> Result<Found> {
        let mut found = Found::default();
        let entries = std::fs::read_dir(&self.containers)
            .context(|| format!("read {}", self.containers.display()))?;
        for entry in entries {
            let entry = entry.context(|| format!("read {}", self.containers.display()))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with(atomic_file::TEMP_PREFIX) || name.starts_with(TRASH_PREFIX) {
                found.rubbish.push(entry.path());
            } else if let Some(id) = Id::parse(&name) {
                match self.read(&id) {
                    Ok(read) => found.records.push(read),
                    // Nothing is wrong with the record.
                    Err(error) if is_shortage(&error) => {
                        return Err(error)
                            .context(|| format!("read the record of container {}", id.short()));
                    }
                    Err(error) => self.set_aside(&id, &error),
                }
            }
        }
        Ok(found)
    }

    fn read(&self, id: &Id) -> io::Result<(Record, bool)> {
        let dir = self.dir(id);
        let record = Record::from_bytes(&std::fs::read(dir.join(RECORD))?)?;
        if record.id != *id {
            return Err(io::Error::other(format!("it is of container {}", record.id.short())));
        }
        let mut worked = false;
        for entry in std::fs::read_dir(&dir)? {
            let name = entry?.file_name();
            let name = name.as_encoded_bytes();
            worked |= name == WORK.as_bytes();
            if name.starts_with(atomic_file::TEMP_PREFIX.as_bytes()) {
                atomic_file::sweep(&dir)?;
                break;
            }
        }
        Ok((record, worked))
    }

    fn set_aside(&self, id: &Id, why: &io::Error) {
        let dir = self.dir(id);
        let aside = (0..100)
            .map(|n| match n {
                0 => format!("{DAMAGED_PREFIX}{id}"),
                n => format!("{DAMAGED_PREFIX}{id}-{n}"),
            })
            .map(|name| self.containers.join(name))
            .find(|path| !path.exists());
        let record = dir.join(RECORD);
        let moved = match &aside {
            Some(aside) => std::fs::rename(&dir, aside),
            None => Err(io::Error::other("too many were set aside before")),
        };
        match (moved, aside) {
            (Ok(()), Some(aside)) => {
                warn!("{} is damaged ({why}), set aside as {}", record.display(), aside.display());
            }
            (Err(error), _) => {
                warn!("{} is damaged ({why}) and cannot be set aside: {error}", record.display());
            }
            (Ok(()), None) => {}
        }
    }
}

/// Takes a half-made container away again; what stays is removed by the next start.
fn undo(dir: &Path) {
    if let Err(error) = tree::remove(dir) {
        warn!("remove {}: {error}", dir.display());
    }
}

/// Makes a container's directory and syncs all of it.
fn make(dir: &Path, record: &Record, make_root: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let io = dir.join("io");
    for path in [dir, &io] {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .context(|| format!("make {}", path.display()))?;
    }
    make_root(&dir.join(UPPER))?;
    let path = dir.join(RECORD);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(&record.to_bytes()).and_then(|()| file.sync_data()))
        .and_then(|()| atomic_file::sync_dir(dir));
    written.context(|| format!("write {}", path.display()))
}

impl Record {
    /// The record as it is written: fields that hold their default are left out, which keeps it
    /// in one block and quick to read. The log's limits stay, since that default may change.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = "a record has no map with odd keys";
        let mut value = serde_json::to_value(self).expect(text);
        let config = serde_json::to_value(crate::model::RunConfig::default()).expect(text);
        let host = serde_json::to_value(crate::model::HostConfig::default()).expect(text);
        for (part, default) in [("config", config), ("host", host)] {
            if let Some(map) = value[part].as_object_mut() {
                map.retain(|key, field| key == "log" || default.get(key) != Some(field));
            }
        }
        serde_json::to_vec(&value).expect(text)
    }

    /// Reads what [`Record::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Record> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::record::tests::record;

    struct Scratch(PathBuf, Layout);

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    impl Scratch {
        fn create(&self, record: &Record) {
            let make = |path: &Path| std::fs::create_dir(path).context(String::new);
            let draft = self.1.draft(record, make).unwrap();
            self.1.publish(&draft, &record.id).unwrap();
        }
    }

    fn scratch(name: &str) -> Scratch {
        let root = std::env::temp_dir().join(format!("skiff-dir-{name}-{}", std::process::id()));
        let layout = Layout::open(&root).unwrap();
        Scratch(root, layout)
    }

    #[test]
    fn what_was_created_is_found_until_it_is_discarded() {
        let s = scratch("found");
        let mut one = record();
        s.create(&one);
        one.name = "renamed".into();
        s.1.write(&one).unwrap();
        let found = s.1.load().unwrap();
        assert_eq!(found.records, [(one.clone(), false)]);
        assert!(found.rubbish.is_empty());
        let entries = std::fs::read_dir(s.1.dir(&one.id)).unwrap().count();
        assert_eq!(entries, 3, "record, io, diff");

        std::fs::create_dir(s.1.work(&one.id)).unwrap();
        assert!(s.1.load().unwrap().records[0].1);
        let trash = s.1.discard(&one.id).unwrap();
        let found = s.1.load().unwrap();
        assert!(found.records.is_empty());
        assert_eq!(found.rubbish, [trash]);
    }

    #[test]
    fn a_damaged_record_is_set_aside_and_hides_no_other() {
        let s = scratch("damaged");
        let good = record();
        s.create(&good);
        let whole = good.to_bytes();
        let foreign = record().to_bytes();
        let damages: [&[u8]; 5] = [b"", &[0; 512], &whole[..whole.len() / 2], b"{}", &foreign];
        for bytes in damages {
            let bad = record();
            s.create(&bad);
            std::fs::write(s.1.dir(&bad.id).join(RECORD), bytes).unwrap();
        }
        let bare = record();
        std::fs::create_dir(s.1.dir(&bare.id)).unwrap();
        assert_eq!(s.1.load().unwrap().records, [(good.clone(), false)]);
        assert_eq!(s.1.load().unwrap().records.len(), 1);
        let aside = std::fs::read_dir(&s.1.containers)
            .unwrap()
            .filter(|e| {
                let name = e.as_ref().unwrap().file_name();
                name.to_str().unwrap().starts_with(DAMAGED_PREFIX)
            })
            .count();
        assert_eq!(aside, 6);
    }

    #[test]
    fn a_creation_that_fails_leaves_nothing() {
        let s = scratch("fails");
        let error = s.1.draft(&record(), |_| Err(crate::base::Error::internal("no")));
        assert!(error.is_err());
        assert_eq!(std::fs::read_dir(&s.1.containers).unwrap().count(), 0);
    }

    #[test]
    fn half_made_ones_are_rubbish() {
        let s = scratch("half");
        let temp = s.1.containers.join(format!(".tmp-{}", record().id));
        std::fs::create_dir(&temp).unwrap();
        assert_eq!(s.1.load().unwrap().rubbish, [temp]);
    }

    #[test]
    fn a_record_on_disk_is_lean_and_whole() {
        let record = record();
        let bytes = record.to_bytes();
        assert!(bytes.len() < 1024, "{}", bytes.len());
        assert_eq!(Record::from_bytes(&bytes).unwrap(), record);
    }
}
