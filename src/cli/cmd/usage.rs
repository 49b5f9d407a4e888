//! `system df` and `container prune`: room that is taken, and given back.

use std::io::BufRead;

use serde_json::{Value, json};

use super::{images, ps};
use crate::base::Timestamp;
use crate::base::units::human_size;
use crate::cli::args::Args;
use crate::cli::client::{self, Target, filters};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::format::List;
use crate::cli::output::{escaped, print};
use crate::cli::session::Session;
use crate::http::client::RequestBody;
use crate::wire::container::PruneResponse;
use crate::wire::container::summary::Line;
use crate::wire::image::Summary;

const COMPLAINT: [&str; 2] = ["template parsing error"; 2];

const KINDS: List<'static> = List {
    fields: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    columns: &["Type", "TotalCount", "Active", "Size", "Reclaimable"],
    complaint: COMPLAINT,
};

const VOLUMES: List<'static> = List {
    fields: &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")],
    columns: &["Name", "Links", "Size"],
    complaint: COMPLAINT,
};

const CACHE: List<'static> = List {
    fields: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
    columns: &["ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"],
    complaint: COMPLAINT,
};

/// `system df`
pub(crate) fn usage(session: &Session, args: &Args) -> Outcome {
    let format = args.one("format").unwrap_or_default();
    let verbose = args.on("verbose");
    if verbose && !format.is_empty() {
        return Err(Failure::new("the verbose and the format options conflict"));
    }
    let answer: Value = session.client()?.get("/system/df")?;
    let text = if verbose { each(&answer)? } else { KINDS.render(&format, &kinds(&answer))? };
    print(&text)?;
    Ok(0)
}

fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

/// The number at `path`; one that is unknown is no room.
fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// One line for each kind of objects.
fn kinds(answer: &Value) -> Vec<Value> {
    let images = list(answer, "Images");
    let used = |image: &&Value| image["Containers"].as_i64() != Some(0);
    let own = |image: &Value| number(image, "/Size").saturating_sub(number(image, "/SharedSize"));
    let layers = number(answer, "/LayersSize");
    let needed: u64 = images.iter().filter(used).map(own).sum();

    let active = |container: &&Value| {
        matches!(container["State"].as_str(), Some("running" | "paused" | "restarting"))
    };
    let in_use = |volume: &&Value| number(volume, "/UsageData/RefCount") > 0;
    let busy = |record: &&Value| record["InUse"] == true;
    vec![
        kind(
            "Images",
            images.len(),
            images.iter().filter(used).count(),
            layers,
            layers.saturating_sub(needed),
        ),
        kind_of("Containers", list(answer, "Containers"), "/SizeRw", &active),
        kind_of("Local Volumes", list(answer, "Volumes"), "/UsageData/Size", &in_use),
        kind_of("Build Cache", list(answer, "BuildCache"), "/Size", &busy),
    ]
}

/// The line of objects whose size is at `path`.
fn kind_of(name: &str, all: &[Value], path: &str, active: &dyn Fn(&&Value) -> bool) -> Value {
    let sizes = all.iter().map(|one| number(one, path));
    let idle = all.iter().filter(|one| !active(one)).map(|one| number(one, path));
    kind(name, all.len(), all.iter().filter(active).count(), sizes.sum(), idle.sum())
}

fn kind(name: &str, total: usize, active: usize, size: u64, reclaimable: u64) -> Value {
    let shown = human_size(reclaimable, 4, "");
    let share = match reclaimable.saturating_mul(100).checked_div(size) {
        Some(percent) => format!("{shown} ({percent}%)"),
        None => shown,
    };
    json!({
        "Type": name,
        "TotalCount": total.to_string(),
        "Active": active.to_string(),
        "Size": human_size(size, 4, ""),
        "Reclaimable": share,
    })
}

/// Each object, kind by kind.
fn each(answer: &Value) -> Result<String, Failure> {
    let now = Timestamp::now();
    let mut out = String::from("Images space usage:\n\n");
    let summaries: Vec<Summary> = client::read(&answer["Images"].to_string())?;
    let rows: Vec<Value> =
        summaries.iter().flat_map(|image| images::rows(image, false, false, now)).collect();
    let columns = &[
        "Repository",
        "Tag",
        "ID",
        "CreatedSince",
        "Size",
        "SharedSize",
        "UniqueSize",
        "Containers",
    ];
    let table = List { fields: images::FIELDS, columns, complaint: COMPLAINT };
    out.push_str(&table.render("", &rows)?);

    out.push_str("\nContainers space usage:\n\n");
    let mut lines: Vec<Line> = client::read(&answer["Containers"].to_string())?;
    for line in &mut lines {
        line.size_root_fs = 0; // what it has written is what it takes
    }
    let rows = ps::Containers { lines, whole: false, now };
    let columns =
        &["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"];
    let table = List { fields: ps::FIELDS, columns, complaint: COMPLAINT };
    out.push_str(&table.render_rows("", &rows)?);

    out.push_str("\nLocal Volumes space usage:\n\n");
    let row = |volume: &Value| {
        json!({
            "Name": escaped(volume["Name"].as_str().unwrap_or_default()),
            "Links": number(volume, "/UsageData/RefCount").to_string(),
            "Size": human_size(number(volume, "/UsageData/Size"), 4, ""),
        })
    };
    let rows: Vec<Value> = list(answer, "Volumes").iter().map(row).collect();
    out.push_str(&VOLUMES.render("", &rows)?);

    let cache = list(answer, "BuildCache").iter();
    let size = cache.map(|record| number(record, "/Size")).sum();
    out.push_str(&format!("\nBuild cache usage: {}\n\n", human_size(size, 4, "")));
    out.push_str(&CACHE.render("", &[])?);
    Ok(out)
}

/// `container prune`
pub(crate) fn prune_containers(session: &Session, args: &Args) -> Outcome {
    let warning = "WARNING! This will remove all stopped containers.\n";
    if !args.on("force") && !confirmed(warning)? {
        return Err(Failure::new("container prune has been cancelled"));
    }
    let target =
        Target::new(&["containers", "prune"]).maybe("filters", filters(&args.filters()).as_deref());
    let response = session.client()?.stream("POST", target.as_str(), RequestBody::Empty)?;
    let answer: PruneResponse = client::read(&client::whole(response)?)?;
    let mut out = String::new();
    if let Some(ids) = answer.containers_deleted.filter(|ids| !ids.is_empty()) {
        out.push_str("Deleted Containers:\n");
        out.extend(ids.iter().flat_map(|id| [id.as_str(), "\n"]));
        out.push('\n');
    }
    let bytes = u64::try_from(answer.space_reclaimed).unwrap_or(0);
    out.push_str(&format!("Total reclaimed space: {}\n", human_size(bytes, 4, "")));
    print(&out)?;
    Ok(0)
}

/// Asks for a yes on standard input.
pub(super) fn confirmed(warning: &str) -> Result<bool, Failure> {
    print(&format!("{warning}Are you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(client::broken)?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_counted_by_kind() {
        let answer = json!({
            "LayersSize": 3_000_000,
            "Images": [
                {"Containers": 1, "Size": 2_000_000, "SharedSize": 1_000_000},
                {"Containers": 0, "Size": 2_000_000, "SharedSize": 1_000_000},
            ],
            "Containers": [
                {"State": "running", "SizeRw": 100},
                {"State": "exited", "SizeRw": 300},
                {"State": "created"},
            ],
            "Volumes": [{"UsageData": {"RefCount": 0, "Size": 50}}],
            "BuildCache": null,
        });
        let text = KINDS.render("", &kinds(&answer)).unwrap();
        assert_eq!(
            text,
            "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
             Images          2         1         3MB       2MB (66%)\n\
             Containers      3         1         400B      300B (75%)\n\
             Local Volumes   1         0         50B       50B (100%)\n\
             Build Cache     0         0         0B        0B\n"
        );
    }
}
