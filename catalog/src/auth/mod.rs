//! Proof of identity: passwords (argon2id) and SCRAM-SHA-256, alike in time and answer for roles that exist and roles that do not.

pub(crate) mod password;
mod saslprep;
mod scram;
mod slowdown;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::Utc;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

pub use password::PasswordCost;
#[cfg(test)]
pub(crate) use scram::client_proof;
pub use scram::{SCRAM_ITERATIONS, ScramExchange, ScramProven};
pub use tokens::{NewToken, TOKEN_PREFIX, Token};

use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{BOOTSTRAP_ROLE_OID, Oid};
use password::Verifiers;
use slowdown::SlowDown;

/// A role that has proven its identity; only this module makes one.
#[derive(Debug, Clone)]
pub struct Authenticated {
    role: Oid,
    name: String,
    /// What stood in a password's place.
    method: Option<&'static str>,
}

impl Authenticated {
    #[must_use]
    pub fn role(&self) -> Oid {
        self.role
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `token` or `jwt`, where one was given in a password's place.
    #[must_use]
    pub fn method(&self) -> Option<&'static str> {
        self.method
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// 28P01 `password authentication failed for user "x"`: wrong password, unknown role, no login right, expired. The caller
    /// cannot tell which.
    #[error("password authentication failed for user \"{role}\"")]
    Failed { role: String },
    /// 53300: too many logins wait to be checked.
    #[error("too many logins are being checked")]
    Busy,
    /// 57P03.
    #[error("the catalog is not available")]
    Unavailable(#[source] CatalogError),
}

impl Catalog {
    /// Checks a password that came in clear text (inside TLS). `address` is the peer's, for slowing down who guesses.
    ///
    /// # Errors
    /// [`AuthError::Failed`] after the same work whatever the reason.
    pub async fn verify_password(&self, role_name: &str, password: &str, address: Option<IpAddr>) -> Result<Authenticated, AuthError> {
        let state = self.auth_state();
        let failed = || AuthError::Failed { role: role_name.to_owned() };
        state.slowdown.wait(role_name, address).await;
        // Longer ones cannot have been set; refused before any work, for every role alike.
        if password.len() > password::PASSWORD_BYTES_MAX {
            state.slowdown.failed(role_name, address);
            return Err(failed());
        }
        if password.starts_with(TOKEN_PREFIX)
            && let Some(proven) = self.verify_token(role_name, password).await.map_err(AuthError::Unavailable)?
        {
            state.slowdown.succeeded(role_name, address);
            return Ok(proven);
        }
        let candidate = self.candidate(role_name).await.map_err(AuthError::Unavailable)?;
        let permit = state.gate.enter().await?;
        let (verifiers, cost, dummy_salt) = (candidate.verifiers.clone(), state.cost, state.dummy_salt);
        let text = Zeroizing::new(password.to_owned());
        let password = text.clone();
        let work = tokio::task::spawn_blocking(move || {
            // The permit lives as long as the work, also where the client has gone.
            let _permit = permit;
            password::verify(verifiers.as_deref(), &password, cost, &dummy_salt)
        });
        let right = work.await.map_err(|error| AuthError::Unavailable(CatalogError::internal(error)))?;
        match candidate.role.filter(|_| right) {
            Some((role, name)) => {
                state.slowdown.succeeded(role_name, address);
                if candidate.verifiers.as_ref().is_some_and(|verifiers| verifiers.is_outdated(cost)) {
                    self.rehash(role, &text, candidate.sealed.unwrap_or_default()).await;
                }
                Ok(Authenticated { role, name, method: None })
            }
            None => {
                state.slowdown.failed(role_name, address);
                Err(failed())
            }
        }
    }

    /// The bootstrap superuser, for what the server itself runs (demo data): whoever can call this holds the catalog already.
    ///
    /// # Errors
    /// [`CatalogError::Undefined`] before the first bootstrap.
    pub fn bootstrap_identity(&self) -> Result<Authenticated, CatalogError> {
        let snapshot = self.snapshot();
        let role = snapshot
            .role(BOOTSTRAP_ROLE_OID)
            .ok_or_else(|| CatalogError::Undefined { kind: ObjectKind::Role, name: "admin".to_owned() })?;
        Ok(Authenticated { role: role.oid, name: role.name.clone(), method: None })
    }

    /// A role whose identity somebody else has vouched for: the issuer of a token that the caller has checked, or of a certificate.
    /// `method` is for the audit log.
    ///
    /// # Errors
    /// [`AuthError::Failed`] for a role that is not there or may not log in.
    pub async fn vouched_identity(
        &self,
        role_name: &str,
        method: &'static str,
        address: Option<IpAddr>,
    ) -> Result<Authenticated, AuthError> {
        let state = self.auth_state();
        state.slowdown.wait(role_name, address).await;
        let snapshot = self.refresh().await.map_err(AuthError::Unavailable)?;
        match snapshot.role_by_name(role_name).filter(|role| role.login) {
            Some(role) => {
                state.slowdown.succeeded(role_name, address);
                Ok(Authenticated { role: role.oid, name: role.name.clone(), method: Some(method) })
            }
            None => Err(self.login_failed(role_name, address)),
        }
    }

    /// Counts a login that failed before the catalog was asked.
    pub fn login_failed(&self, role_name: &str, address: Option<IpAddr>) -> AuthError {
        self.auth_state().slowdown.failed(role_name, address);
        AuthError::Failed { role: role_name.to_owned() }
    }

    /// Only a token does, not the password.
    ///
    /// # Errors
    /// As [`Catalog::verify_password`].
    pub async fn verify_token_alone(&self, role_name: &str, text: &str, address: Option<IpAddr>) -> Result<Authenticated, AuthError> {
        self.auth_state().slowdown.wait(role_name, address).await;
        match self.verify_token(role_name, text).await.map_err(AuthError::Unavailable)? {
            Some(proven) => {
                self.auth_state().slowdown.succeeded(role_name, address);
                Ok(proven)
            }
            None => Err(self.login_failed(role_name, address)),
        }
    }

    /// Starts SCRAM: what the server-first message needs. A role that cannot log in gets the same kind of answer, always the
    /// same for its name, and fails at the end.
    ///
    /// # Errors
    /// [`AuthError::Unavailable`].
    pub async fn scram_begin(&self, role_name: &str, address: Option<IpAddr>) -> Result<ScramExchange, AuthError> {
        self.auth_state().slowdown.wait(role_name, address).await;
        let candidate = self.candidate(role_name).await.map_err(AuthError::Unavailable)?;
        let auth = self.keyring().auth();
        let secret = candidate.verifiers.as_ref().map(|verifiers| verifiers.scram.clone());
        let secret = match secret {
            Some(secret) => secret,
            None => scram::mock(auth, role_name),
        };
        Ok(ScramExchange::new(role_name.to_owned(), address, secret, candidate.role))
    }

    /// Checks the client's proof over `auth_message` (client-first-bare, server-first, client-final-without-proof, joined by
    /// commas: RFC 5802 section 3) and makes the server's signature. Channel binding is the caller's to compare.
    ///
    /// # Errors
    /// [`AuthError::Failed`].
    pub async fn scram_finish(&self, exchange: ScramExchange, auth_message: &[u8], client_proof: &[u8]) -> Result<ScramProven, AuthError> {
        let state = self.auth_state();
        let proven = exchange.secret().check(auth_message, client_proof);
        match (proven, exchange.role()) {
            (Some(server_signature), Some((role, name))) => {
                state.slowdown.succeeded(exchange.role_name(), exchange.address());
                let authenticated = Authenticated { role: *role, name: name.clone(), method: None };
                Ok(ScramProven { authenticated, server_signature })
            }
            _ => {
                state.slowdown.failed(exchange.role_name(), exchange.address());
                Err(AuthError::Failed { role: exchange.role_name().to_owned() })
            }
        }
    }

    /// Reads and opens what is stored for a name. The same queries run for every name.
    async fn candidate(&self, role_name: &str) -> Result<Candidate, CatalogError> {
        let row: Option<StoredRole> = sqlx::query_as("SELECT oid, name, login, valid_until, password FROM roles WHERE name = $1")
            .bind(role_name.replace('\0', "\u{fffd}"))
            .fetch_optional(self.store().reads())
            .await?;
        let Some((oid, name, login, valid_until, sealed)) = row else { return Ok(Candidate::default()) };
        let oid: Oid = crate::store::number(oid)?;
        let expired = valid_until.is_some_and(|until| until <= Utc::now().timestamp());
        let verifiers = sealed.as_ref().map(|sealed| password::open(self.keyring().auth(), oid, sealed)).transpose()?;
        let may_log_in = login != 0 && !expired && verifiers.is_some() && name == role_name;
        let role = may_log_in.then_some((oid, name));
        Ok(Candidate { role, verifiers: verifiers.map(Arc::new), sealed })
    }
}

/// OID, name, login, valid until, sealed verifiers.
type StoredRole = (i64, String, i64, Option<i64>, Option<Vec<u8>>);

/// `role` only where it may log in with the right password.
#[derive(Default)]
struct Candidate {
    role: Option<(Oid, String)>,
    verifiers: Option<Arc<Verifiers>>,
    /// As stored.
    sealed: Option<Vec<u8>>,
}

/// What authentication keeps in memory.
#[derive(Debug)]
pub(crate) struct AuthState {
    pub(crate) cost: PasswordCost,
    dummy_salt: [u8; 16],
    gate: Gate,
    slowdown: SlowDown,
}

impl AuthState {
    pub(crate) fn new(cost: PasswordCost) -> Result<AuthState, CatalogError> {
        let mut dummy_salt = [0; 16];
        aws_lc_rs::rand::fill(&mut dummy_salt).map_err(|_| CatalogError::internal("no random bytes"))?;
        Ok(AuthState { cost, dummy_salt, gate: Gate::new(), slowdown: SlowDown::default() })
    }
}

/// Bounds how many passwords are checked at once (cores less one) and how many wait.
#[derive(Debug)]
struct Gate {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

const LOGINS_WAITING_MAX: usize = 64;

impl Gate {
    fn new() -> Gate {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Gate { running: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))), waiting: AtomicUsize::new(0) }
    }

    async fn enter(&self) -> Result<tokio::sync::OwnedSemaphorePermit, AuthError> {
        let place = Waiting::new(&self.waiting).ok_or(AuthError::Busy)?;
        let permit = self.running.clone().acquire_owned().await;
        drop(place);
        permit.map_err(|error| AuthError::Unavailable(CatalogError::internal(error)))
    }
}

/// A place in the queue, given back also where the waiter is cancelled.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Option<Waiting<'a>> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let place = Waiting(count);
        (before < LOGINS_WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
