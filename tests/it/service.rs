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
}

impl Manager {
    fn new(name: &str) -> Manager {
        let dir = PathBuf::from(format!("/var/tmp/skiff-it-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let api = UnixListener::bind(dir.join("sock")).unwrap();
        let notify = UnixDatagram::bind(dir.join("notify")).unwrap();
        notify.set_read_timeout(Some(SOON)).unwrap();
        Manager { dir, api, notify, service: None }
    }

    fn start(&mut self, watchdog: Option<u64>) {
        let log = fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut command = Command::new("unshare");
        let script = "export LISTEN_PID=$$; exec \"$@\"";
        command.args(["--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
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
