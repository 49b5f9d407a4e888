//! Telling the service manager: ready, and still alive. sd_notify(3).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::base::Result;

/// Whether somebody wants to know.
pub(super) fn is_awaited() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Says that requests are answered from now on, if somebody wants to know.
pub(super) fn ready() {
    tell("READY=1");
}

/// Starts feeding the watchdog, if there is one. The thread takes no lock: it feeds as long as the
/// process is given time at all.
pub(super) fn feed_watchdog() -> Result<()> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    match number("WATCHDOG_USEC") {
        Some(period) if ours && period > 0 => super::spawn("watchdog", move || {
            loop {
                tell("WATCHDOG=1");
                std::thread::sleep(Duration::from_micros(period / 2));
            }
        }),
        _ => Ok(()),
    }
}

fn tell(text: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let socket = socket.as_encoded_bytes();
    if let Err(error) = send(socket, text) {
        crate::warn!("tell the service manager {text}: {error}");
    }
}

/// `@name` is one without a file.
fn send(socket: &[u8], text: &str) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let address = match socket {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_sockets_are_told() {
        let name = format!("skiff-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let named = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str().as_encoded_bytes(), "READY=1").unwrap();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let nameless = UnixDatagram::bind_addr(&address).unwrap();
        send(format!("@{name}").as_bytes(), "READY=1").unwrap();
        for socket in [named, nameless] {
            let mut text = [0; 20];
            let count = socket.recv(&mut text).unwrap();
            assert_eq!(&text[..count], b"READY=1");
        }
        std::fs::remove_file(path).unwrap();
    }
}
