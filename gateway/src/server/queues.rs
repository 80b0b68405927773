//! Who works in which warehouse now, and who waits for a place: fair between roles, in the order of arrival within one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lakegate_catalog::model::{Oid, Warehouse, WarehouseLimits};
use tokio::sync::oneshot;

use crate::sqlstate::{Severity, SqlError, SqlState};

/// Its client is told then, once.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// Of this gateway; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Queues(Arc<Mutex<HashMap<Oid, Queue>>>);

#[derive(Debug, Default)]
struct Queue {
    name: String,
    limits: WarehouseLimits,
    running: usize,
    /// Roles that wait, in the order in which they are served.
    turns: VecDeque<Oid>,
    waiting: HashMap<Oid, VecDeque<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    pid: i32,
    since: Instant,
    told: bool,
    sender: oneshot::Sender<Place>,
}

/// Work in a warehouse, until it is dropped.
#[derive(Debug)]
pub struct Place {
    queues: Queues,
    warehouse: Oid,
}

/// What [`Queues::enter`] gives.
#[derive(Debug)]
pub enum Entered {
    At(Place),
    Waits(Waiting),
}

/// A place to come; leaves the queue when dropped.
#[derive(Debug)]
pub struct Waiting {
    queues: Queues,
    warehouse: Oid,
    role: Oid,
    pid: i32,
    receiver: oneshot::Receiver<Place>,
}

impl Queues {
    /// A place where one is free and nobody waits, else one to come.
    ///
    /// # Errors
    /// 53400: as many wait as may.
    pub fn enter(&self, warehouse: &Warehouse, role: Oid, pid: i32) -> Result<Entered, SqlError> {
        let mut all = self.lock();
        let queue = all.entry(warehouse.oid).or_default();
        queue.name.clone_from(&warehouse.name);
        queue.limits = warehouse.limits;
        if queue.has_room() && queue.turns.is_empty() {
            queue.running += 1;
            return Ok(Entered::At(Place { queues: self.clone(), warehouse: warehouse.oid }));
        }
        let waiting = queue.count_waiting();
        if queue.limits.queue_limit.is_some_and(|most| waiting >= usize::try_from(most).unwrap_or(usize::MAX)) {
            let text = format!("warehouse \"{}\" is full: {} statements run and {waiting} wait", queue.name, queue.running);
            return Err(SqlError::new(SqlState::ConfigurationLimitExceeded, text)
                .hint("Try again later, or use another warehouse (SET lakegate.warehouse)."));
        }
        let (sender, receiver) = oneshot::channel();
        if !queue.waiting.contains_key(&role) {
            queue.turns.push_back(role);
        }
        queue.waiting.entry(role).or_default().push_back(Waiter { pid, since: Instant::now(), told: false, sender });
        drop(all);
        Ok(Entered::Waits(Waiting { queues: self.clone(), warehouse: warehouse.oid, role, pid, receiver }))
    }

    /// The limits may be others now.
    pub fn limit(&self, warehouse: &Warehouse) {
        if let Some(queue) = self.lock().get_mut(&warehouse.oid) {
            queue.limits = warehouse.limits;
        }
        self.admit(warehouse.oid);
    }

    /// (working, waiting) in a warehouse.
    #[must_use]
    pub fn counts(&self, warehouse: Oid) -> (usize, usize) {
        self.lock().get(&warehouse).map_or((0, 0), |queue| (queue.running, queue.count_waiting()))
    }

    /// Whether the session waits, and at which number of its queue.
    #[must_use]
    pub fn position(&self, pid: i32) -> Option<usize> {
        self.lock().values().find_map(|queue| queue.position(pid))
    }

    /// What the session's client is to hear now.
    #[must_use]
    pub fn notice(&self, pid: i32) -> Option<SqlError> {
        let mut all = self.lock();
        let (queue, position) = all.values_mut().find_map(|queue| queue.position(pid).map(|position| (queue, position)))?;
        let waiter = queue.waiting.values_mut().flatten().find(|waiter| waiter.pid == pid)?;
        if waiter.told || waiter.since.elapsed() < TELL_AFTER {
            return None;
        }
        waiter.told = true;
        let text = format!("waiting for a place in warehouse \"{}\", number {position} in the queue", queue.name);
        Some(SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text))
    }

    /// Gives free places to those whose turn it is.
    fn admit(&self, warehouse: Oid) {
        loop {
            let next = {
                let mut all = self.lock();
                let Some(queue) = all.get_mut(&warehouse).filter(|queue| queue.has_room()) else { return };
                let Some(waiter) = queue.next() else { return };
                queue.running += 1;
                waiter
            };
            // Where it has gone meanwhile the place comes back by being dropped, which asks here again.
            let _ = next.sender.send(Place { queues: self.clone(), warehouse });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Oid, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.limits.max_concurrency.is_none_or(|most| self.running < usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn count_waiting(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    /// The first of the role whose turn it is; the role stands at the end then.
    fn next(&mut self) -> Option<Waiter> {
        let role = self.turns.pop_front()?;
        let waiters = self.waiting.get_mut(&role)?;
        let next = waiters.pop_front();
        if waiters.is_empty() {
            self.waiting.remove(&role);
        } else {
            self.turns.push_back(role);
        }
        next
    }

    /// From 1: how many are served until this one is.
    fn position(&self, pid: i32) -> Option<usize> {
        let (role, ahead) = self
            .waiting
            .iter()
            .find_map(|(role, waiters)| waiters.iter().position(|waiter| waiter.pid == pid).map(|ahead| (*role, ahead)))?;
        let turn = self.turns.iter().position(|other| *other == role)?;
        let before = |(place, other): (usize, &Oid)| {
            let theirs = self.waiting.get(other).map_or(0, VecDeque::len);
            theirs.min(ahead + usize::from(place < turn))
        };
        let others: usize = self.turns.iter().enumerate().filter(|(_, other)| **other != role).map(before).sum();
        Some(others + ahead + 1)
    }
}

impl Waiting {
    /// Cancel safe.
    pub async fn place(&mut self) -> Option<Place> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(queue) = self.queues.lock().get_mut(&self.warehouse)
            && let Some(waiters) = queue.waiting.get_mut(&self.role)
        {
            waiters.retain(|waiter| waiter.pid != self.pid);
            if waiters.is_empty() {
                queue.waiting.remove(&self.role);
                queue.turns.retain(|role| *role != self.role);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queue) = self.queues.lock().get_mut(&self.warehouse) {
            queue.running = queue.running.saturating_sub(1);
        }
        self.queues.admit(self.warehouse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warehouse(max_concurrency: u32, queue_limit: u32) -> Warehouse {
        let limits =
            WarehouseLimits { max_concurrency: Some(max_concurrency), queue_limit: Some(queue_limit), ..WarehouseLimits::default() };
        Warehouse { oid: 7, name: "w".to_owned(), owner: 10, limits }
    }

    fn waits(queues: &Queues, at: &Warehouse, role: Oid, pid: i32) -> Waiting {
        match queues.enter(at, role, pid).unwrap() {
            Entered::Waits(waiting) => waiting,
            Entered::At(_) => panic!("{pid} did not wait"),
        }
    }

    #[tokio::test]
    async fn roles_take_turns() {
        let (queues, at) = (Queues::default(), warehouse(1, 10));
        let Entered::At(mut place) = queues.enter(&at, 1, 1).unwrap() else { panic!() };
        let mut waiting =
            vec![waits(&queues, &at, 1, 11), waits(&queues, &at, 1, 12), waits(&queues, &at, 1, 13), waits(&queues, &at, 2, 21)];
        let positions: Vec<Option<usize>> = [11, 12, 13, 21].into_iter().map(|pid| queues.position(pid)).collect();
        assert_eq!(positions, [Some(1), Some(3), Some(4), Some(2)]);
        let mut served = Vec::new();
        while !waiting.is_empty() {
            drop(place);
            let next = waiting.iter().position(|waiting| queues.position(waiting.pid).is_none()).unwrap();
            let mut next = waiting.remove(next);
            served.push(next.pid);
            place = next.place().await.unwrap();
        }
        assert_eq!(served, [11, 21, 12, 13]);
        drop(place);
        assert_eq!(queues.counts(7), (0, 0));
    }

    #[tokio::test]
    async fn who_goes_away_takes_no_place() {
        let (queues, at) = (Queues::default(), warehouse(1, 2));
        let Entered::At(place) = queues.enter(&at, 1, 1).unwrap() else { panic!() };
        let first = waits(&queues, &at, 1, 2);
        let mut second = waits(&queues, &at, 2, 3);
        assert_eq!(queues.enter(&at, 3, 4).unwrap_err().state, SqlState::ConfigurationLimitExceeded);
        // One is given its place and goes before it takes it.
        drop(place);
        assert_eq!(queues.position(2), None);
        drop(first);
        let place = second.place().await.unwrap();
        assert_eq!(queues.counts(7), (1, 0));
        drop(place);
    }

    #[tokio::test]
    async fn a_higher_limit_lets_in_who_waits() {
        let (queues, at) = (Queues::default(), warehouse(1, 10));
        let Entered::At(_first) = queues.enter(&at, 1, 1).unwrap() else { panic!() };
        let mut second = waits(&queues, &at, 1, 2);
        queues.limit(&warehouse(2, 10));
        let _second = second.place().await.unwrap();
        assert_eq!(queues.counts(7), (2, 0));
    }
}
