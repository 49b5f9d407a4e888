//! A container's record: what was asked for and what became of it.
//!
//! - What a client has been told is already on disk.
//! - State moves only along the arrows drawn in `state.rs`.
//! - Never talks to the kernel beyond its own files; `engine` does, between claim and publish.

pub mod capabilities;
pub mod dir;
pub mod health;
pub mod limits;
pub mod merge;
pub mod mounts;
pub mod names;
pub mod record;
pub mod state;
pub mod update;
pub mod validate;

pub use dir::Layout;
pub use record::{DiskState, Record};
pub use state::{Activity, Ask, State, Verdict};
pub use update::Change;
