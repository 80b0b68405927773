//! Several gateways over one PostgreSQL catalog and one warehouse.

use std::path::Path;
use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::postgres::Cluster;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::wire::{self, Message, Target, Wire};

use crate::support::{self, unique};

/// Two that share what they have to.
pub fn two(folder: &Path) -> [Server; 2] {
    over(support::postgres(), folder)
}

fn over(cluster: &Cluster, folder: &Path) -> [Server; 2] {
    options_over(cluster, folder).map(|options| Server::start(&options).unwrap())
}

/// How they are started.
pub fn options_over(cluster: &Cluster, folder: &Path) -> [Options; 2] {
    options_at(cluster, folder, &folder.join("warehouse").display().to_string())
}

/// With another warehouse root.
pub fn options_at(cluster: &Cluster, folder: &Path, root: &str) -> [Options; 2] {
    let database = unique("catalog");
    cluster.execute("main", &format!("CREATE DATABASE {database}")).unwrap();
    ["one", "two"].map(|name| {
        Options::new(&folder.join(name))
            .argument("--catalog-url")
            .argument(cluster.url(&database))
            .argument("--warehouse-root")
            .argument(root)
            .environment("LAKEGATE_KEK", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    })
}

/// A session that listens.
async fn listener(server: &Server) -> Wire {
    let mut wire = Wire::login(&Target::of_server(server), true, &[]).await.unwrap();
    run(&mut wire, "LISTEN news").await;
    wire
}

async fn run(wire: &mut Wire, sql: &str) -> Vec<Message> {
    wire.send(&wire::query(sql)).await.unwrap();
    wire.until_ready().await.unwrap()
}

fn payload(message: &Message) -> Option<String> {
    let text = message.body.get(4..)?.split(|byte| *byte == 0).nth(1)?;
    (message.tag == b'A').then(|| String::from_utf8_lossy(text).into_owned())
}

/// Payloads of what comes until nothing more does.
async fn heard(wire: &mut Wire) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(message) = tokio::time::timeout(Duration::from_secs(2), wire.must_receive()).await {
        all.extend(payload(&message.unwrap()));
    }
    all
}

/// What one grants or revokes is so for the next statement on the other, in sessions that stand and in what they have prepared.
#[tokio::test]
async fn grants_hold_on_the_other_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = two(folder.path());
    let admin = Client::admin(&one).await.unwrap();
    admin.batch_execute("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2); CREATE ROLE ann LOGIN PASSWORD 'p'").await.unwrap();
    let user = Client::login(&two, "ann", "p", "main").await.unwrap();
    assert_eq!(user.sqlstate("SELECT a FROM t").await, "42501");
    admin.batch_execute("GRANT SELECT ON t TO ann").await.unwrap();
    assert_eq!(user.sqlstate("PREPARE q AS SELECT a, b FROM t").await, "00000");
    for _ in 0..10 {
        assert_eq!(user.sqlstate("EXECUTE q").await, "00000");
        admin.batch_execute("REVOKE SELECT ON t FROM ann; GRANT SELECT (a) ON t TO ann").await.unwrap();
        assert_eq!(user.sqlstate("EXECUTE q").await, "42501");
        assert_eq!(user.sqlstate("SELECT a FROM t").await, "00000");
        admin.batch_execute("GRANT SELECT ON t TO ann").await.unwrap();
    }
    admin.batch_execute("REVOKE SELECT ON t FROM ann; DROP OWNED BY ann; DROP ROLE ann").await.unwrap();
    assert_eq!(user.sqlstate("SELECT a FROM t").await, "42501");
}

/// Without the catalog nothing is answered from memory.
#[tokio::test]
async fn a_catalog_that_is_down_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start().unwrap();
    let [one, two] = over(&cluster, folder.path());
    let admin = Client::admin(&one).await.unwrap();
    admin.batch_execute("CREATE TABLE t (a int); CREATE ROLE ann LOGIN PASSWORD 'p'; GRANT SELECT ON t TO ann").await.unwrap();
    let user = Client::login(&two, "ann", "p", "main").await.unwrap();
    assert_eq!(user.sqlstate("SELECT a FROM t").await, "00000");
    drop(cluster);
    for sql in ["SELECT a FROM t", "INSERT INTO t VALUES (1)", "GRANT SELECT ON t TO ann", "SELECT 1"] {
        let state = user.sqlstate(sql).await;
        assert!(matches!(state.as_str(), "57P03" | "58030"), "{sql}: {state}");
    }
    let refused = Client::login(&one, "ann", "p", "main").await.map(drop).unwrap_err();
    let code = refused.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    assert_eq!(code.map(tokio_postgres::error::SqlState::code), Some("57P03"), "{refused:?}");
}

#[tokio::test]
async fn notifications_reach_the_sessions_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = two(folder.path());
    let (mut here, mut there) = (listener(&one).await, listener(&two).await);
    let mut sender = Wire::login(&Target::of_server(&one), true, &[]).await.unwrap();
    for sql in
        ["NOTIFY news, 'first'", "BEGIN", "NOTIFY news, 'staged'", "NOTIFY news, 'staged'", "SELECT pg_notify('news', repeat('x', 7999))"]
    {
        run(&mut sender, sql).await;
    }
    assert_eq!(heard(&mut there).await, ["first"], "the rest is not committed");
    for sql in ["COMMIT", "BEGIN", "NOTIFY news, 'never'", "ROLLBACK", "NOTIFY other, 'elsewhere'"] {
        run(&mut sender, sql).await;
    }
    for number in 0..300 {
        run(&mut sender, &format!("NOTIFY news, '{number}'")).await;
    }
    let expected: Vec<String> =
        ["staged".to_owned(), "x".repeat(7_999)].into_iter().chain((0..300).map(|number| number.to_string())).collect();
    assert_eq!(heard(&mut there).await, expected);
    assert_eq!(heard(&mut here).await[1..], expected, "once, and in order, for those of the same gateway too");
}

#[tokio::test]
async fn a_lost_catalog_connection_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = two(folder.path());
    let mut there = listener(&two).await;
    let mut sender = Wire::login(&Target::of_server(&one), true, &[]).await.unwrap();
    let ended = support::postgres()
        .execute("main", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query ILIKE 'listen%lakegate%'")
        .unwrap();
    assert!(ended.trim().parse::<u32>().unwrap() >= 2, "{ended}");
    // What is sent before the connection is there again may be missed.
    for _ in 0..30 {
        run(&mut sender, "NOTIFY news, 'again'").await;
        if !heard(&mut there).await.is_empty() {
            return;
        }
    }
    panic!("nothing was heard any more");
}
