//! Who is told about logins.

use std::net::SocketAddr;

use async_trait::async_trait;
use chrono::Utc;
use lakegate_catalog::Catalog;
use lakegate_catalog::audit::{AuditEvent, AuditStatus};
use lakegate_catalog::auth::Authenticated;

use crate::sqlstate::SqlError;

/// A login as it came in.
#[derive(Debug, Clone)]
pub struct LoginAttempt {
    pub user: String,
    pub database: String,
    pub application_name: Option<String>,
    pub client_address: Option<SocketAddr>,
    pub tls: bool,
    /// `TLSv1.3`.
    pub tls_version: Option<&'static str>,
    /// `scram-sha-256` and so on; `None` where it did not come so far.
    pub auth_method: Option<&'static str>,
    /// 0 before there is a session.
    pub pid: i32,
}

/// Told before the client is; a login that cannot be recorded does not happen.
#[async_trait]
pub trait LoginObserver: Send + Sync + 'static {
    async fn admitted(&self, attempt: &LoginAttempt, role: &Authenticated) -> Result<(), SqlError>;
    async fn refused(&self, attempt: &LoginAttempt, error: &SqlError);
    async fn left(&self, attempt: &LoginAttempt, role: &Authenticated);
}

/// `system.access.audit`.
#[derive(Debug, Clone)]
pub struct AuditLogins {
    catalog: Catalog,
}

impl AuditLogins {
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        AuditLogins { catalog }
    }
}

#[async_trait]
impl LoginObserver for AuditLogins {
    async fn admitted(&self, attempt: &LoginAttempt, role: &Authenticated) -> Result<(), SqlError> {
        let event = event(attempt, "login", Some(role), None);
        self.catalog.audit(event, true).await.map_err(|error| crate::session::startup::fatal(error.into()))
    }

    async fn refused(&self, attempt: &LoginAttempt, error: &SqlError) {
        self.record(event(attempt, "login", None, Some(error))).await;
    }

    async fn left(&self, attempt: &LoginAttempt, role: &Authenticated) {
        self.record(event(attempt, "logout", Some(role), None)).await;
    }
}

impl AuditLogins {
    /// Nobody waits for these: what cannot be recorded is at least logged.
    async fn record(&self, event: AuditEvent) {
        if let Err(error) = self.catalog.audit(event, false).await {
            tracing::error!(%error, "a login could not be recorded in the audit log");
        }
    }
}

fn event(attempt: &LoginAttempt, action: &str, role: Option<&Authenticated>, error: Option<&SqlError>) -> AuditEvent {
    let actor = role.map_or(attempt.user.as_str(), Authenticated::name);
    AuditEvent {
        event_time: Utc::now(),
        actor_oid: role.map_or(0, Authenticated::role),
        actor: actor.to_owned(),
        run_as: actor.to_owned(),
        source_ip_address: attempt.client_address.map(|address| address.ip().to_canonical().to_string()),
        session_id: (attempt.pid != 0).then(|| attempt.pid.to_string()),
        client_application: attempt.application_name.clone(),
        auth_method: attempt.auth_method.map(str::to_owned),
        service_name: "accounts".to_owned(),
        action_name: action.to_owned(),
        object_type: Some("database".to_owned()),
        object_name: Some(attempt.database.clone()),
        request_params: serde_json::json!({
            "tls": attempt.tls,
            "tls_version": attempt.tls_version,
            "channel_binding": attempt.auth_method == Some("scram-sha-256-plus"),
        }),
        status: if error.is_some() { AuditStatus::Denied } else { AuditStatus::Success },
        sqlstate: error.map(|error| error.state.code().to_owned()),
        error_message: error.map(|error| error.message.clone()),
        rows_affected: None,
        statement_id: None,
    }
}
