//! Networks that users make: who is on them, and by what names.

use serde_json::json;

use super::{HOST, OUTSIDE, Outside, SHORT};
use super::{address_of, connect, idle, ip, listen, on, pid_of, run_in, talk, veths};
use crate::harness::{Daemon, Setup, processes_of, wait_until};

/// What `name` means inside of a container: an address, or nothing.
fn look_up(d: &Daemon, container: &str, name: &str) -> String {
    let out = d.cli(["exec", container, "ping", "-c1", "-W5", name]).output();
    let text = out.stdout.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
    if out.code == 0 { text } else { String::new() }
}

#[test]
fn containers_of_a_network_know_each_other_by_name() {
    let d = Daemon::start();
    let id = d.ok(["network", "create", "--label", "a=b", "mine"]);
    assert_eq!(id.len(), 64);
    d.ok(["network", "create", "--subnet", "10.77.0.0/24", "other"]);
    let names = d.ok(["network", "ls", "--format", "{{.Name}} {{.Driver}}"]);
    assert_eq!(names, "bridge bridge\nhost host\nmine bridge\nnone null\nother bridge");
    // Ours are as old as the installation.
    let made = d.ok(["network", "inspect", "-f", "{{.Created}}", "bridge", "host", "none"]);
    assert!(made.lines().all(|time| time > "2024"), "{made}");
    let out = d.cli(["network", "create", "mine"]).output();
    assert!(out.stderr.contains("network with name mine already exists"), "{}", out.stderr);
    let out = d.cli(["network", "create", "bridge"]).output();
    assert!(out.stderr.contains("operation is not permitted on predefined"), "{}", out.stderr);
    let out = d.cli(["network", "create", "--subnet", "10.77.0.128/25", "third"]).output();
    assert!(out.stderr.contains("Pool overlaps"), "{}", out.stderr);

    idle(&d, "web", &["--network", "mine"]);
    idle(&d, "db", &["--network", "mine", "--network-alias", "store"]);
    idle(&d, "far", &["--network", "other", "--ip", "10.77.0.9"]);
    assert_eq!(on(&d, "web", "mine"), "172.18.0.2");
    assert_eq!(on(&d, "far", "other"), "10.77.0.9");
    let db = on(&d, "db", "mine");
    for name in ["db", "store", d.inspect("db")["Config"]["Hostname"].as_str().unwrap()] {
        assert_eq!(look_up(&d, "web", name), db, "{name}");
    }
    assert_eq!(look_up(&d, "db", "web"), on(&d, "web", "mine"));
    assert_eq!(look_up(&d, "far", "db"), "");
    // Networks are apart.
    let server = listen(pid_of(&d, "db"), "0.0.0.0:80");
    talk(pid_of(&d, "web"), &format!("{db}:80"), &server);
    assert!(connect(pid_of(&d, "far"), &format!("{db}:80"), SHORT).is_none());
    drop(server);

    let shown = d.api("GET", "/networks/mine").expect(200);
    assert_eq!(shown["Id"], id.as_str());
    assert_eq!(shown["IPAM"]["Config"][0]["Subnet"], "172.18.0.0/16");
    assert_eq!(shown["Containers"].as_object().unwrap().len(), 2);
    assert_eq!(shown["Labels"]["a"], "b");
    assert_eq!(d.api("GET", "/networks/nothing").status, 404);

    // Names go with their containers, and come back with them.
    d.ok(["rename", "db", "base"]);
    assert_eq!(look_up(&d, "web", "base"), db);
    d.ok(["stop", "-t", "0", "base"]);
    assert_eq!(look_up(&d, "web", "store"), "");
    d.ok(["start", "base"]);
    assert_eq!(look_up(&d, "web", "store"), on(&d, "base", "mine"));

    let out = d.cli(["network", "rm", "mine"]).output();
    assert!(out.stderr.contains("has active endpoints"), "{}", out.stderr);
    d.ok(["rm", "-f", "web", "base", "far"]);
    assert_eq!(d.ok(["network", "rm", "mine"]), "mine");
    assert_eq!(d.ok(["network", "prune", "-f"]), "Deleted Networks:\nother");
    assert_eq!(ip(d.keeper_pid(), &["-o", "link", "show", "type", "bridge"]).lines().count(), 1);
    d.assert_nothing_left_behind();
}

#[test]
fn containers_are_put_on_networks_and_taken_off() {
    let d = Daemon::start();
    d.ok(["network", "create", "one"]);
    d.ok(["network", "create", "two"]);
    let pid = idle(&d, "web", &["--network", "one"]);
    idle(&d, "peer", &["--network", "two"]);
    assert_eq!(look_up(&d, "web", "peer"), "");
    d.ok(["network", "connect", "--alias", "www", "two", "web"]);
    assert_eq!(look_up(&d, "web", "peer"), on(&d, "peer", "two"));
    assert_eq!(look_up(&d, "peer", "www"), on(&d, "web", "two"));
    assert!(ip(pid, &["-o", "-4", "address", "show", "eth1"]).contains(&on(&d, "web", "two")));
    assert_eq!(ip(pid, &["route", "show", "default"]).trim(), "default via 172.18.0.1 dev eth0");
    let out = d.cli(["network", "connect", "two", "web"]).output();
    assert!(out.stderr.contains("already exists in network two"), "{}", out.stderr);

    // After a restart of both, it is where it was put.
    d.ok(["restart", "-t", "0", "web"]);
    assert_eq!(look_up(&d, "peer", "www"), on(&d, "web", "two"));
    d.ok(["network", "disconnect", "one", "web"]);
    assert_eq!(on(&d, "web", "one"), "");
    assert_eq!(look_up(&d, "web", "peer"), on(&d, "peer", "two"));
    d.ok(["network", "disconnect", "two", "web"]);
    assert_eq!(d.ok(["exec", "web", "ls", "/sys/class/net"]), "lo");
    let out = d.cli(["network", "disconnect", "two", "web"]).output();
    assert!(out.stderr.contains("is not connected to network two"), "{}", out.stderr);
    d.ok(["network", "connect", "one", "web"]);
    assert_eq!(d.ok(["exec", "web", "ls", "/sys/class/net"]), "eth0\nlo");
    d.ok(["rm", "-f", "web", "peer"]);
    wait_until("no interface is left", || veths(&d).is_empty());

    // Several from the beginning.
    idle(&d, "both", &["--network", "name=two,alias=twin", "--network", "one", "-p", "8080:80"]);
    assert!(!on(&d, "both", "one").is_empty() && !on(&d, "both", "two").is_empty());
    talk(d.keeper_pid(), "127.0.0.1:8080", &listen(pid_of(&d, "both"), "0.0.0.0:80"));
    let host = ["run", "-d", "--name", "hosted", "--net", "host", "busybox", "sleep", "1000"];
    d.ok(host);
    let out = d.cli(["network", "connect", "one", "hosted"]).output();
    assert!(out.stderr.contains("cannot be connected"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}

#[test]
fn networks_and_names_outlive_the_daemon() {
    let mut d = Daemon::start();
    let outside = Outside::of(&d);
    d.ok(["network", "create", "mine"]);
    let web = idle(&d, "web", &["--network", "mine", "-p", "8080:80"]);
    idle(&d, "db", &["--network", "mine"]);
    d.ok(["network", "create", "second"]);
    d.ok(["network", "connect", "second", "web"]);
    let (first, second) = (on(&d, "web", "mine"), on(&d, "web", "second"));
    d.kill9();
    assert!(run_in(web, "cat", &["/proc/net/dev"]).contains("eth1"));
    d.restart();
    assert_eq!((on(&d, "web", "mine"), on(&d, "web", "second")), (first, second));
    assert_eq!(look_up(&d, "web", "db"), on(&d, "db", "mine"));
    talk(outside.pid(), &format!("{HOST}:8080"), &listen(web, "0.0.0.0:80"));
    let server = listen(outside.pid(), "0.0.0.0:7000");
    assert_eq!(talk(web, &format!("{OUTSIDE}:7000"), &server).to_string(), HOST);
    idle(&d, "new", &["--network", "mine"]);
    assert_eq!(look_up(&d, "new", "web"), on(&d, "web", "mine"));
    // A bridge that is missing after a boot is made again.
    d.ok(["rm", "-f", "web", "db", "new"]);
    let id = d.ok(["network", "inspect", "-f", "{{.Id}}", "mine"]);
    let bridge = format!("br-{}", &id[..12]);
    d.kill9();
    ip(d.keeper_pid(), &["link", "delete", &bridge]);
    d.restart();
    idle(&d, "again", &["--network", "mine"]);
    assert_eq!(on(&d, "again", "mine"), "172.18.0.2");
    d.assert_nothing_left_behind();
}

#[test]
fn nothing_leads_out_of_an_internal_network() {
    let d = Daemon::start();
    let outside = Outside::of(&d);
    d.ok(["network", "create", "--internal", "inner"]);
    let (one, two) =
        (idle(&d, "one", &["--network", "inner"]), idle(&d, "two", &["--net", "inner"]));
    assert_eq!(ip(one, &["route", "show", "default"]), "");
    talk(one, &format!("{}:80", on(&d, "two", "inner")), &listen(two, "0.0.0.0:80"));
    let _server = listen(outside.pid(), "0.0.0.0:7000");
    // Not even by who knows a way.
    ip(one, &["route", "add", "default", "via", "172.18.0.1"]);
    assert!(connect(one, &format!("{OUTSIDE}:7000"), SHORT).is_none());
    ip(outside.pid(), &["route", "add", "172.18.0.0/16", "via", HOST]);
    let inner = listen(two, "0.0.0.0:80");
    assert!(connect(outside.pid(), &format!("{}:80", on(&d, "two", "inner")), SHORT).is_none());
    drop(inner);
    d.assert_nothing_left_behind();
}

#[test]
fn links_are_names_on_the_default_network() {
    let d = Daemon::start();
    idle(&d, "db", &[]);
    idle(&d, "web", &["--link", "db:store"]);
    assert_eq!(look_up(&d, "web", "store"), address_of(&d, "db"));
    d.ok(["restart", "-t", "0", "db"]);
    assert_eq!(look_up(&d, "web", "store"), address_of(&d, "db"));
    assert_eq!(look_up(&d, "db", "web"), "");
    d.assert_nothing_left_behind();
}

#[test]
fn a_link_to_a_container_that_does_not_run_is_refused() {
    let mut d = Daemon::start();
    // Made in an order in which the names alone would start the wrong one first.
    idle(&d, "zz", &["--restart", "always"]);
    idle(&d, "yy", &["--restart", "always", "--link", "zz:deep"]);
    d.ok(["create", "--name", "aa", "--link", "yy:x/store", "busybox", "true"]);
    d.ok(["stop", "-t", "0", "yy"]);
    let out = d.cli(["start", "aa"]).output();
    assert_eq!(out.code, 1);
    let text = "Cannot link to a non running container: /yy AS /aa/store";
    assert!(out.stderr.contains(text), "{}", out.stderr);
    assert_eq!(d.status("aa"), "created");
    assert_eq!(d.post("/containers/aa/start", &json!({})).status, 500);
    d.ok(["start", "yy"]);
    d.ok(["start", "aa"]);
    // After a power cut all start, whom others need first.
    let pids = ["zz", "yy"].map(|name| pid_of(&d, name));
    d.kill9();
    for pid in pids {
        crate::harness::send_signal(pid, libc::SIGKILL);
    }
    wait_until("nothing runs any more", || processes_of(&d).is_empty());
    d.restart();
    for name in ["zz", "yy"] {
        d.wait_status(name, "running");
    }
    assert!(!d.log().contains("non running container: /zz"), "{}", d.log());
    assert_eq!(look_up(&d, "yy", "deep"), address_of(&d, "zz"));
    // What was removed takes the link with it.
    d.ok(["rm", "-f", "zz"]);
    d.ok(["restart", "-t", "0", "yy"]);
    d.assert_nothing_left_behind();
}

#[test]
fn what_compose_asks_for() {
    let d = Setup::new().start();
    let made = json!({"Name": "proj_default", "Driver": null, "Options": null, "IPAM": null,
        "CheckDuplicate": true, "Internal": false, "EnableIPv6": false, "Attachable": true,
        "Labels": {"com.docker.compose.network": "default"}});
    d.post("/networks/create", &made).expect(201);
    let body = json!({"Image": "busybox", "Cmd": ["sleep", "1000"],
        "HostConfig": {"NetworkMode": "proj_default", "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
        "NetworkingConfig": {"EndpointsConfig": {"proj_default": {"Aliases": ["web"], "IPAMConfig": {}}}}});
    let reply = d.post("/containers/create?name=proj_web_1", &body).expect(201);
    let id = reply["Id"].as_str().unwrap().to_owned();
    // Of old, it takes the container off and puts it on again with its aliases.
    let reply = d.post("/networks/proj_default/disconnect", &json!({"Container": id}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let asked = json!({"Container": id, "EndpointConfig":
        {"Aliases": ["web", "proj"], "IPAMConfig": {}, "Links": []}});
    let reply = d.post("/networks/proj_default/connect", &asked);
    assert_eq!(reply.status, 200, "{}", reply.text());
    d.ok(["start", "proj_web_1"]);
    idle(&d, "peer", &["--network", "proj_default"]);
    assert_eq!(look_up(&d, "peer", "proj"), on(&d, "proj_web_1", "proj_default"));
    assert_eq!(d.ok(["port", "proj_web_1"]), "80/tcp -> 0.0.0.0:8080");
    d.assert_nothing_left_behind();
}
