//! Queries over tables and rows.

use std::sync::Arc;

use arrow_array::{Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use futures::StreamExt;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{BoundRelation, EngineError, Execution, Limit, RelationSource, SqlMistake, Work, pg_type};

use crate::support::{World, context, lines, parse, relation_name};

fn numbers(name: &str, count: i32) -> BoundRelation {
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int32Array::from_iter_values(0..count)) as _),
        ("name", Arc::new(StringArray::from_iter_values((0..count).map(|id| format!("n{id}")))) as _),
    ])
    .unwrap();
    let source = RelationSource::Rows { schema: batch.schema(), batches: vec![batch].into() };
    BoundRelation::new(relation_name(name), source)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_duplicates() {
    let world = World::new().await;
    let mut statement = world.bound(
        Work::Query(Box::new(parse(
            "SELECT 1, 1, id, id, t.name, count(*), upper(name), id::text, CASE WHEN true THEN 1 END FROM main.public.t \
             WHERE id = 3 GROUP BY id, name",
        ))),
        &[],
    );
    statement.relations.push(numbers("t", 5));
    let prepared = world.engine.prepare(statement).await.unwrap();
    let schema = prepared.result_schema().unwrap();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["?column?", "?column?", "id", "id", "name", "count", "upper", "id", "case"]);
    let Execution::Rows { stream, .. } = prepared.execute(Vec::new(), context()).await.unwrap() else { panic!() };
    let batches: Vec<RecordBatch> = stream.map(Result::unwrap).collect().await;
    assert_eq!(lines(&batches), ["1|1|3|3|n3|1|N3|3|1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_and_parameters() {
    let world = World::new().await;
    let view = |sql: &str| match parse(sql) {
        sqlparser::ast::Statement::Query(query) => Arc::new(*query),
        _ => panic!(),
    };
    let mut statement = world.bound(Work::Query(Box::new(parse("SELECT * FROM main.public.v WHERE a > $1 ORDER BY 1 LIMIT $2"))), &[]);
    statement.relations.push(numbers("t", 10));
    statement.relations.push(BoundRelation::new(
        relation_name("v"),
        RelationSource::View {
            query: view("SELECT id, name, count(*) OVER () FROM main.public.t"),
            columns: vec!["a".to_owned(), "b".to_owned()],
            runs_as: None,
            visible: None,
            policies: None,
        },
    ));
    let prepared = world.engine.prepare(statement).await.unwrap();
    let types: Vec<PgType> = prepared.parameters().iter().map(|field| pg_type(field)).collect();
    assert_eq!(types, [PgType::INT4, PgType::INT8]);
    for (least, limit, expected) in [(7, 5, vec!["8|n8|10", "9|n9|10"]), (-1, 1, vec!["0|n0|10"])] {
        let values = vec![Arc::new(Int32Array::from(vec![least])) as _, Arc::new(arrow_array::Int64Array::from(vec![limit])) as _];
        let Execution::Rows { stream, .. } = prepared.execute(values, context()).await.unwrap() else { panic!() };
        let batches: Vec<RecordBatch> = stream.map(Result::unwrap).collect().await;
        assert_eq!(lines(&batches), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes() {
    let world = World::new().await;
    let error = async |sql: &str| {
        let mut statement = world.bound(Work::Query(Box::new(parse(sql))), &[]);
        statement.relations.push(numbers("t", 5));
        world.rows(statement, Vec::new()).await.unwrap_err()
    };
    let found = error("SELECT nope FROM main.public.t").await;
    assert_eq!(found.to_string(), "column \"nope\" does not exist");
    let found = error("SELECT * FROM main.public.nope").await;
    assert!(matches!(found, EngineError::Sql { mistake: SqlMistake::UndefinedTable, .. }), "{found:?}");
    let found = error("SELECT nope(id) FROM main.public.t").await;
    assert!(matches!(found, EngineError::Sql { mistake: SqlMistake::UndefinedFunction, .. }), "{found:?}");
    let found = error("SELECT id, count(*) FROM main.public.t").await;
    assert!(matches!(found, EngineError::Sql { mistake: SqlMistake::Grouping, .. }), "{found:?}");
    assert_eq!(error("SELECT 1 / (id - id) FROM main.public.t").await.to_string(), "division by zero");
    assert_eq!(error("SELECT 2147483647 + id FROM main.public.t").await.to_string(), "integer out of range");
    assert_eq!(error("SELECT name::int FROM main.public.t").await.to_string(), "invalid input syntax for type integer: \"n0\"");
    for sql in ["SELECT * FROM main.public.t FOR UPDATE", "SELECT * FROM main.public.t TABLESAMPLE BERNOULLI (10)"] {
        let found = error(sql).await;
        assert!(matches!(found, EngineError::Unsupported { .. }), "{sql}: {found:?}");
    }
    let found = error("SELECT (SELECT id FROM main.public.t) FROM main.public.t").await;
    assert!(matches!(found, EngineError::Sql { mistake: SqlMistake::CardinalityViolation, .. }), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_statements_are_refused_or_run() {
    let world = World::new().await;
    let chain = |links: usize| format!("SELECT 1{}", " + 1".repeat(links));
    let parse_deep = |sql: String| std::thread::Builder::new().stack_size(256 << 20).spawn(move || parse(&sql)).unwrap().join().unwrap();
    let rows = world.rows(world.bound(Work::Query(Box::new(parse_deep(chain(300)))), &[]), Vec::new()).await.unwrap();
    assert_eq!(lines(&rows), ["301"]);
    let alternatives = format!("SELECT 1 WHERE 1 = 1{}", " OR 1 = 2".repeat(2_000));
    let rows = world.rows(world.bound(Work::Query(Box::new(parse_deep(alternatives))), &[]), Vec::new()).await.unwrap();
    assert_eq!(lines(&rows), ["1"]);
    let refused = world.rows(world.bound(Work::Query(Box::new(parse_deep(chain(1_000)))), &[]), Vec::new()).await.unwrap_err();
    assert!(matches!(refused, EngineError::Limit { limit: Limit::StatementTooComplex, .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_a_plan_without_paths() {
    let world = World::new().await;
    let mut statement = world.bound(Work::Query(Box::new(parse("EXPLAIN ANALYZE SELECT id FROM main.public.t WHERE id > 2"))), &[]);
    statement.relations.push(numbers("t", 5));
    let rows = world.rows(statement, Vec::new()).await.unwrap();
    assert_eq!(rows[0].schema().field(0).name(), "QUERY PLAN");
    let text = lines(&rows).join("\n");
    assert!(text.contains("rows=2") && text.contains("Execution Time"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_frees_its_memory() {
    let world = World::new().await;
    let sql = "SELECT a.id FROM main.public.t a, main.public.t b, main.public.t c";
    let mut statement = world.bound(Work::Query(Box::new(parse(sql))), &[]);
    statement.relations.push(numbers("t", 2_000));
    let prepared = world.engine.prepare(statement).await.unwrap();
    let Execution::Rows { mut stream, .. } = prepared.execute(Vec::new(), context()).await.unwrap() else { panic!() };
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    drop(stream);
    let cancelable = context();
    let Execution::Rows { mut stream, .. } = prepared.execute(Vec::new(), cancelable.clone()).await.unwrap() else { panic!() };
    stream.next().await.unwrap().unwrap();
    cancelable.cancel.cancel();
    let last = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(last, Some(Err(EngineError::Canceled))), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_plain_types() {
    let world = World::new().await;
    let rows = world.query("SELECT NULL, 'x', 1.5, 1::bigint", &[]).await.unwrap();
    let types: Vec<DataType> = rows[0].schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types[..2], [DataType::Utf8, DataType::Utf8]);
    assert!(rows[0].column(0).is_null(0));
}
