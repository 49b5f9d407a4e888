//! Help texts, made from the table.

use super::command::{self, COMMANDS, Command, PROGRAM};
use super::flags::{Flag, Takes};

use crate::base::order;
/// The help of the program.
pub(crate) fn program() -> String {
    let mut out =
        format!("Usage:  skiff {}\n\n{}\n\nCommands:\n", PROGRAM.signature, PROGRAM.about);
    for command in COMMANDS.iter().filter(|c| c.run.is_some() && !c.name.is_empty()) {
        out.push_str(&format!("  {:<11} {}\n", command.name, command.about));
    }
    let later = COMMANDS.iter().filter(|c| c.run.is_none() && !c.name.is_empty());
    let mut later = later.peekable();
    if later.peek().is_some() {
        out.push_str("\nCommands that are not served yet:\n");
    }
    for command in later {
        out.push_str(&format!("  {:<11} {}\n", command.name, command.about));
    }
    out.push_str("\nGroups of commands:\n");
    for (group, about) in served_groups() {
        out.push_str(&format!("  {group:<11} {about}\n"));
    }
    out.push_str("\nOptions:\n");
    out.push_str(&options(PROGRAM.all_flags()));
    out.push_str("\nRun 'skiff COMMAND --help' for more information on a command.\n");
    out
}

/// Groups in which something is served.
fn served_groups() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    command::groups().iter().filter(|(group, _)| {
        COMMANDS.iter().any(|c| c.run.is_some() && c.groups.iter().any(|(g, _)| g == group))
    })
}

/// The help of a group.
pub(crate) fn group(group: &str) -> String {
    let about = command::groups().iter().find(|(name, _)| *name == group).map_or("", |(_, a)| a);
    let mut out = format!("Usage:  skiff {group} COMMAND\n\n{about}\n\nCommands:\n");
    for command in COMMANDS.iter().filter(|command| command.run.is_some()) {
        if let Some((_, name)) = command.groups.iter().find(|(g, _)| *g == group) {
            out.push_str(&format!("  {name:<11} {}\n", command.about));
        }
    }
    out.push_str(&format!(
        "\nRun 'skiff {group} COMMAND --help' for more information on a command.\n"
    ));
    out
}

/// The help of `command`, typed as `typed`.
pub(crate) fn command(command: &Command, typed: &str) -> String {
    let usage = format!("Usage:  {typed} {}", command.signature);
    let mut out = format!("{}\n", usage.trim_end());
    if !command.about.is_empty() {
        out.push_str(&format!("\n{}\n", command.about));
    }
    if command.run.is_none() {
        out.push_str("\nNot served yet.\n");
    }
    let mut names: Vec<String> =
        command.groups.iter().map(|(group, name)| format!("skiff {group} {name}")).collect();
    if !command.name.is_empty() {
        names.push(format!("skiff {}", command.name));
    }
    if names.len() > 1 {
        out.push_str(&format!("\nAliases:\n  {}\n", names.join(", ")));
    }
    let flags = options(command.all_flags());
    if !flags.is_empty() {
        out.push_str(&format!("\nOptions:\n{flags}"));
    }
    out
}

/// The flags that are shown, sorted by name, a line each.
pub(crate) fn options(flags: impl Iterator<Item = &'static Flag>) -> String {
    let mut flags: Vec<&Flag> = flags.filter(|flag| !flag.help.is_empty()).collect();
    order::sort_by(&mut flags, |a, b| a.long.cmp(b.long));
    let left: Vec<String> = flags.iter().map(|flag| left(flag)).collect();
    let width = left.iter().map(String::len).max().unwrap_or(0);
    let lines =
        flags.iter().zip(&left).map(|(flag, left)| format!("  {left:<width$}   {}\n", flag.help));
    lines.collect()
}

fn left(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    let value = match flag.takes {
        Takes::Switch => String::new(),
        Takes::One(kind, _) | Takes::Many(kind, _) => format!(" {kind}"),
    };
    format!("{short}--{}{value}", flag.long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_made_from_the_table() {
        let kill = command(command::find("kill").unwrap(), "skiff kill");
        assert_eq!(
            kill,
            "Usage:  skiff kill [OPTIONS] CONTAINER [CONTAINER...]\n\n\
             Send a signal to running containers\n\n\
             Aliases:\n  skiff container kill, skiff kill\n\n\
             Options:\n  -s, --signal string   Signal to send instead of KILL\n"
        );
        let run = command(command::find("run").unwrap(), "skiff run");
        assert!(run.contains("\n  -m, --memory bytes") && !run.contains("--gpus"));
        let program = program();
        let (served, later) = program.split_once("not served yet:").unwrap();
        assert!(served.contains("\n  events ") && !served.contains("\n  build "));
        assert!(later.contains("\n  build ") && !later.contains("\n  events "));
        assert!(program.contains("\n  container ") && !program.contains("\n  builder "));
        let build = command(command::find("build").unwrap(), "skiff build");
        assert!(build.contains("Not served yet.\n"), "{build}");
        assert!(group("image").contains("\n  ls "));
    }
}
