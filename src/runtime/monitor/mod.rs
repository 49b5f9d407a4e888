//! The monitor: one small process per container, one thread, one poll loop.

/// Plays the monitor: argument 1 is the run directory, descriptor 0 the control connection.
pub fn main() -> std::process::ExitCode {
    todo!()
}
