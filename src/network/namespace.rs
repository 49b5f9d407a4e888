//! The network namespace of a container, made before its processes are.
//!
//! A short thread makes it, since the thread that makes one moves into it. Its file keeps it
//! alive until init has joined; from then on its processes do, and it goes with the last of
//! them, along with the pairs of interfaces.

use std::fs::{File, Metadata};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::thread::JoinHandle;

use super::bridge;
use super::rules::Subnet;
use crate::base::{Context, Error, Kind, Result};
use crate::model::Attachment;
use crate::sys::ns::{self, NsKind};
use crate::sys::rtnl::{Rtnl, Veth};

/// Most interfaces of a container.
pub(super) const MOST: usize = 36;
/// Stack of the thread.
const SMALL_STACK: usize = 256 * 1024;

/// A namespace in the making.
pub struct Pending {
    /// What the container has got; the first one is its way out.
    pub attachments: Vec<Attachment>,
    thread: Option<JoinHandle<Result<File>>>,
}

impl Pending {
    /// Begins to make a namespace with an interface for each of these.
    pub(super) fn begin(wanted: Vec<(Attachment, Subnet)>) -> Result<Pending> {
        let attachments = wanted.iter().map(|(attachment, _)| attachment.clone()).collect();
        let thread = spawn(move || make(&wanted))?;
        Ok(Pending { attachments, thread: Some(thread) })
    }

    /// Waits until all is there: the namespace.
    ///
    /// # Errors
    /// What went wrong; nothing is left then.
    pub fn wait(&mut self) -> Result<File> {
        self.thread.take().map_or_else(|| Err(ended()), join)
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

pub(super) fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let thread = std::thread::Builder::new().name("network".into()).stack_size(SMALL_STACK);
    thread.spawn(work).context(|| "start a thread (network)".into())
}

pub(super) fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(ended()))
}

fn ended() -> Error {
    Error::internal("the thread of a network has ended early")
}

fn rtnl() -> Result<Rtnl> {
    Rtnl::open().context(|| "open a netlink socket".into())
}

fn make(wanted: &[(Attachment, Subnet)]) -> Result<File> {
    let mut outside = rtnl()?;
    ns::unshare(NsKind::Net).context(|| "make a network namespace".into())?;
    let namespace = File::open("/proc/thread-self/ns/net")
        .context(|| "open the new network namespace".into())?;
    // Before an interface is there: none ever gets an IPv6 address, nor listens to routers that
    // may be other containers.
    bridge::write_setting("ipv6/conf/default/disable_ipv6", "1");
    ns::loopback_up().context(|| "bring the loopback interface up".into())?;
    let mut inside = rtnl()?;
    let way_out = wanted.iter().position(|(attachment, _)| !attachment.internal);
    let six =
        |(attachment, _): &(Attachment, Subnet)| !attachment.internal && attachment.v6.is_some();
    let way_out_6 = wanted.iter().position(six);
    for (index, (attachment, subnet)) in wanted.iter().enumerate() {
        let gateways = match way_out {
            Some(way_out) => gateways(attachment, way_out == index, way_out_6 == Some(index)),
            None => Vec::new(),
        };
        let name = format!("eth{index}");
        plug(&mut outside, &mut inside, namespace.as_fd(), &name, attachment, subnet, &gateways)?;
    }
    Ok(namespace)
}

/// Gives the running container whose init is `pid` a further interface.
pub(super) fn plug_in(pid: i32, attachment: Attachment, subnet: Subnet) -> Result<()> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).context(|| format!("open {path}"))?;
    // The process may have ended, and its number be another's by now.
    let number = |file: io::Result<Metadata>| file.map(|file| file.ino()).ok();
    if number(namespace.metadata()) == number(std::fs::metadata("/proc/self/ns/net")) {
        return Err(Error::new(Kind::Conflict, format!("process {pid} has ended")));
    }
    let thread = spawn(move || {
        let mut outside = rtnl()?;
        ns::enter(namespace.as_fd(), NsKind::Net).context(|| format!("enter {path}"))?;
        let mut inside = rtnl()?;
        let what = || "look at the interfaces of the container".to_owned();
        let links = inside.links().context(what)?;
        let free = (0..MOST).map(|index| format!("eth{index}"));
        let name = free.into_iter().find(|name| links.iter().all(|link| link.name != *name));
        let name = name.ok_or_else(|| Error::new(Kind::Conflict, "too many interfaces"))?;
        let mut lacks_way_out = |v6| -> Result<bool> {
            let routes = inside.routes(v6).context(what)?;
            Ok(!attachment.internal && !routes.iter().any(|route| route.prefix == 0))
        };
        let six = attachment.v6.is_some() && lacks_way_out(true)?;
        let gateways = gateways(&attachment, lacks_way_out(false)?, six);
        let namespace = namespace.as_fd();
        plug(&mut outside, &mut inside, namespace, &name, &attachment, &subnet, &gateways)
    })?;
    join(thread)
}

/// Those of the gateways of an attachment that are the container's way out.
fn gateways(attachment: &Attachment, four: bool, six: bool) -> Vec<IpAddr> {
    let mut gateways = Vec::new();
    if four {
        gateways.push(attachment.gateway.into());
    }
    gateways.extend(attachment.v6.filter(|_| six).map(|six| IpAddr::V6(six.gateway)));
    gateways
}

fn plug(
    outside: &mut Rtnl,
    inside: &mut Rtnl,
    namespace: BorrowedFd<'_>,
    name: &str,
    attachment: &Attachment,
    subnet: &Subnet,
    gateways: &[IpAddr],
) -> Result<()> {
    let Attachment { link, address, prefix, v6, bridge, .. } = attachment;
    // Somebody may have deleted it.
    let bridge_link = match outside.link(bridge).context(|| format!("find bridge {bridge}"))? {
        Some(found) => found,
        None => bridge::set_up(outside, subnet)?,
    };
    outside
        .add_veth(&Veth {
            name: link,
            bridge: bridge_link.index,
            namespace,
            peer: name,
            mac: attachment.mac(),
            mtu: subnet.mtu.unwrap_or(bridge_link.mtu),
            hairpin: true,
            isolated: !subnet.among,
        })
        .map_err(|error| bridge::lacking("veth", error))
        .context(|| format!("connect to bridge {bridge}"))?;
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let what = || format!("set up {name} with address {address}/{prefix}");
    let own = inside.link(name).context(what)?.ok_or_else(gone).context(what)?;
    let mut addresses = vec![(IpAddr::V4(*address), *prefix)];
    if let Some(six) = v6 {
        // In the container's namespace, which this thread is in. The kernel gives addresses out
        // once, so that nobody has to be asked; and routers may be other containers.
        let settings = [("accept_ra", "0"), ("accept_dad", "0"), ("disable_ipv6", "0")];
        for (key, value) in settings {
            bridge::write_setting(&format!("ipv6/conf/{name}/{key}"), value);
        }
        addresses.push((six.address.into(), six.prefix));
    }
    inside.bring_up(own.index, &addresses, gateways).context(what)
}
