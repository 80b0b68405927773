//! The sealed statement log: what it holds, what it hides, and what a crash leaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::eventually;
use lakegate_tests::wire::{Target, Wire, bind, execute, parse};
use tokio::task::JoinSet;

use crate::startup::files_under;
use crate::support::{self, in_new_schema, unique};

/// Canaries are looked for in these spellings.
fn spellings(canary: &str) -> Vec<Vec<u8>> {
    use base64::Engine as _;
    let utf16 = canary.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(canary);
    // The ends depend on what stands beside it.
    let inner = base64.as_bytes()[4..base64.len() - 4].to_vec();
    vec![canary.as_bytes().to_vec(), canary.to_uppercase().into_bytes(), utf16, hex.into_bytes(), inner]
}

#[tokio::test]
async fn a_canary_is_in_no_byte_of_the_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&Options::new(&data)).unwrap();
    let [in_table, in_literal, in_parameter, in_password, in_error, in_syntax_error, in_bad_login] =
        ["table", "literal", "parameter", "password", "error", "syntax", "login"].map(|place| unique(&format!("canary_{place}_zq")));
    let client = Client::admin(&server).await.unwrap();
    client.batch_execute("CREATE TABLE holds_it (id bigint, word text)").await.unwrap();
    client.batch_execute(&format!("INSERT INTO holds_it VALUES (1, '{in_table}'), (2, 'b')")).await.unwrap();
    client.batch_execute(&format!("SELECT count(*) FROM holds_it WHERE word = '{in_literal}'")).await.unwrap();
    assert_eq!(client.query("SELECT id FROM holds_it WHERE word = $1", &[&in_parameter]).await.unwrap().len(), 0);
    client.batch_execute(&format!("CREATE ROLE keeper LOGIN PASSWORD '{in_password}'")).await.unwrap();
    client.batch_execute(&format!("ALTER ROLE keeper PASSWORD '{in_password}2'")).await.unwrap();
    assert_eq!(client.sqlstate(&format!("SELECT '{in_error}'::int4")).await, "22P02");
    assert_eq!(client.sqlstate(&format!("CREATE ROLE x PASSWORD '{in_syntax_error}' SYNTAX ERROR")).await, "42601");
    assert_eq!(client.sqlstate(&format!("CREATE ROLE admin PASSWORD '{in_syntax_error}b'")).await, "42710");
    assert!(Client::login(&server, "admin", &in_bad_login, "main").await.is_err());
    Client::login(&server, "keeper", &format!("{in_password}2"), "main").await.unwrap();
    let visible = client.rows("SELECT statement_text FROM system.query.history").await.unwrap().concat().join("\n");
    assert!(visible.contains(&in_literal), "the statement's own role reads its text");
    for secret in [&in_password, &in_syntax_error] {
        assert!(!visible.contains(secret), "a password is not stored, not even sealed");
    }
    let metrics = server.http_get("/metrics").unwrap().1;
    drop(client);
    server.process.signal("TERM").unwrap();
    server.process.wait(Duration::from_secs(40)).unwrap();
    let warehouse = data.join("warehouse");
    let mut places: Vec<(String, Vec<u8>)> = vec![("metrics".to_owned(), metrics.into_bytes())];
    places.push(("standard error".to_owned(), server.log().into_bytes()));
    places.push(("standard output".to_owned(), std::fs::read(&server.process.stdout).unwrap()));
    for path in files_under(&data).into_iter().filter(|path| !path.starts_with(&warehouse)) {
        places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    assert!(places.iter().any(|(place, _)| place.ends_with("catalog.db")), "the catalog is among the places");
    let mut found = Vec::new();
    for canary in [&in_table, &in_literal, &in_parameter, &in_password, &in_error, &in_syntax_error, &in_bad_login] {
        for spelling in spellings(canary) {
            for (place, bytes) in &places {
                if bytes.windows(spelling.len()).any(|window| window == spelling) {
                    found.push(format!("{canary} in {place}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    // The search can find: the table's own files hold the canary of the table.
    let held = files_under(&warehouse).iter().any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(in_table.len()).any(|window| window == in_table.as_bytes())
    });
    assert!(held, "the canary is in the table's files or their statistics");
}

#[tokio::test]
async fn history_tells_what_happened_and_whose_text_is_whose() {
    let server = support::server();
    let (client, schema) = in_new_schema(server).await;
    let role = unique("reader");
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'")).await.unwrap();
    client.batch_execute("CREATE TABLE numbers (n bigint)").await.unwrap();
    client.batch_execute("INSERT INTO numbers SELECT g FROM generate_series(1, 1000) g").await.unwrap();
    let marker = unique("marker");
    client.batch_execute(&format!("SELECT n, '{marker}' FROM numbers WHERE n <= 10")).await.unwrap();
    assert_eq!(client.sqlstate(&format!("SELECT '{marker}' FROM numbers WHERE 1 / (n - 5) > 0")).await, "22012");
    let mine = format!(
        "SELECT execution_status, coalesce(sqlstate, '00000'), produced_rows, statement_type, executed_by, executed_as, database, client_application, \
         tables_read::text LIKE '%numbers%', end_time >= start_time, total_duration_ms >= 0 \
         FROM system.query.history WHERE statement_text LIKE '%{marker}%' AND statement_text NOT LIKE '%history%' ORDER BY start_time"
    );
    let mut rows = Vec::new();
    eventually("both statements are finished in the history", Duration::from_secs(5), async || {
        rows = client.rows(&mine).await?;
        Ok(rows.len() == 2 && rows.iter().all(|row| row[0] != "RUNNING"))
    })
    .await
    .unwrap_or_else(|error| panic!("{error}: {rows:?}"));
    assert_eq!(rows[0], ["FINISHED", "00000", "10", "SELECT", "admin", "admin", "main", "e2e", "t", "t", "t"]);
    assert_eq!(rows[1][..2], ["FAILED", "22012"]);
    let written = format!(
        "SELECT written_rows, tables_written::text LIKE '%{schema}%' FROM system.query.history \
         WHERE statement_text LIKE 'INSERT INTO numbers%' ORDER BY start_time DESC LIMIT 1"
    );
    assert_eq!(client.rows(&written).await.unwrap(), [["1000", "t"]]);
    // Another role sees its own statements; of others at most that they were, never their text.
    let reader = Client::login(server, &role, "p", "main").await.unwrap();
    reader.batch_execute("SELECT 'mine'").await.unwrap();
    let shown = reader.rows("SELECT statement_text FROM system.query.history WHERE executed_by = 'admin'").await.unwrap();
    assert!(shown.iter().all(|row| row[0] == "∅"), "{shown:?}");
    let own = reader.value("SELECT count(*) FROM system.query.history WHERE statement_text = 'SELECT ''mine'''").await.unwrap();
    assert_eq!(own, "1");
}

#[tokio::test]
async fn logins_and_denials_are_audited() {
    let server = support::server();
    let (client, schema) = in_new_schema(server).await;
    let role = unique("stranger");
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; CREATE TABLE closed (a int)")).await.unwrap();
    assert!(Client::login(server, &role, "wrong", "main").await.is_err());
    let stranger = Client::login(server, &role, "p", "main").await.unwrap();
    assert_eq!(stranger.sqlstate(&format!("SELECT * FROM {schema}.closed")).await, "42501");
    let audit =
        format!("SELECT action_name, status, coalesce(sqlstate, '') FROM system.access.audit WHERE actor = '{role}' ORDER BY event_time");
    eventually("the three events are in the audit", Duration::from_secs(5), async || {
        let rows = client.rows(&audit).await?;
        let has = |action: Option<&str>, status: &str, code: &str| {
            rows.iter().any(|row| action.is_none_or(|action| row[0] == action) && row[1] == status && (code.is_empty() || row[2] == code))
        };
        Ok(has(Some("login"), "denied", "28P01") && has(Some("login"), "success", "") && has(None, "denied", "42501"))
    })
    .await
    .unwrap();
    let grants = format!("SELECT count(*) FROM system.access.audit WHERE action_name LIKE '%role%' AND object_name = '{role}'");
    assert_ne!(client.value(&grants).await.unwrap(), "0", "the making of the role is audited");
    assert_eq!(stranger.value("SELECT count(*) FROM system.access.audit WHERE actor = 'admin'").await.unwrap_or("0".into()), "0");
}

/// kill -9 while 32 connections insert: what was acknowledged is there, what is there was logged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_acknowledged_row_and_no_log_entry() {
    const CONNECTIONS: usize = 32;
    const KILL_AFTER: i64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&folder.path().join("data"));
    let server = Arc::new(Server::start(&options).unwrap());
    let admin = Client::admin(&server).await.unwrap();
    admin.batch_execute("CREATE TABLE ledger (id bigint, writer bigint)").await.unwrap();
    let acknowledged = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let next = Arc::new(AtomicI64::new(0));
    let done = Arc::new(AtomicI64::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..CONNECTIONS {
        let (server, acknowledged, next, done) = (Arc::clone(&server), Arc::clone(&acknowledged), Arc::clone(&next), Arc::clone(&done));
        writers.spawn(async move {
            let Ok(client) = Client::admin(&server).await else { return };
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= 1000 {
                    return;
                }
                match client.simple_query(&format!("INSERT INTO ledger VALUES ({id}, {writer})")).await {
                    Ok(_) => {
                        acknowledged.lock().unwrap().insert(id);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) if error.is_closed() || error.code().is_none() => return,
                    // A conflict or a full queue is an answer: the row is not there.
                    Err(_) => {}
                }
            }
        });
    }
    eventually("enough rows are acknowledged", Duration::from_secs(120), async || Ok(done.load(Ordering::Relaxed) >= KILL_AFTER))
        .await
        .unwrap();
    server.process.signal("KILL").unwrap();
    while writers.join_next().await.is_some() {}
    drop(admin);
    drop(server);
    let acknowledged = acknowledged.lock().unwrap().clone();
    let server = Server::start(&options).unwrap();
    let client = Client::admin(&server).await.unwrap();
    let rows = client.rows("SELECT id, count(*) FROM ledger GROUP BY id").await.unwrap();
    let doubled: Vec<_> = rows.iter().filter(|row| row[1] != "1").collect();
    assert!(doubled.is_empty(), "rows that are there twice: {doubled:?}");
    let present: BTreeSet<i64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    let lost: Vec<_> = acknowledged.difference(&present).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    let texts = client
        .rows("SELECT statement_text, execution_status FROM system.query.history WHERE statement_text LIKE 'INSERT INTO ledger%'")
        .await
        .unwrap();
    let logged: BTreeSet<i64> = texts.iter().filter_map(|row| row[0].split('(').nth(1)?.split(',').next()?.trim().parse().ok()).collect();
    let unlogged: Vec<_> = present.difference(&logged).collect();
    assert!(unlogged.is_empty(), "rows without a log entry: {unlogged:?}");
    assert!(texts.iter().all(|row| row[1] != "RUNNING"), "the statements of the dead process are marked LOST");
    client.batch_execute("INSERT INTO ledger VALUES (-1, -1)").await.unwrap();
    assert_eq!(client.value("SELECT count(*) FROM ledger").await.unwrap(), (present.len() + 1).to_string());
}

/// A statement that touches a relation is in the log before its first row is out.
#[tokio::test]
async fn a_running_statement_is_already_in_the_log() {
    let server = support::server();
    let (client, schema) = in_new_schema(server).await;
    client.batch_execute("CREATE TABLE big AS SELECT g AS n FROM generate_series(1, 200000) g").await.unwrap();
    let mut slow = Wire::login(&Target::of_server(server), true, &[]).await.unwrap();
    let marker = unique("marker");
    let sql = format!("SELECT a.n, '{marker}' FROM {schema}.big a, {schema}.big b");
    slow.send(&[parse("", &sql, &[]), bind("", "", &[], &[], &[]), execute("", 10), lakegate_tests::wire::bare(b'H')].concat())
        .await
        .unwrap();
    while slow.must_receive().await.unwrap().tag != b's' {}
    let status = format!(
        "SELECT execution_status FROM system.query.history WHERE statement_text LIKE '%{marker}%' AND statement_text NOT LIKE '%LIKE%'"
    );
    assert_eq!(client.rows(&status).await.unwrap(), [["RUNNING"]]);
    drop(slow);
    eventually("the abandoned statement is marked", Duration::from_secs(5), async || Ok(client.rows(&status).await? == [["CANCELED"]]))
        .await
        .unwrap();
}
