//! `daemon`: from flags to the daemon's options.

use std::path::PathBuf;

use crate::base::units::parse_size;
use crate::cli::args::Args;
use crate::cli::fail::{Failure, Outcome};
use crate::cli::session::Session;
use crate::daemon::{self, Options};
use crate::model::{FirewallChoice, LogConfig, LogDriver};

/// `daemon`
pub(crate) fn daemon(session: &Session, args: &Args) -> Outcome {
    Ok(daemon::main(options(args, Some(session.globals()))?))
}

/// The options that `args` give, and behind them the words in front of the command.
///
/// # Errors
/// A driver or an option of the log that is not known.
pub(crate) fn options(args: &Args, globals: Option<&Args>) -> Result<Options, Failure> {
    let one = |name: &str| args.one(name).or_else(|| globals.and_then(|words| words.one(name)));
    let all = |name: &str| {
        let mut values = globals.map_or_else(Vec::new, |words| words.all(name));
        values.extend(args.all(name));
        values
    };
    let on = |name: &str| {
        one(name).is_some_and(|value| {
            matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True")
        })
    };
    Ok(Options {
        hosts: all("host"),
        root: one("data-root").map_or_else(|| PathBuf::from("/var/lib/skiff"), PathBuf::from),
        exec_root: one("exec-root").map(PathBuf::from),
        pid_file: one("pidfile")
            .map_or_else(|| PathBuf::from("/var/run/docker.pid"), PathBuf::from),
        debug: on("debug") || one("log-level").as_deref() == Some("debug"),
        restart: one("restart").is_none() || on("restart"),
        dns: servers(all("dns"))?,
        bridge: one("bridge").unwrap_or_default(),
        firewall: firewall(one("firewall"))?,
        cors: on("api-enable-cors"),
        group: one("group").unwrap_or_else(|| "docker".to_owned()),
        log: log(one("log-driver"), &all("log-opt"))?,
        labels: all("label"),
    })
}

/// An empty one is none, as in 0.6.4.
fn servers(mut servers: Vec<String>) -> Result<Vec<String>, Failure> {
    servers.retain(|server| !server.is_empty());
    match servers.iter().find(|server| server.parse::<std::net::IpAddr>().is_err()) {
        Some(wrong) => Err(Failure::new(format!("{wrong} is not an ip address"))),
        None => Ok(servers),
    }
}

fn firewall(name: Option<String>) -> Result<FirewallChoice, Failure> {
    let name = name.unwrap_or_default();
    match name.as_str() {
        "" => Ok(FirewallChoice::Auto),
        text => FirewallChoice::parse(text).ok_or_else(|| {
            Failure::new(format!("invalid firewall '{text}': auto, nftables, iptables or none"))
        }),
    }
}

fn log(driver: Option<String>, options: &[String]) -> Result<LogConfig, Failure> {
    let driver = match driver.as_deref() {
        None | Some("" | "json-file") => LogDriver::JsonFile,
        Some("none") => LogDriver::None,
        Some(other) => return Err(Failure::not_served(&format!("log driver '{other}'"))),
    };
    let mut log = LogConfig { driver, ..LogConfig::default() };
    for option in options {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let wrong = || Failure::new(format!("invalid value '{value}' of log option '{name}'"));
        match name {
            "max-size" if value == "-1" => log.max_size = u64::MAX,
            "max-size" => log.max_size = parse_size(value).map_err(|_| wrong())?,
            "max-file" => {
                log.max_file = value.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
            }
            _ => return Err(Failure::not_served(&format!("log option '{name}'"))),
        }
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Parsed, parse};
    use crate::cli::command::{self, PROGRAM};

    fn read(line: &str) -> Options {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Ok(Parsed::Args(globals)) = parse(&PROGRAM, &words) else { panic!("{line}") };
        if globals.on("daemon") {
            return options(&globals, None).unwrap();
        }
        let daemon = command::find("daemon").unwrap();
        let Ok(Parsed::Args(args)) = parse(daemon, &globals.free[1..]) else { panic!("{line}") };
        options(&args, Some(&globals)).unwrap()
    }

    #[test]
    fn both_spellings_give_the_same() {
        for line in [
            "-d -D -H unix:///a -H tcp://b:1 -g /root -p /pid -r=false -dns 1.1.1.1 -api-enable-cors \
             -b none --log-opt max-size=1k --log-opt max-file=2",
            "daemon --debug --host unix:///a --host tcp://b:1 --data-root /root --pidfile /pid \
             --restart=false --dns 1.1.1.1 --api-enable-cors --bridge none --log-opt max-size=1k \
             --log-opt max-file=2",
            "-D -H unix:///a daemon -H tcp://b:1 -g /root -p /pid -r=false --dns 1.1.1.1 \
             -api-enable-cors -b none --log-opt=max-size=1k --log-opt=max-file=2",
        ] {
            let options = read(line);
            assert_eq!(options.hosts, ["unix:///a", "tcp://b:1"], "{line}");
            assert_eq!((options.root, options.pid_file), ("/root".into(), "/pid".into()));
            assert!(options.debug && !options.restart && options.cors);
            assert_eq!((options.dns, options.bridge), (vec!["1.1.1.1".to_owned()], "none".into()));
            assert_eq!((options.log.max_size, options.log.max_file), (1024, 2));
        }
        let default = read("-d");
        assert!(default.restart && !default.debug && default.hosts.is_empty());
        assert_eq!(default.root, PathBuf::from("/var/lib/skiff"));
    }

    #[test]
    fn firewalls_are_known_by_name() {
        assert_eq!(read("-d").firewall, FirewallChoice::Auto);
        assert_eq!(read("daemon --firewall iptables").firewall, FirewallChoice::Iptables);
        assert_eq!(read("-d --firewall=none").firewall, FirewallChoice::None);
        assert!(firewall(Some("ufw".into())).is_err());
    }

    #[test]
    fn servers_are_addresses() {
        assert!(servers(vec!["x".into()]).is_err());
        assert!(servers(vec!["::1".into(), String::new()]).is_ok_and(|left| left == ["::1"]));
    }

    #[test]
    fn odd_logs_are_refused() {
        assert!(log(Some("syslog".into()), &[]).is_err());
        assert!(log(None, &["max-file=0".into()]).is_err());
        assert!(log(None, &["x=1".into()]).is_err());
    }
}
