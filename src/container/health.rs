//! Health checks: what is to be run when, and what the outcomes come to.
//!
//! ```text
//! starting ──success──> healthy <──success── unhealthy
//!     └──── so many failures ┴─── in a row ──────^
//! ```
//!
//! Failures of one that is starting do not count during its start period.

use std::time::Duration;

use crate::base::{Error, Result};
use crate::model::{Health, HealthResult, HealthStatus, Healthcheck, RunConfig};

/// Checks that are remembered.
const REMEMBERED: usize = 5;
/// Bytes that are kept of what a check says.
const OUTPUT: usize = 4096;
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// The shortest time that may be asked for, in nanoseconds.
const SHORTEST: i64 = 1_000_000;
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// A health check with all that was left open filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is run.
    pub command: Vec<String>,
    /// What a check may take.
    pub timeout: Duration,
    /// Between two checks.
    pub interval: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

/// Whether a container of this configuration is checked.
pub fn is_checked(config: &RunConfig) -> bool {
    config.healthcheck.as_ref().is_some_and(|check| command(check, config).is_some())
}

/// How a container of this configuration is checked, if it is.
pub fn plan(config: &RunConfig) -> Option<Plan> {
    let check = config.healthcheck.as_ref()?;
    let time = |nanos: i64, default: Duration| match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
        _ => default,
    };
    Some(Plan {
        command: command(check, config)?,
        timeout: time(check.timeout, TIMEOUT),
        interval: time(check.interval, INTERVAL),
        start_period: time(check.start_period, Duration::ZERO),
        start_interval: time(check.start_interval, START_INTERVAL),
        retries: u32::try_from(check.retries).ok().filter(|n| *n > 0).unwrap_or(RETRIES),
    })
}

/// The program and its arguments; none for `NONE`, and for what an image says in vain.
fn command(check: &Healthcheck, config: &RunConfig) -> Option<Vec<String>> {
    let (kind, words) = check.test.split_first().filter(|(_, words)| !words.is_empty())?;
    match kind.as_str() {
        "CMD" => Some(words.to_vec()),
        "CMD-SHELL" => {
            let shell = config.shell.clone().filter(|shell| !shell.is_empty());
            let mut line = shell.unwrap_or_else(|| SHELL.map(str::to_owned).to_vec());
            line.extend(words.iter().cloned());
            Some(line)
        }
        _ => None,
    }
}

/// Checks what a request asks for.
///
/// # Errors
/// `BadParameter`.
pub fn validate(check: &Healthcheck) -> Result<()> {
    let Healthcheck { test, interval, timeout, start_period, start_interval, retries } = check;
    for (name, nanos) in [
        ("Interval", interval),
        ("Timeout", timeout),
        ("StartPeriod", start_period),
        ("StartInterval", start_interval),
    ] {
        if *nanos != 0 && *nanos < SHORTEST {
            let text = format!("{name} in Healthcheck cannot be less than 1ms");
            return Err(Error::bad_parameter(text));
        }
    }
    if *retries < 0 {
        return Err(Error::bad_parameter("Retries in Healthcheck cannot be negative"));
    }
    match test.first().map(String::as_str) {
        None | Some("" | "NONE") => Ok(()),
        Some("CMD" | "CMD-SHELL") if test.len() > 1 => Ok(()),
        Some("CMD" | "CMD-SHELL") => Err(Error::bad_parameter("Healthcheck has no command")),
        Some(other) => {
            let text = format!("unknown type of Healthcheck: {other} (CMD, CMD-SHELL or NONE)");
            Err(Error::bad_parameter(text))
        }
    }
}

impl Plan {
    /// The pause before the next check of a container that has run for `age`.
    pub fn pause(&self, health: &Health, age: Duration) -> Duration {
        let starts = health.status == HealthStatus::Starting && age < self.start_period;
        if starts { self.start_interval } else { self.interval }
    }

    /// Adds the result of a check that began when the container had run for `age`; gives whether
    /// the status has changed.
    pub fn judge(&self, health: &mut Health, mut result: HealthResult, age: Duration) -> bool {
        let before = health.status;
        if result.code == 0 {
            health.failing_streak = 0;
            health.status = HealthStatus::Healthy;
        } else if before != HealthStatus::Starting || age >= self.start_period {
            health.failing_streak = health.failing_streak.saturating_add(1);
            if health.failing_streak >= self.retries {
                health.status = HealthStatus::Unhealthy;
            }
        }
        shorten(&mut result.output);
        if health.log.len() >= REMEMBERED {
            health.log.remove(0);
        }
        health.log.push(result);
        health.status != before
    }
}

fn shorten(text: &mut String) {
    const MARK: &str = "...";
    if text.len() > OUTPUT {
        let mut end = OUTPUT - MARK.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MARK);
    }
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    fn config(test: &[&str]) -> RunConfig {
        let test = test.iter().map(|word| (*word).to_owned()).collect();
        let healthcheck = Some(Healthcheck { test, ..Healthcheck::default() });
        RunConfig { healthcheck, ..RunConfig::default() }
    }

    fn result(code: i32) -> HealthResult {
        let at = Timestamp::ZERO;
        HealthResult { start: at, end: at, code, output: "x".repeat(5000) }
    }

    #[test]
    fn what_is_left_open_is_filled_in() {
        let found = plan(&config(&["CMD-SHELL", "a b"])).unwrap();
        assert_eq!(found.command, ["/bin/sh", "-c", "a b"]);
        assert_eq!((found.interval, found.timeout, found.retries), (INTERVAL, TIMEOUT, RETRIES));
        let mut own = config(&["CMD", "a", "b"]);
        own.healthcheck.as_mut().unwrap().interval = 5_000_000;
        own.healthcheck.as_mut().unwrap().retries = 1;
        let found = plan(&own).unwrap();
        assert_eq!((found.command.len(), found.retries), (2, 1));
        assert_eq!(found.interval, Duration::from_millis(5));
        let mut own = config(&["CMD-SHELL", "x"]);
        own.shell = Some(vec!["/bin/ash".into(), "-ec".into()]);
        assert_eq!(plan(&own).unwrap().command, ["/bin/ash", "-ec", "x"]);
        for none in [&["NONE"][..], &[], &["CMD"], &["ODD", "x"]] {
            assert!(plan(&config(none)).is_none() && !is_checked(&config(none)), "{none:?}");
        }
    }

    #[test]
    fn requests_are_checked() {
        let check = |change: fn(&mut Healthcheck), expected: &str| {
            let mut asked = config(&["CMD", "x"]).healthcheck.unwrap();
            change(&mut asked);
            let said = validate(&asked).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(said, expected);
        };
        check(|_| (), "");
        check(|asked| asked.test.clear(), "");
        check(|asked| asked.interval = 999_999, "Interval in Healthcheck cannot be less than 1ms");
        check(
            |asked| asked.start_period = -1,
            "StartPeriod in Healthcheck cannot be less than 1ms",
        );
        check(|asked| asked.retries = -1, "Retries in Healthcheck cannot be negative");
        check(|asked| asked.test.truncate(1), "Healthcheck has no command");
        check(
            |asked| asked.test[0] = "RUN".into(),
            "unknown type of Healthcheck: RUN (CMD, CMD-SHELL or NONE)",
        );
    }

    #[test]
    fn outcomes_come_to_a_status() {
        let plan = Plan {
            start_period: Duration::from_secs(10),
            retries: 2,
            ..plan(&config(&["CMD", "x"])).unwrap()
        };
        let (young, old) = (Duration::from_secs(9), Duration::from_secs(10));
        let mut health = Health::default();
        assert_eq!(plan.pause(&health, young), START_INTERVAL);
        for _ in 0..9 {
            assert!(!plan.judge(&mut health, result(1), young));
        }
        assert_eq!((health.failing_streak, health.log.len()), (0, REMEMBERED));
        assert_eq!(health.log[0].output.len(), OUTPUT);
        assert!(!plan.judge(&mut health, result(1), old));
        assert!(plan.judge(&mut health, result(-1), old));
        assert_eq!(health.status, HealthStatus::Unhealthy);
        assert!(plan.judge(&mut health, result(0), old));
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Healthy, 0));
        // A success ends the start period.
        assert_eq!(plan.pause(&health, young), INTERVAL);
        assert!(!plan.judge(&mut health, result(1), young));
        assert!(plan.judge(&mut health, result(1), young));
    }
}
