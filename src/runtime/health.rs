//! `health.json` in a container's run directory: what its health checks have come to, for a
//! daemon that was away.
//!
//! It lies in memory, is never synced, and goes with the run: a check costs the flash nothing.

use std::path::Path;

use crate::base::{Context, Result};
use crate::model::Health;

const FILE: &str = "health.json";

/// Replaces the file.
///
/// # Errors
/// Those of the file system; the old file is then untouched.
pub fn write(run_dir: &Path, health: &Health) -> Result<()> {
    let bytes = serde_json::to_vec(health).map_err(std::io::Error::from)?;
    let (path, new) = (run_dir.join(FILE), run_dir.join("health.json.new"));
    std::fs::write(&new, bytes)
        .and_then(|()| std::fs::rename(&new, &path))
        .context(|| format!("write {}", path.display()))
}

/// Reads the file, if there is a readable one.
pub fn read(run_dir: &Path) -> Option<Health> {
    serde_json::from_slice(&std::fs::read(run_dir.join(FILE)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::model::{HealthResult, HealthStatus};

    #[test]
    fn what_is_written_is_read_back_and_a_damaged_file_is_none() {
        let dir = std::env::temp_dir().join(format!("skiff-health-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert_eq!(read(&dir), None);
        let at = Timestamp::now();
        let health = Health {
            status: HealthStatus::Unhealthy,
            failing_streak: 3,
            log: vec![HealthResult { start: at, end: at, code: -1, output: "o\n".into() }],
        };
        write(&dir, &health).unwrap();
        assert_eq!(read(&dir), Some(health));
        std::fs::write(dir.join(FILE), "{").unwrap();
        assert_eq!(read(&dir), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
