//! What a container uses, as `stats` shows it. Written straight as text: it is numbers and words
//! of the kernel, but for names, which are quoted.

use std::fmt::{self, Write};

use crate::container::Record;
use crate::engine::{Cpu, Interface, Io, Memory, Sample};

/// One line of the stream; `before` is the sample that it is compared with.
pub(in crate::api) fn stats(record: &Record, before: &Sample, now: &Sample) -> Vec<u8> {
    let mut out = String::with_capacity(4096);
    write(&mut out, record, before, now).expect("a string takes all that is written to it");
    out.into_bytes()
}

fn write(out: &mut String, record: &Record, before: &Sample, now: &Sample) -> fmt::Result {
    let usage = &now.usage;
    write!(out, "{{\"read\":\"{}\",\"preread\":\"{}\",\"pids_stats\":{{", now.time, before.time)?;
    if let Some((current, limit)) = usage.pids {
        write!(out, "\"current\":{current},\"limit\":{limit}")?;
    }
    out.push_str("},\"blkio_stats\":{\"io_service_bytes_recursive\":");
    write_io(out, &usage.io_bytes)?;
    out.push_str(",\"io_serviced_recursive\":");
    write_io(out, &usage.io_count)?;
    for name in ["io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time", "sectors"] {
        write!(out, ",\"{name}_recursive\":null")?;
    }
    out.push_str("},\"num_procs\":0,\"storage_stats\":{},\"cpu_stats\":");
    write_cpu(out, now)?;
    out.push_str(",\"precpu_stats\":");
    write_cpu(out, before)?;
    out.push_str(",\"memory_stats\":");
    write_memory(out, &usage.memory)?;
    write!(out, ",\"name\":{},\"id\":\"{}\"", quoted(&format!("/{}", record.name)), record.id)?;
    if !now.interfaces.is_empty() {
        out.push_str(",\"networks\":{");
        list(out, &now.interfaces, write_interface)?;
        out.push('}');
    }
    out.push_str("}\n");
    Ok(())
}

/// Writes each of `all`, with commas between them.
fn list<T>(
    out: &mut String,
    all: &[T],
    one: impl Fn(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in all.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        one(out, item)?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_io(out: &mut String, all: &[Io]) -> fmt::Result {
    if all.is_empty() {
        out.push_str("null");
        return Ok(());
    }
    out.push('[');
    list(out, all, |out, Io { device: (major, minor), operation, value }| {
        write!(
            out,
            "{{\"major\":{major},\"minor\":{minor},\"op\":\"{operation}\",\"value\":{value}}}"
        )
    })?;
    out.push(']');
    Ok(())
}

fn write_cpu(out: &mut String, sample: &Sample) -> fmt::Result {
    let Cpu { total, user, system, each, throttled: [periods, times, time] } = &sample.usage.cpu;
    write!(out, "{{\"cpu_usage\":{{\"total_usage\":{total}")?;
    if !each.is_empty() {
        out.push_str(",\"percpu_usage\":[");
        list(out, each, |out, time| write!(out, "{time}"))?;
        out.push(']');
    }
    write!(out, ",\"usage_in_kernelmode\":{system},\"usage_in_usermode\":{user}}}")?;
    if sample.cpus > 0 {
        let (host, cpus) = (sample.host_time, sample.cpus);
        write!(out, ",\"system_cpu_usage\":{host},\"online_cpus\":{cpus}")?;
    }
    write!(
        out,
        ",\"throttling_data\":{{\"periods\":{periods},\"throttled_periods\":{times},\
         \"throttled_time\":{time}}}}}"
    )
}

fn write_memory(out: &mut String, memory: &Memory) -> fmt::Result {
    let Memory { usage, most, failures, limit, parts } = memory;
    if parts.is_empty() && *usage == 0 {
        out.push_str("{}");
        return Ok(());
    }
    write!(out, "{{\"usage\":{usage}")?;
    if *most > 0 {
        write!(out, ",\"max_usage\":{most}")?;
    }
    out.push_str(",\"stats\":{");
    list(out, parts, |out, (name, value)| write!(out, "\"{name}\":{value}"))?;
    out.push('}');
    if *failures > 0 {
        write!(out, ",\"failcnt\":{failures}")?;
    }
    write!(out, ",\"limit\":{limit}}}")
}

fn write_interface(out: &mut String, interface: &Interface) -> fmt::Result {
    write!(out, "{}:{{", quoted(&interface.name))?;
    let both = [("rx", &interface.received), ("tx", &interface.sent)];
    list(out, &both, |out, (way, [bytes, packets, errors, dropped])| {
        write!(
            out,
            "\"{way}_bytes\":{bytes},\"{way}_packets\":{packets},\"{way}_errors\":{errors},\
             \"{way}_dropped\":{dropped}"
        )
    })?;
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::base::{Digest, Id, Timestamp};
    use crate::container::DiskState;
    use crate::engine::Usage;
    use crate::model::{HostConfig, RunConfig};

    fn record() -> Record {
        Record {
            version: Record::VERSION,
            id: Id::random(),
            name: "web".into(),
            created: Timestamp::ZERO,
            image: Digest::of(b"x"),
            config: RunConfig::default(),
            host: HostConfig::default(),
            endpoints: BTreeMap::new(),
            mounts: Vec::new(),
            run: 1,
            restart_count: 0,
            stopped_by_user: false,
            state: DiskState::Starting,
        }
    }

    #[test]
    fn a_sample_is_shown_in_dockers_fields() {
        let usage = Usage {
            cpu: Cpu { total: 50, user: 30, system: 20, each: vec![20, 30], throttled: [1, 2, 3] },
            memory: Memory {
                usage: 7,
                most: 9,
                failures: 0,
                limit: 100,
                parts: vec![("cache".into(), 4)],
            },
            pids: Some((2, u64::MAX)),
            io_bytes: vec![Io { device: (8, 0), operation: "Read".into(), value: 4096 }],
            io_count: Vec::new(),
        };
        let interface =
            Interface { name: "e\"0".into(), received: [1, 2, 3, 4], sent: [5, 6, 7, 8] };
        let now = Sample {
            usage,
            host_time: 1000,
            cpus: 2,
            interfaces: vec![interface],
            ..Sample::default()
        };
        let record = record();
        let text = stats(&record, &Sample::default(), &now);
        let shown: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(shown["cpu_stats"]["cpu_usage"]["percpu_usage"], json!([20, 30]));
        assert_eq!(shown["cpu_stats"]["throttling_data"]["throttled_time"], 3);
        assert_eq!(shown["cpu_stats"]["online_cpus"], 2);
        assert_eq!(shown["precpu_stats"]["cpu_usage"]["total_usage"], 0);
        assert_eq!(shown["precpu_stats"]["system_cpu_usage"], Value::Null);
        assert_eq!(shown["memory_stats"]["stats"]["cache"], 4);
        assert_eq!(shown["memory_stats"]["limit"], 100);
        assert_eq!(shown["pids_stats"], json!({"current": 2, "limit": u64::MAX}));
        assert_eq!(shown["blkio_stats"]["io_service_bytes_recursive"][0]["value"], 4096);
        assert_eq!(shown["networks"]["e\"0"]["tx_dropped"], 8);
        assert_eq!((&shown["name"], &shown["id"]), (&json!("/web"), &json!(record.id.as_str())));
        let empty: Value =
            serde_json::from_slice(&stats(&record, &Sample::default(), &Sample::default()))
                .unwrap();
        assert_eq!(empty["read"], "0001-01-01T00:00:00Z");
        assert_eq!((&empty["memory_stats"], &empty["networks"]), (&json!({}), &Value::Null));
    }
}
