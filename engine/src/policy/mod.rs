//! Row-level security and masks, enforced inside the relation: whoever scans a policed table gets the rows that its policies let pass, with
//! masked values, from an operator that nothing can be pushed through but conditions that cannot fail or tell anything
//! (docs/decisions/0007-policies.md).

mod barrier;
mod checks;
mod leakproof;
mod operator;
mod source;

pub use self::checks::{checked_rows, guarded, own_row};
pub use self::operator::BarrierExec;
pub use self::source::{PolicedSource, RAW_PREFIX, TargetUse, may_delete, may_update, policed_plan, raw_column};

use lakegate_engine_api::EngineError;

/// What goes wrong in a policy's or mask's own expression is told without the values that it was about: they may be of hidden rows.
#[must_use]
pub fn without_values(error: EngineError, table: &str) -> EngineError {
    let message = || format!("a policy or mask of table \"{table}\" cannot be evaluated");
    match error {
        EngineError::Data { error, .. } => EngineError::Data { error, message: message() },
        EngineError::Sql { mistake, .. } => EngineError::Sql { mistake, message: message(), hint: None },
        EngineError::Internal { message: cause } => {
            tracing::error!(table, cause, "policy");
            EngineError::Internal { message: message() }
        }
        EngineError::Constraint { .. } | EngineError::GeneratedAlways { .. } | EngineError::Policy { .. } => {
            EngineError::Policy { message: message(), detail: None }
        }
        other => other,
    }
}
