//! Statements that change rows, planned: each becomes one or two plans whose rows say what happens to which row of the target.
//! [`super::apply`] runs them.
//!
//! Columns of such a plan, in this order: its action, [`FILE_COLUMN`] and [`ROW_COLUMN`] (NULL for a row that is to be inserted), the
//! row as it will be (unless rows only go), what RETURNING gives, and for INSERT … ON CONFLICT [`ORDINAL`].

mod arbiter;
mod assignments;
mod base;
mod insert;
mod layout;
mod merge;
mod returning;
mod update;
mod upsert;

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};
use lakegate_engine_api::EngineError;
use sqlparser::ast::{Delete, Insert, Merge, Statement, Update};

use super::insert::ParameterFields;
use super::target::Target;
use crate::error;
use crate::plan::Planner;
use crate::policy::{TargetUse, raw_column};

pub use self::base::{TargetName, quoted, select};
pub use self::layout::ORDINAL;
pub use self::upsert::{PROPOSED, proposed_plan};

/// Name under which the changed table stands in the plans made here; subqueries see it under its own.
pub const TARGET: &str = "\u{0}target";

/// What is done to a row, as the first column says it.
pub mod action {
    pub const NOTHING: i8 = 0;
    pub const INSERT: i8 = 1;
    pub const UPDATE: i8 = 2;
    pub const DELETE: i8 = 3;
}

/// A statement taken apart as far as how it is run depends on it.
#[expect(clippy::large_enum_variant, reason = "there is one a statement")]
pub enum Dml {
    Insert(Insert),
    Upsert(Upsert),
    Update(Update),
    Delete(Delete),
    Merge(Merge),
}

/// INSERT … ON CONFLICT.
pub struct Upsert {
    pub insert: Insert,
    /// Positions of the columns of each constraint that decides.
    pub arbiters: Vec<Vec<usize>>,
    /// `None`: DO NOTHING.
    pub update: Option<sqlparser::ast::DoUpdate>,
}

/// A plan in the columns told above; not analysed.
pub struct ChangePlan {
    pub plan: LogicalPlan,
    pub shape: Shape,
}

/// Where the parts of a change's rows are, and what becomes of a row of the target that is named twice.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Columns of the new row: all of the table's, or none.
    pub width: usize,
    /// Columns that RETURNING gives.
    pub returned: usize,
    pub twice: Twice,
    /// Rows to be inserted must differ in these columns from those inserted before them: positions in the row.
    pub arbiters: Arc<Vec<Vec<usize>>>,
}

/// A row of the target comes more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    /// Only the first counts.
    Ignored,
    /// INSERT … ON CONFLICT DO UPDATE.
    RefusedByUpsert,
    /// MERGE, unless nothing is done to it.
    RefusedByMerge,
}

impl Dml {
    /// # Errors
    /// `Unsupported` for clauses that are not there; the statement's mistakes in the clauses that are looked at here.
    pub fn new(statement: &Statement, target: &Target) -> Result<Self, EngineError> {
        let mut statement = statement.clone();
        base::shorten_names(&mut statement, target)?;
        match statement {
            Statement::Insert(insert) => match &insert.on {
                Some(on) => {
                    let (arbiters, update) = arbiter::arbiters(on, target)?;
                    Ok(Dml::Upsert(Upsert { arbiters, update, insert }))
                }
                None => Ok(Dml::Insert(insert)),
            },
            Statement::Update(update) => Ok(Dml::Update(update)),
            Statement::Delete(delete) => Ok(Dml::Delete(delete)),
            Statement::Merge(merge) => Ok(Dml::Merge(merge)),
            _ => Err(error::unsupported("this statement")),
        }
    }

    /// Whether rows of the target may be replaced: not by an INSERT.
    #[must_use]
    pub fn rewrites(&self) -> bool {
        match self {
            Dml::Insert(_) => false,
            Dml::Upsert(upsert) => upsert.update.is_some(),
            Dml::Update(_) | Dml::Delete(_) | Dml::Merge(_) => true,
        }
    }

    /// Whether rows are inserted because others are not there: then no other commit may have added rows meanwhile.
    #[must_use]
    pub fn rests_on_absence(&self) -> bool {
        match self {
            Dml::Upsert(_) => true,
            Dml::Merge(merge) => merge::inserts(merge),
            _ => false,
        }
    }

    /// How it looks at the rows of its target.
    #[must_use]
    pub fn target_use(&self) -> TargetUse {
        match self {
            Dml::Upsert(_) => TargetUse::Upsert,
            Dml::Insert(_) | Dml::Merge(_) => TargetUse::Merge,
            Dml::Update(_) => TargetUse::Update,
            Dml::Delete(_) => TargetUse::Delete,
        }
    }

    #[must_use]
    pub fn returns_rows(&self) -> bool {
        match self {
            Dml::Insert(insert) | Dml::Upsert(Upsert { insert, .. }) => insert.returning.is_some(),
            Dml::Update(update) => update.returning.is_some(),
            Dml::Delete(delete) => delete.returning.is_some(),
            Dml::Merge(_) => false,
        }
    }

    /// The plans, in the order in which they are run. `planner` is over sources that hold [`TARGET`] and for an upsert [`PROPOSED`].
    ///
    /// # Errors
    /// The statement's mistakes.
    pub fn plans(&self, planner: &Planner<'_>, target: &Target, parameters: &ParameterFields) -> Result<Vec<ChangePlan>, EngineError> {
        let context = Context { planner, target, parameters, target_use: self.target_use() };
        match self {
            Dml::Insert(insert) => Ok(vec![insert::plan(&context, insert)?]),
            Dml::Upsert(upsert) => Ok(vec![upsert::plan(&context, upsert)?]),
            Dml::Update(update) => Ok(vec![update::plan_update(&context, update)?]),
            Dml::Delete(delete) => Ok(vec![update::plan_delete(&context, delete)?]),
            Dml::Merge(merge) => merge::plans(&context, merge),
        }
    }
}

/// What planning needs.
pub struct Context<'a> {
    pub planner: &'a Planner<'a>,
    pub target: &'a Target,
    pub parameters: &'a ParameterFields,
    pub target_use: TargetUse,
}

impl Context<'_> {
    /// The value that a column of the target has, which is not the one that the statement sees where the column is masked.
    pub fn stored(&self, name: &TargetName, column: &str) -> Expr {
        name.column(&self.stored_name(column))
    }

    /// The name of that value among the target's columns.
    pub fn stored_name(&self, column: &str) -> String {
        let Some(policies) = &self.target.policies else { return column.to_owned() };
        let masked = policies.masks.iter().any(|(masked, _)| masked == column);
        let hidden = self.target_use == TargetUse::Upsert && policies.rows.is_some();
        if masked || hidden { raw_column(column) } else { column.to_owned() }
    }
}
