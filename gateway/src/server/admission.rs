//! How many connections may be there without having logged in, and how often cancel requests are looked at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Cancel requests that one network may send at once, and how many it gets back a second.
const CANCEL_BURST: f64 = 50.0;
const CANCELS_PER_SECOND: f64 = 20.0;
/// Connections that may wait for a place, or for the answer that there is none; more are closed without a word.
const WAITING_MAX: usize = 1_024;
/// Networks remembered; past this the full ones are forgotten.
const NETWORKS_MAX: usize = 4_096;

pub struct Admission {
    all_max: usize,
    address_max: usize,
    counts: Arc<Mutex<Counts>>,
    freed: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
    cancels: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

/// A place among those who have not logged in; given back when dropped.
pub struct Place {
    address: IpAddr,
    counts: Arc<Mutex<Counts>>,
    freed: Arc<Notify>,
}

/// A connection that nothing has been decided about.
pub struct Waiting(Arc<AtomicUsize>);

impl Admission {
    pub fn new(all_max: usize, address_max: usize) -> Self {
        Admission {
            all_max,
            address_max,
            counts: Arc::default(),
            freed: Arc::default(),
            waiting: Arc::default(),
            cancels: Mutex::default(),
        }
    }

    /// `None`: not even an answer can be afforded.
    pub fn arrive(&self) -> Option<Waiting> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(Arc::clone(&self.waiting));
        (before < WAITING_MAX).then_some(waiting)
    }

    /// Waits for a place, as a burst of honest clients must; `None` when there was none in time.
    pub async fn enter_within(&self, address: IpAddr, patience: Duration) -> Option<Place> {
        let enter = async {
            loop {
                let freed = self.freed.notified();
                if let Some(place) = self.enter(address) {
                    return place;
                }
                freed.await;
            }
        };
        tokio::time::timeout(patience, enter).await.ok()
    }

    /// `None`: too many already.
    fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut counts = lock(&self.counts);
        let here = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= self.all_max || here >= self.address_max && !address.is_loopback() {
            return None;
        }
        counts.all += 1;
        *counts.by_address.entry(address).or_default() += 1;
        drop(counts);
        Some(Place { address, counts: Arc::clone(&self.counts), freed: Arc::clone(&self.freed) })
    }

    /// Whether a cancel request from there is looked at now.
    pub fn may_cancel(&self, address: IpAddr) -> bool {
        let network = network_of(address);
        let mut cancels = lock(&self.cancels);
        let now = Instant::now();
        if cancels.len() >= NETWORKS_MAX && !cancels.contains_key(&network) {
            cancels.retain(|_, bucket| bucket.filled(now) < CANCEL_BURST);
            if cancels.len() >= NETWORKS_MAX {
                return false;
            }
        }
        let bucket = cancels.entry(network).or_insert(Bucket { left: CANCEL_BURST, at: now });
        *bucket = Bucket { left: bucket.filled(now), at: now };
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }
}

impl Bucket {
    fn filled(&self, now: Instant) -> f64 {
        (self.left + now.duration_since(self.at).as_secs_f64() * CANCELS_PER_SECOND).min(CANCEL_BURST)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.all = counts.all.saturating_sub(1);
        if let Some(here) = counts.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                counts.by_address.remove(&self.address);
            }
        }
        drop(counts);
        self.freed.notify_waiters();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The /24 of an IPv4 address, the /64 of an IPv6 one: what one peer easily has.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let admission = Admission::new(4, 2);
        let there: IpAddr = "192.0.2.1".parse().unwrap();
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let first = admission.enter(there);
        let second = admission.enter(there);
        assert!(first.is_some() && second.is_some() && admission.enter(there).is_none());
        let local: Vec<_> = (0..3).map(|_| admission.enter(here)).collect();
        assert_eq!(local.iter().flatten().count(), 2);
        drop(first);
        assert!(admission.enter(there).is_some());
    }

    #[test]
    fn cancels_are_bounded_by_network() {
        let admission = Admission::new(1, 1);
        let from = |last: u8| IpAddr::from([192, 0, 2, last]);
        let allowed = (0..200).filter(|n| admission.may_cancel(from(*n))).count();
        assert!((50..60).contains(&allowed), "{allowed}");
        assert!(admission.may_cancel(IpAddr::from([198, 51, 100, 1])));
    }
}
