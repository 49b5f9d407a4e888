//! Damage, from a seed.

/// A small generator (xorshift64*): the same seed gives the same input on every machine.
pub struct Source(u64);

impl Source {
    pub fn new(seed: u64) -> Source {
        // Neighbouring seeds must not begin alike.
        Source(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `limit`; 0 when that is 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap()
    }

    /// A range within `length`, mostly short.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length);
        let most = if self.below(4) == 0 { length - from } else { (length - from).min(16) };
        from..from + self.below(most + 1)
    }

    /// One of the seeds, damaged a few times.
    pub fn damaged(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const TOKENS: &[&[u8]] = &[
            b"\0",
            b"\r\n",
            b"\r\n\r\n",
            b"%",
            b"%00",
            b"..",
            b"../",
            b"/",
            b"-1",
            b"18446744073709551616",
            b"4294967295",
            b"1e999",
            b"{",
            b"[",
            b"\"",
            b"null",
            b"\\u0000",
            b"\xff\xfe",
            b"chunked",
            b": ",
        ];
        let index = self.below(seeds.len());
        let mut bytes = seeds[index].clone();
        for _ in 0..=self.below(6) {
            let range = self.range(bytes.len());
            match self.below(7) {
                0 if !bytes.is_empty() => {
                    let at = self.below(bytes.len());
                    bytes[at] ^= 1 << self.below(8);
                }
                1 => drop(bytes.drain(range)),
                2 => {
                    let piece = bytes[range.clone()].to_vec();
                    bytes.splice(range.start..range.start, piece);
                }
                3 => {
                    let other = &seeds[self.below(seeds.len())];
                    let piece = other[self.range(other.len())].to_vec();
                    bytes.splice(range, piece);
                }
                4 => bytes.truncate(range.start),
                5 => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    bytes.splice(range.start..range.start, token.iter().copied());
                }
                _ => {
                    let byte = u8::try_from(self.below(256)).unwrap();
                    bytes[range].fill(byte);
                }
            }
        }
        bytes
    }
}

pub fn seeds(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
