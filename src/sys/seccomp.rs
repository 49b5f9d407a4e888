//! Installing a seccomp filter. seccomp(2).

use std::io;

use super::check;

/// One instruction of classic BPF, laid out as struct sock_filter.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the test holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Installs `program` for this process and its children, for ever. seccomp(2).
///
/// # Errors
/// EACCES without CAP_SYS_ADMIN and without no-new-privileges; EINVAL when the kernel finds the
/// program unsound or too long (4096 instructions); ENOSYS when it has no seccomp.
pub fn install(program: &[Instruction]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast::<libc::sock_filter>(),
    };
    // SAFETY: the program's pointer and length describe a slice of instructions in the kernel's
    // layout, which the kernel only reads, during the call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    check(result).map(drop)
}

/// Whether the kernel takes filters. seccomp(2).
pub fn is_supported() -> bool {
    let action = libc::SECCOMP_RET_ALLOW;
    // SAFETY: the operation reads one integer, which outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
    };
    result == 0
}

/// Some numbers of system calls on this machine, to test tables against.
#[cfg(test)]
pub const KNOWN_NUMBERS: &[(&str, libc::c_long)] = &[
    ("read", libc::SYS_read),
    ("openat", libc::SYS_openat),
    ("clone", libc::SYS_clone),
    ("socket", libc::SYS_socket),
    ("personality", libc::SYS_personality),
    ("unshare", libc::SYS_unshare),
    ("keyctl", libc::SYS_keyctl),
    ("execve", libc::SYS_execve),
    ("ptrace", libc::SYS_ptrace),
    ("statx", libc::SYS_statx),
    ("seccomp", libc::SYS_seccomp),
    ("getrandom", libc::SYS_getrandom),
    ("mseal", libc::SYS_mseal),
];
