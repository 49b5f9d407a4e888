//! One call of a handler: the request's parts, and the usual answers.

use std::os::fd::AsFd;

use serde::Serialize;

use super::Api;
use crate::base::Result;
use crate::engine::{Engine, Patience};
use crate::http::{Exchange, Reply};
use crate::wire::version::{Answers, Version};
use crate::wire::{filters, query};

/// Largest JSON body that is read.
const MAX_BODY: usize = 1 << 20;

/// A request that found its handler.
pub(super) struct Call<'c, 'e> {
    pub(super) api: &'c Api,
    pub(super) exchange: &'c mut Exchange<'e>,
    /// What stands for `{name}` in the route's pattern.
    pub(super) name: &'c str,
    pub(super) version: Version,
}

impl<'c> Call<'c, '_> {
    pub(super) fn engine(&self) -> &'c Engine {
        &self.api.engine
    }

    pub(super) fn answers(&self) -> Answers {
        self.version.answers()
    }

    /// A query parameter; absent is empty.
    pub(super) fn text(&self, name: &str) -> &str {
        self.exchange.head.query.get(name).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        query::boolean(self.exchange.head.query.get(name))
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>> {
        query::integer(name, self.exchange.head.query.get(name))
    }

    pub(super) fn filters(&self) -> Result<crate::engine::Filters> {
        filters::parse(self.text("filters"))
    }

    pub(super) fn body(&mut self) -> Result<Vec<u8>> {
        self.exchange.body_bytes(MAX_BODY)
    }

    /// Runs `work`, which gives up when the client goes away.
    pub(super) fn patiently<T>(&self, work: impl FnOnce(Patience<'_>) -> T) -> T {
        work(Patience { deadline: None, client: Some(self.exchange.client().as_fd()) })
    }

    pub(super) fn reply_json<T: Serialize + ?Sized>(
        &mut self,
        status: u16,
        body: &T,
    ) -> Result<()> {
        let reply = Reply {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: json(body),
        };
        Ok(self.exchange.reply(reply)?)
    }

    pub(super) fn reply_empty(&mut self, status: u16) -> Result<()> {
        Ok(self.exchange.reply(Reply { status, ..Reply::default() })?)
    }
}

/// `body` as JSON, with the final newline of Docker's answers.
pub(super) fn json<T: Serialize + ?Sized>(body: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(body).expect("our own types are always JSON");
    bytes.push(b'\n');
    bytes
}
