//! The tokens of an action.

use super::data::{Data, MISSING};
use super::parse::Parser;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `.A.B`, or `.` alone; true when it sticks to what is before it
    Field(Vec<String>, bool),
    Variable(String),
    Word(String),
    Literal(Data),
    Open,
    Close,
    Bar,
    Comma,
    Declare,
    Assign,
}

impl Parser<'_> {
    /// The tokens of an action, to its `}}`.
    pub(super) fn action(&mut self) -> Result<Vec<Token>, String> {
        if self.rest.trim_start().starts_with("/*") {
            let end = self.rest.find("*/").ok_or_else(|| self.error("unclosed comment"))?;
            self.rest = &self.rest[end + 2..];
        }
        let mut tokens = Vec::new();
        loop {
            let blank = self.rest.len();
            self.rest = self.rest.trim_start();
            let sticks = blank == self.rest.len()
                && matches!(tokens.last(), Some(Token::Variable(_) | Token::Close));
            if blank != self.rest.len() && self.rest.starts_with("-}}") {
                self.rest = self.rest[3..].trim_start();
                return Ok(tokens);
            }
            if let Some(rest) = self.rest.strip_prefix("}}") {
                self.rest = rest;
                return Ok(tokens);
            }
            let token = self.token(sticks)?;
            tokens.push(token);
        }
    }

    fn token(&mut self, sticks: bool) -> Result<Token, String> {
        let Some(first) = self.rest.chars().next() else {
            return Err(self.error("unclosed action"));
        };
        let simple = [
            (":=", Token::Declare),
            ("=", Token::Assign),
            ("|", Token::Bar),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ];
        for (text, token) in simple {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return Ok(token);
            }
        }
        match first {
            '.' if !self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.field(sticks),
            '$' => {
                self.rest = &self.rest[1..];
                Ok(Token::Variable(self.word()))
            }
            '"' | '`' | '\'' => self.quoted(first),
            c if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            c if c.is_alphabetic() || c == '_' => Ok(match self.word().as_str() {
                "true" => Token::Literal(Data::Bool(true)),
                "false" => Token::Literal(Data::Bool(false)),
                "nil" => Token::Literal(MISSING),
                word => Token::Word(word.to_owned()),
            }),
            c => Err(self.error(format!("unexpected {c:?} in operand"))),
        }
    }

    fn word(&mut self) -> String {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word.to_owned()
    }

    fn field(&mut self, sticks: bool) -> Result<Token, String> {
        let mut names = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            let name = self.word();
            if name.is_empty() {
                if names.is_empty() && !self.rest.starts_with('.') {
                    break;
                }
                return Err(self.error("unexpected <.> in operand"));
            }
            names.push(name);
        }
        Ok(Token::Field(names, sticks))
    }

    fn quoted(&mut self, quote: char) -> Result<Token, String> {
        let mut value = String::new();
        let mut chars = self.rest[1..].chars();
        loop {
            match chars.next() {
                None | Some('\n') if quote != '`' => {
                    return Err(self.error("unterminated quoted string"));
                }
                None => return Err(self.error("unterminated raw quoted string")),
                Some(c) if c == quote => break,
                Some('\\') if quote != '`' => value.push(match chars.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some('0') => '\0',
                    Some(c @ ('\\' | '"' | '\'')) => c,
                    _ => return Err(self.error("invalid escape in quoted string")),
                }),
                Some(c) => value.push(c),
            }
        }
        self.rest = chars.as_str();
        if quote == '\'' {
            let mut one = value.chars();
            return match (one.next(), one.next()) {
                (Some(c), None) => Ok(Token::Literal(Data::Number(u32::from(c).into()))),
                _ => Err(self.error("malformed character constant")),
            };
        }
        Ok(Token::Literal(Data::Text(value)))
    }

    fn number(&mut self) -> Result<Token, String> {
        let word = |c: char| c.is_alphanumeric() || "+-._".contains(c);
        let (text, rest) =
            self.rest.split_at(self.rest.find(|c| !word(c)).unwrap_or(self.rest.len()));
        let value = match (crate::cli::value::integer(text), text.parse::<f64>()) {
            (Ok(whole), _) => Some(whole.into()),
            (Err(_), Ok(number)) => serde_json::Number::from_f64(number),
            _ => None,
        };
        let value = value.ok_or_else(|| self.error(format!("bad number syntax: {text:?}")))?;
        self.rest = rest;
        Ok(Token::Literal(Data::Number(value)))
    }
}
