//! Capabilities by name, and the set that a container gets.

use crate::base::{Error, Result};
use crate::model::HostConfig;

/// Names without `CAP_`; the position is the number (capabilities(7)).
const NAMES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has when nothing is asked for: Docker's fourteen.
const DEFAULT: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

const ALL: &str = "ALL";

fn number(name: &str) -> Option<u8> {
    NAMES.iter().position(|known| *known == name).and_then(|at| u8::try_from(at).ok())
}

/// The canonical form of a capability's name: upper case, without `CAP_`.
///
/// # Errors
/// `invalid capability: "x"`.
pub fn canonical(text: &str) -> Result<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name == ALL || number(name).is_some() {
        return Ok(name.to_owned());
    }
    Err(Error::bad_parameter(format!("invalid capability: {text:?}")))
}

/// Numbers of the capabilities that `host` grants, ascending; none above `last`, the newest that
/// this kernel knows.
pub fn granted(host: &HostConfig, last: u8) -> Vec<u8> {
    let has = |list: &[String], name: &str| list.iter().any(|entry| entry == name);
    let keeps = |name: &&&str| {
        let name: &str = name;
        if host.privileged {
            true
        } else if has(&host.cap_add, ALL) {
            !has(&host.cap_drop, name)
        } else if has(&host.cap_drop, ALL) {
            has(&host.cap_add, name)
        } else {
            has(&host.cap_add, name) || (DEFAULT.contains(&name) && !has(&host.cap_drop, name))
        }
    };
    NAMES.iter().filter(keeps).filter_map(|name| number(name)).filter(|n| *n <= last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(add: &[&str], drop: &[&str], privileged: bool) -> Vec<&'static str> {
        let own = |list: &[&str]| list.iter().map(|name| canonical(name).unwrap()).collect();
        let host = HostConfig {
            cap_add: own(add),
            cap_drop: own(drop),
            privileged,
            ..HostConfig::default()
        };
        granted(&host, 40).into_iter().map(|n| NAMES[usize::from(n)]).collect()
    }

    #[test]
    fn additions_and_drops_are_weighed_as_docker_does() {
        assert_eq!(names(&[], &[], false).len(), 14);
        assert_eq!(names(&[], &["all"], false), Vec::<&str>::new());
        assert_eq!(names(&["cap_net_admin"], &["ALL"], false), ["NET_ADMIN"]);
        assert_eq!(names(&["ALL"], &["SYS_ADMIN"], false).len(), 40);
        assert!(!names(&[], &["chown"], false).contains(&"CHOWN"));
        assert!(names(&["chown"], &["chown"], false).contains(&"CHOWN"));
        assert_eq!(names(&[], &[], true).len(), 41);
        assert_eq!(
            granted(&HostConfig { privileged: true, ..HostConfig::default() }, 37).len(),
            38
        );
    }

    #[test]
    fn unknown_names_are_refused() {
        for bad in ["", "CAP_", "SYS_ADMIN ", "CAP_CAP_CHOWN", "nope"] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }
}
