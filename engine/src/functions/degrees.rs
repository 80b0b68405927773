//! Trigonometry in degrees (documentation, section 9.3), exact where the exact result is a round number: each function is
//! scaled by its own value at 30, 45 or 60 degrees, as float.c does.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::error::data;
use super::function::{Body, PgFunction};
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        of_angle("sind", sind),
        of_angle("cosd", cosd),
        of_angle("tand", |angle| tangent(angle, |x| sine(x) / cosine(x))),
        of_angle("cotd", |angle| tangent(angle, |x| cosine(x) / sine(x))),
        of_ratio("asind", |x| if x >= 0.0 { arcsine(x) } else { -arcsine(-x) }),
        of_ratio("acosd", |x| if x >= 0.0 { arccosine(x) } else { 90.0 + arcsine(-x) }),
        PgFunction::immutable("atand")
            .on(&[Ty::FLOAT8], Ty::FLOAT8, Body::Float(Box::new(|row| Ok(Some(arctangent(row.float(0).atan()))))))
            .build(),
        PgFunction::immutable("atan2d")
            .on(&[Ty::FLOAT8, Ty::FLOAT8], Ty::FLOAT8, Body::Float(Box::new(|row| Ok(Some(arctangent(row.float(0).atan2(row.float(1))))))))
            .build(),
    ]
}

fn input_range() -> DataFusionError {
    data(DataError::NumericOutOfRange, "input is out of range")
}

fn of_angle(name: &'static str, f: fn(f64) -> f64) -> Arc<ScalarUDF> {
    let body = move |x: f64| -> Result<f64> { if x.is_infinite() { Err(input_range()) } else { Ok(f(x)) } };
    PgFunction::immutable(name).on(&[Ty::FLOAT8], Ty::FLOAT8, Body::Float(Box::new(move |row| body(row.float(0)).map(Some)))).build()
}

fn of_ratio(name: &'static str, f: fn(f64) -> f64) -> Arc<ScalarUDF> {
    let body = move |x: f64| -> Result<f64> { if x.abs() > 1.0 { Err(input_range()) } else { Ok(f(x)) } };
    PgFunction::immutable(name).on(&[Ty::FLOAT8], Ty::FLOAT8, Body::Float(Box::new(move |row| body(row.float(0)).map(Some)))).build()
}

const PER_DEGREE: f64 = std::f64::consts::PI / 180.0;

fn sine_to_30(x: f64) -> f64 {
    (x * PER_DEGREE).sin() / (30.0 * PER_DEGREE).sin() / 2.0
}

fn cosine_to_60(x: f64) -> f64 {
    1.0 - ((1.0 - (x * PER_DEGREE).cos()) / (1.0 - (60.0 * PER_DEGREE).cos())) / 2.0
}

/// From 0 to 90 degrees.
fn sine(x: f64) -> f64 {
    if x <= 30.0 { sine_to_30(x) } else { cosine_to_60(90.0 - x) }
}

fn cosine(x: f64) -> f64 {
    if x <= 60.0 { cosine_to_60(x) } else { sine_to_30(90.0 - x) }
}

fn sind(angle: f64) -> f64 {
    let mut x = angle % 360.0;
    let mut sign = 1.0;
    if x < 0.0 {
        (x, sign) = (-x, -sign);
    }
    if x > 180.0 {
        (x, sign) = (360.0 - x, -sign);
    }
    if x > 90.0 {
        x = 180.0 - x;
    }
    sign * sine(x)
}

fn cosd(angle: f64) -> f64 {
    let mut x = (angle % 360.0).abs();
    let mut sign = 1.0;
    if x > 180.0 {
        x = 360.0 - x;
    }
    if x > 90.0 {
        (x, sign) = (180.0 - x, -sign);
    }
    sign * cosine(x)
}

/// `ratio` of an angle from 0 to 90 degrees, scaled to 1 at 45.
fn tangent(angle: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    let mut x = angle % 360.0;
    let mut sign = 1.0;
    if x < 0.0 {
        (x, sign) = (-x, -sign);
    }
    if x > 180.0 {
        (x, sign) = (360.0 - x, -sign);
    }
    if x > 90.0 {
        (x, sign) = (180.0 - x, -sign);
    }
    let result = sign * (ratio(x) / ratio(45.0));
    // No negative zero.
    if result == 0.0 { 0.0 } else { result }
}

/// Of a ratio from 0 to 1.
fn arcsine(x: f64) -> f64 {
    if x <= 0.5 { (x.asin() / 0.5_f64.asin()) * 30.0 } else { 90.0 - (x.acos() / 0.5_f64.acos()) * 60.0 }
}

fn arccosine(x: f64) -> f64 {
    if x <= 0.5 { 90.0 - (x.asin() / 0.5_f64.asin()) * 30.0 } else { (x.acos() / 0.5_f64.acos()) * 60.0 }
}

fn arctangent(radians: f64) -> f64 {
    (radians / 1.0_f64.atan()) * 45.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_results() {
        assert_eq!((sind(30.0), sind(150.0), sind(-90.0), sind(360.0)), (0.5, 0.5, -1.0, 0.0));
        assert_eq!((cosd(60.0), cosd(120.0), cosd(180.0)), (0.5, -0.5, -1.0));
        let tand = |x: f64| tangent(x, |x| sine(x) / cosine(x));
        assert_eq!((tand(45.0), tand(135.0), tand(225.0)), (1.0, -1.0, 1.0));
        assert_eq!((arcsine(0.5), arccosine(0.5), arctangent(1.0_f64.atan())), (30.0, 60.0, 45.0));
    }
}
