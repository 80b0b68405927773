//! numeric, from decimals of every width and from unsigned 64-bit integers. Exact at any precision.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_buffer::i256;
use arrow_schema::DataType;
use lakegate_catalog::model::PgType;
use lakegate_engine_api::UNDECLARED_NUMERICS;

use super::cell::{Cell, as_i64, mismatch, put};
use super::floats::{float4_text, float8_text};
use crate::sqlstate::SqlError;
use crate::wire::outgoing::Format;
use crate::wire::text_input::numeric::Numeric;

/// Decimal digits of a base-10000 digit of the binary format.
const GROUP: usize = 4;

pub fn numeric(pg: PgType, array: &ArrayRef, format: Format) -> Result<Cell, SqlError> {
    macro_rules! decimal {
        ($type:ty, $precision:expr, $scale:expr, $digits:expr) => {{
            let values = array.as_primitive::<$type>().values().clone();
            let layout = Layout::new(pg, $precision, $scale);
            Ok(match format {
                Format::Text => Box::new(move |row, out| {
                    $digits(values[row], &mut |negative, digits: &[u8]| layout.text(negative, digits, out));
                    Ok(())
                }),
                Format::Binary => Box::new(move |row, out| {
                    $digits(values[row], &mut |negative, digits: &[u8]| layout.binary(negative, digits, out));
                    Ok(())
                }),
            })
        }};
    }
    match array.data_type() {
        DataType::Decimal32(precision, scale) => decimal!(Decimal32Type, *precision, *scale, digits_of_i32),
        DataType::Decimal64(precision, scale) => decimal!(Decimal64Type, *precision, *scale, digits_of_i64),
        DataType::Decimal128(precision, scale) => decimal!(Decimal128Type, *precision, *scale, digits_of_i128),
        DataType::Decimal256(precision, scale) => decimal!(Decimal256Type, *precision, *scale, digits_of_i256),
        DataType::UInt64 => decimal!(UInt64Type, 20, 0, digits_of_u64),
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values().clone();
            Ok(from_text(format, move |row, text| float8_text(values[row], 1, text)))
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().values().clone();
            Ok(from_text(format, move |row, text| float4_text(values[row], 1, text)))
        }
        _ => {
            if let Some(value) = as_i64(array) {
                let layout = Layout::new(pg, 19, 0);
                return Ok(Box::new(move |row, out| {
                    digits_of_i64(value(row), &mut |negative, digits: &[u8]| match format {
                        Format::Text => layout.text(negative, digits, out),
                        Format::Binary => layout.binary(negative, digits, out),
                    });
                    Ok(())
                }));
            }
            let Some(characters) = super::strings::characters(array) else { return Err(mismatch(pg, array.data_type(), format)) };
            Ok(match format {
                Format::Text => characters,
                Format::Binary => Box::new(move |row, out| {
                    let mut text = Vec::new();
                    characters(row, &mut text)?;
                    Numeric::parse(&String::from_utf8_lossy(&text))?.write_binary(out);
                    Ok(())
                }),
            })
        }
    }
}

/// Appends a numeric in the binary format: `digits` are ASCII without leading zeros, `scale` of them after the point.
pub fn write_binary(negative: bool, digits: &[u8], scale: i32, out: &mut Vec<u8>) {
    let display_scale = u16::try_from(scale.max(0)).unwrap_or(u16::MAX);
    if digits.iter().all(|digit| *digit == b'0') {
        put(out, [0; 6]);
        put(out, display_scale.to_be_bytes());
        return;
    }
    let whole = i32::try_from(digits.len()).unwrap_or(i32::MAX) - scale;
    let group = i32::try_from(GROUP).unwrap_or(4);
    // Groups are aligned on the point: the first may begin with missing digits, the last end with them.
    let first_group = whole.div_euclid(group) + i32::from(whole.rem_euclid(group) != 0) - 1;
    let missing = usize::try_from((first_group + 1) * group - whole).unwrap_or(0);
    let header = out.len();
    put(out, [0; 8]);
    let count = (missing + digits.len()).div_ceil(GROUP);
    let (mut written, mut used) = (0u16, 0u16);
    for index in 0..count {
        let value = (index * GROUP..(index + 1) * GROUP).fold(0u16, |value, place| {
            let digit = place.checked_sub(missing).and_then(|place| digits.get(place)).map_or(0, |digit| u16::from(digit - b'0'));
            value * 10 + digit
        });
        put(out, value.to_be_bytes());
        written += 1;
        if value != 0 {
            used = written;
        }
    }
    out.truncate(header + 8 + usize::from(used) * 2);
    let weight = i16::try_from(first_group).unwrap_or(i16::MAX);
    let sign: u16 = if negative { 0x4000 } else { 0 };
    for (offset, value) in [(0, used.to_be_bytes()), (2, weight.to_be_bytes()), (4, sign.to_be_bytes()), (6, display_scale.to_be_bytes())] {
        if let Some(place) = out.get_mut(header + offset..header + offset + 2) {
            place.copy_from_slice(&value);
        }
    }
}

/// Where the point goes, and whether zeros at the end are shown.
struct Layout {
    scale: i32,
    /// A `numeric` declared without a scale is stored with a fixed one; its zeros are not the user's.
    trim: bool,
}

impl Layout {
    fn new(pg: PgType, precision: u8, scale: i8) -> Layout {
        Layout { scale: i32::from(scale), trim: pg.typmod < 0 && UNDECLARED_NUMERICS.contains(&(precision, scale)) }
    }

    fn text(&self, negative: bool, digits: &[u8], out: &mut Vec<u8>) {
        let (digits, scale) = self.trimmed(digits);
        if negative {
            out.push(b'-');
        }
        let Ok(after) = usize::try_from(scale) else {
            out.extend_from_slice(digits);
            if digits != b"0" {
                out.extend(std::iter::repeat_n(b'0', usize::try_from(-scale).unwrap_or(0)));
            }
            return;
        };
        match digits.len().checked_sub(after).filter(|whole| *whole > 0) {
            Some(whole) => {
                let (before, rest) = digits.split_at(whole);
                out.extend_from_slice(before);
                if !rest.is_empty() {
                    out.push(b'.');
                    out.extend_from_slice(rest);
                }
            }
            None => {
                out.extend_from_slice(b"0.");
                out.extend(std::iter::repeat_n(b'0', after - digits.len()));
                out.extend_from_slice(digits);
            }
        }
    }

    fn binary(&self, negative: bool, digits: &[u8], out: &mut Vec<u8>) {
        let (digits, scale) = self.trimmed(digits);
        write_binary(negative, digits, scale, out);
    }

    fn trimmed<'a>(&self, digits: &'a [u8]) -> (&'a [u8], i32) {
        let (mut digits, mut scale) = (digits, self.scale);
        if self.trim {
            if digits == b"0" {
                return (digits, 0);
            }
            while let (true, Some((b'0', rest))) = (scale > 0, digits.split_last()) {
                digits = rest;
                scale -= 1;
            }
        }
        (digits, scale)
    }
}

/// Gets the sign and the decimal digits of the magnitude.
type Digits<'a> = &'a mut dyn FnMut(bool, &[u8]);

fn digits_of_i32(value: i32, with: Digits<'_>) {
    with(value < 0, itoa::Buffer::new().format(value.unsigned_abs()).as_bytes());
}

fn digits_of_i64(value: i64, with: Digits<'_>) {
    with(value < 0, itoa::Buffer::new().format(value.unsigned_abs()).as_bytes());
}

fn digits_of_u64(value: u64, with: Digits<'_>) {
    with(false, itoa::Buffer::new().format(value).as_bytes());
}

fn digits_of_i128(value: i128, with: Digits<'_>) {
    let magnitude = value.unsigned_abs();
    match u64::try_from(magnitude) {
        Ok(small) => with(value < 0, itoa::Buffer::new().format(small).as_bytes()),
        Err(_) => with(value < 0, itoa::Buffer::new().format(magnitude).as_bytes()),
    }
}

/// In chunks of 19 digits, by long division of four 64-bit limbs.
fn digits_of_i256(value: i256, with: Digits<'_>) {
    const CHUNK: u64 = 10_000_000_000_000_000_000;
    let (low, high) = value.wrapping_abs().to_parts();
    #[expect(clippy::cast_sign_loss, reason = "the magnitude's upper half, -2^255 included")]
    let high = high as u128;
    #[expect(clippy::cast_possible_truncation, reason = "splits into limbs")]
    let mut limbs = [(high >> 64) as u64, high as u64, (low >> 64) as u64, low as u64];
    let mut chunks = [0u64; 5];
    let mut used = 0;
    while limbs != [0; 4] || used == 0 {
        let mut remainder = 0u128;
        for limb in &mut limbs {
            let current = (remainder << 64) | u128::from(*limb);
            *limb = u64::try_from(current / u128::from(CHUNK)).unwrap_or(u64::MAX);
            remainder = current % u128::from(CHUNK);
        }
        let Some(chunk) = chunks.get_mut(used) else { break };
        *chunk = u64::try_from(remainder).unwrap_or(0);
        used += 1;
    }
    let mut text = Vec::with_capacity(80);
    for (index, chunk) in chunks.iter().take(used).rev().enumerate() {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(*chunk).as_bytes();
        if index > 0 {
            text.extend(std::iter::repeat_n(b'0', 19 - digits.len()));
        }
        text.extend_from_slice(digits);
    }
    with(value.is_negative(), &text);
}

fn from_text(format: Format, write: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static) -> Cell {
    Box::new(move |row, out| {
        let mut text = Vec::new();
        write(row, &mut text);
        let value = Numeric::parse(&String::from_utf8_lossy(&text))?;
        match format {
            Format::Text => value.write_text(out),
            Format::Binary => value.write_binary(out),
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(value: i256) -> String {
        let mut text = String::new();
        digits_of_i256(value, &mut |negative, digits| {
            text = format!("{}{}", if negative { "-" } else { "" }, String::from_utf8_lossy(digits));
        });
        text
    }

    #[test]
    fn digits_of_wide_decimals() {
        for text in ["0", "-1", "10000000000000000000", "-100000000000000000000000000000000000000000000000000000000000000000000000000"] {
            assert_eq!(text_of(i256::from_string(text).unwrap()), text);
        }
        assert_eq!(text_of(i256::MIN), "-57896044618658097711785492504343953926634992332820282019728792003956564819968");
    }

    #[test]
    fn binary_groups_are_aligned_on_the_point() {
        let binary = |negative, digits: &str, scale| {
            let mut out = Vec::new();
            write_binary(negative, digits.as_bytes(), scale, &mut out);
            out.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect::<Vec<_>>()
        };
        assert_eq!(binary(false, "123450", 1), [2, 1, 0, 1, 1, 2345]);
        assert_eq!(binary(false, "1234567", 2), [3, 1, 0, 2, 1, 2345, 6700]);
        assert_eq!(binary(true, "5", 5), [1, -2, 0x4000, 5, 5000]);
        assert_eq!(binary(false, "0", 2), [0, 0, 0, 2]);
        assert_eq!(binary(false, "1", -8), [1, 2, 0, 0, 1]);
    }
}
