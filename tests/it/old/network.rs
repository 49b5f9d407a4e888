//! Addresses and ports: sections 8.1 to 8.3, and `PortSpecs`.

use serde_json::{Value, json};

use super::{Old, assert_exactly, host_with_server};
use crate::harness::{Daemon, in_netns};

#[test]
fn ports_are_published_and_shown_in_the_words_of_each_version() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let config = json!({"Image": "busybox", "Cmd": ["sleep", "1000"],
                        "PortSpecs": ["8080:80", "53:53/udp", "81"]});
    let id = old.create(&config);
    assert_eq!(old.inspect(&id)["Config"]["PortSpecs"], json!(["53:53/udp", "8080:80", "81"]));
    assert_eq!(old.inspect(&id)["NetworkSettings"]["PortMapping"], json!(null));
    old.start(&id);
    let network = old.inspect(&id)["NetworkSettings"].clone();
    let free = network["PortMapping"]["Tcp"]["81"].as_str().unwrap().to_owned();
    assert_eq!(
        network,
        json!({"IPAddress": "172.17.0.2", "IPPrefixLen": 16, "Gateway": "172.17.42.1",
               "Bridge": "docker0",
               "PortMapping": {"Tcp": {"80": "8080", "81": free}, "Udp": {"53": "53"}}})
    );
    let ports = |version| old.at(version).get("/containers/json").expect(200)[0]["Ports"].clone();
    let mut texts = ["53->53/udp".to_owned(), "8080->80".to_owned(), format!("{free}->81")];
    texts.sort_unstable();
    assert_eq!(ports("1.4"), texts.join(", "));
    let free: u16 = free.parse().unwrap();
    assert_eq!(
        ports("1.5"),
        json!([{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
               {"PrivatePort": 81, "PublicPort": free, "Type": "tcp"},
               {"PrivatePort": 53, "PublicPort": 53, "Type": "udp"}])
    );
    // Its ports are taken.
    let second = old.create(&config);
    let reply = old.ask("POST", &format!("/containers/{second}/start"));
    assert_eq!(reply.status, 500, "{}", reply.text());
    let text = format!("Error starting container {second}: ");
    assert!(reply.text().starts_with(&text), "{}", reply.text());
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    let network = old.inspect(&id)["NetworkSettings"].clone();
    let nothing = json!({"IPAddress": "", "IPPrefixLen": 0, "Gateway": "", "Bridge": "",
                         "PortMapping": null});
    assert_eq!(network, nothing);
    d.assert_nothing_left_behind();
}

#[test]
fn name_servers_out_of_reach_are_replaced_with_a_warning() {
    let d = host_with_server("127.0.0.53");
    let old = Old::new(&d);
    let create = |config: &Value| {
        old.post("/containers/create", "application/json", &config.to_string()).expect(201)
    };
    let warns = |made: &Value| made["Warnings"].to_string().contains("[8.8.8.8 8.8.4.4]");
    let mut config = json!({"Image": "busybox", "Cmd": ["cat", "/etc/resolv.conf"]});
    let made = create(&config);
    assert!(warns(&made), "{made}");
    let id = made["Id"].as_str().unwrap();
    assert_eq!(old.inspect(id)["Config"]["Dns"], json!(["8.8.8.8", "8.8.4.4"]));
    old.start(id);
    old.wait(id);
    assert_eq!(d.ok(["logs", id]), "nameserver 8.8.8.8\nnameserver 8.8.4.4");
    config["NetworkDisabled"] = json!(true);
    assert!(!warns(&create(&config)));
    config["NetworkDisabled"] = json!(false);
    config["Dns"] = json!(["192.0.2.1"]);
    assert!(!warns(&create(&config)));
    // Of a host that forwards nothing it is told last, unless there is no network to forward for.
    in_netns(d.keeper_pid(), || std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap());
    let last =
        |config: &Value| create(config)["Warnings"].as_array().and_then(|w| w.last().cloned());
    let forwarding = Some(json!("IPv4 forwarding is disabled."));
    assert_eq!(last(&config), forwarding);
    config["Dns"] = json!(null);
    assert_eq!(last(&config), forwarding);
    assert!(warns(&create(&config)));
    config["NetworkDisabled"] = json!(true);
    assert_eq!(last(&config), None);
}

#[test]
fn what_an_image_exposes_is_published() {
    let d = Daemon::start();
    let old = Old::new(&d);
    let change = crate::harness::encode("EXPOSE 80 53/udp");
    let path = format!("/images/create?fromSrc=-&repo=web&changes={change}");
    let made = d.send("POST", &path, "application/x-tar", crate::harness::busybox_tar());
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(
        old.get("/images/web/json").expect(200)["config"]["PortSpecs"],
        json!(["53/udp", "80"])
    );
    let id =
        old.create(&json!({"Image": "web", "Cmd": ["sleep", "1000"], "PortSpecs": ["8080:80"]}));
    assert_eq!(old.inspect(&id)["Config"]["PortSpecs"], json!(["8080:80", "53/udp"]));
    old.start(&id);
    let mapped = old.inspect(&id)["NetworkSettings"]["PortMapping"].clone();
    assert_eq!(mapped["Tcp"], json!({"80": "8080"}));
    assert!(mapped["Udp"]["53"].is_string(), "{mapped}");
    // Without a network there is nothing to publish.
    let alone = json!({"Image": "web", "Cmd": ["ip", "link"], "NetworkDisabled": true});
    let made = old.post("/containers/create", "application/json", &alone.to_string()).expect(201);
    assert_eq!(made["Warnings"], json!(null));
    let id = made["Id"].as_str().unwrap();
    old.start(id);
    assert_eq!(old.wait(id), 0);
    let seen = d.ok(["logs", id]);
    assert!(seen.contains("lo:") && !seen.contains("eth0"), "{seen}");
}
