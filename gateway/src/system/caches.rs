//! `system.compute.caches`: what the engine's caches hold and how they fare since it started; `/metrics` has the same.

use lakegate_catalog::engines::CacheLoad;
use lakegate_engine_api::{CacheFigures, RelationSource};

use super::columns::Columns;
use crate::server::LiveSessions;
use crate::sqlstate::SqlError;

/// One cache of one engine.
pub struct CacheRow {
    engine: String,
    cache: CacheLoad,
}

/// Those of this process, and of engines that have joined as they told last.
pub fn rows(live: &LiveSessions) -> Result<RelationSource, SqlError> {
    let fleet = live.work().fleet();
    let own = fleet.map_or("embedded", |fleet| fleet.own().name.as_str());
    let mut rows: Vec<CacheRow> =
        live.work().caches().into_iter().map(|figures| CacheRow { engine: own.to_owned(), cache: told(figures) }).collect();
    let members = fleet.map(|fleet| fleet.members());
    for member in members.iter().flat_map(|members| members.iter()) {
        let (load, _) = member.said();
        rows.extend(load.caches.into_iter().map(|cache| CacheRow { engine: member.name.clone(), cache }));
    }
    table(&rows)
}

/// As an engine tells it.
#[must_use]
pub fn told(figures: CacheFigures) -> CacheLoad {
    CacheLoad {
        name: figures.name.into_owned(),
        bytes: figures.bytes,
        limit_bytes: figures.limit_bytes,
        entries: figures.entries,
        hits: figures.hits,
        misses: figures.misses,
        evictions: figures.evictions,
    }
}

/// The rows as a relation.
pub fn table(rows: &[CacheRow]) -> Result<RelationSource, SqlError> {
    Columns::over(rows)
        .text("engine", |row| Some(row.engine.clone()))
        .text("cache", |row| Some(row.cache.name.clone()))
        .count("bytes", |row| Some(row.cache.bytes))
        .count("bytes_limit", |row| Some(row.cache.limit_bytes))
        .count("entries", |row| Some(row.cache.entries))
        .count("hits", |row| Some(row.cache.hits))
        .count("misses", |row| Some(row.cache.misses))
        .count("evictions", |row| Some(row.cache.evictions))
        .finish()
}

/// Tells the process's metrics what the caches hold now.
pub fn publish(all: &[CacheFigures]) {
    for cache in all {
        metrics::gauge!("lakegate_cache_bytes", "cache" => cache.name.clone()).set(cache.bytes as f64);
        metrics::gauge!("lakegate_cache_limit_bytes", "cache" => cache.name.clone()).set(cache.limit_bytes as f64);
        metrics::gauge!("lakegate_cache_entries", "cache" => cache.name.clone()).set(cache.entries as f64);
        metrics::counter!("lakegate_cache_hits_total", "cache" => cache.name.clone()).absolute(cache.hits);
        metrics::counter!("lakegate_cache_misses_total", "cache" => cache.name.clone()).absolute(cache.misses);
        metrics::counter!("lakegate_cache_evictions_total", "cache" => cache.name.clone()).absolute(cache.evictions);
    }
}
