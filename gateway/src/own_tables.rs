//! Delta tables of the program itself, under `_lakegate/` of the warehouse root. They are in no catalog: a statement reaches them only as
//! part of what the gateway binds for a system relation.

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch, StringArray, StringViewArray};
use futures::{StreamExt, TryStreamExt};
use lakegate_catalog::authorize;
use lakegate_catalog::model::{Column, Oid, PgType, RelationName};
use lakegate_engine_api::{
    BoundRelation, BoundStatement, ColumnDefinition, Engine, EngineError, Execution, ExecutionContext, FilePlace, NewTable, Outcome,
    RelationSource, RowStream, SessionFacts, Work,
};
use sqlparser::ast::Statement;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::sql::bind::SYSTEM_DATABASE;
use crate::sqlstate::{SqlError, SqlState};

const FOLDER: &str = "_lakegate";
/// Between a system relation's name and what tells its parts apart; no identifier of a user's holds it.
pub const MARK: char = '\u{1}';

/// A table of the program.
pub struct OwnTable {
    /// The system relation that it is part of.
    pub schema: &'static str,
    pub relation: &'static str,
    /// Under [`FOLDER`].
    pub folder: &'static str,
    pub columns: &'static [(&'static str, PgType)],
    pub partitioned_by: &'static [&'static str],
    /// Delta table properties.
    pub properties: &'static [(&'static str, &'static str)],
}

impl OwnTable {
    /// The name by which it is bound.
    #[must_use]
    pub fn name(&self) -> RelationName {
        part_of(self.schema, self.relation, "stored")
    }

    #[must_use]
    pub fn location(&self, root: &str) -> String {
        format!("{root}{FOLDER}/{}/", self.folder)
    }

    /// All of it, at a version or as it is. `runs_as`: the role of the view that reads it.
    #[must_use]
    pub fn bound(&self, root: &str, version: Option<u64>, runs_as: Option<Oid>) -> BoundRelation {
        let columns = self.columns.iter().map(|(name, data_type)| Column::new(*name, *data_type)).collect();
        let partitions = self.partitioned_by.iter().map(|name| (*name).to_owned()).collect();
        let table = authorize::open_program_table(&self.name(), self.location(root), columns, partitions);
        BoundRelation { name: self.name(), runs_as, source: RelationSource::Table { table, version, transaction: None, policies: None } }
    }

    /// Makes it unless it is there.
    ///
    /// # Errors
    /// The store's.
    pub async fn make(&self, engine: &dyn Engine, root: &str) -> Result<(), SqlError> {
        let place = FilePlace { url: self.location(root), within: root.to_owned() };
        match engine.describe_table(&place).await {
            Ok(_) => return Ok(()),
            Err(EngineError::NotADeltaTable) => {}
            Err(error) => return Err(error.into()),
        }
        let columns = self.columns.iter();
        let table = NewTable {
            name: self.name(),
            location: self.location(root),
            columns: columns
                .map(|(name, data_type)| ColumnDefinition { name: (*name).to_owned(), data_type: *data_type, not_null: false })
                .collect(),
            generated: Vec::new(),
            partition_columns: self.partitioned_by.iter().map(|name| (*name).to_owned()).collect(),
            checks: Vec::new(),
            comment: None,
            properties: self.properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        match engine.create_table(table, context()).await {
            Ok(()) => Ok(()),
            // Another gateway may have been faster.
            Err(error) => engine.describe_table(&place).await.map(drop).map_err(|_| error.into()),
        }
    }

    /// Adds rows in one commit.
    ///
    /// # Errors
    /// The store's; nothing was added then.
    pub async fn append(
        &self,
        engine: &dyn Engine,
        root: &str,
        rows: Vec<RecordBatch>,
        facts: Arc<SessionFacts>,
    ) -> Result<Outcome, SqlError> {
        let rows = futures::stream::iter(rows.into_iter().map(Ok)).boxed();
        Ok(engine.append(self.bound(root, None, None), rows, facts, context()).await?)
    }

    /// Answers a query of our own, which calls the table by [`OwnTable::sql_name`].
    ///
    /// # Errors
    /// The engine's.
    pub async fn query(
        &self,
        engine: &dyn Engine,
        root: &str,
        version: Option<u64>,
        text: &str,
        facts: Arc<SessionFacts>,
    ) -> Result<RowStream, SqlError> {
        let query = crate::sql::parse::parse_query(text)?;
        let work = Work::Query(Box::new(Statement::Query(Box::new(query))));
        match run(engine, work, vec![self.bound(root, version, None)], facts).await? {
            Execution::Rows { stream, .. } => Ok(stream),
            Execution::Done(_) | Execution::Returned { .. } => Err(internal("a query of our own answers no rows")),
        }
    }

    /// As it is written in a query of our own.
    #[must_use]
    pub fn sql_name(&self) -> String {
        sql_name(&self.name())
    }
}

/// The name of a part of a system relation.
#[must_use]
pub fn part_of(schema: &str, relation: &str, part: &str) -> RelationName {
    RelationName { database: SYSTEM_DATABASE.to_owned(), schema: schema.to_owned(), name: format!("{relation}{MARK}{part}") }
}

#[must_use]
pub fn sql_name(name: &RelationName) -> String {
    crate::privacy::table_name(name)
}

/// Work of our own over relations of our own.
///
/// # Errors
/// The engine's.
pub async fn run(engine: &dyn Engine, work: Work, relations: Vec<BoundRelation>, facts: Arc<SessionFacts>) -> Result<Execution, SqlError> {
    let statement = BoundStatement {
        statement_id: Uuid::now_v7(),
        work,
        relations,
        session: facts,
        parameter_types: Vec::new(),
        renewable: false,
        keeps_rows_after: None,
    };
    Ok(engine.prepare(statement).await?.execute(Vec::new(), context()).await?)
}

#[must_use]
pub fn context() -> ExecutionContext {
    ExecutionContext { statement_id: Uuid::now_v7(), cancel: CancellationToken::new() }
}

/// The rows' columns of text.
///
/// # Errors
/// The stream's; XX000 for other columns.
pub async fn texts(mut rows: RowStream) -> Result<Vec<Vec<Option<String>>>, SqlError> {
    let mut found = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        let columns: Vec<StringArray> = batch.columns().iter().map(text_column).collect::<Result<_, _>>()?;
        let value = |column: &StringArray, at: usize| column.is_valid(at).then(|| column.value(at).to_owned());
        found.extend((0..batch.num_rows()).map(|at| columns.iter().map(|column| value(column, at)).collect::<Vec<_>>()));
    }
    Ok(found)
}

fn text_column(array: &ArrayRef) -> Result<StringArray, SqlError> {
    if let Some(texts) = array.as_any().downcast_ref::<StringArray>() {
        return Ok(texts.clone());
    }
    match array.as_any().downcast_ref::<StringViewArray>() {
        Some(texts) => Ok(texts.iter().collect()),
        None => Err(internal("a text of our own has another type")),
    }
}

pub fn internal(error: impl std::fmt::Display) -> SqlError {
    SqlError::new(SqlState::InternalError, format!("internal error: {error}"))
}
