//! Parts of a static glibc that it would bring along for nothing, answered by us instead: the
//! linker takes ours and leaves its own out. All of them are there for messages and look-ups that
//! this program never asks for.

use std::ffi::{c_char, c_int, c_uint};

/// Translates a message of the C library: never, as no locale is ever set. Its own reads message
/// catalogues and their aliases, 50 KB. dcgettext(3).
#[unsafe(no_mangle)]
extern "C" fn __dcgettext(
    _domain: *const c_char,
    message: *mut c_char,
    _category: c_int,
) -> *mut c_char {
    message
}

/// Ends the process after an assertion within the C library has failed. Its own prints to wide
/// streams as well, 30 KB.
#[unsafe(no_mangle)]
unsafe extern "C" fn __assert_fail(
    assertion: *const c_char,
    file: *const c_char,
    _line: c_uint,
    _function: *const c_char,
) -> ! {
    for text in [file, c": ".as_ptr(), assertion, c"\n".as_ptr()] {
        // SAFETY: the caller passes texts that end in NUL; write(2) reads as many bytes as they
        // have.
        unsafe { libc::write(2, text.cast(), libc::strlen(text)) };
    }
    // SAFETY: abort takes nothing and ends the process.
    unsafe { libc::abort() }
}

// Where a thread keeps the state of the C library's resolver, which is not used: a pointer of
// each thread's own. Its own comes with the reader of resolv.conf, 65 KB.
std::arch::global_asm!(
    ".pushsection .tbss.__resp,\"awT\",%nobits",
    ".globl __resp, __libc_resp",
    ".p2align 3",
    "__resp:",
    "__libc_resp:",
    ".zero 8",
    ".size __resp, 8",
    ".size __libc_resp, 8",
    ".popsection",
);
