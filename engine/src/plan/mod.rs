//! From a bound AST to a DataFusion plan.

mod context;
mod limits;
mod names;
mod query;
mod refuse;
mod result_fields;
mod session;
mod spelling;
mod text;

pub use self::context::{Planner, Sources, planning_error, relation_reference};
pub use self::limits::check_depth;
pub use self::names::{name_columns, restored};
pub use self::query::{PlannedQuery, collect, declared_fields, plan_query, resolve};
pub use self::refuse::refuse_ignored;
pub use self::result_fields::{cast_to, result_schema};
pub use self::session::{ScanCounters, Sessions};
pub use self::text::{plan_json, plan_lines};
