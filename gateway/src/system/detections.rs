//! `system.access.detections` and `system.access.findings`, for auditors.

use lakegate_catalog::Catalog;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::detections::{Detection, Finding};
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::sqlstate::SqlError;

pub async fn rules(catalog: &Catalog, principal: &Principal) -> Result<RelationSource, SqlError> {
    let all = if catalog.is_auditor(principal) { catalog.detections().await? } else { Vec::new() };
    rules_table(&all)
}

/// The rules as a relation.
pub fn rules_table(rows: &[Detection]) -> Result<RelationSource, SqlError> {
    let seconds = |duration: std::time::Duration| Some(duration.as_secs());
    Columns::over(rows)
        .text("name", |row| Some(row.name.clone()))
        .text("severity", |row| Some(row.severity.clone()))
        .count("every", move |row| seconds(row.every))
        .text("definition", |row| Some(row.definition.clone()))
        .text("source", |row| Some(row.source.clone()))
        .flag("enabled", |row| Some(row.enabled))
        .text("language", |row| Some(row.language.clone()))
        .count("lookback", move |row| seconds(row.window))
        .count("threshold", |row| Some(row.threshold))
        .count("suppress", move |row| seconds(row.suppress))
        .text("comment", |row| row.comment.clone())
        .time("last_run_time", |row| row.last_run)
        .text("last_error", |row| row.last_error.clone())
        .flag("guard", |row| Some(row.guard))
        .finish()
}

pub async fn findings(catalog: &Catalog, principal: &Principal) -> Result<RelationSource, SqlError> {
    findings_table(&catalog.findings(principal).await?)
}

/// What they found as a relation.
pub fn findings_table(rows: &[Finding]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .uuid("finding_id", |row| Some(row.finding_id.to_string()))
        .text("detection", |row| Some(row.detection.clone()))
        .text("severity", |row| Some(row.severity.clone()))
        .text("actor", |row| Some(row.actor.clone()))
        .time("first_event_time", |row| row.first_event)
        .time("last_event_time", |row| row.last_event)
        .time("found_time", |row| Some(row.found))
        .json("evidence", |row| (!row.evidence.is_null()).then(|| row.evidence.to_string()))
        .text("state", |row| Some(row.state.clone()))
        .finish()
}
