//! Rows that go from files which stay: noted in deletion vectors, kilobytes in the place of the files' rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake_core::kernel::Add;
use deltalake_core::protocol::DeltaOperation;
use lakegate_engine_api::EngineError;
use lakegate_engine_api::catalog::RelationKind;
use object_store::{ObjectStoreExt, PutPayload};
use roaring::RoaringTreemap;

use super::apply::{Gone, Rows};
use super::commit::{Attempt, Change, CommitId, attempt};
use super::definition::Definition;
use super::target::Target;
use crate::delta::packed_vectors;
use crate::error;
use crate::exec::Shared;

/// Property of a table whose writers may leave deleted rows in its files.
pub const ENABLED: &str = "delta.enableDeletionVectors";

/// A file whose rest has fewer bytes than this is written anew: reading the vector would cost as much.
const REST_BYTES_MIN: u64 = 256 << 10;

/// Other writers' commits that may come before the one that turns vectors on.
const RACES_MAX: usize = 10;

/// Files that stay, by their number, and all of their rows that are gone now.
pub type Vectors = BTreeMap<usize, RoaringTreemap>;

/// Which of the files that rows go from stay. A managed table that nobody has said anything about gets vectors with the first change
/// that is better for them, and not before: some readers refuse a table for the feature alone.
///
/// # Errors
/// What keeps a vector that is there from being read; `Storage`.
pub async fn staying(shared: &Shared, target: &Target, gone: &Gone) -> Result<Vectors, EngineError> {
    let mut staying = Vectors::new();
    let use_of_them = Use::of(target);
    if use_of_them == Use::Never {
        return Ok(staying);
    }
    let files = target.version.files()?;
    for (number, rows) in gone {
        let (Rows::Some(positions), Some(file)) = (rows, files.files.get(*number)) else { continue };
        let (Some(all), Some(live)) = (file.physical_rows, file.rows()) else { continue };
        let rest = live.saturating_sub(positions.len());
        if rest == 0 || file.size_bytes / all.max(1) * rest < REST_BYTES_MIN {
            continue;
        }
        let mut deleted = match &file.deletion_vector {
            Some(vector) => shared.tables.deleted_rows(&target.table.location, vector, &target.name.name).await?.as_ref().clone(),
            None => RoaringTreemap::new(),
        };
        deleted |= positions;
        staying.insert(*number, deleted);
    }
    if use_of_them == Use::OnceEnabled && !staying.is_empty() {
        enable(shared, target).await?;
    }
    Ok(staying)
}

#[derive(PartialEq, Eq)]
enum Use {
    Enabled,
    OnceEnabled,
    Never,
}

impl Use {
    fn of(target: &Target) -> Self {
        let features = target.version.snapshot.protocol().writer_features().unwrap_or_default();
        let has_feature = features.iter().any(|feature| feature.to_string() == "deletionVectors");
        match target.version.snapshot.metadata().configuration().get(ENABLED) {
            Some(value) if value.eq_ignore_ascii_case("true") && has_feature => Use::Enabled,
            None if target.relation.kind != RelationKind::ExternalTable => Use::OnceEnabled,
            _ => Use::Never,
        }
    }
}

/// A commit of its own: a transaction that is rolled back leaves the table with vectors it does not use.
async fn enable(shared: &Shared, target: &Target) -> Result<(), EngineError> {
    let (table, name) = (Arc::clone(&target.table), target.name.name.clone());
    shared
        .runtime
        .run_to_end(async move {
            let _order = table.writes.commits.lock().await;
            for _ in 0..RACES_MAX {
                let newest = table.newest().await?;
                if newest.snapshot.metadata().configuration().contains_key(ENABLED) {
                    return Ok(());
                }
                let mut definition = Definition::of(&name, &newest)?;
                definition.enable_deletion_vectors();
                let change = Change {
                    base: Arc::clone(&newest),
                    actions: definition.actions(&newest)?,
                    operation: DeltaOperation::SetTableProperties { properties: [(ENABLED.to_owned(), "true".to_owned())].into() },
                    ids: vec![CommitId::new()],
                    blind: false,
                    rests_on_absence: false,
                    exclusive: false,
                };
                if let Attempt::Committed(_) = attempt(&table, &name, &change, &newest).await? {
                    return Ok(());
                }
            }
            Err(EngineError::Conflict { table: name })
        })
        .await
}

/// Writes the vectors; add actions of the files with them, and how many bytes were written.
///
/// # Errors
/// `Storage`.
#[expect(deprecated, reason = "there is no other way from a file of a snapshot to its add action")]
pub async fn write(target: &Target, vectors: &Vectors) -> Result<(Vec<Add>, u64), EngineError> {
    if vectors.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let rows: Vec<RoaringTreemap> = vectors.values().cloned().collect();
    let (path, object, descriptors) = packed_vectors(&rows)?;
    let bytes = u64::try_from(object.len()).unwrap_or(u64::MAX);
    let store = target.table.log_store.object_store(None);
    store.put(&path, PutPayload::from(object)).await.map_err(|failure| error::from_object_store(&failure, Some(&target.name.name)))?;
    let files = target.version.snapshot.log_data();
    let mut adds = Vec::with_capacity(vectors.len());
    let mut descriptors = descriptors.into_iter();
    for (_, file) in files.iter().enumerate().filter(|(number, _)| vectors.contains_key(number)) {
        let add = file.add_action();
        adds.push(Add { stats: add.stats.as_deref().map(loosened), deletion_vector: descriptors.next(), data_change: true, ..add });
    }
    Ok((adds, bytes))
}

/// Statistics of all rows of a file, some of which are deleted: bounds hold, and are not tight.
fn loosened(stats: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(stats) {
        Ok(serde_json::Value::Object(mut stats)) => {
            stats.insert("tightBounds".to_owned(), false.into());
            serde_json::Value::Object(stats).to_string()
        }
        _ => stats.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::loosened;

    #[test]
    fn bounds_that_are_not_tight_say_so() {
        assert_eq!(loosened(r#"{"numRecords":3}"#), r#"{"numRecords":3,"tightBounds":false}"#);
    }
}
