//! Work on tables as a whole.

mod detail;
mod history;
mod optimize;
mod restore;
mod tidy;
mod vacuum;
mod zorder;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use lakegate_engine_api::{BoundRelation, EngineError, ExecutionContext, Maintained, Maintenance, Phase, RelationSource, SessionFacts};

pub use self::history::{commit_times, first_version, version_at};
use self::optimize::Wish;
pub use self::tidy::is_worn;
use self::vacuum::Keep;
use crate::error;
use crate::exec::Shared;
use crate::write::Target;

/// # Errors
/// As [`lakegate_engine_api::Engine::maintain`].
pub async fn maintain(
    shared: Arc<Shared>,
    target: BoundRelation,
    work: Maintenance,
    session: Arc<SessionFacts>,
    context: ExecutionContext,
) -> Result<Maintained, EngineError> {
    let schema = work.schema();
    let schema = schema.as_ref().ok_or_else(|| error::internal("this work gives no rows"));
    let location = target.location().unwrap_or_default().to_owned();
    let policed = matches!(&target.source, RelationSource::Table { table, .. } if table.is_policed());
    let described = |rows| Ok(Maintained { rows: Some(rows), ..Maintained::default() });
    match &work {
        Maintenance::History { limit } => {
            let table = shared.tables.table(&location).await?;
            let rows = history::history(&table, schema?, *limit).await?;
            return described(if policed { withheld(&rows, &HIDDEN_OF_HISTORY)? } else { rows });
        }
        Maintenance::Detail => {
            let table = shared.tables.table(&location).await?;
            let version = shared.tables.version(&location, None).await?;
            let rows = detail::detail(&table, &version, &target.name.to_string(), schema?).await?;
            return described(if policed { withheld(&rows, &HIDDEN_OF_DETAIL)? } else { rows });
        }
        Maintenance::Compatibility => {
            let protocol = shared.tables.table(&location).await?.protocol().await?;
            return described(detail::compatibility(&protocol, schema?)?);
        }
        Maintenance::Restore(_) | Maintenance::Optimize { .. } | Maintenance::Tidy { .. } | Maintenance::Vacuum { .. } => {}
    }
    let progress = shared.progress.begin(context.statement_id, Phase::Initializing);
    let target = Target::open(&shared, std::slice::from_ref(&target), &target.name).await?;
    match &work {
        Maintenance::Restore(moment) => restore::restore(&shared, &target, moment, &session, schema?, &context).await,
        Maintenance::Optimize { condition, order, whole } => {
            let wish = Wish { condition: condition.as_deref(), order, whole: *whole, small: None };
            let state = shared.sessions.state(&session);
            optimize::optimize(&shared, &target, wish, &state, schema?, &context, &progress).await
        }
        Maintenance::Tidy { budget_bytes } => {
            let state = shared.sessions.state(&session);
            tidy::tidy(&shared, &target, *budget_bytes, &state, schema?, &context, &progress).await
        }
        Maintenance::Vacuum { retention, open_since, dry_run } => {
            let keep = Keep { retention: *retention, open_since: *open_since };
            shared.tables.release(&location).await;
            progress.enter(if *dry_run { Phase::ListingFiles } else { Phase::DeletingFiles });
            vacuum::vacuum(&target, keep, if *dry_run { Some(schema?) } else { None }).await
        }
        _ => Err(error::internal("this work was done already")),
    }
}

/// What commits say of rows: the conditions of a DELETE have values of rows that a role may not see.
const HIDDEN_OF_HISTORY: [&str; 3] = ["operationParameters", "operationMetrics", "userMetadata"];

/// How many rows there are, hidden ones among them.
const HIDDEN_OF_DETAIL: [&str; 4] = ["numFiles", "sizeInBytes", "numRows", "numDeletedRows"];

/// The rows with NULL in these columns, for a role that does not see all of the table.
fn withheld(rows: &RecordBatch, columns: &[&str]) -> Result<RecordBatch, EngineError> {
    let schema = rows.schema();
    let shown: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .zip(rows.columns())
        .map(|(field, column)| match columns.contains(&field.name().as_str()) {
            true => new_null_array(field.data_type(), rows.num_rows()),
            false => Arc::clone(column),
        })
        .collect();
    RecordBatch::try_new(schema, shown).map_err(|failure| error::from_arrow(&failure))
}
