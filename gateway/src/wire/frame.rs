//! Framing: a type byte, a length, then exactly the declared body. Nothing is decoded here and nothing past the
//! declared length is ever looked at, so that one message cannot smuggle another.
//!
//! Mirrors `SocketBackend` and `pq_getmessage` of PostgreSQL.

use bytes::{Buf, Bytes, BytesMut};

/// Body bytes of a start-up packet, as `MAX_STARTUP_PACKET_LENGTH`.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Body bytes of a message of a client that has not proven its identity.
pub const BEFORE_LOGIN_BYTES_MAX: usize = 16 * 1024;
/// Body bytes of messages that carry neither text of statements nor data, as `PQ_SMALL_MESSAGE_LIMIT`.
pub const SMALL_BYTES_MAX: usize = 10_000;
/// No message is longer, as `PQ_LARGE_MESSAGE_LIMIT`; what declares more is not PostgreSQL's protocol.
pub const MESSAGE_BYTES_MAX: usize = 0x3fff_ffff;

/// Largest message bodies after login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// Query, Parse, Bind.
    pub statement_bytes_max: usize,
    pub copy_data_bytes_max: usize,
}

impl Default for MessageLimits {
    fn default() -> Self {
        MessageLimits { statement_bytes_max: 64 << 20, copy_data_bytes_max: 256 << 20 }
    }
}

/// Which messages may come, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Only `p`.
    Login,
    Ready(MessageLimits),
}

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

/// What the bytes so far hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// At least this many more bytes are needed.
    Incomplete {
        missing: usize,
    },
    Message(Frame),
    /// Longer than its limit but well formed: skip that many bytes, all of the message.
    TooLong {
        tag: u8,
        message_bytes: usize,
    },
}

/// After these the stream has no known position any more; the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    UnknownType(u8),
    /// Before login.
    UnexpectedType(u8),
    /// Shorter than its own length field, or longer than any message of that type can be.
    Length,
}

/// Takes the next message off the front of `buffer`, when it is there whole.
///
/// # Errors
/// See [`FrameError`]; `buffer` is left as it is.
pub fn next_frame(buffer: &mut BytesMut, phase: Phase) -> Result<Framing, FrameError> {
    let Some(&tag) = buffer.first() else { return Ok(Framing::Incomplete { missing: 5 }) };
    let limit = body_limit(tag, phase)?;
    let Some(body) = declared_body(buffer.get(1..5))? else { return Ok(Framing::Incomplete { missing: 5 - buffer.len() }) };
    if body > limit.bytes_max {
        return if limit.skippable && body <= MESSAGE_BYTES_MAX {
            Ok(Framing::TooLong { tag, message_bytes: body + 5 })
        } else {
            Err(FrameError::Length)
        };
    }
    if buffer.len() < body + 5 {
        return Ok(Framing::Incomplete { missing: body + 5 - buffer.len() });
    }
    buffer.advance(5);
    Ok(Framing::Message(Frame { tag, body: buffer.split_to(body).freeze() }))
}

/// Whether Sync comes next, after nothing but Close and Flush, and is there whole.
#[must_use]
pub fn sync_is_next(mut buffer: &[u8]) -> bool {
    loop {
        let Ok(Some(body)) = declared_body(buffer.get(1..5)) else { return false };
        match buffer.first() {
            Some(b'S') => return true,
            Some(b'C' | b'H') => {}
            _ => return false,
        }
        let Some(rest) = body.checked_add(5).and_then(|used| buffer.get(used..)) else { return false };
        buffer = rest;
    }
}

/// Takes a start-up packet (no type byte) off the front of `buffer`, when it is there whole.
///
/// # Errors
/// [`FrameError::Length`].
pub fn next_startup(buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(body) = declared_body(buffer.get(0..4))? else { return Ok(None) };
    if !(4..=STARTUP_BYTES_MAX).contains(&body) {
        return Err(FrameError::Length);
    }
    if buffer.len() < body + 4 {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(body).freeze()))
}

struct Limit {
    bytes_max: usize,
    skippable: bool,
}

fn body_limit(tag: u8, phase: Phase) -> Result<Limit, FrameError> {
    let limits = match phase {
        Phase::Login if tag == b'p' => return Ok(Limit { bytes_max: BEFORE_LOGIN_BYTES_MAX, skippable: false }),
        Phase::Login => return Err(FrameError::UnexpectedType(tag)),
        Phase::Ready(limits) => limits,
    };
    match tag {
        b'Q' | b'P' | b'B' | b'F' => Ok(Limit { bytes_max: limits.statement_bytes_max, skippable: true }),
        b'd' => Ok(Limit { bytes_max: limits.copy_data_bytes_max, skippable: true }),
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => Ok(Limit { bytes_max: SMALL_BYTES_MAX, skippable: false }),
        _ => Err(FrameError::UnknownType(tag)),
    }
}

/// `None` when the length itself is not there yet.
fn declared_body(length: Option<&[u8]>) -> Result<Option<usize>, FrameError> {
    let Some(Ok(length)) = length.map(<[u8; 4]>::try_from) else { return Ok(None) };
    let body = u32::from_be_bytes(length).checked_sub(4).ok_or(FrameError::Length)?;
    usize::try_from(body).map(Some).map_err(|_| FrameError::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Phase = Phase::Ready(MessageLimits { statement_bytes_max: 100, copy_data_bytes_max: 200 });

    fn buffer(bytes: &[u8]) -> BytesMut {
        BytesMut::from(bytes)
    }

    #[test]
    fn takes_exactly_the_declared_body() {
        let mut bytes = buffer(b"Q\0\0\0\x06a\0Q\0\0\0");
        assert_eq!(next_frame(&mut bytes, READY), Ok(Framing::Message(Frame { tag: b'Q', body: Bytes::from_static(b"a\0") })));
        assert_eq!(next_frame(&mut bytes, READY), Ok(Framing::Incomplete { missing: 1 }));
        assert_eq!(&bytes[..], b"Q\0\0\0");
    }

    #[test]
    fn refuses_impossible_lengths() {
        for length in [0u8, 3] {
            assert_eq!(next_frame(&mut buffer(&[b'Q', 0, 0, 0, length]), READY), Err(FrameError::Length));
            assert_eq!(next_startup(&mut buffer(&[0, 0, 0, length])), Err(FrameError::Length));
        }
        assert_eq!(next_frame(&mut buffer(&[b'Q', 0xff, 0, 0, 0]), READY), Err(FrameError::Length));
        assert_eq!(next_frame(&mut buffer(&[b'S', 0, 0, 0x7f, 0xff]), READY), Err(FrameError::Length));
        assert_eq!(next_startup(&mut buffer(&[0, 0, 0x27, 0x15])), Err(FrameError::Length));
    }

    #[test]
    fn skips_what_is_merely_too_long() {
        assert_eq!(next_frame(&mut buffer(&[b'Q', 0, 0, 1, 0]), READY), Ok(Framing::TooLong { tag: b'Q', message_bytes: 257 }));
        assert_eq!(next_frame(&mut buffer(&[b'd', 0, 0, 0, 204, 1]), READY), Ok(Framing::Incomplete { missing: 199 }));
    }

    #[test]
    fn sees_a_sync_that_comes_next() {
        assert!(sync_is_next(b"S\0\0\0\x04"));
        assert!(sync_is_next(b"C\0\0\0\x06P\0H\0\0\0\x04S\0\0\0\x04P"));
        assert!(!sync_is_next(b"C\0\0\0\x06P\0S\0\0\0"));
        assert!(!sync_is_next(b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"));
        assert!(!sync_is_next(b"C\0\0\0\0"));
        assert!(!sync_is_next(b""));
    }

    #[test]
    fn before_login_only_p_is_framed() {
        assert_eq!(next_frame(&mut buffer(&[b'Q', 0x3f, 0xff, 0xff, 0xf0]), Phase::Login), Err(FrameError::UnexpectedType(b'Q')));
        assert_eq!(next_frame(&mut buffer(&[b'p', 0, 0, 0x50, 0]), Phase::Login), Err(FrameError::Length));
        assert_eq!(next_frame(&mut buffer(b"z"), READY), Err(FrameError::UnknownType(b'z')));
    }
}
