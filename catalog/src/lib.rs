//! The control plane: who may do what, and what was run, sealed.
//!
//! Holds roles, grants, the table registry, the sealed statement log and the audit log, in SQLite or PostgreSQL.
//! It never holds a row of table data or of a result. No Arrow, no sockets.
//!
//! [`Catalog`] is the way in: readers take its [`Snapshot`] and ask [`authorize`]; changes are its methods ([`ddl`] has their
//! types); [`auth`] proves identities; [`statement_log`] and [`audit`] keep what happened.

pub mod acl;
pub mod audit;
pub mod auth;
pub mod authorize;
pub mod backup;
pub mod blind_index;
mod bootstrap;
mod catalog;
pub mod data_dir;
pub mod ddl;
pub mod detections;
pub mod engines;
pub mod error;
pub mod flushed;
pub mod governance;
pub mod intents;
pub mod kek;
pub mod kek_file;
mod keyring;
pub mod leases;
mod log_parts;
pub mod log_proof;
pub mod model;
pub mod needles;
pub mod privacy;
pub mod readers;
pub mod relay;
pub mod saved_queries;
mod seal;
mod shared_map;
pub mod snapshot;
mod staging;
pub mod statement_log;
mod store;
#[cfg(test)]
mod tests;

pub use bootstrap::{Bootstrap, BootstrapOutcome};
pub use catalog::{Catalog, CatalogOptions, KeysOf};
pub use data_dir::DataDirLock;
pub use error::{CatalogError, ObjectKind};
pub use kek::Kek;
pub use kek_file::{KekFile, KeyWrapping};
pub use log_parts::{Kind as LogKind, LogMoment, Parts as LogParts};
pub use snapshot::Snapshot;
