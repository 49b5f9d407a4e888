//! Runs a program with a deadline: one that hangs is killed, and the test fails.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Collector, SOON, send_signal};

/// A command that is about to run.
pub struct Cli {
    command: Command,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

/// What a command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; 128 + n when signal n killed it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub bytes: Vec<u8>,
}

impl Output {
    /// Standard output without the last newline; the command must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout.trim_end_matches('\n').to_owned()
    }
}

impl Cli {
    pub fn new(program: impl AsRef<OsStr>) -> Cli {
        Cli { command: Command::new(program), stdin: None, limit: 2 * SOON }
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Cli {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Cli {
        self.command.env(name, value);
        self
    }

    /// Standard input; without it the program has /dev/null.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Cli {
        self.stdin = Some(bytes.into());
        self
    }

    /// Kills it after so long and fails the test.
    pub fn limit(mut self, limit: Duration) -> Cli {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn output(mut self) -> Output {
        let input = self.stdin.take();
        let limit = self.limit;
        self.command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut process = self.start();
        let writer = input.map(|bytes| {
            let mut stdin = process.child.stdin.take().unwrap();
            // A program may end without reading all of its input.
            std::thread::spawn(move || stdin.write_all(&bytes).is_ok())
        });
        let output = process.wait(limit);
        if let Some(writer) = writer {
            writer.join().unwrap();
        }
        output
    }

    /// Starts it with a pipe for its standard input.
    pub fn spawn(mut self) -> Process {
        self.command.stdin(Stdio::piped());
        self.start()
    }

    fn start(mut self) -> Process {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let what = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("{what}: {e}"));
        let stdout = Collector::new(child.stdout.take().unwrap());
        let stderr = Collector::new(child.stderr.take().unwrap());
        Process { child, stdout, stderr, what }
    }
}

/// A command that runs.
pub struct Process {
    child: Child,
    pub stdout: Collector,
    pub stderr: Collector,
    what: String,
}

impl Process {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The write end of its standard input; dropping it is the end of file.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    pub fn signal(&self, signal: i32) {
        send_signal(self.pid(), signal);
    }

    /// Waits until its standard output contains `text`.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let seen = self.stdout.wait(SOON, |bytes, _| {
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        });
        let (out, err) = (self.stdout.text(), self.stderr.text());
        assert!(seen, "{}: no {text:?} in {out:?}; stderr: {err}", self.what);
    }

    /// Waits for its end and for that of its output.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> Output {
        let end = Instant::now() + limit;
        let mut pause = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                let (out, err) = (self.stdout.text(), self.stderr.text());
                let out = out.get(..2000).unwrap_or(&out);
                panic!("{}: hangs after {limit:?}; stdout: {out}\nstderr: {err}", self.what);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        for stream in [&self.stdout, &self.stderr] {
            assert!(stream.wait(SOON, |_, ended| ended), "{}: output stays open", self.what);
        }
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        let bytes = self.stdout.bytes();
        let stdout = String::from_utf8_lossy(&bytes).into_owned();
        Output { code, stdout, stderr: self.stderr.text(), bytes }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, or the test is failing; an error can only mean the former.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
