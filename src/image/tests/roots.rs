//! Roots made of layers: by overlayfs, by copy; and what happens on a full disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Scratch, Tar, count, import, named, nobody, on_top, picture, reference};
use crate::base::{Digest, Kind};
use crate::image::layers::Info;
use crate::image::{Driver, Image, Layer, Plan, Store};
use crate::sys::mount::{self, Propagation};
use crate::sys::ns::{self, NsKind};

/// Mounts `plan` as init does, in a mount namespace of its own, and shows `look` the root.
fn mounted<T: Send>(scratch: &Scratch, plan: Plan, look: impl FnOnce(&Path) -> T + Send) -> T {
    let Plan::Overlay { lower_base, lowers, options } = plan else { panic!("no overlay") };
    let dirs = ["upper", "work", "root"].map(|name| scratch.0.join(name));
    for dir in &dirs[1..] {
        std::fs::create_dir_all(dir).unwrap();
    }
    let data = format!(
        "lowerdir={},upperdir={},workdir={},{options}",
        lowers.join(":"),
        dirs[0].display(),
        dirs[1].display()
    );
    assert!(data.len() < 4096, "{} bytes of options", data.len());
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            ns::unshare(NsKind::Mount).unwrap();
            mount::set_propagation(Path::new("/"), Propagation::Private, true).unwrap();
            std::env::set_current_dir(lower_base).unwrap();
            mount::mount(Path::new("overlay"), &dirs[2], "overlay", 0, &data).unwrap();
            let seen = look(&dirs[2]);
            mount::detach(&dirs[2]).unwrap();
            seen
        });
        thread.join().unwrap()
    })
}

#[test]
fn an_image_of_200_layers_is_mounted() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    if store.driver().0 != Driver::Overlay {
        eprintln!("skipped: {}", store.driver().1.unwrap());
        return;
    }
    let layer = |n: usize| {
        let n = n.to_string();
        Tar::default().file(&format!("layer-{n}"), n.as_bytes()).file("top", n.as_bytes()).end()
    };
    let mut image = import(&store, &layer(0)).unwrap();
    for n in 1..200 {
        image = on_top(&store, &image, layer(n));
    }
    store.make_upper(&image.id, &scratch.0.join("upper")).unwrap();
    let plan = store.plan(&image.id).unwrap();
    mounted(&scratch, plan, |root| {
        let read = |name: String| std::fs::read_to_string(root.join(name)).unwrap();
        assert_eq!(read("top".into()), "199");
        assert!((0..200).all(|n| read(format!("layer-{n}")) == n.to_string()));
        assert!(root.join("etc/hosts").exists() && root.join(".dockerenv").exists());
    });
    // The store opens again with all of them, and quickly.
    drop(store);
    let store = scratch.store();
    assert_eq!(store.by_id(&image.id).unwrap().layers.len(), 200);
}

#[test]
fn layers_that_come_twice_are_stacked_once() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let one = || Tar::default().file("one", b"1").end();
    let image = import(&store, &one()).unwrap();
    let image = on_top(&store, &image, Tar::default().file(".wh.one", b"").end());
    let image = on_top(&store, &image, one());
    assert_eq!((image.layers.len(), image.size), (3, 2));
    let Plan::Overlay { lowers, .. } = store.plan(&image.id).unwrap() else { return };
    assert_eq!(lowers.len(), 3);
    store.make_upper(&image.id, &scratch.0.join("upper")).unwrap();
    let plan = store.plan(&image.id).unwrap();
    mounted(&scratch, plan, |root| assert!(root.join("one").exists()));
    // Gone with the last image that has it.
    let removed = store.remove(&image.id.hex(), false, true, &nobody).unwrap();
    assert_eq!(removed.len(), 3 + 2);
    assert_eq!(store.layers_size(), 0);
}

#[test]
fn more_layers_than_the_kernel_stacks_are_an_error() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let image = import(&store, &Tar::default().file("a", b"").end()).unwrap();
    if store.driver().0 != Driver::Overlay {
        eprintln!("skipped: {}", store.driver().1.unwrap());
        return;
    }
    let digests: Vec<Digest> = (0..500u32).map(|n| Digest::of(&n.to_le_bytes())).collect();
    let tall = |count: usize| {
        let layer = |id: &Digest| Layer { diff_id: *id, size: 0 };
        let layers = digests[..count].iter().map(layer).collect();
        let mut index = store.index.lock();
        for (n, id) in digests.iter().enumerate() {
            let short = format!("{n:08x}");
            index.layers.insert(*id, Info { size: 0, opaque: false, short });
        }
        let id = Digest::of(&count.to_le_bytes());
        index.images.insert(id, Arc::new(Image { id, layers, ..(*image).clone() }));
        id
    };
    assert!(store.plan(&tall(300)).is_ok());
    let error = store.plan(&tall(500)).unwrap_err().to_string();
    assert_eq!(error, "the image has 500 layers, more than the kernel can stack");
}

/// What a tree looks like, but for what a mounted overlay shows otherwise: the number of links
/// of a directory, and its root's and init's own.
fn comparable(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = picture(root);
    for (path, line) in &mut all {
        let mut words: Vec<&str> = line.split(' ').collect();
        if root.join(path).symlink_metadata().unwrap().is_dir() {
            words[3] = "-";
        }
        *line = words.join(" ");
    }
    all.remove(Path::new(""));
    all
}

#[test]
fn a_copy_shows_what_an_overlay_shows() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let mut first = Tar::default();
    first.header("./", b'5', |header| {
        header.set_mode(0o751);
        header.set_uid(3);
    });
    let mut first = first
        .dir("keep")
        .file("keep/a", b"a")
        .file("keep/b", b"b")
        .dir("gone")
        .file("gone/x", b"x")
        .dir("opaque")
        .file("opaque/old", b"old")
        .file("becomes-dir", b"f")
        .dir("becomes-file")
        .file("becomes-file/x", b"x")
        .file("linked", b"linked")
        .hard_link("linked-too", "linked")
        .symlink("sym", "keep/a")
        .pax(&[("SCHILY.xattr.user.a", b"b"), ("mtime", b"1.5")])
        .file("attributes", b"");
    first.header("suid", b'0', |header| header.set_mode(0o4711));
    first.header("null", b'3', |header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    });
    let image = import(&store, &first.end()).unwrap();
    let second = Tar::default()
        .file(".wh.gone", b"")
        .file("keep/.wh.a", b"")
        .file("keep/c", b"c")
        .dir("opaque")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/new", b"new")
        .dir("becomes-dir")
        .file("becomes-dir/y", b"y")
        .file("becomes-file", b"now")
        .end();
    let mut image = on_top(&store, &image, second);
    for hide_all in [false, true] {
        if hide_all {
            let third = Tar::default().file(".wh..wh..opq", b"").file("only", b"1").end();
            image = on_top(&store, &image, third);
        }
        let copied = scratch.0.join(format!("copied-{hide_all}"));
        store.copy_rootfs(&image.id, &copied).unwrap();
        let copy = comparable(&copied);
        assert_eq!(copy.contains_key(Path::new("keep")), !hide_all);
        assert!(copy.contains_key(Path::new("etc/hosts")));
        if store.driver().0 != Driver::Overlay {
            eprintln!("skipped: comparison with an overlay");
            return;
        }
        let upper = scratch.0.join("upper");
        store.make_upper(&image.id, &upper).unwrap();
        let plan = store.plan(&image.id).unwrap();
        let overlay = mounted(&scratch, plan, comparable);
        assert_eq!(copy, overlay);
        std::fs::remove_dir_all(upper).unwrap();
    }
    assert!(store.copy_rootfs(&image.id, &scratch.0.join("copied-true")).is_err());
}

#[test]
fn trying_overlayfs_leaves_nothing_behind() {
    let Some(scratch) = Scratch::new() else { return };
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let here = std::env::current_dir().unwrap();
    drop(scratch.store());
    assert!(!mounts().contains(scratch.0.to_str().unwrap()));
    assert_eq!(std::env::current_dir().unwrap(), here);
    assert_eq!(count(scratch.0.join("data/layers/tmp")), 0);
}

/// Runs `work` with a small file system of its own at `dir`.
fn on_a_small_disk<T: Send>(dir: &Path, options: &str, work: impl FnOnce() -> T + Send) -> T {
    std::fs::create_dir(dir).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            ns::unshare(NsKind::Mount).unwrap();
            mount::set_propagation(Path::new("/"), Propagation::Private, true).unwrap();
            mount::mount(Path::new("small"), dir, "tmpfs", 0, options).unwrap();
            let outcome = work();
            mount::detach(dir).unwrap();
            outcome
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_full_disk_stops_an_import_and_not_a_removal() {
    let Some(scratch) = Scratch::new() else { return };
    let dir = scratch.0.join("small");
    let many = (0..300).fold(Tar::default(), |tar, n| tar.file(&format!("f{n}"), b"x")).end();
    let large = Tar::default().file("large", &vec![1; 6 << 20]).end();
    on_a_small_disk(&dir, "size=4m,nr_inodes=200", || {
        let data = dir.join("data");
        let store = Store::open(&data).unwrap();
        let kept = named(&store, "kept", "1");
        let before = picture(&data.join("layers"));
        for tar in [&large, &many] {
            let error = import(&store, tar).unwrap_err();
            assert_eq!(error.kind(), Kind::NoSpace, "{error}");
            let after = picture(&data.join("layers"));
            assert!(before.keys().eq(after.keys()));
        }
        // Not a byte left.
        let mut fill = std::fs::File::create(dir.join("fill")).unwrap();
        while std::io::Write::write(&mut fill, &[1; 4096]).is_ok_and(|written| written > 0) {}
        drop(Store::open(&data).unwrap());
        assert_eq!(store.tag(&kept.id, &reference("more")).unwrap_err().kind(), Kind::NoSpace);
        store.remove("kept", false, true, &nobody).unwrap();
        drop(store);
        let store = Store::open(&data).unwrap();
        assert!(store.list().is_empty());
        assert_eq!(count(data.join("layers/l")), 0);
    });
}
