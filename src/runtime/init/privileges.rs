//! Giving up what the program is not to have: limits, user, groups, capabilities, system calls.

use super::identity::Identity;
use super::seccomp;
use crate::base::{Context, Result};
use crate::runtime::launch::Launch;
use crate::sys::caps::{self, CapSet};
use crate::sys::{self, process};

/// Sets the resource limits. One that may not be raised stays, with a warning: the program can
/// say best what it cannot do.
pub(super) fn limit_resources(launch: &Launch) {
    for limit in &launch.ulimits {
        let Some(resource) = process::resource_by_name(&limit.name) else {
            crate::warn!("container {}: unknown resource limit {}", launch.id.short(), limit.name);
            continue;
        };
        // Negative is none.
        let (soft, hard) = (u64::try_from(limit.soft).ok(), u64::try_from(limit.hard).ok());
        if let Err(error) = process::set_resource_limit(resource, soft, hard) {
            let id = launch.id.short();
            crate::warn!("container {id}: set resource limit {}: {error}", limit.name);
        }
    }
}

/// Becomes the user, keeps the capabilities that are granted and installs the system call filter.
///
/// The order is forced: the bounding set needs CAP_SETPCAP; groups before the user; the filter
/// needs CAP_SYS_ADMIN unless no-new-privileges is set, so it comes while the permitted set is
/// still whole, kept over the change of user; the final sets come last, and lie within what the
/// filter lets through.
pub(super) fn give_up(launch: &Launch, identity: &Identity) -> Result<()> {
    let held = caps::permitted().context(|| "read the capabilities".into())?;
    let granted = CapSet::of(&launch.capabilities).and(held);
    if launch.no_new_privileges {
        process::set_no_new_privileges().context(|| "set no-new-privileges".into())?;
    }
    caps::limit_bounding(granted).context(|| "limit the capabilities".into())?;
    process::set_groups(&identity.groups).context(|| "set the groups".into())?;
    process::set_gid(identity.gid).context(|| format!("become group {}", identity.gid))?;
    if identity.uid != 0 {
        caps::keep_over_setuid(true).context(|| "keep the capabilities".into())?;
    }
    process::set_uid(identity.uid).context(|| format!("become user {}", identity.uid))?;
    if identity.uid != 0 {
        caps::set(held, held, CapSet::default()).context(|| "keep the capabilities".into())?;
    }
    if launch.seccomp && !sys::seccomp::is_supported() {
        let id = launch.id.short();
        crate::warn!("container {id}: the kernel has no seccomp: system calls are not filtered");
    } else if launch.seccomp {
        sys::seccomp::install(&seccomp::filter(granted))
            .context(|| "install the system call filter".into())?;
    }
    // A user other than root gets none, only the bound for set-user-id programs.
    let kept = if identity.uid == 0 { granted } else { CapSet::default() };
    caps::set(kept, kept, CapSet::default()).context(|| "set the capabilities".into())
}
