//! A connection from accept to its session: negotiation, TLS, start-up, authentication, all within the login deadline.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use lakegate_catalog::Catalog;
use lakegate_catalog::auth::Authenticated;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Place};
use super::live::{LiveSessions, Newcomer};
use super::socket::{Rewound, set_options};
use super::{LoginAttempt, LoginObserver, ServerOptions};
use crate::auth::{Approach, AuthMethod, Refusal, authenticate, certificate};
use crate::frontend::{SessionStart, SqlSessions};
use crate::session::Session;
use crate::session::connection::Connection;
use crate::session::startup::{Negotiation, PROTOCOL_NEWEST, StartupMessage, Step, fatal, is_version_two};
use crate::sqlstate::{SqlError, SqlState};
use crate::tls::{ALPN, Encryption, Identity};
use crate::wire::outgoing;

/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What every connection is let in by.
pub struct Door {
    pub options: ServerOptions,
    pub sessions: Arc<dyn SqlSessions>,
    pub catalog: Catalog,
    pub live: LiveSessions,
    pub admission: Admission,
    pub observer: Arc<dyn LoginObserver>,
    pub draining: CancellationToken,
}

/// A connection whose start-up packet is read.
struct Arrival {
    connection: Connection,
    startup: StartupMessage,
    /// Inside TLS.
    identity: Option<Arc<Identity>>,
    encryption: Option<Encryption>,
    /// Names in the client's certificate.
    certificate: Vec<String>,
}

impl Door {
    /// One connection, from its first byte to its end.
    pub async fn admit(self: Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let local = stream.local_addr().ok();
        if set_options(&stream).is_err() {
            return;
        }
        let Some(waiting) = self.admission.arrive() else { return };
        let connection = Connection::new(Box::new(stream), BytesMut::new());
        match self.admission.enter_within(address.ip(), self.options.login_deadline / 2).await {
            Some(place) => {
                drop(waiting);
                self.serve(connection, place, address, local).await;
            }
            None => refuse(connection, too_many()).await,
        }
    }

    async fn serve(&self, connection: Connection, place: Place, address: SocketAddr, local: Option<SocketAddr>) {
        let deadline = tokio::time::Instant::now() + self.options.login_deadline;
        let login = async {
            let arrival = self.arrive(connection, address).await?;
            Some(self.log_in(arrival, address, local).await)
        };
        let session = tokio::select! {
            biased;
            login = tokio::time::timeout_at(deadline, login) => match login {
                Ok(Some(session)) => session,
                Ok(None) => return,
                Err(_) => {
                    tracing::info!("the login deadline passed");
                    return;
                }
            },
            () = self.draining.cancelled() => return,
        };
        drop(place);
        if let Some((session, attempt, role)) = session {
            session.run().await;
            tracing::info!(session_id = attempt.pid, "session ended");
            self.observer.left(&attempt, &role).await;
        }
    }

    /// Up to a start-up packet. `None`: the connection was for something else, or has been refused.
    async fn arrive(&self, mut connection: Connection, address: SocketAddr) -> Option<Arrival> {
        let mut identity = None;
        let mut encryption = None;
        let mut certificate = Vec::new();
        let mut negotiation = Negotiation::default();
        if connection.first_byte().await? == TLS_HANDSHAKE {
            let current = self.options.tls.as_ref()?.identity();
            let (stream, negotiated, suite, shown) = start_tls(connection, &current).await?;
            encryption = suite;
            certificate = shown;
            // Who does not name the protocol may be talking to another server that shares the certificate.
            if negotiated.as_deref() != Some(ALPN) {
                tracing::info!("direct TLS without the protocol's name");
                return None;
            }
            connection = stream;
            identity = Some(current);
            negotiation = Negotiation::after_direct_tls();
        }
        loop {
            let packet = match connection.startup_packet().await {
                Ok(packet) => packet?,
                Err(_) => {
                    let error = SqlError::fatal(SqlState::ProtocolViolation, "invalid length of startup packet");
                    refuse(connection, error).await;
                    return None;
                }
            };
            let step = match negotiation.advance(&packet) {
                Ok(step) => step,
                Err(error) if is_version_two(&packet) => {
                    outgoing::error_response_v2(&mut connection.out, &error);
                    connection.shutdown().await;
                    return None;
                }
                Err(error) => {
                    refuse(connection, error).await;
                    return None;
                }
            };
            match step {
                Step::RefuseGss(next) => {
                    negotiation = next;
                    if connection.has_unread() {
                        refuse(connection, stuffed("GSSAPI encryption")).await;
                        return None;
                    }
                    connection.out.push(b'N');
                    connection.flush().await.ok()?;
                }
                Step::StartTls(next) => {
                    negotiation = next;
                    // Bytes behind the request would count as said inside TLS: CVE-2021-23214.
                    if connection.has_unread() {
                        refuse(connection, stuffed("SSL")).await;
                        return None;
                    }
                    let Some(tls) = &self.options.tls else {
                        connection.out.push(b'N');
                        connection.flush().await.ok()?;
                        continue;
                    };
                    connection.out.push(b'S');
                    connection.flush().await.ok()?;
                    let current = tls.identity();
                    (connection, _, encryption, certificate) = start_tls(connection, &current).await?;
                    identity = Some(current);
                }
                Step::Cancel { pid, key } => {
                    if self.admission.may_cancel(address.ip()) {
                        let found = self.live.cancel_with_key(pid, &key);
                        tracing::info!(session_id = pid, found, "cancel request");
                        if found {
                            let canceled = crate::system::audit::cancel_request(address.ip(), pid);
                            crate::system::audit::record(&self.catalog, canceled).await;
                        }
                    }
                    return None;
                }
                Step::Start(startup) => return Some(Arrival { connection, startup, identity, encryption, certificate }),
            }
        }
    }

    /// Proof of identity, and the session. `None`: refused.
    async fn log_in(
        &self,
        arrival: Arrival,
        address: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Option<(Session, LoginAttempt, Authenticated)> {
        let Arrival { mut connection, startup, identity, encryption, certificate } = arrival;
        let setting =
            |name: &str| startup.settings.iter().rev().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let mut attempt = LoginAttempt {
            user: startup.user.clone(),
            database: startup.database.clone(),
            application_name: setting("application_name").cloned(),
            client_address: Some(address),
            tls: identity.is_some(),
            tls_version: encryption.map(|encryption| encryption.version),
            auth_method: None,
            pid: 0,
        };
        let secured = identity.as_deref().map(|identity| (identity, encryption));
        let result = self.open(&mut connection, &startup, secured, &certificate, &mut attempt, local).await;
        let error = match result {
            Ok((sql, live, role)) => {
                metrics::counter!("lakegate_logins_total", "outcome" => "admitted").increment(1);
                tracing::info!(session_id = attempt.pid, role = role.name(), database = attempt.database, "session begins");
                let session = Session::new(connection, sql, live, self.draining.clone(), self.options.limits);
                return Some((session, attempt, role));
            }
            Err(Some(error)) => error,
            Err(None) => return None,
        };
        metrics::counter!("lakegate_logins_total", "outcome" => "refused").increment(1);
        tracing::info!(sqlstate = error.state.code(), "login refused");
        // Where the log cannot be written either, the client has its answer before the deadline.
        tokio::join!(self.observer.refused(&attempt, &error), refuse(connection, (*error).clone()));
        None
    }

    async fn open(
        &self,
        connection: &mut Connection,
        startup: &StartupMessage,
        secured: Option<(&Identity, Option<Encryption>)>,
        certificate: &[String],
        attempt: &mut LoginAttempt,
        local: Option<SocketAddr>,
    ) -> Result<(Box<dyn crate::frontend::SqlSession>, super::live::LiveSession, Authenticated), Refusal> {
        if startup.needs_negotiation() {
            outgoing::negotiate_protocol_version(&mut connection.out, PROTOCOL_NEWEST, &startup.unknown_options);
        }
        if self.live.count() >= self.options.max_connections {
            return Err(Some(Box::new(too_many())));
        }
        let (identity, encryption) = secured.unzip();
        // Who has a token asks for the one way that takes it.
        let asks_for_token = startup.settings.iter().any(|(name, value)| name.eq_ignore_ascii_case("lakegate.auth") && value == "token");
        let method = if asks_for_token { AuthMethod::Password } else { self.options.auth_method };
        let approach = Approach {
            user: &startup.user,
            address: attempt.client_address.map(|address| address.ip()),
            tls: identity.is_some(),
            end_point: identity.and_then(|identity| identity.end_point.as_deref()),
            method,
            certificate,
            rules: self.options.rules.as_deref(),
            jwt: self.options.jwt.as_ref(),
            database: if startup.database.is_empty() { "main" } else { &startup.database },
            allow_plain_remote: self.options.allow_plain_remote,
        };
        let (role, method) = authenticate(connection, &self.catalog, &approach).await?;
        attempt.auth_method = Some(method);
        outgoing::authentication_ok(&mut connection.out);
        let refusal = |error: SqlError| Some(Box::new(fatal(error)));
        let database = if startup.database.is_empty() { "main".to_owned() } else { startup.database.clone() };
        let newcomer = Newcomer {
            role_oid: role.role(),
            role: role.name().to_owned(),
            database: database.clone(),
            application_name: attempt.application_name.clone().unwrap_or_default(),
            client_address: attempt.client_address,
            tls: encryption.flatten(),
            cancel_key_bytes: startup.cancel_key_bytes(),
        };
        let live = self.live.enter(newcomer).map_err(refusal)?;
        attempt.pid = live.pid();
        attempt.database.clone_from(&database);
        let start = SessionStart {
            authenticated: role.clone(),
            database,
            settings: startup.settings.clone(),
            backend_pid: live.pid(),
            client_address: attempt.client_address,
            server_address: local,
            tls: attempt.tls,
            tls_version: attempt.tls_version,
            auth_method: method,
            driver: startup.driver,
        };
        let sql = self.sessions.open(start).await.map_err(refusal)?;
        self.observer.admitted(attempt, &role).await.map_err(refusal)?;
        Ok((sql, live, role))
    }
}

/// TLS over a connection, the protocol name that the client agreed to, and the names in its certificate. `None`: the handshake failed.
async fn start_tls(connection: Connection, identity: &Identity) -> Option<(Connection, Option<Vec<u8>>, Option<Encryption>, Vec<String>)> {
    let (stream, first) = connection.into_parts();
    let acceptor = TlsAcceptor::from(Arc::clone(&identity.config));
    match acceptor.accept(Rewound::new(stream, first)).await {
        Ok(stream) => {
            let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            let encryption = Encryption::of(stream.get_ref().1);
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let names = shown.map(|certificate| certificate::names(certificate)).unwrap_or_default();
            Some((Connection::new(Box::new(stream), BytesMut::new()), protocol, encryption, names))
        }
        Err(error) => {
            tracing::info!(%error, "the TLS handshake failed");
            None
        }
    }
}

async fn refuse(mut connection: Connection, error: SqlError) {
    outgoing::error_response(&mut connection.out, &error);
    connection.shutdown().await;
}

fn too_many() -> SqlError {
    SqlError::fatal(SqlState::TooManyConnections, "sorry, too many clients already")
}

fn stuffed(what: &str) -> SqlError {
    SqlError::fatal(SqlState::ProtocolViolation, format!("received unencrypted data after {what} request"))
        .detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.")
}
