//! The control plane: who may do what, and what was run, sealed.
//!
//! Holds roles, grants, the table registry, the sealed statement log and the audit log, in SQLite or PostgreSQL.
//! It never holds a row of table data or of a result. No Arrow, no sockets.

pub mod auth;
pub mod authorize;
pub mod model;
