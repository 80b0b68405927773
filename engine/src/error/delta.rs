//! delta-rs' errors.

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitConflictError, TransactionError};
use lakegate_engine_api::EngineError;

use super::{buried, corrupted, from_arrow, from_object_store, internal, unsupported};

/// `table`: the name to report.
#[must_use]
pub fn from_delta(error: &DeltaTableError, table: &str) -> EngineError {
    if let Some(found) = buried(error) {
        return found;
    }
    match error {
        DeltaTableError::NotATable(_) => EngineError::NotADeltaTable,
        DeltaTableError::ObjectStore { source } => from_object_store(source, Some(table)),
        DeltaTableError::Arrow { source } => from_arrow(source),
        DeltaTableError::Transaction { source } => transaction(source, table),
        DeltaTableError::VersionAlreadyExists(_) => EngineError::Conflict { table: table.to_owned() },
        DeltaTableError::UnsupportedColumnMapping { operation, .. } => unsupported(format!("{operation} on a column-mapped table")),
        DeltaTableError::InvalidVersion(version) => corrupted(format!("version {version} of the table does not exist")),
        DeltaTableError::KernelError(source) => kernel(source),
        DeltaTableError::InvalidJsonLog { version, .. } => corrupted(format!("the table's log is damaged at version {version}")),
        DeltaTableError::InvalidStatsJson { .. } | DeltaTableError::MetadataError(_) | DeltaTableError::NoSchema => {
            tracing::warn!(%error, "delta log");
            corrupted("the table's log is damaged")
        }
        DeltaTableError::Parquet { source } => {
            super::from_datafusion(&datafusion::error::DataFusionError::ParquetError(Box::new(clone_parquet(source))), &[])
        }
        DeltaTableError::GenericError { source } => match source.downcast_ref::<datafusion::error::DataFusionError>() {
            Some(source) => super::from_datafusion(source, &[]),
            None => unexpected(error),
        },
        other => unexpected(other),
    }
}

/// Texts name paths: they go to the log alone.
fn unexpected(error: &DeltaTableError) -> EngineError {
    tracing::error!(%error, "delta-rs");
    internal("unexpected failure of a table operation")
}

fn clone_parquet(error: &parquet::errors::ParquetError) -> parquet::errors::ParquetError {
    parquet::errors::ParquetError::General(error.to_string())
}

fn transaction(error: &TransactionError, table: &str) -> EngineError {
    match error {
        TransactionError::VersionAlreadyExists(_) | TransactionError::MaxCommitAttempts(_) => {
            EngineError::Conflict { table: table.to_owned() }
        }
        TransactionError::CommitConflict(
            CommitConflictError::UnsupportedWriterVersion(_) | CommitConflictError::UnsupportedReaderVersion(_),
        ) => unsupported("the table's protocol version"),
        TransactionError::CommitConflict(_) => EngineError::Conflict { table: table.to_owned() },
        TransactionError::DeltaTableAppendOnly => unsupported("changing rows of an append-only table"),
        TransactionError::UnsupportedTableFeatures(features) => {
            let names: Vec<String> = features.iter().map(ToString::to_string).collect();
            unsupported(format!("the Delta table feature {}", names.join(", ")))
        }
        TransactionError::TableFeaturesRequired(feature) => unsupported(format!("the Delta table feature {feature}")),
        TransactionError::ObjectStore { source } => from_object_store(source, Some(table)),
        TransactionError::SerializeLogJson { json_err } => internal(json_err.to_string()),
        TransactionError::LogStoreError { source, .. } => buried(source.as_ref()).unwrap_or_else(|| internal(error.to_string())),
    }
}

/// The kernel's error enum is behind a crate that is not ours to name: told apart by its text.
fn kernel(error: &(dyn std::error::Error + 'static)) -> EngineError {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = next {
        if let Some(source) = inner.downcast_ref::<object_store::Error>() {
            return from_object_store(source, None);
        }
        next = inner.source();
    }
    let text = error.to_string();
    if ["No files in log segment", "No table version found", "Invalid table location"].iter().any(|start| text.contains(start)) {
        return EngineError::NotADeltaTable;
    }
    if text.contains("nsupported") || text.contains("not supported") {
        tracing::info!(error = text, "delta kernel");
        return unsupported("a feature of this Delta table");
    }
    tracing::warn!(error = text, "delta kernel");
    corrupted("the table's log is damaged")
}
