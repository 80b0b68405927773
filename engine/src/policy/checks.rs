//! WITH CHECK: the rows that a statement makes must pass the policies. The check is part of the column that says what is done to a row, so
//! that no row gets further without it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;
use arrow_array::{Array, BooleanArray};
use arrow_schema::DataType;
use datafusion::common::{Column, Result, TableReference};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use lakegate_engine_api::{EngineError, OWN_ROW, RowCheck, TablePolicies};
use sqlparser::ast;

use super::source::{TargetUse, masked_plan, own_schema};
use crate::error;
use crate::plan::Planner;
use crate::write::dml_action as action;

/// The plan with copies of the row's columns, `(name, value)`, under [`OWN_ROW`].
///
/// # Errors
/// None that a statement can cause.
pub fn own_row(plan: LogicalPlan, row: impl IntoIterator<Item = (String, Expr)>) -> Result<LogicalPlan> {
    let kept = plan.schema().columns().into_iter().map(Expr::Column);
    let own = row.into_iter().map(|(name, value)| value.alias_qualified(Some(TableReference::bare(OWN_ROW)), name));
    let exprs: Vec<Expr> = kept.chain(own).collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

/// A plan that has [`own_row`] with the rows' checks in its column `action`, and with masks in the place of the row's values.
///
/// # Errors
/// The policies' own mistakes.
pub fn checked_rows(planner: &Planner<'_>, plan: LogicalPlan, policies: &TablePolicies, table: &str, action: &str) -> Result<LogicalPlan> {
    let plan = checked(planner, plan, policies, table, action)?;
    masked_plan(planner, plan, policies)
}

fn checked(planner: &Planner<'_>, plan: LogicalPlan, policies: &TablePolicies, table: &str, action: &str) -> Result<LogicalPlan> {
    let Some(rows) = &policies.rows else { return Ok(plan) };
    let own = own_schema(plan.schema())?;
    let mut kinds = Vec::new();
    let mut conditions = Vec::new();
    let mut add = |of: i8, check: &RowCheck| -> Result<()> {
        let condition = planner.expression(is_true(check.condition.clone()), &own, Vec::new())?;
        conditions.push(condition);
        kinds.push(Kind { of, policy: check.policy.clone(), row: Row::New });
        Ok(())
    };
    for check in &rows.insert_checks {
        add(action::INSERT, check)?;
    }
    for check in &rows.update_checks {
        add(action::UPDATE, check)?;
    }
    if rows.reads_target {
        let seen = RowCheck { policy: None, condition: rows.select.clone() };
        add(action::INSERT, &seen)?;
        add(action::UPDATE, &seen)?;
    }
    if kinds.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().columns();
    let names: Vec<String> = (0..conditions.len()).map(|at| format!("\u{0}check{at}")).collect();
    let evaluated = conditions.into_iter().zip(&names).map(|(condition, name)| condition.alias(name));
    let all: Vec<Expr> = columns.iter().cloned().map(Expr::Column).chain(evaluated).collect();
    let plan = LogicalPlanBuilder::from(plan).project(all)?.build()?;
    let function = Arc::new(ScalarUDF::new_from_impl(CheckRows {
        table: table.to_owned(),
        kinds,
        signature: Signature::any(names.len() + 1, Volatility::Volatile),
    }));
    let exprs: Vec<Expr> = columns
        .into_iter()
        .map(|column| {
            if column.relation.is_some() || column.name != action {
                return Expr::Column(column);
            }
            let args = std::iter::once(Expr::Column(column)).chain(names.iter().map(|name| Expr::Column(Column::from_name(name))));
            function.call(args.collect()).alias(action)
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

/// The action, where policies let it be done to the row that is there.
#[must_use]
pub fn guarded(action: Expr, guards: Vec<(i8, Expr)>, table: &str, target: TargetUse) -> Expr {
    if guards.is_empty() {
        return action;
    }
    let row = if target == TargetUse::Upsert { Row::Conflicting } else { Row::Found };
    let (kinds, conditions): (Vec<Kind>, Vec<Expr>) =
        guards.into_iter().map(|(of, condition)| (Kind { of, policy: None, row }, condition)).unzip();
    let signature = Signature::any(conditions.len() + 1, Volatility::Volatile);
    let function = ScalarUDF::new_from_impl(CheckRows { table: table.to_owned(), kinds, signature });
    function.call(std::iter::once(action).chain(conditions).collect())
}

fn is_true(expr: ast::Expr) -> ast::Expr {
    ast::Expr::IsTrue(Box::new(ast::Expr::Nested(Box::new(expr))))
}

/// What a check is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    /// The action whose rows are checked.
    of: i8,
    policy: Option<String>,
    row: Row,
}

/// Which row is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Row {
    /// As it will be.
    New,
    /// By MERGE.
    Found,
    /// With what INSERT … ON CONFLICT proposes.
    Conflicting,
}

/// `(action, check, …)`: the action, where every check of it is true.
#[derive(Debug)]
struct CheckRows {
    table: String,
    kinds: Vec<Kind>,
    signature: Signature,
}

impl PartialEq for CheckRows {
    fn eq(&self, other: &Self) -> bool {
        self.table == other.table && self.kinds == other.kinds
    }
}

impl Eq for CheckRows {}

impl Hash for CheckRows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.table.hash(state);
        self.kinds.hash(state);
    }
}

impl ScalarUDFImpl for CheckRows {
    fn name(&self) -> &'static str {
        "#check_rows"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some((actions, checks)) = arrays.split_first() else { return Err(error::external(error::internal("a check has a row"))) };
        let done = actions.as_primitive::<Int8Type>();
        for (kind, check) in self.kinds.iter().zip(checks) {
            let passed: Option<&BooleanArray> = check.as_boolean_opt();
            let fails = |row: usize| {
                done.is_valid(row) && done.value(row) == kind.of && !passed.is_some_and(|passed| passed.is_valid(row) && passed.value(row))
            };
            if (0..done.len()).any(fails) {
                return Err(error::external(violated(&self.table, kind)));
            }
        }
        Ok(ColumnarValue::Array(Arc::clone(actions)))
    }
}

/// Source: `ExecWithCheckOptions`.
fn violated(table: &str, kind: &Kind) -> EngineError {
    let named = kind.policy.as_ref().map(|policy| format!(" \"{policy}\"")).unwrap_or_default();
    let (row, using) = match kind.row {
        Row::New => ("new", ""),
        Row::Found => ("target", " (USING expression)"),
        Row::Conflicting => ("new", " (USING expression)"),
    };
    let detail = match (&kind.policy, kind.row) {
        (Some(policy), _) => format!("The restrictive policy \"{policy}\" does not let the role make this row."),
        (None, Row::New) => "No policy lets the role make this row.".to_owned(),
        (None, Row::Found | Row::Conflicting) => "No policy lets the role change the row that is there.".to_owned(),
    };
    EngineError::Policy {
        message: format!("{row} row violates row-level security policy{named}{using} for table \"{table}\""),
        detail: Some(detail),
    }
}
