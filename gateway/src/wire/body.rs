//! A cursor over the body of one message: every read is checked, strings are strict UTF-8, and the body must be used up.
//!
//! Mirrors `pqformat.c` of PostgreSQL, wording included.

use bytes::Bytes;

use crate::sqlstate::{SqlError, SqlState};

/// What is left of a message.
#[derive(Debug)]
pub struct Body<'a> {
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Body { bytes }
    }

    pub fn u8(&mut self) -> Result<u8, SqlError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, SqlError> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, SqlError> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, SqlError> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, SqlError> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, SqlError> {
        self.array().map(i64::from_be_bytes)
    }

    /// A string up to its NUL, not empty of checks: 08P01 without terminator, 22021 when it is not UTF-8.
    pub fn string(&mut self) -> Result<&'a str, SqlError> {
        let end = self.bytes.iter().position(|byte| *byte == 0).ok_or_else(|| violation("invalid string in message"))?;
        let (text, rest) = self.bytes.split_at(end);
        self.bytes = rest.get(1..).unwrap_or_default();
        utf8(text)
    }

    pub fn take(&mut self, bytes: usize) -> Result<&'a [u8], SqlError> {
        let (taken, rest) = self.bytes.split_at_checked(bytes).ok_or_else(insufficient)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A length and that many bytes; -1 is NULL.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, SqlError> {
        match self.i32()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| insufficient())?).map(Some),
        }
    }

    /// A count, then that many items. Capacity follows the bytes that are there, not the count.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, SqlError>) -> Result<Vec<T>, SqlError> {
        let count = usize::from(self.u16()?);
        let mut items = Vec::with_capacity(count.min(self.bytes.len()));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.bytes
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The body must be used up.
    ///
    /// # Errors
    /// 08P01.
    pub fn end(self) -> Result<(), SqlError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(violation("invalid message format")) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SqlError> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(insufficient)?;
        self.bytes = rest;
        Ok(*taken)
    }
}

/// 08P01.
#[must_use]
pub fn violation(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::ProtocolViolation, message)
}

fn insufficient() -> SqlError {
    violation("insufficient data left in message")
}

/// Text as PostgreSQL takes it: valid UTF-8 without NUL.
///
/// # Errors
/// 22021, naming the bytes as `report_invalid_encoding` does.
pub fn utf8(bytes: &[u8]) -> Result<&str, SqlError> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => return Ok(text),
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    };
    let wrong_at = bytes.iter().take(valid).position(|byte| *byte == 0).unwrap_or(valid);
    let wrong = bytes.get(wrong_at..).unwrap_or_default();
    let shown: Vec<String> = wrong.iter().take(declared_character_bytes(wrong)).map(|byte| format!("0x{byte:02x}")).collect();
    Err(SqlError::new(SqlState::CharacterNotInRepertoire, format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "))))
}

/// As `pg_utf_mblen`: what the first byte announces.
fn declared_character_bytes(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(byte) if byte & 0xe0 == 0xc0 => 2,
        Some(byte) if byte & 0xf0 == 0xe0 => 3,
        Some(byte) if byte & 0xf8 == 0xf0 => 4,
        _ => 1,
    }
}

/// The part of `whole` that `part` borrows from, sharing its memory.
#[must_use]
pub fn shared(whole: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { whole.slice_ref(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_utf8_is_named_as_postgresql_names_it() {
        let message = |bytes: &[u8]| utf8(bytes).unwrap_err().message;
        assert_eq!(message(b"a\xff"), "invalid byte sequence for encoding \"UTF8\": 0xff");
        assert_eq!(message(b"a\xe2\x28\xa1"), "invalid byte sequence for encoding \"UTF8\": 0xe2 0x28 0xa1");
        assert_eq!(message(b"\xe2\x28"), "invalid byte sequence for encoding \"UTF8\": 0xe2 0x28");
        assert_eq!(message(b"a\0b"), "invalid byte sequence for encoding \"UTF8\": 0x00");
        assert_eq!(message(b"a\0b\xff"), "invalid byte sequence for encoding \"UTF8\": 0x00");
    }

    #[test]
    fn negative_lengths_are_not_null() {
        assert_eq!(Body::new(&(-1i32).to_be_bytes()).value().unwrap(), None);
        assert!(Body::new(&(-5i32).to_be_bytes()).value().is_err());
        assert!(Body::new(&[0, 0, 0, 3, 1, 2]).value().is_err());
    }
}
