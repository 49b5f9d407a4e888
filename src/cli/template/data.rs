//! The data that templates run over: JSON, and JSON seen as one of the types that Docker's own
//! clients read it into.
//!
//! - A typed value has all fields of its type, in the type's order: what is absent is there with
//!   its zero value, what is unknown is not there.
//! - A raw value has what was sent, as maps.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::shape;
use crate::base::order::Ordered;
use crate::base::{Timestamp, Zone, time};

/// A kind of value, as [`shape`] writes it: `s`, `i`, `b`, `a`, `*T`, `[T`, `{T`, or a name.
pub(crate) type Kind = &'static str;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// Nothing of its kind: a pointer to nothing, an empty list or map that was never made, a null
    /// that was sent; of no kind, what is not there at all.
    Null(Kind),
    Bool(bool),
    Number(Number),
    Text(String),
    /// A point in time, as RFC 3339.
    Time(String),
    List(Vec<Data>),
    /// With the kind of its values.
    Map(BTreeMap<String, Data>, Kind),
    Struct(Vec<Field>),
    /// A line of a list.
    Row(Vec<Field>),
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// Its name in templates; a bracket alone groups those between for people.
    pub(crate) name: &'static str,
    /// Its key in JSON; empty keeps it out of there.
    pub(crate) key: &'static str,
    pub(crate) value: Data,
}

/// What is not there: no entry of that name, and nothing below it either.
pub(super) const MISSING: Data = Data::Null("");

impl Data {
    /// `value` as it was sent.
    pub(crate) fn raw(value: &Value) -> Data {
        match value {
            Value::Null => Data::Null("a"),
            Value::Bool(on) => Data::Bool(*on),
            Value::Number(number) => Data::Number(number.clone()),
            Value::String(text) => Data::Text(text.clone()),
            Value::Array(list) => Data::List(list.iter().map(Data::raw).collect()),
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| (key.clone(), Data::raw(value)));
                Data::Map(entries.into_map(), "a")
            }
        }
    }

    /// `value` as one of `kind`.
    pub(crate) fn typed(kind: Kind, value: &Value) -> Data {
        if value.is_null() {
            return Data::zero(kind);
        }
        let (first, rest) = kind.split_at(1);
        match (first, value) {
            ("*", value) => Data::typed(rest, value),
            ("t", Value::String(text)) => Data::Time(text.clone()),
            ("[", Value::Array(list)) => {
                Data::List(list.iter().map(|value| Data::typed(rest, value)).collect())
            }
            ("{", Value::Object(map)) => {
                let entries =
                    map.iter().map(|(key, value)| (key.clone(), Data::typed(rest, value)));
                Data::Map(entries.into_map(), rest)
            }
            _ => match shape::fields(kind) {
                Some(fields) => Data::of_shape(fields, value),
                None => Data::raw(value),
            },
        }
    }

    fn of_shape(fields: impl Iterator<Item = shape::Named>, value: &Value) -> Data {
        let fields = fields.map(|shape::Named { name, key, optional, kind }| {
            let sent = value.get(key);
            // What may be left out of JSON is left out where it was.
            let key = if optional && sent.is_none() { "" } else { key };
            Field { name, key, value: Data::typed(kind, sent.unwrap_or(&Value::Null)) }
        });
        Data::Struct(fields.collect())
    }

    /// What a field of `kind` is when nothing is said.
    pub(super) fn zero(kind: Kind) -> Data {
        match kind {
            "s" => Data::Text(String::new()),
            "t" => Data::Time(Timestamp::ZERO.to_string()),
            "i" => Data::Number(0.into()),
            "b" => Data::Bool(false),
            _ => match shape::fields(kind) {
                Some(fields) => Data::of_shape(fields, &Value::Null),
                None => Data::Null(kind),
            },
        }
    }

    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Data {
        Data::Text(text.into())
    }

    /// The text that it is.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number that it is.
    pub(super) fn as_u64(&self) -> Option<u64> {
        match self {
            Data::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// Whether it counts as true.
    pub(super) fn truth(&self) -> bool {
        match self {
            Data::Null(_) => false,
            Data::Bool(on) => *on,
            Data::Number(number) => number.as_f64() != Some(0.0),
            Data::Text(text) => !text.is_empty(),
            Data::List(list) => !list.is_empty(),
            Data::Map(map, _) => !map.is_empty(),
            Data::Time(_) | Data::Struct(_) | Data::Row(_) => true,
        }
    }

    /// As Go's `%v` prints it.
    pub(super) fn shown(&self) -> String {
        match self {
            Data::Null(kind) => match kind.as_bytes().first() {
                Some(b'*') => "<nil>",
                Some(b'[') => "[]",
                Some(b'{') => "map[]",
                _ => "<no value>",
            }
            .to_owned(),
            Data::Bool(on) => on.to_string(),
            Data::Number(number) => number.to_string(),
            Data::Text(text) => text.clone(),
            Data::Time(text) => time_shown(text),
            Data::List(list) => {
                format!("[{}]", list.iter().map(Data::inner).collect::<Vec<_>>().join(" "))
            }
            Data::Map(map, _) => {
                let entries = map.iter().map(|(key, value)| format!("{key}:{}", value.inner()));
                format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
            }
            Data::Struct(fields) | Data::Row(fields) => {
                let mut out = String::from("{");
                let mut begins = true;
                for Field { name, value, .. } in fields {
                    out.push_str(if begins || *name == ")" { "" } else { " " });
                    begins = *name == "(";
                    match *name {
                        "(" => out.push('{'),
                        ")" => out.push('}'),
                        _ => out.push_str(&value.inner()),
                    }
                }
                out + "}"
            }
        }
    }

    /// The same, inside of another value.
    fn inner(&self) -> String {
        match self {
            Data::Null("" | "a") => "<nil>".to_owned(),
            value => value.shown(),
        }
    }

    /// As JSON, in the order of its type. `escape`: the signs of HTML as numbers, as Go does it
    /// where nobody forbids.
    pub(crate) fn json(&self, escape: bool) -> String {
        let mut out = String::new();
        self.write_json(escape, &mut out);
        out
    }

    fn write_json(&self, escape: bool, out: &mut String) {
        match self {
            Data::Null(_) => out.push_str("null"),
            Data::Bool(_) | Data::Number(_) => out.push_str(&self.shown()),
            Data::Text(text) | Data::Time(text) => write_text(text, escape, out),
            Data::List(list) => {
                out.push('[');
                for (at, value) in list.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    value.write_json(escape, out);
                }
                out.push(']');
            }
            Data::Map(map, _) => {
                let entries = map.iter().map(|(key, value)| (key.as_str(), value));
                write_entries(entries, escape, out);
            }
            Data::Struct(fields) | Data::Row(fields) => {
                let escape = escape || matches!(self, Data::Row(_));
                let fields = fields.iter().filter(|field| !field.key.is_empty());
                write_entries(fields.map(|field| (field.key, &field.value)), escape, out);
            }
        }
    }
}

/// `2025-01-02 15:04:05.5 +0000 UTC`, by the clock that the time was written by.
pub(crate) fn time_shown(text: &str) -> String {
    let Some(time) = Timestamp::parse_rfc3339(text) else { return text.to_owned() };
    let (date, zone) = match text.strip_suffix(['Z', 'z']) {
        Some(date) => (date, None),
        None => {
            let (date, zone) = text.split_at(text.len() - 6);
            (date, Some(zone.replace(':', "")))
        }
    };
    let date = date.replacen(['T', 't'], " ", 1);
    let date = match date.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            format!("{whole}{}{fraction}", if fraction.is_empty() { "" } else { "." })
        }
        None => date,
    };
    let Some(zone) = zone else { return format!("{date} +0000 UTC") };
    let (here, name) = Zone::here().at(time.seconds);
    let name = if time::offset(here, "") == zone { name } else { &zone };
    format!("{date} {zone} {name}")
}

fn write_entries<'a>(
    entries: impl Iterator<Item = (&'a str, &'a Data)>,
    escape: bool,
    out: &mut String,
) {
    out.push('{');
    for (at, (key, value)) in entries.enumerate() {
        out.push_str(if at > 0 { "," } else { "" });
        write_text(key, escape, out);
        out.push(':');
        value.write_json(escape, out);
    }
    out.push('}');
}

fn write_text(text: &str, escape: bool, out: &mut String) {
    let quoted = Value::from(text).to_string();
    for c in quoted.chars() {
        match c {
            '<' | '>' | '&' if escape => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_typed_value_has_all_fields_of_its_type_in_order() {
        let sent = json!({"Pid": 7, "Status": "running", "Running": true, "Odd": 1});
        let state = Data::typed("*State", &sent);
        assert_eq!(state.shown(), "{running true false false false false 7 0    <nil>}");
        assert_eq!(
            state.json(false),
            "{\"Status\":\"running\",\"Running\":true,\"Paused\":false,\"Restarting\":false,\
             \"OOMKilled\":false,\"Dead\":false,\"Pid\":7,\"ExitCode\":0,\"Error\":\"\",\
             \"StartedAt\":\"\",\"FinishedAt\":\"\"}"
        );
        assert_eq!(Data::typed("*State", &Value::Null), Data::Null("*State"));
        let ports = json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "9/udp": null});
        let ports = Data::typed("{[PortBinding", &ports);
        assert_eq!(ports.shown(), "map[80/tcp:[{0.0.0.0 8080}] 9/udp:[]]");
        assert!(ports.json(false).ends_with(",\"9/udp\":null}"), "{}", ports.json(false));
        let host = Data::typed("HostConfig", &json!({"CpuShares": 5}));
        assert!(host.shown().contains(" {5 0 0 "), "{}", host.shown());
    }

    #[test]
    fn times_are_shown_as_go_does_it() {
        let check = |text: &str, expected: &str| {
            let time = Data::typed("t", &json!(text));
            assert_eq!(time.shown(), expected);
            assert_eq!(time.json(false), json!(text).to_string());
        };
        check("2025-01-02T15:04:05.500Z", "2025-01-02 15:04:05.5 +0000 UTC");
        check("2025-01-02T15:04:05Z", "2025-01-02 15:04:05 +0000 UTC");
        check("2025-01-02T15:04:05.000-03:25", "2025-01-02 15:04:05 -0325 -0325");
        check("x", "x");
        let metadata = Data::typed("Metadata", &json!({}));
        assert_eq!(metadata.shown(), "{0001-01-01 00:00:00 +0000 UTC}");
    }

    #[test]
    fn a_raw_value_is_what_was_sent() {
        let raw = Data::raw(&json!({"b": [1, null, "x<"], "a": {"c": 1.5}}));
        assert_eq!(raw.shown(), "map[a:map[c:1.5] b:[1 <nil> x<]]");
        assert_eq!(raw.json(false), r#"{"a":{"c":1.5},"b":[1,null,"x<"]}"#);
        assert_eq!(raw.json(true), r#"{"a":{"c":1.5},"b":[1,null,"x\u003c"]}"#);
        assert_eq!(MISSING.shown(), "<no value>");
    }
}
