//! `system.compat.unsupported`: statements that clients sent and that were refused as not supported, one row for each statement
//! without its literals, client and reason. Made from the statement log, which tells a role what it may see there.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lakegate_catalog::Catalog;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::statement_log::{HistoryFilter, HistoryRow};
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::sqlstate::{SqlError, SqlState};

/// Statements alike.
pub struct Refusals {
    fingerprint: Option<String>,
    client: Option<String>,
    reason: Option<String>,
    statement_type: String,
    count: u64,
    first_seen: DateTime<Utc>,
    last_seen: DateTime<Utc>,
}

/// With the number of statements of others that were opened for it: why one was refused is sealed.
pub async fn rows(catalog: &Catalog, principal: &Principal) -> Result<(RelationSource, usize), SqlError> {
    let filter = HistoryFilter { limit: Some(u32::MAX), ..HistoryFilter::default() };
    let rows = catalog.history(principal, filter).await?;
    Ok((table(&counted(&rows))?, super::query_history::opened(&rows, principal)))
}

/// The rows as a relation.
pub fn table(rows: &[Refusals]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .text("fingerprint", |row| row.fingerprint.clone())
        .text("client", |row| row.client.clone())
        .text("reason", |row| row.reason.clone())
        .count("count", |row| Some(row.count))
        .time("last_seen", |row| Some(row.last_seen))
        .time("first_seen", |row| Some(row.first_seen))
        .text("statement_type", |row| Some(row.statement_type.clone()))
        .finish()
}

fn counted(history: &[HistoryRow]) -> Vec<Refusals> {
    let mut found: BTreeMap<_, Refusals> = BTreeMap::new();
    let unsupported = history.iter().filter(|row| row.sqlstate.as_deref() == Some(SqlState::FeatureNotSupported.code()));
    for row in unsupported {
        let refusals = found.entry((&row.fingerprint, &row.client_application, &row.error_message)).or_insert_with(|| Refusals {
            fingerprint: row.fingerprint.clone(),
            client: row.client_application.clone(),
            reason: row.error_message.clone(),
            statement_type: row.statement_type.clone(),
            count: 0,
            first_seen: row.start_time,
            last_seen: row.start_time,
        });
        refusals.count += 1;
        refusals.first_seen = refusals.first_seen.min(row.start_time);
        refusals.last_seen = refusals.last_seen.max(row.start_time);
    }
    found.into_values().collect()
}
