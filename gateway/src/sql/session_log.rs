//! What functions of a session tell the audit log, and the sealed texts that they open.

use std::sync::mpsc;

use chrono::Utc;
use lakegate_catalog::audit::{AuditEvent, AuditStatus};
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::flushed::SealedPart;
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

    /// A sealed part of an old record; where it is another role's the audit log is told.
    ///
    /// # Errors
    /// 58030, 57P03.
    pub fn open_part(&self, principal: Principal, record: &str, part: SealedPart) -> Result<Option<String>, CatalogError> {
        let event = self.event(&principal, "decrypt", "record", record.to_owned());
        let (sender, receiver) = mpsc::sync_channel(1);
        let (catalog, record) = (self.catalog.clone(), record.to_owned());
        let _entered = self.runtime.enter();
        crate::tasks::spawn("a sealed record", async move {
            let opened = match catalog.open_flushed(&principal, &record, part).await {
                Ok(Some(opened)) if !opened.own => catalog.audit(event, false).await.map(|()| opened.value),
                opened => opened.map(|opened| opened.and_then(|opened| opened.value)),
            };
            let _ = sender.send(opened);
        });
        receiver.recv().unwrap_or_else(|_| Err(CatalogError::Unavailable { detail: "a sealed record was not opened".to_owned() }))
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
                    let executed_by = catalog.snapshot().role_name(row.executed_by);
                    event.request_params = serde_json::json!({ "executed_by": executed_by });
                    catalog.audit(event, true).await
                }
                Err(error) => {
                    event.status = AuditStatus::Denied;
                    event.error_message = Some(error.to_string());
                    catalog.audit(event, true).await
                }
            };
            let _ = sender.send(told.and(opened).map(|row| row.map(|row| row.text)));
        });
        receiver.recv().unwrap_or_else(|_| Err(CatalogError::Unavailable { detail: "a sealed text was not opened".to_owned() }))
    }
}
