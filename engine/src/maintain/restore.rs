//! RESTORE: a commit that makes the table what it was at an earlier version.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use deltalake_core::kernel::{Action, Add, Metadata, Remove};
use deltalake_core::protocol::DeltaOperation;
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::{DataError, EngineError, ExecutionContext, Maintained, Moment, Outcome, SessionFacts};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};

use super::history::version_at;
use crate::delta::{CONSTRAINT_PREFIX, TableVersion};
use crate::error;
use crate::exec::Shared;
use crate::write::{Change, CommitId, Target, active_files, commit, file_key, file_name};

/// Files looked for at once.
const REQUESTS: usize = 32;

/// # Errors
/// `Data` for a version that is not there; `MissingFile` where a VACUUM has deleted what it needs; `Conflict`.
pub async fn restore(
    shared: &Shared,
    target: &Target,
    moment: &Moment,
    session: &SessionFacts,
    schema: &SchemaRef,
    context: &ExecutionContext,
) -> Result<Maintained, EngineError> {
    let version = version_at(&target.table, moment, session).await?;
    let (now, name) = (&target.version, target.name.name.clone());
    let then = shared.tables.version(&target.relation.location, Some(version)).await?;
    refuse_other_definition(&then, now, version)?;
    let (adds, removes) = difference(&then, now);
    require_files(target, &then, &adds).await?;
    let is_changed = !(adds.is_empty() && removes.is_empty());
    let rows = summary(schema, &then, &adds, &removes)?;
    let mut outcome = Outcome { bytes_written: 0, files_written: u64::try_from(adds.len()).unwrap_or(0), ..Outcome::default() };
    if is_changed {
        if context.cancel.is_cancelled() {
            return Err(EngineError::Canceled);
        }
        let removes = removes.into_iter().map(Action::Remove);
        let actions = removes.chain(adds.into_iter().map(Action::Add)).collect();
        let change = Change {
            base: Arc::clone(now),
            actions,
            operation: DeltaOperation::Restore { version: Some(version), datetime: None },
            ids: vec![CommitId::new()],
            blind: false,
            rests_on_absence: false,
            exclusive: true,
        };
        let table = Arc::clone(&target.table);
        let committed = shared.runtime.run_to_end(async move {
            let _order = table.writes.commits.lock().await;
            commit(&table, &name, change).await
        });
        outcome.version = Some(committed.await?);
    }
    Ok(Maintained { rows: Some(rows), outcome, summary: None })
}

/// The control plane knows the table as it is defined now, its constraints hold for the rows of now.
///
/// # Errors
/// `Data`.
fn refuse_other_definition(then: &TableVersion, now: &TableVersion, version: u64) -> Result<(), EngineError> {
    let (then, now) = (then.snapshot.metadata(), now.snapshot.metadata());
    let constraints = |metadata: &Metadata| -> BTreeMap<String, String> {
        let all = metadata.configuration().iter().filter(|(name, _)| name.starts_with(CONSTRAINT_PREFIX));
        all.map(|(name, text)| (name.clone(), text.clone())).collect()
    };
    let schema = |metadata: &Metadata| metadata.parse_schema().map_err(|failure| error::from_delta(&failure.into(), ""));
    let what = if then.partition_columns() != now.partition_columns() {
        "partition columns"
    } else if schema(then)? != schema(now)? {
        "columns"
    } else if constraints(then) != constraints(now) {
        "CHECK constraints"
    } else {
        return Ok(());
    };
    let message = format!("cannot restore version {version}: the table's {what} have changed since");
    Err(EngineError::Data { error: DataError::NotInPrerequisiteState, message })
}

/// What takes the table from `now` to `then`.
#[expect(deprecated, reason = "there is no other way from a file of a snapshot to its add action")]
fn difference(then: &TableVersion, now: &TableVersion) -> (Vec<Add>, Vec<Remove>) {
    let (here, there) = (active_files(now), active_files(then));
    let (files_now, files_then) = (now.snapshot.log_data(), then.snapshot.log_data());
    let removes = files_now.iter().filter_map(|file| {
        let key = file_key(&file.path(), file.deletion_vector_descriptor().as_ref());
        (!there.contains(&key)).then(|| file.remove_action(true))
    });
    let adds = files_then.iter().filter_map(|file| {
        let key = file_key(&file.path(), file.deletion_vector_descriptor().as_ref());
        (!here.contains(&key)).then(|| Add { data_change: true, ..file.add_action() })
    });
    (adds.collect(), removes.collect())
}

async fn require_files(target: &Target, then: &TableVersion, adds: &[Add]) -> Result<(), EngineError> {
    let files = then.files()?;
    let names: HashSet<&str> = adds.iter().map(|add| file_name(&add.path)).collect();
    let is_wanted = |path: &Path| path.filename().is_some_and(|name| names.contains(name));
    let wanted: Vec<Path> = files.files.iter().map(|file| file.path.clone()).filter(is_wanted).collect();
    futures::stream::iter(wanted)
        .map(|path| {
            let (store, table) = (Arc::clone(&target.table.location.store), target.name.name.clone());
            async move {
                match store.head(&path).await {
                    Ok(_) => Ok(()),
                    Err(Error::NotFound { .. }) => Err(EngineError::MissingFile { table }),
                    Err(failure) => Err(error::from_object_store(&failure, None)),
                }
            }
        })
        .buffer_unordered(REQUESTS)
        .try_collect()
        .await
}

fn summary(schema: &SchemaRef, then: &TableVersion, adds: &[Add], removes: &[Remove]) -> Result<RecordBatch, EngineError> {
    let files = then.files()?;
    let bytes = |sizes: &mut dyn Iterator<Item = i64>| sizes.sum::<i64>();
    let numbers = [
        i64::try_from(files.bytes()).unwrap_or(i64::MAX),
        i64::try_from(files.files.len()).unwrap_or(i64::MAX),
        i64::try_from(removes.len()).unwrap_or(i64::MAX),
        i64::try_from(adds.len()).unwrap_or(i64::MAX),
        bytes(&mut removes.iter().map(|remove| remove.size.unwrap_or(0))),
        bytes(&mut adds.iter().map(|add| add.size)),
    ];
    let columns = numbers.map(|number| -> ArrayRef { Arc::new(Int64Array::from(vec![number])) });
    RecordBatch::try_new(Arc::clone(schema), columns.to_vec()).map_err(|failure| error::from_arrow(&failure))
}
