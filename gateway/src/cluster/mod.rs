//! Many processes as one data plane: engines that join, and the routing of work to them.
//!
//! An engine joins at a gateway's [`listener`]; the gateway records it in the catalog, and the [`directory`] of each gateway reads it there.
//! [`fleet`] is the [`lakegate_engine_api::Engine`] that sessions see: it chooses an engine for each piece of work ([`route`]), holds what
//! belongs together on one ([`transaction`]) and does elsewhere what may be done again when an engine is lost. The other side, the engine's
//! process, is [`process`] and [`join`].

pub mod directory;
pub mod fleet;
pub mod join;
pub mod listener;
pub mod member;
pub mod messages;
mod placements;
mod prepared;
pub mod process;
mod repeatable;
mod route;
mod routed;
mod streams;
mod suspects;
mod transaction;

use std::sync::Arc;

use futures::future::BoxFuture;
use lakegate_engine_api::{Engine, EngineError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use fleet::Fleet;
pub use placements::Placements;

/// How gateways and engines reach each other; the program's `main` makes it of the engine crate's Arrow Flight. Who has no certificate of the
/// cluster gets through none of it.
pub trait Transport: Send + Sync + 'static {
    /// Of what is spoken.
    fn protocol(&self) -> u32;

    /// A gateway's way to an engine; connects when it is used.
    fn connect(&self, address: &str, instance: Uuid) -> Arc<dyn Engine>;

    /// An engine's service, until the token fires and what runs has ended.
    fn serve(
        &self,
        engine: Arc<dyn Engine>,
        instance: Uuid,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), EngineError>>;

    /// For the listener that engines join at.
    fn server_config(&self) -> Arc<rustls::ServerConfig>;

    /// For an engine that joins.
    fn client_config(&self) -> Arc<rustls::ClientConfig>;
}
