//! Whether a store can keep a Delta log: it must refuse to create an object twice.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use lakegate_engine_api::EngineError;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode};
use url::Url;
use uuid::Uuid;

use super::Location;
use crate::error;

/// Creates a scratch object twice under the folder and deletes it; once for all folders under one that has passed.
///
/// # Errors
/// `Unsupported` where the second creation is let through; `Storage` where the folder cannot be written.
pub async fn check_commits(location: &Location) -> Result<(), EngineError> {
    if location.checked.covers(&location.url) {
        return Ok(());
    }
    let path = location.prefix.clone().join(format!("_lakegate_check_{}", Uuid::new_v4().simple()));
    let outcome = create_twice(location, &path).await;
    let _ = location.store.delete(&path).await;
    if outcome.is_ok() {
        location.checked.note(&location.url);
    }
    outcome
}

/// The folders that have passed.
#[derive(Debug, Default)]
pub struct Checked(Mutex<HashSet<String>>);

impl Checked {
    fn covers(&self, folder: &Url) -> bool {
        let checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let url = folder.as_str();
        url.match_indices('/').any(|(at, _)| url.get(..=at).is_some_and(|above| checked.contains(above)))
    }

    fn note(&self, folder: &Url) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_string());
    }
}

async fn create_twice(location: &Location, path: &Path) -> Result<(), EngineError> {
    match location.store.put_opts(path, "1".into(), PutMode::Create.into()).await {
        Ok(_) => {}
        Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => return Err(refused()),
        // Nobody else knows the name: a retry inside the client met its own object.
        Err(Error::AlreadyExists { .. }) => return Ok(()),
        Err(failure) => return Err(error::from_object_store(&failure, None)),
    }
    match location.store.put_opts(path, "2".into(), PutMode::Create.into()).await {
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
        Ok(_) | Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => Err(refused()),
        Err(failure) => Err(error::from_object_store(&failure, None)),
    }
}

fn refused() -> EngineError {
    error::unsupported_hint(
        "writing tables to an object store that ignores If-None-Match",
        "Concurrent commits would overwrite each other there. Use a store with conditional writes.",
    )
}
