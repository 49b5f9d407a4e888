//! The domain name system: its messages, the servers that a host asks, and the look-up of names
//! for ourselves.
//!
//! - Names are looked up by us ([`lookup`]), the same with either C library: glibc's own loads
//!   modules of the host's C library into a static program, and is 0.13 MB of it.
//! - Whatever strangers send, nothing panics.

pub mod lookup;
pub mod message;
pub mod servers;
