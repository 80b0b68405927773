//! `lakegate.decrypt_statement`: the sealed text of a statement, for whoever may read it; `lakegate.open_record`: the sealed columns of old records. The gateway opens it and keeps account.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::call::Row;
use super::error::external;
use super::function::{Body, PgFunction};
use super::session::Session;
use super::types::Ty;

/// Functions of schema `lakegate`, which the planner knows by their names alone.
pub const LAKEGATE_FUNCTIONS: [&str; 2] = ["decrypt_statement", "open_record"];

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let open = || {
        let session = Arc::clone(session);
        Body::Text(Box::new(move |row: &Row<'_>| session.lookup().decrypt_statement(row.text(0)).map_err(external)))
    };
    let function = PgFunction::volatile("decrypt_statement").of_session(session.identity());
    let part = {
        let session = Arc::clone(session);
        Body::Text(Box::new(move |row: &Row<'_>| session.lookup().open_record(row.text(0), row.text(1), row.text(2)).map_err(external)))
    };
    let record = PgFunction::volatile("open_record").of_session(session.identity());
    vec![
        function.on(&[Ty::TEXT], Ty::TEXT, open()).on(&[Ty::UUID], Ty::TEXT, open()).build(),
        record.on(&[Ty::TEXT, Ty::TEXT, Ty::TEXT], Ty::TEXT, part).build(),
    ]
}
