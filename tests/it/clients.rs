//! Docker's own clients drive the same features: today's, and Debian's 20.10.

use std::path::Path;

use crate::harness::{Cli, Daemon, Output, SOON, Terminal, wait_until};

/// The docker clients of this machine, with their versions.
fn clients() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for path in ["/usr/local/bin/docker", "/usr/bin/docker"] {
        if !Path::new(path).exists() {
            continue;
        }
        let version = Cli::new(path).args(["--version"]).output().stdout;
        if version.starts_with("Docker version") && !found.iter().any(|(_, v)| *v == version) {
            found.push((path.to_owned(), version));
        }
    }
    found
}

struct Client<'a> {
    path: &'a str,
    d: &'a Daemon,
}

impl Client<'_> {
    fn run(&self, args: &[&str]) -> Output {
        self.cli(args).output()
    }

    fn cli(&self, args: &[&str]) -> Cli {
        let config = self.d.dir().join("docker-config");
        Cli::new(self.path)
            .args(["-H", &self.d.host()])
            .args(args)
            .env("DOCKER_CONFIG", config.to_str().unwrap())
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok()
    }
}

fn each(test: impl Fn(&Client)) {
    let clients = clients();
    if clients.is_empty() {
        skip!("no docker client on this machine");
    }
    for (path, version) in clients {
        println!("{path}: {version}");
        let d = Daemon::start();
        test(&Client { path: &path, d: &d });
        d.assert_nothing_left_behind();
    }
}

#[test]
fn version_info_and_images() {
    each(|c| {
        assert_eq!(c.ok(&["version", "-f", "{{.Server.APIVersion}}"]), "1.44");
        assert!(c.ok(&["info"]).contains("Storage Driver:"));
        assert!(c.ok(&["images"]).contains("busybox"));
        c.ok(&["tag", "busybox", "again:v1"]);
        assert!(c.ok(&["history", "busybox"]).contains("Imported from"));
        assert_eq!(c.ok(&["rmi", "again:v1"]), "Untagged: again:v1");
        let id = c.cli(&["import", "-", "mine"]).stdin(crate::harness::busybox_tar()).output().ok();
        assert!(id.starts_with("sha256:"), "{id}");
        assert!(c.ok(&["inspect", "-f", "{{.Id}}", "mine"]).starts_with("sha256:"));
        assert_eq!(c.run(&["rmi", "nothing"]).code, 1);
        let pull = c.run(&["pull", "nothing-of-the-kind"]);
        assert_ne!(pull.code, 0);
    });
}

#[test]
fn run_in_all_its_ways() {
    each(|c| {
        assert_eq!(c.ok(&["run", "--rm", "busybox", "echo", "hello"]), "hello");
        let out = c.cli(&["run", "--rm", "-i", "busybox", "cat"]).stdin("through\n").output();
        assert_eq!((out.code, out.stdout.as_str()), (0, "through\n"));
        let out = c.run(&["run", "busybox", "sh", "-c", "echo o; echo e >&2; exit 3"]);
        assert_eq!((out.code, &*out.stdout, &*out.stderr), (3, "o\n", "e\n"));
        assert_eq!(c.run(&["run", "--rm", "busybox", "nothing"]).code, 127);
        assert_eq!(c.run(&["run", "--rm", "busybox", "/etc"]).code, 126);
        let flags = [
            "run",
            "--rm",
            "-m",
            "64m",
            "--cpus",
            "0.5",
            "--pids-limit",
            "50",
            "-e",
            "A=b",
            "-w",
            "/tmp",
            "-u",
            "guest",
            "--hostname",
            "box",
            "--read-only",
            "--tmpfs",
            "/t",
            "--cap-drop",
            "ALL",
            "--label",
            "x=y",
            "--network",
            "none",
            "--dns",
            "192.0.2.1",
            "--ulimit",
            "nofile=64:64",
        ];
        let mut args = flags.to_vec();
        args.extend(["busybox", "sh", "-c", "echo $A; pwd; hostname; id -u; ulimit -n"]);
        assert_eq!(c.ok(&args), "b\n/tmp\nbox\n405\n64");
        let big = vec![7; 3 << 20];
        let out = c.cli(&["run", "--rm", "-i", "busybox", "cat"]).stdin(big.clone()).output();
        assert!(out.bytes == big, "{} bytes came back", out.bytes.len());
    });
}

#[test]
fn the_life_of_a_container() {
    each(|c| {
        let id = c.ok(&[
            "run",
            "-d",
            "--name",
            "cx",
            "busybox",
            "sh",
            "-c",
            "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done",
        ]);
        assert_eq!(id.len(), 64);
        wait_until("it is up", || c.ok(&["logs", "cx"]) == "up");
        assert!(c.ok(&["ps"]).contains("Up "));
        assert!(c.ok(&["top", "cx"]).contains("sh -c"));
        c.ok(&["restart", "-t", "5", "cx"]);
        wait_until("it is up again", || c.ok(&["logs", "cx"]) == "up\nup");
        c.ok(&["rename", "cx", "cy"]);
        c.ok(&["stop", "-t", "5", "cy"]);
        assert_eq!(c.ok(&["wait", "cy"]), "0");
        assert!(c.ok(&["ps", "-a"]).contains("Exited (0)"));
        c.ok(&["start", "cy"]);
        c.ok(&["kill", "cy"]);
        assert_eq!(c.ok(&["wait", "cy"]), "137");
        assert_eq!(c.ok(&["inspect", "-f", "{{.State.ExitCode}} {{.Name}}", "cy"]), "137 /cy");
        c.ok(&["create", "--name", "cz", "busybox", "sh", "-c", "echo z; exit 4"]);
        let out = c.run(&["start", "-a", "cz"]);
        assert_eq!((out.code, out.stdout.as_str()), (4, "z\n"));
        assert_eq!(c.ok(&["rm", "cy", "cz"]), "cy\ncz");
        let mut follow =
            c.cli(&["run", "--name", "cf", "busybox", "sh", "-c", "sleep 0.3; echo late"]).spawn();
        wait_until("it runs", || {
            c.run(&["inspect", "-f", "{{.State.Running}}", "cf"]).stdout.contains("true")
        });
        assert_eq!(c.ok(&["logs", "-f", "cf"]), "late");
        assert_eq!(follow.wait(SOON).code, 0);
    });
}

#[test]
fn a_terminal_detach_and_attach() {
    each(|c| {
        let terminal = |args: &[&str]| {
            let mut all = vec!["-H".to_owned(), c.d.host()];
            all.extend(args.iter().map(|a| (*a).to_owned()));
            Terminal::start(c.path, &all, 31, 99)
        };
        let mut t = terminal(&["run", "-ti", "--name", "ct", "busybox", "sh"]);
        t.expect("# ");
        wait_until("the size arrives", || {
            t.type_in("stty size\r");
            t.screen.wait(std::time::Duration::from_millis(300), |bytes, _| {
                String::from_utf8_lossy(bytes).contains("31 99")
            })
        });
        t.type_in("\x10\x11");
        assert_eq!(t.wait(), 0);
        let mut t = terminal(&["attach", "ct"]);
        wait_until("our terminal is raw", || t.is_raw());
        t.type_in("echo ba''ck\r");
        t.expect("back");
        t.type_in("exit 5\r");
        assert_eq!(t.wait(), 5);
    });
}

#[test]
fn execs() {
    each(|c| {
        c.ok(&["run", "-d", "--name", "cx", "-e", "A=b", "busybox", "sleep", "1000"]);
        let out = c.run(&["exec", "cx", "sh", "-c", "echo $A; echo e >&2; exit 3"]);
        assert_eq!((out.code, &*out.stdout, &*out.stderr), (3, "b\n", "e\n"));
        let out = c.cli(&["exec", "-i", "cx", "wc", "-c"]).stdin(vec![1; 1 << 20]).output();
        assert_eq!((out.code, out.stdout.as_str()), (0, "1048576\n"));
        let flags = ["exec", "-e", "A=c", "-w", "/etc", "-u", "guest", "--privileged", "cx"];
        let args = [&flags[..], &["sh", "-c", "echo $A; pwd; id -u"]].concat();
        assert_eq!(c.ok(&args), "c\n/etc\n405");
        assert_eq!(c.run(&["exec", "cx", "nothing"]).code, 127);
        assert_eq!(c.run(&["exec", "cx", "/etc"]).code, 126);
        c.ok(&["exec", "-d", "cx", "touch", "/tmp/there"]);
        wait_until("it has run", || c.run(&["exec", "cx", "ls", "/tmp/there"]).code == 0);
        let terminal = |args: &[&str]| {
            let mut all = vec!["-H".to_owned(), c.d.host()];
            all.extend(args.iter().map(|a| (*a).to_owned()));
            Terminal::start(c.path, &all, 31, 99)
        };
        let mut t = terminal(&["exec", "-it", "cx", "sh"]);
        t.expect("# ");
        wait_until("the size arrives", || {
            t.type_in("stty size\r");
            t.screen.wait(std::time::Duration::from_millis(300), |bytes, _| {
                String::from_utf8_lossy(bytes).contains("31 99")
            })
        });
        t.type_in("exit 5\r");
        assert_eq!(t.wait(), 5);
        let mut t = terminal(&["exec", "-it", "cx", "sh"]);
        t.expect("# ");
        t.type_in("\x10\x11");
        t.expect("read escape sequence");
        assert_eq!(t.wait(), 1);
        c.ok(&["pause", "cx"]);
        let out = c.run(&["exec", "cx", "true"]);
        assert!(out.code == 1 && out.stderr.contains("is paused"), "{}", out.stderr);
        c.ok(&["rm", "-f", "cx"]);
        let flags = ["run", "-d", "--name", "cx", "--health-cmd", "true", "--health-interval"];
        c.ok(&[&flags[..], &["100ms", "busybox", "sleep", "1000"]].concat());
        wait_until("it is healthy", || c.ok(&["ps"]).contains("(healthy)"));
        assert_eq!(c.ok(&["inspect", "-f", "{{.State.Health.Status}}", "cx"]), "healthy");
        c.ok(&["rm", "-f", "cx"]);
    });
}

#[test]
fn events_and_prune() {
    each(|c| {
        c.ok(&["run", "--name", "ce", "busybox", "true"]);
        // The client cuts the end to whole seconds: one that has not come yet.
        let events =
            c.ok(&["events", "--since", "10m", "--until=-2s", "--filter", "type=container"]);
        assert!(events.contains("container start") && events.contains("container die"), "{events}");
        let out = c.run(&["container", "prune", "-f"]);
        assert!(
            out.code == 0 || out.stderr.contains("501") || out.stderr.contains("not"),
            "{}",
            out.stderr
        );
    });
}
