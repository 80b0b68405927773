//! `pg_catalog` and `information_schema`: what clients browse with.
//!
//! A few relations of truth are made from the catalog snapshot when a statement names them ([`relations`]); everything that
//! never changes was recorded from PostgreSQL 15 ([`recorded`]); the rest are SQL views over these ([`views`]). A relation of
//! PostgreSQL that Lakegate has nothing to say in exists with its columns and without rows.

mod cells;
mod constants;
mod foreign_keys;
mod function_facts;
mod kept;
pub mod lookup;
mod moment;
mod objects;
mod only;
mod recorded;
mod relations;
mod typed_text;
mod view_text;
mod views;

use std::collections::HashSet;
use std::sync::Arc;

use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::RelationName;
use lakegate_engine_api::{RelationSource, SessionFacts};

use crate::server::LiveSessions;
use crate::sql::advisory::AdvisoryLocks;
use crate::sql::cursors::Cursors;
use crate::sql::named_statements::NamedStatements;
use crate::sqlstate::{SqlError, SqlState};

pub const PG_CATALOG: &str = "pg_catalog";
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// What the rows depend on.
pub struct Context<'a> {
    pub snapshot: &'a Arc<Snapshot>,
    /// Rows are limited to what this role may see.
    pub principal: Principal,
    /// The database whose catalog it is.
    pub database: &'a str,
    pub facts: &'a Arc<SessionFacts>,
    pub live: &'a LiveSessions,
    /// The session's own.
    pub named: &'a NamedStatements,
    pub cursors: &'a Cursors,
    /// Of all sessions.
    pub advisory: &'a AdvisoryLocks,
    /// Places of the columns that are wanted; `None`: all.
    pub columns: Option<&'a [usize]>,
    /// Where rows of these relations are enough.
    pub only: Option<&'a only::Only>,
}

/// Whether PostgreSQL 15 has such a system relation.
#[must_use]
pub fn has_relation(schema: &str, name: &str) -> bool {
    recorded::relation(schema, name).is_some()
}

/// Whether the rows follow from the catalog, the role and the settings.
#[must_use]
pub fn follows_catalog(schema: &str, name: &str) -> bool {
    matches!(schema, PG_CATALOG | INFORMATION_SCHEMA) && (name == "pg_settings" || !relations::OF_THE_MOMENT.contains(&name))
}

/// Whether the rows are made each time a plan runs.
#[must_use]
pub fn is_made_when_run(schema: &str, name: &str) -> bool {
    schema == PG_CATALOG && moment::OF_ALL_SESSIONS.contains(&name)
}

/// Names under which `pg_proc` has immutable functions alone.
#[must_use]
pub fn immutable_functions() -> HashSet<String> {
    let (mut immutable, mut others) = (HashSet::new(), HashSet::new());
    for function in recorded::functions() {
        if function.is_immutable {
            immutable.insert(function.name)
        } else {
            others.insert(function.name)
        };
    }
    &immutable - &others
}

/// The rows of a system relation, or the query that makes them; `None` where there is no such relation.
///
/// # Errors
/// XX000 where the recorded data is broken.
pub fn system_relation(name: &RelationName, context: &Context<'_>) -> Result<Option<RelationSource>, SqlError> {
    let Some(relation) = recorded::relation(&name.schema, &name.name) else { return Ok(None) };
    if let Some(source) = relations::source(relation, context)? {
        return Ok(Some(source));
    }
    if let Some(query) = views::query(relation)? {
        let columns = relation.columns.iter().map(|column| column.name.clone()).collect();
        return Ok(Some(RelationSource::View { query, columns, runs_as: None, visible: None, policies: None }));
    }
    let batches = recorded::rows(relation)?.into_iter().cloned().collect::<Vec<_>>();
    Ok(Some(RelationSource::Rows { schema: Arc::clone(&relation.schema), batches: batches.into() }))
}

/// A fault of our own data, not of the statement.
fn broken(what: impl std::fmt::Display) -> SqlError {
    SqlError::new(SqlState::InternalError, format!("system catalog: {what}"))
}
