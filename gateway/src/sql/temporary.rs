//! A session's temporary tables: in a schema of its own that stands first in the search path, and that goes with the session.

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::ddl::{RelationChange, TEMPORARY_PREFIX};
use lakegate_catalog::model::{Relation, RelationKind};
use lakegate_engine_api::{Engine, ExecutionContext};
use sqlparser::ast::OnCommit;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::session::GatewaySession;
use super::session::Shared;
use crate::sqlstate::{SqlError, SqlState};

/// Property of a temporary table: what becomes of it at COMMIT.
pub const ON_COMMIT: &str = "lakegate.on_commit";

/// Its name says that a schema is a session's.
#[must_use]
pub fn is_temporary(schema: &str) -> bool {
    schema.starts_with(TEMPORARY_PREFIX)
}

/// The session's own, of a search path.
#[must_use]
pub fn own_schema(search_path: &[String]) -> Option<&str> {
    search_path.first().map(String::as_str).filter(|schema| is_temporary(schema))
}

/// As the property of the table says it; rows stay unless something else is said.
#[must_use]
pub fn on_commit(action: OnCommit) -> Option<&'static str> {
    match action {
        OnCommit::Drop => Some("drop"),
        OnCommit::DeleteRows => Some("delete"),
        OnCommit::PreserveRows => None,
    }
}

impl GatewaySession {
    pub(crate) fn temporary_schema(&self) -> String {
        format!("{}{}", self.shared.catalog.temporary_prefix(), self.start.backend_pid)
    }

    /// Makes the schema where it is not there yet.
    ///
    /// # Errors
    /// 42501.
    pub(crate) async fn open_temporary_schema(&mut self) -> Result<(), SqlError> {
        let snapshot = self.catalog().refresh().await?;
        let database = snapshot.require_database(self.database())?.oid;
        let name = self.temporary_schema();
        if snapshot.schema(database, &name).is_none() {
            self.catalog().create_temporary_schema(&self.principal, database, &name).await?;
        }
        self.has_temporary = true;
        Ok(())
    }

    /// DISCARD TEMP, and the end of the session.
    ///
    /// # Errors
    /// Where the catalog cannot be reached.
    pub(crate) async fn drop_temporary(&mut self) -> Result<(), SqlError> {
        if !self.has_temporary {
            return Ok(());
        }
        let name = self.temporary_schema();
        let dropped = self.catalog().drop_temporary_schemas(&name).await?;
        self.note_dropped(dropped).await;
        self.changes_made += 1;
        self.has_temporary = self.transaction.is_open();
        Ok(())
    }

    /// After a transaction: ON COMMIT DROP and DELETE ROWS.
    ///
    /// # Errors
    /// What the store gives.
    pub(crate) async fn settle_temporary(&mut self) -> Result<(), SqlError> {
        if !self.has_temporary || self.transaction.is_open() || self.is_staging() {
            return Ok(());
        }
        let snapshot = self.catalog().snapshot();
        for relation in self.temporary_relations(&snapshot) {
            match relation.properties.get(ON_COMMIT).map(String::as_str) {
                Some("drop") => {
                    let changes = vec![RelationChange::DropDependent(relation.oid)];
                    let dropped = self.catalog().change_relations(&self.principal, changes).await?;
                    self.note_dropped(dropped).await;
                    self.changes_made += 1;
                }
                Some("delete") => {
                    let Some(name) = snapshot.name_of(&relation) else { continue };
                    let facts = self.facts(&snapshot);
                    let context = ExecutionContext { statement_id: Uuid::now_v7(), cancel: CancellationToken::new() };
                    crate::handlers::materialized_view::delete_rows(self, &snapshot, &name, &facts, context).await?;
                    self.changes_made += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn temporary_relations(&self, snapshot: &Snapshot) -> Vec<Arc<Relation>> {
        let schema =
            snapshot.database_by_name(self.database()).and_then(|database| snapshot.schema(database.oid, &self.temporary_schema()));
        let relations = schema.into_iter().flat_map(|schema| snapshot.relations_in_schema(schema.oid));
        relations.filter(|relation| relation.kind == RelationKind::ManagedTable).cloned().collect()
    }
}

/// What a crash left of sessions of this gateway.
///
/// # Errors
/// Where the catalog cannot be reached.
pub async fn drop_leftovers(shared: &Arc<Shared>) -> Result<(), SqlError> {
    let prefix = shared.catalog.temporary_prefix();
    let dropped = shared.catalog.drop_temporary_schemas(&prefix).await.map_err(SqlError::from)?;
    if dropped.is_empty() {
        return Ok(());
    }
    let engine = Arc::clone(&shared.engine);
    let gone = async move {
        for relation in dropped.iter().filter(|relation| relation.owns_files()) {
            remove(engine.as_ref(), relation).await;
        }
    };
    if shared.fleet.is_none() {
        gone.await;
    } else {
        // No session can name them any more; their files go once there is an engine.
        crate::tasks::spawn("files of temporary tables", gone);
    }
    Ok(())
}

async fn remove(engine: &dyn Engine, relation: &Relation) {
    if let Err(error) = engine.drop_table(&relation.location).await {
        tracing::warn!(relation = relation.oid, %error, "files of a temporary table could not be deleted");
    }
}

/// 42P16.
#[must_use]
pub fn not_in_temporary_schema() -> SqlError {
    SqlError::new(SqlState::InvalidTableDefinition, "cannot create temporary relation in non-temporary schema")
}
