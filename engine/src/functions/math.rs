//! Mathematical functions over floats and integers (documentation, section 9.3).

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::arithmetic::division_by_zero;
use super::call::Row;
use super::error::{data, out_of_range};
use super::float_arithmetic::{overflow, underflow};
use super::function::{Body, PgFunction, Returns};
use super::numeric;
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        float1("cbrt", |x| Ok(x.cbrt())),
        float1("exp", |x| checked(x.exp(), x)),
        float1("ln", |x| logarithm(x, f64::ln)),
        float1("log10", |x| logarithm(x, f64::log10)),
        PgFunction::immutable("log")
            .on(&[Ty::FLOAT8], Ty::FLOAT8, float(|row| logarithm(row.float(0), f64::log10)))
            .on(
                &[Ty::FLOAT8, Ty::FLOAT8],
                Ty::FLOAT8,
                float(|row| {
                    let base = logarithm(row.float(0), f64::ln)?;
                    let value = logarithm(row.float(1), f64::ln)?;
                    if base == 0.0 { Err(division_by_zero()) } else { Ok(value / base) }
                }),
            )
            .build(),
        PgFunction::immutable("power")
            .alias("pow")
            .on(&[Ty::FLOAT8, Ty::FLOAT8], Ty::FLOAT8, float(|row| power(row.float(0), row.float(1))))
            .build(),
        float1("degrees", |x| Ok(x.to_degrees())),
        float1("radians", |x| Ok(x.to_radians())),
        float1("sin", |x| finite(x, f64::sin)),
        float1("cos", |x| finite(x, f64::cos)),
        float1("tan", |x| finite(x, f64::tan)),
        float1("cot", |x| finite(x, |x| 1.0 / x.tan())),
        float1("asin", |x| unit(x, f64::asin)),
        float1("acos", |x| unit(x, f64::acos)),
        float1("atan", |x| Ok(x.atan())),
        float1("sinh", |x| checked(x.sinh(), x)),
        float1("cosh", |x| checked(x.cosh(), x)),
        float1("tanh", |x| Ok(x.tanh())),
        float1("asinh", |x| Ok(x.asinh())),
        float1("acosh", |x| if x < 1.0 { Err(input_range()) } else { Ok(x.acosh()) }),
        float1("atanh", |x| if x.abs() > 1.0 { Err(input_range()) } else { Ok(x.atanh()) }),
        PgFunction::immutable("atan2").on(&[Ty::FLOAT8, Ty::FLOAT8], Ty::FLOAT8, float(|row| Ok(row.float(0).atan2(row.float(1))))).build(),
        PgFunction::immutable("pi").on(&[], Ty::FLOAT8, float(|_| Ok(std::f64::consts::PI))).build(),
        PgFunction::volatile("random").on(&[], Ty::FLOAT8, float(|_| Ok(random()))).build(),
        PgFunction::immutable("gcd")
            .on(&[Ty::INT4, Ty::INT4], Ty::INT4, int(|row| Ok(Some(gcd(row.int(0), row.int(1))))))
            .on(&[Ty::INT8, Ty::INT8], Ty::INT8, int(|row| Ok(Some(gcd(row.int(0), row.int(1))))))
            .on(&[Ty::Numeric, Ty::Numeric], Returns::By(numeric::wider), numeric::common_divisors())
            .build(),
        PgFunction::immutable("lcm")
            .on(&[Ty::INT4, Ty::INT4], Ty::INT4, int(|row| lcm(row.int(0), row.int(1)).map(Some)))
            .on(&[Ty::INT8, Ty::INT8], Ty::INT8, int(|row| lcm(row.int(0), row.int(1)).map(Some)))
            .on(&[Ty::Numeric, Ty::Numeric], Returns::By(numeric::least_multiple_type), numeric::common_multiples())
            .build(),
    ]
}

fn float(body: impl Fn(&Row<'_>) -> Result<f64> + Send + Sync + 'static) -> Body {
    Body::Float(Box::new(move |row| body(row).map(Some)))
}

fn int(body: impl Fn(&Row<'_>) -> Result<Option<i64>> + Send + Sync + 'static) -> Body {
    Body::Int(Box::new(body))
}

fn float1(name: &'static str, body: impl Fn(f64) -> Result<f64> + Send + Sync + 'static) -> Arc<ScalarUDF> {
    PgFunction::immutable(name).on(&[Ty::FLOAT8], Ty::FLOAT8, float(move |row| body(row.float(0)))).build()
}

fn input_range() -> DataFusionError {
    data(DataError::NumericOutOfRange, "input is out of range")
}

/// An infinite result of a finite argument is an overflow.
fn checked(result: f64, argument: f64) -> Result<f64> {
    if result.is_infinite() && argument.is_finite() {
        return Err(overflow());
    }
    if result == 0.0 && argument.is_finite() && argument < -700.0 {
        return Err(underflow());
    }
    Ok(result)
}

fn finite(x: f64, f: impl Fn(f64) -> f64) -> Result<f64> {
    if x.is_infinite() { Err(input_range()) } else { Ok(f(x)) }
}

fn unit(x: f64, f: impl Fn(f64) -> f64) -> Result<f64> {
    if x.abs() > 1.0 { Err(input_range()) } else { Ok(f(x)) }
}

fn logarithm(x: f64, f: impl Fn(f64) -> f64) -> Result<f64> {
    if x == 0.0 {
        return Err(data(DataError::InvalidLogarithmArgument, "cannot take logarithm of zero"));
    }
    if x < 0.0 {
        return Err(data(DataError::InvalidLogarithmArgument, "cannot take logarithm of a negative number"));
    }
    Ok(f(x))
}

fn power(base: f64, exponent: f64) -> Result<f64> {
    if base == 0.0 && exponent < 0.0 {
        return Err(data(DataError::InvalidPowerArgument, "zero raised to a negative power is undefined"));
    }
    if base < 0.0 && exponent.fract() != 0.0 && exponent.is_finite() {
        return Err(data(DataError::InvalidPowerArgument, "a negative number raised to a non-integer power yields a complex result"));
    }
    let result = base.powf(exponent);
    if base.is_finite() && exponent.is_finite() {
        if result.is_infinite() {
            return Err(overflow());
        }
        if result == 0.0 && base != 0.0 {
            return Err(underflow());
        }
    }
    Ok(result)
}

/// In [0, 1), 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn random() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    let (_, low) = uuid::Uuid::new_v4().as_u64_pair();
    // The version and variant bits of a UUID are fixed; the mix has none of them left where they count.
    let bits = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).unwrap_or(i64::MAX)
}

fn lcm(a: i64, b: i64) -> Result<i64> {
    if a == 0 || b == 0 {
        return Ok(0);
    }
    (a / gcd(a, b)).checked_mul(b).and_then(i64::checked_abs).ok_or_else(|| out_of_range("bigint"))
}
