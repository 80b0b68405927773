//! Functions over numerics of any precision, and those over integers and floats that share their names.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal256Array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Decimal256Type, Field, Int32Type, Int64Type, i256};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use lakegate_engine_api::DataError;

use super::arithmetic::{NUMERIC_DIV, divide, division_by_zero};
use super::call::Row;
use super::cast::{into_decimal, rescale};
use super::error::{data, out_of_range};
use super::function::{Body, Columns, PgFunction, Returns};
use super::numeric_scale;
use super::text::number;
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let abs = PgFunction::immutable("abs")
        .on(&[Ty::INT2], Ty::INT2, int(|row| Ok(row.int(0).abs())))
        .on(&[Ty::INT4], Ty::INT4, int(|row| Ok(row.int(0).abs())))
        .on(&[Ty::INT8], Ty::INT8, int(|row| row.int(0).checked_abs().ok_or_else(|| out_of_range("bigint"))))
        .on(&[Ty::FLOAT4], Ty::FLOAT4, float(|x| x.abs()))
        .on(&[Ty::FLOAT8], Ty::FLOAT8, float(|x| x.abs()))
        .on(&[Ty::Numeric], Returns::Same(0), columns(|args| each(args, |value, _| magnitude(value))));
    vec![
        abs.build(),
        rounding("ceil", f64::ceil, |value, unit| {
            let down = floor_quotient(value, unit);
            if down.wrapping_mul(unit) == value { down } else { down.wrapping_add(i256::ONE) }
        })
        .alias("ceiling")
        .build(),
        rounding("floor", f64::floor, floor_quotient).build(),
        PgFunction::immutable("sign")
            .on(&[Ty::FLOAT8], Ty::FLOAT8, float(|x| if x == 0.0 || x.is_nan() { x } else { x.signum() }))
            .on(
                &[Ty::Numeric],
                Returns::By(|_| Ok(Field::new("", DataType::Decimal128(1, 0), true))),
                columns(|args| {
                    let signs = wide(&args.arrays[0])?.unary::<_, Decimal256Type>(|value| match value.cmp(&i256::ZERO) {
                        std::cmp::Ordering::Less => i256::MINUS_ONE,
                        std::cmp::Ordering::Equal => i256::ZERO,
                        std::cmp::Ordering::Greater => i256::ONE,
                    });
                    into_decimal(&scaled(signs, 0)?, args.result.data_type())
                }),
            )
            .build(),
        PgFunction::immutable("round")
            .on(&[Ty::FLOAT8], Ty::FLOAT8, float(f64::round_ties_even))
            .on(&[Ty::Numeric], Returns::By(whole_type), columns(|args| to_places(args, true)))
            .on(&[Ty::Numeric, Ty::INT4], Returns::By(places_type), columns(|args| to_places(args, true)))
            .build(),
        PgFunction::immutable("trunc")
            .on(&[Ty::FLOAT8], Ty::FLOAT8, float(f64::trunc))
            .on(&[Ty::Numeric], Returns::By(whole_type), columns(|args| to_places(args, false)))
            .on(&[Ty::Numeric, Ty::INT4], Returns::By(places_type), columns(|args| to_places(args, false)))
            .build(),
        PgFunction::immutable("mod")
            .on(&[Ty::INT2, Ty::INT2], Ty::INT2, int(|row| remainder(row.int(0), row.int(1))))
            .on(&[Ty::INT4, Ty::INT4], Ty::INT4, int(|row| remainder(row.int(0), row.int(1))))
            .on(&[Ty::INT8, Ty::INT8], Ty::INT8, int(|row| remainder(row.int(0), row.int(1))))
            .on(&[Ty::Numeric, Ty::Numeric], Returns::By(wider), columns(|args| pairwise(args, |a, b| a.wrapping_rem(b), false)))
            .build(),
        PgFunction::immutable("div")
            .on(&[Ty::Numeric, Ty::Numeric], Returns::By(whole_type), columns(|args| pairwise(args, |a, b| a.wrapping_div(b), true)))
            .build(),
        PgFunction::immutable("scale")
            .on(
                &[Ty::Numeric],
                Ty::INT4,
                Body::Int(Box::new(|row| Ok(row.value(0).map(|(array, _)| i64::from(digits(array.data_type()).1))))),
            )
            .build(),
        PgFunction::immutable("min_scale")
            .on(
                &[Ty::Numeric],
                Ty::INT4,
                Body::Int(Box::new(|row| {
                    let Some((array, at)) = row.value(0) else { return Ok(None) };
                    let text = text_of(array, at)?;
                    let places = text.split_once('.').map_or(0, |(_, places)| places.trim_end_matches('0').len());
                    Ok(i64::try_from(places).ok())
                })),
            )
            .build(),
        PgFunction::immutable("trim_scale")
            .on(
                &[Ty::Numeric],
                Returns::By(|args| {
                    let field =
                        args.arg_fields.first().map_or_else(|| Field::new("", DataType::Null, true), |field| field.as_ref().clone());
                    Ok(field.with_metadata([(lakegate_engine_api::PG_TYPE_KEY.to_owned(), "1700".to_owned())].into()))
                }),
                columns(|args| Ok(Arc::clone(&args.arrays[0]))),
            )
            .build(),
        PgFunction::immutable("sqrt")
            .on(
                &[Ty::FLOAT8],
                Ty::FLOAT8,
                Body::Float(Box::new(|row| if row.float(0) < 0.0 { Err(negative_root()) } else { Ok(Some(row.float(0).sqrt())) })),
            )
            .on(&[Ty::Numeric], Returns::By(root_type), columns(square_root))
            .build(),
        PgFunction::immutable("factorial")
            .on(&[Ty::INT8], Returns::By(|_| Ok(Field::new("", DataType::Decimal256(76, 0), true))), columns(factorial))
            .build(),
        PgFunction::immutable("#bitnot")
            .on(&[Ty::INT2], Ty::INT2, int(|row| Ok(!row.int(0))))
            .on(&[Ty::INT4], Ty::INT4, int(|row| Ok(!row.int(0))))
            .on(&[Ty::INT8], Ty::INT8, int(|row| Ok(!row.int(0))))
            .build(),
        // What sums and averages are made of.
        PgFunction::immutable("#sum_argument").on(&[Ty::Any], Returns::By(sum_type), columns(to_result)).build(),
        PgFunction::immutable("#avg_argument").on(&[Ty::Any], Returns::By(avg_type), columns(to_result)).build(),
        PgFunction::immutable("#quotient")
            .on(&[Ty::FLOAT8, Ty::INT8], Ty::FLOAT8, Body::Float(Box::new(|row| Ok(Some(row.float(0) / to_float(row.int(1)))))))
            .on(
                &[Ty::INTERVAL, Ty::INT8],
                Ty::INTERVAL,
                Body::Interval(Box::new(|row| match row.int(1) {
                    0 => Ok(None),
                    count => super::datetime::scaled(row.interval(0), 1.0 / to_float(count)).map(Some),
                })),
            )
            .on(&[Ty::Numeric, Ty::INT8], Returns::By(quotient_type), columns(quotient))
            .build(),
    ]
}

fn int(body: impl Fn(&Row<'_>) -> Result<i64> + Send + Sync + 'static) -> Body {
    Body::Int(Box::new(move |row| body(row).map(Some)))
}

fn float(body: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Body {
    Body::Float(Box::new(move |row| Ok(Some(body(row.float(0))))))
}

fn columns(body: impl Fn(&Columns<'_>) -> Result<ArrayRef> + Send + Sync + 'static) -> Body {
    Body::Columns(Box::new(body))
}

#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn to_float(count: i64) -> f64 {
    count as f64
}

pub fn digits(data_type: &DataType) -> (u8, i8) {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => (*precision, *scale),
        _ => (1, 0),
    }
}

/// Decimal of a precision and scale in the narrower Arrow type that holds it.
fn decimal(precision: i16, scale: i8) -> DataType {
    let precision = u8::try_from(precision.clamp(1, 76)).unwrap_or(76);
    if precision <= 38 { DataType::Decimal128(precision, scale) } else { DataType::Decimal256(precision, scale) }
}

fn wide(array: &ArrayRef) -> Result<Decimal256Array> {
    let (_, scale) = digits(array.data_type());
    Ok(compute::cast(array, &DataType::Decimal256(76, scale))?.as_primitive::<Decimal256Type>().clone())
}

fn scaled(values: Decimal256Array, scale: i8) -> Result<ArrayRef> {
    Ok(Arc::new(values.with_precision_and_scale(76, scale)?))
}

fn magnitude(value: i256) -> i256 {
    if value < i256::ZERO { value.wrapping_neg() } else { value }
}

fn power_of_ten(exponent: i8) -> Result<i256> {
    i256::from(10_i32).checked_pow(u32::from(exponent.unsigned_abs())).ok_or_else(number::numeric_overflow)
}

/// Each value through a function of it and of the unit that its scale makes 1.
fn each(args: &Columns<'_>, f: impl Fn(i256, i256) -> i256) -> Result<ArrayRef> {
    let (_, scale) = digits(args.arrays[0].data_type());
    let unit = power_of_ten(scale)?;
    let result = wide(&args.arrays[0])?.unary::<_, Decimal256Type>(|value| f(value, unit));
    let (_, result_scale) = digits(args.result.data_type());
    into_decimal(&scaled(result, result_scale)?, args.result.data_type())
}

fn floor_quotient(value: i256, unit: i256) -> i256 {
    let quotient = value.wrapping_div(unit);
    if value < i256::ZERO && quotient.wrapping_mul(unit) != value { quotient.wrapping_sub(i256::ONE) } else { quotient }
}

fn rounding(name: &'static str, f: fn(f64) -> f64, whole: fn(i256, i256) -> i256) -> PgFunction {
    PgFunction::immutable(name).on(&[Ty::FLOAT8], Ty::FLOAT8, float(f)).on(
        &[Ty::Numeric],
        Returns::By(whole_type),
        columns(move |args| each(args, whole)),
    )
}

/// A whole number, with room for a carry.
fn whole_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let (precision, scale) = args.arg_fields.first().map_or((1, 0), |field| digits(field.data_type()));
    let divisor = args.arg_fields.get(1).map_or(0, |field| i16::from(digits(field.data_type()).1));
    Ok(Field::new("", decimal(i16::from(precision) - i16::from(scale) + 1 + divisor, 0), true))
}

/// `round(x, places)`: as many places as asked for where that is a constant; else the argument's.
fn places_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let (precision, scale) = args.arg_fields.first().map_or((1, 0), |field| digits(field.data_type()));
    let places = match args.scalar_arguments.get(1) {
        Some(Some(ScalarValue::Int32(Some(places)))) => i8::try_from((*places).clamp(0, 38)).unwrap_or(38),
        Some(Some(ScalarValue::Int64(Some(places)))) => i8::try_from((*places).clamp(0, 38)).unwrap_or(38),
        _ => scale,
    };
    Ok(Field::new("", decimal(i16::from(precision) - i16::from(scale) + 1 + i16::from(places), places), true))
}

fn to_places(args: &Columns<'_>, round: bool) -> Result<ArrayRef> {
    let (_, scale) = digits(args.arrays[0].data_type());
    let (_, result_scale) = digits(args.result.data_type());
    let values = wide(&args.arrays[0])?;
    let places = args.arrays.get(1).map(|places| places.as_primitive::<Int32Type>().clone());
    let result = (0..values.len())
        .map(|row| {
            let places = match &places {
                Some(places) if places.is_null(row) => return Ok(None),
                Some(places) => places.value(row),
                None => 0,
            };
            if values.is_null(row) {
                return Ok(None);
            }
            // The value in units of 10^-scale, cut to 10^-places, then shown at the result's scale.
            let kept = cut(values.value(row), i32::from(scale) - places, round)?;
            let up = i32::from(result_scale) - i32::from(scale);
            shift(kept, up).map(Some)
        })
        .collect::<Result<Decimal256Array>>()?;
    into_decimal(&scaled(result, result_scale)?, args.result.data_type())
}

/// The nearest multiple of 10^drop, or the next towards zero.
fn cut(value: i256, drop: i32, round: bool) -> Result<i256> {
    if drop <= 0 {
        return Ok(value);
    }
    if drop > 76 {
        return Ok(i256::ZERO);
    }
    let unit = i256::from(10_i32).checked_pow(drop.unsigned_abs()).ok_or_else(number::numeric_overflow)?;
    let rest = value.wrapping_rem(unit);
    let down = value.wrapping_sub(rest);
    if round && magnitude(rest) >= unit.wrapping_sub(magnitude(rest)) {
        let away = if value < i256::ZERO { unit.wrapping_neg() } else { unit };
        return Ok(down.wrapping_add(away));
    }
    Ok(down)
}

fn shift(value: i256, by: i32) -> Result<i256> {
    let unit = i256::from(10_i32).checked_pow(by.unsigned_abs()).ok_or_else(number::numeric_overflow)?;
    if by >= 0 { value.checked_mul(unit).ok_or_else(number::numeric_overflow) } else { Ok(value.wrapping_div(unit)) }
}

fn remainder(a: i64, b: i64) -> Result<i64> {
    if b == 0 { Err(division_by_zero()) } else { Ok(a.wrapping_rem(b)) }
}

pub fn wider(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let [(p1, s1), (p2, s2)] = [0, 1].map(|at| args.arg_fields.get(at).map_or((1, 0), |field| digits(field.data_type())));
    let scale = s1.max(s2);
    let whole = (i16::from(p1) - i16::from(s1)).max(i16::from(p2) - i16::from(s2));
    Ok(Field::new("", decimal(whole + i16::from(scale), scale), true))
}

/// `gcd` of numerics, at the larger scale.
pub fn common_divisors() -> Body {
    columns(|args| pairs(args, greatest_divisor))
}

pub fn least_multiple_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    Ok(Field::new("", decimal(76, digits(wider(args)?.data_type()).1), true))
}

/// `lcm` of numerics, at the larger scale.
pub fn common_multiples() -> Body {
    columns(|args| {
        pairs(args, |a, b| {
            let divisor = greatest_divisor(a, b);
            if divisor == i256::ZERO { i256::ZERO } else { magnitude(a.wrapping_div(divisor).wrapping_mul(b)) }
        })
    })
}

fn greatest_divisor(a: i256, b: i256) -> i256 {
    let (mut a, mut b) = (magnitude(a), magnitude(b));
    while b != i256::ZERO {
        (a, b) = (b, a.wrapping_rem(b));
    }
    a
}

/// An operation over both arguments at the larger scale.
fn pairs(args: &Columns<'_>, f: impl Fn(i256, i256) -> i256) -> Result<ArrayRef> {
    let scale = digits(args.arrays[0].data_type()).1.max(digits(args.arrays[1].data_type()).1);
    let (left, right) = (rescale(&args.arrays[0], scale)?, rescale(&args.arrays[1], scale)?);
    let (left, right) = (left.as_primitive::<Decimal256Type>(), right.as_primitive::<Decimal256Type>());
    let result: Decimal256Array = left.iter().zip(right.iter()).map(|(a, b)| a.zip(b).map(|(a, b)| f(a, b))).collect();
    into_decimal(&scaled(result, scale)?, args.result.data_type())
}

/// An operation over both arguments at one scale; `whole`: the result is a count, not at that scale.
fn pairwise(args: &Columns<'_>, f: impl Fn(i256, i256) -> i256, whole: bool) -> Result<ArrayRef> {
    let scale = digits(args.arrays[0].data_type()).1.max(digits(args.arrays[1].data_type()).1);
    let (left, right) = (rescale(&args.arrays[0], scale)?, rescale(&args.arrays[1], scale)?);
    let (left, right) = (left.as_primitive::<Decimal256Type>(), right.as_primitive::<Decimal256Type>());
    let result = left
        .iter()
        .zip(right.iter())
        .map(|pair| match pair {
            (Some(_), Some(divisor)) if divisor == i256::ZERO => Err(division_by_zero()),
            (Some(a), Some(b)) => Ok(Some(f(a, b))),
            _ => Ok(None),
        })
        .collect::<Result<Decimal256Array>>()?;
    let result_scale = if whole { 0 } else { scale };
    into_decimal(&scaled(result, result_scale)?, args.result.data_type())
}

fn text_of(array: &ArrayRef, at: usize) -> Result<String> {
    let (_, scale) = digits(array.data_type());
    let values = wide(array)?;
    Ok(number::decimal(&values.value(at).to_string(), scale))
}

fn negative_root() -> datafusion::error::DataFusionError {
    data(DataError::InvalidPowerArgument, "cannot take square root of a negative number")
}

/// Digits after the point as quotients have them.
fn root_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let scale = args.arg_fields.first().map_or(0, |field| digits(field.data_type()).1);
    Ok(Field::new("", DataType::Decimal256(76, scale.max(numeric_scale::QUOTIENT_SCALE)), true))
}

fn square_root(args: &Columns<'_>) -> Result<ArrayRef> {
    let (_, scale) = digits(args.arrays[0].data_type());
    let (_, result_scale) = digits(args.result.data_type());
    let roots = wide(&args.arrays[0])?
        .iter()
        .map(|value| {
            let Some(value) = value else { return Ok(None) };
            if value < i256::ZERO {
                return Err(negative_root());
            }
            let places = numeric_scale::of_square_root(value, scale);
            let root = numeric_scale::square_root_at(value, i32::from(scale), places)?;
            numeric_scale::rescaled(root, places, i32::from(result_scale)).map(Some)
        })
        .collect::<Result<Decimal256Array>>()?;
    into_decimal(&scaled(roots, result_scale)?, args.result.data_type())
}

fn factorial(args: &Columns<'_>) -> Result<ArrayRef> {
    let values = args.arrays[0].as_primitive::<Int64Type>();
    let result = values
        .iter()
        .map(|value| {
            let Some(value) = value else { return Ok(None) };
            if value < 0 {
                return Err(data(DataError::NumericOutOfRange, "factorial of a negative number is undefined"));
            }
            (1..=value)
                .try_fold(i256::ONE, |product, factor| product.checked_mul(i256::from(factor)))
                .map(Some)
                .ok_or_else(|| data(DataError::NumericOutOfRange, "value overflows numeric format"))
        })
        .collect::<Result<Decimal256Array>>()?;
    into_decimal(&scaled(result, 0)?, args.result.data_type())
}

/// bigint sums are numeric; everything else is summed as it is.
fn sum_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let Some(field) = args.arg_fields.first() else { return Ok(Field::new("", DataType::Null, true)) };
    Ok(match field.data_type() {
        DataType::Int64 | DataType::UInt32 => Field::new("", DataType::Decimal128(20, 0), true),
        _ => field.as_ref().clone(),
    })
}

/// Averages of integers are sums of numerics divided.
fn avg_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let Some(field) = args.arg_fields.first() else { return Ok(Field::new("", DataType::Null, true)) };
    Ok(match field.data_type() {
        DataType::Int64 | DataType::Int32 | DataType::Int16 => Field::new("", DataType::Decimal128(20, 0), true),
        _ => field.as_ref().clone(),
    })
}

fn to_result(args: &Columns<'_>) -> Result<ArrayRef> {
    if args.arrays[0].data_type() == args.result.data_type() {
        return Ok(Arc::clone(&args.arrays[0]));
    }
    Ok(compute::cast(&args.arrays[0], args.result.data_type())?)
}

fn quotient_type(args: &ReturnFieldArgs<'_>) -> Result<Field> {
    let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
    Ok(Field::new("", NUMERIC_DIV.return_type(&types)?, true))
}

fn quotient(args: &Columns<'_>) -> Result<ArrayRef> {
    let divisor = compute::cast(&args.arrays[1], &DataType::Decimal128(19, 0))?;
    divide(&args.arrays[0], &divisor, args.result.data_type())
}
