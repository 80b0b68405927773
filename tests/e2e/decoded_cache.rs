//! Columns that are kept decoded: the same answers as without, of the version that is asked for, and gone when their files are.

use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::eventually;

use crate::support::{self, in_new_schema};

/// Questions about the table `t` that read one column or all, with conditions that leave out much or little.
const QUESTIONS: &[&str] = &[
    "SELECT count(v), min(v), max(v), sum(id), sum(n), count(d), max(ts), bool_or(b), sum(f) FROM t",
    "SELECT * FROM t WHERE id = 77777",
    "SELECT * FROM t WHERE id BETWEEN 8190 AND 8195 ORDER BY id",
    "SELECT count(*), sum(id) FROM t WHERE id > 199000",
    "SELECT count(*), min(id) FROM t WHERE v = 'v77777' OR id < 10",
    "SELECT count(*) FROM t WHERE v IS NULL",
    "SELECT count(*), sum(id) FROM t WHERE n < 0.5 AND d > '2024-06-01'",
    "SELECT p, count(*), sum(id) FROM t GROUP BY p ORDER BY p",
    "SELECT sum(id) FROM t WHERE p = 'b' AND id % 7 = 3",
    "SELECT id, v FROM t ORDER BY id DESC LIMIT 3",
    "SELECT id FROM t ORDER BY n DESC, id LIMIT 3",
    "SELECT count(*), sum(a.id) FROM t a JOIN t b ON a.id = b.id + 1 WHERE b.id < 1000",
    "SELECT id + 1, upper(v), array_length(l, 1), l[2] FROM t WHERE id IN (1, 8192, 8193, 150000) ORDER BY id",
    "SELECT count(*) FROM t WHERE id = -1",
    "SELECT count(l), max(f) FROM t WHERE f > 1000",
];

async fn answers(client: &Client) -> Vec<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for question in QUESTIONS {
        all.push(client.rows(question).await.unwrap());
    }
    all
}

/// With the cache, until it is warm, and without: all the same.
async fn agree(cached: &Client, plain: &Client, when: &str) {
    let expected = answers(plain).await;
    for round in 0..3 {
        for ((question, expected), came) in QUESTIONS.iter().zip(&expected).zip(answers(cached).await) {
            assert_eq!(*expected, came, "{when}, round {round}: {question}");
        }
    }
}

/// Two sessions in a new schema; neither keeps rows, the second one reads files each time.
async fn two(server: &Server) -> (Client, Client) {
    let (cached, schema) = in_new_schema(server).await;
    let plain = Client::admin(server).await.unwrap();
    cached.batch_execute("SET lakegate.result_cache = off").await.unwrap();
    plain
        .batch_execute(&format!("SET search_path = {schema}; SET lakegate.result_cache = off; SET lakegate.decoded_cache = off"))
        .await
        .unwrap();
    (cached, plain)
}

fn table(partitioned: bool) -> String {
    format!(
        "CREATE TABLE t (id bigint NOT NULL, v text, n numeric(12,3), d date, ts timestamptz, b boolean, f double precision, l int[], p text) {};
         INSERT INTO t SELECT g, CASE WHEN g % 11 <> 0 THEN 'v' || g END, g / 1000.0, date '2024-01-01' + (g % 365)::int,
         timestamptz '2024-01-01 00:00:00+00' + g * interval '1 second', g % 3 = 0, CASE WHEN g % 5 = 0 THEN 'NaN'::float8 ELSE g / 3.0::float8 END,
         CASE WHEN g % 2 = 0 THEN ARRAY[g::int, NULL, 3] ELSE ARRAY[g::int, g::int + 1] END, chr(97 + (g % 4)::int) FROM generate_series(1, 200000) g",
        if partitioned { "PARTITIONED BY (p)" } else { "" }
    )
}

#[tokio::test]
async fn answers_are_the_same_and_columns_come_from_memory() {
    let server = support::server();
    for partitioned in [false, true] {
        let (cached, plain) = two(server).await;
        cached.batch_execute(&table(partitioned)).await.unwrap();
        agree(&cached, &plain, "new").await;
        let lines = cached.rows("EXPLAIN (ANALYZE) SELECT sum(id) FROM t WHERE id = 77777").await.unwrap().concat().join("\n");
        assert!(lines.contains("Bytes in Memory"), "{lines}");
        assert!(lines.contains("Rows Pruned in Memory"), "{lines}");
        assert!(!lines.contains("Bytes Read"), "{lines}");
        let lines = plain.rows("EXPLAIN (ANALYZE) SELECT sum(id) FROM t WHERE id = 77777").await.unwrap().concat().join("\n");
        assert!(!lines.contains("Bytes in Memory") && lines.contains("Bytes Read"), "{lines}");
        // Rows that deletion vectors hide.
        cached.batch_execute("DELETE FROM t WHERE id % 1000 = 7 OR id BETWEEN 8190 AND 8193 OR id = 77777").await.unwrap();
        agree(&cached, &plain, "deleted").await;
        cached.batch_execute("UPDATE t SET v = 'updated', n = 0.1 WHERE id % 5000 = 1").await.unwrap();
        agree(&cached, &plain, "updated").await;
        // A transaction sees its own changes, and another session does not.
        cached.batch_execute("BEGIN; DELETE FROM t WHERE id < 100").await.unwrap();
        assert_eq!(cached.value("SELECT min(id) FROM t").await.unwrap(), "100");
        assert_eq!(plain.value("SELECT min(id) FROM t").await.unwrap(), "1");
        cached.batch_execute("ROLLBACK").await.unwrap();
        agree(&cached, &plain, "rolled back").await;
        // Older versions.
        let old = "SELECT count(*), sum(id), count(v) FROM t VERSION AS OF 1";
        for _ in 0..3 {
            assert_eq!(cached.rows(old).await.unwrap(), plain.rows(old).await.unwrap());
        }
        cached.batch_execute("ALTER TABLE t ADD COLUMN added int").await.unwrap();
        cached.batch_execute("INSERT INTO t (id, added, p) VALUES (500000, 5, 'a')").await.unwrap();
        for sql in ["SELECT count(added), sum(added) FROM t", "SELECT id FROM t WHERE added IS NOT NULL"] {
            for _ in 0..3 {
                assert_eq!(cached.rows(sql).await.unwrap(), plain.rows(sql).await.unwrap(), "{sql}");
            }
        }
        cached.batch_execute("ALTER TABLE t RENAME COLUMN v TO w; ALTER TABLE t ADD COLUMN v text").await.unwrap();
        agree(&cached, &plain, "renamed").await;
        cached.batch_execute("OPTIMIZE t").await.unwrap();
        agree(&cached, &plain, "optimised").await;
    }
}

#[tokio::test]
async fn policies_hold_over_columns_in_memory() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let role = crate::support::unique("decoded");
    admin
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA {schema} TO {role};
             CREATE TABLE t (id int, owner text, secret text);
             INSERT INTO t SELECT g, CASE WHEN g % 2 = 0 THEN '{role}' ELSE 'else' END, 's' || g FROM generate_series(1, 20000) g;
             GRANT SELECT ON t TO {role}; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = current_user);
             ALTER TABLE t ALTER COLUMN secret SET MASK ('*')"
        ))
        .await
        .unwrap();
    let user = Client::login(server, &role, "p", "main").await.unwrap();
    user.batch_execute(&format!("SET search_path = {schema}; SET lakegate.result_cache = off")).await.unwrap();
    for _ in 0..4 {
        assert_eq!(admin.rows("SELECT count(*), min(owner) FROM t").await.unwrap(), [["20000", role.as_str()]]);
        assert_eq!(user.rows("SELECT count(*), max(secret), min(owner) FROM t").await.unwrap(), [["10000", "*", role.as_str()]]);
        assert_eq!(user.value("SELECT count(*) FROM t WHERE id % 2 = 1").await.unwrap(), "0");
    }
}

async fn held(client: &Client) -> (u64, u64) {
    let row = client.rows("SELECT entries, bytes FROM system.compute.caches WHERE cache = 'decoded columns'").await.unwrap().remove(0);
    (row[0].parse().unwrap(), row[1].parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_bounded_shown_and_goes_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&folder.path().join("data")).argument("--decoded-cache").argument("16MiB");
    let server = Server::start(&options).unwrap();
    let (client, _) = in_new_schema(&server).await;
    client.batch_execute("SET lakegate.result_cache = off").await.unwrap();
    client
        .batch_execute("CREATE TABLE t (id bigint, v text); INSERT INTO t SELECT g, 'text ' || g FROM generate_series(1, 100000) g")
        .await
        .unwrap();
    let asked = "SELECT sum(id), max(v) FROM t";
    client.rows(asked).await.unwrap();
    assert_eq!(held(&client).await, (0, 0), "what is asked for once is not kept");
    for _ in 0..3 {
        client.rows(asked).await.unwrap();
    }
    let (entries, bytes) = held(&client).await;
    assert!(entries >= 2 && bytes > 1_000_000, "{entries} {bytes}");
    let (_, metrics) = server.http_get("/metrics").unwrap();
    let hits = metrics.lines().find(|line| line.starts_with("lakegate_cache_hits_total{cache=\"decoded columns\"}")).unwrap();
    assert!(!hits.ends_with(" 0"), "{hits}");
    let percent = async || {
        let sql = "SELECT read_io_cache_percent FROM system.query.history WHERE statement_text = 'SELECT sum(id), ' || 'max(v) FROM t' \
                   AND execution_status = 'FINISHED' ORDER BY start_time DESC LIMIT 1";
        Ok(client.value(sql).await.unwrap() == "100")
    };
    eventually("the history to tell of the cache", Duration::from_secs(10), percent).await.unwrap();
    // More than there is room for: what is there stays within its bounds.
    client
        .batch_execute(
            "CREATE TABLE big AS SELECT g AS a, g + 1 AS b, 'some text that takes room ' || g AS c FROM generate_series(1, 1000000) g",
        )
        .await
        .unwrap();
    for _ in 0..4 {
        client.rows("SELECT sum(a), sum(b), max(c) FROM big").await.unwrap();
        assert!(held(&client).await.1 <= 16 << 20);
    }
    client.batch_execute("DROP TABLE big").await.unwrap();
    // Files that VACUUM deletes are gone from memory.
    for _ in 0..4 {
        client.rows(asked).await.unwrap();
    }
    assert!(held(&client).await.0 >= 2);
    client.batch_execute("TRUNCATE t").await.unwrap();
    client.batch_execute("VACUUM t RETAIN 0 HOURS").await.unwrap();
    assert_eq!(held(&client).await, (0, 0));
    client.batch_execute("INSERT INTO t SELECT g, 'text ' || g FROM generate_series(1, 100000) g").await.unwrap();
    for _ in 0..4 {
        client.rows(asked).await.unwrap();
    }
    assert!(held(&client).await.0 >= 2);
    client.batch_execute("DROP TABLE t").await.unwrap();
    assert_eq!(held(&client).await, (0, 0));
    let none = folder.path().join("none");
    let server = Server::start(&Options::new(&none).argument("--decoded-cache").argument("0")).unwrap();
    let (client, _) = in_new_schema(&server).await;
    client.batch_execute("CREATE TABLE t (id bigint); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    for _ in 0..4 {
        assert_eq!(client.value("SELECT sum(id) FROM t WHERE id < 2000").await.unwrap(), "500500");
    }
    assert_eq!(held(&client).await, (0, 0));
}
