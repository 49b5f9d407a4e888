//! What the name server of containers knows: the names on their networks.
//!
//! - Pure but for reading files; the sockets are the monitor's (`monitor::dns`).
//! - The files that the daemon writes and the monitor reads are written and read here alone.

pub mod names;
