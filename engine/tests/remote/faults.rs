//! Engines and gateways that go away under the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_array::{Int32Array, RecordBatch, StringArray};
use futures::StreamExt;
use lakegate_engine::flight::identity::Role;
use lakegate_engine_api::{Effect, EngineError, EngineTransaction, Execution, RowStream, SessionFacts, Unavailability, Work};

use crate::proxy::Proxy;
use crate::support::{Lookup, World, context, facts, parse};
use crate::together::{BEFORE, Scripted};
use crate::transport::{SECRET, Served, begun};
use crate::writes::small;

const ENDLESS: &str = "SELECT a.n FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n + b.n > 0";

/// The table `t` at an engine behind something that breaks; and the engine itself.
async fn broken_off() -> (World, World, Served, Proxy) {
    let world = World::new().await;
    small(&world).await;
    let near = World {
        engine: Arc::clone(&world.engine),
        catalog: world.catalog.clone(),
        dir: tempfile::tempdir().unwrap(),
        facts: Arc::clone(&world.facts),
    };
    let served = Served::new(Arc::clone(&world.engine)).await;
    let proxy = Proxy::new(served.address).await;
    let engine = served.remote_by(proxy.address, served.instance, SECRET, Role::Gateway);
    (World { engine: Arc::new(engine), ..world }, near, served, proxy)
}

async fn rows_of(world: &World, sql: &str) -> RowStream {
    let prepared = world.engine.prepare(world.bound(Work::Query(Box::new(parse(sql))), &["t"])).await.unwrap();
    match prepared.execute(Vec::new(), context()).await.unwrap() {
        Execution::Rows { stream, .. } => stream,
        _ => panic!("rows were expected"),
    }
}

async fn last(mut rows: RowStream) -> Option<EngineError> {
    let mut last = None;
    while let Some(item) = rows.next().await {
        last = item.err();
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_engine_goes_away_never_looks_whole() {
    let (world, _, _served, proxy) = broken_off().await;
    let mut rows = rows_of(&world, ENDLESS).await;
    rows.next().await.unwrap().unwrap();
    proxy.break_off();
    assert_eq!(last(rows).await, Some(EngineError::Lost { effect: Effect::None }));
    let gone = world.query("SELECT 1", &[]).await;
    assert!(matches!(gone, Err(EngineError::Unavailable { reason: Unavailability::Unreachable })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_noticed() {
    let (world, _, _served, proxy) = broken_off().await;
    let mut rows = rows_of(&world, ENDLESS).await;
    rows.next().await.unwrap().unwrap();
    proxy.fall_silent();
    let began = Instant::now();
    assert_eq!(last(rows).await, Some(EngineError::Lost { effect: Effect::None }));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// Rows of which one came, until the sender is dropped.
fn endless_rows() -> (tokio::sync::mpsc::Sender<Result<RecordBatch, EngineError>>, RowStream) {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let rows = futures::stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) });
    (sender, rows.boxed())
}

fn batch() -> RecordBatch {
    RecordBatch::try_from_iter([("id", Arc::new(Int32Array::from(vec![5])) as _), ("name", Arc::new(StringArray::from(vec!["five"])) as _)])
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_cut_off_leaves_nothing_and_says_that_it_does_not_know() {
    let (world, near, served, proxy) = broken_off().await;
    let (sender, rows) = endless_rows();
    sender.send(Ok(batch())).await.unwrap();
    let appending = world.engine.append(world.relation("t", None), rows, Arc::new(facts()), context());
    let (appended, ()) = tokio::join!(appending, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.break_off();
    });
    assert_eq!(appended, Err(EngineError::Lost { effect: Effect::Unknown }));
    assert_eq!(near.lines("SELECT id FROM main.public.t", &["t"]).await, ["1", "2"]);
    // The engine has let go of it.
    served.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), served.serving).await.unwrap().unwrap().unwrap();
    assert_eq!(near.lines("SELECT id FROM main.public.t", &["t"]).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_lost_with_its_engine() {
    let (world, near, _served, proxy) = broken_off().await;
    let transaction: Arc<dyn EngineTransaction> = world.engine.begin();
    crate::transactions::change(&world, &transaction, "INSERT INTO main.public.t VALUES (3, 'three')").await.unwrap();
    assert!(transaction.has_writes());
    proxy.break_off();
    let next = crate::transactions::change(&world, &transaction, "INSERT INTO main.public.t VALUES (4, 'four')").await;
    assert_eq!(next, Err(EngineError::Lost { effect: Effect::None }));
    assert_eq!(transaction.commit(context()).await, Err(EngineError::Lost { effect: Effect::None }));
    assert_eq!(near.lines("SELECT id FROM main.public.t", &["t"]).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_connected_to_again() {
    let world = World::new().await;
    small(&world).await;
    let served = Served::new(Arc::clone(&world.engine)).await;
    let remote = served.remote();
    let local = Arc::clone(&world.engine);
    let world = World { engine: Arc::new(remote), ..world };
    let prepared = world.engine.prepare(world.bound(Work::Query(Box::new(parse("SELECT * FROM main.public.t"))), &["t"])).await.unwrap();
    served.task.abort();
    let _ = served.serving.await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!prepared.hold());
    // The same process listens again at its address.
    let listener = loop {
        match tokio::net::TcpListener::bind(served.address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let tls = lakegate_engine::flight::identity::Identity::derive(SECRET, Role::Engine).unwrap().server_config(Role::Gateway).unwrap();
    let again = lakegate_engine::flight::serve(local, served.instance, listener, tls, tokio_util::sync::CancellationToken::new());
    let (serving, _) = begun(again);
    assert_eq!(world.lines("SELECT id FROM main.public.t", &["t"]).await, ["1", "2"]);
    serving.abort();
}

/// The gateway goes while a function of a change waits for its answer: whatever the function would give is a wrong answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_gateway_goes_away_does_not_guess() {
    let (mut world, near, served, proxy) = broken_off().await;
    let asked = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&asked);
    let roles = move |_| {
        noted.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_secs(2));
        Some("late".to_owned())
    };
    world.facts = Arc::new(SessionFacts { lookup: Arc::new(Lookup { roles: Some(Arc::new(roles)), ..Lookup::default() }), ..facts() });
    let sql = "INSERT INTO main.public.t SELECT id + 10, pg_get_userbyid(id::oid) FROM main.public.t";
    let (changed, ()) = tokio::join!(world.change(sql, "t", &["t"]), async {
        while !asked.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxy.break_off();
    });
    assert_eq!(changed, Err(EngineError::Lost { effect: Effect::Unknown }));
    served.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), served.serving).await.unwrap().unwrap().unwrap();
    assert_eq!(near.lines("SELECT id FROM main.public.t", &["t"]).await, ["1", "2"]);
}

/// The gateway goes between the commits and their decision: the tables are not kept from those who settle what it left.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_several_tables_without_its_gateway_is_left_to_recovery() {
    let near = crate::together::tables().await;
    let served = Served::new(Arc::clone(&near.engine)).await;
    let proxy = Proxy::new(served.address).await;
    let engine = served.remote_by(proxy.address, served.instance, SECRET, Role::Gateway);
    let (catalog, facts) = (near.catalog.clone(), Arc::clone(&near.facts));
    let far = World { engine: Arc::new(engine), dir: near.dir, catalog, facts };
    let decision = Arc::new(Scripted { intents: usize::MAX, hangs: true, ..Scripted::default() });
    let (committed, ()) = tokio::join!(crate::together::commit(&far, &decision), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        proxy.break_off();
    });
    assert_eq!(committed, Err(EngineError::Lost { effect: Effect::Unknown }));
    let recorded = decision.recorded.lock().unwrap().clone();
    assert_eq!(recorded.len(), 3);
    let near = World { engine: near.engine, ..far };
    tokio::time::timeout(Duration::from_secs(20), near.engine.undo_commits(recorded)).await.unwrap().unwrap();
    assert_eq!(crate::together::seen(&near).await, BEFORE);
}
