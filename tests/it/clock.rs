//! Clocks that are set while containers run, as on hosts that do not know the day at first. The
//! daemon gets a C library whose clock of the day is off by what a file says.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Daemon, SOON, Setup, wait_until};

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) {
    char text[32] = {0};
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
      if (read(file, text, 31) > 0) time->tv_sec += atol(text);
      close(file);
    }
  }
  return result;
}
"#;

/// Some day in 1973; some day in decades to come.
const PAST: i64 = -1_700_000_000;
const FUTURE: i64 = 900_000_000;

struct Clock {
    dir: std::path::PathBuf,
}

impl Clock {
    fn make() -> Option<Clock> {
        let dir = std::env::temp_dir().join(format!(
            "skiff-clock-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::create_dir_all(&dir).unwrap();
        let clock = Clock { dir };
        fs::write(clock.path("c.c"), LIBRARY).unwrap();
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([clock.path("c.so"), clock.path("c.c")])
            .status();
        clock.set(0);
        made.is_ok_and(|status| status.success()).then_some(clock)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.join(name)
    }

    fn set(&self, offset: i64) {
        fs::write(self.path("new"), offset.to_string()).unwrap();
        fs::rename(self.path("new"), self.path("offset")).unwrap();
    }

    fn daemon(&self, offset: i64) -> Daemon {
        self.set(offset);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        Setup::new()
            .env("LD_PRELOAD", &text(&self.path("c.so")))
            .env("CLOCK_OFFSET", &text(&self.path("offset")))
            .start()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Whether the daemon is where the library puts it; a static one has no use for it.
fn is_off(d: &Daemon) -> bool {
    !d.api("GET", "/info").expect(200)["SystemTime"].as_str().unwrap().starts_with("202")
}

#[test]
fn health_and_its_start_period_are_no_matter_of_the_day() {
    let Some(clock) = Clock::make() else { skip!("no C compiler") };
    let d = clock.daemon(PAST);
    if !is_off(&d) {
        skip!("the binary is static");
    }
    // Monitors have the real clock, and tell when a run began.
    clock.set(0);
    let failing = ["--health-cmd", "false", "--health-interval", "100ms", "--health-retries", "1"];
    let args = ["run", "-d", "--name", "slow", "--health-start-period", "10m"];
    let rest = ["--health-start-interval", "100ms", "busybox", "sleep", "1000"];
    d.ok([&args[..], &failing, &rest].concat());
    let checked = |year: &str| {
        let health = &d.inspect("slow")["State"]["Health"];
        assert_eq!(health["Status"], "starting");
        let log = health["Log"].as_array().unwrap();
        log.len() == 5 && log.iter().all(|check| check["Start"].as_str().unwrap().starts_with(year))
    };
    wait_until("it was checked in the present", || checked("202"));
    clock.set(FUTURE);
    wait_until("it was checked in the future", || checked("205"));
    clock.set(PAST);
    wait_until("it was checked in the past", || checked("197"));
}

#[test]
fn times_to_wait_are_no_matter_of_the_day() {
    let Some(clock) = Clock::make() else { skip!("no C compiler") };
    let d = clock.daemon(FUTURE);
    if !is_off(&d) {
        skip!("the binary is static");
    }
    let deaf = "trap '' TERM; while :; do sleep 0.1; done";
    d.ok(["run", "-d", "--name", "deaf", "busybox", "sh", "-c", deaf]);
    d.ok(["run", "-d", "--name", "again", "--restart", "always", "busybox", "false"]);
    for (from, to) in [(0, FUTURE), (FUTURE, PAST), (PAST, 0)] {
        clock.set(from);
        let began = Instant::now();
        let mut stop = d.cli(["stop", "-t", "1", "deaf"]).spawn();
        std::thread::sleep(Duration::from_millis(300));
        clock.set(to);
        assert_eq!(stop.wait(SOON).code, 0);
        let took = began.elapsed();
        assert!(took > Duration::from_millis(900), "{took:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
        d.ok(["start", "deaf"]);
        let count = || d.inspect("again")["RestartCount"].as_u64().unwrap();
        let before = count();
        wait_until("it was started again", || count() > before);
    }
}

#[test]
fn events_of_a_clock_that_was_wrong_hide_none_of_later() {
    let Some(clock) = Clock::make() else { skip!("no C compiler") };
    let mut d = clock.daemon(FUTURE);
    if !is_off(&d) {
        skip!("the binary is static");
    }
    d.ok(["create", "--name", "early", "busybox", "true"]);
    for restart in [false, true] {
        clock.set(0);
        if restart {
            d.restart();
        }
        d.ok(["create", "--name", "late", "busybox", "true"]);
        let events = ["events", "--since", "1m", "--until", "0s", "--filter", "event=create"];
        let told = d.ok([&events[..], &["--format", "{{.Actor.Attributes.name}}"]].concat());
        assert!(told.lines().next_back() == Some("late"), "{told}");
        assert!(!told.contains("early"), "{told}");
        d.ok(["rm", "late"]);
    }
}
