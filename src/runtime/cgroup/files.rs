//! Reading and writing the files of a cgroup.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes `text` in one piece, as the kernel wants it; never makes the file.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::File::options().write(true).open(path)?.write_all(text.as_bytes())
}

/// The number behind word `key` in a file of lines `key number`.
pub(super) fn number_after(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value)
}

/// The processes in `group` and in the groups below it; those of our pid namespace.
pub(super) fn pids_in_tree(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> =
        text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect();
    for below in groups_below(group) {
        pids.extend(pids_in_tree(&below));
    }
    pids
}

fn groups_below(group: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().filter_map(|entry| entry.ok());
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}

/// Removes `group` and the groups below it; false when one is still in use.
pub(super) fn remove_tree(group: &Path) -> bool {
    let remove = || match fs::remove_dir(group) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    // A program that made groups of its own is rare: try without looking first.
    remove() || { groups_below(group).iter().all(|below| remove_tree(below)) && remove() }
}

/// Whether all in `group` has stopped; `None` when it has no freezer.
pub(super) fn is_frozen(group: &Path) -> Option<bool> {
    if let Ok(state) = fs::read_to_string(group.join("freezer.state")) {
        return Some(state.trim() != "THAWED")
            .filter(|_| state.trim() != "FREEZING")
            .or(Some(false));
    }
    number_after(&group.join("cgroup.events"), "frozen").map(|frozen| frozen == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_whole_word() {
        let path = std::env::temp_dir().join(format!("skiff-cgroup-{}", std::process::id()));
        fs::write(&path, "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n").unwrap();
        assert_eq!(number_after(&path, "oom_kill"), Some(3));
        assert_eq!(number_after(&path, "oom"), None);
        fs::remove_file(&path).unwrap();
    }
}
