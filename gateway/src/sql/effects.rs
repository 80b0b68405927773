//! What functions of a running statement ask of their session: `set_config`, `pg_notify`, `pg_export_snapshot`. A function runs while the session is busy
//! with the statement's rows, so the wish is checked and kept, and fulfilled when the statement has ended well.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::advisory::AdvisoryLocks;
use super::notifications::{Notifications, Post};
use super::sequences::SessionSequences;
use super::session_log::SessionLog;
use crate::sqlstate::{SqlError, SqlState};

/// Most wishes of one statement.
const EFFECTS_MAX: usize = 100_000;
/// Most settings that one statement sets.
const SETTINGS_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `value` `None`: back to the session's start.
    Set {
        name: String,
        value: Option<String>,
        local: bool,
    },
    Notify(Post),
    /// Under a name that is made already.
    ExportSnapshot(String),
    Warning(String),
}

/// Shared by a session and the functions of its statements.
#[derive(Debug)]
pub struct Effects {
    pub pid: i32,
    pub notifications: Arc<Notifications>,
    pub advisory: AdvisoryLocks,
    /// What RESET gives, by lower-case name.
    pub resets: BTreeMap<String, String>,
    pub sequences: SessionSequences,
    pub log: SessionLog,
    /// `lock_timeout` in milliseconds, 0 for none.
    lock_timeout_ms: AtomicU64,
    wishes: Mutex<Wishes>,
}

#[derive(Debug, Default)]
struct Wishes {
    effects: Vec<Effect>,
    settings: usize,
    /// Of the messages among them.
    bytes: usize,
}

impl Effects {
    #[must_use]
    pub fn new(
        pid: i32,
        notifications: Arc<Notifications>,
        advisory: AdvisoryLocks,
        resets: BTreeMap<String, String>,
        sequences: SessionSequences,
        log: SessionLog,
    ) -> Self {
        Effects { pid, notifications, advisory, resets, sequences, log, lock_timeout_ms: AtomicU64::new(0), wishes: Mutex::default() }
    }

    pub fn set_lock_timeout(&self, limit: Option<Duration>) {
        let millis = limit.map_or(0, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        self.lock_timeout_ms.store(millis, Ordering::Relaxed);
    }

    #[must_use]
    pub fn lock_timeout(&self) -> Option<Duration> {
        Some(self.lock_timeout_ms.load(Ordering::Relaxed)).filter(|millis| *millis > 0).map(Duration::from_millis)
    }

    /// Tells the client when the statement has ended.
    pub fn warn(&self, message: String) {
        // Too many of them are not worth an error.
        let _ = self.wish(Effect::Warning(message));
    }

    /// # Errors
    /// 54000 for too many, or messages that the queue has no room for.
    pub fn wish(&self, effect: Effect) -> Result<(), SqlError> {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        if wishes.effects.len() >= EFFECTS_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("a statement can call functions for their effect at most {EFFECTS_MAX} times"),
            ));
        }
        // Each is applied by itself when the statement ends.
        if matches!(effect, Effect::Set { .. }) {
            wishes.settings += 1;
            if wishes.settings > SETTINGS_MAX {
                let message = format!("a statement can call set_config at most {SETTINGS_MAX} times");
                return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
            }
        }
        if let Effect::Notify(post) = &effect {
            self.notifications.check_room(wishes.bytes + post.bytes())?;
            wishes.bytes += post.bytes();
        }
        wishes.effects.push(effect);
        Ok(())
    }

    /// All there are, to be fulfilled or, where the statement has failed, dropped.
    pub fn take(&self) -> Vec<Effect> {
        std::mem::take(&mut *self.wishes.lock().unwrap_or_else(PoisonError::into_inner)).effects
    }
}
