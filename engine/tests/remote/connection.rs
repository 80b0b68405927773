//! Who may connect, how much is under way, and how long work lasts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use futures::{StreamExt, TryStreamExt};
use lakegate_engine::flight::identity::Role;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{
    Engine, EngineError, Execution, ExecutionContext, FileContent, FilePlace, RowStream, Unavailability, Violation, Work,
};
use uuid::Uuid;

use crate::proxy::Proxy;
use crate::support::{World, context, facts, parse, relation_name};
use crate::transport::{SECRET, Served};
use crate::writes::{column, create, new_table, small};

fn reason(result: Result<bool, EngineError>) -> Unavailability {
    match result {
        Err(EngineError::Unavailable { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_gateways_of_the_cluster_that_mean_this_engine_are_served() {
    let world = World::new().await;
    small(&world).await;
    let served = Served::new(Arc::clone(&world.engine)).await;
    let url = world.url("t");
    assert!(!served.remote().is_worn(&url).await.unwrap());
    served.remote().forget(&url).await.unwrap();
    let stranger = served.remote_by(served.address, served.instance, b"another secret of at least 32 bytes", Role::Gateway);
    assert_eq!(reason(stranger.is_worn(&url).await), Unavailability::Untrusted);
    let engine = served.remote_by(served.address, served.instance, SECRET, Role::Engine);
    assert_eq!(reason(engine.is_worn(&url).await), Unavailability::Untrusted);
    let older = served.remote_by(served.address, Uuid::new_v4(), SECRET, Role::Gateway);
    assert_eq!(reason(older.is_worn(&url).await), Unavailability::Replaced);
    let nobody = served.remote_by("127.0.0.1:1".parse().unwrap(), served.instance, SECRET, Role::Gateway);
    assert_eq!(reason(nobody.is_worn(&url).await), Unavailability::Unreachable);
}

async fn stream_of(world: &World, sql: &str, context: ExecutionContext) -> RowStream {
    let prepared = world.engine.prepare(world.bound(Work::Query(Box::new(parse(sql))), &[])).await.unwrap();
    match prepared.execute(Vec::new(), context).await.unwrap() {
        Execution::Rows { stream, .. } => stream,
        _ => panic!("rows were expected"),
    }
}

/// 100 bytes a row.
fn wide(rows: u64) -> String {
    format!("SELECT n, lpad(n::text, 92, 'x') AS t FROM generate_series(1, {rows}) AS s(n)")
}

#[tokio::test(flavor = "multi_thread")]
async fn large_results_come_whole_and_in_order() {
    let world = World::new().await;
    let batches: Vec<RecordBatch> = stream_of(&world, &wide(300_000), context()).await.try_collect().await.unwrap();
    let mut expected = 1;
    for batch in &batches {
        for number in batch.column(0).as_any().downcast_ref::<Int32Array>().unwrap().values() {
            assert_eq!(*number, expected);
            expected += 1;
        }
    }
    assert_eq!(expected, 300_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_may_be_larger_than_messages_usually_are() {
    let world = World::new().await;
    let rows: Vec<RecordBatch> =
        stream_of(&world, "SELECT repeat('0123456789', 4000000) AS t", context()).await.try_collect().await.unwrap();
    assert_eq!(rows[0].column(0).as_any().downcast_ref::<StringArray>().unwrap().value_length(0), 40_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_is_not_sent() {
    let world = World::new().await;
    let served = Served::new(Arc::clone(&world.engine)).await;
    let proxy = Proxy::new(served.address).await;
    let engine: Arc<dyn Engine> = Arc::new(served.remote_by(proxy.address, served.instance, SECRET, Role::Gateway));
    let world = World { engine, ..world };
    let mut slow = stream_of(&world, &wide(2_000_000), context()).await;
    slow.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let passed = proxy.passed_down();
    assert!(passed < 12 << 20, "{passed} bytes of 200 MB");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(proxy.passed_down() / (64 << 10), passed / (64 << 10), "nothing more comes");
    // Nobody else waits for the slow reader, however many of them there are.
    let mut others = Vec::new();
    for _ in 0..20 {
        let mut other = stream_of(&world, &wide(1_000_000), context()).await;
        other.next().await.unwrap().unwrap();
        others.push(other);
    }
    let asked = tokio::time::timeout(Duration::from_secs(20), stream_of(&world, &wide(50_000), context()).await.try_collect::<Vec<_>>());
    assert_eq!(asked.await.unwrap().unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 50_000);
    // The slow one goes on where it was.
    let mut rows = 0;
    while rows < 500_000 {
        rows += slow.next().await.unwrap().unwrap().num_rows();
    }
}

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n + b.n = 0";

#[tokio::test(flavor = "multi_thread")]
async fn a_canceled_statement_ends_at_once() {
    let world = World::new().await;
    let context = context();
    let mut stream = stream_of(&world, ENDLESS, context.clone()).await;
    let cancel = context.cancel.clone();
    let began = Instant::now();
    let (item, ()) = tokio::join!(stream.next(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    });
    assert!(matches!(item, Some(Err(EngineError::Canceled))), "{item:?}");
    assert!(stream.next().await.is_none());
    assert!(began.elapsed() < Duration::from_secs(3));
}

/// Drains only once nothing runs: what was dropped has stopped at the engine, too.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_rows_stops_the_work() {
    let world = World::new().await;
    let served = Served::new(Arc::clone(&world.engine)).await;
    let world = World { engine: Arc::new(served.remote()), ..world };
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(stream_of(&world, ENDLESS, context()).await);
    }
    let waiting = tokio::time::timeout(Duration::from_millis(300), streams[0].next()).await;
    assert!(waiting.is_err(), "it would run for hours");
    drop(streams);
    served.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), served.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_drains_ends_what_runs_and_takes_nothing_new() {
    let world = World::new().await;
    small(&world).await;
    let served = Served::new(Arc::clone(&world.engine)).await;
    let world = World { engine: Arc::new(served.remote()), ..world };
    let kept = world.engine.prepare(world.bound(Work::Query(Box::new(parse("SELECT * FROM main.public.t"))), &["t"])).await.unwrap();
    let stream = stream_of(&world, &wide(200_000), context()).await;
    served.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refused = world.query("SELECT 1", &[]).await;
    assert!(matches!(refused, Err(EngineError::Unavailable { reason: Unavailability::Draining })), "{refused:?}");
    assert!(!served.task.is_finished());
    // A plan that is held is run; one that is not is planned anew elsewhere.
    let Execution::Rows { stream: rows, .. } = kept.execute(Vec::new(), context()).await.unwrap() else { panic!("rows were expected") };
    assert_eq!(rows.try_collect::<Vec<_>>().await.unwrap()[0].num_rows(), 2);
    assert!(!kept.hold() && !kept.hold_current().await.unwrap());
    let rows = stream.try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 200_000);
    tokio::time::timeout(Duration::from_secs(10), served.serving).await.unwrap().unwrap().unwrap();
    let gone = world.query("SELECT 1", &[]).await;
    assert!(matches!(gone, Err(EngineError::Unavailable { reason: Unavailability::Unreachable })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_may_come_to_its_end_on_an_engine_that_drains() {
    let world = World::new().await;
    small(&world).await;
    let served = Served::new(Arc::clone(&world.engine)).await;
    let local = Arc::clone(&world.engine);
    let world = World { engine: Arc::new(served.remote()), ..world };
    let transaction = world.engine.begin();
    crate::transactions::change(&world, &transaction, "INSERT INTO main.public.t VALUES (3, 'three')").await.unwrap();
    served.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!served.task.is_finished());
    crate::transactions::change(&world, &transaction, "DELETE FROM main.public.t WHERE id = 1").await.unwrap();
    transaction.commit(context()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), served.serving).await.unwrap().unwrap().unwrap();
    let world = World { engine: local, ..world };
    assert_eq!(world.lines("SELECT id FROM main.public.t", &["t"]).await, ["2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_held_and_let_go_of() {
    let world = World::new().await;
    small(&world).await;
    let statement = world.bound(Work::Query(Box::new(parse("SELECT count(*) FROM main.public.t"))), &["t"]);
    let prepared = world.engine.prepare(statement).await.unwrap();
    // The driver comes back soon.
    prepared.release();
    assert!(prepared.hold());
    prepared.release();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!prepared.hold(), "nobody came back");
    assert!(prepared.hold_current().await.unwrap(), "nothing has changed");
    prepared.release();
    world.change("INSERT INTO main.public.t VALUES (9, NULL)", "t", &["t"]).await.unwrap();
    assert!(!prepared.hold_current().await.unwrap(), "there is a newer version");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_with_their_fields() {
    let world = World::new().await;
    let table = lakegate_engine_api::NewTable {
        checks: vec![("positive".to_owned(), "n > 0".to_owned())],
        ..new_table(&world, "c", &[column("n", PgType::INT4)])
    };
    create(&world, &table).await;
    let broken = world.change("INSERT INTO main.public.c VALUES (-1)", "c", &["c"]).await;
    let Err(EngineError::Constraint { violation, table, detail, .. }) = broken else { panic!("{broken:?}") };
    assert_eq!((violation, table.as_str()), (Violation::Check { constraint: "positive".to_owned() }, "c"));
    assert!(detail.is_some());
    // One that comes after rows.
    let rows = stream_of(&world, "SELECT 10 / (150000 - n) FROM generate_series(1, 200000) AS s(n)", context()).await;
    let failed = rows.try_collect::<Vec<_>>().await;
    assert!(matches!(failed, Err(EngineError::Data { .. })), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_written_and_read_whole() {
    let world = World::new().await;
    let (url, within) = (format!("{}out.bin", world.url("files")), world.url("files"));
    let place = FilePlace { url, within: within.clone() };
    let chunk = bytes::Bytes::from(vec![7; 3 << 20]);
    let chunks = futures::stream::iter(vec![Ok(chunk.clone()), Ok(chunk)]).boxed();
    world.engine.write_file(&place, FileContent::Bytes(chunks), context()).await.unwrap();
    let listed = world.engine.list_files(&FilePlace { url: within.clone(), within }, &[".bin"]).await.unwrap();
    assert_eq!(listed.iter().map(|file| file.bytes).collect::<Vec<_>>(), [6 << 20]);
    let read: Vec<bytes::Bytes> = world.engine.read_file(&listed[0]).await.unwrap().try_collect().await.unwrap();
    assert_eq!(read.iter().map(bytes::Bytes::len).sum::<usize>(), 6 << 20);
    // What fails in the middle is not taken for whole.
    let broken = vec![Ok(bytes::Bytes::from_static(b"half")), Err(EngineError::DiskFull)];
    let failed = world.engine.write_file(&place, FileContent::Bytes(futures::stream::iter(broken).boxed()), context()).await;
    assert!(matches!(failed, Err(EngineError::DiskFull)), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_appended_may_be_many() {
    let world = World::new().await;
    create(&world, &new_table(&world, "big", &[column("n", PgType::INT8), column("t", PgType::TEXT)])).await;
    let batch = |from: i64| {
        let numbers = Arc::new(Int64Array::from_iter_values(from..from + 20_000)) as ArrayRef;
        let texts = Arc::new(StringArray::from_iter_values((from..from + 20_000).map(|n| format!("{n:0200}")))) as ArrayRef;
        Ok(RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap())
    };
    let rows = futures::stream::iter((0..10).map(move |at| batch(at * 20_000))).boxed();
    let outcome = world.engine.append(world.relation("big", None), rows, Arc::new(facts()), context()).await.unwrap();
    assert_eq!(outcome.rows, 200_000);
    assert_eq!(world.lines("SELECT count(*), sum(n), min(length(t)) FROM main.public.big", &["big"]).await, ["200000|19999900000|200"]);
}

/// What is noted of a transaction without asking the engine comes before what is done afterwards, though it was planned before.
#[tokio::test(flavor = "multi_thread")]
async fn marks_are_where_they_were_set() {
    let world = World::new().await;
    small(&world).await;
    let transaction = world.engine.begin();
    crate::transactions::change(&world, &transaction, "INSERT INTO main.public.t VALUES (3, 'three')").await.unwrap();
    let work = Work::Change { statement: Box::new(parse("INSERT INTO main.public.t VALUES (4, 'four')")), target: relation_name("t") };
    let mut statement = world.bound(work, &[]);
    statement.relations.push(crate::transactions::within(&world, &transaction));
    let planned = world.engine.prepare(statement).await.unwrap();
    let mark = transaction.mark();
    assert!(matches!(planned.execute(Vec::new(), context()).await.unwrap(), Execution::Done(_)));
    assert_eq!(crate::transactions::seen(&world, &transaction).await, ["1|one", "2|NULL", "3|three", "4|four"]);
    transaction.roll_back_to(mark);
    assert_eq!(crate::transactions::seen(&world, &transaction).await, ["1|one", "2|NULL", "3|three"]);
    assert!(transaction.has_writes());
    transaction.roll_back_to(0);
    assert!(!transaction.has_changes());
    assert_eq!(crate::transactions::seen(&world, &transaction).await, ["1|one", "2|NULL"]);
    crate::transactions::change(&world, &transaction, "INSERT INTO main.public.t VALUES (5, 'five')").await.unwrap();
    transaction.commit(context()).await.unwrap();
    assert_eq!(world.lines("SELECT id FROM main.public.t", &["t"]).await, ["1", "2", "5"]);
}
