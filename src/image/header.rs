//! What a tar header and its PAX records say, field by field.
//!
//! Everything here comes from strangers: numbers are bounded, nothing panics.

use crate::base::{Error, Result};

/// Size of a header, and what everything in a tar is padded to.
pub(super) const BLOCK: usize = 512;

/// The tar is not what it should be.
pub(super) fn damaged(what: &str) -> Error {
    Error::bad_parameter(format!("damaged tar: {what}"))
}

/// A number field: octal digits among blanks, or, with the top bit of the first byte set, two's
/// complement in base 256. An empty field is 0.
pub(super) fn number(field: &[u8]) -> Result<i64> {
    let first = *field.first().ok_or_else(|| damaged("an empty field"))?;
    if first & 0x80 != 0 {
        // Bit 6 is the sign; the bits above the value repeat it.
        let mut value = if first & 0x40 != 0 { -1i64 } else { 0 };
        let lowest = (first & 0x3f) | if first & 0x40 != 0 { 0xc0 } else { 0 };
        for byte in std::iter::once(lowest).chain(field[1..].iter().copied()) {
            value = value.checked_mul(256).ok_or_else(|| damaged("a number is too large"))?;
            value |= i64::from(byte);
        }
        return Ok(value);
    }
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let digits = field.iter().copied().skip_while(blank).take_while(|b| !blank(b));
    let mut value = 0i64;
    for digit in digits {
        if !(b'0'..=b'7').contains(&digit) {
            return Err(damaged("a number field holds no number"));
        }
        value = value
            .checked_mul(8)
            .and_then(|value| value.checked_add(i64::from(digit - b'0')))
            .ok_or_else(|| damaged("a number is too large"))?;
    }
    Ok(value)
}

/// A number field that cannot be negative.
pub(super) fn unsigned(field: &[u8]) -> Result<u64> {
    u64::try_from(number(field)?).map_err(|_| damaged("a negative size"))
}

/// A user or group number. The last one means "unchanged" to chown(2) and is no id.
pub(super) fn owner(number: i64) -> Result<u32> {
    match u32::try_from(number) {
        Ok(u32::MAX) | Err(_) => Err(damaged("a user or group number is out of range")),
        Ok(id) => Ok(id),
    }
}

/// Whether the checksum of `block` is right; some old programs summed signed bytes.
pub(super) fn checksum_is_right(block: &[u8; BLOCK]) -> bool {
    let Ok(wanted) = number(&block[148..156]) else { return false };
    let blank = 8 * i64::from(b' ');
    let rest = || block[..148].iter().chain(&block[156..]);
    let unsigned: i64 = rest().map(|b| i64::from(*b)).sum();
    let signed: i64 = rest().map(|b| i64::from(i8::from_ne_bytes([*b]))).sum();
    wanted == unsigned + blank || wanted == signed + blank
}

/// Records of a PAX extended header, in order: `LENGTH KEY=VALUE\n`, where the length counts all
/// of it. Values may hold any byte.
pub(super) fn pax_records(mut data: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let odd = || damaged("a PAX record does not parse");
    let mut records = Vec::new();
    // Some writers pad the data with NULs.
    while data.first().is_some_and(|b| *b != 0) {
        let space = data.iter().take(20).position(|b| *b == b' ').ok_or_else(odd)?;
        let length = decimal(&data[..space]).ok_or_else(odd)?;
        let length = usize::try_from(length).map_err(|_| odd())?;
        if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
            return Err(odd());
        }
        let record = &data[space + 1..length - 1];
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(odd)?;
        records.push((&record[..equals], &record[equals + 1..]));
        data = &data[length..];
    }
    Ok(records)
}

/// An unsigned decimal number and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// A PAX time, `[-]SECONDS[.FRACTION]`, as seconds and nanoseconds after them.
pub(super) fn pax_time(text: &[u8]) -> Result<(i64, u32)> {
    let odd = || damaged("a PAX time does not parse");
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        text => (false, text),
    };
    let dot = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let fraction = text.get(dot + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(odd());
    }
    let seconds = decimal(&text[..dot]).and_then(|s| i64::try_from(s).ok()).ok_or_else(odd)?;
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Ok(match (negative, nanos) {
        (false, nanos) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// The bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        let check = |field: &[u8], expected: Option<i64>| {
            assert_eq!(number(field).ok(), expected, "{field:?}");
        };
        check(b"0000644\0", Some(0o644));
        check(b" 644 \0\0\0", Some(0o644));
        check(b"\0\0\0\0\0\0\0\0", Some(0));
        check(b"77777777777\0", Some(0o77_777_777_777));
        check(b"\x80\0\0\0\0\0\0\0\x02\0\0\x01", Some((2 << 24) + 1));
        check(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2));
        check(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None);
        check(b"0000689\0", None);
        check(b"-1\0", None);
        check(b"777777777777777777777777", None);
    }

    #[test]
    fn pax_records_hold_any_byte() {
        let data = b"6 a=b\n8 b=\n\0c\n";
        let data = [&data[..], b"5 c=\n\0\0"].concat();
        let records = pax_records(&data).unwrap();
        assert_eq!(records, [(&b"a"[..], &b"b"[..]), (b"b", b"\n\0c"), (b"c", b"")]);
        for bad in [&b"6 a=b"[..], b"99 a=b\n", b"1 \n", b"x a=b\n", b"5 ab\n", b"0 a=b\n"] {
            assert!(pax_records(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pax_times_have_fractions_and_signs() {
        let check = |text: &str, expected: Option<(i64, u32)>| {
            assert_eq!(pax_time(text.as_bytes()).ok(), expected, "{text}");
        };
        check("1", Some((1, 0)));
        check("1.5", Some((1, 500_000_000)));
        check("1.0000000019", Some((1, 1)));
        check("-1.25", Some((-2, 750_000_000)));
        check("-3", Some((-3, 0)));
        check("", None);
        check("1.x", None);
        check("99999999999999999999", None);
    }
}
