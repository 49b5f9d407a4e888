//! How one container runs: a monitor process, and the init that becomes the user's program.
//!
//! - Knows no image, no network, no REST. All that monitor and init need is in the launch file.
//! - The daemon talks to a monitor through [`handle::Handle`] alone.
//! - A monitor outlives the daemon; `proto` only grows, since an old monitor may meet a new daemon.

pub mod cgroup;
pub mod dns;
pub mod exe;
pub mod handle;
pub mod health;
pub mod init;
pub mod launch;
pub mod log;
pub mod monitor;
pub mod proto;

/// `argv[0]` of a monitor process.
pub const MONITOR_NAME: &str = "skiff-monitor";
