//! Calls about images.

use std::cell::{Cell, RefCell};
use std::io::{self, Cursor, Read as _, Write};

use super::call::{Call, json};
use super::changes;
use super::render::image as render;
use crate::base::{Error, Kind, Result};
use crate::http::fetch;
use crate::image::{Image, ImportSpec, Removed};
use crate::model::{Reference, RunConfig};
use crate::wire::image as wire;
use crate::wire::old::{self, progress};
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
    let source = match call.text("fromSrc") {
        "" => return Err(Error::bad_parameter("neither fromSrc nor fromImage is given")),
        "-" => Source::Body(Vec::new()),
        url if url.contains("://") => Source::Url(url.to_owned()),
        url => Source::Url(format!("http://{url}")),
    };
    let platform = call.text("platform");
    let mut config = RunConfig::default();
    for change in call.exchange.head.query.all("changes").filter(|text| !text.is_empty()) {
        changes::apply(change, &mut config)?;
    }
    let mut message = call.text("message").to_owned();
    if let (true, Source::Url(url)) = (message.is_empty(), &source) {
        message = format!("Imported from {url}");
    }
    let spec = &ImportSpec {
        reference: reference(call.text("repo"), call.text("tag"))?,
        message,
        config,
        platform: (!platform.is_empty()).then(|| platform.to_owned()),
    };
    import(call, source, spec, Voice::Today)
}

/// Where an import comes from.
pub(super) enum Source {
    /// The request's body, of which this has been read already.
    Body(Vec<u8>),
    Url(String),
}

/// In which version's words its progress is told.
#[derive(Clone, Copy)]
pub(super) enum Voice {
    Today,
    Old(progress::Voice),
}

/// Imports and tells the client how it goes on.
pub(super) fn import(
    call: &mut Call<'_, '_>,
    source: Source,
    spec: &ImportSpec,
    voice: Voice,
) -> Result<()> {
    match source {
        Source::Body(first) => import_body(call, first, spec, voice),
        Source::Url(url) => import_url(call, &url, spec, voice),
    }
}

/// Imports the request's body. Nothing is answered until it is done, so that a failure has its
/// status.
fn import_body(
    call: &mut Call<'_, '_>,
    first: Vec<u8>,
    spec: &ImportSpec,
    voice: Voice,
) -> Result<()> {
    let engine = call.engine();
    let image = {
        let mut body = Cursor::new(first).chain(call.exchange.body());
        engine.import(&mut body, spec, &|_| {})?
    };
    let mut stream = call.exchange.stream(200, voice.content_type())?;
    Ok(stream.write_all(&voice.done(&image))?)
}

fn import_url(call: &mut Call<'_, '_>, url: &str, spec: &ImportSpec, voice: Voice) -> Result<()> {
    let fetched = match voice {
        // Whatever goes wrong there, it is the URL that was asked for.
        Voice::Today => Some(fetch::get(url).map_err(|error| error.with_kind(Kind::BadParameter))?),
        // These tell of the download before it begins.
        Voice::Old(_) => None,
    };
    let engine = call.engine();
    let mut stream = call.exchange.stream(200, voice.content_type())?;
    stream.write_all(&voice.status(&format!("Downloading from {url}")))?;

    let fetched = fetched.map_or_else(|| fetch::get(url), Ok);
    let outcome = fetched.and_then(|mut fetched| {
        let total = fetched.length.unwrap_or_default();
        let progress = Progress {
            out: RefCell::new(&mut stream),
            total,
            voice,
            arrived: Cell::new(0),
            shown: Cell::new(0),
            broken: Cell::new(false),
        };
        let mut body = Watched { body: &mut *fetched.body, progress: &progress };
        let imported = engine.import(&mut body, spec, &|arrived| progress.show(arrived));
        if imported.is_ok() {
            progress.finish();
        }
        imported
    });
    let last = match &outcome {
        Ok(image) => voice.done(image),
        // The head is out: the failure goes where clients of a stream look for it.
        Err(error) => {
            super::log(&format!("import of {url}"), error);
            voice.failure(error)
        }
    };
    Ok(stream.write_all(&last)?)
}

impl Voice {
    fn content_type(self) -> &'static str {
        match self {
            Voice::Old(progress::Voice::Text) => old::TEXT,
            _ => "application/json",
        }
    }

    fn status(self, text: &str) -> Vec<u8> {
        match self {
            Voice::Today => json(&Message::status("", text)),
            Voice::Old(voice) => voice.status(text),
        }
    }

    fn done(self, image: &Image) -> Vec<u8> {
        match self {
            Voice::Today => self.status(&image.id.to_string()),
            Voice::Old(_) => self.status(old::short(&image.id.hex())),
        }
    }

    fn failure(self, error: &Error) -> Vec<u8> {
        match self {
            Voice::Today => json(&Message::failure(error.to_string())),
            Voice::Old(voice) => voice.failure(&error.to_string()),
        }
    }

    fn progress(self, current: u64, total: u64) -> Vec<u8> {
        match self {
            Voice::Today => {
                let progress_detail = Some(ProgressDetail { current, total });
                json(&Message { progress_detail, ..Message::status("", "Importing") })
            }
            Voice::Old(voice) => voice.progress("Importing", current, total),
        }
    }

    /// After how many bytes the client is told again.
    fn step(self, total: u64) -> u64 {
        match self {
            Voice::Today => PROGRESS_STEP,
            Voice::Old(_) => progress::step(total),
        }
    }
}

/// Tells the client of bytes as they arrive.
struct Progress<'a, W: Write> {
    out: RefCell<&'a mut W>,
    total: u64,
    voice: Voice,
    arrived: Cell<u64>,
    shown: Cell<u64>,
    broken: Cell<bool>,
}

impl<W: Write> Progress<'_, W> {
    fn show(&self, arrived: u64) {
        self.arrived.set(arrived);
        if arrived < self.shown.get() + self.voice.step(self.total) && arrived != self.total {
            return;
        }
        self.shown.set(arrived);
        self.write(&self.voice.progress(arrived, self.total));
    }

    /// Old versions tell of the end, and end the line of a terminal by an empty message.
    fn finish(&self) {
        if let Voice::Old(voice) = self.voice {
            self.write(&self.voice.progress(self.arrived.get(), self.total));
            self.write(&voice.status(""));
        }
    }

    fn write(&self, message: &[u8]) {
        if self.out.borrow_mut().write_all(message).is_err() {
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
            voice: Voice::Today,
            arrived: Cell::new(0),
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
