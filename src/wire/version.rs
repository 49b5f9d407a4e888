//! Versions of the API: which are served, and all that they answer differently.

use std::fmt;

use super::old;
use crate::base::{Error, Result};

/// A version: two integers, compared so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1.
    pub major: u32,
    /// 0 to 6, or 24 to 44.
    pub minor: u32,
}

/// The ranges served, both ends included.
const SERVED: &[(Version, Version)] = &[(v(0), v(6)), (v(24), v(44))];

const fn v(minor: u32) -> Version {
    Version { major: 1, minor }
}

impl Version {
    /// What a path without a version means.
    pub const NEWEST: Version = v(44);

    /// The version that a path's prefix names (`1.41`).
    ///
    /// # Errors
    /// `BadParameter`, naming the ranges served.
    pub fn of_path(text: &str) -> Result<Version> {
        let parsed = text.split_once('.').and_then(|(major, minor)| {
            Some(Version { major: number(major)?, minor: number(minor)? })
        });
        let Some(version) = parsed else {
            return Err(Error::bad_parameter(format!(
                "client version {text} is no version; {}",
                served()
            )));
        };
        if SERVED.iter().any(|&(first, last)| (first..=last).contains(&version)) {
            return Ok(version);
        }
        let newest = Version::NEWEST;
        let how = if version > newest { "new. Maximum" } else { "old. Minimum" };
        let bound = if version > newest { newest } else { v(24) };
        Err(Error::bad_parameter(format!(
            "client version {version} is too {how} supported API version is {bound}; {}",
            served()
        )))
    }

    /// What this version answers when it is one of 1.0 to 1.6.
    pub fn old(self) -> Option<old::Answers> {
        (self.major == 1 && self.minor <= 6).then(|| old::Answers::of(self.minor))
    }

    /// What this version answers, by name.
    pub fn answers(self) -> Answers {
        let before = |minor| self < v(minor);
        Answers {
            condition_of_wait: !before(30),
            ipc_mode: if before(40) { "shareable" } else { "" },
            filter_of_images: before(41),
            console_size: !before(42),
            usage_by_type: !before(42),
            multiplexed_type: !before(42),
            websocket_text: before(28),
            annotations: !before(43),
            none_names: before(43),
            virtual_size: before(44),
            dns_names: !before(44),
        }
    }
}

/// The table of what depends on a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// `wait` takes a condition.
    pub condition_of_wait: bool,
    /// What an empty `IpcMode` means; empty is the daemon's choice.
    pub ipc_mode: &'static str,
    /// `GET /images/json` takes `filter=NAME`.
    pub filter_of_images: bool,
    /// `HostConfig.ConsoleSize` is read.
    pub console_size: bool,
    /// `system/df` takes `type`, and shows no `BuilderSize`.
    pub usage_by_type: bool,
    /// Streams of frames have a content type of their own.
    pub multiplexed_type: bool,
    /// What comes by websocket is text, not binary.
    pub websocket_text: bool,
    /// `HostConfig.Annotations` is read.
    pub annotations: bool,
    /// An image without a name is called `<none>:<none>` in lists.
    pub none_names: bool,
    /// Images have a `VirtualSize`.
    pub virtual_size: bool,
    /// Endpoints have `DNSNames`.
    pub dns_names: bool,
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `1.0 to 1.6 and 1.24 to 1.44`.
pub fn ranges() -> String {
    let range = |(first, last): &(Version, Version)| format!("{first} to {last}");
    SERVED.iter().map(range).collect::<Vec<_>>().join(" and ")
}

fn served() -> String {
    format!("served are {}", ranges())
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::system;

    #[test]
    fn versions_are_two_integers_within_the_served_ranges() {
        for (text, minor) in
            [("1.0", 0), ("1.6", 6), ("1.24", 24), ("1.41", 41), ("1.44", 44), ("01.024", 24)]
        {
            assert_eq!(Version::of_path(text).unwrap(), v(minor), "{text}");
        }
        for bad in
            ["1.45", "1.10", "1.7", "1.23", "2.0", "0.9", "1", "1.", ".", "1.2.3", "1.99999999999"]
        {
            let error = Version::of_path(bad).expect_err(bad);
            assert_eq!(error.kind(), crate::base::Kind::BadParameter);
            assert!(error.to_string().contains("1.0 to 1.6 and 1.24 to 1.44"), "{error}");
        }
        assert_eq!(Version::NEWEST.to_string(), system::API_VERSION);
        assert_eq!(SERVED[1].0.to_string(), system::MIN_API_VERSION);
    }

    #[test]
    fn each_named_answer_changes_at_its_version() {
        let at = |minor: u32| v(minor).answers();
        assert!(!at(29).condition_of_wait && at(30).condition_of_wait);
        assert_eq!((at(39).ipc_mode, at(40).ipc_mode), ("shareable", ""));
        assert!(at(40).filter_of_images && !at(41).filter_of_images);
        assert!(!at(41).multiplexed_type && at(42).multiplexed_type);
        assert!(at(27).websocket_text && !at(28).websocket_text);
        assert!(v(6).old().is_some() && v(24).old().is_none());
        assert!(!at(41).console_size && at(42).console_size);
        assert!(!at(41).usage_by_type && at(42).usage_by_type);
        assert!(!at(42).annotations && at(43).annotations);
        assert!(at(42).none_names && !at(43).none_names);
        assert!(at(43).virtual_size && !at(44).virtual_size);
        assert!(!at(43).dns_names && at(44).dns_names);
    }
}
