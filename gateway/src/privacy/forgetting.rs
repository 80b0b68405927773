//! What another process has erased is dropped from memory here, too: columns and rows that engines keep, plans and the texts of statements.

use std::sync::Arc;

use crate::sql::session::Shared;
use crate::sqlstate::SqlError;

/// # Errors
/// The catalog's, and those of engines that cannot be told: to be tried again.
pub async fn forget_what_others_erased(shared: &Arc<Shared>) -> Result<(), SqlError> {
    for asked in shared.catalog.to_forget().await? {
        shared.engine.forget(&asked.location).await?;
        shared.kept_plans.forget_all();
        shared.catalog.has_forgotten(&asked).await?;
    }
    Ok(())
}
