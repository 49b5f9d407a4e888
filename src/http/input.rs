//! Buffered reading of heads, and bodies in their framing.
//!
//! - A read that is at least as big as the buffer goes straight into the caller's memory.
//! - A read that failed with `WouldBlock` can be repeated: nothing is lost.
//! - The framing is taken literally; whatever deviates breaks the body for good.

use std::io::{self, ErrorKind, Read};

/// Longest line with the size of a chunk, its extensions included.
const CHUNK_LINE_BYTES: usize = 1024;
/// Most bytes of trailers after the last chunk; they are read and forgotten.
const TRAILER_BYTES: usize = 8 * 1024;

/// Bytes that have arrived and are not used yet.
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    room: usize,
}

impl Input {
    /// An empty buffer that reads `room` bytes at a time.
    pub(super) fn new(room: usize) -> Input {
        Input { buffer: Vec::new(), start: 0, room }
    }

    /// What has arrived.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Marks `count` bytes as used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.buffer.len());
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            // A big head must not stay in memory while the connection idles.
            self.buffer.shrink_to(self.room);
        }
    }

    /// Takes what has arrived.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        std::mem::take(&mut self.buffer)
    }

    /// Reads once, behind what is there; 0 is the end.
    pub(super) fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let had = self.buffer.len();
        self.buffer.reserve_exact(self.room.max(had));
        self.buffer.resize(had + self.room, 0);
        let result = retry(|| from.read(&mut self.buffer[had..]));
        self.buffer.truncate(had + *result.as_ref().unwrap_or(&0));
        result
    }

    /// Reads what has arrived, else from the source: directly, when `out` is big.
    fn read(&mut self, from: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
        if self.unread().is_empty() {
            if out.len() >= self.room {
                return retry(|| from.read(out));
            }
            self.fill(from)?;
        }
        let count = out.len().min(self.unread().len());
        out[..count].copy_from_slice(&self.unread()[..count]);
        self.consume(count);
        Ok(count)
    }

    /// The next line, without the CRLF that ends it; the LF is at most the byte `limit`.
    fn line(&mut self, from: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
        let mut seen = 0;
        loop {
            let unread = self.unread();
            let end = unread[seen..].iter().position(|&byte| byte == b'\n').map(|at| seen + at);
            if end.unwrap_or(unread.len()) > limit {
                return Err(malformed("a line of the body is too long"));
            }
            if let Some(end) = end {
                let Some((b'\r', line)) = unread[..end].split_last() else {
                    return Err(malformed("a line of the body does not end in CRLF"));
                };
                let line = line.to_vec();
                self.consume(end + 1);
                return Ok(line);
            }
            seen = unread.len();
            if self.fill(from)? == 0 {
                return Err(cut_short());
            }
        }
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// How a body says where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// By a chunk of size 0.
    Chunked,
    /// With the connection (answers only).
    UntilClose,
}

/// ```text
///              size > 0
/// ChunkSize ------------> Chunk(left) --> ChunkEnd --+
///     ^  |                                           |
///     |  +-- size 0 --> Trailers --> Done            |
///     +----------------------------------------------+
/// Left(n) --> Done      UntilClose --> Done      any --> Broken
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Left(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers(usize),
    UntilClose,
    Done,
    Broken,
}

/// A body that is being read.
pub(super) struct Body(State);

impl Body {
    /// A body that begins now.
    pub(super) fn new(framing: Framing) -> Body {
        Body(match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Left(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// Whether it has been read to its end.
    pub(super) fn is_done(&self) -> bool {
        self.0 == State::Done
    }

    /// Bytes that are still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self.0 {
            State::Left(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Reads a piece; 0 is the end.
    pub(super) fn read(
        &mut self,
        input: &mut Input,
        from: &mut impl Read,
        out: &mut [u8],
    ) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let result = self.step(input, from, out);
        if matches!(&result, Err(error) if error.kind() != ErrorKind::WouldBlock) {
            self.0 = State::Broken;
        }
        result
    }

    fn step(
        &mut self,
        input: &mut Input,
        from: &mut impl Read,
        out: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            match self.0 {
                State::Done => return Ok(0),
                State::Broken => return Err(malformed("the body is broken")),
                State::UntilClose => {
                    let count = input.read(from, out)?;
                    if count == 0 {
                        self.0 = State::Done;
                    }
                    return Ok(count);
                }
                State::Left(left) => {
                    let (count, left) = piece(input, from, out, left)?;
                    self.0 = if left == 0 { State::Done } else { State::Left(left) };
                    return Ok(count);
                }
                State::Chunk(left) => {
                    let (count, left) = piece(input, from, out, left)?;
                    self.0 = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    return Ok(count);
                }
                State::ChunkEnd => {
                    if !input.line(from, 1)?.is_empty() {
                        return Err(malformed("a chunk is longer than its size"));
                    }
                    self.0 = State::ChunkSize;
                }
                State::ChunkSize => {
                    self.0 = match chunk_size(&input.line(from, CHUNK_LINE_BYTES)?)? {
                        0 => State::Trailers(TRAILER_BYTES),
                        size => State::Chunk(size),
                    };
                }
                State::Trailers(budget) => {
                    let line = input.line(from, budget)?;
                    self.0 = match budget.checked_sub(line.len() + 2) {
                        _ if line.is_empty() => State::Done,
                        Some(budget) => State::Trailers(budget),
                        None => return Err(malformed("the trailers are too long")),
                    };
                }
            }
        }
    }
}

/// Reads at most `left` bytes: how many, and what is then left.
fn piece(
    input: &mut Input,
    from: &mut impl Read,
    out: &mut [u8],
    left: u64,
) -> io::Result<(usize, u64)> {
    let most = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
    let count = input.read(from, &mut out[..most])?;
    if count == 0 {
        return Err(cut_short());
    }
    Ok((count, left - count as u64))
}

/// `1a2b` or `1a2b;extension`.
fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    let blanks = rest.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
    let rest = &rest[blanks..];
    if rest.first().is_some_and(|&byte| byte != b';') || rest.iter().any(u8::is_ascii_control) {
        return Err(malformed("the size of a chunk is not a number"));
    }
    let digits = std::str::from_utf8(digits).expect("hexadecimal digits are text");
    match u64::from_str_radix(digits, 16) {
        Ok(size) if digits.len() <= 16 => Ok(size),
        _ => Err(malformed("the size of a chunk is not a number")),
    }
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn cut_short() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the body ended early")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `text` in pieces of `step` bytes.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(out.len()).min(self.0.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    /// The body, and what is left behind it.
    fn read_all(
        framing: Framing,
        text: &[u8],
        step: usize,
        room: usize,
    ) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (mut input, mut body) = (Input::new(room), Body::new(framing));
        let mut from = Slow(text, step);
        let (mut all, mut piece) = (Vec::new(), [0; 7]);
        loop {
            match body.read(&mut input, &mut from, &mut piece)? {
                0 => break,
                count => all.extend_from_slice(&piece[..count]),
            }
        }
        let mut rest = input.take();
        rest.extend_from_slice(from.0);
        Ok((all, rest))
    }

    fn check(framing: Framing, text: &str, expected: Option<(&str, &str)>) {
        for step in [1, 2, 3, 100] {
            for room in [1, 4, 64] {
                let result = read_all(framing, text.as_bytes(), step, room).ok();
                let expected = expected
                    .map(|(body, rest)| (body.as_bytes().to_vec(), rest.as_bytes().to_vec()));
                assert_eq!(result, expected, "{text:?} by {step}, room {room}");
            }
        }
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        use Framing::{Chunked, Length, UntilClose};
        check(Length(0), "GET", Some(("", "GET")));
        check(Length(5), "helloGET", Some(("hello", "GET")));
        check(Length(9), "hello", None);
        check(UntilClose, "hello\r\n", Some(("hello\r\n", "")));
        check(Chunked, "0\r\n\r\nGET", Some(("", "GET")));
        check(
            Chunked,
            "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nG",
            Some(("hello0123456789", "G")),
        );
        check(Chunked, "5;a=\"b\"\r\nhello\r\n0;x\r\nT: v\r\n\r\nG", Some(("hello", "G")));
        check(Chunked, "00005 \r\nhello\r\n000\r\n\r\n", Some(("hello", "")));
        for bad in [
            "",
            "5",
            "5\r\nhel",
            "5\r\nhello",
            "5\r\nhello\r\n",
            "5\r\nhello\r\n0\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloo\r\n0\r\n\r\n",
            "x\r\n",
            "-1\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            "5;\x01\r\nhello\r\n0\r\n\r\n",
            "5\r\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            ";5\r\nhello\r\n0\r\n\r\n",
        ] {
            check(Chunked, bad, None);
        }
    }

    #[test]
    fn endless_lines_and_trailers_are_refused() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(CHUNK_LINE_BYTES * 2));
        assert!(read_all(Framing::Chunked, long.as_bytes(), 100, 64).is_err());
        let trailers = format!("0\r\n{}\r\n", "T: v\r\n".repeat(TRAILER_BYTES));
        assert!(read_all(Framing::Chunked, trailers.as_bytes(), 100, 64).is_err());
    }
}
