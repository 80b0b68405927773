//! Verifiers of a password: argon2id for clear text inside TLS, SCRAM for everything else; made together, sealed as one.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

use super::saslprep::prepared;
use super::scram::ScramVerifier;
use crate::catalog::Catalog;
use crate::ddl::PasswordSpec;
use crate::error::CatalogError;
use crate::keyring::{Cell, DataKey};
use crate::model::Oid;

/// Work of argon2id; the default is OWASP's minimum (19 MiB, two passes, one lane).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        PasswordCost { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// Longer passwords are refused before any work.
pub(super) const PASSWORD_BYTES_MAX: usize = 1024;
/// Stored parameters above this are not run.
pub const MEMORY_KIB_MAX: u32 = 256 * 1024;
pub const PASSES_MAX: u32 = 16;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Verifiers {
    /// `None` where the client sent a SCRAM verifier instead of the password.
    argon2: Option<Argon2Hash>,
    pub(crate) scram: ScramVerifier,
}

#[derive(Clone, Serialize, Deserialize)]
struct Argon2Hash {
    memory_kib: u32,
    passes: u32,
    salt: [u8; 16],
    hash: [u8; 32],
}

/// Verifiers that wait for their role's OID.
pub(crate) struct NewVerifiers {
    key: Arc<DataKey>,
    plain: Option<Zeroizing<Vec<u8>>>,
}

impl Catalog {
    /// Hashes off the I/O threads, before the change takes its lock.
    pub(crate) async fn verifiers(&self, password: Option<PasswordSpec>) -> Result<Option<NewVerifiers>, CatalogError> {
        let key = self.keyring().auth().clone();
        let password = match password {
            None => return Ok(None),
            // As PostgreSQL: an empty password is no password.
            Some(PasswordSpec::Set(text)) if !text.is_empty() => text,
            Some(_) => return Ok(Some(NewVerifiers { key, plain: None })),
        };
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(CatalogError::parameter(format!("a password must not be longer than {PASSWORD_BYTES_MAX} bytes")));
        }
        let cost = self.auth_state().cost;
        let made = tokio::task::spawn_blocking(move || make(&password, cost)).await.map_err(CatalogError::internal)??;
        let plain = Zeroizing::new(serde_json::to_vec(&made).map_err(CatalogError::internal)?);
        Ok(Some(NewVerifiers { key, plain: Some(plain) }))
    }
}

impl Catalog {
    /// Stores a password's hash with the work that is asked for now, unless the password was changed meanwhile. A login does not fail for it.
    pub(super) async fn rehash(&self, role: Oid, password: &str, stored: Vec<u8>) {
        let done = async {
            let Some(new) = self.verifiers(Some(PasswordSpec::Set(Zeroizing::new(password.to_owned())))).await? else { return Ok(()) };
            let sealed = sealed(new, role)?;
            let mut transaction = self.store().begin_write().await?;
            sqlx::query("UPDATE roles SET password = $1 WHERE oid = $2 AND password = $3")
                .bind(sealed)
                .bind(i64::from(role))
                .bind(stored)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok::<(), CatalogError>(())
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, "a password could not be hashed anew");
        }
    }
}

impl Verifiers {
    /// Made with other work than is asked for now, or without argon2id.
    pub(super) fn is_outdated(&self, cost: PasswordCost) -> bool {
        self.argon2.as_ref().is_none_or(|hash| (hash.memory_kib, hash.passes) != (cost.memory_kib, cost.passes))
    }
}

/// For the role's row; `None`: no password.
pub(crate) fn sealed(verifiers: NewVerifiers, role: Oid) -> Result<Option<Vec<u8>>, CatalogError> {
    verifiers.plain.map(|plain| verifiers.key.seal(cell(role, &role.to_string()), &plain)).transpose()
}

pub(super) fn open(key: &DataKey, role: Oid, sealed: &[u8]) -> Result<Verifiers, CatalogError> {
    let plain = key.open(cell(role, &role.to_string()), sealed)?;
    serde_json::from_slice(&plain).map_err(|_| CatalogError::corrupted("a password verifier"))
}

fn cell(role: Oid, id: &str) -> Cell<'_> {
    Cell { table: "roles", column: "password", id, role, time: 0 }
}

/// Always one argon2 and one PBKDF2, whatever is stored, so that the time tells nothing about the role.
pub(super) fn verify(verifiers: Option<&Verifiers>, password: &str, cost: PasswordCost, dummy_salt: &[u8; 16]) -> bool {
    let dummy = Argon2Hash { memory_kib: cost.memory_kib, passes: cost.passes, salt: *dummy_salt, hash: [0; 32] };
    let stored = verifiers.and_then(|verifiers| verifiers.argon2.as_ref());
    let by_argon2 = stored.unwrap_or(&dummy).matches(password) && stored.is_some();
    let by_scram = match verifiers {
        Some(verifiers) => verifiers.scram.matches(password),
        None => {
            // Its salt and result do not matter, its time does.
            let _ = ScramVerifier::new(password);
            false
        }
    };
    if stored.is_some() { by_argon2 } else { by_scram }
}

fn make(password: &str, cost: PasswordCost) -> Result<Verifiers, CatalogError> {
    if let Some(scram) = ScramVerifier::parse(password)? {
        return Ok(Verifiers { argon2: None, scram });
    }
    let mut salt = [0; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| CatalogError::internal("no random bytes"))?;
    let hash = argon2id(password, &salt, cost.memory_kib, cost.passes).ok_or_else(|| CatalogError::internal("argon2"))?;
    let argon2 = Argon2Hash { memory_kib: cost.memory_kib, passes: cost.passes, salt, hash };
    Ok(Verifiers { argon2: Some(argon2), scram: ScramVerifier::new(password)? })
}

impl Drop for Argon2Hash {
    fn drop(&mut self) {
        self.hash.zeroize();
    }
}

impl Argon2Hash {
    fn matches(&self, password: &str) -> bool {
        argon2id(password, &self.salt, self.memory_kib, self.passes)
            .is_some_and(|hash| constant_time::verify_slices_are_equal(&hash, &self.hash).is_ok())
    }
}

fn argon2id(password: &str, salt: &[u8; 16], memory_kib: u32, passes: u32) -> Option<[u8; 32]> {
    if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX {
        return None;
    }
    let params = Params::new(memory_kib, passes, 1, Some(32)).ok()?;
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(prepared(password).as_bytes(), salt, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: PasswordCost = PasswordCost { memory_kib: 64, passes: 1 };

    #[test]
    fn verifies_by_either_verifier() {
        let made = make("correct horse", COST).unwrap();
        assert!(verify(Some(&made), "correct horse", COST, &[0; 16]));
        assert!(!verify(Some(&made), "correct hors", COST, &[0; 16]));
        let only_scram = Verifiers { argon2: None, scram: made.scram.clone() };
        assert!(verify(Some(&only_scram), "correct horse", COST, &[0; 16]));
        assert!(!verify(Some(&only_scram), "", COST, &[0; 16]));
        assert!(!verify(None, "correct horse", COST, &[0; 16]));
    }

    #[test]
    fn equivalent_spellings_of_a_password_are_one() {
        let made = make("caf\u{e9}", COST).unwrap();
        assert!(verify(Some(&made), "cafe\u{301}", COST, &[0; 16]));
        assert!(verify(Some(&make("\u{7}bell", COST).unwrap()), "\u{7}bell", COST, &[0; 16]), "what SASLprep refuses is used raw");
    }

    #[test]
    fn stored_parameters_have_a_cap() {
        assert!(argon2id("x", &[0; 16], u32::MAX, 1).is_none());
        assert!(argon2id("x", &[0; 16], 64, 1000).is_none());
    }
}
