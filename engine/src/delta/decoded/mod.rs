//! Scans that read decoded columns from memory: a Parquet scan around which each file is asked for in the cache first. Planning, pushdown
//! and statistics are the Parquet scan's own.

mod file;
mod prune;
mod source;

pub use self::source::{DecodedScan, DecodedSource};
