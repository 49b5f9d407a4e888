//! Real containers, made by a copy of the test binary that has one thread. As root only.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::base::Id;
use crate::model::{HostConfig, LogConfig, Ulimit};
use crate::runtime::cgroup::Cgroups;
use crate::runtime::launch::{DeviceNode, Mount, MountSource, Namespaces, Rootfs};
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
    let file = |name: &str| OwnedFd::from(File::create(dir.join(name)).unwrap());
    let stdin = OwnedFd::from(File::open("/dev/null").unwrap());
    let stdio = Stdio { stdin, stdout: file("out"), stderr: file("err") };
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
            Message::Cloned { .. } => {}
            Message::Failed { code, message } => outcome.failed = Some((code, message)),
        }
    }
    let mut text = Vec::new();
    if let Some(master) = master {
        // EIO when the last one has closed the other end.
        drop(File::from(master).read_to_end(&mut text));
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
    File::open(dir.join("out")).unwrap().read_to_end(&mut text).unwrap();
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
        if sys::caps::permitted().unwrap().0 & (1 << 21) == 0 {
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
        for tool in [
            "sh", "cat", "id", "ls", "echo", "sleep", "stat", "tty", "mount", "head", "cut", "wc",
            "df", "tail", "tr", "grep",
        ] {
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
    fn run(&mut self, args: &[&str]) -> Outcome {
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
        let outcome = self.run(&["sh", "-c", script]);
        assert_eq!((outcome.out.as_str(), outcome.code), (expected, 0), "{script}: {outcome:?}");
    }

    #[track_caller]
    fn fails(&mut self, args: &[&str], code: i32, message: &str) {
        let outcome = self.run(args);
        assert_eq!((outcome.failed, outcome.code), (Some((code, message.to_owned())), code));
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
        monitor_dirs: Vec::new(),
        init: false,
        networks: Vec::new(),
        forwards: Vec::new(),
        log: LogConfig::default(),
        io_dir: dir.to_owned(),
        reserve: dir.join("reserve"),
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
    let outcome = c.run(&["sh", "-c", "echo oops >&2; exit 7"]);
    assert_eq!((outcome.err.as_str(), outcome.code), ("oops\n", 7));
    c.prints("cat /etc/hosts; cat /proc/sys/kernel/hostname", "127.0.0.1 localhost\nbox\n");
    c.prints("umask; kill -0 1 && echo $?", "0022\n0\n");
}

#[test]
fn what_cannot_be_executed_is_told_as_docker_tells_it() {
    let mut c = fixture!();
    fs::write(c.root().join("bin/text"), "no program\n").unwrap();
    fs::write(c.root().join("bin/script"), "#!/none\n").unwrap();
    for name in ["text", "script"] {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(c.root().join("bin").join(name), mode).unwrap();
    }
    c.fails(&["nope"], 127, "exec: \"nope\": executable file not found in $PATH");
    c.fails(&["/x"], 127, "exec: \"/x\": stat /x: no such file or directory");
    c.fails(&["/etc/passwd"], 126, "exec: \"/etc/passwd\": permission denied");
    c.fails(&["/etc"], 126, "exec: \"/etc\": is a directory");
    c.fails(&["/etc/passwd/x"], 126, "exec: \"/etc/passwd/x\": not a directory");
    c.fails(&["/bin/text"], 126, "exec /bin/text: exec format error");
    c.fails(&["script"], 127, "exec script: no such file or directory");
    c.launch.user = "nobody".into();
    let text = "unable to find user nobody: no matching entries in passwd file";
    c.fails(&["id"], 128, text);
}

#[test]
fn the_user_has_the_groups_of_the_image_and_no_capability() {
    let mut c = fixture!();
    let bounding: u64 = CAPS.iter().map(|n| 1 << n).sum();
    let caps = |p: u64, e: u64| {
        format!(
            "CapInh:\t{:016x}\nCapPrm:\t{p:016x}\nCapEff:\t{e:016x}\nCapBnd:\t{bounding:016x}\n\
             CapAmb:\t{:016x}\nNoNewPrivs:\t0\nSeccomp:\t2\n",
            0, 0
        )
    };
    let script = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status";
    c.prints(script, &caps(bounding, bounding));
    c.launch.user = "web".into();
    c.prints(script, &caps(0, 0));
    c.prints("id; echo $HOME", "uid=1000(web) gid=1000(web) groups=29(audio),1000(web)\n/srv\n");
    // What the monitor made for the program can be opened again by name.
    c.prints("echo x > /dev/stderr; echo y", "y\n");
    c.launch.no_new_privileges = true;
    c.prints("grep NoNew /proc/1/status", "NoNewPrivs:\t1\n");
    c.launch.user = "7:8".into();
    c.launch.groups = vec!["audio".into()];
    c.prints("id -u; id -G; echo $HOME", "7\n8 29\n/\n");
}

#[test]
fn the_file_system_is_laid_out_as_promised() {
    let mut c = fixture!();
    c.prints(
        "cd /dev; echo *; [ ! -e /dev/console ]",
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n",
    );
    let mounts = c.run(&["cat", "/proc/1/mounts"]).out;
    let places: BTreeSet<&str> = mounts.lines().filter_map(|l| l.split(' ').nth(1)).collect();
    let mut expected: Vec<&str> = "/ /dev /dev/pts /dev/shm /dev/mqueue /sys /proc /etc/hosts \
        /etc/hostname /proc/kcore /proc/keys /sys/firmware /proc/sys /proc/irq /proc/sysrq-trigger"
        .split_whitespace()
        .collect();
    // What this kernel was built without needs no hiding.
    expected.retain(|place| !place.starts_with("/proc/") || Path::new(place).exists());
    assert_eq!(places, expected.into_iter().collect());
    c.prints("head -c1 /proc/kcore; ls /sys/firmware; cat /proc/keys", "");
    c.prints(
        "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/x /proc/irq/x; do \
         (echo x > $f) 2>/dev/null && echo wrote $f; done; echo end",
        "end\n",
    );
    c.prints("stat -c '%t:%T %a %F' /dev/null", "1:3 666 character special file\n");
    c.prints("echo new > /tmp/a; cat /tmp/a; : > /dev/shm/x; mount -t tmpfs t /tmp 2>/dev/null || echo denied", "new\ndenied\n");
}

#[test]
fn a_read_only_root_and_the_mounts_of_the_user() {
    let mut c = fixture!();
    fs::create_dir(c.dir.join("data")).unwrap();
    fs::write(c.dir.join("data/f"), "bound\n").unwrap();
    let mount = |destination: &str, source, readonly| Mount {
        destination: destination.into(),
        source,
        readonly,
        propagation: String::new(),
    };
    let data = c.dir.join("data");
    let bind = |name: &str| MountSource::Bind(data.join(name));
    c.launch.mounts = vec![
        mount("/new/place", bind(""), false),
        mount("/ro", bind(""), true),
        mount("/etc/one", bind("f"), true),
        mount("/scratch", MountSource::Tmpfs("size=64k,mode=0700,exec".into()), false),
    ];
    c.launch.readonly_rootfs = true;
    c.launch.cwd = "/made/here".into();
    c.prints(
        "pwd; cat /etc/one; echo more >> /new/place/f; cat /ro/f",
        "/made/here\nbound\nbound\nmore\n",
    );
    c.prints("for f in /x /ro/x /etc/one /made/here/x; do (: > $f) 2>/dev/null && echo $f; done; echo end", "end\n");
    c.prints("stat -c '%a' /scratch; : > /scratch/x; df -k /scratch | tail -1 | tr -s ' ' | cut -d' ' -f2", "700\n64\n");
    c.launch.mounts = vec![mount("/etc", bind("f"), false)];
    let text = format!(
        "mount {} at /etc: cannot mount a file onto a directory",
        c.dir.join("data/f").display()
    );
    c.fails(&["id"], 128, &text);
}

#[test]
fn no_working_directory_lies_outside() {
    let mut c = fixture!();
    for number in 0..64 {
        c.launch.cwd = format!("/proc/self/fd/{number}");
        let outcome = c.run(&["sh", "-c", "pwd; ls -a"]);
        assert!(outcome.failed.is_some() && outcome.out.is_empty(), "{number}: {outcome:?}");
        if number % 9 != 0 {
            continue;
        }
        c.launch.cwd += "/../..";
        assert!(c.run(&["ls"]).failed.is_some(), "{number}");
    }
    symlink("/proc/1/root", c.root().join("out")).unwrap();
    c.launch.cwd = "/out/tmp".into();
    assert!(c.run(&["ls"]).failed.is_some());
}

#[test]
fn symlinks_of_the_image_redirect_nothing() {
    for (name, target) in [("dev", "/tmp"), ("proc", "etc"), ("sys", "/none"), ("dev", "../..")] {
        let mut c = fixture!();
        symlink(target, c.root().join(name)).unwrap();
        c.fails(&["id"], 128, &format!("/{name} in the image is a symlink"));
        assert!(fs::read_dir(c.dir.join("up")).unwrap().count() <= 3);
    }
    let mut c = fixture!();
    fs::create_dir(c.root().join("proc")).unwrap();
    fs::create_dir(c.root().join("dev")).unwrap();
    symlink("/etc/passwd", c.root().join("dev/null")).unwrap();
    symlink("/etc", c.root().join("dev/pts")).unwrap();
    symlink("../../../../../../etc/evil", c.root().join("etc/hosts")).unwrap();
    c.prints(
        "cat /dev/null; cat /etc/evil; stat -c %F /dev/pts",
        "127.0.0.1 localhost\ndirectory\n",
    );
}

#[test]
fn a_terminal_is_the_controlling_one() {
    let mut c = fixture!();
    c.launch.tty = true;
    c.launch.user = "web".into();
    let outcome = c.run(&[
        "sh",
        "-c",
        "tty; stat -c '%U %t:%T' /dev/console; ls /proc/self/fd; : > /dev/tty",
    ]);
    assert_eq!(outcome.out, "/dev/pts/0\r\nweb 88:0\r\n0  1  2  3\r\n", "{outcome:?}");
    assert_eq!(outcome.code, 0);
}

#[test]
fn limits_parameters_and_devices_are_set() {
    let mut c = fixture!();
    c.launch.ulimits = vec![Ulimit { name: "nofile".into(), soft: 77, hard: 99 }];
    c.launch.sysctls = vec![("net.ipv4.ip_forward".into(), "1".into())];
    c.launch.oom_score_adj = Some(500);
    c.launch.domainname = "example.org".into();
    let node = |path: &str, mode| DeviceNode {
        path: path.into(),
        kind: 'c',
        major: 10,
        minor: 229,
        mode,
        uid: 5,
        gid: 6,
    };
    c.launch.devices = vec![node("/dev/deep/fuse", 0o640), node("/dev/tty", 0o600)];
    c.prints(
        "ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; \
         cat /proc/sys/kernel/domainname; stat -c '%t:%T %a %u %g' /dev/deep/fuse /dev/tty",
        "77\n99\n1\n500\nexample.org\na:e5 640 5 6\na:e5 600 5 6\n",
    );
    c.launch.sysctls = vec![("kernel.core_pattern".into(), "x".into())];
    let text = "sysctl kernel.core_pattern does not belong to a namespace of the container";
    c.fails(&["id"], 128, text);
}

#[test]
fn a_privileged_container_has_the_devices_and_may_mount() {
    let mut c = fixture!();
    c.launch.privileged = true;
    c.launch.seccomp = false;
    c.launch.capabilities = (0..41).collect();
    (c.launch.masked_paths, c.launch.readonly_paths) = (Vec::new(), Vec::new());
    c.prints(
        "mount -t tmpfs t /tmp && echo ok; ls /dev/kmsg; grep ' /sys ' /proc/mounts | cut -c1-14",
        "ok\n/dev/kmsg\nsysfs /sys sys\n",
    );
}

fn oom_killed(dirs: &[PathBuf]) -> bool {
    let read = |dir: &PathBuf| fs::read_to_string(dir.join("memory.oom_control"));
    dirs.iter().any(|dir| read(dir).is_ok_and(|text| text.contains("oom_kill 1")))
}

#[test]
fn the_memory_limit_holds_and_our_own_work_is_not_counted() {
    let mut c = fixture!();
    let cgroups = Cgroups::detect();
    if !cgroups.support().memory {
        eprintln!("skipped: needs a memory controller");
        return;
    }
    let host = HostConfig { memory: 512 << 10, pids_limit: 10, ..HostConfig::default() };
    let created = cgroups.create(&c.launch.id, &host).unwrap();
    (c.launch.cgroup_dirs, c.launch.cgroup_v2) = (created.dirs.clone(), created.v2);
    c.prints("echo fits", "fits\n");
    assert!(!oom_killed(&created.dirs));
    let outcome = c.run(&["sh", "-c", "x=12345678; while :; do x=$x$x; done"]);
    assert_eq!(outcome.code, 137, "{outcome:?}");
    assert!(oom_killed(&created.dirs));
    cgroups.release(&c.launch.id);
    let host = HostConfig { memory: 0, ..host };
    let created = cgroups.create(&c.launch.id, &host).unwrap();
    // The container's own group looks like the root, and cannot be changed.
    let groups = c.run(&["cat", "/proc/self/cgroup"]).out;
    let ours = groups.lines().filter(|line| line.contains("pids") || line.starts_with("0:"));
    assert!(ours.clone().any(|line| line.ends_with(":/")), "{groups}");
    c.prints("ls -d /sys/fs/cgroup/*/cgroup.procs | wc -l; (echo 1 > /sys/fs/cgroup/pids/pids.max) 2>/dev/null || echo ro", &format!("{}\nro\n", created.dirs.len()));
    cgroups.release(&c.launch.id);
    assert!(!created.dirs.iter().any(|dir| dir.exists()));
}

#[test]
fn a_pid_namespace_is_joined_and_another_host_name_is_not_set() {
    let mut c = fixture!();
    let ns = |name: &str| Namespace::Join(format!("/proc/self/ns/{name}").into());
    c.launch.namespaces = Namespaces {
        pid: ns("pid"),
        net: Namespace::Host,
        uts: ns("uts"),
        ..Namespaces::default()
    };
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let outcome = c.run(&["sh", "-c", "cat /proc/sys/kernel/hostname; [ $$ -gt 1 ]"]);
    assert_eq!((outcome.out, outcome.code), (name, 0));
}

#[test]
fn two_hundred_layers_fit() {
    let mut c = fixture!();
    let Rootfs::Overlay { lowers, .. } = &mut c.launch.rootfs else { unreachable!() };
    for number in 2..202 {
        let name = number.to_string();
        fs::create_dir(c.dir.join("layers").join(&name)).unwrap();
        lowers.insert(0, name);
    }
    c.prints("echo $$", "1\n");
}

#[test]
fn a_program_is_born_in_its_v2_group() {
    let mut c = fixture!();
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let root = mounts.lines().find(|line| line.contains(" cgroup2 "));
    let Some(root) = root.and_then(|line| line.split(' ').nth(1)) else {
        eprintln!("skipped: needs a cgroup v2 tree");
        return;
    };
    let group = Path::new(root).join(format!("skiff-init-{}", std::process::id()));
    fs::create_dir(&group).unwrap();
    (c.launch.cgroup_dirs, c.launch.cgroup_v2) = (vec![group.clone()], true);
    let script = "echo $$; grep 0:: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs; \
                  (: > /sys/fs/cgroup/cgroup.procs) 2>/dev/null || echo ro";
    let outcome = c.run(&["sh", "-c", script]);
    let events = fs::read_to_string(group.join("cgroup.events")).unwrap();
    fs::remove_dir(&group).unwrap();
    assert!(outcome.out.starts_with("1\n0::/\n1\n"), "{outcome:?}");
    assert!(outcome.out.ends_with("ro\n"), "{outcome:?}");
    assert!(events.contains("populated 0"));
}
