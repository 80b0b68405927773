//! What functions of a session tell the audit log, and the sealed texts that they open.

use std::sync::mpsc;

use chrono::Utc;
use lakegate_catalog::audit::{AuditEvent, AuditStatus};
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::{Catalog, CatalogError};
use tokio::runtime::Handle;
use uuid::Uuid;

/// The way to the logs for functions, which run on threads of the engine.
#[derive(Debug)]
pub struct SessionLog {
    catalog: Catalog,
    /// Of the gateway: the engine's threads wait for it, never it for them.
    runtime: Handle,
    /// Who, from where.
    event: AuditEvent,
}

impl SessionLog {
    /// Within the gateway's runtime.
    #[must_use]
    pub fn new(catalog: Catalog, event: AuditEvent) -> Self {
        SessionLog { catalog, runtime: Handle::current(), event }
    }

    fn event(&self, principal: &Principal, action: &str, object_type: &str, object_name: String) -> AuditEvent {
        AuditEvent {
            event_time: Utc::now(),
            run_as: self.catalog.snapshot().role_name(principal.current_role),
            service_name: "log".to_owned(),
            action_name: action.to_owned(),
            object_type: Some(object_type.to_owned()),
            object_name: Some(object_name),
            ..self.event.clone()
        }
    }

    /// Tells of something that was done, or denied; does not wait.
    pub fn tell(&self, principal: &Principal, action: &str, object_type: &str, object_name: String, status: AuditStatus) {
        let event = AuditEvent { status, service_name: "warehouse".to_owned(), ..self.event(principal, action, object_type, object_name) };
        let catalog = self.catalog.clone();
        let _entered = self.runtime.enter();
        crate::tasks::spawn("audit", async move { crate::system::audit::record(&catalog, event).await });
    }

    /// The text of a statement; that it was opened is on disk before it is given. `None`: there is no such statement, or its key was
    /// destroyed.
    ///
    /// # Errors
    /// 42501, 58030, 57P03.
    pub fn open(&self, principal: Principal, statement: Uuid) -> Result<Option<String>, CatalogError> {
        let mut event = self.event(&principal, "decrypt", "statement", statement.to_string());
        let (sender, receiver) = mpsc::sync_channel(1);
        let catalog = self.catalog.clone();
        let _entered = self.runtime.enter();
        crate::tasks::spawn("a sealed text", async move {
            let opened = catalog.open_statement(&principal, statement).await;
            let told = match &opened {
                Ok(None) => Ok(()),
                Ok(Some(row)) => {
                    event.request_params = serde_json::json!({ "executed_by": row.executed_by });
                    catalog.audit(event, true).await
                }
                Err(error) => {
                    event.status = AuditStatus::Denied;
                    event.error_message = Some(error.to_string());
                    catalog.audit(event, true).await
                }
            };
            let _ = sender.send(told.and(opened).map(|row| row.and_then(|row| row.statement_text)));
        });
        receiver.recv().unwrap_or_else(|_| Err(CatalogError::Unavailable { detail: "a sealed text was not opened".to_owned() }))
    }
}
