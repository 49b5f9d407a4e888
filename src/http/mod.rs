//! HTTP/1.1 for both ends, a thread per connection; the only user of those crates.
//!
//! Knows no route and no JSON shape of ours.

pub mod client;
pub mod fetch;
pub mod head;
pub mod server;

pub use head::{Head, Headers, Query};
pub use server::{Exchange, Handler, Limits, Listener, Peer, Reply};
