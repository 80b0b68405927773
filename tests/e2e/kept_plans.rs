//! Plans and rows that are kept between statements: what others do in between is seen, and what one role sees no other is shown.

use std::time::Duration;

use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::tools::{eventually, python};

use crate::support::{self, in_new_schema, unique};

/// Runs it so often that its plan and its rows are kept.
async fn asked_again(client: &Client, sql: &str) -> String {
    let mut last = String::new();
    for _ in 0..4 {
        last = client.value(sql).await.unwrap();
    }
    last
}

#[tokio::test]
async fn changes_of_others_are_seen() {
    let server = support::server();
    let (one, schema) = in_new_schema(server).await;
    let other = Client::admin(server).await.unwrap();
    other.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    one.batch_execute("CREATE TABLE t (id int, v text); INSERT INTO t SELECT g, 'a' FROM generate_series(1, 10) g").await.unwrap();
    let count = "SELECT count(*) FROM t WHERE v = 'a'";
    let prepared = one.prepare("SELECT count(*) FROM t WHERE id > $1").await.unwrap();
    for round in 0..5_i64 {
        assert_eq!(asked_again(&one, count).await, (10 + round).to_string());
        assert_eq!(asked_again(&other, count).await, (10 + round).to_string());
        for _ in 0..3 {
            assert_eq!(one.query(&prepared, &[&0_i32]).await.unwrap()[0].get::<_, i64>(0), 10 + round);
        }
        other.batch_execute("INSERT INTO t VALUES (100, 'a')").await.unwrap();
        assert_eq!(one.query(&prepared, &[&99_i32]).await.unwrap()[0].get::<_, i64>(0), round + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_foreign_writers_are_seen() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    python("write_tables.py", &[&root], &[]).unwrap();
    let location = unique("kept");
    client.batch_execute(&format!("CREATE EXTERNAL LOCATION {location} URL 'file://{root}/'")).await.unwrap();
    client.batch_execute(&format!("CREATE TABLE f USING DELTA LOCATION 'file://{root}/plain'")).await.unwrap();
    let before: i64 = asked_again(&client, "SELECT count(*) FROM f").await.parse().unwrap();
    python("append_row.py", &[&format!("{root}/plain")], &[]).unwrap();
    let after: i64 = client.value("SELECT count(*) FROM f").await.unwrap().parse().unwrap();
    assert!(after > before, "{after} rows after {before}");
}

#[tokio::test]
async fn rights_and_roles_are_not_shared() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let (reader, other) = (unique("kept"), unique("kept"));
    admin
        .batch_execute(&format!(
            "CREATE ROLE {reader} LOGIN PASSWORD 'p'; CREATE ROLE {other} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA {schema} TO {reader}, {other};
             CREATE TABLE t (id int, owner text, secret text);
             INSERT INTO t VALUES (1, '{reader}', 'a'), (2, '{other}', 'b'), (3, 'nobody', 'c');
             GRANT SELECT ON t TO {reader}, {other};
             ALTER TABLE t ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON t USING (owner = current_user)"
        ))
        .await
        .unwrap();
    let mut sessions = Vec::new();
    for role in [&reader, &other] {
        let session = Client::login(server, role, "p", "main").await.unwrap();
        session.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
        sessions.push(session);
    }
    let text = "SELECT string_agg(secret, ',' ORDER BY id) FROM t";
    for _ in 0..2 {
        assert_eq!(asked_again(&admin, text).await, "a,b,c");
        assert_eq!(asked_again(&sessions[0], text).await, "a");
        assert_eq!(asked_again(&sessions[1], text).await, "b");
    }
    // The same session as somebody else.
    admin.batch_execute(&format!("SET ROLE {reader}")).await.unwrap();
    assert_eq!(asked_again(&admin, text).await, "a");
    admin.batch_execute("RESET ROLE").await.unwrap();
    assert_eq!(asked_again(&admin, text).await, "a,b,c");
    let prepared = sessions[0].prepare("SELECT secret FROM t WHERE id < $1 ORDER BY id").await.unwrap();
    for _ in 0..3 {
        assert_eq!(sessions[0].query(&prepared, &[&9_i32]).await.unwrap().len(), 1);
    }
    admin.batch_execute("ALTER TABLE t ALTER COLUMN secret SET MASK ('*')").await.unwrap();
    assert_eq!(sessions[0].query(&prepared, &[&9_i32]).await.unwrap()[0].get::<_, String>(0), "*");
    assert_eq!(asked_again(&sessions[1], text).await, "*");
    admin.batch_execute("ALTER TABLE t ALTER COLUMN secret DROP MASK; DROP POLICY own ON t").await.unwrap();
    assert_eq!(sessions[0].query(&prepared, &[&9_i32]).await.unwrap().len(), 0);
    assert_eq!(sessions[1].value(&format!("SELECT count(*) FROM t -- {schema}")).await.unwrap(), "0");
    admin.batch_execute("ALTER TABLE t DISABLE ROW LEVEL SECURITY").await.unwrap();
    assert_eq!(asked_again(&sessions[1], text).await, "a,b,c");
    admin.batch_execute(&format!("REVOKE SELECT ON t FROM {reader}")).await.unwrap();
    assert_eq!(sqlstate_of(&sessions[0].query(&prepared, &[&9_i32]).await.unwrap_err()), "42501");
    assert_eq!(sessions[0].sqlstate(text).await, "42501");
    assert_eq!(asked_again(&sessions[1], text).await, "a,b,c");
}

#[tokio::test]
async fn the_history_says_whose_rows_they_are() {
    let server = support::server();
    let (client, schema) = in_new_schema(server).await;
    client.batch_execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    // As text: what asks the history is not to find itself.
    let asked = format!("SELECT sum(id) AS of_{schema} FROM t");
    let history = async || {
        let text = format!(
            "SELECT from_result_cache, cache_origin_statement_id::text = (first_value(statement_id) OVER w)::text, produced_rows, read_files \
             FROM system.query.history WHERE statement_text = 'SELECT sum(id) AS of_' || '{schema} FROM t' WINDOW w AS \
             (ORDER BY start_time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY start_time"
        );
        client.rows(&text).await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(client.value(&asked).await.unwrap(), "500500");
    }
    let ended = async || Ok(history().await.iter().filter(|row| row[2] == "1").count() == 3);
    eventually("three entries", Duration::from_secs(10), ended).await.unwrap();
    let shown: Vec<Vec<String>> = history().await;
    assert_eq!(shown[0][0], "f");
    assert_eq!(shown[1][0], "f");
    assert_eq!(shown[2], ["t", "t", "1", "0"], "{shown:?}");
    client.batch_execute("SET lakegate.result_cache = off").await.unwrap();
    for _ in 0..4 {
        assert_eq!(client.value(&asked).await.unwrap(), "500500");
    }
    let ended = async || Ok(history().await.iter().filter(|row| row[2] == "1").count() == 7);
    eventually("seven entries", Duration::from_secs(10), ended).await.unwrap();
    assert_eq!(history().await.iter().filter(|row| row[0] == "t").count(), 1);
}

/// A session that sits on a prepared statement keeps no files from VACUUM.
#[tokio::test]
async fn an_idle_plan_holds_no_files() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    client.batch_execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    let prepared = client.prepare("SELECT count(*) FROM t WHERE id > $1").await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.query(&prepared, &[&0_i32]).await.unwrap()[0].get::<_, i64>(0), 1_000);
        assert_eq!(client.value("SELECT max(id) FROM t").await.unwrap(), "1000");
    }
    client.batch_execute("DELETE FROM t").await.unwrap();
    let rows = client.rows("VACUUM t RETAIN 0 HOURS DRY RUN").await.unwrap();
    assert!(!rows.is_empty(), "the file of the deleted rows is held");
    client.batch_execute("VACUUM t RETAIN 0 HOURS").await.unwrap();
    assert_eq!(client.query(&prepared, &[&0_i32]).await.unwrap()[0].get::<_, i64>(0), 0);
}
