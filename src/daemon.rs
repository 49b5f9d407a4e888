//! The daemon role: flags, pid file, listeners, signals.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::model::LogConfig;

/// What the daemon was asked to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses to listen on; empty is the default socket.
    pub hosts: Vec<String>,
    /// Data root.
    pub root: PathBuf,
    /// Directory of run-time files; `None` derives it from `root`.
    pub exec_root: Option<PathBuf>,
    /// Pid file.
    pub pid_file: PathBuf,
    /// Debug lines in the log.
    pub debug: bool,
    /// `-r`: restart containers that were running and have no policy.
    pub restart: bool,
    /// DNS servers for containers.
    pub dns: Vec<String>,
    /// `-b`: bridge, or `none`.
    pub bridge: String,
    /// Answer requests of browsers from other origins.
    pub cors: bool,
    /// Group of the unix socket.
    pub group: String,
    /// Default logging of containers.
    pub log: LogConfig,
    /// `--label`s of this daemon.
    pub labels: Vec<String>,
}

/// Runs the daemon until a signal ends it.
pub fn main(_options: Options) -> ExitCode {
    todo!()
}
