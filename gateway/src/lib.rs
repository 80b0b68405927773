//! The gateway: protocol, sessions, SQL front end, routing.

pub mod admin;
pub mod admin_log;
pub mod auth;
pub mod background;
pub mod config;
pub mod demo;
pub mod detect;
pub mod frontend;
pub mod handlers;
pub mod http;
pub mod old_logs;
pub mod own_tables;
pub mod pg_catalog;
pub mod privacy;
pub mod saved_queries;
pub mod serve;
pub mod server;
pub mod session;
pub mod sql;
pub mod sqlstate;
pub mod system;
pub mod tasks;
pub mod telemetry;
pub mod tls;
pub mod vault;
pub mod wire;
