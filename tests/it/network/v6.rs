//! Networks with IPv6 beside IPv4.

use std::net::{IpAddr, UdpSocket};

use serde_json::{Value, json};

use super::keeper::Keeper;
use super::{LONG, Outside, SHORT};
use super::{connect, idle, ip, listen, pid_of, run_in, talk, talk_udp};
use crate::harness::{Daemon, in_netns, processes_of, wait_until};

/// Addresses of the cable's two ends.
const HOST: &str = "2001:db8::1";
const OUTSIDE: &str = "2001:db8::2";

/// A host on a cable with both families.
#[track_caller]
fn outside_of(d: &Daemon) -> Outside {
    let outside = Outside::of(d);
    for (pid, link, address) in [(d.keeper_pid(), "out0", HOST), (outside.pid(), "eth0", OUTSIDE)] {
        ip(pid, &["address", "add", &format!("{address}/64"), "dev", link, "nodad"]);
    }
    outside
}

/// A container's place on a network.
#[track_caller]
fn on(d: &Daemon, name: &str, network: &str) -> Value {
    d.inspect(name)["NetworkSettings"]["Networks"][network].clone()
}

#[track_caller]
fn six(d: &Daemon, name: &str, network: &str) -> String {
    on(d, name, network)["GlobalIPv6Address"].as_str().unwrap().to_owned()
}

#[test]
fn containers_have_an_address_and_a_way_out() {
    let d = Daemon::start();
    let outside = outside_of(&d);
    d.ok(["network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six"]);
    let started = std::time::Instant::now();
    let web = idle(&d, "web", &["--network", "six"]);
    let other = idle(&d, "other", &["--network", "six", "--ip6", "fd00:77::99"]);
    let place = on(&d, "web", "six");
    assert_eq!(place["GlobalIPv6Address"], "fd00:77::2");
    assert_eq!(place["GlobalIPv6PrefixLen"], 64);
    assert_eq!(place["IPv6Gateway"], "fd00:77::1");
    assert_eq!(place["IPAddress"], "172.18.0.2");
    assert_eq!(six(&d, "other", "six"), "fd00:77::99");
    assert_eq!(on(&d, "other", "six")["IPAMConfig"]["IPv6Address"], "fd00:77::99");
    let shown = d.api("GET", "/networks/six").expect(200);
    assert_eq!(shown["EnableIPv6"], true);
    assert_eq!(
        shown["IPAM"]["Config"][1],
        json!({"Subnet": "fd00:77::/64", "Gateway": "fd00:77::1"})
    );
    let on_it = shown["Containers"].as_object().unwrap();
    assert!(on_it.values().any(|place| place["IPv6Address"] == "fd00:77::99/64"), "{shown}");
    let listed = ["network", "ls", "--format", "{{.Name}} {{.IPv6}}", "--filter", "name=six"];
    assert_eq!(d.ok(listed), "six true");

    // At once, and outward with the host's address.
    let server = listen(outside.pid(), "[::]:7000");
    assert_eq!(talk(web, &format!("[{OUTSIDE}]:7000"), &server).to_string(), HOST);
    let peer = talk(web, "[fd00:77::99]:80", &listen(other, "[::]:80"));
    assert_eq!(peer.to_string(), "fd00:77::2");
    assert!(started.elapsed() < LONG);
    assert_eq!(
        ip(web, &["-6", "route", "show", "default"]).trim(),
        "default via fd00:77::1 dev eth0 metric 1024 pref medium"
    );
    // Names mean both addresses.
    let hosts = d.ok(["exec", "web", "cat", "/etc/hosts"]);
    assert!(hosts.contains("fd00:77::2\t") && hosts.contains("172.18.0.2\t"), "{hosts}");
    let told = d.ok(["exec", "web", "nslookup", "other"]);
    assert!(told.contains("fd00:77::99") && told.contains("172.18.0.3"), "{told}");
    // On the default network there is none.
    idle(&d, "four", &[]);
    assert_eq!(six(&d, "four", "bridge"), "");
    assert_eq!(d.ok(["exec", "four", "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"]), "1");

    // A network more, and off again.
    d.ok(["network", "create", "--ipv6", "--subnet", "fd00:88::/64", "more"]);
    d.ok(["network", "connect", "--ip6", "fd00:88::5", "more", "four"]);
    assert_eq!(six(&d, "four", "more"), "fd00:88::5");
    let four = pid_of(&d, "four");
    assert_eq!(talk(four, &format!("[{OUTSIDE}]:7000"), &server).to_string(), HOST);
    assert!(connect(four, "[fd00:77::99]:80", SHORT).is_none());
    d.ok(["network", "disconnect", "more", "four"]);
    assert!(connect(four, &format!("[{OUTSIDE}]:7000"), SHORT).is_none());
    d.ok(["restart", "-t", "0", "web"]);
    drop(server);
    d.assert_nothing_left_behind();
}

#[test]
fn published_ports_are_reached_over_both() {
    let d = Daemon::start();
    let outside = outside_of(&d);
    d.ok(["network", "create", "--ipv6", "six"]);
    let ports =
        ["--network", "six", "-p", "8080:80", "-p", "8053:53/udp", "-p", "9000-9002:9000-9002"];
    let web = idle(&d, "web", &ports);
    let other = idle(&d, "other", &["--network", "six", "-p", &format!("[{HOST}]:8081:81")]);
    assert_eq!(d.ok(["port", "web", "80"]), "0.0.0.0:8080\n[::]:8080");
    assert_eq!(d.ok(["port", "other"]), format!("81/tcp -> [{HOST}]:8081"));
    let shown = d.ok(["ps", "--filter", "name=web", "--format", "{{.Ports}}"]);
    assert!(shown.contains("0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"), "{shown}");
    let server = listen(web, "[::]:80");
    let range = listen(web, "[::]:9001");
    let datagrams = in_netns(web, || UdpSocket::bind("[::]:53").unwrap());
    let gateway = on(&d, "web", "six")["IPv6Gateway"].as_str().unwrap().to_owned();

    let peer = talk(outside.pid(), &format!("[{HOST}]:8080"), &server);
    assert_eq!(peer.to_string(), OUTSIDE);
    assert_eq!(
        talk(outside.pid(), "192.0.2.1:8080", &server).to_canonical().to_string(),
        "192.0.2.2"
    );
    talk(outside.pid(), &format!("[{HOST}]:9001"), &range);
    let peer = talk_udp(outside.pid(), &format!("[{HOST}]:8053"), &datagrams);
    assert_eq!(peer.to_string(), OUTSIDE);
    for from in [d.keeper_pid(), other, web] {
        for to in [HOST, &gateway] {
            talk(from, &format!("[{to}]:8080"), &server);
            talk_udp(from, &format!("[{to}]:8053"), &datagrams);
        }
    }
    let second = listen(other, "[::]:81");
    talk(outside.pid(), &format!("[{HOST}]:8081"), &second);
    assert!(connect(d.keeper_pid(), &format!("[{gateway}]:8081"), SHORT).is_none());
    // What is not published is not reached, even by who knows the way.
    let own = six(&d, "web", "six");
    ip(outside.pid(), &["-6", "route", "add", "fd00::/8", "via", HOST]);
    assert!(connect(outside.pid(), &format!("[{own}]:80"), SHORT).is_none());
    // Programs of the host have their ports.
    let taken = listen(d.keeper_pid(), "[::1]:9090");
    let out = d.cli(["run", "--network", "six", "-p", "9090:90", "busybox", "true"]).output();
    let text = "Bind for [::]:9090 failed: address already in use";
    assert!(out.stderr.contains(text), "{}", out.stderr);
    drop((taken, server, range, datagrams, second));
    d.assert_nothing_left_behind();
}

#[test]
fn what_no_translation_leads_to_is_served_by_the_monitor() {
    for keeper in [Keeper::Nftables, Keeper::Legacy, Keeper::Nobody] {
        led_on_by_the_monitor(keeper);
    }
}

fn led_on_by_the_monitor(keeper: Keeper) {
    let mut d = keeper.setup().start();
    let outside = outside_of(&d);
    d.ok(["network", "create", "--ipv6", "six"]);
    d.ok(["network", "create", "--internal", "inner"]);
    let flags = ["-p", "[::]:8080:80", "-p", "[::1]:8081:80", "-p", "8082:80", "-p"];
    let four = idle(&d, "four", &[&flags[..], &["[::]:8053:53/udp"]].concat());
    let six = idle(&d, "six", &["--network", "six", "-p", "[::1]:8083:80"]);
    idle(&d, "inner", &["--network", "inner", "-p", "[::]:8084:80"]);
    assert_eq!(d.ok(["port", "four", "80"]), "[::]:8080\n[::1]:8081\n0.0.0.0:8082");
    assert_eq!(processes_of(&d).len(), 6, "a monitor and a program of each, and no helper");
    let in_four = listen(four, "0.0.0.0:80");
    let in_six = listen(six, "[::]:80");
    let in_inner = listen(pid_of(&d, "inner"), "0.0.0.0:80");
    let datagrams = in_netns(four, || UdpSocket::bind("0.0.0.0:53").unwrap());
    let here = d.keeper_pid();
    let check = |round: &str| {
        for (from, to, server) in [
            (outside.pid(), format!("[{HOST}]:8080"), &in_four),
            (here, format!("[{HOST}]:8080"), &in_four),
            (here, "[::1]:8080".to_owned(), &in_four),
            (here, "[::1]:8081".to_owned(), &in_four),
            (here, "127.0.0.1:8082".to_owned(), &in_four),
            (here, "[::1]:8083".to_owned(), &in_six),
        ] {
            talk(from, &to, server);
        }
        talk_udp(outside.pid(), &format!("[{HOST}]:8053"), &datagrams);
        talk_udp(here, "[::1]:8053", &datagrams);
        // What is for this host is not for others, and each family has its own.
        for (from, to) in [
            (outside.pid(), format!("[{HOST}]:8081")),
            (outside.pid(), format!("[{HOST}]:8083")),
            (outside.pid(), format!("[{HOST}]:8084")),
            (here, "127.0.0.1:8080".to_owned()),
            (here, "[::1]:8082".to_owned()),
        ] {
            assert!(connect(from, &to, SHORT).is_none(), "{round}: {to} is reached");
        }
    };
    check("at first");
    d.kill9();
    check("without a daemon");
    d.restart();
    check("with the next daemon");
    let out = d.cli(["run", "-p", "[::]:8081:80", "busybox", "true"]).output();
    assert!(out.stderr.contains("Bind for [::]:8081 failed"), "{}", out.stderr);
    drop((in_four, in_six, in_inner, datagrams));
    d.ok(["rm", "-f", "four"]);
    assert!(connect(here, "[::1]:8080", LONG).is_none());
    d.assert_nothing_left_behind();
}

#[test]
fn what_no_translation_leads_to_is_refused() {
    let d = Daemon::start();
    d.ok(["network", "create", "--ipv6", "six"]);
    for (flags, expected) in [
        (
            vec!["-p", "[::1]:8080:80/sctp", "--network", "six"],
            "sctp ports cannot be published where no packet rule leads to the container from ::1",
        ),
        (
            vec!["-p", "[::]:8000-9000:8000-9000"],
            "1001 ports are to be published without packet rules",
        ),
        (
            vec!["--ip6", "fd00::9", "--network", "six"],
            "no configured subnet contains IP address fd00::9",
        ),
        (
            vec!["--ip6", "fd00::9"],
            "user specified IP address is supported on user defined networks",
        ),
        (vec!["--ip6", "10.0.0.1", "--network", "six"], "invalid IPv6 address: 10.0.0.1"),
        (vec!["--mac-address", "01:02:03:04:05:06"], "invalid MAC address: 01:02:03:04:05:06"),
    ] {
        let mut args = vec!["run", "--rm"];
        args.extend(&flags);
        args.extend(["busybox", "true"]);
        let out = d.cli(args).output();
        assert_eq!(out.code, 125, "{flags:?}");
        assert!(out.stderr.contains(expected), "{}", out.stderr);
    }
    // A connection to the host's own loopback address is refused, not lost.
    idle(&d, "web", &["-p", "8080:80", "--network", "six"]);
    let started = std::time::Instant::now();
    assert!(connect(d.keeper_pid(), "[::1]:8080", LONG).is_none());
    assert!(started.elapsed() < LONG / 2);
    d.assert_nothing_left_behind();
}

#[test]
fn nothing_leads_out_of_an_internal_network() {
    let d = Daemon::start();
    let outside = outside_of(&d);
    d.ok(["network", "create", "--internal", "--ipv6", "--subnet", "fd00:77::/64", "inner"]);
    d.ok(["network", "create", "--ipv6", "--subnet", "fd00:88::/64", "far"]);
    let one = idle(&d, "one", &["--network", "inner"]);
    let two = idle(&d, "two", &["--network", "inner"]);
    let far = idle(&d, "far", &["--network", "far"]);
    assert_eq!(ip(one, &["-6", "route", "show", "default"]), "");
    let inner = listen(two, "[::]:80");
    talk(one, "[fd00:77::3]:80", &inner);
    let _server = listen(outside.pid(), "[::]:7000");
    ip(one, &["-6", "route", "add", "default", "via", "fd00:77::1"]);
    ip(outside.pid(), &["-6", "route", "add", "fd00::/8", "via", HOST]);
    assert!(connect(one, &format!("[{OUTSIDE}]:7000"), SHORT).is_none());
    for from in [outside.pid(), far] {
        assert!(connect(from, "[fd00:77::3]:80", SHORT).is_none());
    }
    drop(inner);
    d.assert_nothing_left_behind();
}

#[test]
fn all_of_it_outlives_the_daemon() {
    let mut d = Daemon::start();
    let outside = outside_of(&d);
    d.ok(["network", "create", "--ipv6", "six"]);
    let shown = d.ok(["network", "inspect", "-f", "{{(index .IPAM.Config 1).Subnet}}", "six"]);
    assert!(shown.starts_with("fd") && shown.ends_with("::/64"), "{shown}");
    let web = idle(&d, "web", &["--network", "six", "-p", "8080:80"]);
    let own = six(&d, "web", "six");
    let server = listen(web, "[::]:80");
    let mut stream = connect(outside.pid(), &format!("[{HOST}]:8080"), LONG).unwrap();
    let (mut end, _) = server.accept().unwrap();
    d.kill9();
    std::io::Write::write_all(&mut stream, b"still").unwrap();
    d.restart();
    let mut buffer = [0; 5];
    std::io::Read::read_exact(&mut end, &mut buffer).unwrap();
    assert_eq!(&buffer, b"still");
    assert_eq!(six(&d, "web", "six"), own);
    talk(outside.pid(), &format!("[{HOST}]:8080"), &server);
    idle(&d, "next", &["--network", "six"]);
    assert_ne!(six(&d, "next", "six"), own);
    let out = d.cli(["run", "--rm", "--network", "six", "--ip6", &own, "busybox", "true"]).output();
    assert!(out.stderr.contains("Address already in use"), "{}", out.stderr);
    // The same network of local addresses for the same installation; the next one for another.
    d.ok(["network", "create", "--ipv6", "second"]);
    let second = d.ok(["network", "inspect", "-f", "{{(index .IPAM.Config 1).Subnet}}", "second"]);
    assert_eq!(second, shown.replace("::/64", ":1::/64"));
    drop((server, stream, end));
    d.ok(["rm", "-f", "web", "next"]);
    d.ok(["network", "prune", "-f"]);
    let rules = run_in(d.keeper_pid(), "nft", &["list", "ruleset"]);
    assert!(!rules.contains("table ip6"), "{rules}");
    d.assert_nothing_left_behind();
}

#[test]
fn ranges_gateways_and_addresses_for_others() {
    let d = Daemon::start();
    d.ok([
        "network",
        "create",
        "--ipv6",
        "--subnet",
        "10.77.0.0/16",
        "--subnet",
        "fd00:77::/64",
        "--gateway",
        "fd00:77::ff",
        "--ip-range",
        "10.77.5.0/30",
        "--ip-range",
        "fd00:77::10/126",
        "--aux-address",
        "router=10.77.5.1",
        "--aux-address",
        "six=fd00:77::11",
        "lab",
    ]);
    let shown = d.api("GET", "/networks/lab").expect(200);
    assert_eq!(
        shown["IPAM"]["Config"],
        json!([
            {"Subnet": "10.77.0.0/16", "IPRange": "10.77.5.0/30", "Gateway": "10.77.0.1",
             "AuxiliaryAddresses": {"router": "10.77.5.1"}},
            {"Subnet": "fd00:77::/64", "IPRange": "fd00:77::10/126", "Gateway": "fd00:77::ff",
             "AuxiliaryAddresses": {"six": "fd00:77::11"}},
        ])
    );
    let mac = "92:d0:c6:0a:29:33";
    let pid = idle(&d, "web", &["--network", "lab", "--mac-address", mac]);
    let place = on(&d, "web", "lab");
    assert_eq!(place["IPAddress"], "10.77.5.0");
    assert_eq!(place["GlobalIPv6Address"], "fd00:77::10");
    assert_eq!(place["MacAddress"], mac);
    assert!(ip(pid, &["link", "show", "eth0"]).contains(mac));
    idle(&d, "next", &["--network", "lab"]);
    let place = on(&d, "next", "lab");
    assert_eq!(place["IPAddress"], "10.77.5.2");
    assert_eq!(place["GlobalIPv6Address"], "fd00:77::12");
    let out = d.cli(["run", "--network", "lab", "--ip", "10.77.5.1", "busybox", "true"]).output();
    assert!(out.stderr.contains("Address already in use 10.77.5.1"), "{}", out.stderr);
    idle(
        &d,
        "third",
        &["--network", "name=lab,ip=10.77.9.9,ip6=fd00:77::9,mac-address=02:00:00:00:00:09"],
    );
    assert_eq!(six(&d, "third", "lab"), "fd00:77::9");
    assert_eq!(on(&d, "third", "lab")["MacAddress"], "02:00:00:00:00:09");
    for (flags, expected) in [
        (
            vec!["--gateway", "10.1.0.1"],
            "every ip-range or gateway must have a corresponding subnet",
        ),
        (
            vec!["--subnet", "10.2.0.0/16", "--gateway", "10.1.0.1"],
            "no matching subnet for gateway 10.1.0.1",
        ),
        (vec!["--subnet", "x"], "invalid CIDR address: x"),
        (vec!["--subnet", "10.1.0.0/16", "--subnet", "10.1.2.0/24"], "multiple overlapping subnet"),
        (
            vec!["--subnet", "10.1.0.0/16", "--ip-range", "10.2.0.0/24"],
            "no matching subnet for range",
        ),
        (
            vec!["--subnet", "fd00:77::/80", "--ipv6"],
            "Pool overlaps with other one on this address",
        ),
        (vec!["-o", "com.docker.network.bridge.enable_icc=x"], "invalid value \"x\" of option"),
    ] {
        let mut args = vec!["network", "create"];
        args.extend(&flags);
        args.push("wrong");
        let out = d.cli(args).output();
        assert_eq!(out.code, 1, "{flags:?}");
        assert!(out.stderr.contains(expected), "{}", out.stderr);
    }
    // Without IPv6 its subnet has no effect, which is said.
    let out = d.cli(["network", "create", "--subnet", "fd00:99::/64", "plain"]).output();
    assert!(out.stderr.contains("subnet fd00:99::/64 is left out"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}

#[test]
fn options_of_a_bridge() {
    let d = Daemon::start();
    let outside = outside_of(&d);
    let option = |name: &str| format!("com.docker.network.{name}");
    d.ok([
        "network",
        "create",
        "--ipv6",
        "--subnet",
        "fd00:77::/64",
        "-o",
        &option("bridge.name=lab0"),
        "-o",
        &option("bridge.enable_icc=false"),
        "-o",
        &option("bridge.enable_ip_masquerade=false"),
        "-o",
        &option("driver.mtu=1400"),
        "-o",
        &option("bridge.host_binding_ipv4=127.0.0.1"),
        "lab",
    ]);
    let one = idle(&d, "one", &["--network", "lab", "-p", "8080:80"]);
    let two = idle(&d, "two", &["--network", "lab"]);
    for (pid, link) in [(d.keeper_pid(), "lab0"), (one, "eth0")] {
        assert!(ip(pid, &["link", "show", link]).contains("mtu 1400"));
    }
    // Neither on the bridge nor by way of the host.
    let server = listen(one, "[::]:80");
    let own: IpAddr = six(&d, "one", "lab").parse().unwrap();
    for to in [format!("[{own}]:80"), "172.18.0.2:80".to_owned()] {
        assert!(connect(two, &to, SHORT).is_none(), "{to}");
        ip(two, &["route", "replace", "172.18.0.2/32", "via", "172.18.0.1"]);
        assert!(connect(two, &to, SHORT).is_none(), "{to}");
    }
    // They stay apart when their bridge was deleted and is back.
    ip(d.keeper_pid(), &["link", "delete", "lab0"]);
    let back = || {
        let ports = ip(d.keeper_pid(), &["-d", "-o", "link", "show", "type", "veth"]);
        ports.matches("isolated on").count() == 2
    };
    wait_until("both are ports of the bridge again", back);
    assert_eq!(d.ok(["port", "one"]), "80/tcp -> 127.0.0.1:8080");
    talk(d.keeper_pid(), "127.0.0.1:8080", &server);
    // Outward as it is: the world has to know the way back.
    ip(outside.pid(), &["-6", "route", "add", "fd00::/8", "via", HOST]);
    let far = listen(outside.pid(), "[::]:7000");
    let peer = talk(one, &format!("[{OUTSIDE}]:7000"), &far);
    assert_eq!(peer, own);
    drop((server, far));
    d.ok(["rm", "-f", "one", "two"]);
    d.ok(["network", "rm", "lab"]);
    wait_until("the bridge is gone", || {
        !ip(d.keeper_pid(), &["-o", "link", "show"]).contains("lab0")
    });
    d.assert_nothing_left_behind();
}
