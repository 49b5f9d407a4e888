//! Throws damaged input at what reads from strangers: bodies, queries, websocket frames, tar layers,
//! questions for names. Request heads are
//! fuzzed beside their parser, messages to a running monitor in `tests/it`.
//!
//! Inputs are good ones with bytes flipped, pieces cut, doubled, and swapped with pieces of
//! others; all from a seed that a failure prints (`SKIFF_FUZZ_SEED` runs it alone). What must
//! hold: no panic, no hang, bounded memory, nothing written outside. `SKIFF_SOAK=1` goes on for
//! minutes instead of a second.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod bodies;
mod dns;
mod frames;
mod mutate;
mod tars;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutate::Source;

/// Runs `target` on damaged copies of `seeds` for a while.
fn fuzz(name: &str, seeds: &[Vec<u8>], target: impl Fn(&[u8])) {
    let only = std::env::var("SKIFF_FUZZ_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let soak = std::env::var_os("SKIFF_SOAK").is_some();
    let end = Instant::now() + Duration::from_secs(if soak { 150 } else { 1 });
    let mut rounds = 0;
    for seed in only.unwrap_or(1).. {
        let input = Source::new(seed).damaged(seeds);
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let took = began.elapsed();
        let sane = outcome.is_ok() && took < Duration::from_secs(5);
        assert!(
            sane,
            "{name}: SKIFF_FUZZ_SEED={seed} took {took:?}: {:?}",
            input.escape_ascii().to_string()
        );
        rounds += 1;
        if only.is_some() || Instant::now() > end {
            break;
        }
    }
    println!("{name}: {rounds} inputs");
}
