//! From nodes and data to text.

use serde_json::Value;

use super::function;
use super::parse::{Command, Node, Operand, Pipe};

/// What a list of nodes says to the loop around it.
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    root: &'a Value,
    variables: Vec<(String, Value)>,
    out: String,
}

/// Carries `nodes` out on `data`.
pub(super) fn run(nodes: &[Node], data: &Value) -> Result<String, String> {
    let mut run = Run { root: data, variables: Vec::new(), out: String::new() };
    run.nodes(nodes, data)?;
    Ok(run.out)
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.out.push_str(&function::shown(&value));
                    }
                }
                Node::If { test, then, other } => {
                    let known = self.variables.len();
                    let value = self.pipe(test, dot)?;
                    let flow = self.nodes(if truth(&value) { then } else { other }, dot)?;
                    self.variables.truncate(known);
                    if !matches!(flow, Flow::On) {
                        return Ok(flow);
                    }
                }
                Node::With { test, then, other } => {
                    let known = self.variables.len();
                    let value = self.pipe(test, dot)?;
                    let flow = match truth(&value) {
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
        dot: &Value,
    ) -> Result<(), String> {
        let known = self.variables.len();
        let entries: Vec<(Value, Value)> = match self.commands(over, dot)? {
            Value::Array(list) => {
                list.into_iter().enumerate().map(|(i, v)| (i.into(), v)).collect()
            }
            Value::Object(map) => map.into_iter().map(|(k, v)| (k.into(), v)).collect(),
            Value::Null => Vec::new(),
            Value::Number(number) => {
                let count = number.as_u64().unwrap_or(0).min(1 << 20);
                (0..count).map(|i| (i.into(), i.into())).collect()
            }
            value => {
                let text = function::shown(&value);
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

    fn set(&mut self, name: &str, value: Value, declares: bool) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some(known) if !declares => known.1 = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    /// The value of a pipe; its variables are set.
    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.set(name, value.clone(), pipe.declares);
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last, dot, pipe)?);
        }
        Ok(last.unwrap_or(Value::Null))
    }

    fn command(
        &mut self,
        command: &Command,
        piped: Option<Value>,
        dot: &Value,
        pipe: &Pipe,
    ) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Null) };
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
            ([Value::String(key)], Operand::Field(names)) if !names.is_empty() => {
                Ok(with_argument(&value, key))
            }
            _ => Err(failed(pipe, "can't give argument to non-function")),
        }
    }

    fn call(
        &mut self,
        name: &str,
        operands: &[Operand],
        piped: Option<Value>,
        dot: &Value,
        pipe: &Pipe,
    ) -> Result<Value, String> {
        let mut arguments = Vec::new();
        for operand in operands {
            let value = self.operand(operand, dot, pipe)?;
            // The rest is not looked at once the answer is known.
            if name == "and" && !truth(&value) || name == "or" && truth(&value) {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(piped);
        function::call(name, &arguments)
            .map_err(|reason| failed(pipe, &format!("error calling {name}: {reason}")))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value, pipe: &Pipe) -> Result<Value, String> {
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
fn with_argument(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(map) => map.get(key).cloned().unwrap_or_else(|| "".into()),
        _ => key.rsplit('.').next().unwrap_or(key).replace(['-', '_'], " ").into(),
    }
}

fn failed(pipe: &Pipe, reason: &str) -> String {
    let (line, column) = pipe.at;
    format!(":{line}:{column}: executing \"\" at <>: {reason}")
}

fn fields(value: &Value, names: &[String], shown: &str, pipe: &Pipe) -> Result<Value, String> {
    let mut at = value;
    // The column that an error names is that of the field.
    let passed = std::cell::Cell::new(0);
    let fail = |reason: String| {
        let (line, column) = pipe.at;
        Err(format!(":{line}:{}: executing \"\" at <{shown}>: {reason}", column + passed.get()))
    };
    for (index, name) in names.iter().enumerate() {
        at = match at {
            Value::Object(map) => match map.get(name) {
                Some(Value::Null) if index + 1 == names.len() => return Ok(empty(name)),
                Some(value) => value,
                // The field of Docker's own types, which templates are first tried on.
                None if name == "ID" && map.contains_key("Id") => &map["Id"],
                None => return fail(format!("map has no entry for key {name:?}")),
            },
            Value::Null => {
                return fail(format!("nil pointer evaluating interface {{}}.{name}"));
            }
            _ => return fail(format!("can't evaluate field {name} in type interface {{}}")),
        };
        passed.set(passed.get() + name.len() + 1);
    }
    Ok(at.clone())
}

/// What a null is in Docker's own types, by the name of the field: a map, a pointer, or a list.
fn empty(name: &str) -> Value {
    match name {
        "Volumes" | "Labels" | "ExposedPorts" | "PortBindings" | "Ports" | "Sysctls" | "Tmpfs"
        | "StorageOpt" | "Annotations" | "Options" | "DriverOpts" | "Networks" => {
            Value::Object(serde_json::Map::new())
        }
        "Args" | "Binds" | "CapAdd" | "CapDrop" | "Cmd" | "Dns" | "DnsOptions" | "DnsSearch"
        | "Entrypoint" | "Env" | "ExtraHosts" | "GroupAdd" | "Links" | "OnBuild"
        | "SecurityOpt" | "VolumesFrom" | "MaskedPaths" | "ReadonlyPaths" | "Devices"
        | "Ulimits" | "Mounts" | "ExecIDs" | "RepoTags" | "RepoDigests" | "Aliases"
        | "DeviceRequests" | "DeviceCgroupRules" | "Shell" => Value::Array(Vec::new()),
        _ => Value::Null,
    }
}

/// Whether a value counts as true.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
