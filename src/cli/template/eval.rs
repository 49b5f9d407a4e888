//! From nodes and data to text.

use super::data::{Data, MISSING};
use super::function;
use super::parse::{Command, Node, Operand, Pipe};

/// What a list of nodes says to the loop around it.
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    root: &'a Data,
    variables: Vec<(String, Data)>,
    /// Headers of columns keep their look.
    header: bool,
    out: String,
}

/// Functions that leave a header as it is.
const NOT_ON_HEADERS: [&str; 7] = ["json", "split", "join", "title", "lower", "upper", "truncate"];

/// Carries `nodes` out on `data`.
pub(super) fn run(nodes: &[Node], data: &Data, header: bool) -> Result<String, String> {
    let mut run = Run { root: data, variables: Vec::new(), header, out: String::new() };
    run.nodes(nodes, data)?;
    Ok(run.out)
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Data) -> Result<Flow, String> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.out.push_str(&value.shown());
                    }
                }
                Node::If { test, then, other } => {
                    let known = self.variables.len();
                    let value = self.pipe(test, dot)?;
                    let flow = self.nodes(if value.truth() { then } else { other }, dot)?;
                    self.variables.truncate(known);
                    if !matches!(flow, Flow::On) {
                        return Ok(flow);
                    }
                }
                Node::With { test, then, other } => {
                    let known = self.variables.len();
                    let value = self.pipe(test, dot)?;
                    let flow = match value.truth() {
                        true => self.nodes(then, &value)?,
                        false => self.nodes(other, dot)?,
                    };
                    self.variables.truncate(known);
                    if !matches!(flow, Flow::On) {
                        return Ok(flow);
                    }
                }
                Node::Range { over, body, other } => self.range(over, body, other, dot)?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        over: &Pipe,
        body: &[Node],
        other: &[Node],
        dot: &Data,
    ) -> Result<(), String> {
        let known = self.variables.len();
        let number = |n: u64| Data::Number(n.into());
        let entries: Vec<(Data, Data)> = match self.commands(over, dot)? {
            Data::List(list) => (0..).map(number).zip(list).collect(),
            Data::Map(map, _) => map.into_iter().map(|(k, v)| (Data::Text(k), v)).collect(),
            Data::Null(_) => Vec::new(),
            Data::Number(count) => {
                let count = count.as_u64().unwrap_or(0).min(1 << 20);
                (0..count).map(|i| (number(i), number(i))).collect()
            }
            value => {
                let text = value.shown();
                return Err(failed(over, &format!("range can't iterate over {text}")));
            }
        };
        if entries.is_empty() {
            self.nodes(other, dot)?;
        }
        for (key, value) in entries {
            match over.variables.as_slice() {
                [name] => self.set(name, value.clone(), over.declares),
                [first, second] => {
                    self.set(first, key, over.declares);
                    self.set(second, value.clone(), over.declares);
                }
                _ => {}
            }
            let flow = self.nodes(body, &value)?;
            self.variables.truncate(known);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: Data, declares: bool) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some(known) if !declares => known.1 = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    /// The value of a pipe; its variables are set.
    fn pipe(&mut self, pipe: &Pipe, dot: &Data) -> Result<Data, String> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.set(name, value.clone(), pipe.declares);
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Data) -> Result<Data, String> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last, dot, pipe)?);
        }
        Ok(last.unwrap_or(MISSING))
    }

    fn command(
        &mut self,
        command: &Command,
        piped: Option<Data>,
        dot: &Data,
        pipe: &Pipe,
    ) -> Result<Data, String> {
        let Some((first, rest)) = command.split_first() else { return Ok(MISSING) };
        if let Operand::Function(name) = first {
            return self.call(name, rest, piped, dot, pipe);
        }
        let mut arguments = Vec::new();
        for operand in rest {
            arguments.push(self.operand(operand, dot, pipe)?);
        }
        arguments.extend(piped);
        let value = self.operand(first, dot, pipe)?;
        match (arguments.as_slice(), first) {
            ([], _) => Ok(value),
            ([Data::Text(key)], Operand::Field(names)) if !names.is_empty() => {
                Ok(with_argument(&value, key))
            }
            _ => Err(failed(pipe, "can't give argument to non-function")),
        }
    }

    fn call(
        &mut self,
        name: &str,
        operands: &[Operand],
        piped: Option<Data>,
        dot: &Data,
        pipe: &Pipe,
    ) -> Result<Data, String> {
        let mut arguments = Vec::new();
        for operand in operands {
            let value = self.operand(operand, dot, pipe)?;
            // The rest is not looked at once the answer is known.
            if name == "and" && !value.truth() || name == "or" && value.truth() {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(piped);
        if self.header && NOT_ON_HEADERS.contains(&name) {
            return arguments.into_iter().next().ok_or_else(|| failed(pipe, "missing argument"));
        }
        function::call(name, &arguments)
            .map_err(|reason| failed(pipe, &format!("error calling {name}: {reason}")))
    }

    fn operand(&mut self, operand: &Operand, dot: &Data, pipe: &Pipe) -> Result<Data, String> {
        match operand {
            Operand::Field(names) => fields(dot, names, &format!(".{}", names.join(".")), pipe),
            Operand::Variable(name, names) => {
                let value = match self.variables.iter().rev().find(|(known, _)| known == name) {
                    Some((_, value)) => value,
                    None => self.root,
                };
                fields(value, names, &format!("${name}.{}", names.join(".")), pipe)
            }
            Operand::Group(inner, names) => {
                let value = self.pipe(inner, dot)?;
                fields(&value, names, &format!(".{}", names.join(".")), pipe)
            }
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(name) => self.call(name, &[], None, dot, pipe),
        }
    }
}

/// `.Label "k"`: the entry of a map; in a header row, the last word of the key.
fn with_argument(value: &Data, key: &str) -> Data {
    match value {
        Data::Map(map, _) => map.get(key).cloned().unwrap_or_else(|| Data::text("")),
        Data::Null(_) => Data::text(""),
        _ => Data::text(key.rsplit('.').next().unwrap_or(key).replace(['-', '_'], " ")),
    }
}

fn failed(pipe: &Pipe, reason: &str) -> String {
    let (line, column) = pipe.at;
    format!(":{line}:{column}: executing \"\" at <{}>: {reason}", pipe.text)
}

fn fields(value: &Data, names: &[String], shown: &str, pipe: &Pipe) -> Result<Data, String> {
    let mut at = value;
    // The column that an error names is that of the field.
    let mut passed = 0;
    for name in names {
        let next = match at {
            Data::Struct(fields) | Data::Row(fields) => {
                match fields.iter().find(|field| field.name == name) {
                    Some(field) => Ok(&field.value),
                    None => Err(format!("can't evaluate field {name} in type interface {{}}")),
                }
            }
            Data::Map(map, kind) => match map.get(name) {
                Some(value) => Ok(value),
                // What was sent is asked for by name; of a type's own maps, all can be asked.
                None if *kind == "a" => Err(format!("map has no entry for key {name:?}")),
                None => return Ok(MISSING),
            },
            Data::Null(kind) if kind.is_empty() || kind.starts_with('{') => return Ok(MISSING),
            Data::Null(_) => Err(format!("nil pointer evaluating interface {{}}.{name}")),
            _ => Err(format!("can't evaluate field {name} in type interface {{}}")),
        };
        at = next.map_err(|reason| {
            let (line, column) = pipe.at;
            format!(":{line}:{}: executing \"\" at <{shown}>: {reason}", column + passed)
        })?;
        passed += name.len() + 1;
    }
    Ok(at.clone())
}
