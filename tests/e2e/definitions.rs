//! ALTER TABLE as other Delta readers see it, temporary tables across sessions, what indexes do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::{eventually, python};

use crate::support::{self, in_new_schema, unique};

/// Folders of the tables whose name begins so.
pub fn folders_of(warehouse: &Path, table: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![warehouse.to_owned()]);
    while let Some(folder) = folders.pop() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if folder.join("_delta_log").is_dir() {
            if name.starts_with(&format!("{table}_")) {
                found.push(folder);
            }
            continue;
        }
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        folders.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    found
}

pub fn folder_of(server: &Server, table: &str) -> PathBuf {
    let mut found = folders_of(&server.data_dir.join("warehouse"), table);
    assert_eq!(found.len(), 1, "{table}: {found:?}");
    found.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_reads_an_altered_table() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    let table = unique("altered");
    client
        .batch_execute(&format!("CREATE TABLE {table} (id bigint, name text, gone int CHECK (gone > 0), k text) PARTITIONED BY (k)"))
        .await
        .unwrap();
    client.batch_execute(&format!("INSERT INTO {table} VALUES (1, 'one', 1, 'a'), (2, NULL, 2, 'b')")).await.unwrap();
    let root = folder_of(server, &table).display().to_string();
    let read = || python("read_table.py", &[&root, "id"], &[]).unwrap();
    client.batch_execute(&format!("ALTER TABLE {table} RENAME COLUMN name TO title, DROP COLUMN gone")).await.unwrap();
    assert_eq!(read().lines().collect::<Vec<_>>(), ["1|one|a", "2|null|b"]);
    client
        .batch_execute(&format!("ALTER TABLE {table} ADD COLUMN n int DEFAULT 7, ADD COLUMN gone text, ALTER COLUMN id TYPE numeric(20,0)"))
        .await
        .unwrap();
    client.batch_execute(&format!("INSERT INTO {table} (id, k, gone) VALUES (3, 'a', 'new')")).await.unwrap();
    assert_eq!(read().lines().collect::<Vec<_>>(), ["1|one|a|7|null", "2|null|b|7|null", "3|null|a|7|new"]);
    let renamed = client.batch_execute(&format!("ALTER TABLE {table} RENAME COLUMN k TO part")).await.unwrap_err();
    assert_eq!(sqlstate_of(&renamed), "0A000");
    client.batch_execute(&format!("ALTER TABLE {table} ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) STORED")).await.unwrap();
    assert_eq!(read().lines().last().unwrap(), "3|null|a|7|new|14");
    assert_eq!(client.value(&format!("SELECT count(*) FROM {table} WHERE k = 'a'")).await.unwrap(), "2");
    // Each statement is one commit.
    let commits = std::fs::read_dir(Path::new(&root).join("_delta_log")).unwrap();
    let commits = commits.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "json"));
    assert_eq!(commits.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_tables_are_of_one_session() {
    let server = support::server();
    let (one, _) = in_new_schema(server).await;
    let (other, _) = in_new_schema(server).await;
    let table = unique("temporary");
    one.batch_execute(&format!("CREATE TEMP TABLE {table} (a int)")).await.unwrap();
    one.batch_execute(&format!("INSERT INTO {table} VALUES (1)")).await.unwrap();
    let seen = format!("SELECT count(*) FROM pg_class WHERE relname = '{table}'");
    assert_eq!(one.value(&seen).await.unwrap(), "1");
    assert_eq!(other.value(&seen).await.unwrap(), "0");
    let schema = one.value(&format!("SELECT relnamespace::regnamespace FROM pg_class WHERE relname = '{table}'")).await.unwrap();
    assert!(schema.starts_with("pg_temp_"), "{schema}");
    let error = other.batch_execute(&format!("SELECT * FROM {schema}.{table}")).await.unwrap_err();
    assert_eq!(sqlstate_of(&error), "42P01");
    let warehouse = server.data_dir.join("warehouse");
    assert_eq!(folders_of(&warehouse, &table).len(), 1);
    drop(one);
    let gone = async || Ok(folders_of(&warehouse, &table).is_empty());
    eventually("the session's temporary table is gone", Duration::from_secs(20), gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_tables_do_not_outlive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&folder.path().join("data"));
    let server = Server::start(&options).unwrap();
    let table = unique("temporary");
    let client = Client::admin(&server).await.unwrap();
    client.batch_execute(&format!("CREATE TEMP TABLE {table} AS SELECT 1 AS a")).await.unwrap();
    assert_eq!(folders_of(&server.data_dir.join("warehouse"), &table).len(), 1);
    // Killed.
    drop(server);
    let server = Server::start(&options).unwrap();
    let client = Client::admin(&server).await.unwrap();
    assert_eq!(client.value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg_temp_%'").await.unwrap(), "0");
    assert!(folders_of(&server.data_dir.join("warehouse"), &table).is_empty());
}

/// A value between the least and the greatest of every row group, and in none of them: only a Bloom filter can say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_spares_reading() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    client
        .batch_execute("CREATE TABLE events AS SELECT g * 2 AS id, md5(g::text) AS name FROM generate_series(1, 200000) g")
        .await
        .unwrap();
    let rows_read = || async {
        let plan = client.rows("EXPLAIN ANALYZE SELECT name FROM events WHERE id = 100001").await.unwrap().concat().join("\n");
        let label = "Rows Removed by Filter: ";
        let at = plan.find(label).unwrap_or_else(|| panic!("{plan}"));
        plan[at + label.len()..].chars().take_while(char::is_ascii_digit).collect::<String>()
    };
    assert_ne!(rows_read().await, "0");
    client.batch_execute("CREATE INDEX ON events (id)").await.unwrap();
    assert_eq!(rows_read().await, "0");
    assert_eq!(client.value("SELECT count(*) FROM events WHERE id = 100001").await.unwrap(), "0");
    assert_eq!(client.value("SELECT count(*) FROM events WHERE id = 100000").await.unwrap(), "1");
}

/// Values of one statement cost one request, and none is given twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_share_a_sequence() {
    let server = support::server();
    let (client, schema) = in_new_schema(server).await;
    client.batch_execute("CREATE TABLE t (id bigserial, who int)").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for who in 0..4 {
        let client = Client::admin(server).await.unwrap();
        let schema = schema.clone();
        tasks.spawn(async move {
            for _ in 0..5 {
                let insert = format!("INSERT INTO {schema}.t (who) SELECT {who} FROM generate_series(1, 50)");
                client.batch_execute(&insert).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let rows = client.rows("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM t").await.unwrap();
    assert_eq!(rows, [["1000", "1000", "1", "1000"]]);
}
