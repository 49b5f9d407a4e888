//! What is refused before anything is looked at: browsers, foreign names of this host, bodies of
//! a type that a browser may send unasked.

use std::net::IpAddr;

use super::Options;
use crate::base::{Error, Kind, Result};
use crate::http::{Exchange, Headers, Peer};

/// Which body a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// JSON, or none.
    Json,
    /// A tar, of any type but a form.
    Tar,
    /// The connection is taken over.
    Hijacked,
    /// Of whatever type; a form's values are parameters. Versions 1.0 to 1.6.
    Form,
    /// Of whatever type. Versions 1.0 to 1.6.
    Any,
}

/// Refuses pages of other origins, and over tcp names of this host that nobody allowed: a page
/// could have had its own name resolve to our address.
pub(super) fn check_origin(exchange: &Exchange<'_>, options: &Options) -> Result<()> {
    let headers = &exchange.head.headers;
    if !options.cors && headers.get("Origin").is_some() {
        return Err(Error::new(Kind::Forbidden, "requests of browsers are refused (Origin)"));
    }
    let Peer::Tcp(_) = exchange.peer() else { return Ok(()) };
    match headers.get("Host") {
        Some(host) if !is_allowed(host, &options.hosts) => Err(Error::new(
            Kind::Forbidden,
            format!("requests for host {host:?} are refused: name it in the daemon's -H"),
        )),
        _ => Ok(()),
    }
}

/// Whether `host` (`NAME[:PORT]`) is an address, `localhost`, or one of `allowed`.
fn is_allowed(host: &str, allowed: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
}

/// Refuses a body that is not of the type that the route takes.
pub(super) fn check_body(exchange: &Exchange<'_>, expected: Body) -> Result<()> {
    let headers = &exchange.head.headers;
    let given = headers.get("Content-Type").unwrap_or_default();
    let plain = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let wanted = match expected {
        Body::Hijacked | Body::Form | Body::Any => return Ok(()),
        _ if !has_body(headers) => return Ok(()),
        Body::Json if plain == "application/json" => return Ok(()),
        Body::Json => "application/json",
        // Docker's own clients send a tar as text/plain.
        Body::Tar
            if !matches!(&*plain, "application/x-www-form-urlencoded" | "multipart/form-data") =>
        {
            return Ok(());
        }
        Body::Tar => "application/x-tar",
    };
    Err(Error::bad_parameter(format!(
        "unsupported Content-Type header ({given}): must be '{wanted}'"
    )))
}

fn has_body(headers: &Headers) -> bool {
    headers.get("Transfer-Encoding").is_some()
        || headers.get("Content-Length").is_some_and(|length| length.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_allowed_names_pass() {
        let allowed = ["docker.local".to_owned()];
        for host in [
            "127.0.0.1",
            "127.0.0.1:4243",
            "[::1]:4243",
            "[::1]",
            "localhost",
            "LOCALHOST:1",
            "Docker.local:4243",
        ] {
            assert!(is_allowed(host, &allowed), "{host}");
        }
        for host in
            ["evil.example", "evil.example:4243", "127.0.0.1.evil.example", "", "localhost.evil"]
        {
            assert!(!is_allowed(host, &allowed), "{host}");
        }
    }

    #[test]
    fn a_body_is_there_when_the_head_says_so() {
        let headers = |list: &[(&str, &str)]| {
            Headers(list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
        };
        assert!(!has_body(&headers(&[])));
        assert!(!has_body(&headers(&[("content-length", "0")])));
        assert!(has_body(&headers(&[("content-length", "2")])));
        assert!(has_body(&headers(&[("transfer-encoding", "chunked")])));
    }
}
