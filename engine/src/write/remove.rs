//! DROP TABLE of a managed table.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::EngineError;
use object_store::{Error, ObjectStore};

use crate::error;
use crate::exec::Shared;
use crate::store::Location;

/// Deletes every object in the table's folder; the log goes first, so that a drop that stops half-way leaves no table.
///
/// # Errors
/// `Storage`.
pub async fn drop_table(shared: &Shared, location: &str) -> Result<(), EngineError> {
    let place = shared.tables.stores().open(location)?;
    if place.prefix.as_ref().is_empty() {
        return Err(error::internal("the root of a store is not a table"));
    }
    shared.tables.forget(location).await;
    delete_under(&place, &place.prefix.clone().join("_delta_log")).await?;
    let deleted = delete_under(&place, &place.prefix).await;
    shared.tables.decoded().forget_folder(place.object_store_url.as_str(), &place.prefix);
    deleted?;
    if place.url.scheme() == "file"
        && let Ok(folder) = place.url.to_file_path()
    {
        // Only empty folders are left, if any.
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        tracing::debug!(?removed, "folder of a dropped table");
    }
    Ok(())
}

async fn delete_under(place: &Location, prefix: &object_store::path::Path) -> Result<(), EngineError> {
    let store: Arc<dyn ObjectStore> = Arc::clone(&place.store);
    let objects = store.list(Some(prefix)).map_ok(|object| object.location).boxed();
    let mut deleted = store.delete_stream(objects);
    loop {
        match deleted.try_next().await {
            Ok(Some(_)) | Err(Error::NotFound { .. }) => {}
            Ok(None) => return Ok(()),
            Err(failure) => return Err(error::from_object_store(&failure, None)),
        }
    }
}
