//! Frontend messages, decoded from exactly one frame.

use super::body::{Body, utf8, violation};
use crate::sqlstate::{SqlError, SqlState};

/// A message of a client that is logged in; borrows from its frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    Query { text: &'a str },
    Parse(Parse<'a>),
    Bind(Bind<'a>),
    Describe { target: Target, name: &'a str },
    Close { target: Target, name: &'a str },
    Execute { portal: &'a str, max_rows: i32 },
    Flush,
    Sync,
    FunctionCall,
    CopyData(&'a [u8]),
    CopyDone,
    CopyFail { reason: &'a str },
    Terminate,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    pub name: &'a str,
    pub text: &'a str,
    /// OIDs, 0 where the client leaves the choice open; may be shorter than the statement's parameters.
    pub parameter_types: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    pub parameter_formats: Vec<i16>,
    /// `None` is NULL.
    pub values: Vec<Option<&'a [u8]>>,
    pub result_formats: Vec<i16>,
}

/// Of Describe and Close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

/// Decodes the body of a frame that [`super::frame::next_frame`] let through.
///
/// # Errors
/// 08P01 when the body is not exactly such a message, 22021 when a string in it is not UTF-8.
pub fn decode(tag: u8, bytes: &[u8]) -> Result<Incoming<'_>, SqlError> {
    let mut body = Body::new(bytes);
    let message = match tag {
        b'Q' => Incoming::Query { text: body.string()? },
        b'P' => Incoming::Parse(Parse { name: body.string()?, text: body.string()?, parameter_types: body.list(Body::u32)? }),
        b'B' => Incoming::Bind(bind(&mut body)?),
        b'D' => Incoming::Describe { target: target(&mut body, "DESCRIBE")?, name: body.string()? },
        b'C' => Incoming::Close { target: target(&mut body, "CLOSE")?, name: body.string()? },
        b'E' => Incoming::Execute { portal: body.string()?, max_rows: body.i32()? },
        b'H' => Incoming::Flush,
        b'S' => Incoming::Sync,
        b'd' => return Ok(Incoming::CopyData(body.rest())),
        // Their bodies are not looked at: the calls are refused whatever they say, and PostgreSQL ignores the others' as well.
        b'F' => return Ok(Incoming::FunctionCall),
        b'c' => return Ok(Incoming::CopyDone),
        b'X' => return Ok(Incoming::Terminate),
        b'f' => Incoming::CopyFail { reason: body.string()? },
        other => return Err(SqlError::fatal(SqlState::ProtocolViolation, format!("invalid frontend message type {other}"))),
    };
    body.end()?;
    Ok(message)
}

/// Body of a `p` message as a password: one string.
///
/// # Errors
/// 08P01, 28P01 when it is empty.
pub fn password(bytes: &[u8]) -> Result<&str, SqlError> {
    match bytes.split_last() {
        Some((0, [])) => Err(SqlError::fatal(SqlState::InvalidPassword, "empty password returned by client")),
        Some((0, text)) if !text.contains(&0) => utf8(text),
        _ => Err(violation("invalid password packet size")),
    }
}

/// SASLInitialResponse: mechanism and, if it came along, the client's first message.
///
/// # Errors
/// 08P01.
pub fn sasl_initial(bytes: &[u8]) -> Result<(&str, Option<&[u8]>), SqlError> {
    let mut body = Body::new(bytes);
    let mechanism = body.string()?;
    let response = body.value()?;
    body.end()?;
    Ok((mechanism, response))
}

fn bind<'a>(body: &mut Body<'a>) -> Result<Bind<'a>, SqlError> {
    Ok(Bind {
        portal: body.string()?,
        statement: body.string()?,
        parameter_formats: body.list(Body::i16)?,
        values: body.list(Body::value)?,
        result_formats: body.list(Body::i16)?,
    })
}

fn target(body: &mut Body<'_>, message: &str) -> Result<Target, SqlError> {
    match body.u8()? {
        b'S' => Ok(Target::Statement),
        b'P' => Ok(Target::Portal),
        other => Err(violation(format!("invalid {message} message subtype {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(tag: u8, body: &[u8]) -> String {
        decode(tag, body).unwrap_err().message
    }

    #[test]
    fn a_body_must_be_used_up() {
        assert_eq!(decode(b'Q', b"SELECT 1\0").unwrap(), Incoming::Query { text: "SELECT 1" });
        assert_eq!(message_of(b'Q', b"SELECT 'outer'\0Q\0\0\0\x0dSELECT 2\0"), "invalid message format");
        assert_eq!(message_of(b'Q', b"SELECT 1"), "invalid string in message");
        assert_eq!(message_of(b'S', b"x"), "invalid message format");
    }

    #[test]
    fn truncated_binds_are_violations() {
        let whole = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0";
        let Incoming::Bind(bind) = decode(b'B', whole).unwrap() else { panic!("not a Bind") };
        assert_eq!(bind.values, [Some(&b"x"[..]), None]);
        for end in 0..whole.len() {
            assert!(decode(b'B', &whole[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn passwords_are_one_string() {
        assert_eq!(password(b"secret\0").unwrap(), "secret");
        for wrong in [&b""[..], b"secret", b"a\0b\0", b"\0", b"\xff\0"] {
            assert!(password(wrong).is_err());
        }
    }
}
