//! Calls about the daemon itself.

use super::call::Call;
use super::render;
use crate::base::Result;
use crate::http::Reply;
use crate::wire::system as wire;

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
