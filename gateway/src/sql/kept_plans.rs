//! Plans of statements that ask the catalogs alone, and their rows, kept for all sessions until the catalog changes: clients browse with
//! the same statements again and again. Plans over stored tables are kept from the second time that a statement comes, and are run again
//! where the engine says that the tables have the same versions; their rows are the engine's to keep.
//!
//! A plan is found again by its text under the same snapshot of the catalog, role, database, search path, settings and parameter types;
//! [`super::of_catalog`] says of which statements that is all that the answer depends on. Rows are kept under `lakegate.result_cache`,
//! which is a setting like the others: sessions that differ in it never share.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{FieldRef, SchemaRef};
use async_trait::async_trait;
use futures::{Stream, StreamExt};
use lakegate_catalog::Snapshot;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::model::{Oid, RelationName};
use lakegate_engine_api::{EngineError, Execution, ExecutionContext, ExecutionMetrics, Prepared, RowStream, SessionFacts};
use uuid::Uuid;

use super::of_catalog::Follows;
use super::prepare::Plan;

/// Plans that are kept; the ones unused for longest go first.
const PLANS_MAX: usize = 1_000;
/// Of one plan's rows.
const ROWS_BYTES_MAX: usize = 32 << 20;
/// Of all rows together.
const ALL_ROWS_BYTES_MAX: usize = 256 << 20;

/// What a plan was made for.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    pub text: &'a str,
    pub types: &'a [Oid],
    pub snapshot: &'a Arc<Snapshot>,
    pub principal: Principal,
    pub facts: &'a SessionFacts,
    pub session: Uuid,
}

/// The plans of all sessions.
#[derive(Default)]
pub struct KeptPlans {
    by_text: Mutex<HashMap<Arc<str>, Vec<Entry>>>,
    /// Counts up with each use.
    clock: AtomicU64,
    bytes: Arc<AtomicUsize>,
    /// Digests of texts that came lately, by their last bits.
    lately: Lately,
}

struct Lately(Box<[AtomicU64]>);

/// Places for digests.
const LATELY: usize = 4_096;

impl Default for Lately {
    fn default() -> Self {
        Lately((0..LATELY).map(|_| AtomicU64::new(0)).collect())
    }
}

struct Entry {
    types: Vec<Oid>,
    snapshot: Arc<Snapshot>,
    current_role: Oid,
    session_role: Oid,
    database: String,
    search_path: Vec<String>,
    settings: Arc<BTreeMap<String, String>>,
    /// Where it answers this session alone.
    session: Option<Uuid>,
    plan: Arc<Plan>,
    used: u64,
}

impl KeptPlans {
    #[must_use]
    pub fn find(&self, asked: &Circumstances<'_>) -> Option<Arc<Plan>> {
        let mut all = self.by_text.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.get_mut(asked.text)?.iter_mut().find(|entry| entry.is_for(asked))?;
        entry.used = self.clock.fetch_add(1, Ordering::Relaxed);
        // Who asks with the same values most likely asks again with the same map of them.
        entry.settings = Arc::clone(&asked.facts.settings);
        Some(Arc::clone(&entry.plan))
    }

    /// Whether the text came before, not long ago.
    #[must_use]
    pub fn came_before(&self, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let digest = hasher.finish();
        let place = usize::try_from(digest % LATELY as u64).unwrap_or_default();
        self.lately.0.get(place).is_some_and(|place| place.swap(digest, Ordering::Relaxed) == digest)
    }

    /// Lets go of a plan that no longer stands.
    pub fn forget(&self, text: &str, plan: &Arc<Plan>) {
        let mut all = self.by_text.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = all.get_mut(text) {
            entries.retain(|entry| !Arc::ptr_eq(&entry.plan, plan));
        }
    }

    /// Lets go of all: texts and rows may name somebody who was erased.
    pub fn forget_all(&self) {
        self.by_text.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Keeps a plan; those of older catalogs go.
    pub fn keep(&self, made: &Circumstances<'_>, plan: &Arc<Plan>) {
        let entry = Entry {
            types: made.types.to_vec(),
            snapshot: Arc::clone(made.snapshot),
            current_role: made.principal.current_role,
            session_role: made.principal.session_role,
            database: made.facts.database.clone(),
            search_path: made.facts.search_path.clone(),
            settings: Arc::clone(&made.facts.settings),
            session: (plan.follows_from() > Some(Follows::Catalog)).then_some(made.session),
            plan: Arc::clone(plan),
            used: self.clock.fetch_add(1, Ordering::Relaxed),
        };
        let mut all = self.by_text.lock().unwrap_or_else(PoisonError::into_inner);
        let version = made.snapshot.version();
        all.retain(|_, entries| {
            entries.retain(|entry| entry.snapshot.version() >= version);
            !entries.is_empty()
        });
        let count: usize = all.values().map(Vec::len).sum();
        if count >= PLANS_MAX || self.bytes.load(Ordering::Relaxed) > ALL_ROWS_BYTES_MAX / 2 {
            drop_oldest(&mut all, count / 4 + 1);
        }
        let entries = all.entry(made.text.into()).or_default();
        entries.retain(|entry| !entry.is_for(made));
        entries.push(entry);
    }

    /// The same plan with a place for its rows.
    pub fn with_rows(&self, inner: Arc<dyn Prepared>) -> Arc<dyn Prepared> {
        Arc::new(KeptRows { inner, rows: Arc::default(), bytes: Arc::clone(&self.bytes) })
    }
}

impl Entry {
    fn is_for(&self, asked: &Circumstances<'_>) -> bool {
        let (facts, principal) = (asked.facts, &asked.principal);
        Arc::ptr_eq(&self.snapshot, asked.snapshot)
            && self.current_role == principal.current_role
            && self.session_role == principal.session_role
            && self.session.is_none_or(|session| session == asked.session)
            && self.types == asked.types
            && self.database == facts.database
            && self.search_path == facts.search_path
            && (Arc::ptr_eq(&self.settings, &facts.settings) || self.settings == facts.settings)
    }
}

fn drop_oldest(all: &mut HashMap<Arc<str>, Vec<Entry>>, count: usize) {
    let mut used: Vec<u64> = all.values().flatten().map(|entry| entry.used).collect();
    used.sort_unstable();
    let Some(limit) = used.get(count.min(used.len().saturating_sub(1))).copied() else { return };
    all.retain(|_, entries| {
        entries.retain(|entry| entry.used >= limit);
        !entries.is_empty()
    });
}

/// A plan that runs once.
struct KeptRows {
    inner: Arc<dyn Prepared>,
    rows: Arc<OnceLock<Rows>>,
    bytes: Arc<AtomicUsize>,
}

/// What a plan gave, and which statement ran it.
struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    origin: Uuid,
    _counted: Counted,
}

/// Bytes in the sum of all.
struct Counted {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[async_trait]
impl Prepared for KeptRows {
    fn columns_read(&self) -> Vec<(lakegate_catalog::model::RelationName, Vec<String>)> {
        self.inner.columns_read()
    }

    fn parameters(&self) -> &[FieldRef] {
        self.inner.parameters()
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        self.inner.result_schema()
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.inner.table_versions()
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        if let Some(rows) = self.rows.get() {
            let metrics = ExecutionMetrics { cache_origin: rows.origin.into(), ..ExecutionMetrics::default() };
            let stream = futures::stream::iter(rows.batches.clone().into_iter().map(Ok)).boxed();
            return Ok(Execution::Rows { schema: Arc::clone(&rows.schema), stream, metrics: Arc::new(metrics) });
        }
        let origin = context.statement_id;
        match self.inner.execute(parameters, context).await? {
            Execution::Rows { schema, stream, metrics } => {
                let keeping = Keeping { rows: Arc::clone(&self.rows), schema: Arc::clone(&schema), origin, bytes: Arc::clone(&self.bytes) };
                let stream = Kept { stream, kept: Some((Vec::new(), 0)), keeping }.boxed();
                Ok(Execution::Rows { schema, stream, metrics })
            }
            other => Ok(other),
        }
    }
}

/// Where the rows go once all have passed.
struct Keeping {
    rows: Arc<OnceLock<Rows>>,
    schema: SchemaRef,
    origin: Uuid,
    bytes: Arc<AtomicUsize>,
}

/// Passes rows on and keeps them, unless they are too many.
struct Kept {
    stream: RowStream,
    kept: Option<(Vec<RecordBatch>, usize)>,
    keeping: Keeping,
}

impl Stream for Kept {
    type Item = Result<RecordBatch, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.stream.poll_next_unpin(context);
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                self.kept = self.kept.take().and_then(|(mut batches, bytes)| {
                    let bytes = bytes.saturating_add(batch.get_array_memory_size());
                    batches.push(batch.clone());
                    (bytes <= ROWS_BYTES_MAX).then_some((batches, bytes))
                });
            }
            Poll::Ready(Some(Err(_))) => self.kept = None,
            Poll::Ready(None) => {
                if let Some((batches, bytes)) = self.kept.take() {
                    self.keeping.keep(batches, bytes);
                }
            }
            Poll::Pending => {}
        }
        next
    }
}

impl Keeping {
    fn keep(&self, batches: Vec<RecordBatch>, bytes: usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let counted = Counted { bytes, all: Arc::clone(&self.bytes) };
        if before.saturating_add(bytes) <= ALL_ROWS_BYTES_MAX {
            // Where two ran it at a time, one's are as good as the other's.
            let _ = self.rows.set(Rows { schema: Arc::clone(&self.schema), batches, origin: self.origin, _counted: counted });
        }
    }
}
