//! How well a container's program is, as its health check says.

use serde::{Deserialize, Serialize};

use crate::base::{Timestamp, fields};

/// The outcome of the newest checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What they come to.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The newest checks, oldest first.
    pub log: Vec<HealthResult>,
}

/// What health checks come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// Not known yet.
    #[default]
    Starting,
    /// The last check was a success.
    Healthy,
    /// So many in a row were failures, or the program does not run any more.
    Unhealthy,
}

impl HealthStatus {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

fields! {
    /// One check.
    #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
    pub struct HealthResult {
        /// When it began.
        pub start: Timestamp,
        /// When it ended.
        pub end: Timestamp,
        /// The exit code; -1 for one that could not be run or took too long.
        pub code: i32,
        /// The beginning of what it said.
        pub output: String,
    }
}
