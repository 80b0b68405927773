//! What one gateway has this engine keep, for as long as both are connected.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::FlightData;
use lakegate_engine_api::{EngineError, Prepared, Unavailability};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use uuid::Uuid;

use super::Host;
use super::calls::Calls;
use super::send::Sender;
use super::transactions::Transaction;
use crate::error;
use crate::flight::wire::{Hello, ToEngine, ToGateway, read_control};
use crate::flight::{PROTOCOL, PROTOCOL_OLDEST};

/// Between two looks at what the caches hold.
const CACHES_INTERVAL: Duration = Duration::from_secs(2);
/// Most of them were of work that had just ended.
const WITHDRAWN_MAX: usize = 1_000;

pub struct Session {
    pub calls: Arc<Calls>,
    /// Fires when the gateway has gone: everything that runs for it stops.
    pub closed: CancellationToken,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    prepared: HashMap<u64, Plan>,
    transactions: HashMap<u64, Arc<Transaction>>,
    operations: HashMap<u64, CancellationToken>,
    withdrawn: Withdrawn,
}

/// Numbers that were canceled or released and that nothing has here: what they stand for may still be on its way, on another exchange.
#[derive(Default)]
struct Withdrawn(VecDeque<u64>);

impl Withdrawn {
    fn add(&mut self, number: u64) {
        if self.0.len() == WITHDRAWN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(number);
    }

    fn contains(&self, number: u64) -> bool {
        // What is on its way was withdrawn lately.
        self.0.iter().rev().any(|known| *known == number)
    }
}

struct Plan {
    prepared: Arc<dyn Prepared>,
    /// How many of the gateway's statements are about to run it.
    holds: usize,
}

/// Serves a gateway until it goes, or the engine ends.
pub async fn run(host: &Arc<Host>, hello: &Hello, incoming: Streaming<FlightData>, sender: Sender) {
    if let Some(reason) = refusal(host, hello) {
        let _ = sender.message(&ToGateway::Refused(reason)).await;
        return;
    }
    let (id, session) = (Uuid::new_v4(), Arc::new(Session::default()));
    host.sessions().insert(id, Arc::clone(&session));
    let _ended = Ended { host, id, session: &session };
    if sender.message(&ToGateway::Welcome { session: id }).await.is_err() {
        return;
    }
    tokio::select! {
        () = receive(&session, incoming) => {}
        () = send(&session, &sender) => {}
        () = tell(host, &session) => {}
        () = sender.closed() => {}
        () = session.closed.cancelled() => {}
    }
}

fn refusal(host: &Host, hello: &Hello) -> Option<Unavailability> {
    if hello.oldest > PROTOCOL || hello.newest < PROTOCOL_OLDEST {
        Some(Unavailability::Protocol)
    } else if hello.instance != host.instance {
        Some(Unavailability::Replaced)
    } else if host.draining.is_cancelled() {
        Some(Unavailability::Draining)
    } else {
        None
    }
}

struct Ended<'a> {
    host: &'a Host,
    id: Uuid,
    session: &'a Session,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.host.sessions().remove(&self.id);
        self.session.close();
    }
}

async fn receive(session: &Session, mut incoming: Streaming<FlightData>) {
    while let Ok(Some(message)) = incoming.message().await {
        match read_control::<ToEngine>(&message.app_metadata) {
            Ok(ToEngine::Cancel(operation)) => session.cancel(operation),
            Ok(ToEngine::Release(numbers)) => session.release(&numbers),
            Ok(ToEngine::LetGo { prepared, holds }) => session.let_go(prepared, holds),
            Ok(ToEngine::Answered { call, answer }) => session.calls.answered(call, answer),
            Err(error) => {
                tracing::error!(%error, "a gateway's message");
                return;
            }
        }
    }
}

async fn send(session: &Session, sender: &Sender) {
    while let Some(message) = session.calls.outbox.next().await {
        if sender.message(&message).await.is_err() {
            return;
        }
    }
}

/// Tells of what is to be known without being asked for.
async fn tell(host: &Host, session: &Session) {
    let mut told = Vec::new();
    let mut ticks = tokio::time::interval(CACHES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_draining = false;
    loop {
        tokio::select! {
            () = host.draining.cancelled(), if !is_draining => {
                is_draining = true;
                session.calls.outbox.push(ToGateway::Draining);
            }
            _ = ticks.tick() => {
                let now = host.engine.caches();
                if now != told {
                    session.calls.outbox.push(ToGateway::Caches(now.clone()));
                    told = now;
                }
            }
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Session { calls: Arc::new(Calls::default()), closed: CancellationToken::new(), kept: Mutex::default() }
    }
}

impl Session {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops what runs, before those who wait for the gateway's answers learn that none will come.
    pub fn close(&self) {
        self.closed.cancel();
        let kept = {
            let mut kept = self.kept();
            for operation in kept.operations.values() {
                operation.cancel();
            }
            std::mem::take(&mut *kept)
        };
        for transaction in kept.transactions.values() {
            transaction.engine.roll_back();
        }
        self.calls.close();
    }

    /// Enters an operation; it is gone when the answer is dropped.
    pub fn enter(&self, number: u64) -> Running<'_> {
        let cancel = CancellationToken::new();
        let mut kept = self.kept();
        if self.closed.is_cancelled() || kept.withdrawn.contains(number) {
            cancel.cancel();
        }
        kept.operations.insert(number, cancel.clone());
        Running { session: self, number, cancel }
    }

    fn cancel(&self, operation: u64) {
        let mut kept = self.kept();
        match kept.operations.get(&operation) {
            Some(cancel) => cancel.cancel(),
            None => kept.withdrawn.add(operation),
        }
    }

    fn release(&self, numbers: &[u64]) {
        // What is dropped may take its time, or come back here.
        let mut dropped = (Vec::new(), Vec::new());
        {
            let mut kept = self.kept();
            for number in numbers {
                let (plan, transaction) = (kept.prepared.remove(number), kept.transactions.remove(number));
                if plan.is_none() && transaction.is_none() {
                    kept.withdrawn.add(*number);
                }
                dropped.0.extend(plan);
                dropped.1.extend(transaction);
            }
        }
        for transaction in &dropped.1 {
            transaction.engine.roll_back();
        }
    }

    /// Keeps a plan, which is held once.
    pub fn keep(&self, number: u64, prepared: Arc<dyn Prepared>) {
        let mut kept = self.kept();
        if !kept.withdrawn.contains(number) {
            kept.prepared.insert(number, Plan { prepared, holds: 1 });
        }
    }

    pub fn forget(&self, number: u64) {
        let dropped = self.kept().prepared.remove(&number);
        drop(dropped);
    }

    /// # Errors
    /// `Internal`: the gateway asks for what it did not make.
    pub fn prepared(&self, number: u64) -> Result<Arc<dyn Prepared>, EngineError> {
        let kept = self.kept();
        kept.prepared.get(&number).map(|plan| Arc::clone(&plan.prepared)).ok_or_else(|| error::internal("a plan that is not there"))
    }

    /// A hold more or one less: the plan is about to run, or runs.
    pub fn count_hold(&self, number: u64, more: bool) {
        if let Some(plan) = self.kept().prepared.get_mut(&number) {
            plan.holds = if more { plan.holds + 1 } else { plan.holds.saturating_sub(1) };
        }
    }

    fn let_go(&self, number: u64, holds: usize) {
        let released = {
            let mut kept = self.kept();
            let Some(plan) = kept.prepared.get_mut(&number) else { return };
            let released = holds.min(plan.holds);
            plan.holds -= released;
            std::iter::repeat_n(Arc::clone(&plan.prepared), released)
        };
        released.for_each(|prepared| prepared.release());
    }

    /// A transaction by the gateway's number; made where it is named first, unless the engine drains.
    ///
    /// # Errors
    /// `Unavailable`; `Canceled` where it was rolled back meanwhile.
    pub fn transaction(&self, number: u64, host: &Host) -> Result<Arc<Transaction>, EngineError> {
        let mut kept = self.kept();
        if kept.withdrawn.contains(number) {
            return Err(EngineError::Canceled);
        }
        match kept.transactions.entry(number) {
            Entry::Occupied(known) => Ok(Arc::clone(known.get())),
            Entry::Vacant(_) if host.draining.is_cancelled() => Err(EngineError::Unavailable { reason: Unavailability::Draining }),
            Entry::Vacant(place) => Ok(Arc::clone(place.insert(Arc::new(Transaction::new(host.engine.begin()))))),
        }
    }

    /// One that was named before.
    pub fn has_transaction(&self, number: u64) -> bool {
        self.kept().transactions.contains_key(&number)
    }

    /// The transaction has ended.
    pub fn end_transaction(&self, number: u64) {
        let ended = self.kept().transactions.remove(&number);
        drop(ended);
    }

    /// Whether something is to come to its end before the engine may.
    pub fn is_busy(&self) -> bool {
        let kept = self.kept();
        !kept.operations.is_empty() || !kept.transactions.is_empty() || kept.prepared.values().any(|plan| plan.holds > 0)
    }
}

/// An operation while it runs.
pub struct Running<'a> {
    session: &'a Session,
    number: u64,
    pub cancel: CancellationToken,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Whatever it had begun and nobody waits for stops.
        self.cancel.cancel();
        self.session.kept().operations.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withdrawn_before_it_comes_is_not_done() {
        let session = Session::default();
        session.cancel(5);
        assert!(session.enter(5).cancel.is_cancelled());
        let running = session.enter(6);
        session.cancel(6);
        assert!(running.cancel.is_cancelled());
        assert!(!session.enter(7).cancel.is_cancelled());
    }
}
