//! Who is about to run a plan that the engine keeps. The engine holds it for them; to hold it anew without asking, a hold that was given up is
//! kept for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::Shared;
use crate::flight::wire::ToEngine;

/// A driver prepares a statement and runs it in the next message.
const KEPT_FOR: Duration = Duration::from_secs(1);

pub struct Holds {
    prepared: u64,
    counts: Mutex<Counts>,
}

struct Counts {
    /// The engine's.
    there: usize,
    /// Of those who will run it.
    here: usize,
    since: Instant,
}

impl Holds {
    /// Of a plan that was just made: the engine and who had it made hold it.
    pub fn new(prepared: u64) -> Arc<Self> {
        Arc::new(Holds { prepared, counts: Mutex::new(Counts { there: 1, here: 1, since: Instant::now() }) })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False where the engine holds it for nobody more.
    pub fn hold(&self) -> bool {
        let mut counts = self.counts();
        let holds = counts.there > counts.here;
        if holds {
            counts.here += 1;
        }
        holds
    }

    /// The engine has said that it holds it once more.
    pub fn is_held(&self) {
        let mut counts = self.counts();
        counts.there += 1;
        counts.here += 1;
    }

    pub fn release(self: &Arc<Self>, shared: &Shared) {
        {
            let mut counts = self.counts();
            counts.here = counts.here.saturating_sub(1);
            counts.since = Instant::now();
            if counts.there <= counts.here {
                return;
            }
        }
        shared.let_go_soon(self);
    }

    /// It runs: a hold is used.
    pub fn take(&self) {
        let mut counts = self.counts();
        counts.there = counts.there.saturating_sub(1);
        counts.here = counts.here.saturating_sub(1);
    }

    /// Gives up what nobody came back for by now, or in any case where there is no time to; whether there is more to be given up later.
    pub fn let_go(&self, shared: &Shared, now: Option<Instant>) -> bool {
        let mut counts = self.counts();
        let holds = counts.there.saturating_sub(counts.here);
        if holds == 0 {
            return false;
        }
        if now.is_some_and(|now| now.duration_since(counts.since) < KEPT_FOR) {
            return true;
        }
        counts.there -= holds;
        shared.outbox.push(ToEngine::LetGo { prepared: self.prepared, holds });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_let_go_of_where_nobody_comes_back() {
        let (holds, shared) = (Holds::new(7), Shared::default());
        assert!(!holds.hold());
        holds.release(&shared);
        assert!(holds.hold());
        holds.release(&shared);
        let now = Instant::now();
        assert!(holds.let_go(&shared, Some(now)));
        assert!(!holds.let_go(&shared, Some(now + KEPT_FOR + Duration::from_millis(1))));
        assert!(!holds.hold());
        holds.is_held();
        holds.take();
        assert!(!holds.hold());
    }
}
