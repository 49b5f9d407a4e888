//! Mounting, in the classic and the descriptor-based way. mount(2), fsopen(2), open_tree(2).
//!
//! The descriptor-based calls need Linux 5.2. What they return *is* the mount: no path is walked
//! again, so nobody can redirect it between two steps.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::check;
use super::fs::c_path;

/// Attributes of a mount for [`FsContext::mount`] and [`set_attributes`], as in mount_setattr(2).
pub mod attr {
    /// Nothing can be written through it.
    pub const RDONLY: u64 = 0x1;
    /// Set-user-id bits are ignored.
    pub const NOSUID: u64 = 0x2;
    /// Device nodes do not open.
    pub const NODEV: u64 = 0x4;
    /// Nothing is executed from it.
    pub const NOEXEC: u64 = 0x8;
}

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const OPEN_TREE_CLONE: libc::c_uint = 1;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

/// struct mount_attr of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// How mount events travel. mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the peer group into it only.
    Slave,
    /// Both ways.
    Shared,
}

impl Propagation {
    fn flag(self) -> libc::c_ulong {
        match self {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Shared => libc::MS_SHARED,
        }
    }
}

/// The descriptor that a system call has returned.
fn new_fd(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(check(result)?).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: callers pass the result of a system call that makes a new descriptor; it is not
    // negative, so it is that descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Mounts in the classic way. mount(2).
///
/// The paths are walked by the kernel with all their symlinks: only for paths of the host, or
/// for `/proc/self/fd/N`. `data` is cut off by the kernel at one page.
///
/// # Errors
/// Those of mount(2); EINVAL for a NUL byte.
pub fn mount(
    source: &Path,
    target: &Path,
    fstype: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let (source, target) = (c_path(source)?, c_path(target)?);
    let (fstype, data) = (CString::new(fstype)?, CString::new(data)?);
    // SAFETY: the four strings are NUL-terminated and outlive the call.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            fstype.as_ptr(),
            flags,
            data.as_ptr().cast::<libc::c_void>(),
        )
    };
    check(result).map(drop)
}

/// A file system that is being configured. fsopen(2).
pub struct FsContext {
    fd: OwnedFd,
}

impl FsContext {
    /// Begins one of type `fstype`.
    ///
    /// # Errors
    /// ENODEV when the kernel does not know the type, ENOSYS before Linux 5.2.
    pub fn open(fstype: &str) -> io::Result<FsContext> {
        let fstype = CString::new(fstype)?;
        // SAFETY: `fstype` is NUL-terminated and outlives the call.
        let fd = unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), FSOPEN_CLOEXEC) };
        Ok(FsContext { fd: new_fd(fd)? })
    }

    fn config(&self, cmd: libc::c_uint, key: Option<&str>, value: Option<&str>) -> io::Result<()> {
        let key = key.map(CString::new).transpose()?;
        let value = value.map(CString::new).transpose()?;
        let pointer =
            |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |t| t.as_ptr());
        // SAFETY: `key` and `value` are NUL-terminated or null where the command takes none, and
        // they outlive the call; the descriptor is ours.
        let result = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.fd.as_raw_fd(),
                cmd,
                pointer(&key),
                pointer(&value),
                0,
            )
        };
        check(result).map(drop)
    }

    /// Sets an option to a value; the kernel takes at most 255 bytes.
    ///
    /// # Errors
    /// EINVAL when the file system does not know the option or the value.
    pub fn set(&self, key: &str, value: &str) -> io::Result<()> {
        self.config(FSCONFIG_SET_STRING, Some(key), Some(value))
    }

    /// Sets options from a list as mount(8) takes it: `size=64m,mode=1777`.
    ///
    /// # Errors
    /// EINVAL for the first one that the file system does not know.
    pub fn set_all(&self, options: &str) -> io::Result<()> {
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some((key, value)) => self.set(key, value)?,
                None => self.config(FSCONFIG_SET_FLAG, Some(option), None)?,
            }
        }
        Ok(())
    }

    /// Makes the file system and a mount of it that is attached nowhere yet; closing it unmounts.
    ///
    /// # Errors
    /// Those of fsconfig(2) and fsmount(2).
    pub fn mount(&self, attributes: u64) -> io::Result<OwnedFd> {
        self.config(FSCONFIG_CMD_CREATE, None, None)?;
        let attributes =
            libc::c_uint::try_from(attributes).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: fsmount takes three integers; the descriptor is ours.
        let fd = unsafe {
            libc::syscall(libc::SYS_fsmount, self.fd.as_raw_fd(), FSMOUNT_CLOEXEC, attributes)
        };
        new_fd(fd)
    }
}

/// Clones the mount at `path` (with those below it if `recursive`) as one that is attached
/// nowhere; closing it unmounts. An empty `path` is `dir` itself. open_tree(2).
///
/// Symlinks in `path` are followed. EINVAL for a mount of another mount namespace.
///
/// # Errors
/// Those of open_tree(2); ENOSYS before Linux 5.2.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut flags = OPEN_TREE_CLONE | (libc::O_CLOEXEC | libc::AT_EMPTY_PATH) as libc::c_uint;
    if recursive {
        flags |= AT_RECURSIVE;
    }
    // SAFETY: `path` is NUL-terminated and outlives the call; `dir` is borrowed.
    new_fd(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// Clones the mount at the host's `path`; like [`clone_tree`].
///
/// # Errors
/// Those of open_tree(2).
pub fn clone_host_tree(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    // SAFETY: AT_FDCWD is no descriptor that could be closed; for the kernel it stands for the
    // working directory, which always exists.
    let cwd = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    clone_tree(cwd, path, recursive)
}

/// Attaches a mount made by [`FsContext::mount`] or [`clone_tree`] on top of `target`, which may
/// be an O_PATH descriptor. move_mount(2).
///
/// # Errors
/// ENOTDIR when one is a directory and the other is not; those of move_mount(2).
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both paths are the empty NUL-terminated string, the descriptors are borrowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    };
    check(result).map(drop)
}

/// Adds `attributes` to the mount behind `mount`, and to all below it if `recursive`; the others
/// stay as they are. mount_setattr(2), Linux 5.12.
///
/// # Errors
/// ENOSYS when the kernel is too old; those of mount_setattr(2).
pub fn set_attributes(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> io::Result<()> {
    let set = MountAttr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    change(mount, &set, recursive)
}

fn change(mount: BorrowedFd<'_>, set: &MountAttr, recursive: bool) -> io::Result<()> {
    let mut flags = libc::AT_EMPTY_PATH as libc::c_uint;
    if recursive {
        flags |= AT_RECURSIVE;
    }
    // SAFETY: `set` is a struct mount_attr of the size given and outlives the call; the path is
    // the empty NUL-terminated string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(set),
            size_of::<MountAttr>(),
        )
    };
    check(result).map(drop)
}

/// Makes the *attached* mount behind `mount` read-only and keeps its other attributes, those
/// included that may not be changed; all below it too where the kernel can (Linux 5.12).
///
/// # Errors
/// Those of mount_setattr(2) or mount(2).
pub fn set_readonly(mount: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    match set_attributes(mount, attr::RDONLY, recursive) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {}
        result => return result,
    }
    // SAFETY: statvfs is plain integers, for which zero is valid.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is a valid statvfs to write to and outlives the call.
    check(unsafe { libc::fstatvfs(mount.as_raw_fd(), &raw mut stat) })?;
    // A remount replaces all attributes, and in a user namespace it may not drop any of these.
    let kept: libc::c_ulong = [
        (libc::ST_NOSUID, libc::MS_NOSUID),
        (libc::ST_NODEV, libc::MS_NODEV),
        (libc::ST_NOEXEC, libc::MS_NOEXEC),
        (libc::ST_NOATIME, libc::MS_NOATIME),
        (libc::ST_NODIRATIME, libc::MS_NODIRATIME),
        (libc::ST_RELATIME, libc::MS_RELATIME),
    ]
    .iter()
    .filter(|(seen, _)| stat.f_flag & *seen != 0)
    .map(|(_, flag)| *flag)
    .sum();
    let target = format!("/proc/self/fd/{}", mount.as_raw_fd());
    let change = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
    self::mount(Path::new("none"), Path::new(&target), "", change | kept, "")
}

/// Sets how mount events travel at `target` and, if `recursive`, below it. mount(2).
///
/// # Errors
/// Those of mount(2).
pub fn set_propagation(target: &Path, kind: Propagation, recursive: bool) -> io::Result<()> {
    let rec = if recursive { libc::MS_REC } else { 0 };
    mount(Path::new("none"), target, "", kind.flag() | rec, "")
}

/// The same for the *attached* mount behind `mount`. mount_setattr(2), or mount(2) before Linux
/// 5.12.
///
/// # Errors
/// Those of mount_setattr(2) or mount(2).
pub fn set_propagation_of(
    mount: BorrowedFd<'_>,
    kind: Propagation,
    recursive: bool,
) -> io::Result<()> {
    #[allow(clippy::useless_conversion)] // 32 bits on some machines
    let propagation = u64::from(kind.flag());
    let set = MountAttr { attr_set: 0, attr_clr: 0, propagation, userns_fd: 0 };
    match change(mount, &set, recursive) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            let target = format!("/proc/self/fd/{}", mount.as_raw_fd());
            set_propagation(Path::new(&target), kind, recursive)
        }
        result => result,
    }
}

/// Makes the working directory the root of the mount namespace and detaches the old root with
/// all that was mounted in it. pivot_root(2).
///
/// The working directory must be a mount. EINVAL on a host whose root is the initramfs, which
/// cannot be put away.
///
/// # Errors
/// Those of pivot_root(2) and umount2(2).
pub fn pivot_into_working_directory() -> io::Result<()> {
    let here = c".".as_ptr();
    // With the same directory twice the old root ends up mounted on top of the new one, so that
    // no directory for it is needed.
    // SAFETY: both paths are NUL-terminated.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) })?;
    // SAFETY: the path is NUL-terminated.
    check(unsafe { libc::umount2(here, libc::MNT_DETACH) })?;
    std::env::set_current_dir("/")
}

/// Whether this error of a mount says that the kernel was built without that file system.
pub fn is_unknown_type(errno: i32) -> bool {
    errno == libc::ENODEV
}

/// Detaches the mount at `target`. umount2(2).
///
/// # Errors
/// EINVAL when nothing is mounted there.
pub fn detach(target: &Path) -> io::Result<()> {
    let target = c_path(target)?;
    // SAFETY: the path is NUL-terminated and outlives the call.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}
