//! Ids of 64 hexadecimal digits.

use std::fmt;
use std::io::Read;

/// 32 random bytes as 64 lower-case hexadecimal digits. Containers, networks and execs have one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

/// Zeros: no container's.
impl Default for Id {
    fn default() -> Id {
        Id("0".repeat(64))
    }
}

impl Id {
    /// A new random id.
    ///
    /// # Panics
    /// When the kernel gives no random bytes: nothing sound can be done without them.
    pub fn random() -> Id {
        let mut bytes = [0u8; 32];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut bytes))
            .expect("/dev/urandom gives random bytes");
        let id = Id(super::digest::hex(&bytes));
        // A short id of digits alone would be taken for a number as a host name; see API clients.
        if id.short().bytes().all(|b| b.is_ascii_digit()) { Id::random() } else { id }
    }

    /// Parses a full id: 64 lower-case hexadecimal digits and nothing else.
    pub fn parse(text: &str) -> Option<Id> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 64 && text.bytes().all(hex)).then(|| Id(text.to_owned()))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, as tables show them.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = String::deserialize(deserializer)?;
        Id::parse(&text).ok_or_else(|| serde::de::Error::custom("not an id of 64 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_hex_digits_parse() {
        let id = Id::random();
        assert_eq!(Id::parse(id.as_str()), Some(id.clone()));
        assert_eq!(id.short().len(), 12);
        for bad in ["", "ab", "../../x", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }
}
