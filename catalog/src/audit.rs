//! The audit log: logins, denials, grants and changes of objects, through the same writer as the statement log.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::flushed::Log;
use crate::keyring::Cell;
use crate::log_parts::{Kind, Parts, own, within};
use crate::log_proof::RecordKind;
use crate::model::{Oid, READ_AUDIT_OID};
use crate::statement_log::{Places, Row, Value, Wait, time};
use crate::store::number;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditStatus {
    Success,
    Denied,
    Error,
}

impl AuditStatus {
    const ALL: [AuditStatus; 3] = [AuditStatus::Success, AuditStatus::Denied, AuditStatus::Error];

    /// As `status` shows it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            AuditStatus::Success => "success",
            AuditStatus::Denied => "denied",
            AuditStatus::Error => "error",
        }
    }
}

/// Something that happened. `request_params` and `error_message` are sealed; secrets are out of them already.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    pub event_time: DateTime<Utc>,
    /// 0 where nobody is proven, e.g. at a refused login.
    pub actor_oid: Oid,
    /// The session's role, or the name that a login tried.
    pub actor: String,
    pub run_as: String,
    pub source_ip_address: Option<String>,
    pub session_id: Option<String>,
    pub client_application: Option<String>,
    pub auth_method: Option<String>,
    /// `accounts`, `catalog`, `warehouse` …
    pub service_name: String,
    /// `login`, `logout`, `grant` …
    pub action_name: String,
    pub object_type: Option<String>,
    pub object_name: Option<String>,
    pub request_params: serde_json::Value,
    pub status: AuditStatus,
    pub sqlstate: Option<String>,
    pub error_message: Option<String>,
    pub rows_affected: Option<u64>,
    pub statement_id: Option<Uuid>,
}

#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Newest first; `None`: 10,000.
    pub limit: Option<u32>,
    /// At or after.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    pub action_name: Option<String>,
    /// Nothing that is sealed is opened.
    pub without_details: bool,
    /// Of this actor alone.
    pub actor: Option<Oid>,
}

#[derive(Debug, Clone)]
pub struct AuditRow {
    pub event_id: Uuid,
    /// Of `event_time`, in UTC.
    pub event_date: NaiveDate,
    pub event: AuditEvent,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SealedDetail {
    pub(crate) request_params: serde_json::Value,
    pub(crate) error_message: Option<String>,
}

/// What is hashed of an event.
pub(crate) const COLUMNS: [&str; 19] = [
    "event_id",
    "event_time",
    "actor_oid",
    "actor",
    "run_as",
    "source_ip_address",
    "session_id",
    "client_application",
    "auth_method",
    "service_name",
    "action_name",
    "object_type",
    "object_name",
    "status",
    "sqlstate",
    "rows_affected",
    "statement_id",
    "key_id",
    "detail_digest",
];
const LIMIT_DEFAULT: u32 = 10_000;

/// The log of audit events.
pub struct Events;

impl Kind for Events {
    type Filter = AuditFilter;
    type Row = AuditRow;
    const LOG: Log = Log::Events;

    fn limit(filter: &AuditFilter) -> u32 {
        filter.limit.unwrap_or(LIMIT_DEFAULT)
    }

    fn source(filter: &AuditFilter) -> String {
        let columns = COLUMNS.join(", ").replace("detail_digest", if filter.without_details { "NULL" } else { "sealed_detail" });
        format!("{columns} FROM audit_events")
    }

    fn conditions(catalog: &Catalog, principal: &Principal, filter: &AuditFilter, places: &mut Places) -> Vec<String> {
        let mut wheres: Vec<String> = Vec::new();
        if !catalog.snapshot().has_privileges_of(principal.current_role, READ_AUDIT_OID) {
            wheres.push(own("actor_oid", principal, places));
        }
        wheres.extend(within("event_time", filter.since, filter.until, places));
        if let Some(actor) = filter.actor {
            wheres.push(format!("actor_oid = {}", places.integer(actor.into())));
        }
        if let Some(action) = &filter.action_name {
            wheres.push(format!("action_name = {}", places.text(action.clone())));
        }
        wheres
    }

    async fn row(
        catalog: &Catalog,
        _principal: &Principal,
        filter: &AuditFilter,
        row: &AnyRow,
        read: &mut AnyConnection,
    ) -> Result<AuditRow, CatalogError> {
        catalog.audit_row(row, filter.without_details, read).await
    }
}

impl Catalog {
    /// Records an event; with `wait` it is durable when this returns, without it waits only while the queue is full.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`]; the writer goes on trying.
    pub async fn audit(&self, event: AuditEvent, wait: bool) -> Result<(), CatalogError> {
        self.audit_as(Uuid::now_v7(), event, wait).await
    }

    /// Records an event, durable and chained when this returns; gives its number, for [`Catalog::inclusion_proof`].
    ///
    /// # Errors
    /// As [`Catalog::audit`].
    pub async fn audit_durable(&self, event: AuditEvent) -> Result<Uuid, CatalogError> {
        let event_id = Uuid::now_v7();
        self.audit_as(event_id, event, true).await.map(|()| event_id)
    }

    async fn audit_as(&self, event_id: Uuid, event: AuditEvent, wait: bool) -> Result<(), CatalogError> {
        let unavailable = |error: CatalogError| CatalogError::LogUnavailable { detail: error.to_string() };
        let key = self.keyring().of_day(event.event_time, event.actor_oid).await.map_err(unavailable)?;
        let event_id = event_id.to_string();
        let detail = SealedDetail { request_params: event.request_params, error_message: event.error_message };
        let plain = serde_json::to_vec(&detail).map_err(CatalogError::internal)?;
        let micros = event.event_time.timestamp_micros();
        let sealed = key.seal(cell(&event_id, event.actor_oid, micros), &plain)?;
        let values = vec![
            Value::from(event_id),
            micros.into(),
            i64::from(event.actor_oid).into(),
            event.actor.into(),
            event.run_as.into(),
            event.source_ip_address.into(),
            event.session_id.into(),
            event.client_application.into(),
            event.auth_method.into(),
            event.service_name.into(),
            event.action_name.into(),
            event.object_type.into(),
            event.object_name.into(),
            event.status.word().to_owned().into(),
            event.sqlstate.into(),
            event.rows_affected.into(),
            event.statement_id.map(|id| id.to_string()).into(),
            key.id().to_owned().into(),
        ];
        self.log().append(Row::new(RecordKind::Event, values, Some(sealed)), if wait { Wait::Durable } else { Wait::Queued }).await
    }

    /// Superusers and members of `lakegate_read_audit` see every row, everybody else what they did themselves, newest first.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`].
    pub async fn audit_rows(&self, principal: &Principal, filter: AuditFilter) -> Result<Vec<AuditRow>, CatalogError> {
        self.audit_parts(principal, filter).await?.rest().await
    }

    /// As [`Catalog::audit_rows`], part by part.
    ///
    /// # Errors
    /// As [`Catalog::audit_rows`].
    pub async fn audit_parts(&self, principal: &Principal, filter: AuditFilter) -> Result<Parts<Events>, CatalogError> {
        Parts::now(self, principal, filter).await
    }

    async fn audit_row(&self, row: &AnyRow, without_details: bool, read: &mut AnyConnection) -> Result<AuditRow, CatalogError> {
        let event_id: String = row.try_get(0)?;
        let micros: i64 = row.try_get(1)?;
        let event_time = time(micros)?;
        let actor_oid: Oid = number(row.try_get(2)?)?;
        let status: String = row.try_get(13)?;
        let nothing = SealedDetail { request_params: serde_json::Value::Null, error_message: None };
        let detail = match without_details {
            true => nothing,
            false => self.audit_detail(row, &event_id, actor_oid, micros, read).await?.unwrap_or(nothing),
        };
        let event = AuditEvent {
            event_time,
            actor_oid,
            actor: row.try_get(3)?,
            run_as: row.try_get(4)?,
            source_ip_address: row.try_get(5)?,
            session_id: row.try_get(6)?,
            client_application: row.try_get(7)?,
            auth_method: row.try_get(8)?,
            service_name: row.try_get(9)?,
            action_name: row.try_get(10)?,
            object_type: row.try_get(11)?,
            object_name: row.try_get(12)?,
            request_params: detail.request_params,
            status: AuditStatus::ALL
                .into_iter()
                .find(|known| known.word() == status)
                .ok_or_else(|| CatalogError::corrupted("an audit status"))?,
            sqlstate: row.try_get(14)?,
            error_message: detail.error_message,
            rows_affected: row.try_get::<Option<i64>, _>(15)?.map(number).transpose()?,
            statement_id: row
                .try_get::<Option<String>, _>(16)?
                .map(|id| id.parse())
                .transpose()
                .map_err(|error: uuid::Error| CatalogError::corrupted(error))?,
        };
        Ok(AuditRow { event_id: event_id.parse().map_err(CatalogError::corrupted)?, event_date: event_time.date_naive(), event })
    }
}

impl Catalog {
    /// `None` where the key is destroyed.
    async fn audit_detail(
        &self,
        row: &AnyRow,
        id: &str,
        actor: Oid,
        time: i64,
        read: &mut AnyConnection,
    ) -> Result<Option<SealedDetail>, CatalogError> {
        match self.keyring().by_id_in(read, &row.try_get::<String, _>(17)?).await {
            Ok(key) => {
                let sealed: Vec<u8> = row.try_get(18)?;
                let plain = key.open(cell(id, actor, time), &sealed)?;
                serde_json::from_slice(&plain).map(Some).map_err(|_| CatalogError::corrupted("an audit event"))
            }
            Err(CatalogError::KeyDestroyed) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn cell(id: &str, actor: Oid, time: i64) -> Cell<'_> {
    Cell { table: "audit_events", column: "sealed_detail", id, role: actor, time }
}
