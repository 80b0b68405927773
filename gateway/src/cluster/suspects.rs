//! Statements that engines died of. One that ran on two engines when they died, and has never ended well since, is kept away from the rest.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lakegate_engine_api::{EngineError, Limit, Work};
use uuid::Uuid;

use crate::sql::fingerprint::normalised;

/// So long it is kept away.
pub const QUARANTINE: Duration = Duration::from_secs(600);
/// Engines that have to have died of it.
const DEATHS: usize = 2;
/// Statements that are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// A statement but for its literals.
pub type Fingerprint = u64;

#[derive(Debug, Default)]
pub struct Suspects(Mutex<HashMap<Fingerprint, Vec<Loss>>>);

#[derive(Debug, Clone, Copy)]
struct Loss {
    instance: Uuid,
    /// How often it had been heard of by then.
    beats: u64,
    at: Instant,
}

#[must_use]
pub fn fingerprint(work: &Work) -> Fingerprint {
    let text = match work {
        Work::Query(statement) | Work::Change { statement, .. } => statement.to_string(),
        Work::CreateTableAs { query, .. } => query.to_string(),
        Work::CopyFrom { target, .. } => format!("COPY {target:?}"),
    };
    let mut hasher = DefaultHasher::new();
    normalised(&text).hash(&mut hasher);
    hasher.finish()
}

impl Suspects {
    /// Whether none is suspected: there is nothing to look up then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The statement ran on an engine that was lost, or seems to be.
    pub fn note(&self, statement: Fingerprint, instance: Uuid, beats: u64) {
        let mut all = self.lock();
        if all.len() >= REMEMBERED_MAX {
            all.retain(|_, losses| losses.iter().any(|loss| loss.at.elapsed() < QUARANTINE));
        }
        let losses = all.entry(statement).or_default();
        losses.retain(|loss| loss.instance != instance && loss.at.elapsed() < QUARANTINE);
        losses.push(Loss { instance, beats, at: Instant::now() });
    }

    /// The statement has ended well: it was not the reason.
    pub fn clear(&self, statement: Fingerprint) {
        self.lock().remove(&statement);
    }

    /// `beats`: how often an engine has been heard of by now; `None`: it is none any more. An engine that goes on beating has not died.
    ///
    /// # Errors
    /// The statement is in quarantine.
    pub fn check(&self, statement: Fingerprint, beats: impl Fn(Uuid) -> Option<u64>) -> Result<(), EngineError> {
        let mut all = self.lock();
        let Some(losses) = all.get_mut(&statement) else { return Ok(()) };
        // One beat more may have been on its way.
        losses.retain(|loss| loss.at.elapsed() < QUARANTINE && beats(loss.instance).is_none_or(|now| now <= loss.beats + 1));
        if losses.is_empty() {
            all.remove(&statement);
            return Ok(());
        }
        if losses.len() < DEATHS {
            return Ok(());
        }
        let message = format!(
            "the statement is in quarantine: {} engines ended while they ran it; it can be tried again after {} minutes",
            losses.len(),
            QUARANTINE.as_secs() / 60
        );
        Err(EngineError::Limit { limit: Limit::Quarantined, message })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Fingerprint, Vec<Loss>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_deaths_and_no_good_end() {
        let suspects = Suspects::default();
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        let dead = |_| None;
        suspects.note(7, one, 5);
        suspects.note(7, one, 5);
        assert!(suspects.check(7, dead).is_ok(), "one engine died once");
        suspects.note(7, two, 9);
        assert!(suspects.check(7, dead).is_err());
        assert!(suspects.check(8, dead).is_ok());
        suspects.clear(7);
        assert!(suspects.check(7, dead).is_ok() && suspects.is_empty());
    }

    #[test]
    fn an_engine_that_goes_on_has_not_died() {
        let suspects = Suspects::default();
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        suspects.note(7, one, 5);
        suspects.note(7, two, 9);
        assert!(suspects.check(7, |instance| Some(if instance == one { 6 } else { 9 })).is_err());
        assert!(suspects.check(7, |instance| Some(if instance == one { 7 } else { 9 })).is_ok());
    }
}
