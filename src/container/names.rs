//! Names of containers: the grammar, and names for those that were given none.

use crate::base::{Error, Id, Result};

/// Longest name: it becomes a field in tables and a part of messages.
const MAX: usize = 255;

/// The name that `text` means: a leading slash is dropped, then it must be
/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
///
/// # Errors
/// `Invalid container name (x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`.
pub fn check(text: &str) -> Result<&str> {
    let name = text.strip_prefix('/').unwrap_or(text);
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if first && (2..=MAX).contains(&name.len()) && name.bytes().all(rest) {
        return Ok(name);
    }
    Err(Error::bad_parameter(format!(
        "Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

/// A name made of the digits of `id`: `adjective_surname`, and from the fourth attempt on with a
/// number behind it.
pub fn made_up(id: &Id, attempt: u32) -> String {
    let digits = id.as_str().as_bytes();
    // Each attempt looks at other digits of the id; they are random already.
    let at = usize::try_from(attempt).unwrap_or(0) * 8 % 56;
    // Kept below 2^26, so that the product has room in a usize of 32 bits.
    let seed =
        digits[at..at + 8].iter().fold(0usize, |sum, b| (sum * 31 + usize::from(*b)) & 0x3ff_ffff);
    let adjective = ADJECTIVES[seed % ADJECTIVES.len()];
    let surname = SURNAMES[seed / ADJECTIVES.len() % SURNAMES.len()];
    match attempt {
        0..=3 => format!("{adjective}_{surname}"),
        _ => format!("{adjective}_{surname}{}", seed % 1000),
    }
}

const ADJECTIVES: &[&str] = &[
    "able", "airy", "amber", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid",
    "cheery", "clever", "cosy", "crisp", "daring", "deft", "eager", "early", "fair", "fleet",
    "fond", "frank", "fresh", "gentle", "glad", "golden", "grand", "handy", "hardy", "honest",
    "humble", "jolly", "keen", "kind", "lively", "lucid", "lucky", "mellow", "merry", "mild",
    "nimble", "noble", "patient", "placid", "plucky", "prompt", "proud", "quick", "quiet", "ready",
    "rosy", "salty", "sane", "sharp", "shiny", "silent", "silver", "smart", "snug", "sober",
    "solid", "spry", "steady", "stout", "sturdy", "sunny", "swift", "tidy", "tranquil", "trusty",
    "upbeat", "vivid", "warm", "wise", "witty", "zesty",
];

// People of the sea: navigators, ship builders, lighthouse keepers, oceanographers.
const SURNAMES: &[&str] = &[
    "amundsen",
    "baffin",
    "barents",
    "bering",
    "blackborow",
    "bligh",
    "bowditch",
    "cabot",
    "carson",
    "chichester",
    "colomb",
    "cook",
    "cousteau",
    "crean",
    "darling",
    "drake",
    "earle",
    "ekman",
    "eriksson",
    "fitzroy",
    "flinders",
    "franklin",
    "froude",
    "gama",
    "harrison",
    "hawkins",
    "heyerdahl",
    "hudson",
    "humboldt",
    "knox",
    "macarthur",
    "magellan",
    "maury",
    "mercator",
    "moitessier",
    "nansen",
    "nelson",
    "peary",
    "piccard",
    "polo",
    "raleigh",
    "rickmers",
    "ross",
    "scoresby",
    "shackleton",
    "slocum",
    "smeaton",
    "stevenson",
    "tabarly",
    "tasman",
    "tharp",
    "torres",
    "vancouver",
    "vespucci",
    "weddell",
    "worsley",
    "zheng",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        for (text, name) in
            [("web", "web"), ("/web", "web"), ("a.b_c-D9", "a.b_c-D9"), ("9a", "9a")]
        {
            assert_eq!(check(text).unwrap(), name);
        }
        for bad in ["", "a", "/", "-a", ".a", "a b", "a/b", "//ab", "ä1", "a\n", &"a".repeat(256)]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(
            check("a b").unwrap_err().to_string(),
            "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }

    #[test]
    fn made_up_names_are_legal_and_differ_by_attempt() {
        assert!(ADJECTIVES.len() >= 40 && SURNAMES.len() >= 40);
        let id = Id::random();
        for attempt in 0..40 {
            let name = made_up(&id, attempt);
            assert_eq!(check(&name).unwrap(), name);
        }
        assert_ne!(made_up(&id, 4), made_up(&id, 5));
    }
}
