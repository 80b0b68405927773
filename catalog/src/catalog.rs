//! The catalog as a whole: opening it, its first start, its snapshot, and the way every change takes.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{NaiveDate, Utc};

use uuid::Uuid;

use crate::auth::AuthState;
use crate::auth::password::PasswordCost;
use crate::authorize::{NormalUrl, Principal, normalise_url};
use crate::blind_index::BlindIndex;
use crate::ddl::Edit;
use crate::error::CatalogError;
use crate::kek::Kek;
use crate::kek_file::KekFile;
use crate::keyring::{DataKey, Keyring};
use crate::log_proof::head::Signer;
use crate::model::Oid;
use crate::snapshot::Snapshot;
use crate::staging::Stage;
use crate::statement_log::LogWriter;
use crate::store::{self, Store, number};

#[derive(Clone)]
pub struct CatalogOptions {
    /// `sqlite:///absolute/path/catalog.db` or `postgres://…`.
    pub url: String,
    pub kek: Kek,
    /// Where it is kept, if that is a file: a rotation puts the new one there.
    pub kek_file: Option<KekFile>,
    /// Names the gateway among those that share a PostgreSQL catalog, the same at each start: statements that its earlier
    /// process left running become LOST. Not needed with SQLite, which has one process.
    pub instance_id: Option<String>,
    /// URLs (or absolute paths, links resolved) that no external location may reach: the data directory, the warehouse root.
    pub protected_roots: Vec<String>,
    pub password_cost: PasswordCost,
    /// Nobody else changes the catalog while this handle is open, as in a data directory that is locked: then what this process
    /// knows is what is stored, and asking for it costs nothing.
    pub sole_process: bool,
    /// Opened beside a process that may work on it, for a moment: nothing of its is taken for lost.
    pub beside: bool,
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
            kek_file: None,
            instance_id: None,
            protected_roots: Vec::new(),
            password_cost: PasswordCost::default(),
            sole_process: false,
            beside: false,
        }
    }
}

/// A handle; clones are the same catalog. One that [`Catalog::begin_changes`] gave is a transaction's: its changes are staged, and it alone
/// shows them.
#[derive(Debug, Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
    stage: Option<Arc<Stage>>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    keyring: Keyring,
    snapshot: RwLock<Arc<Snapshot>>,
    auth: AuthState,
    log: LogWriter,
    signer: Arc<Signer>,
    fingerprints: Arc<DataKey>,
    blind_index: BlindIndex,
    protected_roots: Arc<[NormalUrl]>,
    sole_process: bool,
    process: Uuid,
    kek_file: Option<KekFile>,
    rotation: tokio::sync::Mutex<()>,
}

/// Whose entries, or of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysOf {
    Role(Oid),
    Day(NaiveDate),
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
        let keyring = Keyring::open(store.clone(), options.kek, options.kek_file.clone()).await?;
        let process = Uuid::new_v4();
        let fingerprints = keyring.fingerprints().await?;
        let signer = Arc::new(Signer::new(&*keyring.signing().await?)?);
        let log = LogWriter::start(store.clone(), Arc::clone(&signer), options.instance_id, process, options.beside).await?;
        let mut read = store.begin_read().await?;
        let snapshot = store::load::snapshot(&mut read, protected_roots.clone()).await?;
        drop(read);
        let auth = AuthState::new(options.password_cost)?;
        let inner = Inner {
            store,
            keyring,
            snapshot: RwLock::new(Arc::new(snapshot)),
            auth,
            log,
            signer,
            fingerprints,
            blind_index: BlindIndex::default(),
            protected_roots,
            sole_process: options.sole_process,
            process,
            kek_file: options.kek_file,
            rotation: tokio::sync::Mutex::default(),
        };
        let catalog = Catalog { inner: Arc::new(inner), stage: None };
        catalog.follow_blind_index().await?;
        Ok(catalog)
    }

    /// The newest picture this process has, with what the transaction has staged. Costs a lock and a pointer.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let stored = self.stored();
        match &self.stage {
            Some(stage) => stage.picture(&stored).unwrap_or_else(|_| stage.last_picture(stored)),
            None => stored,
        }
    }

    /// The picture as stored now, with what the transaction has staged: reads the version (one row), and everything else only where it
    /// moved.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`]; [`CatalogError::Conflict`] and [`CatalogError::Duplicate`] where others changed what the
    /// transaction has changed too.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, CatalogError> {
        let stored = self.refresh_stored().await?;
        match &self.stage {
            Some(stage) => stage.picture(&stored),
            None => Ok(stored),
        }
    }

    /// A handle whose changes are staged until [`Catalog::commit_changes`]; dropped before that, they never were.
    #[must_use]
    pub fn begin_changes(&self) -> Catalog {
        Catalog { inner: Arc::clone(&self.inner), stage: Some(Arc::default()) }
    }

    /// How many changes are staged, for [`Catalog::roll_back_changes_to`].
    #[must_use]
    pub fn staged_changes(&self) -> usize {
        self.stage.as_ref().map_or(0, |stage| stage.count())
    }

    /// Drops what was staged after the first `staged` changes.
    pub fn roll_back_changes_to(&self, staged: usize) {
        if let Some(stage) = &self.stage {
            stage.truncate(staged);
        }
    }

    /// Stores what is staged, all of it or nothing.
    ///
    /// # Errors
    /// As [`Catalog::refresh`]: nothing is stored then.
    pub async fn commit_changes(&self) -> Result<(), CatalogError> {
        let Some(stage) = self.stage.clone().filter(|stage| stage.count() > 0) else { return Ok(()) };
        let catalog = self.clone();
        undisturbed(async move { catalog.commit_now(&stage, None).await }).await
    }

    /// The same as the decision of an intent: both are stored, or neither.
    ///
    /// # Errors
    /// As [`Catalog::commit_changes`]; [`CatalogError::Conflict`] where the intent was given up.
    pub async fn commit_intended(&self, intent: Uuid) -> Result<(), CatalogError> {
        let (catalog, stage) = (self.clone(), self.stage.clone().unwrap_or_default());
        undisturbed(async move { catalog.commit_now(&stage, Some(intent)).await }).await
    }

    /// Nobody else changes the catalog while this handle is open.
    #[must_use]
    pub fn is_sole_process(&self) -> bool {
        self.inner.sole_process
    }

    /// Tells this process from all others that use the catalog, earlier ones too.
    pub(crate) fn process(&self) -> Uuid {
        self.inner.process
    }

    fn stored(&self) -> Arc<Snapshot> {
        self.inner.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn refresh_stored(&self) -> Result<Arc<Snapshot>, CatalogError> {
        let known = self.stored();
        if self.inner.sole_process {
            return Ok(known);
        }
        if self.inner.store.version().await? == known.version() {
            return Ok(known);
        }
        let mut read = self.inner.store.begin_read().await?;
        let snapshot = store::load::snapshot(&mut read, self.inner.protected_roots.clone()).await?;
        // Among what another process has done may be the end of some keys.
        self.inner.keyring.forget();
        self.follow_blind_index().await?;
        Ok(self.publish(snapshot))
    }

    /// Destroys the keys of the logs' entries of a role, or of a day that is over: nobody can open those again, whoever has the catalog
    /// and the key-encryption key. Copies of the catalog made before have them still. Gives the number of keys.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`] for all but superusers; [`CatalogError::InvalidParameter`] for today.
    pub async fn destroy_keys(&self, principal: &Principal, what: KeysOf) -> Result<u64, CatalogError> {
        self.check_superuser(principal, "destroy keys")?;
        match what {
            KeysOf::Role(role) => self.inner.keyring.destroy(Some(role), None).await,
            KeysOf::Day(day) if day >= Utc::now().date_naive() => Err(CatalogError::parameter("the day is not over")),
            KeysOf::Day(day) => self.inner.keyring.destroy(None, Some(&day.format("%Y-%m-%d").to_string())).await,
        }
    }

    /// Makes a new key-encryption key, wraps all data keys with it and puts it into the key's file, while the catalog is in use. The new
    /// file lies beside the old one before anything is wrapped: wherever this is cut off, one of the two fits.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::KekFile`] where it is kept elsewhere than in a file, or cannot be written.
    pub async fn rotate_kek_file(&self, principal: &Principal) -> Result<u64, CatalogError> {
        self.check_superuser(principal, "rotate keys")?;
        let elsewhere = || CatalogError::KekFile { message: "the key-encryption key is not kept in a file".to_owned() };
        let file = self.inner.kek_file.as_ref().ok_or_else(elsewhere)?;
        let _turn = self.inner.rotation.lock().await;
        let count = self.rotate_kek(file.create_next().await?).await?;
        file.take_next()?;
        Ok(count)
    }

    fn check_superuser(&self, principal: &Principal, what: &str) -> Result<(), CatalogError> {
        if self.snapshot().is_superuser(principal.current_role) {
            return Ok(());
        }
        Err(CatalogError::forbidden(format!("must be superuser to {what}")))
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
        self.inner.keyring.rotate(new).await
    }

    /// Writes what is queued, then closes the connections. Other handles of this catalog fail afterwards.
    pub async fn close(&self) {
        self.inner.log.close().await;
        self.inner.store.close().await;
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    pub(crate) fn auth_state(&self) -> &AuthState {
        &self.inner.auth
    }

    /// 32 hexadecimal digits, the same for the same text in this catalog alone: an HMAC with a key of its own.
    #[must_use]
    pub fn fingerprint(&self, normalised: &str) -> String {
        crate::log_proof::hex(&self.inner.fingerprints.derive("fingerprint", normalised.as_bytes())[..16])
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.inner.signer
    }

    pub(crate) fn blind_index(&self) -> &BlindIndex {
        &self.inner.blind_index
    }

    pub(crate) fn log(&self) -> &LogWriter {
        &self.inner.log
    }

    /// Runs one change to its end, even where the caller goes away in the middle: a transaction is never left half way, and the
    /// snapshot always follows what was stored.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut Edit) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let catalog = self.clone();
        undisturbed(async move {
            match catalog.stage.clone() {
                Some(stage) => catalog.stage_now(&stage, edit).await,
                None => catalog.change_now(edit).await,
            }
        })
        .await
    }

    async fn change_now<T>(&self, edit: impl FnOnce(&mut Edit) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        let mut transaction = self.inner.store.begin_write().await?;
        // Also the lock that puts the changes of all gateways in a row.
        let row: (i64, i64) = sqlx::query_as("UPDATE catalog_state SET version = version + 1 WHERE id = 1 RETURNING version, next_oid")
            .fetch_one(&mut *transaction)
            .await?;
        let (version, next_oid): (u64, Oid) = (number(row.0)?, number(row.1)?);
        let mut base = Snapshot::clone(&*self.stored_under(&mut transaction, version - 1).await?);
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

    /// A change that is staged: all that is stored of it are the object identifiers that it used up.
    async fn stage_now<T>(&self, stage: &Stage, edit: impl FnOnce(&mut Edit) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        let _turn = stage.turn.lock().await;
        let mut transaction = self.inner.store.begin_write().await?;
        let row: (i64, i64) = sqlx::query_as("UPDATE catalog_state SET version = version WHERE id = 1 RETURNING version, next_oid")
            .fetch_one(&mut *transaction)
            .await?;
        let (version, next_oid): (u64, Oid) = (number(row.0)?, number(row.1)?);
        let stored = self.stored_under(&mut transaction, version).await?;
        let picture = stage.picture(&stored)?;
        let mut change = Edit::new(Snapshot::clone(&picture), next_oid);
        let answer = edit(&mut change)?;
        if change.next_oid == next_oid {
            transaction.rollback().await?;
        } else {
            let after = i64::from(change.next_oid);
            sqlx::query("UPDATE catalog_state SET next_oid = $1 WHERE id = 1").bind(after).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        stage.push(stored, change);
        Ok(answer)
    }

    async fn commit_now(&self, stage: &Stage, intent: Option<Uuid>) -> Result<(), CatalogError> {
        let _turn = stage.turn.lock().await;
        let mut transaction = self.inner.store.begin_write().await?;
        if let Some(intent) = intent {
            crate::intents::decide(&mut transaction, intent, !self.inner.sole_process).await?;
            if stage.count() == 0 && self.inner.sole_process {
                transaction.commit().await?;
                return Ok(());
            }
        }
        let version: i64 = sqlx::query_scalar("UPDATE catalog_state SET version = version + 1 WHERE id = 1 RETURNING version")
            .fetch_one(&mut *transaction)
            .await?;
        let version: u64 = number(version)?;
        let stored = self.stored_under(&mut transaction, version - 1).await?;
        let (writes, mut snapshot) = stage.settled(&stored)?;
        for write in &writes {
            store::apply(&mut transaction, write).await?;
        }
        if intent.is_some() && !self.inner.sole_process {
            snapshot.intended = Arc::new(crate::intents::intended(&mut transaction).await?);
            snapshot.together = Arc::new(crate::intents::groups(&mut transaction).await?);
        }
        transaction.commit().await?;
        snapshot.version = version;
        self.publish(snapshot);
        Ok(())
    }

    /// The stored state of a version, for a transaction that holds it still.
    async fn stored_under(&self, transaction: &mut sqlx::AnyConnection, version: u64) -> Result<Arc<Snapshot>, CatalogError> {
        let known = self.stored();
        if known.version() == version {
            return Ok(known);
        }
        let mut stored = store::load::snapshot(transaction, self.inner.protected_roots.clone()).await?;
        // The row may have been counted up already.
        stored.version = version;
        Ok(Arc::new(stored))
    }

    /// The newer of the two stays.
    fn publish(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut current = self.inner.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        if snapshot.version() > current.version() {
            *current = Arc::new(snapshot);
        }
        current.clone()
    }
}

/// Runs work to its end, even where the caller goes away.
async fn undisturbed<T: Send + 'static>(work: impl Future<Output = Result<T, CatalogError>> + Send + 'static) -> Result<T, CatalogError> {
    let mut task = tokio::task::JoinSet::new();
    task.spawn(work);
    // A JoinSet stops its tasks when dropped; this one must not be stopped.
    let mut task = Undisturbed(task);
    match task.0.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(CatalogError::internal(error)),
        None => Err(CatalogError::internal("a change was lost")),
    }
}

/// Lets the tasks run on when dropped.
struct Undisturbed<T: 'static>(tokio::task::JoinSet<T>);

impl<T> Drop for Undisturbed<T> {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}
