//! `images`, `rmi`, `tag`, `history`.

use serde_json::{Value, json};

use crate::base::Timestamp;
use crate::base::units::human_size;
use crate::cli::args::Args;
use crate::cli::client::{self, Target, filters};
use crate::cli::fail::{Failure, Outcome, for_each};
use crate::cli::format::List;
use crate::cli::output::{
    age, created_at, ellipsis, escaped, print, rfc3339_here, short_id, shown_id,
};
use crate::cli::session::Session;
use crate::model::Reference;
use crate::wire::image::{DeleteItem, History, Summary};

const NO_NAME: &str = "<none>";

pub(crate) const FIELDS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
];

/// `images`
pub(crate) fn images(session: &Session, args: &Args) -> Outcome {
    let mut format = session.format(args, "imagesFormat");
    if args.on("quiet") && matches!(format.as_str(), "" | "table") {
        format = "{{.ID}}".to_owned();
    }
    let digests = args.on("digests");
    if format == "raw" {
        let digest = if digests { "digest: {{.Digest}}\\n" } else { "" };
        format = format!(
            "repository: {{{{.Repository}}}}\\ntag: {{{{.Tag}}}}\\n{digest}image_id: {{{{.ID}}}}\\n\
             created_at: {{{{.CreatedAt}}}}\\nvirtual_size: {{{{.Size}}}}\\n"
        );
    }
    let mut wanted = args.filters();
    wanted.extend(args.free.first().map(|name| ("reference".to_owned(), name.clone())));
    let target = Target::new(&["images", "json"])
        .flag("all", args.on("all"))
        .maybe("filters", filters(&wanted).as_deref());
    if args.on("viz") {
        let all: Vec<Summary> = session.client()?.get("/images/json?all=1")?;
        print(&graph(&all))?;
        return Ok(0);
    }
    let images: Vec<Summary> = session.client()?.get(target.as_str())?;
    let (now, whole) = (Timestamp::now(), args.on("no-trunc"));
    let rows: Vec<Value> =
        images.iter().flat_map(|image| rows(image, digests, whole, now)).collect();
    let columns: &[&str] = match digests {
        true => &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"],
        false => &["Repository", "Tag", "ID", "CreatedSince", "Size"],
    };
    let list = List { fields: FIELDS, columns, complaint: ["template parsing error"; 2] };
    print(&list.render(&format, &rows)?)?;
    Ok(0)
}

/// The lines of an image: one for each of its names.
pub(crate) fn rows(image: &Summary, digests: bool, whole: bool, now: Timestamp) -> Vec<Value> {
    names(image, digests).iter().map(|name| row(image, name, whole, now)).collect()
}

/// All images and their parents in the language of Graphviz, as `-viz` of 0.6.4 drew them.
fn graph(images: &[Summary]) -> String {
    let mut out = String::from("digraph docker {\n");
    for image in images {
        let id = short_id(&image.id);
        out.push_str(&match short_id(&image.parent_id) {
            "" => format!(" base -> \"{id}\" [style=invis]\n"),
            parent => format!(" \"{parent}\" -> \"{id}\"\n"),
        });
    }
    for image in images.iter().filter(|image| !image.repo_tags.is_empty()) {
        let id = short_id(&image.id);
        let tags = escaped(&image.repo_tags.join("\\n")).replace('"', "\\\"");
        out.push_str(&format!(
            " \"{id}\" [label=\"{id}\\n{tags}\",shape=box,fillcolor=\"paleturquoise\",\
             style=\"filled,rounded\"];\n"
        ));
    }
    out + " base [style=invisible]\n}\n"
}

/// Repository, tag and digest of each line that an image has.
fn names(image: &Summary, digests: bool) -> Vec<[String; 3]> {
    let none = || NO_NAME.to_owned();
    let mut lines: Vec<[String; 3]> = Vec::new();
    let digest_of = |repository: &str| {
        let named = image.repo_digests.iter().filter_map(|digest| digest.split_once('@'));
        named.into_iter().find(|(name, _)| *name == repository).map(|(_, digest)| digest.to_owned())
    };
    for tag in image.repo_tags.iter().filter(|tag| *tag != "<none>:<none>") {
        let (repository, tag) = tag.rsplit_once(':').unwrap_or((tag, NO_NAME));
        let digest = digest_of(repository).filter(|_| digests).unwrap_or_else(none);
        lines.push([repository.to_owned(), tag.to_owned(), digest]);
    }
    if lines.is_empty() {
        for (repository, digest) in image.repo_digests.iter().filter_map(|d| d.split_once('@')) {
            let digest = if digests { digest.to_owned() } else { none() };
            lines.push([repository.to_owned(), none(), digest]);
        }
    }
    if lines.is_empty() {
        lines.push([none(), none(), none()]);
    }
    lines
}

fn row(
    image: &Summary,
    [repository, tag, digest]: &[String; 3],
    whole: bool,
    now: Timestamp,
) -> Value {
    let size = |bytes: i64| match u64::try_from(bytes) {
        Ok(bytes) => human_size(bytes, 3, ""),
        Err(_) => "N/A".to_owned(),
    };
    let containers =
        if image.containers < 0 { "N/A".to_owned() } else { image.containers.to_string() };
    json!({
        "Repository": escaped(repository),
        "Tag": escaped(tag),
        "Digest": escaped(digest),
        "ID": shown_id(&image.id, whole),
        "CreatedSince": age(image.created, now),
        "CreatedAt": created_at(image.created),
        "Size": size(image.size),
        "VirtualSize": human_size(u64::try_from(image.size).unwrap_or(0), 4, ""),
        "SharedSize": size(image.shared_size),
        "UniqueSize": if image.shared_size < 0 { size(-1) } else { size(image.size - image.shared_size) },
        "Containers": containers,
    })
}

/// `rmi`
pub(crate) fn remove(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    let force = args.on("force");
    for_each(&args.free, |name| {
        let target = Target::new(&["images", name])
            .flag("force", force)
            .flag("noprune", args.on("no-prune"));
        let answer = match client.delete(target.as_str()) {
            Err(failure) if force && failure.is_not_found() => {
                eprintln!("{}", failure.text);
                return Ok(());
            }
            answer => answer?,
        };
        let steps: Vec<DeleteItem> = client::read(&answer)?;
        let lines = steps.iter().map(|step| match step.deleted.as_str() {
            "" => format!("Untagged: {}\n", step.untagged),
            deleted => format!("Deleted: {deleted}\n"),
        });
        print(&lines.collect::<String>())
    })
}

/// A reference from `REPOSITORY[:TAG]`, or from REPOSITORY and TAG as two words.
///
/// # Errors
/// What is no reference; two tags.
pub(crate) fn target(name: &str, tag: Option<&String>) -> Result<(String, String), Failure> {
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let name = match tag {
        Some(tag) if has_tag => {
            return Err(Failure::new(format!("two tags given: '{name}' and '{tag}'")));
        }
        Some(tag) => format!("{name}:{tag}"),
        None => name.to_owned(),
    };
    let reference = Reference::parse(&name).map_err(|reason| {
        Failure::new(format!(
            "Error parsing reference: {name:?} is not a valid repository/tag: {reason}"
        ))
    })?;
    match (reference.tag, reference.digest) {
        (Some(tag), None) => Ok((reference.repository, tag)),
        _ => Err(Failure::new("refusing to create a tag with a digest reference")),
    }
}

/// `tag`
pub(crate) fn tag(session: &Session, args: &Args) -> Outcome {
    let (repository, tag) = target(&args.free[1], args.free.get(2))?;
    let target = Target::new(&["images", &args.free[0], "tag"])
        .query("repo", &repository)
        .query("tag", &tag);
    session.client()?.post(target.as_str())?;
    Ok(0)
}

const HISTORY_FIELDS: &[(&str, &str)] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

/// `history`
pub(crate) fn history(session: &Session, args: &Args) -> Outcome {
    let target = Target::new(&["images", &args.free[0], "history"]);
    let steps: Vec<History> = session.client()?.get(target.as_str())?;
    let (now, whole) = (Timestamp::now(), args.on("no-trunc"));
    let human = args.switch("human").unwrap_or(true);
    let mut format = args.one("format").unwrap_or_default();
    if args.on("quiet") && matches!(format.as_str(), "" | "table") {
        format = "{{.ID}}".to_owned();
    }
    let rows: Vec<Value> = steps.iter().map(|step| history_row(step, whole, human, now)).collect();
    let since = if human { "CreatedSince" } else { "CreatedAt" };
    let list = List {
        fields: HISTORY_FIELDS,
        columns: &["ID", since, "CreatedBy", "Size", "Comment"],
        complaint: ["template parsing error"; 2],
    };
    print(&list.render(&format, &rows)?)?;
    Ok(0)
}

fn history_row(step: &History, whole: bool, human: bool, now: Timestamp) -> Value {
    let by = step.created_by.replace('\t', " ");
    let by = if whole { by } else { ellipsis(&by, 45) };
    let size = match u64::try_from(step.size) {
        Ok(bytes) if human => human_size(bytes, 3, ""),
        _ => step.size.to_string(),
    };
    let at = Timestamp { seconds: step.created, nanos: 0 };
    let never = step.created <= Timestamp::ZERO.seconds || step.created == 0;
    json!({
        "ID": shown_id(&step.id, whole),
        "CreatedSince": if never { "N/A".to_owned() } else { age(step.created, now) },
        "CreatedAt": rfc3339_here(at, 0),
        "CreatedBy": escaped(&by),
        "Size": size,
        "Comment": escaped(&step.comment),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_an_image_has_a_line() {
        let image = |tags: &[&str], digests: &[&str]| Summary {
            repo_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            repo_digests: digests.iter().map(|digest| (*digest).to_owned()).collect(),
            ..Summary::default()
        };
        let lines = |tags: &[&str], digests: &[&str], show: bool| {
            let names = names(&image(tags, digests), show);
            names.iter().map(|name| name.join(" ")).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(lines(&["h:5/a:1", "b:2"], &[], false), "h:5/a 1 <none>; b 2 <none>");
        assert_eq!(lines(&[], &[], false), "<none> <none> <none>");
        assert_eq!(lines(&["<none>:<none>"], &[], false), "<none> <none> <none>");
        assert_eq!(lines(&["a:1"], &["a@sha256:x"], true), "a 1 sha256:x");
        assert_eq!(lines(&[], &["a@sha256:x"], false), "a <none> <none>");
    }

    #[test]
    fn images_as_a_graph() {
        let image = |id: &str, parent: &str, tags: &[&str]| Summary {
            id: format!("sha256:{}", id.repeat(64)),
            parent_id: if parent.is_empty() { String::new() } else { parent.repeat(64) },
            repo_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..Summary::default()
        };
        assert_eq!(
            graph(&[image("a", "", &["x:1", "y:2"]), image("b", "a", &[])]),
            "digraph docker {\n base -> \"aaaaaaaaaaaa\" [style=invis]\n \
             \"aaaaaaaaaaaa\" -> \"bbbbbbbbbbbb\"\n \"aaaaaaaaaaaa\" [label=\"aaaaaaaaaaaa\\nx:1\\ny:2\",\
             shape=box,fillcolor=\"paleturquoise\",style=\"filled,rounded\"];\n \
             base [style=invisible]\n}\n"
        );
    }

    #[test]
    fn targets_in_one_word_or_two() {
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(target("a", None), pair("a", "latest"));
        assert_eq!(target("h:5/a", Some(&"1".to_owned())), pair("h:5/a", "1"));
        assert_eq!(target("a:2", None), pair("a", "2"));
        assert!(target("a:2", Some(&"1".to_owned())).is_err());
        assert!(target("A", None).is_err());
    }
}
