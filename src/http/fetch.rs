//! Fetching from the web: `import URL`, later registries. The only user of the TLS client.
//!
//! - Every step has a time-out; a body only a limit on how long it may stall.
//! - Nothing of it is in memory before the first fetch, and nothing after.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use ureq::ResponseExt;
use ureq::config::Config;
use ureq::http::{Uri, uri::Scheme};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::roots;
use crate::base::{Context, Error, Kind, Result, Timestamp};
use crate::dns::lookup;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest pause within a body.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);
const REDIRECTS: u32 = 10;
/// Most addresses of a host that are tried; the client takes 16.
const MOST_ADDRESSES: usize = 8;
const HEAD_BYTES: usize = 64 * 1024;
/// 2020-01-01; a clock that stands before it was never set.
const PLAUSIBLE: Duration = Duration::from_secs(1_577_836_800);

/// A body that is being fetched.
pub struct Fetched {
    /// The bytes.
    pub body: Box<dyn Read + Send>,
    /// Length in bytes, when the server told it.
    pub length: Option<u64>,
}

/// Gets `url` (`http` or `https`, at most 10 redirects, never from https to http), through the
/// proxy that the environment names.
///
/// # Errors
/// A wrong URL, an unreachable host, a status other than 200; a certificate that a clock before
/// its time makes invalid says so.
pub fn get(url: &str) -> Result<Fetched> {
    get_through(url, ureq::Proxy::try_from_env())
}

fn get_through(url: &str, proxy: Option<ureq::Proxy>) -> Result<Fetched> {
    let uri: Uri =
        url.parse().map_err(|error| Error::bad_parameter(format!("invalid URL {url}: {error}")))?;
    let secure = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return Err(Error::bad_parameter(format!("{url} is neither http:// nor https://"))),
    };
    // A plain fetch may still be sent on to https; without authorities that then fails.
    let roots = match roots::of_host() {
        Err(error) if secure => return Err(error).context(|| format!("get {url}")),
        Err(_) => RootCerts::new_with_certs(&[]),
        Ok(roots) => roots,
    };
    let config = ureq::Agent::config_builder()
        .tls_config(tls(roots))
        .proxy(proxy)
        .https_only(secure)
        .http_status_as_error(false)
        .max_redirects(REDIRECTS)
        .save_redirect_history(true)
        .user_agent(concat!("skiff/", env!("CARGO_PKG_VERSION"), " (linux)"))
        .max_response_header_size(HEAD_BYTES)
        .max_idle_connections(0)
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_send_request(Some(HEAD_TIMEOUT))
        .timeout_recv_response(Some(HEAD_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .timeout_per_write(Some(STALL_TIMEOUT))
        .build();
    let agent = ureq::Agent::with_parts(config, DefaultConnector::new(), Names);
    let response = agent.get(uri).call().map_err(|error| failure(url, &error, now()))?;
    if went_back(response.get_redirect_history().unwrap_or_default()) {
        return Err(Error::new(
            Kind::Internal,
            format!("get {url}: redirected from https to http"),
        ));
    }
    if response.status() != 200 {
        let text = format!("get {url}: the server answered {}", response.status());
        return Err(Error::new(Kind::Internal, text));
    }
    let body = response.into_body();
    Ok(Fetched { length: body.content_length(), body: Box::new(body.into_reader()) })
}

/// How servers prove who they are. We prove nothing: no keys are used, and no code that signs.
fn tls(roots: RootCerts) -> TlsConfig {
    let provider = CryptoProvider { key_provider: &NoKeys, ..ring::default_provider() };
    TlsConfig::builder()
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(Arc::new(provider))
        .build()
}

#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _key: PrivateKeyDer<'static>,
    ) -> std::result::Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("no keys are used".into()))
    }
}

/// Finds hosts by our own look-up.
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let found = lookup::addresses(host, port, *timeout.after)?;
        let mut few = self.empty();
        found.into_iter().take(MOST_ADDRESSES).for_each(|address| few.push(address));
        Ok(few)
    }
}

/// Whether a fetch that had become secure went on in the clear.
fn went_back(history: &[Uri]) -> bool {
    let secure = |uri: &Uri| uri.scheme() == Some(&Scheme::HTTPS);
    history.windows(2).any(|pair| secure(&pair[0]) && !secure(&pair[1]))
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn failure(url: &str, error: &ureq::Error, now: Duration) -> Error {
    let why = match error {
        ureq::Error::RequireHttpsOnly(to) => format!("redirected from https to {to}"),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::TooManyRedirects => format!("more than {REDIRECTS} redirects"),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let hint = if now < PLAUSIBLE && is_tls(error) {
        let day = Timestamp::now().rfc3339_millis();
        format!(" (the clock of this machine is not set: {day}; no certificate is valid then)")
    } else {
        String::new()
    };
    let kind =
        if matches!(error, ureq::Error::Timeout(_)) { Kind::TimedOut } else { Kind::Internal };
    Error::new(kind, format!("get {url}: {why}{hint}"))
}

/// Whether the handshake failed; its errors arrive wrapped in those of reading and writing.
fn is_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tiny_http::{Header, Response, Server};

    /// A web server of its own; `http://ADDRESS`.
    fn web() -> String {
        let server = Server::http("127.0.0.1:0").unwrap();
        let base = format!("http://{}", server.server_addr());
        std::thread::spawn(move || {
            for request in server.incoming_requests() {
                let to = |target: &str| {
                    let header = Header::from_bytes("Location", target).unwrap();
                    Response::empty(302).with_header(header).boxed()
                };
                let answer = match request.url() {
                    "/file" => {
                        let whole = Response::from_data(vec![7; 100_000]);
                        whole.with_chunked_threshold(usize::MAX).boxed()
                    }
                    "/once" => to("/file"),
                    "/file-scheme" => to("file:///etc/passwd"),
                    "/loop" => to("/loop"),
                    "/open" => Response::empty(200).with_data(Cursor::new("hi"), None).boxed(),
                    _ => Response::empty(404).boxed(),
                };
                request.respond(answer).unwrap();
            }
        });
        base
    }

    fn text(result: Result<Fetched>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn bodies_come_through_redirects() {
        let base = web();
        for path in ["/file", "/once"] {
            let mut fetched = get_through(&format!("{base}{path}"), None).unwrap();
            assert_eq!(fetched.length, Some(100_000));
            let mut all = Vec::new();
            fetched.body.read_to_end(&mut all).unwrap();
            assert_eq!(all, vec![7; 100_000]);
        }
        let mut open = get_through(&format!("{base}/open"), None).unwrap();
        assert_eq!(open.length, None);
        assert_eq!(std::io::read_to_string(&mut open.body).unwrap(), "hi");
    }

    #[test]
    fn failures_name_the_url_and_why() {
        let base = web();
        let get = |path: &str| text(get_through(&format!("{base}{path}"), None));
        assert_eq!(get("/x"), format!("get {base}/x: the server answered 404 Not Found"));
        assert_eq!(get("/loop"), format!("get {base}/loop: more than 10 redirects"));
        assert!(get("/file-scheme").starts_with(&format!("get {base}/file-scheme: ")));
        let wrong = text(super::get("ftp://x/"));
        assert_eq!(wrong, "ftp://x/ is neither http:// nor https://");
    }

    #[test]
    fn the_way_back_to_the_clear_is_seen() {
        let history =
            |all: &[&str]| all.iter().map(|uri| uri.parse().unwrap()).collect::<Vec<Uri>>();
        assert!(went_back(&history(&["http://a/", "https://a/", "http://a/"])));
        assert!(!went_back(&history(&["http://a/", "https://a/", "https://b/"])));
    }

    #[test]
    fn an_unset_clock_is_named() {
        let tls = ureq::Error::Tls("bad certificate");
        let text = failure("https://a/", &tls, Duration::from_secs(3600)).to_string();
        assert!(text.contains("the clock of this machine is not set"), "{text}");
        let text = failure("https://a/", &tls, PLAUSIBLE * 2).to_string();
        assert!(!text.contains("clock"), "{text}");
    }
}
