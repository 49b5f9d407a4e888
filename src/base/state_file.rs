//! Files of state, read back at a start: whole, missing, or damaged. See [`super::atomic_file`] for
//! how they are written.
//!
//! - Damage keeps no daemon from starting: the file is set aside, for a person to look at, and its
//!   owner begins anew.
//! - A shortage of descriptors or memory says nothing about the file. It is left as it is, and the
//!   caller does not start.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{Context, Result, Timestamp, is_shortage};

/// Reads the file at `path` and hands its bytes to `parse`. Of one that is missing nothing is said;
/// one that cannot be read or parsed is set aside, and `loss` tells what that costs.
///
/// # Errors
/// A shortage, see [`is_shortage`]; a damaged file that cannot be set aside.
pub fn read(path: &Path, loss: &str, parse: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
    judge(path, std::fs::read(path), loss, parse)
}

fn judge(
    path: &Path,
    bytes: io::Result<Vec<u8>>,
    loss: &str,
    parse: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<()> {
    // A bad block is damage as well.
    match bytes.and_then(|bytes| parse(&bytes)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if is_shortage(&error) => {
            Err(error).context(|| format!("read {}", path.display()))
        }
        Err(why) => {
            let aside = set_aside(path)?;
            let (path, aside) = (path.display(), aside.display());
            crate::error!("{path} is damaged ({why}); {loss}, the file is kept as {aside}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Renames a damaged file so that it is kept and read no more.
///
/// # Errors
/// Those of the file system.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    let now = Timestamp::now();
    name.push(format!(".damaged-{}-{:09}", now.seconds, now.nanos));
    let aside = PathBuf::from(name);
    std::fs::rename(path, &aside).context(|| format!("set {} aside", path.display()))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_set_aside_and_a_shortage_touches_nothing() {
        let dir = std::env::temp_dir().join(format!("skiff-state-file-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("state.json");
        let mut seen = Vec::new();
        let mut parse = |bytes: &[u8]| {
            seen.push(bytes.to_vec());
            if bytes == b"bad" { Err(io::Error::other("wrong")) } else { Ok(()) }
        };
        read(&path, "all is lost", &mut parse).unwrap();
        std::fs::write(&path, "good").unwrap();
        read(&path, "all is lost", &mut parse).unwrap();
        // ENOMEM, ENFILE, EMFILE.
        for number in [12, 23, 24] {
            let short = Err(io::Error::from_raw_os_error(number));
            assert!(judge(&path, short, "all is lost", &mut parse).is_err());
            assert!(path.exists());
        }
        // EIO, as a bad block gives; then what makes no sense.
        let bad_block = Err(io::Error::from_raw_os_error(5));
        judge(&path, bad_block, "all is lost", &mut parse).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "bad").unwrap();
        read(&path, "all is lost", &mut parse).unwrap();
        assert!(!path.exists());
        assert_eq!(seen, [b"good".to_vec(), b"bad".to_vec()]);
        let kept = std::fs::read_dir(&dir).unwrap().flatten();
        assert!(kept.map(|e| e.file_name()).all(|n| n.to_str().unwrap().contains(".damaged-")));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
