//! HTTP/1.1 for both ends, a thread per connection; the only user of those crates.
//!
//! - Every length that a stranger sends is a claim: nothing is allocated by it.
//! - What is written goes out at once; big reads and writes pass through uncopied.
//! - Knows no route and no JSON shape of ours.

pub mod client;
pub mod fetch;
#[cfg(test)]
mod fuzz;
pub mod head;
mod input;
mod roots;
pub mod server;
mod socket;
pub mod websocket;

pub use head::{Head, Headers, Query};
pub use server::{Client, Exchange, Handler, Limits, Listener, Peer, Reply, Stream};
