//! Functions that are called for what they do to the session: `set_config`, `pg_notify`, `pg_export_snapshot` and what tells of it (documentation,
//! sections 9.27.1 and 9.26).

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::DataError;

use super::error::{data, external};
use super::function::{Body, PgFunction};
use super::session::Session;
use super::types::Ty;

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let volatile = |name: &'static str| PgFunction::volatile(name).of_session(session.identity());
    let (setter, notifier, listener, queue) = (Arc::clone(session), Arc::clone(session), Arc::clone(session), Arc::clone(session));
    let exporter = Arc::clone(session);
    vec![
        volatile("set_config")
            .on_nullable(
                &[Ty::TEXT, Ty::TEXT, Ty::BOOL],
                Ty::TEXT,
                Body::Text(Box::new(move |row| {
                    if row.is_null(0) {
                        return Err(data(DataError::NullNotAllowed, "SET requires parameter name"));
                    }
                    let value = (!row.is_null(1)).then(|| row.text(1));
                    let local = !row.is_null(2) && row.bool(2);
                    setter.lookup().set_setting(row.text(0), value, local).map(Some).map_err(external)
                })),
            )
            .build(),
        volatile("pg_notify")
            .on_nullable(
                &[Ty::TEXT, Ty::TEXT],
                Ty::VOID,
                Body::Text(Box::new(move |row| {
                    let text = |column| if row.is_null(column) { "" } else { row.text(column) };
                    notifier.lookup().notify(text(0), text(1)).map(|()| Some(String::new())).map_err(external)
                })),
            )
            .build(),
        volatile("pg_export_snapshot")
            .on(&[], Ty::TEXT, Body::Text(Box::new(move |_| exporter.lookup().export_snapshot().map(Some).map_err(external))))
            .build(),
        volatile("#pg_listening_channels")
            .on(
                &[],
                Ty::TEXTS,
                Body::Texts(Box::new(move |_| Ok(Some(listener.lookup().listening_channels().into_iter().map(Some).collect())))),
            )
            .build(),
        volatile("pg_notification_queue_usage")
            .on(&[], Ty::FLOAT8, Body::Float(Box::new(move |_| Ok(Some(queue.lookup().notification_queue_usage())))))
            .build(),
    ]
}
