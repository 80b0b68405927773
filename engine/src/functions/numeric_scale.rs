//! How many digits after the point numeric results have (`select_div_scale` and its kin in numeric.c), and arithmetic at
//! such scales over unscaled values.

use datafusion::arrow::datatypes::i256;
use datafusion::common::Result;

use super::arithmetic::division_by_zero;
use super::text::number::numeric_overflow;

/// Significant digits that a result has at least (`NUMERIC_MIN_SIG_DIGITS`), and digits after the point of a column of quotients.
pub const QUOTIENT_SCALE: i8 = 16;
/// Decimal digits of one of numeric's own digits.
const DIGIT: i32 = 4;

/// The weight of the first base-10000 digit, and that digit; of zero both are 0.
fn leading(unscaled: i256, scale: i32) -> (i32, i32) {
    let text = magnitude(unscaled).to_string();
    if text == "0" {
        return (0, 0);
    }
    let exponent = i32::try_from(text.len()).unwrap_or(i32::MAX) - 1 - scale;
    let weight = exponent.div_euclid(DIGIT);
    let width = usize::try_from(exponent - weight * DIGIT + 1).unwrap_or(1);
    let first = format!("{text:0<width$}").get(..width).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    (weight, first)
}

fn magnitude(value: i256) -> i256 {
    if value < i256::ZERO { value.wrapping_neg() } else { value }
}

/// `select_div_scale`: at least 16 significant digits, and no fewer after the point than either operand has.
#[must_use]
pub fn of_quotient(dividend: i256, dividend_scale: i8, divisor: i256, divisor_scale: i8) -> i32 {
    let (weight, first) = leading(dividend, i32::from(dividend_scale));
    let (divisor_weight, divisor_first) = leading(divisor, i32::from(divisor_scale));
    let mut quotient_weight = weight - divisor_weight;
    if first <= divisor_first {
        quotient_weight -= 1;
    }
    (i32::from(QUOTIENT_SCALE) - quotient_weight * DIGIT).max(i32::from(dividend_scale)).max(i32::from(divisor_scale)).max(0)
}

/// As `numeric_sqrt` picks it.
#[must_use]
pub fn of_square_root(value: i256, scale: i8) -> i32 {
    let (weight, _) = leading(value, i32::from(scale));
    let result_weight = if weight >= 0 { (weight + 1) * DIGIT / 2 - 1 } else { 1 - (1 - weight * DIGIT) / 2 };
    (i32::from(QUOTIENT_SCALE) - result_weight).max(i32::from(scale)).max(0)
}

fn power_of_ten(exponent: i32) -> Result<i256> {
    i256::from(10_i32).checked_pow(exponent.unsigned_abs()).ok_or_else(numeric_overflow)
}

/// A value at another scale, half away from zero.
///
/// # Errors
/// 22003 past 76 digits.
pub fn rescaled(value: i256, from: i32, to: i32) -> Result<i256> {
    if to >= from {
        return value.checked_mul(power_of_ten(to - from)?).ok_or_else(numeric_overflow);
    }
    if from - to > 76 {
        return Ok(i256::ZERO);
    }
    Ok(rounded_quotient(value, power_of_ten(from - to)?))
}

fn rounded_quotient(dividend: i256, divisor: i256) -> i256 {
    let (quotient, rest) = (dividend.wrapping_div(divisor), dividend.wrapping_rem(divisor));
    let up = magnitude(rest) >= magnitude(divisor).wrapping_sub(magnitude(rest)) && rest != i256::ZERO;
    let away = if (dividend < i256::ZERO) == (divisor < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    if up { quotient.wrapping_add(away) } else { quotient }
}

/// A quotient at a scale, half away from zero.
///
/// # Errors
/// 22012; 22003 past 76 digits.
pub fn divide_at(dividend: i256, dividend_scale: i8, divisor: i256, divisor_scale: i8, scale: i32) -> Result<i256> {
    if divisor == i256::ZERO {
        return Err(division_by_zero());
    }
    let shift = scale - i32::from(dividend_scale) + i32::from(divisor_scale);
    if shift >= 0 {
        let scaled = dividend.checked_mul(power_of_ten(shift)?).ok_or_else(numeric_overflow)?;
        return Ok(rounded_quotient(scaled, divisor));
    }
    let divisor = divisor.checked_mul(power_of_ten(shift)?).ok_or_else(numeric_overflow)?;
    Ok(rounded_quotient(dividend, divisor))
}

/// The square root of a value that is not negative, at a scale, to the nearest.
///
/// # Errors
/// 22003 past 76 digits.
pub fn square_root_at(value: i256, scale: i32, result_scale: i32) -> Result<i256> {
    let square = rescaled(value, scale, 2 * result_scale)?;
    if square <= i256::ZERO {
        return Ok(i256::ZERO);
    }
    // Newton's method from above.
    let digits = u32::try_from(square.to_string().len()).unwrap_or(77);
    let mut root = i256::from(10_i32).checked_pow(digits.div_ceil(2)).ok_or_else(numeric_overflow)?;
    loop {
        let next = root.wrapping_add(square.wrapping_div(root)).wrapping_div(i256::from(2_i32));
        if next >= root {
            break;
        }
        root = next;
    }
    let rest = square.wrapping_sub(root.wrapping_mul(root));
    Ok(if rest > root { root.wrapping_add(i256::ONE) } else { root })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i64) -> i256 {
        i256::from(value)
    }

    #[test]
    fn scales_of_quotients() {
        // 1.0 / 3, 2.0 / 3.0, 100.0 / 7, 1000000.0 / 3, 12345678901234.0 / 7
        assert_eq!(of_quotient(int(10), 1, int(3), 0), 20);
        assert_eq!(of_quotient(int(20), 1, int(30), 1), 20);
        assert_eq!(of_quotient(int(1000), 1, int(7), 0), 16);
        assert_eq!(of_quotient(int(10_000_000), 1, int(3), 0), 12);
        assert_eq!(of_quotient(int(123_456_789_012_340), 1, int(7), 0), 4);
        assert_eq!(divide_at(int(10), 1, int(3), 0, 20).unwrap().to_string(), "33333333333333333333");
    }

    #[test]
    fn square_roots() {
        assert_eq!(of_square_root(int(20), 1), 15);
        assert_eq!(square_root_at(int(20), 1, 15).unwrap(), int(1_414_213_562_373_095));
        assert_eq!(square_root_at(int(16), 0, 0).unwrap(), int(4));
        assert_eq!(square_root_at(int(3), 0, 0).unwrap(), int(2));
    }
}
