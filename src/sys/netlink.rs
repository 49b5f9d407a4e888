//! Netlink: messages, attributes, and answers matched to what caused them. netlink(7).
//!
//! - Each message carries words for people; a refusal names the message it belongs to, and says
//!   what the kernel said beside the number.
//! - Numbers are in the order of this machine, but where a function says otherwise.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::check;

/// Size of struct nlmsghdr.
const HEADER: usize = 16;
/// The kernel splits what it lists into packets of at most 32 KiB.
const RECEIVE: usize = 32 << 10;
/// Most bytes of messages sent at once, and of answers that wait to be read.
const ROOM: libc::c_int = 16 << 20;
/// The kernel answers before sendmsg(2) returns; this ends a wait that nobody would end.
const ANSWER: Duration = Duration::from_secs(10);
/// Flag of an attribute that holds attributes.
const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = 0x3fff;

const NETLINK_CAP_ACK: libc::c_int = 10;
const NETLINK_EXT_ACK: libc::c_int = 11;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    what: String,
    /// Asks for a list, whose last message is the answer. (The flags of that mean something else
    /// to messages that make things.)
    listing: bool,
}

impl Message {
    /// A message of type `kind`. `what` says for people what it is to do.
    pub fn new(kind: u16, flags: u16, what: impl Into<String>) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        let flags = flags | number(libc::NLM_F_REQUEST);
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Message { bytes, what: what.into(), listing: false }
    }

    /// A message of type `kind` that asks for a list.
    pub fn list(kind: u16, what: impl Into<String>) -> Message {
        let flags = number(libc::NLM_F_DUMP);
        Message { listing: true, ..Message::new(kind, flags, what) }
    }

    /// Appends a fixed part; its length must be a multiple of four.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Message {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends an attribute.
    #[must_use]
    pub fn put(mut self, kind: u16, value: &[u8]) -> Message {
        self.push(kind, value);
        self
    }

    /// Appends an attribute. Values beyond 64 KiB do not exist.
    pub fn push(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Appends text with its final zero.
    #[must_use]
    pub fn text(mut self, kind: u16, text: &str) -> Message {
        self.push_text(kind, text);
        self
    }

    /// Appends text with its final zero.
    pub fn push_text(&mut self, kind: u16, text: &str) {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.push(kind, &value);
    }

    /// Appends a number of 32 bits in network order.
    pub fn push_be32(&mut self, kind: u16, value: u32) {
        self.push(kind, &value.to_be_bytes());
    }

    /// Appends an attribute that holds what `fill` appends.
    #[must_use]
    pub fn nest(mut self, kind: u16, fill: impl FnOnce(&mut Message)) -> Message {
        self.push_nest(kind, fill);
        self
    }

    /// Appends an attribute that holds what `fill` appends.
    pub fn push_nest(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let at = self.bytes.len();
        self.push(kind | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - at).unwrap_or(u16::MAX);
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Appends a fixed part inside a nest.
    pub fn push_fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn finish(&mut self, sequence: u32, acknowledge: bool) {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        if acknowledge {
            let flags = get_u16(&self.bytes, 6) | number(libc::NLM_F_ACK);
            self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        }
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    }
}

/// A message that came back, without its header.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its type.
    pub kind: u16,
    /// Which of the messages sent at once it answers, from 0.
    pub index: usize,
    /// Port of the socket on whose behalf it was sent.
    pub port: u32,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// The attributes in `bytes`, up to the first that is damaged.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.len() < 4 {
            return None;
        }
        let length = usize::from(get_u16(rest, 0));
        let kind = get_u16(rest, 2) & TYPE_MASK;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Text of an attribute, without its final zero.
pub fn as_text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Number of an attribute; 0 when it is shorter than that.
pub fn as_u32(value: &[u8]) -> u32 {
    value.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn get_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

/// Constants that libc gives as integers are 16 bits wide on the wire.
fn number(constant: libc::c_int) -> u16 {
    u16::try_from(constant).unwrap_or(0)
}

/// Why the kernel refused a message.
#[derive(Debug)]
struct Refusal {
    what: String,
    detail: String,
    source: io::Error,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.what)?;
        if !self.detail.is_empty() {
            write!(f, "{}: ", self.detail)?;
        }
        write!(f, "{}", self.source)
    }
}

impl std::error::Error for Refusal {}

/// The number of the kernel's error in what this module returns.
pub fn code(error: &io::Error) -> Option<i32> {
    let refusal = error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>());
    refusal.map_or(error.raw_os_error(), |refusal| refusal.source.raw_os_error())
}

/// Whether the kernel does not know what was asked for: it lacks a module.
pub fn is_unknown(error: &io::Error) -> bool {
    code(error) == Some(libc::EOPNOTSUPP)
}

/// A netlink socket. It stays in the network namespace that it was made in.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// A socket of this family (NETLINK_ROUTE, NETLINK_NETFILTER), a member of `groups`.
    ///
    /// # Errors
    /// EPROTONOSUPPORT when the kernel lacks the family.
    pub fn open(family: libc::c_int, groups: &[libc::c_int]) -> io::Result<Socket> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: socket takes three integers and touches no memory of ours.
        let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, family) })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // The texts of errors, without the messages that they are about; old kernels have neither.
        for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK] {
            drop(set_option(fd.as_fd(), libc::SOL_NETLINK, option, &1));
        }
        // Without the capability the default stays, which is enough for all but crowds.
        for option in [libc::SO_SNDBUFFORCE, libc::SO_RCVBUFFORCE] {
            drop(set_option(fd.as_fd(), libc::SOL_SOCKET, option, &ROOM));
        }
        if groups.is_empty() {
            super::socket::set_timeouts(fd.as_fd(), ANSWER)?;
        }
        // SAFETY: sockaddr_nl is plain integers, for which zero is valid.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = number(libc::AF_NETLINK);
        let length = socket_length::<libc::sockaddr_nl>();
        // SAFETY: `address` is an initialised sockaddr_nl of `length` bytes, alive for the call.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })?;
        // After bind(2), which sets the groups as well: to none.
        for group in groups {
            let membership = libc::NETLINK_ADD_MEMBERSHIP;
            set_option(fd.as_fd(), libc::SOL_NETLINK, membership, group)?;
        }
        Ok(Socket { fd, sequence: 0 })
    }

    /// Lets only messages of this type in.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn hear_only(&self, kind: u16) -> io::Result<()> {
        let step = |code: u32, jt, jf, k| libc::sock_filter {
            code: u16::try_from(code).unwrap_or(0),
            jt,
            jf,
            k,
        };
        // Numbers are loaded in network order, and lie there in that of this machine.
        let kind = u16::from_be_bytes(kind.to_ne_bytes());
        let mut steps = [
            step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 4),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, kind.into()),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        ];
        let program = libc::sock_fprog {
            len: u16::try_from(steps.len()).unwrap_or(0),
            filter: steps.as_mut_ptr(),
        };
        let at = (&raw const program).cast::<c_void>();
        let length = socket_length::<libc::sock_fprog>();
        let (level, option) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        // SAFETY: `program` is a sock_fprog of `length` bytes that names `steps`; both are alive
        // for the call, and the kernel copies them.
        check(unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, option, at, length) }).map(drop)
    }

    /// The port that the kernel gave this socket.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn port(&self) -> io::Result<u32> {
        // SAFETY: sockaddr_nl is plain integers, for which zero is valid.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut length = socket_length::<libc::sockaddr_nl>();
        let fd = self.fd.as_raw_fd();
        // SAFETY: `address` is a sockaddr_nl of `length` bytes, alive for the call.
        check(unsafe { libc::getsockname(fd, (&raw mut address).cast(), &raw mut length) })?;
        Ok(address.nl_pid)
    }

    /// Sends messages that are acknowledged one by one, and waits for all answers.
    ///
    /// # Errors
    /// The first refusal; messages after it have been tried as well.
    pub fn ask(&mut self, messages: Vec<Message>) -> io::Result<Vec<Reply>> {
        let mut replies = Vec::new();
        self.transact(messages, |_| true, &mut |reply| replies.push(reply))?;
        Ok(replies)
    }

    /// Sends a message that asks for a list, and gives each element to `take`: a long list is
    /// nowhere as a whole.
    ///
    /// # Errors
    /// The refusal; what came before it was taken.
    pub fn each(&mut self, list: Message, take: &mut dyn FnMut(Reply)) -> io::Result<()> {
        self.transact(vec![list], |_| true, take)
    }

    /// Sends messages that take effect together, between `begin` and `end`.
    ///
    /// # Errors
    /// The first refusal; then none has taken effect.
    pub fn batch(
        &mut self,
        begin: Message,
        messages: Vec<Message>,
        end: Message,
    ) -> io::Result<Vec<Reply>> {
        let last = messages.len();
        if last == 0 {
            return Ok(Vec::new());
        }
        let all = std::iter::once(begin).chain(messages).chain([end]).collect();
        // The acknowledgements come at the end; that of the last message says that all are said.
        let mut replies = Vec::new();
        self.transact(all, |index| index == last, &mut |reply| replies.push(reply))?;
        Ok(replies)
    }

    fn transact(
        &mut self,
        mut messages: Vec<Message>,
        acknowledged: impl Fn(usize) -> bool,
        take: &mut dyn FnMut(Reply),
    ) -> io::Result<()> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let mut waiting = 0;
        for (index, message) in messages.iter_mut().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let acknowledge = !message.listing && acknowledged(index);
            message.finish(self.sequence, acknowledge);
            waiting += usize::from(message.listing || acknowledge);
            bytes.extend_from_slice(&message.bytes);
        }
        self.send(&bytes)?;
        drop(bytes);
        let mut refused: Option<(usize, io::Error, String)> = None;
        let mut buffer = vec![0; RECEIVE];
        while waiting > 0 {
            let count = self.receive(&mut buffer)?;
            for (header, body) in packets(&buffer[..count]) {
                let index = header.sequence.wrapping_sub(first) as usize;
                // What is left of an exchange that was given up.
                let Some(message) = messages.get(index) else { continue };
                let kind = i32::from(header.kind);
                if kind == libc::NLMSG_DONE || kind == libc::NLMSG_ERROR {
                    let (code, detail) = verdict(&header, body);
                    let answers_last = message.listing
                        || get_u16(&message.bytes, 6) & number(libc::NLM_F_ACK) != 0;
                    waiting -= usize::from(answers_last);
                    // A batch that cannot be committed is refused by its first message, alone.
                    let whole = index == 0 && !answers_last && code != 0;
                    if code != 0 && refused.as_ref().is_none_or(|(at, ..)| index < *at) {
                        refused = Some((index, io::Error::from_raw_os_error(code), detail));
                    }
                    if whole {
                        waiting = 0;
                        break;
                    }
                } else if kind >= libc::NLMSG_MIN_TYPE {
                    let (kind, port) = (header.kind, header.port);
                    take(Reply { kind, index, port, body: body.to_vec() });
                }
            }
        }
        match refused {
            None => Ok(()),
            Some((index, source, detail)) => {
                let what = std::mem::take(&mut messages[index].what);
                let kind = source.kind();
                Err(io::Error::new(kind, Refusal { what, detail, source }))
            }
        }
    }

    /// Waits for what a group of this socket is told. `None` when something was lost, since it
    /// came faster than it was read.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn listen(&self) -> io::Result<Option<Vec<Reply>>> {
        let mut buffer = vec![0; RECEIVE];
        match self.receive(&mut buffer) {
            Ok(count) => Ok(Some(
                packets(&buffer[..count])
                    .map(|(header, body)| Reply {
                        kind: header.kind,
                        index: 0,
                        port: header.port,
                        body: body.to_vec(),
                    })
                    .collect(),
            )),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let (at, length) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
        // SAFETY: pointer and length describe `bytes`, which outlives the call.
        check(unsafe { libc::send(self.fd.as_raw_fd(), at, length, 0) }).map(drop)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let (at, length) = (buffer.as_mut_ptr().cast::<c_void>(), buffer.len());
            // SAFETY: pointer and length describe `buffer`, which is ours for the call.
            match check(unsafe { libc::recv(self.fd.as_raw_fd(), at, length, 0) }) {
                Ok(count) => return Ok(count.unsigned_abs()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &libc::c_int,
) -> io::Result<()> {
    let length = socket_length::<libc::c_int>();
    let value = std::ptr::from_ref(value).cast::<c_void>();
    // SAFETY: `value` points at an integer of `length` bytes that outlives the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value, length) }).map(drop)
}

fn socket_length<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

struct Header {
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

fn packets(bytes: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.len() < HEADER {
            return None;
        }
        let length = usize::try_from(as_u32(rest)).unwrap_or(usize::MAX);
        let header = Header {
            kind: get_u16(rest, 4),
            flags: get_u16(rest, 6),
            sequence: as_u32(&rest[8..]),
            port: as_u32(&rest[12..]),
        };
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header, body))
    })
}

/// The error number of NLMSG_ERROR or NLMSG_DONE, 0 for none, and the kernel's words.
fn verdict(header: &Header, body: &[u8]) -> (i32, String) {
    let code = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes).saturating_neg());
    let mut detail = String::new();
    if header.flags & NLM_F_ACK_TLVS != 0 {
        let skipped = if i32::from(header.kind) == libc::NLMSG_ERROR { 4 + HEADER } else { 4 };
        for (kind, value) in attributes(body.get(skipped..).unwrap_or_default()) {
            if kind == NLMSGERR_ATTR_MSG {
                detail = as_text(value);
            }
        }
    }
    (code.max(0), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_nest_and_are_aligned() {
        let message = Message::new(16, 0, "x").fixed(&[0; 4]).text(3, "eth0").nest(18, |inner| {
            inner.push(1, b"abc");
            inner.push_be32(2, 7);
        });
        let found: Vec<_> = attributes(&message.bytes[HEADER + 4..]).collect();
        assert_eq!((found[0].0, as_text(found[0].1)), (3, "eth0".to_owned()));
        assert_eq!(found[1].0, 18);
        let inner: Vec<_> = attributes(found[1].1).collect();
        assert_eq!(inner, [(1, &b"abc"[..]), (2, &[0, 0, 0, 7][..])]);
    }

    #[test]
    fn damaged_answers_end_the_reading() {
        assert_eq!(attributes(&[9, 0, 1, 0, 5]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(packets(&[0; 16]).count(), 0);
        assert_eq!(packets(&[255; 20]).count(), 0);
        assert_eq!((as_u32(&[1]), as_text(&[]).as_str()), (0, ""));
    }
}
