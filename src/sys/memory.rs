//! The C library's allocator. mallopt(3).

/// Makes the allocator give memory back instead of keeping it: one arena for all threads, big
/// blocks by mmap(2), the top of the heap trimmed early.
///
/// Without this each connection's thread may leave an arena behind. Does nothing where the
/// allocator has no such knobs (musl).
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    {
        // The thresholds adapt upwards by themselves unless they are set.
        const BLOCK_BYTES: i32 = 128 * 1024;
        for (knob, value) in [
            (libc::M_ARENA_MAX, 1),
            (libc::M_MMAP_THRESHOLD, BLOCK_BYTES),
            (libc::M_TRIM_THRESHOLD, BLOCK_BYTES),
        ] {
            // SAFETY: mallopt takes two integers and locks the allocator itself; a value it does
            // not like is refused and changes nothing.
            unsafe { libc::mallopt(knob, value) };
        }
    }
}

/// Gives free pages of the heap back to the kernel. malloc_trim(3).
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes an integer and locks the allocator itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of the pages of our own code: those that the start alone needed stay unmapped, the
/// others come back from the page cache when they are used next. madvise(2), MADV_DONTNEED.
///
/// The kernel maps code in blocks around each fault, so that after a start most of the program
/// is counted as in use. Unmapped pages are the first that it takes when memory gets tight.
///
/// # Errors
/// Those of reading /proc/self/maps.
pub fn forget_code() -> std::io::Result<()> {
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let Some((start, length)) = code_of_file(line) else { continue };
        // SAFETY: the range is a private mapping of a file that is executable and not writable,
        // so no page of it was ever changed: each comes back from the file with the same bytes,
        // this function's own included.
        let done = unsafe {
            libc::madvise(std::ptr::with_exposed_provenance_mut(start), length, libc::MADV_DONTNEED)
        };
        super::check(done)?;
    }
    Ok(())
}

/// Start and length of the mapping that a line of /proc/PID/maps is about, if it is code that
/// was mapped from a file.
fn code_of_file(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, permissions) = (words.next()?, words.next()?);
    let path = words.nth(3)?;
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    (permissions == "r-xp" && path.starts_with('/')).then_some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_forgotten() {
        let check = |line: &str, expected| assert_eq!(code_of_file(line), expected, "{line}");
        check(
            "00400000-00500000 r-xp 00000000 08:02 1735 /usr/bin/skiff",
            Some((0x400000, 0x100000)),
        );
        check("00400000-00500000 r--p 00000000 08:02 1735 /usr/bin/skiff", None);
        check("00400000-00500000 rw-p 00000000 08:02 1735 /usr/bin/skiff", None);
        check("7ffd000-7ffe000 r-xp 00000000 00:00 0 [vdso]", None);
        check("7ffd000-7ffe000 r-xp 00000000 00:00 0", None);
        check("", None);
        forget_code().expect("our own maps can be read");
    }
}
