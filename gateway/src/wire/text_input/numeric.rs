//! numeric as decimal digits: text and binary in, text and binary out, and fitting into a declared precision and scale.

use crate::sqlstate::{SqlError, SqlState};
use crate::wire::body::Body;
use crate::wire::rows::numeric::write_binary;
use crate::wire::text_input::scalar::{invalid, trim};

/// Beyond this PostgreSQL has no number either.
const DIGITS_MAX: i64 = 131_072 + 16_383;

/// A finite number: `digits` × 10^-`scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numeric {
    negative: bool,
    /// ASCII, without leading zeros; `0` alone for zero.
    digits: Vec<u8>,
    /// Digits after the point, never negative.
    scale: usize,
}

impl Numeric {
    /// Input syntax of `numeric_in`.
    ///
    /// # Errors
    /// 22P02; 22003 past PostgreSQL's limits; 0A000 for NaN and the infinities, which decimals cannot hold.
    pub fn parse(text: &str) -> Result<Numeric, SqlError> {
        let number = trim(text);
        let (negative, unsigned) = match number.strip_prefix(['-', '+']) {
            Some(rest) => (number.starts_with('-'), rest),
            None => (false, number),
        };
        if ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
            return if number.len() > unsigned.len() && unsigned.eq_ignore_ascii_case("nan") {
                Err(invalid(1700, text))
            } else {
                Err(SqlError::unsupported("numeric NaN or infinity"))
            };
        }
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(|| invalid(1700, text))?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
            return Err(invalid(1700, text));
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(exponent);
        Numeric::new(negative, digits, scale)
    }

    /// The binary format of `numeric_recv`.
    ///
    /// # Errors
    /// 22P03, 08P01 when bytes are missing, 0A000 for NaN and the infinities.
    pub fn read_binary(body: &mut Body<'_>) -> Result<Numeric, SqlError> {
        let wrong =
            |what: &str| SqlError::new(SqlState::InvalidBinaryRepresentation, format!("invalid {what} in external \"numeric\" value"));
        let count = body.u16()?;
        let weight = i64::from(body.i16()?);
        let negative = match body.u16()? {
            0 => false,
            0x4000 => true,
            0xc000 | 0xd000 | 0xf000 => return Err(SqlError::unsupported("numeric NaN or infinity")),
            _ => return Err(wrong("sign")),
        };
        let display_scale = body.u16()?;
        if display_scale > 0x3fff {
            return Err(wrong("scale"));
        }
        let mut digits = Vec::new();
        for _ in 0..count {
            match body.i16()? {
                group @ 0..10_000 => digits.extend_from_slice(format!("{group:04}").as_bytes()),
                _ => return Err(wrong("digit")),
            }
        }
        let scale = 4 * (i64::from(count) - 1 - weight);
        let mut number = Numeric::new(negative, digits, scale)?;
        // PostgreSQL cuts what the display scale does not show.
        let display_scale = usize::from(display_scale);
        while number.scale > display_scale {
            number.digits.pop();
            number.scale -= 1;
        }
        number.digits.extend(std::iter::repeat_n(b'0', if number.is_zero() { 0 } else { display_scale - number.scale }));
        number.scale = display_scale;
        number.normalise();
        Ok(number)
    }

    pub fn write_text(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let missing = (self.scale + 1).saturating_sub(self.digits.len());
        let padded: Vec<u8> = std::iter::repeat_n(b'0', missing).chain(self.digits.iter().copied()).collect();
        let (whole, fraction) = padded.split_at(padded.len() - self.scale);
        out.extend_from_slice(whole);
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    }

    pub fn write_binary(&self, out: &mut Vec<u8>) {
        write_binary(self.negative, &self.digits, i32::try_from(self.scale).unwrap_or(i32::MAX), out);
    }

    /// As a whole number of units of 10^-`scale`, in decimal. `rounds`: a scale that the user declared rounds half away from zero;
    /// otherwise digits that do not fit are an error, not lost.
    ///
    /// # Errors
    /// 22003.
    pub fn unscaled(&self, precision: u8, scale: i8, rounds: bool) -> Result<String, SqlError> {
        let target = i64::from(scale);
        let shift = target - i64::try_from(self.scale).unwrap_or(i64::MAX);
        let mut digits = self.digits.clone();
        if shift >= 0 {
            if !self.is_zero() {
                if shift > 100 {
                    return Err(overflow(precision, scale));
                }
                digits.extend(std::iter::repeat_n(b'0', usize::try_from(shift).unwrap_or(0)));
            }
        } else {
            let dropped = usize::try_from(-shift).unwrap_or(usize::MAX);
            let kept = digits.len().saturating_sub(dropped);
            let cut = digits.split_off(kept);
            if !rounds && cut.iter().any(|digit| *digit != b'0') {
                return Err(SqlError::new(SqlState::NumericValueOutOfRange, "numeric field overflow")
                    .detail(format!("A numeric without declared precision holds {scale} digits after the decimal point here."))
                    .hint("Declare a precision and scale."));
            }
            let first_dropped = if cut.len() < dropped { None } else { cut.first() };
            if first_dropped.is_some_and(|digit| *digit >= b'5') {
                increment(&mut digits);
            }
        }
        let text = std::str::from_utf8(&digits).unwrap_or_default().trim_start_matches('0');
        if text.len() > usize::from(precision) {
            return Err(overflow(precision, scale));
        }
        let text = if text.is_empty() { "0" } else { text };
        Ok(if self.negative && text != "0" { format!("-{text}") } else { text.to_owned() })
    }

    fn new(negative: bool, mut digits: Vec<u8>, scale: i64) -> Result<Numeric, SqlError> {
        let overflows = || SqlError::new(SqlState::NumericValueOutOfRange, "value overflows numeric format");
        let is_zero = digits.iter().all(|digit| *digit == b'0');
        if scale.saturating_sub(i64::try_from(digits.len()).unwrap_or(i64::MAX)) > DIGITS_MAX || scale < -DIGITS_MAX {
            return if is_zero { Ok(Numeric { negative: false, digits: b"0".to_vec(), scale: 0 }) } else { Err(overflows()) };
        }
        if scale < 0 && !is_zero {
            digits.extend(std::iter::repeat_n(b'0', usize::try_from(-scale).unwrap_or(0)));
        }
        let mut number = Numeric { negative, digits, scale: usize::try_from(scale.max(0)).unwrap_or(0) };
        number.normalise();
        Ok(number)
    }

    fn is_zero(&self) -> bool {
        self.digits == b"0"
    }

    fn normalise(&mut self) {
        let zeros = self.digits.iter().take_while(|digit| **digit == b'0').count();
        self.digits.drain(..zeros);
        if self.digits.is_empty() {
            self.digits.push(b'0');
            self.negative = false;
        }
    }
}

/// Absurd exponents saturate; the limit on digits refuses them.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i64::from(i32::MIN) } else { i64::from(i32::MAX) }))
}

fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

fn overflow(precision: u8, scale: i8) -> SqlError {
    let whole = i32::from(precision) - i32::from(scale);
    let bound = if whole == 0 { "1".to_owned() } else { format!("10^{whole}") };
    SqlError::new(SqlState::NumericValueOutOfRange, "numeric field overflow")
        .detail(format!("A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> String {
        let mut out = Vec::new();
        Numeric::parse(input).unwrap().write_text(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn display_scale_is_kept() {
        for (input, expected) in
            [("1.50", "1.50"), (" -0.0 ", "0.0"), ("1e3", "1000"), ("1.5e-3", "0.0015"), (".5", "0.5"), ("5.", "5"), ("-00012", "-12")]
        {
            assert_eq!(text(input), expected);
        }
        for wrong in ["", "-", "1e", "1.2.3", "abc", "1 2", "."] {
            assert!(Numeric::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Numeric::parse("1e200000").unwrap_err().message, "value overflows numeric format");
        assert!(Numeric::parse("1e99999999999999999999").is_err());
    }

    #[test]
    fn binary_round_trip() {
        for input in ["0", "1", "-12345.6789", "0.00001", "10000", "99999999999999999999999999999999999999.99", "1.50", "-0.5", "100000000"]
        {
            let number = Numeric::parse(input).unwrap();
            let mut bytes = Vec::new();
            number.write_binary(&mut bytes);
            assert_eq!(Numeric::read_binary(&mut Body::new(&bytes)).unwrap(), number, "{input}");
        }
    }

    #[test]
    fn fitting_rounds_half_away_from_zero() {
        let fit = |text, rounds| Numeric::parse(text).unwrap().unscaled(5, 2, rounds);
        assert_eq!(fit("1.005", true).unwrap(), "101");
        assert_eq!(fit("-1.004999", true).unwrap(), "-100");
        assert_eq!(fit("0.004", true).unwrap(), "0");
        assert_eq!(fit("0.0005", true).unwrap(), "0");
        assert_eq!(fit("999.99", true).unwrap(), "99999");
        assert_eq!(fit("999.995", true).unwrap_err().state, SqlState::NumericValueOutOfRange);
        assert!(fit("1.005", false).is_err());
        assert_eq!(fit("1.5000", false).unwrap(), "150");
        assert_eq!(fit("0", true).unwrap(), "0");
    }
}
