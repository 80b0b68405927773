//! The gateway: protocol, sessions, SQL front end, routing.

pub mod config;
pub mod frontend;
pub mod sql;
pub mod sqlstate;
pub mod wire;
pub mod tls;
