//! What the log of a table that another system wrote says about it.

use lakegate_engine_api::{ColumnDefinition, EngineError, TableDescription, pg_type};

use super::snapshot::TableVersion;

/// Properties with this prefix are CHECK constraints.
pub const CONSTRAINT_PREFIX: &str = "delta.constraints.";

/// # Errors
/// `Corrupted` where the log's file list is.
pub fn describe(version: &TableVersion) -> Result<TableDescription, EngineError> {
    let files = version.files()?;
    let metadata = version.snapshot.metadata();
    let columns = version
        .columns
        .columns
        .iter()
        .map(|column| ColumnDefinition { name: column.field.name().clone(), data_type: pg_type(&column.field), not_null: column.not_null })
        .collect();
    let (checks, properties): (Vec<_>, Vec<_>) = metadata.configuration().iter().partition(|(name, _)| name.starts_with(CONSTRAINT_PREFIX));
    let mut checks: Vec<(String, String)> =
        checks.into_iter().map(|(name, text)| (name.trim_start_matches(CONSTRAINT_PREFIX).to_owned(), text.clone())).collect();
    checks.sort();
    Ok(TableDescription {
        version: version.version(),
        columns,
        partition_columns: metadata.partition_columns().to_vec(),
        checks,
        comment: metadata.description().map(str::to_owned),
        properties: properties.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        files: u64::try_from(files.files.len()).unwrap_or(u64::MAX),
        bytes: files.bytes(),
        rows: files.rows(),
    })
}
