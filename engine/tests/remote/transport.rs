//! How the tests reach the engine: through two TLS sockets, as a gateway does.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use lakegate_engine::LocalEngine;
use lakegate_engine::flight::identity::{Identity, Role};
use lakegate_engine::flight::{RemoteEngine, serve};
use lakegate_engine_api::{Engine, EngineError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const SECRET: &[u8] = b"a join secret of at least 32 bytes";

/// A task that goes on by itself, and where its end is told.
pub fn begun<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> (AbortHandle, oneshot::Receiver<T>) {
    let (done, ended) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let handle = tasks.spawn(async move {
        let _ = done.send(task.await);
    });
    tasks.detach_all();
    (handle, ended)
}

/// An engine that is served.
pub struct Served {
    pub address: SocketAddr,
    pub instance: Uuid,
    pub shutdown: CancellationToken,
    pub task: AbortHandle,
    pub serving: oneshot::Receiver<Result<(), EngineError>>,
}

impl Served {
    pub async fn new(engine: Arc<dyn Engine>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, instance, shutdown) = (listener.local_addr().unwrap(), Uuid::new_v4(), CancellationToken::new());
        let tls = Identity::derive(SECRET, Role::Engine).unwrap().server_config(Role::Gateway).unwrap();
        let (task, serving) = begun(serve(engine, instance, listener, tls, shutdown.clone()));
        Self { address, instance, shutdown, task, serving }
    }

    pub fn remote(&self) -> RemoteEngine {
        self.remote_by(self.address, self.instance, SECRET, Role::Gateway)
    }

    pub fn remote_by(&self, address: SocketAddr, instance: Uuid, secret: &[u8], role: Role) -> RemoteEngine {
        let tls = Identity::derive(secret, role).unwrap().client_config(Role::Engine).unwrap();
        RemoteEngine::new(address.to_string(), instance, tls)
    }
}

pub async fn reached(engine: LocalEngine) -> Arc<dyn Engine> {
    Arc::new(Served::new(Arc::new(engine)).await.remote())
}
