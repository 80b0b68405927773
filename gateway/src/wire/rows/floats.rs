//! float4 and float8. Text is the shortest that reads back exactly, laid out as `float8out` does; with `extra_float_digits` at
//! zero or below it is rounded as `%.*g` does.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_schema::DataType;
use lakegate_catalog::model::PgType;

use super::cell::{Cell, CellResult, Manner, as_i64, mismatch, out_of_range, put};
use crate::sqlstate::SqlError;
use crate::wire::outgoing::Format;

/// Digits that a type always holds (`FLT_DIG`, `DBL_DIG`); from this exponent on PostgreSQL writes the scientific form.
const FLOAT4_DIGITS: i32 = 6;
const FLOAT8_DIGITS: i32 = 15;

pub fn float(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    let extra = manner.style.extra_float_digits;
    match (array.data_type(), pg.oid) {
        (DataType::Float64, 701) => {
            let values = array.as_primitive::<Float64Type>().values().clone();
            Ok(double(move |row| values[row], format, extra))
        }
        (DataType::Float32, 701) => {
            let values = array.as_primitive::<Float32Type>().values().clone();
            Ok(double(move |row| f64::from(values[row]), format, extra))
        }
        (DataType::Float32, _) => {
            let values = array.as_primitive::<Float32Type>().values().clone();
            Ok(single(move |row| Ok(values[row]), format, extra))
        }
        (DataType::Float16, _) => {
            let values = array.as_primitive::<Float16Type>().values().clone();
            Ok(single(move |row| Ok(values[row].to_f32()), format, extra))
        }
        (DataType::Float64, _) => {
            let values = array.as_primitive::<Float64Type>().values().clone();
            Ok(single(move |row| narrowed(values[row]), format, extra))
        }
        _ => match as_i64(array) {
            #[expect(clippy::cast_precision_loss, reason = "what a cast to double precision does")]
            Some(value) => Ok(double(move |row| value(row) as f64, format, extra)),
            None => Err(mismatch(pg, array.data_type(), format)),
        },
    }
}

/// Shortest text of a float8, with `extra_float_digits` as set.
pub fn float8_text(value: f64, extra: i32, out: &mut Vec<u8>) {
    if special(value, out) {
        return;
    }
    if extra <= 0 {
        return rounded(value, (FLOAT8_DIGITS + extra).max(1), out);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if (1e-4..1e15).contains(&value.abs()) && plain(text, out) {
        return;
    }
    let shortest = Decimal::of(text);
    let bits = Bits::of_float8(value);
    let shortest = if shortest.is_halfway(&bits) { Decimal::inside(value, &bits) } else { shortest };
    shortest.layout(FLOAT8_DIGITS, out);
}

/// As [`float8_text`], of a float4.
pub fn float4_text(value: f32, extra: i32, out: &mut Vec<u8>) {
    if special(f64::from(value), out) {
        return;
    }
    if extra <= 0 {
        return rounded(f64::from(value), (FLOAT4_DIGITS + extra).max(1), out);
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    if (1e-4..1e6).contains(&value.abs()) && plain(text, out) {
        return;
    }
    let shortest = Decimal::of(text);
    let bits = Bits::of_float4(value);
    let shortest = if shortest.is_halfway(&bits) { Decimal::inside(value, &bits) } else { shortest };
    shortest.layout(FLOAT4_DIGITS, out);
}

/// Within PostgreSQL's fixed range the shortest text is the formatter's, but for a `.0` at its end. No tie is possible there.
fn plain(text: &str, out: &mut Vec<u8>) -> bool {
    let bytes = text.as_bytes();
    if bytes.contains(&b'e') {
        return false;
    }
    out.extend_from_slice(bytes.strip_suffix(b".0").unwrap_or(bytes));
    true
}

fn double(value: impl Fn(usize) -> f64 + Send + Sync + 'static, format: Format, extra: i32) -> Cell {
    match format {
        Format::Text => Box::new(move |row, out| {
            float8_text(value(row), extra, out);
            Ok(())
        }),
        Format::Binary => Box::new(move |row, out| {
            put(out, value(row).to_be_bytes());
            Ok(())
        }),
    }
}

fn single(value: impl Fn(usize) -> Result<f32, Box<SqlError>> + Send + Sync + 'static, format: Format, extra: i32) -> Cell {
    match format {
        Format::Text => Box::new(move |row, out| {
            float4_text(value(row)?, extra, out);
            Ok(())
        }),
        Format::Binary => Box::new(move |row, out| -> CellResult {
            put(out, value(row)?.to_be_bytes());
            Ok(())
        }),
    }
}

fn narrowed(value: f64) -> Result<f32, Box<SqlError>> {
    #[expect(clippy::cast_possible_truncation, reason = "checked below")]
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() { Err(out_of_range(700)) } else { Ok(narrow) }
}

fn special(value: f64, out: &mut Vec<u8>) -> bool {
    let text: &[u8] = match value {
        _ if value.is_nan() => b"NaN",
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ if value == 0.0 && value.is_sign_negative() => b"-0",
        0.0 => b"0",
        _ => return false,
    };
    out.extend_from_slice(text);
    true
}

/// `%.*g`: that many significant digits, trailing zeros dropped.
fn rounded(value: f64, digits: i32, out: &mut Vec<u8>) {
    let text = format!("{value:.*e}", usize::try_from(digits - 1).unwrap_or(0));
    Decimal::of(&text).layout(digits, out);
}

/// mantissa × 2^exponent.
struct Bits {
    mantissa: u64,
    exponent: i32,
}

impl Bits {
    fn of_float8(value: f64) -> Bits {
        let bits = value.to_bits();
        let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
        Bits { mantissa: (bits & ((1 << 52) - 1)) | (1 << 52), exponent: exponent - 1_075 }
    }

    fn of_float4(value: f32) -> Bits {
        let bits = value.to_bits();
        let exponent = i32::try_from((bits >> 23) & 0xff).unwrap_or(0);
        Bits { mantissa: u64::from((bits & ((1 << 23) - 1)) | (1 << 23)), exponent: exponent - 150 }
    }
}

/// 0.d₁d₂… × 10^point, without trailing zeros.
struct Decimal {
    negative: bool,
    digits: [u8; 24],
    len: usize,
    point: i32,
}

impl Decimal {
    /// Reads `-12.5`, `0.003`, `1.2e-7`: what the formatters write.
    fn of(text: &str) -> Decimal {
        let mut decimal = Decimal { negative: false, digits: [0; 24], len: 0, point: 0 };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut after_point = false;
        for byte in mantissa.bytes() {
            match byte {
                b'-' => decimal.negative = true,
                b'.' => after_point = true,
                b'0' if decimal.len == 0 => decimal.point -= i32::from(after_point),
                digit => {
                    if let Some(place) = decimal.digits.get_mut(decimal.len) {
                        *place = digit;
                        decimal.len += 1;
                    }
                    decimal.point += i32::from(!after_point);
                }
            }
        }
        decimal.point += exponent.parse::<i32>().unwrap_or(0);
        while decimal.len > 1 && decimal.digits.get(decimal.len - 1) == Some(&b'0') {
            decimal.len -= 1;
        }
        decimal
    }

    /// The shortest decimal strictly inside the interval that rounds to `value`, nearest to it.
    fn inside<T: std::fmt::LowerExp + std::str::FromStr + PartialEq>(value: T, bits: &Bits) -> Decimal {
        for digits in 0..17 {
            let text = format!("{value:.digits$e}");
            let decimal = Decimal::of(&text);
            if text.parse().is_ok_and(|read: T| read == value) && !decimal.is_halfway(bits) {
                return decimal;
            }
        }
        Decimal::of(&format!("{value:.16e}"))
    }

    /// Exactly between the value and its neighbour. PostgreSQL does not rely on the reader to round such a tie to even.
    fn is_halfway(&self, bits: &Bits) -> bool {
        // A tie is an odd multiple of half a unit in the last place; only large whole numbers have one that is short in decimal.
        if bits.exponent < 1 {
            return false;
        }
        let Some(digits) = self.digits.get(..self.len) else { return false };
        let number = digits.iter().fold(0u128, |number, digit| number * 10 + u128::from(digit - b'0'));
        let Ok(zeros) = u32::try_from(self.point - i32::try_from(self.len).unwrap_or(0)) else { return false };
        let Some(odd_part) = 5u128.checked_pow(zeros).and_then(|power| power.checked_mul(number)) else { return false };
        let twos = odd_part.trailing_zeros();
        let (odd_part, twos) = (odd_part >> twos, i32::try_from(twos + zeros).unwrap_or(i32::MAX));
        let mantissa = u128::from(bits.mantissa);
        let half = twos == bits.exponent - 1 && (odd_part == 2 * mantissa - 1 || odd_part == 2 * mantissa + 1);
        // Below a power of two the neighbour is half as far.
        half || mantissa.is_power_of_two() && twos == bits.exponent - 2 && odd_part == 4 * mantissa - 1
    }

    /// Fixed from 0.0001 up to `digits_max` digits before the point, else scientific with two digits of exponent.
    fn layout(&self, digits_max: i32, out: &mut Vec<u8>) {
        let digits = self.digits.get(..self.len).unwrap_or_default();
        let exponent = self.point - 1;
        if self.negative {
            out.push(b'-');
        }
        if exponent < -4 || exponent >= digits_max {
            let (first, rest) = digits.split_at(1.min(digits.len()));
            out.extend_from_slice(first);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            out.extend_from_slice(itoa::Buffer::new().format(exponent.abs()).as_bytes());
        } else if self.point <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', usize::try_from(-self.point).unwrap_or(0)));
            out.extend_from_slice(digits);
        } else {
            let whole = usize::try_from(self.point).unwrap_or(0);
            let (before, after) = digits.split_at(whole.min(digits.len()));
            out.extend_from_slice(before);
            out.extend(std::iter::repeat_n(b'0', whole - before.len()));
            if !after.is_empty() {
                out.push(b'.');
                out.extend_from_slice(after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text8(value: f64, extra: i32) -> String {
        let mut out = Vec::new();
        float8_text(value, extra, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn text4(value: f32) -> String {
        let mut out = Vec::new();
        float4_text(value, 1, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Each right side is PostgreSQL 15's.
    #[test]
    fn laid_out_as_postgresql_does() {
        for (value, text) in [
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (123_456_789_012_345.6, "123456789012345.6"),
            (-0.0, "-0"),
            (1e300, "1e+300"),
            (12_345_678_901_234_567_890.0, "1.2345678901234567e+19"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (5e-324, "5e-324"),
            (-1.5, "-1.5"),
        ] {
            assert_eq!(text8(value, 1), text);
        }
        for (value, text) in [(999_999.0, "999999"), (1e6, "1e+06"), (1.5e-7, "1.5e-07"), (1_234_567.0, "1.234567e+06"), (0.1, "0.1")] {
            assert_eq!(text4(value), text);
        }
        assert_eq!(text8(1.0 / 3.0, 0), "0.333333333333333");
        assert_eq!(text8(1.0 / 3.0, -15), "0.3");
        assert_eq!(text8(12345.6, -15), "1e+04");
        assert_eq!(text8(123_456.789, -5), "123456.789");
    }
}
