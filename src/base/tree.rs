//! Deleting whole trees that strangers made.
//!
//! - No recursion and one open descriptor: a tree that is a million levels deep costs time only.
//! - Symbolic links are deleted, never followed. Nobody else may write to the tree meanwhile.

use std::fs;
use std::io;
use std::path::Path;

/// Names longer than this are shortened by moving the directory up.
const LONG: usize = 2048;

/// Deletes `top`, a directory with all that is in it, or a file. What is not there is no error.
///
/// # Errors
/// Those of the file system; what could be deleted until then is gone.
pub fn remove(top: &Path) -> io::Result<()> {
    match fs::symlink_metadata(top) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_dir() => return fs::remove_file(top),
        Ok(_) => {}
    }
    let mut moved = 0u64;
    let mut trail = vec![top.to_owned()];
    while let Some(dir) = trail.last() {
        // One directory at a time: remembering all names of a hostile one would cost memory.
        let mut below = None;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                below = Some(entry.path());
                break;
            }
            fs::remove_file(entry.path())?;
        }
        match below {
            Some(path) if path.as_os_str().len() > LONG => {
                let free = loop {
                    moved += 1;
                    let free = top.join(format!(".deep-{moved}"));
                    if fs::symlink_metadata(&free).is_err() {
                        break free;
                    }
                };
                fs::rename(&path, free)?;
            }
            Some(path) => trail.push(path),
            None => {
                fs::remove_dir(dir)?;
                trail.pop();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_trees_and_links_go_and_their_targets_stay() {
        let root = std::env::temp_dir().join(format!("skiff-tree-{}", std::process::id()));
        let top = root.join("top");
        fs::create_dir_all(&top).unwrap();
        fs::write(root.join("kept"), "x").unwrap();
        std::os::unix::fs::symlink(&root, top.join("link")).unwrap();
        let name = "d".repeat(200);
        for _ in 0..40 {
            // Each round hangs all that is there one level deeper.
            let deeper = root.join("deeper");
            fs::create_dir(&deeper).unwrap();
            fs::write(deeper.join("file"), "x").unwrap();
            fs::rename(&top, deeper.join(&name)).unwrap();
            fs::rename(&deeper, &top).unwrap();
        }
        remove(&top).unwrap();
        remove(&top).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        remove(&root.join("kept")).unwrap();
        fs::remove_dir(&root).unwrap();
    }
}
