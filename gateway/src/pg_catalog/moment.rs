//! System relations that show what sessions do: made each time a plan runs.

use std::sync::Arc;

use arrow_array::RecordBatch;
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Principal;
use lakegate_engine_api::{EngineError, KeyFilter, SessionFacts, SystemColumns};

use super::Context;
use super::recorded::Recorded;
use super::relations::Maker;
use crate::server::LiveSessions;
use crate::sql::advisory::AdvisoryLocks;
use crate::sql::cursors::Cursors;
use crate::sql::named_statements::NamedStatements;
use crate::sqlstate::SqlError;

/// Those whose rows come from what all sessions share.
pub const OF_ALL_SESSIONS: &[&str] = &["pg_locks", "pg_stat_activity", "pg_stat_gssapi", "pg_stat_progress_copy", "pg_stat_ssl"];

/// One of them as a role sees it.
#[derive(Debug)]
pub struct OfTheMoment {
    relation: &'static Recorded,
    maker: Maker,
    snapshot: Arc<Snapshot>,
    principal: Principal,
    database: String,
    facts: Arc<SessionFacts>,
    live: LiveSessions,
    advisory: AdvisoryLocks,
}

impl OfTheMoment {
    pub fn new(relation: &'static Recorded, maker: Maker, context: &Context<'_>) -> Self {
        OfTheMoment {
            relation,
            maker,
            snapshot: Arc::clone(context.snapshot),
            principal: context.principal,
            database: context.database.to_owned(),
            facts: Arc::clone(context.facts),
            live: context.live.clone(),
            advisory: context.advisory.clone(),
        }
    }

    fn rows(&self, columns: &[usize]) -> Result<Vec<RecordBatch>, SqlError> {
        // The session's own are made elsewhere.
        let (named, cursors) = (NamedStatements::default(), Cursors::default());
        let context = Context {
            snapshot: &self.snapshot,
            principal: self.principal,
            database: &self.database,
            facts: &self.facts,
            live: &self.live,
            named: &named,
            cursors: &cursors,
            advisory: &self.advisory,
            columns: None,
            only: None,
        };
        let project = |batch: RecordBatch| batch.project(columns).map_err(super::broken);
        (self.maker)(self.relation, &context)?.into_iter().map(project).collect()
    }
}

impl SystemColumns for OfTheMoment {
    fn read(&self, columns: &[usize], _keys: &[KeyFilter]) -> Result<Vec<RecordBatch>, EngineError> {
        self.rows(columns).map_err(|error| EngineError::Internal { message: error.message })
    }

    fn are_of_the_moment(&self) -> bool {
        true
    }
}
