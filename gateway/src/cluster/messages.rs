//! What engines and gateways say to each other beside the work: JSON over HTTP.

use lakegate_catalog::engines::{EngineFacts, EngineLoad, Standing};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// GET: what an engine must know before it joins.
pub const CLUSTER: &str = "/v1/cluster";
/// POST [`Registration`].
pub const REGISTER: &str = "/v1/engines/register";
/// POST [`Beat`].
pub const BEAT: &str = "/v1/engines/beat";
/// POST [`Farewell`].
pub const LEAVE: &str = "/v1/engines/leave";

/// Answers [`CLUSTER`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// Root URL of managed tables: engines must be able to read and write there.
    pub warehouse_root: String,
    pub version: String,
    pub protocol: u32,
}

/// An engine joins, or comes back to a catalog that does not know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    pub name: String,
    /// Of this process; tells it from an earlier one of the same name.
    pub instance: Uuid,
    /// `host:port` at which gateways reach it.
    pub address: String,
    pub warehouse: String,
    pub facts: EngineFacts,
}

/// An engine is alive.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Beat {
    pub name: String,
    pub instance: Uuid,
    pub load: EngineLoad,
}

/// Answers [`Beat`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeatAnswer {
    pub standing: Standing,
}

/// An engine goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Farewell {
    pub name: String,
    pub instance: Uuid,
}
