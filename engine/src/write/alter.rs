//! ALTER TABLE ADD COLUMN: a new schema in the table's metadata. No data file changes; rows that are there have NULL.

use std::sync::Arc;

use deltalake_core::DeltaTable;
use deltalake_core::kernel::StructField;
use lakegate_engine_api::{ColumnDefinition, EngineError, Violation};

use super::commit::{CommitId, is_race, properties};
use super::create::delta_field;
use crate::error;
use crate::exec::Shared;
use crate::store::check_commits;

/// Adds columns at the end. Columns that are there already under the same type are left as they are: a crash may have come
/// between this commit and the catalog's.
///
/// # Errors
/// `Unsupported` for types that tables cannot have and for tables with column mapping; `Constraint` for NOT NULL where there
/// are rows; `Conflict` where the table was changed meanwhile.
pub async fn add_columns(shared: &Shared, location: &str, name: &str, columns: &[ColumnDefinition]) -> Result<(), EngineError> {
    let table = shared.tables.table(location).await?;
    table.store_checked.get_or_try_init(|| check_commits(&table.location)).await?;
    let _order = table.writes.commits.lock().await;
    let base = table.newest().await?;
    if base.columns.is_mapped {
        return Err(error::unsupported("ADD COLUMN for a table with column mapping"));
    }
    let snapshot = &base.snapshot;
    let old = snapshot.schema();
    let mut fields: Vec<StructField> = old.fields().cloned().collect();
    for column in columns {
        let field = delta_field(column)?;
        match fields.iter().find(|known| known.name().eq_ignore_ascii_case(&column.name)) {
            Some(known) if known.name() == field.name() && known.data_type() == field.data_type() => continue,
            Some(_) => {
                let message = format!("column \"{}\" of relation \"{name}\" already exists", column.name);
                return Err(error::sql(lakegate_engine_api::SqlMistake::DuplicateColumn, message));
            }
            None => {}
        }
        if column.not_null && snapshot.log_data().iter().next().is_some() {
            return Err(EngineError::Constraint {
                violation: Violation::NotNull { column: column.name.clone() },
                message: format!("column \"{}\" of relation \"{name}\" contains null values", column.name),
                table: name.to_owned(),
                detail: None,
            });
        }
        fields.push(field);
    }
    if fields.len() == old.fields().count() {
        return Ok(());
    }
    let added = fields.split_off(old.fields().count());
    // delta-rs knows which protocol the new types ask for, and keeps that to itself.
    let of_delta = |failure| match failure {
        failure if is_race(&failure) => EngineError::Conflict { table: name.to_owned() },
        failure => error::from_delta(&failure, name),
    };
    let mut delta = DeltaTable::new(Arc::clone(&table.log_store));
    delta.load_version(base.version()).await.map_err(of_delta)?;
    let id = CommitId::new();
    delta.add_columns().with_fields(added).with_commit_properties(properties(&[id], false)).await.map_err(of_delta)?;
    Ok(())
}
