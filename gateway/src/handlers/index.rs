//! CREATE INDEX and REINDEX. An index gives the columns Bloom filters in the table's data files, so that a search for a value (`=`, `IN`)
//! skips row groups and files that do not have it. Files that are there are rewritten, those written later have them too.

use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize;
use lakegate_catalog::ddl::{RelationChange, RelationUpdate};
use lakegate_catalog::model::{Index, IndexColumn, ObjectRef, PgType, Relation, RelationKind};
use lakegate_engine_api::{Alteration, ExecutionContext};
use sqlparser::ast::{CreateIndex, Expr, IndexType, ObjectName};

use super::sequence::object_name;
use crate::frontend::Response;
use crate::sql::bind::undefined;
use crate::sql::execute::Deadline;
use crate::sql::grammar::{Reindex, fold, name_parts};
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sql::together::settled;
use crate::sqlstate::{Severity, SqlError, SqlState};

pub async fn create(
    session: &mut GatewaySession,
    create: &CreateIndex,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let done = || Response::Command { tag: "CREATE INDEX".to_owned() };
    let snapshot = session.catalog().refresh().await?;
    let parts = name_parts(&create.table_name)?;
    let found = session.scope(&snapshot).resolve(&snapshot, &parts)?;
    let table = snapshot.relation_by_name(&found).cloned().ok_or_else(|| undefined(&parts))?;
    if !matches!(table.kind, RelationKind::ManagedTable | RelationKind::MaterializedView) {
        let text = format!("cannot create index on relation \"{}\"", table.name);
        return Err(SqlError::new(SqlState::WrongObjectType, text).detail("Indexes are on managed tables and materialized views."));
    }
    authorize::require_owner(&snapshot, &session.principal, ObjectRef::Relation(table.oid))?;
    let method = method(create)?;
    let columns = columns(create, &table)?;
    let name = match &create.name {
        Some(name) => name_parts(name)?.pop().unwrap_or_default(),
        None => free_name(&snapshot, &table, &columns),
    };
    if is_taken(&snapshot, &table, &name) {
        let text = format!("relation \"{name}\" already exists");
        if !create.if_not_exists {
            return Err(SqlError::new(SqlState::DuplicateTable, text));
        }
        session.notice(SqlError::notice(Severity::Notice, SqlState::DuplicateTable, format!("{text}, skipping")));
        return Ok(done());
    }
    if create.unique {
        let text = format!("index \"{name}\" is not enforced as unique");
        session.notice(
            SqlError::notice(Severity::Warning, SqlState::Warning, text)
                .detail("Unique indexes and keys inform clients; duplicate rows are not refused."),
        );
    }
    let index = Index { oid: 0, name, unique: create.unique, method, columns, comment: None };
    let mut indexes = table.indexes.clone();
    indexes.push(index.clone());
    let filtered = filtered_columns(&table, &indexes);
    if filtered != filtered_columns(&table, &table.indexes) {
        build(session, &snapshot, &table, filtered, true, deadline, journal).await?;
    }
    let change = RelationChange::Update { relation: table.oid, updates: vec![RelationUpdate::AddIndex(index)] };
    session.catalog().change_relations(&session.principal, vec![change]).await?;
    Ok(done())
}

pub async fn reindex(
    session: &mut GatewaySession,
    reindex: &Reindex,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let parts = name_parts(&reindex.name)?;
    let table = if reindex.index {
        let index = super::alter::find_index(session, &snapshot, &parts).ok_or_else(|| undefined(&parts))?;
        index.table
    } else {
        let found = session.scope(&snapshot).resolve(&snapshot, &parts)?;
        snapshot.relation_by_name(&found).cloned().ok_or_else(|| undefined(&parts))?
    };
    authorize::require_owner(&snapshot, &session.principal, ObjectRef::Relation(table.oid))?;
    if !table.indexes.is_empty() {
        build(session, &snapshot, &table, filtered_columns(&table, &table.indexes), true, deadline, journal).await?;
    }
    Ok(Response::Command { tag: "REINDEX".to_owned() })
}

/// Before DROP INDEX: files written later lack the filters that no other index asks for.
///
/// # Errors
/// What the store gives.
pub async fn forget(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    table: &Arc<Relation>,
    name: &str,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<(), SqlError> {
    let rest: Vec<Index> = table.indexes.iter().filter(|index| index.name != name).cloned().collect();
    build(session, snapshot, table, filtered_columns(table, &rest), false, deadline, journal).await
}

async fn build(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    table: &Arc<Relation>,
    columns: Vec<String>,
    rewrites: bool,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<(), SqlError> {
    let name = snapshot.name_of(table).ok_or_else(|| undefined(std::slice::from_ref(&table.name)))?;
    session.open_change("CREATE INDEX", &name)?;
    let facts = session.facts(snapshot);
    let target = settled(session, session.binder(snapshot, &facts).own_table(&name)?, deadline).await?;
    let context = ExecutionContext { statement_id: journal.statement_id(), cancel: deadline.token().clone() };
    let alterations = vec![Alteration::SetFilters { columns, rewrites }];
    let outcome = session.engine().alter_table(target, alterations, facts, context).await?;
    journal.note_written([name]);
    journal.note_outcome(&outcome);
    session.changes_made += 1;
    Ok(())
}

/// Columns of some indexes whose values a filter can hold.
fn filtered_columns(table: &Relation, indexes: &[Index]) -> Vec<String> {
    let fits = |name: &String| table.column(name).is_some_and(|(_, column)| can_be_filtered(column.data_type));
    let is_partition = |name: &String| table.partition_columns.contains(name);
    let mut columns: Vec<String> = indexes
        .iter()
        .flat_map(|index| &index.columns)
        .map(|column| column.name.clone())
        .filter(|name| fits(name) && !is_partition(name))
        .collect();
    columns.sort();
    columns.dedup();
    columns
}

/// Whole numbers, text and what is kept as text, and bytes.
fn can_be_filtered(data_type: PgType) -> bool {
    matches!(data_type.oid, 17 | 19 | 20 | 21 | 23 | 25 | 1042 | 1043 | 2950)
}

fn method(create: &CreateIndex) -> Result<String, SqlError> {
    match &create.using {
        None | Some(IndexType::BTree) => Ok("btree".to_owned()),
        Some(IndexType::Hash) => Ok("hash".to_owned()),
        Some(other) => Err(SqlError::unsupported(format!("the index method {other}")).hint("Use btree or hash: both make Bloom filters.")),
    }
}

fn columns(create: &CreateIndex, table: &Relation) -> Result<Vec<IndexColumn>, SqlError> {
    let refused: [(bool, &str); 4] = [
        (create.predicate.is_some(), "a partial index"),
        (!create.include.is_empty(), "INCLUDE in CREATE INDEX"),
        (!create.with.is_empty() || !create.index_options.is_empty(), "storage parameters of an index"),
        (create.nulls_distinct == Some(false), "NULLS NOT DISTINCT"),
    ];
    if let Some((_, what)) = refused.iter().find(|(present, _)| *present) {
        return Err(SqlError::unsupported(what).hint("An index gives whole columns Bloom filters: CREATE INDEX ON t (column, …)."));
    }
    let mut columns = Vec::new();
    for column in &create.columns {
        let Expr::Identifier(name) = &column.column.expr else {
            return Err(SqlError::unsupported("an index on an expression").hint("Index a generated column that holds it."));
        };
        let name = fold(name);
        if table.column(&name).is_none() {
            return Err(SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist")));
        }
        let operator_class = column.operator_class.as_ref().map(operator_class).transpose()?.flatten();
        let descending = column.column.options.asc == Some(false);
        let nulls_first = column.column.options.nulls_first.unwrap_or(descending);
        columns.push(IndexColumn { name, descending, nulls_first, operator_class });
    }
    Ok(columns)
}

/// Those that order by bytes, as all of Lakegate's text does; `None` for a type's default.
///
/// # Errors
/// 42704.
fn operator_class(name: &ObjectName) -> Result<Option<String>, SqlError> {
    let class = name_parts(name)?.pop().unwrap_or_default();
    match class.as_str() {
        "text_pattern_ops" | "varchar_pattern_ops" | "bpchar_pattern_ops" => Ok(Some(class)),
        "text_ops" | "varchar_ops" | "bpchar_ops" | "int2_ops" | "int4_ops" | "int8_ops" | "uuid_ops" | "bytea_ops" | "name_ops"
        | "bool_ops" | "date_ops" | "timestamp_ops" | "timestamptz_ops" | "time_ops" | "interval_ops" | "numeric_ops" | "float4_ops"
        | "float8_ops" => Ok(None),
        _ => {
            let message = format!("operator class \"{class}\" does not exist for access method \"btree\"");
            Err(SqlError::new(SqlState::UndefinedObject, message))
        }
    }
}

fn is_taken(snapshot: &Snapshot, table: &Relation, name: &str) -> bool {
    let has = |relation: &Relation| {
        relation.indexes.iter().any(|index| index.name == name)
            || relation.constraints.iter().any(|key| key.kind.is_index() && key.name == name)
    };
    snapshot.relation(table.schema, name).is_some() || snapshot.relations_in_schema(table.schema).any(|relation| has(relation))
}

/// `t_a_b_idx`. Source: `ChooseIndexName`.
fn free_name(snapshot: &Snapshot, table: &Relation, columns: &[IndexColumn]) -> String {
    let joined = columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join("_");
    let base = object_name(&table.name, &joined, "idx");
    let free = |name: &String| !is_taken(snapshot, table, name);
    std::iter::once(base.clone())
        .chain((1..10_000).map(|n| object_name(&table.name, &joined, &format!("idx{n}"))))
        .find(free)
        .unwrap_or(base)
}
