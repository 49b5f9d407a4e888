//! A container's configuration: the user's, filled up from the image's.

use crate::model::{Healthcheck, RunConfig};

/// Fills `user` up from `image`; the user wins. Streams, terminal, host name and the network are
/// the user's alone.
pub fn merge(mut user: RunConfig, image: &RunConfig) -> RunConfig {
    let default_text = |own: &mut String, other: &String| {
        if own.is_empty() {
            own.clone_from(other);
        }
    };
    default_text(&mut user.user, &image.user);
    default_text(&mut user.working_dir, &image.working_dir);
    default_text(&mut user.stop_signal, &image.stop_signal);
    user.stop_timeout = user.stop_timeout.or(image.stop_timeout);
    merge_command(&mut user, image);
    for entry in &image.env {
        if !user.env.iter().any(|own| key(own) == key(entry)) {
            user.env.push(entry.clone());
        }
    }
    user.volumes.extend(image.volumes.iter().cloned());
    user.exposed_ports.extend(image.exposed_ports.ranges());
    for (name, value) in &image.labels {
        user.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    user.healthcheck = merge_healthcheck(user.healthcheck, image.healthcheck.as_ref());
    user
}

/// An entrypoint of the user's drops the image's command. `[""]` clears the image's entrypoint.
fn merge_command(user: &mut RunConfig, image: &RunConfig) {
    let empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if empty(&user.entrypoint) {
        if empty(&user.cmd) {
            user.cmd.clone_from(&image.cmd);
        }
        if user.entrypoint.is_none() {
            user.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if user.entrypoint.as_ref().is_some_and(|words| words.len() == 1 && words[0].is_empty()) {
        user.entrypoint = None;
    }
}

fn merge_healthcheck(
    user: Option<Healthcheck>,
    image: Option<&Healthcheck>,
) -> Option<Healthcheck> {
    let Some(image) = image else { return user };
    let Some(mut user) = user else { return Some(image.clone()) };
    if user.test.is_empty() {
        user.test.clone_from(&image.test);
    }
    let fill = |own: &mut i64, other: i64| {
        if *own == 0 {
            *own = other;
        }
    };
    fill(&mut user.interval, image.interval);
    fill(&mut user.timeout, image.timeout);
    fill(&mut user.start_period, image.start_period);
    fill(&mut user.start_interval, image.start_interval);
    fill(&mut user.retries, image.retries);
    Some(user)
}

/// The name of an environment entry.
pub fn key(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|word| (*word).to_owned()).collect())
    }

    fn config(entrypoint: Option<&[&str]>, cmd: Option<&[&str]>) -> RunConfig {
        RunConfig {
            entrypoint: entrypoint.and_then(words),
            cmd: cmd.and_then(words),
            ..RunConfig::default()
        }
    }

    #[test]
    fn an_entrypoint_of_the_user_drops_the_command_of_the_image() {
        let image = config(Some(&["/entry"]), Some(&["serve"]));
        let check = |user: RunConfig, entrypoint: Option<&[&str]>, cmd: Option<&[&str]>| {
            let merged = merge(user, &image);
            assert_eq!(merged.entrypoint, entrypoint.and_then(words));
            assert_eq!(merged.cmd, cmd.and_then(words));
        };
        check(config(None, None), Some(&["/entry"]), Some(&["serve"]));
        check(config(None, Some(&["x"])), Some(&["/entry"]), Some(&["x"]));
        check(config(Some(&["/own"]), None), Some(&["/own"]), None);
        check(config(Some(&[""]), None), None, None);
        check(config(Some(&[""]), Some(&["sh"])), None, Some(&["sh"]));
        check(config(Some(&[]), None), Some(&[]), Some(&["serve"]));
    }

    #[test]
    fn the_user_wins_and_the_image_fills_up() {
        let mut image = RunConfig {
            user: "web".into(),
            working_dir: "/srv".into(),
            env: vec!["PATH=/bin".into(), "A=1".into()],
            tty: true,
            ..RunConfig::default()
        };
        image.labels.insert("a".into(), "image".into());
        image.labels.insert("b".into(), "image".into());
        let mut user = RunConfig {
            user: "root".into(),
            env: vec!["A=2".into(), "B".into()],
            ..RunConfig::default()
        };
        user.labels.insert("a".into(), "user".into());
        let merged = merge(user, &image);
        assert_eq!((merged.user.as_str(), merged.working_dir.as_str()), ("root", "/srv"));
        assert_eq!(merged.env, ["A=2", "B", "PATH=/bin"]);
        assert_eq!(merged.labels["a"], "user");
        assert_eq!(merged.labels["b"], "image");
        assert!(!merged.tty);
    }

    #[test]
    fn a_health_check_is_filled_field_by_field() {
        let image = Healthcheck { test: vec!["CMD".into()], retries: 5, ..Healthcheck::default() };
        let user = Healthcheck { interval: 7, ..Healthcheck::default() };
        let merged = merge_healthcheck(Some(user), Some(&image)).unwrap();
        assert_eq!((merged.test.len(), merged.interval, merged.retries), (1, 7, 5));
    }
}
