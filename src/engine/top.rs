//! Processes of a container, as ps(1) would show them; no program of the host is run.

use std::fs;
use std::time::Duration;

use super::Engine;
use crate::base::{Error, Result, Timestamp};

/// Clock ticks per second in /proc; the kernel's interface fixes it for user space.
const TICKS: u64 = 100;

impl Engine {
    /// Processes of a container as `ps` would show them: titles, rows. Host pids.
    ///
    /// # Errors
    /// `Conflict` when it does not run; `BadParameter` for unknown options.
    pub fn top(&self, name: &str, ps_args: &str) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        let slot = self.slot(name)?;
        if !slot.snapshot().state.is_running() {
            return Err(Error::conflict(format!("container {} is not running", slot.id)));
        }
        let columns = columns(ps_args)?;
        let host = Host::read();
        let mut pids = self.cgroups.pids(&slot.id);
        pids.sort_unstable();
        // One that ends while we look is left out.
        let processes = pids.into_iter().filter_map(Process::read);
        let rows = processes.map(|process| {
            columns.iter().map(|column| host.cell(column.field, &process)).collect()
        });
        let rows = rows.collect();
        Ok((columns.into_iter().map(|column| column.title).collect(), rows))
    }
}

/// The titles that [`Engine::top`] gives for these options.
///
/// # Errors
/// `BadParameter` for unknown ones.
pub fn top_titles(ps_args: &str) -> Result<Vec<String>> {
    Ok(columns(ps_args)?.into_iter().map(|column| column.title).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    User,
    Uid,
    Pid,
    Ppid,
    Pgid,
    Sid,
    Cpu,
    CpuShort,
    Memory,
    Vsz,
    Rss,
    Tty,
    Stat,
    State,
    Start,
    Time,
    Elapsed,
    Nice,
    Threads,
    Name,
    Command,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    title: String,
    field: Field,
}

/// Words of `-o`, their titles and what they show.
const WORDS: &[(&str, &str, Field)] = &[
    ("user", "USER", Field::User),
    ("euser", "EUSER", Field::User),
    ("uid", "UID", Field::Uid),
    ("euid", "EUID", Field::Uid),
    ("pid", "PID", Field::Pid),
    ("ppid", "PPID", Field::Ppid),
    ("pgid", "PGID", Field::Pgid),
    ("pgrp", "PGRP", Field::Pgid),
    ("sid", "SID", Field::Sid),
    ("sess", "SESS", Field::Sid),
    ("%cpu", "%CPU", Field::Cpu),
    ("pcpu", "%CPU", Field::Cpu),
    ("c", "C", Field::CpuShort),
    ("%mem", "%MEM", Field::Memory),
    ("pmem", "%MEM", Field::Memory),
    ("vsz", "VSZ", Field::Vsz),
    ("vsize", "VSZ", Field::Vsz),
    ("rss", "RSS", Field::Rss),
    ("rsz", "RSZ", Field::Rss),
    ("tty", "TT", Field::Tty),
    ("tt", "TT", Field::Tty),
    ("tname", "TTY", Field::Tty),
    ("stat", "STAT", Field::Stat),
    ("s", "S", Field::State),
    ("state", "S", Field::State),
    ("stime", "STIME", Field::Start),
    ("start_time", "START", Field::Start),
    ("start", "STARTED", Field::Start),
    ("time", "TIME", Field::Time),
    ("cputime", "TIME", Field::Time),
    ("etime", "ELAPSED", Field::Elapsed),
    ("ni", "NI", Field::Nice),
    ("nice", "NI", Field::Nice),
    ("nlwp", "NLWP", Field::Threads),
    ("thcount", "THCNT", Field::Threads),
    ("comm", "COMMAND", Field::Name),
    ("ucmd", "CMD", Field::Name),
    ("ucomm", "COMMAND", Field::Name),
    ("args", "COMMAND", Field::Command),
    ("cmd", "CMD", Field::Command),
    ("command", "COMMAND", Field::Command),
];

const SHORT: &[(&str, Field)] =
    &[("PID", Field::Pid), ("TTY", Field::Tty), ("TIME", Field::Time), ("CMD", Field::Name)];
const FULL: &[(&str, Field)] = &[
    ("UID", Field::User),
    ("PID", Field::Pid),
    ("PPID", Field::Ppid),
    ("C", Field::CpuShort),
    ("STIME", Field::Start),
    ("TTY", Field::Tty),
    ("TIME", Field::Time),
    ("CMD", Field::Command),
];
const BSD: &[(&str, Field)] = &[
    ("PID", Field::Pid),
    ("TTY", Field::Tty),
    ("STAT", Field::Stat),
    ("TIME", Field::Time),
    ("COMMAND", Field::Command),
];
const BSD_USER: &[(&str, Field)] = &[
    ("USER", Field::User),
    ("PID", Field::Pid),
    ("%CPU", Field::Cpu),
    ("%MEM", Field::Memory),
    ("VSZ", Field::Vsz),
    ("RSS", Field::Rss),
    ("TTY", Field::Tty),
    ("STAT", Field::Stat),
    ("START", Field::Start),
    ("TIME", Field::Time),
    ("COMMAND", Field::Command),
];

/// The columns that options of ps(1) ask for. Which processes they select does not matter: it is
/// always those of the container.
fn columns(options: &str) -> Result<Vec<Column>> {
    let unknown = |word: &str| Error::bad_parameter(format!("unsupported ps option: {word}"));
    let mut own: Vec<Column> = Vec::new();
    let mut layout = if options.trim().is_empty() { FULL } else { SHORT };
    let mut words = options.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let (dashed, letters) = match word.strip_prefix('-') {
            Some(letters) => (true, letters),
            None => (false, word),
        };
        if let Some(list) = letters.strip_prefix("-format") {
            let list =
                list.strip_prefix('=').or_else(|| words.next()).ok_or_else(|| unknown(word))?;
            parse_list(list, &mut own)?;
            continue;
        }
        for (at, letter) in letters.char_indices() {
            match letter {
                'o' => {
                    let rest = &letters[at + 1..];
                    let list = if rest.is_empty() { words.next() } else { Some(rest) };
                    parse_list(list.ok_or_else(|| unknown(word))?, &mut own)?;
                    break;
                }
                'f' if dashed => layout = FULL,
                'u' => layout = BSD_USER,
                'e' | 'A' | 'a' | 'd' | 'w' if dashed => {}
                'a' | 'x' | 'e' | 'w' => layout = if layout == SHORT { BSD } else { layout },
                _ => return Err(unknown(word)),
            }
        }
        if letters.is_empty() {
            return Err(unknown(word));
        }
    }
    if !own.is_empty() {
        return Ok(own);
    }
    let column = |(title, field): &(&str, Field)| Column { title: (*title).into(), field: *field };
    Ok(layout.iter().map(column).collect())
}

/// `pid,comm=NAME`: after a `=` the rest is the title of that column.
fn parse_list(list: &str, columns: &mut Vec<Column>) -> Result<()> {
    let (names, title) = match list.split_once('=') {
        Some((names, title)) => (names, Some(title)),
        None => (list, None),
    };
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let known = WORDS.iter().find(|(word, ..)| *word == name);
        let (_, title, field) = known.ok_or_else(|| {
            Error::bad_parameter(format!("unknown user-defined format specifier \"{name}\""))
        })?;
        columns.push(Column { title: (*title).into(), field: *field });
    }
    match (columns.last_mut(), title) {
        (None, _) => Err(Error::bad_parameter(format!("empty format list: {list:?}"))),
        (Some(last), Some(title)) => {
            title.clone_into(&mut last.title);
            Ok(())
        }
        (Some(_), None) => Ok(()),
    }
}

/// What is the same for all processes.
struct Host {
    users: Vec<(String, u32)>,
    boot: Timestamp,
    now: Timestamp,
    uptime: Duration,
    memory_kib: u64,
}

impl Host {
    fn read() -> Host {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((name, fields.nth(1)?.parse().ok()?))
        };
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split(' ').next().and_then(|text| text.parse::<f64>().ok());
        let uptime = Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
        let now = Timestamp::now();
        let seconds = i64::try_from(uptime.as_secs()).unwrap_or(0);
        Host {
            users: passwd.lines().filter_map(user).collect(),
            boot: Timestamp { seconds: now.seconds - seconds, nanos: 0 },
            now,
            uptime,
            memory_kib: crate::sys::host::total_memory().unwrap_or(0) / 1024,
        }
    }

    fn cell(&self, field: Field, process: &Process) -> String {
        let name = |uid: u32| {
            let known = self.users.iter().find(|(_, other)| *other == uid);
            known.map_or_else(|| uid.to_string(), |(name, _)| name.clone())
        };
        let tenths = |part: u64, whole: u64| {
            let tenths = (part * 1000).checked_div(whole).unwrap_or(0).min(999_999);
            format!("{}.{}", tenths / 10, tenths % 10)
        };
        let age = self.uptime.as_secs().saturating_sub(process.start_ticks / TICKS);
        let busy = process.cpu_ticks / TICKS;
        match field {
            Field::User => name(process.uid),
            Field::Uid => process.uid.to_string(),
            Field::Pid => process.pid.to_string(),
            Field::Ppid => process.stat[1].to_string(),
            Field::Pgid => process.stat[2].to_string(),
            Field::Sid => process.stat[3].to_string(),
            Field::Cpu => tenths(busy, age),
            Field::CpuShort => (busy * 100).checked_div(age).unwrap_or(0).min(99).to_string(),
            Field::Memory => tenths(process.rss_kib, self.memory_kib),
            Field::Vsz => process.vsz_kib.to_string(),
            Field::Rss => process.rss_kib.to_string(),
            Field::Tty => tty(process.stat[4]),
            Field::Stat => process.state_letters(),
            Field::State => process.state.to_string(),
            Field::Start => self.start(age),
            Field::Time => clock(busy, true),
            Field::Elapsed => clock(age, false),
            Field::Nice => process.nice.to_string(),
            Field::Threads => process.threads.to_string(),
            Field::Name => process.name.clone(),
            Field::Command => process.command.clone(),
        }
    }

    /// `HH:MM` within a day, else `MonDD`; in UTC, since the daemon knows no other zone.
    fn start(&self, age: u64) -> String {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = i64::try_from(age).unwrap_or(0);
        let at =
            Timestamp { seconds: (self.now.seconds - seconds).max(self.boot.seconds), nanos: 0 };
        let (_, month, day, hour, minute, _) = at.civil();
        if age < 86_400 {
            return format!("{hour:02}:{minute:02}");
        }
        let month = usize::try_from(month).unwrap_or(1).clamp(1, 12) - 1;
        format!("{}{day:02}", MONTHS[month])
    }
}

/// `[D-]HH:MM:SS`, or `[[D-]HH:]MM:SS` where hours need not be shown.
fn clock(seconds: u64, hours: bool) -> String {
    let (days, h, m, s) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, h) {
        (0, 0) if !hours => format!("{m:02}:{s:02}"),
        (0, h) => format!("{h:02}:{m:02}:{s:02}"),
        (days, h) => format!("{days}-{h:02}:{m:02}:{s:02}"),
    }
}

/// Name of a terminal by its device number, tty_nr of proc(5).
fn tty(number: i64) -> String {
    let number = u64::try_from(number).unwrap_or(0);
    let (major, minor) = (number >> 8 & 0xfff, (number & 0xff) | (number >> 12 & 0x000f_ff00));
    match major {
        0 => "?".into(),
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        4 if minor < 64 => format!("tty{minor}"),
        _ => format!("{major}:{minor}"),
    }
}

/// One process, from /proc.
struct Process {
    pid: i32,
    uid: u32,
    name: String,
    command: String,
    state: char,
    /// State (unused), parent, group, session, terminal, terminal's group.
    stat: [i64; 6],
    cpu_ticks: u64,
    start_ticks: u64,
    nice: i64,
    threads: u64,
    vsz_kib: u64,
    rss_kib: u64,
}

impl Process {
    fn read(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Process::parse(pid, &stat, &status, &command)
    }

    fn parse(pid: i32, stat: &str, status: &str, command: &[u8]) -> Option<Process> {
        // The name may hold blanks and brackets: the last bracket ends it.
        let (_, rest) = stat.split_once('(')?;
        let (name, rest) = rest.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse::<i64>().ok());
        let count = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
        let of_status = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let words = command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
        let command = if words.is_empty() { format!("[{name}]") } else { words.join(" ") };
        Some(Process {
            pid,
            // The second of the four is the effective one.
            uid: of_status("Uid:").and_then(|uid| u32::try_from(uid).ok()).unwrap_or(0),
            name: name.to_owned(),
            command: printable(&command),
            state: fields.first()?.chars().next()?,
            stat: [0, number(1)?, number(2)?, number(3)?, number(4)?, number(5)?],
            cpu_ticks: count(11)? + count(12)?,
            nice: number(16)?,
            threads: count(17)?,
            start_ticks: count(19)?,
            vsz_kib: kib("VmSize:"),
            rss_kib: kib("VmRSS:"),
        })
    }

    /// The letter, then `<` or `N` for niceness, `s` for a session leader, `l` for threads, `+`
    /// in the foreground.
    fn state_letters(&self) -> String {
        let mut letters = self.state.to_string();
        let pid = i64::from(self.pid);
        let marks = [
            (self.nice < 0, '<'),
            (self.nice > 0, 'N'),
            (self.stat[3] == pid, 's'),
            (self.threads > 1, 'l'),
            (self.stat[5] > 0 && self.stat[2] == self.stat[5], '+'),
        ];
        letters.extend(marks.iter().filter(|(there, _)| *there).map(|(_, mark)| *mark));
        letters
    }
}

/// Programs choose their own command lines; control bytes in it become `?`, as ps does it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(options: &str) -> Option<String> {
        let columns = columns(options).ok()?;
        Some(columns.into_iter().map(|c| c.title).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_choose_columns() {
        let check = |options: &str, expected: Option<&str>| {
            assert_eq!(titles(options).as_deref(), expected, "{options}");
        };
        let full = Some("UID PID PPID C STIME TTY TIME CMD");
        check("", full);
        check("-ef", full);
        check("-e", Some("PID TTY TIME CMD"));
        let user = Some("USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
        check("aux", user);
        check("-aux", user);
        check("ax", Some("PID TTY STAT TIME COMMAND"));
        check("-o pid,comm", Some("PID COMMAND"));
        check("-eo pid -o user=WHO", Some("PID WHO"));
        check("-opid,args", Some("PID COMMAND"));
        check("-o nope", None);
        check("-o", None);
        check("-Z", None);
        check("-", None);
        check("--sort=pid", None);
    }

    #[test]
    fn a_process_is_read_whatever_it_calls_itself() {
        let stat = "7 (a) b (c) S 1 7 7 34816 7 4194560 0 0 0 0 250 50 0 0 20 5 3 0 900 0 0";
        let status = "Name:\tx\nUid:\t0\t1000\t0\t0\nVmSize:\t  400 kB\nVmRSS:\t 20 kB\n";
        let process = Process::parse(7, stat, status, b"sh\0-c\0a\x1bb\0").unwrap();
        assert_eq!(process.name, "a) b (c");
        assert_eq!(process.command, "sh -c a?b");
        assert_eq!((process.uid, process.vsz_kib, process.rss_kib), (1000, 400, 20));
        assert_eq!((process.cpu_ticks, process.threads, process.start_ticks), (300, 3, 900));
        assert_eq!(process.state_letters(), "SNsl+");
        assert_eq!(tty(34816), "pts/0");
        assert!(Process::read(i32::try_from(std::process::id()).unwrap()).is_some());
        assert!(Process::parse(7, "7 (x", "", b"").is_none());
    }

    #[test]
    fn times_are_written_as_ps_does() {
        assert_eq!(clock(3, true), "00:00:03");
        assert_eq!(clock(65, false), "01:05");
        assert_eq!(clock(90_061, true), "1-01:01:01");
    }
}
