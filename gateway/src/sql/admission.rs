//! A place for a statement in its warehouse, before it works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lakegate_catalog::authorize;
use lakegate_catalog::model::{DEFAULT_WAREHOUSE, ObjectRef, Privilege, Warehouse};

use super::execute::Deadline;
use super::journal::Journal;
use super::session::GatewaySession;
use crate::handlers::warehouse::named;
use crate::server::{Entered, Place};
use crate::sqlstate::{SqlError, SqlState};

/// How often the limits are asked for anew: another gateway may have changed them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl GatewaySession {
    /// The session's warehouse, which its role may use.
    ///
    /// # Errors
    /// 42704, 42501.
    pub(crate) fn warehouse(&self) -> Result<Arc<Warehouse>, SqlError> {
        self.usable_warehouse(self.warehouse_name())
    }

    pub(crate) fn warehouse_name(&self) -> &str {
        self.settings.current.get("lakegate.warehouse").filter(|name| !name.is_empty()).unwrap_or(DEFAULT_WAREHOUSE)
    }

    /// # Errors
    /// As [`GatewaySession::warehouse`].
    pub(crate) fn usable_warehouse(&self, name: &str) -> Result<Arc<Warehouse>, SqlError> {
        let snapshot = self.catalog().snapshot();
        let warehouse = named(&snapshot, name)?;
        authorize::check(&snapshot, &self.principal, ObjectRef::Warehouse(warehouse.oid), Privilege::Usage)?;
        Ok(Arc::clone(warehouse))
    }

    /// How long its statements may take there: the shorter of the session's and the warehouse's time.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        let own = self.settings.current.statement_timeout();
        let snapshot = self.catalog().snapshot();
        let warehouse = snapshot.warehouse_by_name(self.warehouse_name());
        let of_warehouse = warehouse.and_then(|warehouse| warehouse.limits.statement_timeout_ms).map(Duration::from_millis);
        match (own, of_warehouse) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        }
    }

    /// Waits for a place, which the journal holds as long as it is open; where there is none to have, the journal ends with that. A session
    /// has one at most: what it begins while it has one, e.g. beside an open portal, shares it.
    ///
    /// # Errors
    /// 42704, 42501, 53400; 57014 while it waits.
    pub(crate) async fn admitted(&mut self, mut journal: Journal, deadline: &Deadline) -> Result<Journal, SqlError> {
        if self.start.backend_pid == 0 {
            // The server's own work.
            return Ok(journal);
        }
        let began = Instant::now();
        match deadline.explain(self.place(deadline).await) {
            Ok(place) => {
                journal.hold(place, began.elapsed());
                Ok(journal)
            }
            Err(error) => {
                journal.failed(&error).await;
                Err(error)
            }
        }
    }

    async fn place(&mut self, deadline: &Deadline) -> Result<Arc<Place>, SqlError> {
        let warehouse = self.warehouse()?;
        if let Some(place) = self.place.upgrade() {
            return Ok(place);
        }
        let queues = self.shared.system.live().queues().clone();
        let place = match queues.enter(&warehouse, self.principal.session_role, self.start.backend_pid)? {
            Entered::At(place) => place,
            Entered::Waits(mut waiting) => loop {
                tokio::select! {
                    biased;
                    place = waiting.place() => break place.ok_or_else(|| SqlError::new(SqlState::InternalError, "a queue has gone"))?,
                    () = deadline.token().cancelled() => {
                        return Err(SqlError::canceled());
                    }
                    () = tokio::time::sleep(LOOK_EVERY) => {
                        let now = self.shared.catalog.refresh().await?;
                        if let Some(now) = now.warehouse(warehouse.oid) {
                            queues.limit(now);
                        }
                    }
                }
            },
        };
        let place = Arc::new(place);
        self.place = Arc::downgrade(&place);
        Ok(place)
    }
}
