//! Changes of tables, read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Int32Array, RecordBatch, StringArray};
use futures::StreamExt;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{ColumnDefinition, DataError, EngineError, FilePlace, NewTable, SqlMistake, Violation, Work};
use sqlparser::ast::Statement;

use crate::support::{World, context, facts, parse, place, relation_name};

pub fn column(name: &str, data_type: PgType) -> ColumnDefinition {
    ColumnDefinition { name: name.to_owned(), data_type, not_null: false }
}

pub fn new_table(world: &World, name: &str, columns: &[ColumnDefinition]) -> NewTable {
    NewTable {
        generated: Vec::new(),
        name: relation_name(name),
        location: world.url(name),
        columns: columns.to_vec(),
        partition_columns: Vec::new(),
        checks: Vec::new(),
        comment: None,
        properties: BTreeMap::new(),
    }
}

pub async fn create(world: &World, table: &NewTable) {
    world.engine.create_table(table.clone(), context()).await.unwrap();
    world.register_as(&table.name.name, &table.location, &table.columns, &table.partition_columns, &[]).await;
}

/// `t (id int, name text)` with two rows.
pub async fn small(world: &World) {
    create(world, &new_table(world, "t", &[column("id", PgType::INT4), column("name", PgType::TEXT)])).await;
    let outcome = world.change("INSERT INTO main.public.t VALUES (1, 'one'), (2, NULL)", "t", &["t"]).await.unwrap();
    assert_eq!((outcome.rows, outcome.version), (2, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn insert_update_delete_truncate() {
    let world = World::new().await;
    small(&world).await;
    let outcome =
        world.change("INSERT INTO main.public.t (name, id) SELECT name || '!', id + 10 FROM main.public.t", "t", &["t"]).await.unwrap();
    assert_eq!(outcome.rows, 2);
    assert_eq!(world.lines("SELECT id, name FROM main.public.t", &["t"]).await, ["11|one!", "12|NULL", "1|one", "2|NULL"]);

    let outcome = world.change("UPDATE main.public.t SET name = 'x' || id, id = id + 100 WHERE id > 10", "t", &["t"]).await.unwrap();
    assert_eq!(outcome.rows, 2);
    assert_eq!(world.lines("SELECT * FROM main.public.t", &["t"]).await, ["111|x11", "112|x12", "1|one", "2|NULL"]);

    let outcome = world.change("DELETE FROM main.public.t AS a WHERE a.name IS NULL OR a.id = 111", "t", &["t"]).await.unwrap();
    assert_eq!(outcome.rows, 2);
    assert_eq!(world.lines("SELECT * FROM main.public.t", &["t"]).await, ["112|x12", "1|one"]);

    let outcome = world.change("DELETE FROM main.public.t WHERE id = 5", "t", &["t"]).await.unwrap();
    assert_eq!((outcome.rows, outcome.version), (0, None));
    let outcome = world.change("UPDATE main.public.t SET id = DEFAULT", "t", &["t"]).await.unwrap();
    assert_eq!(outcome.rows, 2);
    assert_eq!(world.lines("SELECT * FROM main.public.t", &["t"]).await, ["NULL|one", "NULL|x12"]);
    let outcome = world.change("TRUNCATE main.public.t", "t", &["t"]).await.unwrap();
    assert_eq!((outcome.rows, outcome.files_written), (2, 0));
    assert_eq!(world.lines("SELECT count(*) FROM main.public.t", &["t"]).await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn subqueries_see_the_whole_table() {
    let world = World::new().await;
    small(&world).await;
    world.change("INSERT INTO main.public.t VALUES (3, 'three')", "t", &["t"]).await.unwrap();
    let sql = "DELETE FROM main.public.t WHERE id = (SELECT max(id) FROM main.public.t) OR id IN (SELECT id FROM main.public.t WHERE name IS NULL)";
    assert_eq!(world.change(sql, "t", &["t"]).await.unwrap().rows, 2);
    assert_eq!(world.lines("SELECT * FROM main.public.t", &["t"]).await, ["1|one"]);
    let sql = "UPDATE main.public.t SET name = (SELECT count(*) FROM main.public.t)";
    assert_eq!(world.change(sql, "t", &["t"]).await.unwrap().rows, 1);
    assert_eq!(world.lines("SELECT * FROM main.public.t", &["t"]).await, ["1|1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_are_enforced() {
    let world = World::new().await;
    let mut table = new_table(
        &world,
        "c",
        &[
            ColumnDefinition { not_null: true, ..column("id", PgType::INT4) },
            column("code", PgType::varchar(3)),
            column("fixed", PgType::bpchar(2)),
            column("price", PgType::numeric(5, 2)),
        ],
    );
    table.checks = vec![("positive".to_owned(), "price > 0".to_owned())];
    create(&world, &table).await;
    let insert = async |values: &str| world.change(&format!("INSERT INTO main.public.c VALUES {values}"), "c", &["c"]).await;

    let violation = |error: EngineError| match error {
        EngineError::Constraint { violation, .. } => violation,
        other => panic!("{other:?}"),
    };
    assert_eq!(violation(insert("(NULL, 'a', 'b', 1)").await.unwrap_err()), Violation::NotNull { column: "id".to_owned() });
    assert_eq!(violation(insert("(1, 'a', 'b', 0)").await.unwrap_err()), Violation::Check { constraint: "positive".to_owned() });
    let too_long = insert("(1, 'abcd', 'b', 1)").await.unwrap_err();
    assert!(matches!(too_long, EngineError::Data { error: DataError::StringTooLong, .. }), "{too_long:?}");
    let overflow = insert("(1, 'abc', 'b', 1000)").await.unwrap_err();
    assert!(matches!(overflow, EngineError::Data { error: DataError::NumericOutOfRange, .. }), "{overflow:?}");
    // NULL passes a CHECK; spaces beyond the length go.
    assert_eq!(insert("(1, 'abc  ', 'b', NULL), (2, NULL, NULL, 1.005)").await.unwrap().rows, 2);
    assert_eq!(world.lines("SELECT id, code, price FROM main.public.c", &["c"]).await, ["1|abc|NULL", "2|NULL|1.01"]);
    let error = world.change("UPDATE main.public.c SET price = -1", "c", &["c"]).await.unwrap_err();
    assert_eq!(violation(error), Violation::Check { constraint: "positive".to_owned() });
    assert_eq!(world.lines("SELECT count(*) FROM main.public.c WHERE price = 1.01", &["c"]).await, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_have_postgresqls_words() {
    let world = World::new().await;
    small(&world).await;
    let message = async |sql: &str| world.change(sql, "t", &["t"]).await.unwrap_err();
    let error = message("INSERT INTO main.public.t (nope) VALUES (1)").await;
    assert_eq!(error.to_string(), "column \"nope\" of relation \"t\" does not exist");
    let error = message("INSERT INTO main.public.t VALUES (1, 'a', 2)").await;
    assert_eq!(error.to_string(), "INSERT has more expressions than target columns");
    let error = message("INSERT INTO main.public.t (id, name) VALUES (1)").await;
    assert_eq!(error.to_string(), "INSERT has more target columns than expressions");
    let error = message("INSERT INTO main.public.t VALUES ('abc', 'a')").await;
    assert_eq!(error.to_string(), "invalid input syntax for type integer: \"abc\"");
    let error = message("INSERT INTO main.public.t SELECT name, name FROM main.public.t").await;
    assert!(matches!(error, EngineError::Sql { mistake: SqlMistake::DatatypeMismatch, .. }), "{error:?}");
    let error = message("UPDATE main.public.t SET id = 1, id = 2").await;
    assert_eq!(error.to_string(), "multiple assignments to same column \"id\"");
    let error = message("DELETE FROM main.public.t WHERE nope = 1").await;
    assert_eq!(error.to_string(), "column \"nope\" does not exist");
    let error = message("DELETE FROM main.public.t USING main.public.t").await;
    assert!(matches!(error, EngineError::Sql { mistake: SqlMistake::DuplicateAlias, .. }), "{error:?}");
    let error = message("INSERT INTO main.public.t VALUES (1) ON CONFLICT (id) DO NOTHING").await;
    assert!(matches!(error, EngineError::Sql { mistake: SqlMistake::InvalidColumnReference, .. }), "{error:?}");
    let error = message("UPDATE main.public.t SET id = 1 LIMIT 1").await;
    assert!(matches!(error, EngineError::Unsupported { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn create_table_as_is_one_commit() {
    let world = World::new().await;
    small(&world).await;
    let Statement::Query(query) = parse("SELECT id, name AS \"Name\", id::numeric(10,2) / 2 AS half FROM main.public.t") else { panic!() };
    let table = new_table(&world, "made", &[]);
    let work = Work::CreateTableAs { table: table.clone(), query, with_data: true };
    let outcome = world.done(world.bound(work, &["t"])).await.unwrap();
    assert_eq!((outcome.rows, outcome.version), (2, Some(0)));
    world.register_as("made", &table.location, &outcome.columns, &[], &[]).await;
    assert_eq!(world.lines("SELECT id, \"Name\" FROM main.public.made", &["made"]).await, ["1|one", "2|NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn types_survive_a_round_trip() {
    let world = World::new().await;
    let columns = [
        column("b", PgType::BOOL),
        column("i2", PgType::INT2),
        column("i8", PgType::INT8),
        column("f4", PgType::FLOAT4),
        column("f8", PgType::FLOAT8),
        column("n", PgType::numeric(20, 3)),
        column("t", PgType::TEXT),
        column("by", PgType::BYTEA),
        column("d", PgType::DATE),
        column("ts", PgType::TIMESTAMP),
        column("tz", PgType::TIMESTAMPTZ),
        column("u", PgType::UUID),
        column("j", PgType::JSONB),
        column("a", PgType::plain(1007)),
    ];
    create(&world, &new_table(&world, "types", &columns)).await;
    let values = "(true, -5, 9007199254740993, 1.5, 2.25, 12345.678, 'ä', '\\x0102', '2024-02-29', \
                  '2024-02-29 12:00:00.000001', '2024-02-29 12:00:00+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', ARRAY[1,2,NULL])";
    world.change(&format!("INSERT INTO main.public.types VALUES {values}"), "types", &["types"]).await.unwrap();
    let described = world.engine.describe_table(&place(&world.url("types"))).await.unwrap();
    let types: Vec<PgType> = described.columns.iter().map(|column| column.data_type).collect();
    assert_eq!(types, columns.iter().map(|column| column.data_type).collect::<Vec<_>>());
    let found = world.lines("SELECT * FROM main.public.types", &["types"]).await;
    assert_eq!(
        found,
        ["true|-5|9007199254740993|1.5|2.25|12345.678|ä|0102|2024-02-29|2024-02-29T12:00:00.000001|2024-02-29T10:00:00Z|\
          a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|{\"a\": 1}|[1, 2, NULL]"]
    );
    // Statistics of the log must not hide the row.
    for condition in
        ["ts > '2024-02-29 12:00:00'", "tz = '2024-02-29 10:00:00+00'", "n > 12345", "d = '2024-02-29'", "i8 > 9007199254740992"]
    {
        let rows = world.lines(&format!("SELECT count(*) FROM main.public.types WHERE {condition}"), &["types"]).await;
        assert_eq!(rows, ["1"], "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitioned_tables() {
    let world = World::new().await;
    let mut table = new_table(&world, "p", &[column("region", PgType::TEXT), column("id", PgType::INT4)]);
    table.partition_columns = vec!["region".to_owned()];
    create(&world, &table).await;
    world.change("INSERT INTO main.public.p VALUES ('eu', 1), ('us', 2), (NULL, 3), ('a/b c', 4)", "p", &["p"]).await.unwrap();
    assert_eq!(world.lines("SELECT * FROM main.public.p", &["p"]).await, ["NULL|3", "a/b c|4", "eu|1", "us|2"]);
    assert_eq!(world.lines("SELECT id FROM main.public.p WHERE region IS NULL", &["p"]).await, ["3"]);
    assert_eq!(world.lines("SELECT id FROM main.public.p WHERE region > 'b'", &["p"]).await, ["1", "2"]);
    let outcome = world.change("DELETE FROM main.public.p WHERE region = 'eu'", "p", &["p"]).await.unwrap();
    assert_eq!((outcome.rows, outcome.files_written), (1, 0));
    world.change("UPDATE main.public.p SET region = 'moved' WHERE id = 3", "p", &["p"]).await.unwrap();
    assert_eq!(world.lines("SELECT * FROM main.public.p", &["p"]).await, ["a/b c|4", "moved|3", "us|2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_inserts_at_once() {
    let world = Arc::new(World::new().await);
    create(&world, &new_table(&world, "t", &[column("id", PgType::INT4), column("name", PgType::TEXT)])).await;
    let mut tasks = tokio::task::JoinSet::new();
    let started = std::time::Instant::now();
    for id in 0..1_000 {
        let world = Arc::clone(&world);
        tasks.spawn(async move { world.change(&format!("INSERT INTO main.public.t VALUES ({id}, 'x')"), "t", &["t"]).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        assert_eq!(outcome.unwrap().unwrap().rows, 1);
    }
    println!("1000 inserts in {:?}", started.elapsed());
    assert_eq!(world.lines("SELECT count(*), count(DISTINCT id) FROM main.public.t", &["t"]).await, ["1000|1000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_of_one_table_take_turns() {
    let world = Arc::new(World::new().await);
    create(&world, &new_table(&world, "t", &[column("id", PgType::INT4), column("n", PgType::INT4)])).await;
    world.change("INSERT INTO main.public.t VALUES (1, 0)", "t", &["t"]).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let world = Arc::clone(&world);
        tasks.spawn(async move { world.change("UPDATE main.public.t SET n = n + 1 WHERE id = 1", "t", &["t"]).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        assert_eq!(outcome.unwrap().unwrap().rows, 1);
    }
    assert_eq!(world.lines("SELECT n FROM main.public.t", &["t"]).await, ["20"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn append_and_cancel() {
    let world = World::new().await;
    small(&world).await;
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int32Array::from(vec![5, 6])) as _),
        ("name", Arc::new(StringArray::from(vec!["five", "six"])) as _),
    ])
    .unwrap();
    let rows = futures::stream::iter([Ok(batch.clone())]).boxed();
    let outcome = world.engine.append(world.relation("t", None), rows, Arc::new(facts()), context()).await.unwrap();
    assert_eq!(outcome.rows, 2);

    let context = context();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<RecordBatch, EngineError>>(1);
    let rows = futures::stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) }).boxed();
    sender.send(Ok(batch)).await.unwrap();
    let cancel = context.cancel.clone();
    let appending = world.engine.append(world.relation("t", None), rows, Arc::new(facts()), context);
    let (outcome, ()) = tokio::join!(appending, async { cancel.cancel() });
    assert!(matches!(outcome, Err(EngineError::Canceled)), "{outcome:?}");
    assert_eq!(world.lines("SELECT id FROM main.public.t", &["t"]).await, ["1", "2", "5", "6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_deletes_everything() {
    let world = World::new().await;
    small(&world).await;
    world.engine.drop_table(&world.url("t")).await.unwrap();
    assert!(!world.dir.path().join("tables/t").exists());
    world.engine.drop_table(&world.url("t")).await.unwrap();
    let gone = world.engine.describe_table(&place(&world.url("t"))).await;
    assert!(matches!(gone, Err(EngineError::NotADeltaTable)), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_from_parquet_by_name() {
    let world = World::new().await;
    small(&world).await;
    let folder = world.dir.path().join("files");
    std::fs::create_dir_all(&folder).unwrap();
    for part in 0..3 {
        let batch = RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![format!("n{part}")])) as _),
            ("id", Arc::new(arrow_array::Int64Array::from(vec![100 + part])) as _),
        ])
        .unwrap();
        let file = std::fs::File::create(folder.join(format!("part-{part}.parquet"))).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    let base = format!("file://{}", folder.display());
    let copy = async |url: String, columns: &[&str]| {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let place = FilePlace { url, within: base.clone() };
        world.done(world.bound(Work::CopyFrom { target: relation_name("t"), columns, place }, &["t"])).await
    };
    assert_eq!(copy(format!("{base}/part-0.parquet"), &[]).await.unwrap().rows, 1);
    assert_eq!(copy(format!("{base}/part-*.parquet"), &["id", "name"]).await.unwrap().rows, 3);
    assert_eq!(copy(format!("{base}/"), &[]).await.unwrap().rows, 3);
    assert!(copy(format!("{base}/none-*.parquet"), &[]).await.is_err());
    assert_eq!(
        world.lines("SELECT name, count(*) FROM main.public.t WHERE id >= 100 GROUP BY name", &["t"]).await,
        ["n0|3", "n1|2", "n2|2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_holds_no_literal() {
    let world = World::new().await;
    small(&world).await;
    world.change("UPDATE main.public.t SET name = 'two' WHERE name = 'canary-7351'", "t", &["t"]).await.unwrap();
    world.change("DELETE FROM main.public.t WHERE name = 'one' AND id <> 735142", "t", &["t"]).await.unwrap();
    for entry in std::fs::read_dir(world.dir.path().join("tables/t/_delta_log")).unwrap() {
        let text = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains("canary") && !text.contains("735142"), "{text}");
    }
}
