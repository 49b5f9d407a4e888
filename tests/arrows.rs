//! Holds the direction of imports: `daemon > cli, api > engine > {container image registry
//! dockerfile network volume runtime} > model > http > dns > sys > base`; `wire` uses `model` and
//! `base`.
//!
//! Reads every path that begins with `crate::` or climbs to the root by `super::`, in `use` lines
//! and inline, comments and strings left out. When it fails, move the code, not the test.

use std::fs;
use std::path::{Path, PathBuf};

/// Whom each module may name, beside itself. `sys::tty` allows that one module of `sys`.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("sys", &["base"]),
    ("dns", &["sys", "base"]),
    ("http", &["dns", "sys", "base"]),
    ("model", &["http", "sys", "base"]),
    ("wire", &["model", "base"]),
    ("container", PART),
    ("image", PART),
    ("registry", PART),
    ("dockerfile", PART),
    ("network", PART),
    ("volume", PART),
    ("runtime", PART),
    ("engine", ENGINE),
    ("api", API),
    // The flags of the daemon are read by the command line, which then becomes the daemon.
    ("cli", &["daemon", "wire", "model", "http", "sys::tty", "sys::poll", "sys::signal", "base"]),
    ("daemon", DAEMON),
];

/// What engine joins: they do not import each other.
const PART: &[&str] = &["model", "http", "dns", "sys", "base"];

const ENGINE: &[&str] = &[
    "container",
    "image",
    "registry",
    "dockerfile",
    "network",
    "volume",
    "runtime",
    "model",
    "http",
    "dns",
    "sys",
    "base",
];

const API: &[&str] = &["engine", "wire", "container", "image", "model", "http", "sys", "base"];

const DAEMON: &[&str] =
    &["cli", "api", "engine", "wire", "container", "image", "model", "http", "sys", "base"];

#[test]
fn modules_import_from_their_right_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() > 20, "only {} files found below {}", files.len(), src.display());

    let mut wrong = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&src).expect("collected below src");
        let module = module_of(relative);
        let [top, ..] = module.as_slice() else { continue }; // lib.rs and main.rs may name all
        let text = fs::read_to_string(file).expect("a source file is readable");
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| name == top) else {
            wrong.push(format!("src/{}: no rule for module {top}", relative.display()));
            continue;
        };
        for (line, path) in named_paths(&code_only(&text), &module) {
            let [first, ..] = path.as_slice() else { continue };
            let known = MAY_NAME.iter().any(|(name, _)| name == first);
            if known && first != top && !allows(allowed, &path) {
                let path = path.join("::");
                wrong.push(format!("src/{}:{line}: {top} names {path}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the arrows:\n  {}", wrong.join("\n  "));
}

fn allows(allowed: &[&str], path: &[String]) -> bool {
    allowed.iter().any(|rule| {
        let rule: Vec<&str> = rule.split("::").collect();
        path.len() >= rule.len() && rule.iter().zip(path).all(|(want, have)| want == have)
    })
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// `engine/start.rs` is `[engine, start]`; `engine/mod.rs` is `[engine]`; `lib.rs` is `[]`.
fn module_of(relative: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let last = parts.pop().expect("a file has a name");
    match last.trim_end_matches(".rs") {
        "mod" | "lib" | "main" => {}
        name => parts.push(name.to_owned()),
    }
    parts
}

/// The text with comments and the insides of strings and characters blanked, lines kept.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => quoted(rest),
            ['r', '"' | '#', ..] if !after_word(&chars, at) => raw_string(rest),
            ['\'', '\\', ..] => 3 + rest[3..].iter().position(|&c| c == '\'').unwrap_or(0),
            ['\'', _, '\'', ..] => 3,
            _ => 0,
        };
        if length == 0 {
            out.push(rest[0]);
            at += 1;
        } else {
            out.extend(rest[..length].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at += length;
        }
    }
    out
}

fn after_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`; 0 for a raw identifier.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let closed = rest[at] == '"'
            && rest[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        if closed {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

/// All paths of the crate that `code`, in `module`, names: line, and at most two words each.
fn named_paths(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for start in ["crate", "super"] {
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            let after = &code[at + start.len()..];
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue; // part of a word, or the second `super` of a climb
            }
            let Some(mut rest) = after.strip_prefix("::") else { continue };
            if start == "super" {
                let mut climbed = 1;
                while let Some(next) = rest.strip_prefix("super::") {
                    climbed += 1;
                    rest = next;
                }
                if climbed < module.len() {
                    continue; // stays within the module
                }
            }
            let line = before.matches('\n').count() + 1;
            found.extend(leaves(rest).into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// `a::b::c` gives `[a, b]`; `{a, b::{c, d}}` gives `[a]`, `[b, c]`, `[b, d]`.
fn leaves(rest: &str) -> Vec<Vec<String>> {
    if let Some(group) = rest.strip_prefix('{') {
        return group_items(group).iter().flat_map(|item| leaves(item)).collect();
    }
    let word: String = rest.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect();
    if word.is_empty() {
        return Vec::new();
    }
    let Some(after) = rest[word.len()..].strip_prefix("::") else { return vec![vec![word]] };
    let seconds: Vec<String> = match after.strip_prefix('{') {
        Some(group) => group_items(group).iter().map(|item| first_word(item)).collect(),
        None => vec![first_word(after)],
    };
    seconds.into_iter().map(|second| vec![word.clone(), second]).collect()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect()
}

/// The items up to the brace that closes the group, split at its own commas.
fn group_items(group: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().expect("never empty").push(c);
    }
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

#[test]
fn every_spelling_of_a_path_is_seen() {
    fn check(code: &str, module: &[&str], expected: &[&str]) {
        let module: Vec<String> = module.iter().map(|&m| m.to_owned()).collect();
        let mut found: Vec<String> = named_paths(&code_only(code), &module)
            .into_iter()
            .map(|(line, path)| format!("{line} {}", path.join("::")))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "in {code}");
    }
    check("use crate::engine::start::X;", &["api"], &["1 engine::start"]);
    check("\n  crate::sys::tty::size()", &["cli"], &["2 sys::tty"]);
    check("use crate::{\n a::{b, c::d},\n e};", &["x"], &["1 a::b", "1 a::c", "1 e"]);
    check("use super::super::engine;", &["image", "store"], &["1 engine"]);
    check("use super::super::engine;", &["image", "store", "deep"], &[]);
    check("use super::engine;", &["daemon"], &["1 engine"]);
    check(
        "// crate::a\n/* crate::b */ \"crate::c\" r#\"crate::d\"# '\"' crate::e",
        &["x"],
        &["2 e"],
    );
    check("my_crate::a; $crate::base::b", &["x"], &["1 base::b"]);
}

#[test]
fn a_rule_may_name_one_module_of_another() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    assert!(allows(&["sys::tty"], &path("sys::tty")));
    assert!(!allows(&["sys::tty"], &path("sys::mount")));
    assert!(!allows(&["sys::tty"], &path("sys")));
    assert!(allows(&["sys"], &path("sys::mount")));
}
