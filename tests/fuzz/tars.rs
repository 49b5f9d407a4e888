//! Layers, plain and compressed, as the image store unpacks them. Needs root, as unpacking does.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use skiff::image::{ImportSpec, Store};
use tar::{Builder, EntryType, Header};

fn entry(tar: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, link: &str, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(1);
    header.set_size(data.len() as u64);
    header.set_cksum();
    tar.append(&header, data).unwrap();
}

fn seeds(outside: &str) -> Vec<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    entry(&mut tar, "dir/", EntryType::Directory, "", &[]);
    entry(&mut tar, "dir/file", EntryType::Regular, "", b"data");
    entry(&mut tar, "dir/hard", EntryType::Link, "dir/file", &[]);
    entry(&mut tar, "soft", EntryType::Symlink, outside, &[]);
    entry(&mut tar, "soft/file", EntryType::Regular, "", b"x");
    entry(&mut tar, "dir/.wh.gone", EntryType::Regular, "", &[]);
    entry(&mut tar, "dir/.wh..wh..opq", EntryType::Regular, "", &[]);
    entry(&mut tar, "fifo", EntryType::Fifo, "", &[]);
    entry(&mut tar, "null", EntryType::Char, "", &[]);
    let plain = tar.into_inner().unwrap();
    let mut tar = Builder::new(Vec::new());
    entry(&mut tar, "././@LongLink", EntryType::GNULongName, "", &b"long/".repeat(40));
    entry(&mut tar, "short", EntryType::Directory, "", &[]);
    entry(
        &mut tar,
        "pax",
        EntryType::XHeader,
        "",
        b"30 SCHILY.xattr.user.a=value1\n20 path=../../up/it\n",
    );
    entry(&mut tar, "file", EntryType::Regular, "", b"x");
    let long = tar.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(plain.as_slice(), level);
    vec![plain, long, gzip.finish().unwrap(), bzip2.finish().unwrap(), zstd]
}

fn listing(dir: &Path, except: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path == except {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            found.extend(listing(&path, except));
        }
        found.push(path);
    }
    found.sort_unstable();
    found
}

#[test]
fn layers() {
    let top = PathBuf::from(format!("/var/tmp/skiff-fuzz-{}", std::process::id()));
    let root = top.join("a/b/c/root");
    let outside = top.join("outside");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("keep"), "kept").unwrap();
    let store = Store::open(&root).unwrap();
    let before = listing(&top, &root);
    crate::fuzz("layers", &seeds(outside.to_str().unwrap()), |input| {
        let image = store.import(&mut &*input, &ImportSpec::default(), &|_| {});
        assert_eq!(listing(&top, &root), before, "written outside");
        assert_eq!(fs::read_dir(root.join("layers/tmp")).unwrap().count(), 0, "left in staging");
        if let Ok(image) = image {
            store.remove(&image.id.to_string(), true, true, &|_| None).unwrap();
        }
    });
    assert_eq!(fs::read(outside.join("keep")).unwrap(), b"kept");
    fs::remove_dir_all(&top).unwrap();
}
