//! Rows of arguments for function bodies: typed access without a match per value on the caller's side.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, BooleanBuilder, Date32Array, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListBuilder, StringArray, StringBuilder, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::pg_type;

use super::error::out_of_range;
use super::function::Body;

/// All rows of one call.
pub struct Rows {
    columns: Vec<Column>,
    rows: usize,
    strict: bool,
}

struct Column {
    array: ArrayRef,
    nulls: Option<NullBuffer>,
    /// A constant stands at index 0 for every row.
    constant: bool,
    pg: PgType,
}

/// One row; arguments are counted from 0. An accessor of the wrong type, or of a NULL, gives a zero value: bodies ask for
/// what their overload declares.
pub struct Row<'a> {
    columns: &'a [Column],
    at: usize,
}

impl Rows {
    pub fn new(args: &[ColumnarValue], fields: &[FieldRef], rows: usize, strict: bool) -> Result<Self> {
        let columns = args
            .iter()
            .zip(fields)
            .map(|(arg, field)| {
                let (array, constant) = match arg {
                    ColumnarValue::Array(array) => (Arc::clone(array), false),
                    ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
                };
                let nulls = array.logical_nulls();
                Ok(Column { array, nulls, constant, pg: pg_type(field) })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Rows { columns, rows, strict })
    }

    pub fn run(&self, body: &Body, result: &DataType) -> Result<ArrayRef> {
        match body {
            Body::Bool(body) => {
                let mut builder = BooleanBuilder::with_capacity(self.rows);
                self.each(|row| {
                    builder.append_option(self.value(row, body)?);
                    Ok(())
                })?;
                Ok(Arc::new(builder.finish()))
            }
            Body::Int(body) => {
                let mut values = Vec::with_capacity(self.rows);
                self.each(|row| {
                    values.push(self.value(row, body)?);
                    Ok(())
                })?;
                integers(values, result)
            }
            Body::Float(body) => {
                let mut values = Vec::with_capacity(self.rows);
                self.each(|row| {
                    values.push(self.value(row, body)?);
                    Ok(())
                })?;
                Ok(match result {
                    DataType::Float32 => Arc::new(values.into_iter().map(|value| value.map(narrow)).collect::<Float32Array>()) as ArrayRef,
                    _ => Arc::new(values.into_iter().collect::<Float64Array>()),
                })
            }
            Body::Text(body) => {
                let mut builder = StringBuilder::new();
                self.each(|row| {
                    builder.append_option(self.value(row, body)?);
                    Ok(())
                })?;
                Ok(Arc::new(builder.finish()))
            }
            Body::Bytes(body) => {
                let mut builder = BinaryBuilder::new();
                self.each(|row| {
                    builder.append_option(self.value(row, body)?);
                    Ok(())
                })?;
                Ok(Arc::new(builder.finish()))
            }
            Body::Interval(body) => {
                let mut values = Vec::with_capacity(self.rows);
                self.each(|row| {
                    values.push(self.value(row, body)?);
                    Ok(())
                })?;
                Ok(Arc::new(values.into_iter().collect::<IntervalMonthDayNanoArray>()))
            }
            Body::Texts(body) => {
                let DataType::List(element) = result else { return internal_err!("a list was expected, not {result}") };
                let mut builder = ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(element));
                self.each(|row| {
                    match self.value(row, body)? {
                        Some(texts) => {
                            texts.into_iter().for_each(|text| builder.values().append_option(text));
                            builder.append(true);
                        }
                        None => builder.append(false),
                    }
                    Ok(())
                })?;
                Ok(Arc::new(builder.finish()))
            }
            Body::Columns(_) => internal_err!("a body over columns was run over rows"),
        }
    }

    /// Each row in turn.
    ///
    /// # Errors
    /// The visitor's.
    pub fn visit(&self, f: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        self.each(f)
    }

    fn each(&self, mut f: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        (0..self.rows).try_for_each(|at| f(&Row { columns: &self.columns, at }))
    }

    fn value<T>(&self, row: &Row<'_>, body: &(dyn Fn(&Row<'_>) -> Result<Option<T>> + Send + Sync)) -> Result<Option<T>> {
        if self.strict && (0..self.columns.len()).any(|column| row.is_null(column)) {
            return Ok(None);
        }
        body(row)
    }
}

impl<'a> Row<'a> {
    /// Number of arguments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    #[must_use]
    pub fn is_null(&self, column: usize) -> bool {
        let Some((column, at)) = self.at(column) else { return true };
        column.nulls.as_ref().is_some_and(|nulls| nulls.is_null(at))
    }

    #[must_use]
    pub fn text(&self, column: usize) -> &'a str {
        match self.at(column) {
            Some((column, at)) => column.array.as_string_opt::<i32>().map_or("", |array| array.value(at)),
            None => "",
        }
    }

    #[must_use]
    pub fn bytes(&self, column: usize) -> &'a [u8] {
        match self.at(column) {
            Some((column, at)) => column.array.as_binary_opt::<i32>().map_or(&[], |array| array.value(at)),
            None => &[],
        }
    }

    #[must_use]
    pub fn bool(&self, column: usize) -> bool {
        self.at(column).is_some_and(|(column, at)| column.array.as_boolean_opt().is_some_and(|array: &BooleanArray| array.value(at)))
    }

    /// Integers, OIDs, dates, times, timestamps.
    #[must_use]
    pub fn int(&self, column: usize) -> i64 {
        let Some((column, at)) = self.at(column) else { return 0 };
        let array = &column.array;
        match array.data_type() {
            DataType::Int16 => i64::from(array.as_primitive::<Int16Type>().value(at)),
            DataType::Int32 => i64::from(array.as_primitive::<Int32Type>().value(at)),
            DataType::Int64 => array.as_primitive::<Int64Type>().value(at),
            DataType::Date32 => i64::from(array.as_primitive::<Date32Type>().value(at)),
            DataType::Time64(TimeUnit::Microsecond) => array.as_primitive::<Time64MicrosecondType>().value(at),
            DataType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().value(at),
            _ => 0,
        }
    }

    #[must_use]
    pub fn float(&self, column: usize) -> f64 {
        let Some((column, at)) = self.at(column) else { return 0.0 };
        match column.array.data_type() {
            DataType::Float64 => column.array.as_primitive::<Float64Type>().value(at),
            DataType::Float32 => f64::from(column.array.as_primitive::<Float32Type>().value(at)),
            _ => 0.0,
        }
    }

    #[must_use]
    pub fn interval(&self, column: usize) -> IntervalMonthDayNano {
        match self.at(column) {
            Some((column, at)) => {
                column.array.as_primitive_opt::<IntervalMonthDayNanoType>().map_or(IntervalMonthDayNano::ZERO, |array| array.value(at))
            }
            None => IntervalMonthDayNano::ZERO,
        }
    }

    /// Digits and scale of a decimal of up to 38 digits.
    #[must_use]
    pub fn decimal(&self, column: usize) -> (i128, i8) {
        match self.at(column) {
            Some((column, at)) => {
                column.array.as_primitive_opt::<Decimal128Type>().map_or((0, 0), |array| (array.value(at), array.scale()))
            }
            None => (0, 0),
        }
    }

    /// The elements of an array argument.
    #[must_use]
    pub fn list(&self, column: usize) -> Option<ArrayRef> {
        let (column, at) = self.at(column)?;
        column.array.as_list_opt::<i32>().map(|array| array.value(at))
    }

    /// The elements of a text array.
    #[must_use]
    pub fn texts(&self, column: usize) -> Vec<Option<String>> {
        let Some(list) = self.list(column) else { return Vec::new() };
        match list.as_any().downcast_ref::<StringArray>() {
            Some(texts) => texts.iter().map(|text| text.map(str::to_owned)).collect(),
            None => vec![None; list.len()],
        }
    }

    /// The argument's whole array and the index of this row in it.
    #[must_use]
    pub fn value(&self, column: usize) -> Option<(&'a ArrayRef, usize)> {
        self.at(column).map(|(column, at)| (&column.array, at))
    }

    /// The argument's PostgreSQL type.
    #[must_use]
    pub fn pg_type(&self, column: usize) -> PgType {
        self.columns.get(column).map_or(PgType::UNKNOWN, |column| column.pg)
    }

    fn at(&self, column: usize) -> Option<(&'a Column, usize)> {
        let column = self.columns.get(column)?;
        Some((column, if column.constant { 0 } else { self.at }))
    }
}

/// # Errors
/// 22003 where a value does not fit.
fn integers(values: Vec<Option<i64>>, result: &DataType) -> Result<ArrayRef> {
    Ok(match result {
        DataType::Int16 => Arc::new(values.into_iter().map(|value| fit::<i16>(value, "smallint")).collect::<Result<Int16Array>>()?),
        DataType::Int32 => Arc::new(values.into_iter().map(|value| fit::<i32>(value, "integer")).collect::<Result<Int32Array>>()?),
        DataType::Int64 => Arc::new(values.into_iter().collect::<Int64Array>()),
        DataType::Date32 => Arc::new(values.into_iter().map(|value| fit::<i32>(value, "date")).collect::<Result<Date32Array>>()?),
        DataType::Time64(_) => Arc::new(values.into_iter().collect::<Time64MicrosecondArray>()),
        DataType::Timestamp(_, zone) => Arc::new(values.into_iter().collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone())),
        other => return internal_err!("an integer body cannot make {other}"),
    })
}

fn fit<T: TryFrom<i64>>(value: Option<i64>, name: &str) -> Result<Option<T>> {
    value.map(|value| T::try_from(value).map_err(|_| out_of_range(name))).transpose()
}

#[expect(clippy::cast_possible_truncation, reason = "float8 to float4 rounds; overflow to infinity is the caller's to refuse")]
fn narrow(value: f64) -> f32 {
    value as f32
}
