//! How often something was asked for lately, in little memory: a sketch whose counts are halved as it fills.

use std::hash::{BuildHasher, Hash, RandomState};

const COUNTERS: usize = 1 << 16;
/// Rows of the sketch: a count is the smallest of as many.
const PLACES: usize = 2;
/// Askings after which all counts are halved.
const SAMPLE: u32 = 8 * COUNTERS as u32;

#[derive(Debug)]
pub struct Frequency {
    counters: Vec<u8>,
    hasher: RandomState,
    asked: u32,
}

impl Default for Frequency {
    fn default() -> Self {
        Self { counters: vec![0; COUNTERS], hasher: RandomState::new(), asked: 0 }
    }
}

impl Frequency {
    /// Counts one more; how often it was, this time included.
    pub fn note(&mut self, key: &impl Hash) -> u8 {
        self.asked += 1;
        if self.asked >= SAMPLE {
            self.asked /= 2;
            self.counters.iter_mut().for_each(|count| *count /= 2);
        }
        let mut least = u8::MAX;
        for place in self.places(key) {
            if let Some(count) = self.counters.get_mut(place) {
                *count = count.saturating_add(1);
                least = least.min(*count);
            }
        }
        least
    }

    #[must_use]
    pub fn of(&self, key: &impl Hash) -> u8 {
        self.places(key).into_iter().filter_map(|place| self.counters.get(place)).copied().min().unwrap_or(0)
    }

    fn places(&self, key: &impl Hash) -> [usize; PLACES] {
        let digest = self.hasher.hash_one(key);
        [digest, digest >> 32].map(|bits| usize::try_from(bits % COUNTERS as u64).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_forgets() {
        let mut frequency = Frequency::default();
        assert_eq!((1..=5).map(|_| frequency.note(&"a")).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(frequency.of(&"b"), 0);
        for other in 0..SAMPLE {
            frequency.note(&(other % 16));
        }
        assert!(frequency.of(&"a") < 5);
    }
}
