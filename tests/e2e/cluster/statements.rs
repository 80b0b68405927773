//! What a session sees is the same whether its engine is in the process or elsewhere.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, pin_mut};
use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::tools::eventually;

use super::{cluster, engine_of};

#[tokio::test]
async fn statements_run_on_engines() {
    let folder = tempfile::tempdir().unwrap();
    let (_gateway, _engines, admin) = cluster(folder.path()).await;
    admin
        .batch_execute(
            "CREATE SEQUENCE s START 5; CREATE TABLE t (a int PRIMARY KEY, b text, n bigint DEFAULT nextval('s')); \
             INSERT INTO t (a, b) SELECT g, 'row ' || g FROM generate_series(1, 1000) g(g)",
        )
        .await
        .unwrap();
    assert_eq!(admin.value("SELECT count(*) || ' ' || min(n) || ' ' || max(n) FROM t").await.unwrap(), "1000 5 1004");
    let ran_on = engine_of(&admin, "min(n)").await;
    assert!(["e1", "e2"].contains(&ran_on.as_str()), "{ran_on}");
    // The same table, the same engine.
    assert_eq!(admin.value("SELECT max(b) FROM t WHERE a < 10").await.unwrap(), "row 9");
    assert_eq!(engine_of(&admin, "max(b)").await, ran_on);
    assert_eq!(admin.value("SELECT 40 + 2").await.unwrap(), "42");
    assert_eq!(engine_of(&admin, "40 + 2").await, "gateway", "what opens no table stays in the gateway");

    // With what only the gateway knows.
    let joined = "SELECT c.relname || ' ' || count(*) FROM t JOIN pg_class c ON c.oid = 't'::regclass WHERE t.a <= 10 GROUP BY c.relname";
    assert_eq!(admin.value(joined).await.unwrap(), "t 10");
    assert_eq!(
        admin.value("SELECT pg_get_userbyid(c.relowner) FROM t, pg_class c WHERE c.relname = 't' AND a = 1").await.unwrap(),
        "admin"
    );

    assert_eq!(admin.execute("UPDATE t SET b = 'new' WHERE a = 7", &[]).await.unwrap(), 1);
    assert_eq!(admin.rows("DELETE FROM t WHERE a > 995 RETURNING a").await.unwrap().len(), 5);
    assert_eq!(admin.sqlstate("SELECT 1 / (a - 1) FROM t").await, "22012");
    assert_eq!(admin.sqlstate("SELECT nothing FROM t").await, "42703");
    assert_eq!(admin.sqlstate("INSERT INTO t (a, b) VALUES (NULL, 'x')").await, "23502");

    // Parameters, a second execution, and cursors.
    let prepared = admin.prepare("SELECT b FROM t WHERE a = $1").await.unwrap();
    for (a, b) in [(7, "new"), (8, "row 8"), (7, "new")] {
        assert_eq!(admin.query_one(&prepared, &[&a]).await.unwrap().get::<_, String>(0), b);
    }
    admin.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a").await.unwrap();
    assert_eq!(admin.rows("FETCH 3 FROM c").await.unwrap().concat(), ["1", "2", "3"]);
    assert_eq!(admin.rows("FETCH 2 FROM c").await.unwrap().concat(), ["4", "5"]);
    admin.batch_execute("COMMIT").await.unwrap();

    // COPY in both directions.
    let sink = admin.copy_in("COPY t (a, b) FROM STDIN").await.unwrap();
    pin_mut!(sink);
    sink.send(Bytes::from_static(b"5001\tcopied\n5002\tcopied\n")).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2);
    let out = admin.copy_out("COPY (SELECT a, b FROM t WHERE a > 5000 ORDER BY a) TO STDOUT").await.unwrap();
    pin_mut!(out);
    let mut text = Vec::new();
    while let Some(bytes) = out.next().await {
        text.extend_from_slice(&bytes.unwrap());
    }
    assert_eq!(String::from_utf8(text).unwrap(), "5001\tcopied\n5002\tcopied\n");

    admin.batch_execute("CREATE TEMPORARY TABLE mine AS SELECT a FROM t WHERE a < 4").await.unwrap();
    assert_eq!(admin.value("SELECT count(*) FROM mine JOIN t USING (a)").await.unwrap(), "3");
    admin.execute("OPTIMIZE t", &[]).await.unwrap();
    admin.batch_execute("ALTER TABLE t ADD COLUMN c int DEFAULT 3; DROP TABLE mine").await.unwrap();
    assert_eq!(admin.value("SELECT sum(c) FROM t WHERE a <= 10").await.unwrap(), "30");
}

#[tokio::test]
async fn transactions_stay_on_one_engine() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, _engines, admin) = cluster(folder.path()).await;
    for number in 0..6 {
        admin.batch_execute(&format!("CREATE TABLE t{number} (a int); INSERT INTO t{number} VALUES (0)")).await.unwrap();
    }
    let other = Client::admin(&gateway.server).await.unwrap();
    admin.batch_execute("BEGIN").await.unwrap();
    for number in 0..6 {
        admin.batch_execute(&format!("INSERT INTO t{number} VALUES ({number})")).await.unwrap();
        assert_eq!(admin.value(&format!("SELECT count(*) FROM t{number}")).await.unwrap(), "2", "its own row");
        assert_eq!(other.value(&format!("SELECT count(*) FROM t{number}")).await.unwrap(), "1", "nobody else's");
    }
    admin.batch_execute("SAVEPOINT s; DELETE FROM t3; ROLLBACK TO s; COMMIT").await.unwrap();
    let all = "SELECT (SELECT count(*) FROM t0) + (SELECT count(*) FROM t1) + (SELECT count(*) FROM t2) \
               + (SELECT count(*) FROM t3) + (SELECT count(*) FROM t4) + (SELECT count(*) FROM t5)";
    assert_eq!(other.value(all).await.unwrap(), "12");
    admin.batch_execute("BEGIN; DELETE FROM t0; CREATE TABLE t9 AS SELECT * FROM t1; UPDATE t2 SET a = 9; ROLLBACK").await.unwrap();
    assert_eq!(other.value(all).await.unwrap(), "12");
    assert_eq!(admin.sqlstate("SELECT * FROM t9").await, "42P01");
    // Two that change the same row: one of them has to try again.
    admin.batch_execute("BEGIN; UPDATE t0 SET a = a + 1 WHERE a = 0").await.unwrap();
    other.batch_execute("UPDATE t0 SET a = a + 10 WHERE a = 0").await.unwrap();
    assert_eq!(admin.sqlstate("COMMIT").await, "40001");
}

#[tokio::test]
async fn policies_hold_on_engines() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, _engines, admin) = cluster(folder.path()).await;
    admin
        .batch_execute(
            "CREATE TABLE t (owner text, secret text); INSERT INTO t VALUES ('ann', 's1'), ('bob', 's2'); \
             CREATE ROLE ann LOGIN PASSWORD 'p'; GRANT SELECT, INSERT ON t TO ann; \
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = current_user); \
             ALTER TABLE t ALTER COLUMN secret SET MASK ('***')",
        )
        .await
        .unwrap();
    let ann = Client::login(&gateway.server, "ann", "p", "main").await.unwrap();
    assert_eq!(ann.rows("SELECT * FROM t").await.unwrap(), [["ann", "***"]]);
    assert_eq!(ann.sqlstate("INSERT INTO t VALUES ('bob', 'x')").await, "42501");
    assert_eq!(ann.sqlstate("INSERT INTO t VALUES ('ann', 'x')").await, "00000");
    assert_eq!(ann.value("SELECT count(*) FROM t").await.unwrap(), "2");
}

#[tokio::test]
async fn cancelling_stops_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let (_gateway, _engines, admin) = cluster(folder.path()).await;
    admin
        .batch_execute("CREATE TABLE t AS SELECT n::bigint FROM generate_series(1, 300) g(n); SET statement_timeout = '3s'")
        .await
        .unwrap();
    let long = "SELECT count(*) FROM t a, t b, t c, t d, t e WHERE a.n + b.n + c.n + d.n + e.n < 0";
    let error = admin.query_one(long, &[]).await.unwrap_err();
    assert_eq!(sqlstate_of(&error), "57014");
    let running = "SELECT sum(running_statements) FROM system.compute.engines";
    eventually("the engine is idle", Duration::from_secs(10), async || Ok(admin.value(running).await? == "0")).await.unwrap();
}
