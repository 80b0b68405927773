//! How far long work has come, seen while it runs.

use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt as _;
use lakegate_tests::client::Client;
use lakegate_tests::tools::{Psql, eventually};

use crate::support::{self, in_new_schema, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_seen_while_it_runs() {
    let (client, schema) = in_new_schema(support::server()).await;
    let (watcher, role) = (Client::admin(support::server()).await.unwrap(), unique("r"));
    client.batch_execute("CREATE TABLE t (a int, b text)").await.unwrap();
    let copy = client.copy_in::<_, Bytes>("COPY t FROM STDIN WHERE a % 2 = 0").await.unwrap();
    let mut copy = Box::pin(copy);
    let rows = (0..40_000).map(|a| format!("{a}\tx\n")).collect::<String>();
    copy.send(Bytes::from(rows.clone())).await.unwrap();
    let oid = watcher.value(&format!("SELECT '{schema}.t'::regclass::oid::text")).await.unwrap();
    let seen = format!(
        "SELECT command || ' ' || type || ' ' || datname || ' ' || bytes_total || ' ' || (bytes_processed <= {} AND bytes_processed > 100000) || ' ' || \
         (tuples_processed >= 8000 AND tuples_processed = tuples_excluded) FROM pg_stat_progress_copy WHERE relid = {oid}",
        rows.len()
    );
    let limit = Duration::from_secs(20);
    eventually("the copy is seen", limit, async || Ok(watcher.rows(&seen).await? == [["COPY FROM PIPE main 0 true true"]])).await.unwrap();
    // What it does is no business of other roles.
    watcher.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'")).await.unwrap();
    let other = Client::login(support::server(), &role, "secret", "main").await.unwrap();
    assert_eq!(other.value(&format!("SELECT count(*) FROM pg_stat_progress_copy WHERE relid = {oid}")).await.unwrap(), "0");
    let hidden = "SELECT count(*) > 0 FROM pg_stat_progress_copy WHERE relid IS NULL AND command IS NULL AND bytes_processed IS NULL";
    assert_eq!(other.value(hidden).await.unwrap(), "t");
    assert_eq!(other.value(&format!("SELECT count(*) FROM system.query.progress WHERE table_name LIKE '%{schema}%'")).await.unwrap(), "0");
    assert_eq!(copy.as_mut().finish().await.unwrap(), 20_000);
    assert!(watcher.rows(&seen).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_seen_while_it_runs_and_told_to_its_client() {
    let (client, schema) = in_new_schema(support::server()).await;
    client.batch_execute("CREATE TABLE t (a text)").await.unwrap();
    let watched = async {
        let watcher = Client::admin(support::server()).await.unwrap();
        let seen = format!(
            "SELECT statement_type || ' ' || phase || ' ' || executed_by || ' ' || (process_id > 0) || ' ' || is_background FROM \
             system.query.progress WHERE table_name = 'main.{schema}.t'"
        );
        let limit = Duration::from_secs(20);
        eventually("it is seen", limit, async || Ok(watcher.rows(&seen).await? == [["INSERT writing rows admin true false"]]))
            .await
            .unwrap();
        eventually("it ends", limit, async || Ok(watcher.rows(&seen).await?.is_empty())).await.unwrap();
    };
    let insert = |interval: &str| {
        let script = format!("SET lakegate.progress_interval = '{interval}'; INSERT INTO {schema}.t SELECT pg_sleep(2.6)::text");
        tokio::task::spawn_blocking(move || Psql::new(support::server()).run(&script).unwrap())
    };
    let (told, ()) = tokio::join!(insert("500ms"), watched);
    let told = told.unwrap().stderr;
    assert!(told.contains("NOTICE:  00000: INSERT of \"t\": writing rows"), "{told}");
    for quiet in ["0", "1h"] {
        let told = insert(quiet).await.unwrap().stderr;
        assert_eq!(told, "", "{quiet}");
    }
}
