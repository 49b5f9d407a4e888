//! The store: names, removal, what is found after a crash.

use std::path::Path;

use super::{Scratch, Tar, count, import, named, nobody, on_top, reference, tar_again, tree};
use crate::base::{Digest, Id, Kind};
use crate::image::{Image, ImportSpec, Removed, Store};

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
    store.untag("app:latest").unwrap();
    assert!(store.find("app").is_none() && store.by_id(&second.id).is_some());
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
    if let Some(dir) = std::env::var_os("SKIFF_TEST_CRASH") {
        let store = Store::open(Path::new(&dir)).unwrap();
        named(&store, "new", "2");
        store.tag(&store.find("old").unwrap().id, &reference("moved")).unwrap();
        store.remove("moved", false, true, &nobody).unwrap();
        store.remove("old", false, true, &nobody).unwrap();
        return;
    }
    let Some(scratch) = Scratch::new() else { return };
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
