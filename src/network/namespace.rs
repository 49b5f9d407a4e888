//! The network namespace of a container, made before its processes are.
//!
//! A short thread makes it, since the thread that makes one moves into it. Its file keeps it
//! alive until init has joined; from then on its processes do, and it goes with the last of
//! them, along with the pair of interfaces.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread::JoinHandle;

use super::bridge;
use super::rules::Subnet;
use crate::base::{Context, Error, Result};
use crate::model::Attachment;
use crate::sys::ns::{self, NsKind};
use crate::sys::rtnl::{Rtnl, Veth};

/// Name of the interface inside.
const INSIDE: &str = "eth0";
/// Stack of the thread.
const SMALL_STACK: usize = 256 * 1024;

/// A namespace in the making.
pub struct Pending {
    /// What the container has got.
    pub attachment: Attachment,
    thread: Option<JoinHandle<Result<File>>>,
}

impl Pending {
    /// Begins to make a namespace with an interface on the bridge.
    pub(super) fn begin(attachment: Attachment, subnet: Subnet) -> Result<Pending> {
        let wanted = attachment.clone();
        let thread = std::thread::Builder::new()
            .name("network".into())
            .stack_size(SMALL_STACK)
            .spawn(move || make(&wanted, &subnet))
            .context(|| "start a thread (network)".into())?;
        Ok(Pending { attachment, thread: Some(thread) })
    }

    /// Waits until all is there: the namespace.
    ///
    /// # Errors
    /// What went wrong; nothing is left then.
    pub fn wait(&mut self) -> Result<File> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) | None => Err(Error::internal("the thread of a network has ended early")),
        }
    }
}

impl Drop for Pending {
    /// Nothing is made any more once this is gone.
    fn drop(&mut self) {
        if self.thread.is_some() {
            drop(self.wait());
        }
    }
}

fn make(attachment: &Attachment, subnet: &Subnet) -> Result<File> {
    let Attachment { link, address, prefix, gateway, bridge, .. } = attachment;
    let mut outside = Rtnl::open().context(|| "open a netlink socket".into())?;
    // Somebody may have deleted it.
    let bridge_link = match outside.link(bridge).context(|| format!("find bridge {bridge}"))? {
        Some(found) => found,
        None => bridge::set_up(&mut outside, subnet)?,
    };
    ns::unshare(NsKind::Net).context(|| "make a network namespace".into())?;
    let namespace = File::open("/proc/thread-self/ns/net")
        .context(|| "open the new network namespace".into())?;
    // Before the interface is there: it never gets an IPv6 address, nor listens to routers that
    // may be other containers.
    bridge::write_setting("ipv6/conf/default/disable_ipv6", "1");
    ns::loopback_up().context(|| "bring the loopback interface up".into())?;
    let mut inside = Rtnl::open().context(|| "open a netlink socket".into())?;
    outside
        .add_veth(&Veth {
            name: link,
            bridge: bridge_link.index,
            namespace: namespace.as_fd(),
            peer: INSIDE,
            mac: attachment.mac(),
            mtu: bridge_link.mtu,
            hairpin: true,
        })
        .context(|| format!("connect to bridge {bridge}"))?;
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let what = || format!("set up {INSIDE} with address {address}/{prefix}");
    let own = inside.link(INSIDE).context(what)?.ok_or_else(gone).context(what)?;
    inside.add_address_and_gateway(own.index, (*address, *prefix), *gateway).context(what)?;
    Ok(namespace)
}
