//! What the records of a PAX extended header mean.

use std::ffi::CString;

use super::header::{damaged, decimal, pax_records, pax_time};
use crate::base::Result;

/// What the PAX records of one entry say.
#[derive(Default)]
pub(super) struct Pax<'a> {
    pub(super) path: Option<&'a [u8]>,
    pub(super) link: Option<&'a [u8]>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(CString, Vec<u8>)>,
    pub(super) sparse: Sparse<'a>,
}

/// What they say of a sparse file; see GNU tar's formats 0.0, 0.1 and 1.0.
#[derive(Default)]
pub(super) struct Sparse<'a> {
    pub(super) name: Option<&'a [u8]>,
    pub(super) size: Option<u64>,
    pub(super) major: Option<u64>,
    /// Offsets and lengths in turn.
    pub(super) map: Vec<u64>,
}

impl Sparse<'_> {
    /// Whether the file is a sparse one.
    pub(super) fn present(&self) -> bool {
        self.size.is_some()
    }
}

impl Pax<'_> {
    /// Parses the data of an extended header.
    pub(super) fn parse(data: &[u8]) -> Result<Pax<'_>> {
        let odd = || damaged("a PAX record holds no number");
        let mut pax = Pax::default();
        for (key, value) in pax_records(data)? {
            // An empty value takes back what was said before.
            let given = Some(value).filter(|value| !value.is_empty());
            let count = || given.map(|value| decimal(value).ok_or_else(odd)).transpose();
            let id = || -> Result<Option<i64>> {
                count()?.map(|id| i64::try_from(id).map_err(|_| odd())).transpose()
            };
            match key {
                b"path" => pax.path = given,
                b"linkpath" => pax.link = given,
                b"size" => pax.size = count()?,
                b"uid" => pax.uid = id()?,
                b"gid" => pax.gid = id()?,
                b"mtime" => pax.mtime = given.map(pax_time).transpose()?,
                b"GNU.sparse.name" => pax.sparse.name = given,
                b"GNU.sparse.size" | b"GNU.sparse.realsize" => pax.sparse.size = count()?,
                b"GNU.sparse.major" => pax.sparse.major = count()?,
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => pax.sparse.map.extend(count()?),
                b"GNU.sparse.map" => {
                    let numbers = value.split(|b| *b == b',').map(|n| decimal(n).ok_or_else(odd));
                    pax.sparse.map = numbers.collect::<Result<_>>()?;
                }
                key => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        pax.xattr(name, value)?;
                    }
                }
            }
        }
        Ok(pax)
    }

    fn xattr(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        // These steer overlayfs: a layer could redirect names or hide what is below it. Whoever
        // wants to hide something says so by a whiteout.
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            return Ok(());
        }
        let name = CString::new(name).map_err(|_| damaged("a name holds a NUL byte"))?;
        self.xattrs.retain(|(known, _)| *known != name);
        self.xattrs.push((name, value.to_vec()));
        Ok(())
    }
}
