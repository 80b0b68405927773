//! The order of jsonb values, as bytes that sort like them. Source: `compareJsonbContainers` and `compareJsonbScalarValue`.

use super::text::json::Json;

/// Ranks of types, as `enum jbvType` has them.
mod rank {
    pub const NULL: u8 = 1;
    pub const STRING: u8 = 2;
    pub const NUMBER: u8 = 3;
    pub const BOOL: u8 = 4;
    pub const ARRAY: u8 = 5;
    pub const OBJECT: u8 = 6;
}

/// `value` in canonical form.
#[must_use]
pub fn sort_key(value: &Json) -> Vec<u8> {
    let mut key = Vec::new();
    match value {
        // At the top a scalar is an array of one element, less than an array of one element that is written as one.
        Json::Array(items) => {
            key.push(rank::ARRAY);
            push_count(&mut key, items.len());
            key.push(1);
            items.iter().for_each(|item| push(&mut key, item));
        }
        Json::Object(_) => push(&mut key, value),
        scalar => {
            key.push(rank::ARRAY);
            push_count(&mut key, 1);
            key.push(0);
            push(&mut key, scalar);
        }
    }
    key
}

fn push(key: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => key.push(rank::NULL),
        Json::String(text) => {
            key.push(rank::STRING);
            push_text(key, text);
        }
        Json::Number(text) => {
            key.push(rank::NUMBER);
            push_number(key, text);
        }
        Json::Bool(value) => key.extend([rank::BOOL, u8::from(*value)]),
        Json::Array(items) => {
            key.push(rank::ARRAY);
            push_count(key, items.len());
            items.iter().for_each(|item| push(key, item));
        }
        Json::Object(entries) => {
            key.push(rank::OBJECT);
            push_count(key, entries.len());
            for (name, value) in entries {
                push_text(key, name);
                push(key, value);
            }
        }
    }
}

fn push_count(key: &mut Vec<u8>, count: usize) {
    key.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

/// A text that is the beginning of another is less: no byte of UTF-8 is 0 but NUL, which jsonb does not take.
fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend(text.bytes());
    key.push(0);
}

/// Sign, power of ten of the first digit, digits; all of it turned round for negative numbers.
fn push_number(key: &mut Vec<u8>, text: &str) {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        key.push(1);
        return;
    }
    let power = exponent.parse::<i64>().unwrap_or(0) + i64::try_from(whole.len()).unwrap_or(0) - i64::try_from(leading).unwrap_or(0);
    let mut encoded = (power.wrapping_add(i64::MIN)).to_be_bytes().to_vec();
    encoded.extend(significant.bytes());
    encoded.push(0);
    if negative {
        key.push(0);
        key.extend(encoded.into_iter().map(|byte| !byte));
    } else {
        key.push(2);
        key.extend(encoded);
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::json::parse;
    use super::sort_key;

    /// As PostgreSQL 15 sorts them.
    #[test]
    fn in_postgres_s_order() {
        let sorted = [
            "[]",
            "null",
            "\"\"",
            "\"a\"",
            "\"ab\"",
            "\"b\"",
            "-1e3",
            "-20",
            "-2",
            "-0.5",
            "0",
            "1e-5",
            "0.5",
            "1",
            "1.5",
            "9",
            "10",
            "1e3",
            "false",
            "true",
            "[null]",
            "[\"x\"]",
            "[1]",
            "[true]",
            "[[]]",
            "[{}]",
            "[1, 2]",
            "[2, 1]",
            "{}",
            "{\"a\": null}",
            "{\"a\": 1}",
            "{\"b\": 0}",
            "{\"a\": 1, \"b\": 2}",
        ];
        let keys: Vec<Vec<u8>> = sorted.iter().map(|text| sort_key(&parse(text).unwrap().canonical())).collect();
        for (at, pair) in keys.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{} {}", sorted[at], sorted[at + 1]);
        }
        assert_eq!(sort_key(&parse("1.0").unwrap()), sort_key(&parse("1.00").unwrap()));
        assert_eq!(sort_key(&parse("100").unwrap()), sort_key(&parse("1e2").unwrap()));
    }
}
