//! Calls about images.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};

use super::call::{Call, json};
use super::changes;
use super::render::image as render;
use crate::base::{Error, Kind, Result};
use crate::http::fetch;
use crate::image::{Image, ImportSpec, Removed};
use crate::model::{Reference, RunConfig};
use crate::wire::image as wire;
use crate::wire::stream::{Message, ProgressDetail};

/// A progress message is sent each time so many bytes have come.
const PROGRESS_STEP: u64 = 512 << 10;

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let mut filters = call.filters()?;
    if call.answers().filter_of_images && !call.text("filter").is_empty() {
        filters.entry("reference".into()).or_default().push(call.text("filter").to_owned());
    }
    let engine = call.engine();
    let images = engine.images(&filters)?;
    let summaries: Vec<wire::Summary> = images
        .iter()
        .map(|image| {
            render::summary(image, engine.listed_names(&image.id, &filters), call.answers())
        })
        .collect();
    call.reply_json(200, &summaries)
}

pub(super) fn inspect(call: &mut Call<'_, '_>) -> Result<()> {
    let image = call.engine().image(call.name)?;
    let names = call.engine().image_names(&image.id);
    call.reply_json(200, &render::inspect(&image, names, &call.api.driver, call.answers()))
}

pub(super) fn history(call: &mut Call<'_, '_>) -> Result<()> {
    let image = call.engine().image(call.name)?;
    let names = call.engine().image_names(&image.id);
    call.reply_json(200, &render::history(&image, names))
}

pub(super) fn tag(call: &mut Call<'_, '_>) -> Result<()> {
    let reference = reference(call.text("repo"), call.text("tag"))?;
    let reference = reference
        .ok_or_else(|| Error::bad_parameter("invalid reference format: repo must not be empty"))?;
    if reference.digest.is_some() {
        return Err(Error::bad_parameter("refusing to create a tag with a digest reference"));
    }
    call.engine().tag(call.name, &reference)?;
    call.reply_empty(201)
}

pub(super) fn remove(call: &mut Call<'_, '_>) -> Result<()> {
    let removed =
        call.engine().remove_image(call.name, call.flag("force"), !call.flag("noprune"))?;
    let items: Vec<wire::DeleteItem> = removed
        .into_iter()
        .map(|step| match step {
            Removed::Untagged(name) => {
                wire::DeleteItem { untagged: name, ..wire::DeleteItem::default() }
            }
            Removed::Deleted(digest) => {
                wire::DeleteItem { deleted: digest.to_string(), ..wire::DeleteItem::default() }
            }
        })
        .collect();
    call.reply_json(200, &items)
}

/// `repo` and `tag` as one reference; the tag may be in either. `None` when both are empty.
fn reference(repo: &str, tag: &str) -> Result<Option<Reference>> {
    let text = match (repo, tag) {
        ("", _) => return Ok(None),
        (repo, "") => repo.to_owned(),
        (repo, tag) => format!("{repo}:{tag}"),
    };
    Reference::parse(&text).map(Some).map_err(Error::bad_parameter)
}

pub(super) fn create(call: &mut Call<'_, '_>) -> Result<()> {
    if !call.text("fromImage").is_empty() {
        return Err(Error::not_implemented(format!(
            "pull is not served yet: cannot pull {}; import it instead",
            call.text("fromImage")
        )));
    }
    let source = call.text("fromSrc").to_owned();
    let platform = call.text("platform");
    let mut config = RunConfig::default();
    for change in call.exchange.head.query.all("changes").filter(|text| !text.is_empty()) {
        changes::apply(change, &mut config)?;
    }
    let spec = ImportSpec {
        reference: reference(call.text("repo"), call.text("tag"))?,
        message: call.text("message").to_owned(),
        config,
        platform: (!platform.is_empty()).then(|| platform.to_owned()),
    };
    match &*source {
        "" => Err(Error::bad_parameter("neither fromSrc nor fromImage is given")),
        "-" => import_body(call, &spec),
        url if url.contains("://") => import_url(call, url, spec),
        url => import_url(call, &format!("http://{url}"), spec),
    }
}

/// Imports the request's body. Nothing is answered until it is done, so that a failure has its
/// status.
fn import_body(call: &mut Call<'_, '_>, spec: &ImportSpec) -> Result<()> {
    let engine = call.engine();
    let image = engine.import(&mut call.exchange.body(), spec, &|_| {})?;
    let mut stream = call.exchange.stream(200, "application/json")?;
    Ok(stream.write_all(&done(&image))?)
}

fn import_url(call: &mut Call<'_, '_>, url: &str, mut spec: ImportSpec) -> Result<()> {
    // Whatever goes wrong there, it is the URL that was asked for.
    let mut fetched = fetch::get(url).map_err(|error| error.with_kind(Kind::BadParameter))?;
    if spec.message.is_empty() {
        spec.message = format!("Imported from {url}");
    }
    let engine = call.engine();
    let mut stream = call.exchange.stream(200, "application/json")?;
    stream.write_all(&json(&Message::status("", format!("Downloading from {url}"))))?;

    let progress = Progress {
        out: RefCell::new(&mut stream),
        total: fetched.length.unwrap_or_default(),
        shown: Cell::new(0),
        broken: Cell::new(false),
    };
    let mut body = Watched { body: &mut *fetched.body, progress: &progress };
    let outcome = engine.import(&mut body, &spec, &|arrived| progress.show(arrived));
    let last = match &outcome {
        Ok(image) => done(image),
        // The head is out: the failure goes where clients of a stream look for it.
        Err(error) => {
            super::log(&format!("import of {url}"), error);
            json(&Message::failure(error.to_string()))
        }
    };
    Ok(stream.write_all(&last)?)
}

fn done(image: &Image) -> Vec<u8> {
    json(&Message::status("", image.id.to_string()))
}

/// Tells the client of bytes as they arrive.
struct Progress<'a, W: Write> {
    out: RefCell<&'a mut W>,
    total: u64,
    shown: Cell<u64>,
    broken: Cell<bool>,
}

impl<W: Write> Progress<'_, W> {
    fn show(&self, arrived: u64) {
        if arrived < self.shown.get() + PROGRESS_STEP && arrived != self.total {
            return;
        }
        self.shown.set(arrived);
        let detail = ProgressDetail { current: arrived, total: self.total };
        let message = Message { progress_detail: Some(detail), ..Message::status("", "Importing") };
        if self.out.borrow_mut().write_all(&json(&message)).is_err() {
            self.broken.set(true);
        }
    }
}

/// A body that ends with an error when the client can be told no more.
struct Watched<'a, 'p, W: Write> {
    body: &'a mut dyn io::Read,
    progress: &'a Progress<'p, W>,
}

impl<W: Write> io::Read for Watched<'_, '_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.broken.get() {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client has gone away"));
        }
        self.body.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_may_come_in_either_place() {
        let text = |repo, tag| reference(repo, tag).unwrap().map(|r| r.to_string());
        assert_eq!(text("", ""), None);
        assert_eq!(text("", "x"), None);
        assert_eq!(text("a/b", "").as_deref(), Some("a/b:latest"));
        assert_eq!(text("a/b", "x").as_deref(), Some("a/b:x"));
        assert_eq!(text("a/b:y", "").as_deref(), Some("a/b:y"));
        assert!(reference("A", "").is_err());
        assert!(reference("a:y", "x y").is_err());
    }

    #[test]
    fn progress_comes_in_steps_and_at_the_end() {
        let mut out = Vec::new();
        let progress = Progress {
            out: RefCell::new(&mut out),
            total: PROGRESS_STEP + 10,
            shown: Cell::new(0),
            broken: Cell::new(false),
        };
        for arrived in [1, PROGRESS_STEP, PROGRESS_STEP + 1, PROGRESS_STEP + 10] {
            progress.show(arrived);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "{\"status\":\"Importing\",\"progressDetail\":{\"current\":524288,\"total\":524298}}\n\
             {\"status\":\"Importing\",\"progressDetail\":{\"current\":524298,\"total\":524298}}\n"
        );
    }
}
