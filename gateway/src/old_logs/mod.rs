//! Old records of the logs, in the data plane: Delta tables of their facets, partitioned by day. What is sealed of them stays in the catalog.

mod flush;
mod rows;
mod tables;
mod view;

pub use flush::{Flushing, flush_now, keep_flushing};
pub use rows::Stored;
pub use tables::{table, values_query};
pub use view::{OldRecords, older, view};

use std::sync::Arc;

use lakegate_catalog::Catalog;
use lakegate_engine_api::{Engine, SessionFacts};

use crate::server::LiveSessions;
use crate::sql::session::Shared;
use crate::sqlstate::SqlError;
use crate::system::SystemRelations;

/// What queries of our own need to know where no server runs.
///
/// # Errors
/// 57P03.
pub async fn facts_without_server(catalog: &Catalog, engine: &Arc<dyn Engine>, root: &str) -> Result<Arc<SessionFacts>, SqlError> {
    let shared = Arc::new(Shared {
        catalog: catalog.clone(),
        engine: Arc::clone(engine),
        fleet: None,
        warehouse_root: root.to_owned(),
        system: SystemRelations::new(catalog.clone(), LiveSessions::default()),
        notifications: Arc::default(),
        advisory: Default::default(),
        kept_plans: Default::default(),
        together: Arc::default(),
        snapshots: Default::default(),
        guards: Default::default(),
        server_start: chrono::Utc::now(),
    });
    flush::facts(&shared).await
}
