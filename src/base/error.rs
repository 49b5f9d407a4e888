//! One error type: a kind for code, a message for people, a source.
//!
//! - Code matches on [`Kind`], never on text.
//! - A message says what failed, on which object and why; no final dot, no type names.
//! - An error is logged once, where it stops; the client sees the same text.

use std::error::Error as StdError;
use std::fmt;
use std::io;

/// A result with our error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it was; `api` maps it to a status, `cli` to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The named object does not exist.
    NotFound,
    /// The object is in a state that forbids the call, or a name is taken.
    Conflict,
    /// The object already is as it was asked to be; no failure to the user.
    NotModified,
    /// The request itself is wrong: a value, a body, a flag.
    BadParameter,
    /// The request is longer, or holds more, than is taken.
    TooLong,
    /// Who asks may not.
    Forbidden,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// A family of calls or an option that this engine does not serve.
    NotImplemented,
    /// It cannot be served now, or not by an engine set up like this one.
    Unavailable,
    /// The program of a container was not found in its root (exit code 127).
    ProgramNotFound,
    /// The program of a container cannot be executed (exit code 126).
    ProgramNotExecutable,
    /// A deadline passed.
    TimedOut,
    /// The one who asked went away while we waited.
    ClientGone,
    /// The disk is full or a quota is used up.
    NoSpace,
    /// Everything else: the kernel, the disk, ourselves.
    Internal,
}

/// An error with a kind, a message for people and what caused it.
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    /// `No such container: web`. Clients rely on this text.
    pub fn no_such(what: &str, name: impl fmt::Display) -> Error {
        Error::new(Kind::NotFound, format!("No such {what}: {name}"))
    }

    /// The request is wrong.
    pub fn bad_parameter(message: impl Into<String>) -> Error {
        Error::new(Kind::BadParameter, message)
    }

    /// The state of the object forbids it.
    pub fn conflict(message: impl Into<String>) -> Error {
        Error::new(Kind::Conflict, message)
    }

    /// This engine does not serve it.
    pub fn not_implemented(message: impl Into<String>) -> Error {
        Error::new(Kind::NotImplemented, message)
    }

    /// Something inside went wrong.
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(Kind::Internal, message)
    }

    /// What sort of failure it was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.kind = kind;
        self
    }

    /// Whether it was a shortage of this process or of the machine; see [`is_shortage`].
    pub fn is_shortage(&self) -> bool {
        self.os_error().is_some_and(|number| is_shortage(&io::Error::from_raw_os_error(number)))
    }

    /// The error number of the kernel at the end of the chain of sources, if there is one.
    pub fn os_error(&self) -> Option<i32> {
        let mut at: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(error) = at {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return io.raw_os_error();
            }
            at = error.source();
        }
        None
    }
}

impl fmt::Display for Error {
    /// The message, then each cause, separated by `: `; as clients see it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            if !self.message.is_empty() {
                f.write_str(": ")?;
            }
            write!(f, "{source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

fn kind_of_io(error: &io::Error) -> Kind {
    match error.kind() {
        // What the server says of a client that has gone.
        io::ErrorKind::ConnectionAborted => Kind::ClientGone,
        _ if is_full(error) => Kind::NoSpace,
        _ => Kind::Internal,
    }
}

/// Whether the disk is full or a quota used up.
pub(super) fn is_full(error: &io::Error) -> bool {
    // ENOSPC and EDQUOT: no symbol of libc here, `base` speaks to no kernel.
    matches!(error.raw_os_error(), Some(28 | 122))
}

/// Whether what failed may well work later: the memory or the descriptors of this process or of
/// the machine are used up. Tells nothing about the object.
pub fn is_shortage(error: &io::Error) -> bool {
    // ENOMEM, ENFILE, EMFILE.
    matches!(error.raw_os_error(), Some(12 | 23 | 24))
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error { kind: kind_of_io(&error), message: String::new(), source: Some(Box::new(error)) }
    }
}

/// Adds to a failure the object that it concerns.
pub trait Context<T> {
    /// Puts `message()` in front of the error; the kind stays.
    ///
    /// # Errors
    /// Those of `self`.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for Result<T, io::Error> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error {
            kind: kind_of_io(&error),
            message: message(),
            source: Some(Box::new(error)),
        })
    }
}

impl<T> Context<T> for Result<T, Error> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error {
            kind: error.kind,
            message: message(),
            source: Some(Box::new(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_reads_as_one_line_and_keeps_its_kind() {
        let io: io::Result<()> = Err(io::Error::from_raw_os_error(13));
        let error = io.context(|| "mount volume data at /srv".into()).unwrap_err();
        assert_eq!(error.to_string(), "mount volume data at /srv: Permission denied (os error 13)");
        assert_eq!(error.os_error(), Some(13));
        let outer = Result::<(), _>::Err(Error::no_such("container", "web"))
            .context(|| "start".into())
            .unwrap_err();
        assert_eq!(outer.to_string(), "start: No such container: web");
        assert_eq!(outer.kind(), Kind::NotFound);
    }

    #[test]
    fn a_full_disk_has_its_own_kind() {
        assert_eq!(Error::from(io::Error::from_raw_os_error(28)).kind(), Kind::NoSpace);
    }
}
