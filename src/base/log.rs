//! The daemon's own log: lines on standard error, control bytes escaped.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

static DEBUG: AtomicBool = AtomicBool::new(false);

/// Turns debug lines on or off (`-D`).
pub fn set_debug(on: bool) {
    DEBUG.store(on, Ordering::Relaxed);
}

/// Whether debug lines are written.
pub fn debug() -> bool {
    DEBUG.load(Ordering::Relaxed)
}

/// Writes one line; the macros `error!`, `warn!`, `info!`, `debug!` call it.
pub fn line(level: &str, text: &str) {
    let mut out = format!("{} {level} ", crate::base::Timestamp::now().rfc3339_millis());
    for c in text.chars() {
        // Names and paths in messages come from strangers: no escape sequence may pass.
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.push('\n');
    // There is nowhere left to report to when standard error is gone.
    drop(std::io::stderr().write_all(out.as_bytes()));
}

/// Logs a failure that ends here.
#[macro_export]
macro_rules! error { ($($arg:tt)*) => { $crate::base::log::line("ERROR", &format!($($arg)*)) } }

/// Logs something the admin should know.
#[macro_export]
macro_rules! warn { ($($arg:tt)*) => { $crate::base::log::line("WARN", &format!($($arg)*)) } }

/// Logs what the daemon does.
#[macro_export]
macro_rules! info { ($($arg:tt)*) => { $crate::base::log::line("INFO", &format!($($arg)*)) } }

/// Logs details, with `-D` only.
#[macro_export]
macro_rules! debug { ($($arg:tt)*) => {
    if $crate::base::log::debug() { $crate::base::log::line("DEBUG", &format!($($arg)*)) }
} }
