//! Scripts of messages, run against Lakegate and PostgreSQL alike. The format is described in `tests/wire/README.md`.

use bytes::{Buf as _, BufMut as _};

use crate::wire::{self, Message, Target, Wire};
use crate::{Error, Result};

/// A conversation over a connection of its own.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    number: usize,
    /// Only against this server.
    only: Option<Side>,
    text: String,
}

/// Who is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Lakegate,
    Postgres,
}

/// Reads the cases of a script.
///
/// # Errors
/// If a line stands before the first case.
pub fn parse(text: &str) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case { name: name.to_owned(), lines: Vec::new() });
            continue;
        }
        let (only, text) = match line.split_once(": ") {
            Some(("lakegate", rest)) => (Some(Side::Lakegate), rest),
            Some(("postgres", rest)) => (Some(Side::Postgres), rest),
            _ => (None, line),
        };
        let case = cases.last_mut().ok_or_else(|| format!("line {}: before the first case", index + 1))?;
        case.lines.push(Line { number: index + 1, only, text: text.to_owned() });
    }
    Ok(cases)
}

impl Case {
    /// Plays the case.
    ///
    /// # Errors
    /// At the first answer that is not the expected one: its line, and what came instead.
    pub async fn play(&self, target: &Target, side: Side) -> Result<()> {
        let mut player = Player { target, wire: None, unsent: Vec::new(), ahead: None };
        for line in self.lines.iter().filter(|line| line.only.is_none_or(|only| only == side)) {
            player.line(&line.text).await.map_err(|error| format!("line {}: {}\n    {error}", line.number, line.text))?;
        }
        player.flush().await
    }
}

struct Player<'a> {
    target: &'a Target,
    wire: Option<Wire>,
    unsent: Vec<u8>,
    /// A message that was read before a line expects it.
    ahead: Option<Message>,
}

impl Player<'_> {
    async fn line(&mut self, text: &str) -> Result<()> {
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        match first {
            "open" => self.wire = Some(Wire::open(self.target.port).await?),
            "login" => self.wire = Some(Wire::login(self.target, rest == "tls", &[]).await?),
            "tls" => {
                self.flush().await?;
                let alpn: &[&[u8]] = if rest == "direct" { &[b"postgresql"] } else { &[] };
                self.wire()?.start_tls(alpn).await?;
            }
            "authenticate" => {
                self.flush().await?;
                let password = if rest.is_empty() { self.target.password.clone() } else { rest.to_owned() };
                self.ahead = self.wire()?.authenticate(&password).await?;
            }
            "pause" => {
                self.flush().await?;
                tokio::time::sleep(std::time::Duration::from_millis(rest.parse()?)).await;
            }
            ">" => {
                let bytes = self.outgoing(rest)?;
                self.unsent.extend(bytes);
            }
            "<" => {
                self.flush().await?;
                self.expect(rest).await?;
            }
            // The message may come or not.
            "<?" => {
                self.flush().await?;
                self.pass_over(rest).await?;
            }
            _ => return Err("no such command".into()),
        }
        Ok(())
    }

    fn wire(&mut self) -> Result<&mut Wire> {
        self.wire.as_mut().ok_or_else(|| Error::from("no connection: open or login first"))
    }

    async fn flush(&mut self) -> Result<()> {
        if !self.unsent.is_empty() {
            let bytes = std::mem::take(&mut self.unsent);
            // A server that has already refused may have closed: what it answered is judged, not the write.
            let _ = self.wire()?.send(&bytes).await;
        }
        Ok(())
    }

    fn outgoing(&self, text: &str) -> Result<Vec<u8>> {
        let tokens = tokens(text)?;
        let (first, arguments) = tokens.split_first().ok_or("nothing to send")?;
        let text_at = |index: usize| arguments.get(index).map_or(Ok(""), Token::text);
        Ok(match first.text()? {
            "raw" => arguments.iter().map(Token::bytes).collect::<Result<Vec<_>>>()?.concat(),
            // `tag` and the length of what follows are written for it.
            "message" => {
                let body = arguments[1..].iter().map(Token::bytes).collect::<Result<Vec<_>>>()?.concat();
                wire::message_of(*arguments[0].text()?.as_bytes().first().ok_or("no tag")?, |out| out.put_slice(&body))
            }
            "SSLRequest" => wire::ssl_request(),
            "GSSENCRequest" => [8_i32.to_be_bytes(), 80_877_104_i32.to_be_bytes()].concat(),
            "Startup" => self.startup(arguments)?,
            "Query" => wire::query(text_at(0)?),
            "Parse" => {
                let types = arguments.iter().skip(2).map(|token| Ok(token.text()?.parse()?)).collect::<Result<Vec<u32>>>()?;
                wire::parse(text_at(0)?, text_at(1)?, &types)
            }
            "Bind" => bind(arguments)?,
            "Describe" => wire::describe(letter(text_at(0)?)?, text_at(1)?),
            "Close" => wire::close(letter(text_at(0)?)?, text_at(1)?),
            "Execute" => wire::execute(text_at(0)?, arguments.get(1).map_or(Ok(0), |token| Ok::<i32, Error>(token.text()?.parse()?))?),
            "Sync" => wire::bare(b'S'),
            "Flush" => wire::bare(b'H'),
            "Terminate" => wire::bare(b'X'),
            "CopyDone" => wire::bare(b'c'),
            "CopyData" => wire::message_of(b'd', |out| out.put_slice(text_at(0).unwrap_or_default().as_bytes())),
            "CopyFail" => wire::message_of(b'f', |out| {
                out.put_slice(text_at(0).unwrap_or_default().as_bytes());
                out.put_u8(0);
            }),
            other => return Err(format!("cannot send {other}").into()),
        })
    }

    /// `Startup [version=3.2] [name=value …]`; `user=` and `database=` default to the target's, `user=-` leaves it out.
    fn startup(&self, arguments: &[Token]) -> Result<Vec<u8>> {
        let mut version = 0x0003_0000;
        let mut parameters = vec![("user".to_owned(), self.target.user.clone()), ("database".to_owned(), self.target.database.clone())];
        for argument in arguments {
            let (name, value) = argument.text()?.split_once('=').ok_or("name=value expected")?;
            parameters.retain(|(known, _)| known != name);
            match (name, value) {
                ("version", value) => {
                    let (major, minor) = value.split_once('.').ok_or("version=major.minor")?;
                    version = major.parse::<i32>()? << 16 | minor.parse::<i32>()?;
                }
                (_, "-") => {}
                (name, value) => parameters.push((name.to_owned(), value.to_owned())),
            }
        }
        Ok(wire::startup_of(version, parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
    }

    async fn pass_over(&mut self, text: &str) -> Result<()> {
        if self.ahead.is_none() {
            self.ahead = self.wire()?.receive().await?;
        }
        if let Some(message) = &self.ahead
            && matches(message, &tokens(text)?)?
        {
            self.ahead = None;
        }
        Ok(())
    }

    async fn expect(&mut self, text: &str) -> Result<()> {
        let expected = tokens(text)?;
        let first = expected.first().ok_or("nothing expected")?.text()?;
        if first == "byte" {
            let byte = self.wire()?.byte().await?;
            let wanted = expected.get(1).ok_or("byte of what?")?.text()?;
            return if byte.map(|byte| char::from(byte).to_string()).as_deref() == Some(wanted) {
                Ok(())
            } else {
                Err(format!("came: {byte:?}").into())
            };
        }
        if first == "closed" {
            let message = match self.ahead.take() {
                Some(message) => Ok(Some(message)),
                None => self.wire()?.receive().await,
            };
            return match message {
                Ok(None) => Ok(()),
                Ok(Some(message)) => Err(format!("came: {}", render(&message)?).into()),
                Err(error) => Err(error),
            };
        }
        loop {
            let message = match self.ahead.take() {
                Some(message) => message,
                None => self.wire()?.receive().await?.ok_or("came: closed")?,
            };
            let same = matches(&message, &expected)?;
            if !same && is_aside(&message) {
                continue;
            }
            return if same { Ok(()) } else { Err(format!("came: {}", render(&message)?).into()) };
        }
    }
}

fn matches(message: &Message, expected: &[Token]) -> Result<bool> {
    let came = tokens(&render(message)?)?;
    let open_ended = matches!(message.tag, b'E' | b'N' | b'T' | b'v' | b'R');
    Ok(came.starts_with(expected) && (open_ended || came.len() == expected.len()))
}

/// Messages that may come at any time.
fn is_aside(message: &Message) -> bool {
    matches!(message.tag, b'N' | b'S' | b'K')
}

/// A server message as a script line says it.
fn render(message: &Message) -> Result<String> {
    let mut body = message.body.clone();
    Ok(match message.tag {
        b'R' => format!("Authentication {}", body.try_get_i32()?),
        b'E' => format!("ErrorResponse {}", wire::describe_error(&body)),
        b'N' => format!("NoticeResponse {}", wire::describe_error(&body)),
        b'Z' => format!("ReadyForQuery {}", char::from(body.try_get_u8()?)),
        b'C' => format!("CommandComplete {:?}", wire::take_string(&mut body)?),
        b'D' => {
            let value = |value: &Option<bytes::Bytes>| match value {
                None => "null".to_owned(),
                Some(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) if text.chars().all(|c| !c.is_control()) => quote(text),
                    _ => hex(bytes),
                },
            };
            std::iter::once("DataRow".to_owned()).chain(wire::data_row(&body)?.iter().map(value)).collect::<Vec<_>>().join(" ")
        }
        b'T' => {
            let fields = wire::row_description(&body)?;
            let field = |field: &wire::Field| format!("{}:{}:{}", field.name.replace(' ', "_"), field.type_oid, field.format);
            std::iter::once("RowDescription".to_owned()).chain(fields.iter().map(field)).collect::<Vec<_>>().join(" ")
        }
        b't' => {
            let count = body.try_get_u16()?;
            let mut out = "ParameterDescription".to_owned();
            for _ in 0..count {
                out.push_str(&format!(" {}", body.try_get_u32()?));
            }
            out
        }
        b'S' => format!("ParameterStatus {} {}", quote(&wire::take_string(&mut body)?), quote(&wire::take_string(&mut body)?)),
        b'd' => format!("CopyData {}", quote(&String::from_utf8_lossy(&body))),
        b'K' => "BackendKeyData".to_owned(),
        b'v' => format!("NegotiateProtocolVersion {}", body.try_get_i32()? & 0xffff),
        b'1' => "ParseComplete".to_owned(),
        b'2' => "BindComplete".to_owned(),
        b'3' => "CloseComplete".to_owned(),
        b'n' => "NoData".to_owned(),
        b's' => "PortalSuspended".to_owned(),
        b'I' => "EmptyQueryResponse".to_owned(),
        b'G' => "CopyInResponse".to_owned(),
        b'H' => "CopyOutResponse".to_owned(),
        b'c' => "CopyDone".to_owned(),
        b'A' => {
            // The process id is another each time.
            let mut rest = body.slice(4.min(body.len())..);
            let (channel, payload) = (wire::take_string(&mut rest)?, wire::take_string(&mut rest)?);
            format!("NotificationResponse {channel} {}", quote(&payload))
        }
        tag => format!("Message {:?}", char::from(tag)),
    })
}

/// `Bind "portal" "statement" formats=0,1 values="a",null,x:00ff results=1`; value lists end at a space outside quotes.
fn bind(arguments: &[Token]) -> Result<Vec<u8>> {
    let text_at = |index: usize| arguments.get(index).map_or(Ok(""), Token::text);
    let (mut formats, mut results, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut into = "";
    for argument in arguments.iter().skip(2) {
        match argument {
            Token::Word(word) if word == "formats" || word == "values" || word == "results" => into = word,
            value => match into {
                "formats" => formats.push(value.text()?.parse()?),
                "results" => results.push(value.text()?.parse()?),
                "values" if *value == Token::Word("null".to_owned()) => values.push(None),
                "values" => values.push(Some(value.bytes()?)),
                _ => return Err("formats, values or results expected".into()),
            },
        }
    }
    Ok(wire::bind(text_at(0)?, text_at(1)?, &formats, &values, &results))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    /// `x:00ff`
    Hex(Vec<u8>),
    /// `fill:41*1000`
    Fill(u8, usize),
}

impl Token {
    fn text(&self) -> Result<&str> {
        match self {
            Token::Word(text) | Token::Quoted(text) => Ok(text),
            Token::Hex(_) | Token::Fill(..) => Err("text expected".into()),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        Ok(match self {
            Token::Word(text) | Token::Quoted(text) => text.as_bytes().to_vec(),
            Token::Hex(bytes) => bytes.clone(),
            Token::Fill(byte, count) => vec![*byte; *count],
        })
    }
}

/// Words, `"quoted \"text\""` with `\\ \" \0 \n \t`, `x:hex`, `fill:HH*count`.
fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('"') {
            let (value, after) = quoted(inside)?;
            found.push(Token::Quoted(value));
            rest = after.trim_start();
            continue;
        }
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        found.push(word_token(word)?);
        rest = after.trim_start();
    }
    Ok(found)
}

fn word_token(word: &str) -> Result<Token> {
    if let Some(digits) = word.strip_prefix("x:") {
        return Ok(Token::Hex(unhex(digits)?));
    }
    if let Some((byte, count)) = word.strip_prefix("fill:").and_then(|fill| fill.split_once('*')) {
        return Ok(Token::Fill(u8::from_str_radix(byte, 16)?, count.parse()?));
    }
    Ok(Token::Word(word.to_owned()))
}

fn quoted(inside: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut characters = inside.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &inside[index + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, '0')) => value.push('\0'),
                Some((_, other)) => value.push(other),
                None => return Err("a quoted text ends in \\".into()),
            },
            other => value.push(other),
        }
    }
    Err("a quoted text has no end".into())
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t"))
}

fn letter(text: &str) -> Result<u8> {
    Ok(*text.as_bytes().first().ok_or("a letter expected")?)
}

fn hex(bytes: &[u8]) -> String {
    std::iter::once("x:".to_owned()).chain(bytes.iter().map(|byte| format!("{byte:02x}"))).collect()
}

fn unhex(digits: &str) -> Result<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(format!("not hex: {digits}").into());
    }
    (0..digits.len()).step_by(2).map(|at| Ok(u8::from_str_radix(&digits[at..at + 2], 16)?)).collect()
}
