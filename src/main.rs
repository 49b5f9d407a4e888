//! The one binary; all it does is in the library.
//!
//! With glibc the C library calls `main` itself. What Rust's own start adds is done by
//! `sys::start`, but for the handler that names a thread whose stack is full: that reads
//! /proc/self/maps at each start, gives each thread a second stack, and brings the C library's
//! reader of numbers along, 0.1 MB. A full stack still ends the process, by SIGSEGV.

#![cfg_attr(target_env = "gnu", no_main)]

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    skiff::main().into()
}

/// What the C library calls; it has told Rust of the arguments already.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)] // no other `main` is linked
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    skiff::sys::start::begin();
    // Ends as a thread of Rust's does; its words are out already.
    let code = std::panic::catch_unwind(skiff::main).unwrap_or(101);
    // Writes what standard output holds back.
    std::process::exit(code.into())
}
