//! Where engines join: HTTP over mutual TLS. Whoever gets past the handshake has a certificate of the cluster that says it is an engine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use lakegate_catalog::{Catalog, CatalogError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::messages::{BEAT, Beat, BeatAnswer, CLUSTER, ClusterFacts, Farewell, LEAVE, REGISTER, Registration};

/// Handshakes at once.
const HANDSHAKES_MAX: usize = 64;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Of a message.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Of an engine's name and of what it is reached at.
const NAME_BYTES_MAX: usize = 255;

/// What the answers are made of.
struct Cluster {
    catalog: Catalog,
    facts: ClusterFacts,
}

/// Serves until the token fires. The address tells the port that was picked.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: &str,
    tls: &rustls::ServerConfig,
    catalog: Catalog,
    facts: ClusterFacts,
    stop: CancellationToken,
) -> io::Result<SocketAddr> {
    let tcp = TcpListener::bind(address).await?;
    let local = tcp.local_addr()?;
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (sender, incoming) = mpsc::channel(HANDSHAKES_MAX);
    crate::tasks::spawn("cluster handshakes", accept(tcp, TlsAcceptor::from(Arc::new(tls)), sender, stop.clone()));
    let routes = Router::new()
        .route(CLUSTER, get(cluster))
        .route(REGISTER, post(register))
        .route(BEAT, post(beat))
        .route(LEAVE, post(leave))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Cluster { catalog, facts }));
    crate::tasks::spawn("cluster listener", async move {
        let served = axum::serve(Incoming { incoming, local }, routes).with_graceful_shutdown(async move { stop.cancelled().await }).await;
        if let Err(error) = served {
            tracing::error!(%error, "the cluster listener ended");
        }
    });
    Ok(local)
}

async fn cluster(State(cluster): State<Arc<Cluster>>) -> Response {
    json(&cluster.facts)
}

async fn register(State(cluster): State<Arc<Cluster>>, body: Bytes) -> Response {
    let joining: Registration = match parsed(&body) {
        Ok(joining) => joining,
        Err(refusal) => return refusal,
    };
    if joining.name.is_empty() || joining.name.len() > NAME_BYTES_MAX || joining.name.contains(char::is_control) {
        return refused(StatusCode::BAD_REQUEST, "an engine's name has 1 to 255 bytes and no control characters");
    }
    if joining.address.len() > NAME_BYTES_MAX || !joining.address.contains(':') {
        return refused(StatusCode::BAD_REQUEST, "an engine's address is host:port");
    }
    let snapshot = match cluster.catalog.refresh().await {
        Ok(snapshot) => snapshot,
        Err(error) => return unavailable(&error),
    };
    let Some(warehouse) = snapshot.warehouse_by_name(&joining.warehouse) else {
        let text = format!("warehouse \"{}\" does not exist: CREATE WAREHOUSE first", joining.warehouse);
        return refused(StatusCode::NOT_FOUND, &text);
    };
    let registered =
        cluster.catalog.register_engine(&joining.name, joining.instance, &joining.address, warehouse.oid, &joining.facts).await;
    match registered {
        Ok(()) => {
            tracing::info!(engine = joining.name, instance = %joining.instance, address = joining.address, warehouse = joining.warehouse, "an engine has joined");
            json(&cluster.facts)
        }
        Err(error) => unavailable(&error),
    }
}

async fn beat(State(cluster): State<Arc<Cluster>>, body: Bytes) -> Response {
    let beat: Beat = match parsed(&body) {
        Ok(beat) => beat,
        Err(refusal) => return refusal,
    };
    match cluster.catalog.engine_beats(&beat.name, beat.instance, &beat.load).await {
        Ok(standing) => json(&BeatAnswer { standing }),
        Err(error) => unavailable(&error),
    }
}

async fn leave(State(cluster): State<Arc<Cluster>>, body: Bytes) -> Response {
    let farewell: Farewell = match parsed(&body) {
        Ok(farewell) => farewell,
        Err(refusal) => return refusal,
    };
    match cluster.catalog.engine_leaves(&farewell.name, farewell.instance).await {
        Ok(()) => {
            tracing::info!(engine = farewell.name, instance = %farewell.instance, "an engine has left");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => unavailable(&error),
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([("content-type", "application/json")], body).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[expect(clippy::result_large_err, reason = "once a message")]
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|error| refused(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn refused(status: StatusCode, text: &str) -> Response {
    (status, text.to_owned()).into_response()
}

/// The engine tries again, here or elsewhere.
fn unavailable(error: &CatalogError) -> Response {
    tracing::warn!(%error, "an engine could not be recorded");
    refused(StatusCode::SERVICE_UNAVAILABLE, "the catalog cannot be reached")
}

/// Connections whose handshake is over.
struct Incoming {
    incoming: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    local: SocketAddr,
}

impl axum::serve::Listener for Incoming {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.incoming.recv().await {
            Some(connection) => connection,
            // The server is being stopped.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

async fn accept(
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
    stop: CancellationToken,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = tcp.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, most likely: some come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        crate::tasks::spawn("cluster handshake", async move {
            let _permit = permit;
            match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                // Nobody receives once the server stops.
                Ok(Ok(stream)) => drop(sender.send((stream, peer)).await),
                Ok(Err(error)) => tracing::warn!(%peer, %error, "a connection to the cluster's listener was refused"),
                Err(_) => tracing::debug!(%peer, "a handshake took too long"),
            }
        });
    }
}
