//! The REST face of the daemon: parse, call `engine`, render.
//!
//! - No comparison of versions: what depends on one is in `wire`.
//! - No state of its own.
