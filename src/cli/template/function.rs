//! The functions of templates, and how values are printed.

use std::cmp::Ordering;

use serde_json::Value;

use super::eval::truth;

const KNOWN: &[&str] = &[
    "and", "eq", "ge", "gt", "html", "index", "join", "js", "json", "le", "len", "lower", "lt",
    "ne", "not", "or", "pad", "print", "printf", "println", "slice", "split", "title", "truncate",
    "upper", "urlquery",
];

/// The function of this name, if we have it.
pub(super) fn known(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| **known == name).copied()
}

/// As Go's `%v` prints it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(k, v)| format!("{k}:{}", shown(v))).collect();
            format!("map[{}]", entries.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Calls `name`.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let text = |at: usize| -> Result<&str, String> {
        arguments
            .get(at)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("argument {} is no string", at + 1))
    };
    let number = |at: usize| -> Result<usize, String> {
        let number = arguments.get(at).and_then(Value::as_u64);
        let number = number.ok_or_else(|| format!("argument {} is no number", at + 1))?;
        usize::try_from(number).map_err(|_| format!("number {number} is too large"))
    };
    let wanted = |count: usize| match arguments.len() == count {
        true => Ok(()),
        false => Err(format!("wrong number of args: want {count} got {}", arguments.len())),
    };
    Ok(match name {
        "and" | "or" => arguments.last().cloned().ok_or("wrong number of args: want at least 1")?,
        "not" => {
            wanted(1)?;
            Value::Bool(!truth(&arguments[0]))
        }
        "eq" => equal(arguments)?.into(),
        "ne" | "lt" | "le" | "gt" | "ge" => {
            wanted(2)?;
            ordered(name, arguments)?.into()
        }
        "json" => {
            wanted(1)?;
            arguments[0].to_string().into()
        }
        "index" => index(arguments)?,
        "len" => {
            wanted(1)?;
            length(&arguments[0])?.into()
        }
        "slice" => {
            let from = if arguments.len() > 1 { number(1)? } else { 0 };
            slice(arguments.first(), from, arguments.get(2).map(|_| number(2)).transpose()?)?
        }
        "print" => print(arguments).into(),
        "println" => {
            let words: Vec<String> = arguments.iter().map(shown).collect();
            format!("{}\n", words.join(" ")).into()
        }
        "printf" => printf(text(0)?, &arguments[1..])?.into(),
        "html" => escape_html(&print(arguments)).into(),
        "js" => escape_js(&print(arguments)).into(),
        "urlquery" => escape_query(&print(arguments)).into(),
        "lower" => text(0)?.to_lowercase().into(),
        "upper" => text(0)?.to_uppercase().into(),
        "title" => title(text(0)?).into(),
        "split" => text(0)?.split(text(1)?).map(Value::from).collect(),
        "join" => {
            let list =
                arguments.first().and_then(Value::as_array).ok_or("argument 1 is no list")?;
            list.iter().map(shown).collect::<Vec<_>>().join(text(1)?).into()
        }
        "pad" => match text(0)? {
            "" => "".into(),
            word => {
                let blanks = |at| number(at).map(|count| " ".repeat(count.min(1 << 16)));
                format!("{}{word}{}", blanks(1)?, blanks(2)?).into()
            }
        },
        "truncate" => text(0)?.chars().take(number(1)?).collect::<String>().into(),
        _ => return Err("no such function".into()),
    })
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(list) => Ok(list.len()),
        Value::Object(map) => Ok(map.len()),
        value => Err(format!("len of {}", shown(value))),
    }
}

/// A comparison of two values.
fn ordered(name: &str, arguments: &[Value]) -> Result<bool, String> {
    if name == "ne" {
        return equal(arguments).map(|equal| !equal);
    }
    let order = compare(&arguments[0], &arguments[1])?;
    Ok(match name {
        "lt" => order == Ordering::Less,
        "le" => order != Ordering::Greater,
        "gt" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })
}

fn equal(arguments: &[Value]) -> Result<bool, String> {
    let Some((first, others)) = arguments.split_first().filter(|(_, others)| !others.is_empty())
    else {
        return Err("missing argument for comparison".into());
    };
    for other in others {
        let same = match (first, other) {
            (Value::Null, other) | (other, Value::Null) => other.is_null(),
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
                return Err("non-comparable type".into());
            }
            _ => compare(first, other)? == Ordering::Equal,
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare(one: &Value, other: &Value) -> Result<Ordering, String> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Ok(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => {
            let both = (one.as_i64(), other.as_i64());
            let floats = (one.as_f64(), other.as_f64());
            match (both, floats) {
                ((Some(one), Some(other)), _) => Ok(one.cmp(&other)),
                (_, (Some(one), Some(other))) => {
                    one.partial_cmp(&other).ok_or_else(|| "not comparable".into())
                }
                _ => Err("not comparable".into()),
            }
        }
        _ => Err("incompatible types for comparison".into()),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let (first, keys) = arguments.split_first().ok_or("missing argument")?;
    let mut at = first.clone();
    for key in keys {
        at = match (&at, key) {
            (Value::Object(map), Value::String(key)) => {
                map.get(key).cloned().unwrap_or_else(|| "".into())
            }
            (Value::Array(list), Value::Number(number)) => {
                let found = number.as_u64().and_then(|n| usize::try_from(n).ok());
                let found = found.and_then(|n| list.get(n)).cloned();
                found.ok_or_else(|| format!("index out of range: {number}"))?
            }
            (Value::Null, _) => return Err("index of untyped nil".into()),
            (value, key) => {
                return Err(format!("can't index {} with {}", shown(value), shown(key)));
            }
        };
    }
    Ok(at)
}

fn slice(value: Option<&Value>, from: usize, to: Option<usize>) -> Result<Value, String> {
    let out_of_range = || "index out of range".to_owned();
    match value {
        Some(Value::String(text)) => {
            let part = text.get(from..to.unwrap_or(text.len())).ok_or_else(out_of_range)?;
            Ok(part.into())
        }
        Some(Value::Array(list)) => {
            let part = list.get(from..to.unwrap_or(list.len())).ok_or_else(out_of_range)?;
            Ok(part.to_vec().into())
        }
        _ => Err("slice of what is neither a string nor a list".into()),
    }
}

/// As Go's `Sprint`: blanks between operands of which neither is a string.
fn print(arguments: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in arguments.iter().enumerate() {
        if at > 0 && !value.is_string() && !arguments[at - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&shown(value));
    }
    out
}

fn printf(format: &str, arguments: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format;
    let mut arguments = arguments.iter();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let flags = rest.len() - rest.trim_start_matches(['-', '+', '0', ' ', '#']).len();
        let (flags, tail) = rest.split_at(flags);
        let width = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (width, tail) = tail.split_at(width);
        let (precision, tail) = match tail.strip_prefix('.') {
            Some(tail) => {
                let end = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                (Some(tail[..end].parse().unwrap_or(0)), &tail[end..])
            }
            None => (None, tail),
        };
        let verb = tail.chars().next().ok_or("incomplete verb in printf")?;
        rest = &tail[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = arguments.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let text = verb_text(verb, value, precision)?;
        let text = if flags.contains('+') && value.as_f64().is_some_and(|n| n >= 0.0) {
            format!("+{text}")
        } else {
            text
        };
        let blanks = width.parse::<usize>().unwrap_or(0).min(1 << 16);
        let blanks = blanks.saturating_sub(text.chars().count());
        match flags {
            flags if flags.contains('-') => out.push_str(&(text + &" ".repeat(blanks))),
            flags if flags.contains('0') => {
                let sign = usize::from(text.starts_with(['-', '+']));
                out.push_str(&text[..sign]);
                out.push_str(&"0".repeat(blanks));
                out.push_str(&text[sign..]);
            }
            _ => out.push_str(&(" ".repeat(blanks) + &text)),
        }
    }
    out.push_str(rest);
    let extra: Vec<String> = arguments.map(shown).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

/// `value` as `verb` prints it, without padding.
fn verb_text(verb: char, value: &Value, precision: Option<usize>) -> Result<String, String> {
    let wrong = || Ok(format!("%!{verb}({})", shown(value)));
    match (verb, value) {
        ('v' | 's', value) => match precision {
            Some(most) if value.is_string() => Ok(shown(value).chars().take(most).collect()),
            _ => Ok(shown(value)),
        },
        ('q', Value::String(text)) => Ok(Value::from(text.as_str()).to_string()),
        ('t', Value::Bool(on)) => Ok(on.to_string()),
        ('d' | 'x' | 'X' | 'o' | 'b' | 'c', Value::Number(number)) => match number.as_i64() {
            Some(n) => Ok(match verb {
                'd' => n.to_string(),
                'x' => format!("{n:x}"),
                'X' => format!("{n:X}"),
                'o' => format!("{n:o}"),
                'b' => format!("{n:b}"),
                _ => {
                    u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
                }
            }),
            None => wrong(),
        },
        ('x', Value::String(text)) => Ok(crate::base::digest::hex(text.as_bytes())),
        ('f' | 'F' | 'e' | 'g', Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(0.0);
            Ok(match (verb, precision) {
                ('e', _) => format!("{number:e}"),
                ('g', None) => number.to_string(),
                (_, precision) => format!("{number:.*}", precision.unwrap_or(6)),
            })
        }
        ('d' | 'x' | 'X' | 'o' | 'b' | 'c' | 'f' | 'F' | 'e' | 'g' | 'q' | 't', _) => wrong(),
        _ => Err(format!("verb %{verb} is not served")),
    }
}

fn escape_html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn escape_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn title(text: &str) -> String {
    let mut begins = true;
    let mut out = String::new();
    for c in text.chars() {
        out.push(if begins { c.to_uppercase().next().unwrap_or(c) } else { c });
        begins = !c.is_alphanumeric();
    }
    out
}
