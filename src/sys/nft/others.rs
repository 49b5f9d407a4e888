//! Chains of others that let nothing pass which they do not know.

use std::io;

use super::codec::Hook;
use super::{GET_RULE, NEW_CHAIN, NEW_RULE, SUBSYSTEM, as_text, attributes};
use crate::sys::netlink::{Message, Reply, Socket};

const GET_CHAIN: u16 = 4;
/// Tables for both kinds of addresses.
const BOTH: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
/// The key of what a connection has come to, and of the bit in it for translated ones.
const STATUS: u32 = 2;

/// A chain of somebody else that drops what none of its rules lets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// `ip`, `inet` or `ip6`.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// By its policy, else by a rule for all.
    pub by_policy: bool,
}

/// The chains at `hook` that drop what they do not know, but for those of the table `own`. Chains
/// that accept translated connections do not count. What is dropped further on is not seen.
///
/// # Errors
/// Those of the kernel, which may have no nf_tables.
pub fn obstacles(own: &str, hook: Hook) -> io::Result<Vec<Obstacle>> {
    let mut socket = Socket::open(libc::NETLINK_NETFILTER, &[])?;
    let list = Message::list(SUBSYSTEM << 8 | GET_CHAIN, "list chains").fixed(&[0; 4]);
    let mut found = Vec::new();
    for reply in socket.ask(vec![list])? {
        let Some((number, obstacle)) = chain(&reply, hook) else { continue };
        if obstacle.table == own {
            continue;
        }
        let mut list = Message::list(SUBSYSTEM << 8 | GET_RULE, "list rules");
        list = list.fixed(&[number, 0, 0, 0]).text(1, &obstacle.table).text(2, &obstacle.chain);
        let mut drops = obstacle.by_policy;
        let mut translated_pass = false;
        for rule in socket.ask(vec![list])?.iter().filter_map(rule) {
            // Which of the two comes first is not asked: who writes both means it.
            drops |= rule.for_all && rule.verdict == Some(DROP);
            translated_pass |= rule.status && rule.verdict == Some(ACCEPT);
        }
        if drops && !translated_pass {
            found.push(obstacle);
        }
    }
    Ok(found)
}

fn be32(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn find(attribute: u16, bytes: &[u8]) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, value)| (kind == attribute).then_some(value))
}

/// A filtering chain at `hook`, and the number of its family.
fn chain(reply: &Reply, hook: Hook) -> Option<(u8, Obstacle)> {
    if reply.kind != SUBSYSTEM << 8 | NEW_CHAIN {
        return None;
    }
    let number = *reply.body.first()?;
    let family = match number {
        BOTH => "inet",
        IPV4 => "ip",
        IPV6 => "ip6",
        _ => return None,
    };
    let rest = reply.body.get(4..)?;
    let at = be32(find(1, find(4, rest)?)?)?;
    let filters = as_text(find(7, rest)?) == "filter";
    let by_policy = find(5, rest).and_then(be32) == Some(DROP);
    let (table, chain) = (as_text(find(1, rest)?), as_text(find(3, rest)?));
    let obstacle = Obstacle { family, table, chain, by_policy };
    (at == hook as u32 && filters).then_some((number, obstacle))
}

#[derive(Default)]
struct Seen {
    /// It asks for nothing.
    for_all: bool,
    /// It asks what the connection has come to.
    status: bool,
    /// What it decides; a refusal counts as a drop.
    verdict: Option<u32>,
}

fn rule(reply: &Reply) -> Option<Seen> {
    if reply.kind != SUBSYSTEM << 8 | NEW_RULE {
        return None;
    }
    let mut seen = Seen { for_all: true, ..Seen::default() };
    for (_, element) in attributes(find(4, reply.body.get(4..)?)?) {
        let data = find(2, element).unwrap_or_default();
        match as_text(find(1, element)?).as_str() {
            "counter" | "log" => {}
            "reject" => seen.verdict = Some(DROP),
            "immediate" => {
                let verdict = find(2, data).and_then(|value| find(2, value));
                seen.verdict = verdict.and_then(|verdict| be32(find(1, verdict)?));
            }
            "ct" if find(2, data).and_then(be32) == Some(STATUS) => {
                seen.status = true;
                seen.for_all = false;
            }
            _ => seen.for_all = false,
        }
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::nft::{Chain, ChainKind, Match, Rule, Table, Verdict};
    use crate::sys::ns::{self, NsKind};

    #[test]
    fn who_drops_all_others_is_found() {
        let rule = |matches, verdict| Rule {
            v6: false,
            chain: "forward",
            matches,
            verdict,
            comment: String::new(),
        };
        let chains = [Chain { name: "forward", hook: Some((ChainKind::Filter, Hook::Forward, 0)) }];
        let some = rule(vec![Match::From("x".into())], Verdict::Drop);
        let all = rule(vec![], Verdict::Drop);
        let translated = rule(vec![Match::Translated], Verdict::Accept);
        std::thread::spawn(move || {
            let mut table = match ns::unshare(NsKind::Net).and_then(|()| Table::open("theirs")) {
                Ok(table) => table,
                Err(error) => return eprintln!("skipped: {error}"),
            };
            let mut check = |rules: &[Rule], expected: usize| {
                table.replace(&chains, rules).unwrap();
                let found = obstacles("skiff", Hook::Forward).unwrap();
                assert_eq!(found.len(), expected, "{rules:?}: {found:?}");
                assert!(obstacles("skiff", Hook::Output).unwrap().is_empty());
                assert!(obstacles("theirs", Hook::Forward).unwrap().is_empty());
                found
            };
            check(&[], 0);
            check(std::slice::from_ref(&some), 0);
            let found = check(&[some, all.clone()], 1);
            assert_eq!((found[0].family, found[0].by_policy), ("ip", false));
            assert_eq!((found[0].table.as_str(), found[0].chain.as_str()), ("theirs", "forward"));
            check(&[translated, all], 0);
        })
        .join()
        .unwrap();
    }
}
