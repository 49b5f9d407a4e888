//! `run`: streams, exit codes, flags of the command line.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Daemon, SOON, count, wait_until};

#[test]
fn a_program_runs_and_its_output_comes_back() {
    let d = Daemon::start();
    assert_eq!(d.ok(["run", "busybox", "echo", "hello"]), "hello");
    let out = d.cli(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2"]).output();
    assert_eq!((out.code, &*out.stdout, &*out.stderr), (0, "out\n", "err\n"));
    d.assert_nothing_left_behind();
}

#[test]
fn stdin_reaches_the_process_and_eof_ends_it() {
    let d = Daemon::start();
    let out = d.cli(["run", "-i", "busybox", "cat"]).stdin("hello\n").output();
    assert_eq!((out.code, out.stdout.as_str()), (0, "hello\n"));
    let out = d.cli(["run", "-i", "--rm", "busybox", "wc", "-c"]).stdin("").output();
    assert_eq!((out.code, out.stdout.trim()), (0, "0"));
    d.assert_nothing_left_behind();
}

#[test]
fn without_i_the_process_has_an_empty_stdin() {
    let d = Daemon::start();
    let out = d.cli(["run", "--rm", "busybox", "wc", "-c"]).stdin("not for you").output();
    assert_eq!((out.code, out.stdout.trim()), (0, "0"));
    let mut run = d.cli(["run", "--rm", "busybox", "true"]).spawn();
    // Its standard input stays open; run must end all the same.
    assert_eq!(run.wait(SOON).code, 0);
}

#[test]
fn stdin_may_end_before_the_output_begins() {
    let d = Daemon::start();
    let script = "read line; sleep 0.3; echo got $line";
    let out = d.cli(["run", "-i", "--rm", "busybox", "sh", "-c", script]).stdin("x\n").output();
    assert_eq!((out.code, out.stdout.as_str()), (0, "got x\n"));
}

#[test]
fn exit_codes_are_those_of_the_program_or_say_why_there_is_none() {
    let d = Daemon::start();
    let code = |args: &[&str]| {
        let all: Vec<&str> = ["run", "--rm"].iter().chain(args).copied().collect();
        d.cli(all).output().code
    };
    assert_eq!(code(&["busybox", "true"]), 0);
    assert_eq!(code(&["busybox", "sh", "-c", "exit 3"]), 3);
    // Process 1 of a namespace does not hear its own SIGKILL.
    assert_eq!(code(&["--pid", "host", "busybox", "sh", "-c", "kill -KILL $$"]), 137);
    assert_eq!(code(&["busybox", "/etc/passwd"]), 126, "not executable");
    assert_eq!(code(&["busybox", "/etc"]), 126, "a directory");
    assert_eq!(code(&["busybox", "no-such-program"]), 127);
    assert_eq!(code(&["busybox", "/no/such/program"]), 127);
    assert_eq!(code(&["--no-such-flag", "busybox", "true"]), 125);
    assert_eq!(code(&["-m", "1k", "busybox", "true"]), 125, "refused by the daemon");
    assert_eq!(code(&["-v", "relative-name:/x", "busybox", "true"]), 125, "not served yet");
    d.assert_nothing_left_behind();
}

#[test]
fn a_missing_program_says_so() {
    let d = Daemon::start();
    let out = d.cli(["run", "--name", "cx", "busybox", "nothing-here"]).output();
    assert_eq!(out.code, 127);
    assert!(out.stderr.contains("nothing-here"), "{}", out.stderr);
    assert!(out.stderr.contains("not found"), "{}", out.stderr);
    assert_eq!(d.status("cx"), "created");
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], 127);
    d.assert_nothing_left_behind();
}

#[test]
fn unserved_flags_are_refused_by_name() {
    let d = Daemon::start();
    for flags in
        [&["--gpus", "all"][..], &["--ip6", "fe80::1"], &["--volumes-from", "cx"], &["-v", "/vol"]]
    {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["busybox", "true"]);
        let out = d.cli(args).output();
        assert_ne!(out.code, 0, "{flags:?} was taken");
        assert!(!out.stderr.is_empty(), "{flags:?}");
    }
    assert_eq!(d.ok(["ps", "-aq"]), "");
}

#[test]
fn detached_prints_the_id_and_goes() {
    let d = Daemon::start();
    let id = d.ok(["run", "-d", "--name", "bg", "busybox", "sh", "-c", "echo x; sleep 1000"]);
    assert_eq!(id.len(), 64);
    assert_eq!(d.inspect("bg")["Id"], json!(id));
    assert_eq!(d.status("bg"), "running");
    wait_until("the line is in the log", || d.ok(["logs", "bg"]) == "x");
    assert_eq!(d.ok(["kill", "bg"]), "bg");
    assert_eq!(d.ok(["wait", "bg"]), "137");
    d.assert_nothing_left_behind();
}

#[test]
fn rm_with_detach_removes_when_it_ends() {
    let d = Daemon::start();
    let id = d.ok(["run", "-d", "--rm", "busybox", "sleep", "0.2"]);
    wait_until("it is gone", || d.api("GET", &format!("/containers/{id}/json")).status == 404);
    d.assert_nothing_left_behind();
}

#[test]
fn cidfile_gets_the_id_and_must_not_exist() {
    let d = Daemon::start();
    let file = d.dir().join("cid");
    let file = file.to_str().unwrap();
    let id = d.ok(["run", "-d", "--cidfile", file, "busybox", "true"]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), id);
    let again = d.cli(["run", "--cidfile", file, "busybox", "true"]).output();
    assert_eq!(again.code, 125);
    assert!(again.stderr.contains("container ID file found"), "{}", again.stderr);
}

#[test]
fn signals_are_passed_on() {
    let d = Daemon::start();
    let script = "trap 'echo term; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut run = d.cli(["run", "--rm", "busybox", "sh", "-c", script]).spawn();
    run.expect("ready");
    run.signal(libc::SIGTERM);
    let out = run.wait(SOON);
    assert_eq!((out.code, out.stdout.as_str()), (7, "ready\nterm\n"));
    d.assert_nothing_left_behind();
}

#[test]
fn a_reader_that_goes_away_ends_nothing_but_itself() {
    let d = Daemon::start();
    let script = "trap '' PIPE; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo done >/tmp/x; exec sleep 1000";
    let mut run = d.cli(["run", "--name", "cy", "busybox", "sh", "-c", script]).spawn();
    run.expect("line 10");
    run.signal(libc::SIGKILL);
    run.wait(SOON);
    wait_until("all lines are in the log", || d.ok(["logs", "cy"]).ends_with("line 1999"));
    assert_eq!(d.status("cy"), "running");
    d.assert_nothing_left_behind();
}

/// No hang and no lost tail, however often.
#[test]
fn echo_into_cat_many_times() {
    let d = Daemon::start();
    for round in 0..count(20, 1000) {
        let line = format!("round {round}\n");
        let out = d.cli(["run", "--rm", "-i", "busybox", "cat"]).stdin(line.as_str()).output();
        assert_eq!((out.code, out.stdout), (0, line), "{}", out.stderr);
    }
    d.assert_nothing_left_behind();
}

#[test]
fn much_data_passes_both_ways_whole() {
    let d = Daemon::start();
    let size = count(32 << 20, 1 << 30);
    // Not periodic in any power of two, so that a lost or doubled piece shows.
    let data: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
    let began = Instant::now();
    let out = d
        .cli(["run", "--rm", "-i", "busybox", "cat"])
        .stdin(data.clone())
        .limit(Duration::from_secs(600))
        .output();
    assert_eq!((out.code, out.bytes.len()), (0, size), "{}", out.stderr);
    assert!(out.bytes == data, "the bytes differ");
    println!("{} MB in {:?}", size >> 20, began.elapsed());
    d.assert_nothing_left_behind();
}

#[test]
fn environment_workdir_user_entrypoint_and_labels() {
    let d = Daemon::start();
    let run = |flags: &[&str], command: &[&str]| {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.push("busybox");
        args.extend(command);
        d.cli(args).env("FROM_CLIENT", "client").output().ok()
    };
    let env = run(&["-e", "A=1", "-e", "FROM_CLIENT", "-e", "NOT_SET_ANYWHERE"], &["env"]);
    for line in ["A=1", "FROM_CLIENT=client", "HOME=/root"] {
        assert!(env.lines().any(|l| l == line), "{line} in {env}");
    }
    assert!(env.contains("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    assert!(env.lines().any(|l| l.starts_with("HOSTNAME=") && l.len() == 9 + 12), "{env}");
    assert!(!env.contains("NOT_SET_ANYWHERE") && !env.contains("TERM="), "{env}");

    assert_eq!(run(&["-w", "/a/b"], &["pwd"]), "/a/b");
    assert_eq!(run(&["--entrypoint", "echo"], &["x", "y"]), "x y");
    assert_eq!(
        run(&["-u", "guest"], &["id"]),
        "uid=405(guest) gid=100(users) groups=29(audio),44(video),100(users)"
    );
    assert_eq!(run(&["-u", "12:34"], &["id", "-u"]), "12");
    assert_eq!(run(&["-u", "12:34"], &["id", "-G"]), "34");
    assert_eq!(run(&["-u", "guest"], &["sh", "-c", "echo $HOME"]), "/tmp");
    assert_eq!(run(&["--group-add", "5"], &["id", "-G"]), "0 5 44");
    // A name that is a number is a number: the passwd line of that name must not be taken.
    assert_eq!(run(&["-u", "1000"], &["id", "-u"]), "1000");
    assert_eq!(run(&["-h", "box"], &["hostname"]), "box");
    assert_eq!(
        run(&["--domainname", "example"], &["cat", "/proc/sys/kernel/domainname"]),
        "example"
    );
    for user in ["nobody-here", "4294967296", "-1", "0x0"] {
        let user = format!("--user={user}");
        let out = d.cli(["run", "--rm", &user, "busybox", "id"]).output();
        assert_ne!(out.code, 0, "{user}: {}", out.stdout);
    }
    d.assert_nothing_left_behind();
}

#[test]
fn env_files_and_label_files_are_read() {
    let d = Daemon::start();
    let file = d.dir().join("env");
    std::fs::write(&file, "# comment\n\nA=1 2\nFROM_CLIENT\nB=file\n").unwrap();
    let file = file.to_str().unwrap();
    let out = d
        .cli(["run", "--rm", "--env-file", file, "-e", "B=flag", "busybox", "env"])
        .env("FROM_CLIENT", "client")
        .output()
        .ok();
    for line in ["A=1 2", "FROM_CLIENT=client", "B=flag"] {
        assert!(out.lines().any(|l| l == line), "{line} in {out}");
    }
    let id = d.ok(["create", "--label-file", file, "-l", "x=y", "busybox", "true"]);
    let labels = &d.inspect(&id)["Config"]["Labels"];
    assert_eq!(labels["A"], "1 2");
    assert_eq!(labels["x"], "y");
}

#[test]
fn old_spellings_are_taken() {
    let d = Daemon::start();
    assert_eq!(d.ok(["run", "-rm", "-n=false", "busybox", "echo", "cx"]), "cx");
    assert_eq!(d.ok(["run", "-rm", "-entrypoint", "echo", "busybox", "cy"]), "cy");
    assert_eq!(d.ok(["ps", "-a", "-q", "-notrunc"]), "");
    assert_eq!(d.ok(["run", "--rm", "--net=none", "busybox", "echo", "z"]), "z");
}

#[test]
fn networks_none_host_and_of_another_container() {
    let d = Daemon::start();
    let links = |flags: &[&str]| {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["busybox", "ls", "/sys/class/net"]);
        d.ok(args)
    };
    assert_eq!(links(&[]), "eth0\nlo");
    assert_eq!(links(&["--net", "none"]), "lo");
    let first =
        ["run", "-d", "--name", "first", "busybox", "sh", "-c", "hostname peer; sleep 1000"];
    d.ok(first);
    let namespace = |flags: &[&str]| {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["busybox", "readlink", "/proc/self/ns/net"]);
        d.ok(args)
    };
    let of_first =
        std::fs::read_link(format!("/proc/{}/ns/net", d.inspect("first")["State"]["Pid"])).unwrap();
    assert_eq!(namespace(&["--net", "container:first"]), of_first.to_str().unwrap());
    let of_daemon = std::fs::read_link(format!("/proc/{}/ns/net", d.pid())).unwrap();
    assert_eq!(namespace(&["--net", "host"]), of_daemon.to_str().unwrap());
    let out = d.cli(["run", "--net", "mine", "busybox", "true"]).output();
    assert_eq!(out.code, 125);
    assert!(out.stderr.contains("mine"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}

#[test]
fn the_image_may_bring_a_config() {
    let d = Daemon::start();
    let path = "/images/create?fromSrc=-&repo=conf&changes=CMD%20echo%20from-image&changes=ENV%20A%3Db&changes=WORKDIR%20/w";
    let reply = d.send("POST", path, "application/x-tar", crate::harness::busybox_tar());
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(d.ok(["run", "--rm", "conf"]), "from-image");
    assert_eq!(d.ok(["run", "--rm", "conf", "sh", "-c", "echo $A; pwd"]), "b\n/w");
}

#[test]
fn a_variable_that_is_no_text_is_passed_on_as_well_as_can_be() {
    use std::os::unix::ffi::OsStrExt;
    let d = Daemon::start();
    let mut command = std::process::Command::new(crate::harness::skiff());
    command.env("ODD", std::ffi::OsStr::from_bytes(b"a\xffb"));
    command.args(["-H", &d.host(), "run", "--rm", "-e", "ODD", "busybox", "sh", "-c", "echo $ODD"]);
    assert_eq!(command.output().unwrap().stdout, "a\u{fffd}b\n".as_bytes());
}
