//! What the log says about a set of files, as DataFusion's optimizer wants it.

use arrow::compute::{cast, sum};
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_schema::DataType;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;

use super::files::{DataFile, FileList};
use super::prune::{by_name, kept, rounded_up};
use super::schema::TableColumns;

/// Which files are meant.
#[derive(Clone, Copy)]
pub enum Pick<'a> {
    /// Those with `true`, one entry a file.
    Kept(&'a [bool]),
    One(usize),
}

impl Pick<'_> {
    fn has(self, number: usize) -> bool {
        match self {
            Pick::Kept(keep) => keep.get(number) == Some(&true),
            Pick::One(one) => one == number,
        }
    }

    fn of(self, values: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Pick::Kept(keep) => kept(values, keep),
            Pick::One(one) => Ok(values.slice(one, 1)),
        }
    }

    fn files<'f>(self, files: &'f FileList) -> Box<dyn Iterator<Item = &'f DataFile> + 'f>
    where
        Self: 'f,
    {
        match self {
            Pick::Kept(_) => Box::new(files.files.iter().enumerate().filter(move |(number, _)| self.has(*number)).map(|(_, file)| file)),
            Pick::One(one) => Box::new(files.files.get(one).into_iter()),
        }
    }
}

/// Statistics over the picked files, one entry a column in `order` (positions in the table's columns; `None` for a
/// column that the table does not have). Only row and null counts are exact: bounds may be truncated.
pub fn of_files(files: &FileList, pick: Pick<'_>, columns: &TableColumns, order: &[Option<usize>]) -> Result<Statistics> {
    let rows: Option<u64> = pick.files(files).map(DataFile::rows).sum();
    let has_deletions = pick.files(files).any(|file| file.deletion_vector.is_some());
    let bytes: u64 = pick.files(files).map(|file| file.size_bytes).sum();
    let mut column_statistics = Vec::with_capacity(order.len());
    for at in order {
        column_statistics.push(match at {
            Some(at) => column(files, pick, columns, *at, has_deletions)?,
            None => ColumnStatistics::new_unknown(),
        });
    }
    Ok(Statistics {
        num_rows: rows.and_then(|rows| usize::try_from(rows).ok()).map_or(Precision::Absent, Precision::Exact),
        total_byte_size: usize::try_from(bytes).map_or(Precision::Absent, Precision::Inexact),
        column_statistics,
    })
}

fn column(files: &FileList, pick: Pick<'_>, columns: &TableColumns, at: usize, has_deletions: bool) -> Result<ColumnStatistics> {
    let column = &columns.columns[at];
    let mut statistics = ColumnStatistics::new_unknown();
    if column.is_partition {
        let place = columns.partitions.iter().position(|partition| *partition == at);
        if let Some(values) = place.and_then(|place| files.partitions.get(place)) {
            let values = pick.of(values)?;
            statistics.min_value = bound(&values, Bound::Min)?;
            statistics.max_value = bound(&values, Bound::Max)?;
        }
        return Ok(statistics);
    }
    let data_type = column.field.data_type();
    let of = |values: Option<&arrow_array::StructArray>| -> Result<Option<ArrayRef>> {
        match values.and_then(|values| by_name(values, column.physical.name(), column.field.name())) {
            Some(values) => Ok(Some(pick.of(&values)?)),
            None => Ok(None),
        }
    };
    if let Some(counts) = of(files.null_count.as_ref())?
        && let Ok(counts) = cast(&counts, &DataType::UInt64)
        && counts.null_count() == 0
    {
        let count = sum(counts.as_primitive::<UInt64Type>()).and_then(|count| usize::try_from(count).ok());
        statistics.null_count = match count {
            Some(count) if !has_deletions => Precision::Exact(count),
            Some(count) => Precision::Inexact(count),
            None => Precision::Absent,
        };
    }
    if is_comparable(data_type)
        && let (Some(min), Some(max)) = (of(files.min.as_ref())?, of(files.max.as_ref())?)
        // A file without bounds may hold anything.
        && min.null_count() == 0
        && max.null_count() == 0
        && let (Ok(min), Ok(max)) = (cast(&min, data_type), cast(&max, data_type))
    {
        statistics.min_value = bound(&min, Bound::Min)?;
        statistics.max_value = bound(&rounded_up(&max).unwrap_or(max), Bound::Max)?;
    }
    Ok(statistics)
}

fn is_comparable(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Date32 | DataType::Timestamp(..) | DataType::Decimal128(..) | DataType::Float32 | DataType::Float64
        )
}

enum Bound {
    Min,
    Max,
}

fn bound(values: &ArrayRef, which: Bound) -> Result<Precision<ScalarValue>> {
    if values.data_type().is_nested() || values.null_count() > 0 || values.is_empty() {
        return Ok(Precision::Absent);
    }
    let values = std::slice::from_ref(values);
    let found = match which {
        Bound::Min => {
            let mut accumulator = MinAccumulator::try_new(values[0].data_type())?;
            accumulator.update_batch(values)?;
            accumulator.evaluate()?
        }
        Bound::Max => {
            let mut accumulator = MaxAccumulator::try_new(values[0].data_type())?;
            accumulator.update_batch(values)?;
            accumulator.evaluate()?
        }
    };
    Ok(if found.is_null() { Precision::Absent } else { Precision::Inexact(found) })
}
