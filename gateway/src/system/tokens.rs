//! `system.access.tokens`: personal access tokens, without what they are made of.

use lakegate_catalog::auth::Token;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::{Catalog, Snapshot};
use lakegate_engine_api::RelationSource;

use super::columns::Columns;
use crate::sqlstate::SqlError;

pub async fn rows(catalog: &Catalog, principal: &Principal, snapshot: &Snapshot) -> Result<RelationSource, SqlError> {
    let rows: Vec<Row> = catalog
        .tokens(principal)
        .await?
        .into_iter()
        .map(|token| Row { role: snapshot.role_name(token.role), created_by: snapshot.role_name(token.created_by), token })
        .collect();
    table(&rows)
}

/// A token with its names.
pub struct Row {
    token: Token,
    role: String,
    created_by: String,
}

/// The rows as a relation.
pub fn table(rows: &[Row]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .uuid("token_id", |row| Some(row.token.id.to_string()))
        .text("name", |row| Some(row.token.name.clone()))
        .text("role", |row| Some(row.role.clone()))
        .text("created_by", |row| Some(row.created_by.clone()))
        .time("created_time", |row| Some(row.token.created))
        .time("expires_time", |row| row.token.expires)
        .time("last_used_time", |row| row.token.last_used)
        .finish()
}
