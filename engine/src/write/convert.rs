//! CONVERT TO DELTA: a log for Parquet files that are there.

use std::sync::Arc;

use deltalake_core::DeltaTableError;
use deltalake_core::operations::convert_to_delta::{ConvertToDeltaBuilder, PartitionStrategy};
use deltalake_core::protocol::SaveMode;
use lakegate_engine_api::{ColumnDefinition, EngineError, FilePlace, Outcome, SqlMistake};

use super::commit::{CommitId, properties};
use super::create::delta_field;
use crate::error;
use crate::exec::Shared;
use crate::store::check_commits;

/// # Errors
/// `Sql` where there is a table already, no Parquet file, or folders that do not fit `partitions`; `Storage`.
pub async fn convert_to_delta(shared: &Shared, place: &FilePlace, partitions: &[ColumnDefinition]) -> Result<Outcome, EngineError> {
    shared.tables.stores().require_within(&place.url, &place.within)?;
    shared.tables.forget(&place.url).await;
    let table = shared.tables.table(&place.url).await?;
    table.store_checked.get_or_try_init(|| check_commits(&table.location)).await?;
    match table.protocol().await {
        Err(EngineError::NotADeltaTable) => {}
        Ok(_) => return Err(error::sql(SqlMistake::DuplicateTable, "there is a Delta table at the location already")),
        Err(failure) => return Err(failure),
    }
    let fields = partitions.iter().map(delta_field).collect::<Result<Vec<_>, _>>()?;
    let converted = ConvertToDeltaBuilder::new()
        .with_log_store(Arc::clone(&table.log_store))
        .with_partition_schema(fields)
        .with_partition_strategy(PartitionStrategy::Hive)
        .with_save_mode(SaveMode::ErrorIfExists)
        .with_commit_properties(properties(&[CommitId::new()], false))
        .await;
    if let Err(failure) = converted {
        return Err(explained(&failure));
    }
    shared.tables.forget(&place.url).await;
    let version = shared.tables.version(&place.url, None).await?;
    let files = version.files()?;
    Ok(Outcome { version: Some(version.version()), files_written: files.files.len() as u64, ..Outcome::default() })
}

/// What is wrong with the folder delta-rs tells in words alone.
fn explained(failure: &DeltaTableError) -> EngineError {
    match failure {
        DeltaTableError::GenericError { source } => EngineError::Sql {
            mistake: SqlMistake::InvalidTableDefinition,
            message: format!("the files cannot become a table: {source}"),
            hint: Some("Folders named column=value are partitions: PARTITIONED BY (column type, …), in their order.".to_owned()),
        },
        other => error::from_delta(other, ""),
    }
}
