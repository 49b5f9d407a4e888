//! Ranges of addresses, of both families alike.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of addresses, or a part of one: any of its addresses, and the length of the prefix.
pub type Range = (IpAddr, u8);

/// Reads `10.1.0.0/16`, `fd00::/64`.
pub fn parse(text: &str) -> Option<Range> {
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv6() { 128 } else { 32 };
    let digits = prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|prefix| digits && *prefix <= most)?;
    Some((address, prefix))
}

/// A range by its first address, as text.
pub fn text(range: Range) -> String {
    format!("{}/{}", first(range), range.1)
}

/// An address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address of a number.
pub fn address(number: u128, v6: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if !v6 => Ipv4Addr::from(number).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

/// First and last address of a range, as numbers.
pub fn bounds((address, prefix): Range) -> (u128, u128) {
    let bits = if address.is_ipv6() { 128 } else { 32_u32 };
    let host = match bits.saturating_sub(prefix.into()) {
        0 => 0,
        count => u128::MAX >> (128 - count),
    };
    let first = number(address) & !host;
    (first, first | host)
}

/// The first address of a range, which is the network's.
pub fn first((own, prefix): Range) -> IpAddr {
    address(bounds((own, prefix)).0, own.is_ipv6())
}

/// Whether two ranges have addresses in common.
pub fn overlap(one: Range, other: Range) -> bool {
    let ((a, b), (c, d)) = (bounds(one), bounds(other));
    one.0.is_ipv6() == other.0.is_ipv6() && a <= d && c <= b
}

/// Whether all addresses of `part` are in `whole`.
pub fn covers(whole: Range, part: Range) -> bool {
    let ((a, b), (c, d)) = (bounds(whole), bounds(part));
    whole.0.is_ipv6() == part.0.is_ipv6() && a <= c && d <= b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        parse(text).unwrap()
    }

    #[test]
    fn ranges_are_read() {
        for (given, expected) in [("10.1.2.3/16", "10.1.0.0/16"), ("fd00::5/64", "fd00::/64")] {
            assert_eq!(text(range(given)), expected);
        }
        for wrong in ["", "10.0.0.0", "10.0.0.0/33", "fd00::/129", "x/8", "1.2.3/8", "::/+4", "::/"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges_overlap_and_cover() {
        assert!(overlap(range("10.0.0.1/8"), range("10.9.0.0/16")));
        assert!(!overlap(range("10.8.0.0/16"), range("10.9.0.0/16")));
        assert!(!overlap(range("0.0.0.0/0"), range("::/0")));
        assert!(covers(range("10.0.0.0/8"), range("10.9.0.0/16")));
        assert!(!covers(range("10.9.0.0/16"), range("10.0.0.0/8")));
        assert_eq!(first(range("fd00::77:5/64")).to_string(), "fd00::");
    }
}
