//! Ports of a container, kept as ranges: ten thousand of them are one entry, in memory and on disk.

use serde::{Deserialize, Deserializer, Serialize};

use super::{PortProto, PortRange};
use crate::base::order;

/// A set of ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// The set of these.
    pub fn new(ports: impl IntoIterator<Item = PortRange>) -> PortSet {
        let mut ranges: Vec<PortRange> = ports.into_iter().collect();
        order::sort_by(&mut ranges, |a, b| (a.protocol, a.first).cmp(&(b.protocol, b.first)));
        let mut joined: Vec<PortRange> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last)
                    if last.protocol == range.protocol
                        && last.last.saturating_add(1) >= range.first =>
                {
                    last.last = last.last.max(range.last);
                }
                _ => joined.push(range),
            }
        }
        order::sort_by(&mut joined, |a, b| (a.first, a.protocol).cmp(&(b.first, b.protocol)));
        PortSet(joined)
    }

    /// Adds those of another set.
    pub fn extend(&mut self, other: impl IntoIterator<Item = PortRange>) {
        let all = std::mem::take(&mut self.0);
        *self = PortSet::new(all.into_iter().chain(other));
    }

    /// The ranges, by their first ports. No two of them have a port in common.
    pub fn ranges(&self) -> impl Iterator<Item = PortRange> + '_ {
        self.0.iter().copied()
    }

    /// Each port by itself.
    pub fn iter(&self) -> impl Iterator<Item = PortProto> + '_ {
        self.ranges().flat_map(PortRange::ports)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for PortSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PortSet, D::Error> {
        Vec::deserialize(deserializer).map(PortSet::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_kept_as_ranges() {
        let check = |ports: &[&str], expected: &str| {
            let set = PortSet::new(ports.iter().map(|port| port.parse().unwrap()));
            let text = serde_json::to_string(&set).unwrap();
            assert_eq!(text, expected);
            assert_eq!(serde_json::from_str::<PortSet>(&text).unwrap(), set);
        };
        check(&[], "[]");
        check(&["82/tcp", "80", "81/udp", "81"], r#"["80-82/tcp","81/udp"]"#);
        check(&["9", "80-90", "85-100", "100"], r#"["9/tcp","80-100/tcp"]"#);
        check(&["65535", "65534", "65535/udp"], r#"["65534-65535/tcp","65535/udp"]"#);
        let mut set = PortSet::new(["90/udp".parse().unwrap()]);
        set.extend(["91/udp".parse().unwrap(), "1".parse().unwrap()]);
        let each: Vec<_> = set.iter().map(|port| port.to_string()).collect();
        assert_eq!(each, ["1/tcp", "90/udp", "91/udp"]);
        assert!(!set.is_empty() && PortSet::default().is_empty());
    }
}
