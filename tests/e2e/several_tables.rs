//! Transactions over several tables and the catalog: all of it or nothing, for readers and after a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::fault_proxy::{Fault, FaultProxy};
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::eventually;

use crate::gateways;
use crate::support::{self, in_new_schema, unique};

/// What the tables and the catalog hold: three sums that belong together, and the number of tables that were made with them.
const PICTURE: &str = "SELECT (SELECT sum(v) FROM a), (SELECT sum(v) FROM b), (SELECT sum(v) FROM c)";

async fn tables(client: &Client) {
    for name in ["a", "b", "c"] {
        client.batch_execute(&format!("CREATE TABLE {name} (id bigint, v bigint); INSERT INTO {name} VALUES (0, 0)")).await.unwrap();
    }
}

async fn is_whole(client: &Client) -> (bool, String) {
    let row = client.rows(PICTURE).await.unwrap().remove(0);
    (row[0] == row[1] && row[1] == row[2], row.join(" "))
}

/// One transaction over three tables, each third time with a new one.
async fn change(client: &Client, number: usize) -> Result<(), tokio_postgres::Error> {
    let order = [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]][number % 3];
    client.batch_execute("BEGIN").await?;
    for name in order {
        let sql = match number % 4 {
            0 => format!("UPDATE {name} SET v = v + 1 WHERE id = 0"),
            _ => format!("INSERT INTO {name} VALUES ({number}, 1)"),
        };
        client.batch_execute(&sql).await?;
    }
    if number.is_multiple_of(3) {
        client.batch_execute(&format!("CREATE TABLE {} AS SELECT 1 AS n", unique("made"))).await?;
    }
    client.batch_execute("COMMIT").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_half() {
    let server = support::server();
    let (one, schema) = in_new_schema(server).await;
    tables(&one).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for in_block in [false, true] {
        let client = Client::admin(server).await.unwrap();
        client.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
        let stop = Arc::clone(&stop);
        readers.spawn(async move {
            let mut looks = 0;
            while !stop.load(Ordering::SeqCst) {
                looks += 1;
                if !in_block {
                    let (whole, row) = is_whole(&client).await;
                    assert!(whole, "{row}");
                    continue;
                }
                client.batch_execute("BEGIN").await.unwrap();
                let mut sums = Vec::new();
                for name in ["b", "c", "a"] {
                    sums.push(client.value(&format!("SELECT sum(v) FROM {name}")).await.unwrap());
                }
                client.batch_execute("COMMIT").await.unwrap();
                assert!(sums[0] == sums[1] && sums[1] == sums[2], "{sums:?}");
            }
            looks
        });
    }
    for number in 0..24 {
        change(&one, number).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(looks) = readers.join_next().await {
        assert!(looks.unwrap() > 3);
    }
    assert_eq!(is_whole(&one).await, (true, "24 24 24".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_commits_leaves_no_half() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&folder.path().join("data"));
    let mut server = tokio::task::block_in_place(|| Server::start(&options)).unwrap();
    tables(&Client::admin(&server).await.unwrap()).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    for round in 0..5 {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..3 {
            let client = Client::admin(&server).await.unwrap();
            let acknowledged = Arc::clone(&acknowledged);
            writers.spawn(async move {
                for number in 0.. {
                    match change(&client, number * 3 + writer).await {
                        Ok(()) => {
                            acknowledged.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) if error.code().is_some_and(|code| code.code() == "40001") => {
                            client.batch_execute("ROLLBACK").await.ok();
                        }
                        Err(_) => return,
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(1_200 + 130 * round)).await;
        server.process.signal("KILL").unwrap();
        server.process.wait(Duration::from_secs(10)).unwrap();
        while writers.join_next().await.is_some() {}
        drop(server);
        server = tokio::task::block_in_place(|| Server::start(&options)).unwrap();
        let client = Client::admin(&server).await.unwrap();
        let (whole, row) = is_whole(&client).await;
        assert!(whole, "round {round}: {row}");
        let sum: usize = row.split(' ').next().unwrap().parse().unwrap();
        assert!(sum >= acknowledged.load(Ordering::SeqCst), "round {round}: {row}, {acknowledged:?} acknowledged");
    }
    assert!(acknowledged.load(Ordering::SeqCst) > 10);
}

/// Killed while the first, or the last, of the tables' commits is stored and its answer is awaited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_between_the_commits_of_one_transaction() {
    let store = support::s3();
    // One for all.
    let bucket = unique("several").replace('_', "-");
    store.make_bucket(&bucket).unwrap();
    for stored in 1..=3 {
        let proxy = FaultProxy::start(store).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut options =
            Options::new(&folder.path().join("data")).argument("--warehouse-root").argument(format!("s3://{bucket}/{stored}"));
        options.environment = store.environment(&proxy.endpoint());
        let mut server = tokio::task::block_in_place(|| Server::start(&options)).unwrap();
        let client = Client::admin(&server).await.unwrap();
        tables(&client).await;
        client.batch_execute("BEGIN; INSERT INTO a VALUES (1, 1); UPDATE b SET v = 1; INSERT INTO c VALUES (1, 1)").await.unwrap();
        client.batch_execute("ALTER TABLE a RENAME TO renamed").await.unwrap();
        let struck = proxy.struck();
        proxy.arm(stored - 1, Fault::StoredThenHang);
        let commit = client.batch_execute("COMMIT");
        let met = eventually("the fault", Duration::from_secs(20), async || Ok(proxy.struck() > struck));
        tokio::select! {
            _ = commit => panic!("{stored}: the commit ended"),
            met = met => met.unwrap(),
        }
        server.process.signal("KILL").unwrap();
        server.process.wait(Duration::from_secs(10)).unwrap();
        drop(server);
        let server = tokio::task::block_in_place(|| Server::start(&options)).unwrap();
        let client = Client::admin(&server).await.unwrap();
        assert_eq!(is_whole(&client).await, (true, "0 0 0".to_owned()), "{stored} stored");
        assert_eq!(client.sqlstate("SELECT * FROM renamed").await, "42P01");
        change(&client, 1).await.unwrap();
        assert_eq!(is_whole(&client).await, (true, "1 1 1".to_owned()), "{stored} stored");
    }
}

/// What a gateway that was killed left of a commit is not put together with other rows by another gateway, where nobody could take it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_undecided_is_not_rewritten() {
    let store = support::s3();
    let bucket = unique("undecided").replace('_', "-");
    store.make_bucket(&bucket).unwrap();
    let proxy = FaultProxy::start(store).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = format!("s3://{bucket}/warehouse");
    let mut options =
        gateways::options_at(support::postgres(), folder.path(), &root).map(|options| options.argument("--maintenance").argument("false"));
    options[0].environment.extend(store.environment(&proxy.endpoint()));
    options[1].environment.extend(store.environment(&store.endpoint()));
    let [mut one, two] = options.map(|options| tokio::task::block_in_place(|| Server::start(&options)).unwrap());
    let client = Client::admin(&one).await.unwrap();
    tables(&client).await;
    client.batch_execute("BEGIN; INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1); INSERT INTO c VALUES (1, 1)").await.unwrap();
    let struck = proxy.struck();
    proxy.arm(1, Fault::StoredThenHang);
    tokio::select! {
        _ = client.batch_execute("COMMIT") => panic!("the commit ended"),
        met = eventually("the fault", Duration::from_secs(20), async || Ok(proxy.struck() > struck)) => met.unwrap(),
    }
    one.process.signal("KILL").unwrap();
    one.process.wait(Duration::from_secs(10)).unwrap();
    let client = Client::admin(&two).await.unwrap();
    client.batch_execute("SET statement_timeout = '1s'").await.unwrap();
    for sql in ["OPTIMIZE a", "ALTER TABLE b ADD COLUMN added int DEFAULT 1", "CREATE INDEX ON c (id)"] {
        assert_eq!(client.sqlstate(sql).await, "57014", "{sql}");
    }
    client.batch_execute("RESET statement_timeout").await.unwrap();
    for table in ["a", "b", "c"] {
        client.batch_execute(&format!("OPTIMIZE {table}")).await.unwrap();
    }
    assert_eq!(is_whole(&client).await, (true, "0 0 0".to_owned()));
    change(&client, 1).await.unwrap();
    assert_eq!(is_whole(&client).await, (true, "1 1 1".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_leave_nothing_of_any_table_or_name() {
    let server = support::server();
    let (one, schema) = in_new_schema(server).await;
    let other = Client::admin(server).await.unwrap();
    other.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    tables(&one).await;
    // (in the block, by somebody else before its COMMIT, what COMMIT says)
    let cases = [
        ("CREATE TABLE x (n int); INSERT INTO x VALUES (1)", "UPDATE b SET v = v + 1", "40001"),
        ("CREATE TABLE x (n int)", "CREATE TABLE x (m int)", "42P07"),
        ("ALTER TABLE c RENAME TO y", "COMMENT ON TABLE c IS 'changed'", "40001"),
        ("CREATE VIEW w AS SELECT * FROM c", "ALTER TABLE c RENAME TO z; DROP TABLE z", "40001"),
    ];
    for (inside, outside, code) in cases {
        one.batch_execute("BEGIN; INSERT INTO a VALUES (1, 1); UPDATE b SET v = v + 10").await.unwrap();
        one.batch_execute(inside).await.unwrap();
        other.batch_execute(outside).await.unwrap();
        assert_eq!(one.sqlstate("COMMIT").await, code, "{inside}; {outside}");
        assert_eq!(one.value("SELECT count(*) FROM a").await.unwrap(), "1", "{inside}");
        assert_eq!(one.value("SELECT max(v) < 10 FROM b").await.unwrap(), "t", "{inside}");
        other.batch_execute("DROP TABLE IF EXISTS x").await.unwrap();
    }
    assert_eq!(one.sqlstate("SELECT * FROM y").await, "42P01");
    assert_eq!(one.sqlstate("SELECT * FROM w").await, "42P01");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staged_objects_are_nobody_elses() {
    let server = support::server();
    let (one, schema) = in_new_schema(server).await;
    let other = Client::admin(server).await.unwrap();
    other.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    one.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await.unwrap();
    let prepared = other.prepare("SELECT n FROM t").await.unwrap();
    one.batch_execute("BEGIN; ALTER TABLE t RENAME TO old; CREATE TABLE t AS SELECT 2 AS n; CREATE ROLE staged_role").await.unwrap();
    let oid = one.value("SELECT 't'::regclass::oid").await.unwrap();
    assert_eq!(other.sqlstate("SELECT n FROM old").await, "42P01");
    assert_eq!(other.sqlstate("SET ROLE staged_role").await, "22023");
    assert_eq!(other.value(&format!("SELECT {oid}::regclass")).await.unwrap(), oid, "a number without a name");
    assert_eq!(other.query_one(&prepared, &[]).await.unwrap().get::<_, i32>(0), 1);
    assert_eq!(one.value("SELECT n FROM t").await.unwrap(), "2");
    // What others do meanwhile is seen, and takes no number twice.
    other.batch_execute("CREATE TABLE u (n int)").await.unwrap();
    assert_eq!(one.value("SELECT count(*) FROM u").await.unwrap(), "0");
    one.batch_execute("CREATE TABLE v (n int); COMMIT").await.unwrap();
    let distinct =
        "SELECT count(DISTINCT oid) = count(*) AND count(*) = 4 FROM pg_class WHERE relnamespace = current_schema()::regnamespace";
    assert_eq!(other.value(distinct).await.unwrap(), "t");
    assert_eq!(other.query_one(&prepared, &[]).await.unwrap().get::<_, i32>(0), 2);
    one.batch_execute("DROP ROLE staged_role").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_logs_say_what_became_of_ddl() {
    let server = support::server();
    let (one, schema) = in_new_schema(server).await;
    let kept = unique("kept");
    let undone = unique("undone");
    one.batch_execute(&format!("BEGIN; CREATE TABLE {kept} (n int); SAVEPOINT s; CREATE TABLE {undone} (n int)")).await.unwrap();
    let audit = format!("SELECT status || ' ' || coalesce(sqlstate, '') FROM system.access.audit WHERE object_name = '{kept}'");
    assert!(one.rows(&audit).await.unwrap().is_empty(), "nothing is told before COMMIT");
    one.batch_execute("ROLLBACK TO s; COMMIT").await.unwrap();
    one.batch_execute(&format!("BEGIN; DROP TABLE {kept}; ROLLBACK")).await.unwrap();
    let status = |name: &str| {
        format!(
            "SELECT action_name || ' ' || status || ' ' || coalesce(sqlstate, '') FROM system.access.audit \
             WHERE object_name = '{name}' ORDER BY event_time"
        )
    };
    for (name, expected) in [(&kept, vec!["create_table success ", "drop_table error 40000"]), (&undone, vec!["create_table error 40000"])]
    {
        eventually(name, Duration::from_secs(5), async || Ok(one.rows(&status(name)).await?.concat() == expected)).await.unwrap();
    }
    // Files of what was rolled back are gone.
    let folder = server.data_dir.join("warehouse/main").join(&schema);
    eventually("deletion", Duration::from_secs(5), async || {
        let names: Vec<String> =
            std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
        Ok(names.len() == 1 && names[0].starts_with(&kept))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_savepoint_before_each_statement() {
    let (one, _) = in_new_schema(support::server()).await;
    one.batch_execute("CREATE TABLE t (n int); BEGIN").await.unwrap();
    let sql: Vec<String> = (0..1_500).map(|number| format!("SAVEPOINT s{number}; SELECT {number}")).collect();
    one.batch_execute(&sql.join("; ")).await.unwrap();
    one.batch_execute("INSERT INTO t VALUES (1); ROLLBACK TO s1499; INSERT INTO t VALUES (2); COMMIT").await.unwrap();
    assert_eq!(one.value("SELECT sum(n) FROM t").await.unwrap(), "2");
}
