//! The keys by which a terminal is left: `ctrl-p,ctrl-q`.

use crate::base::{Error, Result};

/// Bytes of `ctrl-p,ctrl-q`.
pub const DEFAULT: [u8; 2] = [16, 17];

/// The bytes of a comma-separated list of keys: one character each, `ctrl-` with a letter or one
/// of `@[\]^_`, or `DEL`. An empty text means [`DEFAULT`].
///
/// # Errors
/// `BadParameter`, naming the text.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
    keys.ok_or_else(|| Error::bad_parameter(format!("invalid detach keys ({text})")))
}

fn key(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Some(*byte),
        b"DEL" => Some(127),
        [b'c' | b'C', b't' | b'T', b'r' | b'R', b'l' | b'L', b'-', byte] => {
            match byte.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => Some(letter - b'a' + 1),
                sign @ (b'@' | b'['..=b'_') => Some(sign & 31),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_the_command_line_writes_them() {
        let check = |text: &str, expected: &[u8]| assert_eq!(parse(text).unwrap(), expected);
        check("", &[16, 17]);
        check("ctrl-p,ctrl-q", &[16, 17]);
        check(
            "a,B,CTRL-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL",
            b"aB\x00\x1b\x1c\x1d\x1e\x1f\x7f",
        );
        for bad in [",", "ctrl-", "ctrl-1", "ab", "a,", "é", "ctrl-p ctrl-q"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
