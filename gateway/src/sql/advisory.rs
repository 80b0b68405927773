//! Advisory locks: names that the sessions of this process agree about (documentation, section 13.3.5). A session keeps one until it
//! unlocks it as often as it took it, or until it ends; a transaction until it ends.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lakegate_catalog::model::Oid;
use lakegate_engine_api::{AdvisoryKey, AdvisoryRequest};
use tokio::sync::Notify;

use crate::sqlstate::{SqlError, SqlState};

/// Most locks that all sessions hold together; as many as PostgreSQL has room for by default (`max_locks_per_transaction` 64 times
/// `max_connections` 100).
const LOCKS_MAX: usize = 6_400;

/// A lock's name within its database.
type Name = (Oid, AdvisoryKey);

/// Shared by all sessions of the process.
#[derive(Debug, Clone, Default)]
pub struct AdvisoryLocks {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    held: BTreeMap<Name, Vec<Held>>,
    waiting: Vec<Waiting>,
    /// Numbers what is taken and who waits, in their order.
    last: u64,
    savepoints: BTreeMap<i32, Vec<u64>>,
}

#[derive(Debug, Clone)]
struct Held {
    number: u64,
    pid: i32,
    shared: bool,
    transaction: bool,
}

#[derive(Debug, Clone)]
struct Waiting {
    number: u64,
    pid: i32,
    name: Name,
    shared: bool,
}

/// One row of `pg_locks`.
#[derive(Debug, Clone)]
pub struct LockRow {
    pub database: Oid,
    pub key: AdvisoryKey,
    pub pid: i32,
    pub shared: bool,
    pub granted: bool,
}

impl AdvisoryLocks {
    /// Takes a lock; `false` where it is taken and the request does not wait. `limit`: `lock_timeout`.
    ///
    /// # Errors
    /// 40P01 where waiting would never end, 55P03 after `limit`, 53200 for too many locks.
    pub async fn take(self, pid: i32, database: Oid, request: AdvisoryRequest, limit: Option<Duration>) -> Result<bool, SqlError> {
        let name = (database, request.key);
        if self.try_take(pid, name, &request)? {
            return Ok(true);
        }
        if !request.wait {
            return Ok(false);
        }
        // Leaves the queue when it is dropped: the statement may be cancelled at any await.
        let place = self.wait_for(pid, name, request.shared)?;
        let waited = async {
            loop {
                let released = self.inner.released.notified();
                tokio::pin!(released);
                released.as_mut().enable();
                if self.try_turn(&place, &request)? {
                    return Ok(true);
                }
                released.await;
            }
        };
        match limit {
            None => waited.await,
            Some(limit) => tokio::time::timeout(limit, waited)
                .await
                .unwrap_or_else(|_| Err(SqlError::new(SqlState::LockNotAvailable, "canceling statement due to lock timeout"))),
        }
    }

    /// Gives one of the session's own locks back; whether there was one.
    #[must_use]
    pub fn release(&self, pid: i32, database: Oid, key: AdvisoryKey, shared: bool) -> bool {
        let mut state = self.lock();
        let name = (database, key);
        let Some(held) = state.held.get_mut(&name) else { return false };
        let Some(at) = held.iter().rposition(|held| held.pid == pid && held.shared == shared && !held.transaction) else { return false };
        held.remove(at);
        if held.is_empty() {
            state.held.remove(&name);
        }
        drop(state);
        self.inner.released.notify_waiters();
        true
    }

    /// `pg_advisory_unlock_all`: those of the session, not of its transaction.
    pub fn release_session(&self, pid: i32) {
        self.release_where(|held| held.pid == pid && !held.transaction);
    }

    pub fn end_transaction(&self, pid: i32) {
        if self.lock().savepoints.remove(&pid).is_some() || self.holds(pid) {
            self.release_where(|held| held.pid == pid && held.transaction);
        }
    }

    pub fn end_session(&self, pid: i32) {
        self.lock().savepoints.remove(&pid);
        self.release_where(|held| held.pid == pid);
    }

    pub fn save(&self, pid: i32) {
        let mut state = self.lock();
        let last = state.last;
        state.savepoints.entry(pid).or_default().push(last);
    }

    /// Keeps the outer `count` savepoints.
    pub fn release_savepoints(&self, pid: i32, count: usize) {
        if let Some(savepoints) = self.lock().savepoints.get_mut(&pid) {
            savepoints.truncate(count);
        }
    }

    /// Gives back what the transaction took since its savepoint `at`, which stays.
    pub fn roll_back_to(&self, pid: i32, at: usize) {
        let mut state = self.lock();
        let Some(savepoints) = state.savepoints.get_mut(&pid) else { return };
        savepoints.truncate(at + 1);
        let Some(since) = savepoints.get(at).copied() else { return };
        drop(state);
        self.release_where(|held| held.pid == pid && held.transaction && held.number > since);
    }

    /// Whose locks there are, and who waits, each once.
    #[must_use]
    pub fn rows(&self) -> Vec<LockRow> {
        let state = self.lock();
        let mut rows = Vec::new();
        let mut seen = HashSet::new();
        for ((database, key), held) in &state.held {
            for held in held {
                if seen.insert((*database, *key, held.pid, held.shared)) {
                    rows.push(LockRow { database: *database, key: *key, pid: held.pid, shared: held.shared, granted: true });
                }
            }
        }
        let waits = |waiting: &Waiting| {
            let (database, key) = waiting.name;
            LockRow { database, key, pid: waiting.pid, shared: waiting.shared, granted: false }
        };
        rows.extend(state.waiting.iter().map(waits));
        rows
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, pid: i32) -> bool {
        self.lock().held.values().flatten().any(|held| held.pid == pid && held.transaction)
    }

    fn release_where(&self, gone: impl Fn(&Held) -> bool) {
        let mut state = self.lock();
        let mut any = false;
        state.held.retain(|_, held| {
            let before = held.len();
            held.retain(|held| !gone(held));
            any |= held.len() < before;
            !held.is_empty()
        });
        drop(state);
        if any {
            self.inner.released.notify_waiters();
        }
    }

    fn try_take(&self, pid: i32, name: Name, request: &AdvisoryRequest) -> Result<bool, SqlError> {
        let mut state = self.lock();
        let free = state.is_free(pid, name, request.shared, u64::MAX);
        if free { state.grant(pid, name, request).map(|()| true) } else { Ok(false) }
    }

    fn try_turn(&self, place: &Place<'_>, request: &AdvisoryRequest) -> Result<bool, SqlError> {
        let mut state = self.lock();
        let Some(waiting) = state.waiting.iter().find(|waiting| waiting.number == place.number).cloned() else { return Ok(false) };
        if !state.is_free(waiting.pid, waiting.name, waiting.shared, waiting.number) {
            return Ok(false);
        }
        state.waiting.retain(|other| other.number != waiting.number);
        state.grant(waiting.pid, waiting.name, request).map(|()| true)
    }

    fn wait_for(&self, pid: i32, name: Name, shared: bool) -> Result<Place<'_>, SqlError> {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.waiting.push(Waiting { number, pid, name, shared });
        if state.never_ends(pid) {
            state.waiting.retain(|waiting| waiting.number != number);
            return Err(SqlError::new(SqlState::DeadlockDetected, "deadlock detected")
                .detail(format!("Process {pid} waits for an advisory lock whose holder waits for one of its own.")));
        }
        drop(state);
        Ok(Place { locks: self, number })
    }
}

impl State {
    /// Whether nothing of others, nor a request that came before `number`, is in the way.
    fn is_free(&self, pid: i32, name: Name, shared: bool, number: u64) -> bool {
        let conflicts = |other: bool| !(shared && other);
        let held = self.held.get(&name).map(Vec::as_slice).unwrap_or_default();
        if held.iter().any(|held| held.pid != pid && conflicts(held.shared)) {
            return false;
        }
        // Who has the lock already does not queue for it behind those who wait for that.
        held.iter().any(|held| held.pid == pid)
            || !self
                .waiting
                .iter()
                .any(|waiting| waiting.name == name && waiting.number < number && waiting.pid != pid && conflicts(waiting.shared))
    }

    fn grant(&mut self, pid: i32, name: Name, request: &AdvisoryRequest) -> Result<(), SqlError> {
        if self.held.values().map(Vec::len).sum::<usize>() >= LOCKS_MAX {
            return Err(SqlError::new(SqlState::OutOfMemory, "out of shared memory").hint("There are too many advisory locks."));
        }
        self.last += 1;
        let held = Held { number: self.last, pid, shared: request.shared, transaction: request.transaction };
        self.held.entry(name).or_default().push(held);
        Ok(())
    }

    /// Whether the session waits for itself, over others.
    fn never_ends(&self, pid: i32) -> bool {
        let mut seen = HashSet::new();
        let mut next: Vec<i32> = self.blockers(pid);
        while let Some(blocker) = next.pop() {
            if blocker == pid {
                return true;
            }
            if seen.insert(blocker) {
                next.extend(self.blockers(blocker));
            }
        }
        false
    }

    /// Whom a session waits for.
    fn blockers(&self, pid: i32) -> Vec<i32> {
        let mut found = Vec::new();
        for waiting in self.waiting.iter().filter(|waiting| waiting.pid == pid) {
            let conflicts = |other: bool| !(waiting.shared && other);
            let held = self.held.get(&waiting.name).map(Vec::as_slice).unwrap_or_default();
            found.extend(held.iter().filter(|held| held.pid != pid && conflicts(held.shared)).map(|held| held.pid));
            let before = |other: &&Waiting| {
                other.name == waiting.name && other.number < waiting.number && other.pid != pid && conflicts(other.shared)
            };
            found.extend(self.waiting.iter().filter(before).map(|other| other.pid));
        }
        found
    }
}

/// A place in the queue.
struct Place<'a> {
    locks: &'a AdvisoryLocks,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.locks.lock();
        let before = state.waiting.len();
        state.waiting.retain(|waiting| waiting.number != self.number);
        let left = state.waiting.len() < before;
        drop(state);
        if left {
            // Somebody may have waited for the one that gave up.
            self.locks.inner.released.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: i64, shared: bool, transaction: bool, wait: bool) -> AdvisoryRequest {
        AdvisoryRequest { key: AdvisoryKey::Whole(key), shared, transaction, wait }
    }

    #[tokio::test]
    async fn who_holds_one_keeps_others_out_until_it_has_given_back_all() {
        let locks = AdvisoryLocks::default();
        let take = |pid, request| locks.clone().take(pid, 1, request, None);
        assert!(take(1, request(7, false, false, false)).await.unwrap());
        assert!(take(1, request(7, false, false, false)).await.unwrap());
        assert!(!take(2, request(7, true, false, false)).await.unwrap());
        assert!(locks.release(1, 1, AdvisoryKey::Whole(7), false));
        assert!(!take(2, request(7, true, false, false)).await.unwrap());
        assert!(locks.release(1, 1, AdvisoryKey::Whole(7), false));
        assert!(!locks.release(1, 1, AdvisoryKey::Whole(7), false));
        assert!(take(2, request(7, true, false, false)).await.unwrap());
        assert!(take(3, request(7, true, false, false)).await.unwrap());
        assert!(!take(3, request(7, false, false, false)).await.unwrap());
    }

    #[tokio::test]
    async fn a_waiting_session_is_woken_and_a_circle_is_refused() {
        let locks = AdvisoryLocks::default();
        assert!(locks.clone().take(1, 1, request(1, false, true, true), None).await.unwrap());
        assert!(locks.clone().take(2, 1, request(2, false, true, true), None).await.unwrap());
        let waiting = locks.clone().take(1, 1, request(2, false, true, true), None);
        let refused = async {
            while locks.rows().iter().all(|row| row.granted) {
                tokio::task::yield_now().await;
            }
            let refused = locks.clone().take(2, 1, request(1, false, true, true), None).await.unwrap_err();
            locks.end_transaction(2);
            refused
        };
        let (waited, refused) = tokio::join!(waiting, refused);
        assert_eq!(refused.state, SqlState::DeadlockDetected);
        assert!(waited.unwrap());
        let limit = Some(Duration::from_millis(20));
        let late = locks.clone().take(2, 1, request(2, false, false, true), limit).await.unwrap_err();
        assert_eq!(late.state, SqlState::LockNotAvailable);
        assert_eq!(locks.rows().len(), 2);
        locks.end_session(1);
        assert!(locks.rows().is_empty());
    }

    #[tokio::test]
    async fn a_savepoint_gives_back_what_came_after_it() {
        let locks = AdvisoryLocks::default();
        for (key, transaction) in [(1, true), (2, false)] {
            assert!(locks.clone().take(1, 1, request(key, false, transaction, false), None).await.unwrap());
        }
        locks.save(1);
        assert!(locks.clone().take(1, 1, request(3, false, true, false), None).await.unwrap());
        locks.roll_back_to(1, 0);
        assert_eq!(locks.rows().len(), 2);
        locks.end_transaction(1);
        assert_eq!(locks.rows().len(), 1);
    }
}
