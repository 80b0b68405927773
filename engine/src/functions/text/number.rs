//! Text forms of numbers.

use std::fmt::Write;

use datafusion::arrow::datatypes::i256;
use datafusion::common::Result;
use lakegate_engine_api::DataError;

use crate::functions::error::{self, invalid_input};

/// `float8out` with shortest digits: plain from 1e-5 to 1e15, else scientific.
#[must_use]
pub fn float8(value: f64) -> String {
    special(value).unwrap_or_else(|| layout(&format!("{value:e}"), 15))
}

/// `float4out`.
#[must_use]
pub fn float4(value: f32) -> String {
    special(f64::from(value)).unwrap_or_else(|| layout(&format!("{value:e}"), 6))
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        Some("NaN".to_owned())
    } else if value.is_infinite() {
        Some(if value < 0.0 { "-Infinity" } else { "Infinity" }.to_owned())
    } else {
        None
    }
}

/// From Rust's shortest `d.ddde-x` to PostgreSQL's layout.
fn layout(scientific: &str, digits_before_exponent: i32) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let mut out = sign.to_owned();
    if exponent < -4 || exponent >= digits_before_exponent {
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    } else if exponent < 0 {
        out.push_str("0.");
        (1..-exponent).for_each(|_| out.push('0'));
        out.push_str(&digits);
    } else {
        let before = usize::try_from(exponent).unwrap_or(0) + 1;
        for at in 0..before.max(digits.len()) {
            if at == before {
                out.push('.');
            }
            out.push(digits.as_bytes().get(at).map_or('0', |digit| char::from(*digit)));
        }
    }
    out
}

/// `float8in`.
///
/// # Errors
/// 22P02, or 22003 for what overflows or underflows.
pub fn parse_float8(text: &str) -> Result<f64> {
    parse_float(text, "double precision", |value: f64| value.is_infinite() || value == 0.0)
}

/// `float4in`.
///
/// # Errors
/// As [`parse_float8`].
#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
pub fn parse_float4(text: &str) -> Result<f32> {
    parse_float(text, "real", |value: f64| (value as f32).is_infinite() || value as f32 == 0.0).map(|value| value as f32)
}

fn parse_float(text: &str, type_name: &str, lost: impl Fn(f64) -> bool) -> Result<f64> {
    let trimmed = text.trim();
    match trimmed.to_ascii_lowercase().as_str() {
        "nan" => return Ok(f64::NAN),
        "infinity" | "inf" | "+infinity" | "+inf" => return Ok(f64::INFINITY),
        "-infinity" | "-inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    if trimmed.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) {
        return Err(invalid_input(type_name, text));
    }
    let value: f64 = trimmed.parse().map_err(|_| invalid_input(type_name, text))?;
    let mantissa = trimmed.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if !is_zero && lost(value) {
        return Err(error::data(DataError::NumericOutOfRange, format_args!("\"{text}\" is out of range for type {type_name}")));
    }
    Ok(value)
}

/// `int2in`, `int4in`, `int8in`.
///
/// # Errors
/// 22P02, or 22003 out of the type's range.
pub fn parse_int(text: &str, type_name: &str, least: i64, greatest: i64) -> Result<i64> {
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid_input(type_name, text));
    }
    trimmed
        .parse::<i64>()
        .ok()
        .filter(|value| (least..=greatest).contains(value))
        .ok_or_else(|| error::data(DataError::NumericOutOfRange, format_args!("value \"{text}\" is out of range for type {type_name}")))
}

/// A decimal number as digits and scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    pub negative: bool,
    /// Without leading zeros; empty for zero.
    pub digits: String,
    /// Digits after the point; never negative.
    pub scale: usize,
}

impl Decimal {
    /// `numeric_in`.
    ///
    /// # Errors
    /// 22P02; 0A000 for NaN and the infinities, which tables cannot hold.
    pub fn parse(text: &str) -> Result<Decimal> {
        let trimmed = text.trim();
        let lower = trimmed.to_ascii_lowercase();
        if matches!(lower.trim_start_matches(['+', '-']), "nan" | "infinity" | "inf") {
            return Err(error::unsupported(format_args!("the numeric value {trimmed}")));
        }
        Self::read(trimmed).ok_or_else(|| invalid_input("numeric", text))
    }

    fn read(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok().filter(|exponent| exponent.abs() < 1_000)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if (whole.is_empty() && fraction.is_empty()) || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut digits = format!("{whole}{fraction}");
        let scale = i32::try_from(fraction.len()).ok()? - exponent;
        if scale < 0 {
            digits.extend(std::iter::repeat_n('0', usize::try_from(-scale).ok()?));
        }
        let digits = digits.trim_start_matches('0').to_owned();
        Some(Decimal { negative, digits, scale: usize::try_from(scale.max(0)).ok()? })
    }

    /// The unscaled value at a scale, rounded half away from zero; `None` where it has more than 76 digits.
    #[must_use]
    pub fn at_scale(&self, scale: usize) -> Option<i256> {
        let mut digits = self.digits.clone();
        let mut round_up = false;
        if scale >= self.scale {
            digits.extend(std::iter::repeat_n('0', scale - self.scale));
        } else {
            let dropped = self.scale - scale;
            let kept = digits.len().saturating_sub(dropped);
            round_up = digits.len() >= dropped && digits.as_bytes().get(kept).is_some_and(|digit| *digit >= b'5');
            digits.truncate(kept);
        }
        if digits.len() > 76 {
            return None;
        }
        let value = if digits.is_empty() { i256::ZERO } else { i256::from_string(&digits)? };
        let value = if round_up { value.checked_add(i256::ONE)? } else { value };
        Some(if self.negative { value.wrapping_neg() } else { value })
    }
}

/// 22003 as `apply_typmod` words it.
pub fn numeric_overflow() -> datafusion::error::DataFusionError {
    error::data(DataError::NumericOutOfRange, "numeric field overflow")
}

/// `numeric_out` of an unscaled value.
#[must_use]
pub fn decimal(unscaled: &str, scale: i8) -> String {
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled), |digits| ("-", digits));
    if scale <= 0 {
        let zeros = if digits == "0" { 0 } else { usize::from(scale.unsigned_abs()) };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    }
    let scale = usize::from(scale.unsigned_abs());
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_postgresql_writes_them() {
        for (value, text) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float8(value), text);
        }
        assert_eq!(float4(1e6), "1e+06");
        assert_eq!(float4(3.4), "3.4");
    }

    #[test]
    fn decimals() {
        let at = |text: &str, scale| Decimal::parse(text).unwrap().at_scale(scale).unwrap().to_string();
        assert_eq!(at("1.005", 2), "101");
        assert_eq!(at("-0.5", 0), "-1");
        assert_eq!(at("1e3", 1), "10000");
        assert_eq!(at(".0049", 2), "0");
        assert_eq!(decimal("-5", 3), "-0.005");
        assert!(Decimal::parse("1.2.3").is_err());
    }
}
