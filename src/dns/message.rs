//! Messages of the domain name system: questions read, answers made, and the other way round for
//! our own look-ups. RFC 1035, RFC 6891.
//!
//! Whatever the bytes, nothing panics and no answer is longer than asked for. A question for
//! others is passed on as the bytes that it came as.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of a message's head.
const HEAD: usize = 12;
/// Seconds for which an answer of ours holds: peers come and go.
const LIFE: u32 = 1;
/// Longest datagram that we send to who says that it takes more than 512 bytes.
const MOST: usize = 4096;
/// Most records that are looked at in search of the asker's limits.
const FEW: usize = 4;

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const OPT: u16 = 41;
const ANY: u16 = 255;
const INTERNET: u16 = 1;

/// The message is no question but an answer.
const RESPONSE: u16 = 1 << 15;
const OPCODE: u16 = 0xf << 11;
const TRUNCATED: u16 = 1 << 9;
const RECURSION_DESIRED: u16 = 1 << 8;
const RECURSION_AVAILABLE: u16 = 1 << 7;
const CHECKING_DISABLED: u16 = 1 << 4;

/// How an answer ends when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The question makes no sense.
    Malformed = 1,
    /// Nobody could be asked.
    ServerFailed = 2,
    /// It is no question that a resolver asks.
    NotImplemented = 4,
}

/// What a question wants to know of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    V4,
    /// IPv6 addresses.
    V6,
    /// All that there is.
    Any,
    /// Whose an address is.
    Pointer,
    /// Something that we do not keep.
    Other,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'a> {
    packet: &'a [u8],
    /// In small letters, labels joined by dots, without a last one; empty when it is the root's or
    /// one that no host has.
    pub name: String,
    /// What it wants.
    pub kind: Kind,
    /// The class is that of the internet.
    internet: bool,
    /// Where what follows the question begins.
    end: usize,
    /// The longest datagram that the asker takes, when it says so.
    room: Option<u16>,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An address of the name.
    Address(IpAddr),
    /// The name of the address.
    Name(String),
}

fn u16_at(packet: &[u8], at: usize) -> Option<u16> {
    let bytes = packet.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// The id of a message.
pub fn id(packet: &[u8]) -> Option<u16> {
    u16_at(packet, 0)
}

/// Gives a message another id.
pub fn set_id(packet: &mut [u8], id: u16) {
    if let Some(place) = packet.first_chunk_mut::<2>() {
        *place = id.to_be_bytes();
    }
}

/// How an answer ends: 0 is well, 3 that there is no such name.
pub fn code(answer: &[u8]) -> u8 {
    answer.get(3).map_or(0, |byte| byte & 0xf)
}

/// Whether the answer says that it has been cut.
pub fn is_truncated(answer: &[u8]) -> bool {
    u16_at(answer, 2).is_some_and(|flags| flags & TRUNCATED != 0)
}

/// A question for addresses of `name`, of the kind given; none when no host can have that name.
pub fn ask(name: &str, kind: Kind, id: u16) -> Option<Vec<u8>> {
    let kind = match kind {
        Kind::V4 => A,
        Kind::V6 => AAAA,
        _ => return None,
    };
    let fits = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if name.len() > 253 || !name.split('.').all(fits) {
        return None;
    }
    let mut packet = Vec::with_capacity(HEAD + name.len() + 6);
    for number in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        packet.extend_from_slice(&number.to_be_bytes());
    }
    packet.extend(encoded(name));
    for number in [kind, INTERNET] {
        packet.extend_from_slice(&number.to_be_bytes());
    }
    Some(packet)
}

/// The addresses in an answer. They may belong to another name, that of which the one asked for
/// is an alias: who answers has followed it.
pub fn addresses(answer: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    // An answer that ends too early tells what it has told until there.
    read_addresses(answer, &mut found);
    found
}

fn read_addresses(answer: &[u8], found: &mut Vec<IpAddr>) -> Option<()> {
    let mut at = HEAD;
    for _ in 0..u16_at(answer, 4)? {
        at = behind_name(answer, at)? + 4;
    }
    for _ in 0..u16_at(answer, 6)? {
        at = behind_name(answer, at)?;
        let (kind, class) = (u16_at(answer, at)?, u16_at(answer, at + 2)?);
        let begin = at + 10;
        at = begin + usize::from(u16_at(answer, at + 8)?);
        let data = answer.get(begin..at)?;
        match kind {
            A if class == INTERNET => {
                found.extend(<[u8; 4]>::try_from(data).map(IpAddr::from));
            }
            AAAA if class == INTERNET => {
                found.extend(<[u8; 16]>::try_from(data).map(IpAddr::from));
            }
            _ => {}
        }
    }
    Some(())
}

/// Where what follows a name begins; it may end in a pointer to another.
fn behind_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*packet.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + length,
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Reads a name without compression: the text, and where what follows begins.
fn name_at(packet: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let begin = at;
    let mut odd = false;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if length > 63 || at - begin > 255 {
            return None;
        }
        let label = packet.get(at..at + length)?;
        at += length;
        if !name.is_empty() {
            name.push('.');
        }
        for &byte in label {
            odd |= !byte.is_ascii_graphic() || byte == b'.';
            name.push(byte.to_ascii_lowercase().into());
        }
    }
    if odd {
        name.clear();
    }
    Some((name, at))
}

/// The longest datagram that the asker takes, by the records behind its question.
fn room(packet: &[u8], mut at: usize) -> Option<u16> {
    if u16_at(packet, 6)? != 0 || u16_at(packet, 8)? != 0 {
        return None;
    }
    for _ in 0..usize::from(u16_at(packet, 10)?).min(FEW) {
        let (_, fixed) = name_at(packet, at)?;
        if u16_at(packet, fixed)? == OPT {
            return u16_at(packet, fixed + 2);
        }
        at = fixed + 10 + usize::from(u16_at(packet, fixed + 8)?);
    }
    None
}

impl<'a> Question<'a> {
    /// Reads a question. `Err(None)` is not to be answered at all.
    ///
    /// # Errors
    /// How to refuse it.
    pub fn parse(packet: &'a [u8]) -> Result<Question<'a>, Option<Failure>> {
        let flags = u16_at(packet, 2).filter(|_| packet.len() >= HEAD).ok_or(None)?;
        if flags & RESPONSE != 0 {
            return Err(None);
        }
        if flags & OPCODE != 0 {
            return Err(Some(Failure::NotImplemented));
        }
        let malformed = Some(Failure::Malformed);
        if u16_at(packet, 4) != Some(1) {
            return Err(malformed);
        }
        let (name, at) = name_at(packet, HEAD).ok_or(malformed)?;
        let (Some(kind), Some(class)) = (u16_at(packet, at), u16_at(packet, at + 2)) else {
            return Err(malformed);
        };
        let kind = match kind {
            A => Kind::V4,
            AAAA => Kind::V6,
            ANY => Kind::Any,
            PTR => Kind::Pointer,
            _ => Kind::Other,
        };
        let end = at + 4;
        let internet = class == INTERNET || class == ANY;
        Ok(Question { packet, name, kind, internet, end, room: room(packet, end) })
    }

    /// Whether it is about the internet's names, as all questions are.
    pub fn is_of_internet(&self) -> bool {
        self.internet
    }

    /// The address whose name is asked for.
    pub fn pointed_at(&self) -> Option<IpAddr> {
        if self.kind != Kind::Pointer {
            return None;
        }
        if let Some(digits) = self.name.strip_suffix(".in-addr.arpa") {
            let mut octets = [0; 4];
            let mut labels = digits.split('.').rev();
            for octet in &mut octets {
                *octet = labels.next()?.parse().ok()?;
            }
            return labels.next().is_none().then_some(Ipv4Addr::from(octets).into());
        }
        let digits = self.name.strip_suffix(".ip6.arpa")?;
        let mut number = 0_u128;
        let mut count = 0;
        for label in digits.split('.').rev() {
            number = number << 4 | u128::from_str_radix(label, 16).ok().filter(|d| *d < 16)?;
            count += 1;
        }
        (count == 32).then_some(Ipv6Addr::from(number).into())
    }

    /// The longest answer that a datagram may carry.
    pub fn datagram(&self) -> usize {
        self.room.map_or(512, |room| usize::from(room).clamp(512, MOST))
    }

    /// An answer of at most `limit` bytes; one that does not fit says so.
    pub fn answer(&self, records: &[Record], limit: usize) -> Vec<u8> {
        let mut answer = self.begin(0);
        let mut count = 0_u16;
        let limit = limit.saturating_sub(if self.room.is_some() { 11 } else { 0 });
        for record in records {
            let data = match record {
                Record::Address(IpAddr::V4(address)) => address.octets().to_vec(),
                Record::Address(IpAddr::V6(address)) => address.octets().to_vec(),
                Record::Name(name) => encoded(name),
            };
            let kind = match record {
                Record::Address(IpAddr::V4(_)) => A,
                Record::Address(IpAddr::V6(_)) => AAAA,
                Record::Name(_) => PTR,
            };
            if answer.len() + HEAD + data.len() > limit || count == u16::MAX {
                answer[2] |= (TRUNCATED >> 8).to_be_bytes()[1];
                break;
            }
            // Its name is that of the question, behind the head.
            for number in [0xc00c, kind, INTERNET, 0] {
                answer.extend_from_slice(&number.to_be_bytes());
            }
            answer.extend_from_slice(&LIFE.to_be_bytes()[2..]);
            answer.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
            answer.extend_from_slice(&data);
            count += 1;
        }
        answer[6..8].copy_from_slice(&count.to_be_bytes());
        self.finish(answer)
    }

    /// The answer that there is none.
    pub fn refuse(&self, failure: Failure) -> Vec<u8> {
        self.finish(self.begin(failure as u16))
    }

    fn begin(&self, code: u16) -> Vec<u8> {
        let mut answer = head(self.packet, code);
        answer[4..6].copy_from_slice(&1_u16.to_be_bytes());
        answer.extend_from_slice(self.packet.get(HEAD..self.end).unwrap_or_default());
        answer
    }

    /// Who speaks the extension is answered in it.
    fn finish(&self, mut answer: Vec<u8>) -> Vec<u8> {
        if self.room.is_some() {
            answer[10..12].copy_from_slice(&1_u16.to_be_bytes());
            let [high, low] = u16::try_from(MOST).unwrap_or(512).to_be_bytes();
            answer.extend_from_slice(&[0, 0, OPT.to_be_bytes()[1], high, low, 0, 0, 0, 0, 0, 0]);
        }
        answer
    }

    /// Whether `answer`, from whom we have asked under `id`, is one to this question.
    pub fn is_answered_by(&self, answer: &[u8], id: u16) -> bool {
        let Some(flags) = u16_at(answer, 2).filter(|_| answer.len() >= HEAD) else { return false };
        if self::id(answer) != Some(id) || flags & RESPONSE == 0 || flags & OPCODE != 0 {
            return false;
        }
        let same = || {
            let (asked, told) = (self.packet.get(HEAD..self.end), answer.get(HEAD..self.end));
            asked.zip(told).is_some_and(|(asked, told)| asked.eq_ignore_ascii_case(told))
        };
        match u16_at(answer, 4) {
            // Some repeat no question that they do not understand.
            Some(0) => code(answer) != 0,
            Some(1) => same(),
            _ => false,
        }
    }
}

/// The refusal of a message that is not understood.
pub fn refusal(packet: &[u8], failure: Failure) -> Vec<u8> {
    head(packet, failure as u16)
}

fn head(packet: &[u8], code: u16) -> Vec<u8> {
    let mut answer = vec![0; HEAD];
    let asked = u16_at(packet, 2).unwrap_or(0);
    let kept = asked & (OPCODE | RECURSION_DESIRED | CHECKING_DISABLED);
    let flags = RESPONSE | RECURSION_AVAILABLE | kept | code;
    set_id(&mut answer, id(packet).unwrap_or(0));
    answer[2..4].copy_from_slice(&flags.to_be_bytes());
    answer
}

/// A name as it goes on the wire; labels that are too long are cut.
fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        if bytes.len() + label.len() > 250 {
            break;
        }
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question as a resolver sends it.
    fn question(name: &str, kind: u16, room: Option<u16>) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(room.is_some())];
        packet.extend(encoded(name));
        packet.extend(kind.to_be_bytes());
        packet.extend([0, 1]);
        if let Some(room) = room {
            packet.extend([0, 0, 41]);
            packet.extend(room.to_be_bytes());
            packet.extend([0; 6]);
        }
        packet
    }

    #[test]
    fn questions_are_read() {
        let packet = question("Web.Example", A, None);
        let asked = Question::parse(&packet).unwrap();
        assert_eq!((asked.name.as_str(), asked.kind), ("web.example", Kind::V4));
        assert_eq!(asked.datagram(), 512);
        let packet = question("", ANY, Some(1232));
        let asked = Question::parse(&packet).unwrap();
        assert_eq!((asked.name.as_str(), asked.kind), ("", Kind::Any));
        assert_eq!(asked.datagram(), 1232);
        assert_eq!(Question::parse(&packet[..11]), Err(None));
        assert_eq!(Question::parse(&packet[..14]), Err(Some(Failure::Malformed)));
        let mut update = packet.clone();
        update[2] = 5 << 3;
        assert_eq!(Question::parse(&update), Err(Some(Failure::NotImplemented)));
        let mut answer = packet.clone();
        answer[2] = 0x80;
        assert_eq!(Question::parse(&answer), Err(None));
        let mut two = packet;
        two[5] = 2;
        assert_eq!(Question::parse(&two), Err(Some(Failure::Malformed)));
        // A pointer where a name has to be.
        let mut looped = question("", A, None);
        looped.splice(12..13, [0xc0, 12]);
        assert_eq!(Question::parse(&looped), Err(Some(Failure::Malformed)));
        let odd = question("a b", A, None);
        assert_eq!(Question::parse(&odd).unwrap().name, "");
    }

    #[test]
    fn addresses_are_read_backwards() {
        let read = |name: &str| Question::parse(&question(name, PTR, None)).unwrap().pointed_at();
        assert_eq!(read("4.3.18.172.in-addr.arpa"), "172.18.3.4".parse().ok());
        assert_eq!(read("3.18.172.in-addr.arpa"), None);
        assert_eq!(read("1.4.3.18.172.in-addr.arpa"), None);
        let six = format!("1.{}d.f.ip6.arpa", "0.".repeat(29));
        assert_eq!(read(&six), "fd00::1".parse().ok());
        assert_eq!(read("d.f.ip6.arpa"), None);
    }

    #[test]
    fn answers_fit_and_say_when_they_are_cut() {
        let records: Vec<Record> =
            (0..100).map(|n| Record::Address(Ipv4Addr::new(10, 0, 0, n).into())).collect();
        let packet = question("web", A, None);
        let asked = Question::parse(&packet).unwrap();
        let answer = asked.answer(&records, asked.datagram());
        assert!(answer.len() <= 512 && is_truncated(&answer));
        assert_eq!(answer.len(), 12 + 9 + 16 * usize::from(answer[7]));
        assert_eq!(answer[2..4], [0x83, 0x80]);
        let whole = asked.answer(&records, 65_535);
        assert!(!is_truncated(&whole));
        assert_eq!(whole.len(), 12 + 9 + 1600);
        assert_eq!(whole[21..33], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        assert!(asked.is_answered_by(&whole, 0x1234));
        assert!(!asked.is_answered_by(&whole, 0x1235));
        assert!(!asked.is_answered_by(&packet, 0x1234));
        let other = question("wex", A, None);
        assert!(!Question::parse(&other).unwrap().is_answered_by(&whole, 0x1234));

        let packet = question("x", AAAA, Some(9000));
        let asked = Question::parse(&packet).unwrap();
        let answer = asked.answer(&[Record::Address(Ipv6Addr::LOCALHOST.into())], 4096);
        assert_eq!(answer.len(), 12 + 7 + 28 + 11);
        assert_eq!((answer[7], answer[11]), (1, 1));
        let refused = asked.refuse(Failure::ServerFailed);
        assert_eq!((code(&refused), refused.len()), (2, 12 + 7 + 11));
        assert_eq!(code(&refusal(&packet, Failure::Malformed)), 1);
        let name = asked.answer(&[Record::Name("web.mine".into())], 512);
        assert!(name.windows(10).any(|part| part == b"\x03web\x04mine\0"));
    }

    #[test]
    fn questions_of_our_own() {
        let packet = ask("Web.example", Kind::V6, 0x1234).unwrap();
        assert_eq!(packet, question("Web.example", AAAA, None));
        assert!(Question::parse(&packet).is_ok());
        for wrong in ["", "a..b", ".a", "a b", "ä", &"a".repeat(64), &"a.".repeat(130)] {
            assert_eq!(ask(wrong, Kind::V4, 1), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_are_found_behind_aliases() {
        let mut answer = question("a.b", A, None);
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[7] = 3;
        // An alias, then an address of each kind by a pointer to its name.
        answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x01\0\x04\x01c\xc0\x0e");
        answer.extend(b"\x01c\xc0\x0e\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x07");
        let last = answer.len();
        answer.extend(b"\xc0\x1d\0\x1c\0\x01\0\0\0\x01\0\x10");
        answer.extend(Ipv6Addr::LOCALHOST.octets());
        let [four, six]: [IpAddr; 2] =
            [Ipv4Addr::new(10, 0, 0, 7).into(), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(addresses(&answer), [four, six]);
        // However it is cut, what was whole is told and nothing panics.
        for length in 0..answer.len() {
            let found = addresses(&answer[..length]);
            assert_eq!(found, &[four][..usize::from(length >= last)], "{length}");
        }
        // A name longer than the packet, a length that is no name's.
        assert_eq!(addresses(b"\0\0\x81\x80\0\0\0\x01\0\0\0\0\x3f"), [] as [IpAddr; 0]);
        assert_eq!(addresses(b"\0\0\x81\x80\0\0\0\x01\0\0\0\0\x80\0\0"), [] as [IpAddr; 0]);
    }
}
