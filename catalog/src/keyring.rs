//! Data keys: random, one a UTC day and role for the logs and one for password verifiers, each wrapped by the key-encryption key. A key that
//! is destroyed takes with it what it has sealed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::error::CatalogError;
use crate::kek::Kek;
use crate::kek_file::KekFile;
use crate::model::Oid;
use crate::seal::{self, Place, SecretKey};
use crate::store::Store;

/// An unwrapped key and its id.
pub(crate) struct DataKey {
    id: String,
    secret: SecretKey,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

/// Where a value stands; the key adds its own id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell<'a> {
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
    pub(crate) id: &'a str,
    pub(crate) role: Oid,
    pub(crate) time: i64,
}

impl DataKey {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn seal(&self, cell: Cell<'_>, plain: &[u8]) -> Result<Vec<u8>, CatalogError> {
        seal::seal(&self.secret, &self.place(cell), plain)
    }

    pub(crate) fn open(&self, cell: Cell<'_>, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, CatalogError> {
        seal::open(&self.secret, &self.place(cell), sealed)
    }

    /// A key for another use, e.g. the answers to unknown roles.
    pub(crate) fn derive(&self, label: &str, input: &[u8]) -> [u8; 32] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.secret[..]);
        let mut context = aws_lc_rs::hmac::Context::with_key(&key);
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(input);
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }

    fn place<'a>(&'a self, cell: Cell<'a>) -> Place<'a> {
        Place { table: cell.table, column: cell.column, id: cell.id, role: cell.role, time: cell.time, key_id: &self.id }
    }
}

/// A stored key.
#[derive(Debug, Clone)]
pub(crate) struct WrappedKey {
    pub(crate) id: String,
    pub(crate) purpose: String,
    /// `2026-11-22`; empty for the verifiers' key.
    pub(crate) day: String,
    pub(crate) wrapped: Vec<u8>,
}

/// Before the role.
pub(crate) const LOG: &str = "log:";

fn log_purpose(role: Oid) -> String {
    format!("{LOG}{role}")
}

const AUTH: &str = "auth";
const SIGNING: &str = "signing";
const FINGERPRINTS: &str = "fingerprints";
/// Of the blind index, while it is on.
pub(crate) const BLIND: &str = "blind";

#[derive(Debug)]
pub(crate) struct Keyring {
    store: Store,
    kek: RwLock<Kek>,
    auth: Arc<DataKey>,
    /// By id.
    keys: RwLock<HashMap<String, Arc<DataKey>>>,
    /// Day, and its keys by role.
    today: RwLock<(String, HashMap<Oid, Arc<DataKey>>)>,
    /// Where the key-encryption key is kept: another process may have put a new one there.
    kek_file: Option<KekFile>,
}

impl Keyring {
    /// Opens the verifiers' key, which shows whether the key-encryption key is the right one; makes it in a new catalog.
    ///
    /// # Errors
    /// [`CatalogError::WrongKek`].
    pub(crate) async fn open(store: Store, kek: Kek, kek_file: Option<KekFile>) -> Result<Keyring, CatalogError> {
        let auth = Arc::new(key_for(&store, &kek, AUTH, "").await?);
        Ok(Keyring { store, kek: RwLock::new(kek), auth, keys: RwLock::default(), today: RwLock::default(), kek_file })
    }

    /// The key of password verifiers.
    pub(crate) fn auth(&self) -> &Arc<DataKey> {
        &self.auth
    }

    /// What the key that signs comes from; made in a catalog that has none.
    pub(crate) async fn signing(&self) -> Result<Arc<DataKey>, CatalogError> {
        Ok(Arc::new(key_for(&self.store, &self.kek(), SIGNING, "").await?))
    }

    /// What statements' fingerprints are keyed with.
    pub(crate) async fn fingerprints(&self) -> Result<Arc<DataKey>, CatalogError> {
        Ok(Arc::new(key_for(&self.store, &self.kek(), FINGERPRINTS, "").await?))
    }

    /// What literals' tokens are made with; made where there is none.
    pub(crate) async fn blind(&self) -> Result<Arc<DataKey>, CatalogError> {
        Ok(Arc::new(key_for(&self.store, &self.kek(), BLIND, "").await?))
    }

    /// The logs' key of a day and role, durable before it is given out.
    pub(crate) async fn of_day(&self, time: DateTime<Utc>, role: Oid) -> Result<Arc<DataKey>, CatalogError> {
        let day = time.format("%Y-%m-%d").to_string();
        {
            let today = self.today.read().unwrap_or_else(PoisonError::into_inner);
            if today.0 == day
                && let Some(key) = today.1.get(&role)
            {
                return Ok(Arc::clone(key));
            }
        }
        let purpose = log_purpose(role);
        let made = match key_for(&self.store, &self.kek(), &purpose, &day).await {
            Err(CatalogError::WrongKek) if self.read_kek_again().await => key_for(&self.store, &self.kek(), &purpose, &day).await,
            made => made,
        };
        let key = Arc::new(made?);
        self.remember(&key);
        let mut today = self.today.write().unwrap_or_else(PoisonError::into_inner);
        if today.0 != day {
            *today = (day, HashMap::new());
        }
        today.1.insert(role, Arc::clone(&key));
        Ok(key)
    }

    /// Keys may have been destroyed: all are asked for anew.
    pub(crate) fn forget(&self) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).clear();
        *self.today.write().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }

    /// Whether another key was found where it is kept.
    async fn read_kek_again(&self) -> bool {
        let Some(file) = self.kek_file.as_ref().filter(|file| file.exists()) else { return false };
        match file.load_or_create().await {
            Ok(kek) => {
                *self.kek.write().unwrap_or_else(PoisonError::into_inner) = kek;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the key-encryption key could not be read again");
                false
            }
        }
    }

    /// The key that a stored row names.
    pub(crate) async fn by_id(&self, id: &str) -> Result<Arc<DataKey>, CatalogError> {
        if let Some(key) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(key.clone());
        }
        self.opened(self.store.key_by_id(id).await?).await
    }

    /// As [`Keyring::by_id`] over a connection that is in hand: whoever holds one must not wait for another.
    pub(crate) async fn by_id_in(&self, connection: &mut sqlx::AnyConnection, id: &str) -> Result<Arc<DataKey>, CatalogError> {
        if let Some(key) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(key.clone());
        }
        self.opened(crate::store::key_by_id(connection, id).await?).await
    }

    async fn opened(&self, stored: Option<WrappedKey>) -> Result<Arc<DataKey>, CatalogError> {
        let stored = stored.ok_or_else(|| CatalogError::corrupted("a data key is missing"))?;
        if stored.wrapped.is_empty() {
            return Err(CatalogError::KeyDestroyed);
        }
        let opened = match unwrap(&self.kek(), &stored) {
            Err(CatalogError::WrongKek) if self.read_kek_again().await => unwrap(&self.kek(), &stored),
            opened => opened,
        };
        let key = Arc::new(opened?);
        self.remember(&key);
        Ok(key)
    }

    /// Destroys the logs' keys of a role, or of a day; gives their number.
    pub(crate) async fn destroy(&self, role: Option<Oid>, day: Option<&str>) -> Result<u64, CatalogError> {
        let count = self.store.destroy_keys(role.map(log_purpose).as_deref(), day).await?;
        self.forget();
        Ok(count)
    }

    /// Wraps every key anew, all in one transaction. The old key opens nothing afterwards.
    pub(crate) async fn rotate(&self, new: Kek) -> Result<u64, CatalogError> {
        let old = self.kek();
        let into = new.clone();
        let count = self
            .store
            .rewrap_keys(move |stored| {
                let key = unwrap(&old, stored)?;
                wrap(&into, &stored.id, &stored.purpose, &stored.day, &key.secret)
            })
            .await?;
        *self.kek.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(count)
    }

    fn kek(&self) -> Kek {
        self.kek.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, key: &Arc<DataKey>) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(key.id.clone(), key.clone());
    }
}

/// Keys held unwrapped; older ones are read again.
const KEYS_MAX: usize = 400;

/// Two gateways may make the key of a day at once: the first stored one counts for both.
async fn key_for(store: &Store, kek: &Kek, purpose: &str, day: &str) -> Result<DataKey, CatalogError> {
    if let Some(stored) = store.key_for(purpose, day).await? {
        return unwrap(kek, &stored);
    }
    let id = Uuid::new_v4().to_string();
    let secret = seal::random_key()?;
    let wrapped = wrap(kek, &id, purpose, day, &secret)?;
    let made = WrappedKey { id, purpose: purpose.to_owned(), day: day.to_owned(), wrapped };
    store.insert_key(&made).await?;
    let stored = store.key_for(purpose, day).await?.ok_or_else(|| CatalogError::internal("a new data key is not there"))?;
    unwrap(kek, &stored)
}

fn wrap(kek: &Kek, id: &str, purpose: &str, day: &str, secret: &SecretKey) -> Result<Vec<u8>, CatalogError> {
    seal::seal(&kek.0, &place(id, purpose, day), &secret[..])
}

fn unwrap(kek: &Kek, stored: &WrappedKey) -> Result<DataKey, CatalogError> {
    let plain =
        seal::open(&kek.0, &place(&stored.id, &stored.purpose, &stored.day), &stored.wrapped).map_err(|_| CatalogError::WrongKek)?;
    let mut secret = SecretKey::default();
    if plain.len() != secret.len() {
        return Err(CatalogError::corrupted("a data key has the wrong length"));
    }
    secret.copy_from_slice(&plain);
    Ok(DataKey { id: stored.id.clone(), secret })
}

fn place<'a>(id: &'a str, purpose: &'a str, day: &'a str) -> Place<'a> {
    Place { table: "data_keys", column: purpose, id: day, role: 0, time: 0, key_id: id }
}
