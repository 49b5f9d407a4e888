//! Files by descriptor: openat2 and its kin.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Resolve inside the directory as if it were the root: `..` and absolute symlinks stay within.
pub const RESOLVE_IN_ROOT: u64 = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
/// Refuse to leave the directory (EXDEV) and refuse every symlink (ELOOP).
pub const RESOLVE_NO_SYMLINKS: u64 =
    libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;

/// `path` as the kernel takes it.
///
/// # Errors
/// EINVAL when it holds a NUL byte.
pub fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Opens `path` below `dir` with `flags` (O_CLOEXEC is added) and `resolve`. openat2(2).
///
/// Before Linux 5.6 the path is walked step by step instead. EAGAIN when a rename raced with `..`;
/// it is tried again a few times.
///
/// # Errors
/// Those of openat2(2).
pub fn openat2(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: i32,
    mode: u32,
    resolve: u64,
) -> io::Result<OwnedFd> {
    let c_path = c_path(path)?;
    // SAFETY: open_how is plain integers, for which zero is valid; it has no public constructor.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    // Without O_LARGEFILE a 32-bit system refuses files of 2 GiB and more; with O_PATH, openat2
    // refuses that flag.
    let large = if flags & libc::O_PATH == 0 { libc::O_LARGEFILE } else { 0 };
    how.flags = u64::from(u32::from_ne_bytes((flags | large | libc::O_CLOEXEC).to_ne_bytes()));
    how.mode = u64::from(mode);
    how.resolve = resolve;
    for _ in 0..16 {
        // SAFETY: `c_path` is NUL-terminated and `how` is a valid open_how of the size given; both
        // outlive the call. `dir` is borrowed, so it stays open.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                c_path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        match super::check(fd) {
            Ok(fd) => {
                let fd = i32::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
                // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
                return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
            }
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                let follow = resolve & libc::RESOLVE_NO_SYMLINKS == 0;
                return super::resolve::open(dir, path, flags, mode, follow);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

/// Opens `path` as seen by a process whose root is `root`: symlinks are followed inside it.
///
/// # Errors
/// Those of openat2(2).
pub fn open_in_root(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: i32,
    mode: u32,
) -> io::Result<OwnedFd> {
    openat2(root, path, flags, mode, RESOLVE_IN_ROOT)
}

/// Opens `name` in `dir`; a symlink is not followed when `flags` say O_NOFOLLOW. openat(2).
///
/// # Errors
/// Those of openat(2).
pub fn openat(dir: BorrowedFd<'_>, name: &Path, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let name = c_path(name)?;
    // Without O_LARGEFILE a 32-bit system call refuses files of 2 GiB and more.
    let flags = flags | libc::O_CLOEXEC | libc::O_LARGEFILE;
    // SAFETY: `name` is NUL-terminated and outlives the call; `dir` is borrowed and stays open.
    let fd = unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags, mode) };
    let fd = super::check(fd)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a directory. The umask applies. mkdirat(2).
///
/// # Errors
/// Those of mkdirat(2).
pub fn mkdirat(dir: BorrowedFd<'_>, name: &Path, mode: u32) -> io::Result<()> {
    let name = c_path(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call; `dir` is borrowed and stays open.
    super::check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode as _) }).map(drop)
}

/// Makes a node: `mode` is S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK or S_IFREG with permission bits.
/// The umask applies. mknodat(2).
///
/// # Errors
/// Those of mknodat(2).
pub fn mknodat(
    dir: BorrowedFd<'_>,
    name: &Path,
    mode: u32,
    (major, minor): (u32, u32),
) -> io::Result<()> {
    let name = c_path(name)?;
    let device = libc::makedev(major as _, minor as _);
    // SAFETY: `name` is NUL-terminated and outlives the call; `dir` is borrowed and stays open.
    super::check(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), mode as _, device) })
        .map(drop)
}

/// Makes a symlink `name` in `dir` that says `target`. symlinkat(2).
///
/// # Errors
/// Those of symlinkat(2).
pub fn symlinkat(target: &Path, dir: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let (target, name) = (c_path(target)?, c_path(name)?);
    // SAFETY: both strings are NUL-terminated and outlive the call; `dir` stays open.
    super::check(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_ptr()) })
        .map(drop)
}

/// Links `name` in `dir` as `new_name` in `new_dir`; a symlink is linked itself. linkat(2).
///
/// # Errors
/// Those of linkat(2).
pub fn linkat(
    dir: BorrowedFd<'_>,
    name: &Path,
    new_dir: BorrowedFd<'_>,
    new_name: &Path,
) -> io::Result<()> {
    let (name, new_name) = (c_path(name)?, c_path(new_name)?);
    // SAFETY: both strings are NUL-terminated and outlive the call; both descriptors stay open.
    super::check(unsafe {
        libc::linkat(dir.as_raw_fd(), name.as_ptr(), new_dir.as_raw_fd(), new_name.as_ptr(), 0)
    })
    .map(drop)
}

/// Renames; what is at the new name is replaced. renameat(2).
///
/// # Errors
/// Those of renameat(2).
pub fn renameat(
    dir: BorrowedFd<'_>,
    name: &Path,
    new_dir: BorrowedFd<'_>,
    new_name: &Path,
) -> io::Result<()> {
    let (name, new_name) = (c_path(name)?, c_path(new_name)?);
    // SAFETY: both strings are NUL-terminated and outlive the call; both descriptors stay open.
    super::check(unsafe {
        libc::renameat(dir.as_raw_fd(), name.as_ptr(), new_dir.as_raw_fd(), new_name.as_ptr())
    })
    .map(drop)
}

/// Removes what is no directory. unlinkat(2).
///
/// # Errors
/// Those of unlinkat(2).
pub fn unlinkat(dir: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    unlink(dir, name, 0)
}

/// Removes an empty directory. unlinkat(2).
///
/// # Errors
/// Those of unlinkat(2).
pub fn rmdirat(dir: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    unlink(dir, name, libc::AT_REMOVEDIR)
}

fn unlink(dir: BorrowedFd<'_>, name: &Path, flags: i32) -> io::Result<()> {
    let name = c_path(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call; `dir` is borrowed and stays open.
    super::check(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), flags) }).map(drop)
}

/// Sets the owner of `name` in `dir`; a symlink's own. Clears set-id bits and capabilities of
/// a file. fchownat(2).
///
/// # Errors
/// Those of fchownat(2).
pub fn fchownat(dir: BorrowedFd<'_>, name: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let name = c_path(name)?;
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: `name` is NUL-terminated and outlives the call; `dir` is borrowed and stays open.
    super::check(unsafe { libc::fchownat(dir.as_raw_fd(), name.as_ptr(), uid, gid, flags) })
        .map(drop)
}

/// Sets the permission bits of `name` in `dir`. Follows a symlink, as Linux knew no other way
/// before 6.6: only for names that are known to be none. fchmodat(2).
///
/// # Errors
/// Those of fchmodat(2).
pub fn fchmodat(dir: BorrowedFd<'_>, name: &Path, mode: u32) -> io::Result<()> {
    let name = c_path(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call; `dir` is borrowed and stays open.
    super::check(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode as _, 0) }).map(drop)
}

/// Sets the permission bits of an open file. fchmod(2).
///
/// # Errors
/// Those of fchmod(2); EBADF for a descriptor opened with O_PATH.
pub fn fchmod(file: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    // SAFETY: fchmod takes two integers; `file` is borrowed and stays open.
    super::check(unsafe { libc::fchmod(file.as_raw_fd(), mode as _) }).map(drop)
}

/// A time as the kernel takes it. Where its seconds have 32 bits, what does not fit becomes the
/// nearest that does.
fn timespec((seconds, nanos): (i64, u32)) -> libc::timespec {
    let bound = if seconds < 0 { libc::time_t::MIN } else { libc::time_t::MAX };
    // SAFETY: timespec is plain integers (and padding on some targets); zero is valid.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    time.tv_sec = libc::time_t::try_from(seconds).unwrap_or(bound);
    time.tv_nsec = nanos.min(999_999_999) as _;
    time
}

/// Sets access and modification time of `name` in `dir`; a symlink's own. utimensat(2).
///
/// # Errors
/// Those of utimensat(2).
pub fn utimensat(dir: BorrowedFd<'_>, name: &Path, time: (i64, u32)) -> io::Result<()> {
    let name = c_path(name)?;
    let times = [timespec(time); 2];
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: `name` is NUL-terminated, `times` are the two that the call reads; both outlive it.
    super::check(unsafe { libc::utimensat(dir.as_raw_fd(), name.as_ptr(), times.as_ptr(), flags) })
        .map(drop)
}

/// Sets access and modification time of an open file. futimens(3).
///
/// # Errors
/// Those of utimensat(2); EBADF for a descriptor opened with O_PATH.
pub fn futimens(file: BorrowedFd<'_>, time: (i64, u32)) -> io::Result<()> {
    let times = [timespec(time); 2];
    // SAFETY: `times` are the two that the call reads; `file` is borrowed and stays open.
    super::check(unsafe { libc::futimens(file.as_raw_fd(), times.as_ptr()) }).map(drop)
}

/// What a name stands for; the same on every word size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Type and permission bits.
    pub mode: u32,
    /// Number of names.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes in use.
    pub blocks: u64,
    /// Inode number.
    pub inode: u64,
    /// Device that holds it.
    pub device: (u32, u32),
    /// Device that it is.
    pub rdev: (u32, u32),
    /// Modification time: seconds since 1970, nanoseconds.
    pub mtime: (i64, u32),
}

impl Stat {
    /// The S_IF… bits of the mode.
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    /// A character device 0:0, which is how overlayfs says that a name is deleted.
    pub fn is_whiteout(&self) -> bool {
        self.kind() == libc::S_IFCHR && self.rdev == (0, 0)
    }

    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }

    /// A pipe or a socket.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind(), libc::S_IFIFO | libc::S_IFSOCK)
    }

    /// `c` or `b` for a device node.
    pub fn device_kind(&self) -> Option<char> {
        match self.kind() {
            libc::S_IFCHR => Some('c'),
            libc::S_IFBLK => Some('b'),
            _ => None,
        }
    }
}

/// Looks at `name` in `dir`, or at `dir` itself when `name` is empty; never follows a symlink.
/// statx(2), Linux 4.11.
///
/// # Errors
/// Those of statx(2).
pub fn statat(dir: BorrowedFd<'_>, name: &Path) -> io::Result<Stat> {
    let name = c_path(name)?;
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT;
    // SAFETY: statx is plain integers, for which zero is valid.
    let mut out: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is NUL-terminated, `out` has the size of a struct statx; both outlive the
    // call. `dir` is borrowed and stays open.
    super::check(unsafe {
        libc::syscall(
            libc::SYS_statx,
            dir.as_raw_fd(),
            name.as_ptr(),
            flags,
            libc::STATX_BASIC_STATS,
            &raw mut out,
        )
    })?;
    Ok(Stat {
        mode: u32::from(out.stx_mode),
        links: out.stx_nlink,
        uid: out.stx_uid,
        gid: out.stx_gid,
        size: out.stx_size,
        blocks: out.stx_blocks,
        inode: out.stx_ino,
        device: (out.stx_dev_major, out.stx_dev_minor),
        rdev: (out.stx_rdev_major, out.stx_rdev_minor),
        mtime: (out.stx_mtime.tv_sec, out.stx_mtime.tv_nsec),
    })
}

/// What the symlink `name` in `dir` says. readlinkat(2).
///
/// # Errors
/// EINVAL when it is no symlink; ENAMETOOLONG when it says more than PATH_MAX bytes.
pub fn readlinkat(dir: BorrowedFd<'_>, name: &Path) -> io::Result<PathBuf> {
    let name = c_path(name)?;
    let mut buffer = vec![0u8; 4096];
    // SAFETY: `name` is NUL-terminated; the call writes at most `buffer.len()` bytes to `buffer`.
    let length = super::check(unsafe {
        libc::readlinkat(dir.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    })?;
    let length = length.unsigned_abs();
    if length == buffer.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    buffer.truncate(length);
    Ok(PathBuf::from(OsString::from_vec(buffer)))
}

/// The next run of data at or after `offset`, as (start, end); `None` when only a hole follows.
/// A file system that knows no holes reports one run. lseek(2), SEEK_DATA and SEEK_HOLE.
///
/// # Errors
/// Those of lseek(2).
pub fn next_data(file: BorrowedFd<'_>, offset: u64) -> io::Result<Option<(u64, u64)>> {
    let seek = |offset: u64, whence| {
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: lseek takes integers alone; `file` is borrowed and stays open.
        let at = super::check(unsafe { libc::lseek64(file.as_raw_fd(), offset, whence) })?;
        Ok::<u64, io::Error>(at.unsigned_abs())
    };
    let start = match seek(offset, libc::SEEK_DATA) {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(None),
        start => start?,
    };
    Ok(Some((start, seek(start, libc::SEEK_HOLE)?)))
}

/// Writes everything that waits for the disk below `dir`'s file system. Reports earlier failures
/// to write from Linux 5.8 on. syncfs(2).
///
/// # Errors
/// EIO or ENOSPC when something could not be written.
pub fn syncfs(dir: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: syncfs takes one integer; `dir` is borrowed and stays open.
    super::check(unsafe { libc::syncfs(dir.as_raw_fd()) }).map(drop)
}
