//! A protocol connection of which the test decides every byte.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::tls::{client_config, handshake};
use crate::{Error, Result};

/// How long an answer may take before it counts as missing.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Where to connect and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Target {
    #[must_use]
    pub fn of_server(server: &crate::server::Server) -> Target {
        Target::admin(server.port, &server.admin_password)
    }

    #[must_use]
    pub fn of_postgres(cluster: &crate::postgres::Cluster) -> Target {
        Target::admin(cluster.port, crate::postgres::PASSWORD)
    }

    fn admin(port: u16, password: &str) -> Target {
        Target { port, user: "admin".to_owned(), password: password.to_owned(), database: "main".to_owned() }
    }
}

/// A message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub tag: u8,
    pub body: Bytes,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Between the two.
    Nothing,
}

/// A connection of raw bytes and messages.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    received: BytesMut,
}

impl Wire {
    /// A TCP connection, nothing sent.
    ///
    /// # Errors
    /// If nobody listens.
    pub async fn open(port: u16) -> Result<Wire> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream: Stream::Plain(stream), received: BytesMut::new() })
    }

    /// Connected, authenticated, ready for a query; TLS if `tls`.
    ///
    /// # Errors
    /// If the login fails.
    pub async fn login(target: &Target, tls: bool, parameters: &[(&str, &str)]) -> Result<Wire> {
        let mut wire = Wire::open(target.port).await?;
        if tls {
            wire.send(&ssl_request()).await?;
            if wire.byte().await? != Some(b'S') {
                return Err("the server does not speak TLS".into());
            }
            wire.start_tls(&[]).await?;
        }
        wire.send(&startup(&target.user, &target.database, parameters)).await?;
        if let Some(refusal) = wire.authenticate(&target.password).await? {
            return Err(describe_error(&refusal.body).into());
        }
        loop {
            match wire.must_receive().await? {
                Message { tag: b'Z', .. } => return Ok(wire),
                Message { tag: b'E', body } => return Err(describe_error(&body).into()),
                _ => {}
            }
        }
    }

    /// Answers authentication requests until AuthenticationOk; gives the ErrorResponse if the server refuses.
    ///
    /// # Errors
    /// If the conversation is not the protocol's.
    pub async fn authenticate(&mut self, password: &str) -> Result<Option<Message>> {
        let mut scram = None;
        loop {
            let message = self.must_receive().await?;
            match message.tag {
                b'R' => {}
                b'E' => return Ok(Some(message)),
                b'v' | b'N' => continue,
                tag => return Err(format!("message {:?} during authentication", char::from(tag)).into()),
            }
            let mut body = message.body;
            match body.try_get_i32()? {
                0 => return Ok(None),
                3 => self.send(&message_of(b'p', |out| put_string(out, password))).await?,
                10 => {
                    let exchange = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    let first = exchange.message().to_vec();
                    self.send(&message_of(b'p', |out| {
                        put_string(out, "SCRAM-SHA-256");
                        out.put_i32(i32::try_from(first.len()).unwrap_or_default());
                        out.put_slice(&first);
                    }))
                    .await?;
                    scram = Some(exchange);
                }
                11 => {
                    let exchange = scram.as_mut().ok_or("SASL continues before it began")?;
                    exchange.update(&body)?;
                    let answer = exchange.message().to_vec();
                    self.send(&message_of(b'p', |out| out.put_slice(&answer))).await?;
                }
                12 => scram.as_mut().ok_or("SASL ends before it began")?.finish(&body)?,
                other => return Err(format!("authentication request {other}").into()),
            }
        }
    }

    /// Wraps the connection in TLS.
    ///
    /// # Errors
    /// If the handshake fails.
    pub async fn start_tls(&mut self, alpn: &[&[u8]]) -> Result<()> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Nothing) else { return Err("TLS twice".into()) };
        let stream = tokio::time::timeout(ANSWER_LIMIT, handshake(stream, client_config(alpn)?)).await??;
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// The socket, to be read without this type; nothing may have been received beyond what was taken.
    ///
    /// # Errors
    /// If the connection is encrypted.
    pub fn into_plain(self) -> Result<std::net::TcpStream> {
        let Stream::Plain(stream) = self.stream else { return Err("the connection is encrypted".into()) };
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).await?,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
            }
            Stream::Nothing => return Err("no connection".into()),
        }
        Ok(())
    }

    /// The next single byte (the answer to SSLRequest); `None` when the server closed.
    ///
    /// # Errors
    /// If nothing comes in time.
    pub async fn byte(&mut self) -> Result<Option<u8>> {
        if self.received.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        Ok(Some(self.received.get_u8()))
    }

    /// The next message; `None` when the server closed.
    ///
    /// # Errors
    /// If nothing comes in time, or the connection ends inside a message.
    pub async fn receive(&mut self) -> Result<Option<Message>> {
        loop {
            if self.received.len() >= 5 {
                let length = usize::try_from((&self.received[1..5]).get_i32())?;
                if self.received.len() > length {
                    let tag = self.received.get_u8();
                    let mut body = self.received.split_to(length);
                    body.advance(4);
                    return Ok(Some(Message { tag, body: body.freeze() }));
                }
            }
            if !self.fill().await? {
                return if self.received.is_empty() { Ok(None) } else { Err("the server closed inside a message".into()) };
            }
        }
    }

    /// The next message.
    ///
    /// # Errors
    /// Also if the server closed.
    pub async fn must_receive(&mut self) -> Result<Message> {
        self.receive().await?.ok_or_else(|| Error::from("the server closed the connection"))
    }

    /// All messages up to ReadyForQuery, that one included.
    ///
    /// # Errors
    /// If it does not come.
    pub async fn until_ready(&mut self) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let message = self.must_receive().await?;
            let done = message.tag == b'Z';
            messages.push(message);
            if done {
                return Ok(messages);
            }
        }
    }

    /// Reads what is there into the buffer; false at the end of the stream, a reset included.
    async fn fill(&mut self) -> Result<bool> {
        self.received.reserve(64 * 1024);
        let read = async {
            match &mut self.stream {
                Stream::Plain(stream) => stream.read_buf(&mut self.received).await,
                Stream::Tls(stream) => stream.read_buf(&mut self.received).await,
                Stream::Nothing => Ok(0),
            }
        };
        match tokio::time::timeout(ANSWER_LIMIT, read).await {
            Err(_) => Err(format!("no answer within {ANSWER_LIMIT:?}").into()),
            Ok(Ok(count)) => Ok(count > 0),
            Ok(Err(_)) => Ok(false),
        }
    }
}

/// SSLRequest.
#[must_use]
pub fn ssl_request() -> Vec<u8> {
    [8_i32.to_be_bytes(), 80_877_103_i32.to_be_bytes()].concat()
}

/// CancelRequest.
#[must_use]
pub fn cancel_request(pid: i32, secret: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_i32(12 + i32::try_from(secret.len()).unwrap_or_default());
    out.put_i32(80_877_102);
    out.put_i32(pid);
    out.put_slice(secret);
    out
}

/// StartupMessage of protocol 3.0.
#[must_use]
pub fn startup(user: &str, database: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
    startup_of(0x0003_0000, [("user", user), ("database", database)].into_iter().chain(parameters.iter().copied()))
}

/// StartupMessage of any protocol version.
#[must_use]
pub fn startup_of<'a>(version: i32, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_i32(version);
    for (name, value) in parameters {
        put_string(&mut body, name);
        put_string(&mut body, value);
    }
    body.put_u8(0);
    let mut out = Vec::new();
    out.put_i32(i32::try_from(body.len() + 4).unwrap_or_default());
    out.extend(body);
    out
}

/// A message with its tag and right length.
#[must_use]
pub fn message_of(tag: u8, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![tag, 0, 0, 0, 0];
    fill(&mut out);
    let length = i32::try_from(out.len() - 1).unwrap_or_default();
    out[1..5].copy_from_slice(&length.to_be_bytes());
    out
}

#[must_use]
pub fn query(sql: &str) -> Vec<u8> {
    message_of(b'Q', |out| put_string(out, sql))
}

#[must_use]
pub fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    message_of(b'P', |out| {
        put_string(out, name);
        put_string(out, sql);
        put_count(out, types.len());
        types.iter().for_each(|&oid| out.put_u32(oid));
    })
}

#[must_use]
pub fn bind(portal: &str, statement: &str, formats: &[i16], values: &[Option<Vec<u8>>], results: &[i16]) -> Vec<u8> {
    message_of(b'B', |out| {
        put_string(out, portal);
        put_string(out, statement);
        put_count(out, formats.len());
        formats.iter().for_each(|&format| out.put_i16(format));
        put_count(out, values.len());
        for value in values {
            match value {
                None => out.put_i32(-1),
                Some(bytes) => {
                    out.put_i32(i32::try_from(bytes.len()).unwrap_or_default());
                    out.put_slice(bytes);
                }
            }
        }
        put_count(out, results.len());
        results.iter().for_each(|&format| out.put_i16(format));
    })
}

/// `kind`: `S` or `P`.
#[must_use]
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    message_of(b'D', |out| {
        out.put_u8(kind);
        put_string(out, name);
    })
}

#[must_use]
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    message_of(b'C', |out| {
        out.put_u8(kind);
        put_string(out, name);
    })
}

#[must_use]
pub fn execute(portal: &str, max_rows: i32) -> Vec<u8> {
    message_of(b'E', |out| {
        put_string(out, portal);
        out.put_i32(max_rows);
    })
}

/// A message without a body: Sync, Flush, Terminate, CopyDone.
#[must_use]
pub fn bare(tag: u8) -> Vec<u8> {
    message_of(tag, |_| {})
}

/// The values of a DataRow.
///
/// # Errors
/// If it is malformed.
pub fn data_row(body: &Bytes) -> Result<Vec<Option<Bytes>>> {
    let mut body = body.clone();
    let count = body.try_get_u16()?;
    let mut values = Vec::new();
    for _ in 0..count {
        let length = body.try_get_i32()?;
        values.push(match usize::try_from(length) {
            Err(_) => None,
            Ok(length) if length > body.len() => return Err("DataRow is too short".into()),
            Ok(length) => Some(body.split_to(length)),
        });
    }
    if body.is_empty() { Ok(values) } else { Err("DataRow is too long".into()) }
}

/// A column of a RowDescription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub type_oid: u32,
    pub type_size: i16,
    pub typmod: i32,
    pub format: i16,
}

/// The columns of a RowDescription.
///
/// # Errors
/// If it is malformed.
pub fn row_description(body: &Bytes) -> Result<Vec<Field>> {
    let mut body = body.clone();
    let count = body.try_get_u16()?;
    (0..count)
        .map(|_| {
            let name = take_string(&mut body)?;
            let _table = body.try_get_u32()?;
            let _column = body.try_get_i16()?;
            Ok(Field {
                name,
                type_oid: body.try_get_u32()?,
                type_size: body.try_get_i16()?,
                typmod: body.try_get_i32()?,
                format: body.try_get_i16()?,
            })
        })
        .collect()
}

/// A field of an ErrorResponse or NoticeResponse, by its letter (`C` is the SQLSTATE).
#[must_use]
pub fn error_field(body: &Bytes, letter: u8) -> Option<String> {
    let mut body = body.clone();
    loop {
        let code = body.try_get_u8().ok().filter(|&code| code != 0)?;
        let value = take_string(&mut body).ok()?;
        if code == letter {
            return Some(value);
        }
    }
}

/// `FATAL 28P01 "password authentication failed …"`.
#[must_use]
pub fn describe_error(body: &Bytes) -> String {
    let field = |letter| error_field(body, letter).unwrap_or_default();
    format!("{} {} {:?}", field(b'V'), field(b'C'), field(b'M'))
}

/// Up to the next NUL.
///
/// # Errors
/// If there is none.
pub fn take_string(body: &mut Bytes) -> Result<String> {
    let end = body.iter().position(|&byte| byte == 0).ok_or("string without end")?;
    let text = String::from_utf8(body.split_to(end).to_vec())?;
    body.advance(1);
    Ok(text)
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}
