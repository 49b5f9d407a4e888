//! JSON re-indented as it was sent: the order of the keys is the daemon's.

/// `json` with four blanks per level, the first line indented by nothing and all others by
/// `level` more levels.
pub(crate) fn reindent(json: &str, level: usize) -> String {
    reindent_with(json, level, "    ")
}

/// The same with `indent` per level.
pub(crate) fn reindent_with(json: &str, level: usize, indent: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = level;
    let mut tokens = Tokens(json).peekable();
    while let Some(token) = tokens.next() {
        match token {
            "{" | "[" => {
                out.push_str(token);
                if tokens.peek().is_some_and(|next| matches!(*next, "}" | "]")) {
                    out.push_str(tokens.next().unwrap_or_default());
                    continue;
                }
                depth += 1;
                new_line(&mut out, depth, indent);
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth, indent);
                out.push_str(token);
            }
            "," => {
                out.push(',');
                new_line(&mut out, depth, indent);
            }
            ":" => out.push_str(": "),
            token => out.push_str(token),
        }
    }
    out
}

/// `json` without blanks between its tokens.
pub(crate) fn compact(json: &str) -> String {
    Tokens(json).collect()
}

fn new_line(out: &mut String, depth: usize, indent: &str) {
    out.push('\n');
    out.extend(std::iter::repeat_n(indent, depth));
}

/// The tokens of a JSON text: strings whole, numbers and words whole, signs one by one.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
        let first = self.0.chars().next()?;
        let length = match first {
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            '"' => {
                let mut escaped = false;
                let end = self.0.char_indices().skip(1).find(|&(_, c)| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                end.map_or(self.0.len(), |(at, _)| at + 1)
            }
            _ => self.0.find([',', ':', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(self.0.len()),
        };
        let (token, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_texts_stay() {
        let text = r#"{"Z":[],"a":{"b":[1,-2.5e3,null,true]},"s":"x, {\"y\"}: \\","e":{}}"#;
        let expected = "{\n    \"Z\": [],\n    \"a\": {\n        \"b\": [\n            1,\n            -2.5e3,\n            null,\n            true\n        ]\n    },\n    \"s\": \"x, {\\\"y\\\"}: \\\\\",\n    \"e\": {}\n}";
        assert_eq!(reindent(text, 0), expected);
        assert_eq!(reindent(expected, 0), expected);
        assert_eq!(compact(expected), text);
        assert_eq!(reindent("{\"a\":1}", 1), "{\n        \"a\": 1\n    }");
        assert_eq!(reindent("", 0), "");
        assert_eq!(reindent("{\"", 0), "{\n    \"");
    }
}
