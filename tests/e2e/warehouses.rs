//! Warehouses: who may use them, how many statements work in them at once, who waits.

use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::eventually;

/// Longer than any test: it ends by being cancelled or because its client goes.
const LONG: &str = "SELECT count(*) FROM t a, t b, t c, t d, t e, t f WHERE a.n + b.n + c.n + d.n + e.n + f.n < 0";

async fn started(folder: &std::path::Path) -> (Server, Client) {
    let server = Server::start(&Options::new(folder)).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    admin
        .batch_execute(
            "CREATE TABLE t AS SELECT n::bigint FROM generate_series(1, 300) g(n); \
             CREATE ROLE ann LOGIN PASSWORD 'p'; CREATE ROLE bob LOGIN PASSWORD 'p'; GRANT SELECT ON t TO ann, bob",
        )
        .await
        .unwrap();
    (server, admin)
}

async fn pid(client: &Client) -> String {
    client.value("SELECT pg_backend_pid()::text").await.unwrap()
}

/// Runs the statement until its task is dropped or the session cancelled.
fn spawned(client: Client, sql: &'static str) -> tokio::task::JoinSet<String> {
    let mut set = tokio::task::JoinSet::new();
    set.spawn(async move { client.sqlstate(sql).await });
    set
}

async fn waits(admin: &Client, pid: &str) {
    let waiting = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}");
    eventually("the session waits", Duration::from_secs(20), async || Ok(admin.rows(&waiting).await?.concat() == ["Capacity"]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_grant_opens_a_warehouse() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = started(folder.path()).await;
    let ann = Client::login(&server, "ann", "p", "main").await.unwrap();
    assert_eq!(ann.sqlstate("CREATE WAREHOUSE w").await, "42501");
    admin.batch_execute("CREATE WAREHOUSE bi WITH (max_concurrency = 2, queue_limit = 3, statement_timeout = '30s')").await.unwrap();
    assert_eq!(admin.sqlstate("CREATE WAREHOUSE bi").await, "42710");
    assert_eq!(admin.sqlstate("CREATE WAREHOUSE IF NOT EXISTS bi").await, "00000");
    let listed = "SELECT name, owner, max_concurrency::text, queue_limit::text, statement_timeout_ms::text, running_statements::text \
                  FROM system.compute.warehouses WHERE name = 'bi'";
    assert_eq!(admin.rows(listed).await.unwrap(), [["bi", "admin", "2", "3", "30000", "0"]]);
    assert_eq!(ann.value("SELECT string_agg(name, ',') FROM system.compute.warehouses").await.unwrap(), "default");

    assert_eq!(ann.sqlstate("SET lakegate.warehouse = 'bi'").await, "42501");
    assert_eq!(ann.sqlstate("SET lakegate.warehouse = 'none'").await, "42704");
    admin.batch_execute("GRANT USAGE ON WAREHOUSE bi TO ann").await.unwrap();
    ann.batch_execute("SET lakegate.warehouse = 'bi'").await.unwrap();
    assert_eq!(ann.value("SELECT count(*)::text FROM t").await.unwrap(), "300");
    let history = "SELECT warehouse FROM system.query.history WHERE executed_by = 'ann' AND tables_read = '{main.public.t}'";
    assert_eq!(admin.rows(history).await.unwrap(), [["bi"]]);
    // Effective at the next statement; what reads no table goes on.
    admin.batch_execute("REVOKE USAGE ON WAREHOUSE bi FROM ann").await.unwrap();
    let error = format!("{:?}", ann.rows("SELECT count(*) FROM t").await.unwrap_err());
    assert!(error.contains("permission denied for warehouse bi") && error.contains("GRANT USAGE ON WAREHOUSE bi TO ann"), "{error}");
    assert_eq!(ann.value("SELECT 1::text").await.unwrap(), "1");
    ann.batch_execute("RESET lakegate.warehouse").await.unwrap();
    assert_eq!(ann.value("SELECT count(*)::text FROM t").await.unwrap(), "300");

    // A role's own, and nobody's default.
    admin.batch_execute("GRANT ALL ON WAREHOUSE bi TO bob; ALTER ROLE bob SET lakegate.warehouse = 'bi'").await.unwrap();
    let bob = Client::login(&server, "bob", "p", "main").await.unwrap();
    assert_eq!(bob.value("SHOW lakegate.warehouse").await.unwrap(), "bi");
    admin.batch_execute("REVOKE USAGE ON WAREHOUSE \"default\" FROM PUBLIC").await.unwrap();
    assert_eq!(ann.sqlstate("SELECT count(*) FROM t").await, "42501");
    assert_eq!(bob.sqlstate("SELECT count(*) FROM t").await, "00000");

    admin.batch_execute("ALTER WAREHOUSE bi RENAME TO reports; ALTER WAREHOUSE reports OWNER TO ann").await.unwrap();
    assert_eq!(bob.sqlstate("SELECT count(*) FROM t").await, "42704");
    assert_eq!(admin.sqlstate("DROP ROLE ann").await, "2BP01");
    ann.batch_execute("ALTER WAREHOUSE reports SET (max_concurrency = DEFAULT)").await.unwrap();
    assert_eq!(bob.sqlstate("DROP WAREHOUSE reports").await, "42501");
    for (sql, state) in [
        ("ALTER WAREHOUSE reports SET (size = 3)", "22023"),
        ("ALTER WAREHOUSE reports SET (max_concurrency = 'many')", "22023"),
        ("ALTER WAREHOUSE reports SET (statement_timeout = 'soon')", "22023"),
        ("CREATE WAREHOUSE w WITH (min_engines = 1)", "0A000"),
        ("ALTER WAREHOUSE \"default\" RENAME TO d", "42501"),
        ("DROP WAREHOUSE \"default\"", "42501"),
        ("DROP WAREHOUSE none", "42704"),
        ("DROP WAREHOUSE IF EXISTS none", "00000"),
        ("GRANT SELECT ON WAREHOUSE reports TO bob", "0LP01"),
    ] {
        assert_eq!(admin.sqlstate(sql).await, state, "{sql}");
    }
    ann.batch_execute("DROP WAREHOUSE reports").await.unwrap();
    // It is rolled back as everything is.
    admin.batch_execute("BEGIN; CREATE WAREHOUSE w; ROLLBACK").await.unwrap();
    assert_eq!(admin.value("SELECT string_agg(name, ',') FROM system.compute.warehouses").await.unwrap(), "default");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_wait_for_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = started(folder.path()).await;
    admin
        .batch_execute(
            "CREATE WAREHOUSE one WITH (max_concurrency = 1, queue_limit = 2); GRANT USAGE ON WAREHOUSE one TO ann, bob; \
             ALTER ROLE ann SET lakegate.warehouse = 'one'; ALTER ROLE bob SET lakegate.warehouse = 'one'",
        )
        .await
        .unwrap();
    let ann = async || Client::login(&server, "ann", "p", "main").await.unwrap();
    let (first, second) = (ann().await, ann().await);
    let (first_pid, second_pid) = (pid(&first).await, pid(&second).await);
    let mut first = spawned(first, LONG);
    let busy = "SELECT running_statements::text, waiting_statements::text FROM system.compute.warehouses WHERE name = 'one'";
    eventually("it works", Duration::from_secs(20), async || Ok(admin.rows(busy).await? == [["1", "0"]])).await.unwrap();
    let mut second = spawned(second, "SELECT count(*) FROM t");
    waits(&admin, &second_pid).await;
    let third = Client::login(&server, "bob", "p", "main").await.unwrap();
    let third_pid = pid(&third).await;
    let mut third = spawned(third, "SELECT count(*) FROM t");
    waits(&admin, &third_pid).await;
    assert_eq!(admin.rows(busy).await.unwrap(), [["1", "2"]]);
    // Two wait: no more may.
    let fourth = ann().await;
    let error = format!("{:?}", fourth.rows("SELECT count(*) FROM t").await.unwrap_err());
    assert!(error.contains("warehouse \\\"one\\\" is full: 1 statements run and 2 wait"), "{error}");
    assert_eq!(fourth.value("SELECT 1::text").await.unwrap(), "1");
    // One of them is cancelled while it waits, its place in the queue goes to nobody.
    admin.batch_execute(&format!("SELECT pg_cancel_backend({third_pid})")).await.unwrap();
    assert_eq!(third.join_next().await.unwrap().unwrap(), "57014");
    fourth.batch_execute("SET statement_timeout = '300ms'").await.unwrap();
    assert_eq!(fourth.sqlstate("SELECT count(*) FROM t").await, "57014");
    assert_eq!(admin.rows(busy).await.unwrap(), [["1", "1"]]);
    // What another gateway would have written: the one that waits comes in beside the first.
    admin.batch_execute("ALTER WAREHOUSE one SET (max_concurrency = 2)").await.unwrap();
    assert_eq!(second.join_next().await.unwrap().unwrap(), "00000");
    let waited = "SELECT min(waiting_at_capacity_duration_ms) > 0 FROM system.query.history \
                  WHERE executed_by = 'ann' AND execution_status = 'FINISHED' AND tables_read = '{main.public.t}'";
    eventually("the wait is in the history", Duration::from_secs(20), async || Ok(admin.rows(waited).await?.concat() == ["t"]))
        .await
        .unwrap();
    admin.batch_execute(&format!("SELECT pg_cancel_backend({first_pid})")).await.unwrap();
    assert_eq!(first.join_next().await.unwrap().unwrap(), "57014");
    eventually("all places are free", Duration::from_secs(20), async || Ok(admin.rows(busy).await? == [["0", "0"]])).await.unwrap();
    // A session never waits for itself.
    admin.batch_execute("ALTER WAREHOUSE one SET (max_concurrency = 1)").await.unwrap();
    let own = ann().await;
    let script = "BEGIN; DECLARE a CURSOR FOR SELECT n FROM t; DECLARE b CURSOR FOR SELECT n FROM t; FETCH 2 FROM a; FETCH 2 FROM b";
    own.batch_execute(script).await.unwrap();
    assert_eq!(own.value("SELECT count(*)::text FROM t").await.unwrap(), "300");
    own.batch_execute("COMMIT").await.unwrap();
    assert_eq!(admin.rows(busy).await.unwrap(), [["0", "0"]]);
    // The warehouse's time counts for its statements.
    admin.batch_execute("ALTER WAREHOUSE one SET (statement_timeout = '200ms')").await.unwrap();
    assert_eq!(own.sqlstate(LONG).await, "57014");
}
