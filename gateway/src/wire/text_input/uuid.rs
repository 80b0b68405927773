//! uuid: 32 hex digits, hyphens after any group of four, braces around.

use super::scalar::invalid;
use crate::sqlstate::SqlError;

/// # Errors
/// 22P02.
pub fn parse_uuid(text: &str) -> Result<[u8; 16], SqlError> {
    parse(text).ok_or_else(|| invalid(2950, text))
}

fn parse(text: &str) -> Option<[u8; 16]> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut bytes = inner.bytes().peekable();
    let mut uuid = [0; 16];
    let last = uuid.len() - 1;
    for (index, place) in uuid.iter_mut().enumerate() {
        *place = hex(bytes.next()?)? << 4 | hex(bytes.next()?)?;
        if index % 2 == 1 && index < last {
            bytes.next_if_eq(&b'-');
        }
    }
    bytes.next().is_none().then_some(uuid)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_and_braces() {
        let expected = parse_uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11").unwrap();
        for text in ["A0EEBC999C0B4EF8BB6D6BB9BD380A11", "{a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11}"] {
            assert_eq!(parse_uuid(text).unwrap(), expected);
        }
        for text in ["", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "{a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0-eebc999c0b4ef8bb6d6bb9bd380a11"] {
            assert!(parse_uuid(text).is_err(), "{text}");
        }
    }
}
