//! The kernel: mounts, namespaces, cgroups, sockets, terminals, file descriptors.
//!
//! - Mechanism, no policy: wrappers decide nothing and return `io::Result`.
//! - The only module with `unsafe`. A wrapper is safe for every input, takes borrowed or owned
//!   descriptors, names its man page and says what bites.
//! - Every descriptor is close-on-exec from birth.

#![allow(unsafe_code)]

pub mod bpf;
pub mod caps;
pub mod conntrack;
pub mod fs;
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod glibc;
pub mod host;
pub mod inet;
pub mod lock;
pub mod memory;
pub mod mount;
pub mod netlink;
pub mod nft;
pub mod node;
pub mod ns;
pub mod pipe;
pub mod poll;
pub mod process;
mod resolve;
pub mod rtnl;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod start;
pub mod tcp;
pub mod title;
pub mod tty;
pub mod xattr;

use std::io;

/// Turns the -1 of a system call into the error that errno holds.
///
/// # Errors
/// errno, when `result` is negative.
pub fn check<T: PartialOrd + Default>(result: T) -> io::Result<T> {
    if result < T::default() { Err(io::Error::last_os_error()) } else { Ok(result) }
}
