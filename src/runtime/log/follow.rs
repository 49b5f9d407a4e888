//! Following the log: by notice of the kernel, without polling.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::Reader;
use crate::base::{Context, Error, Kind, Result, Timestamp};
use crate::sys::poll::{self, Inotify, Interest};

/// How often a file is looked at when the kernel grants no more watches.
const WITHOUT_WATCH: Duration = Duration::from_millis(500);

impl Reader {
    /// Writes to `out` what there is and what comes, until `ended` is readable and all has been
    /// read, or until the query's end of time.
    ///
    /// `ended` becomes readable (and stays so) when the run is over: its monitor has written the
    /// last of its output before it tells of the exit.
    ///
    /// # Errors
    /// `ClientGone` when `client`'s peer has gone; those of [`Reader::copy_to`].
    pub fn follow(
        mut self,
        out: &mut dyn Write,
        client: Option<BorrowedFd<'_>>,
        ended: BorrowedFd<'_>,
    ) -> Result<()> {
        // Watched before the first read, so that no write falls between.
        let watch = Inotify::watch_dir(&self.dir).ok();
        loop {
            // Asked before the copy: what was written before the end is read below.
            let now = Instant::now();
            let over = poll::wait(&[(ended, Interest::READ)], Some(now))
                .context(|| "follow the log".into())?[0]
                .any();
            self.copy_to(out)?;
            out.flush()?;
            let left = self.until.map(|until| until.since(Timestamp::now()));
            if over || self.past || left == Some(Duration::ZERO) {
                return Ok(());
            }
            let pause = match (&watch, left) {
                (Some(_), left) => left,
                (None, left) => Some(left.map_or(WITHOUT_WATCH, |left| left.min(WITHOUT_WATCH))),
            };
            let mut fds = vec![(ended, Interest::READ)];
            fds.extend(client.map(|client| (client, poll::hang_up_interest(client))));
            fds.extend(watch.as_ref().map(|watch| (watch.as_fd(), Interest::READ)));
            let deadline = pause.map(|pause| now + pause);
            let ready = poll::wait(&fds, deadline).context(|| "follow the log".into())?;
            if client.is_some() && ready[1].any() {
                return Err(Error::new(Kind::ClientGone, "the client has gone"));
            }
            if let Some(watch) = &watch {
                watch.drain();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::runtime::log::writer::tests::{Dir, config};
    use crate::runtime::log::{Query, Stream, Writer};
    use crate::sys::poll::EventFd;

    #[test]
    fn a_follower_sees_everything_and_ends_with_the_container() {
        let dir = Dir::new("follow");
        let mut writer = Writer::new(&dir.0, &config(2000, 50));
        writer.write(Stream::Stdout, b"before\n");
        let ended = EventFd::new().unwrap();
        let query = Query { stdout: true, stderr: true, ..Query::default() };
        let mut expected = "before\n".to_owned();
        std::thread::scope(|scope| {
            let follower = scope.spawn(|| {
                let mut out = Vec::new();
                let reader = Reader::open(&dir.0, &query).unwrap();
                reader.follow(&mut out, None, ended.as_fd()).unwrap();
                out
            });
            for n in 0..300 {
                let line = format!("line {n}\n");
                writer.write(Stream::Stderr, line.as_bytes());
                expected.push_str(&line);
                if n % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            writer.write(Stream::Stdout, b"end");
            writer.flush();
            ended.notify();
            assert_eq!(String::from_utf8(follower.join().unwrap()).unwrap(), expected + "end");
        });
    }

    #[test]
    fn a_line_arrives_while_the_container_runs() {
        let dir = Dir::new("follow-live");
        let mut writer = Writer::new(&dir.0, &config(0, 1));
        let ended = EventFd::new().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        let query = Query { stdout: true, tail: Some(0), ..Query::default() };
        std::thread::scope(|scope| {
            let (reader, mut socket, far) =
                (Reader::open(&dir.0, &query).unwrap(), &far, far.as_fd());
            let ended = ended.as_fd();
            let follower = scope.spawn(move || reader.follow(&mut socket, Some(far), ended));
            for text in ["one\n", "two\n"] {
                writer.write(Stream::Stdout, text.as_bytes());
                let mut got = [0; 4];
                near.read_exact(&mut got).unwrap();
                assert_eq!(got, text.as_bytes());
            }
            drop(near);
            let error = follower.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::ClientGone);
        });
    }

    #[test]
    fn following_ends_at_the_asked_time() {
        let dir = Dir::new("follow-until");
        let ended = EventFd::new().unwrap();
        let now = Timestamp::now();
        for seconds in [now.seconds - 1, now.seconds + 1] {
            let until = Some(Timestamp { seconds, ..now });
            let query = Query { stdout: true, until, ..Query::default() };
            let reader = Reader::open(&dir.0, &query).unwrap();
            reader.follow(&mut io::sink(), None, ended.as_fd()).unwrap();
        }
    }
}
