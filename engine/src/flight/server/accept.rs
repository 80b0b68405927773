//! Connections of gateways: TCP, then TLS beside each other, so that one that never speaks holds up nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::flight::CONNECT_TIMEOUT;

/// Handshakes at a time; more wait in the listener's queue.
const HANDSHAKES_MAX: usize = 64;
/// After the system refused a connection: it has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);
/// For a peer that is refused to read why.
const FAREWELL: Duration = Duration::from_secs(1);

type Connection = TlsStream<TcpStream>;

struct Accepting {
    listener: TcpListener,
    tls: TlsAcceptor,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<Connection>>>,
}

/// Never ends.
pub fn connections(listener: TcpListener, tls: Arc<ServerConfig>) -> impl Stream<Item = io::Result<Connection>> + Send {
    let accepting = Accepting { listener, tls: TlsAcceptor::from(tls), handshakes: FuturesUnordered::new() };
    futures::stream::unfold(accepting, |mut accepting| async move {
        let connection = accepting.next().await;
        Some((Ok(connection), accepting))
    })
}

impl Accepting {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.next(), if !self.handshakes.is_empty() => {
                    if let Some(connection) = done {
                        return connection;
                    }
                }
                accepted = self.listener.accept(), if self.handshakes.len() < HANDSHAKES_MAX => match accepted {
                    Ok((stream, _)) => self.handshakes.push(handshake(self.tls.clone(), stream).boxed()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }
}

async fn handshake(tls: TlsAcceptor, stream: TcpStream) -> Option<Connection> {
    let peer = stream.peer_addr().ok();
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    match tokio::time::timeout(CONNECT_TIMEOUT, tls.accept(stream).into_fallible()).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err((error, stream))) => {
            tracing::warn!(?peer, %error, "a connection was refused: its peer is no gateway of this cluster");
            let _ = tokio::time::timeout(FAREWELL, part(stream)).await;
            None
        }
        Err(_) => {
            tracing::warn!(?peer, "a connection was refused: its peer did not finish the TLS handshake in time");
            None
        }
    }
}

/// A socket that is closed while there is something to read in it resets the connection, and the alert, which says why, is lost.
async fn part(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
}
