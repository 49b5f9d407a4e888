//! Drives the real binary, by command line and by socket, as a user would.
//!
//! - Each test has a daemon of its own: private network and mount namespace, own root, own
//!   socket, a temporary directory. Nothing but loopback is there.
//! - The fixture image is made of the machine's static busybox.
//! - Nothing sleeps and hopes: what is waited for has a deadline, and so has every command.
//! - What cannot run here says `skipped: why`; `make test` counts it.
//! - `SKIFF_SOAK=1` runs the same tests with larger counts.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

#[macro_use]
mod harness;

mod browser;
mod cli;
mod clients;
mod clock;
mod concurrency;
mod crash;
mod damage;
mod events;
mod exec;
mod golden;
mod health;
mod http;
mod images;
mod init;
mod inside;
mod life;
mod lifecycle;
mod logs;
mod messages;
#[path = "../fuzz/mutate.rs"]
mod mutate;
mod names;
mod network;
mod old;
mod run;
mod service;
mod shortage;
mod survive;
mod tty;
mod unmount;
mod update;
mod usage;
