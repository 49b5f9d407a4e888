//! What every other module may lean on: errors, ids, locks, guards, durable files, time, units.
//!
//! - Knows no word of the domain: what does goes to `model` or to its owner.
//! - Imports nothing of ours.

pub mod atomic_file;
pub mod digest;
pub mod error;
pub mod fields;
pub mod guard;
pub mod id;
pub mod lock;
pub mod log;
pub mod moment;
pub mod order;
pub mod state_file;
pub mod step;
pub mod time;
pub mod tree;
pub mod units;
pub mod zone;

pub use digest::Digest;
pub use error::{Context, Error, Kind, Result, is_shortage};
pub(crate) use fields::fields;
pub use guard::guard;
pub use id::Id;
pub use lock::Lock;
pub use time::Timestamp;
pub use zone::Zone;
