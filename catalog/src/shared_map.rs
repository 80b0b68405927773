//! Sorted maps that share what they have in common: a clone costs a pointer for a hundred entries, a change copies one such run of
//! entries. Each change of the catalog makes a new snapshot, whatever the number of objects in it.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// Most entries of a run; where there are more, it is cut in two.
const RUN_MAX: usize = 128;

/// Runs in order of key, none empty.
#[derive(Debug, Clone)]
pub(crate) struct SharedMap<K, V> {
    runs: Vec<Arc<Vec<(K, V)>>>,
}

/// A sorted set, likewise.
pub(crate) type SharedSet<K> = SharedMap<K, ()>;

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        SharedMap { runs: Vec::new() }
    }
}

/// By their entries: how these are cut into runs depends on the order in which they came.
impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let entries = |map: &Self| map.runs.iter().map(|run| run.len()).sum::<usize>();
        let pairs = || self.runs.iter().flat_map(|run| run.iter()).zip(other.runs.iter().flat_map(|run| run.iter()));
        entries(self) == entries(other) && pairs().all(|(one, other)| one == other)
    }
}

impl<K: Eq, V: Eq> Eq for SharedMap<K, V> {}

/// Where an entry is, or would be put.
struct Place {
    run: usize,
    at: usize,
    found: bool,
}

impl<K: Ord, V> SharedMap<K, V> {
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        let (_, value) = self.runs.get(place.run)?.get(place.at).filter(|_| place.found)?;
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.runs.iter().flat_map(|run| run.iter()).map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// In order of key.
    pub(crate) fn range<'a>(&'a self, bounds: impl RangeBounds<K> + 'a) -> impl Iterator<Item = (&'a K, &'a V)> {
        let start = match bounds.start_bound() {
            Bound::Included(key) => self.place(key),
            Bound::Excluded(key) => {
                let place = self.place(key);
                Place { at: place.at + usize::from(place.found), ..place }
            }
            Bound::Unbounded => Place { run: 0, at: 0, found: false },
        };
        let runs = self.runs.get(start.run..).unwrap_or_default();
        let entries =
            runs.iter().enumerate().flat_map(move |(number, run)| run.get(if number == 0 { start.at } else { 0 }..).unwrap_or_default());
        entries.map(|(key, value)| (key, value)).take_while(move |(key, _)| match bounds.end_bound() {
            Bound::Included(end) => *key <= end,
            Bound::Excluded(end) => *key < end,
            Bound::Unbounded => true,
        })
    }

    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Place
    where
        K: Borrow<Q>,
    {
        // The last run that does not begin behind the key.
        let run = self.runs.partition_point(|run| run.first().is_some_and(|(first, _)| first.borrow() <= key)).saturating_sub(1);
        let entries = self.runs.get(run).map(|run| run.as_slice()).unwrap_or_default();
        match entries.binary_search_by(|(own, _)| own.borrow().cmp(key)) {
            Ok(at) => Place { run, at, found: true },
            Err(at) => Place { run, at, found: false },
        }
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// Gives what the key had before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let place = self.place(&key);
        let Some(run) = self.runs.get_mut(place.run) else {
            self.runs.push(Arc::new(vec![(key, value)]));
            return None;
        };
        let entries = Arc::make_mut(run);
        if place.found {
            return entries.get_mut(place.at).map(|entry| std::mem::replace(&mut entry.1, value));
        }
        entries.insert(place.at, (key, value));
        if entries.len() > RUN_MAX {
            // Keys mostly come in order: the run that is complete stays full.
            let cut = if place.at + 1 == entries.len() { RUN_MAX } else { RUN_MAX / 2 };
            let rest = entries.split_off(cut);
            self.runs.insert(place.run + 1, Arc::new(rest));
        }
        None
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        let entries = Arc::make_mut(self.runs.get_mut(place.run).filter(|_| place.found)?);
        let (_, value) = entries.remove(place.at);
        if entries.is_empty() {
            self.runs.remove(place.run);
        }
        Some(value)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        let run = self.runs.get_mut(place.run).filter(|_| place.found)?;
        Arc::make_mut(run).get_mut(place.at).map(|(_, value)| value)
    }
}

impl<K: Ord + Clone, V: Clone + Default> SharedMap<K, V> {
    /// Changes the value of a key, at first the default.
    pub(crate) fn update(&mut self, key: K, change: impl FnOnce(&mut V)) {
        let mut value = self.get(&key).cloned().unwrap_or_default();
        change(&mut value);
        self.insert(key, value);
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let sorted: BTreeMap<K, V> = entries.into_iter().collect();
        let (mut runs, mut run) = (Vec::new(), Vec::new());
        for entry in sorted {
            run.push(entry);
            if run.len() == RUN_MAX {
                runs.push(Arc::new(std::mem::take(&mut run)));
            }
        }
        if !run.is_empty() {
            runs.push(Arc::new(run));
        }
        SharedMap { runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence that looks random, the same each time.
    fn numbers(count: u32) -> impl Iterator<Item = u32> {
        let mut state = 12_345_u32;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % 3_000
        })
        .take(count as usize)
    }

    #[test]
    fn it_is_a_sorted_map() {
        let (mut ours, mut model) = (SharedMap::default(), BTreeMap::new());
        for (step, key) in (0_u32..).zip(numbers(20_000)) {
            if step % 3 == 2 {
                assert_eq!(ours.remove(&key), model.remove(&key));
            } else {
                assert_eq!(ours.insert(key, step), model.insert(key, step));
            }
            assert_eq!(ours.get(&key), model.get(&key));
        }
        assert!(ours.iter().eq(model.iter()));
        for (from, to) in [(0, 5_000), (17, 17), (100, 900), (2_999, 3_001), (3_500, 4_000)] {
            assert!(ours.range(from..=to).eq(model.range(from..=to)), "{from} to {to}");
            assert!(ours.range(from..to).eq(model.range(from..to)), "{from} until {to}");
            assert!(ours.range(from..).eq(model.range(from..)), "from {from}");
        }
        assert_eq!(ours, model.into_iter().collect());
        assert!(ours.runs.iter().all(|run| !run.is_empty() && run.len() <= RUN_MAX));
    }

    #[test]
    fn a_clone_keeps_its_entries_and_shares_the_others() {
        let before: SharedMap<u32, u32> = (0..1_000).map(|key| (key, key)).collect();
        let mut after = before.clone();
        after.insert(500, 0);
        after.remove(&999);
        assert_eq!((before.get(&500), before.get(&999)), (Some(&500), Some(&999)));
        assert_eq!((after.get(&500), after.get(&999)), (Some(&0), None));
        let shared = before.runs.iter().zip(&after.runs).filter(|(one, other)| Arc::ptr_eq(one, other)).count();
        assert_eq!(shared, before.runs.len() - 2);
    }

    #[test]
    fn runs_of_keys_in_order_are_full() {
        let mut map = SharedMap::default();
        (0..1_280_u32).for_each(|key| {
            map.insert(key, ());
        });
        assert_eq!(map.runs.len(), 10);
    }

    #[test]
    fn a_value_is_changed_in_place() {
        let mut map: SharedMap<u32, Vec<u32>> = SharedMap::default();
        map.update(1, |value| value.push(2));
        map.update(1, |value| value.push(3));
        assert_eq!(map.get(&1), Some(&vec![2, 3]));
        if let Some(value) = map.get_mut(&1) {
            value.clear();
        }
        assert_eq!(map.get(&1), Some(&vec![]));
        assert_eq!(map.get_mut(&2), None);
        assert!(map.keys().eq([&1]) && map.values().eq([&Vec::<u32>::new()]));
    }
}
