//! Slows down who guesses passwords: by role and address, and by address alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct SlowDown {
    failures: Mutex<HashMap<Key, Failures>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Role(u64, Option<IpAddr>),
    Address(Option<IpAddr>),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Failures that cost nothing: a mistyped password, a pool with an old one.
const FREE_BY_ROLE: u32 = 3;
const FREE_BY_ADDRESS: u32 = 20;
const FIRST_DELAY_MS: u64 = 250;
const DELAY_MAX: Duration = Duration::from_secs(4);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
const ENTRIES_MAX: usize = 10_000;

impl SlowDown {
    /// Waits as long as earlier failures ask for.
    pub(super) async fn wait(&self, role: &str, address: Option<IpAddr>) {
        let delay = self.delay(role, address);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    pub(super) fn delay(&self, role: &str, address: Option<IpAddr>) -> Duration {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let [by_role, by_address] = keys(role, address);
        let count = |key: &Key| failures.get(key).filter(|entry| entry.last.elapsed() < FORGOTTEN_AFTER).map_or(0, |entry| entry.count);
        delay_after(count(&by_role), FREE_BY_ROLE).max(delay_after(count(&by_address), FREE_BY_ADDRESS))
    }

    pub(super) fn failed(&self, role: &str, address: Option<IpAddr>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() + 2 > ENTRIES_MAX {
            make_room(&mut failures);
        }
        let now = Instant::now();
        for key in keys(role, address) {
            let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
            if entry.last.elapsed() >= FORGOTTEN_AFTER {
                entry.count = 0;
            }
            *entry = Failures { count: entry.count.saturating_add(1), last: now };
        }
    }

    /// The role's own count ends; the address' stays, or one good login would pay for guessing at others.
    pub(super) fn succeeded(&self, role: &str, address: Option<IpAddr>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let [by_role, _] = keys(role, address);
        failures.remove(&by_role);
    }
}

fn keys(role: &str, address: Option<IpAddr>) -> [Key; 2] {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    role.hash(&mut hasher);
    [Key::Role(hasher.finish(), address), Key::Address(address)]
}

/// Doubles with each failure past the free ones.
fn delay_after(count: u32, free: u32) -> Duration {
    match count.checked_sub(free) {
        None => Duration::ZERO,
        Some(past) => Duration::from_millis(FIRST_DELAY_MS << past.min(10)).min(DELAY_MAX),
    }
}

/// Forgets old entries, and where that is not enough the ones with the fewest failures: who guesses from many places cannot
/// push out the count of one that guesses much.
fn make_room(failures: &mut HashMap<Key, Failures>) {
    failures.retain(|_, entry| entry.last.elapsed() < FORGOTTEN_AFTER);
    let mut least = 1;
    while failures.len() + 2 > ENTRIES_MAX {
        failures.retain(|_, entry| entry.count > least);
        least *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_is_capped_and_ends_with_success() {
        let slow = SlowDown::default();
        let here = Some("10.0.0.1".parse().unwrap());
        let mut delays = Vec::new();
        for _ in 0..12 {
            delays.push(slow.delay("alice", here));
            slow.failed("alice", here);
        }
        assert!(delays[..3].iter().all(Duration::is_zero), "{delays:?}");
        assert!(delays.is_sorted() && delays[3] > Duration::ZERO && delays[11] == DELAY_MAX, "{delays:?}");
        assert!(slow.delay("bob", here).is_zero());
        assert!(slow.delay("alice", Some("10.0.0.2".parse().unwrap())).is_zero());
        slow.succeeded("alice", here);
        assert!(slow.delay("alice", here).is_zero());
    }

    #[test]
    fn one_address_trying_many_roles_is_slowed() {
        let slow = SlowDown::default();
        for n in 0..40 {
            slow.failed(&format!("role{n}"), None);
        }
        assert_eq!(slow.delay("another", None), DELAY_MAX);
    }

    #[test]
    fn memory_is_bounded() {
        let slow = SlowDown::default();
        for _ in 0..5 {
            slow.failed("victim", None);
        }
        for n in 0..30_000_u32 {
            slow.failed("x", Some(IpAddr::from(n.to_be_bytes())));
        }
        assert!(slow.failures.lock().unwrap().len() <= ENTRIES_MAX);
        assert!(!slow.delay("victim", None).is_zero());
    }
}
