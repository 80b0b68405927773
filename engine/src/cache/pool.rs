//! The statements' memory, of which the cache of decoded columns takes what is left and gives back what is asked for.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use super::DecodedCache;

/// Statements come first: their share is as large as without a cache.
#[derive(Debug)]
pub struct YieldingPool {
    statements: FairSpillPool,
    cache: Arc<DecodedCache>,
    limit_bytes: usize,
}

impl YieldingPool {
    #[must_use]
    pub fn new(limit_bytes: usize, cache: Arc<DecodedCache>) -> Self {
        Self { statements: FairSpillPool::new(limit_bytes), cache, limit_bytes }
    }

    /// Has the cache give back what statements now hold beyond the rest.
    fn settle(&self) {
        self.cache.leave(self.limit_bytes.saturating_sub(self.statements.reserved()));
    }
}

impl MemoryPool for YieldingPool {
    fn name(&self) -> &str {
        self.statements.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.statements.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.statements.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.statements.grow(reservation, additional);
        self.settle();
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.statements.shrink(reservation, shrink);
        self.settle();
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.statements.try_grow(reservation, additional)?;
        self.settle();
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.statements.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.statements.memory_limit()
    }
}

impl fmt::Display for YieldingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.statements, f)
    }
}
