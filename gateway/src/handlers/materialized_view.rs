//! CREATE and REFRESH MATERIALIZED VIEW: a view whose rows are kept in a Delta table. A refresh replaces them in one commit, so readers
//! never wait and never see half of it. It does nothing where none of the tables behind the view has changed since the last one.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::ddl::{NewRelation, RelationChange, RelationUpdate};
use lakegate_catalog::model::{BOOTSTRAP_ROLE_OID, Column, ObjectRef, Oid, Privilege, Relation, RelationKind, RelationName};
use lakegate_engine_api::{
    BoundRelation, BoundStatement, ColumnDefinition, Execution, ExecutionContext, NewTable, Outcome, RelationSource, SessionFacts, Work,
};
use sqlparser::ast::{Expr, Function, Query, Statement};

use super::create_table::{context, new_location};
use super::create_view::{describe, query_text};
use crate::frontend::Response;
use crate::sql::bind::{object_name, undefined};
use crate::sql::execute::Deadline;
use crate::sql::grammar::{CreateMaterializedView, Refresh, fold, name_parts};
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// Property: `true` once the view has rows.
const POPULATED: &str = "lakegate.populated";
/// Property: versions of the tables behind the view as of the last refresh, as JSON of OID to version; absent where the query's result
/// depends on more than these.
const VERSIONS: &str = "lakegate.versions";

/// Whether it may be read; true of all that is no materialized view.
#[must_use]
pub fn is_populated(relation: &Relation) -> bool {
    relation.kind != RelationKind::MaterializedView || relation.properties.get(POPULATED).is_some_and(|value| value == "true")
}

pub async fn create(
    session: &mut GatewaySession,
    view: &CreateMaterializedView,
    text: &str,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let name = session.scope(&snapshot).place(&snapshot, &name_parts(&view.name)?)?;
    let schema = snapshot.require_schema(snapshot.require_database(&name.database)?.oid, &name.schema)?.oid;
    authorize::check(&snapshot, &session.principal, ObjectRef::Schema(schema), Privilege::Create)?;
    if snapshot.relation(schema, &name.name).is_some() {
        let text = format!("relation \"{}\" already exists", name.name);
        if !view.if_not_exists {
            return Err(SqlError::new(SqlState::DuplicateTable, text));
        }
        session.notice(SqlError::notice(Severity::Notice, SqlState::DuplicateTable, format!("{text}, skipping")));
        return Ok(Response::Command { tag: "CREATE MATERIALIZED VIEW".to_owned() });
    }
    let names: Vec<String> = view.columns.iter().map(fold).collect();
    let (columns, mut properties) = describe(session, &snapshot, &names, &view.query).await?;
    properties.insert(POPULATED.to_owned(), "false".to_owned());
    let definition = without_data_clause(query_text(text));
    let definition = definition.ok_or_else(|| SqlError::new(SqlState::SyntaxError, "CREATE MATERIALIZED VIEW without its query"))?;
    let location = new_location(&session.shared.warehouse_root, &name);
    let table = NewTable {
        name: name.clone(),
        location: location.clone(),
        columns: columns.iter().map(column_definition).collect(),
        generated: Vec::new(),
        partition_columns: Vec::new(),
        checks: Vec::new(),
        comment: None,
        properties: BTreeMap::new(),
    };
    session.note_created(&location);
    session.engine().create_table(table, context(journal, deadline)).await?;
    let new = NewRelation {
        location: location.clone(),
        columns,
        definition: Some(definition),
        properties,
        ..NewRelation::new(schema, name.name.clone(), RelationKind::MaterializedView)
    };
    let created = session.catalog().create_relation(&session.principal, new).await?;
    journal.note_written([name.clone()]);
    if !view.with_data {
        return Ok(Response::Command { tag: "CREATE MATERIALIZED VIEW".to_owned() });
    }
    match fill(session, &created, deadline, journal).await {
        Ok(rows) => Ok(Response::Command { tag: format!("SELECT {rows}") }),
        Err(error) => {
            if !session.is_staging() {
                let gone = session.catalog().change_relations(&session.principal, vec![RelationChange::Drop(created.oid)]).await?;
                session.note_dropped(gone).await;
            }
            Err(error)
        }
    }
}

pub async fn refresh(
    session: &mut GatewaySession,
    refresh: &Refresh,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let parts = name_parts(&refresh.name)?;
    let name = session.scope(&snapshot).resolve(&snapshot, &parts)?;
    let view = snapshot.relation_by_name(&name).cloned().ok_or_else(|| undefined(&parts))?;
    if view.kind != RelationKind::MaterializedView {
        return Err(SqlError::new(SqlState::FeatureNotSupported, format!("\"{}\" is not a materialized view", view.name)));
    }
    authorize::require_owner(&snapshot, &session.principal, ObjectRef::Relation(view.oid))?;
    if refresh.concurrently && !is_populated(&view) {
        return Err(SqlError::new(
            SqlState::FeatureNotSupported,
            "CONCURRENTLY cannot be used when the materialized view is not populated",
        ));
    }
    if refresh.concurrently && !refresh.with_data {
        return Err(SqlError::new(SqlState::SyntaxError, "REFRESH options CONCURRENTLY and WITH NO DATA cannot be used together"));
    }
    if refresh.with_data {
        fill(session, &view, deadline, journal).await?;
    } else {
        empty(session, &snapshot, &view, &name, deadline, journal).await?;
    }
    Ok(Response::Command { tag: "REFRESH MATERIALIZED VIEW".to_owned() })
}

/// REFRESH by the system itself: what the view read has lost rows that must not live on in it.
///
/// # Errors
/// The query's own.
pub async fn refill(session: &mut GatewaySession, view: &Arc<Relation>, deadline: &Deadline, journal: &Journal) -> Result<(), SqlError> {
    let own = std::mem::replace(&mut session.principal, Principal::new(BOOTSTRAP_ROLE_OID));
    let filled = fill(session, view, deadline, journal).await;
    session.principal = own;
    filled.map(|_| ())
}

/// Replaces the rows; gives their number, 0 where nothing had to be done.
async fn fill(session: &mut GatewaySession, view: &Arc<Relation>, deadline: &Deadline, journal: &Journal) -> Result<u64, SqlError> {
    let snapshot = session.catalog().snapshot();
    let name = snapshot.name_of(view).ok_or_else(|| undefined(std::slice::from_ref(&view.name)))?;
    session.open_change("REFRESH MATERIALIZED VIEW", &name)?;
    let facts = session.facts(&snapshot);
    let reads = view.view_reads().unwrap_or_default();
    let (query, bound) = session.binder(&snapshot, &facts).bind_definition(view, &reads).await?;
    journal.note_read(bound.tables_read.iter().cloned());
    journal.note_written([name.clone()]);
    let versions = versions(session, &snapshot, &query, &bound.relations, &facts).await?;
    if versions.is_some() && is_populated(view) && view.properties.get(VERSIONS) == versions.as_ref() {
        return Ok(0);
    }
    let target = session.binder(&snapshot, &facts).own_table(&name)?;
    let mut statements = vec![(truncate(&name)?, vec![target.clone()])];
    let mut relations = bound.relations;
    relations.push(target);
    statements.push((insert(&name, query)?, relations));
    let rows = change(session, &name, statements, &facts, context(journal, deadline)).await?;
    let properties = BTreeMap::from([(POPULATED.to_owned(), Some("true".to_owned())), (VERSIONS.to_owned(), versions)]);
    record(session, view.oid, properties).await?;
    session.changes_made += 1;
    Ok(rows)
}

/// WITH NO DATA.
async fn empty(
    session: &mut GatewaySession,
    snapshot: &Arc<Snapshot>,
    view: &Arc<Relation>,
    name: &RelationName,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<(), SqlError> {
    session.open_change("REFRESH MATERIALIZED VIEW", name)?;
    let facts = session.facts(snapshot);
    let target = session.binder(snapshot, &facts).own_table(name)?;
    change(session, name, vec![(truncate(name)?, vec![target])], &facts, context(journal, deadline)).await?;
    let properties = BTreeMap::from([(POPULATED.to_owned(), Some("false".to_owned())), (VERSIONS.to_owned(), None)]);
    record(session, view.oid, properties).await?;
    session.changes_made += 1;
    Ok(())
}

async fn record(session: &GatewaySession, view: Oid, properties: BTreeMap<String, Option<String>>) -> Result<(), SqlError> {
    let updates = vec![RelationUpdate::SetProperties(properties)];
    let change = RelationChange::Update { relation: view, updates };
    session.catalog().change_relations(&session.principal, vec![change]).await?;
    Ok(())
}

/// Runs changes of one table as one commit; the rows of the last.
async fn change(
    session: &GatewaySession,
    name: &RelationName,
    statements: Vec<(Statement, Vec<BoundRelation>)>,
    facts: &Arc<SessionFacts>,
    context: ExecutionContext,
) -> Result<u64, SqlError> {
    let own = (!session.is_staging()).then(|| session.engine().begin());
    let mut outcome = Outcome::default();
    for (statement, mut relations) in statements {
        if let Some(own) = &own {
            for relation in relations.iter_mut().filter(|relation| relation.name == *name) {
                if let RelationSource::Table { transaction, .. } = &mut relation.source {
                    *transaction = Some(Arc::clone(own));
                }
            }
        }
        let statement = BoundStatement {
            statement_id: context.statement_id,
            work: Work::Change { statement: Box::new(statement), target: name.clone() },
            relations,
            session: Arc::clone(facts),
            parameter_types: Vec::new(),
            renewable: false,
            keeps_rows_after: None,
        };
        let prepared = session.engine().prepare(statement).await?;
        match prepared.execute(Vec::new(), context.clone()).await? {
            Execution::Done(done) => outcome = done,
            Execution::Rows { .. } | Execution::Returned { .. } => {
                return Err(SqlError::new(SqlState::InternalError, "a change answered rows"));
            }
        }
    }
    if let Some(own) = own {
        own.commit(context).await?;
    }
    Ok(outcome.rows)
}

/// The versions of the tables that the query reads, as it is kept; `None` where its result depends on more: functions, other relations.
async fn versions(
    session: &GatewaySession,
    snapshot: &Snapshot,
    query: &Query,
    relations: &[BoundRelation],
    facts: &Arc<SessionFacts>,
) -> Result<Option<String>, SqlError> {
    let calls = |query: &Query| {
        use std::ops::ControlFlow;
        sqlparser::ast::visit_expressions(query, |expr| match expr {
            Expr::Function(Function { name, .. }) if !is_aggregate(&name.to_string()) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    };
    let plain = relations.iter().all(|relation| match &relation.source {
        RelationSource::Table { transaction, .. } => transaction.is_none(),
        // What it was it stays.
        RelationSource::TableAt { .. } => true,
        // There may be new ones.
        RelationSource::TableChanges { .. } => false,
        RelationSource::View { query, .. } => !calls(query),
        RelationSource::Rows { .. } | RelationSource::Columns { .. } | RelationSource::Log { .. } => false,
    });
    if !plain || calls(query) {
        return Ok(None);
    }
    let statement = BoundStatement {
        statement_id: uuid::Uuid::now_v7(),
        work: Work::Query(Box::new(Statement::Query(Box::new(query.clone())))),
        relations: relations.to_vec(),
        session: Arc::clone(facts),
        parameter_types: Vec::new(),
        renewable: false,
        keeps_rows_after: None,
    };
    let prepared = session.engine().prepare(statement).await?;
    let versions: BTreeMap<Oid, u64> = prepared
        .table_versions()
        .into_iter()
        .filter_map(|(name, version)| Some((snapshot.relation_by_name(&name)?.oid, version)))
        .collect();
    Ok(serde_json::to_string(&versions).ok())
}

/// Functions whose result nothing but their arguments decides; there are more, but a refresh too many does no harm.
fn is_aggregate(name: &str) -> bool {
    ["count", "sum", "avg", "min", "max", "lower", "upper", "coalesce", "abs", "round", "length"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// TRUNCATE in a commit of its own.
///
/// # Errors
/// What the store gives.
pub async fn delete_rows(
    session: &GatewaySession,
    snapshot: &Arc<Snapshot>,
    name: &RelationName,
    facts: &Arc<SessionFacts>,
    context: ExecutionContext,
) -> Result<(), SqlError> {
    let target = session.binder(snapshot, facts).own_table(name)?;
    change(session, name, vec![(truncate(name)?, vec![target])], facts, context).await.map(|_| ())
}

fn truncate(name: &RelationName) -> Result<Statement, SqlError> {
    let mut statement = parsed("TRUNCATE t")?;
    if let Statement::Truncate(truncate) = &mut statement {
        truncate.table_names.iter_mut().for_each(|target| target.name = object_name(name));
    }
    Ok(statement)
}

fn insert(name: &RelationName, query: Query) -> Result<Statement, SqlError> {
    let mut statement = parsed("INSERT INTO t SELECT 1")?;
    if let Statement::Insert(insert) = &mut statement {
        insert.table = sqlparser::ast::TableObject::TableName(object_name(name));
        insert.source = Some(Box::new(query));
    }
    Ok(statement)
}

fn parsed(text: &str) -> Result<Statement, SqlError> {
    let command = crate::sql::parse::parse(text)?.pop().and_then(|parsed| parsed.command).map(Arc::unwrap_or_clone);
    match command {
        Some(crate::sql::grammar::Command::Sql(statement)) => Ok(*statement),
        _ => Err(SqlError::new(SqlState::InternalError, "a statement of our own does not parse")),
    }
}

fn column_definition(column: &Column) -> ColumnDefinition {
    ColumnDefinition { name: column.name.clone(), data_type: column.data_type, not_null: false }
}

/// The query's text ends before WITH [NO] DATA.
fn without_data_clause(text: Option<String>) -> Option<String> {
    let text = text?;
    let trimmed = text.trim_end();
    for clause in [&["with", "no", "data"] as &[&str], &["with", "data"]] {
        let mut rest = trimmed;
        let found = clause.iter().rev().all(|word| {
            let end = rest.trim_end();
            let cut = end.len().saturating_sub(word.len());
            let is_word = end.get(cut..).is_some_and(|tail| tail.eq_ignore_ascii_case(word));
            rest = end.get(..cut).unwrap_or_default();
            is_word && rest.ends_with(|c: char| c.is_whitespace() || c == ')')
        });
        if found {
            return Some(rest.trim_end().to_owned());
        }
    }
    Some(trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::without_data_clause;

    #[test]
    fn the_definition_ends_before_with_data() {
        let cut = |text: &str| without_data_clause(Some(text.to_owned())).unwrap();
        assert_eq!(cut("SELECT a FROM t WITH NO DATA"), "SELECT a FROM t");
        assert_eq!(cut("SELECT a FROM (SELECT 1 AS a)\nwith  data "), "SELECT a FROM (SELECT 1 AS a)");
        assert_eq!(cut("SELECT data FROM with_data"), "SELECT data FROM with_data");
    }
}
