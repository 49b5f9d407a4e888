//! Detach keys: a sequence typed at a terminal that lets the client go.

/// Looks for the sequence in what one client types; it may arrive split or joined.
#[derive(Debug)]
pub(super) struct Detacher {
    keys: Vec<u8>,
    /// So many of them were the last bytes typed, and are held back.
    matched: usize,
}

impl Detacher {
    /// Looks for `keys`; nothing is found when they are empty.
    pub(super) fn new(keys: Vec<u8>) -> Detacher {
        Detacher { keys, matched: 0 }
    }

    /// Appends to `out` what of `typed` is for the program. True when the sequence is complete;
    /// what follows it is dropped.
    pub(super) fn filter(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            out.extend_from_slice(typed);
            return false;
        }
        for &byte in typed {
            // What was held back and cannot begin the sequence any more is for the program; a
            // later part of it may still begin one.
            while self.matched > 0 && self.keys[self.matched] != byte {
                let held = self.matched;
                let rest = (1..held)
                    .find(|&cut| self.keys[cut..held] == self.keys[..held - cut])
                    .unwrap_or(held);
                out.extend_from_slice(&self.keys[..rest]);
                self.matched = held - rest;
            }
            if self.keys[self.matched] != byte {
                out.push(byte);
                continue;
            }
            self.matched += 1;
            if self.matched == self.keys.len() {
                return true;
            }
        }
        false
    }

    /// What is held back when the client's input ends without the rest.
    pub(super) fn rest(&mut self) -> &[u8] {
        &self.keys[..std::mem::take(&mut self.matched)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_split_or_joined_and_all_else_passes() {
        let check = |keys: &[u8], typed: &[u8], expected: &[u8], detached: bool| {
            for size in 1..=typed.len().max(1) {
                let mut detacher = Detacher::new(keys.to_vec());
                let mut out = Vec::new();
                let found = typed.chunks(size).any(|piece| detacher.filter(piece, &mut out));
                out.extend_from_slice(if found { &[] } else { detacher.rest() });
                assert_eq!((out.as_slice(), found), (expected, detached), "{typed:?} by {size}");
            }
        };
        let pq = b"\x10\x11";
        check(pq, b"ls\n", b"ls\n", false);
        check(pq, b"ls\x10\x11rest", b"ls", true);
        check(pq, b"\x10x", b"\x10x", false);
        check(pq, b"\x10\x10\x11", b"\x10", true);
        check(pq, b"a\x10", b"a\x10", false);
        check(b"aab", b"aaab", b"a", true);
        check(b"aab", b"aaac", b"aaac", false);
        check(b"abac", b"ababac", b"ab", true);
        check(b"x", b"axb", b"a", true);
        check(b"", b"\x10\x11", b"\x10\x11", false);
    }
}
