//! Entering a container that runs: the steps of an exec, until it becomes the user's program.
//!
//! ```text
//! monitor ─ clone ─> first stage                      second stage
//!                    launch file, cgroups opened  ┌─> v1: joins the cgroups; their namespace
//!                    namespaces of init joined    │   user, capabilities, seccomp
//!                    user, directory, terminal  ──┘   Prepared ─> waits for a byte ─> exec
//! ```
//!
//! - The first stage stays out of the container's pid namespace: nothing in there can see it. The
//!   second is its sibling, a child of the monitor, and on cgroup v2 is born in the group.
//! - Both are not dumpable, and the monitor's descriptors are closed before any namespace is
//!   joined: a process of the container that looks at once finds nothing of the host.
//! - Nothing in the container's tree is opened by a path that it could bend: the terminal's
//!   device is looked at before it is opened, and its other end comes without a name.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cgroups::{self, Entry};
use super::identity::{self, Identity};
use super::root::Root;
use super::{
    Message, Spawned, Stdio, Streams, WorkingDirectory, fail, let_go_of_monitor, pid_on_host, send,
    set_oom_score,
};
use crate::base::{Context, Error, Result, fields};
use crate::runtime::launch::Launch;
use crate::sys::ns::{self, NsKind};
use crate::sys::process::{self, Clone};
use crate::sys::{fs, node, socket};

/// Number of /dev/ptmx and of the `ptmx` in every devpts.
const PTMX: (u32, u32) = (5, 2);

fields! {
    /// A program that is to run in a container beside its main one. What it does not say is as for
    /// the main program.
    #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
    pub struct Exec {
        /// The program, then its arguments; never empty.
        pub args: Vec<String>,
        /// Variables on top of the container's.
        pub env: Vec<String>,
        /// Working directory; empty is the container's.
        pub cwd: String,
        /// `name|uid[:group|gid]`; empty is the container's.
        pub user: String,
        /// Run on a pseudo-terminal.
        pub tty: bool,
        /// Standard input is a pipe (or the terminal), not /dev/null.
        pub open_stdin: bool,
        /// Capabilities in place of the container's.
        pub capabilities: Option<Vec<u8>>,
    }
}

impl Exec {
    /// The container's launch file with what differs.
    fn over(&self, mut launch: Launch) -> Launch {
        let Exec { args, env, cwd, user, tty, open_stdin, capabilities } = self.clone();
        if tty && !launch.env.iter().any(|entry| entry.starts_with("TERM=")) {
            launch.env.push("TERM=xterm".into());
        }
        for entry in env {
            let key = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
            launch.env.retain(|other| key(other) != key(&entry));
            if entry.contains('=') {
                launch.env.push(entry);
            }
        }
        if !cwd.is_empty() {
            launch.cwd = cwd;
        }
        if !user.is_empty() {
            launch.user = user;
        }
        if let Some(capabilities) = capabilities {
            launch.capabilities = capabilities;
        }
        (launch.args, launch.tty, launch.open_stdin) = (args, tty, open_stdin);
        launch
    }
}

/// Clones the first stage for `exec` in the container whose run directory is `run_dir` and whose
/// init is `init`, a child of the caller that is not reaped yet. `stdio` is `None` with a
/// terminal. What comes over the channel is as for [`super::spawn`].
///
/// The caller must have one thread, and keeps its own namespaces.
///
/// # Errors
/// When the clone itself fails.
pub fn spawn(run_dir: &Path, init: i32, exec: &Exec, stdio: Option<Stdio>) -> Result<Spawned> {
    let (ours, theirs) = socket::packet_pair().context(|| "make a channel to an exec".into())?;
    let pid = process::clone_process(Clone::default(), || {
        match first_stage(run_dir, init, exec, stdio, theirs.as_fd()) {
            Ok(never) => match never {},
            Err(error) => fail(theirs.as_fd(), &error),
        }
    })
    .context(|| "clone an exec".into())?;
    Ok(Spawned { pid, channel: ours })
}

/// What the first stage leaves to the second.
struct Entering<'a> {
    launch: &'a Launch,
    channel: BorrowedFd<'a>,
    host_proc: OwnedFd,
    cgroups: Entry,
    cgroup_namespace: Option<File>,
    streams: Streams,
    identity: Identity,
    root: Root,
}

fn first_stage(
    run_dir: &Path,
    init: i32,
    exec: &Exec,
    stdio: Option<Stdio>,
    channel: BorrowedFd<'_>,
) -> Result<Infallible> {
    let stderr = let_go_of_monitor(stdio, channel)?;
    process::set_dumpable(false).context(|| "hide the exec from others".into())?;
    let launch = exec.over(Launch::read(run_dir)?);
    let host_proc = node::find_on_host(Path::new("/proc")).context(|| "open /proc".into())?;
    let mut cgroups = cgroups::open(&launch)?;
    let own = pid_on_host(&host_proc).context(|| "read /proc/self".into())?;
    set_oom_score(&launch, &host_proc, own);
    let cgroup_namespace = enter(init)?;
    let root = Root::current().context(|| "open the container's root".into())?;
    let identity = identity::resolve(&root, &launch.user, &launch.groups)?;
    let streams = match stderr {
        Some(stderr) => Streams::Pipes { stderr },
        None => {
            let (slave, master) =
                terminal(&root, &host_proc, own).context(|| "make a terminal".into())?;
            Streams::Terminal { slave, master }
        }
    };
    let birth = match &mut cgroups {
        Entry::Birth(dir) => dir.take(),
        Entry::Write(..) => None,
    };
    let entering = Entering {
        launch: &launch,
        channel,
        host_proc,
        cgroups,
        cgroup_namespace,
        streams,
        identity,
        root,
    };
    let how = Clone { namespaces: 0, sibling: true, cgroup: birth.as_ref().map(AsFd::as_fd) };
    let pid = process::clone_process(how, || match entering.second_stage() {
        Ok(never) => match never {},
        Err(error) => fail(channel, &error),
    })
    .context(|| "clone an exec".into())?;
    send(channel, &Message::Cloned { pid }, None).context(|| "tell the monitor".into())?;
    process::exit_now(0)
}

/// Joins the namespaces of `init`, which are all opened before the first is joined; the mounts
/// come last, with root and working directory. Gives that of the cgroups, which is joined by the
/// second stage: seen from inside, the group that we are in has no way to the container's.
fn enter(init: i32) -> Result<Option<File>> {
    let open = |kind: NsKind| {
        let path = PathBuf::from(format!("/proc/{init}/ns/{}", kind.file()));
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            // The kernel was built without this kind.
            Err(error) if error.kind() == io::ErrorKind::NotFound && kind != NsKind::Mount => {
                Ok(None)
            }
            Err(error) => Err(error).context(|| format!("open {}", path.display())),
        }
    };
    let cgroup = open(NsKind::Cgroup)?;
    let mut found = Vec::new();
    for kind in [NsKind::Ipc, NsKind::Uts, NsKind::Net, NsKind::Pid, NsKind::Mount] {
        found.extend(open(kind)?.map(|file| (file, kind)));
    }
    found.iter().try_for_each(|(file, kind)| join(file, *kind))?;
    Ok(cgroup)
}

fn join(file: &File, kind: NsKind) -> Result<()> {
    ns::enter(file.as_fd(), kind).context(|| format!("join the {} namespace", kind.file()))
}

/// A new terminal of the container: the end for the program and the one for the monitor.
fn terminal(root: &Root, host_proc: &OwnedFd, own: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let found = node::find_below(root.fd(), Path::new("dev/pts/ptmx"))?;
    let stat = node::stat(found.as_fd())?;
    // Opening another device could do something.
    if stat.device_kind() != Some('c') || stat.rdev != PTMX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "/dev/pts/ptmx is no terminal"));
    }
    let path = PathBuf::from(format!("{own}/fd/{}", found.as_raw_fd()));
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let master = fs::openat(host_proc.as_fd(), &path, flags, 0)?;
    process::unlock_terminal(master.as_fd())?;
    let slave = process::peer_terminal(master.as_fd())?;
    Ok((slave, master))
}

impl Entering<'_> {
    fn second_stage(self) -> Result<Infallible> {
        let Entering {
            launch,
            channel,
            host_proc,
            mut cgroups,
            cgroup_namespace,
            streams,
            identity,
            root,
        } = self;
        // Closed too early, its terminal would hang up on us, and we could not say what failed.
        let streams = ManuallyDrop::new(streams);
        let pid = pid_on_host(&host_proc).context(|| "read /proc/self".into())?;
        drop(host_proc);
        cgroups.enter()?;
        cgroup_namespace.iter().try_for_each(|file| join(file, NsKind::Cgroup))?;
        let cwd = WorkingDirectory::find(&root, &launch.cwd)?;
        streams.become_user(launch, &identity, &cwd)?;
        // Closed all at once, with whatever else there is.
        std::mem::forget((root, cgroups, cgroup_namespace, cwd));
        let program = streams.prepare(launch, &identity, channel, pid)?;
        match socket::receive_packet(channel, 1, false) {
            Ok(Some(_)) => Err(program.exec()),
            _ => Err(Error::internal("the monitor gave the exec up")),
        }
    }
}
