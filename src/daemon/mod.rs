//! The daemon role: pid file, listeners, signals, and the order in which they come up.
//!
//! - The listeners are bound before the data root is opened: who connects early waits, and is
//!   not refused.
//! - A signal ends the daemon, at any moment after the pid file is written: at once, or as soon as
//!   containers that have just ended hold the data root no more. Those that run run on, and the
//!   next start adopts them.
//! - Idle, every thread waits in the kernel for something that happens.

mod address;
mod notify;
mod pid_file;

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::base::guard::guard;
use crate::base::{Context, Digest, Error, Kind, Result};
use crate::engine::{self, Engine};
use crate::http::{self, Handler, Limits, Listener};
use crate::model::{FirewallChoice, LogConfig};
use crate::sys::signal::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use crate::{api, sys};

use address::Address;

/// Where the data is unless `-g` says otherwise.
const DEFAULT_ROOT: &str = "/var/lib/skiff";
/// Run-time files of that root; those of another root lie beside it.
const DEFAULT_EXEC_ROOT: &str = "/run/skiff";
/// Mode bits that no file of ours has unless it is said so.
const UMASK: u32 = 0o022;
/// Mode of the data root: what is in it is nobody's business.
const ROOT_MODE: u32 = 0o710;
/// Stack of threads that only wait.
const SMALL_STACK: usize = 64 * 1024;
/// For containers that have ended to let the data root go, before we end.
const ENDINGS: Duration = Duration::from_secs(5);
/// Most connections of a listener; descriptors or memory may allow fewer.
const CONNECTIONS: u64 = 4096;
const LEAST_CONNECTIONS: u64 = 4;
/// What a connection is reckoned to cost: eight times what a silent one does.
const CONNECTION_BYTES: u64 = 128 * 1024;

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
    /// Who is to keep the packet rules.
    pub firewall: FirewallChoice,
    /// Answer requests of browsers from other origins.
    pub cors: bool,
    /// Group of the unix socket.
    pub group: String,
    /// Default logging of containers.
    pub log: LogConfig,
    /// `--label`s of this daemon.
    pub labels: Vec<String>,
}

/// Runs the daemon until a signal ends it; gives the exit code otherwise.
pub fn main(options: Options) -> u8 {
    crate::base::log::set_debug(options.debug);
    let Err(error) = run(options);
    // There is nowhere left to report to when standard error is gone.
    drop(writeln!(std::io::stderr(), "skiff: {error}"));
    1
}

/// What cannot be: the daemon ends by a signal or an error.
enum Never {}

fn run(options: Options) -> Result<Never> {
    if !sys::host::is_root() {
        return Err(Error::new(Kind::Forbidden, "the daemon needs to be started by root"));
    }
    sys::memory::keep_small();
    sys::host::set_umask(UMASK);
    sys::signal::ignore(SIGPIPE).context(|| "ignore SIGPIPE".into())?;
    std::panic::set_hook(Box::new(|panic| crate::error!("{panic}")));
    // Before the first thread starts: all of them inherit the mask.
    let signals =
        sys::signal::block(&[SIGINT, SIGTERM, SIGHUP]).context(|| "block signals".into())?;

    let pid_file = guard(pid_file::write(&options.pid_file)?, |file| file.remove());
    let open_files = sys::host::raise_open_files().context(|| "raise RLIMIT_NOFILE".into())?;
    let addresses = Address::parse_all(&options.hosts)?;
    let listeners = guard(address::listen(&addresses, &options.group)?, |_| {
        address::unlink(&addresses);
    });
    let opened = Arc::new(OnceLock::new());
    spawn("signals", {
        let (addresses, pid_file) = (addresses.clone(), pid_file.clone());
        let opened = Arc::clone(&opened);
        move || serve_signals(&signals, &addresses, &pid_file, &opened)
    })?;

    let (root, run_root) = directories(&options)?;
    let Options { restart, dns, bridge, firewall, log, labels, cors, .. } = options;
    let engine = Engine::open(engine::Options {
        root: root.clone(),
        run_root: run_root.clone(),
        restart,
        dns,
        bridge,
        firewall,
        log,
        labels,
    })?;
    // Nobody has set it before.
    opened.get_or_init(|| Arc::clone(&engine));
    let hosts = address::names(&addresses);
    let handler = api::Api::new(Arc::clone(&engine), api::Options { cors, hosts, root, run_root });
    sys::memory::trim();
    if let Err(error) = sys::memory::forget_program() {
        crate::debug!("let go of what only the start needed: {error}");
    }
    if notify::is_awaited() {
        // What the service manager starts after us may expect the bridge.
        engine.wait_for_networks();
    }
    notify::ready();
    notify::feed_watchdog()?;

    let limits =
        Limits { connections: connections(open_files, listeners.len()), ..Limits::default() };
    // From here on only a signal ends the daemon, and `serve_signals` tidies up.
    pid_file.keep();
    serve(listeners.keep(), &limits, Arc::new(handler))
}

/// How many connections each of `listeners` may have: together they leave half of the descriptors
/// to the rest of the daemon, and each stays within what the host's memory allows.
fn connections(open_files: u64, listeners: usize) -> usize {
    let memory = sys::host::total_memory().unwrap_or(0);
    let most = (memory / CONNECTION_BYTES).min(open_files / 2 / listeners as u64);
    usize::try_from(most.clamp(LEAST_CONNECTIONS, CONNECTIONS)).unwrap_or(usize::MAX)
}

/// Serves the last listener in this thread and each other in one of its own.
fn serve(
    mut listeners: Vec<Listener>,
    limits: &Limits,
    handler: Arc<dyn Handler>,
) -> Result<Never> {
    let last = listeners.pop().expect("there is at least one listener");
    for listener in listeners {
        let (limits, handler) = (limits.clone(), Arc::clone(&handler));
        spawn("listen", move || http::server::serve(listener, &limits, handler))?;
    }
    http::server::serve(last, limits, handler)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.into()).stack_size(SMALL_STACK);
    thread.spawn(work).map(drop).context(|| format!("start the thread {name}"))
}

/// Waits for the signal that ends the daemon. Containers run on.
fn serve_signals(
    signals: &sys::signal::Blocked,
    addresses: &[Address],
    pid_file: &pid_file::PidFile,
    engine: &OnceLock<Arc<Engine>>,
) {
    loop {
        match signals.wait() {
            Ok(SIGHUP) => {
                if let Some(engine) = engine.get() {
                    engine.check_rules();
                }
            }
            Ok(signal) => {
                let name = if signal == SIGINT { "interrupt" } else { "terminated" };
                crate::info!("Received signal '{name}', exiting");
                address::unlink(addresses);
                if let Some(engine) = engine.get() {
                    engine.finish_endings(ENDINGS);
                }
                pid_file.clone().remove();
                std::process::exit(0);
            }
            Err(error) => crate::error!("wait for signals: {error}"),
        }
    }
}

/// Data root and run-time directory, both absolute, the former made when it is missing.
fn directories(options: &Options) -> Result<(PathBuf, PathBuf)> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(ROOT_MODE);
    let name = options.root.display();
    builder.create(&options.root).context(|| format!("make the data root {name}"))?;
    let root = options.root.canonicalize().context(|| format!("find the data root {name}"))?;
    let default = [&options.root, &root].contains(&&PathBuf::from(DEFAULT_ROOT));
    let run_root = match &options.exec_root {
        Some(path) => std::path::absolute(path)
            .context(|| format!("find the run-time directory {}", path.display()))?,
        None if default => PathBuf::from(DEFAULT_EXEC_ROOT),
        None => run_root_of(&root),
    };
    Ok((root, run_root))
}

/// Two daemons of two roots must not share run-time files.
fn run_root_of(root: &Path) -> PathBuf {
    let digest = Digest::of(root.as_os_str().as_encoded_bytes()).hex();
    PathBuf::from(format!("{DEFAULT_EXEC_ROOT}-{}", &digest[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_root_has_a_run_time_directory_of_its_own() {
        let run_root = run_root_of(Path::new("/srv/skiff"));
        assert_eq!(run_root, PathBuf::from("/run/skiff-7bd60e97"));
    }
}
