//! Changes staged in a transaction: seen by it alone, committed at once, or never there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Int32Array, RecordBatch, StringArray};
use futures::StreamExt;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{BoundRelation, EngineError, EngineTransaction, Outcome, RelationSource, Work};

use crate::support::{World, context, facts, lines, parse, relation_name};
use crate::writes::{column, create, new_table, small};

pub type Transaction = Arc<dyn EngineTransaction>;

pub fn within(world: &World, transaction: &Transaction) -> BoundRelation {
    let mut relation = world.relation("t", None);
    if let RelationSource::Table { transaction: bound, .. } = &mut relation.source {
        *bound = Some(Arc::clone(transaction));
    }
    relation
}

pub async fn change(world: &World, transaction: &Transaction, sql: &str) -> Result<Outcome, EngineError> {
    let work = Work::Change { statement: Box::new(parse(sql)), target: relation_name("t") };
    let mut statement = world.bound(work, &[]);
    statement.relations.push(within(world, transaction));
    world.done(statement).await
}

/// Rows as the transaction sees them.
pub async fn seen(world: &World, transaction: &Transaction) -> Vec<String> {
    let mut statement = world.bound(Work::Query(Box::new(parse("SELECT * FROM main.public.t"))), &[]);
    statement.relations.push(within(world, transaction));
    let mut lines = lines(&world.rows(statement, Vec::new()).await.unwrap());
    lines.sort();
    lines
}

/// Rows as everybody else does.
async fn visible(world: &World) -> Vec<String> {
    world.lines("SELECT * FROM main.public.t", &["t"]).await
}

fn folder(world: &World) -> PathBuf {
    world.dir.path().join("tables/t")
}

/// Lines of a commit that hold an action of a kind.
fn actions(world: &World, version: u64, kind: &str) -> usize {
    let text = std::fs::read_to_string(folder(world).join(format!("_delta_log/{version:020}.json"))).unwrap();
    text.lines().filter(|line| line.starts_with(&format!("{{\"{kind}\""))).count()
}

fn data_files(world: &World) -> usize {
    let mut folders = vec![folder(world)];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files += usize::from(path.extension().is_some_and(|extension| extension == "parquet"));
            }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn sees_its_own_changes_and_commits_once() {
    let world = World::new().await;
    small(&world).await;
    let transaction = world.engine.begin();
    assert!(!transaction.has_changes());
    let outcome = change(&world, &transaction, "INSERT INTO main.public.t VALUES (3, 'three')").await.unwrap();
    assert_eq!((outcome.rows, outcome.version), (1, None));
    assert_eq!(seen(&world, &transaction).await, ["1|one", "2|NULL", "3|three"]);
    assert_eq!(change(&world, &transaction, "UPDATE main.public.t SET name = 'x' WHERE id = 3").await.unwrap().rows, 1);
    assert_eq!(change(&world, &transaction, "DELETE FROM main.public.t WHERE id = 1").await.unwrap().rows, 1);
    assert_eq!(change(&world, &transaction, "INSERT INTO main.public.t SELECT id + 10, name FROM main.public.t").await.unwrap().rows, 2);
    assert_eq!(seen(&world, &transaction).await, ["12|NULL", "13|x", "2|NULL", "3|x"]);
    assert_eq!(visible(&world).await, ["1|one", "2|NULL"]);

    let outcome = transaction.commit(context()).await.unwrap();
    assert_eq!(outcome.version, Some(2));
    assert_eq!(visible(&world).await, ["12|NULL", "13|x", "2|NULL", "3|x"]);
    assert_eq!((actions(&world, 2, "remove"), actions(&world, 2, "txn")), (1, 4));
    // What the UPDATE left, what the DELETE left, what the second INSERT added: not what the first one wrote.
    assert_eq!(actions(&world, 2, "add"), 3);
    assert!(change(&world, &transaction, "INSERT INTO main.public.t VALUES (4, 'late')").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_back_to_marks() {
    let world = World::new().await;
    small(&world).await;
    let before = data_files(&world);
    let transaction = world.engine.begin();
    change(&world, &transaction, "INSERT INTO main.public.t VALUES (3, 'kept')").await.unwrap();
    let mark = transaction.mark();
    change(&world, &transaction, "INSERT INTO main.public.t VALUES (4, 'dropped')").await.unwrap();
    assert_eq!(seen(&world, &transaction).await, ["1|one", "2|NULL", "3|kept", "4|dropped"]);
    change(&world, &transaction, "TRUNCATE main.public.t").await.unwrap();
    assert!(seen(&world, &transaction).await.is_empty());
    transaction.roll_back_to(mark);
    assert_eq!(seen(&world, &transaction).await, ["1|one", "2|NULL", "3|kept"]);
    // A second time, without anything since.
    transaction.roll_back_to(mark);
    assert_eq!(seen(&world, &transaction).await, ["1|one", "2|NULL", "3|kept"]);
    transaction.roll_back_to(0);
    assert!(!transaction.has_changes());
    assert_eq!(transaction.commit(context()).await.unwrap().version, None);
    assert_eq!(visible(&world).await, ["1|one", "2|NULL"]);

    let dropped = world.engine.begin();
    change(&world, &dropped, "INSERT INTO main.public.t VALUES (5, 'five')").await.unwrap();
    assert_eq!(seen(&world, &dropped).await.len(), 3);
    drop(dropped);
    for _ in 0..100 {
        if data_files(&world) == before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(data_files(&world), before, "files of what was rolled back are deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn rests_on_one_version_and_conflicts_by_files() {
    let world = World::new().await;
    small(&world).await;
    let (update, append) = (world.engine.begin(), world.engine.begin());
    change(&world, &update, "UPDATE main.public.t SET name = 'mine' WHERE id = 1").await.unwrap();
    change(&world, &append, "INSERT INTO main.public.t VALUES (3, 'appended')").await.unwrap();
    world.change("UPDATE main.public.t SET name = 'theirs' WHERE id = 2", "t", &["t"]).await.unwrap();
    assert_eq!(seen(&world, &update).await, ["1|mine", "2|NULL"]);
    assert_eq!(seen(&world, &append).await, ["1|one", "2|NULL", "3|appended"]);
    let conflict = update.commit(context()).await;
    assert!(matches!(conflict, Err(EngineError::Conflict { .. })), "{conflict:?}");
    assert_eq!(visible(&world).await, ["1|one", "2|theirs"]);
    assert!(append.commit(context()).await.unwrap().version.is_some());
    assert_eq!(visible(&world).await, ["1|one", "2|theirs", "3|appended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_nothing_is_no_commit() {
    let world = World::new().await;
    small(&world).await;
    let transaction = world.engine.begin();
    change(&world, &transaction, "INSERT INTO main.public.t VALUES (3, 'three')").await.unwrap();
    assert_eq!(change(&world, &transaction, "DELETE FROM main.public.t WHERE id = 3").await.unwrap().rows, 1);
    assert!(transaction.has_changes());
    assert_eq!(transaction.commit(context()).await.unwrap().version, None);
    assert_eq!(visible(&world).await, ["1|one", "2|NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_staged_and_a_canceled_commit_is_none() {
    let world = World::new().await;
    small(&world).await;
    let rows = || {
        let ids = Arc::new(Int32Array::from(vec![7, 8]));
        let names = Arc::new(StringArray::from(vec![Some("seven"), None]));
        let batch = RecordBatch::try_from_iter([("id", ids as arrow_array::ArrayRef), ("name", names as arrow_array::ArrayRef)]).unwrap();
        futures::stream::iter([Ok(batch)]).boxed()
    };
    let transaction = world.engine.begin();
    let outcome = world.engine.append(within(&world, &transaction), rows(), Arc::new(facts()), context()).await.unwrap();
    assert_eq!((outcome.rows, outcome.version), (2, None));
    assert_eq!(seen(&world, &transaction).await, ["1|one", "2|NULL", "7|seven", "8|NULL"]);
    let canceled = context();
    canceled.cancel.cancel();
    assert!(matches!(transaction.commit(canceled).await, Err(EngineError::Canceled)));
    assert_eq!(visible(&world).await, ["1|one", "2|NULL"]);
    assert_eq!(transaction.commit(context()).await.unwrap().version, None, "it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_with_odd_names() {
    let world = World::new().await;
    let mut table = new_table(&world, "t", &[column("id", PgType::INT4), column("city", PgType::TEXT)]);
    table.partition_columns = vec!["city".to_owned()];
    create(&world, &table).await;
    let transaction = world.engine.begin();
    change(&world, &transaction, "INSERT INTO main.public.t VALUES (1, 'Köln/1 %'), (2, NULL), (3, 'a=b')").await.unwrap();
    assert_eq!(seen(&world, &transaction).await, ["1|Köln/1 %", "2|NULL", "3|a=b"]);
    change(&world, &transaction, "UPDATE main.public.t SET id = id + 10 WHERE city = 'Köln/1 %'").await.unwrap();
    change(&world, &transaction, "UPDATE main.public.t SET city = 'Bonn' WHERE city IS NULL").await.unwrap();
    assert_eq!(seen(&world, &transaction).await, ["11|Köln/1 %", "2|Bonn", "3|a=b"]);
    transaction.commit(context()).await.unwrap();
    assert_eq!(visible(&world).await, ["11|Köln/1 %", "2|Bonn", "3|a=b"]);
    assert_eq!((actions(&world, 1, "add"), actions(&world, 1, "remove")), (3, 0));
}
