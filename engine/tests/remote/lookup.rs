//! What an engine asks its gateway while a statement runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use lakegate_engine_api::{AdvisoryKey, BoundRelation, EngineError, KeyFilter, RelationSource, SessionFacts, SystemColumns, Work};
use tokio::sync::Notify;

use crate::support::{Lookup, World, context, facts, lines, parse, relation_name};
use crate::writes::small;

fn asked_by(lookup: Lookup) -> Arc<SessionFacts> {
    Arc::new(SessionFacts { lookup: Arc::new(lookup), ..facts() })
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_get_their_answers_from_the_gateway() {
    let mut world = World::new().await;
    small(&world).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let roles = move |oid| {
        counted.fetch_add(1, Ordering::SeqCst);
        (oid == 1).then(|| "somebody".to_owned())
    };
    world.facts = asked_by(Lookup { roles: Some(Arc::new(roles)), ..Lookup::default() });
    let sql = "SELECT t.id, pg_get_userbyid(t.id::oid) FROM main.public.t AS t, generate_series(1, 100)";
    let mut found = lines(&world.query(sql, &["t"]).await.unwrap());
    found.sort();
    found.dedup();
    assert_eq!(found, ["1|somebody", "2|unknown (OID=2)"]);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "each question once");
}

/// Two columns of three rows.
#[derive(Debug)]
struct Rows {
    asked: Mutex<Vec<Vec<usize>>>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int32, false), Field::new("word", DataType::Utf8, true)]))
}

impl SystemColumns for Rows {
    fn read(&self, columns: &[usize], _keys: &[KeyFilter]) -> Result<Vec<RecordBatch>, EngineError> {
        self.asked.lock().unwrap().push(columns.to_vec());
        let all: [ArrayRef; 2] =
            [Arc::new(Int32Array::from(vec![1, 2, 3])), Arc::new(StringArray::from(vec![Some("one"), None, Some("three")]))];
        let fields: Vec<_> = columns.iter().map(|at| schema().field(*at).clone()).collect();
        let arrays = columns.iter().map(|at| Arc::clone(&all[*at])).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        Ok(vec![RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).unwrap()])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn system_relations_are_joined_with_stored_tables() {
    let world = World::new().await;
    small(&world).await;
    let rows = Arc::new(Rows { asked: Mutex::default() });
    let bound = |sql: &str| {
        let mut statement = world.bound(Work::Query(Box::new(parse(sql))), &["t"]);
        let source = RelationSource::Columns { schema: schema(), columns: Arc::clone(&rows) as _ };
        statement.relations.push(BoundRelation::new(relation_name("s"), source));
        statement
    };
    let joined = bound("SELECT t.name, s.word FROM main.public.t AS t JOIN main.public.s AS s ON s.id = t.id ORDER BY t.id");
    assert_eq!(lines(&world.rows(joined, Vec::new()).await.unwrap()), ["one|one", "NULL|NULL"]);
    let counted = bound("SELECT count(*) FROM main.public.s");
    assert_eq!(lines(&world.rows(counted, Vec::new()).await.unwrap()), ["3"]);
    assert!(rows.asked.lock().unwrap().iter().any(|columns| columns == &[0, 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_are_waited_for_and_given_up() {
    let mut world = World::new().await;
    let (free, dropped) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let locks = {
        let (free, dropped) = (Arc::clone(&free), Arc::clone(&dropped));
        move |request: lakegate_engine_api::AdvisoryRequest| -> lakegate_engine_api::AdvisoryTaken {
            assert_eq!(request.key, AdvisoryKey::Whole(7));
            let (free, dropped) = (Arc::clone(&free), Arc::clone(&dropped));
            Box::pin(async move {
                let waiting = OnDrop(dropped);
                if request.wait {
                    free.notified().await;
                }
                drop(waiting);
                Ok(true)
            })
        }
    };
    world.facts = asked_by(Lookup { locks: Some(Arc::new(locks)), ..Lookup::default() });
    assert_eq!(lines(&world.query("SELECT pg_try_advisory_lock(7)", &[]).await.unwrap()), ["true"]);
    let waits = world.query("SELECT pg_advisory_lock(7)", &[]);
    let (waited, ()) = tokio::join!(waits, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        free.notify_one();
    });
    assert_eq!(waited.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    // Canceled, it leaves the queue at the gateway.
    let before = dropped.load(Ordering::SeqCst);
    let context = context();
    let statement = world.bound(Work::Query(Box::new(parse("SELECT pg_advisory_lock(7)"))), &[]);
    let prepared = world.engine.prepare(statement).await.unwrap();
    let cancel = context.cancel.clone();
    let run = async {
        match prepared.execute(Vec::new(), context).await? {
            lakegate_engine_api::Execution::Rows { stream, .. } => futures::TryStreamExt::try_collect::<Vec<_>>(stream).await,
            _ => panic!("rows were expected"),
        }
    };
    let (ended, ()) = tokio::join!(run, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    });
    assert!(matches!(ended, Err(EngineError::Canceled)), "{ended:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(dropped.load(Ordering::SeqCst), before + 1);
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
