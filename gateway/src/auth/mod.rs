//! Proving who a client is. The secrets and the comparing are the catalog's; here are the messages and the choice of method.

pub mod certificate;
pub mod jwt;
pub mod observer;
pub mod rules;
pub mod scram;

use std::net::IpAddr;

use lakegate_catalog::Catalog;
use lakegate_catalog::auth::{AuthError, Authenticated};
use zeroize::Zeroizing;

use self::jwt::JwtVerifier;
use self::rules::{Asking, Method, Rules};
use self::scram::{ChannelBinding, ClientFirst};
use crate::session::connection::{Connection, Received};
use crate::session::startup::fatal;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::frame::{Frame, FrameError, Phase};
use crate::wire::{incoming, outgoing};

/// What is asked of a client inside TLS. Without TLS it is SCRAM in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMethod {
    /// SCRAM-SHA-256-PLUS and SCRAM-SHA-256.
    #[default]
    Scram,
    /// The password in clear text inside TLS, checked by argon2id; personal tokens fit here too.
    Password,
}

/// How a client comes in.
#[derive(Debug, Clone)]
pub struct Approach<'a> {
    pub user: &'a str,
    pub address: Option<IpAddr>,
    pub tls: bool,
    /// Hash of the server's certificate, inside TLS.
    pub end_point: Option<&'a [u8]>,
    pub method: AuthMethod,
    /// The names in the client's certificate, which the handshake has checked.
    pub certificate: &'a [String],
    pub rules: Option<&'a Rules>,
    pub jwt: Option<&'a JwtVerifier>,
    pub database: &'a str,
    /// Without TLS, from elsewhere than loopback.
    pub allow_plain_remote: bool,
}

/// An error before login; `None` where the client has left.
pub type Refusal = Option<Box<SqlError>>;

/// Asks for proof, checks it, and says the method: `scram-sha-256`, `scram-sha-256-plus` or `password`.
///
/// # Errors
/// FATAL 28P01 with one wording for every reason that has to do with role or password; 28000, 08P01, 53300, 57P03.
pub async fn authenticate(
    connection: &mut Connection,
    catalog: &Catalog,
    approach: &Approach<'_>,
) -> Result<(Authenticated, &'static str), Refusal> {
    let is_local = approach.address.is_none_or(|address| address.to_canonical().is_loopback());
    if !approach.tls && !is_local && !approach.allow_plain_remote {
        let message = format!("no encryption: role \"{}\" must connect with TLS", approach.user);
        let error = SqlError::fatal(SqlState::InvalidAuthorizationSpecification, message);
        return Err(Some(Box::new(error.hint("Connect with sslmode=require or stronger."))));
    }
    let method = match approach.rules {
        Some(rules) => by_rules(rules, catalog, approach)?,
        None if approach.method == AuthMethod::Password => Method::Password,
        None => Method::Scram,
    };
    match method {
        Method::Password if approach.tls => password(connection, catalog, approach, true).await,
        Method::Token if approach.tls => password(connection, catalog, approach, false).await,
        Method::Scram | Method::Password => scram(connection, catalog, approach).await,
        Method::Cert if approach.rules.is_some_and(|rules| rules.may_be(approach.certificate, approach.user)) => {
            let proven = catalog.vouched_identity(approach.user, "cert", approach.address).await.map_err(denied)?;
            Ok((proven, "cert"))
        }
        Method::Cert => {
            catalog.login_failed(approach.user, approach.address);
            let message = format!("certificate authentication failed for user \"{}\"", approach.user);
            Err(refusal(SqlError::fatal(SqlState::InvalidAuthorizationSpecification, message)))
        }
        Method::Token => {
            let message = format!("role \"{}\" must connect with TLS: tokens are not sent without", approach.user);
            Err(refusal(SqlError::fatal(SqlState::InvalidAuthorizationSpecification, message)))
        }
        Method::Reject => Err(no_way("access rules reject connection", approach)),
    }
}

/// What the first rule that fits asks for. An option of start-up asks for a token where a password would do.
fn by_rules(rules: &Rules, catalog: &Catalog, approach: &Approach<'_>) -> Result<Method, Refusal> {
    let asking = Asking { database: approach.database, role: approach.user, address: approach.address, tls: approach.tls };
    match rules.method(&asking, &catalog.snapshot()) {
        Some(Method::Scram) if approach.method == AuthMethod::Password => Ok(Method::Token),
        Some(method) => Ok(method),
        None => Err(no_way("no access rule", approach)),
    }
}

/// 28000, in PostgreSQL's words.
fn no_way(what: &str, approach: &Approach<'_>) -> Refusal {
    let host = approach.address.map_or_else(|| "[local]".to_owned(), |address| address.to_canonical().to_string());
    let encryption = if approach.tls { "SSL encryption" } else { "no encryption" };
    let message = format!("{what} for host \"{host}\", user \"{}\", database \"{}\", {encryption}", approach.user, approach.database);
    refusal(SqlError::fatal(SqlState::InvalidAuthorizationSpecification, message))
}

/// `passwords`: not tokens alone.
async fn password(
    connection: &mut Connection,
    catalog: &Catalog,
    approach: &Approach<'_>,
    passwords: bool,
) -> Result<(Authenticated, &'static str), Refusal> {
    outgoing::authentication_cleartext_password(&mut connection.out);
    let frame = response(connection, "password").await?;
    let password = Zeroizing::new(incoming::password(&frame.body).map_err(refusal)?.to_owned());
    // The copy in the buffer goes too, as far as nobody else holds it.
    if let Ok(mut body) = frame.body.try_into_mut() {
        body.fill(0);
    }
    if let Some(verifier) = approach.jwt
        && jwt::looks_like_jwt(&password)
    {
        return match verifier.verify(&password, approach.user).await {
            Ok(()) => Ok((catalog.vouched_identity(approach.user, "jwt", approach.address).await.map_err(denied)?, "jwt")),
            Err(error) => {
                tracing::info!(%error, "a token of the identity provider was refused");
                Err(denied(catalog.login_failed(approach.user, approach.address)))
            }
        };
    }
    let authenticated = match passwords {
        true => catalog.verify_password(approach.user, &password, approach.address).await.map_err(denied)?,
        false => catalog.verify_token_alone(approach.user, &password, approach.address).await.map_err(denied)?,
    };
    let method = authenticated.method().unwrap_or("password");
    Ok((authenticated, method))
}

async fn scram(connection: &mut Connection, catalog: &Catalog, approach: &Approach<'_>) -> Result<(Authenticated, &'static str), Refusal> {
    let channel = ChannelBinding { end_point: approach.end_point };
    outgoing::authentication_sasl(&mut connection.out, channel.mechanisms());
    let frame = response(connection, "SASL").await?;
    let (mechanism, first) = incoming::sasl_initial(&frame.body).map_err(refusal)?;
    let first = match first {
        Some(first) => first.to_vec(),
        // The client waits for an empty challenge before it speaks.
        None => {
            outgoing::authentication_sasl_continue(&mut connection.out, b"");
            response(connection, "SASL").await?.body.to_vec()
        }
    };
    let client = ClientFirst::parse(mechanism, &first, &channel).map_err(refusal)?;
    let method = if client.is_plus() { "scram-sha-256-plus" } else { "scram-sha-256" };
    let exchange = catalog.scram_begin(approach.user, approach.address).await.map_err(denied)?;
    let server = client.answer(exchange.salt(), exchange.iterations()).map_err(refusal)?;
    outgoing::authentication_sasl_continue(&mut connection.out, server.message.as_bytes());
    let frame = response(connection, "SASL").await?;
    let last = server.parse_final(&frame.body).map_err(refusal)?;
    let proven = catalog.scram_finish(exchange, last.auth_message.as_bytes(), &last.proof).await.map_err(denied)?;
    outgoing::authentication_sasl_final(&mut connection.out, scram::server_final(&proven.server_signature).as_bytes());
    Ok((proven.authenticated, method))
}

/// Sends the request and takes the `p` message that answers it.
async fn response(connection: &mut Connection, what: &str) -> Result<Frame, Refusal> {
    connection.flush().await.map_err(|_| None)?;
    let message = match connection.message(Phase::Login).await {
        Received::Message(frame) => return Ok(frame),
        Received::Closed => return Err(None),
        Received::Malformed(FrameError::UnexpectedType(tag) | FrameError::UnknownType(tag)) => {
            format!("expected {what} response, got message type {tag}")
        }
        Received::Malformed(FrameError::Length) | Received::TooLong { .. } => "invalid message length".to_owned(),
    };
    Err(Some(Box::new(SqlError::fatal(SqlState::ProtocolViolation, message))))
}

fn refusal(error: SqlError) -> Refusal {
    Some(Box::new(fatal(error)))
}

fn denied(error: AuthError) -> Refusal {
    let state = match &error {
        AuthError::Failed { .. } => SqlState::InvalidPassword,
        AuthError::Busy => SqlState::TooManyConnections,
        AuthError::Unavailable(source) => {
            tracing::error!(error = %source, "the catalog could not be asked about a login");
            SqlState::CannotConnectNow
        }
    };
    Some(Box::new(SqlError::fatal(state, error.to_string())))
}
