//! One call of a handler: the request's parts, and the usual answers.

use std::io::Write;
use std::os::fd::AsFd;

use serde::Serialize;

use super::Api;
use crate::base::Result;
use crate::engine::{Engine, Patience};
use crate::http::{Exchange, Reply, Stream};
use crate::wire::version::{Answers, Version};
use crate::wire::{filters, query};

/// Largest JSON body that is read.
const MAX_BODY: usize = 1 << 20;
/// What is larger than this takes much memory while it is worked on.
const LARGE: usize = 64 << 10;
/// A list is sent in pieces of about this size.
const LIST_PIECE: usize = 32 << 10;

/// A request that found its handler.
pub(super) struct Call<'c, 'e> {
    pub(super) api: &'c Api,
    pub(super) exchange: &'c mut Exchange<'e>,
    /// What stands for `{name}` in the route's pattern.
    pub(super) name: &'c str,
    pub(super) version: Version,
    /// It has taken much memory for a moment.
    pub(super) large: bool,
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
        let body = self.exchange.body_bytes(MAX_BODY)?;
        self.large |= body.len() > LARGE;
        Ok(body)
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
        let body = json(body);
        self.large |= body.len() > LARGE;
        self.reply_bytes(status, body)
    }

    /// Answers with JSON that is written already.
    pub(super) fn reply_bytes(&mut self, status: u16, body: Vec<u8>) -> Result<()> {
        Ok(self.exchange.reply(json_reply(status, body))?)
    }

    pub(super) fn reply_empty(&mut self, status: u16) -> Result<()> {
        Ok(self.exchange.reply(Reply { status, ..Reply::default() })?)
    }
}

/// A list that is sent while it is written, so that the client reads meanwhile and little of its
/// text is kept. A short one is a plain answer.
pub(super) struct JsonList<'a, 'e> {
    text: Vec<u8>,
    /// What stands in front of the next element.
    next: u8,
    /// Until the first piece is sent.
    exchange: Option<&'a mut Exchange<'e>>,
    stream: Option<Stream<'a>>,
}

impl<'a, 'e> JsonList<'a, 'e> {
    /// The answer to this call.
    pub(super) fn new(exchange: &'a mut Exchange<'e>) -> JsonList<'a, 'e> {
        JsonList { text: Vec::new(), next: b'[', exchange: Some(exchange), stream: None }
    }

    /// Adds an element. What can fail otherwise must have been done before: what was sent cannot
    /// be taken back.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) fn push<T: Serialize>(&mut self, element: &T) -> Result<()> {
        self.text.push(std::mem::replace(&mut self.next, b','));
        serde_json::to_writer(&mut self.text, element).expect("our own types are always JSON");
        if self.text.len() < LIST_PIECE {
            return Ok(());
        }
        if let Some(exchange) = self.exchange.take() {
            self.stream = Some(exchange.stream(200, "application/json")?);
        }
        self.send()
    }

    /// Whether it was a long one.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) fn finish(mut self) -> Result<bool> {
        let large = self.exchange.is_none();
        if self.next == b'[' {
            self.text.push(b'[');
        }
        self.text.extend_from_slice(b"]\n");
        let Some(exchange) = self.exchange.take() else {
            self.send()?;
            return Ok(large);
        };
        exchange.reply(json_reply(200, self.text))?;
        Ok(large)
    }

    fn send(&mut self) -> Result<()> {
        if let Some(stream) = &mut self.stream {
            stream.write_all(&self.text)?;
        }
        self.text.clear();
        Ok(())
    }
}

fn json_reply(status: u16, body: Vec<u8>) -> Reply {
    Reply { status, content_type: "application/json", headers: Vec::new(), body }
}

/// `body` as JSON, with the final newline of Docker's answers.
pub(super) fn json<T: Serialize + ?Sized>(body: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(body).expect("our own types are always JSON");
    bytes.push(b'\n');
    bytes
}
