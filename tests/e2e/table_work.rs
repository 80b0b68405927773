//! Tables as a whole: how they were, how their files lie, what nobody needs any more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::server::Server;
use lakegate_tests::tools::{eventually, python};

use crate::definitions::folder_of;
use crate::gateways;
use crate::support::{self, in_new_schema, unique};

/// A table of one data file of some megabytes, and its folder.
async fn large_table(server: &Server, client: &Client) -> (String, PathBuf) {
    let table = unique("large");
    client
        .batch_execute(&format!("CREATE TABLE {table} AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 100000) g"))
        .await
        .unwrap();
    let folder = folder_of(server, &table);
    (table, folder)
}

/// Names and bytes of the files beside the log.
fn files(folder: &Path, ending: &str) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().len())).collect();
    files.retain(|(name, _)| name.ends_with(ending));
    files.sort();
    files
}

async fn sums(client: &Client, table: &str) -> String {
    client.value(&format!("SELECT count(*) || ' ' || sum(id) || ' ' || min(v) FROM {table}")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_as_it_was() {
    let (client, schema) = in_new_schema(support::server()).await;
    client.batch_execute("CREATE TABLE t (id int, v text)").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')").await.unwrap();
    let moment = client.value("SELECT clock_timestamp()::text FROM (SELECT pg_sleep(0.05)) s").await.unwrap();
    client.batch_execute("SELECT pg_sleep(0.05)").await.unwrap();
    client.batch_execute("UPDATE t SET v = 'changed' WHERE id = 1").await.unwrap();
    client.batch_execute("ALTER TABLE t ADD COLUMN n int DEFAULT 7").await.unwrap();
    assert_eq!(client.value("SELECT string_agg(v, ',' ORDER BY id) FROM t VERSION AS OF 1").await.unwrap(), "one,two");
    assert_eq!(client.value(&format!("SELECT max(v) FROM t TIMESTAMP AS OF '{moment}' WHERE id = 1")).await.unwrap(), "one");
    let both = "SELECT old.v || '>' || t.v FROM t JOIN t VERSION AS OF 1 AS old ON old.id = t.id WHERE t.id = 1";
    assert_eq!(client.value(both).await.unwrap(), "one>changed");
    assert_eq!(client.rows("SELECT * FROM t VERSION AS OF 1 ORDER BY id").await.unwrap()[0], ["1", "one"]);
    client.batch_execute("CREATE VIEW then_ AS SELECT v FROM t VERSION AS OF 1").await.unwrap();
    assert_eq!(client.value("SELECT max(v) FROM then_").await.unwrap(), "two");
    for (sql, code) in [
        ("SELECT * FROM t VERSION AS OF 99", "22023"),
        ("SELECT * FROM t TIMESTAMP AS OF '2001-01-01'", "22023"),
        ("SELECT * FROM t TIMESTAMP AS OF 'no time'", "22007"),
        ("SELECT * FROM then_ VERSION AS OF 1", "42809"),
        ("WITH w AS (SELECT 1) SELECT * FROM w VERSION AS OF 1", "42809"),
        ("UPDATE t VERSION AS OF 1 SET v = ''", "42601"),
        ("SELECT * FROM nothing VERSION AS OF 1", "42P01"),
    ] {
        assert_eq!(client.sqlstate(sql).await, code, "{sql}");
    }
    // Version 2 is of before the column came.
    assert_eq!(client.sqlstate("RESTORE TABLE t TO VERSION AS OF 2").await, "55000");
    client.batch_execute("DELETE FROM t").await.unwrap();
    client.batch_execute("RESTORE TABLE t TO VERSION AS OF 3").await.unwrap();
    assert_eq!(client.value("SELECT string_agg(v || n, ',' ORDER BY id) FROM t").await.unwrap(), "changed7,two7");
    assert_eq!(sqlstate_of(&client.batch_execute("SELECT 1; RESTORE TABLE t TO VERSION AS OF 1").await.unwrap_err()), "25001");
    let history = client.rows("DESCRIBE HISTORY t").await.unwrap();
    assert_eq!(history.iter().map(|row| row[0].as_str()).collect::<Vec<_>>().first(), Some(&"5"));
    assert_eq!(history[0][4], "RESTORE");
    assert_eq!(client.rows("DESCRIBE HISTORY t LIMIT 2").await.unwrap().len(), 2);
    let role = unique("r");
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA {schema} TO {role}")).await.unwrap();
    let other = Client::login(support::server(), &role, "secret", "main").await.unwrap();
    for (sql, code) in [
        ("SELECT * FROM t VERSION AS OF 1", "42501"),
        ("DESCRIBE HISTORY t", "42501"),
        ("OPTIMIZE t", "42501"),
        ("VACUUM t", "42501"),
        ("RESTORE TABLE t TO VERSION AS OF 1", "42501"),
    ] {
        assert_eq!(other.sqlstate(&sql.replace(" t", &format!(" {schema}.t"))).await, code, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_deleted_rows_are_kilobytes() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    let (table, folder) = large_table(server, &client).await;
    let before = files(&folder, ".parquet");
    client.batch_execute(&format!("DELETE FROM {table} WHERE id % 10000 = 1")).await.unwrap();
    client.batch_execute(&format!("UPDATE {table} SET v = 'z' WHERE id = 50000")).await.unwrap();
    let written: u64 = files(&folder, ".bin").iter().map(|(_, bytes)| bytes).sum();
    let added: u64 = files(&folder, ".parquet").iter().filter(|file| !before.contains(file)).map(|(_, bytes)| bytes).sum();
    assert!(before.iter().all(|file| files(&folder, ".parquet").contains(file)), "the large file stays");
    assert!(written > 0 && written + added < 8 << 10, "{written} {added}");
    let sum = 5_000_050_000_i64 - 450_010;
    let count = format!("SELECT count(*) || ' ' || sum(id) FROM {table}");
    assert_eq!(client.value(&count).await.unwrap(), format!("99990 {sum}"));
    let root = folder.display().to_string();
    assert_eq!(python("sum_table.py", &[&root, "id"], &[]).unwrap().trim(), format!("99990 {sum}"));
    // Staged, rolled back, and staged and committed; the same file twice.
    client.batch_execute(&format!("BEGIN; DELETE FROM {table} WHERE id = 2; DELETE FROM {table} WHERE id = 3")).await.unwrap();
    assert_eq!(client.value(&format!("SELECT count(*) FROM {table}")).await.unwrap(), "99988");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(client.value(&format!("SELECT count(*) FROM {table}")).await.unwrap(), "99990");
    client.batch_execute(&format!("BEGIN; DELETE FROM {table} WHERE id = 2; DELETE FROM {table} WHERE id = 3; COMMIT")).await.unwrap();
    assert_eq!(client.value(&format!("SELECT count(*) FROM {table} WHERE id < 5")).await.unwrap(), "1");
    // Two at once on the same file: none is lost.
    let (one, two) = (Client::admin(server).await.unwrap(), Client::admin(server).await.unwrap());
    let schema = client.value("SELECT current_schema()").await.unwrap();
    let delete = |id: i32| format!("DELETE FROM {schema}.{table} WHERE id = {id}");
    let (first, second) = (delete(100), delete(200));
    let (first, second) = tokio::join!(one.batch_execute(&first), two.batch_execute(&second));
    first.unwrap();
    second.unwrap();
    assert_eq!(client.value(&format!("SELECT count(*) FROM {table} WHERE id IN (100, 200)")).await.unwrap(), "0");
    // Purged: what was deleted is in no file of the table any more.
    let sums_before = sums(&client, &table).await;
    let figures = client.rows(&format!("OPTIMIZE {table}")).await.unwrap();
    assert_eq!(figures[0].last().unwrap(), "15");
    assert_eq!(sums(&client, &table).await, sums_before);
    // What was read when other sessions of the server began to read is kept for them.
    eventually("the vectors are gone", Duration::from_secs(60), async || {
        client.batch_execute(&format!("VACUUM {table} RETAIN 0 HOURS")).await?;
        Ok(files(&folder, ".bin").is_empty())
    })
    .await
    .unwrap();
    assert_eq!(files(&folder, ".parquet").len(), 1);
    assert_eq!(sums(&client, &table).await, sums_before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn optimize_lays_rows_out_anew() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    client.batch_execute("CREATE TABLE t (id int, k text, v int) PARTITIONED BY (k)").await.unwrap();
    for part in 0..5 {
        let values = format!("SELECT g, 'k' || g % 2, g * 7919 % 1000 FROM generate_series({}, {}) g", part * 200 + 1, part * 200 + 200);
        client.batch_execute(&format!("INSERT INTO t {values}")).await.unwrap();
    }
    let count = || async { client.value("SELECT count(*) || ' ' || sum(id) || ' ' || sum(v) FROM t").await.unwrap() };
    let before = count().await;
    let figures = client.rows("OPTIMIZE t WHERE k = 'k1'").await.unwrap();
    assert_eq!(figures[0][1..3], ["1", "5"]);
    let figures = client.rows("OPTIMIZE t ZORDER BY (v, id)").await.unwrap();
    assert_eq!(figures[0][1..3], ["2", "6"]);
    assert_eq!(count().await, before);
    // Nothing is left to do.
    assert_eq!(client.rows("OPTIMIZE t").await.unwrap()[0][1..3], ["0", "0"]);
    for (sql, code) in [
        ("OPTIMIZE t WHERE v = 1", "42703"),
        ("OPTIMIZE t ZORDER BY (nothing)", "42703"),
        ("OPTIMIZE t ZORDER BY (k)", "42P16"),
        ("OPTIMIZE nothing", "42P01"),
        ("VACUUM t RETAIN some HOURS", "42601"),
    ] {
        assert_eq!(client.sqlstate(sql).await, code, "{sql}");
    }
    // Against somebody who deletes at the same time: rows do not come back, none is doubled.
    let other = Client::admin(server).await.unwrap();
    let schema = client.value("SELECT current_schema()").await.unwrap();
    for id in 1..=10 {
        let delete = format!("DELETE FROM {schema}.t WHERE id = {id}");
        let (optimized, deleted) = tokio::join!(client.batch_execute("OPTIMIZE t FULL"), other.batch_execute(&delete));
        assert!(optimized.is_ok() || sqlstate_of(optimized.as_ref().unwrap_err()) == "40001", "{optimized:?}");
        deleted.unwrap();
    }
    assert_eq!(client.value("SELECT count(*) || ' ' || min(id) || ' ' || count(DISTINCT id) FROM t").await.unwrap(), "990 11 990");
}

/// A transaction on one gateway reads what a VACUUM on the other would delete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_waits_for_readers_of_all_gateways() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = gateways::two(folder.path());
    let (reader, writer) = (Client::admin(&one).await.unwrap(), Client::admin(&two).await.unwrap());
    writer.batch_execute("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 50000) g").await.unwrap();
    // A vector that is older than the reader; the file that it belongs to will be younger when it goes.
    writer.batch_execute("DELETE FROM t WHERE id IN (49999, 50000)").await.unwrap();
    // Pinned by its catalog entry; the rows are read afterwards.
    reader.batch_execute("BEGIN; SELECT count(*) FROM t WHERE id = 1").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    writer.batch_execute("DELETE FROM t WHERE id > 10; VACUUM FULL t").await.unwrap_err();
    writer.batch_execute("DELETE FROM t WHERE id > 10").await.unwrap();
    writer.batch_execute("OPTIMIZE t FULL").await.unwrap();
    writer.batch_execute("VACUUM t RETAIN 0 HOURS").await.unwrap();
    assert_eq!(reader.value("SELECT count(*) || ' ' || max(v) FROM t WHERE id > 0").await.unwrap().split(' ').next(), Some("49998"));
    reader.batch_execute("COMMIT").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    writer.batch_execute("VACUUM t RETAIN 0 HOURS").await.unwrap();
    assert_eq!(writer.sqlstate("SELECT max(v) FROM t VERSION AS OF 0").await, "58P01");
    assert_eq!(writer.value("SELECT count(*) FROM t").await.unwrap(), "10");
}

/// What every kind of statement leaves in the feed, as Lakegate and as python deltalake read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_data_feed() {
    let server = support::server();
    let (client, schema) = in_new_schema(server).await;
    let table = unique("fed");
    client
        .batch_execute(&format!(
            "CREATE TABLE {table} (a int PRIMARY KEY, b text, p date) PARTITIONED BY (p) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"
        ))
        .await
        .unwrap();
    for sql in [
        "INSERT INTO {t} SELECT g, 'n' || g, CASE WHEN g % 2 = 0 THEN date '2026-02-02' END FROM generate_series(1, 8) g",
        "UPDATE {t} SET b = 'changed' WHERE a <= 2",
        "DELETE FROM {t} WHERE a = 3",
        "MERGE INTO {t} AS t USING (VALUES (4, 'merged'), (5, NULL), (9, 'new')) s (a, b) ON t.a = s.a WHEN MATCHED AND s.b IS NULL THEN DELETE \
         WHEN MATCHED THEN UPDATE SET b = s.b WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)",
        "INSERT INTO {t} VALUES (6, 'up', '2026-02-02'), (10, 'added', NULL) ON CONFLICT (a) DO UPDATE SET b = excluded.b",
        "WITH gone AS (DELETE FROM {t} WHERE a = 7 RETURNING a) UPDATE {t} SET b = 'beside' WHERE a = 8",
        "INSERT INTO {t} VALUES (11, 'plain', '2026-03-03') RETURNING a",
        "OPTIMIZE {t}",
        "DELETE FROM {t}",
    ] {
        client.batch_execute(&sql.replace("{t}", &table)).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let query = format!(
        "SELECT a, b, p, _change_type, _commit_version FROM table_changes('{schema}.{table}', 1) ORDER BY _commit_version, a, _change_type"
    );
    let ours: Vec<String> = client.rows(&query).await.unwrap().iter().map(|row| row.join("|")).collect();
    let folder = folder_of(server, &table);
    let theirs = python("read_changes.py", &[&folder.to_string_lossy(), "1", "a"], &[]).unwrap();
    let theirs: Vec<String> = theirs.lines().map(|line| line.replace("|null", "|∅")).collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.iter().filter(|line| line.contains("|update_preimage|")).count(), 5);
    let version = |kind: &str| {
        format!("SELECT string_agg(DISTINCT _commit_version::text, ',') FROM table_changes('{table}', 0) WHERE _change_type = '{kind}'")
    };
    assert_eq!(client.value(&version("insert")).await.unwrap(), "1,4,5,7");
    assert_eq!(client.value(&version("delete")).await.unwrap(), "3,4,6,9");
    let range = format!("SELECT count(*) FROM table_changes('{table}', 2, 3)");
    assert_eq!(client.value(&range).await.unwrap(), "5");

    // Where rows leave large files by deletion vectors, too.
    client.batch_execute("CREATE TABLE large AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 200000) g").await.unwrap();
    client.batch_execute("ALTER TABLE large SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')").await.unwrap();
    client.batch_execute("DELETE FROM large WHERE id IN (7, 70000)").await.unwrap();
    client.batch_execute("RESTORE TABLE large TO VERSION AS OF 1").await.unwrap();
    let changes = "SELECT string_agg(_change_type || id, ',' ORDER BY _commit_version, id) FROM table_changes('large', 1)";
    assert_eq!(client.value(changes).await.unwrap(), "delete7,delete70000,insert7,insert70000");
    for (sql, code) in [
        ("SELECT * FROM table_changes('large', 0)", "55000"),
        ("SELECT * FROM table_changes('large', 4, 3)", "22023"),
        ("SELECT * FROM table_changes('large', 99)", "22023"),
        ("SELECT * FROM table_changes('nothing', 0)", "42P01"),
        ("SELECT * FROM table_changes('large')", "42883"),
        ("SELECT * FROM table_changes('large', 1 + 1)", "0A000"),
        ("BEGIN; INSERT INTO large VALUES (0, ''); DELETE FROM large WHERE id = 1; COMMIT", "0A000"),
        ("ALTER TABLE large SET TBLPROPERTIES ('delta.nothing' = 'true')", "0A000"),
    ] {
        assert_eq!(client.sqlstate(sql).await, code, "{sql}");
        client.batch_execute("ROLLBACK").await.unwrap();
    }
}
