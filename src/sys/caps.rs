//! Capabilities of the calling thread. capabilities(7).

use std::io;

use super::check;
use super::process::prctl;

/// Capabilities by number, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapSet(pub u64);

impl CapSet {
    /// The set with the numbers in `numbers`; numbers above 63 are no capabilities.
    pub fn of(numbers: &[u8]) -> CapSet {
        CapSet(numbers.iter().filter(|n| **n < 64).fold(0, |set, n| set | 1 << n))
    }

    /// Whether capability `number` is in the set.
    pub fn has(self, number: u8) -> bool {
        number < 64 && self.0 & (1 << number) != 0
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: CapSet) -> CapSet {
        CapSet(self.0 & other.0)
    }
}

/// struct __user_cap_header_struct of capget(2), version 3.
#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

/// struct __user_cap_data_struct: 32 capabilities of each set.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

#[allow(clippy::cast_possible_truncation)] // the two halves of 64 bits
fn halves(set: CapSet) -> [u32; 2] {
    [set.0 as u32, (set.0 >> 32) as u32]
}

/// The permitted set. capget(2).
///
/// # Errors
/// Those of capget(2).
pub fn permitted() -> io::Result<CapSet> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: the header says version 3, for which the kernel writes two data structs; both
    // outlive the call.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    Ok(CapSet(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32))
}

/// Sets all three sets; whatever leaves the permitted or inheritable set leaves the ambient one
/// too. capset(2).
///
/// # Errors
/// EPERM when a capability is to be gained.
pub fn set(permitted: CapSet, effective: CapSet, inheritable: CapSet) -> io::Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let (p, e, i) = (halves(permitted), halves(effective), halves(inheritable));
    let data = [0, 1].map(|n| Data { effective: e[n], permitted: p[n], inheritable: i[n] });
    // SAFETY: the header says version 3, for which the kernel reads two data structs; both
    // outlive the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// Drops from the bounding set all that is not in `keep`. PR_CAPBSET_DROP(2const).
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub fn limit_bounding(keep: CapSet) -> io::Result<()> {
    for number in 0..64u8 {
        if keep.has(number) {
            continue;
        }
        match prctl(libc::PR_CAPBSET_DROP, number.into()) {
            Ok(()) => {}
            // Beyond the last capability that this kernel knows.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the permitted set survives a change from root to another user. PR_SET_KEEPCAPS(2const).
///
/// # Errors
/// EPERM when the securebits forbid it.
pub fn keep_over_setuid(keep: bool) -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, keep.into())
}
