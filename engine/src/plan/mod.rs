//! From a bound AST to a DataFusion plan.

mod apart;
mod columns_needed;
mod columns_read;
mod comparable;
mod context;
mod explain;
mod limits;
mod modifiers;
mod names;
mod no_catalog;
mod operators;
mod origins;
mod projections;
mod query;
mod refuse;
mod result_fields;
mod session;
mod small;
mod source_order;
mod spelling;

pub use self::columns_needed::columns_needed;
pub use self::comparable::comparable;
pub use self::context::{Planner, Sources, ViewSource, VisibleColumns, planning_error, relation_reference};
pub use self::explain::{Showing, plan_json, plan_lines};
pub use self::limits::{DEPTH_MAX, check_depth};
pub use self::names::{another, column_name, restored};
pub use self::no_catalog::nobody;
pub use self::projections::physical_rules;
pub use self::query::{
    Audience, PlannedQuery, analyzed_plan, declared_fields, filled_plan, filled_template, found_parameters, parameters_of, plan_query,
    resolve as resolved_parameters, returned_schema, template,
};
pub use self::result_fields::{cast_to, result_schema};
pub use self::session::{ReadsDecoded, ScanCounters, Sessions};
pub use self::small::with_few_rules;
pub use self::source_order::KeepSourceOrder;
