//! COPY's binary format. Source: PostgreSQL's COPY reference, "Binary Format", `ReceiveCopyBinaryHeader` and `CopyFromBinary`.

use crate::sqlstate::{SqlError, SqlState};

pub const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Stands in place of a field count after the last row.
pub const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Bits of the flags that a reader must know; the lowest once said that rows carry OIDs.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
const HAS_OIDS: u32 = 1 << 16;

/// A step through the input: what was found, and how many bytes it took.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<T> {
    Here(T, usize),
    More,
}

/// The header, extension included.
///
/// # Errors
/// 22P04.
pub fn header(input: &[u8], last: bool) -> Result<Found<()>, SqlError> {
    let known = input.len().min(SIGNATURE.len());
    if input.get(..known) != SIGNATURE.get(..known) || (last && input.len() < SIGNATURE.len()) {
        return Err(wrong("COPY file signature not recognized"));
    }
    let rest = input.get(SIGNATURE.len()..).unwrap_or_default();
    let Some(flags) = int32(rest) else { return cut(last, "invalid COPY file header (missing flags)") };
    let flags = u32::from_be_bytes(flags.to_be_bytes());
    if flags & HAS_OIDS != 0 {
        return Err(wrong("invalid COPY file header (WITH OIDS)"));
    }
    if flags & CRITICAL_FLAGS != 0 {
        return Err(wrong("unrecognized critical flags in COPY file header"));
    }
    let rest = rest.get(4..).unwrap_or_default();
    let Some(length) = int32(rest) else { return cut(last, "invalid COPY file header (missing length)") };
    let Ok(length) = usize::try_from(length) else { return Err(wrong("invalid COPY file header (missing length)")) };
    let header_bytes = SIGNATURE.len() + 8;
    match input.len() >= header_bytes.saturating_add(length) {
        true => Ok(Found::Here((), header_bytes + length)),
        false => cut(last, "invalid COPY file header (wrong length)"),
    }
}

/// The start of a row: its number of fields, -1 for the trailer.
#[must_use]
pub fn field_count(input: &[u8]) -> Found<i16> {
    match input.first_chunk::<2>() {
        Some(bytes) => Found::Here(i16::from_be_bytes(*bytes), 2),
        None => Found::More,
    }
}

/// A field; `None` for NULL.
///
/// # Errors
/// 22P04.
pub fn field(input: &[u8], last: bool) -> Result<Found<Option<&[u8]>>, SqlError> {
    const END: &str = "unexpected EOF in COPY data";
    let Some(length) = int32(input) else { return cut(last, END) };
    if length == -1 {
        return Ok(Found::Here(None, 4));
    }
    let length = usize::try_from(length).map_err(|_| wrong("invalid field size"))?;
    match input.get(4..4_usize.saturating_add(length)) {
        Some(bytes) => Ok(Found::Here(Some(bytes), 4 + length)),
        None => cut(last, END),
    }
}

pub fn wrong(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::BadCopyFileFormat, message)
}

fn cut<T>(last: bool, message: &str) -> Result<Found<T>, SqlError> {
    if last { Err(wrong(message)) } else { Ok(Found::More) }
}

fn int32(input: &[u8]) -> Option<i32> {
    input.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(flags: u32, extension: &[u8]) -> Vec<u8> {
        let length = u32::try_from(extension.len()).unwrap();
        [SIGNATURE, &flags.to_be_bytes()[..], &length.to_be_bytes()[..], extension].concat()
    }

    #[test]
    fn a_header_cut_anywhere_waits_or_is_refused() {
        let whole = header_of(0xffff, b"abc");
        assert_eq!(header(&whole, false).unwrap(), Found::Here((), 22));
        for end in 0..whole.len() {
            assert_eq!(header(&whole[..end], false).unwrap(), Found::More, "{end}");
            assert!(header(&whole[..end], true).is_err(), "{end}");
        }
        assert_eq!(header(b"PGCOPX", false).unwrap_err().message, "COPY file signature not recognized");
        assert_eq!(header(&header_of(1 << 16, b""), true).unwrap_err().message, "invalid COPY file header (WITH OIDS)");
        assert_eq!(header(&header_of(1 << 20, b""), true).unwrap_err().message, "unrecognized critical flags in COPY file header");
    }

    #[test]
    fn fields() {
        assert_eq!(field(b"\0\0\0\x02ab", true).unwrap(), Found::Here(Some(&b"ab"[..]), 6));
        assert_eq!(field(b"\xff\xff\xff\xff", true).unwrap(), Found::Here(None, 4));
        assert_eq!(field(b"\xff\xff\xff\xfe", true).unwrap_err().message, "invalid field size");
        assert_eq!(field(b"\0\0\0\x02a", true).unwrap_err().message, "unexpected EOF in COPY data");
    }
}
