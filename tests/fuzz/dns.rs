//! Questions to the name server of a container, from whatever runs in there.

use skiff::dns::message::{self, Failure, Question, Record};

fn question(name: &[&str], kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, u8::from(!rest.is_empty())];
    for label in name {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, kind, 0, 1]);
    packet.extend(rest);
    packet
}

#[test]
fn questions_of_containers() {
    let extension = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 10, 0, 0];
    let seeds = [
        question(&["web"], 1, &[]),
        question(&["www", "example", "org"], 28, &extension),
        question(&["4", "3", "18", "172", "in-addr", "arpa"], 12, &extension),
        question(&["0"; 40], 12, &[]),
        question(&["x".repeat(63).as_str(); 3], 255, &[]),
        question(&[], 1, &[0xc0, 12, 0, 1, 0, 1]),
    ];
    let records: Vec<Record> = (0..40_u8)
        .map(|n| match n % 3 {
            0 => Record::Address([10, 0, 0, n].into()),
            1 => Record::Address([n.into(), 0, 0, 0, 0, 0, 0, 1].into()),
            _ => Record::Name(format!("{}.{n}.é..mine", "y".repeat(300))),
        })
        .collect();
    crate::fuzz("questions", &seeds, |input| {
        let asked = match Question::parse(input) {
            Ok(asked) => asked,
            Err(None) => return,
            Err(Some(failure)) => {
                let refusal = message::refusal(input, failure);
                assert_eq!(message::code(&refusal), failure as u8);
                return;
            }
        };
        assert!(asked.name.len() <= 255 && asked.name.is_ascii());
        std::hint::black_box(asked.pointed_at());
        let limit = asked.datagram();
        for records in [&[][..], &records] {
            let answer = asked.answer(records, limit);
            assert!(answer.len() <= limit, "{} bytes instead of {limit}", answer.len());
            let id = message::id(input).unwrap();
            assert!(asked.is_answered_by(&answer, id));
            assert!(!asked.is_answered_by(&answer, id ^ 1));
        }
        assert_eq!(message::code(&asked.refuse(Failure::ServerFailed)), 2);
        // What a server sends is as damaged as this.
        std::hint::black_box(asked.is_answered_by(input, 0x1234));
    });
}

#[test]
fn answers_of_servers() {
    let mut answer = question(&["web", "lan"], 1, &[]);
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[7] = 3;
    answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x01\0\x04\x01c\xc0\x10");
    answer.extend(b"\x01c\xc0\x10\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x07");
    answer.extend(b"\xc0\x1d\0\x1c\0\x01\0\0\0\x01\0\x10");
    answer.extend([0xfd; 16]);
    assert_eq!(message::addresses(&answer).len(), 2);
    let long = [&answer[..], &[0xc0; 64]].concat();
    crate::fuzz("answers", &[answer, long], |input| {
        // An address takes up more than itself.
        assert!(message::addresses(input).len() * 16 <= input.len());
    });
}
