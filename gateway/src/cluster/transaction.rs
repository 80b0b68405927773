//! Transactions of tables that are committed together: all of a group are staged on one engine, which the first statement under one of them
//! chooses. While nothing is staged the group can still move.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use lakegate_engine_api::{
    BoundRelation, CommitDecision, Decision, Effect, EngineError, EngineTransaction, ExecutionContext, Outcome, RelationSource,
};

use super::member::{Member, Staging};

/// What is committed together.
#[derive(Debug, Default)]
pub struct Group {
    member: Mutex<Option<Arc<Member>>>,
    transactions: Mutex<Vec<Weak<FleetTransaction>>>,
}

/// One table's.
pub struct FleetTransaction {
    pub group: Arc<Group>,
    staged: Mutex<Option<Staged>>,
    /// Rows are to be locked where nothing is staged yet.
    locks: AtomicBool,
}

struct Staged {
    member: Arc<Member>,
    inner: Arc<dyn EngineTransaction>,
    /// Until it is over.
    counted: Option<Staging>,
}

impl std::fmt::Debug for FleetTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetTransaction").field("engine", &locked(&self.staged).as_ref().map(|staged| &staged.member)).finish()
    }
}

impl Group {
    #[must_use]
    pub fn begin(self: &Arc<Group>) -> Arc<FleetTransaction> {
        let transaction = Arc::new(FleetTransaction { group: Arc::clone(self), staged: Mutex::new(None), locks: AtomicBool::new(false) });
        let mut all = locked(&self.transactions);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&transaction));
        transaction
    }

    /// The engine that holds changes of the group, which it cannot leave.
    #[must_use]
    pub fn staged_on(&self) -> Option<Arc<Member>> {
        let all: Vec<Arc<FleetTransaction>> = locked(&self.transactions).iter().filter_map(Weak::upgrade).collect();
        all.iter().filter_map(|transaction| transaction.inner()).find(|(_, inner)| inner.has_changes()).map(|(member, _)| member)
    }

    /// Where the last statement went.
    #[must_use]
    pub fn member(&self) -> Option<Arc<Member>> {
        locked(&self.member).clone()
    }
}

impl FleetTransaction {
    /// On that engine: where it was without changes elsewhere it begins anew.
    ///
    /// # Errors
    /// `Internal` where it has changes elsewhere; those of locking.
    pub fn on(&self, member: &Arc<Member>) -> Result<Arc<dyn EngineTransaction>, EngineError> {
        *locked(&self.group.member) = Some(Arc::clone(member));
        let mut staged = locked(&self.staged);
        if let Some(staged) = staged.as_ref() {
            if Arc::ptr_eq(&staged.member, member) {
                return Ok(Arc::clone(&staged.inner));
            }
            if staged.inner.has_changes() {
                return Err(EngineError::Internal { message: "a transaction has changes on another engine".to_owned() });
            }
            staged.inner.roll_back();
        }
        let inner = member.engine.begin();
        if self.locks.load(Ordering::Relaxed) {
            inner.lock_rows()?;
        }
        *staged = Some(Staged { member: Arc::clone(member), inner: Arc::clone(&inner), counted: Some(member.stage()) });
        Ok(inner)
    }

    fn inner(&self) -> Option<(Arc<Member>, Arc<dyn EngineTransaction>)> {
        locked(&self.staged).as_ref().map(|staged| (Arc::clone(&staged.member), Arc::clone(&staged.inner)))
    }

    fn over(&self) {
        if let Some(staged) = locked(&self.staged).as_mut() {
            staged.counted = None;
        }
    }
}

#[async_trait]
impl EngineTransaction for FleetTransaction {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn has_changes(&self) -> bool {
        self.inner().map_or_else(|| self.locks.load(Ordering::Relaxed), |(_, inner)| inner.has_changes())
    }

    fn has_writes(&self) -> bool {
        self.inner().is_some_and(|(_, inner)| inner.has_writes())
    }

    fn lock_rows(&self) -> Result<(), EngineError> {
        self.locks.store(true, Ordering::Relaxed);
        match self.inner() {
            Some((_, inner)) => inner.lock_rows(),
            None => Ok(()),
        }
    }

    fn mark(&self) -> usize {
        self.inner().map_or(0, |(_, inner)| inner.mark())
    }

    fn roll_back_to(&self, mark: usize) {
        if let Some((_, inner)) = self.inner() {
            inner.roll_back_to(mark);
        }
    }

    fn roll_back(&self) {
        if let Some((_, inner)) = self.inner() {
            inner.roll_back();
        }
        self.over();
    }

    async fn commit(&self, context: ExecutionContext) -> Result<Outcome, EngineError> {
        let Some((member, inner)) = self.inner() else { return Ok(Outcome::default()) };
        let _running = member.enter();
        let committed = member.hearing(Effect::Unknown, inner.commit(context)).await;
        self.over();
        committed
    }
}

/// Those of the fleet that relations are bound with.
#[must_use]
pub fn of_relations(relations: &[BoundRelation]) -> Vec<Arc<dyn EngineTransaction>> {
    let bound = relations.iter().filter_map(|relation| match &relation.source {
        RelationSource::Table { transaction: Some(transaction), .. } => Some(transaction),
        _ => None,
    });
    bound.filter(|transaction| transaction.as_any().is::<FleetTransaction>()).cloned().collect()
}

/// Binds the relations with what the engine itself has staged.
///
/// # Errors
/// As [`FleetTransaction::on`].
pub fn bind(relations: &mut [BoundRelation], member: &Arc<Member>) -> Result<(), EngineError> {
    for relation in relations {
        if let RelationSource::Table { transaction: Some(transaction), .. } = &mut relation.source {
            let own = transaction.as_any().downcast_ref::<FleetTransaction>().map(|own| own.on(member)).transpose()?;
            if let Some(own) = own {
                *transaction = own;
            }
        }
    }
    Ok(())
}

/// Commits all of them on the engine that has them; where it is lost, the record of the commit says what became of it.
///
/// # Errors
/// As [`lakegate_engine_api::Engine::commit_together`]; `Lost` where nothing of it counts.
pub async fn commit_together(
    transactions: Vec<Arc<dyn EngineTransaction>>,
    decision: Arc<dyn CommitDecision>,
    context: ExecutionContext,
) -> Result<Vec<Outcome>, EngineError> {
    let own: Vec<&FleetTransaction> = transactions.iter().filter_map(|transaction| transaction.as_any().downcast_ref()).collect();
    let mut inners = Vec::with_capacity(own.len());
    let mut engine: Option<Arc<Member>> = None;
    for transaction in &own {
        let Some((member, inner)) = transaction.inner() else { continue };
        if engine.as_ref().is_some_and(|engine| !Arc::ptr_eq(engine, &member)) {
            return Err(EngineError::Internal { message: "what is to be committed together is on two engines".to_owned() });
        }
        engine = Some(member);
        inners.push(inner);
    }
    let count = transactions.len();
    let Some(member) = engine.filter(|_| inners.len() == count) else {
        return Err(EngineError::Internal { message: "a transaction that is to be committed has nothing staged".to_owned() });
    };
    let _running = member.enter();
    let committed = member.hearing(Effect::Unknown, member.engine.commit_together(inners, Arc::clone(&decision), context)).await;
    own.iter().for_each(|transaction| transaction.over());
    match committed {
        Err(lost @ EngineError::Lost { .. }) => {
            member.doubt();
            match decision.outcome().await {
                Decision::Stands => Ok(vec![Outcome::default(); count]),
                Decision::Refused => Err(EngineError::Lost { effect: Effect::None }),
                _ => Err(lost),
            }
        }
        done => done,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
