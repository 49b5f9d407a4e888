//! Frames of an attached or logged stream: a header of eight bytes, then the payload.

use super::fail::Failure;

/// One of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// Takes a stream apart, whatever the pieces it comes in.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    header: [u8; 8],
    /// Bytes of the header that are there.
    have: usize,
    /// Bytes of the payload that are to come.
    left: usize,
    gathered: Vec<u8>,
}

/// What takes the payloads.
type Sink<'a> = &'a mut dyn FnMut(Output, &[u8]) -> Result<(), Failure>;

/// Payloads from this size on are not copied.
const LARGE: usize = 8 << 10;

impl Demux {
    /// Takes the next `chunk` and gives its payloads to `write`, those of one output that follow
    /// each other in one piece.
    ///
    /// # Errors
    /// Those of `write`; a header that is none.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], write: Sink<'_>) -> Result<(), Failure> {
        let mut gathered_for = Output::Stdout;
        while !chunk.is_empty() {
            if self.left == 0 {
                let take = chunk.len().min(8 - self.have);
                self.header[self.have..self.have + take].copy_from_slice(&chunk[..take]);
                self.have += take;
                chunk = &chunk[take..];
                if self.have < 8 {
                    break;
                }
                let [stream, 0, 0, 0, a, b, c, d] = self.header else {
                    return Err(unrecognized(self.header[0]));
                };
                if stream > 2 {
                    return Err(unrecognized(stream));
                }
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                if self.left == 0 {
                    self.have = 0;
                }
                continue;
            }
            let output = if self.header[0] == 2 { Output::Stderr } else { Output::Stdout };
            let (payload, rest) = chunk.split_at(chunk.len().min(self.left));
            chunk = rest;
            self.left -= payload.len();
            if self.left == 0 {
                self.have = 0;
            }
            if !self.gathered.is_empty() && (output != gathered_for || payload.len() >= LARGE) {
                write(gathered_for, &self.gathered)?;
                self.gathered.clear();
            }
            if payload.len() >= LARGE {
                write(output, payload)?;
            } else {
                gathered_for = output;
                self.gathered.extend_from_slice(payload);
            }
        }
        if !self.gathered.is_empty() {
            write(gathered_for, &self.gathered)?;
            self.gathered.clear();
        }
        Ok(())
    }
}

fn unrecognized(stream: u8) -> Failure {
    Failure::new(format!("Unrecognized input header: {stream}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], length.as_slice(), payload].concat()
    }

    #[test]
    fn every_way_to_cut_a_stream_gives_the_same() {
        let large = vec![b'x'; LARGE + 3];
        let stream = [
            frame(1, b"one\n"),
            frame(1, b"two\n"),
            frame(2, b"error\n"),
            frame(1, b""),
            frame(0, b"zero"),
            frame(1, &large),
            frame(2, b"end"),
        ]
        .concat();
        for size in [1, 2, 3, 7, 8, 9, 11, 64, 4096, stream.len()] {
            let (mut out, mut err, mut writes) = (Vec::new(), Vec::new(), 0);
            let mut demux = Demux::default();
            for chunk in stream.chunks(size) {
                let mut write = |output, bytes: &[u8]| {
                    writes += 1;
                    match output {
                        Output::Stdout => out.extend_from_slice(bytes),
                        Output::Stderr => err.extend_from_slice(bytes),
                    }
                    Ok(())
                };
                demux.feed(chunk, &mut write).unwrap();
            }
            assert_eq!(out, [b"one\ntwo\nzero".as_slice(), &large].concat(), "{size}");
            assert_eq!(err, b"error\nend", "{size}");
            assert!(size < stream.len() || writes == 5, "{writes}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut demux = Demux::default();
        let error = demux.feed(b"plain text", &mut |_, _| Ok(())).unwrap_err();
        assert!(error.text.starts_with("Unrecognized input header"));
        assert!(Demux::default().feed(&frame(3, b"x"), &mut |_, _| Ok(())).is_err());
    }
}
