//! What an engine's caches hold and how they fare.

/// One cache, since the engine started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFigures {
    pub name: &'static str,
    pub bytes: u64,
    /// 0 where it is off.
    pub limit_bytes: u64,
    pub entries: u64,
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
}
