//! The commands: names, groups, arguments, flags, and what carries each out.

mod table;

use super::args::Args;
use super::fail::Outcome;
use super::flags::{self, Flag};
use super::session::Session;

pub(crate) use table::COMMANDS;

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    /// The word that names it at top level; empty when it exists in a group only.
    pub(crate) name: &'static str,
    /// Its names in groups: `("container", "ls")`.
    pub(crate) groups: &'static [(&'static str, &'static str)],
    /// What follows the name in the usage line.
    pub(crate) signature: &'static str,
    /// One line for people.
    pub(crate) about: &'static str,
    /// Its flags, table by table.
    pub(crate) flags: &'static [&'static [Flag]],
    /// Least and most number of arguments.
    pub(crate) arguments: (usize, usize),
    /// Flags end at the first argument: the rest belongs to a process.
    pub(crate) rest: bool,
    /// What its arguments name, for completions.
    pub(crate) names: Names,
    /// What carries it out; `None` when this version does not serve it.
    pub(crate) run: Option<fn(&Session, &Args) -> Outcome>,
}

/// What the arguments of a command name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Nothing,
    Containers,
    Images,
    Objects,
    Contexts,
    Files,
}

impl Command {
    /// All its flags.
    pub(crate) fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.flags.iter().flat_map(|table| table.iter())
    }

    /// The name it is called by in its man page.
    #[cfg(test)]
    pub(crate) fn title(&self) -> String {
        match (self.name, self.groups.first()) {
            ("", Some((group, name))) => format!("{group} {name}"),
            (name, _) => name.to_owned(),
        }
    }
}

/// Without bound.
const MANY: usize = usize::MAX;
const GROUPS: &[(&str, &str)] = &[
    ("container", "Containers"),
    ("image", "Images"),
    ("system", "The daemon"),
    ("builder", "Builds"),
    ("volume", "Volumes"),
    ("network", "Networks"),
    ("context", "Names for daemons"),
];

/// Groups of commands, with a line for people.
pub(crate) fn groups() -> &'static [(&'static str, &'static str)] {
    GROUPS
}

const NONE: Command = Command {
    name: "",
    groups: &[],
    signature: "",
    about: "",
    flags: &[],
    arguments: (0, 0),
    rest: false,
    names: Names::Nothing,
    run: None,
};

/// A command that this version does not serve: it is known by its names and its help.
const fn later(
    name: &'static str,
    groups: &'static [(&'static str, &'static str)],
    signature: &'static str,
    about: &'static str,
) -> Command {
    Command { name, groups, signature, about, ..NONE }
}

/// The program itself: what may stand in front of a command.
pub(crate) const PROGRAM: Command = Command {
    signature: "[OPTIONS] COMMAND [ARG...]",
    about: "A container engine for small hosts",
    flags: &[flags::GLOBAL, flags::CLIENT, flags::DAEMON],
    arguments: (0, MANY),
    rest: true,
    ..NONE
};

/// The top-level command `name`; old scripts write it in any case.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    let named = |command: &&Command| !command.name.is_empty();
    COMMANDS.iter().filter(named).find(|command| command.name.eq_ignore_ascii_case(name))
}

/// The command that is called `name` in `group`.
pub(crate) fn find_in(group: &str, name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.groups.contains(&(group, name)))
}

/// Whether `name` is a group.
pub(crate) fn is_group(name: &str) -> bool {
    GROUPS.iter().any(|(group, _)| *group == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        for command in COMMANDS.iter().chain([&PROGRAM]) {
            let mut names: Vec<String> = Vec::new();
            for flag in command.all_flags() {
                names.push(format!("--{}", flag.long));
                names.extend(flag.alias.iter().map(|alias| format!("--{alias}")));
                names.extend(flag.short.map(|short| format!("-{short}")));
                let others = flag.old.iter().filter(|old| **old != flag.long);
                names.extend(others.map(|old| format!("--{old}")));
            }
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", command.title());
        }
    }

    #[test]
    fn help_lines_are_short() {
        for command in COMMANDS {
            for flag in command.all_flags() {
                assert!(flag.help.chars().count() <= 72, "{}", flag.long);
                assert!(flag.served || flag.help.is_empty(), "{}", flag.long);
            }
        }
    }
}
