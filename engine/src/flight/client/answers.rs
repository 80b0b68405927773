//! Answers to what an engine asks of the control plane.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lakegate_engine_api::{CatalogLookup, CommitDecision, EngineError, KeyFilter, SystemColumns};
use tokio_util::sync::CancellationToken;

use super::link::Shared;
use super::scope::Object;
use crate::flight::tasks;
use crate::flight::wire::{Ask, Question, ToEngine, batches_to, encoded};

/// Answers in its own time: functions may wait for the catalog's database, and none of them keeps another waiting.
pub fn answer(shared: &Arc<Shared>, call: u64, object: u64, question: Question) {
    let object = shared.objects().get(&object).cloned();
    match (object, question) {
        (Some(Object::Lookup(lookup)), Question::Lookup(Ask::TakeAdvisoryLock(request))) => {
            waits(shared, call, async move { encoded(&lookup.take_advisory_lock(request).await) });
        }
        (Some(Object::Lookup(lookup)), Question::Lookup(ask)) => computes(shared, call, move || ask.answer(asked(&lookup))),
        (Some(Object::Columns(relation)), Question::Columns { columns, keys }) => {
            computes(shared, call, move || encoded(&read(relation.as_ref(), &columns, &keys)));
        }
        (Some(Object::Decision(decision)), question) => waits(shared, call, decide(decision, question)),
        _ => said(shared, call, None),
    }
}

fn asked(lookup: &Arc<dyn CatalogLookup>) -> &dyn CatalogLookup {
    lookup.as_ref()
}

fn read(relation: &dyn SystemColumns, columns: &[usize], keys: &[KeyFilter]) -> Result<Option<Vec<u8>>, EngineError> {
    let batches = relation.read(columns, keys)?;
    batches.first().map(|first| batches_to(&first.schema(), &batches)).transpose()
}

async fn decide(decision: Arc<dyn CommitDecision>, question: Question) -> Result<Vec<u8>, EngineError> {
    match question {
        Question::Intend(commits) => encoded(&decision.intend(&commits).await),
        Question::Decide => encoded(&decision.decide().await),
        Question::Outcome => encoded(&decision.outcome().await),
        Question::Abandon => encoded(&decision.abandon().await),
        Question::Lookup(_) | Question::Columns { .. } => Err(crate::error::internal("a commit is asked for names")),
    }
}

fn said(shared: &Shared, call: u64, answer: Option<Vec<u8>>) {
    shared.outbox.push(ToEngine::Answered { call, answer });
}

fn given(answer: Result<Vec<u8>, EngineError>) -> Option<Vec<u8>> {
    answer.inspect_err(|error| tracing::error!(%error, "an engine's question was not answered")).ok()
}

/// On a thread of its own.
fn computes(shared: &Arc<Shared>, call: u64, compute: impl FnOnce() -> Result<Vec<u8>, EngineError> + Send + 'static) {
    let shared = Arc::clone(shared);
    drop(tokio::task::spawn_blocking(move || {
        let answer = catch_unwind(AssertUnwindSafe(compute)).ok().and_then(given);
        said(&shared, call, answer);
    }));
}

/// What is not wanted any more is dropped.
fn waits(shared: &Arc<Shared>, call: u64, answer: impl Future<Output = Result<Vec<u8>, EngineError>> + Send + 'static) {
    let forgotten = CancellationToken::new();
    shared.waiting().insert(call, forgotten.clone());
    let given_up = Unanswered { shared: Arc::clone(shared), call, is_answered: false };
    tasks::spawn("an engine's question", async move {
        let mut unanswered = given_up;
        tokio::select! {
            biased;
            () = forgotten.cancelled() => {}
            answer = answer => {
                unanswered.is_answered = true;
                said(&unanswered.shared, call, given(answer));
            }
        }
    });
}

/// Whatever becomes of the task: the engine hears of it.
struct Unanswered {
    shared: Arc<Shared>,
    call: u64,
    is_answered: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.call);
        if !self.is_answered {
            said(&self.shared, self.call, None);
        }
    }
}
