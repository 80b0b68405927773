//! The table that a statement changes.

use std::sync::Arc;

use deltalake_core::kernel::transaction::PROTOCOL;
use lakegate_engine_api::catalog::{Relation, RelationName};
use lakegate_engine_api::{BoundRelation, EngineError, RelationSource, SqlMistake};

use crate::delta::{Table, TableColumns, TableVersion};
use crate::error;
use crate::exec::Shared;
use crate::store::check_commits;

/// Opened for writing.
#[derive(Clone)]
pub struct Target {
    pub name: RelationName,
    pub relation: Arc<Relation>,
    pub table: Arc<Table>,
    pub version: Arc<TableVersion>,
    /// With the registered relation's types.
    pub columns: TableColumns,
    /// The version that a transaction block pinned.
    pub pinned: Option<u64>,
}

impl Target {
    /// # Errors
    /// What keeps the table from being read or written.
    pub async fn open(shared: &Shared, relations: &[BoundRelation], name: &RelationName) -> Result<Self, EngineError> {
        let bound = relations.iter().find(|relation| relation.name == *name);
        let Some(bound) = bound else {
            return Err(error::sql(SqlMistake::UndefinedTable, format!("relation \"{}\" does not exist", name.name)));
        };
        let RelationSource::Table { table: authorized, version: pinned } = &bound.source else {
            return Err(error::sql(SqlMistake::WrongObjectType, format!("cannot change \"{}\": it is not a table", name.name)));
        };
        if authorized.row_filter().is_some() || !authorized.masks().is_empty() || authorized.visible_columns().is_some() {
            return Err(error::unsupported("changing a table with row filters, masks or column privileges"));
        }
        let relation = Arc::clone(authorized.relation());
        Self::at(shared, name.clone(), relation, *pinned).await
    }

    /// The newest version of the same table.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub async fn reopened(&self, shared: &Shared) -> Result<Self, EngineError> {
        Self::at(shared, self.name.clone(), Arc::clone(&self.relation), self.pinned).await
    }

    async fn at(shared: &Shared, name: RelationName, relation: Arc<Relation>, pinned: Option<u64>) -> Result<Self, EngineError> {
        let table = shared.tables.table(&relation.location).await?;
        let version = table.newest().await?;
        PROTOCOL
            .can_write_to(&version.snapshot)
            .map_err(|error| error::from_delta(&deltalake_core::DeltaTableError::from(error), &name.name))?;
        // Found out once a table, so once an external location at least.
        table.store_checked.get_or_try_init(|| check_commits(&table.location)).await?;
        let columns = version.columns.tagged(&relation);
        Ok(Self { name, relation, table, version, columns, pinned })
    }

    /// # Errors
    /// `Unsupported` for tables whose changes have to be recorded row by row.
    pub fn check_rewritable(&self) -> Result<(), EngineError> {
        let configuration = self.version.snapshot.metadata().configuration();
        if configuration.get("delta.enableChangeDataFeed").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(error::unsupported("UPDATE and DELETE of a table with a change data feed"));
        }
        if configuration.get("delta.appendOnly").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(error::unsupported("changing rows of an append-only table"));
        }
        Ok(())
    }
}
