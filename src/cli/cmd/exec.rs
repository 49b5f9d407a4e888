//! `exec`: a program in a container that runs.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use super::create::{environment, some};
use super::run::{RETURNING, check_terminal, with_code_of_program};
use crate::cli::args::Args;
use crate::cli::attach::{Ended, Session as Attached, Wish};
use crate::cli::client::{Client, Target};
use crate::cli::fail::{Failure, Outcome};
use crate::cli::session::Session;
use crate::http::client::RequestBody;
use crate::sys::tty;
use crate::wire::exec::{ExecCreate, ExecCreated, ExecStart, ExecStatus};

/// `exec`
pub(crate) fn exec(session: &Session, args: &Args) -> Outcome {
    let (container, program) = args.free.split_first().expect("the number was checked");
    let (tty, detach) = (args.on("tty"), args.on("detach"));
    let stdin = args.on("interactive") && !detach;
    check_terminal(tty && stdin)?;
    let keys = session.detach_keys(args);
    let console_size = if tty { terminal_size() } else { None };
    let asked = ExecCreate {
        attach_stdin: stdin,
        attach_stdout: !detach,
        attach_stderr: !detach,
        detach_keys: keys.clone().unwrap_or_default(),
        tty,
        env: some(environment(args)?),
        cmd: Some(program.to_vec()),
        privileged: args.on("privileged"),
        user: args.one("user").unwrap_or_default(),
        working_dir: args.one("workdir").unwrap_or_default(),
        console_size,
    };
    let client = session.client()?;
    let made = client.post_json(Target::new(&["containers", container, "exec"]).as_str(), &asked);
    let ExecCreated { id } = made?;
    let start = Target::new(&["exec", &id, "start"]);
    let body = |size| {
        let asked = ExecStart { detach, tty, console_size: size };
        serde_json::to_vec(&asked).expect("requests have keys of text")
    };
    if detach {
        let body = RequestBody::Bytes("application/json", body(console_size));
        let answer = client.stream("POST", start.as_str(), body);
        answer.and_then(crate::cli::client::whole).map_err(with_code_of_program)?;
        return Ok(0);
    }
    let wish = Wish { family: "exec", id, tty, stdin, proxy: false, detach_keys: keys };
    let attached = Attached::new(client, wish.clone())?;
    // Taken anew: the changes from now on are seen.
    let size = if tty { terminal_size() } else { None };
    let ended = attached.pump(client.hijack(start.as_str(), Some(body(size)))?)?;
    drop(attached); // from here on a signal ends us
    match ended {
        Ended::Detached => Err(Failure::new("read escape sequence")),
        Ended::Output => exit_code(client, &wish.id),
    }
}

/// Rows and columns of our own terminal.
fn terminal_size() -> Option<[u16; 2]> {
    tty::size(io::stdout().as_fd()).ok().map(|(rows, columns)| [rows, columns])
}

/// The exit code of an exec whose output has ended. A daemon that went away meanwhile is asked
/// again when it is back: the exec has outlived it.
fn exit_code(client: &Client, id: &str) -> Outcome {
    let target = Target::new(&["exec", id, "json"]);
    let mut answer = client.get::<ExecStatus>(target.as_str());
    for _ in 0..RETURNING {
        match &answer {
            Err(failure) if failure.status == 0 => {}
            Ok(status) if status.running => {}
            _ => break,
        }
        std::thread::sleep(Duration::from_millis(100));
        answer = client.get(target.as_str());
    }
    let code = answer?.exit_code.unwrap_or_default();
    Ok(u8::try_from(code & 0xff).unwrap_or(255))
}
