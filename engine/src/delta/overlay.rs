//! A version of a table with changes on top that are in no log yet: delta-rs replays them from a commit that lies in memory, so a
//! statement of a transaction sees its own changes by the same code that sees everybody's.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::Action;
use deltalake_core::logstore::{StorageConfig, commit_uri_from_version, default_logstore};
use deltalake_core::table::state::DeltaTableState;
use futures::StreamExt;
use futures::stream::BoxStream;
use lakegate_engine_api::EngineError;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::snapshot::{Table, TableVersion};
use crate::error;

/// `base` with `actions` applied; it calls itself by the base's version.
///
/// # Errors
/// `Corrupted` where delta-rs cannot replay the actions.
pub async fn with_changes(table: &Table, base: &TableVersion, actions: &[Action]) -> std::result::Result<TableVersion, EngineError> {
    let version = base.snapshot.version() + 1;
    let store = Arc::new(staged(table, version, actions).await?) as Arc<dyn ObjectStore>;
    let prefixed = Arc::new(PrefixStore::new(Arc::clone(&store), table.location.prefix.clone()));
    let log_store = default_logstore(prefixed, store, &table.location.url, &StorageConfig::default());
    let mut state = DeltaTableState::new(base.snapshot.clone());
    state.update(log_store.as_ref(), Some(version)).await.map_err(|error| error::from_delta(&error, ""))?;
    let snapshot = state.snapshot().clone();
    if snapshot.version() != version {
        return Err(error::internal("staged changes were not replayed"));
    }
    TableVersion::staged(table, snapshot, base.version())
}

async fn staged(table: &Table, version: u64, actions: &[Action]) -> std::result::Result<StagedCommit, EngineError> {
    let mut lines = Vec::with_capacity(actions.len());
    for action in actions {
        lines.push(serde_json::to_string(action).map_err(|error| error::internal(format!("an action cannot be written: {error}")))?);
    }
    let name = commit_uri_from_version(Some(version));
    let path = name.parts().fold(table.location.prefix.clone(), |path, part| path.join(part));
    let commit = InMemory::new();
    let stored = commit.put(&path, PutPayload::from(lines.join("\n"))).await;
    stored.map_err(|error| error::from_delta(&DeltaTableError::from(error), ""))?;
    Ok(StagedCommit { commit, path, inner: Arc::clone(&table.location.store) })
}

/// A store whose log, to those that list it, ends with one commit that lies in memory; the versions before are known to them. It takes no
/// writes.
#[derive(Debug)]
struct StagedCommit {
    commit: InMemory,
    path: Path,
    inner: Arc<dyn ObjectStore>,
}

impl fmt::Display for StagedCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StagedCommit")
    }
}

fn read_only(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "StagedCommit".to_owned() }
}

#[async_trait]
impl ObjectStore for StagedCommit {
    async fn put_opts(&self, _location: &Path, _payload: PutPayload, _options: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(&self, _location: &Path, _options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put_multipart"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if *location == self.path { self.commit.get_opts(location, options).await } else { self.inner.get_opts(location, options).await }
    }

    fn delete_stream(&self, _locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        futures::stream::once(std::future::ready(Err(read_only("delete")))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.commit.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.commit.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.commit.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}
