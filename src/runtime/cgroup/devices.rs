//! Which devices a container may open: a list in the v1 controller, a BPF program on v2.

use std::os::fd::AsFd;
use std::path::Path;

use super::v1::set;
use crate::base::{Context, Error, Result};
use crate::model::HostConfig;
use crate::sys::bpf::{self, Instruction};
use crate::sys::node;

/// How deep a directory of devices is searched.
const MAX_DEPTH: u32 = 8;

/// Something that is allowed; `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    kind: char,
    major: Option<u32>,
    minor: Option<u32>,
    access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Access {
    read: bool,
    write: bool,
    make: bool,
}

const ALL: Access = Access { read: true, write: true, make: true };
const MAKE: Access = Access { read: false, write: false, make: true };

const fn node_rule(major: u32, minor: u32) -> Rule {
    Rule { kind: 'c', major: Some(major), minor: Some(minor), access: ALL }
}

/// What every container may use. Nodes of any device may be made (tools that unpack archives do),
/// but not opened.
const DEFAULT: [Rule; 12] = [
    Rule { kind: 'c', major: None, minor: None, access: MAKE },
    Rule { kind: 'b', major: None, minor: None, access: MAKE },
    node_rule(1, 3),
    node_rule(1, 5),
    node_rule(1, 7),
    node_rule(1, 8),
    node_rule(1, 9),
    node_rule(5, 0),
    node_rule(5, 1),
    node_rule(5, 2),
    Rule { kind: 'c', major: Some(136), minor: None, access: ALL },
    node_rule(10, 200),
];

/// What the container may use; `None` is everything.
fn rules(host: &HostConfig) -> Result<Option<Vec<Rule>>> {
    if host.privileged {
        return Ok(None);
    }
    let mut rules = DEFAULT.to_vec();
    for device in &host.devices {
        let has = |letter| device.permissions.contains(letter);
        let access = Access { read: has('r'), write: has('w'), make: has('m') };
        let found = rules.len();
        collect(Path::new(&device.host_path), access, &mut rules, MAX_DEPTH)
            .context(|| format!("look at device {}", device.host_path))?;
        if rules.len() == found {
            return Err(Error::bad_parameter(format!("{} is no device", device.host_path)));
        }
    }
    Ok(Some(rules))
}

/// Adds the device at `path`, or those in the directory.
fn collect(path: &Path, access: Access, rules: &mut Vec<Rule>, depth: u32) -> std::io::Result<()> {
    let stat = node::stat(node::find_on_host(path)?.as_fd())?;
    if let Some(kind) = stat.device_kind() {
        let (major, minor) = stat.rdev;
        rules.push(Rule { kind, major: Some(major), minor: Some(minor), access });
    } else if stat.is_dir() && depth > 0 {
        for entry in std::fs::read_dir(path)? {
            collect(&entry?.path(), access, rules, depth - 1)?;
        }
    }
    Ok(())
}

/// Denies everything in the v1 group `dir`, then allows what is on the list.
pub(super) fn restrict_v1(dir: &Path, host: &HostConfig) -> Result<()> {
    let Some(rules) = rules(host)? else { return Ok(()) };
    set(dir, "devices.deny", "a")?;
    rules.iter().try_for_each(|rule| set(dir, "devices.allow", line(rule)))
}

/// A rule as the v1 controller reads it.
fn line(rule: &Rule) -> String {
    let number = |n: Option<u32>| n.map_or("*".into(), |n| n.to_string());
    let Rule { kind, major, minor, access } = rule;
    let letters = [(access.read, 'r'), (access.write, 'w'), (access.make, 'm')];
    let letters: String = letters.iter().filter(|(has, _)| *has).map(|(_, c)| c).collect();
    format!("{kind} {}:{} {letters}", number(*major), number(*minor))
}

/// Attaches to the v2 group `dir` a program that allows what is on the list.
pub(super) fn restrict_v2(dir: &Path, host: &HostConfig) -> Result<()> {
    let Some(rules) = rules(host)? else { return Ok(()) };
    let attach = || {
        let program = bpf::load_device_program(&program(&rules))?;
        bpf::attach_device_program(node::find_on_host(dir)?.as_fd(), program.as_fd())
    };
    attach().context(|| "restrict devices by a BPF program".into())
}

/// Whether this kernel takes such programs.
pub(super) fn program_works() -> bool {
    bpf::load_device_program(&program(&DEFAULT)).is_ok()
}

/// The program: for each rule, jumps to the next one where it does not fit; answers 1 (allow)
/// where it fits, 0 at the end. It is told of type and access, major and minor, 32 bits each.
fn program(rules: &[Rule]) -> Vec<Instruction> {
    // Registers: 1 is the context, 2 the type, 3 the access, 4 the major, 5 the minor.
    let mut code = vec![
        bpf::load_u32(2, 1, 0),
        bpf::copy(3, 2),
        bpf::and(2, 0xffff),
        bpf::shift_right(3, 16),
        bpf::load_u32(4, 1, 4),
        bpf::load_u32(5, 1, 8),
    ];
    for rule in rules {
        let mut tests = vec![(2, if rule.kind == 'b' { 1 } else { 2 })];
        tests.extend(rule.major.map(|major| (4, major)));
        tests.extend(rule.minor.map(|minor| (5, minor)));
        // BPF_DEVCG_ACC_MKNOD is 1, READ 2, WRITE 4: those asked for that the rule lacks.
        let Access { read, write, make } = rule.access;
        let granted = u32::from(make) | u32::from(read) << 1 | u32::from(write) << 2;
        // After the tests: copy, and, jump; move, exit.
        let mut left = i16::try_from(tests.len()).unwrap_or(i16::MAX) + 5;
        for (register, value) in tests {
            left -= 1;
            code.push(bpf::skip_unless_equal(register, value, left));
        }
        code.extend([
            bpf::copy(0, 3),
            bpf::and(0, !granted & 0x7),
            bpf::skip_unless_equal(0, 0, 2),
            bpf::set(0, 1),
            bpf::exit(),
        ]);
    }
    code.extend([bpf::set(0, 0), bpf::exit()]);
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Device;

    #[test]
    fn rules_read_as_the_controller_wants_them() {
        assert_eq!(line(&DEFAULT[0]), "c *:* m");
        assert_eq!(line(&DEFAULT[2]), "c 1:3 rwm");
        assert_eq!(line(&DEFAULT[10]), "c 136:* rwm");
    }

    #[test]
    fn a_device_that_is_given_adds_its_numbers() {
        let device = |path: &str| Device {
            host_path: path.into(),
            container_path: path.into(),
            permissions: "r".into(),
        };
        let mut host = HostConfig { devices: vec![device("/dev/null")], ..HostConfig::default() };
        let added = rules(&host).unwrap().unwrap();
        assert_eq!(line(&added[DEFAULT.len()]), "c 1:3 r");
        host.devices[0] = device("/etc/passwd");
        assert_eq!(rules(&host).unwrap_err().to_string(), "/etc/passwd is no device");
        host.privileged = true;
        assert_eq!(rules(&host).unwrap(), None);
    }

    #[test]
    fn the_program_decides_like_the_list() {
        let rules =
            [&DEFAULT[..], &[Rule { kind: 'b', major: Some(8), minor: None, access: MAKE }]]
                .concat();
        let code = program(&rules);
        for (kind, major, minor, access, expected) in [
            (2, 1, 3, 6, 1), // read and write /dev/null
            (2, 1, 4, 2, 0),
            (2, 1, 4, 1, 1), // make any
            (2, 136, 77, 6, 1),
            (1, 1, 3, 2, 0), // a block device of the same number
            (1, 8, 1, 1, 1),
            (1, 8, 1, 3, 0),
        ] {
            let context = [access << 16 | kind, major, minor];
            assert_eq!(bpf::simulate(&code, &context), expected, "{context:?}");
        }
    }
}
