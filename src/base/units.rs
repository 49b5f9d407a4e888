//! Sizes and ages for people, and sizes as people type them.

use std::time::Duration;

/// `bytes` divided by 1000 until it is below, with `digits` significant digits, trailing zeros
/// dropped, and `separator` before the unit: `131MB`, `1.02kB`, `0B`.
pub fn human_size(bytes: u64, digits: usize, separator: &str) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"], digits, separator)
}

/// `bytes` divided by 1024 until it is below, four significant digits: `7.771GiB`.
pub fn binary_size(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4, "")
}

#[allow(clippy::cast_precision_loss)] // Three or four digits are shown of it.
fn scaled(bytes: u64, base: f64, units: &[&str], digits: usize, separator: &str) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{separator}{}", significant(value, digits), units[unit])
}

/// As C's `%.{digits}g` does it for values that need no exponent.
fn significant(value: f64, digits: usize) -> String {
    let mut whole = 1;
    let mut limit = 10.0;
    while value >= limit {
        whole += 1;
        limit *= 10.0;
    }
    let text = format!("{value:.*}", digits.saturating_sub(whole));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// An age as today's clients show it: `Less than a second`, `5 minutes`, `About an hour`.
pub fn human_duration(age: Duration) -> String {
    let seconds = age.as_secs();
    let minutes = seconds / 60;
    // Hours are rounded to the nearest one, as Docker's clients do.
    let hours = (seconds + 1_800) / 3_600;
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

/// Parses a size as `--memory` takes it: a decimal number, perhaps with a fraction, an optional
/// space, and a suffix `b k m g t p` or `kb…` or `kib…` in any case; 1024-based.
///
/// # Errors
/// The text that today's command line shows: `invalid size: 'x'` or `invalid suffix: 'x'`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, suffix) = text.split_at(digits);
    let number: f64 = match number.parse() {
        Ok(number) if !number_is_odd(text) => number,
        _ => return Err(invalid()),
    };
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix);
    let power = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(format!("invalid suffix: '{suffix}'")),
    };
    let bytes = number * 1024f64.powi(power);
    if !(0.0..9_007_199_254_740_992_000.0).contains(&bytes) {
        return Err(invalid());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // The range was checked.
    Ok(bytes as u64)
}

fn number_is_odd(text: &str) -> bool {
    text.starts_with('.') && !text[1..].starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_with_their_significant_digits() {
        let check = |bytes, digits, separator, expected: &str| {
            assert_eq!(human_size(bytes, digits, separator), expected);
        };
        check(0, 3, "", "0B");
        check(999, 3, "", "999B");
        check(1_024, 3, "", "1.02kB");
        check(1_024, 4, " ", "1.024 kB");
        check(131_300_000, 3, "", "131MB");
        check(1_000, 4, " ", "1 kB");
        check(999_960, 4, " ", "1000 kB");
        assert_eq!(binary_size(6 * 1024 * 1024), "6MiB");
    }

    #[test]
    fn sizes_are_read_as_typed() {
        let check = |text: &str, expected: Result<u64, &str>| {
            assert_eq!(parse_size(text), expected.map_err(str::to_owned), "{text}");
        };
        check("512", Ok(512));
        check("4m", Ok(4 << 20));
        check("1.5 GiB", Ok(3 << 29));
        check("2gb", Ok(2 << 30));
        check("x", Err("invalid size: 'x'"));
        check("", Err("invalid size: ''"));
        check("-1", Err("invalid size: '-1'"));
        check("1.2.3", Err("invalid size: '1.2.3'"));
        check("5q", Err("invalid suffix: 'q'"));
        check("99999999p", Err("invalid size: '99999999p'"));
    }

    #[test]
    fn ages_read_as_docker_writes_them() {
        let check = |seconds, expected: &str| {
            assert_eq!(human_duration(Duration::from_secs(seconds)), expected);
        };
        check(0, "Less than a second");
        check(1, "1 second");
        check(59, "59 seconds");
        check(61, "About a minute");
        check(3_000, "50 minutes");
        check(3_600, "About an hour");
        check(7_200, "2 hours");
        check(86_400 * 3, "3 days");
        check(86_400 * 21, "3 weeks");
        check(86_400 * 90, "3 months");
        check(86_400 * 800, "2 years");
    }
}
