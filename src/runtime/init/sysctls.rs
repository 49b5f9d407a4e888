//! Kernel parameters of the container's own namespaces.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use crate::base::{Context, Error, Result};
use crate::runtime::launch::{Launch, Namespace, Namespaces};
use crate::sys::node;

/// Parameters of the IPC namespace; `fs.mqueue.` is too.
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Checks that `name` is the name of a parameter that belongs to a namespace of the container.
///
/// # Errors
/// When it would reach beyond the container, by its meaning or by the way that it is written.
pub fn check(name: &str, namespaces: &Namespaces) -> Result<()> {
    let word = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if !name.split(['.', '/']).all(word) {
        return Err(Error::bad_parameter(format!("sysctl {name:?} is not the name of one")));
    }
    let dotted = name.replace('/', ".");
    let own = |namespace: &Namespace| *namespace != Namespace::Host;
    let allowed = if dotted.starts_with("net.") {
        own(&namespaces.net)
    } else if OF_IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
        own(&namespaces.ipc)
    } else if dotted == "kernel.domainname" {
        own(&namespaces.uts)
    } else {
        false
    };
    if allowed {
        return Ok(());
    }
    let text = format!("sysctl {name} does not belong to a namespace of the container");
    Err(Error::bad_parameter(text))
}

/// Path of parameter `name` below /proc/sys. As for sysctl(8), the separator that comes first
/// separates, and the other one stands for itself: `net/ipv4/conf/eth0.1/forwarding`.
fn path(name: &str) -> PathBuf {
    let dots_first = name.find(['.', '/']).is_some_and(|at| name.as_bytes()[at] == b'.');
    let swap = |c| match c {
        '.' if dots_first => '/',
        '/' if dots_first => '.',
        c => c,
    };
    PathBuf::from("sys").join(name.chars().map(swap).collect::<String>())
}

/// Sets those of the launch file, in the mounted `proc`.
pub(super) fn apply(launch: &Launch, proc: &OwnedFd) -> Result<()> {
    for (name, value) in &launch.sysctls {
        check(name, &launch.namespaces)?;
        node::write_below(proc.as_fd(), &path(name))
            .and_then(|fd| File::from(fd).write_all(value.as_bytes()))
            .context(|| format!("set sysctl {name} to {value:?}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_of_own_namespaces_pass() {
        let own = Namespaces::default();
        let host = Namespaces { net: Namespace::Host, ipc: Namespace::Host, ..own.clone() };
        for good in ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "kernel.sem"] {
            check(good, &own).unwrap();
            check(good, &host).unwrap_err();
        }
        for bad in [
            "kernel.core_pattern",
            "a=b+kernel.core_pattern",
            "net.ipv4.ip_forward=1+kernel.core_pattern",
            "net/../kernel/core_pattern",
            "net..ipv4",
            "vm.overcommit_memory",
            "",
        ] {
            check(bad, &own).unwrap_err();
        }
    }

    #[test]
    fn the_first_separator_separates() {
        assert_eq!(path("net.ipv4.ip_forward"), PathBuf::from("sys/net/ipv4/ip_forward"));
        let dotted = PathBuf::from("sys/net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding"), dotted);
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), dotted);
    }
}
