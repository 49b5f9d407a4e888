//! Values of query parameters, as Docker reads them.

use crate::base::{Error, Result, Timestamp};

/// Everything but nothing, `0`, `no`, `false` and `none` is true.
pub fn boolean(text: Option<&str>) -> bool {
    let text = text.unwrap_or_default().trim().to_ascii_lowercase();
    !matches!(&*text, "" | "0" | "no" | "false" | "none")
}

/// A whole number; `None` when it is absent or empty.
///
/// # Errors
/// `BadParameter`, naming the parameter.
pub fn integer(name: &str, text: Option<&str>) -> Result<Option<i64>> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::bad_parameter(format!("invalid value for {name}: {text:?}"))),
        },
    }
}

/// Seconds since 1970 with an optional fraction, or RFC 3339; `None` when absent, empty or 0.
///
/// # Errors
/// `BadParameter`, naming the parameter.
pub fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>> {
    let text = text.unwrap_or_default();
    if matches!(text, "" | "0") {
        return Ok(None);
    }
    let parsed = seconds(text).or_else(|| Timestamp::parse_rfc3339(text));
    match parsed {
        Some(time) => Ok(Some(time)),
        None => Err(Error::bad_parameter(format!("invalid value for {name}: {text:?}"))),
    }
}

fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}")[..9].parse().ok()?;
    Some(Timestamp { seconds: whole.parse().ok()?, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_docker_reads_them() {
        for yes in ["1", "true", "True", "yes", "x"] {
            assert!(boolean(Some(yes)), "{yes}");
        }
        for no in [None, Some(""), Some("0"), Some("FALSE"), Some("no"), Some(" none ")] {
            assert!(!boolean(no), "{no:?}");
        }
        assert_eq!(integer("t", Some("-1")).unwrap(), Some(-1));
        assert_eq!(integer("t", Some("")).unwrap(), None);
        assert!(integer("t", Some("x")).unwrap_err().to_string().contains('t'));

        let check = |text: &str, seconds, nanos| {
            let time = time("since", Some(text)).unwrap();
            assert_eq!(time, Some(Timestamp { seconds, nanos }), "{text}");
        };
        check("1374067924", 1_374_067_924, 0);
        check("1374067924.5", 1_374_067_924, 500_000_000);
        check("1374067924.000000001", 1_374_067_924, 1);
        check("1970-01-01T00:00:01Z", 1, 0);
        assert_eq!(time("since", Some("0")).unwrap(), None);
        for bad in ["x", "1.", "1.x", ".5", "1.5é"] {
            assert!(time("since", Some(bad)).is_err(), "{bad}");
        }
    }
}
