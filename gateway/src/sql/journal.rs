//! One statement's entry in the sealed log: made before it runs, ended with its outcome.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::ArrayRef;
use arrow_schema::Field;
use chrono::Utc;
use lakegate_catalog::audit::AuditEvent;
use lakegate_catalog::model::RelationName;
use lakegate_catalog::statement_log::{ExecutionStatus, StatementEnd, StatementMetrics, StatementStart, StatementTicket};
use lakegate_catalog::{Catalog, CatalogError};
use lakegate_engine_api::{MetricsSnapshot, Outcome};
use uuid::Uuid;

use super::facets::{self, Facets};
use super::fingerprint::normalised;
use super::grammar::Command;
use super::redact::redact;
use super::session::GatewaySession;
use super::settings::Settings;
use super::statement_type::statement_type;
use crate::frontend::TextStyle;
use crate::server::{Place, RunningWork, WorkEntry, Worker};
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::outgoing::Format;
use crate::wire::rows::{Column, Manner};

/// The open entry of a statement.
pub struct Journal {
    catalog: Catalog,
    statement_id: Uuid,
    statement_type: &'static str,
    ticket: Mutex<Option<StatementTicket>>,
    started: Instant,
    /// Where it ran for less time than its entry is open.
    elapsed: Option<Duration>,
    named: Mutex<Named>,
    /// Milliseconds that planning took, and those that the client took to fetch the rows.
    compiled_ms: Option<u64>,
    /// What the audit log hears where a privilege lacks; nothing once the work is done.
    denial: Option<Box<AuditEvent>>,
    work: RunningWork,
    /// For those who look on, as long as it works.
    entry: Option<WorkEntry>,
    /// In its warehouse.
    place: Option<Arc<Place>>,
    waited_ms: Option<u64>,
}

/// What became known after the start.
#[derive(Debug, Default)]
struct Named {
    read: BTreeSet<RelationName>,
    written: BTreeSet<RelationName>,
    /// The same, those known from the start included.
    changed: BTreeSet<RelationName>,
    columns: BTreeSet<(RelationName, String)>,
    tags: BTreeSet<String>,
    metrics: StatementMetrics,
}

impl Journal {
    /// Logs a statement that an engine runs. `durable` on return: where it opens stored tables.
    ///
    /// # Errors
    /// 58030: it must not run.
    pub async fn begin(
        session: &GatewaySession,
        command: &Command,
        text: &str,
        parameters: &[ArrayRef],
        touched: &Facets,
        durable: bool,
    ) -> Result<Self, SqlError> {
        let kind = session.logged_as.unwrap_or_else(|| statement_type(command));
        let mut start = start(session, kind, text);
        start.tables_read = facets::tables(&touched.relations_read);
        start.tables_written = facets::tables(&touched.tables_written);
        start.columns_read = facets::columns(&touched.columns_read);
        start.columns_written = facets::columns(&touched.columns_written);
        start.tags_read = touched.tags_read.iter().cloned().collect();
        start.functions = touched.functions.iter().cloned().collect();
        start.parameters = parameters.iter().map(shown).collect();
        Journal::open(session, kind, start, durable, &touched.tables_written).await
    }

    /// Logs a statement of the session or the catalog. Durable on return when it changes the catalog.
    ///
    /// # Errors
    /// 58030: it must not run.
    pub async fn begin_utility(session: &GatewaySession, command: &Command, text: &str) -> Result<Self, SqlError> {
        let kind = statement_type(command);
        Journal::open(session, kind, start(session, kind, text), !super::statement_type::is_of_session(command), &BTreeSet::new()).await
    }

    async fn open(
        session: &GatewaySession,
        kind: &'static str,
        mut start: StatementStart,
        durable: bool,
        written: &BTreeSet<RelationName>,
    ) -> Result<Self, SqlError> {
        let catalog = session.shared.catalog.clone();
        if catalog.is_blind_index_on() {
            start.literals = super::literals::literals(&start.text).into_iter().collect();
        }
        if durable && session.shared.fleet.is_some() {
            // Known once one has taken it.
            start.engine = None;
        }
        let started = Instant::now();
        let statement_id = start.statement_id;
        tracing::debug!(statement_id = %statement_id, session_id = %session.session_id, statement_type = start.statement_type, "statement");
        let denial = Some(Box::new(crate::system::audit::denial(session, statement_id)));
        let worker = Worker {
            statement_id,
            session_id: start.session_id.clone(),
            pid: session.start.backend_pid,
            role_oid: session.principal.session_role,
            role: start.executed_by_name.clone(),
            database: start.database.clone(),
            statement_type: kind,
            started: start.start_time,
            told_every: session.settings.current.timeout("lakegate.progress_interval"),
        };
        let ticket = if durable { catalog.log_begin(start).await? } else { catalog.log_behind(start).await? };
        Ok(Journal {
            catalog,
            statement_id,
            statement_type: kind,
            ticket: Mutex::new(Some(ticket)),
            started,
            elapsed: None,
            compiled_ms: None,
            named: Mutex::new(Named { changed: written.clone(), ..Named::default() }),
            denial,
            work: session.shared.system.live().work().clone(),
            place: None,
            waited_ms: None,
            entry: Some(session.shared.system.live().work().enter(worker, written.first().cloned())),
        })
    }

    #[must_use]
    pub fn statement_id(&self) -> Uuid {
        self.statement_id
    }

    pub fn note_read(&self, names: impl IntoIterator<Item = RelationName>) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).read.extend(names);
    }

    /// What a query inside reads, once it is planned.
    pub fn note_facets(&self, touched: &Facets) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.read.extend(touched.relations_read.iter().cloned());
        named.columns.extend(touched.columns_read.iter().cloned());
        named.tags.extend(touched.tags_read.iter().cloned());
    }

    /// It works in a warehouse, for whose place it has waited.
    pub fn hold(&mut self, place: Arc<Place>, waited: Duration) {
        self.place = Some(place);
        self.waited_ms = Some(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
    }

    /// How long planning took.
    pub fn note_compiled(&mut self, planning: Duration) {
        self.compiled_ms = Some(u64::try_from(planning.as_millis()).unwrap_or(u64::MAX));
    }

    pub fn note_written(&self, names: impl IntoIterator<Item = RelationName>) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            if let Some(entry) = &self.entry {
                entry.on(&name);
            }
            named.changed.insert(name.clone());
            named.written.insert(name);
        }
    }

    pub fn note_outcome(&self, outcome: &Outcome) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).metrics = written(outcome);
    }

    /// It succeeded; durable on return where it changed a table.
    ///
    /// # Errors
    /// 58030: done, but the log could not be told.
    pub async fn done(self, outcome: &Outcome) -> Result<(), SqlError> {
        self.done_with(outcome, outcome.version.is_some()).await
    }

    /// It succeeded; durable on return where `wait` says so.
    ///
    /// # Errors
    /// As [`Journal::done`].
    pub async fn done_with(self, outcome: &Outcome, wait: bool) -> Result<(), SqlError> {
        let mut end = StatementEnd::new(ExecutionStatus::Finished);
        end.metrics = written(outcome);
        self.finish(end, wait).await
    }

    /// It has done its work; whether that becomes visible is told later.
    pub fn stop_clock(&mut self) {
        self.elapsed = Some(self.started.elapsed());
        self.denial = None;
        self.entry = None;
        self.place = None;
    }

    /// It succeeded in a transaction that did not.
    pub async fn rolled_back(self) {
        let end = StatementEnd::failed(ExecutionStatus::Canceled, SqlState::TransactionRollback.code(), "transaction was rolled back");
        if let Err(error) = self.finish(end, false).await {
            tracing::error!(%error, "the end of a statement could not be logged");
        }
    }

    /// It failed.
    pub async fn failed(self, error: &SqlError) {
        let end = failure(error);
        let denial = self.denial.clone().filter(|_| error.state == SqlState::InsufficientPrivilege);
        if let Some(mut denial) = denial {
            crate::system::audit::explain(&mut denial, error);
            crate::system::audit::record(&self.catalog, *denial).await;
        }
        if let Err(error) = self.finish(end, false).await {
            tracing::error!(%error, "the end of a statement could not be logged");
        }
    }

    /// A result stream ended, failed or was dropped: told to the log without keeping the caller.
    /// `fetched`: how long the client had the rows in hand.
    pub fn ended_behind(self, error: Option<SqlError>, rows: u64, read: MetricsSnapshot, fetched: Duration) {
        let mut end = error.as_ref().map_or_else(|| StatementEnd::new(ExecutionStatus::Finished), failure);
        let fetched_ms = u64::try_from(fetched.as_millis()).unwrap_or(u64::MAX);
        end.metrics = StatementMetrics { produced_rows: Some(rows), result_fetch_duration_ms: Some(fetched_ms), ..metrics(read) };
        let catalog = self.catalog.clone();
        let Some((ticket, end)) = self.close(end) else { return };
        let failed = |error: &CatalogError| tracing::error!(%error, "the end of a statement could not be logged");
        match catalog.log_finish_now(ticket, end) {
            Ok(None) => {}
            Ok(Some(late)) => crate::tasks::spawn("statement end", async move {
                if let Err(error) = catalog.log_unqueued(late).await {
                    failed(&error);
                }
            }),
            Err(error) => failed(&error),
        }
    }

    async fn finish(self, end: StatementEnd, wait: bool) -> Result<(), SqlError> {
        let catalog = self.catalog.clone();
        match self.close(end) {
            Some((ticket, end)) => Ok(catalog.log_finish(ticket, end, wait).await?),
            None => Ok(()),
        }
    }

    /// Whoever else wants to know hears of the end; what is left is for the log.
    fn close(mut self, mut end: StatementEnd) -> Option<(StatementTicket, StatementEnd)> {
        // Whoever waits for the place need not wait for the log.
        self.place = None;
        let elapsed = self.elapsed.unwrap_or_else(|| self.started.elapsed());
        end.end_time = Utc::now();
        let named = self.named.into_inner().unwrap_or_else(PoisonError::into_inner);
        if end.status == ExecutionStatus::Finished && !named.changed.is_empty() {
            self.work.note_changed(named.changed);
        }
        if named.metrics != StatementMetrics::default() {
            end.metrics = named.metrics;
        }
        if !named.read.is_empty() {
            end.tables_read = Some(super::prepare::names(&named.read));
        }
        if !named.written.is_empty() {
            end.tables_written = Some(super::prepare::names(&named.written));
        }
        if !named.columns.is_empty() {
            end.columns_read = Some(facets::columns(&named.columns));
            end.tags_read = Some(named.tags.into_iter().collect());
        }
        end.engine = self.work.take_placement(self.statement_id);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).saturating_sub(self.waited_ms.unwrap_or(0));
        end.metrics.waiting_at_capacity_duration_ms = self.waited_ms;
        end.metrics.compilation_duration_ms = self.compiled_ms;
        end.metrics.execution_duration_ms = Some(elapsed_ms.saturating_sub(end.metrics.result_fetch_duration_ms.unwrap_or(0)));
        metrics::counter!("lakegate_statements_total", "type" => self.statement_type, "status" => end.status.word()).increment(1);
        metrics::histogram!("lakegate_statement_seconds", "type" => self.statement_type).record(elapsed.as_secs_f64());
        tracing::debug!(
            statement_id = %self.statement_id,
            status = end.status.word(),
            sqlstate = end.sqlstate.as_deref().unwrap_or(SqlState::SuccessfulCompletion.code()),
            elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "statement ended"
        );
        self.ticket.into_inner().unwrap_or_else(PoisonError::into_inner).map(|ticket| (ticket, end))
    }
}

/// A statement that was refused before it could run: logged with its end at once, and audited where a privilege lacked.
///
/// # Errors
/// 58030.
pub async fn refused(session: &GatewaySession, command: &Command, text: &str, error: &SqlError) -> Result<(), SqlError> {
    refused_as(session, statement_type(command), text, error).await
}

/// As [`refused`], of a text that did not become a statement.
///
/// # Errors
/// 58030.
pub async fn refused_text(session: &GatewaySession, text: &str, error: &SqlError) -> Result<(), SqlError> {
    refused_as(session, "UNKNOWN", text, error).await
}

async fn refused_as(session: &GatewaySession, kind: &'static str, text: &str, error: &SqlError) -> Result<(), SqlError> {
    let journal = Journal::open(session, kind, start(session, kind, text), false, &BTreeSet::new()).await?;
    journal.failed(error).await;
    Ok(())
}

fn start(session: &GatewaySession, kind: &str, text: &str) -> StatementStart {
    let snapshot = session.catalog().snapshot();
    let settings = &session.settings.current;
    let optional = |name: &str| settings.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    StatementStart {
        statement_id: Uuid::now_v7(),
        session_id: session.session_id.to_string(),
        statement_type: kind.to_owned(),
        executed_by: session.principal.session_role,
        executed_by_name: session.start.authenticated.name().to_owned(),
        executed_as: session.role_name(&snapshot, session.principal.current_role),
        client_application: optional("application_name"),
        client_driver: session.start.driver.map(str::to_owned),
        source_ip_address: session.start.client_address.map(|address| address.ip().to_string()),
        auth_method: Some(session.start.auth_method.to_owned()),
        tls_version: session.start.tls_version.map(str::to_owned),
        database: session.database().to_owned(),
        warehouse: optional("lakegate.warehouse"),
        engine: Some(session.shared.fleet.as_ref().map_or("embedded", |fleet| &fleet.own().name).to_owned()),
        fingerprint: Some(session.shared.catalog.fingerprint(&normalised(text))),
        start_time: Utc::now(),
        tables_read: Vec::new(),
        tables_written: Vec::new(),
        columns_read: Vec::new(),
        columns_written: Vec::new(),
        tags_read: Vec::new(),
        functions: Vec::new(),
        query_tags: optional("lakegate.query_tags").map(|tags| [("tags".to_owned(), tags)].into()).unwrap_or_default(),
        literals: Vec::new(),
        text: redact(text).into_owned(),
        parameters: Vec::new(),
    }
}

fn failure(error: &SqlError) -> StatementEnd {
    let status = if error.state == SqlState::QueryCanceled { ExecutionStatus::Canceled } else { ExecutionStatus::Failed };
    StatementEnd::failed(status, error.state.code(), &error.message)
}

fn metrics(read: MetricsSnapshot) -> StatementMetrics {
    StatementMetrics {
        read_files: Some(read.read_files),
        pruned_files: Some(read.pruned_files),
        read_bytes: Some(read.read_bytes),
        read_rows: Some(read.read_rows),
        read_io_cache_percent: cached_percent(read),
        spilled_local_bytes: Some(read.spilled_bytes),
        from_result_cache: Some(read.cache_origin.is_some()),
        cache_origin_statement_id: read.cache_origin.map(|origin| origin.to_string()),
        ..StatementMetrics::default()
    }
}

/// Of the bytes that were wanted of files, those whose columns were in memory; `None` where none were.
fn cached_percent(read: MetricsSnapshot) -> Option<u64> {
    let wanted = read.read_bytes.saturating_add(read.cached_bytes);
    read.cached_bytes.saturating_mul(100).checked_div(wanted)
}

fn written(outcome: &Outcome) -> StatementMetrics {
    StatementMetrics {
        written_rows: Some(outcome.rows + outcome.rows_beside),
        written_bytes: Some(outcome.bytes_written),
        written_files: Some(outcome.files_written),
        ..metrics(outcome.metrics)
    }
}

/// Whatever the session's settings are.
static STYLE: LazyLock<Option<Arc<TextStyle>>> = LazyLock::new(|| Some(Settings::new(&[]).ok()?.text_style()));

/// A parameter as text, for the sealed part of the entry.
fn shown(value: &ArrayRef) -> Option<String> {
    let field = Field::new("parameter", value.data_type().clone(), true);
    let manner = Manner { style: Arc::clone(STYLE.as_ref()?), names: None };
    let column = Column::new(&field, value, Format::Text, &manner).ok()?;
    if column.is_null(0) {
        return None;
    }
    let mut text = Vec::new();
    column.write(0, &mut text).ok()?;
    String::from_utf8(text).ok()
}
