//! Values of sequences for one session: the engine asks for them in the middle of a statement, the catalog hands them out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow_schema::ArrowError;
use lakegate_catalog::ddl::SequenceState;
use lakegate_catalog::model::{Oid, Relation, Sequence};
use lakegate_catalog::{Catalog, CatalogError};
use lakegate_engine_api::RelationSource;
use tokio::runtime::Handle;

use crate::sqlstate::{SqlError, SqlState};

/// A sequence as a relation of one row.
///
/// # Errors
/// XX000: none of the values fits its column.
pub fn as_rows(state: SequenceState) -> Result<RelationSource, SqlError> {
    let broken = |error: ArrowError| SqlError::new(SqlState::InternalError, error.to_string());
    let columns: [(&str, ArrayRef); 3] = [
        ("last_value", Arc::new(Int64Array::from(vec![state.last_value]))),
        ("log_cnt", Arc::new(Int64Array::from(vec![0]))),
        ("is_called", Arc::new(BooleanArray::from(vec![state.is_called]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(broken)?;
    Ok(RelationSource::Rows { schema: batch.schema(), batches: Arc::new([batch]) })
}

/// What `currval` and `lastval` know, and the way to the catalog.
#[derive(Debug)]
pub struct SessionSequences {
    catalog: Catalog,
    /// Of the gateway: the engine's threads wait for it, never it for them.
    runtime: Handle,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    current: BTreeMap<Oid, i64>,
    last: Option<Oid>,
}

impl SessionSequences {
    /// Within the gateway's runtime.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        SessionSequences { catalog, runtime: Handle::current(), seen: Mutex::default() }
    }

    /// # Errors
    /// 2200H; where the catalog cannot be reached.
    pub fn next(&self, relation: &Relation, sequence: &Sequence, count: usize) -> Result<Vec<i64>, CatalogError> {
        let (catalog, oid, name, sequence) = (self.catalog.clone(), relation.oid, relation.name.clone(), sequence.clone());
        let values = self.wait(async move { catalog.next_values(oid, &name, &sequence, count).await })?;
        if let Some(last) = values.last() {
            self.see(oid, *last);
        }
        Ok(values)
    }

    /// # Errors
    /// 22003.
    pub fn set(&self, relation: &Relation, sequence: &Sequence, state: SequenceState) -> Result<(), CatalogError> {
        let (catalog, oid, name, sequence) = (self.catalog.clone(), relation.oid, relation.name.clone(), sequence.clone());
        self.wait(async move { catalog.set_sequence(oid, &name, &sequence, state).await })?;
        if state.is_called {
            self.see(oid, state.last_value);
        }
        Ok(())
    }

    /// # Errors
    /// Where the catalog cannot be reached.
    pub fn stored(&self, oid: Oid, sequence: &Sequence) -> Result<SequenceState, CatalogError> {
        let (catalog, sequence) = (self.catalog.clone(), sequence.clone());
        self.wait(async move { catalog.sequence_state(oid, &sequence).await })
    }

    /// The session's last value of a sequence.
    #[must_use]
    pub fn current(&self, oid: Oid) -> Option<i64> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).current.get(&oid).copied()
    }

    /// The sequence that `nextval` was last called for.
    #[must_use]
    pub fn last(&self) -> Option<(Oid, i64)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last.and_then(|oid| Some((oid, *seen.current.get(&oid)?)))
    }

    /// DISCARD SEQUENCES.
    pub fn forget(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    }

    fn see(&self, oid: Oid, value: i64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.current.insert(oid, value);
        seen.last = Some(oid);
    }

    /// Blocks a thread of the engine for as long as a small change of the catalog takes.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = Result<T, CatalogError>> + Send + 'static) -> Result<T, CatalogError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let _entered = self.runtime.enter();
        crate::tasks::spawn("values of a sequence", async move {
            let _ = sender.send(work.await);
        });
        receiver.recv().unwrap_or_else(|_| Err(CatalogError::Unavailable { detail: "a sequence's values were not handed out".to_owned() }))
    }
}
