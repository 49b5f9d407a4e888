//! Output of commands, byte for byte but for ids, ages and sizes; `UPDATE_GOLDEN=1` rewrites it.

use std::fs;
use std::path::PathBuf;

use crate::harness::Daemon;

/// One command and all that it says, masked.
fn shown(d: &Daemon, args: &[&str]) -> String {
    let out = d.cli(args).output();
    let mut text = format!("$ skiff {}\n", args.join(" "));
    text.push_str(&masked(&out.stdout.replace(&d.host(), "unix://SOCKET")));
    for line in masked(&out.stderr.replace(&d.host(), "unix://SOCKET")).lines() {
        text.push_str(&format!("stderr: {line}\n"));
    }
    if out.code != 0 {
        text.push_str(&format!("exit code {}\n", out.code));
    }
    text.push('\n');
    text
}

/// Ids, ages and sizes become words; cells of tables are parted by one `|`.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        // Only what comes after a word makes a cell: an indented line keeps its look.
        let cells: Vec<String> = body
            .split("  ")
            .map(str::trim)
            .enumerate()
            .filter(|(i, cell)| *i == 0 || !cell.is_empty())
            .map(|(_, cell)| masked_cell(cell))
            .collect();
        out.push_str(indent);
        out.push_str(&cells.join(" | "));
        out.push('\n');
    }
    out
}

fn masked_cell(cell: &str) -> String {
    if cell.ends_with(" ago") && !cell.contains('(') {
        return "AGE".to_owned();
    }
    if let Some(code) = cell.strip_prefix("Exited (") {
        return format!("Exited ({} AGE", code.split_once(' ').map_or(code, |(code, _)| code));
    }
    if cell.starts_with("Up ") {
        return "Up AGE".to_owned();
    }
    let words: Vec<String> = cell.split(' ').map(masked_word).collect();
    words.join(" ")
}

fn masked_word(word: &str) -> String {
    let hex = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let bare = bare.strip_prefix("sha256:").unwrap_or(bare);
    if matches!(bare.len(), 12 | 64) && hex(bare) {
        return word.replace(bare, if bare.len() == 12 { "ID" } else { "LONG-ID" });
    }
    let (word, end) = match word.strip_suffix(')') {
        Some(word) => (word, ")"),
        None => (word, ""),
    };
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &word[digits.len()..];
    if !digits.is_empty()
        && digits.parse::<f64>().is_ok()
        && matches!(unit, "B" | "kB" | "MB" | "GB")
    {
        return format!("SIZE{end}");
    }
    format!("{word}{end}")
}

#[track_caller]
fn check(name: &str, shown: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, shown).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(shown.lines()).position(|(a, b)| a != b);
    let at = differs.unwrap_or_else(|| expected.lines().count().min(shown.lines().count()));
    let line = |text: &str| text.lines().nth(at).unwrap_or("(end)").to_owned();
    assert!(
        expected == shown,
        "{}:{}: {:?} instead of {:?}; UPDATE_GOLDEN=1 rewrites it",
        path.display(),
        at + 1,
        line(shown),
        line(&expected)
    );
}

#[test]
fn help_of_every_command() {
    let d = Daemon::start();
    let commands = [
        "attach", "create", "history", "images", "import", "info", "inspect", "kill", "logs", "ps",
        "rename", "restart", "rm", "rmi", "run", "start", "stop", "tag", "top", "version", "wait",
        "events", "daemon", "exec", "update", "stats",
    ];
    let mut text = shown(&d, &["--help"]);
    for command in commands {
        text.push_str(&shown(&d, &[command, "--help"]));
    }
    for (group, command) in [("system", "df"), ("container", "prune")] {
        text.push_str(&shown(&d, &[group, command, "--help"]));
    }
    check("help.txt", &text);
}

#[test]
fn mistakes() {
    let d = Daemon::start();
    d.ok(["run", "-d", "--name", "up", "busybox", "sleep", "1000"]);
    let cases: &[&[&str]] = &[
        &["nonsense"],
        &["ps", "--nonsense"],
        &["ps", "-x"],
        &["ps", "extra"],
        &["run"],
        &["run", "-m"],
        &["run", "-m", "abc", "busybox"],
        &["run", "--nonsense", "busybox"],
        &["run", "nothing-of-the-kind", "true"],
        &["run", "-a", "nowhere", "busybox", "true"],
        &["run", "-d", "-a", "stdout", "busybox", "true"],
        &["run", "--rm", "busybox", "nothing-here"],
        &["run", "--rm", "-p", "80:x", "busybox", "true"],
        &["run", "--rm", "--network", "mine", "busybox", "true"],
        &["start"],
        &["start", "missing"],
        &["stop", "missing"],
        &["kill", "missing"],
        &["kill", "-s", "NONSENSE", "up"],
        &["rm", "up"],
        &["rm", "missing"],
        &["rename", "missing", "x"],
        &["rename", "up", "up"],
        &["rename", "up", "a b"],
        &["wait", "missing"],
        &["logs", "missing"],
        &["logs", "--since", "nonsense", "up"],
        &["attach", "missing"],
        &["top", "missing"],
        &["exec", "up"],
        &["exec", "missing", "true"],
        &["exec", "up", "nothing-here"],
        &["inspect", "missing"],
        &["inspect", "--type", "container", "missing"],
        &["inspect", "--type", "nonsense", "missing"],
        &["inspect", "-f", "{{.Nonsense}}", "up"],
        &["inspect", "-f", "{{", "up"],
        &["ps", "-f", "nonsense"],
        &["ps", "-f", "nonsense=x"],
        &["ps", "--format", "{{"],
        &["tag", "missing", "x"],
        &["tag", "busybox", "Not Good"],
        &["rmi", "missing"],
        &["rmi", "busybox"],
        &["history", "missing"],
        &["import"],
        &["import", "/no/such/file"],
        &["create", "--name", "up", "busybox"],
        &["create", "--name", "!", "busybox"],
    ];
    let text: String = cases.iter().map(|args| shown(&d, args)).collect();
    check("mistakes.txt", &text);
}

#[test]
fn tables() {
    let d = Daemon::start();
    d.ok([
        "run",
        "-d",
        "--name",
        "up",
        "busybox",
        "sh",
        "-c",
        "sleep 1000; echo a long command line",
    ]);
    d.cli(["run", "--name", "down", "busybox", "sh", "-c", "exit 3"]).output();
    d.ok(["create", "--name", "fresh", "-l", "a=b", "busybox"].into_iter().chain(["true"]));
    d.ok(["tag", "busybox", "other:v1"]);
    let cases: &[&[&str]] = &[
        &["ps"],
        &["ps", "-a"],
        &["ps", "-aq"],
        &["ps", "-a", "--no-trunc"],
        &["ps", "-as"],
        &["ps", "-a", "--format", "table {{.Names}}\\t{{.Command}}\\t{{.Labels}}"],
        &["images"],
        &["images", "-q"],
        &["images", "--no-trunc", "other"],
        &["images", "--digests"],
        &["history", "busybox"],
        &["stop", "-t", "0", "up"],
        &["rm", "down", "fresh"],
        &["rmi", "other:v1"],
    ];
    let text: String = cases.iter().map(|args| shown(&d, args)).collect();
    check("tables.txt", &text);
}

#[test]
fn networks() {
    let d = Daemon::start();
    d.ok(["network", "create", "one"]);
    let two = ["--internal", "--label", "a=b", "--label", "c", "--subnet", "172.30.0.0/24"];
    d.ok(["network", "create"].iter().chain(&two).chain(&["two"]));
    let cases: &[&[&str]] = &[
        &["ls"],
        &["ls", "-q"],
        &["ls", "--no-trunc"],
        &["ls", "-q", "--no-trunc"],
        &["ls", "-f", "driver=bridge", "-f", "type=custom"],
        &["ls", "-f", "label=a=b", "-q"],
        &["ls", "-f", "dangling=true"],
        &["ls", "-f", "id=zz"],
        &["ls", "-f", "foo=bar"],
        &["ls", "-f", "type=x"],
        &["ls", "-f", "dangling=x"],
        &["ls", "--format", "json"],
        &["ls", "--format", "raw"],
        &["ls", "-q", "--format", "raw"],
        &[
            "ls",
            "--format",
            "table {{.Name}}\\t{{.Labels}}\\t{{.Internal}}\\t{{.IPv4}}\\t{{.IPv6}}",
        ],
        &["ls", "--format", "{{.Name}} {{.Label \"a\"}}"],
        &["ls", "extra"],
        &["inspect", "two"],
        &[
            "inspect",
            "-v",
            "-f",
            "{{.Name}} {{.IPAM.Config}} {{.Labels}} {{.Containers}}",
            "two",
            "one",
        ],
        &["inspect", "-f", "json", "none"],
        &["inspect", "one", "missing"],
        &["inspect"],
        &["create", "one"],
        &["create", "bridge"],
        &["create", "--subnet", "1.2.3.4", "x"],
        &["create", "--subnet", "172.30.0.0/25", "x"],
        &["create", "--gateway", "1.1.1.1", "x"],
        &["create", "-d", "nonsense", "x"],
        &["connect", "one"],
        &["connect", "missing", "missing"],
        &["rm"],
        &["rm", "missing", "bridge"],
        &["rm", "-f", "missing"],
        &["prune", "-f", "--filter", "label=a"],
        &["prune", "-f", "--filter", "label!=x"],
        &["prune", "-f", "--filter", "foo=bar"],
        &["prune", "-f"],
    ];
    let all = d.api("GET", "/networks").expect(200);
    let mut text = String::new();
    for args in cases {
        let mut whole = vec!["network"];
        whole.extend(*args);
        text.push_str(&shown(&d, &whole));
    }
    for network in all.as_array().unwrap() {
        let (id, created) = (network["Id"].as_str().unwrap(), network["Created"].as_str().unwrap());
        let apart = created.trim_end_matches('Z').replace('T', " ");
        let (whole, fraction) = apart.split_once('.').unwrap_or((&apart, ""));
        let short = format!("{whole}.{}", fraction.trim_end_matches('0'));
        text = text.replace(id, "LONG-ID").replace(&id[..12], "ID").replace(created, "TIME");
        text = text.replace(short.trim_end_matches('.'), "TIME");
    }
    check("networks.txt", &text);
}

#[test]
fn without_a_daemon() {
    let mut d = Daemon::start();
    d.terminate();
    let text =
        [&["ps"][..], &["run", "busybox"], &["version"]].map(|args| shown(&d, args)).concat();
    check("no-daemon.txt", &text);
    d.restart();
}
