//! What an engine's caches hold and how they fare.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One cache, since the engine started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheFigures {
    pub name: Cow<'static, str>,
    pub bytes: u64,
    /// 0 where it is off.
    pub limit_bytes: u64,
    pub entries: u64,
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
}
