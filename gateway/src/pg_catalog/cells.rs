//! Cells to Arrow columns: a relation is put together column by column over the same rows, its schema being the recorded one.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Decimal128Builder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder,
    IntervalMonthDayNanoBuilder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::types::IntervalMonthDayNano;
use arrow_array::{
    ArrayRef, BooleanArray, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array,
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, IntervalUnit, TimeUnit};
use chrono::{DateTime, Utc};

use super::broken;
use super::recorded::Recorded;
use crate::sqlstate::SqlError;

/// One value, before its column's type is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// Microseconds since 1970, UTC.
    Time(i64),
    /// An interval.
    Seconds(i64),
    List(Vec<Cell<'a>>),
}

impl From<bool> for Cell<'_> {
    fn from(value: bool) -> Self {
        Cell::Bool(value)
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {
        $(impl From<$number> for Cell<'_> {
            fn from(value: $number) -> Self {
                Cell::Int(i64::from(value))
            }
        })*
    };
}

whole_numbers!(i16, i32, i64, u32);

impl From<f32> for Cell<'_> {
    fn from(value: f32) -> Self {
        Cell::Float(f64::from(value))
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Cell::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(value: &'a String) -> Self {
        Cell::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Cell<'_> {
    fn from(value: String) -> Self {
        Cell::Text(Cow::Owned(value))
    }
}

impl From<DateTime<Utc>> for Cell<'_> {
    fn from(value: DateTime<Utc>) -> Self {
        Cell::Time(value.timestamp_micros())
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

impl<'a, T: Into<Cell<'a>>> From<Vec<T>> for Cell<'a> {
    fn from(values: Vec<T>) -> Self {
        Cell::List(values.into_iter().map(Into::into).collect())
    }
}

/// A relation being filled.
pub struct Columns<'a, Row> {
    relation: &'static Recorded,
    rows: &'a [Row],
    arrays: Vec<Option<ArrayRef>>,
    /// Places of the columns that are wanted.
    wanted: Vec<usize>,
    fault: Option<SqlError>,
}

impl<'a, Row> Columns<'a, Row> {
    pub fn over(relation: &'static Recorded, rows: &'a [Row]) -> Self {
        let count = relation.columns.len();
        Columns { relation, rows, arrays: vec![None; count], wanted: (0..count).collect(), fault: None }
    }

    /// Leaves out all other columns.
    pub fn only(mut self, wanted: Option<&[usize]>) -> Self {
        if let Some(wanted) = wanted {
            self.wanted = wanted.to_vec();
        }
        self
    }

    /// Fills a column.
    pub fn put<'v, Value: Into<Cell<'v>>>(mut self, column: &str, value: impl Fn(&'a Row) -> Value) -> Self
    where
        'a: 'v,
    {
        let at = match self.position(column) {
            Ok(at) if !self.wanted.contains(&at) => return self,
            at => at,
        };
        let made = at.and_then(|at| {
            let data_type = self.relation.schema.field(at).data_type();
            let cells = self.rows.iter().map(|row| value(row).into());
            array(data_type, cells)
                .map(|array| (at, array))
                .map_err(|error| broken(format_args!("{}.{column}: {error}", self.relation.name)))
        });
        match made {
            Ok((at, array)) => {
                if let Some(place) = self.arrays.get_mut(at) {
                    *place = Some(array);
                }
            }
            Err(fault) => self.fault = self.fault.or(Some(fault)),
        }
        self
    }

    /// Fills a column with one value.
    pub fn all<'v, Value: Into<Cell<'v>>>(mut self, column: &str, value: Value) -> Self
    where
        'a: 'v,
    {
        let cell: Cell<'v> = value.into();
        let same = self.position(column).ok().filter(|at| self.wanted.contains(at)).and_then(|at| {
            let data_type = self.relation.schema.field(at).data_type();
            Some((at, repeated(data_type, &cell, self.rows.len())?))
        });
        match same {
            Some((at, array)) => {
                if let Some(place) = self.arrays.get_mut(at) {
                    *place = Some(array);
                }
                self
            }
            None => self.put(column, |_| cell.clone()),
        }
    }

    /// Columns that were not filled are NULL.
    ///
    /// # Errors
    /// XX000 for a column that is not there or a value that does not fit it.
    pub fn finish(self) -> Result<Vec<RecordBatch>, SqlError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let rows = self.rows.len();
        let (relation, arrays) = (self.relation, &self.arrays);
        let filled = |column: &usize| {
            let null = || new_null_array(relation.schema.field(*column).data_type(), rows);
            arrays.get(*column).cloned().flatten().unwrap_or_else(null)
        };
        let filled = self.wanted.iter().map(filled).collect();
        let schema = match self.wanted.len() == relation.columns.len() {
            true => Arc::clone(&relation.schema),
            false => Arc::new(relation.schema.project(&self.wanted).map_err(|error| broken(format_args!("{}: {error}", relation.name)))?),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, filled, &options);
        batch.map(|batch| vec![batch]).map_err(|error| broken(format_args!("{}: {error}", relation.name)))
    }

    fn position(&self, column: &str) -> Result<usize, SqlError> {
        let relation = self.relation;
        relation
            .columns
            .iter()
            .position(|own| own.name == column)
            .ok_or_else(|| broken(format_args!("{} has no column {column}", relation.name)))
    }
}

/// # Errors
/// XX000 where arrays and schema do not agree.
pub fn batch(relation: &Recorded, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, SqlError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(&relation.schema), arrays, &options)
        .map_err(|error| broken(format_args!("{}: {error}", relation.name)))
}

/// A column of one value; `None` for types that are filled value by value.
fn repeated(data_type: &DataType, cell: &Cell<'_>, rows: usize) -> Option<ArrayRef> {
    Some(match (data_type, cell) {
        (DataType::Boolean, Cell::Bool(value)) => Arc::new(BooleanArray::from(vec![*value; rows])),
        (DataType::Int16, Cell::Int(value)) => Arc::new(Int16Array::from_value(i16::try_from(*value).ok()?, rows)),
        (DataType::Int32, Cell::Int(value)) => Arc::new(Int32Array::from_value(i32::try_from(*value).ok()?, rows)),
        (DataType::Int64, Cell::Int(value)) => Arc::new(Int64Array::from_value(*value, rows)),
        (DataType::Utf8, Cell::Text(value)) => {
            // 32 bits of offsets hold it.
            i32::try_from(value.len().checked_mul(rows)?).ok()?;
            let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(value.len(), rows));
            Arc::new(StringArray::try_new(offsets, value.repeat(rows).into_bytes().into(), None).ok()?)
        }
        _ => return None,
    })
}

/// One column.
///
/// # Errors
/// Where a value does not fit the type.
pub fn array<'v>(data_type: &DataType, cells: impl Iterator<Item = Cell<'v>>) -> Result<ArrayRef, ArrowError> {
    macro_rules! fill {
        ($builder:expr, $cell:pat => $value:expr) => {{
            let mut builder = $builder;
            for cell in cells {
                match cell {
                    Cell::Null => builder.append_null(),
                    $cell => builder.append_value($value),
                    other => return Err(misfit(data_type, &other)),
                }
            }
            Ok(Arc::new(builder.finish()) as ArrayRef)
        }};
    }
    match data_type {
        DataType::Boolean => fill!(BooleanBuilder::new(), Cell::Bool(value) => value),
        DataType::Int16 => fill!(Int16Builder::new(), Cell::Int(value) => i16::try_from(value).map_err(out_of_range)?),
        DataType::Int32 => fill!(Int32Builder::new(), Cell::Int(value) => i32::try_from(value).map_err(out_of_range)?),
        DataType::Int64 => fill!(Int64Builder::new(), Cell::Int(value) => value),
        #[expect(clippy::cast_possible_truncation, reason = "catalog figures of type real are estimates")]
        DataType::Float32 => fill!(Float32Builder::new(), Cell::Float(value) => value as f32),
        DataType::Float64 => fill!(Float64Builder::new(), Cell::Float(value) => value),
        DataType::Utf8 => fill!(StringBuilder::new(), Cell::Text(value) => value),
        DataType::Binary => fill!(BinaryBuilder::new(), Cell::Text(value) => value.as_bytes()),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            fill!(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()), Cell::Time(value) => value)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            fill!(IntervalMonthDayNanoBuilder::new(), Cell::Seconds(value) => IntervalMonthDayNano::new(0, 0, value * 1_000_000_000))
        }
        DataType::Decimal128(precision, scale) => {
            let unit = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
            fill!(Decimal128Builder::new().with_precision_and_scale(*precision, *scale)?, Cell::Int(value) => i128::from(value) * unit)
        }
        DataType::List(element) => {
            let (mut values, mut lengths, mut nulls) = (Vec::new(), Vec::new(), NullBufferBuilder::new(0));
            for cell in cells {
                let items = match cell {
                    Cell::Null => None,
                    Cell::List(items) => Some(items),
                    other => return Err(misfit(data_type, &other)),
                };
                nulls.append(items.is_some());
                lengths.push(items.as_ref().map_or(0, Vec::len));
                values.extend(items.into_iter().flatten());
            }
            let values = array_of_list(element.data_type(), values)?;
            Ok(Arc::new(ListArray::try_new(Arc::clone(element), OffsetBuffer::from_lengths(lengths), values, nulls.finish())?))
        }
        other => {
            let mut rows = 0;
            for cell in cells {
                if cell != Cell::Null {
                    return Err(misfit(other, &cell));
                }
                rows += 1;
            }
            Ok(new_null_array(other, rows))
        }
    }
}

/// Ends the recursion of generic types in [`array`].
fn array_of_list(data_type: &DataType, values: Vec<Cell<'_>>) -> Result<ArrayRef, ArrowError> {
    let values: Box<dyn Iterator<Item = Cell<'_>> + '_> = Box::new(values.into_iter());
    array(data_type, values)
}

fn misfit(data_type: &DataType, cell: &Cell<'_>) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("{cell:?} is no {data_type}"))
}

fn out_of_range(error: std::num::TryFromIntError) -> ArrowError {
    ArrowError::InvalidArgumentError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use lakegate_engine_api::{arrow_type, catalog::PgType};

    #[test]
    fn lists_keep_null_apart_from_empty() {
        let data_type = arrow_type(PgType::plain(1009)).unwrap();
        let cells = [Cell::Null, Cell::List(vec![]), Cell::from(vec!["a", "b"])];
        let array = array(&data_type, cells.into_iter()).unwrap();
        assert_eq!((array.len(), array.is_null(0), array.is_null(1)), (3, true, false));
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        assert!(array(&DataType::Int16, [Cell::Int(40_000)].into_iter()).is_err());
        assert!(array(&DataType::Boolean, [Cell::from("t")].into_iter()).is_err());
    }
}
