//! Why a piece of work ended early.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Gone};
use crate::server::live::LiveSession;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::outgoing;

/// How long the front end may take to wind down a statement whose session ends, so that the outcome of a commit is known.
const WIND_DOWN: Duration = Duration::from_secs(30);

/// How often it is looked whether there is something to tell of a statement that runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    SqlError::canceled().into()
}

#[must_use]
pub fn shut_down() -> Stop {
    SqlError::fatal(SqlState::AdminShutdown, "terminating connection due to administrator command").into()
}

/// Sends what there is to tell, then waits for the client to leave. Cancel safe.
async fn told_or_gone(connection: &mut Connection, told: bool) -> Gone {
    if told && connection.flush().await.is_err() {
        return Gone;
    }
    connection.gone().await
}

/// Awaits the front end; the client hears how far long work has come. When the client leaves or the session is ended, `cancel` fires and the front end gets time to wind down.
pub async fn watched<T>(
    connection: &mut Connection,
    live: &LiveSession,
    cancel: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, Stop> {
    tokio::pin!(work);
    let mut looks = tokio::time::interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = false;
    let stop = loop {
        tokio::select! {
            biased;
            result = &mut work => return Ok(result),
            () = live.terminated() => break shut_down(),
            Gone = told_or_gone(connection, told) => break Stop::Close,
            _ = looks.tick() => if let Some(notice) = live.progress_notice() {
                outgoing::notice_response(&mut connection.out, &notice);
                told = true;
            },
        }
    };
    cancel.cancel();
    let _ = tokio::time::timeout(WIND_DOWN, work).await;
    Err(stop)
}
