//! What the container's cgroups tell: killed for want of memory, frozen.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether the kernel has killed a process in these cgroups for want of memory.
pub(super) fn oom_killed(dirs: &[PathBuf]) -> bool {
    // v2 counts in memory.events, v1 (since Linux 4.13) in memory.oom_control.
    let files = ["memory.events", "memory.oom_control"];
    dirs.iter().any(|dir| {
        files.iter().any(|file| value_of(&dir.join(file), "oom_kill").is_some_and(|n| n != "0"))
    })
}

/// Whether these cgroups are frozen.
pub(super) fn frozen(dirs: &[PathBuf]) -> bool {
    dirs.iter().any(|dir| {
        value_of(&dir.join("cgroup.events"), "frozen").is_some_and(|value| value == "1")
            || fs::read_to_string(dir.join("freezer.state"))
                .is_ok_and(|state| state.trim_end() != "THAWED")
    })
}

/// The value in a file of `key value` lines.
fn value_of(file: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_understood() {
        let dir = std::env::temp_dir().join(format!("skiff-facts-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let dirs = [PathBuf::from("/nowhere"), dir.clone()];
        let check = |file: &str, content: &str, oom: bool, ice: bool| {
            fs::write(dir.join(file), content).unwrap();
            assert_eq!((oom_killed(&dirs), frozen(&dirs)), (oom, ice), "{file}");
            fs::remove_file(dir.join(file)).unwrap();
        };
        check("memory.events", "low 0\noom 1\noom_kill 0\noom_group_kill 0\n", false, false);
        check("memory.events", "low 0\noom 1\noom_kill 2\n", true, false);
        check("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", true, false);
        check("cgroup.events", "populated 1\nfrozen 1\n", false, true);
        check("freezer.state", "FROZEN\n", false, true);
        check("freezer.state", "THAWED\n", false, false);
        fs::remove_dir_all(&dir).unwrap();
    }
}
