//! Erasures that were cut off, gone on with unasked: the server was killed, a store was away, readers stayed open too long. One that a user
//! has cancelled waits for a CALL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::privacy::PrivacyRequest;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::frontend::{ParsedStatement, Response, SessionStart, SqlSession};
use crate::sql::bind::SYSTEM_DATABASE;
use crate::sql::grammar::{Command, PrivacyCall};
use crate::sql::session::{GatewaySession, Shared};
use crate::sqlstate::{SqlError, SqlState};

/// How often requests that nobody works on are looked for; the first time at once.
const EVERY: Duration = Duration::from_secs(30);
/// One that stopped is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(300);
/// A request that is younger, and was made while this process ran, is just being begun by its CALL.
const BEGUN_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// For readers from before.
const WAIT_SECONDS: u64 = 300;
/// How its session is called in the history.
const APPLICATION: &str = "lakegate erasure";

/// Works until `stop` fires.
pub fn keep_resuming(shared: Arc<Shared>, stop: CancellationToken) {
    crate::tasks::spawn("erasures", async move {
        let mut resumption = Resumption { shared, started: Utc::now(), tried: HashMap::new() };
        loop {
            if let Err(error) = resumption.pass(&stop).await {
                tracing::warn!(error = %error.message, "requests of data subjects could not be looked at");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}

struct Resumption {
    shared: Arc<Shared>,
    started: DateTime<Utc>,
    tried: HashMap<Uuid, Instant>,
}

impl Resumption {
    async fn pass(&mut self, stop: &CancellationToken) -> Result<(), SqlError> {
        let requests = self.shared.catalog.privacy_requests().await?;
        self.tried.retain(|id, _| requests.iter().any(|request| request.id == *id && request.finished_time.is_none()));
        for request in requests.iter().filter(|request| request.action == "erase" && request.finished_time.is_none()) {
            if stop.is_cancelled() || !self.is_due(request) {
                continue;
            }
            self.tried.insert(request.id, Instant::now());
            match self.resume(request, stop).await {
                Ok(()) => tracing::info!(request = %request.id, "an erasure that was cut off is done"),
                // Another gateway, or a CALL, is at it.
                Err(error) if error.state == SqlState::ObjectInUse => {
                    tracing::debug!(request = %request.id, "an erasure is being worked on");
                }
                Err(error) => tracing::warn!(request = %request.id, state = error.state.code(), "an erasure could not be gone on with"),
            }
        }
        Ok(())
    }

    fn is_due(&self, request: &PrivacyRequest) -> bool {
        let was_cancelled = request.progress.get("sqlstate").and_then(serde_json::Value::as_str) == Some(SqlState::QueryCanceled.code());
        let is_old = request.requested_time < self.started || Utc::now() - request.requested_time > BEGUN_WITHIN;
        is_old && !was_cancelled && self.tried.get(&request.id).is_none_or(|tried| tried.elapsed() >= AGAIN_AFTER)
    }

    /// With the rights that the requester has now.
    async fn resume(&self, request: &PrivacyRequest, stop: &CancellationToken) -> Result<(), SqlError> {
        let start = SessionStart::internal(self.shared.catalog.bootstrap_identity()?, SYSTEM_DATABASE, APPLICATION);
        let mut session = GatewaySession::open(Arc::clone(&self.shared), start).await?;
        session.catalog().snapshot().require_role(&request.requested_by_name)?;
        session.principal = Principal::new(request.requested_by);
        let done = call(&mut session, request.id, stop).await;
        session.close().await;
        done
    }
}

async fn call(session: &mut GatewaySession, request: Uuid, stop: &CancellationToken) -> Result<(), SqlError> {
    let text = format!("CALL lakegate.resume_erasure('{request}')").into();
    let call = PrivacyCall::Resume { request: request.to_string(), wait_seconds: WAIT_SECONDS };
    let command = Some(Arc::new(Command::Privacy(Box::new(call))));
    let prepared = session.prepare(ParsedStatement { command, text, parameter: None, characters_before: 0 }, &[]).await?;
    match session.execute(&prepared, Vec::new(), stop.child_token()).await? {
        Response::Rows { mut rows, .. } => while rows.next().await.transpose()?.is_some() {},
        _ => return Err(SqlError::new(SqlState::InternalError, "an erasure answered without rows")),
    }
    session.end_of_message(false).await
}
