//! The engine's side.

mod accept;
mod bind;
mod calls;
mod decision;
mod drain;
mod lookup;
mod operation;
mod send;
mod session;
mod transactions;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo,
    PutResult, SchemaResult, Ticket,
};
use futures::Stream;
use lakegate_engine_api::{Engine, EngineError, Unavailability};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use self::send::Sender;
use self::session::Session;
use super::wire::{MESSAGE_BYTES_MAX, Opening, read_control};
use super::{CONNECTION_WINDOW_BYTES, HTTP_FRAME_BYTES, KEEP_ALIVE, STREAM_WINDOW_BYTES, tasks};
use crate::error;

/// Messages that wait for the connection in one exchange.
const MESSAGES_WAITING: usize = 2;
/// For connections to be closed once nothing is left to do on them.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Exchanges that gateways may give up at once.
const RESETS_WAITING: usize = 10_000;

/// Serves an engine to the gateways of its cluster until `shutdown`, then drains: work that runs, transactions and plans that are about to run
/// come to their end, and everything else is refused with [`Unavailability::Draining`]. `instance`: work that is meant for another is refused.
///
/// # Errors
/// `Internal` where the listener fails.
pub async fn serve(
    engine: Arc<dyn Engine>,
    instance: Uuid,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    shutdown: CancellationToken,
) -> Result<(), EngineError> {
    let host = Arc::new(Host { engine, instance, draining: CancellationToken::new(), sessions: Mutex::default() });
    // Whichever way it ends, given up included: nobody may wait for what nobody will bring.
    let _ended = Ended(Arc::clone(&host));
    let service = FlightServiceServer::new(Service(Arc::clone(&host)))
        .max_decoding_message_size(MESSAGE_BYTES_MAX + (1 << 20))
        .max_encoding_message_size(MESSAGE_BYTES_MAX + (1 << 20));
    let drained = CancellationToken::new();
    let drain = {
        let (host, drained) = (Arc::clone(&host), drained.clone());
        async move {
            shutdown.cancelled().await;
            host.drain().await;
            drained.cancel();
        }
    };
    let serving = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(HTTP_FRAME_BYTES)
        .max_concurrent_streams(u32::MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_WAITING))
        .http2_max_local_error_reset_streams(None)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(service)
        .serve_with_incoming_shutdown(accept::connections(listener, tls), drain);
    let closed = async {
        drained.cancelled().await;
        tokio::time::sleep(CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        served = serving => served.map_err(|error| error::internal(format!("the engine's listener failed: {error}"))),
        () = closed => Ok(()),
    }
}

struct Ended(Arc<Host>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end_sessions();
    }
}

/// What is served, and to whom.
pub struct Host {
    engine: Arc<dyn Engine>,
    instance: Uuid,
    draining: CancellationToken,
    sessions: Mutex<HashMap<Uuid, Arc<Session>>>,
}

impl Host {
    fn sessions(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self, id: Uuid) -> Option<Arc<Session>> {
        self.sessions().get(&id).cloned()
    }
}

/// Reads the opening, and goes on with what it opens.
async fn exchange(host: Arc<Host>, mut incoming: Streaming<FlightData>, sender: Sender) {
    let message = tokio::select! {
        () = sender.closed() => return,
        message = incoming.message() => message,
    };
    let opening = match message {
        Ok(Some(message)) => read_control::<Opening<'static>>(&message.app_metadata),
        Ok(None) | Err(_) => return,
    };
    match opening {
        Ok(Opening::Session(hello)) => session::run(&host, &hello, incoming, sender).await,
        Ok(Opening::Work(task)) => match host.session(task.session) {
            Some(session) => operation::run(&host, &session, *task, incoming, sender).await,
            None => sender.failed(EngineError::Unavailable { reason: Unavailability::Replaced }).await,
        },
        Err(error) => sender.failed(error).await,
    }
}

struct Service(Arc<Host>);

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn unimplemented<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("engines of Lakegate take DoExchange alone"))
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoActionStream = Messages<arrow_flight::Result>;
    type ListActionsStream = Messages<ActionType>;
    type DoExchangeStream = Messages<FlightData>;

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        let (sender, receiver) = mpsc::channel(MESSAGES_WAITING);
        let host = Arc::clone(&self.0);
        tasks::spawn("an exchange", exchange(host, request.into_inner(), Sender::new(sender)));
        let messages = futures::stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|message| (message, receiver)) });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Result<Response<Self::HandshakeStream>, Status> {
        unimplemented()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        unimplemented()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        unimplemented()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        unimplemented()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        unimplemented()
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        unimplemented()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        unimplemented()
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        unimplemented()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        unimplemented()
    }
}
