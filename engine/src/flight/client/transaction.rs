//! A transaction at an engine. What it needs no answer for (marks, going back to them, locks) is noted here and told with the next thing that
//! is done in it.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lakegate_engine_api::{Effect, EngineError, EngineTransaction, ExecutionContext, Outcome};

use super::exchange::Work;
use super::link::{Link, unexpected};
use crate::error;
use crate::flight::wire::{Reply, Request, StagedStep, ToEngine, TransactionRef, TransactionState};

/// [`EngineTransaction`] of a [`super::RemoteEngine`].
pub struct RemoteTransaction(Arc<Mirror>);

impl RemoteTransaction {
    pub(super) fn new() -> Self {
        RemoteTransaction(Arc::new(Mirror(Mutex::default())))
    }

    /// The engine's own type back.
    ///
    /// # Errors
    /// `Internal` for another engine's.
    pub fn of(transaction: &dyn EngineTransaction) -> Result<&Self, EngineError> {
        transaction.as_any().downcast_ref().ok_or_else(|| error::internal("a transaction of another engine"))
    }

    pub(super) fn mirror(&self) -> &Arc<Mirror> {
        &self.0
    }
}

/// What is known here of a transaction.
pub struct Mirror(Mutex<State>);

#[derive(Default)]
struct State {
    /// Where it is, since something was done in it.
    place: Option<(Arc<Link>, u64)>,
    /// Steps that the engine has not said it knows.
    steps: VecDeque<(u64, StagedStep)>,
    newest_step: u64,
    newest_mark: u64,
    marked: HashMap<u64, Staged>,
    staged: Staged,
    is_over: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Staged {
    changes: bool,
    writes: bool,
}

impl State {
    fn step(&mut self, step: StagedStep) {
        self.newest_step += 1;
        self.steps.push_back((self.newest_step, step));
    }
}

impl Mirror {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that it is in, where it is in one.
    pub fn link(&self) -> Option<Arc<Link>> {
        self.state().place.as_ref().map(|(link, _)| Arc::clone(link))
    }

    /// For something to be done in it, on a session.
    ///
    /// # Errors
    /// `Lost` where it was in another session, or that one has gone; `Internal` where it is over.
    pub fn named(&self, link: &Arc<Link>) -> Result<TransactionRef, EngineError> {
        let mut state = self.state();
        if state.is_over {
            return Err(error::internal("something was to be done after the end of its transaction"));
        }
        let (place, number) = match &state.place {
            Some((place, number)) => (Arc::clone(place), *number),
            None => {
                let number = link.number();
                state.place = Some((Arc::clone(link), number));
                (Arc::clone(link), number)
            }
        };
        if !Arc::ptr_eq(&place, link) || link.is_lost() {
            return Err(EngineError::Lost { effect: Effect::None });
        }
        // Until the engine has said how it ended there may be something.
        state.staged = Staged { changes: true, writes: true };
        Ok(TransactionRef { number, steps: state.steps.iter().copied().collect() })
    }

    /// What the engine says of it.
    pub fn learn(&self, told: &TransactionState) {
        let mut state = self.state();
        if state.place.as_ref().is_none_or(|(_, number)| *number != told.number) {
            return;
        }
        state.steps.retain(|(number, _)| *number > told.done);
        state.staged = Staged { changes: told.has_changes, writes: told.has_writes };
    }

    /// Ends it without a commit.
    fn end(&self) {
        let mut state = self.state();
        state.is_over = true;
        state.staged = Staged::default();
        if let Some((link, number)) = state.place.take() {
            link.shared.outbox.push(ToEngine::Release(vec![number]));
        }
    }

    /// Its last word to the engine; `None` where nothing was ever done in it. It is over.
    ///
    /// # Errors
    /// `Lost`.
    pub fn last(&self) -> Result<Option<(Arc<Link>, TransactionRef, Effect)>, EngineError> {
        let mut state = self.state();
        state.is_over = true;
        let staged = std::mem::take(&mut state.staged);
        let Some((link, number)) = state.place.take() else { return Ok(None) };
        if link.is_lost() {
            return Err(EngineError::Lost { effect: Effect::None });
        }
        let effect = if staged.writes { Effect::Unknown } else { Effect::None };
        Ok(Some((link, TransactionRef { number, steps: state.steps.drain(..).collect() }, effect)))
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.end();
    }
}

#[async_trait]
impl EngineTransaction for RemoteTransaction {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn has_changes(&self) -> bool {
        self.0.state().staged.changes
    }

    fn has_writes(&self) -> bool {
        self.0.state().staged.writes
    }

    fn lock_rows(&self) -> Result<(), EngineError> {
        let mut state = self.0.state();
        if state.is_over || state.place.is_none() {
            return Err(error::internal("rows were locked of no table"));
        }
        state.step(StagedStep::LockRows);
        state.staged.changes = true;
        Ok(())
    }

    fn mark(&self) -> usize {
        let mut state = self.0.state();
        state.newest_mark += 1;
        let (mark, staged) = (state.newest_mark, state.staged);
        state.marked.insert(mark, staged);
        state.step(StagedStep::Mark(mark));
        usize::try_from(mark).unwrap_or(usize::MAX)
    }

    fn roll_back_to(&self, mark: usize) {
        let mut state = self.0.state();
        let mark = u64::try_from(mark).unwrap_or(u64::MAX);
        state.staged = state.marked.get(&mark).copied().unwrap_or_default();
        state.marked.retain(|other, _| *other <= mark);
        state.step(StagedStep::RollBackTo(mark));
    }

    fn roll_back(&self) {
        self.0.end();
    }

    async fn commit(&self, context: ExecutionContext) -> Result<Outcome, EngineError> {
        let Some((link, told, effect)) = self.0.last()? else { return Ok(Outcome::default()) };
        if context.cancel.is_cancelled() {
            link.shared.outbox.push(ToEngine::Release(vec![told.number]));
            return Err(EngineError::Canceled);
        }
        let mut released = Released { link: Arc::clone(&link), numbers: vec![told.number] };
        match Work::of(&context, effect).reply(&link, Request::Commit(told), None).await? {
            Reply::Done(outcome) => {
                released.numbers.clear();
                Ok(outcome)
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// What the engine need not keep, should the answer not come.
pub struct Released {
    pub link: Arc<Link>,
    pub numbers: Vec<u64>,
}

impl Drop for Released {
    fn drop(&mut self) {
        if !self.numbers.is_empty() {
            self.link.shared.outbox.push(ToEngine::Release(std::mem::take(&mut self.numbers)));
        }
    }
}

impl fmt::Debug for RemoteTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("RemoteTransaction").field("staged", &state.staged).field("is_over", &state.is_over).finish_non_exhaustive()
    }
}
