//! The record file `containers/<id>/record.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Digest, Id, Timestamp};
use crate::model::{Endpoint, HostConfig, MountPoint, RunConfig};

/// A container, as it is on disk. Fields only grow; each new one has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this file's format.
    pub version: u32,
    /// The container's id; equal to its directory's name.
    pub id: Id,
    /// Its name, without a leading slash.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its image.
    pub image: Digest,
    /// What runs: the user's configuration merged with the image's.
    pub config: RunConfig,
    /// What the host grants.
    pub host: HostConfig,
    /// Networks by name, and how it takes part in them.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Mounts as resolved at create; volumes have their names by now.
    #[serde(default)]
    pub mounts: Vec<MountPoint>,
    /// Number of the newest run; 0 before the first.
    #[serde(default)]
    pub run: u64,
    /// How often a restart policy has started it again.
    #[serde(default)]
    pub restart_count: u32,
    /// The user stopped it: `unless-stopped` stays down.
    #[serde(default)]
    pub stopped_by_user: bool,
    /// How far the newest run has come, as far as the record knows.
    pub state: DiskState,
}

/// What the record says of the newest run; `exit.json` of the same run says how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskState {
    /// Never started, or every start failed before anything ran.
    Created,
    /// Run `Record::run` was allowed to begin. Whether it runs or has ended is known from its
    /// monitor and its `exit.json`. Neither `Running` nor the end is written here; a removal is
    /// one rename of the whole directory.
    Starting,
    /// Run `Record::run` has ended and nobody saw how: its monitor died with it.
    Lost {
        /// When it began, as far as that is known.
        started_at: Timestamp,
        /// When it was found dead.
        finished_at: Timestamp,
    },
}

impl Record {
    /// Version that this program writes.
    pub const VERSION: u32 = 1;

    /// Program and arguments: the entrypoint's words, then the command's.
    pub fn argv(&self) -> Vec<String> {
        let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let mut argv = words(&self.config.entrypoint);
        argv.extend(words(&self.config.cmd));
        argv
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::container) fn record() -> Record {
        Record {
            version: Record::VERSION,
            id: Id::random(),
            name: "web".into(),
            created: Timestamp::from_unix(std::time::Duration::from_secs(5)),
            image: Digest::of(b"x"),
            config: RunConfig { cmd: Some(vec!["sh".into()]), ..RunConfig::default() },
            host: HostConfig { memory: 1 << 20, auto_remove: true, ..HostConfig::default() },
            endpoints: BTreeMap::new(),
            mounts: Vec::new(),
            run: 3,
            restart_count: 0,
            stopped_by_user: false,
            state: DiskState::Starting,
        }
    }

    #[test]
    fn a_record_reads_back_as_written() {
        let record = record();
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn fields_of_later_versions_have_defaults() {
        let record = record();
        let mut value = serde_json::to_value(&record).unwrap();
        let map = value.as_object_mut().unwrap();
        for later in ["endpoints", "mounts", "run", "restart_count", "stopped_by_user"] {
            map.remove(later);
        }
        map.insert("from-the-future".into(), true.into());
        let read: Record = serde_json::from_value(value).unwrap();
        assert_eq!((read.run, read.id), (0, record.id));
    }

    #[test]
    fn the_command_line_is_entrypoint_then_command() {
        let mut record = record();
        record.config.entrypoint = Some(vec!["/entry".into(), "-x".into()]);
        assert_eq!(record.argv(), ["/entry", "-x", "sh"]);
        record.config.cmd = None;
        assert_eq!(record.argv(), ["/entry", "-x"]);
    }
}
