//! How the values of flags are written: numbers, sizes, durations, times, labels, mounts, and
//! what is said about those that are not.

use crate::base::moment;
use crate::base::units::parse_size;
use crate::wire::container::host::{BindOptions, DeviceMapping, Mount, TmpfsOptions, Ulimit};

pub(crate) use crate::base::moment::point_in_time;

/// The result of a check: the reason that follows `invalid argument …:`.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// Everything is allowed.
pub(crate) fn any(_text: &str) -> Checked {
    Ok(())
}

/// The words for true and false.
pub(crate) fn boolean(text: &str) -> Checked<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// A whole number: decimal, `0x…`, or octal with a leading zero.
pub(crate) fn integer(text: &str) -> Checked<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits {
        _ if digits.starts_with("0x") || digits.starts_with("0X") => (16, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    let reason = |what| Err(format!("strconv.ParseInt: parsing {text:?}: {what}"));
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return reason("invalid syntax");
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).or_else(|_| reason("value out of range"))
}

/// See [`integer`].
pub(crate) fn is_integer(text: &str) -> Checked {
    integer(text).map(drop)
}

/// A size in bytes.
pub(crate) fn is_size(text: &str) -> Checked {
    parse_size(text).map(drop)
}

/// A size in bytes, or -1 for no limit.
pub(crate) fn swap(text: &str) -> Checked<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    let bytes = parse_size(text)?;
    i64::try_from(bytes).map_err(|_| format!("invalid size: '{text}'"))
}

/// See [`swap`].
pub(crate) fn is_swap(text: &str) -> Checked {
    swap(text).map(drop)
}

/// A number of CPUs, in units of 1e-9.
pub(crate) fn cpus(text: &str) -> Checked<u64> {
    let wrong = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    if fraction.trim_end_matches('0').len() > 9 {
        return Err("value is too precise".into());
    }
    let nanos = format!("{whole}{:0<9.9}", fraction);
    nanos.parse().map_err(|_| wrong())
}

/// See [`cpus`].
pub(crate) fn is_cpus(text: &str) -> Checked {
    cpus(text).map(drop)
}

/// See [`moment::duration`].
pub(crate) fn is_duration(text: &str) -> Checked {
    moment::duration(text).map(drop)
}

/// `K=V` or `K` of the environment.
pub(crate) fn is_env(text: &str) -> Checked {
    if text.starts_with('=') || text.is_empty() {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(())
}

/// `K=V` or `K` of a label.
pub(crate) fn is_label(text: &str) -> Checked {
    if text.starts_with('=') || text.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    Ok(())
}

/// `K=V`.
pub(crate) fn is_pair(text: &str) -> Checked {
    if text.starts_with('=') || !text.contains('=') {
        return Err(format!("'{text}' is not of the form name=value"));
    }
    Ok(())
}

/// `name=value` of a filter.
pub(crate) fn is_filter(text: &str) -> Checked {
    if text.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".into())
}

/// A kernel parameter.
pub(crate) fn is_sysctl(text: &str) -> Checked {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(()),
        _ => Err(format!("sysctl '{text}' is not allowed")),
    }
}

/// The name of a standard stream, in any case.
pub(crate) fn is_stream(text: &str) -> Checked {
    match text.to_ascii_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".into()),
    }
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, as the daemon takes it.
pub(crate) fn extra_host(text: &str) -> Checked<String> {
    let (name, address) = text
        .split_once(['=', ':'])
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| format!("bad format for add-host: {text:?}"))?;
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    if bare != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {address:?}"));
    }
    Ok(format!("{name}:{bare}"))
}

/// See [`extra_host`].
pub(crate) fn is_extra_host(text: &str) -> Checked {
    extra_host(text).map(drop)
}

/// `NAME=SOFT[:HARD]`.
pub(crate) fn ulimit(text: &str) -> Checked<Ulimit> {
    let wrong = || format!("invalid ulimit argument: {text}");
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |part: &str| part.parse::<i64>().map_err(|_| wrong());
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit { name: name.to_owned(), hard, soft })
}

/// See [`ulimit`].
pub(crate) fn is_ulimit(text: &str) -> Checked {
    ulimit(text).map(drop)
}

/// `HOST[:INSIDE[:rwm]]`, or `HOST:rwm`.
pub(crate) fn device(text: &str) -> Checked<DeviceMapping> {
    let is_mode = |part: &str| !part.is_empty() && part.bytes().all(|b| b"rwm".contains(&b));
    let fields: Vec<&str> = text.split(':').collect();
    let (host, inside, mode) = match *fields.as_slice() {
        [host] => (host, host, "rwm"),
        [host, mode] if is_mode(mode) => (host, host, mode),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, mode] if is_mode(mode) => (host, inside, mode),
        [_, _, mode] => return Err(format!("invalid device mode: {mode}")),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if host.is_empty() || inside.is_empty() {
        return Err(format!("invalid device specification: {text}"));
    }
    Ok(DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: inside.to_owned(),
        cgroup_permissions: mode.to_owned(),
    })
}

/// A `--mount`, as the API takes it.
pub(crate) fn mount(text: &str) -> Checked<Mount> {
    let mut mount = Mount { kind: "volume".into(), ..Mount::default() };
    let mut bind = BindOptions::default();
    let mut tmpfs = TmpfsOptions::default();
    for field in comma_separated(text) {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        if matches!(key.as_str(), "readonly" | "ro" | "bind-nonrecursive") {
            let value = value.unwrap_or("true");
            let on = boolean(value).map_err(|_| format!("invalid value for {key}: {value}"))?;
            match key.as_str() {
                "bind-nonrecursive" => bind.non_recursive = on,
                _ => mount.read_only = on,
            }
            continue;
        }
        let value =
            value.ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
        let wrong = || format!("invalid value for {key}: {value}");
        match key.as_str() {
            "type" => mount.kind = value.to_ascii_lowercase(),
            "source" | "src" if value.starts_with('.') => mount.source = absolute(value),
            "source" | "src" => mount.source = value.to_owned(),
            "target" | "destination" | "dst" => mount.target = value.to_owned(),
            "consistency" => mount.consistency = value.to_owned(),
            "bind-propagation" => bind.propagation = value.to_owned(),
            "tmpfs-size" => {
                let bytes = parse_size(value).map_err(|_| wrong())?;
                tmpfs.size_bytes = i64::try_from(bytes).map_err(|_| wrong())?;
            }
            "tmpfs-mode" => tmpfs.mode = u32::from_str_radix(value, 8).map_err(|_| wrong())?,
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if mount.target.is_empty() {
        return Err("target is required".into());
    }
    mount.bind_options = (bind != BindOptions::default()).then_some(bind);
    mount.tmpfs_options = (tmpfs != TmpfsOptions::default()).then_some(tmpfs);
    if mount.kind != "bind" && mount.bind_options.is_some()
        || mount.kind != "tmpfs" && mount.tmpfs_options.is_some()
    {
        let kind = &mount.kind;
        return Err(format!("cannot mix options of another type with mount type '{kind}'"));
    }
    Ok(mount)
}

/// See [`mount`].
pub(crate) fn is_mount(text: &str) -> Checked {
    mount(text).map(drop)
}

/// Splits at commas; a field in double quotes may hold some.
fn comma_separated(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().expect("there is a first field").push(c),
        }
    }
    fields
}

/// `path` seen from the root, without `.` and `..`.
pub(crate) fn absolute(path: &str) -> String {
    let whole = match std::env::current_dir() {
        Ok(here) if !path.starts_with('/') => format!("{}/{path}", here.display()),
        _ => path.to_owned(),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The lines of an env file or a label file: `K=V` or `K`, empty ones and comments left out.
///
/// # Errors
/// A key with a blank in it, or none at all.
pub(crate) fn pairs_of_file(content: &str) -> Checked<Vec<String>> {
    let mut pairs = Vec::new();
    for line in content.strip_prefix('\u{feff}').unwrap_or(content).lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split_once('=').map_or(line, |(key, _)| key);
        if key.contains(char::is_whitespace) {
            return Err(format!("variable '{key}' contains whitespaces"));
        }
        if key.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        pairs.push(line.to_owned());
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let check = |text: &str, expected: Result<i64, &str>| {
            let reason = |what| format!("strconv.ParseInt: parsing {text:?}: {what}");
            assert_eq!(integer(text), expected.map_err(reason), "{text}");
        };
        check("10", Ok(10));
        check("-1", Ok(-1));
        check("0x10", Ok(16));
        check("010", Ok(8));
        check("0", Ok(0));
        check("x", Err("invalid syntax"));
        check("", Err("invalid syntax"));
        check("--1", Err("invalid syntax"));
        check("99999999999999999999", Err("value out of range"));
        assert_eq!(boolean("T"), Ok(true));
        assert!(boolean("yes").is_err());
    }

    #[test]
    fn cpus_are_read() {
        assert_eq!(cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(cpus(".5"), Ok(500_000_000));
        assert_eq!(cpus("x"), Err("failed to parse x as a rational number".into()));
        assert!(cpus("1.0000000001").is_err());
    }

    #[test]
    fn limits_devices_hosts() {
        let expected = Ulimit { name: "nofile".into(), soft: 1, hard: 2 };
        assert_eq!(ulimit("nofile=1:2"), Ok(expected));
        assert!(ulimit("nofile=3:2").is_err());
        assert_eq!(ulimit("x"), Err("invalid ulimit argument: x".into()));
        let devices = |text: &str| {
            device(text).map(|device| {
                [device.path_on_host, device.path_in_container, device.cgroup_permissions].join(" ")
            })
        };
        assert_eq!(devices("/dev/a").as_deref(), Ok("/dev/a /dev/a rwm"));
        assert_eq!(devices("/dev/a:r").as_deref(), Ok("/dev/a /dev/a r"));
        assert_eq!(devices("/dev/a:/dev/b:rw").as_deref(), Ok("/dev/a /dev/b rw"));
        assert!(devices(":").is_err() && devices("/a:/b:x").is_err());
        assert_eq!(extra_host("a=1.2.3.4").as_deref(), Ok("a:1.2.3.4"));
        assert_eq!(extra_host("a:[::1]").as_deref(), Ok("a:::1"));
        assert_eq!(extra_host("x"), Err("bad format for add-host: \"x\"".into()));
    }

    #[test]
    fn mounts_are_read_field_by_field() {
        let bind = mount("type=bind,\"src=/a,b\",dst=/c,ro,bind-propagation=rslave").unwrap();
        assert_eq!((bind.kind.as_str(), bind.source.as_str()), ("bind", "/a,b"));
        assert_eq!((bind.target.as_str(), bind.read_only), ("/c", true));
        assert_eq!(bind.bind_options.unwrap().propagation, "rslave");
        let tmpfs = mount("type=tmpfs,target=/t,tmpfs-size=1k,tmpfs-mode=1777").unwrap();
        let options = tmpfs.tmpfs_options.unwrap();
        assert_eq!((options.size_bytes, options.mode), (1024, 0o1777));
        assert_eq!(mount("type=foo"), Err("target is required".into()));
        assert_eq!(mount("x"), Err("invalid field 'x' must be a key=value pair".into()));
        assert!(mount("type=bind,dst=/a,tmpfs-size=1").is_err());
    }

    #[test]
    fn files_of_pairs() {
        let text = "\u{feff}# c\n  A=1 2\n\nB\nC=\"x\"\n";
        assert_eq!(pairs_of_file(text).unwrap(), ["A=1 2", "B", "C=\"x\""]);
        assert_eq!(pairs_of_file("a b=1"), Err("variable 'a b' contains whitespaces".into()));
        assert!(pairs_of_file("=x").is_err());
    }
}
