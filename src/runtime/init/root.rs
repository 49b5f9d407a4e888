//! The container's root file system: mounting it, and finding and making places in it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use crate::base::{Context, Error, Result};
use crate::runtime::launch::{Launch, Rootfs};
use crate::sys::{fs, mount, node};

/// What mount(2) takes as options at least: the smallest page. It cuts off the rest in silence.
const MAX_OPTIONS: usize = 4095;

/// Symlinks that point nowhere and are followed while a place is made.
const MAX_DANGLING: u32 = 8;

/// What is made at a place where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    Dir,
    File,
}

/// The mounted root file system, by descriptor.
pub(super) struct Root {
    fd: OwnedFd,
}

impl Root {
    /// Mounts it in the calling process' mount namespace.
    pub(super) fn mount(launch: &Launch) -> Result<Root> {
        let fd = match &launch.rootfs {
            Rootfs::Overlay { lower_base, lowers, upper, work, options } => {
                overlay(lower_base, lowers, upper, work, options)
                    .context(|| format!("mount overlay at {}", upper.display()))?
            }
            Rootfs::Dir { path } => {
                bind_onto_itself(path).context(|| format!("mount {}", path.display()))?
            }
        };
        Ok(Root { fd })
    }

    /// The root of the calling process, which has joined a container's mount namespace.
    pub(super) fn current() -> io::Result<Root> {
        Ok(Root { fd: node::find_on_host(Path::new("/"))? })
    }

    /// Its descriptor.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What is at `path`, symlinks followed inside the root.
    pub(super) fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        node::find_in_root(self.fd(), path)
    }

    /// The directory `/name` for one of the fixed mounts; made when it is missing. An image that
    /// has a symlink there would have the mount redirected, so it is refused.
    pub(super) fn fixed(&self, name: &str) -> Result<OwnedFd> {
        let path = Path::new(name);
        let mut found = node::find_below(self.fd(), path);
        if found.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            found = fs::mkdirat(self.fd(), path, 0o755)
                .and_then(|()| node::find_below(self.fd(), path));
        }
        let found = found.context(|| format!("find /{name} in the image"))?;
        if node::stat(found.as_fd()).is_ok_and(|stat| stat.is_dir()) {
            return Ok(found);
        }
        let is_link = fs::readlinkat(self.fd(), path).is_ok();
        let what = if is_link { "a symlink" } else { "not a directory" };
        Err(Error::internal(format!("/{name} in the image is {what}")))
    }

    /// What is at `path`; when nothing is, it is made, with the directories above it.
    pub(super) fn ensure(&self, path: &Path, make: Make) -> io::Result<OwnedFd> {
        self.ensure_within(path, make, MAX_DANGLING)
    }

    fn ensure_within(&self, path: &Path, make: Make, dangling: u32) -> io::Result<OwnedFd> {
        match self.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let dir = self.ensure_within(parent, Make::Dir, dangling)?;
        let name = Path::new(name);
        let made = match make {
            Make::Dir => fs::mkdirat(dir.as_fd(), name, 0o755),
            Make::File => node::make_file(dir.as_fd(), name, 0o644).map(drop),
        };
        match made {
            Ok(()) => node::find_below(dir.as_fd(), name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dangling > 0 => {
                // Somebody was quicker, or it is a link of /proc to one of our own descriptors
                // (`dir` may have got just that number), which leads nowhere.
                match self.find(path) {
                    Err(again) if again.kind() == io::ErrorKind::NotFound => {}
                    found => return found,
                }
                // A symlink to a place that is not there: that place is made, inside the root.
                let target = fs::readlinkat(dir.as_fd(), name).map_err(|_| error)?;
                self.ensure_within(&clean(&parent.join(target)), make, dangling - 1)
            }
            Err(error) => Err(error),
        }
    }
}

/// `path` without the trailing `.` and `/` that would hide its last name.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn overlay(
    lower_base: &Path,
    lowers: &[String],
    upper: &Path,
    work: &Path,
    options: &str,
) -> Result<OwnedFd> {
    let mut data = format!("lowerdir={}", lowers.join(":"));
    for (key, path) in [("upperdir", upper), ("workdir", work)] {
        let path = path.to_str().ok_or_else(|| Error::internal("a path that is not UTF-8"))?;
        data.push_str(&format!(",{key}={}", escaped(path)));
    }
    if !options.is_empty() {
        data.push(',');
        data.push_str(options);
    }
    if data.len() > MAX_OPTIONS {
        return Err(Error::internal(format!("{} layers do not fit into one mount", lowers.len())));
    }
    std::env::set_current_dir(lower_base)?;
    // Nobody else sees this mount namespace, so that any place will do; this one exists.
    mount::mount(Path::new("overlay"), upper, "overlay", 0, &data)?;
    Ok(node::find_on_host(upper)?)
}

/// `path` as overlayfs reads it from its options.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, ',' | ':' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn bind_onto_itself(path: &Path) -> io::Result<OwnedFd> {
    let tree = mount::clone_host_tree(path, true)?;
    mount::attach(tree.as_fd(), node::find_on_host(path)?.as_fd())?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_paths_do_not_end_an_option() {
        assert_eq!(escaped("/a,b:c\\d"), "/a\\,b\\:c\\\\d");
    }

    #[test]
    fn what_is_missing_is_made_inside_the_root() {
        let dir = std::env::temp_dir().join(format!("skiff-root-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("mnt")).unwrap();
        std::os::unix::fs::symlink("/mnt/there", dir.join("dangling")).unwrap();
        std::os::unix::fs::symlink("../../../../tmp/out", dir.join("mnt/up")).unwrap();
        let root = Root { fd: node::find_on_host(&dir).unwrap() };
        let ensure = |path, make| root.ensure(Path::new(path), make).map(drop);
        ensure("/a/b/c", Make::Dir).unwrap();
        ensure("/a/b/file", Make::File).unwrap();
        ensure("/dangling/x", Make::Dir).unwrap();
        ensure("/mnt/up/y", Make::File).unwrap();
        assert!(dir.join("a/b/c").is_dir() && dir.join("a/b/file").is_file());
        assert!(dir.join("mnt/there/x").is_dir() && dir.join("tmp/out/y").is_file());
        assert!(ensure("/a/b/file/c", Make::Dir).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
