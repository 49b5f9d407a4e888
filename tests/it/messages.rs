//! Damaged messages to a running monitor: its container must not notice.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Daemon, SOON, Seqpacket, count, wait_for};
use crate::mutate::{Source, seeds};

#[test]
fn a_monitor_takes_any_packet() {
    let d = Daemon::start();
    let script = "trap 'exit 4' TERM; while read l; do echo $l; done; while :; do sleep 0.05; done";
    let id = d.ok(["run", "-d", "-i", "--name", "cx", "busybox", "sh", "-c", script]);
    let dir = d.run_root().join(&id);
    let seeds = seeds(&[
        r#"{"request":"status"}"#,
        r#"{"request":"watch"}"#,
        r#"{"request":"attach","session":"main","options":{"stdin":true,"stdout":true,"stderr":true,"logs":true,"stream":true,"framed":true},"detach_keys":[16,17]}early"#,
        r#"{"request":"resize","session":"main","rows":24,"columns":80}"#,
        r#"{"request":"nonsense"}"#,
    ]);
    let end = Instant::now() + Duration::from_secs(count(1, 150) as u64);
    let mut seed = 1;
    while Instant::now() < end {
        let connection = Seqpacket::connect(&dir, "monitor.sock");
        for _ in 0..4 {
            let packet = Source::new(seed).damaged(&seeds);
            seed += 1;
            // Of signals and the end, which damage may spell by chance, it would take note.
            let text = String::from_utf8_lossy(&packet).into_owned();
            if !text.contains("signal") && !text.contains("kill") && !packet.is_empty() {
                connection.send(&packet);
            }
        }
    }
    assert_eq!(d.status("cx"), "running", "after {seed} packets");
    let mut attached = d.cli(["attach", "cx"]).spawn();
    let answers = wait_for(SOON, || {
        attached.write("well\n");
        attached.stdout.wait(Duration::from_millis(100), |bytes, _| bytes.starts_with(b"well\n"))
    });
    assert!(answers, "after {seed} packets");
    d.ok(["stop", "cx"]);
    assert_eq!(d.inspect("cx")["State"]["ExitCode"], json!(4));
    drop(attached);
    d.assert_nothing_left_behind();
}
