//! A transaction that a gateway opened, and the steps that it told of.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lakegate_engine_api::{EngineError, EngineTransaction};

use crate::flight::wire::{StagedStep, TransactionRef, TransactionState};

pub struct Transaction {
    pub engine: Arc<dyn EngineTransaction>,
    steps: Mutex<Steps>,
}

#[derive(Default)]
struct Steps {
    /// The newest step that was done.
    done: u64,
    /// The engine's marks by the gateway's.
    marks: HashMap<u64, usize>,
}

impl Transaction {
    pub fn new(engine: Arc<dyn EngineTransaction>) -> Self {
        Transaction { engine, steps: Mutex::default() }
    }

    /// Does the steps that were not done yet.
    ///
    /// # Errors
    /// Those of the steps.
    pub fn catch_up(&self, told: &TransactionRef) -> Result<(), EngineError> {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, step) in &told.steps {
            if *number <= steps.done {
                continue;
            }
            match step {
                StagedStep::LockRows => self.engine.lock_rows()?,
                StagedStep::Mark(mark) => {
                    let place = self.engine.mark();
                    steps.marks.insert(*mark, place);
                }
                StagedStep::RollBackTo(mark) => {
                    // What was marked where nothing was staged yet, or 0: everything goes.
                    let place = steps.marks.get(mark).copied().unwrap_or(0);
                    self.engine.roll_back_to(place);
                }
            }
            steps.done = *number;
        }
        Ok(())
    }

    pub fn state(&self, number: u64) -> TransactionState {
        let done = self.steps.lock().unwrap_or_else(PoisonError::into_inner).done;
        TransactionState { number, done, has_changes: self.engine.has_changes(), has_writes: self.engine.has_writes() }
    }
}
