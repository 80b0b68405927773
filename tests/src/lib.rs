//! What the end-to-end tests stand on: real processes (the server, PostgreSQL, an S3 server), clients, and a raw
//! protocol connection that scripts drive against Lakegate and PostgreSQL alike.
//!
//! Nothing here knows the server's code: only its command line, its ready line and the PostgreSQL protocol.

pub mod client;
pub mod fault_proxy;
pub mod postgres;
pub mod process;
pub mod s3;
pub mod server;
pub mod tls;
pub mod tools;
pub mod wire;
pub mod wire_script;

/// Whatever went wrong, as text for the test's output.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T, E = Error> = std::result::Result<T, E>;
