//! COPY's CSV format. Source: PostgreSQL's COPY reference, "CSV Format", and `CopyReadAttributesCSV`.

use super::fields::{Fields, Found};
use super::lines::{At, LineEnd, look};
use super::options::Options;
use crate::sqlstate::{SqlError, SqlState};

/// Which columns treat the null string otherwise; one entry a column.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullRule {
    pub force_not_null: bool,
    pub force_null: bool,
}

/// Reads one record from the start of `input`; `last` says that nothing follows it.
///
/// # Errors
/// 22P04 for a quote that is never closed, and for a line end of another kind than `known`, that of the lines before.
pub fn read(
    input: &[u8],
    last: bool,
    options: &Options,
    rules: &[NullRule],
    known: &mut Option<LineEnd>,
    fields: &mut Fields,
) -> Result<Found, SqlError> {
    if input.is_empty() {
        return Ok(Found::More);
    }
    if input.starts_with(b"\\.\n") || input.starts_with(b"\\.\r\n") || (last && input == b"\\.") {
        return Ok(Found::End);
    }
    fields.clear();
    let mut quoted = false;
    let mut was_quoted = false;
    let mut at = 0;
    while let Some(byte) = input.get(at).copied() {
        if quoted {
            let next = input.get(at + 1).copied();
            if byte == options.escape && next.is_none() && !last {
                return Ok(Found::More);
            }
            if byte == options.escape && next.is_some_and(|next| next == options.quote || next == options.escape) {
                fields.push_byte(next.unwrap_or_default());
                at += 2;
                continue;
            }
            if byte == options.quote {
                quoted = false;
            } else {
                fields.push_byte(byte);
            }
        } else if byte == options.quote {
            (quoted, was_quoted) = (true, true);
        } else if byte == options.delimiter {
            end_field(options, rules, fields, was_quoted);
            was_quoted = false;
        } else if matches!(byte, b'\n' | b'\r') {
            match look(input, at, last, known, true)? {
                At::End(length) => {
                    end_field(options, rules, fields, was_quoted);
                    return Ok(Found::Record { used: at + length, line: at, is_last: false });
                }
                At::More => return Ok(Found::More),
                At::Data => fields.push_byte(byte),
            }
        } else {
            fields.push_byte(byte);
        }
        at += 1;
    }
    if !last {
        return Ok(Found::More);
    }
    if quoted {
        return Err(SqlError::new(SqlState::BadCopyFileFormat, "unterminated CSV quoted field"));
    }
    end_field(options, rules, fields, was_quoted);
    Ok(Found::Record { used: input.len(), line: input.len(), is_last: false })
}

fn end_field(options: &Options, rules: &[NullRule], fields: &mut Fields, was_quoted: bool) {
    let rule = rules.get(fields.len()).copied().unwrap_or_default();
    let is_null_text = fields.current() == options.null.as_bytes();
    let is_null = is_null_text && if was_quoted { rule.force_null } else { !rule.force_not_null };
    fields.end_field(is_null);
}

#[cfg(test)]
mod tests {
    use super::super::options::options_of;
    use super::*;

    fn records(input: &str) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        let options = options_of("copy t from stdin csv")?;
        let (mut rest, mut known, mut fields, mut all) = (input.as_bytes(), None, Fields::default(), Vec::new());
        while let Found::Record { used, .. } = read(rest, true, &options, &[], &mut known, &mut fields)? {
            all.push((0..fields.len()).map(|at| fields.get(at).unwrap().map(str::to_owned)).collect());
            rest = &rest[used..];
        }
        Ok(all)
    }

    #[test]
    fn quotes_and_nulls() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(records("a,,\"\"\n").unwrap(), [[some("a"), None, some("")]]);
        assert_eq!(records("\"x\"\"y\",\"1\n2\",z\r\n").unwrap(), [[some("x\"y"), some("1\n2"), some("z")]]);
        assert_eq!(records("1\n\\.\n2\n").unwrap(), [[some("1")]]);
        assert_eq!(records("a,\"b").unwrap_err().state, SqlState::BadCopyFileFormat);
        assert_eq!(records("a\nb\r\n").unwrap_err().message, "unquoted carriage return found in data");
    }

    #[test]
    fn a_record_cut_anywhere_waits_for_the_rest() {
        let options = options_of("copy t from stdin csv").unwrap();
        let whole = b"\"a\"\"b\",c\r\n";
        for cut in 0..whole.len() {
            let found = read(&whole[..cut], false, &options, &[], &mut None, &mut Fields::default()).unwrap();
            assert_eq!(found, Found::More, "cut at {cut}");
        }
    }
}
