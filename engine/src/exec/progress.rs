//! What runs now and takes long, by statement.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lakegate_engine_api::{Phase, Progress, ProgressCounters};
use uuid::Uuid;

/// Counters of all work of an engine; clones share them.
#[derive(Debug, Clone, Default)]
pub struct ProgressBoard(Arc<Mutex<HashMap<Uuid, Arc<ProgressCounters>>>>);

impl ProgressBoard {
    /// Enters a statement's work until the answer is dropped. Where the statement does several pieces, the last one is seen.
    #[must_use]
    pub fn begin(&self, statement: Uuid, phase: Phase) -> Counted {
        let counters = Arc::new(ProgressCounters::default());
        counters.enter(phase);
        self.lock().insert(statement, Arc::clone(&counters));
        Counted { board: self.clone(), statement, counters }
    }

    #[must_use]
    pub fn read(&self, statement: Uuid) -> Option<Progress> {
        self.lock().get(&statement).map(|counters| counters.read())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<ProgressCounters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that is counted.
#[derive(Debug)]
pub struct Counted {
    board: ProgressBoard,
    statement: Uuid,
    counters: Arc<ProgressCounters>,
}

impl Counted {
    /// For writers that outlive the borrow.
    #[must_use]
    pub fn counters(&self) -> &Arc<ProgressCounters> {
        &self.counters
    }
}

impl Deref for Counted {
    type Target = ProgressCounters;

    fn deref(&self) -> &ProgressCounters {
        &self.counters
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.board.lock();
        if all.get(&self.statement).is_some_and(|counters| Arc::ptr_eq(counters, &self.counters)) {
            all.remove(&self.statement);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_while_it_runs() {
        let board = ProgressBoard::default();
        let statement = Uuid::new_v4();
        assert_eq!(board.read(statement), None);
        let first = board.begin(statement, Phase::WritingRows);
        first.add_files(1, 10);
        let second = board.begin(statement, Phase::RewritingFiles);
        drop(first);
        assert_eq!(board.read(statement).map(|progress| progress.phase), Some(Phase::RewritingFiles));
        drop(second);
        assert_eq!(board.read(statement), None);
    }
}
