//! What filters of several families have in common.

use std::collections::BTreeMap;

use super::Filters;
use crate::base::{Error, Result, Timestamp, moment};

pub(super) fn invalid(what: &str) -> Error {
    Error::bad_parameter(format!("invalid filter '{what}'"))
}

/// # Errors
/// `BadParameter` for a key that is not `known`.
pub(super) fn check_keys(filters: &Filters, known: &[&str]) -> Result<()> {
    match filters.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(invalid(key)),
        None => Ok(()),
    }
}

/// Whether the labels hold each that the filter `key` asks for, `NAME` or `NAME=VALUE`.
pub(super) fn has_labels(filters: &Filters, key: &str, labels: &BTreeMap<String, String>) -> bool {
    let has = |wanted: &String| match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|own| own == value),
        None => labels.contains_key(wanted),
    };
    filters.get(key).is_none_or(|wanted| wanted.iter().all(has))
}

/// The point in time of an `until` filter, if there is one.
///
/// # Errors
/// `BadParameter` for what is no time, and for two of them.
pub(super) fn until(filters: &Filters) -> Result<Option<Timestamp>> {
    match filters.get("until").map_or(&[][..], Vec::as_slice) {
        [] => Ok(None),
        [text] => moment::point(text, Timestamp::now())
            .map(Some)
            .map_err(|_| invalid(&format!("until={text}"))),
        _ => Err(Error::bad_parameter("more than one until filter specified")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_labels_are_asked_for() {
        let labels: BTreeMap<String, String> =
            [("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let check = |wanted: &[&str], expected: bool| {
            let wanted = wanted.iter().map(|text| (*text).to_owned()).collect();
            let filters = Filters::from([("label".to_owned(), wanted)]);
            assert_eq!(has_labels(&filters, "label", &labels), expected);
        };
        check(&["a"], true);
        check(&["a=1", "b"], true);
        check(&["a=1", "b=1"], false);
        check(&["c"], false);
        assert!(has_labels(&Filters::new(), "label", &labels));
    }

    #[test]
    fn until_is_a_time_of_any_spelling() {
        let until = |texts: &[&str]| {
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            until(&Filters::from([("until".to_owned(), texts)])).map_err(|e| e.to_string())
        };
        assert_eq!(until(&["10"]), Ok(Some(Timestamp { seconds: 10, nanos: 0 })));
        assert!(until(&["10m"]).unwrap().unwrap() < Timestamp::now());
        assert_eq!(until(&["x"]), Err("invalid filter 'until=x'".into()));
        assert_eq!(until(&["1", "2"]), Err("more than one until filter specified".into()));
    }
}
