//! Preparing passwords as PostgreSQL does: SASLprep (RFC 4013), and the raw bytes where a password does not fit it.

use std::borrow::Cow;

/// Source: `pg_saslprep` and its callers, which go on with the raw password where it fails.
pub(super) fn prepared(password: &str) -> Cow<'_, str> {
    stringprep::saslprep(password).unwrap_or(Cow::Borrowed(password))
}
