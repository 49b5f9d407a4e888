//! Points in time as the API writes them, and ages as people read them.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: nanoseconds since 1970 (UTC). Shown to people and stored; waiting is done
/// with [`std::time::Instant`], since this clock can jump.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp {
    /// Whole seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds of the second, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// "Never", as the API writes it: year 1.
    pub const ZERO: Timestamp = Timestamp { seconds: -62_135_596_800, nanos: 0 };

    /// The present.
    pub fn now() -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp::from_unix(since),
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Timestamp { seconds: -whole, nanos: 0 },
                    nanos => Timestamp { seconds: -whole - 1, nanos: 1_000_000_000 - nanos },
                }
            }
        }
    }

    /// When the file at `path` was written last.
    pub fn of_file(path: &Path) -> Option<Timestamp> {
        let written = std::fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
        Some(Timestamp::from_unix(written.duration_since(UNIX_EPOCH).ok()?))
    }

    /// `since` after 1970.
    pub fn from_unix(since: Duration) -> Timestamp {
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Timestamp { seconds, nanos: since.subsec_nanos() }
    }

    /// Time from `earlier` to `self`; zero when the clock went backwards.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let nanos = |t: Timestamp| i128::from(t.seconds) * 1_000_000_000 + i128::from(t.nanos);
        let between = (nanos(self) - nanos(earlier)).max(0);
        let seconds = u64::try_from(between / 1_000_000_000).unwrap_or(u64::MAX);
        let rest = u32::try_from(between % 1_000_000_000).unwrap_or(0);
        Duration::new(seconds, rest)
    }

    /// Civil date and time in UTC: year, month, day, hour, minute, second.
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32) {
        let days = self.seconds.div_euclid(86_400);
        let second_of_day = self.seconds.rem_euclid(86_400);
        // Howard Hinnant's civil_from_days.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        let small = |n: i64| u32::try_from(n).unwrap_or(0);
        (
            year,
            small(month),
            small(day),
            small(second_of_day / 3_600),
            small(second_of_day / 60 % 60),
            small(second_of_day % 60),
        )
    }

    /// The civil time `offset_seconds` east of UTC as `2006-01-02 15:04:05`.
    pub fn local(self, offset_seconds: i32) -> String {
        let (year, month, day, h, m, s) =
            Timestamp { seconds: self.seconds + i64::from(offset_seconds), nanos: 0 }.civil();
        format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}")
    }

    /// RFC 3339 in UTC with `digits` (0 to 9) digits of the second's fraction.
    pub fn rfc3339(self, digits: usize) -> String {
        let (year, month, day, h, m, s) = self.civil();
        let mut text = format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}");
        if digits > 0 {
            text.push('.');
            text.push_str(&format!("{:09}", self.nanos)[..digits.min(9)]);
        }
        text.push('Z');
        text
    }

    /// RFC 3339 by the clock `offset_seconds` east of UTC.
    pub fn rfc3339_at(self, digits: usize, offset_seconds: i32) -> String {
        let there = Timestamp { seconds: self.seconds + i64::from(offset_seconds), ..self };
        let text = there.rfc3339(digits);
        match offset_seconds {
            0 => text,
            _ => format!("{}{}", text.trim_end_matches('Z'), offset(offset_seconds, ":")),
        }
    }

    /// RFC 3339 with three digits, for logs.
    pub fn rfc3339_millis(self) -> String {
        self.rfc3339(3)
    }

    /// Parses RFC 3339: `2006-01-02T15:04:05[.fraction](Z|+hh:mm|-hh:mm)`.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        let bytes = text.as_bytes();
        if !text.is_ascii() || bytes.len() < 20 {
            return None;
        }
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if separators.iter().any(|&(at, c)| bytes[at].to_ascii_uppercase() != c) {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<i64> {
            let part = &text[from..to];
            part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (h, m, s) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || h > 23 || m > 59 || s > 60 {
            return None;
        }
        let mut rest = &text[19..];
        let mut nanos = 0u32;
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            let padded = format!("{:0<9}", &fraction[..digits]);
            nanos = padded[..9].parse().ok()?;
            rest = &fraction[digits..];
        }
        let offset = match rest.as_bytes() {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), zone @ ..] if zone.len() == 5 && zone[2] == b':' => {
                let from = text.len() - 5;
                let minutes = number(from, from + 2)? * 60 + number(from + 3, from + 5)?;
                if *sign == b'-' { -minutes * 60 } else { minutes * 60 }
            }
            _ => return None,
        };
        let seconds = days_from_civil(year, month, day) * 86_400 + h * 3_600 + m * 60 + s - offset;
        Some(Timestamp { seconds, nanos })
    }
}

/// `+01:00`, with `between` between hours and minutes.
pub fn offset(seconds: i32, between: &str) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60)
}

/// Days from 1970 to a date.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, trailing zeros of the fraction dropped, as Go writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.nanos);
        f.write_str(&self.rfc3339(fraction.trim_end_matches('0').len()))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text)
            .ok_or_else(|| serde::de::Error::custom("not a time in RFC 3339"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_go_does() {
        let check = |text: &str, seconds: i64, nanos: u32| {
            let time = Timestamp { seconds, nanos };
            assert_eq!(Timestamp::parse_rfc3339(text), Some(time), "{text}");
            assert_eq!(time.to_string(), text);
        };
        check("1970-01-01T00:00:00Z", 0, 0);
        check("2013-10-15T12:00:00.5Z", 1_381_838_400, 500_000_000);
        check("2024-02-29T23:59:59.000000001Z", 1_709_251_199, 1);
        check("0001-01-01T00:00:00Z", Timestamp::ZERO.seconds, 0);
        check("1969-12-31T23:59:59Z", -1, 0);
        let east = Timestamp::parse_rfc3339("2013-10-15T14:00:00+02:00").unwrap();
        assert_eq!(east.seconds, 1_381_838_400);
        for bad in ["", "2013-10-15", "2013-13-15T12:00:00Z", "2013-10-15T12:00:00.Z", "é"] {
            assert_eq!(Timestamp::parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_written_by_other_clocks() {
        let time = Timestamp { seconds: 1_381_838_400, nanos: 5 };
        assert_eq!(time.rfc3339_at(9, 7_200), "2013-10-15T14:00:00.000000005+02:00");
        assert_eq!(time.rfc3339_at(0, -12_600), "2013-10-15T08:30:00-03:30");
        assert_eq!(time.rfc3339_at(0, 0), "2013-10-15T12:00:00Z");
        assert_eq!(offset(-12_600, ""), "-0330");
    }

    #[test]
    fn an_age_is_never_negative() {
        let later = Timestamp { seconds: 10, nanos: 0 };
        let earlier = Timestamp { seconds: 8, nanos: 999_999_999 };
        assert_eq!(later.since(earlier), Duration::new(1, 1));
        assert_eq!(earlier.since(later), Duration::ZERO);
    }
}
