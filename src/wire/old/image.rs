//! Images as `list`, `inspect`, `history` and `delete` showed them.

use serde::Serialize;

use super::config::Config;
use super::{full, short, split_name};
use crate::base::order;
use crate::wire::image as new;

/// An image in a list: one line for each tag.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repository: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag: String,
    pub id: String,
    pub created: i64,
    pub size: i64,
    pub virtual_size: i64,
}

/// The lines of a list, in order. `filter` matches repositories.
pub fn list(images: &[new::Summary], all: bool, filter: &str) -> Vec<Summary> {
    let is_parent = |id: &str| images.iter().any(|image| image.parent_id == id);
    let mut lines = Vec::new();
    for image in images {
        let line = |repository: &str, tag: &str| Summary {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            id: full(&image.id).to_owned(),
            created: image.created,
            size: image.size,
            virtual_size: image.size,
        };
        for name in &image.repo_tags {
            let (repository, tag) = split_name(name);
            if filter.is_empty() || glob(filter.as_bytes(), repository.as_bytes()) {
                lines.push(line(repository, tag));
            }
        }
        let shown = all || !is_parent(&image.id);
        if image.repo_tags.is_empty() && filter.is_empty() && shown {
            lines.push(line("", ""));
        }
    }
    order::sort_by(&mut lines, |a, b| (b.created, &a.tag).cmp(&(a.created, &b.tag)));
    lines
}

/// A pattern of file names; `*` and `?` do not cross a slash. A malformed one matches nothing.
/// Of the stars only the last is tried again: what an earlier one might take more, that one can.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (pattern, text);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = p {
            star = Some((rest, t));
            p = rest;
            continue;
        }
        match (step(p, t.first().copied()), t) {
            (Step::Malformed, _) => return false,
            (Step::End, []) => return true,
            (Step::Fits(rest), [_, after @ ..]) => (p, t) = (rest, after),
            _ => match star {
                Some((rest, [byte, after @ ..])) if *byte != b'/' => {
                    star = Some((rest, after));
                    (p, t) = (rest, after);
                }
                _ => return false,
            },
        }
    }
}

/// What the first element of a pattern, which is no star, says to a byte.
enum Step<'a> {
    /// There is no element left.
    End,
    /// It fits, and this is what follows it.
    Fits(&'a [u8]),
    /// It does not fit.
    Not,
    Malformed,
}

fn step(pattern: &[u8], byte: Option<u8>) -> Step<'_> {
    let (fits, rest) = match pattern {
        [] => return Step::End,
        [b'[', rest @ ..] => match class(rest, byte.unwrap_or(b'/')) {
            Some((fits, rest)) => (fits && byte != Some(b'/'), rest),
            None => return Step::Malformed,
        },
        [b'?', rest @ ..] => (byte != Some(b'/'), rest),
        [b'\\'] => return Step::Malformed,
        [b'\\', own, rest @ ..] | [own, rest @ ..] => (byte == Some(*own), rest),
    };
    if fits && byte.is_some() { Step::Fits(rest) } else { Step::Not }
}

/// Whether `byte` is of the class that begins here, and what follows it.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut fits = false;
    let mut first = true;
    loop {
        match rest {
            [b']', after @ ..] if !first => return Some((fits != negated, after)),
            [from, b'-', to, after @ ..] if *to != b']' => {
                fits |= (*from..=*to).contains(&byte);
                rest = after;
            }
            [one, after @ ..] if *one != b']' => {
                fits |= *one == byte;
                rest = after;
            }
            _ => return None,
        }
        first = false;
    }
}

/// All about an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspect {
    pub id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    pub created: String,
    pub container_config: Config,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    #[serde(rename = "Size")]
    pub size: i64,
}

impl Inspect {
    /// From the shape of today; machines had the kernel's names.
    pub fn from_canonical(image: &new::Inspect) -> Inspect {
        let architecture = match image.architecture.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        };
        let nothing = crate::wire::container::Config::default();
        let config = Config::from_canonical(&image.config, None);
        Inspect {
            id: full(&image.id).to_owned(),
            parent: full(&image.parent).to_owned(),
            comment: image.comment.clone(),
            created: image.created.clone(),
            container_config: Config::from_canonical(
                image.container_config.as_ref().unwrap_or(&nothing),
                None,
            ),
            author: image.author.clone(),
            // That of an import without any was null.
            config: Some(config).filter(|config| *config != Config::default()),
            architecture: architecture.to_owned(),
            size: image.size,
        }
    }
}

/// A line of an image's history.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct History {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    pub created: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_by: String,
}

impl History {
    /// From the shape of today.
    pub fn from_canonical(line: new::History) -> History {
        let new::History { comment: _, created, created_by, id, size: _, tags } = line;
        History { id: short(&id).to_owned(), tags, created, created_by }
    }
}

/// One step of an image's removal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum DeleteItem {
    Untagged(String),
    Deleted(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, parent: &str, created: i64, names: &[&str]) -> new::Summary {
        new::Summary {
            id: format!("sha256:{id}"),
            parent_id: if parent.is_empty() { String::new() } else { format!("sha256:{parent}") },
            created,
            repo_tags: names.iter().map(|name| (*name).to_owned()).collect(),
            size: 9,
            ..new::Summary::default()
        }
    }

    #[test]
    fn a_list_has_a_line_for_each_tag_and_for_each_leaf_without() {
        let images = [
            image("a", "", 1, &[]),
            image("b", "a", 2, &["u:z", "u/d:latest", "u:a"]),
            image("c", "", 3, &[]),
        ];
        let shown = |all, filter: &str| -> Vec<String> {
            let lines = list(&images, all, filter);
            lines.iter().map(|l| format!("{}/{} {}", l.repository, l.tag, l.id)).collect()
        };
        assert_eq!(shown(false, ""), ["/ c", "u/a b", "u/d/latest b", "u/z b"]);
        assert_eq!(shown(true, "").len(), 5);
        assert_eq!(shown(true, "u"), ["u/a b", "u/z b"]);
        assert_eq!(shown(true, "["), Vec::<String>::new());
    }

    #[test]
    fn filters_are_patterns_of_file_names() {
        let matching = |pattern: &str| {
            let names = ["u", "u/d", "u:5000/d"];
            names.iter().filter(|name| glob(pattern.as_bytes(), name.as_bytes())).count()
        };
        for (pattern, count) in
            [("u", 1), ("u*", 1), ("u*/*", 2), ("*5000*/*", 1), ("[a-u]", 1), ("[^u]", 0), ("?", 1)]
        {
            assert_eq!(matching(pattern), count, "{pattern}");
        }
        assert_eq!(matching("[u"), 0);
        assert_eq!(matching("**"), 1);
        assert_eq!((matching("u\\"), matching("\\u")), (0, 1));
        let long = "a".repeat(4000);
        assert!(!glob("*a*a*a*a*a*a*a*ab".as_bytes(), long.as_bytes()));
        assert!(glob("*a*a*a*a".as_bytes(), long.as_bytes()));
        assert!(glob("a*/*b/c".as_bytes(), b"aa/abb/c"));
    }

    #[test]
    fn steps_of_a_removal_have_one_key() {
        let steps = [DeleteItem::Untagged("a".into()), DeleteItem::Deleted("b".into())];
        let shown = serde_json::to_string(&steps).unwrap();
        assert_eq!(shown, "[{\"Untagged\":\"a\"},{\"Deleted\":\"b\"}]");
    }
}
