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
        self.reply_bytes(status, json(body))
    }

    /// Answers with JSON that is written already.
    pub(super) fn reply_bytes(&mut self, status: u16, body: Vec<u8>) -> Result<()> {
        let reply = Reply { status, content_type: "application/json", headers: Vec::new(), body };
        Ok(self.exchange.reply(reply)?)
    }

    pub(super) fn reply_empty(&mut self, status: u16) -> Result<()> {
        Ok(self.exchange.reply(Reply { status, ..Reply::default() })?)
    }
}

/// A list that is written one element at a time, so that only its text is kept.
pub(super) struct JsonList(Vec<u8>);

impl JsonList {
    /// An empty list with room for `count` elements of usual size.
    pub(super) fn with_room(count: usize) -> JsonList {
        JsonList(Vec::with_capacity(count.saturating_mul(700).saturating_add(2)))
    }

    pub(super) fn push<T: Serialize>(&mut self, element: &T) {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut self.0, element).expect("our own types are always JSON");
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'[');
        }
        self.0.extend_from_slice(b"]\n");
        self.0
    }
}

/// `body` as JSON, with the final newline of Docker's answers.
pub(super) fn json<T: Serialize + ?Sized>(body: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(body).expect("our own types are always JSON");
    bytes.push(b'\n');
    bytes
}
