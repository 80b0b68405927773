//! bool, integers, floats, oid, bytea: input syntax of `boolin`, `int4in`, `float8in`, `oidin`, `byteain`.

use lakegate_catalog::model::Oid;

use crate::sqlstate::{SqlError, SqlState};
use crate::wire::pg_types::type_name;

/// 22P02.
#[must_use]
pub fn invalid(oid: Oid, text: &str) -> SqlError {
    SqlError::new(SqlState::InvalidTextRepresentation, format!("invalid input syntax for type {}: \"{text}\"", type_name(oid)))
}

/// Blank as C's `isspace` sees it.
#[must_use]
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| u8::try_from(c).is_ok_and(is_blank))
}

/// `t`, `true`, `y`, `on`, `1` and their opposites, or a prefix that is unique.
pub fn parse_bool(text: &str) -> Result<bool, SqlError> {
    let word = trim(text).to_ascii_lowercase();
    let is = |whole: &str, shortest: usize| word.len() >= shortest && whole.starts_with(&word);
    if is("true", 1) || is("yes", 1) || is("on", 2) || word == "1" {
        Ok(true)
    } else if is("false", 1) || is("no", 1) || is("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid(16, text))
    }
}

/// A whole number within `min..=max`, for the integer type `oid`.
pub fn parse_integer(text: &str, oid: Oid, min: i64, max: i64) -> Result<i64, SqlError> {
    let number = trim(text);
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    let leading = digits.bytes().take_while(u8::is_ascii_digit).count();
    let end = number.len() - digits.len() + leading;
    // Digits are judged as they come: a number out of range is that, whatever follows it. (`oidin` looks at the end first.)
    let value = number.get(..end).unwrap_or_default().parse::<i64>().ok().filter(|value| (min..=max).contains(value));
    match value {
        Some(value) if leading == digits.len() => Ok(value),
        None if leading > 0 && (leading == digits.len() || oid != 26) => {
            let message = format!("value \"{text}\" is out of range for type {}", type_name(oid));
            Err(SqlError::new(SqlState::NumericValueOutOfRange, message))
        }
        _ => Err(invalid(oid, text)),
    }
}

/// An unsigned 32-bit number; negative ones wrap, as PostgreSQL lets them.
pub fn parse_oid(text: &str) -> Result<i64, SqlError> {
    let value = parse_integer(text, 26, i64::from(i32::MIN), i64::from(u32::MAX))?;
    Ok(if value < 0 { value + (1 << 32) } else { value })
}

pub fn parse_float8(text: &str) -> Result<f64, SqlError> {
    let number = trim(text);
    let value: f64 = parse_float(number, 701, text)?;
    if value.is_infinite() && number.contains(|c: char| c.is_ascii_digit()) || value == 0.0 && has_digit_above_zero(number) {
        return Err(float_out_of_range(number, 701));
    }
    Ok(value)
}

pub fn parse_float4(text: &str) -> Result<f32, SqlError> {
    let number = trim(text);
    let value: f32 = parse_float(number, 700, text)?;
    if value.is_infinite() && number.contains(|c: char| c.is_ascii_digit()) || value == 0.0 && has_digit_above_zero(number) {
        return Err(float_out_of_range(number, 700));
    }
    Ok(value)
}

/// `\x` and hex pairs that blanks may part, or the escape format.
pub fn parse_bytea(text: &str) -> Result<Vec<u8>, SqlError> {
    match text.strip_prefix("\\x") {
        Some(hex) => parse_hex(hex),
        None => parse_escape(text.as_bytes()),
    }
}

/// Rust reads what `strtod` reads, hexadecimal floats aside, and the same words.
fn parse_float<T: std::str::FromStr>(number: &str, oid: Oid, text: &str) -> Result<T, SqlError> {
    let parsed = number.parse().ok().or_else(|| format!("{:e}", hexadecimal(number)?).parse().ok());
    parsed.ok_or_else(|| invalid(oid, text))
}

/// `0x1.8p3`.
fn hexadecimal(number: &str) -> Option<f64> {
    let (negative, unsigned) = match number.strip_prefix(['-', '+']) {
        Some(rest) => (number.starts_with('-'), rest),
        None => (false, number),
    };
    let rest = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"))?;
    let (mantissa, exponent) = rest.split_once(['p', 'P']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut value = 0f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent = exponent.parse::<i32>().ok()?.saturating_sub(i32::try_from(fraction.len()).ok()?.saturating_mul(4));
    let value = value * 2f64.powi(exponent);
    Some(if negative { -value } else { value })
}

fn has_digit_above_zero(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

fn float_out_of_range(number: &str, oid: Oid) -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, format!("\"{number}\" is out of range for type {}", type_name(oid)))
}

fn parse_hex(hex: &str) -> Result<Vec<u8>, SqlError> {
    let wrong = |message: String| SqlError::new(SqlState::InvalidParameterValue, message);
    let digit = |c: char| {
        let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digit.ok_or_else(|| wrong(format!("invalid hexadecimal digit: \"{c}\"")))
    };
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    let mut characters = hex.chars();
    while let Some(first) = characters.next() {
        if matches!(first, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(first)?;
        let second = characters.next().ok_or_else(|| wrong("invalid hexadecimal data: odd number of digits".to_owned()))?;
        bytes.push(high << 4 | digit(second)?);
    }
    Ok(bytes)
}

fn parse_escape(text: &[u8]) -> Result<Vec<u8>, SqlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', tail @ ..] => {
                bytes.push(b'\\');
                tail
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            [b'\\', ..] => {
                return Err(SqlError::new(SqlState::InvalidTextRepresentation, "invalid input syntax for type bytea"));
            }
            [byte, tail @ ..] => {
                bytes.push(*byte);
                tail
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_by_unique_prefix() {
        for text in ["t", " TRUE ", "tr", "y", "on", "1"] {
            assert!(parse_bool(text).unwrap(), "{text}");
        }
        for text in ["f", "no", "of", "OFF", "0"] {
            assert!(!parse_bool(text).unwrap(), "{text}");
        }
        for text in ["", "o", "truey", "2", "10"] {
            assert!(parse_bool(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_at_their_limits() {
        let int2 = |text| parse_integer(text, 21, i64::from(i16::MIN), i64::from(i16::MAX));
        assert_eq!(int2(" -32768 ").unwrap(), -32768);
        assert_eq!(int2("32768").unwrap_err().message, "value \"32768\" is out of range for type smallint");
        assert_eq!(int2("1.0").unwrap_err().message, "invalid input syntax for type smallint: \"1.0\"");
        assert_eq!(parse_oid("-1").unwrap(), 4_294_967_295);
        assert_eq!(parse_float8("1e400").unwrap_err().state, SqlState::NumericValueOutOfRange);
        assert_eq!(parse_float8("1e-400").unwrap_err().state, SqlState::NumericValueOutOfRange);
        assert_eq!(parse_float8(" -inf ").unwrap(), f64::NEG_INFINITY);
        assert_eq!(parse_float8("0e999").unwrap(), 0.0);
        assert!(parse_float8("1e").is_err());
    }

    #[test]
    fn bytea_in_both_formats() {
        assert_eq!(parse_bytea("\\x00 fF").unwrap(), [0, 255]);
        assert_eq!(parse_bytea("a\\\\\\001").unwrap(), [b'a', b'\\', 1]);
        assert_eq!(parse_bytea("\\xg0").unwrap_err().message, "invalid hexadecimal digit: \"g\"");
        assert!(parse_bytea("\\x012").is_err());
        assert!(parse_bytea("\\9").is_err());
    }
}
