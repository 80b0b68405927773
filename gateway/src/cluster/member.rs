//! One engine as a gateway sees it: the way to it, what runs there, whether it lives.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lakegate_catalog::engines::{EngineFacts, EngineLoad, EngineRecord};
use lakegate_catalog::model::Oid;
use lakegate_engine_api::{Effect, Engine, EngineError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// An engine that has been silent for so long gets nothing new.
pub const SUSPECT_AFTER: Duration = Duration::from_millis(3_500);
/// What runs on an engine that has been silent for so long is given up.
pub const GONE_AFTER: Duration = Duration::from_secs(10);

/// As `system.compute.engines` words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Running,
    /// Ends what it has begun.
    Draining,
    /// Not heard of lately, or not reached.
    Suspect,
    Gone,
}

impl State {
    pub const ALL: [State; 4] = [State::Running, State::Draining, State::Suspect, State::Gone];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Draining => "draining",
            State::Suspect => "suspect",
            State::Gone => "gone",
        }
    }
}

/// An engine, as long as it is one process.
pub struct Member {
    pub name: String,
    /// `None`: the engine of this process.
    pub joined: Option<Joined>,
    pub engine: Arc<dyn Engine>,
    running: AtomicUsize,
    transactions: AtomicUsize,
    heard: Mutex<Heard>,
    gone: CancellationToken,
}

/// Of an engine in another process.
#[derive(Debug, Clone)]
pub struct Joined {
    pub instance: Uuid,
    pub address: String,
    pub warehouse: Oid,
    pub facts: EngineFacts,
}

#[derive(Debug)]
struct Heard {
    load: EngineLoad,
    seen: DateTime<Utc>,
    beats: u64,
    /// When `beats` was found to have grown, by this process's own clock.
    at: Instant,
    /// It could not be reached when it had been heard of so often.
    doubted: Option<u64>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("name", &self.name).field("joined", &self.joined).finish_non_exhaustive()
    }
}

impl Member {
    /// The engine of this process.
    #[must_use]
    pub fn own(name: &str, engine: Arc<dyn Engine>) -> Arc<Member> {
        Arc::new(Member::new(name, None, engine, EngineLoad::default(), Utc::now(), 0))
    }

    /// An engine that has joined, heard of just now.
    #[must_use]
    pub fn joined(record: &EngineRecord, engine: Arc<dyn Engine>) -> Arc<Member> {
        let joined =
            Joined { instance: record.instance, address: record.address.clone(), warehouse: record.warehouse, facts: record.facts.clone() };
        Arc::new(Member::new(&record.name, Some(joined), engine, record.load.clone(), record.seen, record.beats))
    }

    fn new(name: &str, joined: Option<Joined>, engine: Arc<dyn Engine>, load: EngineLoad, seen: DateTime<Utc>, beats: u64) -> Member {
        Member {
            name: name.to_owned(),
            joined,
            engine,
            running: AtomicUsize::new(0),
            transactions: AtomicUsize::new(0),
            heard: Mutex::new(Heard { load, seen, beats, at: Instant::now(), doubted: None }),
            gone: CancellationToken::new(),
        }
    }

    /// Whether the record is of this process.
    #[must_use]
    pub fn is(&self, record: &EngineRecord) -> bool {
        self.joined.as_ref().is_some_and(|joined| {
            joined.instance == record.instance && joined.address == record.address && joined.warehouse == record.warehouse
        })
    }

    #[must_use]
    pub fn instance(&self) -> Option<Uuid> {
        self.joined.as_ref().map(|joined| joined.instance)
    }

    /// What its record says now.
    pub fn hear(&self, record: &EngineRecord, now: Instant) {
        let mut heard = self.heard();
        if heard.beats != record.beats {
            heard.at = now;
            heard.beats = record.beats;
        }
        heard.load.clone_from(&record.load);
        heard.seen = record.seen;
    }

    /// The time in which nobody could hear of any engine does not count.
    pub fn forgive(&self, silence: Duration) {
        let mut heard = self.heard();
        heard.at += silence;
    }

    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        if self.joined.is_none() {
            return State::Running;
        }
        let heard = self.heard();
        let silent = now.saturating_duration_since(heard.at);
        if self.gone.is_cancelled() || silent >= GONE_AFTER {
            State::Gone
        } else if silent >= SUSPECT_AFTER || heard.doubted == Some(heard.beats) {
            State::Suspect
        } else if heard.load.draining {
            State::Draining
        } else {
            State::Running
        }
    }

    /// Whether it takes new work.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state(Instant::now()) == State::Running
    }

    /// It could not be reached: no new work until it is heard of again.
    pub fn doubt(&self) {
        let mut heard = self.heard();
        heard.doubted = Some(heard.beats);
    }

    /// How often it was heard of.
    #[must_use]
    pub fn beats(&self) -> u64 {
        self.heard().beats
    }

    /// It is dead, or another process has its name: what runs there is given up.
    pub fn give_up(&self) {
        self.gone.cancel();
    }

    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// Ends when it is given up. Cancel safe.
    pub async fn given_up(&self) {
        self.gone.cancelled().await;
    }

    /// What is asked of it, until it is given up.
    ///
    /// # Errors
    /// The work's own; `Lost` with that effect.
    pub async fn hearing<T>(&self, effect: Effect, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.gone.cancelled() => Err(EngineError::Lost { effect }),
        }
    }

    /// Something runs there until the answer is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Member>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// A transaction is staged there until the answer is dropped.
    #[must_use]
    pub fn stage(self: &Arc<Member>) -> Staging {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        Staging(Arc::clone(self))
    }

    /// Statements of this process that run there, and transactions that it has staged there.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.running.load(Ordering::Relaxed), self.transactions.load(Ordering::Relaxed))
    }

    /// How busy it is: what this process has there, or what it says itself where that is more.
    #[must_use]
    pub fn load(&self) -> usize {
        let said = usize::try_from(self.heard().load.running).unwrap_or(usize::MAX);
        self.running.load(Ordering::Relaxed).max(said)
    }

    /// What it said last, and when.
    #[must_use]
    pub fn said(&self) -> (EngineLoad, DateTime<Utc>) {
        let heard = self.heard();
        (heard.load.clone(), heard.seen)
    }

    #[must_use]
    pub fn cores(&self) -> u32 {
        self.joined.as_ref().map_or(1, |joined| joined.facts.cores.max(1))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as running.
#[derive(Debug)]
pub struct Running(Arc<Member>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts as a transaction.
#[derive(Debug)]
pub struct Staging(Arc<Member>);

impl Drop for Staging {
    fn drop(&mut self) {
        self.0.transactions.fetch_sub(1, Ordering::Relaxed);
    }
}
