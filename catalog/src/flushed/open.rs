//! What is sealed of records whose facets are in the data plane.

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use crate::audit::SealedDetail;
use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::keyring::Cell;
use crate::model::{Oid, READ_HISTORY_OID};
use crate::statement_log::SealedStatement;
use crate::store::number;

/// A sealed part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedPart {
    Text,
    Parameters,
    QueryTags,
    /// Of a statement.
    ErrorMessage,
    RequestParams,
    /// Of an event.
    EventError,
}

impl SealedPart {
    /// By the name of the system relation's column, which says whose it is.
    #[must_use]
    pub fn of_column(relation: &str, column: &str) -> Option<SealedPart> {
        Some(match (relation, column) {
            ("history", "statement_text") => SealedPart::Text,
            ("history", "statement_parameters") => SealedPart::Parameters,
            ("history", "query_tags") => SealedPart::QueryTags,
            ("history", "error_message") => SealedPart::ErrorMessage,
            ("audit", "request_params") => SealedPart::RequestParams,
            ("audit", "error_message") => SealedPart::EventError,
            _ => return None,
        })
    }

    const fn is_of_statement(self) -> bool {
        !matches!(self, SealedPart::RequestParams | SealedPart::EventError)
    }
}

/// An opened part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub value: Option<String>,
    /// Of the role itself: no opening of another's.
    pub own: bool,
}

impl Catalog {
    /// A part of a flushed record, as far as the role may read it: NULL where not, as in the rows that are still here.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`].
    pub async fn open_flushed(&self, principal: &Principal, id: &str, part: SealedPart) -> Result<Option<Opened>, CatalogError> {
        let sql = match part.is_of_statement() {
            true => {
                "SELECT executed_by_oid, start_time, key_id, sealed_statement, sealed_error FROM flushed_statements WHERE statement_id = $1"
            }
            false => "SELECT actor_oid, event_time, key_id, sealed_detail FROM flushed_events WHERE event_id = $1",
        };
        let Some(row) = sqlx::query(sql).bind(id.to_owned()).fetch_optional(self.store().reads()).await? else { return Ok(None) };
        let (role, time): (Oid, i64) = (number(row.try_get(0)?)?, row.try_get(1)?);
        let own = role == principal.session_role || role == principal.current_role;
        let may = match part.is_of_statement() {
            true => own || self.snapshot().has_privileges_of(principal.current_role, READ_HISTORY_OID),
            false => own || self.is_auditor(principal),
        };
        let (table, column, at) = match part {
            SealedPart::ErrorMessage => ("statements", "sealed_error", 4),
            SealedPart::RequestParams | SealedPart::EventError => ("audit_events", "sealed_detail", 3),
            _ => ("statements", "sealed_statement", 3),
        };
        let sealed: Option<Vec<u8>> = row.try_get(at)?;
        let Some(sealed) = sealed.filter(|_| may) else { return Ok(Some(Opened { value: None, own: true })) };
        let key = match self.keyring().by_id(&row.try_get::<String, _>(2)?).await {
            Err(CatalogError::KeyDestroyed) => return Ok(Some(Opened { value: None, own: true })),
            key => key?,
        };
        let plain = key.open(Cell { table, column, id, role, time }, &sealed)?;
        Ok(Some(Opened { value: part_of(&plain, part)?, own }))
    }
}

/// What is sealed of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushedDetail {
    pub event_id: String,
    /// JSON.
    pub request_params: Option<String>,
    pub error_message: Option<String>,
}

impl Catalog {
    /// Of the newest events of a time whose facets are in the data plane, whoever's they are: for detections.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`].
    pub async fn flushed_details(
        &self,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<FlushedDetail>, CatalogError> {
        let sql = "SELECT event_id, actor_oid, event_time, key_id, sealed_detail FROM flushed_events \
                   WHERE event_time >= $1 AND event_time < $2 AND sealed_detail IS NOT NULL ORDER BY event_time DESC LIMIT $3";
        let rows = sqlx::query(sql)
            .bind(since.map_or(i64::MIN, |since| since.timestamp_micros()))
            .bind(until.map_or(i64::MAX, |until| until.timestamp_micros()))
            .bind(i64::from(limit))
            .fetch_all(self.store().reads())
            .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let event_id: String = row.try_get(0)?;
            let (role, time): (Oid, i64) = (number(row.try_get(1)?)?, row.try_get(2)?);
            let key = match self.keyring().by_id(&row.try_get::<String, _>(3)?).await {
                Err(CatalogError::KeyDestroyed) => continue,
                key => key?,
            };
            let cell = Cell { table: "audit_events", column: "sealed_detail", id: &event_id, role, time };
            let plain = key.open(cell, &row.try_get::<Vec<u8>, _>(4)?)?;
            let (request_params, error_message) = (part_of(&plain, SealedPart::RequestParams)?, part_of(&plain, SealedPart::EventError)?);
            found.push(FlushedDetail { event_id, request_params, error_message });
        }
        Ok(found)
    }
}

fn part_of(plain: &[u8], part: SealedPart) -> Result<Option<String>, CatalogError> {
    let corrupted = |_| CatalogError::corrupted("a sealed record");
    let json = |value: serde_json::Value| (!value.is_null()).then(|| value.to_string());
    Ok(match part {
        SealedPart::ErrorMessage => Some(String::from_utf8_lossy(plain).into_owned()),
        SealedPart::RequestParams => json(serde_json::from_slice::<SealedDetail>(plain).map_err(corrupted)?.request_params),
        SealedPart::EventError => serde_json::from_slice::<SealedDetail>(plain).map_err(corrupted)?.error_message,
        SealedPart::Text | SealedPart::Parameters | SealedPart::QueryTags => {
            let statement: SealedStatement = serde_json::from_slice(plain).map_err(corrupted)?;
            match part {
                SealedPart::Text => Some(statement.text),
                SealedPart::Parameters if statement.parameters.is_empty() => None,
                SealedPart::Parameters => json(serde_json::json!(statement.parameters)),
                _ => json(serde_json::json!(statement.query_tags)),
            }
        }
    })
}
