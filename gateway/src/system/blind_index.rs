//! `lakegate.statements_with_literal('x')`: the statements that held a literal, found without opening any.

use lakegate_catalog::audit::{AuditEvent, AuditStatus};
use lakegate_catalog::authorize::Principal;
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::sql::session::GatewaySession;
use crate::sqlstate::SqlError;

/// The search is in the audit log, without the literal, before its answer is there.
///
/// # Errors
/// 42501, 22023 where the index is off, 58030.
pub async fn found(session: &GatewaySession, principal: &Principal, literal: &str) -> Result<RelationSource, SqlError> {
    let catalog = &session.shared.catalog;
    let found = catalog.statements_with_literal(principal, literal).await;
    let event = AuditEvent {
        service_name: "log".to_owned(),
        action_name: "search_literal".to_owned(),
        object_type: Some("blind index".to_owned()),
        status: if found.is_ok() { AuditStatus::Success } else { AuditStatus::Denied },
        rows_affected: found.as_ref().ok().map(|found| found.len() as u64),
        ..super::audit::event(session)
    };
    catalog.audit(event, true).await?;
    Columns::over(&found?).uuid("statement_id", |id| Some(id.to_string())).finish()
}
