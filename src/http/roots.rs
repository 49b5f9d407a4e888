//! The certificate authorities that this host trusts: those that its admin keeps, in the files
//! where distributions put them. None are built in: a list that ages with the binary would
//! overrule the admin's, and weigh as much as the rest of the client.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ureq::tls::{PemItem, RootCerts, parse_pem};

use crate::base::{Context, Error, Kind, Result};

/// Where Debian and Alpine, Fedora, openSUSE, and OpenWrt and the BSDs keep them.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The largest bundle that is read; today's have a quarter of a megabyte.
const MOST_BYTES: u64 = 8 << 20;

/// The authorities of this host: of the file that SSL_CERT_FILE names, else of the first bundle
/// that exists.
///
/// # Errors
/// When there is no bundle, or the one there cannot be read or holds no certificate.
pub(super) fn of_host() -> Result<RootCerts> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let found = named.or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| path.exists()));
    let path = found.ok_or_else(|| {
        Error::new(
            Kind::Unavailable,
            "no certificate authorities are installed: install the package ca-certificates, \
             or name a file of them in SSL_CERT_FILE",
        )
    })?;
    let certificates = read(&path)?;
    if certificates.is_empty() {
        let text = format!("{} holds no certificate", path.display());
        return Err(Error::new(Kind::Unavailable, text));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn read(path: &Path) -> Result<Vec<ureq::tls::Certificate<'static>>> {
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut pem))
        .context(|| format!("read certificate authorities in {}", path.display()))?;
    // What does not parse is left out, as other clients do: one odd entry must not cut a host off.
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(certificates.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_read_without_what_is_no_certificate() {
        let path = std::env::temp_dir().join(format!("skiff-roots-{}", std::process::id()));
        let entry = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, format!("# a comment\n{entry}garbage\n{entry}")).unwrap();
        let certificates = read(&path).unwrap();
        assert_eq!(certificates.len(), 2);
        assert_eq!(certificates[0].der(), [0, 1, 2]);
        std::fs::write(&path, "nothing").unwrap();
        assert!(read(&path).unwrap().is_empty());
        std::fs::remove_file(&path).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.starts_with("read certificate authorities in "), "{error}");
    }
}
