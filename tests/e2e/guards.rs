//! Detections that stop statements: before they run, while they give rows, and never where they are turned off.

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};

/// More than a thousand rows of tagged data.
const RULE: &str = "SELECT executed_by AS actor, max(start_time) AS last_event_time, \
     sum(coalesce(produced_rows, 0) + coalesce(written_rows, 0)) AS rows FROM system.query.history \
     WHERE EXISTS (SELECT 1 FROM unnest(tags_read) AS u (tag) WHERE tag LIKE 'pii%') AND executed_by <> 'admin' \
     GROUP BY executed_by HAVING sum(coalesce(produced_rows, 0) + coalesce(written_rows, 0)) > 1000";

async fn started(directory: &std::path::Path) -> (Server, Client, Client) {
    let server = Server::start(&Options::new(directory)).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    admin
        .batch_execute(
            "CREATE ROLE reader LOGIN PASSWORD 'reader-password'; GRANT CREATE ON SCHEMA public TO reader; \
             CREATE TABLE people AS SELECT i AS id, 'person ' || i AS name FROM generate_series(1, 50000) AS g (i); \
             CREATE TABLE plain AS SELECT i AS id FROM generate_series(1, 50000) AS g (i); \
             ALTER TABLE people ALTER COLUMN name SET TAGS ('pii' = 'name'); GRANT SELECT ON people, plain TO reader",
        )
        .await
        .unwrap();
    let reader = Client::login(&server, "reader", "reader-password", "main").await.unwrap();
    (server, admin, reader)
}

#[tokio::test]
async fn a_guard_stops_what_reads_too_much() {
    let directory = tempfile::tempdir().unwrap();
    let (_server, admin, reader) = started(directory.path()).await;
    let guard =
        format!("CREATE DETECTION too_much SEVERITY critical EVERY '1 second' WINDOW '1 day' COMMENT 'At most 1000 rows' GUARD AS {RULE}");
    admin.batch_execute(&guard).await.unwrap();
    assert_eq!(admin.value("SELECT guard::text FROM system.access.detections WHERE name = 'too_much'").await.unwrap(), "true");
    // Little by little, and what has no tag as much as one likes.
    assert_eq!(reader.rows("SELECT id, name FROM people LIMIT 600").await.unwrap().len(), 600);
    assert_eq!(reader.rows("SELECT id FROM plain").await.unwrap().len(), 50_000);
    // In the middle of its rows: the batch that would be too much is not given.
    let error = reader.simple_query("SELECT name FROM people").await.unwrap_err();
    let error = error.as_db_error().unwrap().clone();
    assert_eq!((error.code().code(), error.message()), ("57014", "canceling statement due to guard \"too_much\""));
    assert_eq!(error.detail(), Some("At most 1000 rows"));
    let given =
        "SELECT produced_rows::text, sqlstate FROM system.query.history WHERE executed_by = 'reader' AND execution_status = 'CANCELED'";
    lakegate_tests::tools::eventually("the end is in the log", std::time::Duration::from_secs(10), async || {
        Ok(admin.rows(given).await? == [["0", "57014"]])
    })
    .await
    .unwrap();
    // By COPY and by a cursor as well.
    let copied = reader.copy_out("COPY (SELECT name FROM people) TO STDOUT").await.unwrap();
    let copied: Result<Vec<_>, _> = futures::TryStreamExt::try_collect(copied).await;
    assert_eq!(lakegate_tests::client::sqlstate_of(&copied.unwrap_err()), "57014");
    reader.batch_execute("BEGIN").await.unwrap();
    reader.batch_execute("DECLARE c CURSOR FOR SELECT name FROM people").await.unwrap();
    assert_eq!(reader.sqlstate("FETCH ALL FROM c").await, "57014");
    reader.batch_execute("ROLLBACK").await.unwrap();
    // The reason is on the record.
    let found = "SELECT severity, actor FROM system.access.findings WHERE detection = 'too_much'";
    assert_eq!(admin.rows(found).await.unwrap(), [["critical", "reader"]]);
    let told = "SELECT count(*) >= 3 FROM system.access.audit WHERE action_name = 'guard_stop' AND object_name = 'too_much' AND actor = 'reader' \
                AND status = 'denied'";
    assert_eq!(admin.value(told).await.unwrap(), "t");
    // What is over the limit already opens no table at all, makes none either, and lives on without tables.
    admin.batch_execute("ALTER DETECTION too_much GUARD OFF").await.unwrap();
    assert_eq!(reader.rows("SELECT name FROM people LIMIT 600").await.unwrap().len(), 600);
    admin.batch_execute("ALTER DETECTION too_much GUARD ON").await.unwrap();
    assert_eq!(reader.sqlstate("SELECT id FROM plain LIMIT 1").await, "57014");
    assert_eq!(reader.sqlstate("CREATE TABLE mine AS SELECT 1 AS a").await, "57014");
    assert_eq!(reader.value("SELECT 1").await.unwrap(), "1");
    // Of others nothing is said.
    assert_eq!(admin.rows("SELECT name FROM people").await.unwrap().len(), 50_000);
    admin.batch_execute("DROP DETECTION too_much").await.unwrap();
    assert_eq!(reader.rows("SELECT id FROM plain LIMIT 1").await.unwrap().len(), 1);
}

/// What it watches over does not depend on its own soundness.
#[tokio::test]
async fn a_guard_that_fails_lets_pass_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (_server, admin, reader) = started(directory.path()).await;
    admin.batch_execute("CREATE TABLE limits AS SELECT 5 AS n").await.unwrap();
    let rule = "SELECT executed_by AS actor FROM system.query.history, limits GROUP BY executed_by HAVING count(*) > max(n)";
    admin.batch_execute(&format!("CREATE DETECTION counted EVERY '1 second' GUARD AS {rule}")).await.unwrap();
    admin.batch_execute("DROP TABLE limits").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    assert_eq!(reader.rows("SELECT id FROM plain LIMIT 1").await.unwrap().len(), 1);
    let error = admin.value("SELECT last_error FROM system.access.detections WHERE name = 'counted'").await.unwrap();
    assert!(error.contains("limits"), "{error}");
}
