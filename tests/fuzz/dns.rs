//! Questions to the name server of a container, from whatever runs in there.

use skiff::runtime::dns::message::{self, Failure, Question, Record};

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
