//! Fetching from the web: `import URL`, later registries. The only user of the TLS client.

use std::io::Read;

use crate::base::Result;

/// A body that is being fetched.
pub struct Fetched {
    /// The bytes.
    pub body: Box<dyn Read + Send>,
    /// Length in bytes, when the server told it.
    pub length: Option<u64>,
}

/// Gets `url` (`http` or `https`, at most 10 redirects, never from https to http).
///
/// # Errors
/// A wrong URL, an unreachable host, a status other than 200; a certificate that a clock before
/// its time makes invalid says so.
pub fn get(_url: &str) -> Result<Fetched> {
    todo!()
}
