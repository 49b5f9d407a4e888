//! JSON types of the API, and all that depends on its version.
//!
//! - The types are those of 1.44, fields named and ordered as there; both ends use them, so they
//!   are read and written, and every field has a default when it is read.
//! - Bodies are read by [`json`] alone, which reads as Go does: `null` is absent, the keys of
//!   structs match in any case.
//! - What a known field asks for and cannot be served is refused by the field's name.
//! - Knows no socket and no engine.

pub mod container;
pub mod detach;
pub mod exec;
pub mod filters;
pub mod image;
pub mod json;
pub mod network;
pub mod old;
pub mod query;
#[cfg(test)]
mod round_trip;
pub mod stream;
pub mod system;
pub mod version;

pub use version::Version;
