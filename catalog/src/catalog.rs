//! The catalog as a whole: opening it, its first start, its snapshot, and the way every change takes.

use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use crate::auth::AuthState;
use crate::auth::password::PasswordCost;
use crate::authorize::{NormalUrl, normalise_url};
use crate::ddl::Edit;
use crate::error::CatalogError;
use crate::kek::Kek;
use crate::keyring::Keyring;
use crate::model::Oid;
use crate::snapshot::Snapshot;
use crate::statement_log::LogWriter;
use crate::store::{self, Store, number};

#[derive(Clone)]
pub struct CatalogOptions {
    /// `sqlite:///absolute/path/catalog.db` or `postgres://…`.
    pub url: String,
    pub kek: Kek,
    /// Names the gateway among those that share a PostgreSQL catalog, the same at each start: statements that its earlier
    /// process left running become LOST. Not needed with SQLite, which has one process.
    pub instance_id: Option<String>,
    /// URLs (or absolute paths, links resolved) that no external location may reach: the data directory, the warehouse root.
    pub protected_roots: Vec<String>,
    pub password_cost: PasswordCost,
    /// Nobody else changes the catalog while this handle is open, as in a data directory that is locked: then what this process
    /// knows is what is stored, and asking for it costs nothing.
    pub sole_process: bool,
}

/// The URL can hold a password.
impl std::fmt::Debug for CatalogOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogOptions").field("instance_id", &self.instance_id).finish_non_exhaustive()
    }
}

impl CatalogOptions {
    #[must_use]
    pub fn new(url: impl Into<String>, kek: Kek) -> CatalogOptions {
        CatalogOptions {
            url: url.into(),
            kek,
            instance_id: None,
            protected_roots: Vec::new(),
            password_cost: PasswordCost::default(),
            sole_process: false,
        }
    }
}

/// A handle; clones are the same catalog.
#[derive(Debug, Clone)]
pub struct Catalog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    keyring: Keyring,
    snapshot: RwLock<Arc<Snapshot>>,
    auth: AuthState,
    log: LogWriter,
    protected_roots: Arc<[NormalUrl]>,
    sole_process: bool,
}

impl Catalog {
    /// Connects, migrates, checks the key and marks statements of a dead process as LOST.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::SchemaTooNew`], [`CatalogError::WrongKek`],
    /// [`CatalogError::SqliteTooOld`], [`CatalogError::Configuration`].
    pub async fn open(options: CatalogOptions) -> Result<Catalog, CatalogError> {
        let roots: Result<Vec<NormalUrl>, CatalogError> = options.protected_roots.iter().map(|root| normalise_url(root)).collect();
        let protected_roots: Arc<[NormalUrl]> = roots?.into();
        let store = Store::open(&options.url).await?;
        let keyring = Keyring::open(store.clone(), options.kek).await?;
        let log = LogWriter::start(store.clone(), options.instance_id, Uuid::new_v4()).await?;
        let mut read = store.begin_read().await?;
        let snapshot = store::load::snapshot(&mut read, protected_roots.clone()).await?;
        drop(read);
        let auth = AuthState::new(options.password_cost)?;
        let (snapshot, sole_process) = (RwLock::new(Arc::new(snapshot)), options.sole_process);
        Ok(Catalog(Arc::new(Inner { store, keyring, snapshot, auth, log, protected_roots, sole_process })))
    }

    /// The newest picture this process has. Costs a lock and a pointer.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The picture as stored now: reads the version (one row), and everything else only where it moved.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, CatalogError> {
        let known = self.snapshot();
        if self.0.sole_process {
            return Ok(known);
        }
        if self.0.store.version().await? == known.version() {
            return Ok(known);
        }
        let mut read = self.0.store.begin_read().await?;
        let snapshot = store::load::snapshot(&mut read, self.0.protected_roots.clone()).await?;
        Ok(self.publish(snapshot))
    }

    /// An object identifier for something that is registered later, e.g. a table whose files are made first. Never given twice.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn reserve_oid(&self) -> Result<Oid, CatalogError> {
        self.change(Edit::new_oid).await
    }

    /// Wraps all data keys under a new key-encryption key, in one transaction; the caller replaces the key file. Gives the
    /// number of keys.
    ///
    /// # Errors
    /// [`CatalogError::WrongKek`], [`CatalogError::Unavailable`].
    pub async fn rotate_kek(&self, new: Kek) -> Result<u64, CatalogError> {
        self.0.keyring.rotate(new).await
    }

    /// Writes what is queued, then closes the connections. Other handles of this catalog fail afterwards.
    pub async fn close(&self) {
        self.0.log.close().await;
        self.0.store.close().await;
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    pub(crate) fn auth_state(&self) -> &AuthState {
        &self.0.auth
    }

    pub(crate) fn log(&self) -> &LogWriter {
        &self.0.log
    }

    /// Runs one change to its end, even where the caller goes away in the middle: a transaction is never left half way, and the
    /// snapshot always follows what was stored.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut Edit) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let catalog = self.clone();
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { catalog.change_now(edit).await });
        // A JoinSet stops its tasks when dropped; this one must not be stopped.
        let mut task = Undisturbed(task);
        match task.0.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(CatalogError::internal(error)),
            None => Err(CatalogError::internal("a change was lost")),
        }
    }

    async fn change_now<T>(&self, edit: impl FnOnce(&mut Edit) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        let mut transaction = self.0.store.begin_write().await?;
        // Also the lock that puts the changes of all gateways in a row.
        let row: (i64, i64) = sqlx::query_as("UPDATE catalog_state SET version = version + 1 WHERE id = 1 RETURNING version, next_oid")
            .fetch_one(&mut *transaction)
            .await?;
        let (version, next_oid): (u64, Oid) = (number(row.0)?, number(row.1)?);
        let known = self.snapshot();
        let mut base = if known.version() + 1 == version {
            Snapshot::clone(&known)
        } else {
            store::load::snapshot(&mut transaction, self.0.protected_roots.clone()).await?
        };
        base.version = version;
        let mut change = Edit::new(base, next_oid);
        let answer = edit(&mut change)?;
        let Edit { snapshot, writes, next_oid: after } = change;
        if writes.is_empty() && after == next_oid {
            transaction.rollback().await?;
            return Ok(answer);
        }
        for write in &writes {
            store::apply(&mut transaction, write).await?;
        }
        if after != next_oid {
            sqlx::query("UPDATE catalog_state SET next_oid = $1 WHERE id = 1").bind(i64::from(after)).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        self.publish(snapshot);
        Ok(answer)
    }

    /// The newer of the two stays.
    fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut current = self.0.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        if snapshot.version() > current.version() {
            *current = Arc::new(snapshot);
        }
        current.clone()
    }
}

/// Lets the tasks run on when dropped.
struct Undisturbed<T: 'static>(tokio::task::JoinSet<T>);

impl<T> Drop for Undisturbed<T> {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}
