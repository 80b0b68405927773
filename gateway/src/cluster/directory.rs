//! The engines that have joined, as the catalog has them, looked at twice a second. Whether one is alive is judged by whether its beats go
//! on, by this process's own clock: the clocks of gateways need not agree.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::Utc;
use lakegate_catalog::engines::EngineRecord;
use lakegate_catalog::intents::CLOCKS_APART;
use lakegate_catalog::model::Oid;
use lakegate_catalog::{Catalog, CatalogError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Transport;
use super::member::{GONE_AFTER, Member, State};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks that are further apart than this have missed beats.
const LOOKS_APART_MAX: Duration = Duration::from_secs(2);

pub struct Directory {
    catalog: Catalog,
    transport: Arc<dyn Transport>,
    members: RwLock<Arc<[Arc<Member>]>>,
    looked: Mutex<Instant>,
    changed: Notify,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("members", &self.members()).finish_non_exhaustive()
    }
}

impl Directory {
    #[must_use]
    pub fn new(catalog: Catalog, transport: Arc<dyn Transport>) -> Arc<Directory> {
        Arc::new(Directory {
            catalog,
            transport,
            members: RwLock::new(Arc::new([])),
            looked: Mutex::new(Instant::now()),
            changed: Notify::new(),
        })
    }

    /// All that are known, by name.
    #[must_use]
    pub fn members(&self) -> Arc<[Arc<Member>]> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those of a warehouse that take new work; `None`: of any.
    #[must_use]
    pub fn live(&self, warehouse: Option<Oid>) -> Vec<Arc<Member>> {
        let is_of =
            |member: &Member| warehouse.is_none_or(|warehouse| member.joined.as_ref().is_some_and(|joined| joined.warehouse == warehouse));
        self.members().iter().filter(|member| member.is_live() && is_of(member)).map(Arc::clone).collect()
    }

    /// Beats of a process; `None`: it is none of the engines any more.
    #[must_use]
    pub fn beats(&self, instance: Uuid) -> Option<u64> {
        self.members().iter().find(|member| member.instance() == Some(instance)).map(|member| member.beats())
    }

    /// Waits until an engine has come or gone, or the time is over. Cancel safe.
    pub async fn change(&self, limit: Duration) {
        let _elapsed = tokio::time::timeout(limit, self.changed.notified()).await;
    }

    /// Reads the catalog.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`]: what was known stays.
    pub async fn look(&self) -> Result<(), CatalogError> {
        let records = self.catalog.engines().await?;
        self.take(&records, Instant::now());
        Ok(())
    }

    /// Looks until the token fires.
    pub fn keep_looking(self: &Arc<Self>, stop: CancellationToken) {
        let directory = Arc::clone(self);
        crate::tasks::spawn("directory of engines", async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                if let Err(error) = directory.look().await {
                    tracing::warn!(%error, "the engines could not be looked up");
                }
            }
        });
    }

    fn take(&self, records: &[EngineRecord], now: Instant) {
        let before = self.members();
        let gap = {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            now.saturating_duration_since(std::mem::replace(&mut *looked, now))
        };
        if gap > LOOKS_APART_MAX {
            // Engines could not tell either, most likely.
            before.iter().for_each(|member| member.forgive(gap));
        }
        let after: Vec<Arc<Member>> = records.iter().filter_map(|record| self.member(&before, record, now)).collect();
        for member in before.iter() {
            let stays = after.iter().any(|other| Arc::ptr_eq(other, member));
            if !stays || member.state(now) == State::Gone {
                give_up(member);
            }
        }
        publish(&after, now);
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = after.into();
        self.changed.notify_waiters();
    }

    /// The member of a record; `None` for one that nobody has heard of for long.
    fn member(&self, before: &[Arc<Member>], record: &EngineRecord, now: Instant) -> Option<Arc<Member>> {
        let known = before.iter().find(|member| member.is(record));
        if let Some(member) = known {
            if !member.is_given_up() || member.beats() == record.beats {
                member.hear(record, now);
                return Some(Arc::clone(member));
            }
            tracing::info!(engine = record.name, "an engine is heard of again");
        } else {
            let silent = (Utc::now() - record.seen).to_std().unwrap_or_default();
            if silent > GONE_AFTER + CLOCKS_APART.to_std().unwrap_or_default() {
                return None;
            }
            tracing::info!(engine = record.name, instance = %record.instance, address = record.address, "an engine is known");
        }
        Some(Member::joined(record, self.transport.connect(&record.address, record.instance)))
    }
}

fn give_up(member: &Member) {
    if !member.is_given_up() {
        tracing::warn!(engine = member.name, instance = ?member.instance(), "an engine is given up: it is silent, has left or was replaced");
        member.give_up();
    }
}

fn publish(members: &[Arc<Member>], now: Instant) {
    for state in State::ALL {
        let count = members.iter().filter(|member| member.state(now) == state).count();
        metrics::gauge!("lakegate_engines", "state" => state.word()).set(count as f64);
    }
    for member in members {
        let (load, _) = member.said();
        metrics::gauge!("lakegate_engine_running_statements", "engine" => member.name.clone()).set(f64::from(load.running));
        metrics::gauge!("lakegate_engine_memory_bytes", "engine" => member.name.clone()).set(load.memory_bytes as f64);
    }
}
