//! BPF programs that decide about devices in cgroup v2. bpf(2), bpf-helpers(7).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// One instruction of extended BPF, laid out as struct bpf_insn on a little-endian machine (as all that we run on are).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    value: u32,
}

const LOAD_U32: u8 = 0x61;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const AND_32: u8 = 0x54;
const SHIFT_RIGHT_32: u8 = 0x74;
const JUMP_UNEQUAL_64: u8 = 0x55;
const EXIT: u8 = 0x95;

const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: u32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset, value }
}

/// `to` = 32 bits at `from` + `offset`.
pub const fn load_u32(to: u8, from: u8, offset: i16) -> Instruction {
    instruction(LOAD_U32, to, from, offset, 0)
}

/// `to` = `from`.
pub const fn copy(to: u8, from: u8) -> Instruction {
    instruction(COPY, to, from, 0, 0)
}

/// `to` = `value`.
pub const fn set(to: u8, value: u32) -> Instruction {
    instruction(SET, to, 0, 0, value)
}

/// `to` = `to` & `value`, in 32 bits.
pub const fn and(to: u8, value: u32) -> Instruction {
    instruction(AND_32, to, 0, 0, value)
}

/// `to` = `to` >> `bits`, in 32 bits.
pub const fn shift_right(to: u8, bits: u32) -> Instruction {
    instruction(SHIFT_RIGHT_32, to, 0, 0, bits)
}

/// Skips `count` instructions unless `register` is `value`. The comparison is one of 64 bits with
/// a sign-extended value, so values end at 2^31; device numbers end earlier.
pub const fn skip_unless_equal(register: u8, value: u32, count: i16) -> Instruction {
    instruction(JUMP_UNEQUAL_64, register, 0, count, value)
}

/// Ends with the answer in register 0.
pub const fn exit() -> Instruction {
    instruction(EXIT, 0, 0, 0, 0)
}

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// The start of union bpf_attr for BPF_PROG_LOAD; the rest is zero to the kernel.
#[repr(C, align(8))]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

/// The start of union bpf_attr for BPF_PROG_ATTACH.
#[repr(C, align(8))]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads a program of type BPF_PROG_TYPE_CGROUP_DEVICE; Linux 4.15. bpf(2).
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN; EINVAL when the kernel has no such type or finds the program
/// unsound; ENOSYS without BPF.
pub fn load_device_program(code: &[Instruction]) -> io::Result<OwnedFd> {
    let count = u32::try_from(code.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let attr = Load {
        prog_type: TYPE_CGROUP_DEVICE,
        insn_cnt: count,
        insns: code.as_ptr().addr() as u64,
        license: c"Apache-2.0".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
    };
    // SAFETY: `attr` is the start of a bpf_attr, of the size given; it points to `count`
    // instructions and to a NUL-terminated string, which the kernel copies during the call.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attr, size_of::<Load>())
    })?;
    let fd = i32::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just given us this descriptor (close-on-exec); nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets `program` decide about devices in the cgroup v2 directory `cgroup`, with those attached
/// to the groups above. It goes when the group goes. bpf(2).
///
/// `cgroup` may not be an O_PATH descriptor for old kernels; it is opened again for reading.
///
/// # Errors
/// Those of bpf(2).
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let dir = std::fs::File::open(format!("/proc/self/fd/{}", cgroup.as_raw_fd()))?;
    let attr = Attach {
        target_fd: dir.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI,
    };
    // SAFETY: `attr` is the start of a bpf_attr, of the size given; the descriptors in it are
    // borrowed or ours, and stay open for the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attr, size_of::<Attach>()) };
    check(result).map(drop)
}

/// What a program made of the instructions above answers to a context of 32-bit words.
///
/// # Panics
/// When it runs out of its code or its context.
#[cfg(test)]
pub fn simulate(code: &[Instruction], context: &[u32]) -> u64 {
    let mut registers = [0u64; 11];
    let mut at = 0;
    loop {
        let Instruction { code: operation, registers: pair, offset, value } = code[at];
        let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
        at += 1;
        match operation {
            LOAD_U32 => registers[to] = context[usize::try_from(offset / 4).unwrap()].into(),
            COPY => registers[to] = registers[from],
            SET => registers[to] = value.into(),
            AND_32 => registers[to] &= u64::from(value),
            SHIFT_RIGHT_32 => registers[to] >>= value,
            JUMP_UNEQUAL_64 if registers[to] != u64::from(value) => {
                at += usize::try_from(offset).unwrap();
            }
            JUMP_UNEQUAL_64 => {}
            EXIT => return registers[0],
            other => panic!("unknown operation {other:#x}"),
        }
    }
}
