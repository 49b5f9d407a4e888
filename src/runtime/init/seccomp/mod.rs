//! Which system calls a container may make, as a filter for the kernel.
//!
//! - Known and allowed passes; known and denied is EPERM; unknown is ENOSYS, so that a C library
//!   that tries a newer call falls back to the older one. Nothing is ever killed.
//! - Some calls pass with their capability only: they would be of no use without it, and have
//!   been a way into the kernel.
//! - A call of the 32-bit machine that a 64-bit kernel also runs has a table of its own; those of
//!   any other machine, and of x32, are ENOSYS.
//! - The filter searches by halves, and for most calls looks at nothing but the number: the
//!   kernel then remembers the answer and does not even run it.

mod table;

use std::collections::BTreeMap;

use crate::sys::caps::CapSet;
use crate::sys::seccomp::Instruction;

/// A machine's calling convention, as the kernel tells the filter (AUDIT_ARCH_…).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
#[cfg_attr(not(test), allow(dead_code))] // each build has its own machines, the tests all of them
enum Machine {
    X86_64,
    I386,
    Aarch64,
    Arm,
}

impl Machine {
    fn audit_arch(self) -> u32 {
        match self {
            Machine::X86_64 => 0xc000_003e,
            Machine::I386 => 0x4000_0003,
            Machine::Aarch64 => 0xc000_00b7,
            Machine::Arm => 0x4000_0028,
        }
    }
}

#[cfg(target_arch = "x86_64")]
const MACHINES: &[Machine] = &[Machine::X86_64, Machine::I386];
#[cfg(target_arch = "aarch64")]
const MACHINES: &[Machine] = &[Machine::Aarch64, Machine::Arm];
#[cfg(target_arch = "arm")]
const MACHINES: &[Machine] = &[Machine::Arm];

/// One call of the table.
struct Row {
    #[cfg(test)]
    name: &'static str,
    rule: Rule,
    /// Its number on each [`Machine`].
    numbers: [Option<u32>; 4],
}

/// When a call passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Allow,
    Deny,
    /// Without new namespaces, unless CAP_SYS_ADMIN.
    Clone,
    /// Its flags lie in memory, where a filter cannot look: unknown unless CAP_SYS_ADMIN.
    Clone3,
    /// All but the families that reach the hypervisor or the kernel's own ciphers.
    Socket,
    /// The plain ones of Linux, and asking.
    Personality,
    // With one of these capabilities.
    Admin,
    Boot,
    Bpf,
    Chroot,
    Module,
    Nice,
    Pacct,
    Perfmon,
    Ptrace,
    RawIo,
    ReadSearch,
    Syslog,
    Time,
    TtyConfig,
}

const DAC_READ_SEARCH: u8 = 2;
const SYS_MODULE: u8 = 16;
const SYS_RAWIO: u8 = 17;
const SYS_CHROOT: u8 = 18;
const SYS_PTRACE: u8 = 19;
const SYS_PACCT: u8 = 20;
const SYS_ADMIN: u8 = 21;
const SYS_BOOT: u8 = 22;
const SYS_NICE: u8 = 23;
const SYS_TIME: u8 = 25;
const SYS_TTY_CONFIG: u8 = 26;
const SYSLOG: u8 = 34;
const PERFMON: u8 = 38;
const BPF: u8 = 39;

/// What the filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allow,
    Errno(u16),
    /// EPERM when the first argument has one of these bits.
    UnlessBits(u32),
    /// EPERM when the first argument is one of these.
    Unless(&'static [u32]),
    /// EPERM unless the first argument is one of these.
    Only(&'static [u32]),
}

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// AF_ALG, AF_VSOCK.
const CLOSED_FAMILIES: &[u32] = &[38, 40];
/// PER_LINUX, PER_LINUX32, both with UNAME26, and "tell which".
const PERSONALITIES: &[u32] = &[0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

fn answer(rule: Rule, granted: CapSet) -> Answer {
    let with = |capabilities: &[u8]| {
        let any = capabilities.iter().any(|capability| granted.has(*capability));
        if any { Answer::Allow } else { Answer::Errno(EPERM) }
    };
    match rule {
        Rule::Allow => Answer::Allow,
        Rule::Deny => Answer::Errno(EPERM),
        Rule::Clone | Rule::Clone3 if granted.has(SYS_ADMIN) => Answer::Allow,
        Rule::Clone => Answer::UnlessBits(NEW_NAMESPACES),
        Rule::Clone3 => Answer::Errno(ENOSYS),
        Rule::Socket => Answer::Unless(CLOSED_FAMILIES),
        Rule::Personality => Answer::Only(PERSONALITIES),
        Rule::Admin => with(&[SYS_ADMIN]),
        Rule::Boot => with(&[SYS_BOOT]),
        Rule::Bpf => with(&[SYS_ADMIN, BPF]),
        Rule::Chroot => with(&[SYS_CHROOT]),
        Rule::Module => with(&[SYS_MODULE]),
        Rule::Nice => with(&[SYS_NICE]),
        Rule::Pacct => with(&[SYS_PACCT]),
        Rule::Perfmon => with(&[SYS_ADMIN, PERFMON]),
        Rule::Ptrace => with(&[SYS_PTRACE]),
        Rule::RawIo => with(&[SYS_RAWIO]),
        Rule::ReadSearch => with(&[DAC_READ_SEARCH]),
        Rule::Syslog => with(&[SYS_ADMIN, SYSLOG]),
        Rule::Time => with(&[SYS_TIME]),
        Rule::TtyConfig => with(&[SYS_TTY_CONFIG]),
    }
}

/// The filter for a program that may have the capabilities `granted`.
pub(super) fn filter(granted: CapSet) -> Vec<Instruction> {
    assemble(MACHINES, granted)
}

// Operations of classic BPF.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

// Where things are in struct seccomp_data. All our machines have the low half of an argument
// first, and each argument that is looked at is an int to the kernel.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const RETURN_ALLOW: u32 = 0x7fff_0000;
const RETURN_ERRNO: u32 = 0x0005_0000;

fn instruction(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

fn give(answer: Answer) -> Instruction {
    let value = match answer {
        Answer::Errno(errno) => RETURN_ERRNO | u32::from(errno),
        _ => RETURN_ALLOW,
    };
    instruction(RETURN, value)
}

fn assemble(machines: &[Machine], granted: CapSet) -> Vec<Instruction> {
    let mut code = vec![instruction(LOAD, ARCH)];
    for machine in machines {
        let mut block = vec![instruction(LOAD, NUMBER)];
        search(&ranges(*machine, granted), &mut block);
        // One instruction on when it is this machine, over the block when it is not.
        code.push(Instruction { jt: 1, ..instruction(JUMP_IF_EQUAL, machine.audit_arch()) });
        code.push(instruction(JUMP, length(&block)));
        code.append(&mut block);
    }
    code.push(give(Answer::Errno(ENOSYS)));
    code
}

fn length(code: &[Instruction]) -> u32 {
    u32::try_from(code.len()).expect("a filter has a few hundred instructions")
}

/// The answers of `machine` by number: each holds from its number on, up to the next one's. The
/// first begins at 0. Numbers of x32 lie above all of x86-64's and are unknown like any other.
fn ranges(machine: Machine, granted: CapSet) -> Vec<(u32, Answer)> {
    let unknown = Answer::Errno(ENOSYS);
    let mut known = BTreeMap::new();
    for row in table::TABLE {
        if let Some(number) = row.numbers[machine as usize] {
            known.insert(number, answer(row.rule, granted));
        }
    }
    let mut ranges: Vec<(u32, Answer)> = Vec::new();
    let mut begin = |number, answer| {
        if ranges.last().is_none_or(|(_, last)| *last != answer) {
            ranges.push((number, answer));
        }
    };
    let mut next = 0;
    for (number, answer) in known {
        if number > next {
            begin(next, unknown);
        }
        begin(number, answer);
        next = number + 1;
    }
    begin(next, unknown);
    ranges
}

/// Appends a search by halves for the number among `ranges`, which are not empty.
fn search(ranges: &[(u32, Answer)], code: &mut Vec<Instruction>) {
    if let [(_, answer)] = ranges {
        return leaf(*answer, code);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let mut below = Vec::new();
    search(low, &mut below);
    let bound = high[0].0;
    match u8::try_from(below.len()) {
        Ok(over) => code.push(Instruction { jt: over, ..instruction(JUMP_IF_AT_LEAST, bound) }),
        // Too far for a test; a plain jump has 32 bits.
        Err(_) => {
            code.push(Instruction { jf: 1, ..instruction(JUMP_IF_AT_LEAST, bound) });
            code.push(instruction(JUMP, length(&below)));
        }
    }
    code.append(&mut below);
    search(high, code);
}

fn leaf(answer: Answer, code: &mut Vec<Instruction>) {
    let refuse = Answer::Errno(EPERM);
    // (values to compare with, how, what is answered when one fits, and when none does)
    let (values, test, fits, else_) = match &answer {
        Answer::Allow | Answer::Errno(_) => return code.push(give(answer)),
        Answer::UnlessBits(bits) => {
            (std::slice::from_ref(bits), JUMP_IF_BITS, refuse, Answer::Allow)
        }
        Answer::Unless(values) => (*values, JUMP_IF_EQUAL, refuse, Answer::Allow),
        Answer::Only(values) => (*values, JUMP_IF_EQUAL, Answer::Allow, refuse),
    };
    code.push(instruction(LOAD, FIRST_ARGUMENT));
    for (index, value) in values.iter().enumerate() {
        // Over the tests that are left and the answer for none.
        let over = u8::try_from(values.len() - index).expect("a handful of values");
        code.push(Instruction { jt: over, ..instruction(test, *value) });
    }
    code.extend([give(else_), give(fits)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Machine; 4] = [Machine::X86_64, Machine::I386, Machine::Aarch64, Machine::Arm];
    /// The default set of a container.
    const DEFAULT: [u8; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

    /// What the kernel would do: the value returned, and whether an argument was looked at.
    fn run(code: &[Instruction], arch: u32, number: u32, argument: u32) -> (u32, bool) {
        let (mut at, mut value, mut looked) = (0usize, 0u32, false);
        loop {
            let Instruction { code: operation, jt, jf, k } = code[at];
            at += 1;
            let mut jump = |holds| at += usize::from(if holds { jt } else { jf });
            match operation {
                LOAD => {
                    looked |= k >= FIRST_ARGUMENT;
                    value = match k {
                        NUMBER => number,
                        ARCH => arch,
                        FIRST_ARGUMENT => argument,
                        _ => panic!("loads from {k}"),
                    };
                }
                JUMP => at += k as usize,
                JUMP_IF_EQUAL => jump(value == k),
                JUMP_IF_AT_LEAST => jump(value >= k),
                JUMP_IF_BITS => jump(value & k != 0),
                RETURN => return (k, looked),
                other => panic!("operation {other:#x}"),
            }
        }
    }

    fn verdict(code: &[Instruction], machine: Machine, number: u32, argument: u32) -> Answer {
        match run(code, machine.audit_arch(), number, argument).0 {
            RETURN_ALLOW => Answer::Allow,
            value => Answer::Errno(u16::try_from(value ^ RETURN_ERRNO).unwrap()),
        }
    }

    fn number(machine: Machine, name: &str) -> Option<u32> {
        let row = table::TABLE.iter().find(|row| row.name == name);
        row.unwrap_or_else(|| panic!("{name}?")).numbers[machine as usize]
    }

    #[test]
    fn every_call_of_every_machine_gets_the_answer_of_the_table() {
        for granted in [CapSet::of(&DEFAULT), CapSet::default(), CapSet(u64::MAX)] {
            let code = assemble(&ALL, granted);
            assert!(code.len() < 4096, "{}", code.len());
            for machine in ALL {
                for number in (0..1100).chain(0xf_0000..0xf_0010) {
                    let row = table::TABLE
                        .iter()
                        .find(|row| row.numbers[machine as usize] == Some(number));
                    let expected = row.map_or(Answer::Errno(ENOSYS), |r| answer(r.rule, granted));
                    let (expected, argument) = match expected {
                        Answer::UnlessBits(_) | Answer::Unless(_) | Answer::Only(_) => {
                            (Answer::Allow, 0)
                        }
                        plain => (plain, 7),
                    };
                    let got = verdict(&code, machine, number, argument);
                    assert_eq!(got, expected, "{machine:?} {number}");
                }
                for number in [0x4000_0000, 0x4000_0001, 0x7fff_ffff, u32::MAX] {
                    assert_eq!(verdict(&code, machine, number, 0), Answer::Errno(ENOSYS));
                }
            }
            assert_eq!(run(&code, 0xc000_00f3, 1, 0).0, RETURN_ERRNO | u32::from(ENOSYS));
        }
    }

    #[test]
    fn a_number_stands_for_one_call() {
        for machine in ALL {
            let mut seen = BTreeMap::new();
            for row in table::TABLE {
                if let Some(number) = row.numbers[machine as usize] {
                    let other = seen.insert(number, row.name);
                    assert_eq!(other, None, "{machine:?} {} is {number}", row.name);
                }
            }
        }
    }

    #[test]
    fn arguments_decide_where_they_must() {
        let code = assemble(&ALL, CapSet::of(&DEFAULT));
        let refused = Answer::Errno(EPERM);
        for machine in ALL {
            let check = |name, argument, expected| {
                let Some(number) = number(machine, name) else { return };
                let got = verdict(&code, machine, number, argument);
                assert_eq!(got, expected, "{machine:?} {name} {argument:#x}");
            };
            check("clone", 0x0120_0011, Answer::Allow); // fork
            check("clone", 0x003d_0f00, Answer::Allow); // a thread
            check("clone", 0x1000_0011, refused); // a user namespace
            check("clone", 0x0002_0011, refused);
            check("clone3", 0, Answer::Errno(ENOSYS));
            check("socket", 2, Answer::Allow);
            check("socket", 16, Answer::Allow);
            check("socket", 38, refused);
            check("socket", 40, refused);
            check("personality", 0xffff_ffff, Answer::Allow);
            check("personality", 0x8, Answer::Allow);
            check("personality", 0x4_0000, refused);
            for name in ["unshare", "mount", "setns", "bpf", "keyctl", "open_by_handle_at"] {
                check(name, 0, refused);
            }
            for name in ["chroot", "ptrace", "clock_gettime64", "statx", "close_range", "execve"] {
                check(name, 0, Answer::Allow);
            }
        }
    }

    #[test]
    fn most_calls_are_decided_by_their_number_in_few_steps() {
        let code = filter(CapSet::of(&DEFAULT));
        for row in table::TABLE.iter().filter(|row| row.rule == Rule::Allow) {
            if let Some(number) = row.numbers[MACHINES[0] as usize] {
                assert!(!run(&code, MACHINES[0].audit_arch(), number, 0).1, "{}", row.name);
            }
        }
    }

    /// The C library's numbers for this machine, where it has them.
    #[test]
    fn numbers_are_those_of_this_machine() {
        for (name, expected) in crate::sys::seccomp::KNOWN_NUMBERS {
            let found = number(MACHINES[0], name).unwrap().to_string();
            assert_eq!(found, expected.to_string(), "{name}");
        }
    }
}
