//! Tars of all kinds: what they make, that they come back byte for byte, and that the hostile
//! ones change nothing outside.

use std::ffi::CStr;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{Scratch, Tar, import, picture, tar_again, tree};
use crate::sys::xattr;

fn attribute(path: &Path, key: &CStr) -> Option<Vec<u8>> {
    let dir = std::fs::File::open(path.parent().unwrap()).unwrap();
    let all = xattr::list_at(dir.as_fd(), Path::new(path.file_name().unwrap())).unwrap();
    all.into_iter().find(|(known, _)| **known == *key).map(|(_, value)| value)
}

fn capability() -> Vec<u8> {
    // Version 2, effective; CAP_NET_BIND_SERVICE, whose bit makes a newline of the first byte
    // when CAP_DAC_OVERRIDE and CAP_FOWNER stand beside it.
    let words: [u32; 5] = [0x0200_0001, 0x0000_040a, 0, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn everything_in_a_tar_is_kept() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let mut tar = Tar::default();
    tar.header("./", b'5', |header| {
        header.set_mode(0o711);
        header.set_uid(7);
    });
    let mut tar = tar.dir("bin").file("bin/tool", b"tool");
    tar.header("bin/suid", b'0', |header| {
        header.set_mode(0o4755);
        header.set_uid(1000);
        header.set_gid(1001);
        header.set_size(3);
    });
    tar.data(b"abc");
    let mut tar = tar
        .hard_link("bin/other", "/bin/tool")
        .symlink("sh", "bin/tool")
        .symlink("dangling", "/nowhere")
        .hard_link("sh2", "sh")
        .pax(&[
            ("mtime", b"1500000000.123456789"),
            ("SCHILY.xattr.security.capability", &capability()),
            ("SCHILY.xattr.user.text", b"a\nb\0c"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.redirect", b"/x"),
        ])
        .file("cap", b"x");
    tar.header("null", b'3', |header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_mode(0o666);
    });
    tar.header("pipe", b'6', |header| header.set_mode(0o600));
    let tar = tar.dir("late").file("late/file", b"").dir("late").file("made/for/me", b"1").end();
    let image = import(&store, &tar).unwrap();
    let tree = tree(&store, &image);

    let meta = |name: &str| tree.join(name).symlink_metadata().unwrap();
    assert_eq!((meta("").mode() & 0o7777, meta("").uid()), (0o711, 7));
    assert_eq!(meta("bin/suid").mode() & 0o7777, 0o4755);
    assert_eq!((meta("bin/suid").uid(), meta("bin/suid").gid()), (1000, 1001));
    assert_eq!(meta("bin/tool").ino(), meta("bin/other").ino());
    assert_eq!(meta("sh").ino(), meta("sh2").ino());
    assert_eq!(std::fs::read_link(tree.join("sh")).unwrap(), Path::new("bin/tool"));
    assert_eq!((meta("cap").mtime(), meta("cap").mtime_nsec()), (1_500_000_000, 123_456_789));
    assert_eq!(attribute(&tree.join("cap"), c"security.capability"), Some(capability()));
    assert_eq!(attribute(&tree.join("cap"), c"user.text"), Some(b"a\nb\0c".to_vec()));
    assert_eq!(attribute(&tree.join("cap"), c"trusted.overlay.opaque"), None);
    assert_eq!(attribute(&tree.join("cap"), c"user.overlay.redirect"), None);
    assert!(meta("null").file_type().is_char_device());
    assert_eq!(meta("null").rdev(), 0x103);
    assert!(meta("pipe").file_type().is_fifo());
    for dir in ["", "bin", "late"] {
        assert_eq!(meta(dir).mtime(), 1_000_000_000, "{dir}");
    }
    assert_eq!(meta("made/for").mode() & 0o7777, 0o755);
    assert_eq!(image.size, 4 + 3 + 1 + 1);
    assert_eq!(tar_again(&store, &image).unwrap(), tar);
    assert_eq!(image.layers[0].diff_id, crate::base::Digest::of(&tar));
}

#[test]
fn long_names_come_in_three_ways() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let deep = |letter: &str| format!("{}/{}", letter.repeat(120), letter.repeat(130));
    let mut tar = Tar::default()
        .entry("././@LongLink", b'L', "", format!("{}\0", deep("a")).as_bytes())
        .file("cut", b"gnu")
        .pax(&[("path", deep("b").as_bytes()), ("comment", b"x")])
        .file("cut", b"pax")
        .entry("././@LongLink", b'K', "", format!("{}\0", deep("c")).as_bytes())
        .symlink("link", "cut");
    tar.header("", b'0', |header| {
        let mut ustar = tar::Header::new_ustar();
        ustar.set_path(format!("{}/{}", "p".repeat(100), "n".repeat(90))).unwrap();
        let (mtime, mode) = (0, 0o600);
        ustar.set_mtime(mtime);
        ustar.set_mode(mode);
        ustar.set_uid(0);
        ustar.set_gid(0);
        ustar.set_size(0);
        *header = ustar;
    });
    let tar = tar.end();
    let image = import(&store, &tar).unwrap();
    let tree = tree(&store, &image);
    assert_eq!(std::fs::read(tree.join(deep("a"))).unwrap(), b"gnu");
    assert_eq!(std::fs::read(tree.join(deep("b"))).unwrap(), b"pax");
    assert_eq!(std::fs::read_link(tree.join("link")).unwrap(), Path::new(&deep("c")));
    assert!(tree.join("p".repeat(100)).join("n".repeat(90)).exists());
    assert_eq!(tar_again(&store, &image).unwrap(), tar);
}

/// 10 MiB of holes, with "one" at 4096 and "two" at the end.
fn check_sparse(store: &super::Store, tar: &[u8]) {
    let image = import(store, tar).unwrap();
    let path = tree(store, &image).join("holes");
    let meta = path.metadata().unwrap();
    assert_eq!(meta.len(), 10 << 20);
    assert!(meta.blocks() < 64, "{} blocks", meta.blocks());
    let data = std::fs::read(&path).unwrap();
    assert_eq!(&data[4096..4099], b"one");
    assert_eq!(&data[(10 << 20) - 3..], b"two");
    assert_eq!(data.iter().filter(|b| **b != 0).count(), 6);
    assert_eq!(tar_again(store, &image).unwrap(), tar);
}

const RUNS: [(u64, u64); 2] = [(4096, 3), ((10 << 20) - 3, 3)];

#[test]
fn sparse_files_of_every_format_have_their_holes() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();

    let mut gnu = Tar::default();
    gnu.header("holes", b'S', |header| {
        header.set_size(6);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(10 << 20);
        gnu.sparse[0].set_offset(RUNS[0].0);
        gnu.sparse[0].set_length(RUNS[0].1);
        gnu.set_is_extended(true);
    });
    let mut more = tar::GnuExtSparseHeader::new();
    more.sparse_mut()[0].set_offset(RUNS[1].0);
    more.sparse_mut()[0].set_length(RUNS[1].1);
    gnu.0.extend_from_slice(more.as_bytes());
    gnu.data(b"onetwo");
    check_sparse(&store, &gnu.end());

    let real = (10u64 << 20).to_string();
    let (a, b) = (RUNS[0].0.to_string(), RUNS[1].0.to_string());
    let pax_0_0 = Tar::default().pax(&[
        ("GNU.sparse.size", real.as_bytes()),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", a.as_bytes()),
        ("GNU.sparse.numbytes", b"3"),
        ("GNU.sparse.offset", b.as_bytes()),
        ("GNU.sparse.numbytes", b"3"),
    ]);
    check_sparse(&store, &pax_0_0.file("holes", b"onetwo").end());

    let map = format!("{a},3,{b},3");
    let pax_0_1 = Tar::default().pax(&[
        ("GNU.sparse.size", real.as_bytes()),
        ("GNU.sparse.map", map.as_bytes()),
        ("GNU.sparse.name", b"holes"),
    ]);
    check_sparse(&store, &pax_0_1.file("GNUSparseFile.1/holes", b"onetwo").end());

    let mut data = format!("2\n{a}\n3\n{b}\n3\n").into_bytes();
    data.resize(512, 0);
    data.extend_from_slice(b"onetwo");
    let pax_1_0 = Tar::default().pax(&[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"holes"),
        ("GNU.sparse.realsize", real.as_bytes()),
    ]);
    check_sparse(&store, &pax_1_0.file("GNUSparseFile.1/holes", &data).end());
}

#[test]
fn whiteouts_become_those_of_overlayfs() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let tar = Tar::default()
        .dir("etc")
        .file("etc/.wh.passwd", b"")
        .file(".wh..wh.aufs", b"aufs's own")
        .file(".wh..wh.plnk/12.3", b"aufs's own")
        .file("var/.wh..wh..opq", b"")
        .symlink("link", "var")
        .hard_link("link/.wh.gone", ".wh..wh.aufs")
        .file("etc/mine", b"1")
        .file("etc/.wh.mine", b"")
        .dir("etc/new")
        .file("etc/.wh.new", b"")
        .file("etc/.wh.again", b"")
        .dir("etc/again")
        .file("etc/.wh.parent", b"")
        .file("etc/parent/file", b"")
        .end();
    let image = import(&store, &tar).unwrap();
    let tree = tree(&store, &image);
    for gone in ["etc/passwd", "var/gone"] {
        let meta = tree.join(gone).symlink_metadata().unwrap();
        assert!(meta.file_type().is_char_device() && meta.rdev() == 0, "{gone}");
    }
    for dir in ["var", "etc/new", "etc/again", "etc/parent"] {
        let mark = attribute(&tree.join(dir), c"trusted.overlay.opaque");
        assert_eq!(mark.as_deref(), Some(&b"y"[..]), "{dir}");
    }
    assert_eq!(std::fs::read(tree.join("etc/mine")).unwrap(), b"1");
    assert_eq!(attribute(&tree.join("etc"), c"trusted.overlay.opaque"), None);
    assert!(picture(&tree).keys().all(|path| !path.to_string_lossy().contains(".wh.")));
    assert_eq!(tar_again(&store, &image).unwrap(), tar);
}

#[test]
fn what_later_entries_replace_is_in_the_tar_made_again() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let tar = Tar::default()
        .file("a", b"first")
        .file("a", b"second")
        .dir("d")
        .file("d/x", b"in d")
        .file("d/y/z", b"deep")
        .symlink("d", "other")
        .dir("other")
        .file("d/x", b"through a link")
        .symlink("l", "other")
        .file("l/n", b"one")
        .symlink("l", "third")
        .dir("third")
        .file("l/n", b"two")
        .file("other/n", b"three")
        .file("f", b"a file")
        .dir("f")
        .file("f/in", b"now a directory")
        .hard_link("f", "a")
        .hard_link("a", "a")
        .end();
    let image = import(&store, &tar).unwrap();
    let tree = tree(&store, &image);
    let read = |name: &str| String::from_utf8(std::fs::read(tree.join(name)).unwrap()).unwrap();
    assert_eq!(read("a"), "second");
    assert_eq!(read("other/x"), "through a link");
    assert_eq!(read("other/n"), "three");
    assert_eq!(read("third/n"), "two");
    assert_eq!(read("f"), "second");
    assert_eq!(tar_again(&store, &image).unwrap(), tar);
}

#[test]
fn odd_ends_belong_to_the_tar() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let plain = Tar::default().file("a", b"x");
    let mut padded = Tar::default();
    padded.header("a", b'0', |header| header.set_size(1));
    padded.0.extend_from_slice(&[b'x'; 512]); // The padding is not zeros.
    for tar in [
        plain.0.clone(),
        [plain.clone().0, vec![0; 512]].concat(),
        plain.clone().end(),
        [plain.clone().end(), vec![0; 10_000]].concat(),
        [plain.clone().end(), b"garbage after the end".to_vec()].concat(),
        padded.end(),
        vec![0; 10_240],
        Tar::default().entry("g", b'g', "", b"9 a=bcde\n").file("a", b"").end(),
    ] {
        let image = import(&store, &tar).unwrap();
        assert_eq!(tar_again(&store, &image).unwrap(), tar);
    }
}

#[test]
fn tars_of_gnu_tar_come_back_whole() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    for format in ["gnu", "pax", "ustar", "oldgnu"] {
        let sparse = if format == "ustar" { "--no-acls" } else { "--sparse" };
        let out = std::process::Command::new("tar")
            .args(["--format", format, sparse, "-C", "/etc", "-c", "."])
            .output();
        let Ok(out) = out else {
            eprintln!("skipped: no tar program here");
            return;
        };
        let image = import(&store, &out.stdout).unwrap();
        assert_eq!(tar_again(&store, &image).unwrap(), out.stdout, "{format}");
    }
}

#[test]
fn a_hostile_tar_changes_nothing_outside() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let outside = scratch.0.join("outside");
    std::fs::create_dir_all(outside.join("dir")).unwrap();
    std::fs::write(outside.join("victim"), "untouched").unwrap();
    let before = picture(&outside);
    let out = outside.to_str().unwrap();
    // From a layer's tree up to the scratch directory.
    let up = "../../../../..";
    let t = Tar::default;
    let mut device = t();
    device.header("zero", b'3', |header| {
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
    });
    let deep = vec!["d"; 200].join("/");
    let corpus: Vec<(&str, Tar, bool)> = vec![
        ("a path that climbs", t().file(&format!("{up}/outside/new"), b"x"), false),
        ("one that climbs from below", t().file(&format!("a/{up}/outside/new"), b"x"), false),
        ("an absolute path", t().file(&format!("{out}/new"), b"x"), true),
        ("an absolute path that climbs", t().file("/../../../../../outside/new", b"x"), true),
        ("a symlink as parent", t().symlink("l", out).file("l/new", b"x"), false),
        (
            "a climbing symlink",
            t().symlink("l", &format!("{up}/outside")).file("l/new", b"x"),
            false,
        ),
        (
            "a chain of symlinks, then a file",
            t().symlink("a", "b").symlink("b", "c").symlink("c", out).file("a/new", b"x"),
            false,
        ),
        (
            "a symlink to the root, then a climb",
            t().symlink("l", "/").file("l/l/l/../new", b"x"),
            true,
        ),
        ("a file over a symlink", t().symlink("l", &format!("{out}/victim")).file("l", b"x"), true),
        (
            "a hard link to a symlink, then a file",
            t().symlink("l", &format!("{out}/victim")).hard_link("h", "l").file("h", b"x"),
            true,
        ),
        ("a hard link outside", t().hard_link("h", &format!("{up}/outside/victim")), false),
        ("an absolute hard link", t().hard_link("h", &format!("{out}/victim")), false),
        ("a hard link through a symlink", t().symlink("l", out).hard_link("h", "l/victim"), false),
        ("a directory over a symlink", t().symlink("l", &format!("{out}/dir")).dir("l"), true),
        (
            "a mode through a symlink",
            t().symlink("l", &format!("{out}/victim")).hard_link("l2", "l"),
            true,
        ),
        (
            "a symlink over a directory, then a file",
            t().dir("d").file("d/f", b"x").symlink("d", out).file("d/new", b"x"),
            false,
        ),
        ("a whiteout through a symlink", t().symlink("l", out).file("l/.wh.victim", b""), false),
        (
            "an opaque mark through a symlink",
            t().symlink("l", out).file("l/.wh..wh..opq", b""),
            false,
        ),
        ("a whiteout of the parent", t().file("a/.wh...", b""), false),
        ("a whiteout of the directory", t().file("a/.wh..", b""), false),
        ("a device that is a whiteout", device, false),
        ("a parent that is a file", t().file("f", b"x").file("f/g", b"x"), false),
        ("a file as the root", t().file(".", b"x"), false),
        ("a symlink as the root", t().symlink("./", out), false),
        ("a hard link to the root", t().hard_link("h", "/"), false),
        ("a path that is too deep", t().pax(&[("path", deep.as_bytes())]).file("x", b""), false),
        ("a size below zero", t().pax(&[("size", b"-1")]).file("x", b""), false),
        ("an owner that is none", t().pax(&[("uid", b"4294967295")]).file("x", b""), false),
        ("a name with a NUL", t().pax(&[("path", b"a\0b")]).file("x", b""), false),
        ("an unknown type", t().entry("x", b'Z', "", b""), false),
        ("no name", t().file("", b""), false),
    ];
    for (what, tar, fits) in corpus {
        let outcome = import(&store, &tar.end());
        assert_eq!(outcome.is_ok(), fits, "{what}: {:?}", outcome.err());
        assert_eq!(picture(&outside), before, "{what}");
        assert_eq!(std::fs::read_dir(scratch.0.join("data/layers/tmp")).unwrap().count(), 0);
    }
}

#[test]
fn symlinks_to_directories_lead_inside() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let tar = Tar::default()
        .dir("usr")
        .dir("usr/lib")
        .symlink("lib", "/usr/lib")
        .symlink("up", "../../../usr")
        .file("lib/one", b"1")
        .file("up/lib/two", b"2")
        .hard_link("three", "lib/one")
        .end();
    let image = import(&store, &tar).unwrap();
    let tree = tree(&store, &image);
    assert_eq!(std::fs::read(tree.join("usr/lib/one")).unwrap(), b"1");
    assert_eq!(std::fs::read(tree.join("usr/lib/two")).unwrap(), b"2");
    assert_eq!(std::fs::read(tree.join("three")).unwrap(), b"1");
    assert_eq!(tar_again(&store, &image).unwrap(), tar);
}

#[test]
fn a_small_tar_cannot_claim_the_disk() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let huge = (1u64 << 60).to_string();
    let sparse = Tar::default()
        .pax(&[("GNU.sparse.size", huge.as_bytes()), ("GNU.sparse.map", b"0,1")])
        .file("x", b"1")
        .end();
    assert!(import(&store, &sparse).unwrap_err().to_string().contains("64 GiB"));
    let claimed = Tar::default().pax(&[("size", huge.as_bytes())]).file("x", b"1").end();
    assert!(import(&store, &claimed).is_err());
    let mut far = tar::Header::new_gnu();
    far.set_size(1 << 62);
    assert!(import(&store, far.as_bytes()).is_err());
}
