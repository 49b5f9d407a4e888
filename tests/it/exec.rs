//! Execs: programs in a container that runs.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Daemon, Output, SOON, Tar, assert_flat, count, keep_stacks, monitor_of, wait_until,
};

/// A daemon with a container `cx` that runs.
fn with_container(flags: &[&str]) -> Daemon {
    let d = Daemon::start();
    run(&d, flags);
    d
}

fn run(d: &Daemon, flags: &[&str]) {
    let mut args = vec!["run", "-d", "--name", "cx"];
    args.extend(flags);
    args.extend(["busybox", "sleep", "100000"]);
    d.ok(args);
}

fn exec(d: &Daemon, args: &[&str]) -> Output {
    let all: Vec<&str> = ["exec"].iter().chain(args).copied().collect();
    d.cli(all).output()
}

#[track_caller]
fn ok(d: &Daemon, args: &[&str]) -> String {
    exec(d, args).ok()
}

fn make(d: &Daemon, body: &Value) -> String {
    let reply = d.post("/containers/cx/exec", body).expect(201);
    reply["Id"].as_str().unwrap().to_owned()
}

fn state(d: &Daemon, id: &str) -> Value {
    d.api("GET", &format!("/exec/{id}/json")).expect(200)
}

/// Execs of `cx` whose program runs.
fn running(d: &Daemon) -> usize {
    let ids = d.inspect("cx")["ExecIDs"].as_array().cloned().unwrap_or_default();
    let runs = |id: &&Value| state(d, id.as_str().unwrap())["Pid"].as_i64() != Some(0);
    ids.iter().filter(runs).count()
}

fn events(d: &Daemon) -> Vec<String> {
    let out = d.ok(["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"]);
    out.lines().map(str::to_owned).collect()
}

#[test]
fn output_codes_and_surroundings() {
    let d = with_container(&["-e", "OWN=1", "-w", "/tmp", "-h", "box", "-u", "guest"]);
    let out = exec(&d, &["cx", "sh", "-c", "echo o; echo e >&2; exit 3"]);
    assert_eq!((out.code, &*out.stdout, &*out.stderr), (3, "o\n", "e\n"));
    assert_eq!(ok(&d, &["cx", "sh", "-c", "echo $OWN; pwd; hostname; id -u"]), "1\n/tmp\nbox\n405");
    let script = "echo $OWN $MORE $FILE; pwd; id -u; id -g";
    let file = d.dir().join("env");
    std::fs::write(&file, "FILE=f\nOWN=file\n").unwrap();
    let flags = ["--env-file", file.to_str().unwrap(), "-e", "OWN=2", "-e", "MORE=m"];
    let rest = ["-w", "/etc", "-u", "0:5", "cx", "sh", "-c", script];
    assert_eq!(ok(&d, &[&flags[..], &rest].concat()), "2 m f\n/etc\n0\n5");
    let all = ["exec", "-e", "FROM_HERE", "-e", "NOT_HERE", "cx", "sh", "-c", "echo $FROM_HERE"];
    assert_eq!(d.cli(all).env("FROM_HERE", "yes").output().ok(), "yes");
    assert_eq!(exec(&d, &["cx", "sh", "-c", "kill -9 $$"]).code, 137);
    assert_eq!(exec(&d, &["cx", "sh", "-c", "kill -15 $$"]).code, 143);
    // Without -i there is no input.
    assert_eq!(d.cli(["exec", "cx", "cat"]).stdin("lost").output().ok(), "");
    d.assert_nothing_left_behind();
}

#[test]
fn what_cannot_run_says_why() {
    let d = with_container(&[]);
    let check = |args: &[&str], code: i32, text: &str| {
        let out = exec(&d, args);
        assert_eq!((out.code, out.stdout.as_str()), (code, ""), "{args:?}: {}", out.stderr);
        assert!(out.stderr.contains(text), "{args:?}: {}", out.stderr);
    };
    check(&["cx", "nothing"], 127, "executable file not found in $PATH");
    check(&["cx", "/nothing"], 127, "no such file or directory");
    check(&["cx", "/etc"], 126, "is a directory");
    check(&["cx", "/etc/passwd"], 126, "permission denied");
    check(&["-w", "/nowhere", "cx", "true"], 126, "/nowhere");
    check(&["-w", "relative", "cx", "true"], 1, "it needs to be an absolute path");
    check(&["-u", "nobody-known", "cx", "true"], 126, "unable to find user nobody-known");
    let out = exec(&d, &["-t", "cx", "nothing"]);
    assert_eq!(out.code, 127);
    assert!(out.stdout.contains("executable file not found in $PATH"), "{}", out.stdout);
    check(&["-d", "cx", "nothing"], 127, "executable file not found in $PATH");
    check(&["missing", "true"], 1, "No such container: missing");
    check(&["cx"], 1, "requires at least 2 arguments");
    d.ok(["pause", "cx"]);
    check(&["cx", "true"], 1, "is paused, unpause the container before exec");
    let reply = d.post("/containers/cx/exec", &json!({"Cmd": ["true"]}));
    assert_eq!(reply.status, 409);
    d.ok(["unpause", "cx"]);
    assert_eq!(ok(&d, &["cx", "echo", "again"]), "again");
    d.ok(["kill", "cx"]);
    d.wait_status("cx", "exited");
    check(&["cx", "true"], 1, "is not running");
    let reply = d.post("/containers/cx/exec", &json!({"Cmd": []}));
    assert_eq!(reply.status, 400, "{}", reply.text());
    d.assert_nothing_left_behind();
}

#[test]
fn input_and_its_end_are_passed_on() {
    let d = with_container(&[]);
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let out = d.cli(["exec", "-i", "cx", "cat"]).stdin(big.clone()).output();
    assert!(out.code == 0 && out.bytes == big, "{} bytes came back", out.bytes.len());
    // The end of the input is not the end of the output.
    let script = "wc -c; sleep 0.3; echo after; exit 4";
    let out = d.cli(["exec", "-i", "cx", "sh", "-c", script]).stdin("12345").output();
    assert_eq!((out.code, out.stdout.as_str()), (4, "5\nafter\n"));
    // A program that reads nothing holds nobody up.
    let out = d.cli(["exec", "-i", "cx", "true"]).stdin(big).output();
    assert_eq!(out.code, 0);
    let id = make(&d, &json!({"Cmd": ["cat"], "AttachStdin": true, "AttachStdout": true}));
    let mut wire = d.wire();
    wire.send(format!(
        "POST /exec/{id}/start HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{{}}early "
    ));
    assert_eq!(wire.head().0, 101);
    wire.send("late");
    wire.half_close();
    assert_eq!(wire.frames().0, "early late");
    assert_eq!(state(&d, &id)["ExitCode"], 0);
    d.assert_nothing_left_behind();
}

#[test]
fn a_terminal_of_the_right_size() {
    let d = with_container(&[]);
    let mut t = d.terminal_of_size(&["exec", "-it", "cx", "sh"], 33, 101);
    t.expect("# ");
    wait_until("our terminal is raw", || t.is_raw());
    t.type_in("stty size\r");
    t.expect("33 101");
    t.resize(20, 66);
    wait_until("the new size arrives", || {
        t.type_in("stty size\r");
        t.screen.wait(Duration::from_millis(300), |bytes, _| {
            String::from_utf8_lossy(bytes).contains("20 66")
        })
    });
    t.type_in("echo $TERM; tty; exit 5\r");
    t.expect("xterm");
    t.expect("/dev/pts/");
    assert_eq!(t.wait(), 5);
    assert!(!t.is_raw(), "the terminal is left raw");
    // Output of a terminal has carriage returns, and both streams are one.
    let out = exec(&d, &["-t", "cx", "sh", "-c", "echo a; echo b >&2"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "a\r\nb\r\n"));
    let out = d.cli(["exec", "-it", "cx", "true"]).stdin("").output();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("the input device is not a TTY"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}

#[test]
fn keys_leave_it_and_it_goes_on() {
    let d = with_container(&[]);
    let script = "stty raw -echo; echo ready; head -c 1 >/dev/null; sleep 1000";
    let mut t = d.terminal(&["exec", "-it", "cx", "sh", "-c", script]);
    t.expect("ready");
    t.type_in("x\x10");
    t.type_in("\x11");
    t.expect("read escape sequence");
    assert_eq!(t.wait(), 1);
    let mut t = d.terminal(&["exec", "-it", "--detach-keys", "ctrl-a,d", "cx", "sh"]);
    t.expect("# ");
    t.type_in("echo st\x10\x11ill here\r");
    t.expect("here");
    t.type_in("\x01d");
    assert_eq!(t.wait(), 1);
    let ids = d.inspect("cx")["ExecIDs"].as_array().unwrap().clone();
    assert_eq!(ids.len(), 2);
    for id in ids {
        assert_eq!(state(&d, id.as_str().unwrap())["Running"], true);
    }
    d.assert_nothing_left_behind();
}

#[test]
fn the_life_of_an_exec_by_api() {
    let d = with_container(&[]);
    let body = json!({
        "Cmd": ["sh", "-c", "echo $A; read x; exit 6"], "AttachStdin": true, "AttachStdout": true,
        "Env": ["A=b"], "User": "root", "Privileged": true, "DetachKeys": "ctrl-x"
    });
    let id = make(&d, &body);
    let shown = state(&d, &id);
    assert_eq!((&shown["Running"], &shown["ExitCode"]), (&json!(false), &Value::Null));
    assert_eq!(shown["ProcessConfig"]["entrypoint"], "sh");
    assert_eq!(shown["ProcessConfig"]["arguments"][0], "-c");
    assert_eq!(shown["ProcessConfig"]["privileged"], true);
    assert_eq!(shown["ContainerID"], d.inspect("cx")["Id"]);
    assert_eq!(d.inspect("cx")["ExecIDs"], json!([id]));
    let mut wire = d.wire();
    wire.send(format!(
        "POST /v1.41/exec/{id}/start HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
         Content-Length: 28\r\n\r\n{{\"Detach\":false,\"Tty\":false}}"
    ));
    let (status, headers) = wire.head();
    assert_eq!(status, 200);
    let kind = headers.iter().find(|(name, _)| name == "content-type").unwrap();
    assert_eq!(kind.1, "application/vnd.docker.raw-stream");
    assert_eq!(wire.frame().unwrap(), (1, b"b\n".to_vec()));
    wait_until("its pid is known", || state(&d, &id)["Pid"] != 0);
    let shown = state(&d, &id);
    assert_eq!(shown["Running"], true);
    let pid = shown["Pid"].as_i64().unwrap();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(name, "sh\n");
    let start = format!("/exec/{id}/start");
    assert_eq!(d.post(&start, &json!({})).status, 409);
    assert_eq!(d.api("POST", &format!("/exec/{id}/resize?h=1&w=1")).status, 409);
    wire.half_close();
    assert!(wire.frame().is_none());
    // Known as soon as the stream has ended.
    let shown = state(&d, &id);
    assert_eq!((&shown["Running"], &shown["ExitCode"]), (&json!(false), &json!(6)));
    assert_eq!(d.inspect("cx")["ExecIDs"], Value::Null);
    assert_eq!(d.post(&start, &json!({})).status, 409);
    let missing = "ab".repeat(32);
    for (method, path) in [("GET", "json"), ("POST", "start"), ("POST", "resize?h=1&w=1")] {
        let reply = d.api(method, &format!("/exec/{missing}/{path}"));
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.message(), format!("No such exec instance: {missing}"));
    }
    let of_exec: Vec<String> = events(&d).into_iter().filter(|e| e.starts_with("exec_")).collect();
    let line = "sh -c echo $A; read x; exit 6";
    assert_eq!(
        of_exec,
        [format!("exec_create: {line}"), format!("exec_start: {line}"), "exec_die".to_owned()]
    );
    d.assert_nothing_left_behind();
}

#[test]
fn detached_ones_run_on_their_own() {
    let d = with_container(&[]);
    assert_eq!(ok(&d, &["-d", "cx", "sh", "-c", "cat; echo done >/tmp/done; sleep 1000"]), "");
    wait_until("it has run", || exec(&d, &["cx", "cat", "/tmp/done"]).code == 0);
    // It has no input that somebody would have to end.
    let body = json!({"Cmd": ["sh", "-c", "cat; exit 9"], "AttachStdin": true});
    let id = make(&d, &body);
    d.post(&format!("/exec/{id}/start"), &json!({"Detach": true})).expect(200);
    wait_until("it has ended", || state(&d, &id)["ExitCode"] == 9);
    let ids = d.inspect("cx")["ExecIDs"].clone();
    assert_eq!(ids.as_array().unwrap().len(), 1);
    // The end of the container is that of its execs.
    let waiting = make(&d, &json!({"Cmd": ["true"]}));
    let mut attached = d.cli(["exec", "cx", "sleep", "1000"]).spawn();
    wait_until("it runs", || running(&d) == 2);
    d.ok(["kill", "cx"]);
    assert_eq!(attached.wait(SOON).code, 137);
    d.wait_status("cx", "exited");
    assert_eq!(d.api("GET", &format!("/exec/{waiting}/json")).status, 404);
    d.ok(["start", "cx"]);
    assert_eq!(d.post(&format!("/exec/{waiting}/start"), &json!({})).status, 404);
    d.ok(["rm", "-f", "cx"]);
    assert_eq!(d.api("GET", &format!("/exec/{id}/json")).status, 404);
    d.assert_nothing_left_behind();
}

#[test]
fn execs_outlive_the_daemon() {
    let mut d = with_container(&[]);
    let script = "while read l; do echo got $l; done; echo end; exit 7";
    let mut first = d.cli(["exec", "-i", "cx", "sh", "-c", script]).spawn();
    first.write("one\n");
    first.expect("got one\n");
    let ids = d.inspect("cx")["ExecIDs"].clone();
    let id = ids[0].as_str().unwrap().to_owned();
    let mut second = d.cli(["exec", "-i", "cx", "sh", "-c", "read l; exit 8"]).spawn();
    wait_until("both run", || running(&d) == 2);
    d.kill9();
    first.write("two\n");
    first.expect("got two\n");
    // Ends while there is no daemon; the command waits for the next one to tell the code.
    second.write("x\n");
    d.restart();
    assert_eq!(second.wait(SOON).code, 8);
    assert_eq!(d.inspect("cx")["ExecIDs"], json!([id]));
    let shown = state(&d, &id);
    assert_eq!(
        (&shown["Running"], &shown["ProcessConfig"]["entrypoint"]),
        (&json!(true), &json!("sh"))
    );
    first.write("three\n");
    first.expect("got three\n");
    drop(first.take_stdin());
    let out = first.wait(SOON);
    assert_eq!((out.code, out.stdout.as_str()), (7, "got one\ngot two\ngot three\nend\n"));
    assert_eq!(state(&d, &id)["ExitCode"], 7);
    assert_eq!(exec(&d, &["cx", "sh", "-c", "exit 5"]).code, 5);
    d.assert_nothing_left_behind();
}

/// The lines of /proc/self/status that tell what a process may do.
fn privileges(status: &str) -> Vec<String> {
    let told = ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp"];
    let wanted = |line: &&str| told.iter().any(|word| line.starts_with(word));
    status.lines().filter(wanted).map(str::to_owned).collect()
}

#[test]
fn it_may_do_what_the_container_may() {
    for flags in [
        &[][..],
        &["-u", "guest"],
        &["--cap-drop", "ALL", "--security-opt", "no-new-privileges"],
        &["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"],
        &["--privileged"],
        &["--pid", "host"],
        &["--ulimit", "nofile=77:77", "-m", "64m", "--pids-limit", "50", "--cpus", "0.5"],
    ] {
        let d = with_container(flags);
        let main = d.inspect("cx")["State"]["Pid"].to_string();
        let of = |file: &str| std::fs::read_to_string(format!("/proc/{main}/{file}")).unwrap();
        let status = ok(&d, &["cx", "cat", "/proc/self/status"]);
        assert_eq!(privileges(&status), privileges(&of("status")), "{flags:?}");
        let limits = ok(&d, &["cx", "cat", "/proc/self/limits"]);
        assert_eq!(limits.trim_end(), of("limits").trim_end(), "{flags:?}");
        for kind in ["mnt", "pid", "uts", "ipc", "net", "cgroup"] {
            let link = ok(&d, &["cx", "readlink", &format!("/proc/self/ns/{kind}")]);
            let own = std::fs::read_link(format!("/proc/{main}/ns/{kind}")).unwrap();
            assert_eq!(link, own.to_str().unwrap(), "{flags:?}");
        }
        let id = make(&d, &json!({"Cmd": ["sleep", "1000"]}));
        d.post(&format!("/exec/{id}/start"), &json!({"Detach": true})).expect(200);
        let pid = state(&d, &id)["Pid"].to_string();
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert_eq!(cgroup, of("cgroup"), "{flags:?}");
        let oom = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        assert_eq!(oom, of("oom_score_adj"), "{flags:?}");
        let privileged = ok(&d, &["--privileged", "-u", "0", "cx", "cat", "/proc/self/status"]);
        let host = std::fs::read_to_string(format!("/proc/{}/status", d.pid())).unwrap();
        let bounding =
            |text: &str| text.lines().find(|line| line.starts_with("CapBnd")).unwrap().to_owned();
        assert_eq!(bounding(&privileged), bounding(&host), "{flags:?}");
        d.assert_nothing_left_behind();
    }
}

#[test]
fn limits_hold_for_it() {
    let d = with_container(&["-m", "16m", "--memory-swap", "16m", "--pids-limit", "20"]);
    let out =
        exec(&d, &["cx", "sh", "-c", "x=$(head -c 40000000 /dev/zero | tr '\\0' x); echo $?"]);
    assert_ne!(out.stdout, "0\n", "it took more memory than there is");
    let script = "for i in $(seq 40); do sleep 5 & done; wait";
    let out = exec(&d, &["cx", "sh", "-c", script]);
    assert!(out.stderr.contains("can't fork"), "{}", out.stderr);
    assert_eq!(d.status("cx"), "running");
    d.assert_nothing_left_behind();
}

#[test]
fn nothing_of_the_host_comes_along() {
    let tar = Tar::busybox()
        .file("evil", 0o755, b"#!/proc/self/exe\n")
        .symlink("exe", "/proc/self/exe")
        .symlink("up", "../../../../..")
        .symlink("out", "/proc/1/root/..")
        .bytes();
    let d = Daemon::start();
    d.import("evil", &tar);
    let caps = ["--cap-add", "SYS_PTRACE"];
    let args = [&["run", "-d", "--name", "cx"][..], &caps, &["evil", "sleep", "100000"]];
    d.ok(args.concat());
    for flags in [&[][..], &["-t"], &["--privileged"], &["-u", "guest"]] {
        let listed = ok(&d, &[flags, &["cx", "sh", "-c", "ls /proc/$$/fd; true"]].concat());
        let listed = listed.replace('\r', "");
        let mut numbers: Vec<&str> = listed.split_whitespace().collect();
        // The shell keeps a copy of a terminal for itself.
        numbers.retain(|n| n.parse::<u32>().unwrap() < 10);
        assert_eq!(numbers, ["0", "1", "2"], "{flags:?}");
    }
    for number in 3..64 {
        let out = exec(&d, &["-w", &format!("/proc/self/fd/{number}"), "cx", "pwd"]);
        assert_eq!((out.code, out.stdout.as_str()), (126, ""), "fd {number}");
    }
    let host = std::fs::read_to_string("/etc/passwd").unwrap();
    for cwd in ["/up", "/out", "/proc/1/cwd", "/up/etc", "/../.."] {
        let out = exec(&d, &["-w", cwd, "cx", "cat", "etc/passwd"]);
        let second = host.lines().nth(1).unwrap();
        assert!(out.code != 0 || !out.stdout.contains(second), "{cwd}: {}", out.stdout);
    }
    let ours = crate::harness::skiff();
    let hash = || Command::new("sha256sum").arg(ours).output().unwrap().stdout;
    let before = hash();
    // Watches for whoever comes in, looks into it, and tries to write to what it runs.
    let watcher = "while :; do for p in /proc/[0-9]*; do \
        readlink $p/exe $p/cwd $p/root $p/fd/*; (echo evil >$p/exe) 2>/dev/null; done; done \
        2>/dev/null | grep -v -e '^/bin/busybox$' -e '^/$' -e '^pipe:' -e '^/dev/null$' \
        -e '^/proc/' >>/tmp/seen";
    ok(&d, &["-d", "cx", "sh", "-c", watcher]);
    for _ in 0..count(20, 300) {
        assert_eq!(ok(&d, &["cx", "echo", "x"]), "x");
    }
    for program in ["/evil", "/exe", "/proc/self/exe"] {
        exec(&d, &["cx", program]);
        exec(&d, &["cx", program, "--version"]);
    }
    assert_eq!(ok(&d, &["cx", "cat", "/tmp/seen"]), "", "a process of the container saw these");
    assert!(before == hash(), "our binary has changed");
    d.assert_nothing_left_behind();
}

#[test]
fn many_at_once() {
    let d = with_container(&[]);
    std::thread::scope(|scope| {
        for n in 0..20 {
            let d = &d;
            scope.spawn(move || {
                for _ in 0..count(3, 50) {
                    let text = format!("{n}");
                    let script = "cat; exit $0";
                    let out = d
                        .cli(["exec", "-i", "cx", "sh", "-c", script, &text])
                        .stdin(text.clone())
                        .output();
                    assert_eq!((out.code, out.stdout), (n, text));
                }
            });
        }
    });
    // Clients that leave in the middle, and a container that is removed under its execs.
    for _ in 0..10 {
        let process = d.cli(["exec", "-i", "cx", "cat"]).spawn();
        wait_until("it runs", || running(&d) == 1);
        drop(process);
        wait_until("it has ended", || d.inspect("cx")["ExecIDs"] == Value::Null);
    }
    let mut left: Vec<_> =
        (0..10).map(|_| d.cli(["exec", "cx", "sleep", "1000"]).spawn()).collect();
    wait_until("all run", || running(&d) == 10);
    d.ok(["rm", "-f", "cx"]);
    for process in &mut left {
        assert_ne!(process.wait(SOON).code, 0);
    }
    d.assert_nothing_left_behind();
}

/// What a kill may meet: execs that fail, that run, that are on their way in; a container that is
/// being frozen or thawed. It ends whatever it meets, at once, and the execs with it.
#[test]
fn a_kill_ends_the_container_whatever_it_meets() {
    let d = Daemon::start();
    let commands: [&[&str]; 5] = [
        &["cx", "nothing"],
        &["-w", "/bin/nowhere", "cx", "true"],
        &["-t", "cx", "nothing"],
        &["cx", "sleep", "1000"],
        &["cx", "true"],
    ];
    for round in 0..count(12, 600) {
        d.ok(["run", "-d", "--name", "cx", "busybox", "sleep", "100000"]);
        let mut execs: Vec<_> = (0..round % 4)
            .map(|n| d.cli(["exec"]).args(commands[(round + n) % 5].iter().copied()).spawn())
            .collect();
        // Some have begun, some are on their way in.
        std::thread::sleep(Duration::from_millis((round % 5) as u64 * 3));
        std::thread::scope(|scope| {
            match round % 6 {
                0 => drop((d.ok(["pause", "cx"]), d.ok(["unpause", "cx"]))),
                1 => drop(d.ok(["pause", "cx"])),
                2 => drop(scope.spawn(|| d.api("POST", "/containers/cx/pause"))),
                3 => {
                    d.ok(["pause", "cx"]);
                    scope.spawn(|| d.api("POST", "/containers/cx/unpause"));
                }
                _ => {}
            }
            let began = Instant::now();
            d.ok(["kill", "cx"]);
            assert_eq!(d.status("cx"), "exited", "round {round}, {:?}", began.elapsed());
        });
        for exec in &mut execs {
            exec.wait(SOON);
        }
        d.ok(["rm", "cx"]);
    }
    d.assert_nothing_left_behind();
}

/// Execs at once, for warming up.
const AT_ONCE: usize = 8;

#[test]
fn ten_thousand_leave_memory_and_descriptors_flat() {
    let d = with_container(&[]);
    let monitor = monitor_of(&d, "cx");
    let body = json!({"Cmd": ["true"], "AttachStdout": true, "AttachStderr": true});
    let missing = json!({"Cmd": ["missing"], "AttachStdout": true, "AttachStderr": true});
    let round = |n: usize| {
        let id = make(&d, if n % 10 == 9 { &missing } else { &body });
        let mut wire = d.wire();
        wire.send(format!(
            "POST /exec/{id}/start HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{{}}"
        ));
        assert_eq!(wire.head().0, 101);
        wire.rest();
        let code = state(&d, &id)["ExitCode"].as_i64();
        assert_eq!(code, Some(if n % 10 == 9 { 127 } else { 0 }));
    };
    // What grows up to a bound is at its bound first: the events and execs that are remembered, and
    // the stacks of threads.
    keep_stacks(&d, 20);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| (0..1000 / AT_ONCE).for_each(round));
        }
    });
    let began = Instant::now();
    let rounds = count(200, 10_000);
    assert_flat(&d, &[monitor], || (0..rounds).for_each(round));
    println!("{rounds} execs in {:?}", began.elapsed());
    d.assert_nothing_left_behind();
}
