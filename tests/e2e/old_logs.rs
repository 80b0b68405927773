//! Old records of the logs in the data plane: the same rows as before, once each, whatever happens while they move.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server, binary};
use rand::Rng as _;
use tokio::task::JoinSet;

use crate::gateways;

fn verify(data: &Path) -> String {
    let mut command = Command::new(binary().unwrap());
    command.arg("admin").arg("--data-dir").arg(data).args(["log", "verify"]).env("LAKEGATE_LOG", "error");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// JSON by its value: old records come in the order and spacing of jsonb, recent ones as they were written.
fn plain(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let cell = |cell: String| serde_json::from_str::<serde_json::Value>(&cell).map_or(cell, |value| value.to_string());
    rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect()
}

#[tokio::test]
async fn the_logs_read_as_before_when_they_are_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&Options::new(&data)).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    admin
        .batch_execute(
            "CREATE ROLE reader LOGIN PASSWORD 'reader-password'; CREATE ROLE auditor LOGIN PASSWORD 'auditor-password'; \
             GRANT lakegate_read_audit TO auditor; CREATE TABLE people (id int, name text); \
             ALTER TABLE people ALTER COLUMN name SET TAGS ('pii' = 'name'); GRANT SELECT, INSERT ON people TO reader",
        )
        .await
        .unwrap();
    let reader = Client::login(&server, "reader", "reader-password", "main").await.unwrap();
    let auditor = Client::login(&server, "auditor", "auditor-password", "main").await.unwrap();
    reader.batch_execute("INSERT INTO people VALUES (1, 'Ann')").await.unwrap();
    reader.query("SELECT name, upper(name) FROM people WHERE id = $1", &[&1_i32]).await.unwrap();
    assert_eq!(reader.sqlstate("SELECT nothing FROM people").await, "42703");
    assert_eq!(reader.sqlstate("DELETE FROM people").await, "42501");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let until = admin.value("SELECT now()").await.unwrap();
    let history = format!("SELECT * FROM system.query.history WHERE start_time < '{until}' ORDER BY start_time, statement_id");
    let audit = format!("SELECT * FROM system.access.audit WHERE event_time < '{until}' ORDER BY event_time, event_id");
    let as_before = async |client: &Client| (plain(client.rows(&history).await.unwrap()), plain(client.rows(&audit).await.unwrap()));
    let before = (as_before(&admin).await, as_before(&reader).await, as_before(&auditor).await);
    assert!(before.0.0.len() > 8 && before.0.1.len() > 5 && before.1.0.len() >= 4);
    admin.batch_execute("CALL lakegate.flush_logs('0 seconds')").await.unwrap();
    let stored: Vec<_> = std::fs::read_dir(data.join("warehouse/_lakegate/log/statements")).unwrap().collect();
    assert!(stored.iter().any(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("log_date=")));
    assert_eq!(as_before(&admin).await, before.0);
    assert_eq!(as_before(&reader).await, before.1);
    assert_eq!(as_before(&auditor).await, before.2);
    // Again, with what came since, and put together with what was there.
    admin.batch_execute("CALL lakegate.flush_logs('0 seconds')").await.unwrap();
    assert_eq!(as_before(&admin).await, before.0);
    let denied = reader.sqlstate("CALL lakegate.flush_logs('0 seconds')").await;
    assert_eq!(denied, "42501");
    let id = admin.value("SELECT statement_id FROM system.query.history WHERE statement_type = 'INSERT'").await.unwrap();
    assert_eq!(admin.value(&format!("SELECT lakegate.decrypt_statement('{id}')")).await.unwrap(), "INSERT INTO people VALUES (1, 'Ann')");
    assert_eq!(auditor.sqlstate(&format!("SELECT lakegate.decrypt_statement('{id}')")).await, "42501");
    assert_eq!(auditor.value(&format!("SELECT lakegate.open_record('history', 'statement_text', '{id}') IS NULL")).await.unwrap(), "t");
    // Rules and hunts see them, too.
    admin
        .batch_execute(
            "CREATE DETECTION denied_here WINDOW '1 hour' AS SELECT executed_by AS actor, count(*) AS denials FROM system.query.history \
             WHERE sqlstate = '42501' AND statement_type = 'DELETE' GROUP BY executed_by",
        )
        .await
        .unwrap();
    let hunted = admin.rows("HUNT denied_here").await.unwrap();
    assert_eq!(hunted.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["reader"]);
    let saved = admin.value("SELECT object_name FROM system.access.audit WHERE request_params->>'call' = 'flush_logs' LIMIT 1").await;
    assert_eq!(saved.unwrap(), "∅");
    drop((admin, reader, auditor));
    drop(server);
    let said = verify(&data);
    assert!(said.contains("the log is whole") && said.contains("have their facets in the warehouse"), "{said}");
}

/// Counts of one session's statements while others flush, without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_is_missing_or_there_twice_while_two_gateways_flush() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = gateways::two(folder.path());
    let (writer, reader) = (Client::admin(&one).await.unwrap(), Client::admin(&two).await.unwrap());
    writer.batch_execute("CREATE TABLE t AS SELECT 1 AS a").await.unwrap();
    for n in 0..120 {
        writer.rows(&format!("SELECT {n} FROM t")).await.unwrap();
    }
    let condition = "statement_type = 'SELECT' AND 'main.public.t' = ANY (tables_read) AND execution_status = 'FINISHED'";
    let count = format!("SELECT count(*)::text, count(DISTINCT statement_id)::text FROM system.query.history WHERE {condition}");
    lakegate_tests::tools::eventually("the ends are there", Duration::from_secs(20), async || {
        Ok(reader.rows(&count).await? == [["120", "120"]])
    })
    .await
    .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut flushers = JoinSet::new();
    for server in [&one, &two] {
        let (client, stop) = (Client::admin(server).await.unwrap(), Arc::clone(&stop));
        flushers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                client.batch_execute("CALL lakegate.flush_logs('0 seconds')").await.unwrap_or_default();
            }
        });
    }
    for round in 0..25 {
        let client = if round % 2 == 0 { &writer } else { &reader };
        assert_eq!(client.rows(&count).await.unwrap(), [["120", "120"]], "round {round}");
    }
    stop.store(true, Ordering::Relaxed);
    while flushers.join_next().await.is_some() {}
    assert_eq!(reader.rows(&count).await.unwrap(), [["120", "120"]]);
}

/// LOG_KILL_SECONDS: how long it goes on (12).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_leaves_every_statement_and_a_whole_log() {
    let seconds: u64 = std::env::var("LOG_KILL_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Records move into the data plane as fast as they come.
    let options = Options::new(&data).argument("--log-recent-hours").argument("0").argument("--log-flush-seconds").argument("1");
    let executed = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut lives = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        let server = Arc::new(Server::start(&options).unwrap());
        let admin = Client::admin(&server).await.unwrap();
        admin.batch_execute("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a").await.unwrap();
        let mut clients = JoinSet::new();
        for _ in 0..8 {
            let (server, executed, next) = (Arc::clone(&server), Arc::clone(&executed), Arc::clone(&next));
            clients.spawn(async move {
                let Ok(client) = Client::admin(&server).await else { return };
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if client.rows(&format!("SELECT a, {id} AS mark FROM t")).await.is_err() {
                        return;
                    }
                    executed.lock().unwrap().insert(id);
                }
            });
        }
        let life = rand::rng().random_range(200..2_500);
        tokio::time::sleep(Duration::from_millis(life)).await;
        server.process.signal("KILL").unwrap();
        while clients.join_next().await.is_some() {}
        drop(admin);
        drop(server);
        let said = verify(&data);
        assert!(said.contains("the log is whole"), "{said}");
        lives += 1;
    }
    let server = Server::start(&options).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    let texts = admin
        .rows("SELECT statement_text, execution_status FROM system.query.history WHERE statement_type = 'SELECT' AND 'main.public.t' = ANY (tables_read)")
        .await
        .unwrap();
    let mark = |text: &str| text.strip_prefix("SELECT a, ")?.split(' ').next()?.parse::<u64>().ok();
    let logged: Vec<u64> = texts.iter().filter_map(|row| mark(&row[0])).collect();
    let distinct: BTreeSet<u64> = logged.iter().copied().collect();
    assert_eq!(distinct.len(), logged.len(), "records that are there twice");
    let executed = executed.lock().unwrap().clone();
    let missing: Vec<&u64> = executed.difference(&distinct).collect();
    assert!(missing.is_empty(), "executed and not logged: {missing:?}");
    assert!(texts.iter().all(|row| row[1] != "RUNNING"), "what a dead process ran is LOST");
    println!("{lives} lives, {} statements executed, {} logged", executed.len(), logged.len());
}
