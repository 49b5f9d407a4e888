//! From a stream to an unpacked layer, in one pass and with bounded memory.
//!
//! ```text
//! caller's thread:  source -> decompress -> chunks --+
//! second thread:                                     +-> sha256 -> tar -> files and recipe
//! ```
//!
//! Inflating costs about as much as hashing and writing together, so each half has a core.

use std::io::{self, BufRead, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::layers::{Layers, Stage};
use super::unpack::{self, Summary};
use super::{decompress, tarball};
use crate::base::digest::Hasher;
use crate::base::{Context, Digest, Error, Result};

/// Size of a chunk, and how many there are: all memory between the threads.
const CHUNK: usize = 128 << 10;
const CHUNKS: usize = 4;
/// A bomb is a source that grows more than this many times over, once it has grown past
/// `BOMB_FROM`. Gzip can do 1,032; zeros in a real image stay below it in every format.
const BOMB_RATIO: u64 = 2_000;
const BOMB_FROM: u64 = 256 << 20;
/// Most bytes of a tar: as its files may have, and room for headers.
const MAX_TAR: u64 = unpack::MAX_BYTES + (2 << 30);

/// A layer that has been unpacked and checked, and has no name yet.
pub(super) struct Ingested {
    pub(super) stage: Stage,
    /// Digest of the plain tar.
    pub(super) diff_id: Digest,
    pub(super) summary: Summary,
    /// All of it is on disk.
    pub(super) sealed: bool,
}

/// Unpacks `source` into a new stage. `arrived` is told the bytes read so far.
pub(super) fn ingest(
    layers: &Layers,
    source: &mut dyn Read,
    arrived: &dyn Fn(u64),
) -> Result<Ingested> {
    let counted = Counted { source, count: 0, arrived };
    let read = std::cell::Cell::new(0);
    let mut plain = decompress::open(Noted { counted, read: &read })?;
    let stage = layers.stage()?;
    let (full, filled) = sync_channel(CHUNKS);
    let (spent, empty) = channel();
    for _ in 0..CHUNKS {
        spent.send(Vec::new()).map_err(|_| gone())?;
    }
    let (diff_id, summary) = std::thread::scope(|scope| {
        let stage = &stage;
        let worker = std::thread::Builder::new()
            .name("unpack".into())
            .spawn_scoped(scope, move || work(stage, Chunks::new(filled, spent)))
            .context(|| "start a thread".into())?;
        let fed = feed(&mut plain, &read, full, &empty);
        let worked = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Without its input the worker fails as well; the cause is what is worth telling.
        fed.and(worked)
    })?;
    drop(plain);
    Ok(Ingested { stage, diff_id, summary, sealed: false })
}

fn gone() -> Error {
    Error::internal("the unpacking thread has ended")
}

/// Reads all of `plain` into chunks. Ends early and without error when the worker has ended: that
/// one knows why.
fn feed(
    plain: &mut dyn Read,
    read: &std::cell::Cell<u64>,
    full: SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
) -> Result<()> {
    let mut total = 0u64;
    while let Ok(mut chunk) = empty.recv() {
        chunk.resize(CHUNK, 0);
        let mut filled = 0;
        while filled < CHUNK {
            match plain.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The chunk of no bytes is never sent otherwise: it says that the tar is cut.
                Err(error) => {
                    drop(full.send(Vec::new()));
                    return Err(decompress::failed(error));
                }
            }
        }
        if filled == 0 {
            break;
        }
        total += filled as u64;
        if total > MAX_TAR || (total > BOMB_FROM && total / BOMB_RATIO > read.get()) {
            drop(full.send(Vec::new()));
            return Err(Error::bad_parameter(format!(
                "the tar is refused: {} bytes have become more than {total}",
                read.get()
            )));
        }
        chunk.truncate(filled);
        if full.send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}

fn work(stage: &Stage, chunks: Chunks) -> Result<(Digest, Summary)> {
    let mut tar = tarball::Reader::new(chunks, Layers::recipe(stage)?);
    let summary = unpack::unpack(&mut tar, stage.fd.as_fd())?;
    let (chunks, recipe) = tar.into_parts();
    let recipe = recipe.finish().and_then(|out| out.into_inner().map_err(|e| e.into_error()));
    recipe.context(|| "write a layer's recipe".into())?;
    Ok((chunks.hasher.finish(), summary))
}

/// The chunks as one stream; hashes what passes.
struct Chunks {
    filled: Receiver<Vec<u8>>,
    spent: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    hasher: Hasher,
}

impl Chunks {
    fn new(filled: Receiver<Vec<u8>>, spent: Sender<Vec<u8>>) -> Chunks {
        Chunks { filled, spent, chunk: Vec::new(), at: 0, hasher: Hasher::new() }
    }
}

impl Read for Chunks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len() {
            // An error means that all has been read.
            if let Ok(next) = self.filled.recv() {
                if next.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.hasher.update(&next);
                let spent = std::mem::replace(&mut self.chunk, next);
                self.at = 0;
                if spent.capacity() > 0 {
                    // The other thread may have read everything and be gone.
                    drop(self.spent.send(spent));
                }
            }
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}

/// Tells how much has arrived.
struct Counted<'a> {
    source: &'a mut dyn Read,
    count: u64,
    arrived: &'a dyn Fn(u64),
}

/// Notes the same where the decompressed side can see it.
struct Noted<'a> {
    counted: Counted<'a>,
    read: &'a std::cell::Cell<u64>,
}

impl Read for Noted<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.counted.source.read(out)?;
        self.counted.count += length as u64;
        self.read.set(self.counted.count);
        (self.counted.arrived)(self.counted.count);
        Ok(length)
    }
}
