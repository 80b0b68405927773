//! What statements of this gateway do now, for those who look on: `system.query.progress`, `pg_stat_progress_copy`, and the NOTICEs of
//! long work.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lakegate_catalog::model::{Oid, RelationName};
use lakegate_engine_api::{CacheFigures, Engine, Progress, ProgressCounters};
use uuid::Uuid;

use crate::cluster::Fleet;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// All of it; clones share it.
#[derive(Clone, Default)]
pub struct RunningWork(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Asked how far statements have come.
    engine: OnceLock<Arc<dyn Engine>>,
    /// Engines of other processes.
    fleet: OnceLock<Arc<Fleet>>,
    statements: Mutex<BTreeMap<Uuid, Arc<Statement>>>,
    copies: Mutex<BTreeMap<Uuid, Arc<Copy>>>,
    /// Tables that were changed since somebody asked.
    changed: Mutex<BTreeSet<RelationName>>,
}

impl std::fmt::Debug for RunningWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningWork").finish_non_exhaustive()
    }
}

/// A statement that runs.
#[derive(Debug, Clone)]
pub struct Worker {
    pub statement_id: Uuid,
    pub session_id: String,
    /// 0: no client's.
    pub pid: i32,
    pub role_oid: Oid,
    pub role: String,
    pub database: String,
    pub statement_type: &'static str,
    pub started: DateTime<Utc>,
    /// How often its client is told how far it has come.
    pub told_every: Option<Duration>,
}

#[derive(Debug)]
struct Statement {
    worker: Worker,
    table: Mutex<Option<RelationName>>,
    told: Mutex<Instant>,
}

/// A COPY that runs.
#[derive(Debug)]
pub struct Copy {
    pub pid: i32,
    pub role_oid: Oid,
    pub database: String,
    /// 0: of a query.
    pub relation: Oid,
    pub is_from: bool,
    /// Its rows come from, or go to, files rather than the client.
    is_file: AtomicBool,
    /// Whose rows an engine counts.
    statement_id: Option<Uuid>,
    counters: ProgressCounters,
}

/// A row of `system.query.progress`.
#[derive(Debug, Clone)]
pub struct Working {
    pub worker: Worker,
    pub table: Option<RelationName>,
    pub progress: Progress,
}

impl RunningWork {
    /// Statements are asked about here.
    pub fn attach(&self, engine: Arc<dyn Engine>) {
        let _ = self.0.engine.set(engine);
    }

    /// Statements may run in other processes.
    pub fn attach_fleet(&self, fleet: Arc<Fleet>) {
        let _ = self.0.fleet.set(fleet);
    }

    #[must_use]
    pub fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.0.fleet.get()
    }

    /// The engine that worked on a statement, where that is known; asked once, at its end.
    #[must_use]
    pub fn take_placement(&self, statement: Uuid) -> Option<String> {
        self.fleet()?.placements().take(statement)
    }

    /// What the engine's caches hold.
    #[must_use]
    pub fn caches(&self) -> Vec<CacheFigures> {
        self.0.engine.get().map(|engine| engine.caches()).unwrap_or_default()
    }

    /// A statement begins; it is seen until the answer is dropped.
    #[must_use]
    pub fn enter(&self, worker: Worker, table: Option<RelationName>) -> WorkEntry {
        let statement_id = worker.statement_id;
        let statement = Arc::new(Statement { worker, table: Mutex::new(table), told: Mutex::new(Instant::now()) });
        locked(&self.0.statements).insert(statement_id, Arc::clone(&statement));
        WorkEntry { all: self.clone(), statement }
    }

    #[must_use]
    pub fn enter_copy(&self, copy: Copy) -> CopyEntry {
        let (id, copy) = (Uuid::new_v4(), Arc::new(copy));
        locked(&self.0.copies).insert(id, Arc::clone(&copy));
        CopyEntry { all: self.clone(), id, copy }
    }

    /// Tables were changed.
    pub fn note_changed(&self, tables: impl IntoIterator<Item = RelationName>) {
        locked(&self.0.changed).extend(tables);
    }

    /// Those that were changed since the last call.
    #[must_use]
    pub fn take_changed(&self) -> BTreeSet<RelationName> {
        std::mem::take(&mut *locked(&self.0.changed))
    }

    /// The statements that take long, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Working> {
        let statements: Vec<Arc<Statement>> = locked(&self.0.statements).values().cloned().collect();
        statements.iter().filter_map(|statement| self.working(statement)).collect()
    }

    /// With how far they have come.
    #[must_use]
    pub fn copies(&self) -> Vec<(Arc<Copy>, Progress)> {
        let copies: Vec<Arc<Copy>> = locked(&self.0.copies).values().cloned().collect();
        let counted = |copy: Arc<Copy>| {
            let mut progress = copy.counters.read();
            if let Some(counted) = copy.statement_id.and_then(|statement| self.progress(statement)) {
                progress.rows_done = counted.rows_done;
            }
            (copy, progress)
        };
        copies.into_iter().map(counted).collect()
    }

    /// What the session's client is to hear now of its long work.
    #[must_use]
    pub fn notice(&self, pid: i32) -> Option<SqlError> {
        let due = locked(&self.0.statements).values().find(|statement| statement.worker.pid == pid && statement.is_due()).cloned()?;
        let working = self.working(&due)?;
        *locked(&due.told) = Instant::now();
        let text = format!("{}: {}", working.what(), described(&working.progress));
        Some(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text))
    }

    fn working(&self, statement: &Statement) -> Option<Working> {
        let progress = self.progress(statement.worker.statement_id)?;
        Some(Working { worker: statement.worker.clone(), table: locked(&statement.table).clone(), progress })
    }

    fn progress(&self, statement: Uuid) -> Option<Progress> {
        self.0.engine.get()?.progress(statement)
    }
}

impl Statement {
    fn is_due(&self) -> bool {
        self.worker.told_every.is_some_and(|every| locked(&self.told).elapsed() >= every)
    }
}

impl Working {
    fn what(&self) -> String {
        match &self.table {
            Some(table) => format!("{} of \"{}\"", self.worker.statement_type, table.name),
            None => self.worker.statement_type.to_owned(),
        }
    }
}

/// `rewriting files, 3 of 12 files, 40 of 170 MB, 120000 rows`.
fn described(progress: &Progress) -> String {
    let mut text = progress.phase.word().to_owned();
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    match (progress.files_done, progress.files_total) {
        (0, 0) => {}
        (done, 0) => text.push_str(&format!(", {done} files")),
        (done, total) => text.push_str(&format!(", {done} of {total} files")),
    }
    match (progress.bytes_done, progress.bytes_total) {
        (0, 0) => {}
        (done, 0) => text.push_str(&format!(", {} MB", megabytes(done))),
        (done, total) => text.push_str(&format!(", {} of {} MB", megabytes(done), megabytes(total))),
    }
    if progress.rows_done > 0 {
        text.push_str(&format!(", {} rows", progress.rows_done));
    }
    text
}

/// A statement's own entry; leaves the list when dropped.
#[derive(Debug)]
pub struct WorkEntry {
    all: RunningWork,
    statement: Arc<Statement>,
}

impl WorkEntry {
    /// It works on another table now.
    pub fn on(&self, table: &RelationName) {
        *locked(&self.statement.table) = Some(table.clone());
    }
}

impl Drop for WorkEntry {
    fn drop(&mut self) {
        locked(&self.all.0.statements).remove(&self.statement.worker.statement_id);
    }
}

impl Copy {
    #[must_use]
    pub fn new(session: &GatewaySession, relation: Oid, is_from: bool) -> Copy {
        Copy {
            pid: session.start.backend_pid,
            role_oid: session.principal.session_role,
            database: session.database().to_owned(),
            relation,
            is_from,
            is_file: AtomicBool::new(false),
            statement_id: None,
            counters: ProgressCounters::default(),
        }
    }

    /// An engine counts its rows.
    #[must_use]
    pub fn counted_as(self, statement_id: Uuid) -> Copy {
        Copy { statement_id: Some(statement_id), ..self }
    }

    #[must_use]
    pub fn is_file(&self) -> bool {
        self.is_file.load(Ordering::Relaxed)
    }
}

/// The same of a COPY, with its counters.
#[derive(Debug)]
pub struct CopyEntry {
    all: RunningWork,
    id: Uuid,
    copy: Arc<Copy>,
}

impl CopyEntry {
    /// Files stand in the client's place; `bytes`: of all of them, 0 where nobody knows.
    pub fn of_files(&self, files: usize, bytes: u64) {
        self.copy.is_file.store(true, Ordering::Relaxed);
        self.expect(u64::try_from(files).unwrap_or(0), bytes);
    }
}

impl Deref for CopyEntry {
    type Target = ProgressCounters;

    fn deref(&self) -> &ProgressCounters {
        &self.copy.counters
    }
}

impl Drop for CopyEntry {
    fn drop(&mut self) {
        locked(&self.all.0.copies).remove(&self.id);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use lakegate_engine_api::Phase;

    use super::*;

    #[test]
    fn totals_are_told_where_they_are_known() {
        let mut progress = Progress { phase: Phase::WritingRows, rows_done: 7, ..Progress::default() };
        assert_eq!(described(&progress), "writing rows, 7 rows");
        progress = Progress {
            phase: Phase::RewritingFiles,
            files_done: 3,
            files_total: 12,
            bytes_done: 40_000_000,
            bytes_total: 169_000_001,
            ..progress
        };
        assert_eq!(described(&progress), "rewriting files, 3 of 12 files, 40 of 170 MB, 7 rows");
    }
}
