//! Values into Arrow builders, by the Arrow type of a field.

use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::types::*;
use arrow_array::{ArrayRef, LargeListArray, ListArray, NullArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, i256};
use arrow_schema::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use lakegate_catalog::model::PgType;
use lakegate_engine_api::UNCONSTRAINED_NUMERIC;

use super::value::Value;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::pg_types::type_name;
use crate::wire::rows::strings::{bytea_hex, uuid_text};

pub enum Sink {
    Null(usize),
    Bool(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt8(UInt8Builder),
    UInt16(UInt16Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Utf8(StringBuilder),
    LargeUtf8(LargeStringBuilder),
    Utf8View(StringViewBuilder),
    Binary(BinaryBuilder),
    LargeBinary(LargeBinaryBuilder),
    BinaryView(BinaryViewBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date32(Date32Builder),
    Time64(Time64MicrosecondBuilder),
    TimestampMicros(TimestampMicrosecondBuilder),
    TimestampNanos(TimestampNanosecondBuilder),
    TimestampMillis(TimestampMillisecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    List(Box<ListSink>),
}

pub struct ListSink {
    large: bool,
    field: FieldRef,
    elements: Sink,
    offsets: Vec<usize>,
    nulls: NullBufferBuilder,
}

/// The same call on whichever builder it is.
macro_rules! every {
    ($sink:expr, $builder:ident => $call:expr, $count:ident => $null:expr, $list:ident => $of_list:expr) => {
        match $sink {
            Sink::Null($count) => $null,
            Sink::Bool($builder) => $call,
            Sink::Int8($builder) => $call,
            Sink::Int16($builder) => $call,
            Sink::Int32($builder) => $call,
            Sink::Int64($builder) => $call,
            Sink::UInt8($builder) => $call,
            Sink::UInt16($builder) => $call,
            Sink::UInt32($builder) => $call,
            Sink::UInt64($builder) => $call,
            Sink::Float32($builder) => $call,
            Sink::Float64($builder) => $call,
            Sink::Decimal128($builder, ..) => $call,
            Sink::Decimal256($builder, ..) => $call,
            Sink::Utf8($builder) => $call,
            Sink::LargeUtf8($builder) => $call,
            Sink::Utf8View($builder) => $call,
            Sink::Binary($builder) => $call,
            Sink::LargeBinary($builder) => $call,
            Sink::BinaryView($builder) => $call,
            Sink::Uuid($builder) => $call,
            Sink::Date32($builder) => $call,
            Sink::Time64($builder) => $call,
            Sink::TimestampMicros($builder) => $call,
            Sink::TimestampNanos($builder) => $call,
            Sink::TimestampMillis($builder) => $call,
            Sink::Interval($builder) => $call,
            Sink::List($list) => $of_list,
        }
    };
}

impl Sink {
    pub fn new(field: &Field) -> Result<Sink, SqlError> {
        let unsupported = || {
            let pg = lakegate_engine_api::pg_type(field);
            SqlError::unsupported(format_args!("input of type {} into Arrow type {}", type_name(pg.oid), field.data_type()))
        };
        Ok(match field.data_type() {
            DataType::Null => Sink::Null(0),
            DataType::Boolean => Sink::Bool(BooleanBuilder::new()),
            DataType::Int8 => Sink::Int8(Int8Builder::new()),
            DataType::Int16 => Sink::Int16(Int16Builder::new()),
            DataType::Int32 => Sink::Int32(Int32Builder::new()),
            DataType::Int64 => Sink::Int64(Int64Builder::new()),
            DataType::UInt8 => Sink::UInt8(UInt8Builder::new()),
            DataType::UInt16 => Sink::UInt16(UInt16Builder::new()),
            DataType::UInt32 => Sink::UInt32(UInt32Builder::new()),
            DataType::UInt64 => Sink::UInt64(UInt64Builder::new()),
            DataType::Float32 => Sink::Float32(Float32Builder::new()),
            DataType::Float64 => Sink::Float64(Float64Builder::new()),
            data_type @ DataType::Decimal128(precision, scale) => {
                Sink::Decimal128(Decimal128Builder::new().with_data_type(data_type.clone()), *precision, *scale)
            }
            data_type @ DataType::Decimal256(precision, scale) => {
                Sink::Decimal256(Decimal256Builder::new().with_data_type(data_type.clone()), *precision, *scale)
            }
            DataType::Utf8 => Sink::Utf8(StringBuilder::new()),
            DataType::LargeUtf8 => Sink::LargeUtf8(LargeStringBuilder::new()),
            DataType::Utf8View => Sink::Utf8View(StringViewBuilder::new()),
            DataType::Binary => Sink::Binary(BinaryBuilder::new()),
            DataType::LargeBinary => Sink::LargeBinary(LargeBinaryBuilder::new()),
            DataType::BinaryView => Sink::BinaryView(BinaryViewBuilder::new()),
            DataType::FixedSizeBinary(16) => Sink::Uuid(FixedSizeBinaryBuilder::new(16)),
            DataType::Date32 => Sink::Date32(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Sink::Time64(Time64MicrosecondBuilder::new()),
            data_type @ DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Sink::TimestampMicros(TimestampMicrosecondBuilder::new().with_data_type(data_type.clone()))
            }
            data_type @ DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Sink::TimestampNanos(TimestampNanosecondBuilder::new().with_data_type(data_type.clone()))
            }
            data_type @ DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Sink::TimestampMillis(TimestampMillisecondBuilder::new().with_data_type(data_type.clone()))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => Sink::Interval(IntervalMonthDayNanoBuilder::new()),
            DataType::List(element) | DataType::LargeList(element) => Sink::List(Box::new(ListSink {
                large: matches!(field.data_type(), DataType::LargeList(_)),
                field: element.clone(),
                elements: Sink::new(element)?,
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
            })),
            _ => return Err(unsupported()),
        })
    }

    pub fn len(&self) -> usize {
        every!(self, builder => builder.len(), count => *count, list => list.offsets.len() - 1)
    }

    pub fn append_null(&mut self) {
        every!(self, builder => builder.append_null(), count => *count += 1, list => {
            list.offsets.push(list.elements.len());
            list.nulls.append_null();
        });
    }

    pub fn finish(&mut self) -> ArrayRef {
        every!(self, builder => Arc::new(builder.finish()), count => Arc::new(NullArray::new(std::mem::take(count))), list => list.finish())
    }

    pub fn append(&mut self, value: Value<'_>, pg: PgType) -> Result<(), SqlError> {
        match (self, value) {
            (Sink::Bool(builder), Value::Bool(value)) => builder.append_value(value),
            (Sink::Int8(builder), Value::Int(value)) => builder.append_value(narrow(value, pg)?),
            (Sink::Int16(builder), Value::Int(value)) => builder.append_value(narrow(value, pg)?),
            (Sink::Int32(builder), Value::Int(value)) => builder.append_value(narrow(value, pg)?),
            (Sink::Int64(builder), Value::Int(value)) => builder.append_value(value),
            (Sink::UInt8(builder), Value::Int(value)) => builder.append_value(narrow(value, pg)?),
            (Sink::UInt16(builder), Value::Int(value)) => builder.append_value(narrow(value, pg)?),
            (Sink::UInt32(builder), Value::Int(value)) => builder.append_value(narrow(value, pg)?),
            (Sink::UInt64(builder), Value::Int(value)) => builder.append_value(narrow(value, pg)?),
            (Sink::UInt64(builder), Value::Numeric(value)) => {
                builder.append_value(value.unscaled(20, 0, false)?.parse().map_err(|_| out_of_range(pg))?);
            }
            (Sink::Float32(builder), Value::Float4(value)) => builder.append_value(value),
            (Sink::Float64(builder), Value::Float8(value)) => builder.append_value(value),
            (Sink::Float64(builder), Value::Float4(value)) => builder.append_value(f64::from(value)),
            (Sink::Decimal128(builder, precision, scale), Value::Numeric(value)) => {
                let unscaled = value.unscaled(*precision, *scale, rounds(pg, *precision, *scale))?;
                builder.append_value(unscaled.parse().map_err(|_| out_of_range(pg))?);
            }
            (Sink::Decimal256(builder, precision, scale), Value::Numeric(value)) => {
                let unscaled = value.unscaled(*precision, *scale, rounds(pg, *precision, *scale))?;
                builder.append_value(i256::from_string(&unscaled).ok_or_else(|| out_of_range(pg))?);
            }
            (Sink::Utf8(builder), value) => builder.append_value(characters(&value).ok_or_else(|| mismatch(pg))?),
            (Sink::LargeUtf8(builder), value) => builder.append_value(characters(&value).ok_or_else(|| mismatch(pg))?),
            (Sink::Utf8View(builder), value) => builder.append_value(characters(&value).ok_or_else(|| mismatch(pg))?),
            (Sink::Binary(builder), Value::Bytes(value)) => builder.append_value(value),
            (Sink::LargeBinary(builder), Value::Bytes(value)) => builder.append_value(value),
            (Sink::BinaryView(builder), Value::Bytes(value)) => builder.append_value(value),
            (Sink::Uuid(builder), Value::Uuid(value)) => builder.append_value(value).map_err(|_| mismatch(pg))?,
            (Sink::Date32(builder), Value::Date(value)) => builder.append_value(value),
            (Sink::Time64(builder), Value::Time(value)) => builder.append_value(value),
            (Sink::TimestampMicros(builder), Value::Timestamp(value)) => builder.append_value(value),
            (Sink::TimestampNanos(builder), Value::Timestamp(value)) => {
                builder.append_value(if is_infinite(value) { value } else { value.checked_mul(1_000).ok_or_else(timestamp_range)? });
            }
            (Sink::TimestampMillis(builder), Value::Timestamp(value)) => {
                builder.append_value(if is_infinite(value) { value } else { value.div_euclid(1_000) });
            }
            (Sink::Interval(builder), Value::Interval(value)) => {
                let nanos = value.micros.checked_mul(1_000);
                let nanos = nanos.ok_or_else(|| SqlError::new(SqlState::DatetimeFieldOverflow, "interval out of range"))?;
                builder.append_value(IntervalMonthDayNano::new(value.months, value.days, nanos));
            }
            (Sink::List(list), Value::Array(values)) => return list.append(values, pg),
            (Sink::Null(_), _) => {
                return Err(SqlError::new(SqlState::IndeterminateDatatype, "could not determine data type of parameter"));
            }
            _ => return Err(mismatch(pg)),
        }
        Ok(())
    }
}

impl ListSink {
    fn append(&mut self, values: Vec<Option<Value<'_>>>, pg: PgType) -> Result<(), SqlError> {
        // Checked before anything is kept: an inner array needs a list to go to, and nothing else does.
        let nested = matches!(self.elements, Sink::List(_));
        let wrong = |value: &Option<Value<'_>>| value.as_ref().is_some_and(|value| matches!(value, Value::Array(_)) != nested);
        if values.iter().any(wrong) {
            return Err(SqlError::unsupported("an array of this number of dimensions"));
        }
        let element = if nested { pg } else { PgType { oid: PgType::element_of(pg.oid).unwrap_or(pg.oid), typmod: pg.typmod } };
        for value in values {
            match value {
                None => self.elements.append_null(),
                Some(value) => self.elements.append(value, element)?,
            }
        }
        self.offsets.push(self.elements.len());
        self.nulls.append_non_null();
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        let elements = self.elements.finish();
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let nulls = self.nulls.finish();
        let lengths = offsets.windows(2).map(|pair| pair[1] - pair[0]);
        if self.large {
            Arc::new(LargeListArray::new(self.field.clone(), OffsetBuffer::from_lengths(lengths), elements, nulls))
        } else {
            Arc::new(ListArray::new(self.field.clone(), OffsetBuffer::from_lengths(lengths), elements, nulls))
        }
    }
}

/// A declared scale rounds; a numeric without one, stored with a fixed scale, must not lose digits silently.
fn rounds(pg: PgType, precision: u8, scale: i8) -> bool {
    pg.typmod >= 0 || (precision, scale) != UNCONSTRAINED_NUMERIC
}

/// What a column of strings keeps of a value.
fn characters<'a>(value: &'a Value<'_>) -> Option<std::borrow::Cow<'a, str>> {
    use std::borrow::Cow;
    let printed = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).ok().map(Cow::Owned)
    };
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Uuid(uuid) => printed(&|out| uuid_text(uuid, out)),
        Value::Numeric(number) => printed(&|out| number.write_text(out)),
        Value::Bytes(bytes) => printed(&|out| bytea_hex(bytes, out)),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "t" } else { "f" })),
        _ => None,
    }
}

fn narrow<T: TryFrom<i64>>(value: i64, pg: PgType) -> Result<T, SqlError> {
    T::try_from(value).map_err(|_| out_of_range(pg))
}

fn is_infinite(micros: i64) -> bool {
    matches!(micros, i64::MIN | i64::MAX)
}

fn timestamp_range() -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, "timestamp out of range")
}

fn out_of_range(pg: PgType) -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, format!("{} out of range", type_name(pg.oid)))
}

fn mismatch(pg: PgType) -> SqlError {
    SqlError::unsupported(format_args!("input of type {} into this column", type_name(pg.oid)))
}
