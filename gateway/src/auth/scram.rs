//! SCRAM-SHA-256 and -PLUS on the server's side, as text and by value: no I/O and no secret. Source: RFC 5802, RFC 5929;
//! `auth-scram.c` of PostgreSQL 15.

use aws_lc_rs::{constant_time, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::sqlstate::{SqlError, SqlState};

pub const PLAIN: &str = "SCRAM-SHA-256";
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// As `SCRAM_RAW_NONCE_LEN`.
const NONCE_BYTES: usize = 18;

/// What the server can bind to: the hash of its certificate, inside TLS.
#[derive(Debug, Clone)]
pub struct ChannelBinding<'a> {
    pub end_point: Option<&'a [u8]>,
}

impl ChannelBinding<'_> {
    /// What AuthenticationSASL offers, best first.
    #[must_use]
    pub fn mechanisms(&self) -> &'static [&'static str] {
        if self.end_point.is_some() { &[PLUS, PLAIN] } else { &[PLAIN] }
    }
}

/// The client's first message was right; expects the salt.
#[derive(Debug)]
pub struct ClientFirst {
    /// `client-first-message-bare`.
    bare: String,
    nonce: String,
    /// Base64 of what the final message must carry in `c=`.
    binding: String,
    plus: bool,
}

/// The server's first message is made; expects the client's final one.
#[derive(Debug)]
pub struct ServerFirst {
    client: ClientFirst,
    /// To be sent.
    pub message: String,
    nonce: String,
}

/// For the catalog to check.
#[derive(Debug)]
pub struct ClientFinal {
    /// RFC 5802 section 3: `AuthMessage`.
    pub auth_message: String,
    pub proof: Vec<u8>,
}

impl ClientFirst {
    /// # Errors
    /// 08P01 when it is malformed; 28000 when the client was made to believe that the server cannot bind.
    pub fn parse(mechanism: &str, message: &[u8], channel: &ChannelBinding<'_>) -> Result<ClientFirst, SqlError> {
        let plus = match mechanism {
            PLUS if channel.end_point.is_some() => true,
            PLAIN => false,
            _ => return Err(violation("client selected an invalid SASL authentication mechanism")),
        };
        let text = std::str::from_utf8(message).map_err(|_| malformed("The message is not UTF-8."))?;
        let (flag, rest) = text.split_once(',').ok_or_else(|| malformed("Comma expected."))?;
        let mut bound: &[u8] = &[];
        match (flag, plus) {
            ("n", false) => {}
            ("y", false) if channel.end_point.is_some() => {
                let message = "SCRAM channel binding negotiation error";
                return Err(SqlError::fatal(SqlState::InvalidAuthorizationSpecification, message).detail(
                    "The client supports SCRAM channel binding but thinks the server does not.  \
                     However, this server does support channel binding.",
                ));
            }
            ("y", false) => {}
            ("n" | "y", true) => {
                return Err(malformed(
                    "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.",
                ));
            }
            ("p=tls-server-end-point", true) => bound = channel.end_point.unwrap_or_default(),
            (other, true) if other.starts_with("p=") => {
                return Err(violation("unsupported SCRAM channel-binding type"));
            }
            (other, false) if other.starts_with("p=") => {
                return Err(malformed(
                    "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.",
                ));
            }
            _ => return Err(malformed("Unexpected channel-binding flag.")),
        }
        let (authorization, bare) = rest.split_once(',').ok_or_else(|| malformed("Comma expected."))?;
        if !authorization.is_empty() {
            let message = "client uses authorization identity, but it is not supported";
            return Err(SqlError::fatal(SqlState::FeatureNotSupported, message));
        }
        let mut attributes = bare.split(',');
        // The name in here is not used: the start-up packet's is what was asked for.
        let name = attributes.next().unwrap_or_default();
        if name.starts_with("m=") {
            return Err(SqlError::fatal(SqlState::FeatureNotSupported, "client requires an unsupported SCRAM extension"));
        }
        if !name.starts_with("n=") {
            return Err(malformed("Attribute expected: n."));
        }
        let nonce = attributes.next().and_then(|attribute| attribute.strip_prefix("r=")).unwrap_or_default();
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(violation("non-printable characters in SCRAM nonce"));
        }
        let mut binding = format!("{flag},,").into_bytes();
        binding.extend_from_slice(bound);
        Ok(ClientFirst { bare: bare.to_owned(), nonce: nonce.to_owned(), binding: STANDARD.encode(binding), plus })
    }

    #[must_use]
    pub fn is_plus(&self) -> bool {
        self.plus
    }

    /// # Errors
    /// XX000 without random bytes.
    pub fn answer(self, salt: &[u8], iterations: u32) -> Result<ServerFirst, SqlError> {
        let mut random = [0; NONCE_BYTES];
        rand::fill(&mut random).map_err(|_| SqlError::fatal(SqlState::InternalError, "could not generate random nonce"))?;
        let nonce = format!("{}{}", self.nonce, STANDARD.encode(random));
        let message = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        Ok(ServerFirst { client: self, message, nonce })
    }
}

impl ServerFirst {
    /// # Errors
    /// 08P01 when it is malformed, 28000 when the channel is another than the client's.
    pub fn parse_final(self, message: &[u8]) -> Result<ClientFinal, SqlError> {
        let text = std::str::from_utf8(message).map_err(|_| malformed("The message is not UTF-8."))?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or_else(|| malformed("Attribute expected: p."))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|attribute| attribute.strip_prefix("c="));
        let binding = binding.ok_or_else(|| malformed("Attribute expected: c."))?;
        if constant_time::verify_slices_are_equal(binding.as_bytes(), self.client.binding.as_bytes()).is_err() {
            return Err(if self.client.plus {
                SqlError::fatal(SqlState::InvalidAuthorizationSpecification, "SCRAM channel binding check failed")
            } else {
                violation("unexpected SCRAM channel-binding attribute in client-final-message")
            });
        }
        if attributes.next().and_then(|attribute| attribute.strip_prefix("r=")) != Some(&self.nonce) {
            return Err(violation("invalid SCRAM response").detail("Nonce does not match."));
        }
        let proof = STANDARD.decode(proof).map_err(|_| malformed("Malformed proof in client-final-message."))?;
        Ok(ClientFinal { auth_message: format!("{},{},{without_proof}", self.client.bare, self.message), proof })
    }
}

/// `server-final-message` of a right proof.
#[must_use]
pub fn server_final(signature: &[u8]) -> String {
    format!("v={}", STANDARD.encode(signature))
}

fn violation(message: &str) -> SqlError {
    SqlError::fatal(SqlState::ProtocolViolation, message)
}

fn malformed(detail: &str) -> SqlError {
    violation("malformed SCRAM message").detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: ChannelBinding<'static> = ChannelBinding { end_point: Some(b"hash") };
    const NO_TLS: ChannelBinding<'static> = ChannelBinding { end_point: None };

    fn state(mechanism: &str, message: &str, channel: &ChannelBinding<'_>) -> &'static str {
        ClientFirst::parse(mechanism, message.as_bytes(), channel).unwrap_err().state.code()
    }

    #[test]
    fn a_downgrade_is_seen() {
        assert_eq!(state(PLAIN, "y,,n=,r=abc", &TLS), "28000");
        assert!(ClientFirst::parse(PLAIN, b"y,,n=,r=abc", &NO_TLS).is_ok());
        assert!(ClientFirst::parse(PLAIN, b"n,,n=,r=abc", &TLS).is_ok());
    }

    #[test]
    fn mechanism_and_flag_must_agree() {
        assert_eq!(state(PLUS, "n,,n=,r=abc", &TLS), "08P01");
        assert_eq!(state(PLAIN, "p=tls-server-end-point,,n=,r=abc", &TLS), "08P01");
        assert_eq!(state(PLUS, "p=tls-unique,,n=,r=abc", &TLS), "08P01");
        assert_eq!(state(PLUS, "p=tls-server-end-point,,n=,r=abc", &NO_TLS), "08P01");
        assert_eq!(state("OAUTHBEARER", "n,,n=,r=abc", &TLS), "08P01");
        for wrong in ["", "n", "n,", "n,,", "n,,n=", "n,,n=x,r=", "n,,r=abc,n=x", "x,,n=,r=abc", "n,,n=,r=a\u{7f}"] {
            assert_eq!(state(PLAIN, wrong, &TLS), "08P01", "{wrong:?}");
        }
        assert_eq!(state(PLAIN, "n,a=other,n=,r=abc", &TLS), "0A000");
        assert_eq!(state(PLAIN, "n,,m=ext,n=,r=abc", &TLS), "0A000");
    }

    #[test]
    fn the_final_message_is_bound_to_channel_and_nonce() {
        let begin = || ClientFirst::parse(PLUS, b"p=tls-server-end-point,,n=,r=abc", &TLS).unwrap().answer(b"salt", 4096).unwrap();
        let bound = STANDARD.encode(b"p=tls-server-end-point,,hash");
        let server = begin();
        let nonce = server.nonce.clone();
        assert!(nonce.starts_with("abc") && nonce.len() == 3 + 24);
        let good = server.parse_final(format!("c={bound},r={nonce},p=AAAA").as_bytes()).unwrap();
        assert_eq!(good.proof, [0, 0, 0]);
        assert_eq!(good.auth_message, format!("n=,r=abc,r={nonce},s=c2FsdA==,i=4096,c={bound},r={nonce}"));
        let other = STANDARD.encode(b"p=tls-server-end-point,,evil");
        let server = begin();
        let message = format!("c={other},r={},p=AAAA", server.nonce);
        assert_eq!(server.parse_final(message.as_bytes()).unwrap_err().state.code(), "28000");
        let server = begin();
        assert_eq!(server.parse_final(format!("c={bound},r={nonce},p=AAAA").as_bytes()).unwrap_err().state.code(), "08P01");
    }
}
