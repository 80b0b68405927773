//! Why a piece of work ended early.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Gone};
use crate::server::live::LiveSession;
use crate::sqlstate::{SqlError, SqlState};

/// How long the front end may take to wind down a statement whose session ends, so that the outcome of a commit is known.
const WIND_DOWN: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub enum Stop {
    /// To be told to the client; a fatal one ends the session.
    Error(Box<SqlError>),
    /// Nobody is there to be told.
    Close,
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Stop::Error(Box::new(error))
    }
}

#[must_use]
pub fn canceled() -> Stop {
    SqlError::new(SqlState::QueryCanceled, "canceling statement due to user request").into()
}

#[must_use]
pub fn shut_down() -> Stop {
    SqlError::fatal(SqlState::AdminShutdown, "terminating connection due to administrator command").into()
}

/// Awaits the front end. When the client leaves or the session is ended, `cancel` fires and the front end gets time to wind down.
pub async fn watched<T>(
    connection: &mut Connection,
    live: &LiveSession,
    cancel: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, Stop> {
    tokio::pin!(work);
    let stop = tokio::select! {
        biased;
        result = &mut work => return Ok(result),
        () = live.terminated() => shut_down(),
        Gone = connection.gone() => Stop::Close,
    };
    cancel.cancel();
    let _ = tokio::time::timeout(WIND_DOWN, work).await;
    Err(stop)
}
