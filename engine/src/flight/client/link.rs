//! A connection to an engine with its session.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::{Stream, StreamExt};
use hyper_util::rt::TokioIo;
use lakegate_engine_api::{CacheFigures, EngineError, Progress, Unavailability};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use super::answers::answer;
use super::body::Body;
use super::holds::Holds;
use super::scope::Object;
use super::watched::Watched;
use crate::error;
use crate::flight::outbox::Outbox;
use crate::flight::wire::{Hello, MESSAGE_BYTES_MAX, Opening, ToEngine, ToGateway, control, read_control};
use crate::flight::{CONNECT_TIMEOUT, CONNECTION_WINDOW_BYTES, KEEP_ALIVE, PROTOCOL, PROTOCOL_OLDEST, STREAM_WINDOW_BYTES, tasks};

/// Between two looks for plans that nobody came back for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// Ends, and with it everything that the engine keeps for it, when it is dropped.
pub struct Link {
    pub session: Uuid,
    pub flight: FlightServiceClient<Channel>,
    pub shared: Arc<Shared>,
    numbers: AtomicU64,
}

/// What the connection's own task shares with those who use it.
#[derive(Default)]
pub struct Shared {
    pub outbox: Outbox<ToEngine>,
    /// Fires when the engine or the connection has gone.
    pub lost: CancellationToken,
    draining: AtomicBool,
    caches: Mutex<Vec<CacheFigures>>,
    progress: Mutex<HashMap<Uuid, Progress>>,
    /// What the engine may ask of, by number.
    objects: Mutex<HashMap<u64, Object>>,
    /// Questions that wait for somebody else, by call.
    pub waiting: Mutex<HashMap<u64, CancellationToken>>,
    /// Plans that were let go of, for a while.
    unheld: Mutex<Vec<Weak<Holds>>>,
}

impl Link {
    /// # Errors
    /// `Unavailable`.
    pub async fn connect(address: &str, instance: Uuid, tls: &Arc<ClientConfig>) -> Result<Arc<Link>, EngineError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, open(address, instance, tls)).await {
            Ok(opened) => opened.map_err(|reason| EngineError::Unavailable { reason }),
            Err(_) => Err(EngineError::Unavailable { reason: Unavailability::Unreachable }),
        }
    }

    /// A number of this session that nothing else has.
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub fn is_lost(&self) -> bool {
        self.shared.lost.is_cancelled()
    }

    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.outbox.close();
    }
}

async fn open(address: &str, instance: Uuid, tls: &Arc<ClientConfig>) -> Result<Arc<Link>, Unavailability> {
    let unreachable = |_| Unavailability::Unreachable;
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    // The peer is checked by what its certificate says it is.
    let name = ServerName::try_from("lakegate.internal").map_err(|_| Unavailability::Untrusted)?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(|error| reason(&error))?;
    let (stream, refused) = Watched::new(stream);
    // In TLS 1.3 the server looks at our certificate after the handshake has ended for us.
    let failed = || if refused.load(Ordering::Acquire) { Unavailability::Untrusted } else { Unavailability::Unreachable };
    let channel = endpoint().connect_with_connector(Once(Some(TokioIo::new(stream)))).await.map_err(|_| failed())?;
    let flight = FlightServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX + (1 << 20))
        .max_encoding_message_size(MESSAGE_BYTES_MAX + (1 << 20));
    let shared = Arc::new(Shared::default());
    let hello = Opening::Session(Hello { newest: PROTOCOL, oldest: PROTOCOL_OLDEST, instance });
    let hello = control(&hello).map_err(|_| Unavailability::Protocol)?;
    let messages = Body(futures::stream::once(futures::future::ready(hello)).chain(outgoing(Arc::clone(&shared))).boxed());
    let mut incoming = flight.clone().do_exchange(messages).await.map_err(|_| failed())?.into_inner();
    let first = incoming.message().await.map_err(|_| failed())?.ok_or(Unavailability::Unreachable)?;
    match read_control(&first.app_metadata) {
        Ok(ToGateway::Welcome { session }) => {
            tasks::spawn("an engine's session", keep(Arc::clone(&shared), incoming));
            Ok(Arc::new(Link { session, flight, shared, numbers: AtomicU64::new(1) }))
        }
        Ok(ToGateway::Refused(reason)) => Err(reason),
        _ => Err(Unavailability::Protocol),
    }
}

fn reason(error: &io::Error) -> Unavailability {
    match error.get_ref() {
        Some(inner) if inner.is::<rustls::Error>() => Unavailability::Untrusted,
        _ => Unavailability::Unreachable,
    }
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://engine.lakegate.internal")
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
}

/// Gives the one connection that there is: another one would be of another session.
struct Once<T>(Option<T>);

impl<T: Send + 'static> Service<Uri> for Once<T> {
    type Response = T;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<T>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

fn outgoing(shared: Arc<Shared>) -> impl Stream<Item = FlightData> + Send {
    futures::stream::unfold(shared, |shared| async {
        let message = shared.outbox.next().await?;
        match control(&message) {
            Ok(message) => Some((message, shared)),
            Err(error) => {
                tracing::error!(%error, "a message for an engine");
                None
            }
        }
    })
}

/// Reads what the engine says on the session, until it ends.
async fn keep(shared: Arc<Shared>, mut incoming: Streaming<FlightData>) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = incoming.message() => match message {
                Ok(Some(message)) => match read_control(&message.app_metadata) {
                    Ok(message) => heard(&shared, message),
                    Err(error) => {
                        tracing::error!(%error, "an engine's message");
                        break;
                    }
                },
                Ok(None) | Err(_) => break,
            },
            _ = ticks.tick() => shared.sweep(),
        }
    }
    shared.die();
}

fn heard(shared: &Arc<Shared>, message: ToGateway) {
    match message {
        ToGateway::Call { call, object, question } => answer(shared, call, object, question),
        ToGateway::Forget { call } => {
            if let Some(waiting) = shared.waiting().remove(&call) {
                waiting.cancel();
            }
        }
        ToGateway::Draining => {
            shared.draining.store(true, Ordering::Release);
            shared.sweep();
        }
        ToGateway::Caches(figures) => *shared.caches() = figures,
        ToGateway::Welcome { .. } | ToGateway::Refused(_) => {}
    }
}

impl Shared {
    fn die(&self) {
        self.lost.cancel();
        self.outbox.close();
        self.caches().clear();
        self.waiting().drain().for_each(|(_, waiting)| waiting.cancel());
    }

    fn caches(&self) -> MutexGuard<'_, Vec<CacheFigures>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cache_figures(&self) -> Vec<CacheFigures> {
        self.caches().clone()
    }

    pub fn progress(&self, statement: Uuid) -> Option<Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).get(&statement).copied()
    }

    pub fn note_progress(&self, statement: Uuid, now: Option<Progress>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match now {
            Some(now) => progress.insert(statement, now),
            None => progress.remove(&statement),
        };
    }

    pub fn objects(&self) -> MutexGuard<'_, HashMap<u64, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn waiting(&self) -> MutexGuard<'_, HashMap<u64, CancellationToken>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine's holds of a plan that nobody here has are given up in a while, unless somebody comes back for it.
    pub fn let_go_soon(&self, holds: &Arc<Holds>) {
        if self.draining.load(Ordering::Acquire) {
            holds.let_go(self, None);
            return;
        }
        let mut unheld = self.unheld.lock().unwrap_or_else(PoisonError::into_inner);
        if !unheld.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(holds))) {
            unheld.push(Arc::downgrade(holds));
        }
    }

    fn sweep(&self) {
        let now = (!self.draining.load(Ordering::Acquire)).then(Instant::now);
        let mut unheld = std::mem::take(&mut *self.unheld.lock().unwrap_or_else(PoisonError::into_inner));
        unheld.retain(|holds| holds.upgrade().is_some_and(|holds| holds.let_go(self, now)));
        self.unheld.lock().unwrap_or_else(PoisonError::into_inner).append(&mut unheld);
    }
}

/// What the engine answers that cannot be an answer.
pub fn unexpected(what: &impl std::fmt::Debug) -> EngineError {
    let mut text = format!("{what:?}");
    text.truncate(text.char_indices().nth(60).map_or(text.len(), |(at, _)| at));
    error::internal(format!("an engine's answer is none: {text}"))
}
