//! skiff: a container engine for small hosts, in one binary with four roles.
//!
//! - **command line**: a client of the API ([`cli`])
//! - **daemon**: serves the API ([`daemon`], [`api`], [`engine`])
//! - **monitor**: one small process per container ([`runtime`])
//! - **init**: runs inside the new namespaces, then becomes the user's program ([`runtime`])
//!
//! Modules import from the right of this line, never from its left: `daemon > cli, api > engine >
//! {container image network runtime} > model > http > dns > sys > base`; `wire` uses `model` and
//! `base`.

pub mod api;
pub mod base;
pub mod cli;
pub mod container;
pub mod daemon;
pub mod dns;
pub mod engine;
pub mod http;
pub mod image;
pub mod model;
pub mod network;
pub mod runtime;
pub mod sys;
pub mod wire;

/// Picks the role by the name that the process was started under, and plays it.
///
/// Gives the exit code.
pub fn main() -> u8 {
    let mut arguments = std::env::args_os();
    match arguments.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(runtime::MONITOR_NAME) => runtime::monitor::main(),
        _ => cli::main(),
    }
}
