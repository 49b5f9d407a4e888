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
