//! `changes` of an import: single instructions of a Dockerfile that concern the config alone.

use crate::base::{Error, Result, moment};
use crate::container::health;
use crate::model::{Healthcheck, PortProto, RunConfig};

/// Applies one instruction to `config`.
///
/// # Errors
/// `BadParameter` for a wrong one, `NotImplemented` for one that is not served here.
pub(super) fn apply(change: &str, config: &mut RunConfig) -> Result<()> {
    let change = change.trim();
    let (instruction, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
    let rest = rest.trim();
    let instruction = instruction.to_ascii_uppercase();
    let wrong = |why: &str| Error::bad_parameter(format!("invalid change {change:?}: {why}"));
    if rest.is_empty() {
        return Err(wrong("an instruction and its arguments are needed"));
    }
    match &*instruction {
        "CMD" => config.cmd = Some(program(rest)),
        "ENTRYPOINT" => {
            config.entrypoint = Some(program(rest));
            config.cmd = None; // it was made for the entrypoint of before
        }
        "ENV" => {
            for (name, value) in pairs(rest).map_err(wrong)? {
                let prefix = format!("{name}=");
                config.env.retain(|entry| !entry.starts_with(&prefix));
                config.env.push(prefix + &value);
            }
        }
        "LABEL" => config.labels.extend(pairs(rest).map_err(wrong)?),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let port: PortProto = port.parse().map_err(|why: String| wrong(&why))?;
                config.exposed_ports.extend([port.into()]);
            }
        }
        "USER" => config.user = rest.to_owned(),
        "WORKDIR" if rest.starts_with('/') => config.working_dir = rest.to_owned(),
        "WORKDIR" => {
            let base = config.working_dir.trim_end_matches('/');
            config.working_dir = format!("{base}/{rest}");
        }
        "VOLUME" => match json_list(rest) {
            Some(paths) => config.volumes.extend(paths),
            None => config.volumes.extend(rest.split_whitespace().map(str::to_owned)),
        },
        "STOPSIGNAL" if crate::model::Signal::parse(rest).is_none() => {
            return Err(wrong("no such signal"));
        }
        "STOPSIGNAL" => config.stop_signal = rest.to_owned(),
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest).map_err(|why| wrong(&why))?),
        _ => return Err(wrong("this instruction cannot be a change")),
    }
    Ok(())
}

/// `[--interval=30s …] CMD program`, or `NONE`.
fn healthcheck(text: &str) -> Result<Healthcheck, String> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        rest = after.trim_start();
        let (name, value) = flag.split_once('=').ok_or_else(|| format!("--{flag} has no value"))?;
        let time = || {
            let length = moment::duration(value)?;
            i64::try_from(length.as_nanos()).map_err(|_| format!("--{name} is too long"))
        };
        match name {
            "interval" => check.interval = time()?,
            "timeout" => check.timeout = time()?,
            "start-period" => check.start_period = time()?,
            "start-interval" => check.start_interval = time()?,
            "retries" => {
                check.retries = value.parse().map_err(|_| format!("--retries={value}"))?;
            }
            _ => return Err(format!("unknown flag: --{name}")),
        }
    }
    let (kind, words) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let words = words.trim_start();
    check.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if words.is_empty() => vec!["NONE".to_owned()],
        "CMD" => match json_list(words) {
            Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            None if words.is_empty() => return Err("CMD has no command".to_owned()),
            None => vec!["CMD-SHELL".to_owned(), words.to_owned()],
        },
        _ => return Err("CMD or NONE is missing".to_owned()),
    };
    health::validate(&check).map(|()| check).map_err(|error| error.to_string())
}

/// A JSON list of words as it is, anything else as a line for the shell.
fn program(text: &str) -> Vec<String> {
    json_list(text).unwrap_or_else(|| ["/bin/sh", "-c", text].map(str::to_owned).into())
}

fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_slice(text.as_bytes()).ok()).flatten()
}

/// `a=b c="d e"`, or in the old form `a b and the rest`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text.split_once(char::is_whitespace).ok_or("a value is missing")?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("each word must be NAME=VALUE"),
    };
    words(text)?.into_iter().map(pair).collect()
}

/// Words at blanks; quotes and backslashes as in a shell.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().push(chars.next().ok_or("a lone backslash")?);
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_the_config() {
        let mut config = RunConfig::default();
        for change in [
            "ENV A=b",
            "env B=\"c d\" E='x' F=a\\ b",
            "ENV A new value",
            "CMD [\"echo\", \"hi\"]",
            "LABEL k=v",
            "EXPOSE 80 53/udp",
            "WORKDIR /srv",
            "WORKDIR app",
            "USER nobody",
            "VOLUME [\"/v\"]",
            "VOLUME /a /b",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN true",
            "HEALTHCHECK --interval=5s --retries=2 CMD test -f /ok",
        ] {
            apply(change, &mut config).unwrap();
        }
        assert_eq!(config.env, ["B=c d", "E=x", "F=a b", "A=new value"]);
        assert_eq!(config.cmd, Some(vec!["echo".into(), "hi".into()]));
        let check = config.healthcheck.clone().unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "test -f /ok"]);
        assert_eq!((check.interval, check.retries), (5_000_000_000, 2));
        apply("HEALTHCHECK CMD [\"a\", \"b\"]", &mut config).unwrap();
        assert_eq!(config.healthcheck.as_ref().unwrap().test, ["CMD", "a", "b"]);
        apply("HEALTHCHECK none", &mut config).unwrap();
        assert_eq!(config.healthcheck.as_ref().unwrap().test, ["NONE"]);
        assert_eq!(config.labels["k"], "v");
        assert_eq!(config.exposed_ports.iter().count(), 2);
        assert_eq!((&*config.working_dir, &*config.user), ("/srv/app", "nobody"));
        assert_eq!(config.volumes.len(), 3);
        apply("ENTRYPOINT run it", &mut config).unwrap();
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
        assert_eq!(config.cmd, None);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for bad in [
            "",
            "CMD",
            "RUN true",
            "FROM x",
            "ENV A",
            "ENV =b",
            "ENV A=\"b",
            "ENV A=b C",
            "EXPOSE x",
            "STOPSIGNAL NOPE",
            "HEALTHCHECK",
            "HEALTHCHECK CMD",
            "HEALTHCHECK NONE x",
            "HEALTHCHECK --interval=x CMD true",
            "HEALTHCHECK --interval=1ns CMD true",
            "HEALTHCHECK --odd=1s CMD true",
            "ENV A=\\",
        ] {
            assert!(apply(bad, &mut RunConfig::default()).is_err(), "{bad}");
        }
    }
}
