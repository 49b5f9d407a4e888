//! Images.

use std::fmt::Write as _;
use std::io::Read;
use std::sync::Arc;

use super::super::call::Call;
use super::super::images::{self as today, Source, Voice};
use super::super::render::image as render;
use super::{answers, flag, reply};
use crate::base::{Error, Kind, Result};
use crate::engine::{Engine, Filters};
use crate::image::{Image, ImportSpec, Removed};
use crate::model::Reference;
use crate::wire::old::{self, image as wire, progress};
use crate::wire::version::Answers;

/// What is shorter is no tar.
const SHORTEST: u64 = 10;

/// The image that `name` means: by id or the only beginning of one, which hides a repository
/// spelled like it; by `REPO[:TAG]`; by `REPO:ID`, the beginning of an id in that repository.
pub(super) fn resolve(engine: &Engine, name: &str) -> Option<Arc<Image>> {
    let all = || engine.images(&Filters::default()).unwrap_or_default();
    let digits = old::full(name);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let mut matching = all().into_iter().filter(|image| image.id.hex().starts_with(digits));
        if let (Some(image), None) = (matching.next(), matching.next()) {
            return Some(image);
        }
    }
    if let Ok(image) = engine.image(name) {
        return Some(image);
    }
    let (repository, prefix) = old::split_name(name);
    let of_repository = |image: &Arc<Image>| {
        let names = engine.image_names(&image.id);
        !prefix.is_empty()
            && image.id.hex().starts_with(prefix)
            && names.iter().any(|name| old::split_name(name).0 == repository)
    };
    all().into_iter().find(of_repository)
}

fn find(call: &Call<'_, '_>) -> Result<Arc<Image>> {
    resolve(call.engine(), call.name).ok_or_else(|| Error::no_such("image", call.name))
}

/// Untagged images have no name here.
fn plain(call: &Call<'_, '_>) -> Answers {
    Answers { none_names: false, ..call.answers() }
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let all = flag(call, "all")?;
    let engine = call.engine();
    let images: Vec<_> = engine
        .images(&Filters::default())?
        .iter()
        .map(|image| render::summary(image, engine.image_names(&image.id), plain(call)))
        .collect();
    let list = wire::list(&images, all, call.text("filter"));
    reply(call, 200, &list[..])
}

/// The tree of images as a drawing for graphviz.
pub(super) fn viz(call: &mut Call<'_, '_>) -> Result<()> {
    let engine = call.engine();
    let images = engine.images(&Filters::default())?;
    let mut out = String::from("digraph docker {\n");
    for image in &images {
        let id = image.id.hex();
        let id = old::short(&id);
        let line = match image.parent.map(|parent| parent.hex()) {
            Some(parent) => writeln!(out, " \"{}\" -> \"{id}\"", old::short(&parent)),
            None => writeln!(out, " base -> \"{id}\" [style=invis]"),
        };
        line.expect("a string takes all that is written");
    }
    for image in &images {
        let names = engine.image_names(&image.id);
        if !names.is_empty() {
            let (id, names) = (image.id.hex(), names.join("\\n"));
            let id = old::short(&id);
            let style = "shape=box,fillcolor=\"paleturquoise\",style=\"filled,rounded\"";
            writeln!(out, " \"{id}\" [label=\"{id}\\n{names}\",{style}];")
                .expect("a string takes all that is written");
        }
    }
    out.push_str(" base [style=invisible]\n}\n");
    Ok(call.exchange.reply(crate::http::Reply {
        status: 200,
        content_type: old::TEXT,
        body: out.into_bytes(),
        ..crate::http::Reply::default()
    })?)
}

pub(super) fn inspect(call: &mut Call<'_, '_>) -> Result<()> {
    let image = find(call)?;
    if call.engine().get(call.name).is_ok() {
        return Err(Error::conflict("Conflict between containers and images"));
    }
    let whole = render::inspect(&image, Vec::new(), "", plain(call));
    reply(call, 200, &wire::Inspect::from_canonical(&whole))
}

pub(super) fn history(call: &mut Call<'_, '_>) -> Result<()> {
    let image = find(call)?;
    let lines = render::history(&image, call.engine().image_names(&image.id));
    let lines: Vec<_> = lines.into_iter().map(wire::History::from_canonical).collect();
    reply(call, 200, &lines[..])
}

/// `repo` and `tag` of the query as a name.
fn named(call: &Call<'_, '_>) -> Result<Reference> {
    let (repo, tag) = (call.text("repo"), call.text("tag"));
    if tag.contains(['/', ':']) {
        return Err(Error::internal(format!("Illegal tag name: {tag}")));
    }
    let tag = if tag.is_empty() { "latest" } else { tag };
    Reference::parse(&format!("{repo}:{tag}")).map_err(Error::internal)
}

/// An existing name is moved, forced or not.
pub(super) fn tag(call: &mut Call<'_, '_>) -> Result<()> {
    flag(call, "force")?;
    let image = find(call)?;
    if call.text("repo").is_empty() {
        return Err(Error::internal("Repository name can't be empty"));
    }
    let reference = named(call)?;
    call.engine().tag(&image.id.to_string(), &reference)?;
    call.reply_empty(201)
}

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<()> {
    if !call.text("fromImage").is_empty() {
        return Err(Error::not_implemented("pull is not supported yet"));
    }
    let source = call.text("fromSrc").to_owned();
    if source.is_empty() {
        return Err(Error::new(Kind::BadParameter, "Bad parameter: no fromImage and no fromSrc"));
    }
    let reference = if call.text("repo").is_empty() { None } else { Some(named(call)?) };
    let message = format!("Imported from {source}");
    let spec = ImportSpec { reference, message, ..ImportSpec::default() };
    let voice = match answers(call).json_progress {
        true => progress::Voice::Json,
        false => progress::Voice::Text,
    };
    let source = match &*source {
        "-" => Source::Body(beginning(call)?),
        url if url.contains("://") => Source::Url(url.to_owned()),
        url => Source::Url(format!("http://{url}")),
    };
    today::import(call, source, &spec, Voice::Old(voice)).map_err(|error| match error.kind() {
        Kind::BadParameter => error.with_kind(Kind::Internal), // it is no tar
        _ => error,
    })
}

/// The first bytes of the body, which are missing where there is no tar at all.
fn beginning(call: &mut Call<'_, '_>) -> Result<Vec<u8>> {
    let mut first = Vec::new();
    call.exchange.body().take(SHORTEST).read_to_end(&mut first)?;
    if (first.len() as u64) < SHORTEST {
        return Err(Error::internal("Tarball too short"));
    }
    Ok(first)
}

pub(super) fn remove(call: &mut Call<'_, '_>) -> Result<()> {
    let image = find(call)?;
    let engine = call.engine();
    let id = image.id.to_string();
    if engine.image_users(&image.id) > 0 && goes(engine, &image, call.name) {
        let text = format!("Conflict, {} wasn't deleted: a container uses it", call.name);
        return Err(Error::conflict(text));
    }
    if !answers(call).told_removal {
        engine.remove_image(&id, true, false)?;
        return call.reply_empty(204);
    }
    let nothing = || Error::conflict(format!("Conflict, {} wasn't deleted", call.name));
    let known: Vec<_> = engine.images(&Filters::default())?;
    let untagged = untag(engine, &image, call.name)?.ok_or_else(nothing)?;
    let mut steps = Vec::new();
    if untagged {
        steps.push(wire::DeleteItem::Untagged(short(&image)));
    }
    if engine.image_names(&image.id).is_empty() {
        match engine.remove_image(&id, false, true) {
            Ok(removed) => {
                let deleted = removed.iter().filter_map(|step| match step {
                    // Layers have no place here.
                    Removed::Deleted(id) => known.iter().find(|image| image.id == *id),
                    Removed::Untagged(_) => None,
                });
                steps.extend(deleted.map(|image| wire::DeleteItem::Deleted(short(image))));
            }
            // Another image was built from it: it stays, without a name.
            Err(error) if error.kind() == Kind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    if steps.is_empty() {
        return Err(nothing());
    }
    reply(call, 200, &steps[..])
}

fn short(image: &Image) -> String {
    old::short(&image.id.hex()).to_owned()
}

/// Whether `name` is an id of `image` or the beginning of one.
fn is_id(image: &Image, name: &str) -> bool {
    image.id.hex().starts_with(old::full(name))
}

/// Whether `image` is to be deleted when `name` is: it has no other name.
fn goes(engine: &Engine, image: &Image, name: &str) -> bool {
    let (repository, tag) = parts(name);
    let all = engine.image_names(&image.id);
    is_id(image, name)
        || all.iter().all(|other| match tag {
            "" => old::split_name(other).0 == repository,
            tag => old::split_name(other) == (&*repository, tag),
        })
}

/// Repository and tag (empty for none) of a name, the repository as it is stored.
fn parts(name: &str) -> (String, &str) {
    let (repository, tag) = old::split_name(name);
    let stored = Reference::parse(repository).map(|reference| reference.repository);
    (stored.unwrap_or_else(|_| repository.to_owned()), tag)
}

/// Takes the names away that `name` means: those of the image, when they are of one repository,
/// for an id; every tag of a repository; or one. Whether there were any; `None` when they may not
/// go.
fn untag(engine: &Engine, image: &Image, name: &str) -> Result<Option<bool>> {
    let (repository, tag) = parts(name);
    let of_image = engine.image_names(&image.id);
    if is_id(image, name) {
        let first = of_image.first().map(|name| old::split_name(name).0);
        if of_image.iter().any(|name| Some(old::split_name(name).0) != first) {
            return Ok(None);
        }
        of_image.iter().try_for_each(|name| engine.untag(image, name))?;
        return Ok(Some(!of_image.is_empty()));
    }
    let all = engine.images(&Filters::default())?;
    let mut any = false;
    for image in &all {
        for own in engine.image_names(&image.id) {
            let (own_repository, own_tag) = old::split_name(&own);
            if own_repository == repository && (tag.is_empty() || own_tag == tag) {
                engine.untag(image, &own)?;
                any = true;
            }
        }
    }
    if any { Ok(Some(true)) } else { Err(Error::no_such("tag", name)) }
}
