//! The data plane: DataFusion over Delta tables, behind the contract of `lakegate-engine-api`.

mod cache;
mod delta;
mod erase;
mod error;
mod exec;
mod files;
pub mod flight;
mod functions;
mod local;
mod maintain;
mod options;
mod plan;
mod planner_pg;
mod policy;
mod runtime;
mod store;
mod write;

pub use local::LocalEngine;
pub use options::EngineOptions;
