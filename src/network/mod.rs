//! Networks of containers: bridge, addresses, published ports, packet rules.
//!
//! - State is plain data behind a mutex that is never held over a system call.
//! - Rules are data (`rules`); `sys::nft` knows how the kernel is told.

pub mod pool;
pub mod rules;
