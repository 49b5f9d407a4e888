//! Memory of this process: the C library's allocator, and the program itself. mallopt(3).

use std::io;

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

/// Lets go of the pages of our own code and constants: those that the start alone needed stay
/// unmapped, the others come back from the page cache when they are used next. madvise(2),
/// MADV_DONTNEED; dl_iterate_phdr(3).
///
/// The kernel maps a file in blocks around each fault, so that after a start most of the program
/// is counted as in use. Unmapped pages are the first that it takes when memory gets tight.
///
/// # Errors
/// Those of madvise(2).
pub fn forget_program() -> io::Result<()> {
    for (start, length) in read_only_segments() {
        // SAFETY: the range is a segment of the program that was mapped from its file without the
        // right to write, so no page of it was ever changed (what the loader relocates lies in
        // writable segments): each page comes back with the same bytes, those of this function
        // included.
        let done = unsafe {
            libc::madvise(std::ptr::with_exposed_provenance_mut(start), length, libc::MADV_DONTNEED)
        };
        super::check(done)?;
    }
    Ok(())
}

/// Bytes of a page. sysconf(3).
fn page_size() -> usize {
    // SAFETY: sysconf takes an integer and touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(64 * 1024)
}

/// Start and length, in whole pages, of the program's segments that cannot be written.
fn read_only_segments() -> Vec<(usize, usize)> {
    let mut segments = Vec::new();
    // SAFETY: `first_object` is called before this returns, with the pointer given here, which
    // is that of a live Vec that nothing else uses meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut segments).cast()) };
    segments
}

/// Takes the segments of the first object, which is the program itself, and ends the iteration.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    segments: *mut libc::c_void,
) -> libc::c_int {
    let page = page_size();
    // SAFETY: the caller passes a valid dl_phdr_info, whose header table has dlpi_phnum entries,
    // and the Vec of `read_only_segments`.
    let (info, headers, segments) = unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (info, headers, &mut *segments.cast::<Vec<(usize, usize)>>())
    };
    // These are addresses and lengths of this address space, whatever their type on a platform.
    #[allow(clippy::cast_possible_truncation)]
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
            let start = info.dlpi_addr as usize + header.p_vaddr as usize;
            let end = start + header.p_filesz as usize;
            // Whole pages only, inwards: a page shared with a writable neighbour is not ours.
            let (first, last) = (start.next_multiple_of(page), end / page * page);
            segments.push((first, last.saturating_sub(first)));
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_forgotten_goes_on() {
        static WORDS: [&str; 2] = ["still", "there"];
        assert!(!read_only_segments().is_empty());
        forget_program().expect("our own segments can be advised about");
        assert_eq!(WORDS.concat(), "stillthere");
    }
}
