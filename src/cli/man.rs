//! Keeps the man pages true: the options of each page are those of the table.
//!
//! `UPDATE_MAN=1 cargo test man_pages` rewrites that section of every page; the rest is written
//! by hand.

use std::path::PathBuf;

use super::command::{COMMANDS, Command, PROGRAM};
use super::flags::{Flag, Takes};
use crate::base::order;

const BEGIN: &str = ".\\\" Made from the table of flags: UPDATE_MAN=1 cargo test man_pages\n";
const END: &str = ".\\\" End of the table.\n";

fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('…', "...")
}

/// The section of `command`'s options, or nothing when it has none.
fn section(command: &Command) -> String {
    let mut flags: Vec<&Flag> = command.all_flags().collect();
    order::sort_by(&mut flags, |a, b| a.long.cmp(b.long));
    let mut out = String::from(BEGIN);
    let shown = flags.iter().filter(|flag| !flag.help.is_empty());
    for (at, flag) in shown.enumerate() {
        out.push_str(if at == 0 { ".SH OPTIONS\n.TP\n" } else { ".TP\n" });
        if let Some(short) = flag.short {
            out.push_str(&format!("\\fB\\-{short}\\fR, "));
        }
        out.push_str(&format!("\\fB\\-\\-{}\\fR", roff(flag.long)));
        if let Takes::One(kind, _) | Takes::Many(kind, _) = flag.takes {
            out.push_str(&format!(" \\fI{kind}\\fR"));
        }
        out.push_str(&format!("\n{}.\n", roff(flag.help)));
        if matches!(flag.takes, Takes::Many(..)) {
            out.push_str("May be given several times.\n");
        }
        for old in flag.old {
            out.push_str(&format!("Also \\fB\\-{}\\fR.\n", roff(old)));
        }
    }
    let later: Vec<String> = flags
        .iter()
        .filter(|flag| !flag.served)
        .map(|flag| format!("\\fB\\-\\-{}\\fR", roff(flag.long)))
        .collect();
    if !later.is_empty() {
        out.push_str(".PP\nKnown, and refused by name until they are served:\n");
        out.push_str(&format!("{}.\n", later.join(",\n")));
    }
    out.push_str(END);
    out
}

fn check(page: &str, command: &Command) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man").join(page);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{page}: no options"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page}: no end of options"));
    let wanted = format!("{before}{}{after}", section(command));
    if std::env::var_os("UPDATE_MAN").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(text == wanted, "{page}: the options are not those of the table; {BEGIN}");
    }
    let title = page.split('.').next().unwrap_or_default().to_uppercase().replace('-', "\\-");
    assert!(text.contains(&format!(".TH {title} ")), "{page}: no title");
    for part in [".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH EXIT STATUS\n"] {
        assert!(before.contains(part) || after.contains(part), "{page}: no {part}");
    }
}

#[test]
fn man_pages_name_every_flag() {
    check("skiff.1", &PROGRAM);
    for command in COMMANDS.iter().filter(|command| has_page(command)) {
        let section = if command.name == "daemon" { 8 } else { 1 };
        check(&format!("skiff-{}.{section}", command.title().replace(' ', "-")), command);
    }
}

/// All that are served; `inspect` and `context` have one page for all their forms.
fn has_page(command: &Command) -> bool {
    let title = command.title();
    let elsewhere = title.ends_with(" inspect")
        || title.starts_with("context ")
        || title == "system dial-stdio";
    command.run.is_some() && !elsewhere
}

#[test]
fn pages_of_other_sections_are_whole() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man");
    let text = std::fs::read_to_string(folder.join("skiff-compat.7")).unwrap();
    assert!(text.starts_with(".TH SKIFF\\-COMPAT 7 "));
    // Each page that it refers to is there.
    for line in text.lines().filter_map(|line| line.strip_prefix(".BR ")) {
        let (name, section) =
            line.trim_end_matches(',').trim_end_matches(')').split_once(" (").unwrap();
        let page = format!("{}.{section}", name.replace("\\-", "-"));
        assert!(folder.join(&page).exists(), "{page}");
    }
}

#[test]
fn the_overview_names_every_command() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man/skiff.1");
    let text = std::fs::read_to_string(path).unwrap();
    for command in COMMANDS.iter().filter(|command| has_page(command)) {
        let name = command.title().replace(' ', "\\-");
        assert!(text.contains(&format!("\n.BR skiff\\-{name} ")), "{name}");
    }
}

#[test]
fn the_page_of_a_group_names_its_commands_and_flags() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man/skiff-context.1");
    let text = std::fs::read_to_string(path).unwrap();
    for command in COMMANDS.iter().filter(|c| c.run.is_some()) {
        for (_, name) in command.groups.iter().filter(|(group, _)| *group == "context") {
            assert!(text.contains(&format!("\\fB{name}\\fR")), "{name}");
        }
        if command.groups.iter().any(|(group, _)| *group == "context") {
            for flag in command.all_flags() {
                assert!(text.contains(&format!("\\fB\\-\\-{}", roff(flag.long))), "{}", flag.long);
            }
        }
    }
}

#[test]
fn the_page_of_formats_names_every_function() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man/skiff-format.7");
    let text = std::fs::read_to_string(path).unwrap();
    for name in super::template::FUNCTIONS {
        assert!(text.contains(&format!("\\fB{name}\\fR")), "{name}");
    }
}
