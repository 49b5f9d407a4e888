//! Frames of a websocket's client, however they are cut.

use skiff::http::websocket::frames::{Arrived, Decoder};

/// A client's frame with a mask that changes nothing.
fn frame(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | length[0]];
    bytes.extend(&length[1..]);
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// What comes out, as one text; `None` for a violation.
fn decoded(input: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for piece in input.to_vec().chunks_mut(piece) {
        let fed = decoder.feed(piece, &mut |arrived| {
            match arrived {
                Arrived::Data(data) => seen.extend_from_slice(data),
                Arrived::Ping(data) => {
                    assert!(data.len() <= 125);
                    seen.extend_from_slice(data);
                }
                Arrived::Close => seen.push(0xff),
            }
            Ok(())
        });
        fed.ok()?;
    }
    assert!(seen.len() <= input.len(), "more comes out than went in");
    Some(seen)
}

#[test]
fn frames_of_clients() {
    let long = [0_u8; 200];
    let seeds = [
        frame(0x81, &[5], b"hello"),
        frame(0x01, &[126, 0, 200], &long),
        frame(0x82, &[127, 0, 0, 0, 0, 0, 0, 0, 200], &long),
        frame(0x82, &[127, 127, 255, 255, 255, 255, 255, 255, 255], b"claim"),
        [frame(0x01, &[2], b"ab"), frame(0x89, &[3], b"who"), frame(0x80, &[1], b"c")].concat(),
        [frame(0x8a, &[0], b""), frame(0x88, &[2], &[3, 232]), frame(0x81, &[1], b"x")].concat(),
    ];
    crate::fuzz("frames", &seeds, |input| {
        let whole = decoded(input, input.len().max(1));
        for piece in [1, 3] {
            assert_eq!(decoded(input, piece), whole, "cut into pieces of {piece}");
        }
    });
}
