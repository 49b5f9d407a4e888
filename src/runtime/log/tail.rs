//! Where the last lines of a log begin, found from its end in blocks.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::parse::{MAX_RECORD, Renderer, facts_of_line};
use super::reader::{each, same};

const BLOCK: usize = 64 * 1024;

/// The file and the offset at which the last `lines` lines begin that `renderer` selects; `None`
/// for an empty log. A line that is not finished yet counts.
pub(super) fn start(
    dir: &Path,
    lines: u64,
    renderer: &Renderer,
) -> io::Result<Option<(File, u64)>> {
    let mut found: Option<(File, u64)> = None;
    let mut left = lines;
    let mut newest = true;
    each(dir, |_, file| {
        if let Some((seen, _)) = &found {
            if same(seen, &file)? {
                return Ok(false);
            }
        }
        let size = file.metadata()?.len();
        let mut start = 0;
        let mut complete = false;
        lines_backwards(&file, size, |line, end| {
            let Some(facts) = facts_of_line(line).filter(|facts| renderer.selects(facts)) else {
                return ControlFlow::Continue(());
            };
            let unfinished = std::mem::take(&mut newest) && !facts.ends_line;
            if facts.ends_line || (unfinished && left > 0) {
                let Some(fewer) = left.checked_sub(1) else {
                    start = end;
                    complete = true;
                    return ControlFlow::Break(());
                };
                left = fewer;
            }
            ControlFlow::Continue(())
        })?;
        if lines == 0 {
            (start, complete) = (size, true);
        }
        found = Some((file, start));
        Ok(complete)
    })?;
    Ok(found)
}

/// Calls `see` with each line of the first `size` bytes of `file`, last first, and with the
/// offset behind its newline. A piece behind the last newline is no line.
fn lines_backwards(
    file: &File,
    size: u64,
    mut see: impl FnMut(&[u8], u64) -> ControlFlow<()>,
) -> io::Result<()> {
    // `held` is the file's content from `at` on, up to the newline of the line looked for.
    let mut held: Vec<u8> = Vec::new();
    let mut at = size;
    let mut whole = false;
    while at > 0 {
        let length = BLOCK.min(usize::try_from(at).unwrap_or(BLOCK));
        at -= length as u64;
        let mut block = vec![0; length];
        file.read_exact_at(&mut block, at)?;
        block.append(&mut held);
        held = block;
        // Only the new part can hold newlines that have not been seen.
        let mut search = length.min(held.len());
        while let Some(newline) = held[..search].iter().rposition(|&byte| byte == b'\n') {
            let line_end = at + held.len() as u64;
            if whole && see(&held[newline + 1..held.len() - 1], line_end).is_break() {
                return Ok(());
            }
            whole = true;
            held.truncate(newline + 1);
            search = newline;
        }
        if held.len() > MAX_RECORD + BLOCK {
            // Garbage; its newline alone stays, as the end of a line that is none.
            held.truncate(1);
        }
    }
    if whole && !held.is_empty() {
        // Whether it breaks or not, this was the first line.
        let _first = see(&held[..held.len() - 1], held.len() as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::runtime::log::writer::tests::{Dir, config};
    use crate::runtime::log::{Query, Reader, Stream, Writer};

    fn tail(dir: &Dir, lines: u64, query: &Query) -> String {
        let query = Query { tail: Some(lines), ..query.clone() };
        let mut out = Vec::new();
        Reader::open(&dir.0, &query).unwrap().copy_to(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_last_lines_are_found_in_all_files() {
        let both = Query { stdout: true, stderr: true, ..Query::default() };
        for max_size in [0, 300, 5000] {
            let dir = Dir::new(&format!("tail-{max_size}"));
            assert_eq!(tail(&dir, 3, &both), "");
            let mut writer = Writer::new(&dir.0, &config(max_size, 450));
            let lines: Vec<String> =
                (0..200).map(|n| format!("{n} {}\n", "x".repeat(n * n))).collect();
            for line in &lines {
                writer.write(Stream::Stdout, line.as_bytes());
            }
            for count in [0, 1, 2, 10, 199, 200, 201, 5000] {
                let expected = lines[lines.len().saturating_sub(count)..].concat();
                assert!(tail(&dir, count as u64, &both) == expected, "{max_size} {count}");
            }
        }
    }

    #[test]
    fn lines_of_the_wanted_stream_count_and_an_unfinished_one_does() {
        let both = Query { stdout: true, stderr: true, ..Query::default() };
        let dir = Dir::new("tail-streams");
        let mut writer = Writer::new(&dir.0, &config(0, 1));
        writer.write(Stream::Stdout, b"a\nb\n");
        writer.write(Stream::Stderr, b"E\nF\n");
        let stdout = Query { stderr: false, ..both.clone() };
        assert_eq!(tail(&dir, 1, &stdout), "b\n");
        assert_eq!(tail(&dir, 3, &both), "b\nE\nF\n");
        writer.write(Stream::Stdout, b"pro");
        writer.flush();
        assert_eq!(tail(&dir, 0, &both), "");
        assert_eq!(tail(&dir, 1, &both), "pro");
        assert_eq!(tail(&dir, 2, &both), "F\npro");
        writer.write(Stream::Stdout, b"mpt\n");
        assert_eq!(tail(&dir, 1, &both), "prompt\n");
        assert_eq!(tail(&dir, 2, &both), "F\nprompt\n");
    }

    #[test]
    fn garbage_counts_for_nothing() {
        let both = Query { stdout: true, stderr: true, ..Query::default() };
        let dir = Dir::new("tail-garbage");
        let path = dir.0.join("container.log");
        let mut writer = Writer::new(&dir.0, &config(0, 1));
        writer.write(Stream::Stdout, b"a\nb\n");
        let mut content = std::fs::read(&path).unwrap();
        content.extend_from_slice(&vec![0; 300_000]);
        std::fs::write(&path, content).unwrap();
        let mut writer = Writer::new(&dir.0, &config(0, 1));
        writer.write(Stream::Stdout, b"c\n");
        assert_eq!(tail(&dir, 2, &both), "b\nc\n");
        assert_eq!(tail(&dir, 9, &both), "a\nb\nc\n");
    }
}
