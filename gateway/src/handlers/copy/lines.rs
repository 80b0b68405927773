//! Where lines of COPY input end. Mirrors `CopyReadLineText`: the first line's end is the one that all have.

use crate::sqlstate::{SqlError, SqlState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    Newline,
    Return,
    ReturnNewline,
}

/// What stands at a place of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Data,
    /// A line's end of so many bytes.
    End(usize),
    /// It takes more input to tell.
    More,
}

/// Looks at `input[at]`, outside quotes and after no backslash; learns the line end where it is not known yet. `last` says that
/// nothing follows the input.
///
/// # Errors
/// 22P04 for an end of another kind than the first.
pub fn look(input: &[u8], at: usize, last: bool, known: &mut Option<LineEnd>, is_csv: bool) -> Result<At, SqlError> {
    let next = input.get(at + 1).copied();
    match (input.get(at), *known) {
        (Some(b'\n'), None | Some(LineEnd::Newline)) => {
            *known = Some(LineEnd::Newline);
            Ok(At::End(1))
        }
        (Some(b'\n'), Some(_)) => Err(literal("newline", "\\n", is_csv)),
        (Some(b'\r'), Some(LineEnd::Newline)) => Err(literal("carriage return", "\\r", is_csv)),
        (Some(b'\r'), Some(LineEnd::Return)) => Ok(At::End(1)),
        (Some(b'\r'), None | Some(LineEnd::ReturnNewline)) if next.is_none() && !last => Ok(At::More),
        (Some(b'\r'), None | Some(LineEnd::ReturnNewline)) if next == Some(b'\n') => {
            *known = Some(LineEnd::ReturnNewline);
            Ok(At::End(2))
        }
        (Some(b'\r'), None) => {
            *known = Some(LineEnd::Return);
            Ok(At::End(1))
        }
        (Some(b'\r'), Some(LineEnd::ReturnNewline)) => Err(literal("carriage return", "\\r", is_csv)),
        _ => Ok(At::Data),
    }
}

fn literal(what: &str, escape: &str, is_csv: bool) -> SqlError {
    if is_csv {
        SqlError::new(SqlState::BadCopyFileFormat, format!("unquoted {what} found in data"))
            .hint(format!("Use quoted CSV field to represent {what}."))
    } else {
        SqlError::new(SqlState::BadCopyFileFormat, format!("literal {what} found in data"))
            .hint(format!("Use \"{escape}\" to represent {what}."))
    }
}
