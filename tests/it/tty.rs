//! Terminals: `-t`, resize, detach keys, attach.

use crate::harness::{Daemon, SOON, wait_until};

#[test]
fn a_shell_on_a_terminal_of_the_right_size() {
    let d = Daemon::start();
    let mut t = d.terminal_of_size(&["run", "-t", "-i", "--rm", "busybox", "sh"], 33, 101);
    t.expect("# ");
    wait_until("our terminal is raw", || t.is_raw());
    t.type_in("stty size\r");
    t.expect("33 101");
    t.resize(20, 66);
    t.expect("# ");
    wait_until("the new size arrives", || {
        t.type_in("stty size\r");
        t.screen.wait(std::time::Duration::from_millis(300), |bytes, _| {
            String::from_utf8_lossy(bytes).contains("20 66")
        })
    });
    t.type_in("tty; echo $TERM\r");
    t.expect("/dev/");
    t.expect("xterm");
    t.type_in("exit 5\r");
    assert_eq!(t.wait(), 5);
    assert!(!t.is_raw(), "the terminal is left raw");
    d.assert_nothing_left_behind();
}

#[test]
fn ctrl_c_is_a_byte_for_the_program() {
    let d = Daemon::start();
    let script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let mut t = d.terminal(&["run", "-ti", "--rm", "busybox", "sh", "-c", script]);
    t.expect("ready");
    t.type_in("\x03");
    t.expect("caught");
    assert_eq!(t.wait(), 9);
}

#[test]
fn detach_and_attach_again() {
    let d = Daemon::start();
    let mut t = d.terminal(&["run", "-ti", "--name", "cx", "busybox", "sh"]);
    t.expect("# ");
    t.type_in("echo one\r");
    t.expect("one\r\n");
    t.expect("# ");
    t.type_in("\x10\x11");
    assert_eq!(t.wait(), 0);
    assert_eq!(d.status("cx"), "running");

    let mut t = d.terminal(&["attach", "cx"]);
    wait_until("our terminal is raw", || t.is_raw());
    t.type_in("echo tw''o\r");
    t.expect("two\r\n");
    t.type_in("\x10");
    t.type_in("\x11");
    assert_eq!(t.wait(), 1, "attach says by 1 that it was left by the detach keys");
    assert_eq!(d.status("cx"), "running");

    let mut t = d.terminal(&["attach", "--detach-keys", "ctrl-a,d", "cx"]);
    wait_until("our terminal is raw", || t.is_raw());
    t.type_in("\x01d");
    assert_eq!(t.wait(), 1);

    let mut t = d.terminal(&["attach", "cx"]);
    wait_until("our terminal is raw", || t.is_raw());
    t.type_in("exit 4\r");
    assert_eq!(t.wait(), 4);
    assert_eq!(d.ok(["wait", "cx"]), "4");
    d.assert_nothing_left_behind();
}

#[test]
fn detach_keys_of_the_config_file_hold_unless_others_are_given() {
    let d = Daemon::start();
    let dir = d.dir().join("config");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("config.json"), r#"{"detachKeys": "ctrl-x,y"}"#).unwrap();
    let config = ["--config", dir.to_str().unwrap()];
    let with = |args: &[&str]| d.terminal(&[&config[..], args].concat());
    d.ok(["run", "-dti", "--name", "cx", "busybox", "cat"]);
    let mut t = with(&["attach", "cx"]);
    wait_until("our terminal is raw", || t.is_raw());
    // Those that hold without a file are input.
    t.type_in("\x10\x11a\r");
    t.expect("a\r\n");
    t.type_in("\x18y");
    assert_eq!(t.wait(), 1);
    let mut t = with(&["attach", "--detach-keys", "ctrl-a", "cx"]);
    wait_until("our terminal is raw", || t.is_raw());
    t.type_in("\x18yb\r");
    t.expect("b\r\n");
    t.type_in("\x01");
    assert_eq!(t.wait(), 1);
    for args in [&["exec", "-ti", "cx", "cat"][..], &["run", "-ti", "--rm", "busybox", "cat"]] {
        let mut t = with(args);
        wait_until("our terminal is raw", || t.is_raw());
        t.type_in("c\r");
        t.expect("c\r\n");
        t.type_in("\x18y");
        // As with the flag: exec and attach tell by 1 that they were left, run does not.
        assert_eq!(t.wait(), i32::from(args[0] == "exec"), "{args:?}");
    }
    std::fs::write(dir.join("config.json"), r#"{"detachKeys": "ctrl-nothing"}"#).unwrap();
    let mut t = with(&["attach", "cx"]);
    t.expect("ctrl-nothing");
    assert_eq!(t.wait(), 1);
}

#[test]
fn a_half_sequence_of_detach_keys_is_input() {
    let d = Daemon::start();
    let mut t = d.terminal(&[
        "run",
        "-ti",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "stty raw -echo; echo go; head -c 2 | od -c",
    ]);
    t.expect("go");
    t.type_in("\x10x");
    t.expect("020   x");
    assert_eq!(t.wait(), 0);
}

#[test]
fn t_without_a_terminal_is_refused_with_i_only() {
    let d = Daemon::start();
    let out = d.cli(["run", "--rm", "-ti", "busybox", "true"]).stdin("").output();
    assert_eq!(out.code, 1, "{}", out.stderr);
    assert!(out.stderr.contains("the input device is not a TTY"), "{}", out.stderr);
    // Output of a terminal has carriage returns, and both streams are one.
    let out = d.cli(["run", "--rm", "-t", "busybox", "sh", "-c", "echo a; echo b >&2"]).output();
    assert_eq!((out.code, out.stdout.as_str()), (0, "a\r\nb\r\n"));
    d.assert_nothing_left_behind();
}

#[test]
fn attach_to_a_program_without_terminal() {
    let d = Daemon::start();
    let script = "while read line; do echo got $line; done; exit 6";
    d.ok(["run", "-d", "-i", "--name", "cx", "busybox", "sh", "-c", script]);
    let mut first = d.cli(["attach", "cx"]).spawn();
    let mut second = d.cli(["attach", "--no-stdin", "cx"]).spawn();
    // Attaching is not confirmed by the client: say it until both have heard.
    wait_until("both see the output", || {
        first.write("hello\n");
        let heard = |p: &crate::harness::Process| {
            p.stdout
                .wait(std::time::Duration::from_millis(100), |b, _| b.starts_with(b"got hello\n"))
        };
        heard(&first) && heard(&second)
    });
    drop(first.take_stdin());
    // -d -i is not stdin-once: the end of one attacher's input is not the program's.
    let alive = d.status("cx") == "running";
    if alive {
        d.ok(["kill", "cx"]);
    }
    let (first, second) = (first.wait(SOON), second.wait(SOON));
    assert_eq!((first.code, second.code), if alive { (137, 137) } else { (6, 6) });
    assert_eq!(
        d.cli(["attach", "cx"]).output().stderr.trim(),
        "You cannot attach to a stopped container, start it first"
    );
    d.assert_nothing_left_behind();
}
