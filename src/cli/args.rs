//! From words to arguments: a normaliser knows both spellings (`-rm` of 0.6.4 and `-itd`), and
//! getopts collects what it made of them.

use getopts::{Matches, Options};

use super::command::Command;
use super::fail::{Failure, Hint};
use super::flags::{Flag, Takes};
use super::value::{boolean, integer};

/// A parsed command line.
#[derive(Debug)]
pub(crate) struct Args {
    /// Arguments that are no flags.
    pub(crate) free: Vec<String>,
    matches: Matches,
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// The help.
    Help,
    /// To be done.
    Args(Args),
}

impl Args {
    /// Whether switch `name` is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.switch(name).unwrap_or(false)
    }

    /// What switch `name` says, if it was given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.one(name).map(|value| boolean(&value).expect("was checked"))
    }

    /// The last value of `name`.
    pub(crate) fn one(&self, name: &str) -> Option<String> {
        self.all(name).pop()
    }

    /// The last value of `name` as a number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.one(name).map(|value| integer(&value).expect("was checked"))
    }

    /// What `--filter NAME=VALUE` asks for; the parser has seen to the form.
    pub(crate) fn filters(&self) -> Vec<(String, String)> {
        let filters = self.all("filter");
        let pairs = filters.iter().filter_map(|filter| filter.split_once('='));
        pairs.map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned())).collect()
    }

    /// All values of `name`, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        // `create` reads the flags of `run`, of which it lacks some.
        if self.matches.opt_defined(name) { self.matches.opt_strs(name) } else { Vec::new() }
    }
}

/// Parses `words` by the table of `command`.
///
/// # Errors
/// An unknown flag, a value that is missing or wrong, a flag that is not served; not the number
/// of arguments (see [`check_count`]).
pub(crate) fn parse(command: &Command, words: &[String]) -> Result<Parsed, Failure> {
    let Some((canonical, free)) = normalise(command, words)? else {
        return Ok(Parsed::Help);
    };
    let mut options = Options::new();
    for flag in command.all_flags() {
        options.optmulti("", flag.long, "", "");
    }
    // All words left are ours: `--name=value` with names of the table.
    let matches = options.parse(canonical).map_err(|error| Failure::flag(error.to_string()))?;
    Ok(Parsed::Args(Args { free, matches }))
}

/// Words `--name=value`, and plain arguments.
type Canonical = (Vec<String>, Vec<String>);

/// Turns `words` into `--name=value` words and plain arguments; `None` is a call for help.
fn normalise(command: &Command, words: &[String]) -> Result<Option<Canonical>, Failure> {
    let mut canonical = Vec::new();
    let mut free = Vec::new();
    let mut words = words.iter();
    let find = |test: &dyn Fn(&Flag) -> bool| command.all_flags().find(|flag| test(flag));
    while let Some(word) = words.next() {
        if word == "--" {
            free.extend(words.by_ref().cloned());
            break;
        }
        if word == "-" || !word.starts_with('-') {
            free.push(word.clone());
            if command.rest {
                free.extend(words.by_ref().cloned());
                break;
            }
            continue;
        }
        let dashes = if word.starts_with("--") { 2 } else { 1 };
        let (name, value) = match word[dashes..].split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&word[dashes..], None),
        };
        if dashes == 2 && (name.is_empty() || name.starts_with('-')) {
            return Err(Failure::flag(format!("bad flag syntax: {word}")));
        }
        let letter = |flag: &Flag| flag.short.is_some_and(|short| name.chars().eq([short]));
        let old = |flag: &Flag| flag.old.contains(&name);
        let flag = match dashes {
            2 => find(&|flag| flag.long == name || flag.alias.contains(&name))
                .or_else(|| find(&old))
                .or_else(|| find(&letter)),
            _ => find(&old),
        };
        match flag {
            Some(flag) => canonical.push(take(flag, value, &mut words, &format!("--{name}"))?),
            None if name == "help" => return Ok(None),
            None if dashes == 2 => return Err(Failure::flag(format!("unknown flag: --{name}"))),
            None if !shorts(command, &word[1..], &mut words, &mut canonical)? => return Ok(None),
            None => {}
        }
    }
    Ok(Some((canonical, free)))
}

/// Letters after one dash: switches, then perhaps one with a value. False is a call for help.
fn shorts<'a>(
    command: &Command,
    letters: &str,
    words: &mut impl Iterator<Item = &'a String>,
    canonical: &mut Vec<String>,
) -> Result<bool, Failure> {
    let mut rest = letters;
    while let Some(letter) = rest.chars().next() {
        let Some(flag) = command.all_flags().find(|flag| flag.short == Some(letter)) else {
            if letter == 'h' {
                return Ok(false);
            }
            let text = format!("unknown shorthand flag: '{letter}' in -{rest}");
            return Err(Failure::flag(text));
        };
        let shown = format!("'{letter}' in -{rest}");
        rest = &rest[letter.len_utf8()..];
        let mut value = rest.strip_prefix('=').map(str::to_owned);
        if value.is_none() && !flag.is_switch() && !rest.is_empty() {
            value = Some(rest.to_owned());
        }
        if value.is_some() {
            rest = "";
        }
        canonical.push(take(flag, value, words, &shown)?);
    }
    Ok(true)
}

/// One flag with its value, which may be the next word, as a canonical word.
fn take<'a>(
    flag: &Flag,
    value: Option<String>,
    words: &mut impl Iterator<Item = &'a String>,
    shown: &str,
) -> Result<String, Failure> {
    let value = match value {
        Some(value) => value,
        None if flag.is_switch() => "true".to_owned(),
        None => match words.next() {
            Some(word) => word.clone(),
            None => return Err(Failure::flag(format!("flag needs an argument: {shown}"))),
        },
    };
    let checked = match flag.takes {
        Takes::Switch => boolean(&value).map(drop),
        Takes::One(_, check) | Takes::Many(_, check) => check(&value),
    };
    checked.map_err(|reason| {
        let shown = flag.shown();
        Failure::flag(format!("invalid argument {value:?} for \"{shown}\" flag: {reason}"))
    })?;
    if !flag.served {
        return Err(Failure::not_served(&format!("flag '--{}'", flag.long)).code(125));
    }
    Ok(format!("--{}={value}", flag.long))
}

/// Whether `count` arguments are as many as `command`, typed as `typed`, takes.
///
/// # Errors
/// The sentence that says how many are wanted, with the usage.
pub(crate) fn check_count(command: &Command, typed: &str, count: usize) -> Result<(), Failure> {
    let (least, most) = command.arguments;
    if (least..=most).contains(&count) {
        return Ok(());
    }
    let s = |n: usize| if n == 1 { "" } else { "s" };
    let (wants, hint) = match (least, most) {
        (0, 0) => ("accepts no arguments".to_owned(), Hint::Usage),
        (n, usize::MAX) => (format!("requires at least {n} argument{}", s(n)), Hint::See),
        // The third one is 0.6.4's way to name a tag, and no reason to speak of.
        (2, 3) => ("requires 2 arguments".to_owned(), Hint::Usage),
        (n, m) if n == m => (format!("requires {n} argument{}", s(n)), Hint::Usage),
        (n, _) if count < n => (format!("requires at least {n} argument{}", s(n)), Hint::See),
        (_, m) => (format!("requires at most {m} argument{}", s(m)), Hint::Usage),
    };
    Err(Failure { hint, ..Failure::new(format!("skiff: '{typed}' {wants}")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::{self, PROGRAM};

    fn read(line: &str) -> Result<Parsed, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let command = command::find(&words[0]).expect("is in the table");
        parse(command, &words[1..])
    }

    fn args(line: &str) -> Args {
        match read(line) {
            Ok(Parsed::Args(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refused(line: &str, expected: &str) {
        let failure = read(line).expect_err(line);
        assert_eq!((failure.text.as_str(), failure.code), (expected, 125), "{line}");
    }

    #[test]
    fn values_in_every_spelling() {
        for line in [
            "ps -n 5",
            "ps -n5",
            "ps -n=5",
            "ps --last 5",
            "ps --last=5",
            "ps --n 5",
            "ps -an5",
            "ps -aqn 5",
            "ps -n 3 -n 5",
        ] {
            assert_eq!(args(line).number("last"), Some(5), "{line}");
        }
        for line in
            ["ps -aq", "ps -a -q", "ps -qa", "ps --all --quiet", "ps -a=true -q=1", "ps --a --q"]
        {
            assert!(args(line).on("all") && args(line).on("quiet"), "{line}");
        }
        assert_eq!(args("ps --all=false").switch("all"), Some(false));
        assert_eq!(args("ps -a=F").switch("all"), Some(false));
        assert_eq!(args("run -e A=1 -eB=2 --env C=3 x").all("env"), ["A=1", "B=2", "C=3"]);
        assert_eq!(args("run -m=4m x").one("memory").as_deref(), Some("4m"));
    }

    #[test]
    fn words_of_old_are_taken_whole() {
        let on = |line: &str, name: &str| assert!(args(line).on(name), "{line}");
        let one = |line: &str, name: &str, value: &str| {
            assert_eq!(args(line).one(name).as_deref(), Some(value), "{line}");
        };
        on("ps -notrunc", "no-trunc");
        on("ps --notrunc", "no-trunc");
        on("ps --no-trunc", "no-trunc");
        on("images -notrunc", "no-trunc");
        on("history -notrunc x", "no-trunc");
        on("run -rm x", "rm");
        on("run --rm x", "rm");
        on("run -rm=true x", "rm");
        on("run -privileged x", "privileged");
        on("attach -nostdin x", "no-stdin");
        one("ps -sinceId abc", "sinceId", "abc");
        one("ps -beforeId=abc", "beforeId", "abc");
        one("run -cidfile f x", "cidfile", "f");
        one("run -dns 1.1.1.1 x", "dns", "1.1.1.1");
        one("run -entrypoint e x", "entrypoint", "e");
        one("run -name n x", "name", "n");
        one("run -sig-proxy=false x", "sig-proxy", "false");
        one("run -lxc-conf a=b x", "lxc-conf", "a=b");
        one("run --net none x", "network", "none");
        one("run -n=false x", "networking", "false");
        one("events -since 5", "since", "5");
        one("stop --time 3 x", "time", "3");
        on("rm -v x", "volumes");
        on("tag -f a b", "force");
        // Elsewhere such a word is letters.
        refused("kill -rm x", "unknown shorthand flag: 'r' in -rm");
    }

    /// Each flag that had another name in 2013, in all its spellings.
    #[test]
    fn every_spelling_of_an_alias_is_taken() {
        for (command, long, spellings, value) in [
            ("ps", "no-trunc", "--no-trunc --notrunc -notrunc", ""),
            ("images", "no-trunc", "--no-trunc --notrunc -notrunc", ""),
            ("history x", "no-trunc", "--no-trunc --notrunc -notrunc", ""),
            ("ps", "sinceId", "-sinceId --sinceId", "abc"),
            ("ps", "beforeId", "-beforeId --beforeId", "abc"),
            ("run", "detach", "--detach -d --d", ""),
            ("run", "tty", "--tty -t", ""),
            ("run", "interactive", "--interactive -i", ""),
            ("run", "env", "--env -e --e", "A=b"),
            ("run", "volume", "--volume -v", "/a:/b"),
            ("run", "user", "--user -u", "me"),
            ("run", "workdir", "--workdir -w", "/"),
            ("run", "memory", "--memory -m", "6m"),
            ("run", "cpu-shares", "--cpu-shares -c", "5"),
            ("run", "attach", "--attach -a", "stdin"),
            ("run", "hostname", "--hostname -h --h", "box"),
            ("run", "publish", "--publish -p", "80:80"),
            ("run", "rm", "--rm -rm", ""),
            ("run", "cidfile", "--cidfile -cidfile", "f"),
            ("run", "dns", "--dns -dns", "1.1.1.1"),
            ("run", "entrypoint", "--entrypoint -entrypoint", "e"),
            ("run", "privileged", "--privileged -privileged", ""),
            ("run", "name", "--name -name", "n"),
            ("run", "expose", "--expose -expose", "80"),
            ("run", "sig-proxy", "--sig-proxy -sig-proxy", ""),
            ("run", "network", "--network --net", "none"),
            ("create", "rm", "--rm -rm", ""),
            ("events", "since", "--since -since", "5"),
            ("rm", "volumes", "--volumes -v", ""),
            ("stop", "timeout", "--timeout -t", "3"),
            ("restart", "timeout", "--timeout -t", "3"),
            ("attach", "no-stdin", "--no-stdin -nostdin --nostdin", ""),
            ("images", "viz", "--viz -viz", ""),
        ] {
            for spelling in spellings.split(' ') {
                let lines = match value {
                    "" => vec![format!("{spelling}"), format!("{spelling}=true")],
                    value => vec![format!("{spelling} {value}"), format!("{spelling}={value}")],
                };
                for line in lines {
                    let (command, rest) = command.split_once(' ').unwrap_or((command, "x"));
                    let line = format!("{command} {line} {rest}");
                    let expected = if value.is_empty() { "true" } else { value };
                    assert_eq!(args(&line).one(long).as_deref(), Some(expected), "{line}");
                }
            }
        }
    }

    #[test]
    fn flags_end_where_a_process_begins() {
        assert_eq!(args("run -i x ls -l --all").free, ["x", "ls", "-l", "--all"]);
        assert_eq!(args("run -- x -i").free, ["x", "-i"]);
        assert_eq!(args("top x -ef").free, ["x", "-ef"]);
        let rm = args("rm x -f y");
        assert!(rm.on("force") && rm.free == ["x", "y"]);
        assert_eq!(args("rm -f -- -x").free, ["-x"]);
        assert_eq!(args("import - name").free, ["-", "name"]);
        assert_eq!(args("run -it - x").free, ["-", "x"]);
    }

    #[test]
    fn errors_read_as_scripts_know_them() {
        refused("run --bogus x", "unknown flag: --bogus");
        refused("rm -t", "unknown shorthand flag: 't' in -t");
        refused("ps -ax", "unknown shorthand flag: 'x' in -x");
        refused("run --name", "flag needs an argument: --name");
        refused("kill -s", "flag needs an argument: 's' in -s");
        refused("ps ---x", "bad flag syntax: ---x");
        refused("ps --=x", "bad flag syntax: --=x");
        refused(
            "run -m abc x",
            "invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'",
        );
        refused(
            "run --rm=abc x",
            "invalid argument \"abc\" for \"--rm\" flag: strconv.ParseBool: parsing \"abc\": invalid syntax",
        );
        refused(
            "stop -t x a",
            "invalid argument \"x\" for \"-t, --timeout\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        );
        refused(
            "ps -f x",
            "invalid argument \"x\" for \"-f, --filter\" flag: bad format of filter (expected name=value)",
        );
        refused(
            "run -a x y",
            "invalid argument \"x\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR",
        );
        refused("run --gpus all x", "skiff: flag '--gpus' is not served yet");
        refused("run --gpus all x", "skiff: flag '--gpus' is not served yet");
        refused("images -tree", "skiff: flag '--tree' is not served yet");
    }

    #[test]
    fn help_is_asked_for_where_h_is_no_flag() {
        for line in ["ps -h", "ps --help", "ps -help", "run --help x", "rm -fh"] {
            assert!(matches!(read(line), Ok(Parsed::Help)), "{line}");
        }
        assert_eq!(args("run -h name x").one("hostname").as_deref(), Some("name"));
        assert_eq!(args("run x --help").free, ["x", "--help"]);
        refused("run -h", "flag needs an argument: 'h' in -h");
    }

    #[test]
    fn words_in_front_of_the_command() {
        let words = ["-D", "-H", "unix:///x", "ps", "-a"].map(str::to_owned);
        let Ok(Parsed::Args(globals)) = parse(&PROGRAM, &words) else { panic!() };
        assert!(globals.on("debug") && globals.free == ["ps", "-a"]);
        assert_eq!(globals.all("host"), ["unix:///x"]);
    }

    #[test]
    fn numbers_of_arguments() {
        let check = |name: &str, count: usize, expected: Option<&str>| {
            let command = command::find(name).unwrap();
            let failure = check_count(command, &format!("skiff {name}"), count).err();
            assert_eq!(failure.map(|f| f.text).as_deref(), expected, "{name} {count}");
        };
        check("run", 0, Some("skiff: 'skiff run' requires at least 1 argument"));
        check("run", 9, None);
        check("ps", 1, Some("skiff: 'skiff ps' accepts no arguments"));
        check("logs", 0, Some("skiff: 'skiff logs' requires 1 argument"));
        check("rename", 1, Some("skiff: 'skiff rename' requires 2 arguments"));
        check("tag", 3, None);
        check("tag", 1, Some("skiff: 'skiff tag' requires 2 arguments"));
        check("images", 2, Some("skiff: 'skiff images' requires at most 1 argument"));
        check("import", 0, Some("skiff: 'skiff import' requires at least 1 argument"));
    }
}
