//! What tables need from time to time, done without being asked: many small files are put together, logs get their checkpoints and lose
//! what has expired. It runs as statements of an own session, so that the history and `system.query.progress` show them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lakegate_catalog::model::{Oid, Relation, RelationKind, RelationName};
use tokio_util::sync::CancellationToken;

use crate::frontend::{ParsedStatement, Response, SessionStart, SqlSession, SqlSessions};
use crate::sql::bind::{SYSTEM_DATABASE, object_name};
use crate::sql::grammar::{Command, TableWork};
use crate::sql::session::{Sessions, Shared};
use crate::sqlstate::{SqlError, SqlState};

/// Of all tables so many are looked at in a pass, besides those that were changed.
const SWEPT_PER_PASS: usize = 16;
/// Tables that are worked on in a pass.
const WORKED_PER_PASS: usize = 8;
/// Longer than the work on one table takes.
const LEASE: Duration = Duration::from_secs(900);
/// How its session is called in the history.
const APPLICATION: &str = "lakegate maintenance";

/// How much of it there is.
#[derive(Debug, Clone, Copy)]
pub struct Maintenance {
    pub every: Duration,
    /// Data files of a table that are rewritten in one pass, in bytes.
    pub bytes_max: u64,
}

/// Works until `stop` fires.
pub fn keep_tidy(shared: Arc<Shared>, maintenance: Maintenance, stop: CancellationToken) {
    crate::tasks::spawn("maintenance", async move {
        let mut keeper = Keeper { shared, maintenance, swept: 0, waiting: BTreeSet::new() };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(keeper.maintenance.every) => {}
            }
            if let Err(error) = keeper.pass(&stop).await {
                tracing::warn!(error = %error.message, "tables could not be looked at");
            }
        }
    });
}

struct Keeper {
    shared: Arc<Shared>,
    maintenance: Maintenance,
    /// The last table that was looked at when it was its turn.
    swept: Oid,
    /// Tables that are to be looked at again.
    waiting: BTreeSet<RelationName>,
}

impl Keeper {
    async fn pass(&mut self, stop: &CancellationToken) -> Result<(), SqlError> {
        let snapshot = self.shared.catalog.refresh().await?;
        let mut names = std::mem::take(&mut self.waiting);
        names.extend(self.shared.system.live().work().take_changed());
        let tables: BTreeMap<Oid, Arc<Relation>> =
            snapshot.relations().filter(|relation| is_kept(relation)).map(|relation| (relation.oid, Arc::clone(relation))).collect();
        let turn: Vec<Oid> = tables.range(self.swept + 1..).map(|(oid, _)| *oid).take(SWEPT_PER_PASS).collect();
        self.swept = if turn.len() < SWEPT_PER_PASS { 0 } else { turn.last().copied().unwrap_or(0) };
        names.extend(turn.iter().filter_map(|oid| snapshot.name_of(tables.get(oid)?)));
        let mut worked = 0;
        for name in names {
            if stop.is_cancelled() {
                return Ok(());
            }
            if worked == WORKED_PER_PASS {
                self.waiting.insert(name);
                continue;
            }
            // Temporary tables go with their sessions.
            if name.schema.starts_with("pg_temp") {
                continue;
            }
            let Some(relation) = snapshot.relation_by_name(&name).filter(|relation| tables.contains_key(&relation.oid)) else { continue };
            match self.tidy(&name, relation, stop).await {
                Ok(done) => worked += usize::from(done),
                // Somebody else was faster, the table is gone meanwhile, or it cannot be written by us.
                Err(error) => tracing::debug!(table = %name, error = %error.message, "maintenance"),
            }
        }
        Ok(())
    }

    /// Whether there was something to do, and nobody else to do it.
    async fn tidy(&self, name: &RelationName, relation: &Relation, stop: &CancellationToken) -> Result<bool, SqlError> {
        if !self.shared.engine.is_worn(&relation.location).await? {
            return Ok(false);
        }
        let lease = format!("tidy {}", relation.location);
        if !self.shared.catalog.take_lease(&lease, LEASE).await? {
            return Ok(false);
        }
        let done = self.run(name, stop).await;
        self.shared.catalog.give_back_lease(&lease).await?;
        done.map(|()| true)
    }

    async fn run(&self, name: &RelationName, stop: &CancellationToken) -> Result<(), SqlError> {
        let start = SessionStart::internal(self.shared.catalog.bootstrap_identity()?, SYSTEM_DATABASE, APPLICATION);
        let mut session = Sessions(Arc::clone(&self.shared)).open(start).await?;
        let done = self.optimize(session.as_mut(), name, stop).await;
        session.close().await;
        done
    }

    async fn optimize(&self, session: &mut dyn SqlSession, name: &RelationName, stop: &CancellationToken) -> Result<(), SqlError> {
        let table = object_name(name);
        let text = format!("OPTIMIZE {table}").into();
        let small = Some(self.maintenance.bytes_max);
        let work = TableWork::Optimize { table, condition: None, order: Vec::new(), whole: false, small };
        let command = Some(Arc::new(Command::TableWork(Box::new(work))));
        let statement = ParsedStatement { command, text, parameter: None, characters_before: 0 };
        let prepared = session.prepare(statement, &[]).await?;
        match session.execute(&prepared, Vec::new(), stop.child_token()).await? {
            Response::Rows { mut rows, .. } => while rows.next().await.transpose()?.is_some() {},
            Response::Command { .. } | Response::Empty => {}
            _ => return Err(SqlError::new(SqlState::InternalError, "OPTIMIZE answered with a COPY")),
        }
        session.end_of_message(false).await
    }
}

/// Tables of ours that last.
fn is_kept(relation: &Relation) -> bool {
    matches!(relation.kind, RelationKind::ManagedTable | RelationKind::MaterializedView) && !relation.location.is_empty()
}
