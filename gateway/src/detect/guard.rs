//! Guards: detections that statements wait for. Before a statement opens tables, and while it gives rows, the rule is asked about the records
//! of the statement's role, those of statements that run with the rows that they have given so far. What it finds stops the statement.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::FutureExt;
use futures::future::BoxFuture;
use lakegate_catalog::audit::{AuditEvent, AuditStatus};
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::detections::Detection;
use lakegate_catalog::model::{BOOTSTRAP_ROLE_OID, Oid};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Hit, LogRows, compile, evaluate, runner};
use crate::sql::bind::Bound;
use crate::sql::session::{GatewaySession, Shared};
use crate::sqlstate::{SqlError, SqlState};

/// What other gateways change of the rules is known after so long.
const READ_EVERY: Duration = Duration::from_secs(1);
/// A guard that takes longer lets the statement pass, and says so in the server's log.
const DEADLINE: Duration = Duration::from_secs(10);
/// After so many rows of a statement the guards are asked again, and then whenever a tenth has come on top.
const ROWS_BETWEEN: u64 = 100;
/// Verdicts that are remembered.
const VERDICTS_MAX: usize = 10_000;

/// What a gateway knows of its guards.
#[derive(Default)]
pub struct Guards {
    known: Mutex<Known>,
    webhook: AtomicBool,
}

#[derive(Default)]
struct Known {
    read: Option<Instant>,
    guards: Arc<[Detection]>,
    /// When the rule was last asked about the role.
    verdicts: HashMap<(String, Oid), Instant>,
    /// Rows that statements have given so far.
    running: HashMap<Uuid, (Oid, Arc<AtomicU64>)>,
}

impl Guards {
    /// The rules have changed.
    pub fn forget(&self) {
        let mut known = self.lock();
        known.read = None;
        known.verdicts.clear();
    }

    /// Whether findings are sent somewhere.
    pub fn tell_webhook(&self, is_set: bool) {
        self.webhook.store(is_set, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn active(&self, shared: &Shared) -> Result<Arc<[Detection]>, SqlError> {
        {
            let known = self.lock();
            if known.read.is_some_and(|read| read.elapsed() < READ_EVERY) {
                return Ok(Arc::clone(&known.guards));
            }
        }
        let all = shared.catalog.detections().await?;
        let guards: Arc<[Detection]> = all.into_iter().filter(|detection| detection.guard && detection.enabled).collect();
        let mut known = self.lock();
        (known.read, known.guards) = (Some(Instant::now()), Arc::clone(&guards));
        Ok(guards)
    }

    fn is_due(&self, guard: &Detection, role: Oid) -> bool {
        let key = (guard.name.clone(), role);
        self.lock().verdicts.get(&key).is_none_or(|asked| asked.elapsed() >= guard.every)
    }

    /// Only a verdict that lets pass is remembered.
    fn passed(&self, guard: &Detection, role: Oid) {
        let mut known = self.lock();
        if known.verdicts.len() >= VERDICTS_MAX {
            known.verdicts.clear();
        }
        known.verdicts.insert((guard.name.clone(), role), Instant::now());
    }

    fn running_of(&self, role: Oid) -> BTreeMap<Uuid, u64> {
        let known = self.lock();
        let of_role = known.running.iter().filter(|(_, (of, _))| *of == role);
        of_role.map(|(id, (_, rows))| (*id, rows.load(Ordering::Relaxed))).collect()
    }
}

/// A statement that gives rows under the guards' eyes.
pub struct Watch {
    shared: Arc<Shared>,
    asked: Asked,
    guards: Arc<[Detection]>,
    rows: Arc<AtomicU64>,
    /// The guards are asked when so many have come.
    next: u64,
}

/// About whom.
#[derive(Clone)]
struct Asked {
    role: Oid,
    /// As the audit log tells of it.
    event: AuditEvent,
}

impl Watch {
    /// Told how many rows there are with those about to be given; gives the question to be waited for where it is time for one.
    pub fn look(&mut self, rows: u64) -> Option<BoxFuture<'static, Result<(), SqlError>>> {
        self.rows.store(rows, Ordering::Relaxed);
        if rows < self.next {
            return None;
        }
        self.next = rows + ROWS_BETWEEN.max(rows / 10);
        let (shared, asked, guards) = (Arc::clone(&self.shared), self.asked.clone(), Arc::clone(&self.guards));
        let look = async move {
            for guard in guards.iter() {
                ask(&shared, guard, &asked).await?;
            }
            Ok(())
        };
        Some(look.boxed())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(statement) = self.asked.event.statement_id {
            self.shared.guards.lock().running.remove(&statement);
        }
    }
}

/// Asks the guards whose time has come whether the role may open tables; gives what watches the statement while it runs. `None` where there
/// is no guard, or no table.
///
/// # Errors
/// 57014: it may not; 57P03.
pub async fn before(session: &GatewaySession, bound: &Bound, statement: Uuid) -> Result<Option<Watch>, SqlError> {
    if !bound.touches_tables() {
        return Ok(None);
    }
    let Some((guards, asked)) = asked_before(session, statement).await? else { return Ok(None) };
    let (shared, rows) = (Arc::clone(&session.shared), Arc::new(AtomicU64::new(0)));
    shared.guards.lock().running.insert(statement, (asked.role, Arc::clone(&rows)));
    Ok(Some(Watch { shared, asked, guards, rows, next: ROWS_BETWEEN }))
}

/// As [`before`], for what makes a table of others.
///
/// # Errors
/// As [`before`].
pub async fn before_rows_are_made(session: &GatewaySession, statement: Uuid) -> Result<(), SqlError> {
    asked_before(session, statement).await.map(drop)
}

async fn asked_before(session: &GatewaySession, statement: Uuid) -> Result<Option<(Arc<[Detection]>, Asked)>, SqlError> {
    let shared = &session.shared;
    let guards = shared.guards.active(shared).await?;
    if guards.is_empty() {
        return Ok(None);
    }
    let event = AuditEvent { statement_id: Some(statement), ..crate::system::audit::event(session) };
    let asked = Asked { role: session.principal.session_role, event };
    for guard in guards.iter().filter(|guard| shared.guards.is_due(guard, asked.role)) {
        ask(shared, guard, &asked).await?;
    }
    Ok(Some((guards, asked)))
}

/// A guard that fails lets pass: what it watches over must not depend on its own soundness.
async fn ask(shared: &Arc<Shared>, guard: &Detection, asked: &Asked) -> Result<(), SqlError> {
    let found = tokio::time::timeout(DEADLINE, find(shared, guard, asked)).await;
    let failure = match found {
        Ok(Ok(None)) => {
            shared.guards.passed(guard, asked.role);
            return Ok(());
        }
        Ok(Ok(Some(hit))) => return Err(stop(shared, guard, asked, hit).await),
        Ok(Err(error)) => format!("{}: {}", error.state.code(), error.message),
        Err(_) => "57014: the guard took too long".to_owned(),
    };
    tracing::error!(guard = guard.name, error = failure, "a guard failed; the statement goes on");
    metrics::counter!("lakegate_guard_failures_total").increment(1);
    shared.catalog.detection_ran(&guard.name, Utc::now(), Some(&failure)).await?;
    Ok(())
}

async fn find(shared: &Arc<Shared>, guard: &Detection, asked: &Asked) -> Result<Option<Hit>, SqlError> {
    let compiled = compile(guard)?;
    let now = Utc::now();
    let window = chrono::Duration::from_std(guard.window).ok().filter(|window| !window.is_zero());
    let running = shared.guards.running_of(asked.role);
    let owner = Principal::new(guard.owner);
    let mut session = runner::session(shared).await?;
    let rows = LogRows::of_role(&session, &owner, asked.role, window.map(|window| now - window), &running, compiled.opens).await?;
    session.principal = Principal { session_role: BOOTSTRAP_ROLE_OID, current_role: guard.owner };
    let hits = evaluate(&mut session, &compiled, guard.threshold, rows, now, &CancellationToken::new()).await?;
    Ok(hits.into_iter().next())
}

/// The finding and the event are there before the statement ends.
async fn stop(shared: &Arc<Shared>, guard: &Detection, asked: &Asked, hit: Hit) -> SqlError {
    let error = SqlError::new(SqlState::QueryCanceled, format!("canceling statement due to guard \"{}\"", guard.name))
        .detail(
            guard.comment.clone().unwrap_or_else(|| format!("A detection of severity {} stops statements of this role.", guard.severity)),
        )
        .hint("Those who may read the audit log find the reason in system.access.findings.");
    let event = AuditEvent {
        event_time: Utc::now(),
        service_name: "warehouse".to_owned(),
        action_name: "guard_stop".to_owned(),
        object_type: Some("detection".to_owned()),
        object_name: Some(guard.name.clone()),
        status: AuditStatus::Denied,
        sqlstate: Some(error.state.code().to_owned()),
        ..asked.event.clone()
    };
    metrics::counter!("lakegate_guard_stops_total", "guard" => guard.name.clone()).increment(1);
    let told = async {
        shared.catalog.audit(event, true).await?;
        let session = runner::session(shared).await?;
        runner::record(&session, guard, hit, Utc::now(), shared.guards.webhook.load(Ordering::Relaxed)).await
    };
    if let Err(error) = told.await {
        tracing::error!(guard = guard.name, error = %error.message, "what a guard found could not be recorded");
    }
    error
}
