//! Chains and rules as nf_tables' messages carry them. linux/netfilter/nf_tables.h.
//!
//! A rule is a list of expressions that load facts about a packet into a register, compare it,
//! and decide.

use std::net::IpAddr;

use super::{CREATE, NEW_CHAIN, NEW_RULE, family, message};
use crate::sys::netlink::Message;
use crate::sys::rtnl::octets;

const APPEND: u16 = 0x800;
const ECHO: u16 = 8;
const REGISTER: u32 = 1;
const REGISTER_2: u32 = 2;
const VALUE: u16 = 1;

/// Hooks of the kernel, with their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// All that arrives.
    Prerouting = 0,
    /// What is for this host.
    Input = 1,
    /// What is for others than this host.
    Forward = 2,
    /// What this host sends.
    Output = 3,
    /// All that leaves.
    Postrouting = 4,
}

/// What a chain at a hook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// Lets pass or drops.
    Filter,
    /// Translates addresses, asked for the first packet of a connection.
    Nat,
}

/// A chain of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where the kernel enters it, and at which priority; `None` is entered by jumps only.
    pub hook: Option<(ChainKind, Hook, i32)>,
}

/// What a packet must be for a rule to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It has arrived by this interface.
    From(String),
    /// It has arrived by another interface.
    NotFrom(String),
    /// It leaves by this interface.
    To(String),
    /// It leaves by another interface.
    NotTo(String),
    /// Its protocol.
    Protocol(u8),
    /// Its source is in this network.
    Source(IpAddr, u8),
    /// Its destination is in this network.
    Destination(IpAddr, u8),
    /// Its destination is an address of this host.
    DestinationIsLocal,
    /// Its destination port, from first to last; after [`Match::Protocol`].
    Ports(u16, u16),
    /// It belongs or relates to a connection that was let pass before.
    Established,
    /// Its connection's destination was translated.
    Translated,
}

/// What is done with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this table.
    Accept,
    /// It is dropped.
    Drop,
    /// The rules of another chain are asked.
    Jump(&'static str),
    /// It gets the address of the interface by which it leaves.
    Masquerade,
    /// It gets another destination; its port stays where none is given.
    Redirect(IpAddr, Option<u16>),
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// It is about packets of IPv6, or else of IPv4.
    pub v6: bool,
    /// Its chain.
    pub chain: &'static str,
    /// All of this must hold.
    pub matches: Vec<Match>,
    /// Then this is done.
    pub verdict: Verdict,
    /// Shown beside it by nft(8), at most 100 bytes.
    pub comment: String,
}

pub(super) fn new_chain(table: &str, chain: &Chain, v6: bool) -> Message {
    let what = format!("make chain {}", chain.name);
    let mut message = message(NEW_CHAIN, v6, CREATE, what).text(1, table).text(3, chain.name);
    if let Some((kind, hook, priority)) = chain.hook {
        message.push_nest(4, |nest| {
            nest.push_be32(1, hook as u32);
            nest.push(2, &priority.to_be_bytes());
        });
        message.push_be32(5, 1); // what no rule decides passes
        let kind = match kind {
            ChainKind::Filter => "filter",
            ChainKind::Nat => "nat",
        };
        message.push_text(7, kind);
    }
    message
}

pub(super) fn new_rule(table: &str, rule: &Rule) -> Message {
    let what = format!("add rule \"{}\" to chain {}", rule.comment, rule.chain);
    let mut message = message(NEW_RULE, rule.v6, CREATE | APPEND | ECHO, what)
        .text(1, table)
        .text(2, rule.chain)
        .nest(4, |list| {
            for condition in &rule.matches {
                condition.push(list);
            }
            rule.verdict.push(list);
        });
    if !rule.comment.is_empty() {
        // As nft(8) writes it: type, length, text with its final zero.
        let mut text = rule.comment.as_bytes()[..rule.comment.len().min(100)].to_vec();
        text.push(0);
        let mut value = vec![0, u8::try_from(text.len()).unwrap_or(0)];
        value.append(&mut text);
        message.push(7, &value);
    }
    message
}

fn expression(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.push_nest(1, |element| {
        element.push_text(1, name);
        element.push_nest(2, fill);
    });
}

/// Loads a fact about the packet into the register.
fn load(list: &mut Message, name: &str, key: u32) {
    expression(list, name, |data| {
        data.push_be32(1, REGISTER);
        data.push_be32(2, key);
    });
}

/// Loads a part of a header: `base` 1 is the network's, 2 the transport's.
fn payload(list: &mut Message, base: u32, offset: u32, length: u32) {
    expression(list, "payload", |data| {
        for (kind, value) in [(1, REGISTER), (2, base), (3, offset), (4, length)] {
            data.push_be32(kind, value);
        }
    });
}

#[derive(Clone, Copy)]
enum Comparison {
    Equal = 0,
    NotEqual = 1,
    NotAbove = 3,
    NotBelow = 5,
}

fn compare(list: &mut Message, how: Comparison, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.push_be32(1, REGISTER);
        data.push_be32(2, how as u32);
        data.push_nest(3, |nest| nest.push(VALUE, value));
    });
}

/// Keeps the bits of the register that are in `bits`.
fn mask(list: &mut Message, bits: &[u8]) {
    expression(list, "bitwise", |data| {
        let length = if bits.len() == 4 { 4 } else { 16 };
        for (kind, value) in [(1, REGISTER), (2, REGISTER), (3, length)] {
            data.push_be32(kind, value);
        }
        data.push_nest(4, |nest| nest.push(VALUE, bits));
        data.push_nest(5, |nest| nest.push(VALUE, &[0; 16][..bits.len()]));
    });
}

/// Puts `value` into a register.
fn immediate(list: &mut Message, register: u32, value: &[u8]) {
    expression(list, "immediate", |data| {
        data.push_be32(1, register);
        data.push_nest(2, |nest| nest.push(VALUE, value));
    });
}

fn decide(list: &mut Message, verdict: i32, chain: Option<&str>) {
    expression(list, "immediate", |data| {
        data.push_be32(1, 0);
        data.push_nest(2, |nest| {
            nest.push_nest(2, |inner| {
                inner.push(1, &verdict.to_be_bytes());
                if let Some(chain) = chain {
                    inner.push_text(2, chain);
                }
            });
        });
    });
}

/// Compares the name of an interface: the one a packet came by, or leaves by.
fn interface(list: &mut Message, key: u32, how: Comparison, name: &str) {
    let mut padded = [0; 16];
    for (to, from) in padded.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    load(list, "meta", key);
    compare(list, how, &padded);
}

/// Compares the beginning of a packet's source (0) or destination (1).
fn network(list: &mut Message, at: usize, address: IpAddr, prefix: u8) {
    let mut bytes = octets(&address);
    // Where the two are in the headers of both families.
    let (offset, length) = if bytes.len() == 4 { ([12, 16], 4) } else { ([8, 24], 16) };
    let mut bits = vec![0; bytes.len()];
    let mut rest = u32::from(prefix);
    for (byte, bits) in bytes.iter_mut().zip(&mut bits) {
        *bits = !0xff_u8.checked_shr(rest).unwrap_or(0);
        *byte &= *bits;
        rest = rest.saturating_sub(8);
    }
    payload(list, 1, offset[at], length);
    if bits.iter().any(|bits| *bits != 0xff) {
        mask(list, &bits);
    }
    compare(list, Comparison::Equal, &bytes);
}

/// Asks for any of these bits of what is known of the packet's connection.
fn any_of(list: &mut Message, key: u32, bits: u32) {
    load(list, "ct", key);
    mask(list, &bits.to_ne_bytes());
    compare(list, Comparison::NotEqual, &[0; 4]);
}

impl Match {
    fn push(&self, list: &mut Message) {
        const META_IN: u32 = 6;
        const META_OUT: u32 = 7;
        const META_PROTOCOL: u32 = 16;
        const CT_STATE: u32 = 0;
        const CT_STATUS: u32 = 2;
        const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
        const TRANSLATED: u32 = 1 << 5;
        match self {
            Match::From(name) => interface(list, META_IN, Comparison::Equal, name),
            Match::NotFrom(name) => interface(list, META_IN, Comparison::NotEqual, name),
            Match::To(name) => interface(list, META_OUT, Comparison::Equal, name),
            Match::NotTo(name) => interface(list, META_OUT, Comparison::NotEqual, name),
            Match::Protocol(number) => {
                load(list, "meta", META_PROTOCOL);
                compare(list, Comparison::Equal, &[*number]);
            }
            Match::Source(address, prefix) => network(list, 0, *address, *prefix),
            Match::Destination(address, prefix) => network(list, 1, *address, *prefix),
            Match::DestinationIsLocal => {
                expression(list, "fib", |data| {
                    data.push_be32(1, REGISTER);
                    data.push_be32(2, 3); // the type of the address
                    data.push_be32(3, 2); // of the destination
                });
                compare(list, Comparison::Equal, &2_u32.to_ne_bytes()); // RTN_LOCAL
            }
            Match::Ports(first, last) => {
                payload(list, 2, 2, 2);
                if first == last {
                    compare(list, Comparison::Equal, &first.to_be_bytes());
                } else {
                    compare(list, Comparison::NotBelow, &first.to_be_bytes());
                    compare(list, Comparison::NotAbove, &last.to_be_bytes());
                }
            }
            Match::Established => any_of(list, CT_STATE, ESTABLISHED_OR_RELATED),
            Match::Translated => any_of(list, CT_STATUS, TRANSLATED),
        }
    }
}

impl Verdict {
    fn push(&self, list: &mut Message) {
        const DROP: i32 = 0;
        const ACCEPT: i32 = 1;
        const JUMP: i32 = -3;
        const DESTINATION: u32 = 1;
        match self {
            Verdict::Accept => decide(list, ACCEPT, None),
            Verdict::Drop => decide(list, DROP, None),
            Verdict::Jump(chain) => decide(list, JUMP, Some(chain)),
            Verdict::Masquerade => expression(list, "masq", |_| {}),
            Verdict::Redirect(address, port) => {
                immediate(list, REGISTER, &octets(address));
                if let Some(port) = port {
                    immediate(list, REGISTER_2, &port.to_be_bytes());
                }
                expression(list, "nat", |data| {
                    data.push_be32(1, DESTINATION);
                    data.push_be32(2, family(address.is_ipv6()).into());
                    data.push_be32(3, REGISTER);
                    if port.is_some() {
                        data.push_be32(5, REGISTER_2);
                    }
                });
            }
        }
    }
}
