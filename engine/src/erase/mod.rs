//! Erasing a data subject from a table: its rows, then the table's past, and a look at every byte that is left (docs/decisions/0009).

use lakegate_engine_api::{EngineError, ExecutionContext};

mod checkpoint;
mod log;
mod objects;
mod purge;
mod rewrite;
mod scan;
mod scan_parquet;
mod versions;

pub use self::log::request_of;
pub use self::purge::{forget_table, purge_history, store_time};
pub use self::rewrite::erase_rows;
pub use self::scan::scan_bytes;
pub use self::versions::purge_versions;

/// # Errors
/// `Canceled`.
fn check_cancelled(context: &ExecutionContext) -> Result<(), EngineError> {
    if context.cancel.is_cancelled() { Err(EngineError::Canceled) } else { Ok(()) }
}
