//! The contract of `lakegate-engine-api` between processes: Arrow Flight's `DoExchange` over mutual TLS.
//!
//! Between a gateway and an engine there is one connection. On it one exchange is the *session*: it lasts as long as both have to do with each
//! other, and what the gateway has the engine keep (plans, transactions) goes with it. Each piece of work is an exchange of its own: a request,
//! rows there or back, one answer. HTTP/2's flow control is the only queue: a stream that nobody reads stops the work behind it. What an engine
//! wants to know of the control plane (names behind OIDs, values of sequences, the decision on a commit) it asks the gateway on the session's
//! exchange; it has no other way to it.

pub mod identity;

mod client;
mod outbox;
mod server;
mod tasks;
mod wire;

pub use self::client::{RemoteEngine, RemoteTransaction};
pub use self::server::serve;

use std::time::Duration;

/// The number of the messages' form; see [`wire`]. Both sides say the oldest and the newest that they speak.
pub const PROTOCOL: u16 = 2;
/// The oldest number whose messages are the same as those of [`PROTOCOL`].
pub const PROTOCOL_OLDEST: u16 = 2;

/// A connection on which nothing is heard for so long is asked whether it is still there, and has as long to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// To make a connection, TLS and session included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes under way in one exchange and one direction, beyond which who sends waits.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// The same for a connection: never the narrower one, so that no exchange waits for another's reader.
const CONNECTION_WINDOW_BYTES: u32 = i32::MAX as u32;
/// Bytes of an HTTP/2 frame.
const HTTP_FRAME_BYTES: u32 = 256 << 10;
