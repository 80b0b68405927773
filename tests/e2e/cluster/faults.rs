//! Engines that die, hang and come back under statements. What a client is told must be so.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, pin_mut};
use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::server::Server;
use lakegate_tests::tools::eventually;
use tokio::task::JoinSet;

use super::{Gateway, cluster, engine, gateway, states};

/// Takes some seconds; no row is there before the last is looked at.
const LONG: &str = "SELECT count(*) FROM t a, t b, t c, t d WHERE a.n + b.n + c.n + d.n > 0";

/// Does not end before its engine does.
const ENDLESS: &str = "SELECT count(*) FROM t a, t b, t c, t d, t e, t f WHERE a.n + b.n + c.n + d.n + e.n + f.n > 0";

async fn filled(admin: &Client) {
    admin.batch_execute("CREATE TABLE t AS SELECT n::bigint FROM generate_series(1, 120) g(n)").await.unwrap();
}

/// The engine that runs something now.
async fn busy(admin: &Client) -> String {
    let mut name = String::new();
    let running = "SELECT name FROM system.compute.engines WHERE instance_id IS NOT NULL AND running_statements > 0";
    eventually("an engine runs the statement", Duration::from_secs(20), async || {
        name = admin.rows(running).await?.concat().concat();
        Ok(!name.is_empty())
    })
    .await
    .unwrap();
    name
}

fn named<'a>(engines: &'a [Server; 2], name: &str) -> &'a Server {
    &engines[usize::from(name == "e2")]
}

async fn session(gateway: &Gateway) -> Client {
    Client::admin(&gateway.server).await.unwrap()
}

/// What the long query answers, some time.
async fn reading(gateway: &Gateway) -> JoinSet<String> {
    let reader = session(gateway).await;
    let mut reading = JoinSet::new();
    reading.spawn(async move { reader.value(LONG).await.unwrap() });
    reading
}

#[tokio::test]
async fn a_read_whose_engine_dies_is_done_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, engines, admin) = cluster(folder.path()).await;
    filled(&admin).await;
    let mut reading = reading(&gateway).await;
    let name = busy(&admin).await;
    named(&engines, &name).process.signal("KILL").unwrap();
    assert_eq!(reading.join_next().await.unwrap().unwrap(), (120_u64.pow(4)).to_string());
    // The next ones do not wait for the dead one.
    let began = Instant::now();
    assert_eq!(admin.value("SELECT count(*) FROM t").await.unwrap(), "120");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let gone = format!("SELECT state FROM system.compute.engines WHERE name = '{name}'");
    eventually("it is known to be gone", Duration::from_secs(20), async || Ok(admin.value(&gone).await? == "gone")).await.unwrap();
}

#[tokio::test]
async fn rows_that_were_sent_are_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, engines, admin) = cluster(folder.path()).await;
    admin.batch_execute("CREATE TABLE t AS SELECT n::bigint, repeat('x', 200) AS filler FROM generate_series(1, 3000) g(n)").await.unwrap();
    let reader = session(&gateway).await;
    let rows = reader.query_raw::<_, i32, _>("SELECT a.n, a.filler FROM t a, t b", []).await.unwrap();
    pin_mut!(rows);
    for _ in 0..10_000 {
        rows.next().await.unwrap().unwrap();
    }
    let name = busy(&admin).await;
    named(&engines, &name).process.signal("KILL").unwrap();
    let ended = loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert_eq!(sqlstate_of(&ended.expect("it did not end as if all were there").unwrap_err()), "57P01");
    assert_eq!(reader.value("SELECT count(*) FROM t").await.unwrap(), "3000", "the session lives on");
}

/// Each row that was acknowledged is there once; one whose outcome is not known at most once; others not at all.
#[tokio::test]
async fn writes_under_dying_engines_are_neither_lost_nor_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path());
    let mut engines = [engine(folder.path(), &gateway.joins_at, "e1"), engine(folder.path(), &gateway.joins_at, "e2")];
    let admin = session(&gateway).await;
    for writer in 0..3 {
        admin.batch_execute(&format!("CREATE TABLE t{writer} (a int, b int)")).await.unwrap();
    }
    let until = Instant::now() + Duration::from_secs(20);
    let mut writers = JoinSet::new();
    for writer in 0..3 {
        let client = session(&gateway).await;
        writers.spawn(async move {
            let (mut done, mut unknown, mut number) = (Vec::new(), Vec::new(), 0);
            while Instant::now() < until {
                number += 1;
                let plain = format!("INSERT INTO t{writer} VALUES ({number}, 1)");
                let block =
                    format!("BEGIN; INSERT INTO t{writer} VALUES ({number}, 1); UPDATE t{writer} SET b = 2 WHERE a = {number}; COMMIT");
                match client.sqlstate(if number % 2 == 0 { &plain } else { &block }).await.as_str() {
                    "00000" => done.push(number),
                    "08007" => unknown.push(number),
                    // Nothing was changed.
                    "57P01" | "57P03" | "40001" => {}
                    other => panic!("{other}"),
                }
                if number % 2 == 1 {
                    client.batch_execute("ROLLBACK").await.unwrap();
                }
            }
            (writer, done, unknown)
        });
    }
    for round in 0..4 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let name = ["e1", "e2"][round % 2];
        engines[round % 2].process.signal("KILL").unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        engines[round % 2] = engine(folder.path(), &gateway.joins_at, name);
    }
    let (mut acknowledged, mut doubtful) = (0, 0);
    while let Some(ended) = writers.join_next().await {
        let (writer, done, unknown) = ended.unwrap();
        let rows = admin.rows(&format!("SELECT a, b FROM t{writer} ORDER BY a")).await.unwrap();
        let there: Vec<i32> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
        let mut once = there.clone();
        once.dedup();
        assert_eq!(there, once, "a row is there twice");
        assert!(done.iter().all(|number| there.contains(number)), "an acknowledged row is lost");
        assert!(there.iter().all(|number| done.contains(number) || unknown.contains(number)), "a row that was refused is there");
        for row in rows {
            let is_block = row[0].parse::<i32>().unwrap() % 2 == 1;
            assert_eq!(row[1], if is_block { "2" } else { "1" }, "half of a transaction");
        }
        acknowledged += done.len();
        doubtful += unknown.len();
    }
    assert!(acknowledged > 20, "{acknowledged} acknowledged, {doubtful} unknown");
}

/// An engine that no longer answers is given up; when it comes back it is one again.
#[tokio::test]
async fn a_hung_engine_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, engines, admin) = cluster(folder.path()).await;
    filled(&admin).await;
    let mut reading = reading(&gateway).await;
    let name = busy(&admin).await;
    named(&engines, &name).process.signal("STOP").unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(60), reading.join_next()).await;
    assert_eq!(answer.expect("it hung").unwrap().unwrap(), (120_u64.pow(4)).to_string());
    named(&engines, &name).process.signal("CONT").unwrap();
    states(&admin, "e1 running, e2 running").await;
    assert_eq!(admin.value("SELECT count(*) FROM t").await.unwrap(), "120");
}

/// A statement that engines die of is kept away from the third.
#[tokio::test]
async fn a_statement_that_kills_engines_is_put_in_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, engines, admin) = cluster(folder.path()).await;
    filled(&admin).await;
    let reader = session(&gateway).await;
    let mut reading = JoinSet::new();
    reading.spawn(async move { reader.sqlstate(ENDLESS).await });
    let first = busy(&admin).await;
    named(&engines, &first).process.signal("KILL").unwrap();
    let second = if first == "e1" { "e2" } else { "e1" };
    // The statement moves there; it has to be there before that one dies, too.
    let running = format!("SELECT count(*) FROM system.compute.engines WHERE name = '{second}' AND running_statements > 0");
    eventually("the other one runs it", Duration::from_secs(20), async || Ok(admin.value(&running).await? == "1")).await.unwrap();
    named(&engines, second).process.signal("KILL").unwrap();
    let state = reading.join_next().await.unwrap().unwrap();
    assert!(matches!(state.as_str(), "57P01" | "53400"), "{state}");
    let _third = engine(folder.path(), &gateway.joins_at, "e3");
    admin.batch_execute("SET statement_timeout = '30s'").await.unwrap();
    assert_eq!(admin.sqlstate(ENDLESS).await, "53400");
    assert_eq!(admin.value("SELECT count(*) FROM t").await.unwrap(), "120", "others run");
}
