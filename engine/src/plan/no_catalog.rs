//! The names of no session: nothing is found.

use std::sync::Arc;

use lakegate_engine_api::catalog::Oid;
use lakegate_engine_api::{CatalogLookup, ColumnOf, ColumnPrivilege, SessionFacts, SessionSignal, Signalled};

#[derive(Debug)]
pub struct NoCatalog;

impl CatalogLookup for NoCatalog {
    fn role_name(&self, _role: Oid) -> Option<String> {
        None
    }

    fn role_oid(&self, _name: &str) -> Option<Oid> {
        None
    }

    fn relation_name(&self, _relation: Oid) -> Option<(String, String)> {
        None
    }

    fn relation_oid(&self, _schema: Option<&str>, _name: &str) -> Option<Oid> {
        None
    }

    fn relation_is_visible(&self, _relation: Oid) -> bool {
        false
    }

    fn schema_name(&self, _schema: Oid) -> Option<String> {
        None
    }

    fn schema_oid(&self, _name: &str) -> Option<Oid> {
        None
    }

    fn database_name(&self, _database: Oid) -> Option<String> {
        None
    }

    fn database_oid(&self, _name: &str) -> Option<Oid> {
        None
    }

    fn type_name(&self, _oid: Oid) -> Option<(String, String)> {
        None
    }

    fn type_oid(&self, _schema: Option<&str>, _name: &str) -> Option<Oid> {
        None
    }

    fn type_is_visible(&self, _oid: Oid) -> bool {
        false
    }

    fn function_name(&self, _function: Oid) -> Option<(String, String)> {
        None
    }

    fn functions_named(&self, _name: &str) -> Vec<Oid> {
        Vec::new()
    }

    fn function_argument_types(&self, _function: Oid) -> Option<Vec<Oid>> {
        None
    }

    fn function_arguments(&self, _function: Oid) -> Option<String> {
        None
    }

    fn function_result(&self, _function: Oid) -> Option<String> {
        None
    }

    fn comment(&self, _object: Oid, _class: Oid, _column: i32) -> Option<String> {
        None
    }

    fn view_definition(&self, _relation: Oid, _pretty: bool) -> Option<String> {
        None
    }

    fn constraint_definition(&self, _constraint: Oid, _pretty: bool) -> Option<String> {
        None
    }

    fn has_relation_privilege(&self, _role: Option<Oid>, _relation: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn has_column_privilege(&self, _role: Option<Oid>, _relation: Oid, _column: ColumnOf<'_>, _privilege: &str) -> ColumnPrivilege {
        ColumnPrivilege::NoSuchRelation
    }

    fn has_any_column_privilege(&self, _role: Option<Oid>, _relation: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn row_security_active(&self, _relation: Oid) -> Option<bool> {
        None
    }

    fn has_schema_privilege(&self, _role: Option<Oid>, _schema: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn has_database_privilege(&self, _role: Option<Oid>, _database: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn has_role(&self, _role: Option<Oid>, _of: Oid, _privilege: &str) -> Option<bool> {
        None
    }

    fn signal_session(&self, _pid: i32, _signal: SessionSignal) -> Signalled {
        Signalled::NoSuchSession
    }
}

/// The facts of no session.
pub fn nobody() -> SessionFacts {
    let now = chrono::Utc::now();
    SessionFacts {
        session_user: String::new(),
        current_user: String::new(),
        database: String::new(),
        search_path: Vec::new(),
        time_zone: "UTC".to_owned(),
        backend_pid: 0,
        client_address: None,
        server_address: None,
        statement_time: now,
        transaction_time: now,
        server_start_time: now,
        settings: Arc::default(),
        lookup: Arc::new(NoCatalog),
    }
}
