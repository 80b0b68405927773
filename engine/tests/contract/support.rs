//! An engine, a catalog that lets the tests open tables, and statements from text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use chrono::Utc;
use futures::TryStreamExt;
use lakegate_catalog::authorize::{Access, Principal, open_table};
use lakegate_catalog::ddl::NewRelation;
use lakegate_catalog::model::{BOOTSTRAP_ROLE_OID, Column, Oid, RelationKind, RelationName};
use lakegate_catalog::{Bootstrap, Catalog, CatalogOptions, Kek};
use lakegate_engine::{EngineOptions, LocalEngine};
use lakegate_engine_api::{
    AdvisoryRequest, AdvisoryTaken, BoundRelation, BoundStatement, CatalogLookup, ColumnDefinition, Engine, EngineError, Execution,
    ExecutionContext, FilePlace, Outcome, RelationSource, SessionFacts, SessionSignal, Signalled, Work,
};
use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Where a test's files lie, and may.
pub fn place(url: &str) -> FilePlace {
    FilePlace { url: url.to_owned(), within: url.to_owned() }
}

pub struct World {
    pub engine: Arc<dyn Engine>,
    pub catalog: Catalog,
    pub dir: tempfile::TempDir,
    pub facts: Arc<SessionFacts>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut EngineOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = EngineOptions::new(512 << 20, dir.path().join("spill"));
        change(&mut options);
        let engine = crate::transport::reached(LocalEngine::new(options).unwrap()).await;
        let kek = Kek::generate().unwrap();
        let url = format!("sqlite://{}", dir.path().join("catalog.db").display());
        let catalog = Catalog::open(CatalogOptions::new(url, kek)).await.unwrap();
        catalog.bootstrap(Bootstrap { admin_password: Some("secret".to_owned().into()) }).await.unwrap();
        Self { engine, catalog, dir, facts: Arc::new(facts()) }
    }

    pub fn url(&self, name: &str) -> String {
        format!("file://{}/", self.dir.path().join("tables").join(name).display())
    }

    /// Registers the table at a folder under `main.public.name`, with what its log says.
    pub async fn register(&self, name: &str, location: &str) -> Result<(), EngineError> {
        let described = self.engine.describe_table(&place(location)).await?;
        self.register_as(name, location, &described.columns, &described.partition_columns, &[]).await;
        Ok(())
    }

    pub async fn register_as(
        &self,
        name: &str,
        location: &str,
        columns: &[ColumnDefinition],
        partition_columns: &[String],
        defaults: &[(&str, &str)],
    ) {
        let snapshot = self.catalog.snapshot();
        let database = snapshot.require_database("main").unwrap().oid;
        let schema = snapshot.require_schema(database, "public").unwrap().oid;
        let columns = columns.iter().map(|column| Column {
            not_null: column.not_null,
            default: defaults.iter().find(|(name, _)| *name == column.name).map(|(_, text)| (*text).to_owned()),
            ..Column::new(&column.name, column.data_type)
        });
        let new = NewRelation {
            location: location.to_owned(),
            columns: columns.collect(),
            partition_columns: partition_columns.to_vec(),
            ..NewRelation::new(schema, name, RelationKind::ManagedTable)
        };
        self.catalog.create_relation(&Principal::new(BOOTSTRAP_ROLE_OID), new).await.unwrap();
    }

    pub fn relation(&self, name: &str, version: Option<u64>) -> BoundRelation {
        let name = relation_name(name);
        let access = Access { select: true, insert: true, update: true, delete: true, truncate: true };
        let table = open_table(&self.catalog.snapshot(), &Principal::new(BOOTSTRAP_ROLE_OID), &name, access).unwrap();
        BoundRelation::new(name, RelationSource::Table { table, version, transaction: None, policies: None })
    }

    pub fn bound(&self, work: Work, tables: &[&str]) -> BoundStatement {
        BoundStatement {
            statement_id: Uuid::new_v4(),
            work,
            relations: tables.iter().map(|name| self.relation(name, None)).collect(),
            session: Arc::clone(&self.facts),
            parameter_types: Vec::new(),
            renewable: false,
            keeps_rows_after: None,
        }
    }

    /// Rows of a query over tables written as `main.public.t`.
    pub async fn query(&self, sql: &str, tables: &[&str]) -> Result<Vec<RecordBatch>, EngineError> {
        self.query_with(sql, tables, Vec::new()).await
    }

    pub async fn query_with(&self, sql: &str, tables: &[&str], parameters: Vec<ArrayRef>) -> Result<Vec<RecordBatch>, EngineError> {
        let statement = self.bound(Work::Query(Box::new(parse(sql))), tables);
        self.rows(statement, parameters).await
    }

    pub async fn rows(&self, statement: BoundStatement, parameters: Vec<ArrayRef>) -> Result<Vec<RecordBatch>, EngineError> {
        let prepared = self.engine.prepare(statement).await?;
        match prepared.execute(parameters, context()).await? {
            Execution::Rows { stream, .. } | Execution::Returned { stream, .. } => stream.try_collect().await,
            Execution::Done(_) => panic!("rows were expected"),
        }
    }

    /// INSERT, UPDATE, DELETE or TRUNCATE of `target`.
    pub async fn change(&self, sql: &str, target: &str, tables: &[&str]) -> Result<Outcome, EngineError> {
        let work = Work::Change { statement: Box::new(parse(sql)), target: relation_name(target) };
        self.done(self.bound(work, tables)).await
    }

    pub async fn done(&self, statement: BoundStatement) -> Result<Outcome, EngineError> {
        let prepared = self.engine.prepare(statement).await?;
        match prepared.execute(Vec::new(), context()).await? {
            Execution::Done(outcome) => Ok(outcome),
            Execution::Rows { .. } | Execution::Returned { .. } => panic!("no rows were expected"),
        }
    }

    /// One line a row, values with `|` between, sorted.
    pub async fn lines(&self, sql: &str, tables: &[&str]) -> Vec<String> {
        let mut lines = lines(&self.query(sql, tables).await.unwrap());
        lines.sort();
        lines
    }
}

pub fn context() -> ExecutionContext {
    ExecutionContext { statement_id: Uuid::new_v4(), cancel: CancellationToken::new() }
}

pub fn relation_name(name: &str) -> RelationName {
    RelationName { database: "main".to_owned(), schema: "public".to_owned(), name: name.to_owned() }
}

pub fn parse(sql: &str) -> Statement {
    Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0)
}

pub fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| {
                let options = arrow::util::display::FormatOptions::default().with_null("NULL");
                (0..column.len())
                    .map(|row| {
                        let formatter = arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap();
                        formatter.value(row).to_string()
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

/// All Parquet files in a folder.
pub fn parquet_rows(folder: &Path) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".parquet") || name.starts_with('.') {
            continue;
        }
        let file = std::fs::File::open(&path).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    batches
}

pub fn facts() -> SessionFacts {
    SessionFacts {
        session_user: "admin".to_owned(),
        current_user: "admin".to_owned(),
        database: "main".to_owned(),
        search_path: vec!["public".to_owned()],
        time_zone: "UTC".to_owned(),
        backend_pid: 1,
        client_address: None,
        server_address: None,
        statement_time: Utc::now(),
        transaction_time: Utc::now(),
        server_start_time: Utc::now(),
        settings: Arc::new(BTreeMap::new()),
        lookup: Arc::new(Lookup::default()),
    }
}

type Named = Arc<dyn Fn(Oid) -> Option<String> + Send + Sync>;
type Locked = Arc<dyn Fn(AdvisoryRequest) -> AdvisoryTaken + Send + Sync>;

/// A catalog that knows nothing but what a test says.
#[derive(Default, Clone)]
pub struct Lookup {
    pub roles: Option<Named>,
    pub locks: Option<Locked>,
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookup")
    }
}

impl CatalogLookup for Lookup {
    fn role_name(&self, role: Oid) -> Option<String> {
        self.roles.as_ref()?(role)
    }

    fn take_advisory_lock(&self, request: AdvisoryRequest) -> AdvisoryTaken {
        match &self.locks {
            Some(locks) => locks(request),
            None => Box::pin(std::future::ready(Ok(false))),
        }
    }

    fn role_oid(&self, _name: &str) -> Option<Oid> {
        None
    }

    fn relation_name(&self, _relation: Oid) -> Option<(String, String)> {
        None
    }

    fn relation_oid(&self, _schema: Option<&str>, _name: &str) -> Option<Oid> {
        None
    }

    fn relation_is_visible(&self, _relation: Oid) -> bool {
        false
    }

    fn schema_name(&self, _schema: Oid) -> Option<String> {
        None
    }

    fn schema_oid(&self, _name: &str) -> Option<Oid> {
        None
    }

    fn database_name(&self, _database: Oid) -> Option<String> {
        None
    }

    fn database_oid(&self, _name: &str) -> Option<Oid> {
        None
    }

    fn type_name(&self, _oid: Oid) -> Option<(String, String)> {
        None
    }

    fn type_oid(&self, _schema: Option<&str>, _name: &str) -> Option<Oid> {
        None
    }

    fn type_is_visible(&self, _oid: Oid) -> bool {
        false
    }

    fn function_name(&self, _function: Oid) -> Option<(String, String)> {
        None
    }

    fn functions_named(&self, _name: &str) -> Vec<Oid> {
        Vec::new()
    }

    fn function_argument_types(&self, _function: Oid) -> Option<Vec<Oid>> {
        None
    }

    fn function_arguments(&self, _function: Oid) -> Option<String> {
        None
    }

    fn function_result(&self, _function: Oid) -> Option<String> {
        None
    }

    fn comment(&self, _object: Oid, _class: Oid, _column: i32) -> Option<String> {
        None
    }

    fn view_definition(&self, _relation: Oid, _pretty: bool) -> Option<String> {
        None
    }

    fn constraint_definition(&self, _constraint: Oid, _pretty: bool) -> Option<String> {
        None
    }

    fn has_relation_privilege(&self, _role: Option<Oid>, _relation: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn has_column_privilege(
        &self,
        _role: Option<Oid>,
        _relation: Oid,
        _column: lakegate_engine_api::ColumnOf<'_>,
        _privilege: &str,
    ) -> lakegate_engine_api::ColumnPrivilege {
        lakegate_engine_api::ColumnPrivilege::NoSuchRelation
    }

    fn has_any_column_privilege(&self, _role: Option<Oid>, _relation: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn row_security_active(&self, _relation: Oid) -> Option<bool> {
        None
    }

    fn has_schema_privilege(&self, _role: Option<Oid>, _schema: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn has_database_privilege(&self, _role: Option<Oid>, _database: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn has_role(&self, _role: Option<Oid>, _of: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn signal_session(&self, _pid: i32, _signal: SessionSignal) -> Signalled {
        Signalled::NoSuchSession
    }
}
