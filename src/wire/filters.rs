//! The `filters` parameter: a JSON object, in today's encoding or the one before it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json;
use crate::base::order::Ordered;
use crate::base::{Error, Result};

/// Reads `{"key":["value"]}` or `{"key":{"value":true}}`; an empty text has no filter.
///
/// # Errors
/// `BadParameter`: `invalid filter`.
pub fn parse(text: &str) -> Result<BTreeMap<String, Vec<String>>> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let read = json::from_request::<BTreeMap<String, Values>>(text.as_bytes());
    let filters = read.map_err(|_| Error::bad_parameter(format!("invalid filter: {text}")))?;
    Ok(filters.into_iter().map(|(key, Values(values))| (key, values)).into_map())
}

/// Writes filters in today's encoding.
pub fn encode(filters: &BTreeMap<String, Vec<String>>) -> String {
    let set = |values: &[String]| values.iter().map(|value| (value.clone(), true)).into_map();
    let sets = filters.iter().map(|(key, values)| (key, set(values))).into_map();
    serde_json::to_string(&sets).expect("a map of strings is always JSON")
}

struct Values(Vec<String>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Values, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Values;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings or an object")
            }
            fn visit_unit<E>(self) -> Result<Values, E> {
                Ok(Values(Vec::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some((value, IgnoredAny)) = map.next_entry()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_read() {
        let expected: BTreeMap<String, Vec<String>> = [
            ("label".to_owned(), vec!["a=b".to_owned(), "c".to_owned()]),
            ("status".to_owned(), vec!["exited".to_owned()]),
        ]
        .into();
        for text in [
            r#"{"label":["a=b","c"],"status":["exited"]}"#,
            r#"{"label":{"a=b":true,"c":true},"status":{"exited":true}}"#,
            &encode(&expected),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        assert!(parse("").unwrap().is_empty());
        assert!(parse("{}").unwrap().is_empty());
        for bad in ["x", "[]", "{\"a\":1}", "{\"a\":[1]}", "{\"a\":\"b\"}", "{"] {
            assert!(parse(bad).unwrap_err().to_string().starts_with("invalid filter"), "{bad}");
        }
    }
}
