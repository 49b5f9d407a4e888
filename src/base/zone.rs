//! Local time: how far a place is from UTC at a given time, and what its time is called there.
//!
//! - The place is that of `TZ`, else of `/etc/localtime` or `/etc/TZ`; failing that it is UTC.
//! - Reads compiled files (RFC 9636) and rules as POSIX writes them; the C library has no part.

use std::path::Path;
use std::sync::OnceLock;

use super::Timestamp;
use super::time::days_from_civil;

/// Directories in which `TZ` names a file.
const DIRECTORIES: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// Compiled files are a few kilobytes.
const MOST_BYTES: usize = 1 << 20;

/// The clock of one place.
#[derive(Debug, Default)]
pub struct Zone {
    /// When each change came, and which period it began; ascending.
    changes: Vec<(i64, usize)>,
    periods: Vec<Period>,
    /// What holds after the last change.
    rule: Option<Rule>,
}

/// Time from one change to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Period {
    /// Seconds east of UTC.
    offset: i32,
    name: String,
    is_summer: bool,
}

/// Changes that come every year.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    winter: Period,
    /// Summer time, and when it begins and ends.
    summer: Option<(Period, Change, Change)>,
}

/// A time of the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds after midnight, local time; may lie on another day.
    second: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// 1 to 365; the 29th of February is never counted.
    Julian(i64),
    /// 0 to 365.
    OfYear(i64),
    /// Month, week (5 is the last), day of the week (0 is Sunday).
    OfMonth(i64, i64, i64),
}

impl Zone {
    /// The place where this process runs.
    pub fn here() -> &'static Zone {
        static HERE: OnceLock<Zone> = OnceLock::new();
        HERE.get_or_init(|| match std::env::var("TZ") {
            Ok(name) => Zone::named(name.strip_prefix(':').unwrap_or(&name)),
            // Hosts without zone files keep the rule alone.
            Err(_) => Zone::file(Path::new("/etc/localtime")).unwrap_or_else(|| {
                Zone::named(std::fs::read_to_string("/etc/TZ").unwrap_or_default().trim())
            }),
        })
    }

    /// The place that `TZ=name` means.
    fn named(name: &str) -> Zone {
        let file = || match name {
            "" => None,
            _ if name.starts_with('/') => Zone::file(Path::new(name)),
            _ if name.split('/').any(|part| part == "..") => None,
            _ => DIRECTORIES.iter().find_map(|dir| Zone::file(&Path::new(dir).join(name))),
        };
        let rule = || Some(Zone { rule: Some(Rule::parse(name)?), ..Zone::default() });
        file().or_else(rule).unwrap_or_default()
    }

    fn file(path: &Path) -> Option<Zone> {
        let bytes = std::fs::read(path).ok()?;
        Zone::parse(bytes.get(..bytes.len().min(MOST_BYTES))?)
    }

    /// Seconds east of UTC at `seconds` after 1970, and what the time is called then.
    pub fn at(&self, seconds: i64) -> (i32, &str) {
        let after = self.changes.partition_point(|(from, _)| *from <= seconds);
        let period = match (after.checked_sub(1), &self.rule) {
            (last, Some(rule))
                if after == self.changes.len() && (last.is_some() || self.periods.is_empty()) =>
            {
                Some(rule.at(seconds))
            }
            (Some(last), _) => self.periods.get(self.changes[last].1),
            (None, _) => self.periods.iter().find(|p| !p.is_summer).or(self.periods.first()),
        };
        period.map_or((0, "UTC"), |period| (period.offset, &period.name))
    }

    /// Reads a compiled file.
    fn parse(bytes: &[u8]) -> Option<Zone> {
        let (first, rest) = Header::read(bytes)?;
        if first.version == 0 {
            return first.zone(rest, 4).map(|(zone, _)| zone);
        }
        // The first block is for readers of old; the second has times of 64 bits.
        let (second, rest) = Header::read(rest.get(first.length(4)?..)?)?;
        let (mut zone, footer) = second.zone(rest, 8)?;
        let footer = footer.strip_prefix(b"\n")?.split(|byte| *byte == b'\n').next()?;
        zone.rule = std::str::from_utf8(footer).ok().and_then(Rule::parse);
        Some(zone)
    }
}

/// The numbers of entries in one block of a file.
struct Header {
    version: u8,
    times: usize,
    types: usize,
    chars: usize,
    leaps: usize,
    standard: usize,
    utc: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<(Header, &[u8])> {
        let version = *bytes.strip_prefix(b"TZif")?.first()?;
        let count = |at: usize| -> Option<usize> {
            let field = bytes.get(20 + 4 * at..24 + 4 * at)?;
            usize::try_from(u32::from_be_bytes(field.try_into().ok()?)).ok()
        };
        let header = Header {
            version,
            utc: count(0)?,
            standard: count(1)?,
            leaps: count(2)?,
            times: count(3)?,
            types: count(4)?,
            chars: count(5)?,
        };
        Some((header, bytes.get(44..)?))
    }

    /// Bytes of the block behind the header, with times of `width` bytes.
    fn length(&self, width: usize) -> Option<usize> {
        let Header { times, types, chars, leaps, standard, utc, version: _ } = *self;
        let parts = [(times, width + 1), (types, 6), (chars, 1), (leaps, width + 4)];
        let mut sum = standard.checked_add(utc)?;
        for (count, size) in parts {
            sum = sum.checked_add(count.checked_mul(size)?)?;
        }
        Some(sum)
    }

    /// The zone in the block `bytes`, and what follows it.
    fn zone<'a>(&self, bytes: &'a [u8], width: usize) -> Option<(Zone, &'a [u8])> {
        let length = self.length(width).filter(|length| *length <= bytes.len())?;
        let (block, rest) = bytes.split_at(length);
        let (times, block) = block.split_at(self.times * width);
        let (kinds, block) = block.split_at(self.times);
        let (types, block) = block.split_at(self.types * 6);
        let names = &block[..self.chars];
        let mut zone = Zone::default();
        for entry in types.chunks_exact(6) {
            let offset = i32::from_be_bytes(entry[..4].try_into().ok()?);
            let name = names.get(usize::from(entry[5])..)?.split(|byte| *byte == 0).next()?;
            let name = String::from_utf8_lossy(name).into_owned();
            zone.periods.push(Period { offset, name, is_summer: entry[4] != 0 });
        }
        for (time, kind) in times.chunks_exact(width).zip(kinds) {
            let time = match width {
                4 => i64::from(i32::from_be_bytes(time.try_into().ok()?)),
                _ => i64::from_be_bytes(time.try_into().ok()?),
            };
            zone.changes.push((time, usize::from(*kind)));
        }
        Some((zone, rest))
    }
}

impl Rule {
    /// Reads `CET-1CEST,M3.5.0,M10.5.0/3`.
    fn parse(text: &str) -> Option<Rule> {
        let mut rest = text;
        let (name, offset) = (name(&mut rest)?, time(&mut rest)?);
        let period = |name: &str, west: i64, is_summer| {
            let offset = i32::try_from(-west).ok()?;
            Some(Period { offset, name: name.to_owned(), is_summer })
        };
        let winter = period(name, offset, false)?;
        if rest.is_empty() {
            return Some(Rule { winter, summer: None });
        }
        let summer_name = self::name(&mut rest)?;
        let west = match rest.chars().next() {
            None | Some(',') => offset - 3_600,
            Some(_) => time(&mut rest)?,
        };
        // Without rules: those of the United States, as everywhere.
        let rules = if rest.is_empty() { ",M3.2.0,M11.1.0" } else { rest };
        let (begin, end) = rules.strip_prefix(',')?.split_once(',')?;
        let summer = (period(summer_name, west, true)?, Change::parse(begin)?, Change::parse(end)?);
        Some(Rule { winter, summer: Some(summer) })
    }

    fn at(&self, seconds: i64) -> &Period {
        let Some((summer, begin, end)) = &self.summer else { return &self.winter };
        let winter = i64::from(self.winter.offset);
        let local = Timestamp { seconds: seconds.saturating_add(winter), nanos: 0 };
        let year = local.civil().0;
        let begin = begin.in_year(year) - winter;
        let end = end.in_year(year) - i64::from(summer.offset);
        let is_summer = if begin < end {
            (begin..end).contains(&seconds)
        } else {
            !(end..begin).contains(&seconds)
        };
        if is_summer { summer } else { &self.winter }
    }
}

impl Change {
    fn parse(text: &str) -> Option<Change> {
        let (day, mut at) = text.split_once('/').unwrap_or((text, "2"));
        let second = time(&mut at)?;
        let number = |text: &str| text.parse::<i64>().ok().filter(|n| (0..=365).contains(n));
        let day = if let Some(day) = day.strip_prefix('J') {
            Day::Julian(number(day)?)
        } else if let Some(day) = day.strip_prefix('M') {
            let mut parts = day.split('.').map(number);
            let (month, week, day) = (parts.next()??, parts.next()??, parts.next()??);
            let known = (1..=12).contains(&month) && (1..=5).contains(&week) && day < 7;
            known.then_some(Day::OfMonth(month, week, day))?
        } else {
            Day::OfYear(number(day)?)
        };
        at.is_empty().then_some(Change { day, second })
    }

    /// When it comes in `year`, in seconds after 1970, by the local clock.
    fn in_year(self, year: i64) -> i64 {
        let first = |month: i64| days_from_civil(year, month, 1);
        let is_leap = first(3) - first(2) == 29;
        let day = match self.day {
            Day::Julian(day) => first(1) + day - 1 + i64::from(is_leap && day >= 60),
            Day::OfYear(day) => first(1) + day,
            Day::OfMonth(month, week, day) => {
                let start = first(month);
                // 1970 began on a Thursday.
                let first_such = start + (day - (start + 4)).rem_euclid(7);
                let next = if month == 12 {
                    first(1) + 365 + i64::from(is_leap)
                } else {
                    first(month + 1)
                };
                let such = first_such + 7 * (week - 1);
                if such >= next { such - 7 } else { such }
            }
        };
        day * 86_400 + self.second
    }
}

/// A name of three letters or more, or in angle brackets what else stands for one.
fn name<'a>(rest: &mut &'a str) -> Option<&'a str> {
    if let Some(quoted) = rest.strip_prefix('<') {
        let (name, after) = quoted.split_once('>')?;
        *rest = after;
        return Some(name);
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = after;
    (end >= 3).then_some(name)
}

/// `[+-]hh[:mm[:ss]]` in seconds.
fn time(rest: &mut &str) -> Option<i64> {
    let (sign, text) = match rest.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, rest.strip_prefix('+').unwrap_or(rest)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    let mut seconds = 0;
    let mut unit = 3_600;
    for part in digits.split(':') {
        seconds += part.parse::<i64>().ok().filter(|n| *n <= 167)? * unit;
        unit /= 60;
    }
    *rest = after;
    (unit > 0 || digits.matches(':').count() == 2).then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: &Zone, time: &str) -> String {
        let seconds = Timestamp::parse_rfc3339(time).unwrap().seconds;
        let (offset, name) = zone.at(seconds);
        format!("{offset} {name}")
    }

    fn rule(text: &str) -> Zone {
        Zone { rule: Some(Rule::parse(text).unwrap()), ..Zone::default() }
    }

    #[test]
    fn rules_as_posix_writes_them() {
        let berlin = rule("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(at(&berlin, "2025-01-02T15:04:05Z"), "3600 CET");
        assert_eq!(at(&berlin, "2025-03-30T00:59:59Z"), "3600 CET");
        assert_eq!(at(&berlin, "2025-03-30T01:00:00Z"), "7200 CEST");
        assert_eq!(at(&berlin, "2025-10-26T00:59:59Z"), "7200 CEST");
        assert_eq!(at(&berlin, "2025-10-26T01:00:00Z"), "3600 CET");
        let sydney = rule("AEST-10AEDT,M10.1.0,M4.1.0/3");
        assert_eq!(at(&sydney, "2025-01-01T00:00:00Z"), "39600 AEDT");
        assert_eq!(at(&sydney, "2025-04-05T15:59:59Z"), "39600 AEDT");
        assert_eq!(at(&sydney, "2025-04-05T16:00:00Z"), "36000 AEST");
        assert_eq!(at(&sydney, "2025-10-04T16:00:00Z"), "39600 AEDT");
        assert_eq!(at(&rule("<-03>3"), "2025-07-01T00:00:00Z"), "-10800 -03");
        assert_eq!(at(&rule("EST5EDT"), "2025-07-01T00:00:00Z"), "-14400 EDT");
        assert_eq!(at(&rule("NST3:30"), "2025-07-01T00:00:00Z"), "-12600 NST");
        assert_eq!(at(&rule("AAA0BBB,J60/0,J61/0"), "2024-03-01T00:30:00Z"), "3600 BBB");
        assert_eq!(at(&rule("AAA0BBB,59/0,60/0"), "2024-02-29T00:30:00Z"), "3600 BBB");
        for bad in ["", "X", "CET", "CET-1CEST,x", "CET-1CEST,M13.1.0,M1.1.0", "CET-999", "<a>"] {
            assert_eq!(Rule::parse(bad), None, "{bad}");
        }
    }

    /// A file of version 2: UTC+1 from 0 on, then the rule.
    fn compiled(rule: &str) -> Vec<u8> {
        let header = |times: u32, types: u32, chars: u32| {
            let mut bytes = b"TZif2".to_vec();
            bytes.extend([0; 15]);
            for count in [0, 0, 0, times, types, chars] {
                bytes.extend(u32::to_be_bytes(count));
            }
            bytes
        };
        let mut bytes = header(0, 1, 4);
        bytes.extend([0, 0, 0, 0, 0, 0]);
        bytes.extend(b"UTC\0");
        bytes.extend(header(1, 2, 8));
        bytes.extend(i64::to_be_bytes(0));
        bytes.push(1);
        bytes.extend(i32::to_be_bytes(53 * 60));
        bytes.extend([0, 0]);
        bytes.extend(i32::to_be_bytes(3_600));
        bytes.extend([0, 4]);
        bytes.extend(b"LMT\0CET\0\n");
        bytes.extend(rule.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    #[test]
    fn compiled_files() {
        let zone = Zone::parse(&compiled("CET-1CEST,M3.5.0,M10.5.0/3")).unwrap();
        assert_eq!(at(&zone, "1900-01-01T00:00:00Z"), "3180 LMT");
        assert_eq!(at(&zone, "2025-07-01T00:00:00Z"), "7200 CEST");
        let zone = Zone::parse(&compiled("")).unwrap();
        assert_eq!(at(&zone, "2025-07-01T00:00:00Z"), "3600 CET");
        assert_eq!(at(&Zone::default(), "2025-07-01T00:00:00Z"), "0 UTC");
        let whole = compiled("CET-1");
        for end in 0..whole.len() {
            drop(Zone::parse(&whole[..end]));
        }
        for at in 20..44 {
            let mut odd = whole.clone();
            odd[at] = 0xff;
            drop(Zone::parse(&odd));
        }
    }

    #[test]
    fn names_of_places() {
        assert_eq!(at(&Zone::named(""), "2025-07-01T00:00:00Z"), "0 UTC");
        assert_eq!(at(&Zone::named("../../etc/passwd"), "2025-07-01T00:00:00Z"), "0 UTC");
        assert_eq!(at(&Zone::named("CET-1"), "2025-07-01T00:00:00Z"), "3600 CET");
        if Path::new("/usr/share/zoneinfo/Europe/Berlin").exists() {
            let berlin = Zone::named("Europe/Berlin");
            assert_eq!(at(&berlin, "2025-07-01T00:00:00Z"), "7200 CEST");
            assert_eq!(at(&berlin, "1970-07-01T00:00:00Z"), "3600 CET");
        }
    }
}
