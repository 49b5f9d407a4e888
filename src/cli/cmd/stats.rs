//! `stats`: what containers use, once or again each second.
//!
//! One connection, one request per container and round: two rounds make a figure.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::units::{binary_size, human_size};
use crate::cli::args::Args;
use crate::cli::client::{Client, Target};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::format::List;
use crate::cli::output::{escaped, print, shown_id};
use crate::cli::session::Session;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

const LIST: List<'static> = List {
    fields: &[
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    columns: &["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"],
    complaint: ["template parsing error"; 2],
};

/// Time of a container's processors and of the host's, by id.
type Times = HashMap<String, (u64, u64)>;

/// `stats`
pub(crate) fn stats(session: &Session, args: &Args) -> Outcome {
    let client = session.client()?;
    let format = args.one("format").unwrap_or_default();
    let once = args.on("no-stream");
    // What cannot be shown is said before a second is spent.
    LIST.render(&format, &[])?;
    let clear = if std::io::stdout().is_terminal() && !once { CLEAR } else { "" };
    let mut before = Times::new();
    round(client, args, &mut before)?;
    loop {
        std::thread::sleep(PAUSE);
        let rows = round(client, args, &mut before)?;
        print(&format!("{clear}{}", LIST.render(&format, &rows)?))?;
        if once {
            return Ok(0);
        }
    }
}

/// A row for each container that is asked for; `times` are those of the last round, and then of
/// this one.
fn round(client: &Client, args: &Args, times: &mut Times) -> Result<Vec<Value>, Failure> {
    let named = !args.free.is_empty();
    let wanted: Vec<(String, bool)> = if named {
        args.free.iter().map(|name| (name.clone(), true)).collect()
    } else {
        let target = Target::new(&["containers", "json"]).flag("all", args.on("all"));
        let all: Vec<Value> = client.get(target.as_str())?;
        all.iter().map(listed).collect()
    };
    let mut now = Times::new();
    let mut rows = Vec::with_capacity(wanted.len());
    for (name, runs) in wanted {
        let sample = match runs {
            true => client.get(&target(&name, true)),
            false => Err(Failure { status: 409, ..Failure::new("") }),
        };
        let sample: Value = match sample {
            Err(failure) if failure.status == 404 && !named => continue,
            // One that does not run has an answer where two samples are asked for.
            Err(failure) if failure.status == 409 => client.get(&target(&name, false))?,
            sample => sample?,
        };
        let id = sample["id"].as_str().unwrap_or_default().to_owned();
        let reading = reading(&sample);
        let percent = times.get(&id).map_or(0.0, |old| percent_of(*old, reading, &sample));
        now.insert(id, reading);
        rows.push(row(&name, &sample, percent, args.on("no-trunc")));
    }
    *times = now;
    Ok(rows)
}

fn listed(container: &Value) -> (String, bool) {
    let runs = matches!(container["State"].as_str(), Some("running" | "paused"));
    (container["Id"].as_str().unwrap_or_default().to_owned(), runs)
}

/// Where a sample of container `name` is, alone or compared with that of a second before.
fn target(name: &str, alone: bool) -> String {
    let target = Target::new(&["containers", name, "stats"]).query("stream", "false");
    target.flag("one-shot", alone).as_str().to_owned()
}

fn number(sample: &Value, path: &str) -> u64 {
    sample.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn reading(sample: &Value) -> (u64, u64) {
    let own = number(sample, "/cpu_stats/cpu_usage/total_usage");
    (own, number(sample, "/cpu_stats/system_cpu_usage"))
}

/// Share of one processor, in percent.
#[allow(clippy::cast_precision_loss)] // Two decimals are shown of it.
fn percent_of(before: (u64, u64), now: (u64, u64), sample: &Value) -> f64 {
    let own = now.0.saturating_sub(before.0) as f64;
    let host = now.1.saturating_sub(before.1) as f64;
    let cpus = number(sample, "/cpu_stats/online_cpus") as f64;
    if host > 0.0 { own / host * cpus * 100.0 } else { 0.0 }
}

/// Memory without what the kernel takes back first: files that nobody has used for long.
fn memory(sample: &Value) -> u64 {
    let usage = number(sample, "/memory_stats/usage");
    let idle = ["/memory_stats/stats/total_inactive_file", "/memory_stats/stats/inactive_file"]
        .iter()
        .find_map(|path| sample.pointer(path).and_then(Value::as_u64));
    usage.checked_sub(idle.unwrap_or(0)).unwrap_or(usage)
}

#[allow(clippy::cast_precision_loss)] // Two decimals are shown of it.
fn row(name: &str, sample: &Value, cpu: f64, whole: bool) -> Value {
    let (used, limit) = (memory(sample), number(sample, "/memory_stats/limit"));
    let share = if limit > 0 { used as f64 / limit as f64 * 100.0 } else { 0.0 };
    let sum = |field: &str| {
        let all = sample["networks"].as_object().into_iter().flatten();
        all.map(|(_, interface)| interface[field].as_u64().unwrap_or(0)).sum()
    };
    let io = |first: char| {
        let all = sample["blkio_stats"]["io_service_bytes_recursive"].as_array();
        let of = |entry: &&Value| {
            let operation = entry["op"].as_str().unwrap_or_default();
            operation.chars().next().is_some_and(|c| c.eq_ignore_ascii_case(&first))
        };
        let all = all.into_iter().flatten().filter(of);
        all.map(|entry| entry["value"].as_u64().unwrap_or(0)).sum()
    };
    let both =
        |one: u64, other: u64| format!("{} / {}", human_size(one, 3, ""), human_size(other, 3, ""));
    json!({
        "Container": escaped(name),
        "ID": shown_id(sample["id"].as_str().unwrap_or_default(), whole),
        "Name": escaped(sample["name"].as_str().unwrap_or_default().trim_start_matches('/')),
        "CPUPerc": format!("{cpu:.2}%"),
        "MemUsage": format!("{} / {}", binary_size(used), binary_size(limit)),
        "MemPerc": format!("{share:.2}%"),
        "NetIO": both(sum("rx_bytes"), sum("tx_bytes")),
        "BlockIO": both(io('r'), io('w')),
        "PIDs": number(sample, "/pids_stats/current").to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_two_samples_say() {
        let sample = json!({
            "id": "a".repeat(64), "name": "/web", "pids_stats": {"current": 3},
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20}},
            "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 5}, "eth1": {"rx_bytes": 24}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"op": "Read", "value": 1}, {"op": "write", "value": 2}, {"op": "read", "value": 3},
            ]},
        });
        assert_eq!(reading(&sample), (300, 2000));
        let percent = percent_of((200, 1000), reading(&sample), &sample);
        let shown = LIST.render("", &[row("x", &sample, percent, false)]).unwrap();
        assert_eq!(
            shown.lines().nth(1).unwrap(),
            "aaaaaaaaaaaa   web       20.00%    2MiB / 8MiB         25.00%    1.02kB / 5B   4B / 2B     3"
        );
        assert_eq!(percent_of((5, 5), (5, 5), &sample), 0.0);
        let empty = row("x", &json!({"id": "b", "name": "/y"}), 0.0, false);
        assert_eq!((&empty["MemUsage"], &empty["MemPerc"]), (&json!("0B / 0B"), &json!("0.00%")));
    }
}
