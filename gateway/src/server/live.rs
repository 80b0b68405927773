//! The sessions that are there: who they are, what they do, and how to stop them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::{constant_time, rand};
use chrono::{DateTime, Utc};
use lakegate_catalog::model::Oid;
use tokio_util::sync::CancellationToken;

use super::queues::Queues;
use super::work::RunningWork;
use crate::frontend::TransactionStatus;
use crate::sqlstate::{SqlError, SqlState};
use crate::tls::Encryption;

/// All sessions of this process; clones share them.
#[derive(Debug, Clone, Default)]
pub struct LiveSessions {
    sessions: Arc<Mutex<HashMap<i32, Arc<Live>>>>,
    work: RunningWork,
    queues: Queues,
}

/// One row of `pg_stat_activity`.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    pub pid: i32,
    pub role_oid: Oid,
    pub role: String,
    pub database: String,
    pub application_name: String,
    pub client_address: Option<SocketAddr>,
    pub tls: Option<Encryption>,
    pub backend_start: DateTime<Utc>,
    pub state: ActivityState,
    pub state_change: DateTime<Utc>,
    /// The latest statement, which may still run. Memory alone holds it; show it to those who may see it.
    pub query: Option<Arc<str>>,
    pub query_start: Option<DateTime<Utc>>,
}

/// As `pg_stat_activity.state` words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityState {
    Active,
    Idle,
    IdleInTransaction,
    IdleInTransactionAborted,
}

impl ActivityState {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ActivityState::Active => "active",
            ActivityState::Idle => "idle",
            ActivityState::IdleInTransaction => "idle in transaction",
            ActivityState::IdleInTransactionAborted => "idle in transaction (aborted)",
        }
    }
}

impl From<TransactionStatus> for ActivityState {
    fn from(status: TransactionStatus) -> Self {
        match status {
            TransactionStatus::Idle => ActivityState::Idle,
            TransactionStatus::InTransaction => ActivityState::IdleInTransaction,
            TransactionStatus::Failed => ActivityState::IdleInTransactionAborted,
        }
    }
}

/// What is known of a session before it begins.
#[derive(Debug, Clone)]
pub struct Newcomer {
    pub role_oid: Oid,
    pub role: String,
    pub database: String,
    pub application_name: String,
    pub client_address: Option<SocketAddr>,
    pub tls: Option<Encryption>,
    /// 4 for protocol 3.0, 32 for 3.2.
    pub cancel_key_bytes: usize,
}

impl LiveSessions {
    /// What their statements do.
    #[must_use]
    pub fn work(&self) -> &RunningWork {
        &self.work
    }

    /// Where they wait for a place.
    #[must_use]
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    #[must_use]
    pub fn list(&self) -> Vec<SessionInfo> {
        let mut all: Vec<SessionInfo> = self.lock().values().map(|live| live.info()).collect();
        all.sort_by_key(|info| info.pid);
        all
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Sessions of a role, and those in a database.
    #[must_use]
    pub fn count_of(&self, role: Oid, database: &str) -> (usize, usize) {
        let sessions = self.lock();
        let of_role = sessions.values().filter(|live| live.newcomer.role_oid == role).count();
        (of_role, sessions.values().filter(|live| live.newcomer.database == database).count())
    }

    /// Whose session it is.
    #[must_use]
    pub fn role_of(&self, pid: i32) -> Option<Oid> {
        self.find(pid).map(|live| live.newcomer.role_oid)
    }

    /// `pg_cancel_backend`: stops what the session runs now. Whether there is such a session.
    pub fn cancel(&self, pid: i32) -> bool {
        self.find(pid).is_some_and(|live| {
            live.cancel_statement();
            true
        })
    }

    /// `pg_terminate_backend`: ends the session. Whether there is such a session.
    pub fn terminate(&self, pid: i32) -> bool {
        self.find(pid).is_some_and(|live| {
            live.terminate.cancel();
            true
        })
    }

    /// CancelRequest: only with the right key, compared in constant time.
    pub fn cancel_with_key(&self, pid: i32, key: &[u8]) -> bool {
        let Some(live) = self.find(pid) else { return false };
        let right = constant_time::verify_slices_are_equal(&live.key, key).is_ok();
        if right {
            live.cancel_statement();
        }
        right
    }

    /// When the oldest of what may still read began, the session `but` excepted.
    #[must_use]
    pub fn oldest_reader(&self, but: i32) -> Option<DateTime<Utc>> {
        self.lock().values().filter(|live| live.pid != but).filter_map(|live| live.lock().reading_since).min()
    }

    /// Ends them all.
    pub fn terminate_all(&self) {
        for live in self.lock().values() {
            live.terminate.cancel();
        }
    }

    /// Enters a session under a process id and a cancel key that cannot be guessed.
    ///
    /// # Errors
    /// XX000 without random bytes.
    pub fn enter(&self, newcomer: Newcomer) -> Result<LiveSession, SqlError> {
        let mut key = vec![0; newcomer.cancel_key_bytes];
        random(&mut key)?;
        let mut sessions = self.lock();
        let pid = loop {
            let mut bytes = [0; 4];
            random(&mut bytes)?;
            let pid = i32::from_be_bytes(bytes) & i32::MAX;
            if pid > 0 && !sessions.contains_key(&pid) {
                break pid;
            }
        };
        let now = Utc::now();
        let activity = Activity {
            state: ActivityState::Active,
            state_change: now,
            application_name: newcomer.application_name.clone(),
            query: None,
            query_start: None,
            reading_since: None,
            running: None,
        };
        let live =
            Arc::new(Live { pid, key, newcomer, backend_start: now, terminate: CancellationToken::new(), activity: Mutex::new(activity) });
        sessions.insert(pid, Arc::clone(&live));
        drop(sessions);
        metrics::gauge!("lakegate_sessions").increment(1);
        Ok(LiveSession { all: self.clone(), live })
    }

    fn find(&self, pid: i32) -> Option<Arc<Live>> {
        self.lock().get(&pid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<Live>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Live {
    pid: i32,
    key: Vec<u8>,
    newcomer: Newcomer,
    backend_start: DateTime<Utc>,
    terminate: CancellationToken,
    activity: Mutex<Activity>,
}

#[derive(Debug)]
struct Activity {
    state: ActivityState,
    state_change: DateTime<Utc>,
    application_name: String,
    query: Option<Arc<str>>,
    query_start: Option<DateTime<Utc>>,
    /// Since when a statement or transaction may read.
    reading_since: Option<DateTime<Utc>>,
    /// Of the statement that runs now, so that a late request never stops the next one.
    running: Option<CancellationToken>,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancel_statement(&self) {
        if let Some(running) = &self.lock().running {
            running.cancel();
        }
    }

    fn info(&self) -> SessionInfo {
        let activity = self.lock();
        SessionInfo {
            pid: self.pid,
            role_oid: self.newcomer.role_oid,
            role: self.newcomer.role.clone(),
            database: self.newcomer.database.clone(),
            application_name: activity.application_name.clone(),
            client_address: self.newcomer.client_address,
            tls: self.newcomer.tls,
            backend_start: self.backend_start,
            state: activity.state,
            state_change: activity.state_change,
            query: activity.query.clone(),
            query_start: activity.query_start,
        }
    }
}

/// A session's own entry; leaves the list when dropped.
#[derive(Debug)]
pub struct LiveSession {
    all: LiveSessions,
    live: Arc<Live>,
}

impl LiveSession {
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.live.pid
    }

    #[must_use]
    pub fn cancel_key(&self) -> &[u8] {
        &self.live.key
    }

    /// Resolves when the session is to end.
    pub async fn terminated(&self) {
        self.live.terminate.cancelled().await;
    }

    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.live.terminate.is_cancelled()
    }

    /// A statement begins to run.
    pub fn running(&self, text: Option<&Arc<str>>, cancel: &CancellationToken) {
        let mut activity = self.live.lock();
        let now = Utc::now();
        activity.state = ActivityState::Active;
        activity.state_change = now;
        if let Some(text) = text {
            activity.query = Some(Arc::clone(text));
            activity.query_start = Some(now);
        }
        activity.reading_since.get_or_insert(now);
        activity.running = Some(cancel.clone());
    }

    /// It runs no more; the session is still at its message.
    pub fn not_running(&self) {
        self.live.lock().running = None;
    }

    /// The session waits for its client; `holds`: a cursor that outlived its transaction may still read.
    pub fn idle(&self, status: TransactionStatus, holds: bool) {
        let mut activity = self.live.lock();
        activity.state = status.into();
        activity.state_change = Utc::now();
        activity.running = None;
        if status == TransactionStatus::Idle && !holds {
            activity.reading_since = None;
        }
    }

    /// What the client is to hear of a statement that takes long.
    #[must_use]
    pub fn progress_notice(&self) -> Option<SqlError> {
        self.all.queues.notice(self.live.pid).or_else(|| self.all.work.notice(self.live.pid))
    }

    pub fn set_application_name(&self, name: &str) {
        name.clone_into(&mut self.live.lock().application_name);
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.all.lock().remove(&self.live.pid);
        metrics::gauge!("lakegate_sessions").decrement(1);
    }
}

fn random(bytes: &mut [u8]) -> Result<(), SqlError> {
    rand::fill(bytes).map_err(|_| SqlError::fatal(SqlState::InternalError, "could not generate random cancel key"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn newcomer() -> Newcomer {
        Newcomer {
            role_oid: 10,
            role: "alice".to_owned(),
            database: "main".to_owned(),
            application_name: String::new(),
            client_address: None,
            tls: None,
            cancel_key_bytes: 32,
        }
    }

    #[test]
    fn a_key_stops_the_statement_that_runs_and_no_other() {
        let all = LiveSessions::default();
        let session = all.enter(newcomer()).unwrap();
        let (pid, key) = (session.pid(), session.cancel_key().to_vec());
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        session.running(None, &first);
        assert!(!all.cancel_with_key(pid, &key[..31]));
        assert!(!all.cancel_with_key(pid.wrapping_add(1), &key));
        assert!(!first.is_cancelled());
        session.not_running();
        assert!(all.cancel_with_key(pid, &key));
        session.running(None, &second);
        assert!(!first.is_cancelled() && !second.is_cancelled());
        assert!(all.cancel(pid));
        assert!(second.is_cancelled());
        assert!(all.terminate(pid) && session.is_terminated());
        drop(session);
        assert_eq!(all.count(), 0);
    }
}
