//! The log store under delta-rs: each commit is one conditional PUT whose outcome is known before delta-rs hears of it.
//!
//! A lost reply, an error after the object was stored, or a retry inside a client must neither make a second commit nor
//! look like another writer's. The bytes of a commit are unique (commitInfo and a `txn` action carry the statement's
//! id), so the object found under the version's name is ours exactly when its bytes are ours.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deltalake_core::DeltaResult;
use deltalake_core::kernel::Version;
use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::logstore::{CommitOrBytes, LogStore, LogStoreConfig, LogStoreRef, commit_uri_from_version};
use lakegate_engine_api::EngineError;
use object_store::client::HttpErrorKind;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use uuid::Uuid;

use super::Location;

/// PUTs of one version before the outcome is given up as unknown.
const ATTEMPTS_MAX: u32 = 4;

/// delta-rs' default log store with exact commits.
#[derive(Debug)]
pub struct CommitLogStore {
    inner: LogStoreRef,
    /// At the table's root, each request sent once.
    once: PrefixStore<Arc<dyn ObjectStore>>,
    /// At the table's root, with retries.
    store: PrefixStore<Arc<dyn ObjectStore>>,
    /// Bound of one look at the object, retries included.
    look_timeout: Duration,
}

impl CommitLogStore {
    #[must_use]
    pub fn new(inner: LogStoreRef, location: &Location, request_timeout: Duration) -> Self {
        Self {
            inner,
            once: PrefixStore::new(Arc::clone(&location.once), location.prefix.clone()),
            store: PrefixStore::new(Arc::clone(&location.store), location.prefix.clone()),
            look_timeout: request_timeout * 2,
        }
    }

    async fn commit(&self, version: Version, bytes: Bytes) -> Result<(), TransactionError> {
        let path = commit_uri_from_version(Some(version));
        // Set once a PUT may have been stored although its reply was an error: it may yet appear.
        let mut in_doubt = false;
        for attempt in 1..=ATTEMPTS_MAX {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            // The client has its own time limit; this one ends what hangs all the same.
            let put = tokio::time::timeout(self.look_timeout, self.once.put_opts(&path, bytes.clone().into(), options)).await;
            let failure = match put {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            if let Some(error) = &failure {
                tracing::info!(version, attempt, %error, "commit not acknowledged, looking for it");
            }
            let stored_nothing = failure.as_ref().is_some_and(certainly_not_stored);
            in_doubt |= !stored_nothing && !matches!(failure, Some(Error::AlreadyExists { .. } | Error::Precondition { .. }));
            match self.look(&path, &bytes).await {
                Found::Ours => return Ok(()),
                Found::Other => return Err(TransactionError::VersionAlreadyExists(version)),
                Found::Nothing => {}
                Found::CannotTell => {
                    return Err(if in_doubt || !stored_nothing { unknown() } else { refused(failure) });
                }
            }
            if let Some(error) = failure
                && is_refusal(&error)
            {
                return Err(if in_doubt { unknown() } else { TransactionError::ObjectStore { source: error } });
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
        Err(if in_doubt { unknown() } else { refused(None) })
    }

    async fn look(&self, path: &Path, bytes: &Bytes) -> Found {
        let get = async {
            match self.store.get(path).await {
                Ok(result) => result.bytes().await.map(Some),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        match tokio::time::timeout(self.look_timeout, get).await {
            Ok(Ok(Some(found))) if found == *bytes => Found::Ours,
            Ok(Ok(Some(_))) => Found::Other,
            Ok(Ok(None)) => Found::Nothing,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot look for a commit");
                Found::CannotTell
            }
            Err(_) => Found::CannotTell,
        }
    }
}

enum Found {
    Ours,
    Other,
    Nothing,
    CannotTell,
}

/// Names are filled in where the statement is known.
fn unknown() -> TransactionError {
    let source = EngineError::CommitUnknown { table: String::new(), commit_id: String::new() };
    TransactionError::LogStoreError { msg: source.to_string(), source: Box::new(source) }
}

fn refused(error: Option<Error>) -> TransactionError {
    let source = error.unwrap_or_else(|| Error::Generic { store: "commit", source: "not stored".into() });
    TransactionError::ObjectStore { source }
}

/// The store said no, and will say it again.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
    ) || crate::error::is_no_space(error)
}

/// The request did not reach the store, or the store answered that it refuses it.
fn certainly_not_stored(error: &Error) -> bool {
    if is_refusal(error) {
        return true;
    }
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = next {
        if let Some(http) = inner.downcast_ref::<object_store::client::HttpError>() {
            return http.kind() == HttpErrorKind::Connect;
        }
        next = inner.source();
    }
    false
}

#[async_trait]
impl LogStore for CommitLogStore {
    /// delta-rs hands the bytes of a commit over only to log stores of this name.
    fn name(&self) -> String {
        self.inner.name()
    }

    async fn refresh(&self) -> DeltaResult<()> {
        self.inner.refresh().await
    }

    async fn read_commit_entry(&self, version: Version) -> DeltaResult<Option<Bytes>> {
        self.inner.read_commit_entry(version).await
    }

    async fn write_commit_entry(&self, version: Version, commit: CommitOrBytes, operation_id: Uuid) -> Result<(), TransactionError> {
        match commit {
            CommitOrBytes::LogBytes(bytes) => self.commit(version, bytes).await,
            CommitOrBytes::TmpCommit(_) => self.inner.write_commit_entry(version, commit, operation_id).await,
        }
    }

    async fn abort_commit_entry(&self, version: Version, commit: CommitOrBytes, operation_id: Uuid) -> Result<(), TransactionError> {
        self.inner.abort_commit_entry(version, commit, operation_id).await
    }

    async fn get_latest_version(&self, start_version: Version) -> DeltaResult<Version> {
        self.inner.get_latest_version(start_version).await
    }

    fn object_store(&self, operation_id: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.object_store(operation_id)
    }

    fn root_object_store(&self, operation_id: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.root_object_store(operation_id)
    }

    fn config(&self) -> &LogStoreConfig {
        self.inner.config()
    }
}

#[cfg(test)]
mod tests;
