//! Real containers, made by a copy of the test binary that has one thread. As root only.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::base::Id;
use crate::model::LogConfig;
use crate::runtime::launch::{Namespaces, Rootfs};
use crate::sys::signal;

const LAUNCH: &str = "SKIFF_TEST_LAUNCH_DIR";
const CAPS: [u8; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

/// What became of a run.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Outcome {
    code: i32,
    failed: Option<(i32, String)>,
    out: String,
    err: String,
    /// Microseconds from the spawn to `Prepared`.
    prepared: u128,
}

/// The single-threaded half: runs alone in its process, by name, with a launch file.
#[test]
fn in_one_thread() {
    let Some(dir) = std::env::var_os(LAUNCH).map(PathBuf::from) else { return };
    let launch = Launch::read(&dir).unwrap();
    let outcome = run_one(&launch, &dir);
    fs::write(dir.join("outcome"), serde_json::to_vec(&outcome).unwrap()).unwrap();
}

fn run_one(launch: &Launch, dir: &Path) -> Outcome {
    let file = |name: &str| OwnedFd::from(fs::File::create(dir.join(name)).unwrap());
    let (stdin, input) = std::io::pipe().unwrap();
    let stdio = Stdio { stdin: stdin.into(), stdout: file("out"), stderr: file("err") };
    drop(input);
    let begin = std::time::Instant::now();
    let spawned = spawn(launch, (!launch.tty).then_some(stdio)).unwrap();
    let mut outcome = Outcome::default();
    let mut init = spawned.pid;
    let mut master = None;
    while let Some(packet) = socket::receive_packet(spawned.channel.as_fd(), 9999, false).unwrap() {
        match serde_json::from_slice(&packet.bytes).unwrap() {
            Message::Prepared { pid } => {
                outcome.prepared = begin.elapsed().as_micros();
                init = pid;
                master = packet.fds.into_iter().next();
                let go = [IoSlice::new(b"g")];
                socket::send_packet(spawned.channel.as_fd(), &go, &[], false).unwrap();
            }
            Message::Failed { code, message } => outcome.failed = Some((code, message)),
        }
    }
    let mut text = Vec::new();
    if let Some(master) = master {
        // EIO when the last one has closed the other end.
        drop(fs::File::from(master).read_to_end(&mut text));
    }
    loop {
        match signal::reap(init).unwrap() {
            Some(code) => {
                outcome.code = code;
                break;
            }
            None => std::thread::sleep(std::time::Duration::from_micros(200)),
        }
    }
    fs::File::open(dir.join("out")).unwrap().read_to_end(&mut text).unwrap();
    outcome.out = String::from_utf8_lossy(&text).into_owned();
    outcome.err = String::from_utf8_lossy(&fs::read(dir.join("err")).unwrap()).into_owned();
    outcome
}

/// A container's directories, and what is removed with them.
struct Fixture {
    dir: PathBuf,
    launch: Launch,
}

impl Fixture {
    /// `None` where it cannot be tried.
    fn new() -> Option<Fixture> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if crate::sys::caps::permitted().unwrap().0 & (1 << 21) == 0 {
            eprintln!("skipped: needs CAP_SYS_ADMIN");
            return None;
        }
        let Ok(busybox) = fs::read("/bin/busybox") else {
            eprintln!("skipped: needs a static /bin/busybox");
            return None;
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("skiff-init,:{}-{number}", std::process::id()));
        for sub in ["layers/0/bin", "layers/0/etc", "layers/0/tmp", "layers/1", "up", "work"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let root = dir.join("layers/0");
        fs::write(root.join("bin/busybox"), busybox).unwrap();
        fs::set_permissions(root.join("bin/busybox"), PermissionsExt::from_mode(0o755)).unwrap();
        for tool in ["sh", "cat", "id", "ls", "echo", "sleep", "stat", "tty", "mount", "head"] {
            symlink("busybox", root.join("bin").join(tool)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/srv:/bin/sh\n";
        fs::write(root.join("etc/passwd"), passwd).unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nweb:x:1000:\naudio:x:29:web\n").unwrap();
        for (name, text) in [("hosts", "127.0.0.1 localhost\n"), ("hostname", "box\n")] {
            fs::write(dir.join(name), text).unwrap();
        }
        let launch = launch(&dir);
        Some(Fixture { dir, launch })
    }

    fn root(&self) -> PathBuf {
        self.dir.join("layers/0")
    }

    /// Runs `args` and tells what came of it.
    fn run<const N: usize>(&mut self, args: [&str; N]) -> Outcome {
        self.launch.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.launch.write().unwrap();
        let name = "runtime::init::tests::in_one_thread";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(LAUNCH, &self.dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&fs::read(self.dir.join("outcome")).unwrap()).unwrap()
    }

    #[track_caller]
    fn prints(&mut self, script: &str, expected: &str) {
        let outcome = self.run(["sh", "-c", script]);
        assert_eq!((outcome.out.as_str(), outcome.code), (expected, 0), "{script}: {outcome:?}");
    }

    #[track_caller]
    fn fails(&mut self, args: &[&str], code: i32, message: &str) {
        self.launch.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let args: [&str; 1] = [args[0]];
        let outcome = self.run(args);
        let expected = Some((code, message.to_owned()));
        assert_eq!((outcome.failed, outcome.code), (expected, code));
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

fn launch(dir: &Path) -> Launch {
    let text = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<String>>();
    Launch {
        id: Id::random(),
        run: 1,
        args: Vec::new(),
        env: text(&["PATH=/bin:/sbin", "A=b"]),
        cwd: "/".into(),
        user: String::new(),
        groups: Vec::new(),
        tty: false,
        open_stdin: false,
        stdin_once: false,
        rootfs: Rootfs::Overlay {
            lower_base: dir.join("layers"),
            lowers: text(&["1", "0"]),
            upper: dir.join("up"),
            work: dir.join("work"),
            options: "redirect_dir=off,metacopy=off,index=off".into(),
        },
        mounts: Vec::new(),
        hostname: "box".into(),
        domainname: String::new(),
        namespaces: Namespaces::default(),
        capabilities: CAPS.to_vec(),
        seccomp: true,
        no_new_privileges: false,
        privileged: false,
        readonly_rootfs: false,
        masked_paths: text(&["/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/none"]),
        readonly_paths: text(&["/proc/sys", "/proc/irq", "/proc/sysrq-trigger"]),
        devices: Vec::new(),
        ulimits: Vec::new(),
        sysctls: Vec::new(),
        oom_score_adj: None,
        shm_size: 1 << 20,
        cgroup_dirs: Vec::new(),
        cgroup_v2: false,
        log: LogConfig::default(),
        io_dir: dir.to_owned(),
        run_dir: dir.to_owned(),
    }
}

macro_rules! fixture {
    () => {
        match Fixture::new() {
            Some(fixture) => fixture,
            None => return,
        }
    };
}

#[test]
fn a_program_runs_as_process_1_with_its_streams() {
    let mut c = fixture!();
    c.prints("echo $$ $A $HOME; echo hi", "1 b /root\nhi\n");
    c.prints("ls /proc/self/fd", "0\n1\n2\n3\n"); // 3 is the listed directory itself
    let outcome = c.run(["sh", "-c", "echo oops >&2; exit 7"]);
    assert_eq!((outcome.err.as_str(), outcome.code), ("oops\n", 7));
    c.prints("cat /etc/hosts; cat /proc/sys/kernel/hostname", "127.0.0.1 localhost\nbox\n");
    c.prints("umask; kill -0 1 && echo $?", "0022\n0\n");
}
