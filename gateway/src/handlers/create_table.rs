//! CREATE TABLE, CREATE TABLE AS, SELECT INTO, and registering a Delta table of another system.

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{self, file_access};
use lakegate_catalog::ddl::{NewConstraint, NewRelation, RelationChange};
use lakegate_catalog::model::{Column, ConstraintKind, ObjectRef, Oid, Privilege, RelationKind, RelationName};
use lakegate_engine_api::{BoundStatement, ColumnDefinition, Execution, ExecutionContext, FilePlace, NewTable, Outcome, Work};
use sqlparser::ast;
use uuid::Uuid;

use super::table_definition::Definition;
use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::facets::{Facets, Mentioned};
use crate::sql::grammar::{CreateTable, name_parts};
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// Runs the statement.
///
/// # Errors
/// 42P07, 42501, 0A000 for clauses that cannot be honoured, and what the query or the store say.
pub async fn run(session: &mut GatewaySession, table: &CreateTable, deadline: &Deadline, journal: &Journal) -> Result<Response, SqlError> {
    refuse_clauses(table)?;
    super::table_properties::check(&table.properties)?;
    let parts = name_parts(&table.sql.name)?;
    let temporary = table.sql.temporary || matches!(parts.as_slice(), [.., schema, _] if schema == "pg_temp");
    if !temporary && table.sql.on_commit.is_some() {
        return Err(SqlError::new(SqlState::InvalidTableDefinition, "ON COMMIT can only be used on temporary tables"));
    }
    if temporary {
        session.open_temporary_schema().await?;
    }
    let snapshot = session.catalog().refresh().await?;
    let Some(place) = place(session, &snapshot, parts, table.sql.if_not_exists, temporary)? else {
        let tag = if table.query.is_some() { "CREATE TABLE AS" } else { "CREATE TABLE" };
        return Ok(Response::Command { tag: tag.to_owned() });
    };
    if let Some(url) = &table.location {
        return register(session, &snapshot, table, place, url).await;
    }
    match &table.query {
        Some(query) => {
            let mut definition = Definition::of(session, &snapshot, table)?;
            definition.properties.extend(on_commit(table));
            if !definition.columns.is_empty() {
                return Err(SqlError::unsupported("CREATE TABLE AS with a column list").hint("Name the columns in the query."));
            }
            create_as(session, place, definition, query, table.with_data, deadline, journal).await
        }
        None => {
            let mut definition = Definition::of(session, &snapshot, table)?;
            definition.properties.extend(on_commit(table));
            if definition.columns.is_empty() {
                return Err(SqlError::unsupported("a table without columns"));
            }
            create(session, &snapshot, place, definition, deadline, journal).await
        }
    }
}

/// `SELECT … INTO t`: CREATE TABLE AS in other words.
///
/// # Errors
/// As [`run`].
pub async fn select_into(
    session: &mut GatewaySession,
    query: &ast::Query,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let mut query = query.clone();
    let into = match query.body.as_mut() {
        ast::SetExpr::Select(select) => select.into.take(),
        _ => None,
    };
    let Some(into) = into else { return Err(SqlError::new(SqlState::InternalError, "SELECT INTO without its table")) };
    if into.temporary {
        session.open_temporary_schema().await?;
    }
    let snapshot = session.catalog().refresh().await?;
    match place(session, &snapshot, name_parts(&into.name)?, false, into.temporary)? {
        Some(place) => create_as(session, place, Definition::default(), &query, true, deadline, journal).await,
        None => Err(SqlError::new(SqlState::InternalError, "SELECT INTO found no place")),
    }
}

/// Where a new table goes.
struct Place {
    name: RelationName,
    schema: Oid,
}

/// `None`: it exists and IF NOT EXISTS was said.
fn place(
    session: &mut GatewaySession,
    snapshot: &Snapshot,
    mut parts: Vec<String>,
    if_not_exists: bool,
    temporary: bool,
) -> Result<Option<Place>, SqlError> {
    if temporary {
        let schema = session.temporary_schema();
        match parts.as_mut_slice() {
            [_] => parts.insert(0, schema),
            [.., given, _] if given == "pg_temp" || *given == schema => *given = schema,
            _ => return Err(crate::sql::temporary::not_in_temporary_schema()),
        }
    }
    let name = session.scope(snapshot).place(snapshot, &parts)?;
    let database = snapshot.require_database(&name.database)?.oid;
    let schema = snapshot.require_schema(database, &name.schema)?.oid;
    // Before any file is made.
    authorize::check(snapshot, &session.principal, ObjectRef::Schema(schema), Privilege::Create)?;
    if snapshot.relation(schema, &name.name).is_some() {
        if !if_not_exists {
            return Err(SqlError::new(SqlState::DuplicateTable, format!("relation \"{}\" already exists", name.name)));
        }
        let text = format!("relation \"{}\" already exists, skipping", name.name);
        session.notice(SqlError::notice(Severity::Notice, SqlState::DuplicateTable, text));
        return Ok(None);
    }
    Ok(Some(Place { name, schema }))
}

async fn create(
    session: &mut GatewaySession,
    snapshot: &Snapshot,
    place: Place,
    mut definition: Definition,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let oid = session.catalog().reserve_oid().await?;
    definition.resolve_foreign_keys(session, snapshot, (&[place.name.schema.clone(), place.name.name.clone()], oid))?;
    let sequences = column_sequences(session, snapshot, &place, oid, &mut definition).await?;
    let location = new_location(&session.shared.warehouse_root, &place.name);
    let columns = definition
        .columns
        .iter()
        .map(|column| ColumnDefinition { name: column.name.clone(), data_type: column.data_type, not_null: column.not_null })
        .collect();
    let table = new_table(&place, &definition, location.clone(), columns);
    session.note_created(&location);
    session.engine().create_table(table, context(journal, deadline)).await?;
    journal.note_written([place.name.clone()]);
    register_managed(session, place, definition, location, Some(oid), sequences).await?;
    Ok(Response::Command { tag: "CREATE TABLE".to_owned() })
}

async fn create_as(
    session: &mut GatewaySession,
    place: Place,
    mut definition: Definition,
    query: &ast::Query,
    with_data: bool,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let snapshot = session.catalog().snapshot();
    let facts = session.facts(&snapshot);
    let mut query = Box::new(query.clone());
    let mentioned = Mentioned::by(query.as_ref());
    let bound = session.binder(&snapshot, &facts).bind(query.as_mut(), &[]).await?;
    journal.note_read(bound.tables_read.iter().cloned());
    journal.note_written([place.name.clone()]);
    let location = new_location(&session.shared.warehouse_root, &place.name);
    let table = new_table(&place, &definition, location.clone(), Vec::new());
    session.note_created(&location);
    let prepared = session
        .engine()
        .prepare(BoundStatement {
            statement_id: journal.statement_id(),
            work: Work::CreateTableAs { table, query, with_data },
            relations: bound.relations.clone(),
            session: facts,
            parameter_types: Vec::new(),
            renewable: false,
            keeps_rows_after: None,
        })
        .await?;
    journal.note_facets(&Facets::of(&snapshot, mentioned, &bound, &[], Some(prepared.as_ref())));
    if !session.transaction.pin(&snapshot, prepared.table_versions()) {
        let message = "could not serialize access: a transaction with the same snapshot has read another version of a table";
        return Err(SqlError::new(SqlState::SerializationFailure, message));
    }
    let outcome = match prepared.execute(Vec::new(), context(journal, deadline)).await {
        Ok(Execution::Done(outcome)) => outcome,
        Ok(Execution::Rows { .. } | Execution::Returned { .. }) => {
            return Err(SqlError::new(SqlState::InternalError, "CREATE TABLE AS answered rows"));
        }
        Err(error) => {
            remove_files(session, &location).await;
            return Err(error.into());
        }
    };
    definition.columns = columns_of(&outcome);
    journal.note_outcome(&outcome);
    register_managed(session, place, definition, location, None, Vec::new()).await?;
    Ok(Response::Command { tag: if with_data { format!("SELECT {}", outcome.rows) } else { "CREATE TABLE AS".to_owned() } })
}

/// The sequences that serial and identity columns bring along; the columns' defaults take their values from them.
async fn column_sequences(
    session: &GatewaySession,
    snapshot: &Snapshot,
    place: &Place,
    table: Oid,
    definition: &mut Definition,
) -> Result<Vec<NewRelation>, SqlError> {
    let mut made: Vec<NewRelation> = Vec::new();
    for sequence in std::mem::take(&mut definition.sequences) {
        let oid = session.catalog().reserve_oid().await?;
        let mut new = super::sequence::of_column(snapshot, (table, place.schema, &place.name.name), oid, &sequence)?;
        while made.iter().any(|other| other.name == new.name) {
            new.name.push('1');
        }
        let call = super::column_text::sequence_call(oid)?.to_string();
        for column in definition.columns.iter_mut().filter(|column| column.name == sequence.column) {
            column.default = Some(call.clone());
        }
        made.push(new);
    }
    Ok(made)
}

/// From here on the table can be seen; a crash before leaves files that no table names.
async fn register_managed(
    session: &mut GatewaySession,
    place: Place,
    definition: Definition,
    location: String,
    oid: Option<Oid>,
    sequences: Vec<NewRelation>,
) -> Result<(), SqlError> {
    let relation = NewRelation {
        oid,
        location: location.clone(),
        columns: definition.columns,
        partition_columns: definition.partition_columns,
        constraints: definition.constraints,
        comment: definition.comment,
        properties: definition.properties,
        ..NewRelation::new(place.schema, place.name.name, RelationKind::ManagedTable)
    };
    let changes = std::iter::once(relation).chain(sequences).map(|new| RelationChange::Create(Box::new(new))).collect();
    if let Err(error) = session.catalog().change_relations(&session.principal, changes).await {
        remove_files(session, &location).await;
        return Err(error.into());
    }
    Ok(())
}

async fn remove_files(session: &GatewaySession, location: &str) {
    if let Err(error) = session.engine().drop_table(location).await {
        tracing::warn!(%error, "files of a table that was not created could not be deleted");
    }
}

async fn register(
    session: &mut GatewaySession,
    snapshot: &Snapshot,
    table: &CreateTable,
    place: Place,
    url: &str,
) -> Result<Response, SqlError> {
    if table.query.is_some() || !table.sql.columns.is_empty() || !table.partitioned_by.is_empty() {
        return Err(SqlError::unsupported("LOCATION with a column list or a query")
            .hint("Columns and partitions come from the Delta table: CREATE TABLE t USING DELTA LOCATION 'url'."));
    }
    let access = file_access(snapshot, &session.principal, url, Privilege::ReadFiles)?;
    let location = access.url().directory().to_string();
    let folder = FilePlace { url: location.clone(), within: access.location().url.clone() };
    let described = session.engine().describe_table(&folder).await?;
    let columns = described.columns.into_iter().map(column).collect();
    let constraints =
        described.checks.into_iter().map(|(name, text)| NewConstraint { name: Some(name), kind: ConstraintKind::Check(text) }).collect();
    let relation = NewRelation {
        location,
        columns,
        partition_columns: described.partition_columns,
        constraints,
        comment: table.comment.clone().or(described.comment),
        properties: described.properties,
        ..NewRelation::new(place.schema, place.name.name, RelationKind::ExternalTable)
    };
    session.catalog().create_relation(&session.principal, relation).await?;
    Ok(Response::Command { tag: "CREATE TABLE".to_owned() })
}

pub fn context(journal: &Journal, deadline: &Deadline) -> ExecutionContext {
    ExecutionContext { statement_id: journal.statement_id(), cancel: deadline.token().clone() }
}

fn columns_of(outcome: &Outcome) -> Vec<Column> {
    outcome.columns.iter().cloned().map(column).collect()
}

fn column(definition: ColumnDefinition) -> Column {
    Column { not_null: definition.not_null, ..Column::new(definition.name, definition.data_type) }
}

fn new_table(place: &Place, definition: &Definition, location: String, columns: Vec<ColumnDefinition>) -> NewTable {
    let checks = definition
        .constraints
        .iter()
        .filter_map(|constraint| match (&constraint.name, &constraint.kind) {
            (Some(name), ConstraintKind::Check(text)) => Some((name.clone(), text.clone())),
            _ => None,
        })
        .collect();
    NewTable {
        name: place.name.clone(),
        location,
        columns,
        generated: generated(definition),
        partition_columns: definition.partition_columns.clone(),
        checks,
        comment: definition.comment.clone(),
        properties: definition
            .properties
            .iter()
            .filter(|(key, _)| !key.starts_with("lakegate."))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    }
}

/// (column, SQL text) of generated columns.
fn generated(definition: &Definition) -> Vec<(String, String)> {
    definition.columns.iter().filter_map(|column| Some((column.name.clone(), column.generated.clone()?))).collect()
}

/// `<root><database>/<schema>/<name>_<random>/`: a table of the same name made later never meets its predecessor's files.
pub fn new_location(root: &str, name: &RelationName) -> String {
    let plain = |part: &str| part.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect::<String>();
    let id = Uuid::new_v4().simple().to_string();
    let id = id.get(..12).unwrap_or(&id);
    format!("{root}{}/{}/{}_{id}/", plain(&name.database), plain(&name.schema), plain(&name.name))
}

fn on_commit(table: &CreateTable) -> Option<(String, String)> {
    let action = crate::sql::temporary::on_commit(table.sql.on_commit?)?;
    Some((crate::sql::temporary::ON_COMMIT.to_owned(), action.to_owned()))
}

fn refuse_clauses(table: &CreateTable) -> Result<(), SqlError> {
    let sql = &table.sql;
    let refused: &[(bool, &str)] = &[
        (sql.or_replace, "CREATE OR REPLACE TABLE"),
        (sql.external, "CREATE EXTERNAL TABLE"),
        (sql.like.is_some(), "CREATE TABLE … LIKE"),
        (sql.clone.is_some(), "CREATE TABLE … CLONE"),
        (sql.inherits.is_some(), "INHERITS"),
        (sql.partition_of.is_some(), "PARTITION OF"),
        (sql.cluster_by.is_some() || sql.clustered_by.is_some(), "CLUSTER BY"),
        (sql.transient || sql.volatile || sql.iceberg || sql.dynamic, "this kind of table"),
        (!has_heap_parameters_alone(&sql.table_options), "these storage parameters in WITH"),
    ];
    if let Some((_, what)) = refused.iter().find(|(present, _)| *present) {
        return Err(SqlError::unsupported(what));
    }
    if sql.partition_by.is_some() {
        return Err(SqlError::unsupported("PARTITION BY in CREATE TABLE").hint("Use PARTITIONED BY (column, …)."));
    }
    Ok(())
}

/// How PostgreSQL's heap fills and cleans its pages: nothing that a Delta table has, and nothing that its user can see.
const HEAP_PARAMETERS: &[&str] = &["fillfactor", "parallel_workers", "toast_tuple_target", "vacuum_truncate"];

fn has_heap_parameters_alone(options: &ast::CreateTableOptions) -> bool {
    let of_heap = |name: &str| {
        let name = name.to_ascii_lowercase();
        HEAP_PARAMETERS.contains(&name.as_str()) || name.starts_with("autovacuum_")
    };
    match options {
        ast::CreateTableOptions::None => true,
        ast::CreateTableOptions::With(options) => {
            options.iter().all(|option| matches!(option, ast::SqlOption::KeyValue { key, .. } if of_heap(&key.value)))
        }
        _ => false,
    }
}
