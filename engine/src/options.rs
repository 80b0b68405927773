//! What an engine is given at start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Sizes and places of one [`crate::LocalEngine`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// All statements together; operators spill past their share of it.
    pub memory_limit_bytes: usize,
    /// Partitions of a plan, and worker threads.
    pub target_partitions: usize,
    /// Holds spill files; made if it does not exist, its content is of no use after the process ends.
    pub spill_dir: PathBuf,
    /// Spill files of all statements together.
    pub spill_limit_bytes: u64,
    /// Parquet footers kept in memory, for each object store.
    pub footer_cache_bytes: usize,
    /// Rows of queries kept for the next time; 0: none.
    pub result_cache_bytes: usize,
    /// Columns kept decoded, of the memory that statements do not use; 0: none.
    pub decoded_cache_bytes: usize,
    /// Tables whose snapshots are kept in memory.
    pub snapshot_cache_tables: u64,
    /// One request to an object store, its body included.
    pub request_timeout: Duration,
    /// The standard `AWS_*` variables.
    pub aws: BTreeMap<String, String>,
}

impl EngineOptions {
    /// Sizes fit for the machine; `AWS_*` as the process environment has them.
    #[must_use]
    pub fn new(memory_limit_bytes: usize, spill_dir: PathBuf) -> Self {
        Self {
            memory_limit_bytes,
            target_partitions: std::thread::available_parallelism().map_or(2, usize::from),
            spill_dir,
            spill_limit_bytes: 512 << 30,
            footer_cache_bytes: (memory_limit_bytes / 16).clamp(16 << 20, 1 << 30),
            result_cache_bytes: (memory_limit_bytes / 64).clamp(4 << 20, 256 << 20),
            decoded_cache_bytes: memory_limit_bytes / 2,
            snapshot_cache_tables: 1_000,
            request_timeout: Duration::from_secs(20),
            aws: std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect(),
        }
    }
}
