//! Row-level security and masks of a table for one role, as expressions. Relations inside have three-part names and stand among the
//! statement's; the table's own columns stand under [`OWN_ROW`].

use serde::{Deserialize, Serialize};
use sqlparser::ast::Expr;

/// The name by which the expressions of a policy know the row that they look at.
pub const OWN_ROW: &str = "\u{0}own";

/// What a role may see of a table, and which rows it may make.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TablePolicies {
    /// The rows that are there for it; `None`: all.
    pub rows: Option<RowPolicies>,
    /// (column, what stands in its place); in the order in which they are applied where a column has several, each over what the one
    /// before it gives.
    pub masks: Vec<(String, Expr)>,
}

/// USING and WITH CHECK of each command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RowPolicies {
    pub select: Expr,
    pub update: Expr,
    pub delete: Expr,
    pub insert_checks: Vec<RowCheck>,
    pub update_checks: Vec<RowCheck>,
    /// The statement reads the rows of the table that it changes: the rows that it finds and makes must pass `select`, too.
    pub reads_target: bool,
}

/// What a new row must satisfy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RowCheck {
    /// Of a restrictive policy; permissive ones are one check together.
    pub policy: Option<String>,
    pub condition: Expr,
}
