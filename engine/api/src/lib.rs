//! The contract between the control plane and the data plane.
//!
//! The gateway hands an engine one [`BoundStatement`] at a time: an AST whose relation names are all three-part, and
//! exactly the relations that the role may open. The engine plans it, runs it and streams Arrow batches back. An engine
//! never sees a password, a grant or a key.

mod alteration;
mod caches;
mod erasure;
mod error;
mod files;
mod lookup;
mod maintenance;
mod origin;
mod pg_types;
pub mod plain;
mod policies;
mod progress;
mod statement;
mod transaction;

pub use alteration::Alteration;
pub use caches::CacheFigures;
pub use erasure::{
    ByteScan, Erased, Erasure, Finding, KeptVersion, Needles, Purge, Purged, PurgedVersions, RemovedObject, RemovedVersion, Scanned,
    SubjectKeys, SubjectRule, VersionPurge,
};
pub use error::{DataError, Effect, EngineError, Limit, SqlMistake, Unavailability, Violation};
pub use files::{ByteStream, FileContent, FilePlace, StoredFile};
pub use lookup::{
    AdvisoryKey, AdvisoryRequest, AdvisoryTaken, CatalogLookup, ColumnOf, ColumnPrivilege, IndexDefinition, SessionSignal, Signalled,
};
pub use maintenance::{Maintained, Maintenance, Moment};
pub use origin::{ColumnOrigin, same_columns};
pub use pg_types::{
    NUMERIC_FROM_FLOAT, NUMERIC_FROM_TEXT, PG_TYPE_KEY, UNCONSTRAINED_NUMERIC, UNDECLARED_NUMERICS, arrow_field, arrow_type, pg_type,
};
pub use policies::{OWN_ROW, RowCheck, RowPolicies, TablePolicies};
pub use progress::{Phase, Progress, ProgressCounters};
pub use statement::{
    BoundRelation, BoundStatement, ColumnDefinition, Execution, ExecutionContext, ExecutionMetrics, Key, KeyFilter, LogPart, LogRecords,
    MetricsSnapshot, NewTable, Outcome, RelationSource, RowStream, SessionFacts, SystemColumns, TableDescription, Work, frame_marks,
    merge_marks,
};
pub use transaction::{CommitDecision, Decision, EngineTransaction, TableCommit};

/// The control plane's plain types that the contract is made of, for engines to name.
pub mod catalog {
    pub use lakegate_catalog::CatalogError;
    pub use lakegate_catalog::authorize::{Access, AuthorizedTable};
    pub use lakegate_catalog::model::{Column, Constraint, ConstraintKind, Identity, Oid, PgType, Relation, RelationKind, RelationName};
    pub use lakegate_catalog::snapshot::kind_of;
}

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{FieldRef, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A data plane: plans and runs bound statements over Delta tables.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Plans a statement. Opens the snapshots of the tables it names; reads no data file.
    async fn prepare(&self, statement: BoundStatement) -> Result<Arc<dyn Prepared>, EngineError>;

    /// Creates the Delta table (version 0, no rows) at `table.location`.
    async fn create_table(&self, table: NewTable, context: ExecutionContext) -> Result<(), EngineError>;

    /// Reads schema, partitioning and constraints of the Delta table at a root URL, for registering it.
    ///
    /// # Errors
    /// `NotADeltaTable` where there is none; `Unsupported` names the table feature that the reader lacks; `Sql` where links lead out.
    async fn describe_table(&self, place: &FilePlace) -> Result<TableDescription, EngineError>;

    /// The files that a URL names, in the order of their paths; of a folder those with one of the endings.
    ///
    /// # Errors
    /// `Sql` where there is none, and where links lead out of `place.within`; `Storage`.
    async fn list_files(&self, place: &FilePlace, endings: &[&str]) -> Result<Vec<StoredFile>, EngineError>;

    /// # Errors
    /// `Storage`; the stream's items fail alike.
    async fn read_file(&self, file: &StoredFile) -> Result<ByteStream, EngineError>;

    /// Makes a file, or replaces it: nobody sees it before it is whole. `rows` of the outcome are counted for Parquet alone.
    ///
    /// # Errors
    /// The content's own; `Unsupported` for types that Parquet does not have; `Canceled`, `Storage`.
    async fn write_file(&self, place: &FilePlace, content: FileContent, context: ExecutionContext) -> Result<Outcome, EngineError>;

    /// Makes a Delta table of the Parquet files in a folder, where they lie; folders `column=value` are partitions.
    ///
    /// # Errors
    /// `Sql` where there is a table already, or none can be made; `Storage`.
    async fn convert_to_delta(
        &self,
        place: &FilePlace,
        partitions: Vec<ColumnDefinition>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError>;

    /// Changes the definition of the target, and its rows where the definition asks for it, in one Delta commit; staged where the
    /// target is bound with a transaction.
    ///
    /// # Errors
    /// `Constraint` where rows that are there do not satisfy what is asked; `Sql` and `Data` for casts; `Unsupported`; `Conflict`.
    async fn alter_table(
        &self,
        target: BoundRelation,
        alterations: Vec<Alteration>,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError>;

    /// Looks at the target as a whole, or makes it over; of its own, in one Delta commit.
    ///
    /// # Errors
    /// `Sql` and `Data` for what is not there, `MissingFile`, `Conflict`, `Storage`.
    async fn maintain(
        &self,
        target: BoundRelation,
        work: Maintenance,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Maintained, EngineError>;

    /// Deletes rows of data subjects from the target's newest version, or what identifies them in the rows, and rewrites all files that hold
    /// rows which deletion vectors hide. Other writers' commits in between are looked at too.
    ///
    /// # Errors
    /// `Unsupported` for tables to which rows are added alone, and with features that the purge cannot handle; `Conflict`, `Storage`.
    async fn erase_rows(
        &self,
        _target: BoundRelation,
        _erasure: Erasure,
        _session: Arc<SessionFacts>,
        _context: ExecutionContext,
    ) -> Result<Erased, EngineError> {
        Err(EngineError::Unsupported { feature: "the erasure of data subjects by this engine".to_owned(), hint: None })
    }

    /// The time by the clock that dates objects under a root, and whether the store keeps earlier versions of objects.
    ///
    /// # Errors
    /// `Storage`.
    async fn store_time(&self, _location: &str) -> Result<(DateTime<Utc>, bool), EngineError> {
        Err(EngineError::Unsupported { feature: "the erasure of data subjects by this engine".to_owned(), hint: None })
    }

    /// Makes the target's newest version its first: a checkpoint of it without tombstones, older commits without statistics, conditions
    /// and paths of files that are gone, and nothing left of what is not part of it. Idempotent, and can be cut off anywhere.
    ///
    /// # Errors
    /// `Storage`, `Corrupted`, `Unsupported`.
    async fn purge_history(&self, _target: BoundRelation, _purge: Purge, _context: ExecutionContext) -> Result<Purged, EngineError> {
        Err(EngineError::Unsupported { feature: "the erasure of data subjects by this engine".to_owned(), hint: None })
    }

    /// Removes what the store keeps beside the present objects under a root, where it keeps anything. Idempotent, and can be cut off anywhere.
    ///
    /// # Errors
    /// `Storage`. What the store refuses to remove is told, not an error.
    async fn purge_versions(
        &self,
        _location: &str,
        _purge: VersionPurge,
        _context: ExecutionContext,
    ) -> Result<PurgedVersions, EngineError> {
        Err(EngineError::Unsupported { feature: "the erasure of data subjects by this engine".to_owned(), hint: None })
    }

    /// Reads every object under a root, whatever the table's log says of it, and looks for identifiers in names, bytes, decompressed
    /// pages and values; earlier versions that the store keeps of them, too.
    ///
    /// # Errors
    /// `Storage`: what could not be listed was not looked at. Objects that cannot be read are told, not an error.
    async fn scan_bytes(&self, _location: &str, _scan: ByteScan, _context: ExecutionContext) -> Result<Scanned, EngineError> {
        Err(EngineError::Unsupported { feature: "the erasure of data subjects by this engine".to_owned(), hint: None })
    }

    /// Drops what is in memory of a table's past, after another engine has purged it.
    ///
    /// # Errors
    /// The engine cannot be told.
    async fn forget(&self, _location: &str) -> Result<(), EngineError> {
        Ok(())
    }

    /// Whether [`Maintenance::Tidy`] would find something to do.
    ///
    /// # Errors
    /// `Storage`, `Corrupted`, `Unsupported`.
    async fn is_worn(&self, _location: &str) -> Result<bool, EngineError> {
        Ok(false)
    }

    /// The newest version of the table at a root URL.
    ///
    /// # Errors
    /// `NotADeltaTable`, `Unsupported`, `Corrupted`, `Storage`.
    async fn newest_version(&self, location: &str) -> Result<u64, EngineError>;

    /// Deletes every object under a managed table's root. Idempotent.
    async fn drop_table(&self, location: &str) -> Result<(), EngineError>;

    /// Appends rows to the target in one Delta commit, after all of them arrived; constraints are enforced, columns that a batch
    /// lacks take their defaults as of `session`. Where the target is bound with a transaction the rows are staged there.
    /// Dropping the future, or `context.cancel`, leaves no row visible.
    async fn append(
        &self,
        target: BoundRelation,
        rows: RowStream,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError>;

    /// A transaction with nothing staged. Relations bound with it read and change one table under it.
    fn begin(&self) -> Arc<dyn EngineTransaction>;

    /// The same for another table, to be committed together with that transaction.
    fn begin_beside(&self, _other: &Arc<dyn EngineTransaction>) -> Arc<dyn EngineTransaction> {
        self.begin()
    }

    /// Commits the transactions of several tables, all or none, each with one Delta commit. Statements of this engine see the tables
    /// as they were before, or with all of it.
    ///
    /// # Errors
    /// As [`EngineTransaction::commit`]; `Conflict` also where `decision` refuses.
    async fn commit_together(
        &self,
        transactions: Vec<Arc<dyn EngineTransaction>>,
        decision: Arc<dyn CommitDecision>,
        context: ExecutionContext,
    ) -> Result<Vec<Outcome>, EngineError>;

    /// How far the statement has come that runs now; `None` where it is none that takes long.
    fn progress(&self, _statement: Uuid) -> Option<Progress> {
        None
    }

    /// What its caches hold.
    fn caches(&self) -> Vec<CacheFigures> {
        Vec::new()
    }

    /// Undoes commits that a process left behind when it ended before the decision. Idempotent.
    ///
    /// # Errors
    /// `Storage`, `Conflict`: to be tried again.
    async fn undo_commits(&self, commits: Vec<TableCommit>) -> Result<(), EngineError>;

    /// Refuses a warehouse root whose store cannot commit safely (ignores `If-None-Match: *`) or cannot be written.
    async fn check_store(&self, root: &str) -> Result<(), EngineError>;
}

/// A planned statement. Planned once, executed any number of times, each on the table versions it was planned against
/// unless `Engine::prepare` is called again.
#[async_trait]
pub trait Prepared: Send + Sync {
    /// One field a parameter (`$1` first); type `Null` where nothing in the statement fixes it.
    fn parameters(&self) -> &[FieldRef];

    /// Columns of the result, with PostgreSQL types in the field metadata ([`PG_TYPE_KEY`]); `None` where no rows come back.
    fn result_schema(&self) -> Option<&SchemaRef>;

    /// Delta version of each table it reads, as planned: a transaction block pins them for its later statements.
    fn table_versions(&self) -> Vec<(lakegate_catalog::model::RelationName, u64)>;

    /// Columns of each relation that it reads, as far as the engine knows them before it runs; nothing where the plan is made anew when it
    /// runs (UPDATE, DELETE, MERGE).
    fn columns_read(&self) -> Vec<(lakegate_catalog::model::RelationName, Vec<String>)> {
        Vec::new()
    }

    /// Runs it. `parameters`: one array of length 1 a parameter, of the type in [`Prepared::parameters`].
    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError>;

    /// Whether it is still there to be executed; it then stays until it has been. Whoever had it planned holds it.
    fn hold(&self) -> bool {
        true
    }

    /// Who holds it does not execute it now.
    fn release(&self) {}

    /// Whether planning the statement now would make the same plan, for all that an engine knows: it reads stored tables and nothing of
    /// the moment, and their newest versions are those that it was planned against. It is then held.
    ///
    /// # Errors
    /// Those of looking for newer versions.
    async fn hold_current(&self) -> Result<bool, EngineError> {
        Ok(false)
    }

    /// Makes a plan of a renewable statement answer from this moment on its next executions. False where it cannot, or where one that
    /// has begun may still ask for the moment before: then it has to be planned anew.
    fn renew(&self, _facts: &SessionFacts) -> bool {
        false
    }
}
