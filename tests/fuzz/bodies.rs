//! Bodies, queries and the small languages in them.

use std::hint::black_box;

use skiff::model::{Reference, Signal};
use skiff::wire::container::CreateRequest;
use skiff::wire::{detach, filters, json, old, query};

use crate::mutate::seeds;

/// Keeps the call from being optimised away; the outcome may be either.
fn look<T>(outcome: T) {
    drop(black_box(outcome));
}

/// What patterns are matched with.
fn images() -> Vec<skiff::wire::image::Summary> {
    let repo_tags = ["u:1", "u/d:2", "host:5000/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b:3"];
    let repo_tags = repo_tags.map(str::to_owned).to_vec();
    vec![skiff::wire::image::Summary { repo_tags, ..Default::default() }]
}

#[test]
fn bodies_of_create() {
    let seeds = seeds(&[
        r#"{"Image":"busybox","Cmd":["sh","-c","echo \u00e9"],"Env":["A=b"],"Labels":{"a":"b"},"ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},"Entrypoint":"x","Healthcheck":{"Test":["NONE"],"Interval":1000000000}}"#,
        r#"{"Image":"x","HostConfig":{"Binds":["/a:/b:ro"],"Memory":4194304,"NanoCpus":500000000,"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true}],"LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}},"Tmpfs":{"/t":"size=1m"},"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/x","CgroupPermissions":"rwm"}]}}"#,
        r#"{"Image":"x","PortSpecs":["8080:80/udp",":1","0"],"Volumes":{"/v":{}},"VolumesFrom":"a,b","Memory":524288}"#,
        r#"{"Binds":[],"LxcConf":[{"Key":"lxc.cgroup.memory.limit_in_bytes","Value":"512M"}]}"#,
        r#"{"image":"x","IMAGE":"y","NetworkingConfig":{"EndpointsConfig":{"none":{"IPAMConfig":null,"Aliases":[]}}}}"#,
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    ]);
    crate::fuzz("bodies", &seeds, |input| {
        look(CreateRequest::read(input));
        look(old::read::<old::config::Config>(input).and_then(old::config::Config::into_request));
        look(old::read::<old::config::HostConfig>(input).and_then(old::config::HostConfig::limits));
        look(json::from_answer::<serde_json::Value>(input));
    });
}

#[test]
fn filters_queries_keys_references_and_signals() {
    let seeds = seeds(&[
        r#"{"name":["a"],"label":{"x=y":true}}"#,
        "a=1&b=x%20y&c=%zz&d",
        "ctrl-p,ctrl-q",
        "localhost:5000/library/busy-box_x:v1.2@sha256:0123456789012345678901234567890123456789012345678901234567890123",
        "2025-01-02T15:04:05.123456789Z",
        "1700000000.000000001",
        "SIGKILL",
        "/v1.6//images/../a/./%2e",
        "*a[^b-z]?\\**/*[",
    ]);
    crate::fuzz("small languages", &seeds, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        look(filters::parse(text));
        look(detach::parse(text));
        look(old::cleaned(text));
        look(old::boolean(text));
        look(old::integer(text));
        look(old::image::list(&images(), true, text));
        look(query::time("since", Some(text)));
        look(query::integer("t", Some(text)));
        look(Reference::parse(text));
        look(Signal::parse(text));
        look(skiff::http::Query::parse(text));
        look(skiff::base::Timestamp::parse_rfc3339(text));
        look(skiff::base::units::parse_size(text));
    });
}
