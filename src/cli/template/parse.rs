//! From text to nodes.

use super::data::Data;
use super::function;
use super::lex::Token;

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipe),
    If { test: Pipe, then: Vec<Node>, other: Vec<Node> },
    With { test: Pipe, then: Vec<Node>, other: Vec<Node> },
    Range { over: Pipe, body: Vec<Node>, other: Vec<Node> },
    Break,
    Continue,
}

/// `$x := command | command`.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Variables that it sets.
    pub(super) variables: Vec<String>,
    /// Whether they are new.
    pub(super) declares: bool,
    pub(super) commands: Vec<Command>,
    /// Where it stands: line and column, for errors.
    pub(super) at: (usize, usize),
    /// As it was written.
    pub(super) text: String,
}

/// An operand with arguments; the first may be a function.
pub(super) type Command = Vec<Operand>;

#[derive(Debug)]
pub(super) enum Operand {
    /// `.` or `.A.B`
    Field(Vec<String>),
    /// `$x.A`; `$` has the empty name
    Variable(String, Vec<String>),
    Function(&'static str),
    Literal(Data),
    /// `(pipe).A`
    Group(Pipe, Vec<String>),
}

/// Reads a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser {
        rest: text,
        text,
        variables: vec![String::new()],
        loops: 0,
        depth: 0,
        written: "",
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        Stop::Text => Ok(nodes),
        Stop::End => Err(parser.error("unexpected {{end}}")),
        Stop::Else(_) => Err(parser.error("unexpected {{else}}")),
    }
}

/// What ended a list of nodes.
enum Stop {
    /// The end of the text.
    Text,
    End,
    /// With what stands behind it: `if …`, `with …` or nothing.
    Else(Vec<Token>),
}

pub(super) struct Parser<'a> {
    text: &'a str,
    pub(super) rest: &'a str,
    variables: Vec<String>,
    loops: usize,
    depth: usize,
    /// The action at hand, without its braces.
    written: &'a str,
}

/// Deeper templates are refused: each level takes stack.
const MAX_DEPTH: usize = 100;

impl<'a> Parser<'a> {
    pub(super) fn error(&self, what: impl std::fmt::Display) -> String {
        format!(":{}: {what}", self.position().0)
    }

    fn position(&self) -> (usize, usize) {
        let before = &self.text[..self.text.len() - self.rest.len()];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        (line, column)
    }

    /// Nodes up to an `end`, an `else`, or the end of the text.
    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("too deeply nested"));
        }
        let known = self.variables.len();
        let mut nodes = Vec::new();
        let end = loop {
            let Some(open) = self.rest.find("{{") else {
                push_text(&mut nodes, self.rest);
                self.rest = "";
                break Stop::Text;
            };
            let text = &self.rest[..open];
            self.rest = &self.rest[open + 2..];
            let trims = self.rest.strip_prefix('-').filter(|r| r.starts_with(char::is_whitespace));
            push_text(&mut nodes, if trims.is_some() { text.trim_end() } else { text });
            self.rest = trims.unwrap_or(self.rest).trim_start();
            let at = self.position();
            let whole = self.rest;
            let tokens = self.action()?;
            self.written = whole[..whole.len() - self.rest.len()]
                .trim_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | '-'));
            if let Some(end) = self.node(tokens, at, &mut nodes)? {
                break end;
            }
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok((nodes, end))
    }

    /// One action; `Some` when it ends the list.
    fn node(
        &mut self,
        mut tokens: Vec<Token>,
        at: (usize, usize),
        nodes: &mut Vec<Node>,
    ) -> Result<Option<Stop>, String> {
        let word = match tokens.first() {
            Some(Token::Word(word)) => word.clone(),
            None if self.text[..self.text.len() - self.rest.len()].ends_with("*/}}") => {
                return Ok(None);
            }
            None if self.text[..self.text.len() - self.rest.len()].ends_with("*/ -}}") => {
                return Ok(None);
            }
            _ => String::new(),
        };
        match word.as_str() {
            "end" => return Ok(Some(Stop::End)),
            "else" => return Ok(Some(Stop::Else(tokens.split_off(1)))),
            "if" | "with" | "range" => {
                let rest = tokens.split_off(1);
                nodes.push(self.block(&word, rest, at)?);
            }
            "break" | "continue" if self.loops == 0 => {
                return Err(self.error(format!("{{{{{word}}}}} outside {{{{range}}}}")));
            }
            "break" => nodes.push(Node::Break),
            "continue" => nodes.push(Node::Continue),
            "define" | "template" | "block" => {
                return Err(self.error(format!("{{{{{word}}}}} is not served")));
            }
            _ => nodes.push(Node::Print(self.pipe(&tokens, at)?)),
        }
        Ok(None)
    }

    /// `if`, `with` or `range`, to its `end`.
    fn block(
        &mut self,
        word: &str,
        tokens: Vec<Token>,
        at: (usize, usize),
    ) -> Result<Node, String> {
        let known = self.variables.len();
        // Errors are about what stands behind the word.
        let at = (at.0, at.1 + word.len() + 1);
        if tokens.is_empty() {
            return Err(self.error(format!("missing value for {word}")));
        }
        self.written = self.written.strip_prefix(word).unwrap_or(self.written).trim_start();
        let test =
            if word == "range" { self.range_pipe(&tokens, at)? } else { self.pipe(&tokens, at)? };
        self.loops += usize::from(word == "range");
        let (then, end) = self.nodes()?;
        self.loops -= usize::from(word == "range");
        let other = match end {
            Stop::Text => return Err(self.error("unexpected EOF")),
            Stop::End => Vec::new(),
            Stop::Else(tokens) => match tokens.first() {
                None => match self.nodes()? {
                    (nodes, Stop::End) => nodes,
                    (_, Stop::Text) => return Err(self.error("unexpected EOF")),
                    (_, Stop::Else(_)) => return Err(self.error("unexpected {{else}}")),
                },
                Some(Token::Word(next)) if next == word && word != "range" => {
                    vec![self.block(word, tokens[1..].to_vec(), at)?]
                }
                Some(_) => return Err(self.error("unexpected token in {{else}}")),
            },
        };
        self.variables.truncate(known);
        Ok(match word {
            "if" => Node::If { test, then, other },
            "with" => Node::With { test, then, other },
            _ => Node::Range { over: test, body: then, other },
        })
    }

    /// `$k, $v := pipe`.
    fn range_pipe(&mut self, tokens: &[Token], at: (usize, usize)) -> Result<Pipe, String> {
        if let [Token::Variable(key), Token::Comma, Token::Variable(value), sign, rest @ ..] =
            tokens
        {
            let declares = match sign {
                Token::Declare => true,
                Token::Assign => false,
                _ => return Err(self.error("range can only initialize variables")),
            };
            let mut pipe = self.pipe(rest, at)?;
            pipe.variables = vec![key.clone(), value.clone()];
            pipe.declares = declares;
            self.variables.extend(pipe.variables.iter().cloned());
            return Ok(pipe);
        }
        self.pipe(tokens, at)
    }

    fn pipe(&mut self, tokens: &[Token], at: (usize, usize)) -> Result<Pipe, String> {
        let (variables, declares, tokens) = match tokens {
            [Token::Variable(name), Token::Declare, rest @ ..] => (vec![name.clone()], true, rest),
            [Token::Variable(name), Token::Assign, rest @ ..] => {
                self.known(name)?;
                (vec![name.clone()], false, rest)
            }
            _ => (Vec::new(), false, tokens),
        };
        let mut tokens = tokens;
        let commands = self.commands(&mut tokens, at)?;
        if !tokens.is_empty() {
            return Err(self.error("unexpected right paren"));
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipe { variables, declares, commands, at, text: self.written.to_owned() })
    }

    fn known(&self, name: &str) -> Result<(), String> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(self.error(format!("undefined variable \"${name}\"")))
    }

    /// Commands up to a right parenthesis or the end.
    fn commands(
        &mut self,
        tokens: &mut &[Token],
        at: (usize, usize),
    ) -> Result<Vec<Command>, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("too deeply nested"));
        }
        let mut commands = vec![Command::new()];
        while let Some((token, rest)) = tokens.split_first() {
            let command = commands.last_mut().expect("there is a first one");
            match token {
                Token::Close => break,
                Token::Bar if command.is_empty() => {
                    return Err(self.error("missing value for command"));
                }
                Token::Bar => {
                    commands.push(Command::new());
                    *tokens = rest;
                }
                Token::Field(names, true) => {
                    let (Some(Operand::Variable(_, fields)) | Some(Operand::Group(_, fields))) =
                        command.last_mut()
                    else {
                        return Err(self.error("unexpected <.> in operand"));
                    };
                    fields.extend(names.iter().cloned());
                    *tokens = rest;
                }
                _ => {
                    let operand = self.operand(tokens, at)?;
                    command.push(operand);
                }
            }
        }
        self.depth -= 1;
        if commands.last().is_some_and(Vec::is_empty) {
            return Err(self.error("missing value for command"));
        }
        Ok(commands)
    }

    /// One operand; there is a first token.
    fn operand(&mut self, tokens: &mut &[Token], at: (usize, usize)) -> Result<Operand, String> {
        let (token, mut rest) = tokens.split_first().expect("there is a first token");
        let operand = match token {
            Token::Field(names, _) => Operand::Field(names.clone()),
            Token::Variable(name) => {
                self.known(name)?;
                Operand::Variable(name.clone(), Vec::new())
            }
            Token::Literal(value) => Operand::Literal(value.clone()),
            Token::Word(word) => match function::known(word) {
                Some(name) => Operand::Function(name),
                None => return Err(self.error(format!("function {word:?} not defined"))),
            },
            Token::Open => {
                let commands = self.commands(&mut rest, at)?;
                let Some((Token::Close, after)) = rest.split_first() else {
                    return Err(self.error("unclosed left paren"));
                };
                rest = after;
                let text = self.written.to_owned();
                let pipe = Pipe { variables: Vec::new(), declares: false, commands, at, text };
                Operand::Group(pipe, Vec::new())
            }
            Token::Close | Token::Bar | Token::Comma | Token::Declare | Token::Assign => {
                return Err(self.error("unexpected token in operand"));
            }
        };
        *tokens = rest;
        Ok(operand)
    }
}

fn push_text(nodes: &mut Vec<Node>, text: &str) {
    if !text.is_empty() {
        nodes.push(Node::Text(text.to_owned()));
    }
}
