//! Under a service manager: sockets that it opens, what it is told, the units.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{
    Cli, SOON, busybox_tar, die_with_parent, pass_as_third, send_signal, skiff, wait_until,
};

/// What a service manager keeps while its service comes and goes.
struct Manager {
    dir: PathBuf,
    api: UnixListener,
    notify: UnixDatagram,
    service: Option<Child>,
    /// Puts itself into the service's groups, then becomes the service.
    script: String,
}

impl Manager {
    fn new(name: &str) -> Manager {
        let dir = PathBuf::from(format!("/var/tmp/skiff-it-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let api = UnixListener::bind(dir.join("sock")).unwrap();
        let notify = UnixDatagram::bind(dir.join("notify")).unwrap();
        notify.set_read_timeout(Some(SOON)).unwrap();
        let script = "export LISTEN_PID=$$; exec \"$@\"".to_owned();
        Manager { dir, api, notify, service: None, script }
    }

    fn start(&mut self, watchdog: Option<u64>) {
        let log = fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private", "sh", "-c"]);
        command.args([&self.script, "sh"]);
        command.args([skiff(), "daemon", "-H", "fd://", "-b", "none", "-g"]);
        command.arg(self.dir.join("root")).arg("--exec-root").arg(self.dir.join("run"));
        command.arg("-p").arg(self.dir.join("pid"));
        command.env("LISTEN_FDS", "1").env("NOTIFY_SOCKET", self.dir.join("notify"));
        command.envs(watchdog.map(|micros| ("WATCHDOG_USEC", micros.to_string())));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        die_with_parent(&mut command);
        pass_as_third(&mut command, self.api.as_raw_fd());
        self.service = Some(command.spawn().unwrap());
    }

    fn told(&self) -> String {
        let mut text = [0; 200];
        let count = self.notify.recv(&mut text).expect("the service says something");
        String::from_utf8_lossy(&text[..count]).into_owned()
    }

    /// As `systemctl stop` with `KillMode=process`.
    fn stop(&mut self) {
        let mut service = self.service.take().unwrap();
        send_signal(i32::try_from(service.id()).unwrap(), libc::SIGTERM);
        wait_until("the service ends", || service.try_wait().unwrap().is_some());
    }

    fn ok(&self, args: &[&str]) -> String {
        let host = format!("unix://{}", self.dir.join("sock").display());
        Cli::new(skiff()).args(["-H", &host]).args(args).output().ok()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.dir.join("log")).unwrap_or_default());
        }
        if let Some(mut service) = self.service.take() {
            drop(service.kill());
            drop(service.wait());
        }
        drop(fs::remove_dir_all(&self.dir));
    }
}

#[test]
fn a_service_takes_its_socket_over_and_restarts_below_its_containers() {
    let mut m = Manager::new("socket");
    // A request that is there before the service is.
    let mut early = UnixStream::connect(m.dir.join("sock")).unwrap();
    early.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").unwrap();
    m.start(None);
    assert_eq!(m.told(), "READY=1");
    let mut answer = String::new();
    early.set_read_timeout(Some(SOON)).unwrap();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 ") && answer.ends_with("OK"), "{answer}");

    fs::write(m.dir.join("image.tar"), busybox_tar()).unwrap();
    m.ok(&["import", m.dir.join("image.tar").to_str().unwrap(), "busybox"]);
    let script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";
    m.ok(&["run", "-d", "--name", "cx", "busybox", "sh", "-c", script]);
    let pid = m.ok(&["inspect", "-f", "{{.State.Pid}}", "cx"]);
    m.stop();
    assert!(m.dir.join("sock").exists(), "the socket is the manager's");
    assert!(Path::new(&format!("/proc/{pid}")).exists(), "the container runs on");
    m.start(None);
    assert_eq!(m.told(), "READY=1");
    assert_eq!(
        m.ok(&["inspect", "-f", "{{.State.Pid}} {{.State.Status}}", "cx"]),
        format!("{pid} running")
    );
    let lines = m.ok(&["logs", "cx"]);
    assert!(lines.lines().enumerate().all(|(at, line)| line == (at + 1).to_string()), "{lines}");
    m.ok(&["rm", "-f", "cx"]);
    m.stop();
}

/// Where the trees of cgroups are mounted; not cpuset of v1, where nobody puts services.
fn cgroup_trees() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let tree = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let wanted = fields[2] == "cgroup2" || fields[2] == "cgroup";
        (wanted && !fields[3].contains("cpuset")).then(|| PathBuf::from(fields[1]))
    };
    mounts.lines().filter_map(tree).collect()
}

#[test]
fn monitors_and_containers_are_outside_of_the_services_cgroups() {
    let trees = cgroup_trees();
    if trees.is_empty() {
        return eprintln!("skipped: no cgroups are mounted");
    }
    let mut m = Manager::new("cgroups");
    let name = format!("skiff-it-{}.service", std::process::id());
    let groups: Vec<PathBuf> = trees.iter().map(|tree| tree.join(&name)).collect();
    for group in &groups {
        fs::create_dir(group).unwrap();
        m.script.insert_str(0, &format!("echo $$ >{}/cgroup.procs; ", group.display()));
    }
    let cgroups = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    m.start(None);
    assert_eq!(m.told(), "READY=1");
    let service = m.service.as_ref().unwrap().id().to_string();
    let all = cgroups(&service).lines().filter(|line| line.contains(&name)).count();
    assert_eq!(all, groups.len(), "{}", cgroups(&service));
    fs::write(m.dir.join("image.tar"), busybox_tar()).unwrap();
    m.ok(&["import", m.dir.join("image.tar").to_str().unwrap(), "busybox"]);
    m.ok(&["run", "-d", "--name", "cx", "busybox", "sleep", "1000"]);
    m.ok(&["exec", "-d", "cx", "sleep", "1001"]);
    let pid = m.ok(&["inspect", "-f", "{{.State.Pid}}", "cx"]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    let monitor = line.split_whitespace().nth(1).unwrap();
    for pid in [&pid, monitor] {
        assert!(!cgroups(pid).contains(&name), "{}", cgroups(pid));
    }
    m.stop();
    // Whatever the manager does to what is left of the service, there is nothing.
    for group in &groups {
        assert_eq!(fs::read_to_string(group.join("cgroup.procs")).unwrap(), "");
    }
    m.start(None);
    assert_eq!(m.told(), "READY=1");
    assert_eq!(m.ok(&["inspect", "-f", "{{.State.Pid}}", "cx"]), pid);
    assert_eq!(m.ok(&["exec", "cx", "echo", "there"]), "there");
    m.ok(&["rm", "-f", "cx"]);
    m.stop();
    groups.iter().for_each(|group| fs::remove_dir(group).unwrap());
}

#[test]
fn a_watchdog_is_fed_when_it_is_asked_for() {
    let mut m = Manager::new("watchdog");
    m.start(Some(200_000));
    let told: Vec<String> = (0..4).map(|_| m.told()).collect();
    let count = |text: &str| told.iter().filter(|told| *told == text).count();
    assert_eq!((count("READY=1"), count("WATCHDOG=1")), (1, 3), "{told:?}");
    m.stop();
}

#[test]
fn units_are_installed_and_fit_the_daemon() {
    let to = PathBuf::from(format!("/var/tmp/skiff-it-install-{}", std::process::id()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install");
    let out = Cli::new(script).args([skiff(), to.to_str().unwrap(), "/usr"]).output();
    out.ok();
    let unit =
        |name: &str| fs::read_to_string(to.join("usr/lib/systemd/system").join(name)).unwrap();
    let service = unit("skiff.service");
    for line in [
        "Type=notify",
        "ExecStart=/usr/bin/skiff daemon -H fd://",
        "Delegate=yes",
        "KillMode=process",
        "OOMPolicy=continue",
    ] {
        assert!(service.lines().any(|own| own == line), "{line}: {service}");
    }
    assert!(unit("skiff.socket").contains("ListenStream=/run/docker.sock"));
    assert!(to.join("usr/share/man/man8/skiff-daemon.8").exists());
    fs::remove_dir_all(&to).unwrap();
}
