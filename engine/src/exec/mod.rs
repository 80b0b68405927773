//! Running planned statements.

mod append;
mod explain;
mod finish;
mod interrupt;
mod kept;
mod key_filters;
mod log_table;
mod progress;
mod relations;
mod results;
mod select;
mod small;
mod sweep;
mod system_table;

pub use self::append::InOrder;
pub use self::explain::PreparedExplain;
pub use self::finish::collect_metrics;
pub use self::interrupt::interruptible;
pub use self::kept::{Kept, Ready};
pub use self::progress::{Counted, ProgressBoard};
pub use self::relations::{Opened, open_relations, policies_of, refuse_unknown_columns};
pub use self::results::Results;
pub use self::select::{PreparedSelect, parameter_values};
pub use self::small::Small;
pub use self::sweep::keep_swept;

use std::sync::Arc;

use crate::delta::Tables;
use crate::plan::Sessions;
use crate::runtime::EngineRuntime;

/// What statements run with.
pub struct Shared {
    pub runtime: EngineRuntime,
    pub sessions: Sessions,
    pub tables: Arc<Tables>,
    pub progress: ProgressBoard,
    pub results: Arc<Results>,
}
