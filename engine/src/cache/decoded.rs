//! Columns of data files as decoded Arrow arrays, kept in memory by file, row group and column.
//!
//! Data files are immutable and have names of their own, so what is kept of one is right as long as the file is part of the version that
//! is read; what is kept of files that are deleted is dropped by whoever deletes them, and by [`DecodedCache::keep_only`] where another
//! process did. What comes in was asked for twice: a scan that passes once leaves nothing here. What goes is what costs least to decode
//! again for the memory that it takes, of what was used least (GreedyDual-Size-Frequency: Cherkasova, HPL-98-69R1).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use lakegate_engine_api::CacheFigures;

use super::frequency::Frequency;
use super::zones::Zones;

/// Times that a column of a row group is asked for before it is kept.
const ASKED_MIN: u8 = 2;

/// What an entry takes beside its arrays.
const ENTRY_BYTES: usize = 256;

/// A data file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey {
    /// URL of the store.
    pub store: Arc<str>,
    pub path: object_store::path::Path,
    pub size_bytes: u64,
    pub modified_ms: i64,
}

/// A column of a row group of a file, as statements see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnKey {
    pub row_group: usize,
    /// Place in the file.
    pub column: usize,
    pub data_type: DataType,
}

/// A decoded column of a row group.
#[derive(Debug)]
pub struct Column {
    /// Of the same lengths for all columns of a row group.
    pub batches: Vec<ArrayRef>,
    pub bytes: usize,
    /// What it takes in the file.
    pub stored_bytes: u64,
    zones: OnceLock<Option<Zones>>,
}

impl Column {
    #[must_use]
    pub fn new(batches: Vec<ArrayRef>, stored_bytes: u64) -> Column {
        let bytes = ENTRY_BYTES + batches.iter().map(|batch| batch.get_array_memory_size()).sum::<usize>();
        Column { batches, bytes, stored_bytes, zones: OnceLock::new() }
    }

    /// Bounds of each batch, where the type has an order.
    #[must_use]
    pub fn zones(&self) -> Option<&Zones> {
        self.zones.get_or_init(|| Zones::of(&self.batches)).as_ref()
    }
}

/// Decoded columns of all tables of an engine.
#[derive(Debug)]
pub struct DecodedCache {
    limit_bytes: usize,
    /// What statements leave of the memory that they share with it.
    left_bytes: AtomicUsize,
    bytes: AtomicUsize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    files: BTreeMap<FileKey, HashMap<ColumnKey, Entry>>,
    entries: usize,
    bytes: usize,
    frequency: Frequency,
    /// Value of what went last: what comes later starts from it.
    age: f64,
    hits: u64,
    misses: u64,
    evictions: u64,
}

#[derive(Debug)]
struct Entry {
    column: Arc<Column>,
    /// Nanoseconds to decode it, for each byte that it takes.
    cost: f64,
    uses: u32,
    value: f64,
}

impl Entry {
    fn used(&mut self, age: f64) {
        self.uses = self.uses.saturating_add(1);
        self.value = age + f64::from(self.uses) * self.cost;
    }
}

/// What a scan finds of the columns that it needs.
pub enum Found {
    /// All of them are there, or are worth decoding for the next time.
    Serve,
    /// It had better read the file as if there were no cache.
    Pass,
}

impl DecodedCache {
    /// `limit_bytes` 0: nothing is kept.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Arc<DecodedCache> {
        let (left_bytes, bytes) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        Arc::new(DecodedCache { limit_bytes, left_bytes, bytes, kept: Mutex::default() })
    }

    #[must_use]
    pub fn is_on(&self) -> bool {
        self.limit_bytes > 0
    }

    /// Counts that these columns of a file are asked for.
    #[must_use]
    pub fn ask(&self, file: &FileKey, columns: &[ColumnKey]) -> Found {
        let mut kept = self.kept();
        let mut missing = 0_usize;
        let mut wanted = true;
        let limit = self.limit();
        for column in columns {
            let asked = kept.frequency.note(&(file, column));
            if kept.has(file, column) {
                continue;
            }
            missing += 1;
            let full = kept.bytes >= limit / 10 * 9;
            // Where something else has to go for it, it must have been asked for more often.
            wanted &= asked >= ASKED_MIN && (!full || asked > kept.least_asked());
        }
        if missing > 0 && (!wanted || limit == 0) {
            kept.misses += missing as u64;
            return Found::Pass;
        }
        Found::Serve
    }

    #[must_use]
    pub fn find(&self, file: &FileKey, column: &ColumnKey) -> Option<Arc<Column>> {
        let mut kept = self.kept();
        let age = kept.age;
        let found = kept.files.get_mut(file).and_then(|columns| columns.get_mut(column)).map(|entry| {
            entry.used(age);
            Arc::clone(&entry.column)
        });
        match found {
            Some(_) => kept.hits += 1,
            None => kept.misses += 1,
        }
        found
    }

    /// Keeps a column that took so long to decode, where there is room or what costs less goes for it.
    pub fn keep(&self, file: &FileKey, key: ColumnKey, column: &Arc<Column>, nanos: f64) {
        let limit = self.limit();
        if column.bytes > limit / 4 {
            return;
        }
        let mut kept = self.kept();
        if kept.bytes + column.bytes > limit {
            kept.shrink_to(limit - column.bytes);
        }
        let mut entry = Entry { column: Arc::clone(column), cost: nanos / column.bytes.max(1) as f64, uses: 0, value: 0.0 };
        entry.used(kept.age);
        kept.remove(file, &key);
        kept.bytes += column.bytes;
        kept.entries += 1;
        kept.files.entry(file.clone()).or_default().insert(key, entry);
        self.bytes.store(kept.bytes, Ordering::Release);
    }

    /// Statements leave it so much from now on.
    pub fn leave(&self, bytes: usize) {
        self.left_bytes.store(bytes, Ordering::Release);
        if self.bytes.load(Ordering::Acquire) > bytes {
            let mut kept = self.kept();
            kept.shrink_to(bytes);
            self.bytes.store(kept.bytes, Ordering::Release);
        }
    }

    /// Drops what is kept of deleted files.
    pub fn forget<'p>(&self, paths: impl IntoIterator<Item = &'p object_store::path::Path>) {
        let paths: HashSet<&object_store::path::Path> = paths.into_iter().collect();
        self.retain(|file| !paths.contains(&file.path));
    }

    /// Drops what is kept of the files in a folder.
    pub fn forget_folder(&self, store: &str, folder: &object_store::path::Path) {
        self.retain(|file| *file.store != *store || !file.path.prefix_matches(folder));
    }

    /// Whether anything is kept of files in a folder.
    #[must_use]
    pub fn holds(&self, store: &str, folder: &object_store::path::Path) -> bool {
        self.kept().files.keys().any(|file| *file.store == *store && file.path.prefix_matches(folder))
    }

    /// The files of which anything is kept.
    #[must_use]
    pub fn files(&self) -> Vec<FileKey> {
        self.kept().files.keys().cloned().collect()
    }

    /// Drops what is kept of files in a folder that a new version of its table does not name.
    pub fn keep_only<'p>(
        &self,
        store: &str,
        folder: &object_store::path::Path,
        files: impl IntoIterator<Item = &'p object_store::path::Path>,
    ) {
        let files: HashSet<&object_store::path::Path> = files.into_iter().collect();
        self.retain(|file| *file.store != *store || !file.path.prefix_matches(folder) || files.contains(&file.path));
    }

    #[must_use]
    pub fn figures(&self) -> CacheFigures {
        let kept = self.kept();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        CacheFigures {
            name: "decoded columns".into(),
            bytes: count(kept.bytes),
            limit_bytes: count(self.limit_bytes),
            entries: count(kept.entries),
            hits: kept.hits,
            misses: kept.misses,
            evictions: kept.evictions,
        }
    }

    fn retain(&self, keep: impl Fn(&FileKey) -> bool) {
        let mut kept = self.kept();
        let gone: Vec<FileKey> = kept.files.keys().filter(|file| !keep(file)).cloned().collect();
        for file in gone {
            if let Some(columns) = kept.files.remove(&file) {
                kept.entries -= columns.len();
                kept.bytes -= columns.values().map(|entry| entry.column.bytes).sum::<usize>();
            }
        }
        self.bytes.store(kept.bytes, Ordering::Release);
    }

    fn limit(&self) -> usize {
        self.limit_bytes.min(self.left_bytes.load(Ordering::Acquire))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn has(&self, file: &FileKey, column: &ColumnKey) -> bool {
        self.files.get(file).is_some_and(|columns| columns.contains_key(column))
    }

    fn remove(&mut self, file: &FileKey, column: &ColumnKey) {
        let Some(columns) = self.files.get_mut(file) else { return };
        if let Some(entry) = columns.remove(column) {
            self.bytes -= entry.column.bytes;
            self.entries -= 1;
        }
        if columns.is_empty() {
            self.files.remove(file);
        }
    }

    /// How often what would go first was asked for.
    fn least_asked(&self) -> u8 {
        let entries = self.files.iter().flat_map(|(file, columns)| columns.iter().map(move |(key, entry)| (file, key, entry)));
        let least = entries.min_by(|(.., one), (.., other)| one.value.total_cmp(&other.value));
        least.map_or(0, |(file, key, _)| self.frequency.of(&(file, key)))
    }

    fn shrink_to(&mut self, limit: usize) {
        if self.bytes <= limit {
            return;
        }
        // A little more goes, so that the next ones need not look again.
        let limit = limit / 16 * 15;
        let mut all: Vec<(f64, FileKey, ColumnKey)> = self
            .files
            .iter()
            .flat_map(|(file, columns)| columns.iter().map(move |(key, entry)| (entry.value, file.clone(), key.clone())))
            .collect();
        all.sort_unstable_by(|(one, ..), (other, ..)| one.total_cmp(other));
        for (value, file, key) in all {
            if self.bytes <= limit {
                break;
            }
            self.remove(&file, &key);
            self.age = self.age.max(value);
            self.evictions += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;

    use super::*;

    fn file(name: &str) -> FileKey {
        FileKey { store: "file:///".into(), path: object_store::path::Path::from(name), size_bytes: 1, modified_ms: 0 }
    }

    fn key(row_group: usize) -> ColumnKey {
        ColumnKey { row_group, column: 0, data_type: DataType::Int64 }
    }

    /// Of a little more than 8 KiB.
    fn column() -> Arc<Column> {
        Arc::new(Column::new(vec![Arc::new(Int64Array::from_iter_values(0..1_024))], 100))
    }

    fn serves(cache: &DecodedCache, name: &str, row_group: usize) -> bool {
        matches!(cache.ask(&file(name), &[key(row_group)]), Found::Serve)
    }

    #[test]
    fn what_is_asked_for_once_is_not_kept() {
        let cache = DecodedCache::new(1 << 20);
        assert!(!serves(&cache, "t/a", 0));
        assert!(serves(&cache, "t/a", 0), "the second time");
        cache.keep(&file("t/a"), key(0), &column(), 1e6);
        assert!(cache.find(&file("t/a"), &key(0)).is_some());
        assert!(cache.find(&file("t/a"), &key(1)).is_none());
        assert!(cache.find(&FileKey { size_bytes: 2, ..file("t/a") }, &key(0)).is_none(), "another file of that name");
        let figures = cache.figures();
        assert_eq!((figures.hits, figures.entries), (1, 1));
    }

    #[test]
    fn a_scan_does_not_drive_out_what_is_in_use() {
        let cache = DecodedCache::new(20 * column().bytes);
        for row_group in 0..10 {
            for _ in 0..10 {
                let _ = serves(&cache, "t/hot", row_group);
            }
            cache.keep(&file("t/hot"), key(row_group), &column(), 1e6);
        }
        for _ in 0..3 {
            for row_group in 0..1_000 {
                if serves(&cache, "t/cold", row_group) && cache.find(&file("t/cold"), &key(row_group)).is_none() {
                    cache.keep(&file("t/cold"), key(row_group), &column(), 1e6);
                }
                for hot in 0..10 {
                    let _ = cache.find(&file("t/hot"), &key(hot));
                }
            }
        }
        assert!((0..10).all(|row_group| cache.find(&file("t/hot"), &key(row_group)).is_some()));
        assert!(cache.figures().bytes <= cache.figures().limit_bytes);
    }

    #[test]
    fn what_is_cheap_to_decode_goes_first() {
        let cache = DecodedCache::new(8 * column().bytes);
        for row_group in 0..4 {
            cache.keep(&file("t/dear"), key(row_group), &column(), 1e9);
            cache.keep(&file("t/cheap"), key(row_group), &column(), 1e3);
        }
        cache.keep(&file("t/new"), key(0), &column(), 1e6);
        assert!((0..4).all(|row_group| cache.find(&file("t/dear"), &key(row_group)).is_some()));
        assert!((0..4).any(|row_group| cache.find(&file("t/cheap"), &key(row_group)).is_none()));
        assert!(cache.figures().evictions > 0);
    }

    #[test]
    fn memory_is_given_back() {
        let cache = DecodedCache::new(1 << 20);
        for row_group in 0..20 {
            cache.keep(&file("t/a"), key(row_group), &column(), 1e6);
        }
        cache.leave(5 * column().bytes);
        assert!(cache.figures().bytes <= 5 * column().bytes as u64);
        cache.leave(0);
        assert_eq!((cache.figures().bytes, cache.figures().entries), (0, 0));
        assert!(!serves(&cache, "t/b", 0) && !serves(&cache, "t/b", 0), "nothing comes in meanwhile");
    }

    #[test]
    fn deleted_files_are_forgotten() {
        let cache = DecodedCache::new(1 << 20);
        for name in ["t/a", "t/b", "t/c", "u/a"] {
            cache.keep(&file(name), key(0), &column(), 1e6);
        }
        let there = |name: &str| cache.find(&file(name), &key(0)).is_some();
        cache.forget([&object_store::path::Path::from("t/a")]);
        assert!(!there("t/a") && there("t/b"));
        cache.keep_only("file:///", &object_store::path::Path::from("t"), [&object_store::path::Path::from("t/c")]);
        assert!(!there("t/b") && there("t/c") && there("u/a"));
        cache.forget_folder("file:///", &object_store::path::Path::from("t"));
        assert!(!there("t/c") && there("u/a"));
        assert_eq!(cache.figures().entries, 1);
    }
}
