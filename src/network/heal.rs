//! Bridges and interfaces that others delete come back.
//!
//! The kernel tells when an interface goes, and wakes a thread for that alone. What running
//! containers are to have is known; what is missing of it is made again: the bridge, its ports,
//! the interface inside of a container.

use std::sync::Arc;

use super::net::Net;
use super::rules::Subnet;
use super::{Held, Networks, bridge, namespace};
use crate::base::{Context, Id, Result};
use crate::model::Attachment;
use crate::sys::rtnl::{LinkWatch, Rtnl};
use crate::{debug, info, warn};

/// Stack of the thread that watches.
const SMALL_STACK: usize = 256 * 1024;

/// A container that runs: its id, the process that is its first, its places on networks.
pub type Running = (Id, i32, Arc<[Attachment]>);

/// Gives all containers that run.
pub type WhoRuns = Box<dyn Fn() -> Vec<Running> + Send + Sync>;

impl Networks {
    /// Begins to watch over the interfaces, unless that is done already.
    pub(super) fn watch(&self) {
        self.watching.get_or_init(|| {
            let watch = match LinkWatch::open() {
                Ok(watch) => watch,
                Err(error) => return warn!("interfaces are not watched: {error}"),
            };
            let Some(networks) = self.me.upgrade() else { return };
            let thread = std::thread::Builder::new().name("interfaces".into());
            let spawned = thread.stack_size(SMALL_STACK).spawn(move || networks.keep(&watch));
            if let Err(error) = spawned {
                warn!("interfaces are not watched: {error}");
            }
        });
    }

    fn keep(&self, watch: &LinkWatch) {
        loop {
            let gone = match watch.wait() {
                Ok(gone) => gone,
                Err(error) => return warn!("interfaces are not watched any more: {error}"),
            };
            if !gone.as_ref().is_none_or(|gone| gone.iter().any(|name| self.wants(name))) {
                continue;
            }
            if let Err(error) = self.heal(gone.as_deref()) {
                warn!("{error}");
            }
        }
    }

    /// Whether there should be an interface of this name.
    fn wants(&self, name: &str) -> bool {
        self.all().iter().any(|net| net.subnet.bridge == name)
            || self.held.lock().values().flatten().any(|held| held.link == name)
    }

    /// Makes what is missing again. `gone` names what was deleted; `None` may be anything.
    pub(super) fn heal(&self, gone: Option<&[String]>) -> Result<()> {
        let mut rtnl = Rtnl::open().context(|| "open a netlink socket".into())?;
        let mut come_back = Vec::new();
        for net in self.all() {
            let name = &net.subnet.bridge;
            if rtnl.link(name).context(|| format!("find bridge {name}"))?.is_none() {
                bridge::set_up(&mut rtnl, &net.subnet)?;
                info!("bridge {name} was deleted by somebody else and is back");
                come_back.push(name.clone());
            }
        }
        if !come_back.is_empty() {
            // Its settings are new as well.
            self.firewall.make(self.subnets())?;
        }
        let concerned = |bridge: &String, link: &String| {
            come_back.contains(bridge) || gone.is_none_or(|gone| gone.contains(link))
        };
        let held: Vec<(Id, Arc<Net>, String)> = {
            let held = self.held.lock();
            let all = held.iter().flat_map(|(id, own)| own.iter().map(move |held| (id, held)));
            let all = all.filter(|(_, h)| concerned(&h.net.subnet.bridge, &h.link));
            all.map(|(id, Held { net, link, .. })| (id.clone(), Arc::clone(net), link.clone()))
                .collect()
        };
        for (id, net, link) in held {
            if let Err(error) = self.heal_link(&mut rtnl, &id, &net, &link) {
                // It may have ended this very moment.
                debug!("container {}: {error}", id.short());
            }
        }
        Ok(())
    }

    fn heal_link(&self, rtnl: &mut Rtnl, id: &Id, net: &Net, link: &str) -> Result<()> {
        let Subnet { bridge, among, .. } = &net.subnet;
        let Some(of_bridge) = rtnl.link(bridge).context(|| format!("find bridge {bridge}"))? else {
            return Ok(());
        };
        match rtnl.link(link).context(|| format!("find {link}"))? {
            Some(found) if found.master == of_bridge.index => Ok(()),
            Some(_) => rtnl
                .set_bridge(link, of_bridge.index, !among)
                .context(|| format!("connect {link} to bridge {bridge}")),
            None => self.plug_again(id, link),
        }
    }

    /// Makes the interface of a container that runs again.
    fn plug_again(&self, id: &Id, link: &str) -> Result<()> {
        let running = self.who_runs.get().map(|who_runs| who_runs()).unwrap_or_default();
        let Some((_, pid, places)) = running.into_iter().find(|(other, ..)| other == id) else {
            return Ok(());
        };
        let Some(place) = places.iter().find(|place| place.link == link) else { return Ok(()) };
        let net = self.all().into_iter().find(|net| net.network.id == place.network_id);
        let Some(net) = net else { return Ok(()) };
        namespace::plug_in(pid, place.clone(), net.subnet.clone())?;
        info!("container {}: its interface {link} was deleted and is back", id.short());
        Ok(())
    }
}
