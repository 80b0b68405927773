//! One task writes both logs: whatever waits goes into one transaction (group commit), so a flood of statements costs few
//! flushes of the disk. It chains the records as it writes them, and signs how far the chain has come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{Any, Transaction};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::rows::{Identity, Row, finish_row};
use super::{ExecutionStatus, StatementEnd, together};
use crate::error::CatalogError;
use crate::log_proof::chain::Chain;
use crate::log_proof::head::{Signer, store_head};
use crate::store::{Backend, Store};

/// When a writer's caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// When the row is on disk.
    Durable,
    /// When the row is in the queue.
    Queued,
}

/// Rows that wait; past it callers wait.
const QUEUE_ROWS_MAX: usize = 1024;
/// Rows that could not be written yet; past it the queue is not read, so callers wait and then get an error.
const RETAINED_ROWS_MAX: usize = 4096;
const QUEUE_WAIT: Duration = Duration::from_secs(10);
/// So long rows that nobody waits for wait for others to be written with: short statements in a row then cost one transaction.
const GATHER: Duration = Duration::from_millis(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// After so many refusals of a row, while others were written, it is given up (and said so in the server's log).
const ATTEMPTS_MAX: u32 = 10;
/// Records are under a signed head after so long.
const HEAD_EVERY: Duration = Duration::from_secs(15);

/// The way to the writing task.
#[derive(Debug)]
pub(crate) struct LogWriter {
    queue: mpsc::Sender<Op>,
    hurry: Arc<Notify>,
    orphans: Arc<Orphans>,
    identity: Identity,
}

/// Statements whose sessions went away without finishing them. Bounded by the number of running statements.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    ids: Mutex<Vec<Uuid>>,
    arrived: Notify,
}

impl Orphans {
    pub(super) fn push(&self, id: Uuid) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<Uuid> {
        std::mem::take(&mut *self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Ack = oneshot::Sender<Result<(), String>>;

#[derive(Debug)]
enum Op {
    Write {
        row: Row,
        /// A statement's start that could not be written is not tried again: the statement does not run.
        begins: bool,
        ack: Option<Ack>,
        attempts: u32,
    },
    Flush(Ack),
    /// Signs how far the chain has come; `last`: it ends there.
    Sign {
        last: bool,
        ack: Ack,
    },
}

impl LogWriter {
    /// Ends what a dead process left running, then starts the task.
    pub(crate) async fn start(
        store: Store,
        signer: Arc<Signer>,
        instance_id: Option<String>,
        process: Uuid,
        beside: bool,
    ) -> Result<LogWriter, CatalogError> {
        let process = process.to_string();
        let chain = mark_lost(&store, instance_id.as_deref(), &process, beside).await?;
        let identity = Identity { writer: instance_id.unwrap_or_else(|| process.clone()), process };
        let (queue, inbox) = mpsc::channel(QUEUE_ROWS_MAX);
        let (orphans, hurry) = (Arc::new(Orphans::default()), Arc::new(Notify::new()));
        let task = Task {
            store,
            inbox,
            hurry: Arc::clone(&hurry),
            orphans: orphans.clone(),
            retained: VecDeque::new(),
            signer,
            process: identity.process.clone(),
            signed: 0,
            head_due: Instant::now() + HEAD_EVERY,
            chain,
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(task.run());
        // It ends when the last handle is gone and the queue is empty.
        tasks.detach_all();
        Ok(LogWriter { queue, hurry, orphans, identity })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn orphans(&self) -> Arc<Orphans> {
        self.orphans.clone()
    }

    /// # Errors
    /// [`CatalogError::LogUnavailable`].
    pub(super) async fn begin(&self, row: Row, wait: Wait) -> Result<(), CatalogError> {
        self.write(row, wait, true).await
    }

    /// # Errors
    /// [`CatalogError::LogUnavailable`]; unless the queue is full the row is kept and tried again.
    pub(crate) async fn append(&self, row: Row, wait: Wait) -> Result<(), CatalogError> {
        self.write(row, wait, false).await
    }

    /// Returns when everything that was queued before is on disk.
    pub(crate) async fn flush(&self) -> Result<(), CatalogError> {
        let (ack, done) = oneshot::channel();
        self.send(Op::Flush(ack)).await?;
        acknowledged(done).await
    }

    /// Returns when everything that was queued before is under a signed head.
    pub(crate) async fn sign(&self) -> Result<(), CatalogError> {
        let (ack, done) = oneshot::channel();
        self.send(Op::Sign { last: false, ack }).await?;
        acknowledged(done).await
    }

    pub(crate) async fn close(&self) {
        let (ack, done) = oneshot::channel();
        let closed = match self.send(Op::Sign { last: true, ack }).await {
            Ok(()) => acknowledged(done).await,
            Err(error) => Err(error),
        };
        if let Err(error) = closed {
            tracing::error!(%error, "the statement log could not be written to its end");
        }
    }

    /// What is queued is written some time, whatever becomes of this attempt.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`]: the queue is full, the row is not in it.
    pub(super) async fn enqueue(&self, row: Row, wait: Wait) -> Result<Queued, CatalogError> {
        self.send_row(row, wait, false).await
    }

    async fn write(&self, row: Row, wait: Wait, begins: bool) -> Result<(), CatalogError> {
        self.send_row(row, wait, begins).await?.written().await
    }

    async fn send_row(&self, row: Row, wait: Wait, begins: bool) -> Result<Queued, CatalogError> {
        let (ack, done) = match wait {
            Wait::Queued => (None, None),
            Wait::Durable => {
                let (ack, done) = oneshot::channel();
                (Some(ack), Some(done))
            }
        };
        self.send(Op::Write { row, begins, ack, attempts: 0 }).await?;
        Ok(Queued(done))
    }

    async fn send(&self, op: Op) -> Result<(), CatalogError> {
        let is_awaited = op.is_awaited();
        match self.queue.try_send(op) {
            Ok(()) => {}
            Err(full) => self.queue.send_timeout(full.into_inner(), QUEUE_WAIT).await.map_err(|error| unavailable(error.to_string()))?,
        }
        self.hurry(is_awaited);
        Ok(())
    }

    /// As [`LogWriter::enqueue`] with nobody waiting; gives back the row where the queue is full.
    pub(super) fn enqueue_now(&self, row: Row) -> Result<(), Row> {
        let Ok(place) = self.queue.try_reserve() else { return Err(row) };
        place.send(Op::Write { row, begins: false, ack: None, attempts: 0 });
        self.hurry(false);
        Ok(())
    }

    fn hurry(&self, is_awaited: bool) {
        if is_awaited || self.queue.capacity() < QUEUE_ROWS_MAX / 2 {
            self.hurry.notify_one();
        }
    }
}

/// A row that the writer has.
pub(super) struct Queued(Option<oneshot::Receiver<Result<(), String>>>);

impl Queued {
    /// Returns when it is on disk, or at once where nobody wanted to wait.
    ///
    /// # Errors
    /// [`CatalogError::LogUnavailable`]: not yet.
    pub(super) async fn written(self) -> Result<(), CatalogError> {
        match self.0 {
            Some(done) => acknowledged(done).await,
            None => Ok(()),
        }
    }
}

async fn acknowledged(done: oneshot::Receiver<Result<(), String>>) -> Result<(), CatalogError> {
    match done.await {
        Ok(result) => result.map_err(unavailable),
        Err(_) => Err(unavailable("the writer of the log is gone".to_owned())),
    }
}

fn unavailable(detail: String) -> CatalogError {
    CatalogError::LogUnavailable { detail }
}

/// Begins the process' chain with the ends of what a dead process left running. With SQLite there is one process at a time, so whatever
/// runs there is dead.
async fn mark_lost(store: &Store, instance_id: Option<&str>, process: &str, beside: bool) -> Result<Option<Chain>, CatalogError> {
    let mut transaction = store.begin_log().await?;
    let lost: Vec<String> = match (store.backend(), instance_id) {
        _ if beside => Vec::new(),
        (Backend::Sqlite, _) => {
            let sql = "SELECT statement_id FROM statements WHERE execution_status = 'RUNNING' AND process <> $1 ORDER BY statement_id";
            sqlx::query_scalar(sql).bind(process.to_owned()).fetch_all(&mut *transaction).await?
        }
        (Backend::Postgres, Some(writer)) => {
            let sql = "SELECT statement_id FROM statements WHERE execution_status = 'RUNNING' AND process <> $1 AND writer = $2 \
                 ORDER BY statement_id";
            sqlx::query_scalar(sql).bind(process.to_owned()).bind(writer.to_owned()).fetch_all(&mut *transaction).await?
        }
        (Backend::Postgres, None) => Vec::new(),
    };
    let mut chain = Chain::begin(&mut transaction, process).await?;
    for id in &lost {
        let id = id.parse().map_err(CatalogError::corrupted)?;
        finish_row(id, StatementEnd::new(ExecutionStatus::Lost), None).write(&mut transaction, &mut chain).await?;
    }
    chain.store_tip(&mut transaction).await?;
    transaction.commit().await?;
    if !lost.is_empty() {
        tracing::warn!(statements = lost.len(), "statements of an earlier process had not ended; they are marked as lost");
    }
    Ok(Some(chain))
}

struct Task {
    store: Store,
    inbox: mpsc::Receiver<Op>,
    /// Somebody waits, or many rows do.
    hurry: Arc<Notify>,
    orphans: Arc<Orphans>,
    /// In order, before anything newer.
    retained: VecDeque<Op>,
    signer: Arc<Signer>,
    process: String,
    /// As it is stored; `None` where that is not known, or it ended: the next record begins a new one.
    chain: Option<Chain>,
    /// Records under the newest head.
    signed: u64,
    head_due: Instant,
}

/// Why a batch was not written.
enum Failure {
    /// A row was refused; another may pass.
    Row(String),
    /// Nothing can be written now.
    Store(String),
}

fn refused(error: sqlx::Error) -> Failure {
    match &error {
        sqlx::Error::Database(_) | sqlx::Error::Encode(_) => Failure::Row(error.to_string()),
        _ => Failure::Store(error.to_string()),
    }
}

impl Task {
    async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            self.write_batch(batch).await;
            if self.head_due <= Instant::now()
                && let Err(error) = self.sign(false).await
            {
                tracing::error!(%error, "a head of the log could not be signed");
            }
        }
    }

    fn is_unsigned(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.size > self.signed)
    }

    /// Where nothing is new, the newest head stays it.
    async fn sign(&mut self, last: bool) -> Result<(), String> {
        self.head_due = Instant::now() + HEAD_EVERY;
        let Some(chain) = self.chain.as_ref().filter(|chain| last || chain.size > self.signed) else { return Ok(()) };
        let failed = |error: CatalogError| detail(&error);
        let mut transaction = self.store.begin_log().await.map_err(failed)?;
        let head = store_head(&mut transaction, &self.signer, chain, last).await.map_err(failed)?;
        transaction.commit().await.map_err(|error| error.to_string())?;
        tracing::info!(chain = head.chain, size = head.size, root = crate::log_proof::hex(&head.root), last, "log head");
        self.signed = head.size;
        if last {
            (self.chain, self.signed) = (None, 0);
        }
        Ok(())
    }

    /// Waits for work; `None` when all handles are gone and nothing is left to write.
    async fn next_batch(&mut self) -> Option<Vec<Op>> {
        let mut batch: Vec<Op> = Vec::new();
        let mut open = true;
        if self.retained.len() < RETAINED_ROWS_MAX {
            let orphans = self.orphans.clone();
            tokio::select! {
                op = self.inbox.recv() => match op {
                    Some(op) => batch.push(op),
                    None => open = false,
                },
                () = orphans.arrived.notified() => {}
                () = tokio::time::sleep(RETRY_AFTER), if !self.retained.is_empty() => {}
                () = tokio::time::sleep_until(self.head_due), if self.is_unsigned() => {}
            }
        } else {
            tokio::time::sleep(RETRY_AFTER).await;
            open = !self.inbox.is_closed();
        }
        if self.retained.is_empty() && batch.first().is_some_and(|op| !op.is_awaited()) {
            // The queue is not read meanwhile: a row that nobody waits for wakes nobody.
            tokio::select! {
                () = self.hurry.notified() => {}
                () = tokio::time::sleep(GATHER) => {}
            }
        }
        // Taken before the queue is read: the start of each of these statements is then in the queue or written, so the end
        // never comes first.
        let orphans = self.orphans.take();
        if self.retained.len() < RETAINED_ROWS_MAX {
            for _ in 0..self.inbox.len() {
                batch.extend(self.inbox.try_recv().ok());
            }
        }
        let ends = orphans.into_iter().map(|id| Op::Write {
            row: finish_row(id, StatementEnd::new(ExecutionStatus::Canceled), None),
            begins: false,
            ack: None,
            attempts: 0,
        });
        batch.extend(ends);
        let mut all: Vec<Op> = self.retained.drain(..).collect();
        if !open && all.iter().all(|op| op.attempts() >= ATTEMPTS_MAX) && batch.is_empty() {
            return None;
        }
        all.append(&mut batch);
        Some(all)
    }

    async fn write_batch(&mut self, batch: Vec<Op>) {
        if batch.is_empty() {
            return;
        }
        let (heads, batch): (Vec<Op>, Vec<Op>) = batch.into_iter().partition(|op| matches!(op, Op::Sign { .. }));
        match self.write_together(&batch).await {
            Ok(()) => batch.into_iter().for_each(|op| op.answer(Ok(()))),
            Err(Failure::Store(error)) => self.keep(batch, &error),
            Err(Failure::Row(_)) => self.write_apart(batch).await,
        }
        for op in heads {
            let Op::Sign { last, .. } = op else { continue };
            let signed = match self.retained.is_empty() {
                true => self.sign(last).await,
                false => Err("what came before could not be written".to_owned()),
            };
            op.answer(signed);
        }
    }

    async fn write_together(&mut self, batch: &[Op]) -> Result<(), Failure> {
        let rows: Vec<&Row> = batch.iter().filter_map(|op| if let Op::Write { row, .. } = op { Some(row) } else { None }).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| Failure::Store(error.to_string());
        let (mut transaction, mut chain) = self.begin().await?;
        if !together::write(&rows, &mut transaction, &mut chain).await.map_err(refused)? {
            transaction.rollback().await.map_err(|error| failed(&error))?;
            (transaction, chain) = self.begin().await?;
            for row in &rows {
                row.write(&mut transaction, &mut chain).await.map_err(refused)?;
            }
        }
        chain.store_tip(&mut transaction).await.map_err(|error| failed(&error))?;
        if let Err(error) = transaction.commit().await {
            // Nobody knows whether it is stored: what follows does not count on it.
            (self.chain, self.signed) = (None, 0);
            return Err(failed(&error));
        }
        self.chain = Some(chain);
        metrics::counter!("lakegate_log_commits_total").increment(1);
        metrics::counter!("lakegate_log_rows_total").increment(u64::try_from(rows.len()).unwrap_or(0));
        Ok(())
    }

    async fn begin(&self) -> Result<(Transaction<'static, Any>, Chain), Failure> {
        let failed = |error: CatalogError| Failure::Store(detail(&error));
        let mut transaction = self.store.begin_log().await.map_err(failed)?;
        let chain = match &self.chain {
            Some(chain) => chain.clone(),
            None => Chain::begin(&mut transaction, &self.process).await.map_err(failed)?,
        };
        Ok((transaction, chain))
    }

    /// One bad row must not hold up the others.
    async fn write_apart(&mut self, batch: Vec<Op>) {
        let mut refused = Vec::new();
        let mut written = false;
        for op in batch {
            match self.write_together(std::slice::from_ref(&op)).await {
                Ok(()) => {
                    written |= matches!(op, Op::Write { .. });
                    op.answer(Ok(()));
                }
                Err(Failure::Row(error)) => refused.push((op, error)),
                Err(Failure::Store(error)) => self.keep(vec![op], &error),
            }
        }
        for (op, error) in refused {
            if written && op.attempts() >= ATTEMPTS_MAX {
                tracing::error!(%error, "a row of the log was given up");
                metrics::counter!("lakegate_log_dropped_total").increment(1);
            } else {
                self.keep(vec![op], &error);
            }
        }
    }

    /// Tells who waits, and keeps what has to be written some time.
    fn keep(&mut self, batch: Vec<Op>, error: &str) {
        tracing::error!(%error, rows = batch.len(), "could not write the log");
        metrics::counter!("lakegate_log_failures_total").increment(1);
        for op in batch {
            match op {
                Op::Write { begins: true, ack: Some(ack), .. } => {
                    // Nobody may be left to hear it.
                    let _ = ack.send(Err(error.to_owned()));
                }
                Op::Write { row, begins, ack, attempts } => {
                    if let Some(ack) = ack {
                        let _ = ack.send(Err(error.to_owned()));
                    }
                    self.retained.push_back(Op::Write { row, begins, ack: None, attempts: attempts.saturating_add(1) });
                }
                Op::Flush(ack) | Op::Sign { ack, .. } => {
                    let _ = ack.send(Err(error.to_owned()));
                }
            }
        }
    }
}

impl Op {
    fn attempts(&self) -> u32 {
        match self {
            Op::Write { attempts, .. } => *attempts,
            Op::Flush(_) | Op::Sign { .. } => 0,
        }
    }

    /// Somebody goes on only when it is done.
    fn is_awaited(&self) -> bool {
        matches!(self, Op::Write { ack: Some(_), .. } | Op::Flush(_) | Op::Sign { .. })
    }

    fn answer(self, result: Result<(), String>) {
        let (Op::Write { ack: Some(ack), .. } | Op::Flush(ack) | Op::Sign { ack, .. }) = self else { return };
        // Nobody may be left to hear it.
        let _ = ack.send(result);
    }
}

fn detail(error: &CatalogError) -> String {
    match error {
        CatalogError::Unavailable { detail } | CatalogError::Internal { detail } | CatalogError::Corrupted { detail } => detail.clone(),
        other => other.to_string(),
    }
}
