//! The records that rules look at: read once for all rules that look as far back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{RecordBatch, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};
use lakegate_catalog::Catalog;
use lakegate_catalog::audit::AuditFilter;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::{Oid, RelationName};
use lakegate_catalog::statement_log::HistoryFilter;
use lakegate_engine_api::RelationSource;
use uuid::Uuid;

use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};
use crate::system::{LogWindow, audit, query_history};

/// Records of each log that a rule is given at most, and audit events whose parameters it is given.
const RECORDS_MAX: u32 = 200_000;
const OPENED_MAX: u32 = 50_000;

/// `system.access.audit` and `system.query.history`, newest first.
#[derive(Clone)]
pub struct LogRows {
    audit: RelationSource,
    history: RelationSource,
}

impl LogRows {
    /// # Errors
    /// XX000.
    pub fn none() -> Result<LogRows, SqlError> {
        Ok(LogRows { audit: audit::table(&[])?, history: query_history::table(&[])? })
    }

    /// What a role may see of a time, the newest of it. Statements come without their texts: a rule lives on what is in clear.
    ///
    /// # Errors
    /// 57P03.
    pub async fn load(
        session: &GatewaySession,
        principal: &Principal,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        opens: bool,
    ) -> Result<LogRows, SqlError> {
        let catalog = &session.shared.catalog;
        let of_history = LogWindow { since, until, opens: false, limit: Some(RECORDS_MAX) };
        let (history, _) = query_history::rows(catalog, principal, &of_history).await?;
        let of_audit = LogWindow { opens, limit: Some(if opens { OPENED_MAX } else { RECORDS_MAX }), ..of_history };
        Ok(LogRows { audit: audit::rows(catalog, principal, &of_audit).await?, history })
    }

    /// Those of one role, with what its statements that run have given so far.
    ///
    /// # Errors
    /// 57P03.
    pub async fn of_role(
        catalog: &Catalog,
        reader: &Principal,
        role: Oid,
        since: Option<DateTime<Utc>>,
        running: &BTreeMap<Uuid, u64>,
        opens: bool,
    ) -> Result<LogRows, SqlError> {
        let filter =
            HistoryFilter { limit: Some(RECORDS_MAX), since, without_texts: true, executed_by: Some(role), ..HistoryFilter::default() };
        let mut history = catalog.history(reader, filter).await?;
        for row in &mut history {
            if let Some(rows) = running.get(&row.statement_id).filter(|_| row.metrics.produced_rows.is_none()) {
                row.metrics.produced_rows = Some(*rows);
            }
        }
        let limit = Some(if opens { OPENED_MAX } else { RECORDS_MAX });
        let filter = AuditFilter { limit, since, without_details: !opens, actor: Some(role), ..AuditFilter::default() };
        let events = catalog.audit_rows(reader, filter).await?;
        Ok(LogRows { audit: audit::table(&events)?, history: query_history::table(&history)? })
    }

    #[must_use]
    pub fn of(&self, name: &RelationName) -> Option<RelationSource> {
        match (name.schema.as_str(), name.name.as_str()) {
            ("access", "audit") => Some(self.audit.clone()),
            ("query", "history") => Some(self.history.clone()),
            _ => None,
        }
    }

    /// Those of a part of the time.
    ///
    /// # Errors
    /// XX000.
    pub fn between(&self, since: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Result<LogRows, SqlError> {
        Ok(LogRows { audit: part(&self.audit, "event_time", since, until)?, history: part(&self.history, "start_time", since, until)? })
    }
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
