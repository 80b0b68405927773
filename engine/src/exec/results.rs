//! Rows of queries, kept for the next execution of the same plan with the same parameters.
//!
//! Rows belong to one plan, which was made for one role's view of one version of each table: nobody else finds them, and they go with
//! the plan once one of the tables has another version.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::compute::take_record_batch;
use arrow::row::{RowConverter, SortField};
use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use futures::{Stream, StreamExt};
use lakegate_engine_api::{CacheFigures, EngineError, RowStream};
use uuid::Uuid;

/// Of one execution.
const ROWS_BYTES_MAX: usize = 8 << 20;

/// What an entry takes beside its rows.
const ENTRY_BYTES: usize = 512;

/// The rows of all plans.
#[derive(Debug)]
pub struct Results {
    limit_bytes: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: BTreeMap<(u64, Key), Entry>,
    /// Plans whose rows are still of use.
    plans: BTreeSet<u64>,
    last_plan: u64,
    clock: u64,
    bytes: usize,
    hits: u64,
    misses: u64,
    evictions: u64,
}

/// Parameters.
type Key = Arc<[u8]>;

#[derive(Debug)]
struct Entry {
    rows: Rows,
    bytes: usize,
    used: u64,
    used_at: Instant,
}

/// What a plan gave, and the statement that ran it.
#[derive(Debug, Clone)]
pub struct Rows {
    pub batches: Vec<RecordBatch>,
    pub origin: Uuid,
}

impl Results {
    #[must_use]
    pub fn new(limit_bytes: usize) -> Arc<Results> {
        Arc::new(Results { limit_bytes, entries: Mutex::default() })
    }

    /// A place for the rows of a new plan, once it has been executed so often.
    #[must_use]
    pub fn of_plan(self: &Arc<Self>, after: u32) -> Option<KeptResults> {
        if self.limit_bytes == 0 {
            return None;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.last_plan += 1;
        let plan = entries.last_plan;
        entries.plans.insert(plan);
        Some(KeptResults { all: Arc::clone(self), plan, idle: AtomicU32::new(after) })
    }

    /// Drops rows that nobody asked for as long.
    pub fn expire(&self, idle: Duration) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut freed = 0;
        entries.by_key.retain(|_, entry| {
            let keeps = entry.used_at.elapsed() < idle;
            freed += if keeps { 0 } else { entry.bytes };
            keeps
        });
        entries.bytes -= freed;
    }

    #[must_use]
    pub fn figures(&self) -> CacheFigures {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        CacheFigures {
            name: "results".into(),
            bytes: count(entries.bytes),
            limit_bytes: count(self.limit_bytes),
            entries: count(entries.by_key.len()),
            hits: entries.hits,
            misses: entries.misses,
            evictions: entries.evictions,
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Entries {
    fn remove_plan(&mut self, plan: u64) {
        let later = self.by_key.split_off(&(plan, Arc::from(&[][..])));
        for (key, entry) in later {
            if key.0 == plan {
                self.bytes -= entry.bytes;
            } else {
                self.by_key.insert(key, entry);
            }
        }
    }

    /// Makes room: the ones unused for longest go.
    fn shrink_to(&mut self, limit: usize) {
        let mut used: Vec<(u64, (u64, Key))> = self.by_key.iter().map(|(key, entry)| (entry.used, key.clone())).collect();
        used.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in used {
            if self.bytes <= limit {
                break;
            }
            if let Some(entry) = self.by_key.remove(&key) {
                self.bytes -= entry.bytes;
                self.evictions += 1;
            }
        }
    }
}

/// The rows of one plan; they go with it.
#[derive(Debug)]
pub struct KeptResults {
    all: Arc<Results>,
    plan: u64,
    /// Executions whose rows are not kept.
    idle: AtomicU32,
}

impl Drop for KeptResults {
    fn drop(&mut self) {
        self.clear();
    }
}

impl KeptResults {
    /// Lets go of all of them, those too that are under way.
    pub fn clear(&self) {
        let mut entries = self.all.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.plans.remove(&self.plan) {
            entries.remove_plan(self.plan);
        }
    }

    #[must_use]
    pub fn find(&self, key: &Key) -> Option<Rows> {
        let mut entries = self.all.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let clock = entries.clock;
        let found = entries.by_key.get_mut(&(self.plan, Arc::clone(key))).map(|entry| {
            entry.used = clock;
            entry.used_at = Instant::now();
            entry.rows.clone()
        });
        match found {
            Some(_) => entries.hits += 1,
            None => entries.misses += 1,
        }
        found
    }

    /// The same rows, kept once all of them have passed unless they are too many.
    #[must_use]
    pub fn keeping(&self, key: Key, origin: Uuid, stream: RowStream) -> RowStream {
        if self.idle.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return stream;
        }
        let place = Place { all: Arc::clone(&self.all), plan: self.plan, key, origin };
        Keeping { stream, kept: Some((Vec::new(), 0)), place }.boxed()
    }
}

/// Parameters, one array of length 1 each, as a key; `None` for types that have none.
#[must_use]
pub fn key_of(parameters: &[ArrayRef]) -> Option<Key> {
    if parameters.is_empty() {
        return Some(Arc::from(&[][..]));
    }
    let fields = parameters.iter().map(|value| SortField::new(value.data_type().clone())).collect();
    let rows = RowConverter::new(fields).ok()?.convert_columns(parameters).ok()?;
    (rows.num_rows() == 1).then(|| Arc::from(rows.row(0).as_ref()))
}

struct Place {
    all: Arc<Results>,
    plan: u64,
    key: Key,
    origin: Uuid,
}

impl Place {
    fn put(&self, batches: Vec<RecordBatch>, bytes: usize) {
        let bytes = bytes.saturating_add(ENTRY_BYTES).saturating_add(self.key.len());
        let mut entries = self.all.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.plans.contains(&self.plan) || bytes > self.all.limit_bytes {
            return;
        }
        if entries.bytes + bytes > self.all.limit_bytes {
            let room = (self.all.limit_bytes - bytes).min(self.all.limit_bytes / 8 * 7);
            entries.shrink_to(room);
        }
        entries.clock += 1;
        let entry = Entry { rows: Rows { batches, origin: self.origin }, bytes, used: entries.clock, used_at: Instant::now() };
        entries.bytes += bytes;
        if let Some(before) = entries.by_key.insert((self.plan, Arc::clone(&self.key)), entry) {
            entries.bytes -= before.bytes;
        }
    }
}

struct Keeping {
    stream: RowStream,
    kept: Option<(Vec<RecordBatch>, usize)>,
    place: Place,
}

impl Stream for Keeping {
    type Item = Result<RecordBatch, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.stream.poll_next_unpin(context);
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                self.kept = self.kept.take().and_then(|(mut batches, bytes)| {
                    let own = own(batch, ROWS_BYTES_MAX - bytes)?;
                    let bytes = bytes.saturating_add(own.get_array_memory_size());
                    batches.push(own);
                    (bytes <= ROWS_BYTES_MAX).then_some((batches, bytes))
                });
            }
            Poll::Ready(Some(Err(_))) => self.kept = None,
            Poll::Ready(None) => {
                if let Some((batches, bytes)) = self.kept.take() {
                    self.place.put(batches, bytes);
                }
            }
            Poll::Pending => {}
        }
        next
    }
}

/// The rows without what else lies in their buffers; `None` where they are too many.
fn own(batch: &RecordBatch, room: usize) -> Option<RecordBatch> {
    let bytes: usize = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX)).sum();
    if bytes > room {
        return None;
    }
    let rows = UInt64Array::from_iter_values(0..u64::try_from(batch.num_rows()).ok()?);
    take_record_batch(batch, &rows).ok()
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};
    use futures::TryStreamExt;

    use super::*;

    fn batch(rows: i64) -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef)]).unwrap()
    }

    fn key(number: i64) -> Key {
        key_of(&[Arc::new(Int64Array::from(vec![number]))]).unwrap()
    }

    async fn run(results: &KeptResults, key: Key, rows: i64) {
        let stream = futures::stream::iter([Ok(batch(rows))]).boxed();
        results.keeping(key, Uuid::nil(), stream).try_collect::<Vec<_>>().await.unwrap();
    }

    #[tokio::test]
    async fn rows_are_found_by_plan_and_parameters() {
        let all = Results::new(1 << 20);
        let (one, other) = (all.of_plan(0).unwrap(), all.of_plan(0).unwrap());
        run(&one, key(1), 3).await;
        assert_eq!(one.find(&key(1)).unwrap().batches, [batch(3)]);
        assert!(one.find(&key(2)).is_none());
        assert!(other.find(&key(1)).is_none());
        one.clear();
        assert!(one.find(&key(1)).is_none());
        assert_eq!(all.figures().bytes, 0);
    }

    #[tokio::test]
    async fn what_arrives_after_its_plan_has_gone_is_not_kept() {
        let all = Results::new(1 << 20);
        let plan = all.of_plan(0).unwrap();
        let stream = plan.keeping(key(1), Uuid::nil(), futures::stream::iter([Ok(batch(3))]).boxed());
        drop(plan);
        stream.try_collect::<Vec<_>>().await.unwrap();
        assert_eq!((all.figures().bytes, all.figures().entries), (0, 0));
    }

    #[tokio::test]
    async fn the_oldest_go_and_the_limit_holds() {
        let all = Results::new(64 << 10);
        let plan = all.of_plan(0).unwrap();
        for number in 0..100 {
            run(&plan, key(number), 100).await;
            assert!(all.figures().bytes <= 64 << 10);
            assert!(plan.find(&key(0)).is_some(), "the one in use stays, after {number}");
        }
        assert!(all.figures().evictions > 0);
        assert!(plan.find(&key(1)).is_none());
        run(&plan, key(1_000), 2_000_000).await;
        assert!(plan.find(&key(1_000)).is_none(), "too large");
    }

    #[tokio::test]
    async fn idle_rows_go() {
        let all = Results::new(1 << 20);
        let plan = all.of_plan(0).unwrap();
        run(&plan, key(1), 3).await;
        all.expire(Duration::from_secs(60));
        assert!(plan.find(&key(1)).is_some());
        all.expire(Duration::ZERO);
        assert!(plan.find(&key(1)).is_none());
        assert_eq!(all.figures().bytes, 0);
    }

    #[tokio::test]
    async fn a_failed_stream_is_not_kept() {
        let all = Results::new(1 << 20);
        let plan = all.of_plan(0).unwrap();
        let stream = futures::stream::iter([Ok(batch(3)), Err(EngineError::Canceled)]).boxed();
        assert!(plan.keeping(key(1), Uuid::nil(), stream).try_collect::<Vec<_>>().await.is_err());
        assert!(plan.find(&key(1)).is_none());
    }

    #[tokio::test]
    async fn the_first_executions_are_not_kept() {
        let all = Results::new(1 << 20);
        let plan = all.of_plan(1).unwrap();
        run(&plan, key(1), 3).await;
        assert!(plan.find(&key(1)).is_none());
        run(&plan, key(1), 3).await;
        assert!(plan.find(&key(1)).is_some());
    }

    #[test]
    fn keys_tell_values_and_nulls_apart() {
        let text = |value: Option<&str>| key_of(&[Arc::new(StringArray::from(vec![value]))]).unwrap();
        assert_ne!(text(None), text(Some("")));
        assert_ne!(text(Some("a")), text(Some("b")));
    }
}
