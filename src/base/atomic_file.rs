//! Files that are either the old or the new whole: the one place where durable state is written.
//!
//! A write goes to a temporary name in the same directory, is synced, renamed over the old file,
//! and the directory is synced. After a power cut at any point the file is the old or the new
//! one. Names of temporary files begin with `.tmp-`; the owner of a directory sweeps them.
//!
//! On a full disk a reserve is given up for the write, and made again from what the write freed:
//! to stop, to remove and to put an end on record must be possible there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::is_full;

/// Prefix of the temporary names; a start removes what carries it.
pub const TEMP_PREFIX: &str = ".tmp-";

/// Size of the reserve: some records' worth.
const RESERVE_BYTES: usize = 64 << 10;

static PLACE: OnceLock<PathBuf> = OnceLock::new();

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Replaces the file at `path` with `bytes`, durably. `mode` is that of a new file.
///
/// # Errors
/// Those of the file system; the old file is then untouched and no temporary is left.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode, true)
}

/// Writes a file whose old content is worth nothing any more, and that counts as missing when it
/// is not whole: durably, but a power cut within this call may leave an empty one. Most file
/// systems then write their journal once instead of twice.
///
/// # Errors
/// As for [`write()`].
pub fn write_anew(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode, false)
}

/// Names the file, on the file system that this process writes to, which is given up for a write
/// on a full disk. The first call counts.
pub fn set_reserve(path: PathBuf) {
    PLACE.get_or_init(|| path);
}

/// Makes the reserve where it is missing or too small; on a full disk, as large as can be.
pub fn make_reserve() {
    let Some(path) = PLACE.get() else { return };
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    if size >= RESERVE_BYTES as u64 {
        return;
    }
    let made = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    // Never synced: a power cut may take it, and the next start makes it. Not an array, which would
    // be 64 KiB of the program.
    let written = made.and_then(|mut file| file.write_all(&vec![0; RESERVE_BYTES]));
    if let Err(error) = written.or_else(|error| if is_full(&error) { Ok(()) } else { Err(error) }) {
        crate::warn!("make {}: {error}", path.display());
    }
}

fn replace(path: &Path, bytes: &[u8], mode: u32, keeps_old: bool) -> io::Result<()> {
    match try_replace(path, bytes, mode, keeps_old) {
        Err(error) if is_full(&error) => {
            let Some(reserve) = PLACE.get() else { return Err(error) };
            // It may be gone already: given up for a write beside this one.
            drop(std::fs::remove_file(reserve));
            let outcome = try_replace(path, bytes, mode, keeps_old);
            make_reserve();
            outcome
        }
        outcome => outcome,
    }
}

fn try_replace(path: &Path, bytes: &[u8], mode: u32, keeps_old: bool) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temp = dir.join(format!("{TEMP_PREFIX}{}-{count}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temp)?;
        file.write_all(bytes)?;
        if keeps_old {
            file.sync_data()?;
        }
        std::fs::rename(&temp, path)?;
        Ok(file)
    };
    let file = write().inspect_err(|_: &io::Error| {
        // The first error is the one to tell; a temporary that stays is swept at the next start.
        drop(std::fs::remove_file(&temp));
    })?;
    if !keeps_old {
        file.sync_all()?;
    }
    sync_dir(dir)
}

/// Makes the entries of directory `dir` durable.
///
/// # Errors
/// Those of open(2) and fsync(2).
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes temporary files that a crash left in `dir`.
///
/// # Errors
/// Those of reading the directory; a file that cannot be removed is logged and stays.
pub fn sweep(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes()) {
            if let Err(error) = std::fs::remove_file(entry.path()) {
                crate::warn!("remove left-over {}: {error}", entry.path().display());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_and_leaves_no_temporary() {
        let dir = std::env::temp_dir().join(format!("skiff-atomic-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("state.json");
        write(&path, b"one", 0o600).unwrap();
        write(&path, b"two", 0o600).unwrap();
        write_anew(&path, b"three", 0o600).unwrap();
        std::fs::write(dir.join(".tmp-1-1"), "x").unwrap();
        sweep(&dir).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
