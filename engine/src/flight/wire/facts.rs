//! [`SessionFacts`] on their way.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lakegate_engine_api::{CatalogLookup, SessionFacts, plain};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Facts<'a> {
    session_user: Cow<'a, str>,
    current_user: Cow<'a, str>,
    database: Cow<'a, str>,
    search_path: Cow<'a, [String]>,
    time_zone: Cow<'a, str>,
    backend_pid: i32,
    client_address: Option<SocketAddr>,
    server_address: Option<SocketAddr>,
    #[serde(with = "plain::time")]
    statement_time: DateTime<Utc>,
    #[serde(with = "plain::time")]
    transaction_time: DateTime<Utc>,
    #[serde(with = "plain::time")]
    server_start_time: DateTime<Utc>,
    settings: Cow<'a, BTreeMap<String, String>>,
    /// The gateway's number for its lookup.
    pub lookup: u64,
    pub catalog_version: u64,
}

impl<'a> Facts<'a> {
    /// `lookup`: the number under which questions come back.
    #[must_use]
    pub fn of(facts: &'a SessionFacts, lookup: u64) -> Self {
        Facts {
            session_user: Cow::Borrowed(&facts.session_user),
            current_user: Cow::Borrowed(&facts.current_user),
            database: Cow::Borrowed(&facts.database),
            search_path: Cow::Borrowed(&facts.search_path),
            time_zone: Cow::Borrowed(&facts.time_zone),
            backend_pid: facts.backend_pid,
            client_address: facts.client_address,
            server_address: facts.server_address,
            statement_time: facts.statement_time,
            transaction_time: facts.transaction_time,
            server_start_time: facts.server_start_time,
            settings: Cow::Borrowed(&facts.settings),
            lookup,
            catalog_version: facts.lookup.catalog_version(),
        }
    }

    #[must_use]
    pub fn into_facts(self, lookup: Arc<dyn CatalogLookup>) -> Arc<SessionFacts> {
        Arc::new(SessionFacts {
            session_user: self.session_user.into_owned(),
            current_user: self.current_user.into_owned(),
            database: self.database.into_owned(),
            search_path: self.search_path.into_owned(),
            time_zone: self.time_zone.into_owned(),
            backend_pid: self.backend_pid,
            client_address: self.client_address,
            server_address: self.server_address,
            statement_time: self.statement_time,
            transaction_time: self.transaction_time,
            server_start_time: self.server_start_time,
            settings: Arc::new(self.settings.into_owned()),
            lookup,
        })
    }
}
