//! Casts where PostgreSQL's differ from Arrow's: text in and out, rounding instead of cutting, errors instead of NULL or
//! wrapping, the session's time zone, names behind OIDs.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal256Type, FieldRef, Float64Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, i256,
};
use datafusion::common::Result;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{SqlMistake, pg_type};

use super::session::Session;
use super::text::civil::{DATE_INFINITY, DATE_MINUS_INFINITY, MICROS_PER_DAY, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY};
use super::text::number::{Decimal, numeric_overflow};
use super::text::{json, value_in, value_out};
use super::types::{is_decimal, is_integer, is_text, type_name};
use super::{cast_preimage, error, kernel, reg};

/// The cast of one type to another, as an expression.
#[must_use]
pub fn cast_expr(expr: Expr, from: &FieldRef, to: &FieldRef, session: &Arc<Session>) -> Expr {
    named_cast(expr, from, to, session, false)
}

/// The same under a name of its own, for where a cast stands beside the column that it casts, as keys of joins do.
#[must_use]
pub fn cast_beside(expr: Expr, from: &FieldRef, to: &FieldRef, session: &Arc<Session>) -> Expr {
    named_cast(expr, from, to, session, true)
}

fn named_cast(expr: Expr, from: &FieldRef, to: &FieldRef, session: &Arc<Session>, named: bool) -> Expr {
    let (from_type, from, to, session) = (from.data_type(), pg_type(from), Arc::clone(to), Arc::clone(session));
    let volatility = if cast_preimage::is_monotonic(from_type, to.data_type()) { Volatility::Immutable } else { Volatility::Stable };
    let cast = PgCast { from, from_type: from_type.clone(), to, session, named, signature: Signature::any(1, volatility) };
    Arc::new(ScalarUDF::new_from_impl(cast)).call(vec![expr])
}

/// Whether Arrow's cast does what PostgreSQL's does.
#[must_use]
pub fn is_plain(from: &FieldRef, to: &FieldRef) -> bool {
    let (from_pg, to_pg) = (pg_type(from), pg_type(to));
    let (from, to) = (from.data_type(), to.data_type());
    if from == &DataType::Null {
        return true;
    }
    if let DataType::Dictionary(_, value) = from {
        return value.as_ref() == to || (is_text(value) && is_text(to) && !checks_text(from_pg, to_pg));
    }
    match (from, to) {
        (from, to) if is_text(from) && is_text(to) => !checks_text(from_pg, to_pg),
        (from, to) if is_integer(from) && is_integer(to) => {
            let bits = |data_type: &DataType| data_type.primitive_width().unwrap_or(8);
            let widens = bits(from) < bits(to) || from == to || (bits(from) == bits(to) && from.is_signed_integer());
            widens && !(named_oid(from_pg.oid) && is_text(to))
        }
        (from, DataType::Float64) if is_integer(from) || is_decimal(from) => true,
        (from, DataType::Float32) if is_integer(from) => true,
        (DataType::Float32 | DataType::Float16, DataType::Float64) | (DataType::Float16, DataType::Float32) => true,
        (from, to) if is_integer(from) && is_decimal(to) => {
            let (precision, scale) = decimal_digits(to);
            let digits = match from.primitive_width() {
                Some(1) => 3,
                Some(2) => 5,
                Some(4) => 10,
                _ => 20,
            };
            i16::from(precision) - i16::from(scale) >= digits
        }
        (from, to) if is_decimal(from) && is_decimal(to) => {
            let ((p1, s1), (p2, s2)) = (decimal_digits(from), decimal_digits(to));
            s2 >= s1 && i16::from(p2) - i16::from(s2) >= i16::from(p1) - i16::from(s1)
        }
        (DataType::Timestamp(_, None), DataType::Timestamp(_, None))
        | (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, Some(_))) => to_pg.typmod == -1,
        (DataType::Time64(_) | DataType::Time32(_), DataType::Time64(_) | DataType::Time32(_)) => to_pg.typmod == -1,
        (DataType::Date64, DataType::Date32) => true,
        (DataType::Duration(_) | DataType::Interval(_), DataType::Interval(_)) => true,
        (from, to) if is_binary(from) && is_binary(to) => true,
        (DataType::List(a) | DataType::LargeList(a) | DataType::FixedSizeList(a, _), DataType::List(b) | DataType::LargeList(b)) => {
            is_plain(a, b)
        }
        (from, to) => from == to,
    }
}

/// Whether PostgreSQL has the cast at all.
///
/// # Errors
/// 42846.
pub fn check_exists(from: &FieldRef, to: &FieldRef) -> Result<()> {
    let (from_pg, to_pg) = (pg_type(from), pg_type(to));
    let (a, b) = (from.data_type(), to.data_type());
    let number = |data_type: &DataType| data_type.is_numeric();
    let is_json = |pg: PgType| matches!(pg.oid, 114 | 3802);
    let exists = match (a, b) {
        (DataType::Null, _) => true,
        (DataType::Dictionary(_, value), _) => {
            let inner = Arc::new(from.as_ref().clone().with_data_type(value.as_ref().clone()));
            return check_exists(&inner, to);
        }
        (a, b) if is_text(a) || is_text(b) => true,
        (a, b) if number(a) && number(b) => true,
        (DataType::Boolean, DataType::Int32) | (DataType::Int32, DataType::Boolean) => true,
        (DataType::Date32 | DataType::Date64 | DataType::Timestamp(..), DataType::Date32 | DataType::Timestamp(..)) => true,
        (DataType::Timestamp(..), DataType::Time64(_)) => true,
        (DataType::Time64(_) | DataType::Time32(_), DataType::Time64(_) | DataType::Interval(_)) => true,
        (DataType::Interval(_) | DataType::Duration(_), DataType::Interval(_) | DataType::Time64(_)) => true,
        (a, b) if is_binary(a) && is_binary(b) => true,
        (
            DataType::List(a) | DataType::LargeList(a) | DataType::FixedSizeList(a, _),
            DataType::List(b) | DataType::LargeList(b) | DataType::FixedSizeList(b, _),
        ) => return check_exists(a, b),
        (DataType::Struct(_), DataType::Struct(_)) => true,
        (a, b) => a == b,
    };
    if exists || is_json(from_pg) {
        return Ok(());
    }
    Err(error::mistake(SqlMistake::CannotCoerce, format_args!("cannot cast type {} to {}", type_name(from_pg), type_name(to_pg))))
}

/// Converts a column.
///
/// # Errors
/// 22P02, 22003 and their kin, as the cast's function raises them.
pub fn cast_array(array: &ArrayRef, from: PgType, to: &FieldRef, session: &Session) -> Result<ArrayRef> {
    let style = &session.style;
    let to_pg = pg_type(to);
    if let DataType::Dictionary(_, value) = array.data_type() {
        return cast_array(&compute::cast(array, value)?, from, to, session);
    }
    let target = to.data_type();
    match (array.data_type(), target) {
        (DataType::Null, _) => Ok(datafusion::arrow::array::new_null_array(target, array.len())),
        (source, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) => {
            let texts = if is_text(source) {
                text_to_text(&compute::cast(array, &DataType::Utf8)?, from, to_pg, to, session)?
            } else if named_oid(from.oid) {
                reg::names(array, from, session)?
            } else if to_pg == PgType::CHAR && source == &DataType::Int32 {
                characters(array.as_primitive::<Int32Type>())?
            } else {
                let texts = value_out::column(array, from, style)?;
                limit(&texts, to_pg)
            };
            if target == &DataType::Utf8 { Ok(texts) } else { Ok(compute::cast(&texts, target)?) }
        }
        (source, _) if is_text(source) => {
            let texts = compute::cast(array, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            if named_oid(to_pg.oid) {
                return reg::oids(texts, to_pg, session);
            }
            if let DataType::List(element) = target
                && named_oid(pg_type(element).oid)
            {
                return reg::oid_lists(texts, element, session);
            }
            if from == PgType::CHAR && target == &DataType::Int32 {
                let code = |text: &str| text.bytes().next().map_or(0, |byte| i32::from(i8::from_ne_bytes([byte])));
                return Ok(Arc::new(texts.iter().map(|text| text.map(code)).collect::<Int32Array>()));
            }
            if matches!(from.oid, 114 | 3802) {
                return from_json(texts, to, session);
            }
            value_in::column(texts, to, style)
        }
        (source, _) if is_integer(source) && is_integer(target) => narrow(array, target, to_pg),
        (DataType::Boolean, DataType::Int32) => {
            Ok(Arc::new(array.as_boolean().iter().map(|value| value.map(i32::from)).collect::<Int32Array>()))
        }
        (DataType::Int32, DataType::Boolean) => {
            Ok(Arc::new(array.as_primitive::<Int32Type>().iter().map(|value| value.map(|value| value != 0)).collect::<BooleanArray>()))
        }
        (DataType::Float16 | DataType::Float32 | DataType::Float64, _) if is_integer(target) => float_to_int(array, target, to_pg),
        (DataType::Float32, _) if is_decimal(target) => float_to_decimal(array, target, 6),
        (DataType::Float16 | DataType::Float64, _) if is_decimal(target) => float_to_decimal(array, target, 15),
        (DataType::Float64, DataType::Float32) => {
            let values = array.as_primitive::<Float64Type>();
            Ok(Arc::new(values.iter().map(|value| value.map(to_float4).transpose()).collect::<Result<Float32Array>>()?))
        }
        (source, _) if is_decimal(source) && is_integer(target) => {
            let wide = rescale(array, 0)?;
            let values: Int64Array = wide
                .as_primitive::<Decimal256Type>()
                .iter()
                .map(|value| {
                    value.map(|value| value.to_i128().and_then(|value| i64::try_from(value).ok()).ok_or_else(|| range(to_pg))).transpose()
                })
                .collect::<Result<_>>()?;
            narrow(&(Arc::new(values) as ArrayRef), target, to_pg)
        }
        (source, _) if is_decimal(source) && is_decimal(target) => {
            let (_, scale) = decimal_digits(target);
            into_decimal(&rescale(array, scale)?, target)
        }
        (source, DataType::Float32) if is_decimal(source) => {
            let wide = compute::cast(array, &DataType::Float64)?;
            cast_array(&wide, PgType::FLOAT8, to, session)
        }
        (source, _) if is_integer(source) && is_decimal(target) => {
            let (_, scale) = decimal_digits(target);
            let whole = compute::cast(array, &DataType::Decimal128(20, 0))?;
            into_decimal(&rescale(&whole, scale)?, target)
        }
        _ => datetime(array, to_pg, to, session),
    }
}

fn datetime(array: &ArrayRef, to_pg: PgType, to: &FieldRef, session: &Session) -> Result<ArrayRef> {
    let zone = session.style.zone;
    let target = to.data_type();
    let canonical = match array.data_type() {
        DataType::Date64 => compute::cast(array, &DataType::Date32)?,
        DataType::Timestamp(unit, name) if *unit != TimeUnit::Microsecond => {
            compute::cast(array, &DataType::Timestamp(TimeUnit::Microsecond, name.clone()))?
        }
        DataType::Time32(_) => compute::cast(array, &DataType::Time64(TimeUnit::Microsecond))?,
        DataType::Time64(TimeUnit::Nanosecond) => compute::cast(array, &DataType::Time64(TimeUnit::Microsecond))?,
        _ => Arc::clone(array),
    };
    let stamps = |f: &dyn Fn(i64) -> i64| -> TimestampMicrosecondArray {
        canonical.as_primitive::<TimestampMicrosecondType>().unary(|value| if is_infinite(value) { value } else { f(value) })
    };
    let result: ArrayRef = match (canonical.data_type(), target) {
        (DataType::Date32, DataType::Timestamp(_, name)) => {
            let values = canonical.as_primitive::<Date32Type>().iter().map(|day| {
                day.map(|day| match day {
                    DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
                    DATE_MINUS_INFINITY => Ok(TIMESTAMP_MINUS_INFINITY),
                    day => {
                        let local = super::text::civil::timestamp(i64::from(day), 0).ok_or_else(|| {
                            error::data(lakegate_engine_api::DataError::DatetimeOverflow, "date out of range for timestamp")
                        })?;
                        Ok(if name.is_some() { zone.to_utc(local) } else { local })
                    }
                })
                .transpose()
            });
            let values = values.collect::<Result<TimestampMicrosecondArray>>()?;
            Arc::new(values.with_timezone_opt(name.clone()))
        }
        (DataType::Timestamp(_, source), DataType::Date32) => {
            let local = source.is_some();
            let values = canonical.as_primitive::<TimestampMicrosecondType>().iter().map(|value| {
                value.map(|value| match value {
                    TIMESTAMP_INFINITY => DATE_INFINITY,
                    TIMESTAMP_MINUS_INFINITY => DATE_MINUS_INFINITY,
                    value => {
                        let wall = if local { zone.to_local(value) } else { value };
                        i32::try_from(wall.div_euclid(MICROS_PER_DAY)).unwrap_or(DATE_INFINITY)
                    }
                })
            });
            Arc::new(values.collect::<Date32Array>())
        }
        (DataType::Timestamp(_, source), DataType::Time64(_)) => {
            let local = source.is_some();
            let values = canonical
                .as_primitive::<TimestampMicrosecondType>()
                .iter()
                .map(|value| value.map(|value| (if local { zone.to_local(value) } else { value }).rem_euclid(MICROS_PER_DAY)));
            Arc::new(values.collect::<Time64MicrosecondArray>())
        }
        (DataType::Timestamp(_, source), DataType::Timestamp(_, wanted)) => {
            let converted = match (source.is_some(), wanted.is_some()) {
                (false, true) => stamps(&|local| zone.to_utc(local)),
                (true, false) => stamps(&|utc| zone.to_local(utc)),
                _ => stamps(&|value| value),
            };
            Arc::new(converted.with_timezone_opt(wanted.clone()))
        }
        (DataType::Time64(_), DataType::Time64(_)) => Arc::clone(&canonical),
        (DataType::Time64(_), DataType::Interval(_)) => Arc::new(
            canonical
                .as_primitive::<Time64MicrosecondType>()
                .iter()
                .map(|value| value.map(|value| IntervalMonthDayNano::new(0, 0, value * 1_000)))
                .collect::<IntervalMonthDayNanoArray>(),
        ),
        (DataType::Interval(_), DataType::Time64(_)) => Arc::new(
            canonical
                .as_primitive::<IntervalMonthDayNanoType>()
                .iter()
                .map(|value| value.map(|value| (value.nanoseconds / 1_000).rem_euclid(MICROS_PER_DAY)))
                .collect::<Time64MicrosecondArray>(),
        ),
        (DataType::List(element), DataType::List(wanted)) => {
            let list = canonical.as_list::<i32>();
            let values = cast_array(list.values(), pg_type(element), wanted, session)?;
            Arc::new(ListArray::try_new(Arc::clone(wanted), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        (DataType::LargeList(element) | DataType::FixedSizeList(element, _), DataType::List(_)) => {
            let list = compute::cast(&canonical, &DataType::List(Arc::clone(element)))?;
            return datetime(&list, to_pg, to, session);
        }
        _ => compute::cast(&canonical, target)?,
    };
    Ok(rounded(&result, to_pg))
}

#[must_use]
pub fn is_infinite(timestamp: i64) -> bool {
    timestamp == TIMESTAMP_INFINITY || timestamp == TIMESTAMP_MINUS_INFINITY
}

/// Times with as many digits of seconds as their type keeps, half rounded away from zero.
#[must_use]
pub fn rounded(array: &ArrayRef, pg: PgType) -> ArrayRef {
    if pg.fractional_digits().is_none() {
        return Arc::clone(array);
    }
    let unit = precision_unit(pg.typmod);
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            let round = |value| if is_infinite(value) { value } else { round_to(value, unit) };
            Arc::new(times.unary::<_, TimestampMicrosecondType>(round).with_timezone_opt(zone.clone()))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let times = array.as_primitive::<Time64MicrosecondType>();
            Arc::new(times.unary::<_, Time64MicrosecondType>(|value| round_to(value, unit)))
        }
        _ => Arc::clone(array),
    }
}

/// Microseconds of the last digit that a precision keeps.
fn precision_unit(typmod: i32) -> i64 {
    match typmod {
        0..6 => 10_i64.pow(6 - typmod.unsigned_abs()),
        _ => 1,
    }
}

/// To the nearest multiple, half away from zero.
fn round_to(value: i64, unit: i64) -> i64 {
    if unit == 1 {
        return value;
    }
    let half = unit / 2;
    if value >= 0 { (value + half) / unit * unit } else { (value - half) / unit * unit }
}

/// Types whose values print as names.
#[must_use]
pub fn named_oid(oid: u32) -> bool {
    matches!(oid, 24 | 2202..=2206 | 4089 | 4096)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

/// Whether text of one type must be checked or changed to be text of another.
fn checks_text(from: PgType, to: PgType) -> bool {
    match to.oid {
        1042 | 1043 => to.typmod != -1 && from != to,
        18 | 19 | 114 | 2950 | 3802 => from.oid != to.oid,
        _ => false,
    }
}

fn text_to_text(texts: &ArrayRef, from: PgType, to_pg: PgType, to: &FieldRef, session: &Session) -> Result<ArrayRef> {
    if from == to_pg || !checks_text(from, to_pg) {
        return Ok(Arc::clone(texts));
    }
    let field = datafusion::arrow::datatypes::Field::new("", DataType::Utf8, true).with_metadata(to.metadata().clone());
    value_in::column(texts.as_string::<i32>(), &field, &session.style)
}

fn limit(texts: &ArrayRef, pg: PgType) -> ArrayRef {
    if !matches!(pg.oid, 1042 | 1043) || pg.typmod == -1 {
        return Arc::clone(texts);
    }
    Arc::new(texts.as_string::<i32>().iter().map(|text| text.map(|text| value_in::limited(text, pg))).collect::<StringArray>())
}

fn from_json(texts: &StringArray, to: &FieldRef, session: &Session) -> Result<ArrayRef> {
    let scalars = texts
        .iter()
        .map(|text| {
            let Some(text) = text else { return Ok(None) };
            match json::parse(text)? {
                json::Json::Number(text) => Ok(Some(text)),
                json::Json::Bool(value) => Ok(Some(value.to_string())),
                other => Err(error::data(
                    lakegate_engine_api::DataError::InvalidParameterValue,
                    format_args!("cannot cast jsonb {} to type {}", other.type_name(), type_name(pg_type(to))),
                )),
            }
        })
        .collect::<Result<StringArray>>()?;
    if is_integer(to.data_type()) {
        let numeric = Arc::new(datafusion::arrow::datatypes::Field::new("", DataType::Decimal256(76, 20), true));
        let values = value_in::column(&scalars, &numeric, &session.style)?;
        return cast_array(&values, PgType::numeric(76, 20), to, session);
    }
    value_in::column(&scalars, to, &session.style)
}

fn range(pg: PgType) -> datafusion::error::DataFusionError {
    error::out_of_range(match pg.oid {
        21 => "smallint",
        20 => "bigint",
        26 => "OID",
        _ => "integer",
    })
}

fn narrow(array: &ArrayRef, target: &DataType, pg: PgType) -> Result<ArrayRef> {
    let wide = match array.data_type() {
        DataType::UInt64 => {
            let options = compute::CastOptions { safe: false, ..Default::default() };
            compute::cast_with_options(array, &DataType::Int64, &options).map_err(|_| range(pg))?
        }
        _ => compute::cast(array, &DataType::Int64)?,
    };
    let values = wide.as_primitive::<Int64Type>();
    let fits = |least: i64, greatest: i64| {
        values.iter().flatten().all(|value| (least..=greatest).contains(&value)).then_some(()).ok_or_else(|| range(pg))
    };
    Ok(match target {
        DataType::Int16 => {
            fits(i16::MIN.into(), i16::MAX.into())?;
            Arc::new(values.unary::<_, datafusion::arrow::datatypes::Int16Type>(|value| i16::try_from(value).unwrap_or_default()))
                as Arc<Int16Array>
        }
        DataType::Int32 => {
            fits(i32::MIN.into(), i32::MAX.into())?;
            Arc::new(values.unary::<_, Int32Type>(|value| i32::try_from(value).unwrap_or_default()))
        }
        DataType::Int64 if matches!(pg.oid, 24 | 26 | 28 | 2202..=2206 | 4089 | 4096) => {
            fits(i64::from(i32::MIN), u32::MAX.into())?;
            // As int4 to oid: the same 32 bits.
            Arc::new(values.unary::<_, Int64Type>(|value| if value < 0 { value + 4_294_967_296 } else { value }))
        }
        _ => Arc::new(values.clone()),
    })
}

fn float_to_int(array: &ArrayRef, target: &DataType, pg: PgType) -> Result<ArrayRef> {
    let wide = compute::cast(array, &DataType::Float64)?;
    let values = wide
        .as_primitive::<Float64Type>()
        .iter()
        .map(|value| value.map(|value| whole(value).ok_or_else(|| range(pg))).transpose())
        .collect::<Result<Int64Array>>()?;
    narrow(&(Arc::new(values) as ArrayRef), target, pg)
}

/// `i4tochar`, of the codes that are a character of UTF-8 by themselves.
fn characters(codes: &datafusion::arrow::array::PrimitiveArray<Int32Type>) -> Result<ArrayRef> {
    let character = |code: i32| match u8::try_from(code) {
        Ok(0) => Ok(String::new()),
        Ok(byte) if byte.is_ascii() => Ok(char::from(byte).to_string()),
        _ => Err(error::data(lakegate_engine_api::DataError::NumericOutOfRange, "\"char\" out of range")),
    };
    Ok(Arc::new(codes.iter().map(|code| code.map(character).transpose()).collect::<Result<StringArray>>()?))
}

/// `rint`: half to even.
#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
fn whole(value: f64) -> Option<i64> {
    let rounded = value.round_ties_even();
    (-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(&rounded).then_some(rounded as i64)
}

#[expect(clippy::cast_possible_truncation, reason = "overflow is checked after")]
fn to_float4(value: f64) -> Result<f32> {
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        return Err(error::data(lakegate_engine_api::DataError::NumericOutOfRange, "value out of range: overflow"));
    }
    if narrow == 0.0 && value != 0.0 {
        return Err(error::data(lakegate_engine_api::DataError::NumericOutOfRange, "value out of range: underflow"));
    }
    Ok(narrow)
}

/// `float8_numeric` keeps 15 significant digits, `float4_numeric` 6.
fn float_to_decimal(array: &ArrayRef, target: &DataType, significant: usize) -> Result<ArrayRef> {
    let wide = compute::cast(array, &DataType::Float64)?;
    let texts: StringArray =
        wide.as_primitive::<Float64Type>().iter().map(|value| value.map(|value| format!("{value:.*e}", significant - 1))).collect();
    let (precision, scale) = decimal_digits(target);
    let values = texts
        .iter()
        .map(|text| {
            text.map(|text| {
                let value = Decimal::parse(text)?.at_scale(usize::from(scale.unsigned_abs())).ok_or_else(numeric_overflow)?;
                check_precision(value, precision)
            })
            .transpose()
        })
        .collect::<Result<Decimal256Array>>()?;
    into_decimal(&(Arc::new(values.with_precision_and_scale(76, scale)?) as ArrayRef), target)
}

fn decimal_digits(data_type: &DataType) -> (u8, i8) {
    match data_type {
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => (*p, *s),
        _ => (0, 0),
    }
}

/// To another scale as `Decimal256(76, scale)`, half away from zero.
pub fn rescale(array: &ArrayRef, scale: i8) -> Result<ArrayRef> {
    let (_, from) = decimal_digits(array.data_type());
    let wide = compute::cast(array, &DataType::Decimal256(76, from))?;
    let values = wide.as_primitive::<Decimal256Type>();
    let result: Decimal256Array = if scale >= from {
        let factor = i256::from(10_i32).checked_pow(u32::from((scale - from).unsigned_abs())).ok_or_else(numeric_overflow)?;
        values
            .iter()
            .map(|value| value.map(|value| value.checked_mul(factor).ok_or_else(numeric_overflow)).transpose())
            .collect::<Result<_>>()?
    } else {
        let factor = i256::from(10_i32).checked_pow(u32::from((from - scale).unsigned_abs())).ok_or_else(numeric_overflow)?;
        values.unary(|value| round_quotient(value, factor))
    };
    Ok(Arc::new(result.with_precision_and_scale(76, scale)?))
}

fn round_quotient(value: i256, factor: i256) -> i256 {
    let quotient = value.wrapping_div(factor);
    let rest = value.wrapping_rem(factor);
    let magnitude = if rest < i256::ZERO { rest.wrapping_neg() } else { rest };
    if magnitude.wrapping_mul(i256::from(2_i32)) >= factor {
        quotient.wrapping_add(if value < i256::ZERO { i256::MINUS_ONE } else { i256::ONE })
    } else {
        quotient
    }
}

fn check_precision(value: i256, precision: u8) -> Result<i256> {
    let limit = i256::from(10_i32).checked_pow(u32::from(precision));
    let magnitude = if value < i256::ZERO { value.wrapping_neg() } else { value };
    if limit.is_some_and(|limit| magnitude >= limit) { Err(numeric_overflow()) } else { Ok(value) }
}

/// From `Decimal256(76, s)` to a decimal of the same scale; 22003 where the precision does not hold a value.
pub fn into_decimal(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let (precision, scale) = decimal_digits(target);
    let values = array.as_primitive::<Decimal256Type>();
    let checked = values.iter().map(|value| value.map(|value| check_precision(value, precision)).transpose());
    if let DataType::Decimal128(..) = target {
        let narrow = checked
            .map(|value| value?.map(|value| value.to_i128().ok_or_else(numeric_overflow)).transpose())
            .collect::<Result<Decimal128Array>>()?;
        return Ok(Arc::new(narrow.with_precision_and_scale(precision, scale)?));
    }
    Ok(Arc::new(checked.collect::<Result<Decimal256Array>>()?.with_precision_and_scale(precision, scale)?))
}

struct PgCast {
    from: PgType,
    from_type: DataType,
    to: FieldRef,
    session: Arc<Session>,
    /// Whether its name tells it from what it casts.
    named: bool,
    signature: Signature,
}

impl ScalarUDFImpl for PgCast {
    fn name(&self) -> &str {
        "pg_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let of = args.first().map(|arg| arg.schema_name().to_string()).unwrap_or_default();
        Ok(if self.named { format!("{of}::{}", type_name(pg_type(&self.to))) } else { of })
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.to.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.first().is_none_or(|field| field.is_nullable());
        Ok(Arc::new(self.to.as_ref().clone().with_nullable(nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(arg) => kernel::unary(arg, |array| cast_array(array, self.from, &self.to, &self.session)),
            None => datafusion::common::internal_err!("a cast has one argument"),
        }
    }

    fn preimage(&self, args: &[Expr], constant: &Expr, _info: &SimplifyContext) -> Result<PreimageResult> {
        match args {
            [arg] => cast_preimage::preimage(arg, &self.from_type, constant),
            _ => Ok(PreimageResult::None),
        }
    }
}

impl std::fmt::Debug for PgCast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PgCast({} -> {})", type_name(self.from), type_name(pg_type(&self.to)))
    }
}

impl PartialEq for PgCast {
    fn eq(&self, other: &Self) -> bool {
        self.from == other.from && self.to == other.to && self.named == other.named && Arc::ptr_eq(&self.session, &other.session)
    }
}

impl Eq for PgCast {}

impl Hash for PgCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.from.hash(state);
        self.to.hash(state);
    }
}
