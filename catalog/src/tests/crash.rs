//! kill -9: what was acknowledged is there afterwards.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::{ADMIN, Fixture, admins_table, main_public, on_both};
use crate::model::BOOTSTRAP_ROLE_OID;
use crate::statement_log::{ExecutionStatus, HistoryFilter, StatementEnd};
use crate::{Catalog, CatalogOptions, Kek};

on_both!(acknowledged_is_durable);

const URL: &str = "LAKEGATE_TEST_CRASH_URL";
const KEK: &str = "LAKEGATE_TEST_CRASH_KEK";

async fn acknowledged_is_durable(fixture: Fixture) {
    fixture.started().await.close().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::dies_in_the_middle", "--ignored", "--nocapture", "--test-threads=1"])
        .env(URL, &fixture.url)
        .env(KEK, &*fixture.kek.to_base64())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        if let Some(done) = line.strip_prefix("done ") {
            acknowledged.push(done.to_owned());
        }
        if acknowledged.len() == 300 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= 300);
    let catalog = fixture.open().await;
    let rows = catalog.history(&ADMIN, HistoryFilter { limit: Some(100_000), ..HistoryFilter::default() }).await.unwrap();
    assert!(rows.iter().all(|row| row.status != ExecutionStatus::Running));
    let (_, public) = main_public(&catalog);
    let snapshot = catalog.snapshot();
    for done in &acknowledged {
        let (kind, id) = done.split_once(' ').unwrap();
        let found = || rows.iter().find(|row| row.statement_id.to_string() == id);
        match kind {
            "begun" => assert!(found().is_some(), "{done}"),
            "finished" => assert_eq!(found().unwrap().status, ExecutionStatus::Finished, "{done}"),
            _ => assert!(snapshot.relation(public, id).is_some(), "{done}"),
        }
    }
    admins_table(&catalog, "after").await;
    if fixture.sqlite_path().is_some() {
        let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(catalog.store().reads()).await.unwrap();
        assert_eq!(check, "ok");
    }
}

/// The child of the test above.
#[ignore = "is run by acknowledged_is_durable, and killed"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dies_in_the_middle() {
    let Ok(url) = std::env::var(URL) else { return };
    let options = CatalogOptions {
        instance_id: Some("gateway-1".to_owned()),
        ..CatalogOptions::new(url, Kek::from_base64(&std::env::var(KEK).unwrap()).unwrap())
    };
    let catalog = Catalog::open(options).await.unwrap();
    let say = |what: String| std::io::stdout().lock().write_all(format!("\ndone {what}\n").as_bytes()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16_u32 {
        let catalog = catalog.clone();
        tasks.spawn(async move {
            for n in 0.. {
                let ticket = catalog.log_begin(super::logs::start(BOOTSTRAP_ROLE_OID, "admin", "INSERT")).await.unwrap();
                let id = ticket.statement_id();
                say(format!("begun {id}"));
                catalog.log_finish(ticket, StatementEnd::new(ExecutionStatus::Finished), true).await.unwrap();
                say(format!("finished {id}"));
                if worker == 0 {
                    let name = format!("t{n}");
                    admins_table(&catalog, &name).await;
                    say(format!("table {name}"));
                }
            }
        });
    }
    tasks.join_all().await;
}
