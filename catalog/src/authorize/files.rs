//! Which files and URLs a role may read or write: those under an external location that was granted, nothing else.

use std::fmt;
use std::sync::Arc;

use super::Principal;
use super::privileges::has_privilege;
use crate::error::CatalogError;
use crate::model::{ExternalLocation, ObjectRef, Privilege};
use crate::snapshot::Snapshot;

/// A URL in the one form in which prefixes can be compared: `file:///…` or `s3://bucket/…`, no `.`, `..` or empty segment, no
/// escape that hides one, no user, port, query or fragment. Symbolic links are not looked at: whoever opens a `file:` URL
/// canonicalises it and asks [`NormalUrl::contains`] again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NormalUrl(String);

impl NormalUrl {
    /// What was normalised before it was stored.
    pub(crate) fn stored(url: &str) -> NormalUrl {
        NormalUrl(url.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The local path of a `file:` URL, escapes decoded.
    #[must_use]
    pub fn local_path(&self) -> Option<std::path::PathBuf> {
        let path = self.0.strip_prefix("file://")?;
        let decoded = unescaped(path)?;
        Some(std::path::PathBuf::from(decoded))
    }

    /// With exactly one `/` at the end.
    #[must_use]
    pub fn directory(&self) -> NormalUrl {
        if self.0.ends_with('/') { self.clone() } else { NormalUrl(format!("{}/", self.0)) }
    }

    /// `other` is this URL or lies under it, on segment boundaries.
    #[must_use]
    pub fn contains(&self, other: &NormalUrl) -> bool {
        other.directory().0.starts_with(&self.directory().0)
    }
}

impl fmt::Display for NormalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Proof that a role may use a URL.
#[derive(Debug, Clone)]
pub struct FileAccess {
    url: NormalUrl,
    location: Arc<ExternalLocation>,
    privilege: Privilege,
}

impl FileAccess {
    #[must_use]
    pub fn url(&self) -> &NormalUrl {
        &self.url
    }

    /// The location that contains it: after links were followed the file must still lie under its URL.
    #[must_use]
    pub fn location(&self) -> &Arc<ExternalLocation> {
        &self.location
    }

    #[must_use]
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }
}

/// Superusers, too, reach files only through an external location. Places that the server keeps for itself (the data
/// directory, the warehouse root) are refused to everybody.
///
/// # Errors
/// [`CatalogError::InvalidParameter`] for a URL that cannot be normalised, [`CatalogError::FileAccess`] where no location
/// contains it or the role lacks `privilege` (`ReadFiles` or `WriteFiles`) on it.
pub fn file_access(snapshot: &Snapshot, principal: &Principal, url: &str, privilege: Privilege) -> Result<FileAccess, CatalogError> {
    let normal = normalise_url(url)?;
    let refused = || CatalogError::FileAccess { url: url.to_owned() };
    if is_protected(snapshot, &normal) {
        return Err(refused());
    }
    let location = snapshot
        .external_locations()
        .find(|location| NormalUrl::stored(&location.url).contains(&normal))
        .filter(|location| has_privilege(snapshot, principal.current_role, ObjectRef::ExternalLocation(location.oid), privilege))
        .ok_or_else(refused)?;
    Ok(FileAccess { url: normal, location: location.clone(), privilege })
}

/// Overlaps a place that the server keeps for itself.
pub(crate) fn is_protected(snapshot: &Snapshot, url: &NormalUrl) -> bool {
    snapshot.protected_roots.iter().any(|root| overlap(root, url))
}

/// One contains the other.
pub(crate) fn overlap(one: &NormalUrl, other: &NormalUrl) -> bool {
    one.contains(other) || other.contains(one)
}

/// Takes `file:///path`, `/path` and `s3://bucket[/path]`.
///
/// # Errors
/// [`CatalogError::InvalidParameter`] that says what is wrong.
pub fn normalise_url(url: &str) -> Result<NormalUrl, CatalogError> {
    let refuse = |why: &str| CatalogError::parameter(format!("invalid URL \"{}\": {why}", printable(url)));
    if url.len() > URL_BYTES_MAX {
        return Err(CatalogError::parameter("URL is too long"));
    }
    if url.chars().any(|c| c.is_control() || c == '\\') {
        return Err(refuse("it contains a control character or a backslash"));
    }
    if url.contains(['?', '#']) {
        return Err(refuse("it must not have a query or a fragment"));
    }
    let (root, path) = match split_scheme(url) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("s3") => {
            let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
            if !is_bucket(bucket) {
                return Err(refuse("it does not name a bucket"));
            }
            (format!("s3://{bucket}/"), path)
        }
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            let path = rest.strip_prefix('/').ok_or_else(|| refuse("a file URL must not name a host"))?;
            ("file:///".to_owned(), path)
        }
        Some(_) => return Err(refuse("only the schemes file and s3 are known")),
        None => {
            let path = url.strip_prefix('/').ok_or_else(|| refuse("it is neither a URL nor an absolute path"))?;
            ("file:///".to_owned(), path)
        }
    };
    check_segments(path).map_err(refuse)?;
    Ok(NormalUrl(root + path))
}

const URL_BYTES_MAX: usize = 4096;

/// `scheme://rest`; a `:` anywhere before the first `/` counts as a scheme, so that `http:x` is not taken for a path.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':').filter(|(scheme, _)| !scheme.contains('/'))?;
    Some((scheme, rest.strip_prefix("//").unwrap_or("")))
}

/// Source: S3's rules for bucket names, with `_` for old buckets.
fn is_bucket(bucket: &str) -> bool {
    (3..=255).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_'))
        && !bucket.contains("..")
        && !bucket.starts_with('.')
}

/// A trailing `/` is fine. Returns what is wrong.
fn check_segments(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Ok(());
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    for segment in path.split('/') {
        if segment.is_empty() {
            return Err("it has an empty segment");
        }
        if segment == "." || segment == ".." {
            return Err("it has a \".\" or \"..\" segment");
        }
        let decoded = unescaped(segment).ok_or("it has a broken escape")?;
        // A second round of decoding by somebody downstream must not find anything either: %25 is refused where it would
        // make a new escape.
        if segment != decoded
            && (decoded.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | '.'))
                || unescaped(&decoded).as_deref() != Some(decoded.as_str()))
        {
            return Err("it has an escape that hides a separator or a dot");
        }
    }
    Ok(())
}

/// `%xx` decoded; `None` for a broken escape or bytes that are not UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let [high, low, ..] = tail else { return None };
            let digit = |b: u8| char::from(b).to_digit(16);
            bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
            rest = tail.get(2..)?;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn printable(url: &str) -> String {
    url.chars().filter(|c| !c.is_control()).take(200).collect()
}
