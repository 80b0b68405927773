//! ALTER INDEX: an index belongs to its table.

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::ddl::{RelationChange, RelationUpdate};
use lakegate_catalog::model::Relation;
use sqlparser::ast::{AlterTableOperation, RenameTableNameKind};

use crate::sql::grammar::{AlterAction, name_parts};
use crate::sql::session::GatewaySession;
use crate::sqlstate::SqlError;

/// An index by its name, of CREATE INDEX or of a key.
pub struct FoundIndex {
    pub table: Arc<Relation>,
    pub name: String,
    /// Of a PRIMARY KEY or UNIQUE constraint.
    pub is_key: bool,
}

/// By its name, on the search path unless a schema is given.
#[must_use]
pub fn find(session: &GatewaySession, snapshot: &Snapshot, parts: &[String]) -> Option<FoundIndex> {
    let (schemas, database, name) = match parts {
        [name] => (session.scope(snapshot).existing_schemas(snapshot), session.database().to_owned(), name),
        [schema, name] => (vec![schema.clone()], session.database().to_owned(), name),
        [database, schema, name] => (vec![schema.clone()], database.clone(), name),
        _ => return None,
    };
    let database = snapshot.database_by_name(&database)?.oid;
    let tables = schemas.iter().filter_map(|schema| snapshot.schema(database, schema));
    for table in tables.flat_map(|schema| snapshot.relations_in_schema(schema.oid)) {
        let is_index = table.indexes.iter().any(|index| index.name == *name);
        let is_key = table.constraints.iter().any(|key| key.kind.is_index() && key.name == *name);
        if is_index || is_key {
            return Some(FoundIndex { table: Arc::clone(table), name: name.clone(), is_key });
        }
    }
    None
}

pub async fn alter(
    session: &mut GatewaySession,
    _snapshot: &Snapshot,
    index: &FoundIndex,
    actions: &[AlterAction],
) -> Result<(), SqlError> {
    let mut updates = Vec::new();
    for action in actions {
        let AlterAction::Sql(operation) = action else { return Err(SqlError::unsupported("this ALTER INDEX")) };
        let AlterTableOperation::RenameTable { table_name: RenameTableNameKind::To(name) | RenameTableNameKind::As(name) } =
            operation.as_ref()
        else {
            return Err(SqlError::unsupported("this ALTER INDEX"));
        };
        let to = name_parts(name)?.pop().unwrap_or_default();
        updates.push(RelationUpdate::RenameIndex { from: index.name.clone(), to });
    }
    let change = RelationChange::Update { relation: index.table.oid, updates };
    session.catalog().change_relations(&session.principal, vec![change]).await?;
    Ok(())
}
