//! A genuine client of 0.6.4, where `SKIFF_OLD_CLIENT` names one: the program that `go build`
//! makes of the folder `docker` of moby's tag v0.6.4.

use crate::harness::{Cli, Daemon, Terminal};

#[test]
fn a_client_of_0_6_4_finds_what_it_knows() {
    let Ok(client) = std::env::var("SKIFF_OLD_CLIENT") else {
        skip!("no client of 0.6.4 (SKIFF_OLD_CLIENT)");
    };
    let d = Daemon::start();
    let host = d.host();
    let home = d.dir().to_str().unwrap().to_owned();
    let cli = |args: &[&str]| Cli::new(&client).args(["-H", &host]).args(args).env("HOME", &home);
    let ok = |args: &[&str]| cli(args).output().ok();

    assert!(ok(&["version"]).contains("Server version: "));
    assert!(ok(&["info"]).starts_with("Containers: 0\nImages: 1"));
    assert!(ok(&["images"]).contains("busybox             latest"));
    assert!(ok(&["images", "-viz"]).starts_with("digraph docker {"));
    assert!(ok(&["history", "busybox"]).contains("busybox:latest"));
    assert_eq!(ok(&["run", "busybox", "echo", "hello"]), "hello");
    let both = cli(&["run", "busybox", "sh", "-c", "echo out; echo err >&2; exit 4"]).output();
    assert_eq!((both.code, &*both.stdout, &*both.stderr), (4, "out\n", "err\n"));
    let cat = cli(&["run", "-i", "busybox", "cat"]).stdin("through\n").output();
    assert_eq!((cat.code, &*cat.stdout), (0, "through\n"));
    assert_eq!(cli(&["run", "busybox", "/no/such/program"]).output().code, 127);
    let env = ["run", "-e", "A=b", "-h", "box", "-w", "/tmp", "busybox", "sh", "-c"];
    let env = ok(&[&env[..], &["echo $A $HOSTNAME; pwd"]].concat());
    assert_eq!(env, "b box\n/tmp");

    let id = ok(&["run", "-d", "-p", "8080:80", "busybox", "sleep", "1000"]);
    assert!(ok(&["ps"]).contains("8080->80"));
    assert_eq!(ok(&["port", &id, "80"]), "8080");
    assert!(ok(&["top", &id]).contains("sleep"));
    assert!(ok(&["inspect", &id]).contains("\"Ghost\": false"));
    for what in [&["stop", "-t", "0"][..], &["start"], &["restart", "-t", "0"], &["kill"]] {
        assert_eq!(ok(&[what, &[&id]].concat()), id);
    }
    assert_eq!(ok(&["wait", &id]), "137");
    assert_eq!(ok(&["rm", &id]), id);
    assert_eq!(cli(&["logs", &id]).output().code, 1);

    let script = "while [ \"$(stty size)\" != '30 100' ]; do :; done; echo sized; read x; exit 5";
    let args = ["-H", &host, "run", "-i", "-t", "busybox", "sh", "-c", script];
    let mut terminal = Terminal::start(&client, &args.map(str::to_owned), 30, 100);
    terminal.expect("sized");
    terminal.type_in("\r");
    assert_eq!(terminal.wait(), 5);

    ok(&["tag", "busybox", "other"]);
    assert!(ok(&["rmi", "other"]).starts_with("Untagged: "));
    let refused = cli(&["pull", "busybox"]).output();
    assert!(refused.stderr.contains("not supported yet"), "{}", refused.stderr);
    let all = ok(&["ps", "-a", "-q"]);
    let all: Vec<&str> = all.lines().collect();
    ok(&[&["rm"][..], &all].concat());
    assert!(ok(&["rmi", "busybox"]).contains("Deleted: "));
    d.assert_nothing_left_behind();
}
