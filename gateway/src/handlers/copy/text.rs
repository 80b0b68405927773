//! COPY's text format. Source: PostgreSQL's COPY reference, "Text Format", and `CopyReadAttributesText`.

use super::fields::{Fields, Found};
use super::lines::{At, LineEnd, look};
use super::options::Options;
use crate::sqlstate::{SqlError, SqlState};

/// Reads one record from the start of `input`; `last` says that nothing follows it. `known` is the line end of the lines before.
///
/// # Errors
/// 22P04 for a line end of another kind, and for a damaged end-of-data marker.
pub fn read(input: &[u8], last: bool, options: &Options, known: &mut Option<LineEnd>, fields: &mut Fields) -> Result<Found, SqlError> {
    let Some((line, used)) = line(input, last, known)? else { return Ok(Found::More) };
    let line = input.get(..line).unwrap_or_default();
    match line.strip_suffix(b"\\.").filter(|_| ends_in_marker(line)) {
        Some([]) => return Ok(Found::End),
        // The data before the marker is a record still.
        Some(data) => {
            split(data, options, fields);
            return Ok(Found::Record { used: 0, line: data.len(), is_last: true });
        }
        None => {}
    }
    split(line, options, fields);
    Ok(Found::Record { used, line: line.len(), is_last: false })
}

/// (length of the line, with its end); `None` where it takes more input to tell.
fn line(input: &[u8], last: bool, known: &mut Option<LineEnd>) -> Result<Option<(usize, usize)>, SqlError> {
    let mut at = 0;
    while let Some(byte) = input.get(at) {
        if *byte == b'\\' {
            let after = input.get(at + 2).copied();
            if input.get(at + 1) == Some(&b'.') && after.is_some_and(|after| !matches!(after, b'\n' | b'\r')) {
                return Err(SqlError::new(SqlState::BadCopyFileFormat, "end-of-copy marker corrupt"));
            }
            at += 2;
            continue;
        }
        match look(input, at, last, known, false)? {
            At::Data => at += 1,
            At::End(length) => return Ok(Some((at, at + length))),
            At::More => return Ok(None),
        }
    }
    Ok((last && !input.is_empty()).then_some((input.len(), input.len())))
}

/// Its backslash is no escaped one.
fn ends_in_marker(line: &[u8]) -> bool {
    line.iter().rev().skip(1).take_while(|byte| **byte == b'\\').count() % 2 == 1
}

fn split(line: &[u8], options: &Options, fields: &mut Fields) {
    fields.clear();
    let null = options.null.as_bytes();
    let mut rest = line;
    loop {
        // The null string is compared before escapes are read.
        let end = field_end(rest, options.delimiter);
        let raw = rest.get(..end).unwrap_or_default();
        if raw == null {
            fields.end_field(true);
        } else {
            unescape(raw, fields);
            fields.end_field(false);
        }
        match rest.get(end + 1..) {
            Some(next) => rest = next,
            None => return,
        }
    }
}

fn field_end(rest: &[u8], delimiter: u8) -> usize {
    let mut at = 0;
    while let Some(byte) = rest.get(at) {
        if *byte == delimiter {
            return at;
        }
        at += if *byte == b'\\' { 2 } else { 1 };
    }
    rest.len()
}

fn unescape(raw: &[u8], fields: &mut Fields) {
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        fields.extend(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        let Some((first, after)) = rest.split_first() else {
            fields.push_byte(b'\\');
            return;
        };
        let (byte, used) = match first {
            b'b' => (0x08, 1),
            b'f' => (0x0c, 1),
            b'n' => (b'\n', 1),
            b'r' => (b'\r', 1),
            b't' => (b'\t', 1),
            b'v' => (0x0b, 1),
            b'0'..=b'7' => digits(rest, 8, 3),
            b'x' => match digits(after, 16, 2) {
                (_, 0) => (b'x', 1),
                (byte, used) => (byte, used + 1),
            },
            other => (*other, 1),
        };
        fields.push_byte(byte);
        rest = rest.get(used..).unwrap_or_default();
    }
    fields.extend(rest);
}

/// (value, digits used) of a number of at most `most` digits.
fn digits(input: &[u8], radix: u32, most: usize) -> (u8, usize) {
    let mut value = 0_u32;
    let mut used = 0;
    for byte in input.iter().take(most) {
        let Some(digit) = char::from(*byte).to_digit(radix) else { break };
        value = value * radix + digit;
        used += 1;
    }
    (u8::try_from(value & 0xff).unwrap_or_default(), used)
}

#[cfg(test)]
mod tests {
    use super::super::options::options_of;
    use super::*;

    fn records(input: &str) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        let options = options_of("copy t from stdin")?;
        let (mut rest, mut known, mut fields, mut all) = (input.as_bytes(), None, Fields::default(), Vec::new());
        while let Found::Record { used, is_last, .. } = read(rest, true, &options, &mut known, &mut fields)? {
            all.push((0..fields.len()).map(|at| fields.get(at).unwrap().map(str::to_owned)).collect());
            rest = &rest[used..];
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    #[test]
    fn escapes_nulls_and_the_end_marker() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(records("a\t\\N\tb\\tc\n").unwrap(), [[some("a"), None, some("b\tc")]]);
        assert_eq!(records("\\x41\\101\\\\N\t\n").unwrap(), [[some("AA\\N"), some("")]]);
        assert_eq!(records("1\\\n2\n\\.\nignored\n").unwrap(), [[some("1\n2")]]);
        assert_eq!(records("1\r\n2").unwrap(), [[some("1")], [some("2")]]);
        assert_eq!(records("1\r2\r").unwrap(), [[some("1")], [some("2")]]);
        assert_eq!(records("1\n2\\.\n3\n").unwrap(), [[some("1")], [some("2")]]);
        assert_eq!(records("1\\\\.\n").unwrap(), [[some("1\\.")]]);
    }

    #[test]
    fn line_ends_do_not_mix() {
        assert_eq!(records("1\n2\r\n").unwrap_err().message, "literal carriage return found in data");
        assert_eq!(records("1\r\n2\n").unwrap_err().message, "literal newline found in data");
        assert_eq!(records("1\\.2\n").unwrap_err().message, "end-of-copy marker corrupt");
    }
}
