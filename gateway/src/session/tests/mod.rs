//! The session over an in-memory pipe, byte for byte.

mod fuzz;
pub mod script;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::script::*;
use crate::session::SessionLimits;
use crate::wire::frame::MessageLimits;

#[tokio::test]
async fn simple_queries() {
    let mut pair = Pair::ready().await;
    assert_eq!(pair.ask(&query("rows 4")).await, "TD(0)D(1)D(2)D(3)C(SELECT 4)ZI");
    assert_eq!(pair.ask(&query("")).await, "IZI");
    assert_eq!(pair.ask(&query(" ; ;")).await, "IZI");
    assert_eq!(pair.ask(&query("rows 1;ok;;error;rows 1")).await, "TD(0)C(SELECT 1)C(OK)E[22012]ZI");
    assert_eq!(pair.ask(&query("syntax")).await, "E[42601]ZI");
    assert_eq!(pair.ask(&query("late")).await, "TD(0)D(1)E[22012]ZI");
    assert_eq!(pair.ask(&query("notice")).await, "N[00000]C(DO)SZI");
    assert_eq!(pair.ask(&query("begin")).await, "C(BEGIN)ZT");
    assert_eq!(pair.ask(&query("error")).await, "E[22012]ZE");
    assert_eq!(pair.ask(&query("rows 1")).await, "E[25P02]ZE");
    assert_eq!(pair.ask(&query("rollback")).await, "C(COMMIT)ZI");
    assert_eq!(pair.ask(&message(b'F', b"whatever")).await, "E[0A000]ZI");
    assert_eq!(pair.ask(b"X\0\0\0\x04").await, ".");
    pair.task.join_next().await.unwrap().unwrap();
    assert!(pair.witness.closed.load(Ordering::SeqCst));
}

#[tokio::test]
async fn pipelined_extended_queries() {
    let mut pair = Pair::ready().await;
    let all =
        [parse("", "echo $1", &[23]), bind("", "", &[Some(b"7")]), describe_message(b'P', ""), execute("", 0), SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&all).await, "12TD(7)C(SELECT 1)ZI");
    let twice = [
        [parse("s", "rows 1", &[]), describe_message(b'S', "s"), bind("", "s", &[]), execute("", 0), SYNC.to_vec()].concat(),
        [bind("", "s", &[]), execute("", 0), close(b'S', "s"), SYNC.to_vec()].concat(),
    ];
    pair.send(&twice.concat()).await;
    assert_eq!(pair.until_ready().await, "1tT2D(0)C(SELECT 1)ZI");
    assert_eq!(pair.until_ready().await, "2D(0)C(SELECT 1)3ZI");
    assert_eq!(pair.ask(&[bind("", "s", &[]), execute("", 0), SYNC.to_vec()].concat()).await, "E[26000]ZI");
    let empty =
        [parse("", " ", &[]), describe_message(b'S', ""), bind("", "", &[]), describe_message(b'P', ""), execute("", 0), SYNC.to_vec()];
    assert_eq!(pair.ask(&empty.concat()).await, "1tn2nIZI");
    let done = [parse("", "ok", &[]), bind("", "", &[]), execute("", 0), execute("", 0), SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&done).await, "12C(OK)E[55000]ZI");
}

#[tokio::test]
async fn flush_sends_without_ready() {
    let mut pair = Pair::ready().await;
    pair.send(&[parse("", "ok", &[]), b"H\0\0\0\x04".to_vec()].concat()).await;
    assert_eq!(pair.message().await.unwrap().0, b'1');
    assert_eq!(pair.ask(SYNC).await, "ZI");
}

#[tokio::test]
async fn an_error_skips_to_sync() {
    let mut pair = Pair::ready().await;
    let bytes = [parse("", "error", &[]), bind("", "", &[]), execute("", 0), query("rows 1"), execute("", 0), SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&bytes).await, "12E[22012]ZI");
    assert_eq!(pair.ask(&[message(b'D', b"Xs\0"), SYNC.to_vec()].concat()).await, "E[08P01]ZI");
    assert_eq!(pair.ask(&message(b'S', b"x")).await, "E[08P01]ZI");
    assert_eq!(pair.ask(&[parse("", "a;b", &[]), SYNC.to_vec()].concat()).await, "E[42601]ZI");
}

#[tokio::test]
async fn row_limits_suspend_a_portal() {
    let mut pair = Pair::ready().await;
    let begin = [query("begin")].concat();
    assert_eq!(pair.ask(&begin).await, "C(BEGIN)ZT");
    let first = [parse("", "rows 5", &[]), bind("p", "", &[]), execute("p", 2), SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&first).await, "12D(0)D(1)sZT");
    assert_eq!(pair.ask(&[execute("p", 2), SYNC.to_vec()].concat()).await, "D(2)D(3)sZT");
    assert_eq!(
        pair.ask(&[execute("p", 1), execute("p", 9), execute("p", 0), SYNC.to_vec()].concat()).await,
        "D(4)sC(SELECT 0)C(SELECT 0)ZT"
    );
    for rows in [i32::MAX, -1, i32::MIN] {
        let all = [bind("", "", &[]), execute("", rows), SYNC.to_vec()].concat();
        assert_eq!(pair.ask(&all).await, "2D(0)D(1)D(2)D(3)D(4)C(SELECT 5)ZT");
    }
    assert_eq!(pair.ask(&[bind("p", "", &[]), SYNC.to_vec()].concat()).await, "E[42P03]ZE");
    assert_eq!(pair.ask(&query("rollback")).await, "C(COMMIT)ZI");
    assert_eq!(pair.witness.alive.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn portals_end_with_their_transaction() {
    let mut pair = Pair::ready().await;
    let suspended = [parse("s", "rows 5", &[]), bind("p", "s", &[]), execute("p", 2), SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&suspended).await, "12D(0)D(1)sZI");
    assert_eq!(pair.witness.alive.load(Ordering::SeqCst), 0, "the stream goes with the portal");
    assert_eq!(pair.ask(&[execute("p", 0), SYNC.to_vec()].concat()).await, "E[34000]ZI");
    let in_transaction =
        [parse("", "commit", &[]), bind("c", "", &[]), bind("p", "s", &[]), execute("c", 0), execute("p", 0), SYNC.to_vec()];
    assert_eq!(pair.ask(&query("begin")).await, "C(BEGIN)ZT");
    assert_eq!(pair.ask(&in_transaction.concat()).await, "122C(COMMIT)E[34000]ZI");
}

#[tokio::test]
async fn names_and_limits() {
    let limits = SessionLimits { prepared_statements_max: 2, portals_max: 2, portal_bytes_max: 100, ..SessionLimits::default() };
    let mut pair = start(limits, 1 << 20);
    pair.until_ready().await;
    assert_eq!(pair.ask(&query("begin")).await, "C(BEGIN)ZT");
    let ask = [parse("a", "ok $1", &[25]), parse("a", "ok", &[]), SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&ask).await, "1E[42P05]ZE");
    assert_eq!(pair.ask(&query("rollback")).await, "C(COMMIT)ZI");
    assert_eq!(pair.ask(&[parse("b", "ok", &[]), parse("c", "ok", &[]), SYNC.to_vec()].concat()).await, "1E[53400]ZI");
    let many = [bind("1", "b", &[]), bind("2", "b", &[]), bind("3", "b", &[]), SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&many).await, "22E[53400]ZI");
    let big = vec![b'x'; 60];
    let bytes = [bind("1", "a", &[Some(&big)]), bind("2", "a", &[Some(&big)]), SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&bytes).await, "2E[53400]ZI");
    assert_eq!(pair.ask(&query("deallocate")).await, "C(DEALLOCATE ALL)ZI");
    assert_eq!(pair.ask(&[describe_message(b'S', "a"), SYNC.to_vec()].concat()).await, "E[26000]ZI");
}

#[tokio::test]
async fn bad_binds() {
    let mut pair = Pair::ready().await;
    let prepared = parse("s", "echo $1", &[23]);
    for (bytes, expected) in [
        (bind("", "s", &[]), "1E[08P01]ZI"),
        (bind("", "s", &[Some(b"abc")]), "E[22P02]ZI"),
        (bind("", "nope", &[]), "E[26000]ZI"),
        (message(b'B', b"\0s\0\0\x01\0\x07\0\x01\0\0\0\x011\0\0"), "E[22023]ZI"),
        (message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x011\0\x03\0\0\0\0\0\0"), "E[08P01]ZI"),
        (message(b'B', b"\0s\0\0\0\0\x01\0\0\x0f\xff12\0\0"), "E[08P01]ZI"),
    ] {
        let first = if expected.starts_with('1') { prepared.clone() } else { Vec::new() };
        assert_eq!(pair.ask(&[first, bytes, SYNC.to_vec()].concat()).await, expected);
    }
}

#[tokio::test]
async fn copy_in() {
    let mut pair = Pair::ready().await;
    let data = |bytes: &[u8]| message(b'd', bytes);
    let done = message(b'c', b"");
    let good = [query("copyin"), data(b"1\n"), SYNC.to_vec(), data(b"2\n"), done.clone()].concat();
    assert_eq!(pair.ask(&good).await, "GC(COPY 2)ZI");
    assert_eq!(*pair.witness.copied.lock().unwrap(), b"1\n2\n");
    assert_eq!(pair.ask(&[query("copyin"), data(b"1\n"), message(b'f', b"changed my mind\0")].concat()).await, "GE[57014]ZI");
    assert!(pair.witness.copied.lock().unwrap().is_empty());
    let bad = [query("copyin"), data(b"bad"), data(b"more"), done.clone(), query("rows 1")].concat();
    assert_eq!(pair.ask(&bad).await, "GE[22P04]ZI");
    assert_eq!(pair.until_ready().await, "TD(0)C(SELECT 1)ZI");
    let extended = [parse("", "copyin", &[]), bind("", "", &[]), execute("", 0), data(b"1\n"), done, SYNC.to_vec()].concat();
    assert_eq!(pair.ask(&extended).await, "12GC(COPY 2)ZI");
    assert_eq!(pair.ask(&query("copyout")).await, "HddcC(COPY 2)ZI");
    pair.send(&query("copyin")).await;
    assert_eq!(pair.message().await.unwrap().0, b'G');
    assert!(pair.live.cancel(pair.pid));
    assert_eq!(pair.until_ready().await, "E[57014]ZI");
    pair.send(&[query("copyin"), query("rows 1")].concat()).await;
    assert_eq!(pair.until_ready().await, "GE[08P01]E![08P01].");
    assert_eq!(pair.witness.alive.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_ends_a_session() {
    for (bytes, expected) in [
        (&b"z\0\0\0\x04"[..], "E![08P01]."),
        (b"Q\0\0\0\x00", "E![08P01]."),
        (b"Q\0\0\0\x03", "E![08P01]."),
        (b"d\0\0\0\x00", "E![08P01]."),
        (b"Q\x7f\xff\xff\xff", "E![08P01]."),
    ] {
        let mut pair = Pair::ready().await;
        assert_eq!(pair.ask(bytes).await, expected);
    }
    let mut pair = Pair::ready().await;
    pair.send(&query("panic")).await;
    assert_eq!(pair.until_ready().await, ".");
    assert!(pair.task.join_next().await.unwrap().unwrap_err().is_panic());
    assert_eq!(pair.live.count(), 0);
}

#[tokio::test]
async fn malformed_messages_are_recovered_from() {
    let mut pair = Pair::ready().await;
    let smuggled = message(b'Q', &[b"rows 1\0", &query("rows 2")[..]].concat());
    assert_eq!(pair.ask(&smuggled).await, "E[08P01]ZI");
    pair.send(&[message(b'Q', b"rows 1"), query("rows 1")].concat()).await;
    assert_eq!(pair.until_ready().await, "E[08P01]ZI");
    assert_eq!(pair.until_ready().await, "TD(0)C(SELECT 1)ZI");
    assert_eq!(pair.ask(&message(b'Q', b"rows '\xff'\0")).await, "E[22021]ZI");
    assert_eq!(pair.ask(&[message(b'P', b"\0rows \xc3\x28\0\0\0"), SYNC.to_vec()].concat()).await, "E[22021]ZI");
    assert_eq!(pair.ask(&[execute("nowhere", 0), SYNC.to_vec()].concat()).await, "E[34000]ZI");
    assert_eq!(pair.ask(&[describe_message(b'P', "nowhere"), SYNC.to_vec()].concat()).await, "E[34000]ZI");
}

#[tokio::test]
async fn a_statement_that_is_too_long_is_an_error_of_its_own() {
    let messages = MessageLimits { statement_bytes_max: 50, copy_data_bytes_max: 50 };
    let mut pair = start(SessionLimits { messages, ..SessionLimits::default() }, 1 << 20);
    pair.until_ready().await;
    assert_eq!(pair.ask(&query(&"x".repeat(100))).await, "E[54000]ZI");
    assert_eq!(pair.ask(&[parse("", &"x".repeat(100), &[]), query("rows 1"), SYNC.to_vec()].concat()).await, "E[54000]ZI");
    let copied = [query("copyin"), message(b'd', &[b'x'; 100]), message(b'd', &[b'x'; 100]), message(b'c', b"")].concat();
    assert_eq!(pair.ask(&copied).await, "GE[54000]ZI");
    assert_eq!(pair.ask(&query("rows 1")).await, "TD(0)C(SELECT 1)ZI");
}

#[tokio::test]
async fn a_cancel_stops_planning_waiting_and_streaming() {
    for text in ["slow plan", "wait", "endless"] {
        let mut pair = start(SessionLimits::default(), 64 << 10);
        pair.until_ready().await;
        pair.send(&query(text)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(pair.live.cancel(pair.pid));
        let answer = pair.until_ready().await;
        assert!(answer.ends_with("E[57014]ZI"), "{text}");
        assert_eq!(pair.witness.alive.load(Ordering::SeqCst), 0);
        assert_eq!(pair.ask(&query("rows 1")).await, "TD(0)C(SELECT 1)ZI", "the next statement is not hit");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_stream_back() {
    let mut pair = start(SessionLimits::default(), 64 << 10);
    pair.until_ready().await;
    pair.send(&query("endless")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let pulled = pair.witness.batches.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(pair.witness.batches.load(Ordering::SeqCst), pulled);
    assert!(pulled < 10, "{pulled}");
    assert!(pair.live.cancel(pair.pid));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(pair.witness.alive.load(Ordering::SeqCst), 0, "memory is free before the client reads on");
}

#[tokio::test]
async fn a_vanished_client_stops_its_statement() {
    for text in ["wait", "endless", "slow plan"] {
        let Pair { mut client, mut task, witness, .. } = {
            let mut pair = start(SessionLimits::default(), 64 << 10);
            pair.until_ready().await;
            pair
        };
        tokio::io::AsyncWriteExt::write_all(&mut client, &query(text)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        drop(client);
        task.join_next().await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{text}");
        assert_eq!(witness.alive.load(Ordering::SeqCst), 0);
        assert!(witness.closed.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn half_closed_clients_still_read_short_answers() {
    let mut pair = Pair::ready().await;
    pair.send(&query("sleep 50;rows 1")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut pair.client).await.unwrap();
    assert_eq!(pair.until_ready().await, "C(SLEEP)TD(0)C(SELECT 1)ZI");
}

#[tokio::test]
async fn ending_a_session() {
    let mut idle = Pair::ready().await;
    idle.draining.cancel();
    assert_eq!(idle.until_ready().await, "E![57P01].");
    let mut busy = Pair::ready().await;
    busy.send(&query("sleep 100")).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    busy.draining.cancel();
    assert_eq!(busy.until_ready().await, "C(SLEEP)ZI");
    assert_eq!(busy.until_ready().await, "E![57P01].");
    let mut waiting = Pair::ready().await;
    waiting.send(&query("wait")).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(waiting.live.terminate(waiting.pid));
    assert_eq!(waiting.until_ready().await, "E![57P01].");
    waiting.task.join_next().await.unwrap().unwrap();
    assert_eq!(waiting.live.count(), 0);
}
