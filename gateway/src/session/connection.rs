//! One client's byte stream, buffered both ways, with an eye on its end.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::wire::frame::{Frame, FrameError, Framing, Phase, next_frame, next_startup, sync_is_next};

/// Written out when this much has come together.
pub const FLUSH_BYTES: usize = 128 << 10;
/// Read ahead while a statement runs; more stays in the socket, and so with the client.
const READ_AHEAD_BYTES_MAX: usize = 256 << 10;
/// Least room for one read.
const READ_BYTES: usize = 16 << 10;
/// A buffer that grew past this is given back when it is empty.
const KEEP_BYTES_MAX: usize = 512 << 10;
/// A client that has closed its sending side may still read the answer to a short statement; one that is gone does not.
const HALF_CLOSE_GRACE: Duration = Duration::from_millis(250);
/// How often a peer is looked at whose bytes cannot be read because the buffer is full.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// For the client to close after the last message.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES_MAX: usize = 256 << 10;

/// A stream that a session can run over.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// The peer has closed or reset, as far as it can be told without reading.
    fn peer_has_closed(&self) -> bool {
        false
    }
}

impl Transport for tokio::io::DuplexStream {}

impl Transport for tokio::net::TcpStream {
    fn peer_has_closed(&self) -> bool {
        use futures::FutureExt;
        let ready = self.ready(tokio::io::Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
    }
}

/// The client can be neither read from nor written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// What came in.
#[derive(Debug)]
pub enum Received {
    Message(Frame),
    /// A message past its limit; its body has been thrown away.
    TooLong {
        tag: u8,
        message_bytes: usize,
    },
    Malformed(FrameError),
    Closed,
}

/// Cancel safe throughout: an interrupted read or write goes on where it was.
pub struct Connection {
    stream: Box<dyn Transport>,
    input: BytesMut,
    /// Bytes still to be skipped of a message that is too long.
    skip: Option<Skip>,
    /// To be sent: encoders append here.
    pub out: Vec<u8>,
    /// Bytes of `out` that are sent.
    sent: usize,
    ended: Option<Instant>,
    failed: bool,
}

struct Skip {
    tag: u8,
    message_bytes: usize,
    left: usize,
}

impl Connection {
    /// `read_already` are bytes that came before the session took over.
    #[must_use]
    pub fn new(stream: Box<dyn Transport>, read_already: BytesMut) -> Self {
        Connection { stream, input: read_already, skip: None, out: Vec::with_capacity(READ_BYTES), sent: 0, ended: None, failed: false }
    }

    /// The next message.
    pub async fn message(&mut self, phase: Phase) -> Received {
        loop {
            if let Some(skip) = self.skip.as_mut() {
                let now = skip.left.min(self.input.len());
                self.input.advance(now);
                skip.left -= now;
                if skip.left == 0 {
                    let (tag, message_bytes) = (skip.tag, skip.message_bytes);
                    self.skip = None;
                    return Received::TooLong { tag, message_bytes };
                }
            } else {
                match next_frame(&mut self.input, phase) {
                    Ok(Framing::Message(frame)) => return Received::Message(frame),
                    Ok(Framing::TooLong { tag, message_bytes }) => {
                        self.skip = Some(Skip { tag, message_bytes, left: message_bytes });
                        continue;
                    }
                    Ok(Framing::Incomplete { .. }) => {}
                    Err(error) => return Received::Malformed(error),
                }
            }
            if !self.read().await {
                return Received::Closed;
            }
        }
    }

    /// The next start-up packet; `None` at the end of the stream.
    pub async fn startup_packet(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(packet) = next_startup(&mut self.input)? {
                return Ok(Some(packet));
            }
            if !self.read().await {
                return Ok(None);
            }
        }
    }

    /// The first byte, left in place; `None` at the end of the stream.
    pub async fn first_byte(&mut self) -> Option<u8> {
        loop {
            if let Some(byte) = self.input.first() {
                return Some(*byte);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Bytes that were read and not used.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether Sync is what comes next of what was read.
    #[must_use]
    pub fn sync_is_next(&self) -> bool {
        self.skip.is_none() && sync_is_next(&self.input)
    }

    /// For a change of transport: the stream, and what was read and not used.
    #[must_use]
    pub fn into_parts(self) -> (Box<dyn Transport>, BytesMut) {
        (self.stream, self.input)
    }

    /// Sends everything in `out`.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        let result = self.write_out().await;
        if result.is_err() {
            self.failed = true;
        }
        result.map_err(|_| Gone)
    }

    /// Resolves when the client is gone; reads ahead meanwhile, up to a bound.
    pub async fn gone(&mut self) -> Gone {
        loop {
            if self.failed {
                return Gone;
            }
            if let Some(ended) = self.ended {
                tokio::time::sleep_until(ended + HALF_CLOSE_GRACE).await;
                return Gone;
            }
            if self.input.len() >= READ_AHEAD_BYTES_MAX {
                tokio::time::sleep(LOOK_INTERVAL).await;
                if self.stream.peer_has_closed() {
                    return Gone;
                }
            } else {
                self.read().await;
            }
        }
    }

    /// Sends what is left and says good-bye. Reads on for a moment: bytes that are never read would make the system reset the
    /// connection, and the last message with it.
    pub async fn shutdown(mut self) {
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let mut dropped = 0;
        let _ = tokio::time::timeout(LINGER, async {
            while dropped < LINGER_BYTES_MAX {
                self.input.clear();
                let before = self.input.len();
                if !self.read().await {
                    break;
                }
                dropped += self.input.len() - before;
            }
        })
        .await;
    }

    /// Whether more may come.
    async fn read(&mut self) -> bool {
        if self.ended.is_some() || self.failed {
            return false;
        }
        if self.input.is_empty() && self.input.capacity() > KEEP_BYTES_MAX {
            self.input = BytesMut::new();
        }
        self.input.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => {
                self.ended = Some(Instant::now());
                false
            }
            Ok(_) => true,
            // TLS without its good-bye: as good as closed.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.ended = Some(Instant::now());
                false
            }
            Err(_) => {
                self.failed = true;
                false
            }
        }
    }

    async fn write_out(&mut self) -> io::Result<()> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.sent += written,
            }
        }
        self.stream.flush().await?;
        self.sent = 0;
        if self.out.capacity() > KEEP_BYTES_MAX {
            self.out = Vec::with_capacity(READ_BYTES);
        } else {
            self.out.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::MessageLimits;

    const READY: Phase = Phase::Ready(MessageLimits { statement_bytes_max: 10, copy_data_bytes_max: 10 });

    #[tokio::test]
    async fn a_message_that_is_too_long_is_skipped_whole() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut connection = Connection::new(Box::new(server), BytesMut::new());
        let sender = async {
            let long = [b"Q", &1000u32.to_be_bytes()[..], &[b'x'; 996]].concat();
            client.write_all(&long).await.unwrap();
            client.write_all(b"S\0\0\0\x04").await.unwrap();
            client
        };
        let receiver = async {
            assert!(matches!(connection.message(READY).await, Received::TooLong { tag: b'Q', message_bytes: 1001 }));
            assert!(matches!(connection.message(READY).await, Received::Message(Frame { tag: b'S', .. })));
        };
        let (client, ()) = tokio::join!(sender, receiver);
        drop(client);
        assert!(matches!(connection.message(READY).await, Received::Closed));
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_seen_and_its_bytes_are_kept() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut connection = Connection::new(Box::new(server), BytesMut::new());
        client.write_all(b"S\0\0").await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), connection.gone()).await;
        assert!(early.is_err());
        client.write_all(b"\0\x04").await.unwrap();
        drop(client);
        connection.gone().await;
        assert!(matches!(connection.message(READY).await, Received::Message(Frame { tag: b'S', .. })));
    }
}
