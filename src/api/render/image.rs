//! Images as `list`, `inspect` and `history` show them.

use super::count;
use crate::base::Timestamp;
use crate::image::{Image, Layer};
use crate::wire::container::Config;
use crate::wire::container::inspect::GraphDriver;
use crate::wire::image as wire;
use crate::wire::version::Answers;

/// A line of the list. `names` are the image's.
pub(in crate::api) fn summary(
    image: &Image,
    names: Vec<String>,
    answers: Answers,
) -> wire::Summary {
    let (mut repo_tags, mut repo_digests) = split(names);
    if answers.none_names && repo_tags.is_empty() && repo_digests.is_empty() {
        repo_tags.push("<none>:<none>".into());
        repo_digests.push("<none>@<none>".into());
    }
    wire::Summary {
        containers: -1,
        created: seconds(image.created),
        id: image.id.to_string(),
        labels: Some(image.config.labels.clone()),
        parent_id: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        repo_digests,
        repo_tags,
        shared_size: -1,
        size: count(image.size),
        virtual_size: answers.virtual_size.then(|| count(image.size)),
    }
}

/// All about an image.
pub(in crate::api) fn inspect(
    image: &Image,
    names: Vec<String>,
    driver: &str,
    answers: Answers,
) -> wire::Inspect {
    let (repo_tags, repo_digests) = split(names);
    wire::Inspect {
        id: image.id.to_string(),
        repo_tags,
        repo_digests,
        parent: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        comment: image.comment.clone(),
        created: image.created.unwrap_or(Timestamp::ZERO).to_string(),
        container: Some(String::new()),
        container_config: Some(Config::default()),
        docker_version: String::new(),
        author: image.author.clone(),
        config: Config::from_model(&image.config),
        architecture: image.architecture.clone(),
        variant: image.variant.clone(),
        os: image.os.clone(),
        size: count(image.size),
        virtual_size: answers.virtual_size.then(|| count(image.size)),
        graph_driver: GraphDriver { data: None, name: driver.to_owned() },
        root_fs: wire::RootFs {
            kind: "layers".into(),
            layers: image.layers.iter().map(|layer| layer.diff_id.to_string()).collect(),
        },
        metadata: wire::Metadata { last_tag_time: Timestamp::ZERO.to_string() },
    }
}

/// The history, newest first. Only the newest line has the image's id and names; those below may
/// have been images elsewhere.
pub(in crate::api) fn history(image: &Image, names: Vec<String>) -> Vec<wire::History> {
    let mut layers = image.layers.iter();
    let mut lines: Vec<wire::History> = image
        .history
        .iter()
        .map(|step| {
            let layer = if step.empty_layer { None } else { layers.next() };
            wire::History {
                comment: step.comment.clone(),
                created: seconds(step.created),
                created_by: step.created_by.clone(),
                id: "<missing>".into(),
                size: layer.map(size).unwrap_or_default(),
                tags: None,
            }
        })
        .collect();
    // A config may tell nothing of some of its layers.
    lines.extend(layers.map(|layer| wire::History {
        id: "<missing>".into(),
        size: size(layer),
        ..wire::History::default()
    }));
    lines.reverse();
    if let Some(newest) = lines.first_mut() {
        newest.id = image.id.to_string();
        newest.tags = Some(names).filter(|names| !names.is_empty());
    }
    lines
}

fn size(layer: &Layer) -> i64 {
    count(layer.size)
}

/// Names with a tag, and names with a digest.
fn split(names: Vec<String>) -> (Vec<String>, Vec<String>) {
    names.into_iter().partition(|name| !name.contains('@'))
}

fn seconds(time: Option<Timestamp>) -> i64 {
    time.map_or(0, |time| time.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::image::History;
    use crate::model::RunConfig;
    use crate::wire::Version;

    fn image() -> Image {
        let layer = |name: &[u8], size| Layer { diff_id: Digest::of(name), size };
        let step = |by: &str, empty_layer| History {
            created: Some(Timestamp { seconds: 5, nanos: 0 }),
            created_by: by.into(),
            comment: String::new(),
            empty_layer,
        };
        Image {
            id: Digest::of(b"image"),
            parent: None,
            created: Some(Timestamp { seconds: 9, nanos: 0 }),
            author: String::new(),
            comment: "Imported from -".into(),
            architecture: "amd64".into(),
            variant: String::new(),
            os: "linux".into(),
            config: RunConfig::default(),
            layers: vec![layer(b"a", 10), layer(b"b", 20)],
            history: vec![step("base", false), step("env", true), step("top", false)],
            size: 30,
        }
    }

    #[test]
    fn a_line_of_the_list_has_todays_shape() {
        let names = vec!["busybox:latest".to_owned()];
        let shown = summary(&image(), names, Version::NEWEST.answers());
        assert_eq!(
            serde_json::to_string(&shown).unwrap(),
            format!(
                "{{\"Containers\":-1,\"Created\":9,\"Id\":\"{}\",\"Labels\":{{}},\"ParentId\":\"\",\
                 \"RepoDigests\":[],\"RepoTags\":[\"busybox:latest\"],\"SharedSize\":-1,\"Size\":30}}",
                image().id
            )
        );
        let old = Version::of_path("1.41").unwrap().answers();
        let shown = summary(&image(), Vec::new(), old);
        assert_eq!(shown.repo_tags, ["<none>:<none>"]);
        assert_eq!(shown.virtual_size, Some(30));
    }

    #[test]
    fn history_is_newest_first_and_sizes_meet_their_layers() {
        let lines = history(&image(), vec!["a:b".into()]);
        let shown: Vec<_> = lines.iter().map(|l| (l.created_by.as_str(), l.size)).collect();
        assert_eq!(shown, [("top", 20), ("env", 0), ("base", 10)]);
        assert_eq!(lines[0].id, image().id.to_string());
        assert_eq!(lines[0].tags.as_deref(), Some(&["a:b".to_owned()][..]));
        assert_eq!((lines[2].id.as_str(), &lines[2].tags), ("<missing>", &None));
    }
}
