//! How the tests reach the engine: in this process.

use std::sync::Arc;

use lakegate_engine::LocalEngine;
use lakegate_engine_api::Engine;

pub async fn reached(engine: LocalEngine) -> Arc<dyn Engine> {
    Arc::new(engine)
}
