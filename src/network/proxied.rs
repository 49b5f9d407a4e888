//! What packet rules there are, and what is done where there are none: monitors serve the ports.
//! So they do for addresses of IPv6 that rules cannot lead on from.

use std::net::IpAddr;

use super::{Networks, bridge};
use crate::base::{Context, Error, Result};
use crate::model::{Attachment, Forward, Protocol, Published};

/// What it means that there are none.
const NO_RULES: &str = "published ports are served by proxies, containers reach beyond this host \
                        only where the routers know the way back, and networks are kept apart only \
                        while IP forwarding is off";

/// Most ports of a container where each takes a socket.
const MOST_FORWARDS: usize = 1000;

/// Whether rules lead from this address of the host to a container: addresses are translated within
/// their family, and the kernel lets no answer in for the loopback address of IPv6.
fn is_translated(host: IpAddr, attachment: &Attachment) -> bool {
    host.is_ipv4() || attachment.v6.is_some() && !host.is_loopback()
}

impl Networks {
    /// Whether a monitor could serve those ports of an attachment that it would have to.
    pub(super) fn check_forwards(&self, attachment: &Attachment) -> Result<()> {
        let proxied = || self.proxied(attachment);
        if let Some(Published { host, .. }) =
            proxied().find(|published| published.ports.protocol == Protocol::Sctp)
        {
            return Err(Error::not_implemented(format!(
                "sctp ports cannot be published where no packet rule leads to the container from \
                 {host}"
            )));
        }
        if let Some(published) = proxied().find(|published| published.host.is_ipv6()) {
            bridge::check_ipv6().context(|| format!("publishing on {}", published.host))?;
        }
        let count: usize = proxied().map(|p| usize::from(p.ports.span()) + 1).sum();
        if count > MOST_FORWARDS {
            return Err(Error::bad_parameter(format!(
                "{count} ports are to be published without packet rules: each takes a socket then, \
                 and a container has at most {MOST_FORWARDS}"
            )));
        }
        Ok(())
    }

    /// The ports that no rules lead to. Without any, that is all.
    fn proxied<'a>(&self, place: &'a Attachment) -> impl Iterator<Item = &'a Published> {
        let all = self.firewall.needs_proxies();
        place.ports.iter().filter(move |published| all || !is_translated(published.host, place))
    }

    /// What the monitor of a container that has this on networks is to serve: what packet rules do
    /// not. A proxy knows no bounds of networks, so that nothing leads into internal ones.
    pub fn forwards(&self, attachments: &[Attachment]) -> Vec<Forward> {
        let forwards = |attachment: &Attachment| {
            let forward = |published: &Published| {
                let Published { host, first, ports } = *published;
                let six = attachment.v6.filter(|_| host.is_ipv6()).map(|six| six.address.into());
                let to = six.unwrap_or(attachment.address.into());
                Forward { listen: host, first, to, ports }
            };
            self.proxied(attachment).map(forward).collect::<Vec<_>>()
        };
        attachments.iter().filter(|place| !place.internal).flat_map(forwards).collect()
    }

    /// Makes packet rules anew that somebody has taken away, where nobody tells when they do.
    pub fn check_rules(&self) {
        self.settled();
        self.firewall.check();
    }

    /// Who keeps the packet rules, once there are networks, and sentences about what is missing.
    pub fn describe_rules(&self) -> (Option<&'static str>, Vec<String>) {
        self.settled();
        let name = self.firewall.describe().map(|(name, _)| name);
        let mut warnings: Vec<String> = self
            .firewall
            .obstacles()
            .into_iter()
            .map(|what| {
                format!("WARNING: Published ports may not be reached: {what} is in the way")
            })
            .collect();
        warnings.extend(self.missing_rules().map(|missing| format!("WARNING: {missing}")));
        (name, warnings)
    }

    /// What it means that there are no packet rules, where there are none.
    pub(super) fn missing_rules(&self) -> Option<String> {
        let (_, why) = self.firewall.describe()?;
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        self.firewall.needs_proxies().then(|| format!("No packet rules{why}: {NO_RULES}"))
    }
}
