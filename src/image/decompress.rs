//! What compressed a tar is seen from its first bytes; decoders run in process.
//!
//! - Each decoder has a bound on its memory: what a file asks for beyond it is refused.
//! - Concatenated members, streams and frames are one file, as the tools have it.

use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::base::{Error, Kind, Result};

/// Size of the buffer between the source and a decoder.
const BUFFER: usize = 64 << 10;
/// Fewest bytes that can be a tar of any kind.
const SHORTEST: usize = 10;
/// Most memory of a decoder in bytes: xz -9 needs 65 MiB. On a small host a quarter of its
/// memory, but no less than what xz's and zstd's defaults need.
const MOST_MEMORY: u64 = 72 << 20;
const LEAST_MEMORY: u64 = 10 << 20;

/// The plain bytes of `input`.
///
/// # Errors
/// `Tarball too short`, in Docker's words; those of `input`.
pub(super) fn open<'a>(mut input: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    let mut head = [0; SHORTEST];
    let mut filled = 0;
    while filled < SHORTEST {
        match input.read(&mut head[filled..]) {
            Ok(0) => return Err(Error::bad_parameter("Tarball too short")),
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let rest = io::Cursor::new(head).chain(input);
    let buffered = |rest| BufReader::with_capacity(BUFFER, rest);
    let memory = memory();
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(Gzip(Some(flate2::bufread::GzDecoder::new(buffered(rest))))),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(rest))),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let kib = u32::try_from(memory >> 10).unwrap_or(u32::MAX);
            Box::new(lzma_rust2::XzReader::new_mem_limit(buffered(rest), true, kib))
        }
        [a, b, c, d, ..] if Magic::of([a, b, c, d]).is_some() => Box::new(Zstd {
            input: buffered(rest),
            decoder: FrameDecoder::new(),
            open: false,
            memory,
        }),
        _ => Box::new(rest),
    })
}

/// Bytes that a decoder may use on this host.
fn memory() -> u64 {
    // Without the figure (no /proc), be modest.
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    (total.unwrap_or(0) * 1024 / 4).clamp(LEAST_MEMORY, MOST_MEMORY)
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// A failure to decompress: the stream is damaged, or its source failed.
pub(super) fn failed(error: io::Error) -> Error {
    let damaged = error.raw_os_error().is_none();
    let error = Error::from(error);
    let kind = if damaged { Kind::BadParameter } else { error.kind() };
    error.with_kind(kind)
}

/// Gzip members one after the other; zeros may follow the last, as on tapes.
struct Gzip<R: BufRead>(Option<flate2::bufread::GzDecoder<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.0 else { return Ok(0) };
            let length = member.read(out)?;
            if length > 0 || out.is_empty() {
                return Ok(length);
            }
            let mut input = match self.0.take() {
                Some(member) => member.into_inner(),
                None => return Ok(0),
            };
            match input.fill_buf()? {
                [] => return Ok(0),
                [0x1f, ..] => self.0 = Some(flate2::bufread::GzDecoder::new(input)),
                _ => return zeros(input).map(|()| 0),
            }
        }
    }
}

fn zeros(mut input: impl BufRead) -> io::Result<()> {
    loop {
        let rest = input.fill_buf()?;
        if rest.is_empty() {
            return Ok(());
        }
        if rest.iter().any(|b| *b != 0) {
            return Err(invalid("garbage after the gzip stream"));
        }
        let length = rest.len();
        input.consume(length);
    }
}

/// What a frame of a zstd file is.
enum Magic {
    Frame,
    Skippable,
}

impl Magic {
    fn of(bytes: [u8; 4]) -> Option<Magic> {
        match u32::from_le_bytes(bytes) {
            0xfd2f_b528 => Some(Magic::Frame),
            0x184d_2a50..=0x184d_2a5f => Some(Magic::Skippable),
            _ => None,
        }
    }
}

/// Zstd frames one after the other. RFC 8878.
struct Zstd<R: BufRead> {
    input: R,
    decoder: FrameDecoder,
    /// A frame is being decoded.
    open: bool,
    memory: u64,
}

impl<R: BufRead> Zstd<R> {
    /// Begins the next frame; false at the end of the input.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            let mut header = vec![0; 4];
            self.input.read_exact(&mut header)?;
            match Magic::of([header[0], header[1], header[2], header[3]]) {
                None => return Err(invalid("garbage after the zstd stream")),
                Some(Magic::Skippable) => {
                    let mut length = [0; 4];
                    self.input.read_exact(&mut length)?;
                    let length = u64::from(u32::from_le_bytes(length));
                    let skipped = io::copy(&mut self.input.by_ref().take(length), &mut io::sink());
                    if skipped? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Some(Magic::Frame) => {
                    let window = self.frame_header(&mut header)?;
                    if window > self.memory {
                        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
                        return Err(invalid(format!(
                            "zstd needs a window of {} MiB, more than {} MiB are not given",
                            mib(window),
                            mib(self.memory)
                        )));
                    }
                    self.decoder.reset(&header[..]).map_err(|e| invalid(e.to_string()))?;
                    self.open = true;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Reads the rest of a frame's header; returns the window that it asks for in bytes. The
    /// decoder allocates first and looks later, so we look.
    fn frame_header(&mut self, header: &mut Vec<u8>) -> io::Result<u64> {
        let mut take = |count: usize| -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; count];
            self.input.read_exact(&mut bytes)?;
            header.extend_from_slice(&bytes);
            Ok(bytes)
        };
        let descriptor = take(1)?[0];
        let single = descriptor & 0x20 != 0;
        let mut window = 0;
        if !single {
            let byte = u64::from(take(1)?[0]);
            let base = 1u64 << (10 + (byte >> 3));
            window = base + base / 8 * (byte & 7);
        }
        take([0, 1, 2, 4][usize::from(descriptor & 3)])?;
        let size_bytes = match (descriptor >> 6, single) {
            (0, false) => 0,
            (0, true) => 1,
            (1, _) => 2,
            (2, _) => 4,
            _ => 8,
        };
        let size =
            take(size_bytes)?.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
        if single {
            window = if size_bytes == 2 { size + 256 } else { size };
        }
        Ok(window)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.open && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() < out.len() && !self.decoder.is_finished() {
                let wanted =
                    BlockDecodingStrategy::UptoBytes(out.len() - self.decoder.can_collect());
                self.decoder
                    .decode_blocks(&mut self.input, wanted)
                    .map_err(|error| invalid(format!("zstd: {error}")))?;
            }
            let length = self.decoder.read(out)?;
            if length > 0 || out.is_empty() {
                return Ok(length);
            }
            let sums =
                (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            if matches!(sums, (Some(wanted), Some(found)) if wanted != found) {
                return Err(invalid("the checksum of a zstd frame is wrong"));
            }
            self.open = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn plain(input: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        open(input)?.read_to_end(&mut out).map_err(failed)?;
        Ok(out)
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(data).unwrap();
        out.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// One xz stream of stored chunks; `dict` is the code of the dictionary's size.
    fn xz(data: &[u8], dict: u8) -> Vec<u8> {
        let summed = |bytes: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(bytes);
            [bytes, &crc.sum().to_le_bytes()].concat()
        };
        let padded = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let varint = |mut number: usize| {
            let mut bytes = Vec::new();
            while number > 0x7f {
                bytes.push(number.to_le_bytes()[0] | 0x80);
                number >>= 7;
            }
            bytes.push(number.to_le_bytes()[0]);
            bytes
        };
        let mut block = summed(&[2, 0, 0x21, 1, dict, 0, 0, 0]);
        for (n, chunk) in data.chunks(1 << 16).enumerate() {
            block.push(if n == 0 { 1 } else { 2 });
            block.extend(u16::try_from(chunk.len() - 1).unwrap().to_be_bytes());
            block.extend(chunk);
        }
        block.push(0);
        let sizes = [vec![0, 1], varint(block.len() + 4), varint(data.len())].concat();
        let index = summed(&padded(sizes));
        let check = summed(data)[data.len()..].to_vec();
        let backward = u32::try_from(index.len() / 4 - 1).unwrap().to_le_bytes();
        let footer = summed(&[&backward[..], &[0, 1]].concat());
        let footer = [&footer[6..], &footer[..6], b"YZ"].concat();
        let head = [b"\xfd7zXZ\0", &summed(&[0, 1])[..]].concat();
        [head, padded(block), check, index, footer].concat()
    }

    fn bzip2(data: &[u8]) -> Vec<u8> {
        let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        out.write_all(data).unwrap();
        out.finish().unwrap()
    }

    fn sample() -> Vec<u8> {
        (0..200_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
    }

    #[test]
    fn every_format_is_known_by_its_first_bytes() {
        let data = sample();
        let check = |packed: &[u8]| assert_eq!(plain(packed).unwrap(), data);
        check(&data);
        check(&gzip(&data));
        check(&bzip2(&data));
        check(&xz(&data, 10));
        check(&zstd(&data));
    }

    #[test]
    fn members_and_frames_are_joined() {
        let (a, b) = (vec![b'a'; 70_000], vec![b'b'; 70_000]);
        let both = [a.clone(), b.clone()].concat();
        let check = |packed: Vec<u8>| assert_eq!(plain(&packed).unwrap(), both);
        check([gzip(&a), gzip(&b)].concat());
        check([gzip(&a), gzip(&b), vec![0; 1000]].concat());
        check([bzip2(&a), bzip2(&b)].concat());
        check([xz(&a, 10), xz(&b, 10)].concat());
        let skippable = [&[0x55, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        check([zstd(&a), skippable.clone(), zstd(&b)].concat());
        check([skippable, zstd(&a), zstd(&b)].concat());
    }

    #[test]
    fn what_is_cut_or_damaged_is_an_error() {
        assert_eq!(plain(b"123456789").unwrap_err().to_string(), "Tarball too short");
        let data = sample();
        for packed in [gzip(&data), bzip2(&data), xz(&data, 10), zstd(&data)] {
            assert!(plain(&packed[..packed.len() / 2]).is_err(), "{:?}", &packed[..4]);
            assert!(plain(&[&packed[..], b"garbage"].concat()).is_err(), "{:?}", &packed[..4]);
        }
    }

    #[test]
    fn a_decoder_takes_no_more_memory_than_it_is_given() {
        // Window descriptor 0xa0: 2^30 bytes.
        let huge = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 1, 0, 0, 0];
        let error = plain(&huge).unwrap_err();
        assert!(error.to_string().contains("window of 1024 MiB"), "{error}");
        // Dictionary of 2^31 bytes.
        assert!(plain(&xz(b"x", 38)).is_err());
    }
}
