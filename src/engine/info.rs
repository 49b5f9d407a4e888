//! The state of the whole.

use std::path::Path;

use super::{Engine, Info};
use crate::base::log;
use crate::container::State;
use crate::image::Driver;
use crate::sys;

impl Engine {
    /// The state of the whole.
    pub fn info(&self) -> Info {
        let support = self.cgroups.support();
        let host = sys::host::uname().ok();
        let (mut running, mut paused, mut stopped) = (0, 0, 0);
        for snapshot in self.snapshots() {
            match snapshot.state {
                State::Running { paused: true, .. } => paused += 1,
                State::Running { .. } | State::Restarting { .. } => running += 1,
                _ => stopped += 1,
            }
        }
        let (driver, why) = self.images.driver();
        let mut warnings: Vec<String> = why.iter().cloned().collect();
        warnings.extend(support.warnings.iter().cloned());
        let ipv4_forwarding = read_trimmed("/proc/sys/net/ipv4/ip_forward") == "1";
        if !ipv4_forwarding {
            warnings.push("WARNING: IPv4 forwarding is disabled".into());
        }
        let (rules, about_rules) = self.networks.describe_rules();
        warnings.extend(about_rules);
        let mut driver_status = match driver {
            Driver::Overlay => vec![("Supports d_type".to_owned(), "true".to_owned())],
            Driver::Copy => why.into_iter().map(|why| ("Reason".to_owned(), why)).collect(),
        };
        if let Some(rules) = rules {
            driver_status.push(("Firewall".to_owned(), rules.to_owned()));
        }
        Info {
            id: self.id.clone(),
            running,
            paused,
            stopped,
            images: self.images.list().len(),
            driver: match driver {
                Driver::Overlay => "overlay2".into(),
                Driver::Copy => "vfs".into(),
            },
            driver_status,
            cgroup_version: support.version.to_owned(),
            memory_limit: support.memory,
            swap_limit: support.swap,
            cpu_shares: support.cpu_shares,
            cpuset: support.cpuset,
            pids_limit: support.pids,
            seccomp: Path::new("/proc/sys/kernel/seccomp").exists(),
            ipv4_forwarding,
            warnings,
            root: self.options.root.clone(),
            kernel: host.as_ref().map(|host| host.release.clone()).unwrap_or_default(),
            operating_system: operating_system(),
            architecture: host.as_ref().map(|host| host.machine.clone()).unwrap_or_default(),
            cpus: self.cpus,
            memory: sys::host::total_memory().unwrap_or(0),
            name: host.map(|host| host.nodename).unwrap_or_default(),
            debug: log::debug(),
            fds: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            event_listeners: self.events.listeners(),
            labels: self.options.labels.clone(),
        }
    }
}

fn read_trimmed(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn entries(path: &str) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

/// `PRETTY_NAME` of the host's os-release(5).
fn operating_system() -> String {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    pretty_name(&text).unwrap_or_else(|| "Linux".to_owned())
}

fn pretty_name(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_system_is_read() {
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n";
        assert_eq!(pretty_name(text).as_deref(), Some("Debian GNU/Linux 13 (trixie)"));
        assert_eq!(pretty_name("PRETTY_NAME=Plain").as_deref(), Some("Plain"));
        assert_eq!(pretty_name("NAME=x"), None);
    }
}
