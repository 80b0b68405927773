//! Records whose facets go to the data plane: in one of the two places at any time, proven as before.

use std::sync::Mutex;

use chrono::{TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use uuid::Uuid;

use super::logs::{event, log_one};
use super::{ADMIN, Fixture, on_both, role};
use crate::audit::AuditFilter;
use crate::authorize::Principal;
use crate::flushed::{FlushRow, Log, LogValue, SealedPart};
use crate::log_proof::verify::{Fault, FlushedRows, Report, RowsOfLog, verify_store};
use crate::model::BOOTSTRAP_ROLE_OID;
use crate::needles::Needles;
use crate::privacy::Named;
use crate::statement_log::HistoryFilter;
use crate::{Catalog, CatalogError};

type Records = Vec<(Log, Vec<LogValue>)>;

on_both!(
    flushed_records_leave_and_prove_themselves,
    who_comes_second_flushes_nothing,
    texts_open_where_they_are,
    erasures_reach_flushed_texts,
    expired_records_leave_their_proof,
    flushed_records_are_proven_alone
);

/// What the data plane would hold.
#[derive(Default)]
struct Plane(Mutex<Vec<(Log, Vec<LogValue>)>>);

impl Plane {
    fn add(&self, log: Log, rows: &[FlushRow]) {
        self.0.lock().unwrap().extend(rows.iter().map(|row| (log, row.values.clone())));
    }
}

impl FlushedRows for Plane {
    fn rows(&self, log: Log, _version: u64) -> BoxFuture<'_, Result<RowsOfLog, CatalogError>> {
        let rows: Vec<_> = self.0.lock().unwrap().iter().filter(|(of, _)| *of == log).map(|(_, row)| Ok(row.clone())).collect();
        async move { Ok(futures::stream::iter(rows).boxed()) }.boxed()
    }
}

async fn report(catalog: &Catalog, plane: Option<&Plane>) -> Report {
    verify_store(catalog.store(), &catalog.public_key(), None, plane.map(|plane| plane as &dyn FlushedRows)).await.unwrap()
}

async fn flush(catalog: &Catalog, plane: &Plane, log: Log) -> u64 {
    let from = catalog.flushed_version(log).await.unwrap();
    let rows = catalog.records_to_flush(log, Utc::now() + TimeDelta::seconds(1), 1_000).await.unwrap();
    assert!(catalog.flushed(log, &rows, from, from.unwrap_or(0) + 1).await.unwrap());
    plane.add(log, &rows);
    rows.len() as u64
}

async fn filled(catalog: &Catalog) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(log_one(catalog, BOOTSTRAP_ROLE_OID, "admin", &format!("SELECT {n}")).await);
    }
    catalog.audit_durable(event("login", BOOTSTRAP_ROLE_OID)).await.unwrap();
    catalog.signed_head().await.unwrap();
    ids
}

async fn flushed_records_leave_and_prove_themselves(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    let running = catalog.log_begin(super::logs::start(BOOTSTRAP_ROLE_OID, "admin", "SELECT pg_sleep(9)")).await.unwrap();
    let plane = Plane::default();
    assert_eq!((flush(&catalog, &plane, Log::Statements).await, flush(&catalog, &plane, Log::Events).await), (3, 1));
    // What runs stays.
    let left = catalog.history(&ADMIN, HistoryFilter::default()).await.unwrap();
    assert_eq!(left.iter().map(|row| row.statement_id).collect::<Vec<_>>(), [running.statement_id()]);
    assert!(catalog.audit_rows(&ADMIN, AuditFilter::default()).await.unwrap().is_empty());
    log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 4").await;
    let found = report(&catalog, Some(&plane)).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!((found.records, found.flushed, found.flushed_checked), (10, 7, 7));
    assert!(report(&catalog, None).await.is_whole());
    // The proofs alone hold the chain: one that is gone is missing.
    let mut write = catalog.store().begin_write().await.unwrap();
    sqlx::query("DELETE FROM flushed_statements WHERE start_seq = 3").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    let found = report(&catalog, None).await;
    assert_eq!(
        found.findings.iter().map(|finding| (finding.fault, finding.seq)).collect::<Vec<_>>(),
        [(Fault::Missing, 3), (Fault::Missing, 4)]
    );
    // And so does each row of the data plane.
    let catalog = {
        catalog.close().await;
        drop(running);
        fixture.open().await
    };
    let altered = |change: &dyn Fn(&mut Records)| {
        let plane = Plane(Mutex::new(plane.0.lock().unwrap().clone()));
        change(&mut plane.0.lock().unwrap());
        plane
    };
    let faults = |found: Report| found.findings.into_iter().map(|finding| finding.fault).collect::<Vec<_>>();
    let at = Log::Statements.columns().iter().position(|column| *column == "executed_by").unwrap();
    let other = altered(&|rows| rows[0].1[at] = LogValue::from("eve".to_owned()));
    assert!(faults(report(&catalog, Some(&other)).await).contains(&Fault::Altered));
    let at = Log::Statements.columns().iter().position(|column| *column == "produced_rows").unwrap();
    let other = altered(&|rows| rows[0].1[at] = LogValue::from(7));
    assert!(faults(report(&catalog, Some(&other)).await).contains(&Fault::Altered));
    let other = altered(&|rows| drop(rows.remove(0)));
    assert!(faults(report(&catalog, Some(&other)).await).iter().filter(|fault| **fault == Fault::Missing).count() == 3);
    let other = altered(&|rows| {
        let mut more = rows[3].clone();
        more.1[0] = LogValue::from(Uuid::now_v7().to_string());
        rows.push(more);
    });
    assert!(faults(report(&catalog, Some(&other)).await).contains(&Fault::Foreign));
}

async fn who_comes_second_flushes_nothing(fixture: Fixture) {
    let (one, two) = (fixture.started().await, fixture.open().await);
    filled(&one).await;
    let rows = one.records_to_flush(Log::Statements, Utc::now() + TimeDelta::seconds(1), 10).await.unwrap();
    assert!(one.flushed(Log::Statements, &rows, None, 1).await.unwrap());
    assert!(!two.flushed(Log::Statements, &rows, None, 1).await.unwrap());
    assert!(!two.flushed(Log::Statements, &rows, Some(1), 2).await.unwrap(), "they are gone");
    assert_eq!(two.flushed_version(Log::Statements).await.unwrap(), Some(1), "what fails moves nothing");
    assert!(!two.move_flushed_version(Log::Statements, Some(0), 5).await.unwrap());
    assert!(two.move_flushed_version(Log::Statements, Some(1), 5).await.unwrap());
    assert_eq!(one.flushed_version(Log::Statements).await.unwrap(), Some(5));
}

async fn texts_open_where_they_are(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ids = filled(&catalog).await;
    let plane = Plane::default();
    flush(&catalog, &plane, Log::Statements).await;
    assert_eq!(catalog.open_statement(&ADMIN, ids[1]).await.unwrap().unwrap().text, "SELECT 1");
    let other = Principal::new(role(&catalog, "other").await.oid);
    assert!(matches!(catalog.open_statement(&other, ids[1]).await, Err(CatalogError::Forbidden { .. })));
    let part = |who: Principal| {
        let (catalog, id) = (catalog.clone(), ids[2].to_string());
        async move { catalog.open_flushed(&who, &id, SealedPart::Text).await.unwrap().unwrap().value }
    };
    assert_eq!(part(ADMIN).await.as_deref(), Some("SELECT 2"));
    assert_eq!(part(other).await, None);
}

async fn erasures_reach_flushed_texts(fixture: Fixture) {
    let catalog = fixture.started().await;
    let kept = log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 'somebody else'").await;
    let named = log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 'ann@example.org'").await;
    let plane = Plane::default();
    flush(&catalog, &plane, Log::Statements).await;
    let identifiers = ["ann@example.org".to_owned()];
    let needles = Needles::new(identifiers.iter().map(String::as_str)).unwrap();
    let who = Named { needles: &needles, short: &[], tables: &[], identifiers: &identifiers };
    assert_eq!(catalog.log_entries_naming(&who).await.unwrap().1, 1);
    assert_eq!(catalog.erase_from_logs(Uuid::new_v4(), &who).await.unwrap().statements, 1);
    assert_eq!(catalog.log_entries_naming(&who).await.unwrap().1, 0);
    assert!(catalog.open_statement(&ADMIN, named).await.unwrap().unwrap().text.starts_with("<erased"));
    assert_eq!(catalog.open_statement(&ADMIN, kept).await.unwrap().unwrap().text, "SELECT 'somebody else'");
    let found = report(&catalog, Some(&plane)).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!(found.erased, 1);
}

async fn expired_records_leave_their_proof(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ids = filled(&catalog).await;
    let plane = Plane::default();
    flush(&catalog, &plane, Log::Statements).await;
    let first_kept = Utc::now() + TimeDelta::seconds(1);
    assert_eq!(catalog.flushed_before(Log::Statements, first_kept).await.unwrap(), 3);
    let event = catalog.audit_durable(event("expire_log", 0)).await.unwrap();
    assert_eq!(catalog.expired(Log::Statements, first_kept, event, 0, 2).await.unwrap(), None, "another version");
    assert_eq!(catalog.expired(Log::Statements, first_kept, event, 1, 2).await.unwrap(), Some(3));
    plane.0.lock().unwrap().clear();
    assert_eq!(catalog.flushed_before(Log::Statements, first_kept).await.unwrap(), 0);
    assert_eq!(catalog.open_statement(&ADMIN, ids[0]).await.unwrap(), None);
    let found = report(&catalog, Some(&plane)).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!(found.expired, 6);
    // Without the event it would be an alteration.
    let mut write = catalog.store().begin_write().await.unwrap();
    sqlx::query("UPDATE flushed_statements SET expired_by = 'nothing' WHERE start_seq = 1").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    assert!(!report(&catalog, Some(&plane)).await.is_whole());
}

async fn flushed_records_are_proven_alone(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ids = filled(&catalog).await;
    let rows = catalog.records_to_flush(Log::Statements, Utc::now() + TimeDelta::seconds(1), 10).await.unwrap();
    assert!(catalog.flushed(Log::Statements, &rows, None, 1).await.unwrap());
    let id = ids[1].to_string();
    assert!(matches!(catalog.inclusion_proof(&id).await, Err(CatalogError::InvalidParameter { .. })));
    let row = rows.iter().find(|row| row.id == id).unwrap();
    let proof = catalog.flushed_inclusion_proof(Log::Statements, &id, &row.values).await.unwrap();
    assert!(proof.verify(&catalog.public_key()).is_ok());
    let mut other = row.values.clone();
    // The proof of a statement that is over is that of its end.
    let at = Log::Statements.columns().iter().position(|column| *column == "execution_status").unwrap();
    other[at] = LogValue::from("FAILED".to_owned());
    assert!(catalog.flushed_inclusion_proof(Log::Statements, &id, &other).await.is_err());
}
