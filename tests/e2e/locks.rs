//! Rows locked by FOR UPDATE, and advisory locks, between sessions.

use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::tools::eventually;

use crate::support::{self, in_new_schema};

/// Two sessions that work in one schema with tables `stock (id, n)` and `orders (id)`.
async fn pair() -> (Client, Client) {
    let server = support::server();
    let (one, schema) = in_new_schema(server).await;
    let other = Client::admin(server).await.unwrap();
    other.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    one.batch_execute("CREATE TABLE stock (id int, n int); CREATE TABLE orders (id int)").await.unwrap();
    one.batch_execute("INSERT INTO stock VALUES (1, 5), (2, 7)").await.unwrap();
    (one, other)
}

#[tokio::test]
async fn rows_that_were_locked_and_changed_elsewhere_undo_the_transaction() {
    let (one, other) = pair().await;
    let reads = "BEGIN; SELECT n FROM stock WHERE id = 1 FOR UPDATE; INSERT INTO orders VALUES (1)";
    one.batch_execute(reads).await.unwrap();
    other.batch_execute("UPDATE stock SET n = 0 WHERE id = 1").await.unwrap();
    assert_eq!(one.sqlstate("COMMIT").await, "40001");
    assert_eq!(one.rows("SELECT count(*) FROM orders").await.unwrap(), [["0"]]);

    // The table that is locked is the one that is changed: an insert alone would never conflict.
    one.batch_execute("BEGIN; SELECT n FROM stock FOR SHARE OF stock NOWAIT; INSERT INTO stock VALUES (3, 1)").await.unwrap();
    other.batch_execute("DELETE FROM stock WHERE id = 2").await.unwrap();
    assert_eq!(one.sqlstate("COMMIT").await, "40001");
    assert_eq!(one.rows("SELECT id FROM stock ORDER BY id").await.unwrap(), [["1"]]);
}

#[tokio::test]
async fn what_others_add_is_not_locked_nor_what_was_only_read() {
    let (one, other) = pair().await;
    one.batch_execute("BEGIN; SELECT n FROM stock FOR UPDATE; INSERT INTO orders VALUES (1)").await.unwrap();
    other.batch_execute("INSERT INTO stock VALUES (3, 1)").await.unwrap();
    one.batch_execute("COMMIT").await.unwrap();

    one.batch_execute("BEGIN; SELECT n FROM stock; INSERT INTO orders VALUES (2)").await.unwrap();
    other.batch_execute("UPDATE stock SET n = 0").await.unwrap();
    one.batch_execute("COMMIT").await.unwrap();

    // Without a change there is nothing to undo.
    one.batch_execute("BEGIN; SELECT n FROM stock FOR UPDATE").await.unwrap();
    other.batch_execute("UPDATE stock SET n = 1").await.unwrap();
    one.batch_execute("COMMIT").await.unwrap();
    assert_eq!(one.rows("SELECT count(*) FROM orders").await.unwrap(), [["2"]]);
}

#[tokio::test]
async fn a_savepoint_gives_locked_rows_back() {
    let (one, other) = pair().await;
    one.batch_execute("BEGIN; INSERT INTO orders VALUES (1); INSERT INTO stock VALUES (4, 4); SAVEPOINT s").await.unwrap();
    one.batch_execute("INSERT INTO stock VALUES (5, 5); SELECT n FROM stock FOR UPDATE; ROLLBACK TO s").await.unwrap();
    other.batch_execute("UPDATE stock SET n = 0").await.unwrap();
    one.batch_execute("COMMIT").await.unwrap();
    assert_eq!(one.rows("SELECT id, n FROM stock ORDER BY id").await.unwrap(), [["1", "0"], ["2", "0"], ["4", "4"]]);
}

#[tokio::test]
async fn locking_takes_the_right_to_update() {
    let (one, _) = pair().await;
    let role = support::unique("reader");
    let schema = one.rows("SELECT current_schema()").await.unwrap().remove(0).remove(0);
    one.batch_execute(&format!("CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON stock TO {role}"))
        .await
        .unwrap();
    one.batch_execute(&format!("SET ROLE {role}")).await.unwrap();
    assert_eq!(one.rows("SELECT n FROM stock WHERE id = 1").await.unwrap(), [["5"]]);
    assert_eq!(one.sqlstate("SELECT n FROM stock FOR UPDATE").await, "42501");
    one.batch_execute("RESET ROLE; BEGIN READ ONLY").await.unwrap();
    assert_eq!(one.sqlstate("SELECT n FROM stock FOR SHARE").await, "25006");
}

#[tokio::test]
async fn an_advisory_lock_is_waited_for_and_ends_with_its_transaction() {
    let (one, other) = pair().await;
    let key = rand_key();
    one.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({key})")).await.unwrap();
    assert_eq!(other.rows(&format!("SELECT pg_try_advisory_lock_shared({key})")).await.unwrap(), [["f"]]);
    other.batch_execute("SET lock_timeout = '50ms'").await.unwrap();
    assert_eq!(other.sqlstate(&format!("SELECT pg_advisory_lock({key})")).await, "55P03");
    other.batch_execute("SET lock_timeout = 0").await.unwrap();
    let waits = format!("SELECT pg_advisory_lock({key})");
    let waiting = other.batch_execute(&waits);
    let goes_on = async {
        let shown = format!("SELECT mode, granted FROM pg_locks WHERE objid = {key} ORDER BY granted");
        let waits = async || Ok(one.rows(&shown).await? == [["ExclusiveLock", "f"], ["ExclusiveLock", "t"]]);
        eventually("the other session waits", Duration::from_secs(5), waits).await.unwrap();
        one.batch_execute("COMMIT").await.unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, goes_on);
    waited.unwrap();
    assert_eq!(one.rows(&format!("SELECT pg_try_advisory_lock({key})")).await.unwrap(), [["f"]]);
    assert_eq!(other.rows(&format!("SELECT pg_advisory_unlock({key}), pg_advisory_unlock({key})")).await.unwrap(), [["t", "f"]]);
    assert_eq!(one.rows(&format!("SELECT pg_try_advisory_lock({key})")).await.unwrap(), [["t"]]);
    drop(one);
    let tries = format!("SELECT pg_try_advisory_lock({key})");
    let taken = async || Ok(other.rows(&tries).await? == [["t"]]);
    eventually("the session's locks end with it", Duration::from_secs(5), taken).await.unwrap();
}

/// Locks are of the whole server.
fn rand_key() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos()
}
