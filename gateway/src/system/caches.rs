//! `system.compute.caches`: what the engine's caches hold and how they fare since it started; `/metrics` has the same.

use lakegate_engine_api::{CacheFigures, RelationSource};

use super::columns::Columns;
use crate::sqlstate::SqlError;

/// The rows as a relation.
pub fn table(rows: &[CacheFigures]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .text("engine", |_| Some("embedded".to_owned()))
        .text("cache", |row| Some(row.name.to_owned()))
        .count("bytes", |row| Some(row.bytes))
        .count("bytes_limit", |row| Some(row.limit_bytes))
        .count("entries", |row| Some(row.entries))
        .count("hits", |row| Some(row.hits))
        .count("misses", |row| Some(row.misses))
        .count("evictions", |row| Some(row.evictions))
        .finish()
}

/// Tells the process's metrics what the caches hold now.
pub fn publish(all: &[CacheFigures]) {
    for cache in all {
        metrics::gauge!("lakegate_cache_bytes", "cache" => cache.name).set(cache.bytes as f64);
        metrics::gauge!("lakegate_cache_limit_bytes", "cache" => cache.name).set(cache.limit_bytes as f64);
        metrics::gauge!("lakegate_cache_entries", "cache" => cache.name).set(cache.entries as f64);
        metrics::counter!("lakegate_cache_hits_total", "cache" => cache.name).absolute(cache.hits);
        metrics::counter!("lakegate_cache_misses_total", "cache" => cache.name).absolute(cache.misses);
        metrics::counter!("lakegate_cache_evictions_total", "cache" => cache.name).absolute(cache.evictions);
    }
}
