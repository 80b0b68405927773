//! `system.privacy.requests` and `system.privacy.certificates`, for those who answer data subjects.

use chrono::Utc;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::PRIVACY_OID;
use lakegate_catalog::privacy::{Certificate, PrivacyRequest};
use lakegate_catalog::{Catalog, Snapshot};
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::sqlstate::SqlError;

/// Others see what they asked for themselves.
pub async fn requests(catalog: &Catalog, principal: &Principal, snapshot: &Snapshot) -> Result<RelationSource, SqlError> {
    let mut rows = catalog.privacy_requests().await?;
    if !snapshot.has_privileges_of(principal.current_role, PRIVACY_OID) {
        rows.retain(|request| request.requested_by == principal.session_role);
    }
    requests_table(&rows)
}

pub fn requests_table(rows: &[PrivacyRequest]) -> Result<RelationSource, SqlError> {
    let now = Utc::now();
    Columns::over(rows)
        .text("request_id", |row| Some(row.id.to_string()))
        .text("subject_kind", |row| Some(row.kind.clone()))
        .text("subject_digest", |row| Some(row.digests.join(",")))
        .text("action", |row| Some(row.action.clone()))
        .text("state", |row| Some(row.state.clone()))
        .count("tables_done", |row| Some(row.tables_done))
        .count("tables_total", |row| Some(row.tables_total))
        .text("requested_by", |row| Some(row.requested_by_name.clone()))
        .time("requested_time", |row| Some(row.requested_time))
        .time("deadline", |row| Some(row.deadline))
        .time("finished_time", |row| row.finished_time)
        .text("reason", |row| row.detail.get("reason").and_then(serde_json::Value::as_str).map(str::to_owned))
        .flag("is_late", move |row| Some(row.finished_time.unwrap_or(now) > row.deadline))
        .json("progress", |row| Some(row.progress.to_string()))
        .finish()
}

pub async fn certificates(catalog: &Catalog, principal: &Principal, snapshot: &Snapshot) -> Result<RelationSource, SqlError> {
    let mut rows = Vec::new();
    if snapshot.has_privileges_of(principal.current_role, PRIVACY_OID) {
        rows = catalog.privacy_certificates().await?;
    }
    certificates_table(&rows)
}

pub fn certificates_table(rows: &[Certificate]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .text("certificate_id", |row| Some(row.id.to_string()))
        .text("request_id", |row| Some(row.request.to_string()))
        .time("issued_time", |row| Some(row.issued_time))
        .count("residuals", |row| Some(row.residuals))
        .json("document", |row| Some(row.file.document.clone()))
        .text("signature", |row| Some(row.file.signature.clone()))
        // What `lakegate admin certificate verify` reads.
        .text("file", |row| serde_json::to_string(&row.file).ok())
        .finish()
}
