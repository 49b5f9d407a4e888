//! The command line: a client of the API, nothing more.

/// Runs the command line; the daemon's flags lead to [`crate::daemon`].
pub fn main() -> std::process::ExitCode {
    todo!()
}
