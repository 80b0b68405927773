//! What is altered, removed, moved, cut off or put in is found, and named.

use aws_lc_rs::signature::Ed25519KeyPair;
use sqlx::AssertSqlSafe;

use super::logs::{event, log_one, start};
use super::{ADMIN, Fixture, on_both};
use crate::Catalog;
use crate::log_proof::RecordKind;
use crate::log_proof::verify::{Fault, Report, verify_store};
use crate::model::BOOTSTRAP_ROLE_OID;
use crate::statement_log::{ExecutionStatus, HistoryFilter, StatementEnd, Wait, finish_row};

on_both!(
    whole_logs_are_whole,
    rows_written_together_are_whole,
    altered_records_are_named,
    removed_records_are_named,
    swapped_records_are_named,
    truncated_logs_are_found,
    whole_lives_that_are_gone_are_found,
    foreign_records_are_found,
    rewritten_chains_do_not_have_the_signed_root,
    heads_need_the_key,
    records_are_proven_alone,
    lost_statements_are_chained,
    erased_texts_need_their_event
);

/// Three statements and an event: records 1 to 7 of its chain, signed.
async fn filled(catalog: &Catalog) {
    for n in 0..3 {
        log_one(catalog, BOOTSTRAP_ROLE_OID, "admin", &format!("SELECT {n}")).await;
    }
    catalog.audit_durable(event("login", 0)).await.unwrap();
    catalog.signed_head().await.unwrap();
}

async fn report(catalog: &Catalog) -> Report {
    verify_store(catalog.store(), &catalog.public_key(), None, None).await.unwrap()
}

async fn change(catalog: &Catalog, sql: &str) {
    let mut write = catalog.store().begin_write().await.unwrap();
    let changed = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *write).await.unwrap();
    assert!(changed.rows_affected() > 0, "{sql}");
    write.commit().await.unwrap();
}

fn faults(report: &Report) -> Vec<(Fault, u64)> {
    report.findings.iter().map(|finding| (finding.fault, finding.seq)).collect()
}

async fn whole_logs_are_whole(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    let found = report(&catalog).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!((found.records, found.heads, found.unsigned), (7, 1, 0));
    // Behind the head, by links alone.
    log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 4").await;
    let found = report(&catalog).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!((found.records, found.unsigned), (9, 2));
    // A process on its own chain beside it, and one after both.
    let other = fixture.open().await;
    filled(&other).await;
    filled(&catalog).await;
    other.close().await;
    catalog.close().await;
    let third = fixture.open().await;
    let found = report(&third).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!((found.chains, found.records, found.unsigned), (3, 23, 0));
    third.close().await;
}

/// Statements whose ends come with their starts, and later; in the midst of them an end that ends nothing, which is no record.
async fn rows_written_together_are_whole(fixture: Fixture) {
    let catalog = fixture.started().await;
    let begin = || start(BOOTSTRAP_ROLE_OID, "admin", "SELECT 1");
    let finished = || StatementEnd::new(ExecutionStatus::Finished);
    let mut open = Vec::new();
    for _ in 0..40 {
        open.push(catalog.log_behind(begin()).await.unwrap());
        catalog.log_done(begin(), finished(), false).await.unwrap();
    }
    catalog.audit_durable(event("login", 0)).await.unwrap();
    for (n, ticket) in open.into_iter().enumerate() {
        catalog.log_finish(ticket, finished(), false).await.unwrap();
        if n % 20 == 7 {
            catalog.log().append(finish_row(uuid::Uuid::now_v7(), finished(), None), Wait::Queued).await.unwrap();
        }
        catalog.log_done(begin(), finished(), n % 13 == 0).await.unwrap();
    }
    catalog.signed_head().await.unwrap();
    let found = report(&catalog).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!((found.records, found.unsigned), (3 * 80 + 1, 0));
    let rows = catalog.history(&ADMIN, HistoryFilter { limit: Some(500), ..HistoryFilter::default() }).await.unwrap();
    assert_eq!(rows.len(), 120);
    assert!(rows.iter().all(|row| row.status == ExecutionStatus::Finished));
}

async fn altered_records_are_named(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    for (sql, undo, kind, seq) in [
        (
            "UPDATE statements SET executed_by = 'eve' WHERE start_seq = 3",
            "UPDATE statements SET executed_by = 'admin' WHERE start_seq = 3",
            RecordKind::Start,
            3,
        ),
        (
            "UPDATE statements SET produced_rows = 5 WHERE end_seq = 4",
            "UPDATE statements SET produced_rows = NULL WHERE end_seq = 4",
            RecordKind::End,
            4,
        ),
        ("UPDATE audit_events SET status = 'success'", "UPDATE audit_events SET status = 'denied'", RecordKind::Event, 7),
        (
            "UPDATE statements SET start_time = start_time + 1 WHERE start_seq = 1",
            "UPDATE statements SET start_time = start_time - 1 WHERE start_seq = 1",
            RecordKind::Start,
            1,
        ),
    ] {
        change(&catalog, sql).await;
        let found = report(&catalog).await;
        let expected = if seq == 1 { (Fault::Genesis, 0) } else { (Fault::Altered, seq) };
        assert_eq!(faults(&found), [expected], "{sql}");
        if seq > 1 {
            assert_eq!(found.findings[0].record.as_ref().unwrap().0, kind);
        }
        change(&catalog, undo).await;
        assert!(report(&catalog).await.is_whole());
    }
}

async fn removed_records_are_named(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    change(&catalog, "DELETE FROM statements WHERE start_seq = 3").await;
    // Its end was record 4.
    assert_eq!(faults(&report(&catalog).await), [(Fault::Missing, 3), (Fault::Missing, 4)]);
    change(&catalog, "UPDATE statements SET execution_status = 'RUNNING', end_time = NULL, end_chain = NULL WHERE start_seq = 5").await;
    assert_eq!(faults(&report(&catalog).await)[2..], [(Fault::Missing, 6)]);
}

async fn swapped_records_are_named(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    let place = "SELECT statement_id, start_link FROM statements WHERE start_seq = $1";
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for seq in [3_i64, 5] {
        places.push(sqlx::query_as(place).bind(seq).fetch_one(catalog.store().reads()).await.unwrap());
    }
    let [(three, link_three), (five, link_five)] = places.try_into().unwrap();
    // The places exchanged, the links with them and without.
    for (links, swapped) in [([&link_five, &link_three], true), ([&link_three, &link_five], true), ([&link_three, &link_five], false)] {
        let mut write = catalog.store().begin_write().await.unwrap();
        for ((id, seq), link) in [(&three, if swapped { 5_i64 } else { 3 }), (&five, if swapped { 3 } else { 5 })].into_iter().zip(links) {
            let sql = "UPDATE statements SET start_seq = $1, start_link = $2 WHERE statement_id = $3";
            sqlx::query(sql).bind(seq).bind(link.clone()).bind(id.clone()).execute(&mut *write).await.unwrap();
        }
        write.commit().await.unwrap();
        let found = report(&catalog).await;
        match swapped {
            true => assert_eq!(faults(&found), [(Fault::Reordered, 3), (Fault::Reordered, 5)], "{:?}", found.findings),
            false => assert!(found.is_whole(), "{:?}", found.findings),
        }
    }
}

async fn truncated_logs_are_found(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    let kept = catalog.signed_head().await.unwrap();
    change(&catalog, "DELETE FROM audit_events").await;
    assert_eq!(faults(&report(&catalog).await), [(Fault::Truncated, 7)]);
    // Whoever cuts off the heads and the stored tip, too, is found by a head that was kept elsewhere.
    change(&catalog, "DELETE FROM log_heads").await;
    change(&catalog, "UPDATE log_chains SET size = 6, link = (SELECT end_link FROM statements WHERE end_seq = 6)").await;
    assert!(report(&catalog).await.is_whole(), "nothing in the catalog itself tells");
    let found = verify_store(catalog.store(), &catalog.public_key(), Some(&kept), None).await.unwrap();
    assert_eq!(faults(&found), [(Fault::Truncated, 7)]);
}

/// Another process' chain names this one.
async fn whole_lives_that_are_gone_are_found(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    let other = fixture.open().await;
    change(&catalog, "DELETE FROM audit_events").await;
    change(&catalog, "DELETE FROM log_heads").await;
    change(&catalog, "UPDATE log_chains SET size = 6, link = (SELECT end_link FROM statements WHERE end_seq = 6) WHERE size = 7").await;
    assert_eq!(faults(&report(&catalog).await), [(Fault::Truncated, 7)]);
    change(&catalog, "DELETE FROM statements").await;
    change(&catalog, "DELETE FROM log_chains WHERE size = 6").await;
    assert_eq!(faults(&report(&catalog).await), [(Fault::Truncated, 1)]);
    drop(other);
}

async fn foreign_records_are_found(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    change(&catalog, "UPDATE audit_events SET chain = NULL, seq = NULL, link = NULL").await;
    assert_eq!(faults(&report(&catalog).await), [(Fault::Foreign, 0), (Fault::Truncated, 7)]);
    // What is older than the first chain was written before there were any.
    change(&catalog, "UPDATE audit_events SET event_time = 5").await;
    let found = report(&catalog).await;
    assert_eq!((faults(&found), found.before_chains), (vec![(Fault::Truncated, 7)], 1));
}

/// Who can write the catalog can make links that fit, but not the signature.
async fn rewritten_chains_do_not_have_the_signed_root(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    change(&catalog, "UPDATE audit_events SET actor = 'eve'").await;
    let row = sqlx::query(AssertSqlSafe(format!("SELECT {} FROM audit_events", RecordKind::Event.columns().join(", "))));
    let row = row.fetch_one(catalog.store().reads()).await.unwrap();
    let values = crate::log_proof::verify::values(&row, RecordKind::Event).unwrap();
    let leaf = crate::log_proof::record::leaf(RecordKind::Event, &values);
    let before: Vec<u8> =
        sqlx::query_scalar("SELECT end_link FROM statements WHERE end_seq = 6").fetch_one(catalog.store().reads()).await.unwrap();
    let link = crate::log_proof::chain::link(&before.try_into().unwrap(), &leaf);
    let mut write = catalog.store().begin_write().await.unwrap();
    for sql in ["UPDATE audit_events SET link = $1", "UPDATE log_chains SET link = $1"] {
        sqlx::query(sql).bind(link.to_vec()).execute(&mut *write).await.unwrap();
    }
    write.commit().await.unwrap();
    assert_eq!(faults(&report(&catalog).await), [(Fault::Rewritten, 7)]);
}

async fn heads_need_the_key(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    let other = aws_lc_rs::signature::KeyPair::public_key(&Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()).as_ref().to_vec();
    let found = verify_store(catalog.store(), &other, None, None).await.unwrap();
    assert_eq!(faults(&found), [(Fault::Signature, 7)]);
    change(&catalog, "UPDATE log_heads SET head = REPLACE(head, 'last false', 'last true')").await;
    assert_eq!(faults(&report(&catalog).await), [(Fault::Signature, 7)]);
}

async fn records_are_proven_alone(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    let statement = log_one(&catalog, BOOTSTRAP_ROLE_OID, "admin", "SELECT 'x'").await;
    let event = catalog.audit_durable(event("erasure", BOOTSTRAP_ROLE_OID)).await.unwrap();
    for id in [statement, event] {
        let proof = catalog.inclusion_proof(&id.to_string()).await.unwrap();
        let text = serde_json::to_string(&proof).unwrap();
        let proof: crate::log_proof::inclusion::InclusionProof = serde_json::from_str(&text).unwrap();
        assert_eq!(proof.verify(&catalog.public_key()).unwrap().size, 10);
        let mut altered = proof.clone();
        altered.number -= 1;
        assert!(altered.verify(&catalog.public_key()).is_err());
        for column in proof.record.keys() {
            let mut altered = proof.clone();
            altered.record.insert(column.clone(), serde_json::json!(77));
            assert!(altered.verify(&catalog.public_key()).is_err(), "{column}");
        }
        assert!(proof.verify(&[3; 32]).is_err());
    }
    assert!(catalog.inclusion_proof("none").await.is_err());
    assert!(crate::log_proof::is_signed(&catalog.public_key(), "certificate", b"x", &catalog.sign("certificate", b"x")));
    assert!(!crate::log_proof::is_signed(&catalog.public_key(), "log head", b"x", &catalog.sign("certificate", b"x")));
}

async fn lost_statements_are_chained(fixture: Fixture) {
    let catalog = fixture.started().await;
    let ticket = catalog.log_begin(start(BOOTSTRAP_ROLE_OID, "admin", "INSERT")).await.unwrap();
    let again = fixture.open().await;
    let found = report(&again).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    // The first process was alive after all: what it says comes too late, and disturbs nothing.
    catalog.log_finish(ticket, StatementEnd::new(ExecutionStatus::Finished), true).await.unwrap();
    let found = report(&again).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!(again.history(&ADMIN, crate::statement_log::HistoryFilter::default()).await.unwrap()[0].status, ExecutionStatus::Lost);
}

async fn erased_texts_need_their_event(fixture: Fixture) {
    let catalog = fixture.started().await;
    filled(&catalog).await;
    let other =
        "UPDATE statements SET sealed_statement = (SELECT o.sealed_statement FROM statements o WHERE o.start_seq = 1) WHERE start_seq = 5";
    change(&catalog, other).await;
    assert_eq!(faults(&report(&catalog).await), [(Fault::Altered, 5)]);
    change(&catalog, "UPDATE statements SET erased_by = 'nothing' WHERE start_seq = 5").await;
    assert_eq!(faults(&report(&catalog).await), [(Fault::Altered, 5)]);
    let erasure = catalog.audit_durable(event("erase_subject", 0)).await.unwrap();
    change(&catalog, &format!("UPDATE statements SET erased_by = '{erasure}' WHERE start_seq = 5")).await;
    let found = report(&catalog).await;
    assert!(found.is_whole(), "{:?}", found.findings);
    assert_eq!(found.erased, 1);
}
