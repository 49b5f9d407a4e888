//! `completion`: scripts for shells, made from the table.

use crate::cli::args::Args;
use crate::cli::command::{self, COMMANDS, Command, Names, PROGRAM};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::output::print;
use crate::cli::session::Session;

/// `completion`
pub(crate) fn completion(_session: &Session, args: &Args) -> Outcome {
    let script = match args.free[0].as_str() {
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
        other => {
            let text = format!("unknown shell '{other}': must be one of bash, zsh or fish");
            return Err(Failure::new(text));
        }
    };
    print(&script)?;
    Ok(0)
}

fn served() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| command.run.is_some())
}

fn top_words() -> Vec<&'static str> {
    let mut words: Vec<&str> =
        served().map(|command| command.name).filter(|name| !name.is_empty()).collect();
    words.extend(served_groups().into_iter().map(|(group, _)| group));
    words.push("help");
    words
}

/// Groups in which something is served, with the names there.
fn served_groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let names = |group: &str| -> Vec<&'static str> {
        let all = served().flat_map(|command| command.groups);
        all.filter(|(of, _)| *of == group).map(|(_, name)| *name).collect()
    };
    let groups = command::groups().iter().map(|(group, _)| (*group, names(group)));
    groups.filter(|(_, names)| !names.is_empty()).collect()
}

/// `--name -n` of all flags that are shown.
fn flag_words(command: &Command) -> String {
    let mut words = Vec::new();
    for flag in command.all_flags().filter(|flag| !flag.help.is_empty()) {
        words.push(format!("--{}", flag.long));
        words.extend(flag.short.map(|short| format!("-{short}")));
    }
    words.push("--help".to_owned());
    words.join(" ")
}

/// `-H|--host`: flags whose value is the next word, as a pattern of the shell.
fn with_value(command: &Command) -> String {
    let mut words = Vec::new();
    for flag in command.all_flags().filter(|flag| !flag.is_switch()) {
        words.push(format!("--{}", flag.long));
        words.extend(flag.short.map(|short| format!("-{short}")));
    }
    words.join("|")
}

const CONTAINERS: &str = "$(skiff ps -a --format '{{.Names}}' 2>/dev/null)";
const IMAGES: &str = "$(skiff images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)";

/// What sets `flags` and `list` by `$command`; `files` is what a shell offers files by.
fn cases(files: &str) -> String {
    let top = (flag_words(&PROGRAM), top_words().join(" "));
    let mut cases = format!("        '') flags='{}' list='{}' ;;\n", top.0, top.1);
    for command in served() {
        let mut patterns: Vec<String> =
            command.groups.iter().map(|(group, name)| format!("\"{group} {name}\"")).collect();
        if !command.name.is_empty() {
            patterns.insert(0, command.name.to_owned());
        }
        let list = match command.names {
            Names::Nothing if command.name == "completion" => "list='bash zsh fish'".to_owned(),
            Names::Nothing => String::new(),
            Names::Containers => format!("list=\"{CONTAINERS}\""),
            Names::Images => format!("list=\"{IMAGES}\""),
            Names::Objects => format!("list=\"{CONTAINERS} {IMAGES}\""),
            Names::Contexts => "list=\"$(skiff context ls -q 2>/dev/null)\"".to_owned(),
            Names::Files => files.to_owned(),
        };
        cases.push_str(&format!(
            "        {}) flags='{}' {list} ;;\n",
            patterns.join("|"),
            flag_words(command)
        ));
    }
    for (group, names) in served_groups() {
        cases.push_str(&format!("        {group}) list='{}' ;;\n", names.join(" ")));
    }
    cases
}

/// What finds `$command` among the words before the one that is completed.
fn search(before: &str) -> String {
    let groups: Vec<&str> = served_groups().into_iter().map(|(group, _)| group).collect();
    format!(
        "\x20   for word in {before}; do\n\
         \x20       case \"$command$skip\" in skip) skip= ; continue ;; esac\n\
         \x20       case \"$word\" in {}) skip=skip; continue ;; -*) continue ;; esac\n\
         \x20       case \"$command\" in\n\
         \x20           '') command=\"$word\" ;;\n\
         \x20           {}) command=\"$command $word\" ;;\n\
         \x20       esac\n\
         \x20   done\n",
        with_value(&PROGRAM),
        groups.join("|")
    )
}

fn bash() -> String {
    format!(
        "# Completion of skiff for bash.\n\
         _skiff() {{\n\
         \x20   local cur=\"${{COMP_WORDS[COMP_CWORD]}}\" command= flags= list= word skip=\n\
         {}\
         \x20   case \"$command\" in\n\
         {}\
         \x20   esac\n\
         \x20   case \"$cur\" in -*) list=\"$flags\" ;; esac\n\
         \x20   COMPREPLY=($(compgen -W \"$list\" -- \"$cur\"))\n\
         }}\n\
         complete -o default -F _skiff skiff\n",
        search("\"${COMP_WORDS[@]:1:COMP_CWORD-1}\""),
        cases("list=\"$(compgen -f -- \"$cur\")\"")
    )
}

fn zsh() -> String {
    format!(
        "#compdef skiff\n\
         # Completion of skiff for zsh: to be read by it, or as _skiff on its fpath.\n\
         _skiff() {{\n\
         \x20   local cur=\"$words[CURRENT]\" command= flags= list= files= word skip=\n\
         {}\
         \x20   case \"$command\" in\n\
         {}\
         \x20   esac\n\
         \x20   case \"$cur\" in -*) list=\"$flags\" files= ;; esac\n\
         \x20   if [ -n \"$files\" ]; then _files; else compadd -- ${{=list}}; fi\n\
         }}\n\
         if [ \"$funcstack[1]\" = _skiff ]; then _skiff; else compdef _skiff skiff; fi\n",
        search("\"${(@)words[2,CURRENT-1]}\""),
        cases("files=yes")
    )
}

fn fish() -> String {
    let quoted = |text: &str| text.replace('\'', "\\'");
    let mut out = String::from("# Completion of skiff for fish.\ncomplete -c skiff -f\n");
    let mut line = |text: String| {
        out.push_str("complete -c skiff ");
        out.push_str(&text);
        out.push('\n');
    };
    for command in served().filter(|command| !command.name.is_empty()) {
        let about = quoted(command.about);
        line(format!("-n __fish_use_subcommand -a {} -d '{about}'", command.name));
    }
    for (group, names) in served_groups() {
        line(format!("-n __fish_use_subcommand -a {group}"));
        line(format!("-n '__fish_seen_subcommand_from {group}' -a '{}'", names.join(" ")));
    }
    for command in served() {
        let mut names: Vec<&str> = command.groups.iter().map(|(_, name)| *name).collect();
        if !command.name.is_empty() {
            names.push(command.name);
        }
        names.dedup();
        let when = format!("-n '__fish_seen_subcommand_from {}'", names.join(" "));
        let containers = "(skiff ps -a --format \"{{.Names}}\" 2>/dev/null)";
        let images = "(skiff images --format \"{{.Repository}}:{{.Tag}}\" 2>/dev/null)";
        match command.names {
            Names::Containers => line(format!("{when} -a '{containers}'")),
            Names::Images => line(format!("{when} -a '{images}'")),
            Names::Objects => line(format!("{when} -a '{containers} {images}'")),
            Names::Contexts => line(format!("{when} -a '(skiff context ls -q 2>/dev/null)'")),
            Names::Files => line(format!("{when} -F")),
            Names::Nothing if command.name == "completion" => {
                line(format!("{when} -a 'bash zsh fish'"));
            }
            Names::Nothing => {}
        }
        for flag in command.all_flags().filter(|flag| !flag.help.is_empty()) {
            let short = flag.short.map_or(String::new(), |short| format!(" -s {short}"));
            let value = if flag.is_switch() { "" } else { " -r" };
            let about = quoted(flag.help);
            line(format!("{when} -l {}{short}{value} -d '{about}'", flag.long));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_flag_is_offered() {
        let (bash, fish) = (bash(), fish());
        for command in served() {
            assert!(bash.contains(command.name) && fish.contains(command.name));
            for flag in command.all_flags().filter(|flag| !flag.help.is_empty()) {
                assert!(bash.contains(&format!("--{}", flag.long)), "{}", flag.long);
                assert!(fish.contains(&format!("-l {}", flag.long)), "{}", flag.long);
            }
        }
        assert!(zsh().starts_with("#compdef skiff\n"));
        assert!(!bash.contains("--gpus"));
    }
}
