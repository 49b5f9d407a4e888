//! How a command fails: one line for people, the exit code, and which usage lines follow.
//!
//! The texts are those of today's clients, since scripts read them; the program's name in them
//! is ours.

use crate::base::{Error, Kind};

/// What a command returns: its exit code, or why it failed.
pub(crate) type Outcome = Result<u8, Failure>;

/// Which lines follow the text of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// None: the text says it all.
    None,
    /// None, whatever the command: what it was asked for is done.
    Done,
    /// `Run 'skiff CMD --help' …`, and the program's name before the text.
    Help,
    /// The usage line as well.
    Usage,
    /// The usage line and "See …": too few arguments.
    See,
}

/// A failure on its way to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// One line, or several when several objects failed; empty prints nothing.
    pub(crate) text: String,
    /// The exit code.
    pub(crate) code: u8,
    /// What follows.
    pub(crate) hint: Hint,
    /// The daemon's status code; 0 when the daemon did not say it.
    pub(crate) status: u16,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), code: 1, hint: Hint::None, status: 0 }
    }

    /// A flag that does not parse: exit code 125 and the usage.
    pub(crate) fn flag(text: impl Into<String>) -> Failure {
        Failure { code: 125, hint: Hint::Usage, ..Failure::new(text) }
    }

    /// Standard output or error that takes no more. A closed pipe ends a command quietly.
    pub(crate) fn output(which: &str, error: std::io::Error) -> Failure {
        let quiet = error.kind() == std::io::ErrorKind::BrokenPipe;
        let text = format!("write to standard {which}: {error}");
        if quiet { error.into() } else { Failure { hint: Hint::Done, ..Failure::new(text) } }
    }

    /// Something that this version does not serve.
    pub(crate) fn not_served(what: &str) -> Failure {
        Failure::new(format!("skiff: {what} is not served yet"))
    }

    /// A template that does not parse or cannot be carried out.
    pub(crate) fn template(text: &str, code: u8) -> Failure {
        Failure { code, ..Failure::new(format!("template parsing error: template: {text}")) }
    }

    /// No text, only an exit code.
    pub(crate) fn silent(code: u8) -> Failure {
        Failure { code, ..Failure::new("") }
    }

    /// The same with another exit code.
    pub(crate) fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    /// As `run` shows it: the program's name in front, the pointer to the help behind, and 125
    /// where nothing better is known.
    pub(crate) fn of_run(self) -> Failure {
        match self.hint {
            Hint::None if !self.text.is_empty() => {
                let text = self.text.strip_prefix("skiff: ").unwrap_or(&self.text).to_owned();
                Failure { text, hint: Hint::Help, code: 125, ..self }
            }
            _ => self,
        }
    }

    /// Whether the daemon said that there is no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404
    }

    /// All that goes to standard error; `command` is the command as typed, with the program.
    pub(crate) fn render(&self, command: &str, signature: &str) -> String {
        let text = self.text.trim_end_matches('\n');
        let usage = format!("Usage:  {command} {signature}").trim_end().to_owned();
        match self.hint {
            Hint::None if text.is_empty() => String::new(),
            Hint::None | Hint::Done => format!("{text}\n"),
            Hint::Help => {
                format!("skiff: {text}\n\nRun '{command} --help' for more information\n")
            }
            Hint::Usage => {
                format!("{text}\n\n{usage}\n\nRun '{command} --help' for more information\n")
            }
            Hint::See => {
                format!("{text}\n\n{usage}\n\nSee '{command} --help' for more information\n")
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let status = if error.kind() == Kind::NotFound { 404 } else { 0 };
        Failure { status, ..Failure::new(error.to_string()) }
    }
}

impl From<std::io::Error> for Failure {
    /// A closed pipe ends a command quietly, as SIGPIPE would.
    fn from(error: std::io::Error) -> Failure {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::silent(141);
        }
        Failure::new(error.to_string())
    }
}

/// Goes through several objects: each that works is the caller's to report, the failures are
/// gathered to one failure with exit code 1.
pub(crate) fn for_each<T>(
    objects: &[T],
    mut work: impl FnMut(&T) -> Result<(), Failure>,
) -> Outcome {
    let mut texts = Vec::new();
    for object in objects {
        match work(object) {
            Ok(()) => {}
            Err(failure) if failure.text.is_empty() => return Err(failure),
            Err(failure) => texts.push(failure.text),
        }
    }
    if texts.is_empty() { Ok(0) } else { Err(Failure::new(texts.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_todays_clients_write_them() {
        let render = |failure: Failure| failure.render("skiff run", "[OPTIONS] IMAGE");
        assert_eq!(render(Failure::new("x\n")), "x\n");
        assert_eq!(
            render(Failure::new("No such image: x").of_run()),
            "skiff: No such image: x\n\nRun 'skiff run --help' for more information\n"
        );
        assert_eq!(
            render(Failure::flag("unknown flag: --x")),
            "unknown flag: --x\n\nUsage:  skiff run [OPTIONS] IMAGE\n\n\
             Run 'skiff run --help' for more information\n"
        );
        assert_eq!(Failure::flag("x").of_run(), Failure::flag("x"));
    }

    #[test]
    fn all_objects_are_done_and_every_failure_is_told() {
        let mut seen = 0;
        let outcome = for_each(&["a", "b", "c"], |name| {
            seen += 1;
            if *name == "b" { Ok(()) } else { Err(Failure::new(*name)) }
        });
        assert_eq!((seen, outcome), (3, Err(Failure::new("a\nc"))));
    }
}
