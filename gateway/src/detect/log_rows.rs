//! The records that rules look at: read once for all rules that look as far back, those columns alone that one of them names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{RecordBatch, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use lakegate_catalog::audit::AuditFilter;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::flushed::{FlushedDetail, Log};
use lakegate_catalog::model::{Oid, RelationName};
use lakegate_catalog::statement_log::HistoryFilter;
use lakegate_engine_api::{BoundRelation, Execution, RelationSource, Work};
use uuid::Uuid;

use crate::old_logs::{OldRecords, older};
use crate::own_tables::{internal, part_of, run, sql_name};
use crate::privacy::quoted;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};
use crate::system::columns::Columns;
use crate::system::query_history::Recent;
use crate::system::{LogWindow, audit, query_history};

/// Records of each log that a rule is given at most, and audit events whose parameters it is given.
const RECORDS_MAX: u32 = 200_000;
const OPENED_MAX: u32 = 50_000;

/// `system.access.audit` and `system.query.history`, newest first.
#[derive(Clone)]
pub struct LogRows {
    audit: Records,
    history: Records,
}

/// Of one log.
#[derive(Clone)]
pub struct Records {
    pub recent: RelationSource,
    /// Those of the data plane, with the same columns.
    older: Option<RelationSource>,
}

/// What a rule is given of a log.
struct Wanted<'a> {
    log: Log,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    limit: u32,
    /// Of this role alone.
    role: Option<Oid>,
    opens: bool,
    reader: &'a Principal,
}

impl LogRows {
    /// # Errors
    /// XX000.
    pub fn none() -> Result<LogRows, SqlError> {
        let records = |recent| Records { recent, older: None };
        Ok(LogRows { audit: records(audit::table(&[])?), history: records(query_history::table(&[])?) })
    }

    /// What a role may see of a time, the newest of it. Statements come without their texts: a rule lives on what is in clear. `columns`:
    /// those that are named, `None` for all.
    ///
    /// # Errors
    /// 57P03.
    pub async fn load(
        session: &GatewaySession,
        principal: &Principal,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        opens: bool,
        columns: Option<&BTreeSet<String>>,
    ) -> Result<LogRows, SqlError> {
        let catalog = &session.shared.catalog;
        let needed = columns.map(|columns| {
            let always = [Log::Statements.time(), Log::Events.time(), "statement_id", "event_id"].map(str::to_owned);
            columns.iter().cloned().chain(always).collect::<BTreeSet<String>>()
        });
        let of_history = LogWindow { since, until, opens: false, limit: Some(RECORDS_MAX) };
        let history = query_history::rows(catalog, principal, &of_history, needed.as_ref()).await?;
        let wanted = Wanted { log: Log::Statements, since, until, limit: RECORDS_MAX, role: None, opens: false, reader: principal };
        let history = with_older(session, history, &wanted).await?;
        let limit = if opens { OPENED_MAX } else { RECORDS_MAX };
        let of_audit = LogWindow { opens, limit: Some(limit), ..of_history };
        let events = audit::rows(catalog, principal, &of_audit, needed.as_ref()).await?;
        let events = with_older(session, events, &Wanted { log: Log::Events, limit, opens, ..wanted }).await?;
        Ok(LogRows { audit: events, history })
    }

    /// Those of one role, with what its statements that run have given so far.
    ///
    /// # Errors
    /// 57P03.
    pub async fn of_role(
        session: &GatewaySession,
        reader: &Principal,
        role: Oid,
        since: Option<DateTime<Utc>>,
        running: &BTreeMap<Uuid, u64>,
        opens: bool,
    ) -> Result<LogRows, SqlError> {
        let catalog = &session.shared.catalog;
        let filter =
            HistoryFilter { limit: Some(RECORDS_MAX), since, without_texts: true, executed_by: Some(role), ..HistoryFilter::default() };
        let mut parts = catalog.history_parts(reader, filter).await?;
        let (mut history, older) = (parts.rest().await?, parts.older());
        drop(parts);
        for row in &mut history {
            if let Some(rows) = running.get(&row.statement_id).filter(|_| row.metrics.produced_rows.is_none()) {
                row.metrics.produced_rows = Some(*rows);
            }
        }
        let history = Recent { source: query_history::table(&history)?, older, count: history.len() };
        let wanted = Wanted { log: Log::Statements, since, until: None, limit: RECORDS_MAX, role: Some(role), opens: false, reader };
        let history = with_older(session, history, &wanted).await?;
        let limit = if opens { OPENED_MAX } else { RECORDS_MAX };
        let filter = AuditFilter { limit: Some(limit), since, without_details: !opens, actor: Some(role), ..AuditFilter::default() };
        let mut parts = catalog.audit_parts(reader, filter).await?;
        let (events, older) = (parts.rest().await?, parts.older());
        drop(parts);
        let events = Recent { source: audit::table(&events)?, older, count: events.len() };
        let events = with_older(session, events, &Wanted { log: Log::Events, limit, opens, ..wanted }).await?;
        Ok(LogRows { audit: events, history })
    }

    #[must_use]
    pub fn of(&self, name: &RelationName) -> Option<&Records> {
        match (name.schema.as_str(), name.name.as_str()) {
            ("access", "audit") => Some(&self.audit),
            ("query", "history") => Some(&self.history),
            _ => None,
        }
    }

    /// Those of a part of the time.
    ///
    /// # Errors
    /// XX000.
    pub fn between(&self, since: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Result<LogRows, SqlError> {
        Ok(LogRows {
            audit: self.audit.between(Log::Events.time(), since, until)?,
            history: self.history.between(Log::Statements.time(), since, until)?,
        })
    }
}

/// A query, its columns and what it reads.
type View = (String, Vec<String>, Vec<BoundRelation>);

impl Records {
    /// What stands in the place of the relation where there are older records; `None`: the recent ones are all.
    ///
    /// # Errors
    /// XX000.
    pub fn view(&self, name: &RelationName) -> Result<Option<View>, SqlError> {
        let Some(older) = &self.older else { return Ok(None) };
        let columns = columns_of(&self.recent)?;
        let list = columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        let (new, old) = (part_of(&name.schema, &name.name, "recent"), part_of(&name.schema, &name.name, "older"));
        let query = format!("SELECT {list} FROM {} UNION ALL SELECT {list} FROM {}", sql_name(&new), sql_name(&old));
        Ok(Some((query, columns, vec![BoundRelation::new(new, self.recent.clone()), BoundRelation::new(old, older.clone())])))
    }

    fn between(&self, column: &str, since: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Result<Records, SqlError> {
        let older = self.older.as_ref().map(|older| part(older, column, since, until)).transpose()?;
        Ok(Records { recent: part(&self.recent, column, since, until)?, older })
    }
}

fn columns_of(source: &RelationSource) -> Result<Vec<String>, SqlError> {
    match source {
        RelationSource::Rows { schema, .. } => Ok(schema.fields().iter().map(|field| field.name().clone()).collect()),
        _ => Err(internal("records that are no rows")),
    }
}

/// The rest, from the data plane.
async fn with_older(session: &GatewaySession, recent: Recent, wanted: &Wanted<'_>) -> Result<Records, SqlError> {
    let left = (wanted.limit as usize).saturating_sub(recent.count);
    let Some(version) = recent.older.filter(|_| left > 0) else { return Ok(Records { recent: recent.source, older: None }) };
    let shared = &session.shared;
    let snapshot = shared.catalog.snapshot();
    let columns = columns_of(&recent.source)?;
    let of_role = wanted.role.map(|role| match wanted.log {
        Log::Statements => format!("s.executed_by_oid = {role}"),
        Log::Events => format!("s.actor_oid = {role}"),
    });
    let OldRecords { query, table } =
        older(wanted.log, version, &shared.warehouse_root, &snapshot, wanted.reader, &columns, false, of_role.as_deref());
    let time = quoted(wanted.log.time());
    let bound = |at: Option<DateTime<Utc>>, operator: &str| {
        at.map(|at| format!("o.{time} {operator} TIMESTAMPTZ '{}'", at.format("%Y-%m-%d %H:%M:%S%.6f+00")))
    };
    let conditions: Vec<String> = bound(wanted.since, ">=").into_iter().chain(bound(wanted.until, "<")).collect();
    let condition = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let mut relations = vec![table];
    let (list, join) = match wanted.opens && wanted.log == Log::Events {
        false => ("o.*".to_owned(), String::new()),
        true => {
            let details = shared.catalog.flushed_details(wanted.since, wanted.until, u32::try_from(left).unwrap_or(u32::MAX)).await?;
            let part = part_of("access", "audit", "details");
            let join = format!("LEFT JOIN {} AS d ON d.event_id = o.event_id", sql_name(&part));
            relations.push(BoundRelation::new(part, details_table(&details)?));
            let is_sealed = |column: &String| matches!(column.as_str(), "request_params" | "error_message");
            let shown = |column: &String| format!("{}.{}", if is_sealed(column) { "d" } else { "o" }, quoted(column));
            (columns.iter().map(shown).collect::<Vec<_>>().join(", "), join)
        }
    };
    let text = format!("SELECT {list} FROM ({query}) AS o {join} {condition} ORDER BY o.{time} DESC LIMIT {left}");
    let query = crate::sql::parse::parse_query(&text)?;
    let work = Work::Query(Box::new(sqlparser::ast::Statement::Query(Box::new(query))));
    let facts = session.facts(&snapshot);
    match run(shared.engine.as_ref(), work, relations, facts).await? {
        Execution::Rows { schema, stream, .. } => {
            let batches: Vec<RecordBatch> = stream.try_collect().await?;
            Ok(Records { recent: recent.source, older: Some(RelationSource::Rows { schema, batches: batches.into() }) })
        }
        Execution::Done(_) | Execution::Returned { .. } => Err(internal("old records without rows")),
    }
}

fn details_table(details: &[FlushedDetail]) -> Result<RelationSource, SqlError> {
    Columns::over(details)
        .uuid("event_id", |detail| Some(detail.event_id.clone()))
        .json("request_params", |detail| detail.request_params.clone())
        .text("error_message", |detail| detail.error_message.clone())
        .finish()
}

fn part(source: &RelationSource, column: &str, since: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Result<RelationSource, SqlError> {
    let RelationSource::Rows { schema, batches } = source else { return Ok(source.clone()) };
    let cut = |batch: &RecordBatch| {
        let times = batch.column_by_name(column).and_then(|times| times.as_any().downcast_ref::<TimestampMicrosecondArray>());
        let times = times.ok_or_else(|| SqlError::new(SqlState::InternalError, "records without their times"))?;
        // Newest first.
        let begin = times.values().partition_point(|time| *time > until.timestamp_micros());
        let end = since.map_or(times.len(), |since| times.values().partition_point(|time| *time >= since.timestamp_micros()));
        Ok(batch.slice(begin, end.saturating_sub(begin)))
    };
    let batches: Result<Vec<RecordBatch>, SqlError> = batches.iter().map(cut).collect();
    Ok(RelationSource::Rows { schema: Arc::clone(schema), batches: batches?.into() })
}
