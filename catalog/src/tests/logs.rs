use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;

use super::{ADMIN, Fixture, on_both, role};
use crate::audit::{AuditEvent, AuditFilter, AuditStatus};
use crate::authorize::Principal;
use crate::model::{BOOTSTRAP_ROLE_OID, Oid, READ_AUDIT_OID, READ_HISTORY_OID};
use crate::statement_log::{ExecutionStatus, HistoryFilter, HistoryRow, StatementEnd, StatementMetrics, StatementStart};
use crate::{Catalog, CatalogError};

on_both!(
    round_trip,
    texts_are_for_their_role,
    no_literal_in_the_database,
    dropped_tickets_end,
    lost_after_restart,
    behind_and_done,
    many_at_once,
    moved_rows_do_not_open,
    audit_round_trip,
    duplicate_ids_fail_alone,
    log_that_cannot_be_written
);

const CANARY: &str = "canary-0815";

pub(super) fn start(role: Oid, name: &str, text: &str) -> StatementStart {
    StatementStart {
        statement_id: Uuid::now_v7(),
        session_id: "s-1".to_owned(),
        statement_type: "SELECT".to_owned(),
        executed_by: role,
        executed_by_name: name.to_owned(),
        executed_as: name.to_owned(),
        client_application: Some("psql".to_owned()),
        client_driver: None,
        source_ip_address: Some("127.0.0.1".to_owned()),
        database: "main".to_owned(),
        warehouse: None,
        engine: None,
        fingerprint: Some("f00".to_owned()),
        start_time: Utc::now(),
        tables_read: vec!["main.public.t".to_owned()],
        tables_written: Vec::new(),
        columns_read: Vec::new(),
        columns_written: Vec::new(),
        tags_read: Vec::new(),
        functions: vec!["upper".to_owned()],
        auth_method: Some("scram-sha-256".to_owned()),
        tls_version: Some("TLSv1.3".to_owned()),
        query_tags: BTreeMap::new(),
        text: text.to_owned(),
        parameters: Vec::new(),
        literals: Vec::new(),
    }
}

pub(super) async fn log_one(catalog: &Catalog, role: Oid, name: &str, text: &str) -> Uuid {
    let ticket = catalog.log_begin(start(role, name, text)).await.unwrap();
    let id = ticket.statement_id();
    catalog.log_finish(ticket, StatementEnd::new(ExecutionStatus::Finished), true).await.unwrap();
    id
}

async fn row(catalog: &Catalog, who: &Principal, id: Uuid) -> Option<HistoryRow> {
    let filter = HistoryFilter { statement_ids: vec![id], ..HistoryFilter::default() };
    catalog.history(who, filter).await.unwrap().pop()
}

async fn round_trip(fixture: Fixture) {
    let catalog = fixture.started().await;
    let begin = StatementStart {
        parameters: vec![Some("5".to_owned()), None],
        query_tags: BTreeMap::from([("team".to_owned(), "ops".to_owned())]),
        tags_read: vec!["pii".to_owned()],
        ..start(BOOTSTRAP_ROLE_OID, "admin", "SELECT $1, 'x\0y'")
    };
    let started = begin.start_time;
    let ticket = catalog.log_begin(begin).await.unwrap();
    let id = ticket.statement_id();
    let running = row(&catalog, &ADMIN, id).await.unwrap();
    assert_eq!((running.status, running.end_time, running.total_duration_ms), (ExecutionStatus::Running, None, None));
    let metrics = StatementMetrics {
        execution_duration_ms: Some(12),
        read_bytes: Some(1 << 40),
        from_result_cache: Some(false),
        produced_rows: Some(3),
        spilled_local_bytes: Some(0),
        ..StatementMetrics::default()
    };
    let end = StatementEnd {
        metrics: metrics.clone(),
        end_time: started + chrono::Duration::milliseconds(1500),
        engine: Some("embedded".to_owned()),
        columns_read: Some(vec!["main.public.t.a".to_owned()]),
        ..StatementEnd::failed(ExecutionStatus::Failed, "22012", "division by zero")
    };
    catalog.log_finish(ticket, end, true).await.unwrap();
    let found = row(&catalog, &ADMIN, id).await.unwrap();
    assert_eq!(found.statement_text.as_deref(), Some("SELECT $1, 'x\0y'"));
    assert_eq!(found.parameters.unwrap(), [Some("5".to_owned()), None]);
    assert_eq!(found.query_tags.unwrap()["team"], "ops");
    assert_eq!((found.status, found.sqlstate.as_deref()), (ExecutionStatus::Failed, Some("22012")));
    assert_eq!((found.error_message.as_deref(), found.total_duration_ms), (Some("division by zero"), Some(1500)));
    assert_eq!((found.metrics, found.engine.as_deref()), (metrics, Some("embedded")));
    assert_eq!((found.columns_read, found.tables_read), (vec!["main.public.t.a".to_owned()], vec!["main.public.t".to_owned()]));
    assert_eq!((found.tags_read, found.executed_by.as_str()), (vec!["pii".to_owned()], "admin"));
}

async fn texts_are_for_their_role(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (ann, bob) = (role(&catalog, "ann").await.oid, role(&catalog, "bob").await.oid);
    let id = log_one(&catalog, ann, "ann", "SELECT 'mine'").await;
    let by_admin = log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 1").await;
    assert!(row(&catalog, &Principal::new(ann), id).await.unwrap().statement_text.is_some());
    assert!(row(&catalog, &ADMIN, id).await.unwrap().statement_text.is_some());
    assert!(row(&catalog, &Principal::new(bob), id).await.is_none());
    assert!(row(&catalog, &Principal::new(bob), by_admin).await.is_none());
    let lowered = Principal { session_role: BOOTSTRAP_ROLE_OID, current_role: bob };
    assert!(row(&catalog, &lowered, id).await.is_none(), "SET ROLE gives the right up");
    catalog.grant_membership(&ADMIN, READ_HISTORY_OID, bob, false).await.unwrap();
    assert_eq!(row(&catalog, &Principal::new(bob), id).await.unwrap().statement_text.as_deref(), Some("SELECT 'mine'"));
    let newest = catalog.history(&ADMIN, HistoryFilter { limit: Some(1), ..HistoryFilter::default() }).await.unwrap();
    assert_eq!(newest.iter().map(|row| row.statement_id).collect::<Vec<_>>(), [by_admin]);
}

async fn no_literal_in_the_database(fixture: Fixture) {
    let catalog = fixture.started().await;
    let begin = StatementStart {
        parameters: vec![Some(CANARY.to_owned())],
        query_tags: BTreeMap::from([(CANARY.to_owned(), CANARY.to_owned())]),
        ..start(BOOTSTRAP_ROLE_OID, "admin", &format!("SELECT '{CANARY}'"))
    };
    let ticket = catalog.log_begin(begin).await.unwrap();
    let message = format!("invalid input syntax for type integer: \"{CANARY}\"");
    catalog.log_finish(ticket, StatementEnd::failed(ExecutionStatus::Failed, "22P02", &message), true).await.unwrap();
    let event = AuditEvent {
        request_params: serde_json::json!({ "statement": CANARY }),
        error_message: Some(message),
        ..event("denied", ADMIN.current_role)
    };
    catalog.audit(event, true).await.unwrap();
    let Some(path) = fixture.sqlite_path() else { return };
    let mut seen = 0;
    for phase in ["open", "closed"] {
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            seen += bytes.len();
            assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{phase}");
        }
        catalog.close().await;
    }
    assert!(seen > 10_000);
}

async fn dropped_tickets_end(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ticket = catalog.log_begin(start(BOOTSTRAP_ROLE_OID, "admin", "SELECT 1")).await.unwrap();
    let id = ticket.statement_id();
    drop(ticket);
    for _ in 0..100 {
        if row(&catalog, &ADMIN, id).await.unwrap().status == ExecutionStatus::Canceled {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a dropped statement still runs");
}

async fn lost_after_restart(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ticket = catalog.log_begin(start(BOOTSTRAP_ROLE_OID, "admin", "INSERT")).await.unwrap();
    let id = ticket.statement_id();
    // The next life of the same gateway, while the first one is gone without a word.
    let again = fixture.open().await;
    let lost = row(&again, &ADMIN, id).await.unwrap();
    assert_eq!((lost.status, lost.end_time.is_some()), (ExecutionStatus::Lost, true));
    // Another gateway's statements are not touched.
    if fixture.sqlite_path().is_none() {
        let ticket = again.log_begin(start(BOOTSTRAP_ROLE_OID, "admin", "INSERT")).await.unwrap();
        let other = crate::CatalogOptions { instance_id: Some("gateway-2".to_owned()), ..fixture.options() };
        let other = Catalog::open(other).await.unwrap();
        assert_eq!(row(&other, &ADMIN, ticket.statement_id()).await.unwrap().status, ExecutionStatus::Running);
    }
    drop(ticket);
}

async fn behind_and_done(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ticket = catalog.log_behind(start(BOOTSTRAP_ROLE_OID, "admin", "SHOW x")).await.unwrap();
    let id = ticket.statement_id();
    catalog.log_finish(ticket, StatementEnd::new(ExecutionStatus::Finished), false).await.unwrap();
    assert_eq!(row(&catalog, &ADMIN, id).await.unwrap().status, ExecutionStatus::Finished, "history shows what was queued before");
    let done = start(BOOTSTRAP_ROLE_OID, "admin", "SET x = 1");
    let id = done.statement_id;
    catalog.log_done(done, StatementEnd::new(ExecutionStatus::Finished), false).await.unwrap();
    assert_eq!(row(&catalog, &ADMIN, id).await.unwrap().status, ExecutionStatus::Finished);
}

async fn many_at_once(fixture: Fixture) {
    let catalog = fixture.started().await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..64 {
        let catalog = catalog.clone();
        tasks.spawn(async move {
            for n in 0..20 {
                log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", &format!("SELECT {worker}, {n}")).await;
            }
        });
    }
    let clock = std::time::Instant::now();
    tasks.join_all().await;
    println!("1280 statements logged and finished, both durable, by 64 at once: {:?}", clock.elapsed());
    let rows = catalog.history(&ADMIN, HistoryFilter { limit: Some(5_000), ..HistoryFilter::default() }).await.unwrap();
    assert_eq!(rows.len(), 1280);
    assert!(rows.iter().all(|row| row.status == ExecutionStatus::Finished));
}

async fn moved_rows_do_not_open(fixture: Fixture) {
    let catalog = fixture.started().await;
    let (one, two) = (
        log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 'one'").await,
        log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 'two'").await,
    );
    let mut write = catalog.store().begin_write().await.unwrap();
    let sql = "UPDATE statements SET sealed_statement = (SELECT o.sealed_statement FROM statements o WHERE o.statement_id = $1) WHERE statement_id = $2";
    sqlx::query(sql).bind(one.to_string()).bind(two.to_string()).execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    let filter = HistoryFilter { statement_ids: vec![two], ..HistoryFilter::default() };
    assert!(matches!(catalog.history(&ADMIN, filter).await, Err(CatalogError::Corrupted { .. })));
    let mut write = catalog.store().begin_write().await.unwrap();
    let sql = "UPDATE statements SET executed_by_oid = 4711 WHERE statement_id = $1";
    sqlx::query(sql).bind(one.to_string()).execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    let filter = HistoryFilter { statement_ids: vec![one], ..HistoryFilter::default() };
    assert!(catalog.history(&ADMIN, filter).await.is_err(), "a row given to another role");
}

pub(super) fn event(action: &str, actor: Oid) -> AuditEvent {
    AuditEvent {
        event_time: Utc::now(),
        actor_oid: actor,
        actor: "someone".to_owned(),
        run_as: "someone".to_owned(),
        source_ip_address: Some("127.0.0.1".to_owned()),
        session_id: None,
        client_application: None,
        auth_method: Some("password".to_owned()),
        service_name: "accounts".to_owned(),
        action_name: action.to_owned(),
        object_type: None,
        object_name: None,
        request_params: serde_json::json!({ "tls": true }),
        status: AuditStatus::Denied,
        sqlstate: Some("28P01".to_owned()),
        error_message: None,
        rows_affected: Some(7),
        statement_id: Some(Uuid::nil()),
    }
}

async fn audit_round_trip(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ann = role(&catalog, "ann").await.oid;
    catalog.audit(event("login", 0), true).await.unwrap();
    catalog.audit(event("grant", ann), false).await.unwrap();
    let all = catalog.audit_rows(&ADMIN, AuditFilter::default()).await.unwrap();
    assert_eq!(all.iter().map(|row| row.event.action_name.as_str()).collect::<Vec<_>>(), ["grant", "login"]);
    let login = &all[1].event;
    assert_eq!((login.status, login.rows_affected, login.statement_id), (AuditStatus::Denied, Some(7), Some(Uuid::nil())));
    assert_eq!(login.request_params["tls"], true);
    assert_eq!(all[1].event_date, login.event_time.date_naive());
    let own = catalog.audit_rows(&Principal::new(ann), AuditFilter::default()).await.unwrap();
    assert_eq!(own.len(), 1);
    catalog.grant_membership(&ADMIN, READ_AUDIT_OID, ann, false).await.unwrap();
    let filter = AuditFilter { action_name: Some("login".to_owned()), ..AuditFilter::default() };
    assert_eq!(catalog.audit_rows(&Principal::new(ann), filter).await.unwrap().len(), 1);
}

async fn duplicate_ids_fail_alone(fixture: Fixture) {
    let catalog = fixture.started().await;
    let first = start(BOOTSTRAP_ROLE_OID, "admin", "SELECT 1");
    let twice = first.clone();
    let ticket = catalog.log_begin(first).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let catalog = catalog.clone();
        let start = if n == 7 { twice.clone() } else { start(BOOTSTRAP_ROLE_OID, "admin", "SELECT 2") };
        tasks.spawn(async move { catalog.log_begin(start).await.map(drop) });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1, "{results:?}");
    drop(ticket);
}

async fn log_that_cannot_be_written(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ticket = catalog.log_begin(start(BOOTSTRAP_ROLE_OID, "admin", "INSERT")).await.unwrap();
    let id = ticket.statement_id();
    let mut write = catalog.store().begin_write().await.unwrap();
    sqlx::query("ALTER TABLE statements RENAME TO statements_away").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    let refused = catalog.log_begin(start(BOOTSTRAP_ROLE_OID, "admin", "INSERT")).await;
    assert!(matches!(refused, Err(CatalogError::LogUnavailable { .. })), "{refused:?}");
    let end = catalog.log_finish(ticket, StatementEnd::new(ExecutionStatus::Finished), true).await;
    assert!(matches!(end, Err(CatalogError::LogUnavailable { .. })), "{end:?}");
    let mut write = catalog.store().begin_write().await.unwrap();
    sqlx::query("ALTER TABLE statements_away RENAME TO statements").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    // The end of the statement that did run was kept, and comes first.
    for _ in 0..200 {
        if row(&catalog, &ADMIN, id).await.is_some_and(|row| row.status == ExecutionStatus::Finished) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the end was forgotten");
}
