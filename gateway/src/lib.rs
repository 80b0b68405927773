//! The gateway: protocol, sessions, SQL front end, routing.

pub mod auth;
pub mod config;
pub mod frontend;
pub mod pg_catalog;
pub mod server;
pub mod session;
pub mod sql;
pub mod sqlstate;
pub mod tls;
pub mod wire;
