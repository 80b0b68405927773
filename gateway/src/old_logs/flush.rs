//! The way of old records into the data plane. One process at a time does it; wherever it is cut off, what readers see stays whole: they
//! open the table at the version that the catalog names, which moves with the rows that leave the catalog, in one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use lakegate_catalog::audit::AuditEvent;
use lakegate_catalog::flushed::Log;
use lakegate_engine_api::{Engine, FilePlace, Maintenance, Moment, SessionFacts, Work};
use tokio_util::sync::CancellationToken;

use super::rows::{batch, before_day};
use super::tables::table;
use crate::own_tables::{context, internal, run};
use crate::sql::session::Shared;
use crate::sqlstate::{SqlError, SqlState};

/// Records of one commit.
const PAGE: u32 = 10_000;
/// Longer than a page, a compaction or an expiry takes.
const LEASE: Duration = Duration::from_secs(900);
/// Data files that are rewritten at once, in bytes.
const COMPACT_BYTES: u64 = 512_000_000;
/// Readers of older versions are statements that run.
const FILES_KEPT: Duration = Duration::from_secs(24 * 3_600);
const VACUUM_EVERY: Duration = Duration::from_secs(3_600);

/// What stays in the catalog, and for how long the rest is kept.
#[derive(Debug, Clone, Copy)]
pub struct Flushing {
    pub every: Duration,
    /// Records that are older go.
    pub recent: Duration,
    /// All but so many of the newest go, whatever their age.
    pub recent_records: u64,
    /// Flushed records of earlier days are deleted; `None`: never.
    pub retention_days: Option<u32>,
}

/// Works until `stop` fires.
pub fn keep_flushing(shared: Arc<Shared>, flushing: Flushing, stop: CancellationToken) {
    crate::tasks::spawn("old logs", async move {
        let mut vacuumed: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(flushing.every) => {}
            }
            match pass(&shared, &flushing, &stop).await {
                Ok(_) if vacuumed.is_none_or(|last| last.elapsed() >= VACUUM_EVERY) => {
                    vacuumed = Some(Instant::now());
                    if let Err(error) = vacuum(&shared).await {
                        tracing::warn!(error = %error.message, "files of old logs could not be deleted");
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(error = %error.message, "old records could not be flushed"),
            }
        }
    });
}

/// Records older than that go now; gives how many went. Zero where another process is at it.
///
/// # Errors
/// The store's, the catalog's: to be tried again.
pub async fn flush_now(shared: &Arc<Shared>, recent: Duration, stop: &CancellationToken) -> Result<u64, SqlError> {
    let flushing = Flushing { every: Duration::ZERO, recent, recent_records: u64::MAX, retention_days: None };
    pass(shared, &flushing, stop).await
}

async fn pass(shared: &Arc<Shared>, flushing: &Flushing, stop: &CancellationToken) -> Result<u64, SqlError> {
    let mut count = 0;
    // One flush a process as well.
    let _turn = TURN.lock().await;
    for log in Log::ALL {
        let lease = format!("flush {}", log.word());
        if !shared.catalog.take_lease(&lease, LEASE).await? {
            continue;
        }
        let done = flush_log(shared, log, flushing, stop).await;
        shared.catalog.give_back_lease(&lease).await?;
        count += done?;
    }
    Ok(count)
}

static TURN: std::sync::LazyLock<tokio::sync::Mutex<()>> = std::sync::LazyLock::new(tokio::sync::Mutex::default);

async fn flush_log(shared: &Arc<Shared>, log: Log, flushing: &Flushing, stop: &CancellationToken) -> Result<u64, SqlError> {
    let recent = TimeDelta::from_std(flushing.recent).unwrap_or(TimeDelta::MAX);
    let before = shared.catalog.flush_before(log, recent, flushing.recent_records).await?;
    let mut flush = Flush { shared, log, facts: facts(shared).await?, version: 0 };
    let mut count = 0;
    let mut prepared = false;
    while !stop.is_cancelled() {
        let rows = shared.catalog.records_to_flush(log, before, PAGE).await?;
        if rows.is_empty() {
            break;
        }
        if !std::mem::replace(&mut prepared, true) {
            flush.begin().await?;
        }
        flush.page(&rows).await?;
        count += rows.len() as u64;
        shared.catalog.take_lease(&format!("flush {}", log.word()), LEASE).await?;
    }
    let first_kept =
        flushing.retention_days.and_then(|days| (Utc::now() - TimeDelta::days(i64::from(days))).date_naive().and_hms_opt(0, 0, 0));
    let expires = match first_kept.map(|first| first.and_utc()) {
        Some(first) => (shared.catalog.flushed_before(log, first).await? > 0).then_some(first),
        None => None,
    };
    if !prepared && (expires.is_some() || is_worn(shared, log).await?) {
        flush.begin().await?;
        prepared = true;
    }
    if prepared {
        if let Some(first) = expires {
            flush.expire(first).await?;
        }
        flush.compact().await?;
    }
    if count > 0 {
        metrics::counter!("lakegate_log_flushed_records_total", "log" => log.word()).increment(count);
        tracing::info!(log = log.word(), records = count, "old records are in the data plane");
    }
    Ok(count)
}

async fn is_worn(shared: &Shared, log: Log) -> Result<bool, SqlError> {
    match shared.catalog.flushed_version(log).await? {
        Some(_) => Ok(shared.engine.is_worn(&table(log).location(&shared.warehouse_root)).await?),
        None => Ok(false),
    }
}

/// Of the program itself.
pub(super) async fn facts(shared: &Arc<Shared>) -> Result<Arc<SessionFacts>, SqlError> {
    let session = crate::detect::runner::session(shared).await?;
    Ok(session.facts(&shared.catalog.snapshot()))
}

struct Flush<'a> {
    shared: &'a Arc<Shared>,
    log: Log,
    facts: Arc<SessionFacts>,
    /// That readers open.
    version: u64,
}

impl Flush<'_> {
    fn engine(&self) -> &dyn Engine {
        self.shared.engine.as_ref()
    }

    fn root(&self) -> &str {
        &self.shared.warehouse_root
    }

    /// The table as readers see it: what a process that was cut off has put on top is taken away again.
    async fn begin(&mut self) -> Result<(), SqlError> {
        table(self.log).make(self.engine(), self.root()).await?;
        let known = self.shared.catalog.flushed_version(self.log).await?;
        let version = match known {
            Some(version) => version,
            None => {
                self.shared.catalog.move_flushed_version(self.log, None, 0).await?;
                self.shared.catalog.flushed_version(self.log).await?.unwrap_or(0)
            }
        };
        let place = FilePlace { url: table(self.log).location(self.root()), within: self.root().to_owned() };
        let newest = self.engine().describe_table(&place).await?.version;
        self.version = version;
        if newest == version {
            return Ok(());
        }
        tracing::warn!(log = self.log.word(), version, newest, "what an earlier flush has left unfinished is taken back");
        let target = table(self.log).bound(self.root(), None, None);
        let restored =
            self.engine().maintain(target, Maintenance::Restore(Moment::Version(version)), Arc::clone(&self.facts), context()).await?;
        let Some(restored) = restored.outcome.version else { return Err(internal("RESTORE made no version")) };
        self.moved(restored).await
    }

    /// Readers follow to a version that holds the same rows.
    async fn moved(&mut self, to: u64) -> Result<(), SqlError> {
        if !self.shared.catalog.move_flushed_version(self.log, Some(self.version), to).await? {
            return Err(overtaken());
        }
        self.version = to;
        Ok(())
    }

    /// What the commit has made has to be the very next version: anything else holds what somebody else has written.
    fn next(&self, made: Option<u64>) -> Result<u64, SqlError> {
        made.filter(|made| *made == self.version + 1).ok_or_else(overtaken)
    }

    async fn page(&mut self, rows: &[lakegate_catalog::flushed::FlushRow]) -> Result<(), SqlError> {
        let batch = batch(self.log, rows)?;
        let appended = table(self.log).append(self.engine(), self.root(), vec![batch], Arc::clone(&self.facts)).await?;
        let to = self.next(appended.version)?;
        if !self.shared.catalog.flushed(self.log, rows, Some(self.version), to).await? {
            return Err(overtaken());
        }
        self.version = to;
        Ok(())
    }

    /// Days that are over their time.
    async fn expire(&mut self, first_kept: DateTime<Utc>) -> Result<(), SqlError> {
        let event = AuditEvent {
            actor: "server".to_owned(),
            run_as: "server".to_owned(),
            service_name: "log".to_owned(),
            action_name: "expire_log".to_owned(),
            object_type: Some("log".to_owned()),
            object_name: Some(format!("{} before {}", self.log.word(), first_kept.format("%Y-%m-%d"))),
            ..crate::system::audit::of_nobody()
        };
        let event = self.shared.catalog.audit_durable(event).await?;
        let text = format!("DELETE FROM {} WHERE {}", table(self.log).sql_name(), before_day(first_kept.date_naive()));
        let statement = crate::sql::parse::parse(&text)?.pop().and_then(|statement| statement.command);
        let Some(crate::sql::grammar::Command::Sql(statement)) = statement.as_deref() else {
            return Err(internal("a DELETE of our own is none"));
        };
        let work = Work::Change { statement: statement.clone(), target: table(self.log).name() };
        let target = table(self.log).bound(self.root(), None, None);
        let outcome = match run(self.engine(), work, vec![target], Arc::clone(&self.facts)).await? {
            lakegate_engine_api::Execution::Done(outcome) => outcome,
            _ => return Err(internal("a DELETE of our own gave rows")),
        };
        // Nothing was there: the catalog's part may still be to be done.
        let to = if outcome.version.is_none() { self.version } else { self.next(outcome.version)? };
        let expired = self.shared.catalog.expired(self.log, first_kept, event, self.version, to).await?.ok_or_else(overtaken)?;
        self.version = to;
        tracing::info!(log = self.log.word(), records = expired, "records of old days are deleted");
        Ok(())
    }

    async fn compact(&mut self) -> Result<(), SqlError> {
        if !self.engine().is_worn(&table(self.log).location(self.root())).await? {
            return Ok(());
        }
        let target = table(self.log).bound(self.root(), None, None);
        let work = Maintenance::Tidy { budget_bytes: COMPACT_BYTES };
        let tidied = self.engine().maintain(target, work, Arc::clone(&self.facts), context()).await?;
        match tidied.outcome.version {
            Some(made) => {
                let to = self.next(Some(made))?;
                self.moved(to).await
            }
            None => Ok(()),
        }
    }
}

/// The next pass begins from what is there.
fn overtaken() -> SqlError {
    SqlError::new(SqlState::SerializationFailure, "another process is flushing the log")
}

async fn vacuum(shared: &Arc<Shared>) -> Result<(), SqlError> {
    let _turn = TURN.lock().await;
    for log in Log::ALL {
        let lease = format!("flush {}", log.word());
        if shared.catalog.flushed_version(log).await?.is_none() || !shared.catalog.take_lease(&lease, LEASE).await? {
            continue;
        }
        let done = vacuum_log(shared, log).await;
        shared.catalog.give_back_lease(&lease).await?;
        done?;
    }
    Ok(())
}

/// Its commits change no row: readers follow.
async fn vacuum_log(shared: &Arc<Shared>, log: Log) -> Result<(), SqlError> {
    let mut flush = Flush { shared, log, facts: facts(shared).await?, version: 0 };
    flush.begin().await?;
    let target = table(log).bound(flush.root(), None, None);
    let work = Maintenance::Vacuum { retention: Some(FILES_KEPT), open_since: None, dry_run: false };
    flush.engine().maintain(target, work, Arc::clone(&flush.facts), context()).await?;
    let place = FilePlace { url: table(log).location(flush.root()), within: flush.root().to_owned() };
    let newest = flush.engine().describe_table(&place).await?.version;
    if newest == flush.version { Ok(()) } else { flush.moved(newest).await }
}
