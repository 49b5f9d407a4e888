//! The recipe of a layer: what gives back the very tar it was unpacked from.
//!
//! - Headers, padding and everything else that is no file content are kept byte for byte;
//!   content is taken from the unpacked tree.
//! - Content is found by the place where `unpack` put it, with symlinks resolved. What a later
//!   entry replaced was moved to `kept/N`, and the recipe says when.
//! - Compressed: headers are mostly zeros and repetitions.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// First bytes, uncompressed inside the stream; the number is the format's version.
const MAGIC: &[u8] = b"skiff recipe 1\n";
/// Literals are joined up to this size.
const JOIN: usize = 32 << 10;
/// Longest literal or path that a reader accepts.
const MAX_BYTES: u64 = 1 << 20;

const LITERAL: u8 = 1;
const CONTENT: u8 = 2;
const RUNS: u8 = 3;
const MOVED: u8 = 4;
const END: u8 = 0;

/// Writes a recipe.
pub(super) struct Writer<W: Write> {
    out: DeflateEncoder<W>,
    literal: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recipe.
    pub(super) fn new(out: W) -> io::Result<Writer<W>> {
        let mut out = DeflateEncoder::new(out, Compression::fast());
        out.write_all(MAGIC)?;
        Ok(Writer { out, literal: Vec::with_capacity(JOIN) })
    }

    /// Next in the tar come these bytes.
    pub(super) fn literal(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(JOIN) {
            if self.literal.len() + piece.len() > JOIN {
                self.flush()?;
            }
            self.literal.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Next in the tar come the first `length` bytes of the file at `path`.
    pub(super) fn content(&mut self, path: &[u8], length: u64) -> io::Result<()> {
        self.flush()?;
        self.out.write_all(&[CONTENT])?;
        self.bytes(path)?;
        self.number(length)
    }

    /// Next in the tar come these runs, as (offset, length), of the file at `path`.
    pub(super) fn runs(&mut self, path: &[u8], runs: &[(u64, u64)]) -> io::Result<()> {
        self.flush()?;
        self.out.write_all(&[RUNS])?;
        self.bytes(path)?;
        self.number(runs.len() as u64)?;
        for (offset, length) in runs {
            self.number(*offset)?;
            self.number(*length)?;
        }
        Ok(())
    }

    /// What was at `path` until now is at `kept/number` from now on.
    pub(super) fn moved(&mut self, path: &[u8], number: u64) -> io::Result<()> {
        self.flush()?;
        self.out.write_all(&[MOVED])?;
        self.bytes(path)?;
        self.number(number)
    }

    /// Ends the recipe.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        self.out.write_all(&[END])?;
        self.out.finish()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        let literal = std::mem::take(&mut self.literal);
        self.out.write_all(&[LITERAL])?;
        self.bytes(&literal)?;
        self.literal = literal;
        self.literal.clear();
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.number(bytes.len() as u64)?;
        self.out.write_all(bytes)
    }

    /// Seven bits a byte, lowest first, the top bit set on all but the last.
    fn number(&mut self, mut number: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(10);
        while number >= 0x80 {
            bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        bytes.push(number.to_le_bytes()[0]);
        self.out.write_all(&bytes)
    }
}

/// One step of a recipe.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// These bytes.
    Literal(Vec<u8>),
    /// Runs of a file; a whole one is one run.
    Content { path: Vec<u8>, runs: Vec<(u64, u64)> },
    /// See [`Writer::moved`].
    Moved { path: Vec<u8>, number: u64 },
}

/// Reads a recipe.
pub(super) struct Reader<R: Read> {
    input: BufReader<DeflateDecoder<R>>,
}

impl<R: Read> Reader<R> {
    /// Opens a recipe.
    pub(super) fn new(input: R) -> io::Result<Reader<R>> {
        let mut input = BufReader::new(DeflateDecoder::new(input));
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(odd());
        }
        Ok(Reader { input })
    }

    /// The next step; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Step>> {
        let step = match self.byte()? {
            END => return Ok(None),
            LITERAL => Step::Literal(self.bytes()?),
            CONTENT => Step::Content { path: self.bytes()?, runs: vec![(0, self.number()?)] },
            RUNS => {
                let path = self.bytes()?;
                let mut runs = Vec::new();
                for _ in 0..self.number()? {
                    runs.push((self.number()?, self.number()?));
                }
                Step::Content { path, runs }
            }
            MOVED => Step::Moved { path: self.bytes()?, number: self.number()? },
            _ => return Err(odd()),
        };
        Ok(Some(step))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(odd())
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = self.number()?;
        if length > MAX_BYTES {
            return Err(odd());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| odd())?];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn odd() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the recipe does not parse")
}

/// Where content that was moved is now.
#[derive(Default)]
pub(super) struct Moves {
    /// By path: number of the step, number of the kept thing; in order of steps.
    by_path: BTreeMap<Vec<u8>, Vec<(u64, u64)>>,
}

impl Moves {
    /// Collects the moves of a whole recipe.
    pub(super) fn read<R: Read>(mut recipe: Reader<R>) -> io::Result<Moves> {
        let mut moves = Moves::default();
        let mut at = 0;
        while let Some(step) = recipe.next()? {
            if let Step::Moved { path, number } = step {
                moves.by_path.entry(path).or_default().push((at, number));
            }
            at += 1;
        }
        Ok(moves)
    }

    /// Where the content that step `at` put to `path` is now: in the tree (`None`) or at
    /// `kept/N/rest`.
    pub(super) fn find<'a>(&self, path: &'a [u8], at: u64) -> Option<(u64, &'a [u8])> {
        if self.by_path.is_empty() {
            return None;
        }
        let mut first: Option<(u64, u64, &'a [u8])> = None;
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            let moves = self.by_path.get(&path[..end]).map(Vec::as_slice).unwrap_or_default();
            let next = moves.iter().find(|(step, _)| *step > at);
            if let Some((step, number)) = next {
                if first.is_none_or(|(known, _, _)| *step < known) {
                    let rest = path.get(end + 1..).unwrap_or_default();
                    first = Some((*step, *number, rest));
                }
            }
        }
        first.map(|(_, number, rest)| (number, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_read_as_it_was_written() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.literal(b"head").unwrap();
        writer.literal(b"er").unwrap();
        writer.content(b"a/b", 1 << 40).unwrap();
        writer.moved(b"a", 7).unwrap();
        writer.runs(b"s", &[(0, 1), (300, 4)]).unwrap();
        writer.literal(&[b'x'; 100_000]).unwrap();
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(&bytes[..]).unwrap();
        let mut steps = Vec::new();
        while let Some(step) = reader.next().unwrap() {
            steps.push(step);
        }
        assert_eq!(steps[0], Step::Literal(b"header".to_vec()));
        assert_eq!(steps[1], Step::Content { path: b"a/b".to_vec(), runs: vec![(0, 1 << 40)] });
        assert_eq!(steps[2], Step::Moved { path: b"a".to_vec(), number: 7 });
        let runs = vec![(0, 1), (300, 4)];
        assert_eq!(steps[3], Step::Content { path: b"s".to_vec(), runs });
        let long: usize = steps[4..]
            .iter()
            .map(|step| match step {
                Step::Literal(bytes) => bytes.len(),
                other => panic!("{other:?}"),
            })
            .sum();
        assert_eq!(long, 100_000);
        let moves = Moves::read(Reader::new(&bytes[..]).unwrap()).unwrap();
        assert_eq!(moves.find(b"a/b", 1), Some((7, &b"b"[..])));
        assert_eq!(moves.find(b"a/b", 3), None);
        assert_eq!(moves.find(b"ab", 1), None);
        for cut in [0, 10, bytes.len() / 2] {
            let whole = Reader::new(&bytes[..cut]).and_then(Moves::read);
            assert!(whole.is_err());
        }
    }
}
