//! Which files a predicate can skip, by partition values and the log's statistics.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::compute::{cast, filter};
use arrow_array::builder::BooleanBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StructArray, UInt64Array};
use arrow_schema::{DataType, Schema, TimeUnit};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

use super::files::FileList;
use super::schema::TableColumns;

/// A condition on partition columns alone: it is decided for each file, once.
#[must_use]
pub fn is_on_partitions(expr: &Expr, columns: &TableColumns) -> bool {
    let references = expr.column_refs();
    !references.is_empty()
        && !expr.is_volatile()
        && references.iter().all(|column| columns.partitions.iter().any(|at| columns.columns[*at].field.name() == &column.name))
}

/// `true` for each file that may hold rows for which all filters are true.
pub fn matching(session: &dyn Session, files: &FileList, columns: &TableColumns, filters: &[Expr]) -> Result<Vec<bool>> {
    let mut keep = vec![true; files.files.len()];
    if files.files.is_empty() || filters.is_empty() {
        return Ok(keep);
    }
    let (exact, others): (Vec<Expr>, Vec<Expr>) = filters.iter().cloned().partition(|filter| is_on_partitions(filter, columns));
    if let Some(condition) = conjunction(exact) {
        for (keep, matches) in keep.iter_mut().zip(on_partitions(session, files, columns, &condition)?.iter()) {
            *keep &= matches == Some(true);
        }
    }
    let schema = DFSchema::try_from(Arc::clone(&columns.schema))?;
    for filter in others {
        // One at a time: a filter that says nothing about statistics must not take the others' effect.
        let Ok(physical) = session.create_physical_expr(filter, &schema) else { continue };
        let Ok(predicate) = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&columns.schema)).try_build(physical) else {
            continue;
        };
        if predicate.always_true() {
            continue;
        }
        let Ok(matches) = predicate.prune(&LogStatistics { files, columns }) else { continue };
        for (keep, matches) in keep.iter_mut().zip(matches) {
            *keep &= matches;
        }
    }
    Ok(keep)
}

fn on_partitions(session: &dyn Session, files: &FileList, columns: &TableColumns, condition: &Expr) -> Result<BooleanArray> {
    let fields: Vec<_> =
        columns.partitions.iter().map(|at| Arc::new(columns.columns[*at].field.as_ref().clone().with_nullable(true))).collect();
    let schema = Arc::new(Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(files.files.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), files.partitions.clone(), &options)?;
    let physical = session.create_physical_expr(condition.clone(), &DFSchema::try_from(schema)?)?;
    let values = physical.evaluate(&batch)?.into_array(batch.num_rows())?;
    Ok(cast(&values, &DataType::Boolean)?.as_boolean().clone())
}

/// The log's statistics, in the types that statements see.
struct LogStatistics<'a> {
    files: &'a FileList,
    columns: &'a TableColumns,
}

impl LogStatistics<'_> {
    fn column(&self, values: Option<&StructArray>, column: &Column) -> Option<ArrayRef> {
        let found = &self.columns.columns[self.columns.position(&column.name)?];
        let array = by_name(values?, found.physical.name(), found.field.name())?;
        let typed = cast(&array, found.field.data_type()).ok()?;
        (typed.len() == self.files.files.len()).then_some(typed)
    }

    fn partition(&self, column: &Column) -> Option<&ArrayRef> {
        let at = self.columns.position(&column.name)?;
        let place = self.columns.partitions.iter().position(|partition| *partition == at)?;
        self.files.partitions.get(place)
    }
}

pub fn by_name(values: &StructArray, physical: &str, logical: &str) -> Option<ArrayRef> {
    values.column_by_name(physical).or_else(|| values.column_by_name(logical)).cloned()
}

/// Types whose minimum and maximum in the log bound all values of a file.
fn is_bounded(data_type: &DataType) -> bool {
    // Intervals are kept as text, whose order is another one.
    !matches!(data_type, DataType::Binary | DataType::Boolean | DataType::Interval(_)) && !data_type.is_nested()
}

impl PruningStatistics for LogStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(values) = self.partition(column) {
            return Some(Arc::clone(values));
        }
        let values = self.column(self.files.min.as_ref(), column)?;
        is_bounded(values.data_type()).then_some(values)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(values) = self.partition(column) {
            return Some(Arc::clone(values));
        }
        let values = self.column(self.files.max.as_ref(), column)?;
        match values.data_type() {
            // Writers leave NaN out of the statistics, and it is greater than all other values.
            DataType::Float32 | DataType::Float64 => None,
            DataType::Timestamp(TimeUnit::Microsecond, _) => rounded_up(&values),
            data_type if is_bounded(data_type) => Some(values),
            _ => None,
        }
    }

    fn num_containers(&self) -> usize {
        self.files.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(values) = self.partition(column) {
            let rows = &self.files.row_counts;
            let counts: UInt64Array = (0..values.len())
                .map(|row| match values.is_null(row) {
                    true => rows.is_valid(row).then(|| rows.value(row)),
                    false => Some(0),
                })
                .collect();
            return Some(Arc::new(counts));
        }
        let found = &self.columns.columns[self.columns.position(&column.name)?];
        let counts = by_name(self.files.null_count.as_ref()?, found.physical.name(), found.field.name())?;
        cast(&counts, &DataType::UInt64).ok()
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.files.row_counts.clone()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// Log entries and checkpoints hold timestamps in milliseconds, rounded down: the true maximum may lie in the same
/// millisecond.
pub fn rounded_up(values: &ArrayRef) -> Option<ArrayRef> {
    let values = values.as_primitive_opt::<TimestampMicrosecondType>()?;
    let up = values.unary::<_, TimestampMicrosecondType>(|value| if value % 1_000 == 0 { value.saturating_add(999) } else { value });
    Some(Arc::new(up.with_timezone_opt(match values.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    })))
}

/// The rows of an array for which `keep` is true.
pub fn kept(values: &ArrayRef, keep: &[bool]) -> Result<ArrayRef> {
    let mut mask = BooleanBuilder::with_capacity(keep.len());
    mask.append_slice(keep);
    Ok(filter(values, &mask.finish())?)
}
