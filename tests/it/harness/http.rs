//! HTTP by hand, so that tests see every byte and may send what no client would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::SOON;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e} in the answer {}: {}", self.status, self.text()))
    }

    /// The text of an error.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

/// A connection to the daemon.
pub struct Wire {
    pub stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Wire {
    pub fn connect(socket: &Path) -> std::io::Result<Wire> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(2 * SOON))?;
        stream.set_write_timeout(Some(2 * SOON))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Wire { stream, reader })
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// A request without a body.
    #[track_caller]
    pub fn ask(&mut self, method: &str, path: &str) -> Reply {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.reply_to(method)
    }

    /// End of our input; answers still come.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    #[track_caller]
    pub fn reply_to(&mut self, method: &str) -> Reply {
        let (status, headers) = self.head();
        let mut reply = Reply { status, headers, body: Vec::new() };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return reply;
        }
        if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                reply.body.extend(chunk);
            }
        } else if let Some(length) = reply.header("content-length") {
            reply.body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut reply.body).unwrap();
        } else {
            self.reader.read_to_end(&mut reply.body).unwrap();
        }
        reply
    }

    /// Status and headers; what follows is left to be read.
    #[track_caller]
    pub fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let line = self.line();
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return (status, headers);
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).unwrap();
        assert!(line.ends_with(b"\r\n"), "not a whole line: {:?}", String::from_utf8_lossy(&line));
        String::from_utf8(line[..line.len() - 2].to_vec()).unwrap()
    }

    /// The next chunk of a chunked body; `None` at its end.
    #[track_caller]
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line(), 16).unwrap();
        let mut data = vec![0; size];
        self.reader.read_exact(&mut data).unwrap();
        assert_eq!(self.line(), "", "after a chunk");
        (size > 0).then_some(data)
    }

    /// One frame of a hijacked stream: which stream, and its bytes; `None` at the end.
    #[track_caller]
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 8];
        let mut got = 0;
        while got < 8 {
            match self.reader.read(&mut header[got..]).unwrap() {
                0 if got == 0 => return None,
                0 => panic!("the stream ends inside a frame's header"),
                count => got += count,
            }
        }
        assert!(header[0] <= 2 && header[1..4] == [0, 0, 0], "frame header {header:?}");
        let length = u32::from_be_bytes(header[4..].try_into().unwrap());
        let mut data = vec![0; length as usize];
        self.reader.read_exact(&mut data).unwrap();
        Some((header[0], data))
    }

    /// All frames up to the end: standard output and standard error.
    #[track_caller]
    pub fn frames(&mut self) -> (String, String) {
        let mut streams = [Vec::new(), Vec::new(), Vec::new()];
        while let Some((stream, data)) = self.frame() {
            streams[stream as usize].extend(data);
        }
        let [_, out, err] = streams.map(|s| String::from_utf8_lossy(&s).into_owned());
        (out, err)
    }

    /// The next bytes.
    #[track_caller]
    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// What comes until the other side closes.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        rest
    }
}

/// A value for a query: all that is not plain is escaped.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => (b as char).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}
