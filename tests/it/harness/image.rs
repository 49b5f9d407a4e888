//! Root file systems as tar files, made on the spot.

use std::process::Command;
use std::sync::OnceLock;

use tar::{Builder, EntryType, Header};

/// A tar in the making. Names are written as they are given, hostile ones too.
pub struct Tar {
    builder: Builder<Vec<u8>>,
}

impl Tar {
    pub fn new() -> Tar {
        Tar { builder: Builder::new(Vec::new()) }
    }

    /// The root file system of the fixture, to be added to.
    pub fn busybox() -> Tar {
        let mut tar = Tar::new();
        for dir in ["bin", "etc", "root", "usr", "usr/bin", "var"] {
            tar = tar.dir(dir, 0o755);
        }
        tar = tar.dir("tmp", 0o1777);
        let program = std::fs::read(busybox()).unwrap();
        tar = tar.file("bin/busybox", 0o755, &program);
        let list = Command::new(busybox()).arg("--list").output().unwrap();
        for applet in String::from_utf8(list.stdout).unwrap().lines() {
            if applet != "busybox" {
                tar = tar.symlink(&format!("bin/{applet}"), "busybox");
            }
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nguest:x:405:100:guest:/tmp:/bin/sh\n\
                      1000:x:0:0:trap:/:/bin/sh\n";
        let group = "root:x:0:\nusers:x:100:\naudio:x:29:guest\nvideo:x:44:root,guest\n";
        tar.file("etc/passwd", 0o644, passwd.as_bytes()).file("etc/group", 0o644, group.as_bytes())
    }

    fn add(mut self, name: &str, kind: EntryType, mode: u32, link: &str, data: &[u8]) -> Tar {
        let mut header = Header::new_ustar();
        // Straight into the field: the builder's own setters refuse what an attacker would not.
        let field = &mut header.as_old_mut().name;
        assert!(name.len() <= field.len(), "{name} is too long for a test");
        field[..name.len()].copy_from_slice(name.as_bytes());
        let field = &mut header.as_old_mut().linkname;
        field[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.builder.append(&header, data).unwrap();
        self
    }

    pub fn dir(self, name: &str, mode: u32) -> Tar {
        self.add(name, EntryType::Directory, mode, "", &[])
    }

    pub fn file(self, name: &str, mode: u32, data: &[u8]) -> Tar {
        self.add(name, EntryType::Regular, mode, "", data)
    }

    pub fn symlink(self, name: &str, target: &str) -> Tar {
        self.add(name, EntryType::Symlink, 0o777, target, &[])
    }

    pub fn hardlink(self, name: &str, target: &str) -> Tar {
        self.add(name, EntryType::Link, 0o644, target, &[])
    }

    pub fn fifo(self, name: &str) -> Tar {
        self.add(name, EntryType::Fifo, 0o644, "", &[])
    }

    pub fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

/// Path of the machine's static busybox.
fn busybox() -> &'static str {
    ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .expect("busybox-static is installed")
}

/// The fixture image, made once.
pub fn busybox_tar() -> &'static [u8] {
    static TAR: OnceLock<Vec<u8>> = OnceLock::new();
    TAR.get_or_init(|| Tar::busybox().bytes())
}
