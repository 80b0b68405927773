//! The engines of a gateway: its own, and those that have joined.
//!
//! Statements that open no stored table run in the process's own engine. All others go to an engine of their warehouse; where that has none,
//! to the process's own, unless it was told to open no table. An engine that cannot be reached has done nothing: the work goes elsewhere. One
//! that is lost under the work may have done something: only what reads is done again, once, and only before a row was sent.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lakegate_catalog::Catalog;
use lakegate_catalog::model::{DEFAULT_WAREHOUSE, DEFAULT_WAREHOUSE_OID};
use lakegate_engine_api::{BoundRelation, Effect, Engine, EngineError};
use uuid::Uuid;

use super::directory::Directory;
use super::member::Member;
use super::placements::Placements;
use super::route::{Candidate, choose};
use super::routed::Routed;
use super::suspects::{Fingerprint, Suspects};
use super::transaction::{self, FleetTransaction};

/// How long work waits for an engine where there is none.
const WAIT: Duration = Duration::from_secs(5);
/// Engines that one piece of work is brought to.
const ENGINES_MAX: usize = 4;

pub struct Fleet {
    own: Arc<Member>,
    /// It is there for tables, too.
    own_opens: bool,
    cluster: Option<Cluster>,
    placements: Placements,
    suspects: Suspects,
}

struct Cluster {
    catalog: Catalog,
    directory: Arc<Directory>,
}

/// What work is to be placed.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// By name; `None`: the default one's engines, or any.
    pub warehouse: Option<&'a str>,
    /// Root URLs.
    pub tables: &'a [&'a str],
    pub statement: Option<Uuid>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("own", &self.own).field("engines", &self.members()).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Of an engine's process: what runs is counted there.
    #[must_use]
    pub fn alone(name: &str, engine: Arc<dyn Engine>) -> Arc<Fleet> {
        let own = Member::own(name, engine);
        Arc::new(Fleet { own, own_opens: true, cluster: None, placements: Placements::default(), suspects: Suspects::default() })
    }

    /// Of a gateway. `own_opens`: its own engine does the work of warehouses that have none.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, own_opens: bool, catalog: Catalog, directory: Arc<Directory>) -> Arc<Fleet> {
        let own = Member::own(if own_opens { "embedded" } else { "gateway" }, engine);
        let cluster = Some(Cluster { catalog, directory });
        Arc::new(Fleet { own, own_opens, cluster, placements: Placements::default(), suspects: Suspects::default() })
    }

    /// For sessions of a warehouse; `None`: for the server's own work.
    #[must_use]
    pub fn of(self: &Arc<Self>, warehouse: Option<&str>) -> Arc<dyn Engine> {
        Arc::new(Routed { fleet: Arc::clone(self), warehouse: warehouse.map(str::to_owned) })
    }

    #[must_use]
    pub fn own(&self) -> &Arc<Member> {
        &self.own
    }

    #[must_use]
    pub fn own_opens(&self) -> bool {
        self.own_opens
    }

    /// Engines that have joined, by name.
    #[must_use]
    pub fn members(&self) -> Arc<[Arc<Member>]> {
        match &self.cluster {
            Some(cluster) => cluster.directory.members(),
            None => Arc::new([]),
        }
    }

    /// Whether work may go to other processes.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    #[must_use]
    pub fn placements(&self) -> &Placements {
        &self.placements
    }

    /// An engine for the work, none of those that were tried; waits a while where there is none.
    ///
    /// # Errors
    /// `NoEngine`.
    pub async fn choose(&self, ask: Ask<'_>, tried: &[Arc<Member>]) -> Result<Arc<Member>, EngineError> {
        let Some(cluster) = &self.cluster else { return Ok(Arc::clone(&self.own)) };
        let deadline = Instant::now() + WAIT;
        loop {
            let mut live = cluster.live(ask.warehouse);
            live.retain(|member| !tried.iter().any(|other| Arc::ptr_eq(other, member)));
            let candidates: Vec<Candidate<'_>> =
                live.iter().map(|member| Candidate { name: &member.name, cores: member.cores(), load: member.load() }).collect();
            if let Some(member) = choose(&candidates, ask.tables).and_then(|place| live.get(place)) {
                return Ok(Arc::clone(member));
            }
            if self.own_opens {
                return Ok(Arc::clone(&self.own));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(no_engine(ask.warehouse.unwrap_or(DEFAULT_WAREHOUSE)));
            }
            cluster.directory.change(left).await;
        }
    }

    /// An engine for work on these relations, which are bound with what is staged there. Also, whether nothing else will do: it holds
    /// changes of their transaction.
    ///
    /// # Errors
    /// `NoEngine`; `Lost` where changes are gone with their engine.
    pub async fn place(
        &self,
        ask: Ask<'_>,
        relations: &mut [BoundRelation],
        tried: &[Arc<Member>],
    ) -> Result<(Arc<Member>, bool), EngineError> {
        let bound = transaction::of_relations(relations);
        let groups = || bound.iter().filter_map(|staged| staged.as_any().downcast_ref::<FleetTransaction>()).map(|staged| &staged.group);
        if let Some(member) = groups().find_map(|group| group.staged_on()) {
            if member.is_given_up() {
                return Err(EngineError::Lost { effect: Effect::None });
            }
            transaction::bind(relations, &member)?;
            return Ok((member, true));
        }
        let is_new = |member: &Arc<Member>| !tried.iter().any(|other| Arc::ptr_eq(other, member));
        let member = match groups().find_map(|group| group.member()).filter(|member| member.is_live() && is_new(member)) {
            Some(member) => member,
            None => self.choose(ask, tried).await?,
        };
        transaction::bind(relations, &member)?;
        Ok((member, false))
    }

    /// Does the work on one engine after the other until one has taken it. `again`: it can be done twice.
    ///
    /// # Errors
    /// The work's; `NoEngine`.
    pub async fn run<T, F>(
        &self,
        ask: Ask<'_>,
        effect: Effect,
        again: bool,
        work: impl Fn(Arc<dyn Engine>) -> F + Send + Sync,
    ) -> Result<T, EngineError>
    where
        T: Send,
        F: Future<Output = Result<T, EngineError>> + Send,
    {
        let (mut tried, mut reason) = (Vec::new(), None);
        loop {
            let member = self.choose(ask, &tried).await.map_err(|none| reason.take().unwrap_or(none))?;
            if let Some(statement) = ask.statement {
                self.placements.put(statement, &member);
            }
            let running = member.enter();
            let done = member.hearing(effect, work(Arc::clone(&member.engine))).await;
            drop(running);
            match done {
                Err(error) if went_away(&member, &error, again) && tried.len() + 1 < ENGINES_MAX => {
                    tried.push(member);
                    reason = Some(error);
                }
                done => return done,
            }
        }
    }

    /// Does the work on every engine there is.
    ///
    /// # Errors
    /// The first one's. What is dead need not be asked.
    pub async fn everywhere<F>(&self, work: impl Fn(Arc<dyn Engine>) -> F + Send + Sync) -> Result<(), EngineError>
    where
        F: Future<Output = Result<(), EngineError>> + Send,
    {
        work(Arc::clone(&self.own.engine)).await?;
        for member in self.members().iter().filter(|member| !member.is_given_up()) {
            match member.hearing(Effect::None, work(Arc::clone(&member.engine))).await {
                Err(EngineError::Lost { .. }) if member.is_given_up() => {}
                done => done?,
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn suspects(&self) -> &Suspects {
        &self.suspects
    }

    /// # Errors
    /// The statement is in quarantine.
    pub fn check(&self, statement: impl FnOnce() -> Fingerprint) -> Result<(), EngineError> {
        let Some(cluster) = self.cluster.as_ref().filter(|_| !self.suspects.is_empty()) else { return Ok(()) };
        self.suspects.check(statement(), |instance| cluster.directory.beats(instance))
    }
}

impl Cluster {
    fn live(&self, warehouse: Option<&str>) -> Vec<Arc<Member>> {
        if let Some(name) = warehouse {
            return match self.catalog.snapshot().warehouse_by_name(name) {
                Some(warehouse) => self.directory.live(Some(warehouse.oid)),
                None => Vec::new(),
            };
        }
        let of_default = self.directory.live(Some(DEFAULT_WAREHOUSE_OID));
        if of_default.is_empty() { self.directory.live(None) } else { of_default }
    }
}

/// Whether the work can be brought to another engine after this error.
pub fn went_away(member: &Member, error: &EngineError, again: bool) -> bool {
    match error {
        EngineError::Unavailable { .. } => {
            member.doubt();
            metrics::counter!("lakegate_engine_refusals_total", "engine" => member.name.clone()).increment(1);
            true
        }
        EngineError::Lost { .. } => {
            member.doubt();
            metrics::counter!("lakegate_engine_losses_total", "engine" => member.name.clone()).increment(1);
            again
        }
        _ => false,
    }
}

fn no_engine(warehouse: &str) -> EngineError {
    EngineError::NoEngine {
        message: format!("no engine of warehouse \"{warehouse}\" is there to run the statement"),
        hint: format!(
            "Start one with lakegate engine --warehouse {warehouse}, or try again when one is there: see system.compute.engines."
        ),
    }
}
