//! RETURNING, INSERT … ON CONFLICT and MERGE: by the extended protocol, side by side, for roles that may not do everything, and what
//! other readers of the table find.

use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::tools::eventually;
use tokio_postgres::types::Type;

use crate::support::{self, in_new_schema, unique};

async fn another(schema: &str) -> Client {
    let client = Client::admin(support::server()).await.unwrap();
    client.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    client
}

#[tokio::test]
async fn drivers_get_the_columns_of_returning() {
    let (client, _) = in_new_schema(support::server()).await;
    client.batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, name varchar(10), n numeric(10,2) DEFAULT 1.5)").await.unwrap();
    let insert = client.prepare("INSERT INTO t (id, name) VALUES ($1, $2) RETURNING id, name, n::float8 * $3 AS product").await.unwrap();
    assert_eq!(insert.params(), [Type::INT8, Type::VARCHAR, Type::FLOAT8]);
    let columns: Vec<_> = insert.columns().iter().map(|column| (column.name(), column.type_().clone())).collect();
    assert_eq!(columns, [("id", Type::INT8), ("name", Type::VARCHAR), ("product", Type::FLOAT8)]);
    for id in 1..=3_i64 {
        let row = client.query_one(&insert, &[&id, &"x", &2.0]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1), row.get::<_, f64>(2)), (id, "x", 3.0));
    }
    let upsert = "INSERT INTO t VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name || $3 WHERE t.id > $4 RETURNING name";
    let upsert = client.prepare(upsert).await.unwrap();
    let names = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>();
    assert_eq!(names(client.query(&upsert, &[&2_i64, &"two", &"!", &0_i64]).await.unwrap()), ["two!"]);
    assert_eq!(names(client.query(&upsert, &[&2_i64, &"two", &"!", &2_i64]).await.unwrap()), [""; 0]);
    assert_eq!(names(client.query(&upsert, &[&4_i64, &"four", &"!", &2_i64]).await.unwrap()), ["four"]);
    let update = client.prepare("UPDATE t SET n = v.n FROM (VALUES ($1::bigint, $2::numeric)) v (id, n) WHERE v.id = t.id").await.unwrap();
    assert!(update.columns().is_empty());
    let merge = "MERGE INTO t USING (SELECT $1::bigint AS id) s ON s.id = t.id WHEN MATCHED THEN DELETE \
                 WHEN NOT MATCHED BY SOURCE AND t.id > $2 THEN UPDATE SET name = $3";
    let merge = client.prepare(merge).await.unwrap();
    assert_eq!(client.execute(&merge, &[&1_i64, &3_i64, &"rest"]).await.unwrap(), 2);
    let left = client.rows("SELECT id, name FROM t ORDER BY id").await.unwrap();
    assert_eq!(left, [["2", "two!"], ["3", "x"], ["4", "rest"]]);
    // All rows of a portal count, however they are fetched.
    let deleted = client.query("DELETE FROM t RETURNING id", &[]).await.unwrap();
    assert_eq!(deleted.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upserts_of_one_key_end_with_one_row() {
    const SESSIONS: usize = 4;
    const ROUNDS: usize = 5;
    let (client, schema) = in_new_schema(support::server()).await;
    client.batch_execute("CREATE TABLE counters (k int PRIMARY KEY, n int NOT NULL)").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..SESSIONS {
        let session = another(&schema).await;
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                let upsert = "INSERT INTO counters VALUES (1, 1) ON CONFLICT (k) DO UPDATE SET n = counters.n + excluded.n";
                session.batch_execute(upsert).await.unwrap();
                let merge = "MERGE INTO counters USING (VALUES (2)) v (k) ON v.k = counters.k \
                             WHEN MATCHED THEN UPDATE SET n = n + 1 WHEN NOT MATCHED THEN INSERT VALUES (v.k, 1)";
                session.batch_execute(merge).await.unwrap();
                session.batch_execute("INSERT INTO counters VALUES (3, 0) ON CONFLICT DO NOTHING").await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let total = (SESSIONS * ROUNDS).to_string();
    let expected = [["1", &total], ["2", &total], ["3", "0"]];
    assert_eq!(client.rows("SELECT * FROM counters ORDER BY k").await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upserts_of_one_key_in_two_blocks_conflict() {
    let (one, schema) = in_new_schema(support::server()).await;
    let other = another(&schema).await;
    one.batch_execute("CREATE TABLE t (k int PRIMARY KEY, v text)").await.unwrap();
    for session in [&one, &other] {
        session.batch_execute("BEGIN; INSERT INTO t VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET v = 'again'").await.unwrap();
    }
    one.batch_execute("COMMIT").await.unwrap();
    assert_eq!(other.sqlstate("COMMIT").await, "40001");
    assert_eq!(one.rows("SELECT * FROM t").await.unwrap(), [["1", "x"]]);
    // Rows that somebody else adds without looking do not stand in the way.
    other.batch_execute("BEGIN; INSERT INTO t VALUES (2, 'y') ON CONFLICT DO NOTHING").await.unwrap();
    one.batch_execute("INSERT INTO t VALUES (3, 'z')").await.unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(one.value("SELECT string_agg(k::text, ' ' ORDER BY k) FROM t").await.unwrap(), "1 2 3");
}

#[tokio::test]
async fn reading_the_target_takes_select() {
    let server = support::server();
    let (admin, schema) = in_new_schema(server).await;
    let role = unique("r");
    let setup = [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'p'"),
        format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
        "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE TABLE s (c int)".to_owned(),
        format!("GRANT SELECT ON s TO {role}"),
    ];
    for sql in &setup {
        admin.batch_execute(sql).await.unwrap();
    }
    let user = Client::login(server, &role, "p", "main").await.unwrap();
    user.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    // What each takes, the last of which is missing at first.
    let cases: &[(&[&str], &str)] = &[
        (&["INSERT"], "INSERT INTO t VALUES (1) RETURNING 1"),
        (&["INSERT"], "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING"),
        (&["INSERT", "SELECT"], "INSERT INTO t VALUES (1) RETURNING a"),
        (&["INSERT", "SELECT"], "INSERT INTO t VALUES (1) RETURNING *"),
        (&["INSERT", "SELECT"], "INSERT INTO t VALUES (1) ON CONFLICT (a) DO NOTHING"),
        (&["SELECT", "INSERT", "UPDATE"], "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1"),
        (&["UPDATE"], "UPDATE t SET b = 1"),
        (&["UPDATE"], "UPDATE t SET b = c FROM s"),
        (&["UPDATE"], "UPDATE t SET b = s.c FROM s WHERE s.c = 1"),
        (&["UPDATE", "SELECT"], "UPDATE t SET b = b + 1"),
        (&["UPDATE", "SELECT"], "UPDATE t SET b = c FROM s WHERE t.a = c"),
        (&["UPDATE", "SELECT"], "UPDATE t AS x SET b = 1 RETURNING x.b"),
        (&["DELETE"], "DELETE FROM t USING s WHERE c = 1"),
        (&["DELETE", "SELECT"], "DELETE FROM t WHERE a = 1"),
        (&["SELECT", "DELETE"], "MERGE INTO t USING s ON a = c WHEN MATCHED THEN DELETE"),
        (&["SELECT", "UPDATE"], "MERGE INTO t USING s ON a = c WHEN MATCHED THEN UPDATE SET b = 1"),
        (&["SELECT", "INSERT"], "MERGE INTO t USING s ON a = c WHEN NOT MATCHED THEN INSERT VALUES (c)"),
        (&["INSERT", "SELECT"], "MERGE INTO t USING s ON a = c WHEN NOT MATCHED THEN INSERT VALUES (c)"),
    ];
    for (privileges, sql) in cases {
        admin.batch_execute(&format!("REVOKE ALL ON t FROM {role}")).await.unwrap();
        for privilege in *privileges {
            assert_eq!(user.sqlstate(sql).await, "42501", "{sql} without {privilege}");
            admin.batch_execute(&format!("GRANT {privilege} ON t TO {role}")).await.unwrap();
        }
        assert_eq!(user.sqlstate(sql).await, "00000", "{sql}");
    }
    admin.batch_execute(&format!("GRANT ALL ON t TO {role}; REVOKE ALL ON s FROM {role}")).await.unwrap();
    for sql in ["UPDATE t SET b = 1 FROM s", "DELETE FROM t USING s", "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE"] {
        assert_eq!(user.sqlstate(sql).await, "42501", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_several_files_and_partitions_change_once() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    client.batch_execute("CREATE TABLE p (a int PRIMARY KEY, k int, v int) PARTITIONED BY (k)").await.unwrap();
    for start in [0, 1000, 2000] {
        client.batch_execute(&format!("INSERT INTO p SELECT g, g % 3, g FROM generate_series({start}, {start} + 999) g")).await.unwrap();
    }
    client
        .batch_execute(
            "CREATE TABLE m AS SELECT a, v * 10 AS v FROM p WHERE a % 2 = 0 UNION ALL SELECT 5000 + g, g FROM generate_series(1, 10) g",
        )
        .await
        .unwrap();
    client.batch_execute("CREATE TABLE one (a int PRIMARY KEY, k int, v int); INSERT INTO one SELECT * FROM p").await.unwrap();
    let statements = [
        ("UPDATE p SET v = m.v, k = 7 FROM m WHERE m.a = p.a AND p.a % 100 = 0", 30),
        ("DELETE FROM p USING m WHERE m.a = p.a AND p.a % 1000 = 2", 3),
        ("INSERT INTO p SELECT a, 1, v FROM m ON CONFLICT (a) DO UPDATE SET v = excluded.v + 1 WHERE p.a < 1000", 499 + 3 + 10),
        ("MERGE INTO p USING m ON m.a = p.a WHEN MATCHED AND p.a > 2500 THEN DELETE WHEN MATCHED AND p.a < 10 THEN UPDATE SET k = 8", 264),
        ("DELETE FROM p WHERE k = 2 AND a > (SELECT avg(a) FROM m)", 407),
    ];
    for (sql, rows) in statements {
        assert_eq!(client.execute(sql, &[]).await.unwrap(), rows, "{sql}");
        // The same on a table of one file.
        let sql = sql.replace(" p ", " one AS p ").replace("UPDATE p SET", "UPDATE one AS p SET");
        assert_eq!(client.execute(&sql, &[]).await.unwrap(), rows, "{sql}");
    }
    for (left, right) in [("p", "one"), ("one", "p")] {
        let differing = format!("SELECT count(*) FROM (SELECT * FROM {left} EXCEPT SELECT * FROM {right}) d");
        assert_eq!(client.value(&differing).await.unwrap(), "0", "{left}");
    }
    let count = client.value("SELECT count(*) FROM p").await.unwrap();
    assert_eq!(client.value("SELECT count(DISTINCT a) FROM p").await.unwrap(), count);
    let kept =
        client.value("SELECT string_agg(a || ' ' || k || ' ' || v, ', ' ORDER BY a) FROM p WHERE a IN (0, 1, 2, 100, 5001)").await.unwrap();
    assert_eq!(kept, "0 8 1, 1 1 1, 2 8 20, 100 7 1001");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_tells_what_was_read_and_written() {
    let (client, schema) = in_new_schema(support::server()).await;
    client.batch_execute("CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE s (a int)").await.unwrap();
    client.batch_execute("INSERT INTO s VALUES (1), (2)").await.unwrap();
    let marker = unique("literal");
    let merge = format!("MERGE INTO t USING s ON t.a = s.a WHEN NOT MATCHED THEN INSERT VALUES (s.a, '{marker}')");
    client.batch_execute(&merge).await.unwrap();
    let returned = client.rows(&format!("UPDATE t SET b = '{marker}x' RETURNING a")).await.unwrap();
    assert_eq!(returned.len(), 2);
    let history = format!(
        "SELECT statement_type, execution_status, tables_read, tables_written, written_rows FROM system.query.history \
         WHERE array_to_string(tables_written, ',') LIKE '%{schema}%' AND statement_type IN ('MERGE', 'UPDATE') ORDER BY start_time"
    );
    let (t, s) = (format!("main.{schema}.t"), format!("main.{schema}.s"));
    let expected = vec![
        vec!["MERGE".to_owned(), "FINISHED".to_owned(), format!("{{{s},{t}}}"), format!("{{{t}}}"), "2".to_owned()],
        vec!["UPDATE".to_owned(), "FINISHED".to_owned(), format!("{{{t}}}"), format!("{{{t}}}"), "2".to_owned()],
    ];
    eventually("the history", Duration::from_secs(10), async || Ok(client.rows(&history).await? == expected)).await.unwrap();
}
