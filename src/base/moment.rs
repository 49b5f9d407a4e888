//! Durations and points in time as people type them.

use std::time::Duration;

use super::{Timestamp, Zone};

/// A duration as Go writes it: `300ms`, `1.5h`, `2h45m`.
///
/// # Errors
/// What is none, in Go's words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("time: invalid duration {text:?}");
    let mut rest = text;
    let mut nanos = 0.0;
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let unit = rest[number..].find(|c: char| c.is_ascii_digit() || c == '.');
        let end = unit.map_or(rest.len(), |at| number + at);
        let factor = match &rest[number..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        nanos += rest[..number].parse::<f64>().map_err(|_| wrong())? * factor;
        rest = &rest[end..];
    }
    if text.is_empty() || nanos > 9.2e18 {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(nanos / 1e9).map_err(|_| wrong())
}

/// A point in time: RFC 3339, a date with or without a time by the clock of this place as it goes
/// now, seconds since 1970, or a duration that lies so far back from `now`.
///
/// # Errors
/// What is none of these.
pub fn point(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    point_at(text, now, Zone::here().at(now.seconds).0)
}

fn point_at(text: &str, now: Timestamp, offset: i32) -> Result<Timestamp, String> {
    let wrong = || format!("failed to parse value as time or duration: {text:?}");
    let (seconds, nanos) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits(seconds) && digits(nanos) {
        let nanos = format!("{nanos:0<9.9}").parse().map_err(|_| wrong())?;
        return Ok(Timestamp { seconds: seconds.parse().map_err(|_| wrong())?, nanos });
    }
    if let Ok(ago) = duration(text) {
        let seconds = now.seconds.saturating_sub(i64::try_from(ago.as_secs()).unwrap_or(i64::MAX));
        return Ok(Timestamp { seconds, nanos: now.nanos });
    }
    let has_zone = text.ends_with('Z') || text.get(10..).is_some_and(|t| t.contains(['+', '-']));
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        13 => format!("{text}:00:00Z"),
        16 => format!("{text}:00Z"),
        _ if has_zone => text.to_owned(),
        _ => format!("{text}Z"),
    };
    let at = Timestamp::parse_rfc3339(&full).ok_or_else(wrong)?;
    let offset = if has_zone { 0 } else { i64::from(offset) };
    Ok(Timestamp { seconds: at.seconds - offset, ..at })
}

/// The same as the API takes it: seconds with nine digits.
///
/// # Errors
/// Those of [`point`].
pub fn point_in_time(text: &str, now: Timestamp) -> Result<String, String> {
    point(text, now).map(|at| format!("{}.{:09}", at.seconds, at.nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_points_in_time() {
        assert_eq!(duration("2h45m"), Ok(Duration::from_secs(9_900)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "5", "x", "5y", "s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        let now = Timestamp { seconds: 100, nanos: 5 };
        let at = |text| point_in_time(text, now);
        assert_eq!(at("10").as_deref(), Ok("10.000000000"));
        assert_eq!(at("10.5").as_deref(), Ok("10.500000000"));
        assert_eq!(at("1m").as_deref(), Ok("40.000000005"));
        assert_eq!(at("1970-01-01T01:00:00+01:00").as_deref(), Ok("0.000000000"));
        assert!(at("x").is_err());
        let by = |text, offset| point_at(text, now, offset).map(|at| at.seconds);
        assert_eq!(by("1970-01-02", 0), Ok(86_400));
        assert_eq!(by("1970-01-01T00:01", 0), Ok(60));
        assert_eq!(by("1970-01-02", 3_600), Ok(82_800));
        assert_eq!(by("1970-01-01T01:00:00Z", 3_600), Ok(3_600));
    }
}
