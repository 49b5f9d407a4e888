//! The command line itself: contexts, configuration, formats, local time, completions.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::harness::{Cli, Daemon, Output, SOON, skiff};

/// Our command line with a home of its own and no daemon named.
fn at_home(d: &Daemon, args: &[&str]) -> Cli {
    Cli::new(skiff()).args(args).env("HOME", d.dir().to_str().unwrap()).env("DOCKER_HOST", "")
}

fn config(d: &Daemon, text: &str) {
    fs::create_dir_all(d.dir().join(".docker")).unwrap();
    fs::write(d.dir().join(".docker/config.json"), text).unwrap();
}

/// Docker's client of the version whose output is ours.
fn todays_client() -> Option<&'static str> {
    let path = "/usr/local/bin/docker";
    let known = || Cli::new(path).args(["--version"]).output().stdout.contains(" version 28.");
    (Path::new(path).exists() && known()).then_some(path)
}

#[test]
fn contexts_name_daemons() {
    let d = Daemon::start();
    let run = |args: &[&str]| at_home(&d, args).output();
    assert_eq!(run(&["context", "show"]).ok(), "default");
    let endpoint = format!("host={}", d.host());
    let made = run(&["context", "create", "mine", "--docker", &endpoint, "--description", "a b"]);
    assert_eq!((made.code, made.stdout.as_str()), (0, "mine\n"), "{}", made.stderr);
    assert_eq!(made.stderr, "Successfully created context \"mine\"\n");
    assert_eq!(run(&["context", "create", "mine", "--docker", &endpoint]).code, 1);

    // Each way to say which one counts.
    let names = "{{.Repository}}";
    assert_eq!(run(&["--context", "mine", "images", "--format", names]).ok(), "busybox");
    let by_env = at_home(&d, &["images", "--format", names]).env("DOCKER_CONTEXT", "mine").output();
    assert_eq!(by_env.ok(), "busybox");
    let used = run(&["context", "use", "mine"]);
    assert_eq!(used.stderr, "Current context is now \"mine\"\n");
    assert_eq!(run(&["images", "--format", names]).ok(), "busybox");
    assert_eq!(run(&["context", "show"]).ok(), "mine");
    let other = format!("unix://{}/nothing", d.dir().display());
    let by_host = at_home(&d, &["images"]).env("DOCKER_HOST", &other).output();
    assert!(by_host.stderr.contains(&other), "{}", by_host.stderr);
    assert_eq!(run(&["-H", &other, "-c", "mine", "ps"]).code, 1);

    let listed = run(&["context", "ls"]).ok();
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("NAME "), "{listed}");
    assert!(lines[1].starts_with("default ") && lines[2].starts_with("mine *"), "{listed}");
    assert_eq!(run(&["context", "ls", "-q"]).ok(), "default\nmine");
    let shown = run(&["context", "inspect", "-f", "{{.Name}} {{.Endpoints.docker.Host}}", "mine"]);
    assert_eq!(shown.ok(), format!("mine {}", d.host()));
    let missing = run(&["-c", "nowhere", "ps"]);
    let told = "Failed to initialize: unable to resolve docker endpoint: context \"nowhere\": \
                context not found: open ";
    assert!(missing.code == 1 && missing.stderr.starts_with(told), "{}", missing.stderr);

    // Docker's client sees the same.
    if let Some(docker) = todays_client() {
        let docker = |args: &[&str]| {
            let home = d.dir().to_str().unwrap().to_owned();
            Cli::new(docker).args(args).env("HOME", &home).env("DOCKER_HOST", "").output()
        };
        for args in [
            &["context", "ls"][..],
            &["context", "ls", "--format", "json"],
            &["context", "ls", "-q"],
            &["context", "show"],
            &["context", "inspect", "mine", "default"],
            &["context", "inspect", "--format", "{{json .}}"],
            &["context", "use", "nowhere"],
            &["context", "rm", "default"],
            &["context", "rm", "mine"],
            &["context", "rm", "nowhere"],
            &["context", "create", "a/b"],
            &["context", "create", "default"],
            &["-c", "nowhere", "images"],
            &["images"],
        ] {
            let (ours, theirs) = (run(args), docker(args));
            let all = |out: Output| (out.code, out.stdout, out.stderr);
            assert_eq!(all(ours), all(theirs), "{args:?}");
        }
        docker(&["context", "create", "theirs", "--docker", &endpoint]).ok();
        assert_eq!(run(&["-c", "theirs", "images", "--format", names]).ok(), "busybox");
        run(&["context", "use", "theirs"]).ok();
        assert_eq!(docker(&["context", "show"]).ok(), "theirs");
        run(&["context", "rm", "-f", "theirs"]).ok();
        assert_eq!(docker(&["context", "show"]).ok(), "default");
    }
    assert_eq!(run(&["context", "rm", "-f", "mine"]).ok(), "mine");
    assert_eq!(run(&["context", "ls", "-q"]).ok(), "default");
    let keys = run(&["context", "create", "x1", "--docker", "host=tcp://h:1,ca=/x"]);
    assert_eq!(keys.stderr, "skiff: 'ca' of a context is not served yet\n");
}

#[test]
fn defaults_of_the_configuration() {
    let d = Daemon::start();
    let host = d.host();
    let run = |args: &[&str]| {
        let args: Vec<&str> = ["-H", &host].iter().chain(args).copied().collect();
        at_home(&d, &args).output()
    };
    d.ok(["create", "--name", "one", "busybox", "true"]);
    config(
        &d,
        r#"{"psFormat": "table {{.Names}}", "imagesFormat": "{{.Tag}}", "HttpHeaders": {"X-A": "b"},
            "proxies": {"default": {"httpProxy": "http://p:3128", "noProxy": "n"}}, "other": [1]}"#,
    );
    assert_eq!(run(&["ps", "-a"]).ok(), "NAMES\none");
    assert_eq!(run(&["ps", "-a", "--format", "{{.State}}"]).ok(), "created");
    assert_eq!(run(&["images"]).ok(), "latest");
    let script = "echo $HTTP_PROXY $http_proxy $no_proxy";
    let env = ["run", "--rm", "-e", "http_proxy=own", "busybox", "sh", "-c", script];
    assert_eq!(run(&env).ok(), "http://p:3128 own n");

    config(&d, "{\"psFormat\": ");
    let broken = run(&["ps", "-aq", "--no-trunc"]);
    assert_eq!(broken.stdout.len(), 65);
    let told = format!("WARNING: Error parsing config file ({}/.docker/", d.dir().display());
    assert!(broken.code == 0 && broken.stderr.starts_with(&told), "{}", broken.stderr);
    // What could not be read is not written over.
    assert_eq!(at_home(&d, &["context", "use", "default"]).output().code, 0);
    let endpoint = format!("host={host}");
    at_home(&d, &["context", "create", "mine", "--docker", &endpoint]).output().ok();
    assert_eq!(at_home(&d, &["context", "use", "mine"]).output().code, 1);
    let text = fs::read_to_string(d.dir().join(".docker/config.json")).unwrap();
    assert_eq!(text, "{\"psFormat\": ");
}

#[test]
fn headers_of_the_configuration_are_sent() {
    use std::io::{Read, Write};
    let d = Daemon::start();
    config(&d, r#"{"HttpHeaders": {"X-Pass": "let me in"}}"#);
    let path = d.dir().join("other.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let asked = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            assert_eq!(socket.read(&mut byte).unwrap(), 1);
            head.push(byte[0]);
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]";
        socket.write_all(answer).unwrap();
        String::from_utf8(head).unwrap()
    });
    let host = format!("unix://{}", path.display());
    assert_eq!(at_home(&d, &["-H", &host, "ps", "-q"]).output().ok(), "");
    let head = asked.join().unwrap();
    assert!(head.contains("\r\nX-Pass: let me in\r\n"), "{head}");
}

#[test]
fn the_socket_on_standard_streams() {
    let d = Daemon::start();
    let ask = "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = d.cli(["system", "dial-stdio"]).stdin(ask).output();
    assert!(answer.stdout.starts_with("HTTP/1.1 200 OK\r\n"), "{}", answer.stdout);
    assert!(answer.stdout.ends_with("\r\n\r\nOK"), "{}", answer.stdout);

    // A stand-in for ssh that stays on this host.
    let bin = d.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    let ssh =
        "#!/bin/sh\necho \"$@\" >>\"$HOME/asked\"\nfor last do :; done\nexec sh -c \"$last\"\n";
    fs::write(bin.join("ssh"), ssh).unwrap();
    fs::write(bin.join("skiff"), format!("#!/bin/sh\nexec {} \"$@\"\n", skiff())).unwrap();
    for name in ["ssh", "skiff"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(bin.join(name), mode).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let host = format!("ssh://me@far:2222{}", d.socket().display());
    let far = |args: &[&str]| {
        let args: Vec<&str> = ["-H", &host].iter().chain(args).copied().collect();
        at_home(&d, &args).env("PATH", &path)
    };
    assert_eq!(far(&["images", "--format", "{{.Repository}}"]).output().ok(), "busybox");
    let cat = far(&["run", "--rm", "-i", "busybox", "cat"]).stdin("through\n").output();
    assert_eq!((cat.code, cat.stdout.as_str()), (0, "through\n"), "{}", cat.stderr);
    let asked = fs::read_to_string(d.dir().join("asked")).unwrap();
    assert!(asked.contains("-l me -p 2222 -- far exec "), "{asked}");
    let refused = at_home(&d, &["-H", "ssh://a:b@c", "ps"]).output();
    assert!(refused.stderr.contains("plain-text password"), "{}", refused.stderr);
}

#[test]
fn times_by_the_local_clock() {
    let d = Daemon::start();
    d.ok(["create", "--name", "one", "busybox", "true"]);
    let ask = |zone: &str, args: &[&str]| d.cli(args).env("TZ", zone).output().ok();
    let created = |zone: &str| ask(zone, &["ps", "-a", "--format", "{{.CreatedAt}}"]);
    assert!(created("<+0330>-3:30").ends_with(" +0330 +0330"), "{}", created("<+0330>-3:30"));
    assert!(created("UTC0").ends_with(" +0000 UTC"), "{}", created("UTC0"));
    let events = ["events", "--since", "1h", "--until", "0s", "-f", "event=create"];
    let line = ask("XYZ5", &events);
    assert_eq!(&line[29..36], "-05:00 ", "{line}");
    // Both clocks tell of the same moment.
    let hour = |text: &str| text[11..13].parse::<i32>().unwrap();
    let (utc, far) = (created("UTC0"), created("XYZ5"));
    assert_eq!((hour(&utc) - hour(&far)).rem_euclid(24), 5, "{utc} {far}");
    // A time without a zone is of the same clock.
    let moment = far[..19].replace(' ', "T");
    let since = ["events", "--since", &moment, "--until", "0s", "-f", "event=create"];
    assert_eq!(ask("XYZ5", &since).lines().count(), 1);
    assert_eq!(ask("XYZ5", &["history", "--format", "{{.CreatedAt}}", "busybox"]).len(), 25);
}

#[test]
fn several_names_are_all_tried() {
    let d = Daemon::start();
    for name in ["n1", "n2"] {
        d.ok(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    }
    let check = |verb: &[&str], prefix: &str| {
        let args = verb.iter().copied().chain(["n1", "xx", "n2", "yy"]);
        let out = d.cli(args).output();
        let missing = "Error response from daemon: No such container:";
        let told = format!("{missing} xx\n{missing} yy\n");
        assert_eq!((out.code, out.stdout.as_str()), (1, "n1\nn2\n"), "{verb:?}: {}", out.stderr);
        assert!(out.stderr.starts_with(&told), "{verb:?}: {}", out.stderr);
        assert_eq!(&out.stderr[told.len()..], prefix, "{verb:?}");
    };
    check(&["pause"], "");
    check(&["unpause"], "");
    check(&["restart", "-t", "0"], "");
    check(&["stop", "-t", "0"], "");
    check(&["start"], "Error: failed to start containers: xx, yy\n");
    check(&["kill"], "");
    let waited = d.cli(["wait", "n1", "xx", "n2"]).output();
    assert_eq!((waited.code, waited.stdout.as_str()), (1, "137\n137\n"));
    check(&["rm"], "");
    d.assert_nothing_left_behind();
}

#[test]
fn several_containers_stop_at_the_same_time() {
    let d = Daemon::start();
    let names = ["n1", "n2", "n3", "n4"];
    for name in names {
        // Without a handler process 1 ignores the signal.
        d.ok(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    }
    let start = Instant::now();
    assert_eq!(d.ok(["stop", "-t", "2"].into_iter().chain(names)), "n1\nn2\nn3\nn4");
    let took = start.elapsed().as_secs_f64();
    assert!((2.0..6.0).contains(&took), "{took}");
}

#[test]
fn a_shell_completes_commands_flags_and_names() {
    let d = Daemon::start();
    d.ok(["create", "--name", "some-name", "busybox", "true"]);
    let script = d.ok(["completion", "bash"]);
    let complete = |words: &str| {
        let ask = format!(
            "skiff() {{ {} \"$@\"; }}\n{script}\nCOMP_WORDS=({words})\n\
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_skiff\necho \"${{COMPREPLY[@]}}\"",
            skiff()
        );
        Cli::new("bash").args(["-c", &ask]).env("DOCKER_HOST", &d.host()).output().ok()
    };
    assert_eq!(complete("skiff unp"), "unpause");
    assert_eq!(complete("skiff rm some"), "some-name");
    assert_eq!(complete("skiff container insp"), "inspect");
    assert_eq!(complete("skiff -H unix:///x run --memory-r"), "--memory-reservation");
    assert_eq!(complete("skiff context inspect de"), "default");
    assert!(complete("skiff rmi bus").starts_with("busybox:"));
}

fn is_there(program: &str) -> bool {
    Cli::new("sh").args(["-c", &format!("command -v {program}")]).output().code == 0
}

#[test]
fn fish_completes_commands_flags_and_names() {
    if !is_there("fish") {
        skip!("no fish on this machine");
    }
    let d = Daemon::start();
    d.ok(["create", "--name", "some-name", "busybox", "true"]);
    let script = d.dir().join("skiff.fish");
    fs::write(&script, d.ok(["completion", "fish"])).unwrap();
    let checked = Cli::new("fish").args(["-n", script.to_str().unwrap()]).output();
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
    let complete = |words: &str| {
        let ask = format!(
            "function skiff; {} $argv; end; source {}; complete -C '{words}'",
            skiff(),
            script.display()
        );
        let out = Cli::new("fish").args(["--no-config", "-c", &ask]).env("DOCKER_HOST", &d.host());
        let out = out.env("HOME", d.dir().to_str().unwrap()).output().ok();
        out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(complete("skiff ru"), ["run"]);
    assert_eq!(complete("skiff rm some"), ["some-name"]);
    assert_eq!(complete("skiff run --memory-r"), ["--memory-reservation"]);
    assert_eq!(complete("skiff container insp"), ["inspect"]);
    assert_eq!(complete("skiff completion z"), ["zsh"]);
    assert!(complete("skiff rmi bus")[0].starts_with("busybox:"));
    let file = d.dir().join("skiff.f");
    assert_eq!(complete(&format!("skiff import {}", file.display())), [script.to_str().unwrap()]);
}

#[test]
fn zsh_completes_commands_flags_and_names() {
    if !is_there("zsh") {
        skip!("no zsh on this machine");
    }
    let d = Daemon::start();
    d.ok(["create", "--name", "some-name", "busybox", "true"]);
    let script = d.dir().join("_skiff");
    fs::write(&script, d.ok(["completion", "zsh"])).unwrap();
    let checked = Cli::new("zsh").args(["-n", script.to_str().unwrap()]).output();
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
    fs::create_dir(d.dir().join("bin")).unwrap();
    std::os::unix::fs::symlink(skiff(), d.dir().join("bin/skiff")).unwrap();
    let dir = d.dir().display();
    // Found on the fpath, as when it is installed; and read, as the manual says.
    for by in ["compinit -D -u", "compinit -D -u; source ./_skiff"] {
        for (typed, word) in [
            ("skiff unp", "unpause"),
            ("skiff rm some", "some-name"),
            ("skiff run --memory-r", "--memory-reservation"),
            ("skiff -H x container insp", "inspect"),
            ("skiff import _sk", "_skiff"),
        ] {
            // What is completed is on the line that is then entered.
            let ask = format!(
                "zmodload zsh/zpty; cd {dir}; zpty z zsh -f -i\n\
                 zpty -w z 'PATH={dir}/bin:$PATH; fpath=({dir} $fpath); autoload -U compinit; {by}; \
                 show() {{ print -r -- \"<$BUFFER>\"; }}; zle -N show; bindkey \"^X\" show; \
                 print READY-$((1))'\n\
                 zpty -r -m z out '*READY-1*'\n\
                 zpty -n -w z $'{typed}\\t\\C-x'\n\
                 zpty -r -m z out '*<*>*'; print -r -- $out"
            );
            let out = Cli::new("zsh").args(["-f", "-c", &ask]).env("DOCKER_HOST", &d.host());
            let out = out.env("TERM", "dumb").limit(SOON).output().stdout;
            let line = out.rsplit_once('<').map_or("", |(_, rest)| rest);
            assert!(line.contains(word), "{by}: {typed}: {out}");
        }
    }
}

/// The same words to both clients, on the same daemon: what they print is the same.
#[test]
fn formats_are_those_of_dockers_client() {
    let Some(docker) = todays_client() else {
        skip!("no docker client of version 28 on this machine");
    };
    let d = Daemon::start();
    let name = ["--name", "up", "-l", "a=b", "-l", "c.d=<e>", "-v", "/tmp:/x:ro"];
    let run = ["run", "-d", "--network", "none"].into_iter().chain(name);
    d.ok(run.chain(["busybox", "sleep", "1000"]));
    d.cli(["run", "--name", "down", "busybox", "sh", "-c", "exit 3"]).output();
    d.ok(["create", "--name", "fresh", "-m", "64m", "busybox", "true"]);
    let mut wrong = Vec::new();
    let cases = include_str!("../golden/formats.txt");
    for line in cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut last = String::new();
        // Ages may differ by a second: once more, then.
        let same = (0..3).any(|_| {
            let ask = |program: &str| {
                let line = format!("{program} -H {} {line}", d.host());
                let out = Cli::new("sh").args(["-c", &line]).env("HOME", "/nonexistent").output();
                (out.code, out.stdout, out.stderr.replace("skiff", "docker"))
            };
            let (ours, theirs) = (ask(skiff()), ask(docker));
            last = format!("{line}\nours:   {ours:?}\ntheirs: {theirs:?}\n");
            ours == theirs
        });
        if !same {
            wrong.push(last);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn containers_are_found_by_their_ports() {
    let d = Daemon::start();
    d.ok(["run", "-d", "--name", "web", "-p", "8123:80", "busybox", "sleep", "1000"]);
    d.ok(["run", "-d", "--name", "other", "busybox", "sleep", "1000"]);
    let names = |filter: &str| d.ok(["ps", "-f", filter, "--format", "{{.Names}}"]);
    assert_eq!(names("publish=8123"), "web");
    assert_eq!(names("publish=8000-8200/tcp"), "web");
    assert_eq!(names("publish=80"), "");
    assert_eq!(names("expose=80/tcp"), "web");
    assert_eq!(names("expose=80/udp"), "");
    let wrong = d.cli(["ps", "-f", "publish=x"]).output();
    assert_eq!(wrong.stderr, "Error response from daemon: invalid filter 'publish=x'\n");
    d.ok(["rm", "-f", "web", "other"]);
    d.assert_nothing_left_behind();
}

#[test]
fn empty_names_are_told_from_unknown_ones() {
    let d = Daemon::start();
    for (args, family) in [
        (&["start", ""][..], "container"),
        (&["stop", ""], "container"),
        (&["logs", ""], "container"),
        (&["wait", ""], "container"),
        (&["exec", "", "true"], "container"),
        (&["rmi", ""], "image"),
        (&["network", "rm", ""], "network"),
    ] {
        let out = d.cli(args).output();
        let text = format!("invalid {family} name or ID: value is empty\n");
        assert!(out.code == 1 && out.stderr.starts_with(&text), "{args:?}: {}", out.stderr);
    }
    assert_eq!(d.cli(["inspect", ""]).output().stdout, "[]\n");
    assert_eq!(d.ok(["images", "-q"]).lines().count(), 1);
}
