//! The table of all commands.

use super::{Command, MANY, NONE, Names, later};
use crate::cli::{cmd, flags};

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
        flags: &[flags::IMAGE_INSPECT, flags::NETWORK_INSPECT],
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
