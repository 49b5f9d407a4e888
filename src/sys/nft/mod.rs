//! A table of packet rules in nf_tables, over netlink. nft(8), linux/netfilter/nf_tables.h.
//!
//! - Rules are data; what they are for is for others to know.
//! - Each family of addresses has a table of its own, both of the same name; that of IPv6 is there
//!   only while it has rules.
//! - What is sent at once takes effect at once, or not at all; an error names the rule.
//! - A table is owned by our socket and outlives it where the kernel can do that (6.9): then
//!   nobody else can change or flush it. Elsewhere a [`Watch`] tells of changes by others.

mod codec;
mod others;

use std::io;

pub use codec::{Chain, ChainKind, Hook, Match, Rule, Verdict};
use codec::{new_chain, new_rule};
pub use others::{Obstacle, obstacles};

use super::netlink::{Message, Reply, Socket, as_text, attributes, code};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const DELETE_RULE: u16 = 8;
const DESTROY_TABLE: u16 = 26;
/// NFNLGRP_NFTABLES.
const GROUP: libc::c_int = 7;

const CREATE: u16 = 0x400;

const OWNER_AND_PERSIST: u32 = 2 | 4;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Where a rule is in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    v6: bool,
    chain: &'static str,
    handle: u64,
}

/// Our table.
#[derive(Debug)]
pub struct Table {
    socket: Socket,
    name: String,
    owned: bool,
    shared: bool,
}

impl Table {
    /// A table of this name in the network namespace of the calling thread; nothing is made yet.
    ///
    /// # Errors
    /// EPROTONOSUPPORT and its like when the kernel has no nf_tables.
    pub fn open(name: &str) -> io::Result<Table> {
        let socket = Socket::open(libc::NETLINK_NETFILTER, &[])?;
        let name = name.to_owned();
        let mut table = Table { socket, name, owned: false, shared: false };
        // Loads the module, or fails where there is none.
        table.exists()?;
        Ok(table)
    }

    /// Lets others change the table, even where the kernel could keep them from it.
    pub fn share(&mut self) {
        self.shared = true;
    }

    /// Whether nobody else can change the table.
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// Whether the table is there.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn exists(&mut self) -> io::Result<bool> {
        self.has(false)
    }

    fn has(&mut self, v6: bool) -> io::Result<bool> {
        let what = format!("find table {}", self.name);
        let message = message(GET_TABLE, v6, 0, what).text(1, &self.name);
        match self.socket.ask(vec![message]) {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many rules the tables of both families have.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn count(&mut self) -> io::Result<usize> {
        let mut count = 0;
        for v6 in [false, true] {
            let list = Message::list(SUBSYSTEM << 8 | GET_RULE, "list rules");
            let list = list.fixed(&general(v6)).text(1, &self.name);
            let replies = self.socket.ask(vec![list])?;
            let ours = |reply: &&Reply| table_of(reply).as_ref() == Some(&self.name);
            count += replies.iter().filter(ours).count();
        }
        Ok(count)
    }

    /// Makes the table of IPv4, which is not there, for nobody in particular. The kernel deletes
    /// nothing then, whose end the closing of the socket would wait for.
    ///
    /// # Errors
    /// The first refusal; then nothing is made.
    pub fn make(&mut self, chains: &[Chain], rules: &[Rule]) -> io::Result<()> {
        let name = &self.name;
        let make = message(NEW_TABLE, false, CREATE, format!("make table {name}")).text(1, name);
        self.fill(vec![make], chains, rules).map(drop)
    }

    /// Makes the table anew with these chains and rules, in one step. Connections go on.
    ///
    /// # Errors
    /// The first refusal; then all is as before.
    pub fn replace(&mut self, chains: &[Chain], rules: &[Rule]) -> io::Result<Vec<Place>> {
        let six = rules.iter().any(|rule| rule.v6);
        let had_six = self.has(true).unwrap_or(false);
        let name = &self.name;
        let make = |v6: bool, flags: u32| {
            let what = format!("make table {name}");
            let mut make = message(NEW_TABLE, v6, CREATE, what).text(1, name);
            make.push_be32(2, flags);
            make
        };
        let delete = |v6, kind| message(kind, v6, 0, format!("delete table {name}")).text(1, name);
        let mut owned = vec![delete(false, DESTROY_TABLE), make(false, OWNER_AND_PERSIST)];
        let mut plain = vec![make(false, 0), delete(false, DELETE_TABLE), make(false, 0)];
        if had_six {
            owned.push(delete(true, DELETE_TABLE));
            plain.push(delete(true, DELETE_TABLE));
        }
        if six {
            owned.push(make(true, OWNER_AND_PERSIST));
            plain.push(make(true, 0));
        }
        if self.shared {
            self.owned = false;
            return self.fill(plain, chains, rules);
        }
        match self.fill(owned, chains, rules) {
            // A kernel that has no such thing.
            Err(error) if matches!(code(&error), Some(libc::EOPNOTSUPP | libc::EINVAL)) => {}
            result => {
                self.owned = result.is_ok();
                return result;
            }
        }
        self.owned = false;
        self.fill(plain, chains, rules)
    }

    /// Deletes the table with all that is in it.
    ///
    /// # Errors
    /// ENOENT when there is none; EPERM when it belongs to a socket that is open.
    pub fn delete(&mut self) -> io::Result<()> {
        let what = format!("delete table {}", self.name);
        let name = self.name.clone();
        let delete = |v6| message(DELETE_TABLE, v6, 0, what.clone()).text(1, &name);
        let mut messages = vec![delete(false)];
        if self.has(true).unwrap_or(false) {
            messages.push(delete(true));
        }
        self.commit(messages).map(drop)
    }

    fn fill(
        &mut self,
        mut messages: Vec<Message>,
        chains: &[Chain],
        rules: &[Rule],
    ) -> io::Result<Vec<Place>> {
        let six = rules.iter().any(|rule| rule.v6);
        for v6 in [false, true].into_iter().filter(|v6| !v6 || six) {
            messages.extend(chains.iter().map(|chain| new_chain(&self.name, chain, v6)));
        }
        self.add_after(messages, rules)
    }

    /// Adds rules at the ends of their chains.
    ///
    /// # Errors
    /// The first refusal; then all is as before. ENOENT when the table has been flushed.
    pub fn add(&mut self, rules: &[Rule]) -> io::Result<Vec<Place>> {
        self.add_after(Vec::new(), rules)
    }

    fn add_after(&mut self, before: Vec<Message>, rules: &[Rule]) -> io::Result<Vec<Place>> {
        let first = before.len() + 1;
        let added = rules.iter().map(|rule| new_rule(&self.name, rule));
        let replies = self.commit(before.into_iter().chain(added).collect())?;
        let mut handles = vec![0; rules.len()];
        for reply in replies.iter().filter(|reply| reply.kind == SUBSYSTEM << 8 | NEW_RULE) {
            let handle = attributes(reply.body.get(4..).unwrap_or_default())
                .find_map(|(kind, value)| (kind == 3).then(|| value.first_chunk::<8>())?);
            let place = reply.index.checked_sub(first).and_then(|at| handles.get_mut(at));
            if let (Some(place), Some(handle)) = (place, handle) {
                *place = u64::from_be_bytes(*handle);
            }
        }
        let places = rules.iter().zip(handles);
        Ok(places.map(|(rule, handle)| Place { v6: rule.v6, chain: rule.chain, handle }).collect())
    }

    /// Removes rules.
    ///
    /// # Errors
    /// ENOENT when one of them is gone; then the others are still there.
    pub fn remove(&mut self, places: &[Place]) -> io::Result<()> {
        let delete = |place: &Place| {
            let what = format!("delete rule {} of chain {}", place.handle, place.chain);
            message(DELETE_RULE, place.v6, 0, what)
                .text(1, &self.name)
                .text(2, place.chain)
                .put(3, &place.handle.to_be_bytes())
        };
        let messages = places.iter().map(delete).collect();
        self.commit(messages).map(drop)
    }

    fn commit(&mut self, messages: Vec<Message>) -> io::Result<Vec<Reply>> {
        let edge = |kind, what| {
            let [high, low] = SUBSYSTEM.to_be_bytes();
            Message::new(kind, 0, what).fixed(&[0, 0, high, low])
        };
        let begin = edge(BATCH_BEGIN, "commit the rules");
        self.socket.batch(begin, messages, edge(BATCH_END, "end"))
    }

    /// A watch over this table.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn watch(&self) -> io::Result<Watch> {
        let socket = Socket::open(libc::NETLINK_NETFILTER, &[GROUP])?;
        Ok(Watch { socket, name: self.name.clone(), port: self.socket.port()? })
    }
}

/// Tells when others take something away from a table.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    name: String,
    /// Port of the socket whose changes are our own.
    port: u32,
}

impl Watch {
    /// Waits until the table, a chain or a rule of it has been deleted by somebody else, or may
    /// have been.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn wait(&self) -> io::Result<()> {
        let lost = |reply: &Reply| {
            let deletes =
                [DELETE_TABLE, DELETE_CHAIN, DELETE_RULE].map(|kind| SUBSYSTEM << 8 | kind);
            deletes.contains(&reply.kind)
                && reply.port != self.port
                && table_of(reply).as_ref() == Some(&self.name)
        };
        loop {
            match self.socket.listen()? {
                Some(replies) if !replies.iter().any(lost) => {}
                _ => return Ok(()),
            }
        }
    }
}

/// The table that a message is about, if it is one of IPv4 or IPv6.
fn table_of(reply: &Reply) -> Option<String> {
    let rest = reply.body.get(4..).filter(|_| matches!(reply.body[0], IPV4 | IPV6))?;
    attributes(rest).find_map(|(kind, value)| (kind == 1).then(|| as_text(value)))
}

fn family(v6: bool) -> u8 {
    if v6 { IPV6 } else { IPV4 }
}

/// struct nfgenmsg.
fn general(v6: bool) -> [u8; 4] {
    [family(v6), 0, 0, 0]
}

fn message(kind: u16, v6: bool, flags: u16, what: String) -> Message {
    Message::new(SUBSYSTEM << 8 | kind, flags, what).fixed(&general(v6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ns::{self, NsKind};

    const PORTS: Chain = Chain { name: "ports", hook: None };

    fn rules() -> Vec<Rule> {
        let all = |network: &str, address: &str| {
            vec![
                Match::From("lo".into()),
                Match::NotTo("br9".into()),
                Match::Source(network.parse().unwrap(), 15),
                Match::Destination(address.parse().unwrap(), 255),
                Match::Established,
                Match::Translated,
            ]
        };
        let publish = |port, first, last| Rule {
            v6: false,
            chain: "ports",
            matches: vec![Match::Protocol(6), Match::Ports(first, last)],
            verdict: Verdict::Redirect("10.9.0.2".parse().unwrap(), port),
            comment: "one two".into(),
        };
        let rule = |chain, matches, verdict| Rule {
            v6: false,
            chain,
            matches,
            verdict,
            comment: "x".into(),
        };
        let six = rule("forward", all("fd09::", "fd09::1"), Verdict::Accept);
        vec![
            rule("forward", all("10.9.0.0", "10.9.0.1"), Verdict::Accept),
            rule("forward", vec![Match::To("br9".into())], Verdict::Drop),
            Rule { v6: true, ..six },
            rule("pre", vec![Match::DestinationIsLocal], Verdict::Jump("ports")),
            rule("post", vec![Match::NotFrom("br9".into())], Verdict::Masquerade),
            publish(Some(80), 8080, 8080),
            Rule {
                v6: true,
                verdict: Verdict::Redirect("fd09::2".parse().unwrap(), Some(80)),
                ..publish(None, 8080, 8080)
            },
            publish(None, 10_000, 19_999),
        ]
    }

    fn chains() -> Vec<Chain> {
        let at = |name, kind, hook, priority| Chain { name, hook: Some((kind, hook, priority)) };
        vec![
            at("forward", ChainKind::Filter, Hook::Forward, 0),
            at("pre", ChainKind::Nat, Hook::Prerouting, -100),
            at("post", ChainKind::Nat, Hook::Postrouting, 100),
            PORTS,
        ]
    }

    /// Runs `work` in a network namespace of its own; not where that or nf_tables is missing.
    fn apart(work: impl FnOnce(Table) + Send) {
        std::thread::scope(|scope| {
            scope.spawn(|| match ns::unshare(NsKind::Net).and_then(|()| Table::open("skiff-t")) {
                Ok(table) => work(table),
                Err(error) => eprintln!("skipped: {error}"),
            });
        });
    }

    #[test]
    fn a_table_is_made_changed_and_replaced() {
        apart(|mut table| {
            assert!(!table.exists().unwrap());
            for _ in 0..2 {
                let places = table.replace(&chains(), &rules()).unwrap();
                assert!(table.exists().unwrap());
                assert_eq!((places.len(), table.count().unwrap()), (8, 8));
                assert!(places.iter().all(|place| place.handle != 0));
                let more = table.add(&rules()[6..]).unwrap();
                assert_eq!(table.count().unwrap(), 10);
                table.remove(&more).unwrap();
                table.remove(&places[6..7]).unwrap();
                assert_eq!(table.count().unwrap(), 7);
                assert_eq!(code(&table.remove(&more).unwrap_err()), Some(libc::ENOENT));
                assert!(table.has(true).unwrap());
            }
            // The table of IPv6 goes with its last rule.
            table.replace(&chains(), &rules()[..2]).unwrap();
            assert_eq!((table.has(true).unwrap(), table.count().unwrap()), (false, 2));
        });
    }

    #[test]
    fn a_refusal_names_the_rule_and_nothing_happens() {
        apart(|mut table| {
            table.replace(&chains(), &rules()).unwrap();
            let mut wrong = rules();
            wrong[1].verdict = Verdict::Jump("nowhere");
            wrong[1].comment = "the wrong one".into();
            let error = table.add(&wrong).unwrap_err();
            assert_eq!(code(&error), Some(libc::ENOENT));
            assert!(
                error.to_string().starts_with("add rule \"the wrong one\" to chain forward: "),
                "{error}"
            );
            assert_eq!(table.count().unwrap(), 8);
        });
    }

    #[test]
    fn another_socket_takes_over_and_a_watch_sees_what_others_delete() {
        apart(|mut table| {
            table.replace(&chains(), &rules()).unwrap();
            let owned = table.is_owned();
            let mut other = Table::open("skiff-t").unwrap();
            if owned {
                assert_eq!(code(&other.add(&rules()).unwrap_err()), Some(libc::EPERM));
                drop(table);
                assert!(other.exists().unwrap());
                other.replace(&chains(), &rules()).unwrap();
                assert!(other.is_owned());
            }
            let mut plain = Table::open("skiff-p").unwrap();
            let make = message(NEW_TABLE, false, CREATE, "make".into()).text(1, "skiff-p");
            plain.commit(vec![make]).unwrap();
            let watch = plain.watch().unwrap();
            let waiting = std::thread::spawn(move || watch.wait().map_err(|e| e.to_string()));
            let delete = message(DELETE_TABLE, false, 0, "delete".into()).text(1, "skiff-p");
            other.commit(vec![delete]).unwrap();
            waiting.join().unwrap().unwrap();
        });
    }
}
