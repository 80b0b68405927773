//! Start-up packets, and the negotiation in front of a session: by value, no I/O. Mirrors `ProcessStartupPacket`.

use super::driver::driver_of;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::body::{Body, utf8};
use crate::wire::pg_types::NAME_BYTES_MAX;

/// The newest protocol spoken, 3.2.
pub const PROTOCOL_NEWEST: u32 = (3 << 16) | 2;

/// Codes in the place of a version, as in `pqcomm.h`.
const CANCEL_REQUEST: u32 = (1234 << 16) | 5678;
const SSL_REQUEST: u32 = (1234 << 16) | 5679;
const GSS_REQUEST: u32 = (1234 << 16) | 5680;

/// What has been negotiated on a connection; each kind of encryption may be asked for once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Negotiation {
    ssl_done: bool,
    gss_done: bool,
}

/// What to do about a packet.
#[derive(Debug)]
pub enum Step {
    /// Answer `S` and begin TLS, or `N` where there is none.
    StartTls(Negotiation),
    /// Answer `N`.
    RefuseGss(Negotiation),
    /// No answer, whatever comes of it.
    Cancel {
        pid: i32,
        key: Vec<u8>,
    },
    Start(StartupMessage),
}

/// A client that wants a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupMessage {
    pub minor_version: u32,
    pub user: String,
    pub database: String,
    /// Everything but user, database and options; then the `-c` of options.
    pub settings: Vec<(String, String)>,
    /// `_pq_.` options, none of which is known.
    pub unknown_options: Vec<String>,
    /// As far as it is known.
    pub driver: Option<&'static str>,
}

impl StartupMessage {
    /// The version must be negotiated down, or an option refused.
    #[must_use]
    pub fn needs_negotiation(&self) -> bool {
        self.minor_version > PROTOCOL_NEWEST & 0xffff || !self.unknown_options.is_empty()
    }

    /// Bytes of a cancel key: 3.2 has longer ones.
    #[must_use]
    pub fn cancel_key_bytes(&self) -> usize {
        if self.minor_version >= 2 { 32 } else { 4 }
    }
}

impl Negotiation {
    /// After direct TLS nothing more can be negotiated.
    #[must_use]
    pub fn after_direct_tls() -> Self {
        Negotiation { ssl_done: true, gss_done: true }
    }

    /// # Errors
    /// FATAL 0A000 for a protocol that is not spoken, 08P01 for a malformed packet, 28000 without a user, 42601 for wrong options.
    pub fn advance(self, packet: &[u8]) -> Result<Step, SqlError> {
        let mut body = Body::new(packet);
        let version = body.u32().map_err(fatal)?;
        match version {
            CANCEL_REQUEST => {
                let pid = body.i32().map_err(fatal)?;
                Ok(Step::Cancel { pid, key: body.rest().to_vec() })
            }
            SSL_REQUEST if !self.ssl_done => Ok(Step::StartTls(Negotiation { ssl_done: true, ..self })),
            GSS_REQUEST if !self.gss_done && !self.ssl_done => Ok(Step::RefuseGss(Negotiation { gss_done: true, ..self })),
            _ if version >> 16 == 3 => start(version & 0xffff, body.rest()).map(Step::Start),
            _ => {
                let message = format!(
                    "unsupported frontend protocol {}.{}: server supports 3.0 to 3.{}",
                    version >> 16,
                    version & 0xffff,
                    PROTOCOL_NEWEST & 0xffff
                );
                Err(SqlError::fatal(SqlState::FeatureNotSupported, message))
            }
        }
    }
}

/// A packet of protocol 2, which wants its errors in its own format.
#[must_use]
pub fn is_version_two(packet: &[u8]) -> bool {
    packet.get(..2) == Some(&[0, 2])
}

fn start(minor_version: u32, parameters: &[u8]) -> Result<StartupMessage, SqlError> {
    let layout = || SqlError::fatal(SqlState::ProtocolViolation, "invalid startup packet layout: expected terminator as last byte");
    let mut message = StartupMessage {
        minor_version,
        user: String::new(),
        database: String::new(),
        settings: Vec::new(),
        unknown_options: Vec::new(),
        driver: None,
    };
    let mut all: Vec<(&str, &str)> = Vec::new();
    let mut options = String::new();
    let mut rest = parameters;
    loop {
        let (name, after) = string(rest).ok_or_else(layout)?;
        if name.is_empty() {
            if !after.is_empty() {
                return Err(layout());
            }
            break;
        }
        let (value, after) = string(after).ok_or_else(layout)?;
        rest = after;
        let (name, value) = (utf8(name).map_err(fatal)?, utf8(value).map_err(fatal)?);
        all.push((name, value));
        match name {
            "user" => message.user = value.get(..value.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or_default().to_owned(),
            "database" => message.database = value.get(..value.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or_default().to_owned(),
            "options" => value.clone_into(&mut options),
            "replication" => {
                if !matches!(value, "false" | "off" | "no" | "0") {
                    return Err(SqlError::fatal(SqlState::FeatureNotSupported, "replication connections are not supported"));
                }
            }
            _ if name.starts_with("_pq_.") => message.unknown_options.push(name.to_owned()),
            _ => message.settings.push((name.to_owned(), value.to_owned())),
        }
    }
    if message.user.is_empty() {
        let text = "no PostgreSQL user name specified in startup packet";
        return Err(SqlError::fatal(SqlState::InvalidAuthorizationSpecification, text));
    }
    message.driver = driver_of(&all);
    message.settings.extend(settings_of(&options)?);
    Ok(message)
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

/// `-c name=value`, `-cname=value` and `--name=value`; a backslash takes the next character as it is. Mirrors `pg_split_opts`.
///
/// # Errors
/// FATAL 42601 for anything else.
pub fn settings_of(options: &str) -> Result<Vec<(String, String)>, SqlError> {
    let wrong = |word: &str| SqlError::fatal(SqlState::SyntaxError, format!("invalid command-line argument for server process: {word}"));
    let mut settings = Vec::new();
    let mut words = words_of(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next().ok_or_else(|| wrong(&word))?
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_owned()
        } else {
            return Err(wrong(&word));
        };
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| SqlError::fatal(SqlState::SyntaxError, format!("-c {assignment} requires a value")))?;
        if name.is_empty() {
            return Err(wrong(&word));
        }
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn words_of(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        if character.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let taken = if character == '\\' { characters.next() } else { Some(character) };
        word.get_or_insert_default().extend(taken);
    }
    words.extend(word);
    words
}

/// Before login every error ends the connection.
#[must_use]
pub fn fatal(error: SqlError) -> SqlError {
    SqlError { severity: crate::sqlstate::Severity::Fatal, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(version: u32, rest: &[u8]) -> Vec<u8> {
        [&version.to_be_bytes()[..], rest].concat()
    }

    fn started(rest: &[u8]) -> Result<StartupMessage, SqlError> {
        match Negotiation::default().advance(&packet(3 << 16, rest))? {
            Step::Start(message) => Ok(message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_encryption_is_asked_for_once() {
        let Ok(Step::RefuseGss(next)) = Negotiation::default().advance(&packet(GSS_REQUEST, b"")) else { panic!() };
        assert_eq!(next.advance(&packet(GSS_REQUEST, b"")).unwrap_err().state.code(), "0A000");
        let Ok(Step::StartTls(next)) = next.advance(&packet(SSL_REQUEST, b"")) else { panic!() };
        let error = next.advance(&packet(SSL_REQUEST, b"")).unwrap_err();
        assert_eq!(error.message, "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.2");
        assert!(error.is_fatal());
        assert!(next.advance(&packet(GSS_REQUEST, b"")).is_err());
        assert!(Negotiation::after_direct_tls().advance(&packet(SSL_REQUEST, b"")).is_err());
    }

    #[test]
    fn parameters_and_options() {
        let message =
            started(b"user\0alice\0database\0d\0options\0-c a=1 --b-c=x\\ y -cDateStyle=ISO\0_pq_.foo\0x\0TimeZone\0UTC\0\0").unwrap();
        assert_eq!((message.user.as_str(), message.database.as_str()), ("alice", "d"));
        let settings: Vec<(&str, &str)> = message.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(settings, [("TimeZone", "UTC"), ("a", "1"), ("b_c", "x y"), ("DateStyle", "ISO")]);
        assert_eq!(message.unknown_options, ["_pq_.foo"]);
        assert!(message.needs_negotiation());
    }

    #[test]
    fn what_is_refused() {
        for (rest, state) in [
            (&b"user\0admin\0"[..], "08P01"),
            (b"user\0admin", "08P01"),
            (b"user\0\0\0", "28000"),
            (b"\0", "28000"),
            (b"user\0a\0\0x", "08P01"),
            (b"user\0\xff\0\0", "22021"),
            (b"user\0a\0options\0-c\0\0", "42601"),
            (b"user\0a\0options\0-c =\0\0", "42601"),
            (b"user\0a\0options\0-c=\0\0", "42601"),
            (b"user\0a\0options\0-d 5\0\0", "42601"),
            (b"user\0a\0replication\0true\0\0", "0A000"),
        ] {
            let error = started(rest).unwrap_err();
            assert_eq!(error.state.code(), state, "{rest:?}");
            assert!(error.is_fatal());
        }
        assert_eq!(Negotiation::default().advance(&packet(4 << 16, b"")).unwrap_err().state.code(), "0A000");
        assert!(Negotiation::default().advance(b"\0\x03").is_err());
    }
}
