//! The JSON of answers, byte for byte, ids and times masked: section 5 and the tables of 8.

use serde_json::json;

use super::{Old, host_with_server, shell};
use crate::harness::Daemon;

/// Masks what differs from run to run.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c| !is_hex(c)).unwrap_or(rest.len());
        if matches!(run, 12 | 64) && !out.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            out.push_str(if run == 12 { "SHORT" } else { "FULL" });
            rest = &rest[run..];
        } else if run > 0 {
            out.push_str(&rest[..run]);
            rest = &rest[run..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The text with the values of these keys, strings or numbers, masked.
fn without(text: &str, keys: &[&str]) -> String {
    let mut text = masked(text);
    for key in keys {
        let mark = format!("\"{key}\":");
        let mut from = 0;
        while let Some(at) = text[from..].find(&mark) {
            let begin = from + at + mark.len();
            let end = begin + value_length(&text[begin..]);
            text.replace_range(begin..end, "*");
            from = begin;
        }
    }
    text
}

fn value_length(text: &str) -> usize {
    match text.strip_prefix('"') {
        Some(rest) => rest.find('"').unwrap() + 2,
        None => text.find([',', '}']).unwrap(),
    }
}

const CONFIG: &str = r#"{"Hostname":"SHORT","Domainname":"","User":"","Memory":0,"MemorySwap":0,"CpuShares":0,"AttachStdin":false,"AttachStdout":true,"AttachStderr":false,"PortSpecs":null,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":["sh","-c","echo \"\u003chi\u003e\""],"Dns":null,"Image":"busybox","Volumes":null,"VolumesFrom":"","WorkingDir":"","Entrypoint":null,"NetworkDisabled":false,"Privileged":false}"#;

#[test]
fn containers_have_their_fields_in_order() {
    let d = host_with_server("192.0.2.53");
    let old = Old::new(&d);
    let mut config = shell("echo \"<hi>\"");
    config["AttachStdout"] = json!(true);
    let made = old.post("/containers/create", "application/json", &config.to_string());
    let text = made.text();
    // Unless the machine gives reason for a warning.
    let whole = r#"{"Id":"SHORT"}"#;
    let warned = r#"{"Id":"SHORT","Warnings":[""#;
    assert!(masked(&text) == whole || masked(&text).starts_with(warned), "{text}");
    assert_eq!(made.header("content-type"), Some("application/json"));
    let id = made.json()["Id"].as_str().unwrap().to_owned();

    let shown = |version| old.at(version).get(&format!("/containers/{id}/json")).text();
    let run = d.run_root().display().to_string();
    let expected = |state: &str, volumes: &str| {
        format!(
            "{{\"ID\":\"FULL\",\"Created\":*,\"Path\":\"sh\",\"Args\":[\"-c\",\"echo \
             \\\"\\u003chi\\u003e\\\"\"],\"Config\":{CONFIG},\"State\":{state},\"Image\":\"FULL\",\
             \"NetworkSettings\":{{\"IPAddress\":\"\",\"IPPrefixLen\":0,\"Gateway\":\"\",\
             \"Bridge\":\"\",\"PortMapping\":null}},\"SysInitPath\":*,\
             \"ResolvConfPath\":\"{run}/FULL/resolv.conf\",\"HostnamePath\":\"{run}/FULL/hostname\",\
             \"HostsPath\":\"{run}/FULL/hosts\",\"Volumes\":{volumes},\"VolumesRW\":{volumes}}}"
        )
    };
    let keys = ["Created", "SysInitPath"];
    let never = "0001-01-01T00:00:00Z";
    let state = format!(
        "{{\"Running\":false,\"Pid\":0,\"ExitCode\":0,\"StartedAt\":\"{never}\",\
         \"FinishedAt\":\"{never}\",\"Ghost\":false}}"
    );
    for version in super::VERSIONS {
        assert_eq!(without(&shown(version), &keys), expected(&state, "null"), "{version}");
    }
    old.start(&id);
    old.wait(&id);
    let state = "{\"Running\":false,\"Pid\":0,\"ExitCode\":0,\"StartedAt\":*,\
                 \"FinishedAt\":*,\"Ghost\":false}";
    let keys = ["Created", "SysInitPath", "StartedAt", "FinishedAt"];
    assert_eq!(without(&shown("1.6"), &keys), expected(state, "{}"));

    for version in super::VERSIONS {
        let list = old.at(version).get("/containers/json?all=1").text();
        let ports = if version < "1.5" { "\"\"" } else { "null" };
        assert_eq!(
            without(&list, &["Created"]),
            format!(
                "[{{\"Id\":\"FULL\",\"Image\":\"busybox:latest\",\"Command\":\"sh -c echo \
                 \\\"\\u003chi\\u003e\\\"\",\"Created\":*,\"Status\":\"Exit 0\",\"Ports\":{ports},\
                 \"SizeRw\":0,\"SizeRootFs\":0}}]"
            )
        );
    }
    assert_eq!(old.ask("POST", &format!("/containers/{id}/wait")).text(), "{\"StatusCode\":0}");
}

#[test]
fn images_have_their_fields_in_order() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let path = "/images/create?fromSrc=-&repo=own&changes=CMD%20%5B%22x%22%5D";
    let made = d.send("POST", path, "application/x-tar", crate::harness::busybox_tar());
    assert_eq!(made.status, 200, "{}", made.text());
    let own = old.get("/images/own/json").expect(200);
    assert_eq!((&own["config"]["Cmd"], &own["config"]["Image"]), (&json!(["x"]), &json!("")));
    assert!(old.get("/images/own/json").text().contains(",\"config\":{\"Hostname\":\"\","));
    assert_eq!(old.ask("DELETE", "/images/own").status, 200);
    let keys = ["Created", "Size", "VirtualSize", "created", "architecture"];
    for version in super::VERSIONS {
        let old = old.at(version);
        assert_eq!(
            without(&old.get("/images/json").text(), &keys),
            "[{\"Repository\":\"busybox\",\"Tag\":\"latest\",\"Id\":\"FULL\",\"Created\":*,\
             \"Size\":*,\"VirtualSize\":*}]"
        );
        assert_eq!(
            without(&old.get("/images/busybox/history").text(), &keys),
            "[{\"Id\":\"SHORT\",\"Tags\":[\"busybox:latest\"],\"Created\":*}]"
        );
        let config = CONFIG
            .replace("SHORT", "")
            .replace(r#"["sh","-c","echo \"\u003chi\u003e\""]"#, "null")
            .replace("\"AttachStdout\":true", "\"AttachStdout\":false")
            .replace("\"Image\":\"busybox\"", "\"Image\":\"\"");
        assert_eq!(
            without(&old.get("/images/busybox/json").text(), &keys),
            format!(
                "{{\"id\":\"FULL\",\"comment\":\"Imported from -\",\"created\":*,\
                 \"container_config\":{config},\"architecture\":*,\"Size\":*}}"
            )
        );
    }
}
