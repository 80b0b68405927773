//! The table that a statement changes.

use std::sync::Arc;

use deltalake_core::kernel::transaction::PROTOCOL;
use lakegate_engine_api::catalog::{Relation, RelationName};
use lakegate_engine_api::{BoundRelation, EngineError, EngineTransaction, RelationSource, SqlMistake, TablePolicies};

use super::transaction::LocalTransaction;
use crate::delta::{Table, TableColumns, TableVersion};
use crate::error;
use crate::exec::{Shared, policies_of, refuse_unknown_columns};
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
    /// Where changes are staged.
    pub transaction: Option<Arc<dyn EngineTransaction>>,
    /// What the role may see and make of its rows.
    pub policies: Option<Arc<TablePolicies>>,
}

impl Target {
    /// In a transaction as it was before its changes, otherwise the version that it is bound with, or the newest.
    ///
    /// # Errors
    /// What keeps the table from being read or written.
    pub async fn open(shared: &Shared, relations: &[BoundRelation], name: &RelationName) -> Result<Self, EngineError> {
        let bound = relations.iter().find(|relation| relation.name == *name && relation.runs_as.is_none());
        let Some(bound) = bound else {
            return Err(error::sql(SqlMistake::UndefinedTable, format!("relation \"{}\" does not exist", name.name)));
        };
        let RelationSource::Table { table: authorized, version: pinned, transaction, policies } = &bound.source else {
            return Err(error::sql(SqlMistake::WrongObjectType, format!("cannot change \"{}\": it is not a table", name.name)));
        };
        let policies = policies_of(authorized, policies.as_ref())?.cloned();
        let relation = Arc::clone(authorized.relation());
        let table = shared.tables.table(&relation.location).await?;
        let _settled = table.visible.read().await;
        let version = match transaction {
            Some(transaction) => LocalTransaction::of(transaction.as_ref())?.base(name, &relation.location, *pinned).await?,
            None => shared.tables.version(&relation.location, *pinned).await?,
        };
        let opened = Self::at(name.clone(), relation, Arc::clone(&table), version, *pinned, transaction.clone()).await?;
        if policies.is_some() {
            refuse_unknown_columns(&opened.relation, &opened.version)?;
        }
        Ok(Self { policies, ..opened })
    }

    /// The same table now: in a transaction with its changes, otherwise in its newest version.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub async fn reopened(&self, shared: &Shared) -> Result<Self, EngineError> {
        let table = shared.tables.table(&self.relation.location).await?;
        let _settled = table.visible.read().await;
        let version = match &self.transaction {
            Some(transaction) => {
                LocalTransaction::of(transaction.as_ref())?.current(&self.name, &self.relation.location, self.pinned).await?
            }
            None => table.newest().await?,
        };
        let opened =
            Self::at(self.name.clone(), Arc::clone(&self.relation), Arc::clone(&table), version, self.pinned, self.transaction.clone())
                .await?;
        Ok(Self { policies: self.policies.clone(), ..opened })
    }

    async fn at(
        name: RelationName,
        relation: Arc<Relation>,
        table: Arc<Table>,
        version: Arc<TableVersion>,
        pinned: Option<u64>,
        transaction: Option<Arc<dyn EngineTransaction>>,
    ) -> Result<Self, EngineError> {
        PROTOCOL
            .can_write_to(&version.snapshot)
            .map_err(|error| error::from_delta(&deltalake_core::DeltaTableError::from(error), &name.name))?;
        // Found out once a table, so once an external location at least.
        table.store_checked.get_or_try_init(|| check_commits(&table.location)).await?;
        let columns = version.columns.tagged(&relation);
        Ok(Self { name, relation, table, version, columns, pinned, transaction, policies: None })
    }

    /// Some rows are not for the role to see or make.
    #[must_use]
    pub fn has_row_policies(&self) -> bool {
        self.policies.as_ref().is_some_and(|policies| policies.rows.is_some())
    }

    /// Rows that come by another way than a plan pass no check of a policy. Source: `DoCopy`.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn refuse_row_policies(&self) -> Result<(), EngineError> {
        match self.has_row_policies() {
            true => Err(error::unsupported_hint("COPY FROM with row-level security", "Use INSERT statements instead.")),
            false => Ok(()),
        }
    }

    /// # Errors
    /// `Unsupported` for tables to which rows are added alone.
    pub fn check_rewritable(&self) -> Result<(), EngineError> {
        let configuration = self.version.snapshot.metadata().configuration();
        if configuration.get("delta.appendOnly").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(error::unsupported("changing rows of an append-only table"));
        }
        Ok(())
    }
}
