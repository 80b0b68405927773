//! SCRAM-SHA-256 on the server's side. Source: RFC 5802, RFC 7677; `src/backend/libpq/auth-scram.c` of PostgreSQL 15.

use std::net::IpAddr;
use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::Authenticated;
use super::saslprep::prepared;
use crate::error::CatalogError;
use crate::keyring::DataKey;
use crate::model::Oid;

/// As PostgreSQL's default.
pub const SCRAM_ITERATIONS: u32 = 4096;
/// More would let a stored verifier burn the processor at each clear-text login.
const ITERATIONS_MAX: u32 = 100_000;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// One login in the middle of SCRAM. Has no way to show its keys.
pub struct ScramExchange {
    role_name: String,
    address: Option<IpAddr>,
    secret: ScramVerifier,
    role: Option<(Oid, String)>,
}

impl std::fmt::Debug for ScramExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScramExchange({})", self.role_name)
    }
}

impl ScramExchange {
    pub(super) fn new(role_name: String, address: Option<IpAddr>, secret: ScramVerifier, role: Option<(Oid, String)>) -> Self {
        ScramExchange { role_name, address, secret, role }
    }

    /// For the server-first message, before base64.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.secret.salt
    }

    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.secret.iterations
    }

    pub(super) fn secret(&self) -> &ScramVerifier {
        &self.secret
    }

    pub(super) fn role(&self) -> Option<&(Oid, String)> {
        self.role.as_ref()
    }

    pub(super) fn role_name(&self) -> &str {
        &self.role_name
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// The client's proof was right.
#[derive(Debug, Clone)]
pub struct ScramProven {
    pub authenticated: Authenticated,
    /// For the server-final message (`v=`), before base64.
    pub server_signature: [u8; HASH_BYTES],
}

/// What is stored of a password for SCRAM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScramVerifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; HASH_BYTES],
    server_key: [u8; HASH_BYTES],
}

impl Drop for ScramVerifier {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl ScramVerifier {
    pub(crate) fn new(password: &str) -> Result<ScramVerifier, CatalogError> {
        let mut salt = vec![0; SALT_BYTES];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| CatalogError::internal("no random bytes"))?;
        Ok(ScramVerifier::derive(password, salt, SCRAM_ITERATIONS))
    }

    fn derive(password: &str, salt: Vec<u8>, iterations: u32) -> ScramVerifier {
        let mut salted = Zeroizing::new([0; HASH_BYTES]);
        let count = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, count, &salt, prepared(password).as_bytes(), &mut salted[..]);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salted[..]);
        let client_key = hmac::sign(&key, b"Client Key");
        let stored_key = fixed(digest::digest(&digest::SHA256, client_key.as_ref()).as_ref());
        ScramVerifier { iterations, salt, stored_key, server_key: fixed(hmac::sign(&key, b"Server Key").as_ref()) }
    }

    /// From `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, as psql's `\password` sends it. `None`: it is not one, so it is
    /// a password (`parse_scram_secret`).
    ///
    /// # Errors
    /// [`CatalogError::InvalidParameter`] for more iterations than are allowed.
    pub(crate) fn parse(text: &str) -> Result<Option<ScramVerifier>, CatalogError> {
        let Some(verifier) = parse_parts(text) else { return Ok(None) };
        if verifier.iterations > ITERATIONS_MAX {
            return Err(CatalogError::parameter(format!("a SCRAM verifier must not have more than {ITERATIONS_MAX} iterations")));
        }
        Ok(Some(verifier))
    }

    /// A clear-text password against the verifier, in constant time after the derivation.
    pub(crate) fn matches(&self, password: &str) -> bool {
        let other = ScramVerifier::derive(password, self.salt.clone(), self.iterations);
        constant_time::verify_slices_are_equal(&other.stored_key, &self.stored_key).is_ok()
    }

    /// The server's signature where the client's proof is right. Source: RFC 5802 section 3.
    pub(crate) fn check(&self, auth_message: &[u8], client_proof: &[u8]) -> Option<[u8; HASH_BYTES]> {
        let stored = hmac::Key::new(hmac::HMAC_SHA256, &self.stored_key);
        let client_signature = hmac::sign(&stored, auth_message);
        let mut client_key = Zeroizing::new([0; HASH_BYTES]);
        if client_proof.len() != HASH_BYTES {
            return None;
        }
        for ((out, proof), signature) in client_key.iter_mut().zip(client_proof).zip(client_signature.as_ref()) {
            *out = proof ^ signature;
        }
        let hashed = digest::digest(&digest::SHA256, &client_key[..]);
        constant_time::verify_slices_are_equal(hashed.as_ref(), &self.stored_key).ok()?;
        let server = hmac::Key::new(hmac::HMAC_SHA256, &self.server_key);
        Some(fixed(hmac::sign(&server, auth_message).as_ref()))
    }
}

/// For a name without verifier: the same answer at every try, and no proof that would ever fit.
pub(super) fn mock(key: &DataKey, role_name: &str) -> ScramVerifier {
    let salt = key.derive("scram mock salt", role_name.as_bytes());
    ScramVerifier {
        iterations: SCRAM_ITERATIONS,
        salt: salt.iter().take(SALT_BYTES).copied().collect(),
        stored_key: key.derive("scram mock stored key", role_name.as_bytes()),
        server_key: key.derive("scram mock server key", role_name.as_bytes()),
    }
}

fn parse_parts(text: &str) -> Option<ScramVerifier> {
    let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
    Some(ScramVerifier {
        iterations: iterations.parse().ok().filter(|count| *count > 0)?,
        salt: STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?,
        stored_key: key(stored_key)?,
        server_key: key(server_key)?,
    })
}

fn fixed(bytes: &[u8]) -> [u8; HASH_BYTES] {
    let mut out = [0; HASH_BYTES];
    for (out, byte) in out.iter_mut().zip(bytes) {
        *out = *byte;
    }
    out
}

/// What a client computes; for tests and for nothing else.
#[cfg(test)]
pub(crate) fn client_proof(password: &str, salt: &[u8], iterations: u32, auth_message: &[u8]) -> Vec<u8> {
    let mut salted = [0; HASH_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::new(iterations).unwrap(), salt, prepared(password).as_bytes(), &mut salted);
    let client_key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, stored_key.as_ref()), auth_message);
    client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 section 3.
    #[test]
    fn rfc_7677_example() {
        let verifier = ScramVerifier::derive("pencil", STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signature = verifier.check(message.as_bytes(), &proof).unwrap();
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let mut wrong = proof.clone();
        wrong[3] ^= 1;
        assert!(verifier.check(message.as_bytes(), &wrong).is_none());
        assert!(verifier.check(message.as_bytes(), &proof[..31]).is_none());
        assert!(verifier.check(b"another message", &proof).is_none());
    }

    #[test]
    fn parses_what_psql_sends() {
        let verifier = ScramVerifier::derive("pencil", vec![1; 16], 4096);
        let text = format!(
            "SCRAM-SHA-256$4096:{}${}:{}",
            STANDARD.encode(&verifier.salt),
            STANDARD.encode(verifier.stored_key),
            STANDARD.encode(verifier.server_key)
        );
        let parsed = ScramVerifier::parse(&text).unwrap().unwrap();
        assert!(parsed == verifier && parsed.matches("pencil") && !parsed.matches("pen"));
        for not_one in ["SCRAM-SHA-256$", "SCRAM-SHA-256$x:AA==$AA==:AA==", "md5abc", "", &text[..text.len() - 4]] {
            assert!(ScramVerifier::parse(not_one).unwrap().is_none(), "{not_one}");
        }
        assert!(ScramVerifier::parse(&text.replace("4096", "100000000")).is_err());
    }
}
