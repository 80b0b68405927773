//! COPY's text format. Source: PostgreSQL's COPY reference, "Text Format", and `CopyReadAttributesText`.

use super::fields::{Fields, Found};
use super::options::Options;

/// Reads one record from the start of `input`; `last` says that nothing follows it.
pub fn read(input: &[u8], last: bool, options: &Options, fields: &mut Fields) -> Found {
    let (line, used) = match line_end(input) {
        Some(end) => (input.get(..end).unwrap_or_default(), end + 1),
        None if last && !input.is_empty() => (input, input.len()),
        None => return Found::More,
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line == b"\\." {
        return Found::End;
    }
    split(line, options, fields);
    Found::Record(used)
}

/// The first newline that no backslash escapes.
fn line_end(input: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + input.get(from..)?.iter().position(|byte| *byte == b'\n')?;
        let backslashes = input.get(..at)?.iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some(at);
        }
        from = at + 1;
    }
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
    use sqlparser::ast::CopyTarget;

    use super::*;

    fn records(input: &str) -> Vec<Vec<Option<String>>> {
        let options = Options::new(&[], &[], &CopyTarget::Stdin).unwrap();
        let (mut rest, mut fields, mut all) = (input.as_bytes(), Fields::default(), Vec::new());
        while let Found::Record(used) = read(rest, true, &options, &mut fields) {
            all.push((0..fields.len()).map(|at| fields.get(at).unwrap().map(str::to_owned)).collect());
            rest = &rest[used..];
        }
        all
    }

    #[test]
    fn escapes_nulls_and_the_end_marker() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(records("a\t\\N\tb\\tc\n"), [[some("a"), None, some("b\tc")]]);
        assert_eq!(records("\\x41\\101\\\\N\t\n"), [[some("AA\\N"), some("")]]);
        assert_eq!(records("1\\\n2\n\\.\nignored\n"), [[some("1\n2")]]);
        assert_eq!(records("1\r\n2"), [[some("1")], [some("2")]]);
    }
}
