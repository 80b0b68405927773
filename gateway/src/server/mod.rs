//! Accepting clients, bounding them, and ending them.
//!
//! [`serve`] accepts, [`handshake`] takes a connection up to its session, [`live`] knows the sessions, [`admission`] counts those
//! that have not logged in.

mod admission;
mod handshake;
pub mod live;
mod queues;
mod socket;
mod work;

use std::sync::Arc;
use std::time::Duration;

use lakegate_catalog::Catalog;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use self::live::{ActivityState, LiveSessions, SessionInfo};
pub use self::queues::{Entered, Place, Queues};
pub use self::work::{Copy, CopyEntry, RunningWork, WorkEntry, Worker, Working};
pub use crate::auth::AuthMethod;
use crate::auth::jwt::JwtVerifier;
pub use crate::auth::observer::{LoginAttempt, LoginObserver};
use crate::auth::rules::Rules;
pub use crate::session::SessionLimits;

use self::admission::Admission;
use self::handshake::Door;
use crate::auth::observer::AuditLogins;
use crate::frontend::SqlSessions;
use crate::tls::Tls;

/// Pause after the process ran out of file descriptors or memory for sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After the deadline of a drain, for the last words.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// How clients are served.
#[derive(Clone)]
pub struct ServerOptions {
    /// `None`: SSLRequest is answered `N`.
    pub tls: Option<Tls>,
    pub auth_method: AuthMethod,
    /// Who may come in how; `None`: everybody, by `auth_method`.
    pub rules: Option<Arc<Rules>>,
    /// Tokens of an identity provider.
    pub jwt: Option<JwtVerifier>,
    /// Clients from elsewhere than loopback may come without TLS.
    pub allow_plain_remote: bool,
    pub max_connections: usize,
    /// Connections that have not logged in, all together.
    pub max_unauthenticated: usize,
    /// The same for one address, loopback excepted.
    pub max_unauthenticated_per_address: usize,
    /// From accept to AuthenticationOk.
    pub login_deadline: Duration,
    /// What running statements get when the server ends.
    pub drain: Duration,
    pub limits: SessionLimits,
    /// `None`: the catalog's audit log.
    pub observer: Option<Arc<dyn LoginObserver>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            tls: None,
            auth_method: AuthMethod::default(),
            rules: None,
            jwt: None,
            allow_plain_remote: false,
            max_connections: 200,
            max_unauthenticated: 64,
            max_unauthenticated_per_address: 16,
            login_deadline: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            limits: SessionLimits::default(),
            observer: None,
        }
    }
}

/// Serves until `shutdown` fires, then drains: no new connections, idle sessions end at once, running statements at the deadline.
/// Returns when the last session has ended.
pub async fn serve(
    listener: TcpListener,
    options: ServerOptions,
    sessions: Arc<dyn SqlSessions>,
    catalog: Catalog,
    live: LiveSessions,
    shutdown: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    let stop_watching = CancellationToken::new();
    if let Some(tls) = options.tls.clone() {
        tasks.spawn(tls.watch(stop_watching.clone()));
    }
    let drain = options.drain;
    let door = Arc::new(Door {
        admission: Admission::new(options.max_unauthenticated, options.max_unauthenticated_per_address),
        observer: options.observer.clone().unwrap_or_else(|| Arc::new(AuditLogins::new(catalog.clone()))),
        options,
        sessions,
        catalog,
        live: live.clone(),
        draining: shutdown.clone(),
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                report_panic(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let door = Arc::clone(&door);
                tasks.spawn(door.admit(stream, address).instrument(tracing::info_span!("session", client = %address)));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                if is_exhaustion(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    stop_watching.cancel();
    tracing::info!(sessions = live.count(), "draining");
    if tokio::time::timeout(drain, join_all(&mut tasks)).await.is_err() {
        live.terminate_all();
        if tokio::time::timeout(LAST_WORDS, join_all(&mut tasks)).await.is_err() {
            tasks.shutdown().await;
        }
    }
}

async fn join_all(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        report_panic(ended);
    }
}

/// A session that panics takes nobody with it.
fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a session ended by a panic");
        metrics::counter!("lakegate_session_panics_total").increment(1);
    }
}

/// EMFILE, ENFILE, ENOBUFS, ENOMEM: the next accept would fail at once, too.
fn is_exhaustion(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

#[cfg(test)]
mod tests;
