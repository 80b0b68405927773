//! The embedded engine.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{
    Alteration, BoundRelation, BoundStatement, ByteScan, ByteStream, CacheFigures, ColumnDefinition, CommitDecision, Engine, EngineError,
    EngineTransaction, Erased, Erasure, ExecutionContext, FileContent, FilePlace, Maintained, Maintenance, NewTable, Outcome, Prepared,
    Progress, Purge, Purged, PurgedVersions, RelationSource, RowStream, Scanned, SessionFacts, StoredFile, TableCommit, TableDescription,
    VersionPurge, Work,
};
use sqlparser::ast::{AnalyzeFormat, AnalyzeFormatKind, Statement, TableFactor, UtilityOption, Visit, Visitor};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cache::DecodedCache;
use crate::delta::{Tables, describe};
use crate::erase::{erase_rows, forget_table, purge_history, purge_versions, scan_bytes, store_time};
use crate::error;
use crate::exec::{Kept, PreparedExplain, PreparedSelect, ProgressBoard, Ready, Results, Shared, Small, keep_swept, open_relations};
use crate::files::{list_files, read_file, write_file};
use crate::functions::session::Session;
use crate::maintain::{is_worn, maintain};
use crate::options::EngineOptions;
use crate::plan::{Audience, Planner, Sessions, check_depth, plan_query};
use crate::runtime::EngineRuntime;
use crate::store::{Stores, check_commits};
use crate::write::{
    LocalTransaction, Part, PreparedCopy, alter_table, append_rows, commit_together, convert_to_delta, create_table, drop_table,
    prepare_change, prepare_create_as, prepare_parts, prepare_truncates, undo_commits,
};

/// Plans and runs in this process, on threads of its own.
#[derive(Clone)]
pub struct LocalEngine {
    shared: Arc<Shared>,
}

impl LocalEngine {
    /// # Errors
    /// Threads or the spill folder cannot be made.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let runtime = EngineRuntime::new(options.target_partitions)
            .map_err(|error| error::internal(format!("threads cannot be started: {error}")))?;
        let decoded = DecodedCache::new(options.decoded_cache_bytes);
        let sessions = Sessions::new(&options, &decoded)?;
        let results = Results::new(options.result_cache_bytes);
        let stores = Arc::new(Stores::new(options.clone(), Arc::clone(sessions.runtime()), runtime.handle().clone()));
        let tables = Arc::new(Tables::new(stores, options, decoded));
        let shared = Arc::new(Shared { runtime, sessions, tables, progress: ProgressBoard::default(), results });
        shared.runtime.handle().spawn(keep_swept(Arc::downgrade(&shared)));
        Ok(Self { shared })
    }
}

impl std::fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalEngine")
    }
}

#[async_trait]
impl Engine for LocalEngine {
    async fn prepare(&self, statement: BoundStatement) -> Result<Arc<dyn Prepared>, EngineError> {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.run(CancellationToken::new(), prepare(shared, statement)).await
    }

    async fn create_table(&self, table: NewTable, context: ExecutionContext) -> Result<(), EngineError> {
        if context.cancel.is_cancelled() {
            return Err(EngineError::Canceled);
        }
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.run_to_end(async move { create_table(&shared, &table).await }).await
    }

    async fn describe_table(&self, place: &FilePlace) -> Result<TableDescription, EngineError> {
        let (shared, location, within) = (Arc::clone(&self.shared), place.url.clone(), place.within.clone());
        let described = async move {
            shared.tables.stores().require_within(&location, &within)?;
            // What another system has written in its place since is to be seen.
            shared.tables.forget(&location).await;
            describe(shared.tables.version(&location, None).await?.as_ref())
        };
        self.shared.runtime.run(CancellationToken::new(), described).await
    }

    async fn list_files(&self, place: &FilePlace, endings: &[&str]) -> Result<Vec<StoredFile>, EngineError> {
        list_files(self.shared.tables.stores(), place, endings).await
    }

    async fn read_file(&self, file: &StoredFile) -> Result<ByteStream, EngineError> {
        read_file(self.shared.tables.stores(), file).await
    }

    async fn write_file(&self, place: &FilePlace, content: FileContent, context: ExecutionContext) -> Result<Outcome, EngineError> {
        let (shared, place) = (Arc::clone(&self.shared), place.clone());
        self.shared.runtime.run_cooperative(async move { write_file(shared.tables.stores(), &place, content, &context).await }).await
    }

    async fn convert_to_delta(
        &self,
        place: &FilePlace,
        partitions: Vec<ColumnDefinition>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let (shared, place) = (Arc::clone(&self.shared), place.clone());
        self.shared.runtime.run(context.cancel, async move { convert_to_delta(&shared, &place, &partitions).await }).await
    }

    async fn alter_table(
        &self,
        target: BoundRelation,
        alterations: Vec<Alteration>,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.run_cooperative(alter_table(shared, target, alterations, session, context)).await
    }

    async fn maintain(
        &self,
        target: BoundRelation,
        work: Maintenance,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Maintained, EngineError> {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.run_cooperative(maintain(shared, target, work, session, context)).await
    }

    async fn erase_rows(
        &self,
        target: BoundRelation,
        erasure: Erasure,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Erased, EngineError> {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.run_cooperative(erase_rows(shared, target, erasure, session, context)).await
    }

    async fn store_time(&self, location: &str) -> Result<(DateTime<Utc>, bool), EngineError> {
        let (shared, location) = (Arc::clone(&self.shared), location.to_owned());
        self.shared.runtime.run_to_end(async move { store_time(&shared, &location).await }).await
    }

    async fn purge_history(&self, target: BoundRelation, purge: Purge, context: ExecutionContext) -> Result<Purged, EngineError> {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.run_to_end(purge_history(shared, target, purge, context)).await
    }

    async fn purge_versions(&self, location: &str, purge: VersionPurge, context: ExecutionContext) -> Result<PurgedVersions, EngineError> {
        let (shared, location) = (Arc::clone(&self.shared), location.to_owned());
        self.shared.runtime.run_to_end(async move { purge_versions(&shared, &location, &purge, &context).await }).await
    }

    async fn forget(&self, location: &str) -> Result<(), EngineError> {
        let (shared, location) = (Arc::clone(&self.shared), location.to_owned());
        self.shared.runtime.run_to_end(async move { forget_table(&shared, &location).await }).await
    }

    async fn scan_bytes(&self, location: &str, scan: ByteScan, context: ExecutionContext) -> Result<Scanned, EngineError> {
        let (shared, location) = (Arc::clone(&self.shared), location.to_owned());
        self.shared.runtime.run_cooperative(async move { scan_bytes(&shared, &location, &scan, &context).await }).await
    }

    async fn is_worn(&self, location: &str) -> Result<bool, EngineError> {
        let (shared, location) = (Arc::clone(&self.shared), location.to_owned());
        let asked = async move { is_worn(&shared.tables.table(&location).await?).await };
        self.shared.runtime.run(CancellationToken::new(), asked).await
    }

    async fn newest_version(&self, location: &str) -> Result<u64, EngineError> {
        let (shared, location) = (Arc::clone(&self.shared), location.to_owned());
        let asked = async move { Ok(shared.tables.settled_version(&location).await?.version()) };
        self.shared.runtime.run(CancellationToken::new(), asked).await
    }

    async fn drop_table(&self, location: &str) -> Result<(), EngineError> {
        let (shared, location) = (Arc::clone(&self.shared), location.to_owned());
        self.shared.runtime.run_to_end(async move { drop_table(&shared, &location).await }).await
    }

    async fn append(
        &self,
        target: BoundRelation,
        rows: RowStream,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.run_cooperative(append_rows(shared, target, rows, session, context)).await
    }

    fn begin(&self) -> Arc<dyn EngineTransaction> {
        Arc::new(LocalTransaction::new(Arc::clone(&self.shared)))
    }

    async fn commit_together(
        &self,
        transactions: Vec<Arc<dyn EngineTransaction>>,
        decision: Arc<dyn CommitDecision>,
        context: ExecutionContext,
    ) -> Result<Vec<Outcome>, EngineError> {
        if context.cancel.is_cancelled() {
            transactions.iter().for_each(|transaction| transaction.roll_back());
            return Err(EngineError::Canceled);
        }
        let shared = Arc::clone(&self.shared);
        let committed = async move { commit_together(&shared, parts_of(&transactions).await?, decision).await };
        // From here on it is either committed or not: it does not stop half-way.
        self.shared.runtime.run_to_end(committed).await
    }

    fn progress(&self, statement: Uuid) -> Option<Progress> {
        self.shared.progress.read(statement)
    }

    fn caches(&self) -> Vec<CacheFigures> {
        vec![self.shared.tables.decoded().figures(), self.shared.results.figures()]
    }

    async fn undo_commits(&self, commits: Vec<TableCommit>) -> Result<(), EngineError> {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.run_to_end(async move { undo_commits(&shared, &commits).await }).await
    }

    async fn check_store(&self, root: &str) -> Result<(), EngineError> {
        let location = self.shared.tables.stores().open(root)?;
        self.shared.runtime.run(CancellationToken::new(), async move { check_commits(&location).await }).await
    }
}

async fn parts_of(transactions: &[Arc<dyn EngineTransaction>]) -> Result<Vec<Part>, EngineError> {
    let mut parts: Vec<Part> = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        match LocalTransaction::of(transaction.as_ref())?.take_part().await {
            Ok(part) => parts.extend(part),
            Err(error) => {
                for part in parts {
                    part.layout.discard(&part.files).await;
                }
                transactions.iter().for_each(|transaction| transaction.roll_back());
                return Err(error);
            }
        }
    }
    Ok(parts)
}

async fn prepare(shared: Arc<Shared>, statement: BoundStatement) -> Result<Arc<dyn Prepared>, EngineError> {
    match &statement.work {
        Work::Query(query) => prepare_query(shared, query, &statement).await,
        Work::Change { statement: change, .. } => {
            check_depth(change.as_ref())?;
            match change.as_ref() {
                Statement::Query(_) => Ok(Arc::new(prepare_parts(shared, statement).await?)),
                Statement::Truncate(truncate) if truncate.table_names.len() > 1 => {
                    Ok(Arc::new(prepare_truncates(shared, statement).await?))
                }
                _ => Ok(Arc::new(prepare_change(shared, statement).await?)),
            }
        }
        Work::CreateTableAs { .. } => Ok(Arc::new(prepare_create_as(shared, &statement).await?)),
        Work::CopyFrom { .. } => Ok(Arc::new(PreparedCopy::prepare(shared, &statement).await?)),
    }
}

async fn prepare_query(shared: Arc<Shared>, query: &Statement, statement: &BoundStatement) -> Result<Arc<dyn Prepared>, EngineError> {
    check_depth(query)?;
    match query {
        Statement::Query(query) => Ok(Arc::new(prepare_select(shared, query, statement).await?)),
        Statement::Explain { analyze, verbose, statement: explained, format, options, query_plan: false, estimate: false, .. } => {
            let Statement::Query(query) = explained.as_ref() else {
                return Err(error::unsupported("EXPLAIN of other statements than queries"));
            };
            let settings = explain_settings(*analyze, *verbose, format.as_ref(), options.as_deref().unwrap_or_default())?;
            let query = prepare_select(shared, query, statement).await?;
            let ExplainSettings { analyze, json, verbose, timing, summary, costs } = settings;
            Ok(Arc::new(PreparedExplain { query, analyze, json, verbose, timing, summary: summary.unwrap_or(analyze), costs }))
        }
        _ => Err(error::unsupported("this statement as a query")),
    }
}

async fn prepare_select(
    shared: Arc<Shared>,
    query: &sqlparser::ast::Query,
    statement: &BoundStatement,
) -> Result<PreparedSelect, EngineError> {
    let opened = open_relations(&shared, &statement.relations, &statement.session).await?;
    let is_small = opened.scans.is_empty() && (!statement.relations.is_empty() || reads_nothing(query));
    let (state, session) = if is_small {
        shared.sessions.small_state(&statement.session, statement.renewable)
    } else {
        let state = shared.sessions.state(&statement.session);
        (state, Session::new(Arc::clone(&statement.session)))
    };
    let query = plan_query(
        &Planner::new(&state, &opened.sources),
        &state,
        query,
        &statement.parameter_types,
        Audience::Client(&statement.session),
    )?;
    let versions = opened.versions();
    let small = is_small.then(|| Arc::new(Small::new(session)));
    let newest = newest_versions(&statement.relations, &versions);
    let results = statement.keeps_rows_after.filter(|_| newest.is_some()).and_then(|executions| shared.results.of_plan(executions));
    let (parameters, schema) = (query.parameters.clone(), Arc::clone(&query.schema));
    let kept = Kept::new(Ready::new(state, query, results));
    if let Some(newest) = &newest {
        shared.tables.date(newest, &kept).await?;
    }
    Ok(PreparedSelect { shared, kept, parameters, schema, newest, tables: opened.tables, locations: opened.locations, versions, small })
}

/// (root, version) of each table, where the statement reads the newest version of stored tables and otherwise what does not change:
/// views, and rows that came with it.
fn newest_versions(relations: &[BoundRelation], versions: &[(RelationName, u64)]) -> Option<Vec<(String, u64)>> {
    let mut newest = BTreeMap::new();
    for relation in relations {
        match &relation.source {
            RelationSource::Table { table, version: None, transaction: None, .. } => {
                let (_, version) = versions.iter().find(|(name, _)| *name == relation.name)?;
                newest.insert(table.relation().location.clone(), *version);
            }
            RelationSource::View { .. } | RelationSource::Rows { .. } => {}
            RelationSource::Columns { columns, .. } if !columns.are_of_the_moment() => {}
            _ => return None,
        }
    }
    (!newest.is_empty()).then(|| newest.into_iter().collect())
}

/// Whether there is no FROM anywhere.
fn reads_nothing(query: &sqlparser::ast::Query) -> bool {
    struct Reads;
    impl Visitor for Reads {
        type Break = ();

        fn pre_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    query.visit(&mut Reads).is_continue()
}

struct ExplainSettings {
    analyze: bool,
    json: bool,
    verbose: bool,
    timing: bool,
    /// Unless something is said, that of ANALYZE.
    summary: Option<bool>,
    costs: bool,
}

/// PostgreSQL's options; those that ask for what there is nothing to say about are accepted, as is their default.
fn explain_settings(
    analyze: bool,
    verbose: bool,
    format: Option<&AnalyzeFormatKind>,
    options: &[UtilityOption],
) -> Result<ExplainSettings, EngineError> {
    let mut settings = ExplainSettings { analyze, json: false, verbose, timing: true, summary: None, costs: true };
    if let Some(AnalyzeFormatKind::Keyword(format) | AnalyzeFormatKind::Assignment(format)) = format {
        settings.json = match format {
            AnalyzeFormat::TEXT => false,
            AnalyzeFormat::JSON => true,
            other => return Err(error::unsupported(format!("EXPLAIN FORMAT {other}"))),
        };
    }
    for option in options {
        let name = option.name.value.to_ascii_lowercase();
        let value = option.arg.as_ref().map(ToString::to_string).unwrap_or_default().to_ascii_lowercase();
        let on = !matches!(value.trim_matches('\''), "false" | "off" | "0");
        match name.as_str() {
            "analyze" => settings.analyze = on,
            "verbose" => settings.verbose = on,
            "costs" => settings.costs = on,
            "timing" => settings.timing = on,
            "summary" => settings.summary = Some(on),
            "format" if value.trim_matches('\'') == "json" => settings.json = true,
            "format" if value.trim_matches('\'') == "text" => settings.json = false,
            // What was read stands there anyway.
            "buffers" | "wal" | "settings" => {}
            _ => return Err(error::unsupported(format!("the EXPLAIN option {}", option.name))),
        }
    }
    Ok(settings)
}
