//! What each row of a table must satisfy before it is written: NOT NULL, lengths, CHECK constraints, invariants.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Date32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Date32Array, RecordBatch};
use datafusion::arrow::compute;
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_expr::PhysicalExpr;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{DataError, EngineError, Violation, pg_type};

use super::defaults::log_expression;
use crate::delta::{CONSTRAINT_PREFIX, TableColumn, TableColumns, TableVersion};
use crate::error;
use crate::functions::cast::rounded;
use crate::functions::text::style::Style;
use crate::functions::text::value_out;
use crate::plan::{Planner, Sources, cast_to};

/// Of each value that an error's detail tells.
const SHOWN_BYTES_MAX: usize = 64;

/// Compiled for one version of a table.
pub struct RowChecks {
    table: String,
    columns: TableColumns,
    conditions: Vec<(String, Arc<dyn PhysicalExpr>)>,
    /// Errors tell the row.
    tells: bool,
}

impl RowChecks {
    /// # Errors
    /// `Unsupported` names a constraint that cannot be enforced.
    pub fn new(state: &SessionState, table: &str, version: &TableVersion, columns: &TableColumns) -> Result<Self, EngineError> {
        let mut texts: Vec<(String, String)> = Vec::new();
        for (name, text) in version.snapshot.metadata().configuration() {
            if let Some(name) = name.strip_prefix(CONSTRAINT_PREFIX) {
                texts.push((name.to_owned(), text.clone()));
            }
        }
        // In the order of their names, as PostgreSQL checks them.
        texts.sort();
        for column in &columns.columns {
            if let Some(text) = &column.invariant {
                texts.push((format!("{}_invariant", column.field.name()), text.clone()));
            }
        }
        let schema = DFSchema::try_from(Arc::clone(&columns.schema)).map_err(|error| error::from_datafusion(&error, &[]))?;
        let mut conditions = Vec::new();
        for (name, text) in texts {
            let what = format!("the constraint \"{name}\"");
            let expr = compiled(state, &text, &schema, columns).map_err(|cause| match cause {
                EngineError::Unsupported { .. } => cause,
                other => {
                    tracing::debug!(constraint = name, error = %other, "constraint");
                    error::unsupported(format!("writing a table with {what}, which cannot be evaluated here,"))
                }
            })?;
            conditions.push((name, expr));
        }
        Ok(Self { table: table.to_owned(), columns: columns.clone(), conditions, tells: true })
    }

    /// With errors that do not tell the row, which may have values that the role must not see. Source: `ExecBuildSlotValueDescription`.
    #[must_use]
    pub fn silent(self, silent: bool) -> Self {
        Self { tells: !silent, ..self }
    }

    /// The rows, with text cut to its column's length where only spaces go, and times rounded to its digits.
    ///
    /// # Errors
    /// `Constraint`; `Data` for text that is too long.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, EngineError> {
        let batch = cast_to(batch, &self.columns.schema).map_err(|error| error::from_arrow(&error))?;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
        for (column, array) in self.columns.columns.iter().zip(batch.columns()) {
            let pg = pg_type(&column.field);
            dates_fit(array)?;
            arrays.push(match pg.character_length() {
                Some(length) => fitted(array, usize::try_from(length).unwrap_or(0), pg.oid == 1042)?,
                None => rounded(array, pg),
            });
        }
        // As PostgreSQL: the first row that fails, and in it NOT NULL before the rest.
        let null = self.columns.columns.iter().zip(&arrays).filter(|(column, _)| column.not_null);
        let null = null.filter_map(|(column, array)| Some((first_null(array)?, column))).min_by_key(|(row, _)| *row);
        let rows = null.as_ref().map_or(batch.num_rows(), |(row, _)| *row);
        let whole = arrays.iter().map(|array| array.slice(0, rows)).collect();
        let batch = super::files::with_schema(&self.columns.schema, whole, rows)?;
        if let Some((row, name)) = self.first_unmet(&batch)? {
            let message = format!("new row for relation \"{}\" violates check constraint \"{name}\"", self.table);
            return Err(self.violated(Violation::Check { constraint: name.to_owned() }, message, &arrays, row));
        }
        if let Some((row, column)) = null {
            let name = column.field.name().clone();
            let message = format!("null value in column \"{name}\" of relation \"{}\" violates not-null constraint", self.table);
            return Err(self.violated(Violation::NotNull { column: name }, message, &arrays, row));
        }
        Ok(batch)
    }

    /// The first row that does not meet a condition, and the condition's name.
    fn first_unmet(&self, batch: &RecordBatch) -> Result<Option<(usize, &str)>, EngineError> {
        let mut first: Option<(usize, &str)> = None;
        for (name, condition) in &self.conditions {
            let values = condition
                .evaluate(batch)
                .and_then(|values| values.into_array(batch.num_rows()))
                .map_err(|error| error::from_datafusion(&error, &[]))?;
            // Delta's rule: what is not true violates. Our own constraints are written so that NULL passes.
            let values: Option<&BooleanArray> = values.as_boolean_opt();
            let unmet = (0..batch.num_rows()).find(|row| !values.is_some_and(|values| values.is_valid(*row) && values.value(*row)));
            if let Some(row) = unmet
                && first.is_none_or(|(least, _)| row < least)
            {
                first = Some((row, name));
            }
        }
        Ok(first)
    }

    fn violated(&self, violation: Violation, message: String, arrays: &[ArrayRef], row: usize) -> EngineError {
        let values: Vec<String> = self.columns.columns.iter().zip(arrays).map(|(column, array)| shown(column, array, row)).collect();
        let detail = self.tells.then(|| format!("Failing row contains ({}).", values.join(", ")));
        EngineError::Constraint { violation, message, table: self.table.clone(), detail }
    }
}

/// A table's statistics hold dates that chrono can tell.
fn dates_fit(array: &ArrayRef) -> Result<(), EngineError> {
    let dates = match array.as_list_opt::<i32>() {
        Some(lists) => lists.values(),
        None => array,
    };
    let Some(dates) = dates.as_primitive_opt::<Date32Type>() else { return Ok(()) };
    let is_told = |day: &i32| chrono::NaiveDate::from_epoch_days(*day).is_some();
    let Some(far) = [compute::min(dates), compute::max(dates)].into_iter().flatten().find(|day| !is_told(day)) else { return Ok(()) };
    let mut shown = String::new();
    let _ = value_out::push(&mut shown, &Date32Array::from(vec![far]), 0, PgType::DATE, &Style::default());
    Err(EngineError::Data { error: DataError::DatetimeOverflow, message: format!("date out of range for a table: \"{shown}\"") })
}

fn first_null(array: &ArrayRef) -> Option<usize> {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0)?;
    (0..array.len()).find(|row| nulls.is_null(*row))
}

/// A value as an error's detail tells it. Source: `ExecBuildSlotValueDescription`.
fn shown(column: &TableColumn, array: &ArrayRef, row: usize) -> String {
    if array.logical_nulls().is_some_and(|nulls| nulls.is_null(row)) {
        return "null".to_owned();
    }
    if let Some(values) = array.as_boolean_opt() {
        return if values.value(row) { "t" } else { "f" }.to_owned();
    }
    let mut text = String::new();
    // What has no form is not worth another error.
    if value_out::push(&mut text, array, row, pg_type(&column.field), &Style::default()).is_err() {
        return "?".to_owned();
    }
    match text.char_indices().find(|(at, letter)| at + letter.len_utf8() > SHOWN_BYTES_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn compiled(state: &SessionState, text: &str, schema: &DFSchema, columns: &TableColumns) -> Result<Arc<dyn PhysicalExpr>, EngineError> {
    let ast = log_expression(text, "a constraint")?;
    let sources = Sources::default();
    let expr = Planner::new(state, &sources).expression(ast, schema, Vec::new()).map_err(|error| error::from_datafusion(&error, &[]))?;
    let expr = analyzed(state, expr, columns)?;
    state.create_physical_expr(expr, schema).map_err(|error| error::from_datafusion(&error, &[]))
}

/// An expression over a table's columns as the analyzer's rules leave it: types resolved, casts PostgreSQL's.
fn analyzed(state: &SessionState, expr: Expr, columns: &TableColumns) -> Result<Expr, EngineError> {
    let plan = || -> datafusion::common::Result<Expr> {
        let empty = Arc::new(datafusion::datasource::empty::EmptyTable::new(Arc::clone(&columns.schema)));
        let source = datafusion::datasource::provider_as_source(empty);
        let plan = LogicalPlanBuilder::scan("t", source, None)?.project([expr.alias("condition")])?.build()?;
        let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
        let LogicalPlan::Projection(projection) = plan else {
            return datafusion::common::internal_err!("a projection stays one");
        };
        let [condition] = projection.expr.as_slice() else {
            return datafusion::common::internal_err!("one expression stays one");
        };
        unqualified(condition.clone().unalias())
    };
    plan().map_err(|error| error::from_datafusion(&error, &[]))
}

fn unqualified(expr: Expr) -> datafusion::common::Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
    expr.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    })
    .data()
}

/// PostgreSQL's rule for assignments to `varchar(n)` and `char(n)`: spaces beyond the length go, anything else is an
/// error. `char(n)` is kept without its padding.
fn fitted(array: &ArrayRef, length: usize, is_char: bool) -> Result<ArrayRef, EngineError> {
    let Some(values) = array.as_string_opt::<i32>() else { return Ok(Arc::clone(array)) };
    let fits = |value: &str| value.len() <= length || value.chars().count() <= length;
    let padded = |value: &str| is_char && value.ends_with(' ');
    if values.iter().flatten().all(|value| fits(value) && !padded(value)) {
        return Ok(Arc::clone(array));
    }
    let mut builder = StringBuilder::with_capacity(values.len(), values.value_data().len());
    for value in values {
        let Some(value) = value else {
            builder.append_null();
            continue;
        };
        let mut kept = value;
        if !fits(value) {
            let end = value.char_indices().nth(length).map_or(value.len(), |(at, _)| at);
            let (head, rest) = value.split_at(end);
            if rest.chars().any(|c| c != ' ') {
                let name = if is_char { "character" } else { "character varying" };
                return Err(error::data(DataError::StringTooLong, format!("value too long for type {name}({length})")));
            }
            kept = head;
        }
        builder.append_value(if is_char { kept.trim_end_matches(' ') } else { kept });
    }
    Ok(Arc::new(builder.finish()))
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;

    use super::*;

    fn fit(values: &[&str], length: usize, is_char: bool) -> Result<Vec<String>, EngineError> {
        let array: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        let fitted = fitted(&array, length, is_char)?;
        Ok(fitted.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
    }

    #[test]
    fn lengths_are_enforced_as_postgresql_does() {
        assert_eq!(fit(&["äöü", "ab  ", "abc   "], 3, false).unwrap(), ["äöü", "ab ", "abc"]);
        assert_eq!(fit(&["ab  ", "abc"], 3, true).unwrap(), ["ab", "abc"]);
        let error = fit(&["abcd"], 3, false).unwrap_err();
        assert_eq!(error.to_string(), "value too long for type character varying(3)");
    }
}
