//! Calls about the daemon itself.

use std::sync::Arc;

use super::call::Call;
use super::containers;
use super::render;
use crate::base::{Error, Result};
use crate::engine::Engine;
use crate::http::Reply;
use crate::image::Image;
use crate::wire::image::Summary;
use crate::wire::system as wire;
use crate::wire::version::Answers;

/// What `system/df` may be asked for.
const KINDS: [&str; 4] = ["image", "container", "volume", "build-cache"];

pub(super) fn ping(call: &mut Call<'_, '_>) -> Result<()> {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let reply = Reply {
        status: 200,
        content_type: "text/plain; charset=utf-8",
        headers: vec![
            header("Builder-Version", "1"),
            header("Swarm", "inactive"),
            header("Cache-Control", "no-cache, no-store, must-revalidate"),
            header("Pragma", "no-cache"),
        ],
        body: wire::PONG.into(),
    };
    Ok(call.exchange.reply(reply)?)
}

pub(super) fn version(call: &mut Call<'_, '_>) -> Result<()> {
    let info = call.engine().info();
    call.reply_json(200, &render::system::version(&info.kernel))
}

pub(super) fn info(call: &mut Call<'_, '_>) -> Result<()> {
    let info = call.engine().info();
    call.reply_json(200, &render::system::info(info))
}

/// `system/df`: the room that everything takes; `type` chooses.
pub(super) fn usage(call: &mut Call<'_, '_>) -> Result<()> {
    let (engine, answers) = (call.engine(), call.answers());
    let asked = call.exchange.head.query.all("type").filter(|_| answers.usage_by_type);
    let asked: Vec<&str> = asked.collect();
    if let Some(odd) = asked.iter().find(|kind| !KINDS.contains(kind)) {
        return Err(Error::bad_parameter(format!("unknown object type: {odd}")));
    }
    let wants = |kind: &str| asked.is_empty() || asked.contains(&kind);
    let found;
    let mut usage = wire::DiskUsage::default();
    if wants("image") {
        usage.layers_size = render::count(engine.layers_size());
        usage.images = Some(images(engine, answers)?);
    }
    if wants("container") {
        found = containers::measured(engine, engine.all_containers()?, true)?;
        let all = usage.containers.insert(Vec::with_capacity(found.len()));
        containers::summaries(engine, answers, &found, &mut |summary| {
            all.push(summary);
            Ok(())
        })?;
    }
    usage.volumes = wants("volume").then(Vec::new);
    usage.build_cache = wants("build-cache").then(Vec::new);
    usage.builder_size = (!answers.usage_by_type).then_some(0);
    call.reply_json(200, &usage)
}

/// All images, with what they share and who uses them.
fn images(engine: &Engine, answers: Answers) -> Result<Vec<Summary>> {
    let usage = engine.image_usage();
    let images = engine.images(&crate::engine::Filters::new())?;
    let summary = |image: &Arc<Image>| {
        let mut summary = render::image::summary(image, engine.image_names(&image.id), answers);
        let usage = usage.get(&image.id).copied().unwrap_or_default();
        summary.containers = render::count(usage.containers);
        summary.shared_size = render::count(usage.shared);
        summary
    };
    Ok(images.iter().map(summary).collect())
}
