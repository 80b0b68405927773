//! Detections: rules over the logs, in SQL or Sigma, run on a schedule or over the past. What they find stands in
//! `system.access.findings`.

pub mod guard;
mod log_rows;
pub mod pack;
pub mod runner;
pub mod sigma;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::DataType;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use lakegate_catalog::detections::Detection;
use lakegate_engine_api::{Execution, ExecutionContext, pg_type};
use sqlparser::ast::Statement;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::log_rows::LogRows;
use crate::sql::facets::Mentioned;
use crate::sql::grammar::Command;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::outgoing::Format;
use crate::wire::rows::{Column, Manner};

/// Rows of a rule's answer that are looked at.
const ROWS_MAX: usize = 10_000;
/// Rows that a finding holds.
const EVIDENCE_ROWS_MAX: usize = 20;
/// Times at which a rule is asked over the past.
const STEPS_MAX: u32 = 2_000;

/// A rule as a query.
pub struct Compiled {
    command: Command,
    /// It looks at what audit events have sealed.
    opens: bool,
    /// Columns of the logs that it names; `None`: it cannot be told.
    columns: Option<BTreeSet<String>>,
    /// What a Sigma rule says of itself.
    said: sigma::Said,
}

/// Of one actor, what a rule gave at one time.
#[derive(Debug, Clone)]
pub struct Hit {
    pub actor: String,
    pub first: Option<DateTime<Utc>>,
    pub last: Option<DateTime<Utc>>,
    pub rows: Vec<serde_json::Map<String, serde_json::Value>>,
    /// How many there were.
    pub count: usize,
}

impl Hit {
    /// As `system.access.findings.evidence`.
    #[must_use]
    pub fn evidence(&self) -> serde_json::Value {
        serde_json::json!({ "rows": self.rows, "count": self.count })
    }
}

impl Compiled {
    /// What the rule itself says stands where nothing else is said.
    pub fn describe(&self, detection: &mut Detection) {
        if let Some(severity) = self.said.severity {
            severity.clone_into(&mut detection.severity);
        }
        if let Some(window) = self.said.window {
            detection.window = window;
        }
        detection.comment = self.said.title.clone().or(detection.comment.take());
    }
}

/// # Errors
/// 42601 for what is no query, 22023 for what is no rule, 0A000 for what Sigma has and this has not.
pub fn compile(detection: &Detection) -> Result<Compiled, SqlError> {
    let (query, said) = match detection.language.as_str() {
        "sigma" => sigma::compile(&detection.definition)?,
        _ => (query(&detection.definition)?, sigma::Said::default()),
    };
    let mentioned = Mentioned::by(&query);
    let opens = mentioned.names_any(&["request_params", "error_message"]);
    let columns = mentioned.columns().cloned();
    Ok(Compiled { command: Command::Sql(Box::new(Statement::Query(Box::new(query)))), opens, columns, said })
}

fn query(text: &str) -> Result<sqlparser::ast::Query, SqlError> {
    let query = crate::sql::parse::parse_query(text).map_err(|error| match error.state {
        SqlState::DataCorrupted => SqlError::new(SqlState::SyntaxError, "a detection is one query"),
        _ => error,
    })?;
    let command = Command::Sql(Box::new(Statement::Query(Box::new(query.clone()))));
    match crate::sql::prepare::is_change(&command) || crate::sql::prepare::has_select_into(&query) {
        true => Err(SqlError::unsupported("a data-modifying statement in a detection")),
        false => Ok(query),
    }
}

/// Plans the rule over no records: whether it can run, and says whom its rows are about.
///
/// # Errors
/// The query's own; 42703 where there is no column `actor`.
pub async fn check(session: &mut GatewaySession, compiled: &Compiled) -> Result<(), SqlError> {
    session.log_rows = Some(LogRows::none()?);
    let planned = crate::sql::prepare::plan(session, &compiled.command, None, &[]).await;
    session.log_rows = None;
    let planned = planned?;
    let schema = planned.prepared.result_schema();
    if schema.is_none_or(|schema| schema.index_of("actor").is_err()) {
        return Err(SqlError::new(SqlState::UndefinedColumn, "the query of a detection needs a column \"actor\"")
            .hint("Columns first_event_time and last_event_time say when; all others are evidence."));
    }
    Ok(())
}

/// What a rule gives at a moment, by actor.
///
/// # Errors
/// The query's own; 57014.
pub async fn evaluate(
    session: &mut GatewaySession,
    compiled: &Compiled,
    threshold: u64,
    rows: LogRows,
    at: DateTime<Utc>,
    cancel: &CancellationToken,
) -> Result<Vec<Hit>, SqlError> {
    (session.log_rows, session.clock) = (Some(rows), Some(at));
    let answer = answer(session, compiled, cancel).await;
    (session.log_rows, session.clock) = (None, None);
    let mut hits: BTreeMap<String, Hit> = BTreeMap::new();
    for row in answer? {
        let hit = hits.entry(row.actor.clone()).or_insert_with(|| Hit {
            actor: row.actor,
            first: row.first,
            last: row.last,
            rows: Vec::new(),
            count: 0,
        });
        hit.first = hit.first.into_iter().chain(row.first).min();
        hit.last = hit.last.into_iter().chain(row.last).max();
        hit.count += 1;
        if hit.rows.len() < EVIDENCE_ROWS_MAX {
            hit.rows.push(row.evidence);
        }
    }
    Ok(hits.into_values().filter(|hit| hit.count as u64 >= threshold).collect())
}

struct Row {
    actor: String,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    evidence: serde_json::Map<String, serde_json::Value>,
}

async fn answer(session: &mut GatewaySession, compiled: &Compiled, cancel: &CancellationToken) -> Result<Vec<Row>, SqlError> {
    let plan = crate::sql::prepare::plan(session, &compiled.command, None, &[]).await?;
    let context = ExecutionContext { statement_id: Uuid::now_v7(), cancel: cancel.clone() };
    let Execution::Rows { mut stream, .. } = plan.prepared.execute(Vec::new(), context).await? else {
        return Err(SqlError::new(SqlState::InternalError, "a detection answered no rows"));
    };
    let manner = Manner { style: session.settings.current.text_style(), names: None };
    let mut found = Vec::new();
    while let Some(batch) = stream.next().await {
        rows_of(&batch?, &manner, &mut found)?;
        if found.len() >= ROWS_MAX {
            break;
        }
    }
    found.truncate(ROWS_MAX);
    Ok(found)
}

fn rows_of(batch: &RecordBatch, manner: &Manner, found: &mut Vec<Row>) -> Result<(), SqlError> {
    let schema = batch.schema();
    let columns: Vec<Column> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| Column::new(field, array, Format::Text, manner))
        .collect::<Result<_, _>>()?;
    for at in 0..batch.num_rows() {
        let mut evidence = serde_json::Map::new();
        for (field, column) in schema.fields().iter().zip(&columns) {
            let value = if column.is_null(at) { serde_json::Value::Null } else { shown(column, at, field.data_type())? };
            evidence.insert(field.name().clone(), value);
        }
        let actor = evidence.remove("actor").and_then(|actor| actor.as_str().map(str::to_owned)).unwrap_or_default();
        found.push(Row { actor, first: time(batch, "first_event_time", at), last: time(batch, "last_event_time", at), evidence });
    }
    Ok(())
}

/// Whole numbers and truth values as JSON's, all else as text.
fn shown(column: &Column, row: usize, data_type: &DataType) -> Result<serde_json::Value, SqlError> {
    let mut text = Vec::new();
    column.write(row, &mut text).map_err(|error| *error)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(match data_type {
        DataType::Boolean => serde_json::Value::Bool(text == "t"),
        data_type if data_type.is_integer() => text.parse::<i64>().map_or(serde_json::Value::String(text), serde_json::Value::from),
        _ => serde_json::Value::String(text),
    })
}

fn time(batch: &RecordBatch, column: &str, row: usize) -> Option<DateTime<Utc>> {
    let times = batch.column_by_name(column)?.as_any().downcast_ref::<TimestampMicrosecondArray>()?;
    times.is_valid(row).then(|| DateTime::from_timestamp_micros(times.value(row))).flatten()
}

/// Asks a rule over the past as its schedule would have, though not more often than needed; gives each hit with the time at which it came
/// up first.
///
/// # Errors
/// 54000 where the time is too long for the rule's window; as [`evaluate`].
pub async fn hunt(
    session: &mut GatewaySession,
    detection: &Detection,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    cancel: &CancellationToken,
) -> Result<Vec<(DateTime<Utc>, Hit)>, SqlError> {
    let compiled = compile(detection)?;
    let times = times(detection, since, until)?;
    let window = chrono::Duration::from_std(detection.window).unwrap_or(chrono::Duration::zero());
    let from = (!window.is_zero()).then(|| since - window);
    let principal = session.principal;
    let all = LogRows::load(session, &principal, from, Some(until), compiled.opens, compiled.columns.as_ref()).await?;
    let mut found: Vec<(DateTime<Utc>, Hit)> = Vec::new();
    for at in times {
        if cancel.is_cancelled() {
            return Err(SqlError::canceled());
        }
        let rows = all.between((!window.is_zero()).then(|| at - window), at)?;
        for hit in evaluate(session, &compiled, detection.threshold, rows, at, cancel).await? {
            let is_known = |(before, known): &(DateTime<Utc>, Hit)| {
                known.actor == hit.actor
                    && (hit.last <= known.last || at - *before < chrono::Duration::from_std(detection.suppress).unwrap_or_default())
            };
            if !found.iter().any(is_known) {
                found.push((at, hit));
            }
        }
    }
    Ok(found)
}

/// From the first to the last, no further apart than half a window, so that nothing falls between two.
fn times(detection: &Detection, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>, SqlError> {
    let span = (until - since).to_std().unwrap_or(Duration::ZERO);
    if detection.window.is_zero() || span.is_zero() {
        return Ok(vec![until]);
    }
    let step = detection.every.max(span / STEPS_MAX).min(detection.window / 2).max(Duration::from_secs(1));
    let steps = span.as_millis() / step.as_millis().max(1);
    if steps > u128::from(STEPS_MAX) {
        let text = format!("{steps} times lie between SINCE and UNTIL at which detection \"{}\" had to be asked", detection.name);
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, text)
            .hint(format!("At most {STEPS_MAX} are: hunt through a shorter time, or with a longer WINDOW.")));
    }
    let step = chrono::Duration::from_std(step).unwrap_or(chrono::Duration::seconds(1));
    let mut times: Vec<DateTime<Utc>> = Vec::new();
    let mut at = since + step;
    while at < until {
        times.push(at);
        at += step;
    }
    times.push(until);
    Ok(times)
}

/// Of a column, for rules that compare.
#[must_use]
pub fn is_list(field: &arrow_schema::Field) -> bool {
    pg_type(field).oid == 1009
}

/// Shared by the tests of rules and by the runner.
pub type Shared = Arc<crate::sql::session::Shared>;
