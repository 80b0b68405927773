//! Where a person is: which columns hold a kind of subject by their tags, and the queries that follow from it.
//!
//! `'subject' = 'customer'` on a column: it identifies customers. `'subject_via' = 'orders.order_id'`: a row belongs to whom the rows of
//! `orders` with that value belong to. `'erase'` on a column: what an erasure puts there (`null`, `replace:text`) in a table whose rows stay.
//! `'legal_hold' = 'true'` on a table, schema or database: nothing is erased there.

mod call;
mod conditions;
mod forgetting;
mod map;
mod relations;
mod resumption;
mod suspects;

pub use call::{SubjectFunction, function_of, is_subject_function, name_of_function};
pub use conditions::{condition, quoted, string, table_name};
pub use forgetting::forget_what_others_erased;
pub use map::{CoveredTable, Rule, SubjectColumn, SubjectMap, require_access, require_officer};
pub use relations::relation;
pub use resumption::keep_resuming;
