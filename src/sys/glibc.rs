//! Parts of a static glibc that it would bring along for nothing, answered by us instead: the
//! linker takes ours and leaves its own out. All of them are there for messages, look-ups, wide
//! characters and numbers that this program never asks the C library for. With them go its loader
//! of shared objects and of modules for character sets: nothing can be loaded into this process.
//!
//! What of it would be reached after all ends the process. A link that fails with *multiple
//! definition* has found another way to one of them (`ld -Map` tells which).

use std::ffi::{c_char, c_int, c_uint, c_void};

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

/// Finds a symbol by its name: there are none in a static program. dlsym(3).
#[unsafe(no_mangle)]
extern "C" fn dlsym(_handle: *mut c_void, _symbol: *const c_char) -> *mut c_void {
    std::ptr::null_mut()
}

/// Whether memory cannot be written, for a check of formats that have `%n`: not known. Its own
/// reads /proc/self/maps as a file of characters in some encoding.
#[unsafe(no_mangle)]
extern "C" fn __readonly_area(_start: *const c_void, _length: usize) -> c_int {
    -1
}

/// Functions that are linked and never called: floating-point numbers in formats, conversion
/// between wide characters and those of a locale.
macro_rules! never_called {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> ! {
                std::process::abort()
            }
        )*
    };
}

never_called! {
    __printf_fp ___printf_fp __printf_fp_l __printf_fphex __guess_grouping
    __wcsmbs_load_conv __wcsmbs_clone_conv __wcsmbs_named_conv __wcsmbs_getfct _nl_cleanup_ctype
}

/// The conversions of the locale C, likewise.
#[unsafe(no_mangle)]
static __wcsmbs_gconv_fcts_c: [usize; 4] = [0; 4];

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
    std::process::abort()
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
