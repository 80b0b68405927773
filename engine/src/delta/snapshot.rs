//! Versions of tables in memory. A statement always sees the newest version that was committed before it asked: one
//! request finds out whether there is a newer one, and statements that ask at the same time share it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, Weak};

use deltalake_core::kernel::{EagerSnapshot, Metadata, Protocol, Snapshot};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, commit_uri_from_version, default_logstore};
use deltalake_core::table::state::DeltaTableState;
use lakegate_engine_api::EngineError;
use moka::future::Cache;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStoreExt};
use roaring::RoaringTreemap;
use tokio::sync::{Mutex, OnceCell, OwnedRwLockReadGuard, RwLock};

use super::deletion_vector::DeletionVector;
use super::features::check_readable;
use super::files::FileList;
use super::schema::TableColumns;
use crate::cache::DecodedCache;
use crate::erase::request_of;
use crate::error;
use crate::options::EngineOptions;
use crate::store::{CommitLogStore, Location, Stores};
use crate::write::WriteQueue;

/// Deletion vectors kept in memory, by the bytes of their bitmaps.
const DELETION_VECTORS_BYTES_MAX: u64 = 128 << 20;

/// What was made of a table's newest version, and is of no use once there is another.
pub trait Dated: std::fmt::Debug + Send + Sync {
    /// There is another; called while the table's newest version is locked.
    fn let_go(&self);
}

/// All tables that an engine has opened lately.
#[derive(Debug)]
pub struct Tables {
    stores: Arc<Stores>,
    options: EngineOptions,
    tables: Cache<String, Arc<Table>>,
    pinned: Cache<(String, u64), Arc<TableVersion>>,
    vectors: Cache<(String, DeletionVector), Arc<RoaringTreemap>>,
    decoded: Arc<DecodedCache>,
}

impl Tables {
    #[must_use]
    pub fn new(stores: Arc<Stores>, options: EngineOptions, decoded: Arc<DecodedCache>) -> Self {
        let tables = Cache::builder().max_capacity(options.snapshot_cache_tables).build();
        let pinned = Cache::builder().max_capacity(options.snapshot_cache_tables / 4 + 1).build();
        let vectors = Cache::builder()
            .max_capacity(DELETION_VECTORS_BYTES_MAX)
            .weigher(|_: &(String, DeletionVector), rows: &Arc<RoaringTreemap>| {
                u32::try_from(rows.serialized_size() + 256).unwrap_or(u32::MAX)
            })
            .build();
        Self { stores, options, tables, pinned, vectors, decoded }
    }

    /// The table at a root URL; nothing is read.
    ///
    /// # Errors
    /// As [`Stores::open`].
    pub async fn table(&self, location: &str) -> Result<Arc<Table>, EngineError> {
        let location = self.stores.open(location)?;
        let key = location.url.to_string();
        if let Some(table) = self.tables.get(&key).await {
            return Ok(table);
        }
        let table = Arc::new(Table::new(location, &self.options, Arc::clone(&self.decoded)));
        // Two statements must not hold two tables for one location: its writes are ordered by the table.
        Ok(self.tables.get_with(key, std::future::ready(table)).await)
    }

    /// Waits until no commit of several tables is under way in any of these; none begins before the answer is dropped. Whoever
    /// holds one must not ask for another.
    ///
    /// # Errors
    /// As [`Stores::open`].
    pub async fn settled(&self, locations: &mut [&str]) -> Result<Vec<OwnedRwLockReadGuard<()>>, EngineError> {
        locations.sort_unstable();
        let mut guards = Vec::with_capacity(locations.len());
        for (at, location) in locations.iter().enumerate() {
            if at == 0 || locations[at - 1] != *location {
                let table = self.table(location).await?;
                guards.push(Arc::clone(&table.visible).read_owned().await);
            }
        }
        Ok(guards)
    }

    /// One version of the table, the newest where none is asked for.
    ///
    /// # Errors
    /// `NotADeltaTable`, `Unsupported`, `Corrupted`, `Storage`.
    pub async fn version(&self, location: &str, version: Option<u64>) -> Result<Arc<TableVersion>, EngineError> {
        let table = self.table(location).await?;
        let Some(version) = version else { return table.newest().await };
        if let Some(loaded) = table.loaded(version).await {
            return Ok(loaded);
        }
        let key = (table.location.url.to_string(), version);
        let load = async { Table::load(&table, Some(version)).await };
        self.pinned.try_get_with(key, load).await.map_err(|error: Arc<EngineError>| error.as_ref().clone())
    }

    /// The newest version, of which this process takes nothing back.
    ///
    /// # Errors
    /// As [`Tables::version`].
    pub async fn settled_version(&self, location: &str) -> Result<Arc<TableVersion>, EngineError> {
        let table = self.table(location).await?;
        let _settled = table.visible.read().await;
        table.newest().await
    }

    /// Rows that a deletion vector deletes.
    ///
    /// # Errors
    /// As [`DeletionVector::load`].
    pub async fn deleted_rows(
        &self,
        location: &Location,
        vector: &DeletionVector,
        table: &str,
    ) -> Result<Arc<RoaringTreemap>, EngineError> {
        let key = (location.url.to_string(), vector.clone());
        let load = async { vector.load(location.store.as_ref(), table).await.map(Arc::new) };
        self.vectors.try_get_with(key, load).await.map_err(|error: Arc<EngineError>| error.as_ref().clone())
    }

    /// Whether these are the newest versions of tables now.
    ///
    /// # Errors
    /// As [`Tables::version`].
    pub async fn are_newest(&self, versions: &[(String, u64)]) -> Result<bool, EngineError> {
        let mut locations: Vec<&str> = versions.iter().map(|(location, _)| location.as_str()).collect();
        let _settled = self.settled(&mut locations).await?;
        for (location, version) in versions {
            if self.table(location).await?.newest().await?.version() != *version {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Has what was made of these versions of tables let go once one of them is no longer the newest.
    ///
    /// # Errors
    /// As [`Tables::table`].
    pub async fn date(&self, versions: &[(String, u64)], made: &Arc<impl Dated + 'static>) -> Result<(), EngineError> {
        for (location, version) in versions {
            let table = self.table(location).await?;
            let newest = table.newest.lock().await;
            let made = Arc::clone(made) as Arc<dyn Dated>;
            table.dated.lock().unwrap_or_else(PoisonError::into_inner).add(&made);
            if newest.as_ref().is_none_or(|newest| newest.version() != *version) {
                made.let_go();
            }
        }
        Ok(())
    }

    /// Looks for newer versions of tables of which something was made that is of no more use then.
    pub async fn look_at_dated(&self) {
        let all: Vec<Arc<Table>> = self.tables.iter().map(|(_, table)| table).collect();
        for table in all {
            if table.has_dated()
                && let Err(error) = table.newest().await
            {
                tracing::debug!(%error, "a table could not be looked at");
            }
        }
    }

    /// Lets go of old versions that are only kept for the next who asks.
    pub async fn release(&self, location: &str) {
        if let Ok(location) = self.stores.open(location) {
            let root = location.url.to_string();
            if let Some(table) = self.tables.get(&root).await {
                table.let_go();
            }
            let kept: Vec<_> = self.pinned.iter().filter(|(key, _)| key.0 == root).map(|(key, _)| key.as_ref().clone()).collect();
            for key in kept {
                self.pinned.invalidate(&key).await;
            }
            self.pinned.run_pending_tasks().await;
        }
    }

    /// Forgets what is known of the table: its folder was deleted, or its files are not what its log says.
    pub async fn forget(&self, location: &str) {
        self.release(location).await;
        if let Ok(location) = self.stores.open(location) {
            self.tables.invalidate(location.url.as_str()).await;
        }
    }

    #[must_use]
    pub fn decoded(&self) -> &Arc<DecodedCache> {
        &self.decoded
    }

    #[must_use]
    pub fn stores(&self) -> &Arc<Stores> {
        &self.stores
    }
}

/// A Delta table by its place.
#[derive(Debug)]
pub struct Table {
    pub location: Location,
    pub log_store: LogStoreRef,
    /// This process's writes to the table.
    pub writes: WriteQueue,
    /// Read-locked while a statement finds out its version; write-locked while a commit of several tables is under way, which is
    /// seen in all of them or in none.
    pub visible: Arc<RwLock<()>>,
    newest: Mutex<Option<Arc<TableVersion>>>,
    /// Those that somebody may hold.
    handed_out: std::sync::Mutex<Vec<Weak<TableVersion>>>,
    dated: std::sync::Mutex<DatedList>,
    pub decoded: Arc<DecodedCache>,
    asked: AtomicU64,
    answered: AtomicU64,
    /// Set once the store is known to refuse to create an object twice.
    pub store_checked: OnceCell<()>,
}

impl Table {
    fn new(location: Location, options: &EngineOptions, decoded: Arc<DecodedCache>) -> Self {
        let prefixed = Arc::new(PrefixStore::new(Arc::clone(&location.store), location.prefix.clone()));
        let inner = default_logstore(prefixed, Arc::clone(&location.store), &location.url, &StorageConfig::default());
        let log_store = Arc::new(CommitLogStore::new(inner, &location, options.request_timeout));
        Self {
            location,
            log_store,
            writes: WriteQueue::default(),
            visible: Arc::default(),
            newest: Mutex::new(None),
            handed_out: std::sync::Mutex::default(),
            dated: std::sync::Mutex::default(),
            decoded,
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            store_checked: OnceCell::new(),
        }
    }

    /// The newest version, at least as new as the moment of the call.
    ///
    /// # Errors
    /// As [`Tables::version`].
    pub async fn newest(self: &Arc<Self>) -> Result<Arc<TableVersion>, EngineError> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut newest = self.newest.lock().await;
        if self.answered.load(Ordering::SeqCst) >= ticket
            && let Some(version) = newest.as_ref()
        {
            return Ok(Arc::clone(version));
        }
        // Whoever asked up to here is answered by what is found from here on.
        let answers = self.asked.load(Ordering::SeqCst);
        let found = match newest.as_ref() {
            Some(known) if !self.exists(known.version() + 1).await? => Arc::clone(known),
            Some(known) => {
                let found = self.updated(known).await?;
                self.let_go();
                self.forget_removed(&found);
                found
            }
            None => Self::load(self, None).await?,
        };
        *newest = Some(Arc::clone(&found));
        self.answered.fetch_max(answers, Ordering::SeqCst);
        Ok(found)
    }

    /// The newest version known, if it is this one.
    async fn loaded(&self, version: u64) -> Option<Arc<TableVersion>> {
        self.newest.lock().await.clone().filter(|newest| newest.version() == version)
    }

    /// The newest version known, as of whenever it was last asked for.
    pub async fn known(&self) -> Option<Arc<TableVersion>> {
        self.newest.lock().await.clone()
    }

    /// Another writer may have deleted files that this version does not name.
    fn forget_removed(&self, version: &TableVersion) {
        let (store, folder) = (self.location.object_store_url.as_str(), &self.location.prefix);
        if self.decoded.holds(store, folder)
            && let Ok(files) = version.files()
        {
            self.decoded.keep_only(store, folder, files.files.iter().map(|file| &file.path));
        }
    }

    fn has_dated(&self) -> bool {
        let mut dated = self.dated.lock().unwrap_or_else(PoisonError::into_inner);
        dated.0.retain(|made| made.strong_count() > 0);
        !dated.0.is_empty()
    }

    /// What was made of the version that was the newest is of no more use.
    fn let_go(&self) {
        // Not under the lock: what goes may drop much.
        let dated = std::mem::take(&mut *self.dated.lock().unwrap_or_else(PoisonError::into_inner));
        dated.0.iter().filter_map(Weak::upgrade).for_each(|made| made.let_go());
    }

    /// Versions that a statement of this process holds.
    pub fn live_versions(&self) -> Vec<u64> {
        let mut handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        handed_out.retain(|version| version.strong_count() > 0);
        handed_out.iter().filter_map(Weak::upgrade).map(|version| version.version()).collect()
    }

    fn note(&self, version: TableVersion) -> Arc<TableVersion> {
        let version = Arc::new(version);
        let mut handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        handed_out.retain(|version| version.strong_count() > 0);
        handed_out.push(Arc::downgrade(&version));
        version
    }

    /// Takes over what a commit of this process made, so that nobody has to read it back.
    pub async fn committed(self: &Arc<Self>, snapshot: EagerSnapshot) -> Result<(), EngineError> {
        let version = TableVersion::new(self, snapshot)?;
        let mut newest = self.newest.lock().await;
        if newest.as_ref().is_none_or(|known| known.version() < version.version()) {
            *newest = Some(self.note(version));
            self.let_go();
        }
        Ok(())
    }

    async fn exists(&self, version: u64) -> Result<bool, EngineError> {
        let name = commit_uri_from_version(Some(version));
        match self.log_store.object_store(None).head(&name).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error::from_object_store(&error, None)),
        }
    }

    async fn updated(self: &Arc<Self>, known: &TableVersion) -> Result<Arc<TableVersion>, EngineError> {
        let mut state = DeltaTableState::new(known.snapshot.clone());
        state.update(&self.log_store, None).await.map_err(|error| error::from_delta(&error, ""))?;
        Ok(self.note(TableVersion::new(self, state.snapshot().clone())?))
    }

    /// What the newest version asks of readers and writers, of tables that cannot be read too.
    ///
    /// # Errors
    /// `NotADeltaTable`, `Storage`.
    pub async fn protocol(&self) -> Result<Protocol, EngineError> {
        let lazy = Snapshot::try_new(&self.log_store, None).await.map_err(|error| error::from_delta(&error, ""))?;
        Ok(lazy.protocol().clone())
    }

    /// A version's definition.
    ///
    /// # Errors
    /// As [`Table::protocol`].
    pub async fn metadata(&self, version: u64) -> Result<Metadata, EngineError> {
        let lazy = Snapshot::try_new(&self.log_store, Some(version)).await.map_err(|error| error::from_delta(&error, ""))?;
        Ok(lazy.metadata().clone())
    }

    async fn load(self: &Arc<Self>, version: Option<u64>) -> Result<Arc<TableVersion>, EngineError> {
        // Protocol first: replaying the files of a table that cannot be read would fail with less to say.
        let lazy = Snapshot::try_new(&self.log_store, version).await.map_err(|error| error::from_delta(&error, ""))?;
        check_readable(lazy.protocol())?;
        let found = lazy.version();
        if version.is_some_and(|version| version != found) {
            return Err(error::data(lakegate_engine_api::DataError::InvalidParameterValue, "the table does not have this version"));
        }
        let snapshot = EagerSnapshot::try_new(&self.log_store, Some(found)).await.map_err(|error| error::from_delta(&error, ""))?;
        if version.is_some()
            && let Some(erased) = snapshot.log_data().iter().find_map(|file| request_of(&file.path()).map(|request| erased(found, request)))
        {
            return Err(erased);
        }
        Ok(self.note(TableVersion::new(self, snapshot)?))
    }
}

/// What was made of a table's newest version.
#[derive(Debug, Default)]
struct DatedList(Vec<Weak<dyn Dated>>);

impl DatedList {
    fn add(&mut self, made: &Arc<dyn Dated>) {
        if self.0.len() == self.0.capacity() {
            self.0.retain(|made| made.strong_count() > 0);
        }
        self.0.push(Arc::downgrade(made));
    }
}

/// One version of a table, immutable.
#[derive(Debug)]
pub struct TableVersion {
    pub location: Location,
    pub snapshot: EagerSnapshot,
    pub columns: TableColumns,
    /// The version that others see, where changes are on top of it.
    base: Option<u64>,
    /// Made at first use: a version that is only written on top of needs none.
    files: OnceLock<Arc<FileList>>,
}

impl TableVersion {
    fn new(table: &Table, snapshot: EagerSnapshot) -> Result<Self, EngineError> {
        check_readable(snapshot.protocol())?;
        let columns = TableColumns::of(&snapshot)?;
        Ok(Self { location: table.location.clone(), snapshot, columns, base: None, files: OnceLock::new() })
    }

    /// A transaction's own changes on top of version `base`.
    pub(super) fn staged(table: &Table, snapshot: EagerSnapshot, base: u64) -> Result<Self, EngineError> {
        Ok(Self { base: Some(base), ..Self::new(table, snapshot)? })
    }

    /// # Errors
    /// As [`FileList::of`].
    pub fn files(&self) -> Result<&Arc<FileList>, EngineError> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let files = FileList::of(&self.snapshot, &self.columns, &self.location)?;
        Ok(self.files.get_or_init(|| Arc::new(files)))
    }

    /// In the log that others see.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.base.unwrap_or_else(|| self.snapshot.version())
    }
}

/// Why a version, or its changes, cannot be read: its files went with a data subject.
#[must_use]
pub fn erased(version: u64, request: &str) -> EngineError {
    EngineError::Sql {
        mistake: lakegate_engine_api::SqlMistake::UndefinedFile,
        message: format!("version {version} was purged by the erasure {request}"),
        hint: Some("Versions from before an erasure of data subjects are gone; system.privacy.requests tells of it.".to_owned()),
    }
}
