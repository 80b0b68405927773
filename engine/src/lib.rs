//! The data plane: DataFusion over Delta tables, behind the contract of `lakegate-engine-api`.

mod delta;
mod error;
mod exec;
mod local;
mod options;
mod plan;
mod runtime;
mod store;
mod write;

pub use local::LocalEngine;
pub use options::EngineOptions;
