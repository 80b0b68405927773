//! What is handed to an engine, and what comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use lakegate_catalog::authorize::AuthorizedTable;
use lakegate_catalog::model::{Oid, PgType, RelationName};
use serde::{Deserialize, Serialize};
use sqlparser::ast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{CatalogLookup, EngineError, EngineTransaction, FilePlace, Moment, TablePolicies};

/// Rows as they come; dropping the stream stops the work behind it and frees its memory.
pub type RowStream = BoxStream<'static, Result<RecordBatch, EngineError>>;

/// A statement whose every relation is bound: nothing outside `relations` can be opened by it.
#[derive(Debug, Clone)]
pub struct BoundStatement {
    pub statement_id: Uuid,
    pub work: Work,
    /// Every relation that `work` or a view among these names, once for each role in whose name it is read.
    pub relations: Vec<BoundRelation>,
    pub session: Arc<SessionFacts>,
    /// Types that the client declared for `$1…`; `None` where it left the choice open.
    pub parameter_types: Vec<Option<PgType>>,
    /// A query that will be run again at other times by the same session, each time after [`crate::Prepared::renew`].
    pub renewable: bool,
    /// Its rows follow from the versions of its tables, its parameters and what it was planned from: they may be kept for the next
    /// execution, once there were so many.
    pub keeps_rows_after: Option<u32>,
}

/// All relation names inside are three-part (`database.schema.name`), CTE names excepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Work {
    /// SELECT, VALUES, EXPLAIN.
    Query(Box<ast::Statement>),
    /// INSERT, UPDATE, DELETE, MERGE, TRUNCATE of `target`, or a query with such in WITH; `target` is the first one's then.
    Change { statement: Box<ast::Statement>, target: RelationName },
    /// CREATE TABLE AS: columns and rows in one commit. The columns of `table` are empty: they come from the query.
    /// `with_data` false creates the table without rows.
    CreateTableAs { table: NewTable, query: Box<ast::Query>, with_data: bool },
    /// `COPY target [(columns)] FROM 'url'` of Parquet files; the place was authorised by the gateway.
    CopyFrom { target: RelationName, columns: Vec<String>, place: FilePlace },
}

#[derive(Debug, Clone)]
pub struct BoundRelation {
    pub name: RelationName,
    /// The role of the views that read it so; `None`: the statement itself, or views that run in the same name.
    pub runs_as: Option<Oid>,
    pub source: RelationSource,
}

impl BoundRelation {
    /// As the statement itself names it.
    #[must_use]
    pub fn new(name: RelationName, source: RelationSource) -> BoundRelation {
        BoundRelation { name, runs_as: None, source }
    }

    /// Root URL of a table.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        match &self.source {
            RelationSource::Table { table, .. } | RelationSource::TableAt { table, .. } | RelationSource::TableChanges { table, .. } => {
                Some(&table.relation().location)
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub enum RelationSource {
    /// A Delta table; what the role may see and do stands in the proof value. `version` pins it (repeatable reads).
    /// `transaction`: it is read with that transaction's changes on top, and changes of it are staged there.
    /// `policies`: what the proof value says of rows and masks, as expressions; an engine opens no policed table without.
    Table {
        table: AuthorizedTable,
        version: Option<u64>,
        transaction: Option<Arc<dyn EngineTransaction>>,
        policies: Option<Arc<TablePolicies>>,
    },
    /// A Delta table as it was.
    TableAt { table: AuthorizedTable, moment: Moment, policies: Option<Arc<TablePolicies>> },
    /// The rows that came and went in some versions of a table, both ends included; to the newest where there is no last one.
    TableChanges { table: AuthorizedTable, from: Moment, to: Option<Moment>, policies: Option<Arc<TablePolicies>> },
    /// A system relation, made by the gateway from its catalog snapshot.
    Rows { schema: SchemaRef, batches: Arc<[RecordBatch]> },
    /// A system relation of which the gateway makes the columns that a plan reads.
    Columns { schema: SchemaRef, columns: Arc<dyn SystemColumns> },
    /// A log, of which the gateway reads what a plan asks for while it runs.
    Log { schema: SchemaRef, records: Arc<dyn LogRecords> },
    /// Planned in place; its own relations stand in the same list, bound with this `runs_as`.
    /// `visible`: the columns that may be named; `None`: all. `policies`: masks of its own columns.
    View {
        query: Arc<ast::Query>,
        columns: Vec<String>,
        runs_as: Option<Oid>,
        visible: Option<Vec<String>>,
        policies: Option<Arc<TablePolicies>>,
    },
}

/// The rows of a system relation, column by column; each call without keys speaks of the same rows in the same order.
pub trait SystemColumns: std::fmt::Debug + Send + Sync {
    /// Batches of these columns, by their places in the relation's schema, in the order asked for. Rows that one of `keys` excludes may
    /// be left out, in every column alike.
    ///
    /// # Errors
    /// `Internal` where a value does not fit its column.
    fn read(&self, columns: &[usize], keys: &[KeyFilter]) -> Result<Vec<RecordBatch>, EngineError>;

    /// Whether they are others each time a plan runs.
    fn are_of_the_moment(&self) -> bool {
        false
    }
}

/// The records of a log, newest first.
pub trait LogRecords: std::fmt::Debug + Send + Sync {
    /// The place of the column of time, by which the records are in descending order.
    fn time_column(&self) -> usize;

    /// Batches of the columns that are asked for; what is outside the part may be among them. A reader that goes away early has had few
    /// more records read than it took.
    fn read(&self, part: LogPart) -> RowStream;
}

/// What a plan needs of a log.
#[derive(Debug, Clone, Default)]
pub struct LogPart {
    /// Places in the relation's schema, in the order of the batches.
    pub columns: Vec<usize>,
    /// At or after.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    pub keys: Vec<KeyFilter>,
    /// So many of the newest are enough.
    pub limit: Option<usize>,
}

/// A column has one of these values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFilter {
    /// Its place in the relation's schema.
    pub column: usize,
    pub values: Vec<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Key {
    Number(i64),
    Text(String),
}

/// What functions such as `current_user`, `now()` and `current_setting` answer from.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    pub session_user: String,
    pub current_user: String,
    pub database: String,
    /// Existing schemas of the search path in order, `pg_catalog` not included unless named.
    pub search_path: Vec<String>,
    /// IANA name or offset, as the setting TimeZone holds it.
    pub time_zone: String,
    pub backend_pid: i32,
    pub client_address: Option<std::net::SocketAddr>,
    pub server_address: Option<std::net::SocketAddr>,
    pub statement_time: DateTime<Utc>,
    pub transaction_time: DateTime<Utc>,
    pub server_start_time: DateTime<Utc>,
    /// All settings by lower-case name, as SHOW prints them.
    pub settings: Arc<BTreeMap<String, String>>,
    pub lookup: Arc<dyn CatalogLookup>,
}

/// A managed table to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewTable {
    pub name: RelationName,
    /// Root URL; nothing is there yet.
    pub location: String,
    pub columns: Vec<ColumnDefinition>,
    /// (column, SQL text over the others) of generated columns.
    pub generated: Vec<(String, String)>,
    pub partition_columns: Vec<String>,
    /// (name, SQL text) of CHECK constraints.
    pub checks: Vec<(String, String)>,
    pub comment: Option<String>,
    /// Delta table properties.
    pub properties: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDefinition {
    pub name: String,
    pub data_type: PgType,
    pub not_null: bool,
}

/// A Delta table as its log describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDescription {
    pub version: u64,
    pub columns: Vec<ColumnDefinition>,
    pub partition_columns: Vec<String>,
    pub checks: Vec<(String, String)>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub files: u64,
    pub bytes: u64,
    /// Exact when every file has statistics.
    pub rows: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct ExecutionContext {
    pub statement_id: Uuid,
    /// Stops planning, reading and writing; a commit in flight is completed or known not to have happened.
    pub cancel: CancellationToken,
}

/// A running statement.
pub enum Execution {
    Rows {
        schema: SchemaRef,
        stream: RowStream,
        metrics: Arc<ExecutionMetrics>,
    },
    /// Done, and durable unless it is staged in a transaction.
    Done(Outcome),
    /// The same, and the rows that RETURNING gives.
    Returned {
        schema: SchemaRef,
        stream: RowStream,
        outcome: Outcome,
    },
}

/// What a change did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub rows: u64,
    /// Changed by what stands in WITH.
    pub rows_beside: u64,
    pub bytes_written: u64,
    pub files_written: u64,
    /// Delta version that the commit made; `None` where nothing had to be committed, or is staged in a transaction.
    pub version: Option<u64>,
    /// Columns of a table made by `CreateTableAs`.
    pub columns: Vec<ColumnDefinition>,
    pub metrics: MetricsSnapshot,
}

/// Counted while a statement runs; read at its end.
#[derive(Debug, Default)]
pub struct ExecutionMetrics {
    pub read_files: AtomicU64,
    pub pruned_files: AtomicU64,
    pub read_bytes: AtomicU64,
    /// Bytes of files that need not be read: their columns were in memory.
    pub cached_bytes: AtomicU64,
    pub read_rows: AtomicU64,
    pub spilled_bytes: AtomicU64,
    /// The statement that had made the rows, where they were kept.
    pub cache_origin: Option<Uuid>,
}

impl ExecutionMetrics {
    #[must_use]
    pub fn snapshot(&self) -> MetricsSnapshot {
        MetricsSnapshot {
            read_files: self.read_files.load(Ordering::Relaxed),
            pruned_files: self.pruned_files.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            cached_bytes: self.cached_bytes.load(Ordering::Relaxed),
            read_rows: self.read_rows.load(Ordering::Relaxed),
            spilled_bytes: self.spilled_bytes.load(Ordering::Relaxed),
            cache_origin: self.cache_origin,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSnapshot {
    pub read_files: u64,
    pub pruned_files: u64,
    pub read_bytes: u64,
    pub cached_bytes: u64,
    pub read_rows: u64,
    pub spilled_bytes: u64,
    #[serde(with = "crate::plain::id_if_any")]
    pub cache_origin: Option<Uuid>,
}

/// Names of the only column of an UPDATE or INSERT in MERGE by which the gateway spells what the parser crate has no action for.
pub mod merge_marks {
    /// DO NOTHING.
    pub const NOTHING: &str = "\u{0}nothing";
    /// UPDATE SET * and INSERT *.
    pub const ALL: &str = "\u{0}all";
    /// INSERT DEFAULT VALUES.
    pub const DEFAULTS: &str = "\u{0}defaults";
}

/// What a window's frame leaves out, as the gateway spells it where the parser crate has no EXCLUDE: a constant of PARTITION BY, in brackets.
pub mod frame_marks {
    pub const CURRENT_ROW: &str = "\u{0}exclude current row";
    pub const GROUP: &str = "\u{0}exclude group";
    pub const TIES: &str = "\u{0}exclude ties";
    pub const NO_OTHERS: &str = "\u{0}exclude no others";
}
