//! The cursors of a session: results that are read piece by piece. A cursor pulls its running statement as far as it is asked; one
//! with SCROLL keeps the rows it has passed, up to a bound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::frontend::ClientRows;
use crate::sqlstate::{SqlError, SqlState};

/// Most cursors a session has open.
const CURSORS_MAX: usize = 100;
/// Most memory of the rows that all cursors of a session keep for going backward.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// A row of `pg_cursors`, and the way to its rows.
pub struct Cursor {
    pub text: Arc<str>,
    pub schema: SchemaRef,
    pub hold: bool,
    pub scroll: Option<bool>,
    pub binary: bool,
    pub made: DateTime<Utc>,
    /// Savepoints open when it was made; `None` for those that the transaction no longer concerns.
    level: Option<usize>,
    /// Locked while a FETCH is sent.
    pub scan: Arc<Mutex<Scan>>,
}

impl Cursor {
    #[must_use]
    pub fn new(text: Arc<str>, schema: SchemaRef, hold: bool, scan: Scan, level: Option<usize>) -> Self {
        Cursor { text, schema, hold, binary: false, scroll: scan.scroll, made: Utc::now(), level, scan: Arc::new(Mutex::new(scan)) }
    }
}

#[derive(Default)]
pub struct Cursors {
    open: BTreeMap<String, Cursor>,
    kept_bytes: Arc<AtomicUsize>,
}

impl Cursors {
    /// Whether a cursor of the name can be made.
    ///
    /// # Errors
    /// 34000 the name is empty, 42P03 it is taken, 53400 there are too many.
    pub fn check(&self, name: &str) -> Result<(), SqlError> {
        if name.is_empty() {
            return Err(SqlError::new(SqlState::InvalidCursorName, "invalid cursor name: must not be empty"));
        }
        if self.open.contains_key(name) {
            return Err(SqlError::new(SqlState::DuplicateCursor, format!("cursor \"{name}\" already exists")));
        }
        if self.open.len() >= CURSORS_MAX {
            return Err(SqlError::new(SqlState::ConfigurationLimitExceeded, format!("a session has at most {CURSORS_MAX} cursors"))
                .hint("Close those that are not used any more."));
        }
        Ok(())
    }

    /// After [`Cursors::check`].
    pub fn open(&mut self, name: &str, cursor: Cursor) {
        self.open.insert(name.to_owned(), cursor);
    }

    /// # Errors
    /// 34000.
    pub fn find(&self, name: &str) -> Result<&Cursor, SqlError> {
        self.open.get(name).ok_or_else(|| missing(name))
    }

    /// # Errors
    /// 34000.
    pub fn close(&mut self, name: &str) -> Result<(), SqlError> {
        self.open.remove(name).map(|_| ()).ok_or_else(|| missing(name))
    }

    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// Whether some outlive their transaction.
    #[must_use]
    pub fn has_held(&self) -> bool {
        self.open.values().any(|cursor| cursor.hold)
    }

    /// The transaction ended: cursors end with it unless they hold, and those too that were made by what was rolled back.
    pub fn end_transaction(&mut self, rolled_back: bool) {
        self.open.retain(|_, cursor| cursor.level.is_none() || (cursor.hold && !rolled_back));
        self.open.values_mut().for_each(|cursor| cursor.level = None);
    }

    /// RELEASE: what was made inside savepoint `at` belongs outside it now.
    pub fn release(&mut self, at: usize) {
        self.open.values_mut().for_each(|cursor| cursor.level = cursor.level.map(|level| level.min(at)));
    }

    /// ROLLBACK TO savepoint `at`, counted from 0 outside.
    pub fn roll_back_to(&mut self, at: usize) {
        self.open.retain(|_, cursor| cursor.level.is_none_or(|level| level <= at));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Cursor)> {
        self.open.iter()
    }

    /// A scan over a result that has begun, and that `cancel` stops.
    #[must_use]
    pub fn scan(&self, rows: ClientRows, cancel: CancellationToken, scroll: Option<bool>) -> Scan {
        let kept = (scroll == Some(true)).then(|| Kept { batches: Vec::new(), bytes: 0, session_bytes: Arc::clone(&self.kept_bytes) });
        Scan {
            rows,
            cancel,
            unread: None,
            passed: 0,
            position: 0,
            at_end: false,
            failed: false,
            current: None,
            scroll,
            kept,
            overflowed: false,
        }
    }
}

fn missing(name: &str) -> SqlError {
    SqlError::new(SqlState::InvalidCursorName, format!("cursor \"{name}\" does not exist"))
}

/// A position in a result. Mirrors `PortalRunSelect` and its callers in pquery.c.
pub struct Scan {
    rows: ClientRows,
    /// Stops them.
    cancel: CancellationToken,
    /// The rest of the batch that is being passed.
    unread: Option<RecordBatch>,
    /// Rows taken from the result so far.
    passed: u64,
    /// The row it stands on, from 1; 0 before the first. At the end, the last row.
    position: u64,
    /// Behind the last row.
    at_end: bool,
    failed: bool,
    /// The row it stands on.
    current: Option<RecordBatch>,
    scroll: Option<bool>,
    /// The rows passed, of a cursor with SCROLL.
    kept: Option<Kept>,
    /// They became too many to keep.
    overflowed: bool,
}

struct Kept {
    /// Each with the number of rows before it.
    batches: Vec<(u64, RecordBatch)>,
    bytes: usize,
    session_bytes: Arc<AtomicUsize>,
}

impl Scan {
    /// Its statement was stopped in the middle: nobody knows what it has sent.
    pub fn fail(&mut self) {
        self.failed = true;
        self.cancel.cancel();
        self.rows = futures::stream::empty().boxed();
        self.kept = None;
    }

    /// # Errors
    /// 55000 when an earlier FETCH has failed.
    pub fn check(&self) -> Result<(), SqlError> {
        if self.failed {
            return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, "the cursor's statement has failed and cannot be run again"));
        }
        Ok(())
    }

    #[must_use]
    pub fn is_on_row(&self) -> bool {
        self.position > 0 && !self.at_end
    }

    /// The number of the row it stands on; behind the end, one more than there are.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.position + u64::from(self.at_end)
    }

    /// The next rows, `max` at most; `None` at the end, where it then stands.
    ///
    /// # Errors
    /// The statement's.
    pub async fn forward(&mut self, max: u64) -> Result<Option<RecordBatch>, SqlError> {
        if self.at_end || max == 0 {
            return Ok(None);
        }
        let batch = match self.kept_from(self.position) {
            Some(batch) => batch,
            None => match self.pull().await? {
                Some(batch) => batch,
                None => {
                    self.at_end = true;
                    self.current = None;
                    return Ok(None);
                }
            },
        };
        let rows = batch.num_rows();
        let taken = rows.min(usize::try_from(max).unwrap_or(usize::MAX));
        if self.position == self.passed {
            self.unread = (taken < rows).then(|| batch.slice(taken, rows - taken));
            self.passed += taken as u64;
        }
        self.position += taken as u64;
        self.current = Some(batch.slice(taken - 1, 1));
        Ok(Some(batch.slice(0, taken)))
    }

    /// The row before; `None` at the start, where it then stands.
    ///
    /// # Errors
    /// 55000 unless it scrolls.
    pub fn backward(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        self.require_scroll()?;
        let target = if self.at_end { self.position } else { self.position.saturating_sub(1) };
        self.seek(target);
        Ok(self.current.clone())
    }

    /// The row it stands on, again.
    ///
    /// # Errors
    /// 55000 with NO SCROLL.
    pub fn again(&self) -> Result<Option<RecordBatch>, SqlError> {
        if self.scroll == Some(false) && self.is_on_row() {
            return Err(forward_only());
        }
        Ok(self.current.clone().filter(|_| self.is_on_row()))
    }

    /// Goes to a row already passed, or with 0 before the first.
    ///
    /// # Errors
    /// 55000 unless it scrolls.
    pub fn rewind(&mut self, target: u64) -> Result<(), SqlError> {
        if target == 0 && self.place() == 0 {
            return Ok(());
        }
        self.require_scroll()?;
        self.seek(target);
        Ok(())
    }

    /// # Errors
    /// 55000.
    pub fn require_scroll(&self) -> Result<(), SqlError> {
        match (&self.kept, self.overflowed) {
            (Some(_), _) => Ok(()),
            (None, true) => Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, "cursor can only scan forward")
                .detail(format!("The rows that the session's cursors have passed take more than {} MiB.", KEPT_BYTES_MAX >> 20))),
            (None, false) => Err(forward_only()),
        }
    }

    fn seek(&mut self, target: u64) {
        self.at_end = false;
        self.position = target;
        self.current = target.checked_sub(1).and_then(|before| self.kept_from(before)).map(|batch| batch.slice(0, 1));
    }

    /// Rows passed before, from the one after row `after`.
    fn kept_from(&self, after: u64) -> Option<RecordBatch> {
        if after >= self.passed {
            return None;
        }
        let batches = &self.kept.as_ref()?.batches;
        let at = batches.partition_point(|(before, _)| *before <= after).checked_sub(1)?;
        let (before, batch) = batches.get(at)?;
        let skip = usize::try_from(after - before).ok()?;
        // The newest batch may be passed in part.
        let passed = usize::try_from(self.passed - before).unwrap_or(usize::MAX).min(batch.num_rows());
        Some(batch.slice(skip, passed - skip))
    }

    async fn pull(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        if let Some(batch) = self.unread.take() {
            return Ok(Some(batch));
        }
        loop {
            match self.rows.next().await {
                None => return Ok(None),
                Some(Err(error)) => {
                    self.fail();
                    return Err(error);
                }
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => {
                    self.keep(&batch);
                    return Ok(Some(batch));
                }
            }
        }
    }

    fn keep(&mut self, batch: &RecordBatch) {
        let Some(kept) = &mut self.kept else { return };
        let bytes = batch.get_array_memory_size();
        kept.bytes += bytes;
        if kept.session_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > KEPT_BYTES_MAX {
            self.kept = None;
            self.overflowed = true;
        } else {
            kept.batches.push((self.passed, batch.clone()));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.session_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn forward_only() -> SqlError {
    SqlError::new(SqlState::ObjectNotInPrerequisiteState, "cursor can only scan forward")
        .hint("Declare it with SCROLL option to enable backward scan.")
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int32Array};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn scan(scroll: Option<bool>) -> Scan {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
        let batch = move |from: i32, to: i32| {
            let values: ArrayRef = Arc::new(Int32Array::from_iter_values(from..to));
            Ok(RecordBatch::try_new(Arc::clone(&schema), vec![values]).unwrap())
        };
        let batches = vec![batch(1, 4), batch(4, 4), batch(4, 6)];
        Cursors::default().scan(futures::stream::iter(batches).boxed(), CancellationToken::new(), scroll)
    }

    fn numbers(batch: Option<RecordBatch>) -> Vec<i32> {
        batch.map_or_else(Vec::new, |batch| batch.column(0).as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec())
    }

    #[tokio::test]
    async fn forward_in_any_pieces() {
        let mut scan = scan(None);
        assert_eq!(numbers(scan.forward(2).await.unwrap()), [1, 2]);
        assert_eq!(numbers(scan.again().unwrap()), [2]);
        assert_eq!(numbers(scan.forward(9).await.unwrap()), [3]);
        assert_eq!(numbers(scan.forward(9).await.unwrap()), [4, 5]);
        assert!(!scan.at_end);
        assert_eq!(numbers(scan.forward(1).await.unwrap()), [0; 0]);
        assert_eq!(scan.place(), 6);
        assert_eq!(scan.backward().unwrap_err().state, SqlState::ObjectNotInPrerequisiteState);
    }

    #[tokio::test]
    async fn backward_and_forward_again() {
        let mut scan = scan(Some(true));
        while scan.forward(2).await.unwrap().is_some() {}
        assert_eq!(numbers(scan.backward().unwrap()), [5]);
        assert_eq!(numbers(scan.backward().unwrap()), [4]);
        assert_eq!(numbers(scan.forward(9).await.unwrap()), [5]);
        scan.rewind(1).unwrap();
        assert_eq!(numbers(scan.again().unwrap()), [1]);
        assert_eq!(numbers(scan.forward(9).await.unwrap()), [2, 3]);
        scan.rewind(0).unwrap();
        assert_eq!(numbers(scan.backward().unwrap()), [0; 0]);
        assert_eq!(numbers(scan.forward(1).await.unwrap()), [1]);
    }

    #[tokio::test]
    async fn half_a_batch_forward_then_back_then_on() {
        let mut scan = scan(Some(true));
        assert_eq!(numbers(scan.forward(2).await.unwrap()), [1, 2]);
        assert_eq!(numbers(scan.backward().unwrap()), [1]);
        assert_eq!(numbers(scan.forward(9).await.unwrap()), [2]);
        assert_eq!(numbers(scan.forward(9).await.unwrap()), [3]);
        assert_eq!(numbers(scan.forward(9).await.unwrap()), [4, 5]);
    }
}
