//! The functions of templates.

use std::cmp::Ordering;

use serde_json::Value;

use super::data::Data;

pub(crate) const KNOWN: &[&str] = &[
    "and", "eq", "ge", "gt", "html", "index", "join", "js", "json", "le", "len", "lower", "lt",
    "ne", "not", "or", "pad", "print", "printf", "println", "slice", "split", "title", "truncate",
    "upper", "urlquery",
];

/// The function of this name, if we have it.
pub(super) fn known(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| **known == name).copied()
}

/// Calls `name`.
pub(super) fn call(name: &str, arguments: &[Data]) -> Result<Data, String> {
    let text = |at: usize| -> Result<&str, String> {
        arguments
            .get(at)
            .and_then(Data::as_text)
            .ok_or_else(|| format!("argument {} is no string", at + 1))
    };
    let number = |at: usize| -> Result<usize, String> {
        let number = arguments.get(at).and_then(Data::as_u64);
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
            Data::Bool(!arguments[0].truth())
        }
        "eq" => Data::Bool(equal(arguments)?),
        "ne" | "lt" | "le" | "gt" | "ge" => {
            wanted(2)?;
            Data::Bool(ordered(name, arguments)?)
        }
        "json" => {
            wanted(1)?;
            Data::Text(arguments[0].json(false))
        }
        "index" => index(arguments)?,
        "len" => {
            wanted(1)?;
            Data::Number(length(&arguments[0])?.into())
        }
        "slice" => {
            let from = if arguments.len() > 1 { number(1)? } else { 0 };
            slice(arguments.first(), from, arguments.get(2).map(|_| number(2)).transpose()?)?
        }
        "print" => Data::Text(print(arguments)),
        "println" => {
            let words: Vec<String> = arguments.iter().map(Data::shown).collect();
            Data::Text(format!("{}\n", words.join(" ")))
        }
        "printf" => Data::Text(printf(text(0)?, &arguments[1..])?),
        "html" => Data::Text(escape_html(&print(arguments))),
        "js" => Data::Text(escape_js(&print(arguments))),
        "urlquery" => Data::Text(escape_query(&print(arguments))),
        "lower" => Data::Text(text(0)?.to_lowercase()),
        "upper" => Data::Text(text(0)?.to_uppercase()),
        "title" => Data::Text(title(text(0)?)),
        "split" => Data::List(text(0)?.split(text(1)?).map(Data::text).collect()),
        "join" => {
            let list = match arguments.first() {
                Some(Data::List(list)) => list.as_slice(),
                Some(Data::Null(kind)) if kind.starts_with('[') => &[],
                _ => return Err("argument 1 is no list".into()),
            };
            Data::Text(list.iter().map(Data::shown).collect::<Vec<_>>().join(text(1)?))
        }
        "pad" => match text(0)? {
            "" => Data::text(""),
            word => {
                let blanks = |at| number(at).map(|count| " ".repeat(count.min(1 << 16)));
                Data::Text(format!("{}{word}{}", blanks(1)?, blanks(2)?))
            }
        },
        "truncate" => Data::Text(text(0)?.chars().take(number(1)?).collect()),
        _ => return Err("no such function".into()),
    })
}

fn length(value: &Data) -> Result<usize, String> {
    match value {
        Data::Text(text) => Ok(text.len()),
        Data::List(list) => Ok(list.len()),
        Data::Map(map, _) => Ok(map.len()),
        Data::Null(kind) if kind.starts_with(['[', '{']) => Ok(0),
        value => Err(format!("len of {}", value.shown())),
    }
}

/// A comparison of two values.
fn ordered(name: &str, arguments: &[Data]) -> Result<bool, String> {
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

fn equal(arguments: &[Data]) -> Result<bool, String> {
    let Some((first, others)) = arguments.split_first().filter(|(_, others)| !others.is_empty())
    else {
        return Err("missing argument for comparison".into());
    };
    for other in others {
        let same = match (first, other) {
            (Data::Null(_), other) | (other, Data::Null(_)) => matches!(other, Data::Null(_)),
            (Data::Bool(a), Data::Bool(b)) => a == b,
            (Data::Text(_) | Data::Number(_), Data::Text(_) | Data::Number(_)) => {
                compare(first, other)? == Ordering::Equal
            }
            (Data::Bool(_), _) | (_, Data::Bool(_)) => {
                return Err("incompatible types for comparison".into());
            }
            _ => return Err("non-comparable type".into()),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare(one: &Data, other: &Data) -> Result<Ordering, String> {
    match (one, other) {
        (Data::Text(one), Data::Text(other)) => Ok(one.cmp(other)),
        (Data::Number(one), Data::Number(other)) => {
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

fn index(arguments: &[Data]) -> Result<Data, String> {
    let (first, keys) = arguments.split_first().ok_or("missing argument")?;
    let mut at = first.clone();
    for key in keys {
        at = match (&at, key) {
            (Data::Map(map, kind), Data::Text(key)) => {
                map.get(key).cloned().unwrap_or_else(|| Data::zero(kind))
            }
            (Data::Null(kind), Data::Text(_)) if kind.starts_with('{') => Data::zero(&kind[1..]),
            (Data::List(list), Data::Number(number)) => {
                let found = number.as_u64().and_then(|n| usize::try_from(n).ok());
                let found = found.and_then(|n| list.get(n)).cloned();
                found.ok_or_else(|| format!("index out of range: {number}"))?
            }
            (Data::Null(kind), Data::Number(number)) if kind.starts_with('[') => {
                return Err(format!("index out of range: {number}"));
            }
            (Data::Null(_), _) => return Err("index of untyped nil".into()),
            (value, key) => {
                return Err(format!("can't index {} with {}", value.shown(), key.shown()));
            }
        };
    }
    Ok(at)
}

fn slice(value: Option<&Data>, from: usize, to: Option<usize>) -> Result<Data, String> {
    let out_of_range = || "index out of range".to_owned();
    match value {
        Some(Data::Text(text)) => {
            let part = text.get(from..to.unwrap_or(text.len())).ok_or_else(out_of_range)?;
            Ok(Data::text(part))
        }
        Some(Data::List(list)) => {
            let part = list.get(from..to.unwrap_or(list.len())).ok_or_else(out_of_range)?;
            Ok(Data::List(part.to_vec()))
        }
        Some(Data::Null(kind))
            if kind.starts_with('[') && from == 0 && to.is_none_or(|t| t == 0) =>
        {
            Ok(Data::Null(kind))
        }
        _ => Err("slice of what is neither a string nor a list".into()),
    }
}

/// As Go's `Sprint`: blanks between operands of which neither is a string.
fn print(arguments: &[Data]) -> String {
    let mut out = String::new();
    for (at, value) in arguments.iter().enumerate() {
        if at > 0 && value.as_text().is_none() && arguments[at - 1].as_text().is_none() {
            out.push(' ');
        }
        out.push_str(&value.shown());
    }
    out
}

fn printf(format: &str, arguments: &[Data]) -> Result<String, String> {
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
        let text =
            if flags.contains('+') && matches!(value, Data::Number(n) if n.as_f64() >= Some(0.0)) {
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
    let extra: Vec<String> = arguments.map(Data::shown).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

/// `value` as `verb` prints it, without padding.
fn verb_text(verb: char, value: &Data, precision: Option<usize>) -> Result<String, String> {
    let wrong = || Ok(format!("%!{verb}({})", value.shown()));
    match (verb, value) {
        ('v' | 's', value) => match precision {
            Some(most) if value.as_text().is_some() => {
                Ok(value.shown().chars().take(most).collect())
            }
            _ => Ok(value.shown()),
        },
        ('q', Data::Text(text)) => Ok(Value::from(text.as_str()).to_string()),
        ('t', Data::Bool(on)) => Ok(on.to_string()),
        ('d' | 'x' | 'X' | 'o' | 'b' | 'c', Data::Number(number)) => match number.as_i64() {
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
        ('x', Data::Text(text)) => Ok(crate::base::digest::hex(text.as_bytes())),
        ('f' | 'F' | 'e' | 'g', Data::Number(number)) => {
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
