//! Finding the program, and becoming it.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::{Error, Kind, Result};
use crate::runtime::launch::Launch;
use crate::sys::process;

/// A program that was found, with all that exec needs.
pub(super) struct Program {
    name: String,
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// Finds the program as the user who is to run it, in the container's working directory.
///
/// # Errors
/// `ProgramNotFound` and `ProgramNotExecutable`.
pub(super) fn find(launch: &Launch, home: &str) -> Result<Program> {
    let name = launch
        .args
        .first()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Error::new(Kind::ProgramNotFound, "no command specified"))?;
    let mut environment = launch.env.clone();
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(format!("HOME={home}"));
    }
    let path = if name.contains('/') {
        check(Path::new(name)).map_err(|error| not_runnable(name, Path::new(name), &error))?;
        PathBuf::from(name)
    } else {
        search(name, &environment)?
    };
    Ok(Program {
        name: name.clone(),
        path: c_string(path.as_os_str())?,
        arguments: launch.args.iter().map(c_string).collect::<Result<_>>()?,
        environment: environment.iter().map(c_string).collect::<Result<_>>()?,
    })
}

fn c_string(text: impl AsRef<OsStr>) -> Result<CString> {
    let text = text.as_ref();
    CString::new(text.as_bytes()).map_err(|_| {
        Error::bad_parameter(format!("{:?} contains a NUL byte", text.to_string_lossy()))
    })
}

/// Looks for `name` in the directories of PATH.
fn search(name: &str, environment: &[String]) -> Result<PathBuf> {
    // The last of several wins, as for the programs themselves.
    let list = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let mut refused = None;
    for dir in list.unwrap_or_default().split(':') {
        // An empty entry is the working directory.
        let path = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        match check(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                refused = Some(error);
            }
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(error) => not_runnable(name, Path::new(name), &error),
        None => Error::new(
            Kind::ProgramNotFound,
            format!("exec: {name:?}: executable file not found in $PATH"),
        ),
    })
}

/// Whether `path` is a file that we may execute.
fn check(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let path = CString::new(path.as_os_str().as_bytes())?;
    process::may_execute(&path)
}

/// Text of an error without its number, as Go's programs print it.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        io::ErrorKind::NotADirectory => "not a directory".into(),
        _ => error.to_string(),
    }
}

fn not_runnable(name: &str, path: &Path, error: &io::Error) -> Error {
    let text = plain(error);
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(
            Kind::ProgramNotFound,
            format!("exec: {name:?}: stat {}: {text}", path.display()),
        ),
        _ => Error::new(Kind::ProgramNotExecutable, format!("exec: {name:?}: {text}")),
    }
}

impl Program {
    /// Becomes the program; returns only why that failed.
    pub(super) fn exec(&self) -> Error {
        let error = process::exec(&self.path, &self.arguments, &self.environment);
        let text =
            if process::is_no_program(&error) { "exec format error".into() } else { plain(&error) };
        // What was there a moment ago and is not found now is the interpreter of a script.
        let kind = match error.kind() {
            io::ErrorKind::NotFound => Kind::ProgramNotFound,
            io::ErrorKind::OutOfMemory | io::ErrorKind::ArgumentListTooLong => Kind::Internal,
            _ => Kind::ProgramNotExecutable,
        };
        Error::new(kind, format!("exec {}: {text}", self.name))
    }
}
