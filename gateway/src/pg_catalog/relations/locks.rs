//! `pg_locks`: the advisory locks of all sessions; there are no others.

use arrow_array::RecordBatch;
use lakegate_engine_api::AdvisoryKey;

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::recorded::Recorded;
use crate::sql::advisory::LockRow;
use crate::sqlstate::SqlError;

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let locks = context.advisory.rows();
    Columns::over(relation, &locks)
        .put("locktype", |_| "advisory")
        .put("database", |lock| lock.database)
        .put("classid", |lock| numbers(lock).0)
        .put("objid", |lock| numbers(lock).1)
        .put("objsubid", |lock| if matches!(lock.key, AdvisoryKey::Whole(_)) { 1 } else { 2 })
        .put("virtualtransaction", |lock| format!("{}/0", lock.pid))
        .put("pid", |lock| lock.pid)
        .put("mode", |lock| if lock.shared { "ShareLock" } else { "ExclusiveLock" })
        .put("granted", |lock| lock.granted)
        .put("fastpath", |_| false)
        .finish()
}

/// The two halves of a lock's number, as PostgreSQL shows them.
fn numbers(lock: &LockRow) -> (u32, u32) {
    match lock.key {
        AdvisoryKey::Whole(number) => {
            let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
            (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
        }
        AdvisoryKey::Halves(first, second) => (first.cast_unsigned(), second.cast_unsigned()),
    }
}
