//! Statements that end before they are done.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tls::{Tls, client_config};
use lakegate_tests::tools::eventually;
use lakegate_tests::wire::{Target, Wire, query};
use tokio::task::JoinSet;

use crate::support::{self, unique};

/// Rows enough that nobody waits for their end.
const ENDLESS: &str = "SELECT a.g, b.g, repeat('x', 100) FROM generate_series(1, 1000000) a(g), generate_series(1, 1000000) b(g)";
/// Works without a row for very long.
const SILENT: &str =
    "SELECT count(*) FROM generate_series(1, 1000000) a(g), generate_series(1, 1000000) b(g) WHERE a.g::bigint * b.g % 7 = 3";

#[tokio::test]
async fn a_cancel_request_stops_a_working_query() {
    for sql in [SILENT, "SELECT pg_sleep(100)"] {
        let client = Client::admin(support::server()).await.unwrap();
        let token = client.cancel_token();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            token.cancel_query(Tls(client_config(&[]).unwrap())).await.unwrap();
            Instant::now()
        });
        let error = tokio::time::timeout(Duration::from_secs(20), client.simple_query(sql)).await.expect("it stops").unwrap_err();
        let ended = Instant::now();
        let asked = tasks.join_next().await.unwrap().unwrap();
        assert_eq!(sqlstate_of(&error), "57014", "{sql}");
        assert!(ended.saturating_duration_since(asked) < Duration::from_secs(1), "{sql}: took {:?}", ended - asked);
        assert_eq!(client.value("SELECT 'still here'").await.unwrap(), "still here");
    }
}

#[tokio::test]
async fn a_cancel_request_stops_a_streaming_query() {
    let server = support::server();
    let client = Client::admin(server).await.unwrap();
    let token = client.cancel_token();
    let stream = client.query_raw(ENDLESS, std::iter::empty::<i32>()).await.unwrap();
    let mut stream = std::pin::pin!(stream);
    let mut rows = 0_u64;
    let mut cancelled_at = None;
    let error = loop {
        match stream.next().await.expect("it does not end by itself") {
            Ok(_) => rows += 1,
            Err(error) => break error,
        }
        if rows == 10_000 {
            token.cancel_query(Tls(client_config(&[]).unwrap())).await.unwrap();
            cancelled_at = Some(Instant::now());
        }
    };
    assert_eq!(sqlstate_of(&error), "57014");
    assert!(cancelled_at.unwrap().elapsed() < Duration::from_secs(5), "rows already sent are drained, no more are made");
    assert_eq!(client.value("SELECT 1").await.unwrap(), "1");
}

/// Queries that compute on all cores, in operators that give no thread back, hold nobody else up; nor do they go on when their
/// clients have left.
#[tokio::test]
async fn short_statements_stay_prompt_beside_endless_ones() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(&folder.path().join("data"))).unwrap();
    let mut busy = Vec::new();
    for sql in [SILENT, SILENT, SILENT, ENDLESS] {
        let mut client = Wire::login(&Target::of_server(&server), true, &[]).await.unwrap();
        client.send(&query(sql)).await.unwrap();
        busy.push(client);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let client = Client::admin(&server).await.unwrap();
    for (sql, works) in [("SELECT 1", Duration::ZERO), ("SELECT pg_sleep(1)", Duration::from_secs(1))].repeat(3) {
        let began = Instant::now();
        client.value(sql).await.unwrap();
        // A share of the cores is waited for; a free worker, 30 s and more, must not be.
        assert!(began.elapsed() < works + Duration::from_secs(4), "{sql} took {:?}", began.elapsed());
    }
    drop(busy);
    let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query NOT LIKE '%pg_stat_activity%'";
    eventually("they end", Duration::from_secs(10), async || Ok(client.value(active).await? == "0")).await.unwrap();
    // Nobody would see a plan that computes on, but for the time it takes.
    eventually("the processors are idle", Duration::from_secs(20), async || {
        let before = server.process.cpu_ticks()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(server.process.cpu_ticks()? - before < 20)
    })
    .await
    .unwrap();
}

/// A wrong secret cancels nothing.
#[tokio::test]
async fn a_cancel_request_needs_its_secret() {
    let server = support::server();
    let mut victim = Wire::open(server.port).await.unwrap();
    let target = Target::of_server(server);
    victim.send(&lakegate_tests::wire::startup(&target.user, &target.database, &[])).await.unwrap();
    victim.authenticate(&target.password).await.unwrap();
    let mut pid = 0;
    loop {
        let message = victim.must_receive().await.unwrap();
        match message.tag {
            b'K' => pid = i32::from_be_bytes(message.body[..4].try_into().unwrap()),
            b'Z' => break,
            _ => {}
        }
    }
    assert_ne!(pid, 0);
    victim.send(&query("SELECT pg_sleep(2)")).await.unwrap();
    for secret in [vec![0; 4], vec![0xff; 4], vec![1; 32], vec![]] {
        let mut attacker = Wire::open(server.port).await.unwrap();
        attacker.send(&lakegate_tests::wire::cancel_request(pid, &secret)).await.unwrap();
        assert!(!matches!(attacker.receive().await, Ok(Some(_))), "a cancel request is never answered");
    }
    let answer = victim.until_ready().await.unwrap();
    assert!(answer.iter().all(|message| message.tag != b'E'), "the statement ran to its end");
}

#[tokio::test]
async fn a_vanished_clients_query_ends_soon() {
    let server = support::server();
    let watcher = Client::admin(server).await.unwrap();
    for sql in [ENDLESS, SILENT] {
        let marker = unique("vanish");
        let mut client = Wire::login(&Target::of_server(server), true, &[]).await.unwrap();
        client.send(&query(&format!("{sql} /* {marker} */"))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let status = format!(
            "SELECT execution_status FROM system.query.history WHERE statement_text LIKE '%{marker}%' AND statement_text NOT LIKE '%LIKE%'"
        );
        let active =
            format!("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{marker}%' AND query NOT LIKE '%LIKE%'");
        assert_eq!(watcher.value(&active).await.unwrap(), "1");
        drop(client);
        let gone = Instant::now();
        eventually("the query ends", Duration::from_secs(10), async || Ok(watcher.value(&active).await? == "0")).await.unwrap();
        // Well under a second on an idle machine; this one runs other tests on the same cores.
        assert!(gone.elapsed() < Duration::from_secs(6), "took {:?}", gone.elapsed());
        // Statements of no relation may be logged behind.
        eventually("it is marked", Duration::from_secs(5), async || Ok(watcher.rows(&status).await? == [["CANCELED"]])).await.unwrap();
    }
}

#[tokio::test]
async fn a_slow_reader_leaves_the_servers_memory_flat() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(&folder.path().join("data"))).unwrap();
    let mut client = Wire::login(&Target::of_server(&server), true, &[]).await.unwrap();
    client.send(&query("SELECT 1")).await.unwrap();
    client.until_ready().await.unwrap();
    let before = server.process.resident_bytes().unwrap();
    client.send(&query(ENDLESS)).await.unwrap();
    let mut most = 0;
    let until = Instant::now() + Duration::from_secs(8);
    let mut messages = 0_u64;
    while Instant::now() < until {
        // About 20 kB/s: far slower than rows can be made.
        for _ in 0..20 {
            client.must_receive().await.unwrap();
            messages += 1;
        }
        most = most.max(server.process.resident_bytes().unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(messages > 200);
    let grown = most.saturating_sub(before);
    assert!(grown < 128 << 20, "grew by {} MiB", grown >> 20);
}

#[tokio::test]
async fn backends_can_be_cancelled_and_terminated_by_sql() {
    let server = support::server();
    let admin = Client::admin(server).await.unwrap();
    let other = Client::admin(server).await.unwrap();
    let pid = other.value("SELECT pg_backend_pid()").await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let cancelled = other.sqlstate("SELECT pg_sleep(50)").await;
        let terminated = other.sqlstate("SELECT pg_sleep(50)").await;
        (cancelled, terminated)
    });
    for function in ["pg_cancel_backend", "pg_terminate_backend"] {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(admin.value(&format!("SELECT {function}({pid})")).await.unwrap(), "t");
    }
    let (cancelled, terminated) = tokio::time::timeout(Duration::from_secs(10), tasks.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(cancelled, "57014");
    assert_eq!(terminated, "57P01");
    let code = admin.sqlstate("SET statement_timeout = '300ms'; SELECT pg_sleep(30)").await;
    assert_eq!(code, "57014");
}
