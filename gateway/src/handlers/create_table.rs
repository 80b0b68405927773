//! CREATE TABLE, CREATE TABLE AS, SELECT INTO, and registering a Delta table of another system.

use std::collections::BTreeMap;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::{self, file_access};
use lakegate_catalog::ddl::{NewConstraint, NewRelation};
use lakegate_catalog::model::{Column, ConstraintKind, ObjectRef, Oid, PgType, Privilege, RelationKind, RelationName};
use lakegate_engine_api::{BoundStatement, ColumnDefinition, Execution, ExecutionContext, NewTable, Outcome, Work};
use sqlparser::ast::{self, ColumnOption, TableConstraint};
use uuid::Uuid;

use crate::frontend::Response;
use crate::sql::execute::Deadline;
use crate::sql::grammar::{CreateTable, fold, name_parts};
use crate::sql::journal::Journal;
use crate::sql::session::GatewaySession;
use crate::sql::types::column_type;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// Columns of a table in PostgreSQL's limit, which clients rely on.
const COLUMNS_MAX: usize = 1_600;

/// Runs the statement.
///
/// # Errors
/// 42P07, 42501, 0A000 for clauses that cannot be honoured, and what the query or the store say.
pub async fn run(session: &mut GatewaySession, table: &CreateTable, deadline: &Deadline, journal: &Journal) -> Result<Response, SqlError> {
    refuse_clauses(table)?;
    let snapshot = session.catalog().refresh().await?;
    let Some(place) = place(session, &snapshot, &table.sql.name, table.sql.if_not_exists)? else {
        let tag = if table.query.is_some() { "CREATE TABLE AS" } else { "CREATE TABLE" };
        return Ok(Response::Command { tag: tag.to_owned() });
    };
    if let Some(url) = &table.location {
        return register(session, &snapshot, table, place, url).await;
    }
    match &table.query {
        Some(query) => {
            let definition = Definition::of(table)?;
            if !definition.columns.is_empty() {
                return Err(SqlError::unsupported("CREATE TABLE AS with a column list").hint("Name the columns in the query."));
            }
            create_as(session, place, definition, query, table.with_data, deadline, journal).await
        }
        None => create(session, place, Definition::of(table)?, deadline, journal).await,
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
        return Err(SqlError::unsupported("SELECT INTO TEMPORARY"));
    }
    let snapshot = session.catalog().refresh().await?;
    match place(session, &snapshot, &into.name, false)? {
        Some(place) => create_as(session, place, Definition::default(), &query, true, deadline, journal).await,
        None => Err(SqlError::new(SqlState::InternalError, "SELECT INTO found no place")),
    }
}

/// Where a new table goes.
struct Place {
    name: RelationName,
    schema: Oid,
}

/// What the statement says of the table.
#[derive(Default)]
struct Definition {
    columns: Vec<Column>,
    partition_columns: Vec<String>,
    constraints: Vec<NewConstraint>,
    comment: Option<String>,
    properties: BTreeMap<String, String>,
}

/// `None`: it exists and IF NOT EXISTS was said.
fn place(
    session: &mut GatewaySession,
    snapshot: &Snapshot,
    name: &ast::ObjectName,
    if_not_exists: bool,
) -> Result<Option<Place>, SqlError> {
    let name = session.scope(snapshot).place(snapshot, &name_parts(name)?)?;
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
    place: Place,
    definition: Definition,
    deadline: &Deadline,
    journal: &Journal,
) -> Result<Response, SqlError> {
    let location = new_location(&session.shared.warehouse_root, &place.name);
    let columns = definition
        .columns
        .iter()
        .map(|column| ColumnDefinition { name: column.name.clone(), data_type: column.data_type, not_null: column.not_null })
        .collect();
    let table = new_table(&place, &definition, location.clone(), columns);
    session.note_created(&location);
    session.shared.engine.create_table(table, context(journal, deadline)).await?;
    journal.note_written([place.name.clone()]);
    register_managed(session, place, definition, location).await?;
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
    let bound = session.binder(&snapshot, &facts).bind(query.as_mut(), None).await?;
    journal.note_read(bound.tables_read.iter().cloned());
    journal.note_written([place.name.clone()]);
    let location = new_location(&session.shared.warehouse_root, &place.name);
    let table = new_table(&place, &definition, location.clone(), Vec::new());
    session.note_created(&location);
    let prepared = session
        .shared
        .engine
        .prepare(BoundStatement {
            statement_id: journal.statement_id(),
            work: Work::CreateTableAs { table, query, with_data },
            relations: bound.relations,
            session: facts,
            parameter_types: Vec::new(),
        })
        .await?;
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
    register_managed(session, place, definition, location).await?;
    Ok(Response::Command { tag: if with_data { format!("SELECT {}", outcome.rows) } else { "CREATE TABLE AS".to_owned() } })
}

/// From here on the table can be seen; a crash before leaves files that no table names.
async fn register_managed(session: &mut GatewaySession, place: Place, definition: Definition, location: String) -> Result<(), SqlError> {
    let relation = NewRelation {
        oid: None,
        schema: place.schema,
        name: place.name.name,
        kind: RelationKind::ManagedTable,
        location: location.clone(),
        columns: definition.columns,
        partition_columns: definition.partition_columns,
        constraints: definition.constraints,
        definition: None,
        comment: definition.comment,
        properties: definition.properties,
    };
    if let Err(error) = session.catalog().create_relation(&session.principal, relation).await {
        remove_files(session, &location).await;
        return Err(error.into());
    }
    Ok(())
}

async fn remove_files(session: &GatewaySession, location: &str) {
    if let Err(error) = session.shared.engine.drop_table(location).await {
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
    let described = session.shared.engine.describe_table(&location).await?;
    let columns = described.columns.into_iter().map(column).collect();
    let constraints =
        described.checks.into_iter().map(|(name, text)| NewConstraint { name: Some(name), kind: ConstraintKind::Check(text) }).collect();
    let relation = NewRelation {
        oid: None,
        schema: place.schema,
        name: place.name.name,
        kind: RelationKind::ExternalTable,
        location,
        columns,
        partition_columns: described.partition_columns,
        constraints,
        definition: None,
        comment: table.comment.clone().or(described.comment),
        properties: described.properties,
    };
    session.catalog().create_relation(&session.principal, relation).await?;
    Ok(Response::Command { tag: "CREATE TABLE".to_owned() })
}

fn context(journal: &Journal, deadline: &Deadline) -> ExecutionContext {
    ExecutionContext { statement_id: journal.statement_id(), cancel: deadline.token().clone() }
}

fn columns_of(outcome: &Outcome) -> Vec<Column> {
    outcome.columns.iter().cloned().map(column).collect()
}

fn column(definition: ColumnDefinition) -> Column {
    Column { name: definition.name, data_type: definition.data_type, not_null: definition.not_null, default: None, comment: None }
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
        partition_columns: definition.partition_columns.clone(),
        checks,
        comment: definition.comment.clone(),
        properties: definition.properties.clone(),
    }
}

/// `<root><database>/<schema>/<name>_<random>/`: a table of the same name made later never meets its predecessor's files.
fn new_location(root: &str, name: &RelationName) -> String {
    let plain = |part: &str| part.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect::<String>();
    let id = Uuid::new_v4().simple().to_string();
    let id = id.get(..12).unwrap_or(&id);
    format!("{root}{}/{}/{}_{id}/", plain(&name.database), plain(&name.schema), plain(&name.name))
}

/// One column's definition, and the constraints written with it.
///
/// # Errors
/// 42704 and 0A000 for its type, 0A000 for options that cannot be honoured.
pub fn column_definition(table: &str, definition: &ast::ColumnDef) -> Result<(Column, Vec<NewConstraint>), SqlError> {
    let mut made = Definition::default();
    made.add_column(table, definition)?;
    match made.columns.pop() {
        Some(column) => Ok((column, made.constraints)),
        None => Err(SqlError::new(SqlState::InternalError, "a column definition made no column")),
    }
}

impl Definition {
    fn of(table: &CreateTable) -> Result<Self, SqlError> {
        let mut definition = Definition { comment: table.comment.clone(), properties: table.properties.clone(), ..Definition::default() };
        if table.sql.columns.len() > COLUMNS_MAX {
            return Err(SqlError::new(SqlState::TooManyColumns, format!("tables can have at most {COLUMNS_MAX} columns")));
        }
        let table_name = table.sql.name.0.last().map(ToString::to_string).unwrap_or_default().trim_matches('"').to_owned();
        for column in &table.sql.columns {
            definition.add_column(&table_name, column)?;
        }
        for constraint in &table.sql.constraints {
            definition.add_constraint(&table_name, constraint)?;
        }
        for name in &table.partitioned_by {
            let column = definition.columns.iter().find(|column| column.name == *name);
            if !definition.columns.is_empty() {
                let column = column.ok_or_else(|| {
                    SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" named in partition key does not exist"))
                })?;
                check_partition_type(column)?;
            }
            definition.partition_columns.push(name.clone());
        }
        Ok(definition)
    }

    fn add_column(&mut self, table: &str, definition: &ast::ColumnDef) -> Result<(), SqlError> {
        let name = fold(&definition.name);
        if self.columns.iter().any(|column| column.name == name) {
            return Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        let mut column =
            Column { data_type: column_type(&definition.data_type)?, not_null: false, default: None, comment: None, name: name.clone() };
        for option in &definition.options {
            let given = option.name.as_ref().map(fold);
            match &option.option {
                ColumnOption::Null => column.not_null = false,
                ColumnOption::NotNull => column.not_null = true,
                ColumnOption::Default(value) => column.default = Some(value.to_string()),
                ColumnOption::Comment(text) => column.comment = Some(text.clone()),
                ColumnOption::Check(check) => self.add_check(table, Some(&name), given.or(check.name.as_ref().map(fold)), &check.expr),
                ColumnOption::PrimaryKey(key) => {
                    column.not_null = true;
                    self.constraints.push(NewConstraint {
                        name: given.or(key.name.as_ref().map(fold)),
                        kind: ConstraintKind::PrimaryKey(vec![name.clone()]),
                    });
                }
                ColumnOption::Unique(key) => self
                    .constraints
                    .push(NewConstraint { name: given.or(key.name.as_ref().map(fold)), kind: ConstraintKind::Unique(vec![name.clone()]) }),
                other => return Err(SqlError::unsupported(format!("the column option {other}"))),
            }
        }
        self.columns.push(column);
        Ok(())
    }

    fn add_constraint(&mut self, table: &str, constraint: &TableConstraint) -> Result<(), SqlError> {
        match constraint {
            TableConstraint::Check(check) => self.add_check(table, None, check.name.as_ref().map(fold), &check.expr),
            TableConstraint::PrimaryKey(key) => {
                let columns = self.key_columns(&key.columns)?;
                for column in self.columns.iter_mut().filter(|column| columns.contains(&column.name)) {
                    column.not_null = true;
                }
                self.constraints.push(NewConstraint { name: key.name.as_ref().map(fold), kind: ConstraintKind::PrimaryKey(columns) });
            }
            TableConstraint::Unique(key) => {
                let columns = self.key_columns(&key.columns)?;
                self.constraints.push(NewConstraint { name: key.name.as_ref().map(fold), kind: ConstraintKind::Unique(columns) });
            }
            other => return Err(SqlError::unsupported(format!("the constraint {other}"))),
        }
        Ok(())
    }

    /// A Delta constraint needs its name before the catalog could choose one: PostgreSQL's, `table_column_check`.
    fn add_check(&mut self, table: &str, column: Option<&str>, name: Option<String>, expr: &ast::Expr) {
        let base = name.unwrap_or_else(|| column.map_or_else(|| format!("{table}_check"), |column| format!("{table}_{column}_check")));
        let taken = |name: &str| self.constraints.iter().any(|constraint| constraint.name.as_deref() == Some(name));
        let name = std::iter::once(base.clone()).chain((1..).map(|n| format!("{base}{n}"))).find(|name| !taken(name)).unwrap_or(base);
        self.constraints.push(NewConstraint { name: Some(name), kind: ConstraintKind::Check(expr.to_string()) });
    }

    fn key_columns(&self, columns: &[ast::IndexColumn]) -> Result<Vec<String>, SqlError> {
        columns
            .iter()
            .map(|column| match &column.column.expr {
                ast::Expr::Identifier(name) if self.columns.iter().any(|column| column.name == fold(name)) => Ok(fold(name)),
                other => Err(SqlError::new(SqlState::UndefinedColumn, format!("column \"{other}\" named in key does not exist"))),
            })
            .collect()
    }
}

fn check_partition_type(column: &Column) -> Result<(), SqlError> {
    let unfit = PgType::element_of(column.data_type.oid).is_some() || column.data_type == PgType::BYTEA;
    if unfit {
        return Err(SqlError::unsupported(format!("partitioning by column \"{}\" of its type", column.name)));
    }
    Ok(())
}

fn refuse_clauses(table: &CreateTable) -> Result<(), SqlError> {
    let sql = &table.sql;
    let refused: &[(bool, &str)] = &[
        (sql.temporary, "a temporary table"),
        (sql.or_replace, "CREATE OR REPLACE TABLE"),
        (sql.external, "CREATE EXTERNAL TABLE"),
        (sql.like.is_some(), "CREATE TABLE … LIKE"),
        (sql.clone.is_some(), "CREATE TABLE … CLONE"),
        (sql.inherits.is_some(), "INHERITS"),
        (sql.partition_of.is_some(), "PARTITION OF"),
        (sql.on_commit.is_some(), "ON COMMIT"),
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
