//! Finding the bytes that JSON strings cannot carry as they are, eight at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Tops of the bytes of `word` that are zero. Bytes above a hit may be wrong; the lowest is right.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & TOPS
}

/// Tops of the bytes below 0x20, `"` and `\`; right for the lowest one, as [`zeros`].
fn specials(word: u64) -> u64 {
    let controls = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
    controls | zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c))
}

fn prefix(bytes: &[u8], hits: impl Fn(u64) -> u64) -> usize {
    let chunks = bytes.chunks_exact(8);
    let rest = chunks.remainder();
    for (index, chunk) in chunks.enumerate() {
        let word = chunk.try_into().expect("chunks of eight have eight bytes");
        let hit = hits(u64::from_le_bytes(word));
        if hit != 0 {
            return index * 8 + hit.trailing_zeros() as usize / 8;
        }
    }
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hit = hits(u64::from_le_bytes(last));
    let within = if hit == 0 { rest.len() } else { hit.trailing_zeros() as usize / 8 };
    bytes.len() - rest.len() + within
}

/// Length of the part before the first control byte, `"`, `\` or byte above ASCII.
pub(super) fn plain_ascii(bytes: &[u8]) -> usize {
    prefix(bytes, |word| specials(word) | (word & TOPS))
}

/// Length of the part before the first control byte, `"` or `\`.
pub(super) fn plain(bytes: &[u8]) -> usize {
    prefix(bytes, specials)
}

/// Place of the first `byte`.
pub(super) fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    let pattern = ONES * u64::from(byte);
    // The last word is padded with spaces, which must not be taken for the byte.
    let at = prefix(bytes, |word| zeros(word ^ pattern));
    (at < bytes.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_at_every_place() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    let expected = if special { at } else { length };
                    assert_eq!(plain(&bytes), expected, "{byte} at {at} of {length}");
                    let expected = if byte >= 0x80 { at } else { expected };
                    assert_eq!(plain_ascii(&bytes), expected, "{byte} at {at} of {length}");
                    let expected = if byte == b'a' { 0 } else { at };
                    assert_eq!(find(&bytes, byte), Some(expected));
                }
            }
            assert_eq!(find(&vec![b'a'; length], b' '), None);
        }
    }
}
