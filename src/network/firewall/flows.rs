//! Flows of datagrams that rules have changed for.
//!
//! The kernel keeps the translation of a flow as long as its packets come. So who sends steadily to
//! a published port would be led to the container of before, or to nobody, for ever: such flows are
//! forgotten when ports are published and when they are withdrawn. Connections of tcp begin anew
//! by themselves.

use std::net::IpAddr;

use crate::debug;
use crate::model::{Protocol, Published};
use crate::sys::conntrack::{self, Flow};

const UDP: u8 = 17;

/// A change of published ports that lead to `container`, by the address of their family.
pub(super) struct Change<'a> {
    pub container: &'a [IpAddr],
    pub ports: &'a [Published],
    /// They are published no more.
    pub over: bool,
}

/// Forgets the flows that these changes concern.
pub(super) fn forget(changes: &[Change<'_>]) {
    let udp = |change: &Change<'_>| {
        change.ports.iter().any(|published| published.ports.protocol == Protocol::Udp)
    };
    if !changes.iter().any(udp) {
        return;
    }
    let forgotten = conntrack::forget(&mut |flow| changes.iter().any(|change| change.ends(flow)));
    match forgotten {
        Ok(0) => {}
        Ok(count) => debug!("{count} flows of datagrams begin anew"),
        // Where flows cannot be shown, they end when nobody has sent for half a minute.
        Err(error) => debug!("flows of datagrams go on as they were: {error}"),
    }
}

impl Change<'_> {
    /// Whether a flow goes where it should not go any more.
    fn ends(&self, flow: &Flow) -> bool {
        if flow.protocol != UDP {
            return false;
        }
        if self.over {
            let is_own = |address| self.container.contains(address);
            return is_own(&flow.answers_from) && !is_own(&flow.to);
        }
        let covers = |published: &Published| {
            let host = published.host;
            published.ports.protocol == Protocol::Udp
                && (published.first..=published.last()).contains(&flow.port)
                && host.is_ipv6() == flow.to.is_ipv6()
                && (host.is_unspecified() || host == flow.to)
        };
        !self.container.contains(&flow.answers_from) && self.ports.iter().any(covers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_end_when_their_port_changes_hands() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let flow = |to: &str, port, from: &str| Flow {
            protocol: UDP,
            to: address(to),
            port,
            answers_from: address(from),
        };
        let host = |text: &str| text.parse().unwrap();
        let ports = [
            Published { host: host("::"), first: 90, ports: "90/udp".parse().unwrap() },
            Published { host: host("0.0.0.0"), first: 5000, ports: "53-54/udp".parse().unwrap() },
            Published { host: host("10.0.0.1"), first: 70, ports: "70/udp".parse().unwrap() },
            Published { host: host("0.0.0.0"), first: 80, ports: "80/tcp".parse().unwrap() },
        ];
        let check = |over, flow: Flow, expected| {
            let container = [address("172.17.0.3"), address("fd00::3")];
            let change = Change { container: &container, ports: &ports, over };
            assert_eq!(change.ends(&flow), expected, "{over} {flow:?}");
        };
        let old = flow("10.0.0.1", 5001, "172.17.0.2");
        check(false, old, true);
        check(false, flow("10.0.0.1", 5001, "10.0.0.1"), true);
        check(false, flow("10.0.0.1", 5002, "10.0.0.1"), false);
        check(false, flow("10.0.0.1", 5001, "172.17.0.3"), false);
        check(false, flow("10.0.0.1", 70, "172.17.0.2"), true);
        check(false, flow("10.0.0.2", 70, "10.0.0.2"), false);
        check(false, flow("10.0.0.1", 80, "172.17.0.2"), false);
        check(false, flow("fd00::1", 5001, "fd00::1"), false);
        check(false, flow("fd00::1", 90, "fd00::2"), true);
        check(false, flow("fd00::1", 90, "fd00::3"), false);
        check(false, flow("10.0.0.1", 90, "172.17.0.2"), false);
        check(true, flow("fd00::1", 90, "fd00::3"), true);
        check(false, Flow { protocol: 6, ..old }, false);
        check(true, old, false);
        check(true, flow("10.0.0.1", 5001, "172.17.0.3"), true);
        // From one container to another, without translation.
        check(true, flow("172.17.0.3", 53, "172.17.0.3"), false);
    }
}
