//! Frames of a websocket; RFC 6455, section 5.
//!
//! - What a client claims costs nothing: payloads are passed on as they come, whatever their
//!   length; only those of control frames, 125 bytes at most, are kept.
//! - A frame without a mask, with reserved bits, or with a long or divided control frame is a
//!   violation.

use std::io;

/// Text from the server.
pub const TEXT: u8 = 1;
/// Bytes from the server.
pub const BINARY: u8 = 2;
/// The end.
pub const CLOSE: u8 = 8;
const PING: u8 = 9;
/// The answer to a ping.
pub const PONG: u8 = 10;

/// Longest payload of a control frame.
const CONTROL_BYTES: usize = 125;

/// What has arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived<'a> {
    /// Part of a message; text, binary and what continues them are not told apart.
    Data(&'a [u8]),
    /// To be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// The client ends the session. Nothing follows.
    Close,
}

/// Reads frames of a client, however they are cut.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The head of the frame that comes next, as far as it is here.
    head: [u8; 14],
    have: usize,
    /// What is left of the payload of a frame that has begun, 0 for none.
    left: u64,
    mask: [u8; 4],
    /// Bytes of the payload so far, modulo 4.
    phase: usize,
    /// Payload of a control frame.
    control: Vec<u8>,
    closed: bool,
}

impl Decoder {
    /// Takes what has come; the masks are undone in place.
    ///
    /// # Errors
    /// `InvalidData` for a violation; those of `take`.
    pub fn feed(
        &mut self,
        mut bytes: &mut [u8],
        take: &mut dyn FnMut(Arrived<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        while !bytes.is_empty() && !self.closed {
            if self.left == 0 {
                self.head[self.have] = bytes[0];
                self.have += 1;
                bytes = &mut bytes[1..];
                if self.have == 2 {
                    self.check()?;
                }
                if self.have >= 2 && self.have == self.head_length() {
                    self.begin(take)?;
                }
                continue;
            }
            let length = usize::try_from(self.left).map_or(bytes.len(), |n| n.min(bytes.len()));
            let (payload, rest) = bytes.split_at_mut(length);
            for byte in payload.iter_mut() {
                *byte ^= self.mask[self.phase];
                self.phase = (self.phase + 1) % 4;
            }
            self.left -= length as u64;
            if self.is_control() {
                self.control.extend_from_slice(payload);
            } else {
                take(Arrived::Data(payload))?;
            }
            if self.left == 0 {
                self.end(take)?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// The last four bytes are the mask.
    fn head_length(&self) -> usize {
        match self.head[1] & 0x7f {
            126 => 8,
            127 => 14,
            _ => 6,
        }
    }

    fn opcode(&self) -> u8 {
        self.head[0] & 0x0f
    }

    fn is_control(&self) -> bool {
        self.opcode() >= CLOSE
    }

    /// Looks at the first two bytes.
    fn check(&self) -> io::Result<()> {
        let masked = self.head[1] & 0x80 != 0;
        let plain = self.head[0] & 0x70 == 0;
        let known = matches!(self.opcode(), 0..=BINARY | CLOSE..=PONG);
        let last = self.head[0] & 0x80 != 0;
        let short = usize::from(self.head[1] & 0x7f) <= CONTROL_BYTES;
        if masked && plain && known && (!self.is_control() || (last && short)) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame of a client"))
    }

    fn begin(&mut self, take: &mut dyn FnMut(Arrived<'_>) -> io::Result<()>) -> io::Result<()> {
        let (length, mask) = self.head[2..self.have].split_at(self.have - 6);
        self.left = match length {
            [] => u64::from(self.head[1] & 0x7f),
            long => long.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        self.mask.copy_from_slice(mask);
        (self.have, self.phase) = (0, 0);
        self.control.clear();
        if self.left >> 63 != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of negative length"));
        }
        if self.left == 0 { self.end(take) } else { Ok(()) }
    }

    fn end(&mut self, take: &mut dyn FnMut(Arrived<'_>) -> io::Result<()>) -> io::Result<()> {
        match self.opcode() {
            CLOSE => {
                self.closed = true;
                take(Arrived::Close)
            }
            PING => take(Arrived::Ping(&self.control)),
            _ => Ok(()),
        }
    }
}

/// The head of a server's frame, which is not masked, and how much of it counts.
pub fn head(opcode: u8, length: usize) -> ([u8; 10], usize) {
    let mut head = [0; 10];
    head[0] = 0x80 | opcode;
    let used = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => {
            head[1] = short;
            2
        }
        (_, Ok(middle)) => {
            head[1] = 126;
            head[2..4].copy_from_slice(&middle.to_be_bytes());
            4
        }
        _ => {
            head[1] = 127;
            head[2..].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    (head, used)
}

/// How much of `bytes` goes into the next frame, and of which kind: text as far as it is whole
/// characters, what is no text as binary.
pub fn kind(bytes: &[u8]) -> (u8, usize) {
    match std::str::from_utf8(bytes) {
        Ok(_) => (TEXT, bytes.len()),
        Err(error) if error.error_len().is_none() => (TEXT, error.valid_up_to()),
        Err(_) => (BINARY, bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let (head, used) = head(0, payload.len());
        let mut bytes = head[..used].to_vec();
        bytes[0] = first;
        bytes[1] |= 0x80;
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn decode(bytes: &[u8], piece: usize) -> io::Result<String> {
        let mut decoder = Decoder::default();
        let mut seen = String::new();
        for piece in bytes.to_vec().chunks_mut(piece) {
            decoder.feed(piece, &mut |arrived| {
                match arrived {
                    Arrived::Data(data) => seen.push_str(&String::from_utf8_lossy(data)),
                    Arrived::Ping(data) => seen.push_str(&format!("<{}>", data.len())),
                    Arrived::Close => seen.push('.'),
                }
                Ok(())
            })?;
        }
        Ok(seen)
    }

    #[test]
    fn frames_come_through_however_they_are_cut() {
        let mut bytes = frame(0x01, b"he");
        bytes.extend(frame(0x89, b"123"));
        bytes.extend(frame(0x80, b"llo"));
        bytes.extend(frame(0x8a, b"ignored"));
        bytes.extend(frame(0x82, &[b'x'; 300]));
        bytes.extend(frame(0x82, &[b'y'; 70_000]));
        bytes.extend(frame(0x82, b""));
        bytes.extend(frame(0x88, &[3, 232]));
        bytes.extend(frame(0x81, b"too late"));
        let expected = format!("he<3>llo{}{}.", "x".repeat(300), "y".repeat(70_000));
        for piece in [1, 2, 7, 4096, bytes.len()] {
            assert_eq!(decode(&bytes, piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn violations_are_seen_at_once() {
        let mut negative = vec![0x82, 0xff];
        negative.extend([0xff; 8]);
        negative.extend([0; 4]);
        for bad in [
            vec![0x81, 0x00],       // not masked
            vec![0xc1, 0x80],       // a reserved bit
            vec![0x83, 0x80],       // an unknown opcode
            vec![0x09, 0x80],       // a divided ping
            vec![0x89, 0x80 | 126], // a long ping
            negative,
        ] {
            let error = decode(&bad, 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bad:x?}");
        }
        // A claim of length costs nothing.
        let mut claim = vec![0x82, 0xff, 0x7f];
        claim.extend([0xff; 7]);
        claim.extend([0; 4]);
        claim.extend(b"abc");
        assert_eq!(decode(&claim, 3).unwrap(), "abc");
    }

    #[test]
    fn heads_are_as_short_as_they_can_be() {
        let check = |length, bytes: &[u8]| {
            let (head, used) = head(BINARY, length);
            assert_eq!(&head[..used], bytes);
        };
        check(0, &[0x82, 0]);
        check(125, &[0x82, 125]);
        check(126, &[0x82, 126, 0, 126]);
        check(65_535, &[0x82, 126, 255, 255]);
        check(65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(kind("né".as_bytes()), (TEXT, 3));
        assert_eq!(kind(&"né".as_bytes()[..2]), (TEXT, 1));
        assert_eq!(kind(b"n\xff"), (BINARY, 2));
        assert_eq!(kind(b""), (TEXT, 0));
    }
}
