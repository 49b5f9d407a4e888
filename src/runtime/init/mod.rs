//! The steps inside the new namespaces, in order, until init becomes the user's program.
//!
//! ```text
//! monitor ─ clone ─> first stage                         second stage
//!                    namespaces made or joined      ┌──> /proc, sysctls, the user's mounts, masks
//!                    sources of binds opened        │    pivot_root
//!                    root file system, /dev, /sys ──┘    v1: joins its cgroups
//!                                                        user, capabilities, seccomp
//!                                                        Prepared ─> waits for a byte ─> exec,
//!                                                        or with `--init` clones who does
//! ```
//!
//! - Usually both stages are one process: pid 1 of the container, child of the monitor. Where
//!   they cannot be (a cgroup v2 is entered without delay only at birth; a pid namespace is
//!   joined by children alone), the first stage clones the second as its own sibling and ends.
//! - What is set up is not charged to the container's memory limit, which may be 512 KiB: the
//!   cgroups are entered as late as they can be.
//! - Every target inside the root is a descriptor, resolved with the container's root as root;
//!   no path of the container is ever walked by mount(2).
//! - Nobody can look into this process: it is not dumpable until exec, and at exec it holds no
//!   descriptor but the standard streams.

mod cgroups;
mod cwd;
mod devices;
mod exec;
mod identity;
mod mounts;
mod privileges;
mod program;
mod reaper;
mod root;
mod seccomp;
mod streams;
mod sysctls;

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use self::cgroups::Entry;
use self::cwd::WorkingDirectory;
use self::devices::Dev;
use self::identity::Identity;
use self::mounts::Sources;
use self::root::Root;
use self::streams::Streams;
use super::launch::{Launch, Namespace};
use crate::base::{Context, Error, Kind, Result};
use crate::sys::mount::{self, Propagation};
use crate::sys::ns::{self, NsKind};
use crate::sys::process::{self, Clone};
use crate::sys::{self, fs, node, socket};

pub use self::exec::{Exec, spawn as spawn_exec};
pub use self::sysctls::check as check_sysctl;

/// Standard streams of the program, when it has no terminal. With a terminal init opens one
/// inside the container and sends the master's descriptor over the channel.
pub struct Stdio {
    /// Becomes descriptor 0.
    pub stdin: OwnedFd,
    /// Becomes descriptor 1.
    pub stdout: OwnedFd,
    /// Becomes descriptor 2.
    pub stderr: OwnedFd,
}

/// An init on its way.
pub struct Spawned {
    /// A child of the caller: init itself, or its first stage, which ends by itself with status 0
    /// once init is another child. [`Message::Prepared`] tells init's pid in either case.
    pub pid: i32,
    /// SOCK_SEQPACKET socket. Init sends [`Message`]s; after `Prepared`, the end of file without
    /// a `Failed` means that exec has succeeded; before it, that init was killed. The caller
    /// sends one byte to let a prepared init exec; closing the channel instead ends it.
    pub channel: OwnedFd,
}

/// What init tells the monitor, one JSON packet each.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// All is set up, and init waits for the word to exec. Carries the master of the terminal as
    /// a descriptor when the launch file asks for one.
    Prepared {
        /// Pid of init as the host sees it; a child of the caller of [`spawn`].
        pid: i32,
    },
    /// An exec's second stage is born. Told by the first, for the second may not come to tell.
    Cloned {
        /// Its pid as the host sees it; a child of the caller of [`spawn_exec`].
        pid: i32,
    },
    /// A step failed; init ends.
    Failed {
        /// 126 not executable, 127 not found, 128 anything else.
        code: i32,
        /// What went wrong, for people.
        message: String,
    },
}

/// Clones an init for `launch` and returns at once. `stdio` is `None` with a terminal.
///
/// The caller must have one thread, and keeps its own namespaces.
///
/// # Errors
/// When the clone itself fails.
pub fn spawn(launch: &Launch, stdio: Option<Stdio>) -> Result<Spawned> {
    let (ours, theirs) = socket::packet_pair().context(|| "make a channel to init".into())?;
    let namespaces = &launch.namespaces;
    let made = [
        (&namespaces.net, NsKind::Net),
        (&namespaces.ipc, NsKind::Ipc),
        (&namespaces.uts, NsKind::Uts),
        (&namespaces.pid, NsKind::Pid),
    ];
    let mut flags = NsKind::Mount.flag();
    for (namespace, kind) in made {
        if *namespace == Namespace::New && (kind != NsKind::Pid || !in_two_stages(launch)) {
            flags |= kind.flag();
        }
    }
    let how = Clone { namespaces: flags, ..Clone::default() };
    let pid = process::clone_process(how, || run(launch, stdio, theirs))
        .context(|| "clone init".into())?;
    Ok(Spawned { pid, channel: ours })
}

/// Whether the first stage has to clone the second.
fn in_two_stages(launch: &Launch) -> bool {
    launch.cgroup_v2 || matches!(launch.namespaces.pid, Namespace::Join(_))
}

/// What the first stage leaves to the second.
struct Init<'a> {
    launch: &'a Launch,
    channel: BorrowedFd<'a>,
    /// The host's /proc, where `self` is our pid on the host.
    host_proc: OwnedFd,
    root: Root,
    dev: Dev,
    sources: Sources,
    cgroups: Entry,
    streams: Streams,
    identity: Identity,
}

/// Plays the first stage; never returns to the caller's code.
fn run(launch: &Launch, stdio: Option<Stdio>, channel: OwnedFd) -> Infallible {
    match first_stage(launch, stdio, channel.as_fd()) {
        Ok(never) => match never {},
        Err(error) => fail(channel.as_fd(), &error),
    }
}

/// Tells the monitor why, and ends.
fn fail(channel: BorrowedFd<'_>, error: &Error) -> ! {
    let code = match error.kind() {
        Kind::ProgramNotFound => 127,
        Kind::ProgramNotExecutable => 126,
        _ => 128,
    };
    // When the monitor is gone, nobody is left to tell.
    drop(send(channel, &Message::Failed { code, message: error.to_string() }, None));
    process::exit_now(code)
}

fn send(channel: BorrowedFd<'_>, message: &Message, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = serde_json::to_vec(message).expect("a message is plain strings and numbers");
    socket::send_packet(channel, &[IoSlice::new(&bytes)], fd.as_slice(), false)
}

/// From the clone to all that needs no process of the new pid namespace.
fn first_stage(
    launch: &Launch,
    stdio: Option<Stdio>,
    channel: BorrowedFd<'_>,
) -> Result<Infallible> {
    let stderr = let_go_of_monitor(stdio, channel)?;
    process::set_dumpable(false).context(|| "hide init from others".into())?;
    sys::host::set_umask(0);
    let host_proc = node::find_on_host(Path::new("/proc")).context(|| "open /proc".into())?;
    let cgroups = cgroups::open(launch)?;
    join_namespaces(launch)?;
    let sources = mounts::open_sources(launch)?;
    mount::set_propagation(Path::new("/"), Propagation::Private, true)
        .context(|| "make all mounts private".into())?;
    set_names(launch)?;
    if launch.namespaces.net == Namespace::New {
        ns::loopback_up().context(|| "bring the loopback interface up".into())?;
    }
    let root = Root::mount(launch)?;
    let identity = identity::resolve(&root, &launch.user, &launch.groups)?;
    let dev = devices::mount(launch, &root)?;
    mounts::mount_sys(launch, &root)?;
    let streams = match stderr {
        Some(stderr) => Streams::Pipes { stderr },
        None => {
            let (slave, master) = dev.terminal()?;
            Streams::Terminal { slave, master }
        }
    };
    let init = Init { launch, channel, host_proc, root, dev, sources, cgroups, streams, identity };
    if in_two_stages(launch) { clone_second_stage(init) } else { init.second_stage() }
}

/// Drops every descriptor of the monitor's: it must be seen to die by the daemon and by us. Gives
/// the program's standard error back, which is put in place last.
fn let_go_of_monitor(stdio: Option<Stdio>, channel: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
    let place = |fd: BorrowedFd<'_>, number| {
        process::duplicate_onto(fd, number).context(|| "set the standard streams".into())
    };
    let Some(Stdio { stdin, stdout, stderr }) = stdio else {
        // The terminal comes later; what the monitor has there must go now.
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .context(|| "open /dev/null".into())?;
        place(null.as_fd(), 0)?;
        place(null.as_fd(), 1)?;
        drop(null);
        process::close_all_but(&[channel.as_raw_fd()]);
        return Ok(None);
    };
    place(stdin.as_fd(), 0)?;
    place(stdout.as_fd(), 1)?;
    drop((stdin, stdout));
    process::close_all_but(&[channel.as_raw_fd(), stderr.as_raw_fd()]);
    Ok(Some(stderr))
}

fn join_namespaces(launch: &Launch) -> Result<()> {
    let namespaces = &launch.namespaces;
    for (namespace, kind) in [
        (&namespaces.net, NsKind::Net),
        (&namespaces.ipc, NsKind::Ipc),
        (&namespaces.uts, NsKind::Uts),
        (&namespaces.pid, NsKind::Pid),
        (&namespaces.cgroup, NsKind::Cgroup),
    ] {
        if let Namespace::Join(path) = namespace {
            File::open(path)
                .and_then(|file| ns::enter(file.as_fd(), kind))
                .context(|| format!("join {} namespace {}", kind.file(), path.display()))?;
        }
    }
    Ok(())
}

fn set_names(launch: &Launch) -> Result<()> {
    if launch.namespaces.uts != Namespace::New {
        return Ok(());
    }
    let Launch { hostname, domainname, .. } = launch;
    if !hostname.is_empty() {
        ns::set_hostname(hostname).context(|| format!("set host name {hostname}"))?;
    }
    if !domainname.is_empty() {
        ns::set_domainname(domainname).context(|| format!("set domain name {domainname}"))?;
    }
    Ok(())
}

/// Clones the second stage as a child of the monitor, and ends.
fn clone_second_stage(mut init: Init<'_>) -> Result<Infallible> {
    let new_pid = init.launch.namespaces.pid == Namespace::New;
    let birth = match &mut init.cgroups {
        Entry::Birth(dir) => dir.take(),
        Entry::Write(..) => None,
    };
    let namespaces = if new_pid { NsKind::Pid.flag() } else { 0 };
    // What the child does with `init` is done to its copy of our memory.
    let how = Clone { namespaces, sibling: true, cgroup: birth.as_ref().map(AsFd::as_fd) };
    let channel = init.channel;
    process::clone_process(how, || match init.second_stage() {
        Ok(never) => match never {},
        Err(error) => fail(channel, &error),
    })
    .context(|| "clone init".into())?;
    process::exit_now(0)
}

impl Init<'_> {
    /// From the first process of the new pid namespace to the program.
    fn second_stage(self) -> Result<Infallible> {
        let Init { launch, channel, host_proc, root, dev, sources, mut cgroups, streams, identity } =
            self;
        // Closed too early, its terminal would hang up on us, and we could not say what failed.
        let streams = ManuallyDrop::new(streams);
        let title = launch.init.then(sys::title::Title::find).transpose();
        let title = title.context(|| "find the command line".into())?;
        let pid = pid_on_host(&host_proc).context(|| "read /proc/self".into())?;
        let proc = mounts::mount_proc(&root)?;
        sysctls::apply(launch, &proc)?;
        set_oom_score(launch, &host_proc, pid);
        mounts::mount_extra(launch, &root, sources)?;
        mounts::mask(launch, &root, &dev)?;
        mounts::protect(launch, &root)?;
        let cwd = WorkingDirectory::ensure(&root, &launch.cwd)?;
        if launch.readonly_rootfs {
            mount::set_readonly(root.fd(), false)
                .context(|| "make the root file system read-only".into())?;
        }
        node::enter_directory(root.fd())
            .and_then(|()| mount::pivot_into_working_directory())
            .context(|| "pivot_root".into())?;

        // As late as can be: what the steps above have cost is not charged to the container.
        cgroups.enter()?;
        if launch.namespaces.cgroup == Namespace::New && !launch.cgroup_dirs.is_empty() {
            ns::unshare(NsKind::Cgroup).context(|| "make a cgroup namespace".into())?;
        }
        streams.become_user(launch, &identity, &cwd)?;
        // Closed all at once, with whatever else there is.
        std::mem::forget((host_proc, root, dev, cgroups, proc, cwd));
        let program = streams.prepare(launch, &identity, channel, pid)?;
        match socket::receive_packet(channel, 1, false) {
            Ok(Some(_)) if launch.init => reaper::run(&program, channel, title),
            Ok(Some(_)) => Err(program.exec()),
            // The monitor gave up or is gone: nothing has run.
            _ => process::exit_now(128),
        }
    }
}

/// Our pid as the host sees it.
fn pid_on_host(host_proc: &OwnedFd) -> io::Result<i32> {
    let link = fs::readlinkat(host_proc.as_fd(), Path::new("self"))?;
    link.to_str().and_then(|pid| pid.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Sets who is killed first when memory runs out. To be killed less likely takes
/// CAP_SYS_RESOURCE; without it the program runs all the same.
fn set_oom_score(launch: &Launch, host_proc: &OwnedFd, pid: i32) {
    let Some(score) = launch.oom_score_adj else { return };
    let path = PathBuf::from(format!("{pid}/oom_score_adj"));
    let written = node::write_below(host_proc.as_fd(), &path)
        .and_then(|fd| File::from(fd).write_all(score.to_string().as_bytes()));
    if let Err(error) = written {
        crate::warn!("container {}: set oom_score_adj to {score}: {error}", launch.id.short());
    }
}

#[cfg(test)]
mod tests;
