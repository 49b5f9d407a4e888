//! Mutations of a valid tar: whatever comes, no panic, nothing outside, and what is accepted
//! comes back byte for byte. `SKIFF_FUZZ_SECONDS` makes it run that long, `SKIFF_SOAK` long.

use std::time::{Duration, Instant};

use super::{Scratch, Tar, import, picture, tar_again};
use crate::base::Digest;

/// xorshift64: the same mutations in every run of the same length.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

fn seed() -> Vec<u8> {
    let mut data = b"1\n0\n3\n".to_vec();
    data.resize(515, 0);
    Tar::default()
        .dir("d")
        .file("d/f", b"content")
        .symlink("l", "d")
        .hard_link("h", "d/f")
        .pax(&[("path", b"l/long"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"b")])
        .file("x", b"more")
        .entry("././@LongLink", b'L', "", b"a/name\0")
        .file("x", b"")
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.name", b"s"),
            ("GNU.sparse.realsize", b"9000"),
        ])
        .file("s", &data)
        .file("d/.wh.g", b"")
        .file("d/.wh..wh..opq", b"")
        .symlink("d", "../..")
        .file("d/f", b"again")
        .end()
}

/// Corrects the checksum of the block at `at`, so that what was changed is looked at.
fn sum(tar: &mut [u8], at: usize) {
    let Some(block) = tar.get_mut(at..at + 512) else { return };
    block[148..156].fill(b' ');
    let total: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..155].copy_from_slice(format!("{total:06o}\0").as_bytes());
}

fn mutate(tar: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let block = random.below(tar.len() / 512) * 512;
        match random.below(6) {
            0 => tar[block + random.below(512)] ^= 1 << random.below(8),
            1 => tar[block + 156] = b"01234567SLKxgVD\0"[random.below(16)],
            2 => {
                let names: [&[u8]; 8] =
                    [b"../x", b"/", b"d/../..", b".", b"l/y", b".wh.d", b"h", b".wh..wh..opq"];
                let name = names[random.below(8)];
                let at = block + [0, 157][random.below(2)];
                tar[at..at + 100].fill(0);
                tar[at..at + name.len()].copy_from_slice(name);
            }
            3 => {
                let numbers: [&[u8]; 5] = [
                    b"77777777777",
                    b"00000000001",
                    b"\xff\xff\xff\xff\xff\xff",
                    b"00000001000",
                    b"9",
                ];
                let number = numbers[random.below(5)];
                let at = block + [100, 108, 116, 124, 136, 329][random.below(6)];
                tar[at..at + number.len()].copy_from_slice(number);
            }
            4 => {
                let from = random.below(tar.len() / 512) * 512;
                tar.copy_within(from..from + 512, block);
            }
            _ => tar.truncate(block + random.below(512).max(1)),
        }
        if tar.len() < 1024 {
            return;
        }
        sum(tar, block);
    }
}

#[test]
fn mutated_tars_do_no_harm() {
    let Some(scratch) = Scratch::new() else { return };
    let store = scratch.store();
    let outside = scratch.0.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "untouched").unwrap();
    let soak = std::env::var_os("SKIFF_SOAK").map(|_| 150);
    let seconds = std::env::var("SKIFF_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.or(soak).unwrap_or(0));
    let above = std::fs::read_dir(&scratch.0).unwrap().count();
    let before = picture(&outside);
    let (seed, mut random) = (seed(), Random(0x9e37_79b9_7f4a_7c15));
    let mut accepted = 0;
    for round in 0.. {
        if round >= 150 && Instant::now() >= end {
            break;
        }
        let mut tar = seed.clone();
        if round > 0 {
            mutate(&mut tar, &mut random);
        }
        if let Ok(image) = import(&store, &tar) {
            accepted += 1;
            assert_eq!(Digest::of(&tar), image.layers[0].diff_id);
            assert_eq!(tar_again(&store, &image).unwrap(), tar, "round {round}");
            store.remove(&image.id.hex(), true, true, &|_| None).unwrap();
        }
        assert_eq!(picture(&outside), before, "round {round}");
        assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), above, "round {round}");
    }
    assert!(accepted > 0);
    assert_eq!(std::fs::read_dir(scratch.0.join("data/layers/tmp")).unwrap().count(), 0);
}
