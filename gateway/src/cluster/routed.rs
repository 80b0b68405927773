//! The fleet as one engine, for the sessions of one warehouse.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lakegate_engine_api::{
    Alteration, BoundRelation, BoundStatement, ByteScan, ByteStream, CacheFigures, ColumnDefinition, CommitDecision, Effect, Engine,
    EngineError, EngineTransaction, Erased, Erasure, ExecutionContext, FileContent, FilePlace, Maintained, Maintenance, NewTable, Outcome,
    Prepared, Progress, Purge, Purged, PurgedVersions, RelationSource, RowStream, Scanned, SessionFacts, StoredFile, TableCommit,
    TableDescription, VersionPurge,
};
use uuid::Uuid;

use super::fleet::{Ask, Fleet};
use super::member::Member;
use super::prepared;
use super::transaction::{self, FleetTransaction, Group};

#[derive(Debug, Clone)]
pub struct Routed {
    pub fleet: Arc<Fleet>,
    /// By name; `None`: for the server's own work.
    pub warehouse: Option<String>,
}

impl Routed {
    fn ask<'a>(&'a self, tables: &'a [&'a str], statement: Option<Uuid>) -> Ask<'a> {
        Ask { warehouse: self.warehouse.as_deref(), tables, statement }
    }

    /// The engine for work on the target that cannot be begun twice, and what becomes of it when the engine is lost.
    async fn placed(
        &self,
        target: &mut BoundRelation,
        context: &ExecutionContext,
        tried: &[Arc<Member>],
    ) -> Result<(Arc<Member>, bool, Effect), EngineError> {
        let is_staged = matches!(target.source, RelationSource::Table { transaction: Some(_), .. });
        let effect = if is_staged { Effect::None } else { Effect::Unknown };
        let location = target.location().unwrap_or_default().to_owned();
        let tables = [location.as_str()];
        let ask = self.ask(&tables, Some(context.statement_id));
        let (member, is_held) = self.fleet.place(ask, std::slice::from_mut(target), tried).await?;
        self.fleet.placements().put(context.statement_id, &member);
        Ok((member, is_held, effect))
    }

    /// Work on the target that an engine which cannot be reached has not begun.
    async fn on_target<T, F>(
        &self,
        target: BoundRelation,
        context: &ExecutionContext,
        work: impl Fn(Arc<dyn Engine>, BoundRelation) -> F + Send + Sync,
    ) -> Result<T, EngineError>
    where
        T: Send,
        F: Future<Output = Result<T, EngineError>> + Send,
    {
        let mut tried: Vec<Arc<Member>> = Vec::new();
        let mut reason = None;
        loop {
            let mut copy = target.clone();
            let placed = self.placed(&mut copy, context, &tried).await;
            let (member, is_held, effect) = placed.map_err(|none| reason.take().unwrap_or(none))?;
            let running = member.enter();
            let done = member.hearing(effect, work(Arc::clone(&member.engine), copy)).await;
            drop(running);
            match done {
                Err(error) if super::fleet::went_away(&member, &error, false) && !is_held && tried.len() < 3 => {
                    tried.push(member);
                    reason = Some(error);
                }
                done => return done,
            }
        }
    }
}

#[async_trait]
impl Engine for Routed {
    async fn prepare(&self, statement: BoundStatement) -> Result<Arc<dyn Prepared>, EngineError> {
        prepared::prepare(self, statement).await
    }

    async fn create_table(&self, table: NewTable, context: ExecutionContext) -> Result<(), EngineError> {
        let location = table.location.clone();
        let tables = [location.as_str()];
        let ask = self.ask(&tables, Some(context.statement_id));
        let work = |engine: Arc<dyn Engine>| {
            let (table, context) = (table.clone(), context.clone());
            async move { engine.create_table(table, context).await }
        };
        self.fleet.run(ask, Effect::Unknown, false, work).await
    }

    async fn describe_table(&self, place: &FilePlace) -> Result<TableDescription, EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let place = place.clone();
            async move { engine.describe_table(&place).await }
        };
        self.fleet.run(self.ask(&[&place.url], None), Effect::None, true, work).await
    }

    async fn list_files(&self, place: &FilePlace, endings: &[&str]) -> Result<Vec<StoredFile>, EngineError> {
        let owned: Vec<String> = endings.iter().map(|ending| (*ending).to_owned()).collect();
        let work = |engine: Arc<dyn Engine>| {
            let (place, endings) = (place.clone(), owned.clone());
            async move {
                let endings: Vec<&str> = endings.iter().map(String::as_str).collect();
                engine.list_files(&place, &endings).await
            }
        };
        self.fleet.run(self.ask(&[&place.url], None), Effect::None, true, work).await
    }

    async fn read_file(&self, file: &StoredFile) -> Result<ByteStream, EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let file = file.clone();
            async move { engine.read_file(&file).await }
        };
        self.fleet.run(self.ask(&[&file.path], None), Effect::None, true, work).await
    }

    async fn write_file(&self, place: &FilePlace, content: FileContent, context: ExecutionContext) -> Result<Outcome, EngineError> {
        // What is to be written comes once: the engine is asked once.
        let tables = [place.url.as_str()];
        let member = self.fleet.choose(self.ask(&tables, None), &[]).await?;
        self.fleet.placements().put(context.statement_id, &member);
        let _running = member.enter();
        member.hearing(Effect::Unknown, member.engine.write_file(place, content, context)).await
    }

    async fn convert_to_delta(
        &self,
        place: &FilePlace,
        partitions: Vec<ColumnDefinition>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let (place, partitions, context) = (place.clone(), partitions.clone(), context.clone());
            async move { engine.convert_to_delta(&place, partitions, context).await }
        };
        self.fleet.run(self.ask(&[&place.url], Some(context.statement_id)), Effect::Unknown, false, work).await
    }

    async fn alter_table(
        &self,
        target: BoundRelation,
        alterations: Vec<Alteration>,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        let work = |engine: Arc<dyn Engine>, target: BoundRelation| {
            let (alterations, session, context) = (alterations.clone(), Arc::clone(&session), context.clone());
            async move { engine.alter_table(target, alterations, session, context).await }
        };
        self.on_target(target, &context, work).await
    }

    async fn maintain(
        &self,
        target: BoundRelation,
        work: Maintenance,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Maintained, EngineError> {
        let done = |engine: Arc<dyn Engine>, target: BoundRelation| {
            let (work, session, context) = (work.clone(), Arc::clone(&session), context.clone());
            async move { engine.maintain(target, work, session, context).await }
        };
        self.on_target(target, &context, done).await
    }

    async fn erase_rows(
        &self,
        target: BoundRelation,
        erasure: Erasure,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Erased, EngineError> {
        let work = |engine: Arc<dyn Engine>, target: BoundRelation| {
            let (erasure, session, context) = (erasure.clone(), Arc::clone(&session), context.clone());
            async move { engine.erase_rows(target, erasure, session, context).await }
        };
        self.on_target(target, &context, work).await
    }

    async fn store_time(&self, location: &str) -> Result<(DateTime<Utc>, bool), EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let location = location.to_owned();
            async move { engine.store_time(&location).await }
        };
        self.fleet.run(self.ask(&[location], None), Effect::None, true, work).await
    }

    /// What other engines have in memory of the table's past goes, too.
    async fn purge_history(&self, target: BoundRelation, purge: Purge, context: ExecutionContext) -> Result<Purged, EngineError> {
        let location = target.location().unwrap_or_default().to_owned();
        let work = |engine: Arc<dyn Engine>, target: BoundRelation| {
            let (purge, context) = (purge.clone(), context.clone());
            async move { engine.purge_history(target, purge, context).await }
        };
        let purged = self.on_target(target, &context, work).await?;
        self.forget(&location).await?;
        Ok(purged)
    }

    async fn purge_versions(&self, location: &str, purge: VersionPurge, context: ExecutionContext) -> Result<PurgedVersions, EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let (location, purge, context) = (location.to_owned(), purge.clone(), context.clone());
            async move { engine.purge_versions(&location, purge, context).await }
        };
        // Done twice is as done once.
        self.fleet.run(self.ask(&[location], Some(context.statement_id)), Effect::None, true, work).await
    }

    async fn scan_bytes(&self, location: &str, scan: ByteScan, context: ExecutionContext) -> Result<Scanned, EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let (location, scan, context) = (location.to_owned(), scan.clone(), context.clone());
            async move { engine.scan_bytes(&location, scan, context).await }
        };
        self.fleet.run(self.ask(&[location], Some(context.statement_id)), Effect::None, true, work).await
    }

    async fn is_worn(&self, location: &str) -> Result<bool, EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let location = location.to_owned();
            async move { engine.is_worn(&location).await }
        };
        self.fleet.run(self.ask(&[location], None), Effect::None, true, work).await
    }

    async fn newest_version(&self, location: &str) -> Result<u64, EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let location = location.to_owned();
            async move { engine.newest_version(&location).await }
        };
        self.fleet.run(self.ask(&[location], None), Effect::None, true, work).await
    }

    async fn forget(&self, location: &str) -> Result<(), EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let location = location.to_owned();
            async move { engine.forget(&location).await }
        };
        self.fleet.everywhere(work).await
    }

    async fn drop_table(&self, location: &str) -> Result<(), EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let location = location.to_owned();
            async move { engine.drop_table(&location).await }
        };
        self.fleet.run(self.ask(&[location], None), Effect::None, true, work).await
    }

    async fn append(
        &self,
        mut target: BoundRelation,
        rows: RowStream,
        session: Arc<SessionFacts>,
        context: ExecutionContext,
    ) -> Result<Outcome, EngineError> {
        // Rows come once: the engine is asked once.
        let (member, _, effect) = self.placed(&mut target, &context, &[]).await?;
        let _running = member.enter();
        let appended = member.hearing(effect, member.engine.append(target, rows, session, context)).await;
        if let Err(error) = &appended {
            super::fleet::went_away(&member, error, false);
        }
        appended
    }

    fn begin(&self) -> Arc<dyn EngineTransaction> {
        Arc::new(Group::default()).begin()
    }

    fn begin_beside(&self, other: &Arc<dyn EngineTransaction>) -> Arc<dyn EngineTransaction> {
        match other.as_any().downcast_ref::<FleetTransaction>() {
            Some(other) => other.group.begin(),
            None => self.begin(),
        }
    }

    async fn commit_together(
        &self,
        transactions: Vec<Arc<dyn EngineTransaction>>,
        decision: Arc<dyn CommitDecision>,
        context: ExecutionContext,
    ) -> Result<Vec<Outcome>, EngineError> {
        transaction::commit_together(transactions, decision, context).await
    }

    fn progress(&self, statement: Uuid) -> Option<Progress> {
        let member = self.fleet.placements().find(statement).unwrap_or_else(|| Arc::clone(self.fleet.own()));
        member.engine.progress(statement)
    }

    fn caches(&self) -> Vec<CacheFigures> {
        self.fleet.own().engine.caches()
    }

    async fn undo_commits(&self, commits: Vec<TableCommit>) -> Result<(), EngineError> {
        let work = |engine: Arc<dyn Engine>| {
            let commits = commits.clone();
            async move { engine.undo_commits(commits).await }
        };
        let tables: Vec<&str> = commits.iter().map(|commit| commit.location.as_str()).collect();
        self.fleet.run(self.ask(&tables, None), Effect::None, true, work).await
    }

    /// Engines look at the root themselves before they join.
    async fn check_store(&self, root: &str) -> Result<(), EngineError> {
        if self.fleet.own_opens() { self.fleet.own().engine.check_store(root).await } else { Ok(()) }
    }
}
