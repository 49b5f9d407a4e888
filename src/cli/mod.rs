//! The command line: a client of the API, nothing more.
//!
//! - One table of commands and flags feeds the parser, the help, the
//!   completions and the check of the man pages.
//! - Results go to standard output, all else to standard error; texts and exit codes are those
//!   that today's scripts know, whatever the spelling of the words.
//! - A closed pipe ends a command quietly.

mod args;
mod attach;
mod client;
mod cmd;
mod command;
mod config;
mod context;
mod demux;
mod fail;
mod flags;
mod format;
mod help;
#[cfg(test)]
mod man;
mod output;
mod publish;
mod reindent;
mod session;
mod template;
mod value;

use std::io::Write;

use args::{Args, Parsed};
use command::{Command, PROGRAM};
use fail::{Failure, Outcome};
use session::Session;

/// Runs the command line; the daemon's flags lead to [`crate::daemon`]. Gives the exit code.
pub fn main() -> u8 {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    run(&words)
}

/// A command that was found, as typed.
struct Found<'a> {
    command: &'static Command,
    /// `skiff container ls`
    typed: String,
    words: &'a [String],
}

fn run(words: &[String]) -> u8 {
    let globals = match args::parse(&PROGRAM, words) {
        Ok(Parsed::Args(globals)) => globals,
        Ok(Parsed::Help) => return told(output::print(&help::program())),
        Err(failure) => return end(&failure, "skiff", PROGRAM.signature),
    };
    if globals.on("version") {
        return told(output::print(&format!("{}\n", cmd::system::version_line())));
    }
    let free = globals.free.clone();
    if globals.on("daemon") {
        let daemon = command::find("daemon").expect("is in the table");
        return perform(daemon, "skiff daemon", globals, free);
    }
    let Some(first) = free.first() else {
        tell(&help::program());
        return 0;
    };
    if first == "help" {
        return help_of(&free[1..]);
    }
    match find(&free) {
        Ok(found) => {
            let Found { command, typed, words } = found;
            let asks = |word: &String| matches!(word.as_str(), "--help" | "-help" | "-h");
            match args::parse(command, words) {
                _ if command.run.is_none() && !words.iter().any(asks) => {
                    let name = typed.strip_prefix("skiff ").unwrap_or(&typed);
                    end(&Failure::not_served(&format!("'{name}'")), &typed, "")
                }
                Ok(Parsed::Help) => told(output::print(&help::command(command, &typed))),
                Ok(Parsed::Args(arguments)) => with_session(command, &typed, globals, &arguments),
                Err(failure) => end(&failure, &typed, command.signature),
            }
        }
        Err(code) => code,
    }
}

/// The command that `words` begin with; otherwise what was said about them.
fn find(words: &[String]) -> Result<Found<'_>, u8> {
    let first = words.first().map_or("", String::as_str);
    if command::is_group(first) {
        let rest = &words[1..];
        let found = rest.first().and_then(|second| command::find_in(first, second));
        return match (rest.first(), found) {
            (_, Some(command)) => {
                let typed = format!("skiff {first} {}", rest[0]);
                Ok(Found { command, typed, words: &rest[1..] })
            }
            (None, None) => {
                tell(&help::group(first));
                Err(0)
            }
            (Some(word), None) if matches!(word.as_str(), "--help" | "-h" | "-help" | "help") => {
                Err(told(output::print(&help::group(first))))
            }
            (Some(word), None) => {
                tell(&format!(
                    "skiff: unknown command: skiff {first} {word}\n\nUsage:  skiff {first}\n\n\
                     Run 'skiff {first} --help' for more information\n"
                ));
                Err(1)
            }
        };
    }
    let Some(command) = command::find(first) else {
        tell(&format!(
            "skiff: unknown command: skiff {first}\n\nRun 'skiff --help' for more information\n"
        ));
        return Err(1);
    };
    Ok(Found { command, typed: format!("skiff {}", command.name), words: &words[1..] })
}

/// `help`, `help CMD`, `help GROUP [CMD]`.
fn help_of(words: &[String]) -> u8 {
    let first = words.first().map_or("", String::as_str);
    let text = match (first, words.get(1)) {
        ("", _) => help::program(),
        (group, None) if command::is_group(group) => help::group(group),
        (group, Some(name)) if command::is_group(group) => match command::find_in(group, name) {
            Some(command) => help::command(command, &format!("skiff {group} {name}")),
            None => return unknown_topic(name),
        },
        (name, _) => match command::find(name) {
            Some(command) => help::command(command, &format!("skiff {}", command.name)),
            None => return unknown_topic(name),
        },
    };
    told(output::print(&text))
}

fn unknown_topic(name: &str) -> u8 {
    tell(&format!("unknown help topic: {name}\n"));
    1
}

/// The daemon by `-d`: its flags stood in front.
fn perform(command: &'static Command, typed: &str, globals: Args, free: Vec<String>) -> u8 {
    if let Err(failure) = args::check_count(command, typed, free.len()) {
        return end(&failure, typed, command.signature);
    }
    let options = cmd::daemon::options(&globals, None);
    let outcome = options.map(crate::daemon::main);
    match outcome {
        Ok(code) => code,
        Err(failure) => end(&failure, typed, command.signature),
    }
}

fn with_session(command: &'static Command, typed: &str, globals: Args, arguments: &Args) -> u8 {
    let outcome = carry_out(command, typed, globals, arguments);
    match outcome {
        Ok(code) => code,
        Err(failure) => end(&failure, typed, command.signature),
    }
}

fn carry_out(command: &Command, typed: &str, globals: Args, arguments: &Args) -> Outcome {
    args::check_count(command, typed, arguments.free.len())?;
    let Some(work) = command.run else { return Ok(1) };
    let session = Session::new(globals)?;
    work(&session, arguments)
}

/// Tells a failure and gives its exit code.
fn end(failure: &Failure, typed: &str, signature: &str) -> u8 {
    tell(&failure.render(typed, signature));
    failure.code
}

fn told(printed: Result<(), Failure>) -> u8 {
    printed.map_or_else(|failure| failure.code, |()| 0)
}

fn tell(text: &str) {
    // Nobody is left to be told when standard error is gone.
    drop(std::io::stderr().write_all(text.as_bytes()));
}
