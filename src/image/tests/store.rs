//! The store: names, removal, what is found after a crash, stacks of layers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Scratch, Tar, import, picture, tar_again, tree};
use crate::base::{Digest, Id, Kind};
use crate::image::{Driver, Image, ImportSpec, Plan, Removed, Store};
use crate::model::Reference;
use crate::sys::mount::{self, Propagation};
use crate::sys::ns::{self, NsKind};

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn named(store: &Store, name: &str, content: &str) -> Arc<Image> {
    let tar = Tar::default().file("file", content.as_bytes()).end();
    let spec = ImportSpec { reference: Some(reference(name)), ..ImportSpec::default() };
    store.import(&mut &tar[..], &spec, &|_| {}).unwrap()
}

/// An image of one more layer on top of `base`.
fn on_top(store: &Store, base: &Image, tar: Vec<u8>) -> Arc<Image> {
    store.register(Some(base), &mut &tar[..], &ImportSpec::default(), "", &|_| {}).unwrap()
}

fn nobody(_: &Digest) -> Option<(String, bool)> {
    None
}

fn count(dir: PathBuf) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn an_imported_image_is_found_by_all_its_names_and_after_a_restart() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let progress = std::cell::Cell::new(0);
    let tar = Tar::default().file("file", b"1").end();
    let spec = ImportSpec {
        reference: Some(reference("app:1")),
        message: "made by hand".into(),
        platform: Some("linux/arm/v7".into()),
        config: crate::model::RunConfig { user: "me".into(), ..Default::default() },
    };
    let image = store.import(&mut &tar[..], &spec, &|bytes| progress.set(bytes)).unwrap();
    assert_eq!(progress.get(), tar.len() as u64);
    assert_eq!((image.comment.as_str(), image.variant.as_str()), ("made by hand", "v7"));
    store.tag(&image.id, &reference("docker.io/library/other")).unwrap();
    drop(store);
    let store = scratch.store();
    let hex = image.id.hex();
    for name in ["app:1", "other", "other:latest", &hex, &hex[..12], &hex[..5]] {
        assert_eq!(store.find(name).map(|found| found.id), Some(image.id), "{name}");
        let digest = format!("sha256:{name}");
        let expected = hex.starts_with(name).then_some(image.id);
        assert_eq!(store.find(&digest).map(|found| found.id), expected, "{digest}");
    }
    assert_eq!(store.names(&image.id), ["app:1", "other:latest"]);
    assert_eq!(Digest::of(&store.config_bytes(&image.id).unwrap()), image.id);
    let again = store.by_id(&image.id).unwrap();
    assert_eq!((again.size, &again.config), (1, &spec.config));
    assert_eq!(again.layers, image.layers);
    let check = |name: &str, expected: &str| {
        assert_eq!(store.get(name).unwrap_err().to_string(), expected);
    };
    check("app", "No such image: app:latest");
    check("host:5/none@sha256:00", "invalid reference format");
    check(&"0".repeat(64), &format!("No such image: sha256:{}", "0".repeat(64)));
    assert_eq!(store.get("UPPER").unwrap_err().kind(), Kind::BadParameter);
    assert!(store.find("").is_none());
}

#[test]
fn a_name_moves_and_newest_come_first() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let first = named(&store, "app", "1");
    let second = named(&store, "app", "2");
    assert_eq!(store.find("app").unwrap().id, second.id);
    assert_eq!(store.names(&first.id), [""; 0]);
    let ids: Vec<Digest> = store.list().iter().map(|image| image.id).collect();
    assert_eq!(ids, [second.id, first.id]);
    let missing = store.tag(&Digest::of(b""), &reference("x")).unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
}

#[test]
fn images_with_the_same_layer_share_it() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let tar = Tar::default().file("file", &[7; 300_000]).end();
    let images = std::thread::scope(|scope| {
        let start = || scope.spawn(|| import(&store, &tar).unwrap());
        let threads = [start(), start(), start()];
        threads.map(|thread| thread.join().unwrap())
    });
    let layers = scratch.0.join("data/layers");
    assert_eq!(count(layers.clone()), 4); // The layer, l, tmp, init.
    assert_eq!(count(layers.join("tmp")), 0);
    store.remove(&images[0].id.hex(), false, true, &nobody).unwrap();
    assert_eq!(tar_again(&store, &images[1]).unwrap(), tar);
    assert_eq!(store.layers_size(), 300_000);
    store.remove(&images[1].id.hex(), false, true, &nobody).unwrap();
    let removed = store.remove(&images[2].id.hex(), false, true, &nobody).unwrap();
    let layer = images[2].layers[0].diff_id;
    assert_eq!(removed, [Removed::Deleted(images[2].id), Removed::Deleted(layer)]);
    assert_eq!((count(layers.clone()), count(layers.join("l"))), (3, 0));
}

fn text(removed: crate::base::Result<Vec<Removed>>) -> String {
    match removed {
        Err(error) => {
            assert_eq!(error.kind(), Kind::Conflict, "{error}");
            error.to_string()
        }
        Ok(removed) => {
            let line = |removed: Removed| match removed {
                Removed::Untagged(name) => format!("-{name}"),
                Removed::Deleted(id) => id.hex()[..12].to_owned(),
            };
            removed.into_iter().map(line).collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn rmi_removes_and_refuses_as_docker_does() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let short = |image: &Image| image.id.hex()[..12].to_owned();
    let layer = |image: &Image| image.layers[0].diff_id.hex()[..12].to_owned();
    let remove = |name: &str, force| text(store.remove(name, force, true, &nobody));

    // By name: the image goes with its last one.
    let image = named(&store, "a:1", "1");
    store.tag(&image.id, &reference("b")).unwrap();
    assert_eq!(remove("a:1", false), "-a:1");
    assert_eq!(remove("b", false), format!("-b:latest {} {}", short(&image), layer(&image)));
    assert_eq!(store.remove("b", false, true, &nobody).unwrap_err().kind(), Kind::NotFound);

    // By id: not with several names, unless forced.
    let image = named(&store, "a", "2");
    store.tag(&image.id, &reference("b")).unwrap();
    let id = short(&image);
    assert_eq!(
        remove(&id, false),
        format!(
            "conflict: unable to delete {id} (must be forced) - image is referenced in multiple \
             repositories"
        )
    );
    assert_eq!(remove(&id, true), format!("-a:latest -b:latest {id} {}", layer(&image)));

    // Containers.
    let image = named(&store, "a", "3");
    let id = short(&image);
    let by = |name: &str, force, runs| {
        text(store.remove(name, force, true, &|_| Some(("c0ffee".into(), runs))))
    };
    let named_conflict = format!(
        "conflict: unable to remove repository reference \"a\" (must force) - container c0ffee \
         is using its referenced image {id}"
    );
    assert_eq!(by("a", false, true), named_conflict);
    assert_eq!(by("a", false, false), named_conflict);
    assert_eq!(
        by(&id, false, false),
        format!(
            "conflict: unable to delete {id} (must be forced) - image is being used by stopped \
             container c0ffee"
        )
    );
    let running = format!(
        "conflict: unable to delete {id} (cannot be forced) - image is being used by running \
         container c0ffee"
    );
    assert_eq!(by(&id, false, true), running);
    assert_eq!(by(&id, true, true), running);
    let container = Id::random();
    let meanwhile = store.remove(&id, true, true, &|_| {
        store.pin(&image.id, &container);
        None
    });
    assert!(text(meanwhile).contains("is being used by running container"));
    assert_eq!(by("a", true, true), "-a:latest"); // The image stays, without a name.
    assert_eq!(by(&id, true, false), format!("{id} {}", layer(&image)));
}

#[test]
fn parents_go_with_their_last_child() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let base = named(&store, "base", "1");
    let middle = on_top(&store, &base, Tar::default().file("b", b"2").end());
    let top = on_top(&store, &middle, Tar::default().file("c", b"3").end());
    assert_eq!((top.parent, top.layers.len(), top.history.len()), (Some(middle.id), 3, 3));
    drop(store);
    let store = scratch.store();
    let middle_id = middle.id.hex()[..12].to_owned();
    let conflict = text(store.remove(&middle_id, true, true, &nobody));
    let expected = "(cannot be forced) - image has dependent child images";
    assert_eq!(conflict, format!("conflict: unable to delete {middle_id} {expected}"));
    // The middle goes with its child; the base has a name and stays.
    let removed = store.remove(&top.id.hex(), false, true, &nobody).unwrap();
    let expected = [top.id, middle.id, top.layers[2].diff_id, middle.layers[1].diff_id];
    assert_eq!(removed, expected.map(Removed::Deleted));
    assert_eq!(store.list().len(), 1);
    assert_eq!(tar_again(&store, &base).unwrap().len(), 2048);
}

#[test]
fn what_is_damaged_is_set_aside_and_the_rest_is_shown() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let images: Vec<_> = (0..5).map(|n| named(&store, &format!("i{n}"), &n.to_string())).collect();
    drop(store);
    let data = scratch.0.join("data");
    let config = |n: usize| data.join("images").join(format!("{}.json", images[n].id.hex()));
    let layer = |n: usize| data.join("layers").join(images[n].layers[0].diff_id.hex());
    std::fs::write(config(0), "").unwrap();
    std::fs::write(config(1), "{\"half\":").unwrap();
    std::fs::write(layer(2).join("layer.json"), "\0\0\0\0").unwrap();
    std::fs::remove_dir_all(layer(3)).unwrap();
    std::fs::create_dir_all(data.join("layers/tmp/1-1/diff/x")).unwrap();
    std::fs::write(data.join("images/.tmp-1-1"), "half").unwrap();
    let unused = data.join("layers").join(Digest::of(b"nobody's").hex());
    std::fs::create_dir_all(unused.join("diff")).unwrap();

    let store = scratch.store();
    let shown: Vec<Digest> = store.list().iter().map(|image| image.id).collect();
    assert_eq!(shown, [images[4].id]);
    assert_eq!(store.find("i4").unwrap().id, images[4].id);
    assert!(!unused.exists() && !config(0).exists() && !layer(0).exists());
    assert!(layer(2).exists(), "it is needed, so it is kept");
    assert_eq!(count(data.join("layers/tmp")), 0);
    let aside = |name: &str| {
        let entries = std::fs::read_dir(data.join("images")).unwrap();
        entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains(name)).count()
    };
    assert_eq!(aside(".json.damaged-"), 2);
    // The damaged layer and the missing one come again: the images are whole again.
    for n in [2, 3] {
        named(&store, "again", &n.to_string());
    }
    drop(store);
    std::fs::write(data.join("images/references.json"), "{\"version\":1,\"refer").unwrap();
    let store = scratch.store();
    assert!(store.find("i4").is_none());
    assert_eq!(aside("references.json.damaged-"), 1);
    assert!(store.by_id(&images[2].id).is_some() && store.by_id(&images[3].id).is_some());
    store.tag(&images[2].id, &reference("i2")).unwrap();
    assert_eq!(std::fs::read(tree(&store, &images[2]).join("file")).unwrap(), b"2");
}

/// Runs `steps` in a child that dies after the named step; the parent looks at what is left.
#[test]
fn dying_at_any_step_leaves_a_store_that_is_whole() {
    let Some(scratch) = Scratch::new() else { return };
    if let Some(dir) = std::env::var_os("SKIFF_TEST_CRASH") {
        let store = Store::open(Path::new(&dir)).unwrap();
        named(&store, "new", "2");
        store.tag(&store.find("old").unwrap().id, &reference("moved")).unwrap();
        store.remove("moved", false, true, &nobody).unwrap();
        store.remove("old", false, true, &nobody).unwrap();
        return;
    }
    let steps = [
        "import.layer-staged",
        "import.layer-placed",
        "import.config-written",
        "import.reference-written",
        "tag.reference-written",
        "untag.reference-written",
        "remove.config-removed",
        "remove.references-written",
        "remove.layers-moved",
        "remove.layers-deleted",
    ];
    let this = "image::tests::store::dying_at_any_step_leaves_a_store_that_is_whole";
    for (at, step) in steps.into_iter().enumerate() {
        let data = scratch.0.join(step);
        named(&Store::open(&data).unwrap(), "old", "1");
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env("SKIFF_TEST_CRASH", &data)
            .env("SKIFF_DIE_AFTER", step)
            .output()
            .unwrap();
        assert!(!child.status.success(), "{step} is never passed");
        let store = Store::open(&data).unwrap();
        assert_eq!(store.find("new").is_some(), at >= 3, "{step}");
        assert_eq!(store.find("moved").is_some(), at == 4, "{step}");
        assert_eq!(store.find("old").is_some(), at < 6, "{step}");
        let mut layers = 0;
        for image in store.list() {
            assert!(!tar_again(&store, &image).unwrap().is_empty());
            layers += image.layers.len();
        }
        assert_eq!(count(data.join("layers")), layers + 3, "{step}");
        assert_eq!(count(data.join("layers/l")), layers, "{step}");
        assert_eq!(count(data.join("layers/tmp")), 0, "{step}");
        named(&store, "new", "2");
        assert!(store.find("new").is_some());
    }
}

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
fn more_layers_than_the_kernel_stacks_are_an_error() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let tar = Tar::default().file("a", b"").end();
    let base = import(&store, &tar).unwrap();
    let layers = vec![base.layers[0].clone(); 499];
    let tall = Image { layers, ..(*base).clone() };
    let tall = on_top(&store, &tall, tar.clone());
    let error = store.plan(&tall.id).unwrap_err().to_string();
    assert_eq!(error, "the image has 500 layers, more than the kernel can stack");
    assert!(
        store.register(Some(&tall), &mut &tar[..], &ImportSpec::default(), "", &|_| {}).is_err()
    );
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
