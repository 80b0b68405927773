//! Which engine works on which statement: for the log, and for who asks how far it has come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::member::Member;

/// Most that are remembered. Ids of statements grow with time: the oldest go first.
const REMEMBERED_MAX: usize = 20_000;

/// Shared by the fleet and what looks on.
#[derive(Debug, Clone, Default)]
pub struct Placements(Arc<Mutex<BTreeMap<Uuid, Arc<Member>>>>);

impl Placements {
    pub fn put(&self, statement: Uuid, member: &Arc<Member>) {
        let mut all = self.lock();
        all.insert(statement, Arc::clone(member));
        if all.len() > REMEMBERED_MAX {
            all.pop_first();
        }
    }

    #[must_use]
    pub fn find(&self, statement: Uuid) -> Option<Arc<Member>> {
        self.lock().get(&statement).cloned()
    }

    /// The name of the engine, for the last time.
    #[must_use]
    pub fn take(&self, statement: Uuid) -> Option<String> {
        self.lock().remove(&statement).map(|member| member.name.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<Member>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
