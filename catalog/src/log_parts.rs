//! A log, read part by part: newest first, as of one moment, no more of it in memory than a part.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _, Transaction};
use tokio::time::Instant;

use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::flushed::{Log, visible};
use crate::statement_log::Places;

/// Rows of the first part, for those who want a few; each next one has four times as many.
const FIRST: u32 = 64;
const MOST: u32 = 4_096;

/// What tells one log from another.
pub trait Kind: Sized + Send + Sync + 'static {
    type Filter: Send + Sync;
    type Row: Send;
    const LOG: Log;

    /// How many rows are wanted.
    fn limit(filter: &Self::Filter) -> u32;

    /// What is selected, and where from.
    fn source(filter: &Self::Filter) -> String;

    /// What a role may see, and the filter asks for.
    fn conditions(catalog: &Catalog, principal: &Principal, filter: &Self::Filter, places: &mut Places) -> Vec<String>;

    /// Opens a row.
    fn row(
        catalog: &Catalog,
        principal: &Principal,
        filter: &Self::Filter,
        row: &AnyRow,
        read: &mut AnyConnection,
    ) -> impl Future<Output = Result<Self::Row, CatalogError>> + Send;
}

/// The columns by which a log is in order; both are among those that are selected, under these names.
struct Order {
    time: &'static str,
    id: &'static str,
}

const fn order(log: Log) -> Order {
    match log {
        Log::Statements => Order { time: "start_time", id: "statement_id" },
        Log::Events => Order { time: "event_time", id: "event_id" },
    }
}

/// What the session's role or the current one did. One of them alone is found in the order of time; of two, all are sorted.
pub(crate) fn own(column: &str, principal: &Principal, places: &mut Places) -> String {
    let session = places.integer(principal.session_role.into());
    match principal.current_role == principal.session_role {
        true => format!("{column} = {session}"),
        false => format!("{column} IN ({session}, {})", places.integer(principal.current_role.into())),
    }
}

/// What lies in a span of time, the end not in it.
pub(crate) fn within(column: &str, since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>, places: &mut Places) -> Vec<String> {
    let bounds = [(">=", since), ("<", until)].into_iter();
    bounds.filter_map(|(than, time)| Some(format!("{column} {than} {}", places.integer(time?.timestamp_micros())))).collect()
}

/// The catalog's part of a log as of one moment, for as long as it is read without a long pause.
#[derive(Clone)]
pub struct LogMoment {
    catalog: Catalog,
    log: Log,
    older: Option<u64>,
    kept: Arc<Mutex<Kept>>,
}

/// The transaction that is not used now, and when it last was.
struct Kept {
    read: Option<Transaction<'static, Any>>,
    used: Instant,
}

/// After a pause of this length others may have the connection.
const PAUSE: Duration = Duration::from_millis(500);

impl LogMoment {
    /// What was logged before this call is in it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn now(catalog: &Catalog, log: Log) -> Result<LogMoment, CatalogError> {
        if let Err(error) = catalog.log().flush().await {
            tracing::warn!(%error, "the log may lack what is not written yet");
        }
        let mut read = catalog.store().begin_read().await?;
        let older = visible(&mut read, log).await?;
        let kept = Arc::new(Mutex::new(Kept { read: Some(read), used: Instant::now() }));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(let_go(Arc::downgrade(&kept)));
        tasks.detach_all();
        Ok(LogMoment { catalog: catalog.clone(), log, older, kept })
    }

    /// The version of the data plane's table that holds what is older.
    #[must_use]
    pub fn older(&self) -> Option<u64> {
        self.older
    }

    /// # Errors
    /// [`CatalogError::Conflict`]: after a pause, records have moved to the data plane that the moment's version of it does not have.
    async fn take(&self) -> Result<Transaction<'static, Any>, CatalogError> {
        if let Some(read) = locked(&self.kept).read.take() {
            return Ok(read);
        }
        let mut read = self.catalog.store().begin_read().await?;
        if visible(&mut read, self.log).await? != self.older {
            return Err(CatalogError::Conflict);
        }
        Ok(read)
    }

    fn give_back(&self, read: Transaction<'static, Any>) {
        let mut kept = locked(&self.kept);
        kept.used = Instant::now();
        kept.read.get_or_insert(read);
    }
}

impl fmt::Debug for LogMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMoment").field("log", &self.log).field("older", &self.older).finish_non_exhaustive()
    }
}

async fn let_go(kept: Weak<Mutex<Kept>>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(kept) = kept.upgrade() else { return };
        let mut kept = locked(&kept);
        if kept.used.elapsed() >= PAUSE {
            kept.read = None;
        }
    }
}

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Parts<K: Kind> {
    moment: LogMoment,
    principal: Principal,
    filter: K::Filter,
    left: u32,
    size: u32,
    /// Time and name of the last row that was read.
    last: Option<(i64, String)>,
}

impl<K: Kind> Parts<K> {
    /// Of this moment; see [`LogMoment::now`].
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub(crate) async fn now(catalog: &Catalog, principal: &Principal, filter: K::Filter) -> Result<Parts<K>, CatalogError> {
        Ok(Parts::of(LogMoment::now(catalog, K::LOG).await?, principal, filter))
    }

    #[must_use]
    pub fn of(moment: LogMoment, principal: &Principal, filter: K::Filter) -> Parts<K> {
        let left = K::limit(&filter);
        Parts { moment, principal: *principal, filter, left, size: FIRST, last: None }
    }

    /// See [`LogMoment::older`].
    #[must_use]
    pub fn older(&self) -> Option<u64> {
        self.moment.older
    }

    /// The next rows; `None` where there are no more.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`] where a row does not open; [`CatalogError::Conflict`]: after a pause, the moment
    /// cannot be had again.
    pub async fn next(&mut self) -> Result<Option<Vec<K::Row>>, CatalogError> {
        if self.left == 0 {
            return Ok(None);
        }
        let Order { time, id } = order(K::LOG);
        let mut places = Places::default();
        let mut conditions = K::conditions(&self.moment.catalog, &self.principal, &self.filter, &mut places);
        if let Some((at, last)) = &self.last {
            let (at, last) = (places.integer(*at), places.text(last.clone()));
            conditions.push(format!("{time} <= {at} AND ({time} < {at} OR {id} < {last})"));
        }
        let wheres = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let size = self.left.min(self.size);
        let limit = places.integer(size.into());
        // Only our own constants are in the text; all values are bound.
        let sql = format!("SELECT {} {wheres} ORDER BY {time} DESC, {id} DESC LIMIT {limit}", K::source(&self.filter));
        let mut read = self.moment.take().await?;
        let rows = places.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&mut *read).await?;
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        self.left = if count < size { 0 } else { self.left - count };
        self.size = (self.size * 4).min(MOST);
        self.last = rows.last().map(|row| Ok::<_, CatalogError>((row.try_get(time)?, row.try_get(id)?))).transpose()?;
        let mut out = Vec::with_capacity(rows.len());
        for row in &rows {
            out.push(K::row(&self.moment.catalog, &self.principal, &self.filter, row, &mut read).await?);
        }
        self.moment.give_back(read);
        Ok((!out.is_empty()).then_some(out))
    }

    /// All rows that are left.
    ///
    /// # Errors
    /// As [`Parts::next`].
    pub async fn rest(&mut self) -> Result<Vec<K::Row>, CatalogError> {
        self.size = MOST;
        let mut out = Vec::new();
        while let Some(rows) = self.next().await? {
            out.extend(rows);
        }
        Ok(out)
    }
}
