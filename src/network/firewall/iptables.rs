//! Packet rules by iptables(8), where the kernel has no nf_tables.
//!
//! - The rules are the same data, written as text for iptables-restore(8): the kernel's own
//!   interface behind it is not meant for others.
//! - All is in chains of our own, named after the table, and entered first by the kernel's. They
//!   drop or return and never accept: a drop of somebody else's rules holds as well.
//! - Each of the kernel's tables changes in one step; what filters comes before what translates.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::sys::nft::{Chain, ChainKind, Hook, Match, Rule, Verdict};

/// Names of the programs, the restoring one and the saving one, in the order they are tried in.
const PROGRAMS: [[&str; 2]; 2] =
    [["iptables-restore", "iptables-save"], ["iptables-legacy-restore", "iptables-legacy-save"]];
/// Searched behind the directories of `PATH`.
const DIRECTORIES: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
/// For another program that changes rules to be ready. A program that hangs holds nobody up for
/// longer.
const WAIT: &str = "--wait=10";
/// The kernel's tables that we use.
const TABLES: [&str; 3] = ["mangle", "filter", "nat"];
/// Lists the tables of the kernel's older interface that exist.
const OLDER: &str = "/proc/self/net/ip_tables_names";

/// Our chains in the kernel's tables.
#[derive(Debug)]
pub(super) struct Iptables {
    four: Programs,
    /// Those of IPv6, where there are any.
    six: Option<Programs>,
    /// There may be chains of ours in the tables of IPv6.
    has_six: AtomicBool,
    /// What the names of our chains begin with.
    name: String,
}

/// Restores and saves the tables of one family.
#[derive(Debug)]
struct Programs {
    restore: PathBuf,
    save: PathBuf,
}

impl Iptables {
    /// The programs that are there, in the order they are to be tried in; nothing is run yet.
    pub(super) fn all(name: &str) -> Vec<Iptables> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
        directories.extend(std::env::split_paths(&OsString::from(DIRECTORIES)));
        let find = |program: &str| {
            let paths = directories.iter().map(|directory| directory.join(program));
            paths.filter(|path| path.is_absolute()).find(|path| path.is_file())
        };
        PROGRAMS
            .iter()
            .filter_map(|[restore, save]| {
                let programs = |version: &str| {
                    let find = |name: &str| find(&name.replacen("ip", version, 1));
                    Some(Programs { restore: find(restore)?, save: find(save)? })
                };
                let (four, six) = (programs("ip")?, programs("ip6"));
                let has_six = AtomicBool::new(six.is_some());
                Some(Iptables { four, six, has_six, name: name.to_owned() })
            })
            .collect()
    }

    /// The programs that show what the kernel's older interface filters, if it does: netlink does
    /// not tell of that.
    pub(super) fn of_older_filter(name: &str) -> Option<Iptables> {
        let tables = std::fs::read_to_string(OLDER).unwrap_or_default();
        let all = || Iptables::all(name).into_iter().next_back();
        tables.lines().any(|table| table == "filter").then(all).flatten()
    }

    /// The families that `rules` are about, with their programs. That of IPv4 is always among them,
    /// that of IPv6 also where chains of ours may be left.
    fn families(&self, rules: &[Rule]) -> io::Result<Vec<(bool, &Programs)>> {
        let mut families = vec![(false, &self.four)];
        match &self.six {
            Some(six) if self.has_six.load(Relaxed) || has(rules, true) => {
                families.push((true, six));
            }
            None if has(rules, true) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "there is no ip6tables"));
            }
            _ => {}
        }
        Ok(families)
    }

    /// Makes our chains anew with these rules, and has the kernel enter them.
    ///
    /// # Errors
    /// What the program says, and about which rule. Tables before that one are changed then.
    pub(super) fn replace(&self, chains: &[Chain], rules: &[Rule]) -> io::Result<()> {
        for (v6, programs) in self.families(rules)? {
            let saved = match programs.saved() {
                // A kernel without IPv6 has nothing to be removed.
                Err(_) if !has(rules, v6) => String::new(),
                saved => saved?,
            };
            let text = match has(rules, v6) {
                true => replacement(&self.name, chains, &of_family(rules, v6), &saved),
                false => removal(&self.name, chains, &saved),
            };
            programs.restore(&text)?;
        }
        self.has_six.store(has(rules, true), Relaxed);
        Ok(())
    }

    /// Adds rules at the ends of their chains.
    ///
    /// # Errors
    /// What the program says; then all of that family is as before.
    pub(super) fn add(&self, chains: &[Chain], rules: &[Rule]) -> io::Result<()> {
        self.change(chains, rules, "-A")
    }

    /// Removes rules.
    ///
    /// # Errors
    /// What the program says, when one of them is gone; then the others are still there.
    pub(super) fn remove(&self, chains: &[Chain], rules: &[Rule]) -> io::Result<()> {
        self.change(chains, rules, "-D")
    }

    fn change(&self, chains: &[Chain], rules: &[Rule], how: &str) -> io::Result<()> {
        for (v6, programs) in self.families(rules)? {
            programs.restore(&changes(&self.name, chains, &of_family(rules, v6), how))?;
        }
        Ok(())
    }

    /// Whether all of our chains are entered and have as many rules as they should.
    ///
    /// # Errors
    /// What the program says.
    pub(super) fn is_whole(&self, chains: &[Chain], rules: &[Rule]) -> io::Result<bool> {
        for (v6, programs) in self.families(rules)? {
            let rules = of_family(rules, v6);
            if !rules.is_empty() && !is_whole(&self.name, chains, &rules, &programs.saved()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes our chains.
    ///
    /// # Errors
    /// What the program says.
    pub(super) fn clear(&self, chains: &[Chain]) -> io::Result<()> {
        for (v6, programs) in self.families(&[])? {
            match programs.saved() {
                Err(_) if v6 => {}
                saved => programs.restore(&removal(&self.name, chains, &saved?))?,
            }
        }
        Ok(())
    }

    /// Whether the kernel's chain for what is passed on drops all that it does not know.
    ///
    /// # Errors
    /// What the program says.
    pub(super) fn forwards_nothing(&self) -> io::Result<bool> {
        let drops = |line: &str| {
            line.starts_with(":FORWARD DROP")
                || line == "-A FORWARD -j DROP"
                || line.starts_with("-A FORWARD -j REJECT")
        };
        Ok(lines(&self.four.saved()?, "filter").any(drops))
    }
}

fn has(rules: &[Rule], v6: bool) -> bool {
    rules.iter().any(|rule| rule.v6 == v6)
}

fn of_family(rules: &[Rule], v6: bool) -> Vec<Rule> {
    rules.iter().filter(|rule| rule.v6 == v6).cloned().collect()
}

impl Programs {
    fn restore(&self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut command = Command::new(&self.restore);
        command.args(["--noflush", WAIT]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().expect("it was asked for");
        // One that reads no more says why at its end.
        drop(input.write_all(text.as_bytes()));
        drop(input);
        let out = child.wait_with_output()?;
        if out.status.success() { Ok(()) } else { Err(refusal(&out.stderr, text)) }
    }

    fn saved(&self) -> io::Result<String> {
        let mut command = Command::new(&self.save);
        let out = command.stdin(Stdio::null()).output()?;
        if out.status.success() {
            Ok(String::from_utf8_lossy(&out.stdout).into_owned())
        } else {
            Err(refusal(&out.stderr, ""))
        }
    }
}

/// What a program has said, and the line of `input` that it was about.
fn refusal(stderr: &[u8], input: &str) -> io::Error {
    let text = String::from_utf8_lossy(stderr);
    let said = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = said.take(3).collect::<Vec<_>>().join("; ");
    let number = said.split_once("line ").and_then(|(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<usize>().ok()?.checked_sub(1)
    });
    match number.and_then(|number| input.lines().nth(number)) {
        Some(line) => io::Error::other(format!("{said} ({line})")),
        None => io::Error::other(said),
    }
}

/// The kernel's table and chain for a chain of ours; the second is none where only jumps lead to
/// it.
fn place(chain: &Chain) -> (&'static str, Option<&'static str>) {
    let Some((kind, hook, _)) = chain.hook else { return ("nat", None) };
    let entry = match hook {
        Hook::Prerouting => "PREROUTING",
        Hook::Input => "INPUT",
        Hook::Forward => "FORWARD",
        Hook::Output => "OUTPUT",
        Hook::Postrouting => "POSTROUTING",
    };
    let table = match (kind, hook) {
        (ChainKind::Nat, _) => "nat",
        // The table raw is missing more often.
        (ChainKind::Filter, Hook::Prerouting) => "mangle",
        (ChainKind::Filter, _) => "filter",
    };
    (table, Some(entry))
}

fn in_table<'a>(chains: &'a [Chain], table: &'a str) -> impl Iterator<Item = &'a Chain> {
    chains.iter().filter(move |chain| place(chain).0 == table)
}

/// The rule by which the kernel's chain leads to ours.
fn jump(name: &str, chain: &Chain) -> Option<String> {
    let (_, entry) = place(chain);
    entry.map(|entry| format!("{entry} -j {name}-{}", chain.name))
}

/// The lines of one table in what a saving program has printed.
fn lines<'a>(saved: &'a str, table: &'a str) -> impl Iterator<Item = &'a str> {
    saved
        .lines()
        .skip_while(move |line| line.strip_prefix('*') != Some(table))
        .take_while(|line| *line != "COMMIT")
}

fn has_jump(saved: &str, table: &str, jump: &str) -> bool {
    lines(saved, table).any(|line| line.strip_prefix("-A ") == Some(jump))
}

fn replacement(name: &str, chains: &[Chain], rules: &[Rule], saved: &str) -> String {
    let mut text = String::new();
    for table in TABLES {
        put(&mut text, format_args!("*{table}"));
        for chain in in_table(chains, table) {
            // Made, or emptied.
            put(&mut text, format_args!(":{name}-{} - [0:0]", chain.name));
        }
        for chain in in_table(chains, table) {
            if let Some(jump) = jump(name, chain).filter(|jump| !has_jump(saved, table, jump)) {
                put(&mut text, format_args!("-I {jump}"));
            }
        }
        for rule in rules {
            if in_table(chains, table).any(|chain| chain.name == rule.chain) {
                put(&mut text, format_args!("-A {}", written(name, rule)));
            }
        }
        text.push_str("COMMIT\n");
    }
    text
}

fn changes(name: &str, chains: &[Chain], rules: &[Rule], how: &str) -> String {
    let mut text = String::new();
    for table in TABLES {
        let here = |rule: &&Rule| in_table(chains, table).any(|chain| chain.name == rule.chain);
        let mut here = rules.iter().filter(here).peekable();
        if here.peek().is_none() {
            continue;
        }
        put(&mut text, format_args!("*{table}"));
        for rule in here {
            put(&mut text, format_args!("{how} {}", written(name, rule)));
        }
        text.push_str("COMMIT\n");
    }
    text
}

fn removal(name: &str, chains: &[Chain], saved: &str) -> String {
    let mut text = String::new();
    for table in TABLES {
        let there = |chain: &&Chain| {
            let start = format!(":{name}-{} ", chain.name);
            lines(saved, table).any(|line| line.starts_with(&start))
        };
        let there: Vec<&Chain> = in_table(chains, table).filter(there).collect();
        if there.is_empty() {
            continue;
        }
        put(&mut text, format_args!("*{table}"));
        for chain in &there {
            if let Some(jump) = jump(name, chain).filter(|jump| has_jump(saved, table, jump)) {
                put(&mut text, format_args!("-D {jump}"));
            }
            put(&mut text, format_args!("-F {name}-{}", chain.name));
        }
        for chain in &there {
            put(&mut text, format_args!("-X {name}-{}", chain.name));
        }
        text.push_str("COMMIT\n");
    }
    text
}

fn is_whole(name: &str, chains: &[Chain], rules: &[Rule], saved: &str) -> bool {
    let mut wanted: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for rule in rules {
        let table = chains.iter().find(|chain| chain.name == rule.chain).map(place);
        let (table, _) = table.unwrap_or_default();
        *wanted.entry((table, format!("-A {name}-{} ", rule.chain))).or_default() += 1;
    }
    let count = |table: &str, start: &str| {
        lines(saved, table).filter(|line| line.starts_with(start)).count()
    };
    wanted.iter().all(|((table, start), wanted)| count(table, start) == *wanted)
        && chains.iter().all(|chain| {
            jump(name, chain).is_none_or(|jump| has_jump(saved, place(chain).0, &jump))
        })
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}

/// A rule as iptables reads it: its chain, what it matches, what is done.
fn written(name: &str, rule: &Rule) -> String {
    let mut text = format!("{name}-{}", rule.chain);
    for condition in &rule.matches {
        text.push(' ');
        text.push_str(&match condition {
            Match::From(link) => format!("-i {link}"),
            Match::NotFrom(link) => format!("! -i {link}"),
            Match::To(link) => format!("-o {link}"),
            Match::NotTo(link) => format!("! -o {link}"),
            Match::Protocol(6) => "-p tcp".to_owned(),
            Match::Protocol(17) => "-p udp".to_owned(),
            Match::Protocol(132) => "-p sctp".to_owned(),
            Match::Protocol(number) => format!("-p {number}"),
            Match::Source(address, prefix) => format!("-s {address}/{prefix}"),
            Match::Destination(address, prefix) => format!("-d {address}/{prefix}"),
            Match::DestinationIsLocal => "-m addrtype --dst-type LOCAL".to_owned(),
            Match::Ports(first, last) => format!("--dport {first}:{last}"),
            Match::Established => "-m conntrack --ctstate ESTABLISHED,RELATED".to_owned(),
            Match::Translated => "-m conntrack --ctstate DNAT".to_owned(),
        });
    }
    text.push_str(&match &rule.verdict {
        // What accepts here would overrule rules of others further down.
        Verdict::Accept => " -j RETURN".to_owned(),
        Verdict::Drop => " -j DROP".to_owned(),
        Verdict::Jump(chain) => format!(" -j {name}-{chain}"),
        Verdict::Masquerade => " -j MASQUERADE".to_owned(),
        Verdict::Redirect(address, None) => format!(" -j DNAT --to-destination {address}"),
        Verdict::Redirect(address, Some(port)) => {
            format!(" -j DNAT --to-destination {}", SocketAddr::new(*address, *port))
        }
    });
    text
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::model::Published;
    use crate::network::rules::{self, Subnet};
    use crate::sys::ns::{self, NsKind};

    fn subnet(internal: bool) -> Subnet {
        let bridge = if internal { "br1" } else { "docker0" };
        let subnet = Subnet::of_bridge(bridge, (Ipv4Addr::new(172, 17, 42, 1), 16));
        Subnet { internal, ..subnet }
    }

    fn publish(host: &str, first: u16, ports: &str) -> Vec<Rule> {
        let (host, ports): (IpAddr, _) = (host.parse().unwrap(), ports.parse().unwrap());
        let address = if host.is_ipv6() { "fd00::2" } else { "172.17.0.2" };
        rules::published(&Published { host, first, ports }, address.parse().unwrap(), "web")
    }

    fn all() -> Vec<Rule> {
        let mut all = rules::common(false);
        all.extend(rules::bridge(&subnet(false)));
        all.extend(rules::bridge(&subnet(true)));
        all.extend(publish("0.0.0.0", 10_000, "10000-19999/tcp"));
        all.extend(publish("127.0.0.1", 8080, "80-81/udp"));
        all
    }

    fn six() -> Vec<Rule> {
        let v6 = Some(("fd00::1".parse().unwrap(), 64));
        let mut all = rules::common(true);
        all.extend(of_family(&rules::bridge(&Subnet { v6, ..subnet(false) }), true));
        all.extend(publish("::", 8080, "80/tcp"));
        all
    }

    #[test]
    fn rules_of_ipv6_are_written() {
        let text = replacement("skiff", &rules::chains(), &six(), "");
        for line in [
            "-A skiff-raw ! -i lo -d ::1/128 -j DROP",
            "-A skiff-output -d ::1/128 -j RETURN\n-A skiff-output -m addrtype",
            "-A skiff-postrouting -s fd00::1/64 ! -o docker0 -j MASQUERADE",
            "-A skiff-ports -p tcp --dport 8080:8080 -j DNAT --to-destination [fd00::2]:80",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn rules_are_written_table_by_table() {
        let text = replacement("skiff", &rules::chains(), &all(), "");
        let expected = "\
*mangle
:skiff-raw - [0:0]
-I PREROUTING -j skiff-raw
-A skiff-raw ! -i lo -d 127.0.0.0/8 -j DROP
COMMIT
*filter
:skiff-forward - [0:0]
-I FORWARD -j skiff-forward
-A skiff-forward -o docker0 -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN
-A skiff-forward -o docker0 -i docker0 -j RETURN
-A skiff-forward -o docker0 -m conntrack --ctstate DNAT -j RETURN
-A skiff-forward -o docker0 -j DROP
-A skiff-forward -i br1 ! -o br1 -j DROP
-A skiff-forward -o br1 ! -i br1 -j DROP
COMMIT
*nat
:skiff-prerouting - [0:0]
:skiff-output - [0:0]
:skiff-postrouting - [0:0]
:skiff-ports - [0:0]
-I PREROUTING -j skiff-prerouting
-I OUTPUT -j skiff-output
-I POSTROUTING -j skiff-postrouting
-A skiff-prerouting -m addrtype --dst-type LOCAL -j skiff-ports
-A skiff-output -m addrtype --dst-type LOCAL -j skiff-ports
-A skiff-postrouting -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A skiff-postrouting -s 172.17.0.0/16 -o docker0 -m conntrack --ctstate DNAT -j MASQUERADE
-A skiff-postrouting -s 127.0.0.0/8 -o docker0 -j MASQUERADE
-A skiff-ports -p tcp --dport 10000:19999 -j DNAT --to-destination 172.17.0.2
-A skiff-ports -d 127.0.0.1/32 -p udp --dport 8080:8080 -j DNAT --to-destination 172.17.0.2:80
-A skiff-ports -d 127.0.0.1/32 -p udp --dport 8081:8081 -j DNAT --to-destination 172.17.0.2:81
COMMIT
";
        assert_eq!(text, expected.replace("172.17.0.0/16", "172.17.42.1/16"));
    }

    #[test]
    fn a_refusal_names_the_rule() {
        let error =
            refusal(b"iptables-restore v1: x\niptables-restore: line 2 failed\n", "a\nb\nc");
        assert_eq!(
            error.to_string(),
            "iptables-restore v1: x; iptables-restore: line 2 failed (b)"
        );
        assert_eq!(refusal(b"no\n", "a").to_string(), "no");
        assert_eq!(refusal(b"line 9 failed", "a").to_string(), "line 9 failed");
    }

    /// With each of the programs that work here, in a network namespace of its own.
    fn with_each(work: impl Fn(&Iptables) + Sync) {
        for iptables in Iptables::all("skiff-t") {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    ns::unshare(NsKind::Net).unwrap();
                    match iptables.four.saved() {
                        Ok(_) => work(&iptables),
                        Err(error) => eprintln!("skipped: {error}"),
                    }
                });
            });
        }
    }

    #[test]
    fn chains_are_made_changed_healed_and_removed() {
        let chains = rules::chains();
        with_each(|iptables| {
            let all = all();
            assert!(!iptables.is_whole(&chains, &all).unwrap());
            for _ in 0..2 {
                iptables.replace(&chains, &all).unwrap();
                assert!(iptables.is_whole(&chains, &all).unwrap());
            }
            let saved = iptables.four.saved().unwrap();
            assert_eq!(saved.matches("-A FORWARD -j skiff-t-forward").count(), 1, "{saved}");
            let more = publish("0.0.0.0", 53, "53/udp");
            iptables.add(&chains, &more).unwrap();
            assert!(!iptables.is_whole(&chains, &all).unwrap());
            iptables.remove(&chains, &more).unwrap();
            assert!(iptables.is_whole(&chains, &all).unwrap());
            assert!(iptables.remove(&chains, &more).is_err());
            // Somebody flushes.
            iptables.four.restore("*filter\n-F FORWARD\nCOMMIT\n").unwrap();
            assert!(!iptables.is_whole(&chains, &all).unwrap());
            iptables.replace(&chains, &all).unwrap();
            assert!(iptables.is_whole(&chains, &all).unwrap());
            let wrong = Rule { verdict: Verdict::Jump("nowhere"), ..more[0].clone() };
            let error = iptables.add(&chains, &[wrong]).unwrap_err().to_string();
            assert!(error.contains("skiff-t-nowhere"), "{error}");
            // Those of IPv6 beside them, while there are any.
            let Some(programs) = &iptables.six else { return };
            let both: Vec<Rule> = all.iter().cloned().chain(six()).collect();
            iptables.replace(&chains, &both).unwrap();
            assert!(iptables.is_whole(&chains, &both).unwrap());
            programs.restore("*nat\n-F skiff-t-ports\nCOMMIT\n").unwrap();
            assert!(!iptables.is_whole(&chains, &both).unwrap());
            iptables.replace(&chains, &all).unwrap();
            assert!(!programs.saved().unwrap().contains("skiff-t"));
            iptables.replace(&chains, &both).unwrap();
            iptables.clear(&chains).unwrap();
            assert!(!programs.saved().unwrap().contains("skiff-t"));
            assert!(!iptables.four.saved().unwrap().contains("skiff-t"));
            iptables.clear(&chains).unwrap();
        });
    }
}
