//! Reading a tar stream: entries out, and every byte that is no file content to the recipe.
//!
//! - Understands ustar, old GNU and PAX headers: long names, sparse files, extended attributes,
//!   fractions of seconds, base-256 numbers.
//! - Holds one header's worth in memory, never content.
//! - Decides nothing about where an entry goes; `unpack` does.

use std::ffi::CString;
use std::io::{BufRead, Write};

use super::header::{
    BLOCK, checksum_is_right, damaged, decimal, number, owner, unsigned, until_nul,
};
use super::pax::{Pax, Sparse};
use super::recipe;
use crate::base::{Error, Result};

/// Most bytes of a PAX header or a long name. GNU tar writes no more than some kilobytes; PAX
/// headers carry attributes of up to 64 KiB each.
const MAX_META: u64 = 1 << 20;
/// Most data runs of a sparse file; 2 MiB in memory.
const MAX_RUNS: usize = 1 << 17;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry of a tar.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it is in the tar.
    pub(super) path: Vec<u8>,
    /// Target of a link.
    pub(super) link: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, u32),
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(CString, Vec<u8>)>,
    pub(super) content: Content,
}

/// How the content of a file is laid out in the tar.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// So many bytes.
    Whole(u64),
    /// Runs of data as (offset, length), in order; the rest up to `size` is a hole.
    Sparse { size: u64, runs: Vec<(u64, u64)> },
}

impl Content {
    /// Size of the file.
    pub(super) fn size(&self) -> u64 {
        match self {
            Content::Whole(size) | Content::Sparse { size, .. } => *size,
        }
    }
}

/// A tar being read.
pub(super) struct Reader<R, W: Write> {
    input: R,
    recipe: recipe::Writer<W>,
    /// Bytes of the current entry that are not read yet.
    remaining: u64,
    /// Zeros after them, up to a whole block.
    padding: u64,
    /// Bytes read, for messages.
    offset: u64,
}

/// What preceding extension headers say of the next entry.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Vec<u8>,
}

impl<R: BufRead, W: Write> Reader<R, W> {
    /// Reads the tar `input` and tells `recipe` what is no content.
    pub(super) fn new(input: R, recipe: recipe::Writer<W>) -> Reader<R, W> {
        Reader { input, recipe, remaining: 0, padding: 0, offset: 0 }
    }

    /// The recipe, for what `unpack` does with content.
    pub(super) fn recipe(&mut self) -> &mut recipe::Writer<W> {
        &mut self.recipe
    }

    /// The input and the recipe, after the end.
    pub(super) fn into_parts(self) -> (R, recipe::Writer<W>) {
        (self.input, self.recipe)
    }

    /// The next entry; `None` at the end, when everything after it has been read as well. Content
    /// of the current entry that was not read goes to the recipe.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        self.verbatim(self.remaining)?;
        self.remaining = 0;
        self.verbatim(self.padding)?;
        self.padding = 0;
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            let Some(block) = self.block()? else {
                return if extended { Err(self.cut()) } else { Ok(None) };
            };
            if block.iter().all(|b| *b == 0) {
                self.end()?;
                return Ok(None);
            }
            if !checksum_is_right(&block) {
                return Err(self.no_header());
            }
            let size = unsigned(&block[124..136])?;
            match block[156] {
                b'x' | b'X' => extensions.pax = self.meta(size)?,
                b'L' => extensions.name = Some(until_nul(&self.meta(size)?).to_vec()),
                b'K' => extensions.link = Some(until_nul(&self.meta(size)?).to_vec()),
                // Defaults for all that follows, and a volume's label; as other engines, we heed
                // neither.
                b'g' | b'V' => drop(self.meta(size)?),
                _ => return self.entry(&block, &extensions).map(Some),
            }
            extended = true;
        }
    }

    /// A piece of the current entry's content; empty at its end. At most `limit` bytes.
    pub(super) fn content(&mut self, limit: u64, sink: &mut dyn Write) -> Result<u64> {
        let limit = limit.min(self.remaining);
        if limit == 0 {
            return Ok(0);
        }
        let available = self.input.fill_buf()?;
        if available.is_empty() {
            return Err(self.cut());
        }
        let length = usize::try_from(limit).unwrap_or(usize::MAX).min(available.len());
        sink.write_all(&available[..length])?;
        self.input.consume(length);
        self.remaining -= length as u64;
        self.offset += length as u64;
        Ok(length as u64)
    }

    fn cut(&self) -> Error {
        damaged(&format!("it ends early, after {} bytes", self.offset))
    }

    fn no_header(&self) -> Error {
        if self.offset == BLOCK as u64 {
            return Error::bad_parameter(
                "not a tar archive: plain, gzip, bzip2, xz and zstd are understood",
            );
        }
        damaged(&format!("no header at byte {}", self.offset - BLOCK as u64))
    }

    /// The next block; also to the recipe.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let length = available.len().min(BLOCK - filled);
            block[filled..filled + length].copy_from_slice(&available[..length]);
            self.input.consume(length);
            filled += length;
        }
        self.offset += filled as u64;
        match filled {
            0 => return Ok(None),
            BLOCK => {}
            _ if self.offset == filled as u64 => return Err(self.no_tar()),
            _ => return Err(self.cut()),
        }
        self.recipe.literal(&block)?;
        Ok(Some(block))
    }

    fn no_tar(&self) -> Error {
        Error::bad_parameter("not a tar archive: it is shorter than one header")
    }

    /// Reads `length` bytes to the recipe.
    fn verbatim(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Err(self.cut());
            }
            let piece = usize::try_from(length).unwrap_or(usize::MAX).min(available.len());
            self.recipe.literal(&available[..piece])?;
            self.input.consume(piece);
            length -= piece as u64;
            self.offset += piece as u64;
        }
        Ok(())
    }

    /// The data of an extension header, padding skipped.
    fn meta(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MAX_META {
            return Err(damaged("an extended header is larger than 1 MiB"));
        }
        let mut data = Vec::new();
        for _ in 0..size.div_ceil(BLOCK as u64) {
            let block = self.block()?.ok_or_else(|| self.cut())?;
            data.extend_from_slice(&block);
        }
        data.truncate(usize::try_from(size).unwrap_or(0));
        Ok(data)
    }

    /// A block of zeros has been read: another one, or nothing, must follow; then whatever is
    /// left, which belongs to the bytes of the tar and to nothing else.
    fn end(&mut self) -> Result<()> {
        if let Some(block) = self.block()? {
            if block.iter().any(|b| *b != 0) {
                return Err(damaged("a lone block of zeros"));
            }
        }
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(());
            }
            self.recipe.literal(available)?;
            let length = available.len();
            self.input.consume(length);
            self.offset += length as u64;
        }
    }

    fn entry(&mut self, block: &[u8; BLOCK], extensions: &Extensions) -> Result<Entry> {
        let header = tar::Header::from_byte_slice(block);
        let pax = Pax::parse(&extensions.pax)?;
        let path = match (&pax.sparse.name, pax.path, &extensions.name) {
            (Some(name), _, _) => name.to_vec(),
            (None, Some(path), _) => path.to_vec(),
            (None, None, Some(name)) => name.clone(),
            (None, None, None) => header.path_bytes().into_owned(),
        };
        let link = match (pax.link, &extensions.link) {
            (Some(link), _) => link.to_vec(),
            (None, Some(link)) => link.clone(),
            (None, None) => header.link_name_bytes().unwrap_or_default().into_owned(),
        };
        if path.contains(&0) || link.contains(&0) {
            return Err(damaged("a name holds a NUL byte"));
        }
        let flag = block[156];
        let kind = kind_of(flag, &path)?;
        let size = match pax.size {
            Some(size) => size,
            None => unsigned(&block[124..136])?,
        };
        // Only files have content, whatever their size field says.
        let has_content = matches!(flag, 0 | b'0' | b'7' | b'S');
        self.remaining = if has_content { size } else { 0 };
        self.padding = self.remaining.wrapping_neg() % BLOCK as u64;
        let content = match (flag, &pax.sparse) {
            _ if !has_content || kind != Kind::File => Content::Whole(0),
            (b'S', _) => self.old_gnu_runs(block)?,
            (_, sparse) if sparse.present() => self.pax_runs(sparse)?,
            _ => Content::Whole(size),
        };
        let field = |from: usize, to: usize| number(&block[from..to]);
        let device = |field: Result<i64>| match kind {
            Kind::CharDevice | Kind::BlockDevice => {
                u32::try_from(field?).map_err(|_| damaged("a device number is out of range"))
            }
            _ => Ok(0),
        };
        Ok(Entry {
            kind,
            mode: u32::try_from(field(100, 108)? & 0o7777).unwrap_or(0),
            uid: owner(pax.uid.map_or_else(|| field(108, 116), Ok)?)?,
            gid: owner(pax.gid.map_or_else(|| field(116, 124), Ok)?)?,
            mtime: pax.mtime.map_or_else(|| field(136, 148).map(|seconds| (seconds, 0)), Ok)?,
            device: (device(field(329, 337))?, device(field(337, 345))?),
            xattrs: pax.xattrs,
            path,
            link,
            content,
        })
    }

    /// The map of an old GNU sparse file: four runs in the header, then blocks of 21.
    fn old_gnu_runs(&mut self, block: &[u8; BLOCK]) -> Result<Content> {
        let mut runs = Vec::new();
        let mut take = |table: &[u8]| -> Result<()> {
            for run in table.chunks_exact(24).filter(|run| run[0] != 0) {
                runs.push((unsigned(&run[..12])?, unsigned(&run[12..])?));
            }
            if runs.len() > MAX_RUNS {
                Err(damaged("a sparse file of too many runs"))
            } else {
                Ok(())
            }
        };
        take(&block[386..482])?;
        let mut more = block[482] != 0;
        // The size of an entry counts its data; the blocks of the map come before that.
        while more {
            let block = self.block()?.ok_or_else(|| self.cut())?;
            take(&block[..504])?;
            more = block[504] != 0;
        }
        checked_runs(unsigned(&block[483..495])?, runs, self.remaining)
    }

    /// The map of a PAX sparse file: in the records (0.0, 0.1), or before its data (1.0).
    fn pax_runs(&mut self, sparse: &Sparse<'_>) -> Result<Content> {
        let odd = || damaged("the map of a sparse file does not parse");
        let mut numbers = sparse.map.clone();
        if sparse.major == Some(1) {
            let mut line = Vec::new();
            let mut wanted = 1;
            while numbers.len() < wanted {
                let block = self.block()?.ok_or_else(|| self.cut())?;
                self.remaining = self.remaining.checked_sub(BLOCK as u64).ok_or_else(odd)?;
                for byte in block {
                    match byte {
                        b'\n' => numbers.push(decimal(&std::mem::take(&mut line)).ok_or_else(odd)?),
                        _ if numbers.len() == wanted => break, // Padding of the map.
                        _ if line.len() > 20 => return Err(odd()),
                        digit => line.push(digit),
                    }
                    if numbers.len() == 1 && wanted == 1 {
                        let runs = usize::try_from(numbers[0]).map_err(|_| odd())?;
                        if runs > MAX_RUNS {
                            return Err(odd());
                        }
                        wanted = 1 + 2 * runs;
                    }
                }
            }
            numbers.truncate(wanted);
            numbers.remove(0);
        }
        if numbers.len() % 2 != 0 || numbers.len() / 2 > MAX_RUNS {
            return Err(odd());
        }
        let runs = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        checked_runs(sparse.size.ok_or_else(odd)?, runs, self.remaining)
    }
}

fn checked_runs(size: u64, runs: Vec<(u64, u64)>, stored: u64) -> Result<Content> {
    let odd = || damaged("the map of a sparse file does not fit it");
    let (mut end, mut sum) = (0u64, 0u64);
    for (offset, length) in &runs {
        if *offset < end {
            return Err(odd());
        }
        end = offset.checked_add(*length).ok_or_else(odd)?;
        sum += length; // No overflow: the runs do not overlap and end within 64 bits.
    }
    if end > size || sum != stored {
        return Err(odd());
    }
    Ok(Content::Sparse { size, runs })
}

fn kind_of(flag: u8, path: &[u8]) -> Result<Kind> {
    Ok(match flag {
        0 | b'0' | b'7' if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(Error::bad_parameter(format!(
                "tar entry \"{}\" is of a type that is not understood: \"{}\"",
                path.escape_ascii(),
                other.escape_ascii()
            )));
        }
    })
}
