//! Room and how it is given back: container prune, system df.

use serde_json::{Value, json};

use crate::harness::{Daemon, Tar, wait_until};

#[test]
fn prune_removes_what_is_stopped() {
    let d = Daemon::start();
    d.ok(["run", "-d", "--name", "up", "busybox", "sleep", "1000"]);
    d.ok(["run", "-d", "--name", "ice", "busybox", "sleep", "1000"]);
    d.ok(["pause", "ice"]);
    let down = d.ok(["run", "--name", "down", "busybox", "sh", "-c", "echo 12345 >/file"]);
    assert_eq!(down, "");
    let new = d.ok(["create", "--name", "new", "busybox", "true"]);
    let down = d.inspect("down")["Id"].as_str().unwrap().to_owned();

    let out = d.cli(["container", "prune"]).stdin("n\n").output();
    assert_eq!((out.code, d.ok(["ps", "-aq"]).lines().count()), (1, 4));
    assert!(out.stdout.starts_with("WARNING! This will remove all stopped containers.\n"));

    let out = d.cli(["container", "prune"]).stdin("y\n").output().ok();
    let (asked, done) = out.split_once("[y/N] ").unwrap();
    assert!(asked.ends_with("Are you sure you want to continue? "));
    let mut lines: Vec<&str> = done.lines().collect();
    lines[1..3].sort_unstable();
    let mut ids = [down.as_str(), new.as_str()];
    ids.sort_unstable();
    let expected = ["Deleted Containers:", ids[0], ids[1], "", "Total reclaimed space: 6B"];
    assert_eq!(lines, expected);
    assert_eq!(d.ok(["ps", "-a", "--format", "{{.Names}}"]), "ice\nup");
    assert_eq!(d.ok(["container", "prune", "-f"]), "Total reclaimed space: 0B");
    d.assert_nothing_left_behind();
}

#[test]
fn prune_takes_filters() {
    let d = Daemon::start();
    for (name, label) in [("aa", "a=1"), ("ab", "a=2"), ("bb", "b")] {
        d.ok(["create", "--name", name, "-l", label, "-l", "all", "busybox", "true"]);
    }
    let left = |filters: &[&str]| {
        let args = filters.iter().flat_map(|filter| ["--filter", filter]);
        d.ok(["container", "prune", "-f"].into_iter().chain(args));
        d.ok(["ps", "-a", "--format", "{{.Names}}"]).lines().rev().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(left(&["until=1h"]), "aa ab bb");
    assert_eq!(left(&["label=a=1", "label=b"]), "aa ab bb", "both are asked for");
    assert_eq!(left(&["label=a=1", "label=all"]), "ab bb");
    assert_eq!(left(&["label!=b"]), "bb");
    assert_eq!(left(&["label=b", "until=0s"]), "");
    let out = d.cli(["container", "prune", "-f", "--filter", "name=x"]).output();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("invalid filter 'name'"), "{}", out.stderr);
    let out = d.cli(["container", "prune", "-f", "--filter", "until=soon"]).output();
    assert!(out.stderr.contains("invalid filter 'until=soon'"), "{}", out.stderr);
    let reply = d.post("/v1.41/containers/prune", &json!({})).expect(200);
    assert_eq!(reply, json!({"ContainersDeleted": null, "SpaceReclaimed": 0}));
    let events = d.ok(["events", "--since", "1h", "--until", "0s", "-f", "event=prune"]);
    assert_eq!(events.lines().count(), 6, "{events}");
    assert!(events.ends_with("container prune  (reclaimed=0)"), "{events}");
}

#[test]
fn system_df_counts_what_is_taken() {
    let d = Daemon::start();
    let small = Tar::new().file("data", 0o644, &[7; 5000]).bytes();
    d.import("small", &small);
    d.ok(["run", "-d", "--name", "up", "busybox", "sh", "-c", "echo 123 >/f; exec sleep 1000"]);
    d.ok(["run", "--name", "down", "busybox", "sh", "-c", "echo 1234567 >/f"]);
    wait_until("it has written", || {
        d.inspect("up").is_object() && {
            let df = d.api("GET", "/system/df").expect(200);
            df["Containers"].as_array().unwrap().iter().all(|c| c["SizeRw"].as_u64() > Some(0))
        }
    });
    let df = d.api("GET", "/system/df").expect(200);
    let images = df["Images"].as_array().unwrap();
    let of = |name: &str| {
        let tag = json!([format!("{name}:latest")]);
        images.iter().find(|image| image["RepoTags"] == tag).unwrap()
    };
    assert_eq!((&of("busybox")["Containers"], &of("small")["Containers"]), (&json!(2), &json!(0)));
    assert_eq!((&of("small")["Size"], &of("small")["SharedSize"]), (&json!(5000), &json!(0)));
    let busybox = of("busybox")["Size"].as_u64().unwrap();
    assert_eq!(df["LayersSize"].as_u64(), Some(busybox + 5000));
    assert_eq!((&df["Volumes"], &df["BuildCache"]), (&json!([]), &json!([])));
    assert_eq!(df.get("BuilderSize"), None);
    assert_eq!(d.api("GET", "/v1.41/system/df").expect(200)["BuilderSize"], 0);

    let table = d.ok(["system", "df"]);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    assert_eq!(rows[1][..3], ["Images", "2", "1"]);
    assert_eq!(rows[1][4], "5kB (0%)");
    assert_eq!(rows[2], ["Containers", "2", "1", "12B", "8B (66%)"]);
    assert_eq!(rows[3], ["Local Volumes", "0", "0", "0B", "0B"]);
    let lines = d.ok(["system", "df", "--format", "{{.Type}} {{.TotalCount}}"]);
    assert_eq!(lines, "Images 2\nContainers 2\nLocal Volumes 0\nBuild Cache 0");
    let first = d.ok(["system", "df", "--format", "json"]);
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!((&first["Type"], &first["Active"]), (&json!("Images"), &json!("1")));

    let each = d.ok(["system", "df", "-v"]);
    for part in [
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
        "Build cache usage: 0B",
    ] {
        assert!(each.contains(part), "{each}");
    }
    let line = each.lines().find(|line| line.starts_with("small ")).unwrap();
    assert!(line.ends_with("5kB       0B            5kB           0"), "{line}");
    let line = each.lines().find(|line| line.ends_with(" down")).unwrap();
    assert!(line.contains("   8B   "), "{line}");
    assert_eq!(d.cli(["system", "df", "-v", "--format", "json"]).output().code, 1);
    d.assert_nothing_left_behind();
}

#[test]
fn system_df_shows_the_kinds_that_are_asked_for() {
    let d = Daemon::start();
    let df = d.api("GET", "/v1.44/system/df?type=container&type=volume").expect(200);
    assert_eq!((&df["Images"], &df["Containers"]), (&Value::Null, &json!([])));
    assert_eq!((&df["Volumes"], &df["BuildCache"]), (&json!([]), &Value::Null));
    let df = d.api("GET", "/v1.41/system/df?type=container").expect(200);
    assert_eq!(df["Images"].as_array().unwrap().len(), 1);
    let reply = d.api("GET", "/system/df?type=rubbish");
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("unknown object type: rubbish"), "{}", reply.text());
}
