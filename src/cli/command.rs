//! The commands: names, groups, arguments, flags, and what carries each out.

use super::args::Args;
use super::cmd;
use super::fail::Outcome;
use super::flags::{self, Flag};
use super::session::Session;

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

/// All commands, in the order of the help.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "run",
        groups: &[("container", "run")],
        signature: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        about: "Create a container and run it",
        flags: &[flags::RUN, flags::CREATE, flags::LIMITS],
        arguments: (1, MANY),
        rest: true,
        names: Names::Images,
        run: Some(cmd::run::run),
    },
    Command {
        name: "create",
        groups: &[("container", "create")],
        signature: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        about: "Create a container",
        flags: &[flags::CREATE, flags::LIMITS],
        arguments: (1, MANY),
        rest: true,
        names: Names::Images,
        run: Some(cmd::run::create),
    },
    Command {
        name: "start",
        groups: &[("container", "start")],
        signature: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Start containers that do not run",
        flags: &[flags::START],
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::run::start),
        ..NONE
    },
    Command {
        name: "stop",
        groups: &[("container", "stop")],
        signature: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Stop running containers",
        flags: &[flags::STOP_RESTART],
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::control::stop),
        ..NONE
    },
    Command {
        name: "restart",
        groups: &[("container", "restart")],
        signature: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Stop containers and start them again",
        flags: &[flags::STOP_RESTART],
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::control::restart),
        ..NONE
    },
    Command {
        name: "kill",
        groups: &[("container", "kill")],
        signature: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Send a signal to running containers",
        flags: &[flags::KILL],
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::control::kill),
        ..NONE
    },
    Command {
        name: "pause",
        groups: &[("container", "pause")],
        signature: "CONTAINER [CONTAINER...]",
        about: "Stop all processes of containers where they stand",
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::control::pause),
        ..NONE
    },
    Command {
        name: "unpause",
        groups: &[("container", "unpause")],
        signature: "CONTAINER [CONTAINER...]",
        about: "Let paused containers go on",
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::control::unpause),
        ..NONE
    },
    Command {
        name: "rm",
        groups: &[("container", "rm"), ("container", "remove")],
        signature: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Remove containers",
        flags: &[flags::RM],
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::control::remove),
        ..NONE
    },
    Command {
        name: "ps",
        groups: &[("container", "ls"), ("container", "list"), ("container", "ps")],
        signature: "[OPTIONS]",
        about: "List containers",
        flags: &[flags::PS],
        run: Some(cmd::ps::ps),
        ..NONE
    },
    Command {
        name: "inspect",
        signature: "[OPTIONS] NAME|ID [NAME|ID...]",
        about: "Show all that is known about containers and images",
        flags: &[flags::INSPECT],
        arguments: (1, MANY),
        names: Names::Objects,
        run: Some(cmd::inspect::any),
        ..NONE
    },
    Command {
        groups: &[("container", "inspect")],
        signature: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Show all that is known about containers",
        flags: &[flags::CONTAINER_INSPECT],
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::inspect::containers),
        ..NONE
    },
    Command {
        name: "logs",
        groups: &[("container", "logs")],
        signature: "[OPTIONS] CONTAINER",
        about: "Show what a container has written",
        flags: &[flags::LOGS],
        arguments: (1, 1),
        names: Names::Containers,
        run: Some(cmd::logs::logs),
        ..NONE
    },
    Command {
        name: "attach",
        groups: &[("container", "attach")],
        signature: "[OPTIONS] CONTAINER",
        about: "Join the terminal or the streams of a running container",
        flags: &[flags::ATTACH],
        arguments: (1, 1),
        names: Names::Containers,
        run: Some(cmd::run::attach),
        ..NONE
    },
    Command {
        name: "exec",
        groups: &[("container", "exec")],
        signature: "[OPTIONS] CONTAINER COMMAND [ARG...]",
        about: "Run a program in a running container",
        flags: &[flags::EXEC],
        arguments: (2, MANY),
        rest: true,
        names: Names::Containers,
        run: Some(cmd::exec::exec),
    },
    Command {
        name: "wait",
        groups: &[("container", "wait")],
        signature: "CONTAINER [CONTAINER...]",
        about: "Wait until containers have ended and print their exit codes",
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::control::wait),
        ..NONE
    },
    Command {
        name: "update",
        groups: &[("container", "update")],
        signature: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Change limits and restart policies of containers",
        flags: &[flags::LIMITS, flags::UPDATE],
        arguments: (1, MANY),
        names: Names::Containers,
        run: Some(cmd::create::update),
        ..NONE
    },
    Command {
        name: "rename",
        groups: &[("container", "rename")],
        signature: "CONTAINER NEW_NAME",
        about: "Give a container another name",
        arguments: (2, 2),
        names: Names::Containers,
        run: Some(cmd::control::rename),
        ..NONE
    },
    Command {
        name: "top",
        groups: &[("container", "top")],
        signature: "CONTAINER [ps OPTIONS]",
        about: "Show the processes of a container",
        arguments: (1, MANY),
        rest: true,
        names: Names::Containers,
        run: Some(cmd::ps::top),
        ..NONE
    },
    Command {
        name: "stats",
        groups: &[("container", "stats")],
        signature: "[OPTIONS] [CONTAINER...]",
        about: "Show what containers use, as it changes",
        flags: &[flags::STATS],
        arguments: (0, MANY),
        names: Names::Containers,
        run: Some(cmd::stats::stats),
        ..NONE
    },
    Command {
        name: "port",
        groups: &[("container", "port")],
        signature: "CONTAINER [PRIVATE_PORT[/PROTOCOL]]",
        about: "Show which ports of the host lead to a container",
        arguments: (1, 2),
        names: Names::Containers,
        run: Some(cmd::port::port),
        ..NONE
    },
    Command {
        name: "images",
        groups: &[("image", "ls"), ("image", "list")],
        signature: "[OPTIONS] [REPOSITORY[:TAG]]",
        about: "List images",
        flags: &[flags::IMAGES],
        arguments: (0, 1),
        names: Names::Images,
        run: Some(cmd::images::images),
        ..NONE
    },
    Command {
        name: "rmi",
        groups: &[("image", "rm"), ("image", "remove")],
        signature: "[OPTIONS] IMAGE [IMAGE...]",
        about: "Remove images",
        flags: &[flags::RMI],
        arguments: (1, MANY),
        names: Names::Images,
        run: Some(cmd::images::remove),
        ..NONE
    },
    Command {
        name: "tag",
        groups: &[("image", "tag")],
        signature: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        about: "Give an image another name",
        flags: &[flags::TAG],
        arguments: (2, 3),
        names: Names::Images,
        run: Some(cmd::images::tag),
        ..NONE
    },
    Command {
        name: "history",
        groups: &[("image", "history")],
        signature: "[OPTIONS] IMAGE",
        about: "Show how an image was made",
        flags: &[flags::HISTORY],
        arguments: (1, 1),
        names: Names::Images,
        run: Some(cmd::images::history),
        ..NONE
    },
    Command {
        groups: &[("image", "inspect")],
        signature: "[OPTIONS] IMAGE [IMAGE...]",
        about: "Show all that is known about images",
        flags: &[flags::IMAGE_INSPECT],
        arguments: (1, MANY),
        names: Names::Images,
        run: Some(cmd::inspect::images),
        ..NONE
    },
    Command {
        name: "import",
        groups: &[("image", "import")],
        signature: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        about: "Make an image of a tar archive",
        flags: &[flags::IMPORT],
        arguments: (1, 3),
        names: Names::Files,
        run: Some(cmd::import::import),
        ..NONE
    },
    Command {
        name: "info",
        groups: &[("system", "info")],
        signature: "[OPTIONS]",
        about: "Show the state of the daemon",
        flags: &[flags::SYSTEM],
        run: Some(cmd::system::info),
        ..NONE
    },
    Command {
        name: "version",
        signature: "[OPTIONS]",
        about: "Show the versions of client and daemon",
        flags: &[flags::SYSTEM],
        run: Some(cmd::system::version),
        ..NONE
    },
    Command {
        name: "events",
        groups: &[("system", "events")],
        signature: "[OPTIONS]",
        about: "Show what happens, as it happens",
        flags: &[flags::EVENTS],
        run: Some(cmd::system::events),
        ..NONE
    },
    Command {
        groups: &[("system", "df")],
        signature: "[OPTIONS]",
        about: "Show the room that everything takes",
        flags: &[flags::USAGE],
        run: Some(cmd::usage::usage),
        ..NONE
    },
    Command {
        groups: &[("container", "prune")],
        signature: "[OPTIONS]",
        about: "Remove all containers that do not run",
        flags: &[flags::PRUNE],
        run: Some(cmd::usage::prune_containers),
        ..NONE
    },
    Command {
        groups: &[("network", "create")],
        signature: "[OPTIONS] NETWORK",
        about: "Make a network",
        flags: &[flags::NETWORK_CREATE],
        arguments: (1, 1),
        run: Some(cmd::networks::create),
        ..NONE
    },
    Command {
        groups: &[("network", "ls"), ("network", "list")],
        signature: "[OPTIONS]",
        about: "List networks",
        flags: &[flags::NETWORK_LS],
        run: Some(cmd::networks::list),
        ..NONE
    },
    Command {
        groups: &[("network", "inspect")],
        signature: "[OPTIONS] NETWORK [NETWORK...]",
        about: "Show all that is known about networks",
        flags: &[flags::IMAGE_INSPECT],
        arguments: (1, MANY),
        run: Some(cmd::inspect::networks),
        ..NONE
    },
    Command {
        groups: &[("network", "rm"), ("network", "remove")],
        signature: "[OPTIONS] NETWORK [NETWORK...]",
        about: "Remove networks",
        flags: &[flags::NETWORK_RM],
        arguments: (1, MANY),
        run: Some(cmd::networks::remove),
        ..NONE
    },
    Command {
        groups: &[("network", "connect")],
        signature: "[OPTIONS] NETWORK CONTAINER",
        about: "Put a container on a network",
        flags: &[flags::NETWORK_CONNECT],
        arguments: (2, 2),
        run: Some(cmd::networks::connect),
        ..NONE
    },
    Command {
        groups: &[("network", "disconnect")],
        signature: "[OPTIONS] NETWORK CONTAINER",
        about: "Take a container off a network",
        flags: &[flags::NETWORK_DISCONNECT],
        arguments: (2, 2),
        run: Some(cmd::networks::disconnect),
        ..NONE
    },
    Command {
        groups: &[("network", "prune")],
        signature: "[OPTIONS]",
        about: "Remove all networks that no container is to be on",
        flags: &[flags::PRUNE],
        run: Some(cmd::networks::prune),
        ..NONE
    },
    Command {
        name: "daemon",
        signature: "[OPTIONS]",
        about: "Be the daemon",
        flags: &[flags::GLOBAL, flags::DAEMON],
        run: Some(cmd::daemon::daemon),
        ..NONE
    },
    Command {
        name: "completion",
        signature: "bash|zsh|fish",
        about: "Print a completion script for a shell",
        arguments: (1, 1),
        run: Some(cmd::completion::completion),
        ..NONE
    },
    Command {
        groups: &[("context", "ls"), ("context", "list")],
        signature: "[OPTIONS]",
        about: "List contexts",
        flags: &[flags::CONTEXT_LS],
        run: Some(cmd::context::list),
        ..NONE
    },
    Command {
        groups: &[("context", "show")],
        about: "Print the name of the context that counts",
        run: Some(cmd::context::current),
        ..NONE
    },
    Command {
        groups: &[("context", "use")],
        signature: "CONTEXT",
        about: "Choose the context for the commands to come",
        arguments: (1, 1),
        names: Names::Contexts,
        run: Some(cmd::context::choose),
        ..NONE
    },
    Command {
        groups: &[("context", "create")],
        signature: "[OPTIONS] CONTEXT",
        about: "Give a daemon a name",
        flags: &[flags::CONTEXT_CREATE],
        arguments: (1, 1),
        run: Some(cmd::context::create),
        ..NONE
    },
    Command {
        groups: &[("context", "rm"), ("context", "remove")],
        signature: "[OPTIONS] CONTEXT [CONTEXT...]",
        about: "Remove contexts",
        flags: &[flags::CONTEXT_RM],
        arguments: (1, MANY),
        names: Names::Contexts,
        run: Some(cmd::context::remove),
        ..NONE
    },
    Command {
        groups: &[("context", "inspect")],
        signature: "[OPTIONS] [CONTEXT] [CONTEXT...]",
        about: "Show all that is known about contexts",
        flags: &[flags::CONTEXT_INSPECT],
        arguments: (0, MANY),
        names: Names::Contexts,
        run: Some(cmd::context::inspect),
        ..NONE
    },
    Command {
        groups: &[("system", "dial-stdio")],
        about: "Pass standard input and output on to the daemon's socket",
        run: Some(cmd::dial::dial),
        ..NONE
    },
    later(
        "build",
        &[("image", "build"), ("builder", "build")],
        "[OPTIONS] PATH | URL | -",
        "Build an image from a Dockerfile",
    ),
    later(
        "pull",
        &[("image", "pull")],
        "[OPTIONS] NAME[:TAG|@DIGEST]",
        "Download an image from a registry",
    ),
    later("push", &[("image", "push")], "[OPTIONS] NAME[:TAG]", "Upload an image to a registry"),
    later("login", &[], "[OPTIONS] [SERVER]", "Store a name and a password for a registry"),
    later("logout", &[], "[SERVER]", "Forget the password for a registry"),
    later("search", &[], "[OPTIONS] TERM", "Search a registry for images"),
    later(
        "commit",
        &[("container", "commit")],
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        "Make an image of a container's changes",
    ),
    later(
        "cp",
        &[("container", "cp")],
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-",
        "Copy files between a container and the host",
    ),
    later(
        "diff",
        &[("container", "diff")],
        "CONTAINER",
        "Show what a container has changed in its file system",
    ),
    later(
        "export",
        &[("container", "export")],
        "[OPTIONS] CONTAINER",
        "Write a container's file system as a tar archive",
    ),
    later("insert", &[], "IMAGE URL PATH", "Make an image with a file from a URL in it"),
    later("save", &[("image", "save")], "[OPTIONS] IMAGE [IMAGE...]", "Write images to an archive"),
    later("load", &[("image", "load")], "[OPTIONS]", "Read images from an archive"),
    later(
        "",
        &[
            ("image", "prune"),
            ("system", "prune"),
            ("builder", "prune"),
            ("volume", "create"),
            ("volume", "ls"),
            ("volume", "list"),
            ("volume", "inspect"),
            ("volume", "rm"),
            ("volume", "remove"),
            ("volume", "prune"),
            ("context", "export"),
            ("context", "import"),
            ("context", "update"),
        ],
        "",
        "",
    ),
];

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
