//! Named steps at which a test can kill the process.
//!
//! Crash tests set `SKIFF_DIE_AFTER=name` (`name:N` for the N-th time the step is passed); the
//! process then aborts right after that step: no destructor runs, nothing is flushed, as in a
//! power cut or a kill. Without the variable a step costs one atomic load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

static WANTED: OnceLock<Option<(String, usize)>> = OnceLock::new();
static PASSED: AtomicUsize = AtomicUsize::new(0);

/// The step called `name` is done.
pub fn done(name: &str) {
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("SKIFF_DIE_AFTER").ok()?;
        match text.split_once(':') {
            Some((name, count)) => Some((name.to_owned(), count.parse().ok()?)),
            None => Some((text, 1)),
        }
    });
    if let Some((step, count)) = wanted {
        if step == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count {
            std::process::abort();
        }
    }
}
