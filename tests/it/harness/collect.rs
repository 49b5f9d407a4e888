//! Reads a stream in a thread, so that tests can wait for what it says, with a deadline.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

/// All that a stream has said so far.
#[derive(Clone)]
pub struct Collector {
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

impl Collector {
    pub fn new(mut stream: impl Read + Send + 'static) -> Collector {
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 256 * 1024];
            loop {
                // A terminal whose other side is gone reads as EIO: the end, too.
                let count = stream.read(&mut buffer).unwrap_or(0);
                let mut heard = shared.0.lock().unwrap();
                heard.bytes.extend_from_slice(&buffer[..count]);
                heard.ended = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Collector { heard }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.heard.0.lock().unwrap().bytes.clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Whether `condition` came to hold of what was heard (and of the end) within `limit`.
    pub fn wait(&self, limit: Duration, condition: impl Fn(&[u8], bool) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut heard = self.heard.0.lock().unwrap();
        loop {
            if condition(&heard.bytes, heard.ended) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            heard = self.heard.1.wait_timeout(heard, left).unwrap().0;
        }
    }
}
