//! Changes between BEGIN and COMMIT: one Delta commit or nothing, seen by their own session before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt as _;
use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::{eventually, python};
use lakegate_tests::wire::{self, Message, Target, Wire};

use crate::support::{self, in_new_schema, unique};

/// Two sessions that work in one schema, and a table `t (id, name)` of theirs with three rows.
struct Pair {
    one: Client,
    other: Client,
    folder: PathBuf,
    schema: String,
}

async fn pair() -> Pair {
    let server = support::server();
    let (one, schema) = in_new_schema(server).await;
    let other = Client::admin(server).await.unwrap();
    other.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    let marker = unique("name");
    one.batch_execute(&format!("CREATE TABLE t (id bigint, {marker} text)")).await.unwrap();
    one.batch_execute("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL)").await.unwrap();
    let folder = folder_of(&server.data_dir.join("warehouse"), &marker);
    Pair { one, other, folder, schema }
}

/// The table with a column of this name.
fn folder_of(warehouse: &Path, column: &str) -> PathBuf {
    let mut folders = vec![warehouse.to_owned()];
    while let Some(folder) = folders.pop() {
        let first = folder.join("_delta_log/00000000000000000000.json");
        if first.is_file() {
            if std::fs::read_to_string(first).unwrap_or_default().contains(column) {
                return folder;
            }
            continue;
        }
        folders.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    panic!("no table has a column {column}");
}

impl Pair {
    /// Commits in the table's log.
    fn commits(&self) -> usize {
        let log = std::fs::read_dir(self.folder.join("_delta_log")).unwrap();
        log.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
            name.len() == 25 && Path::new(&name).extension().is_some_and(|extension| extension == "json")
        })
        .count()
    }

    /// Lines of the newest commit that hold an action of a kind.
    fn actions(&self, kind: &str) -> usize {
        let newest = self.folder.join(format!("_delta_log/{:020}.json", self.commits() - 1));
        let start = format!("{{\"{kind}\"");
        std::fs::read_to_string(newest).unwrap().lines().filter(|line| line.starts_with(&start)).count()
    }
}

async fn ids(client: &Client) -> String {
    client.value("SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM t").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_reads_its_own_changes_and_is_one_commit() {
    let pair = pair().await;
    let before = pair.commits();
    let steps = [
        ("INSERT INTO t VALUES (4, 'four'), (5, 'five')", 2, "1 2 3 4 5"),
        ("UPDATE t SET id = id + 10 WHERE id >= 4", 2, "1 2 3 14 15"),
        ("DELETE FROM t WHERE id = 14", 1, "1 2 3 15"),
        ("INSERT INTO t SELECT id + 100 FROM t WHERE id < 3", 2, "1 2 3 15 101 102"),
        ("UPDATE t SET id = 103 WHERE id = 3", 1, "1 2 15 101 102 103"),
        ("UPDATE t SET id = id + 1 WHERE id = (SELECT max(id) FROM t)", 1, "1 2 15 101 102 104"),
    ];
    pair.one.batch_execute("BEGIN").await.unwrap();
    for (sql, rows, expected) in steps {
        // By the extended protocol, as drivers do.
        assert_eq!(pair.one.execute(sql, &[]).await.unwrap(), rows, "{sql}");
        assert_eq!(ids(&pair.one).await, expected, "{sql}");
        assert_eq!(ids(&pair.other).await, "1 2 3", "{sql}");
        assert_eq!(pair.commits(), before, "{sql}");
    }
    pair.one.batch_execute("COMMIT").await.unwrap();
    assert_eq!((ids(&pair.one).await, ids(&pair.other).await), ("1 2 15 101 102 104".to_owned(), "1 2 15 101 102 104".to_owned()));
    assert_eq!((pair.commits() - before, pair.actions("remove"), pair.actions("txn")), (1, 1, steps.len()));
    // Another implementation sees the same.
    let lines = python("read_table.py", &[&pair.folder.display().to_string(), "id"], &[]).unwrap();
    let read: Vec<_> = lines.lines().map(|line| line.split('|').next().unwrap()).collect();
    assert_eq!(read, ["1", "2", "15", "101", "102", "104"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_inserts_are_one_file() {
    let pair = pair().await;
    let before = pair.commits();
    pair.one.batch_execute("BEGIN").await.unwrap();
    pair.one.batch_execute("DELETE FROM t").await.unwrap();
    let insert = pair.one.prepare("INSERT INTO t (id) VALUES ($1)").await.unwrap();
    for id in 0..50_i64 {
        assert_eq!(pair.one.execute(&insert, &[&id]).await.unwrap(), 1);
    }
    pair.one.batch_execute("COMMIT").await.unwrap();
    assert_eq!(pair.other.value("SELECT count(*) || ' ' || sum(id) FROM t").await.unwrap(), "50 1225");
    assert_eq!((pair.commits() - before, pair.actions("add")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollback_and_savepoints_leave_no_trace() {
    let pair = pair().await;
    let before = pair.commits();
    pair.one.batch_execute("BEGIN").await.unwrap();
    pair.one.batch_execute("SAVEPOINT empty").await.unwrap();
    pair.one.batch_execute("INSERT INTO t VALUES (4)").await.unwrap();
    pair.one.batch_execute("SAVEPOINT a").await.unwrap();
    pair.one.batch_execute("UPDATE t SET id = id + 10").await.unwrap();
    pair.one.batch_execute("SAVEPOINT b").await.unwrap();
    pair.one.batch_execute("TRUNCATE t").await.unwrap();
    assert_eq!(ids(&pair.one).await, "");
    pair.one.batch_execute("ROLLBACK TO b").await.unwrap();
    assert_eq!(ids(&pair.one).await, "11 12 13 14");
    pair.one.batch_execute("RELEASE b").await.unwrap();
    // An error fails the block; the savepoint brings it back.
    assert_eq!(pair.one.sqlstate("INSERT INTO t SELECT 1 / (id - id) FROM t").await, "22012");
    assert_eq!(pair.one.sqlstate("INSERT INTO t VALUES (5)").await, "25P02");
    pair.one.batch_execute("ROLLBACK TO a").await.unwrap();
    assert_eq!(ids(&pair.one).await, "1 2 3 4");
    pair.one.batch_execute("INSERT INTO t VALUES (6)").await.unwrap();
    pair.one.batch_execute("ROLLBACK TO empty").await.unwrap();
    assert_eq!(ids(&pair.one).await, "1 2 3");
    pair.one.batch_execute("INSERT INTO t VALUES (7)").await.unwrap();
    pair.one.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!((ids(&pair.one).await, ids(&pair.other).await), ("1 2 3".to_owned(), "1 2 3".to_owned()));

    // COMMIT of a failed block is a rollback.
    pair.one.batch_execute("BEGIN").await.unwrap();
    pair.one.batch_execute("INSERT INTO t VALUES (8)").await.unwrap();
    assert_eq!(pair.one.sqlstate("SELECT 1/0").await, "22012");
    pair.one.batch_execute("COMMIT").await.unwrap();
    assert_eq!((ids(&pair.one).await, pair.commits()), ("1 2 3".to_owned(), before));

    // What is kept of a block with savepoints is one commit.
    pair.one
        .batch_execute(
            "BEGIN; INSERT INTO t VALUES (4); SAVEPOINT s; INSERT INTO t VALUES (5); ROLLBACK TO s; INSERT INTO t VALUES (6); COMMIT",
        )
        .await
        .unwrap();
    assert_eq!((ids(&pair.other).await, pair.commits() - before), ("1 2 3 4 6".to_owned(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_block_cannot_hold_is_refused() {
    let pair = pair().await;
    pair.one.batch_execute("CREATE TABLE u (id bigint)").await.unwrap();
    pair.one.batch_execute("BEGIN").await.unwrap();
    pair.one.batch_execute("INSERT INTO t VALUES (4)").await.unwrap();
    assert_eq!(pair.one.sqlstate("CREATE DATABASE v").await, "25001");
    assert_eq!(pair.one.sqlstate("SELECT 1").await, "25P02");
    pair.one.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(ids(&pair.one).await, "1 2 3");
    // A table whose changes were taken back does not count.
    pair.one.batch_execute("BEGIN; SAVEPOINT s; INSERT INTO t VALUES (4); ROLLBACK TO s; INSERT INTO u VALUES (1); COMMIT").await.unwrap();
    assert_eq!((ids(&pair.one).await, pair.one.value("SELECT count(*) FROM u").await.unwrap()), ("1 2 3".to_owned(), "1".to_owned()));

    for sql in ["INSERT INTO t VALUES (4)", "UPDATE t SET id = 4", "DELETE FROM t", "TRUNCATE t", "COPY t FROM STDIN"] {
        pair.one.batch_execute("BEGIN READ ONLY").await.unwrap();
        assert_eq!(pair.one.sqlstate(sql).await, "25006", "{sql}");
        pair.one.batch_execute("ROLLBACK").await.unwrap();
    }
    assert_eq!(ids(&pair.one).await, "1 2 3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_are_found_at_commit_and_appends_have_none() {
    let pair = pair().await;
    for client in [&pair.one, &pair.other] {
        client.batch_execute("BEGIN").await.unwrap();
        client.batch_execute("UPDATE t SET id = id + 10 WHERE id = 1").await.unwrap();
    }
    pair.one.batch_execute("COMMIT").await.unwrap();
    assert_eq!(ids(&pair.other).await, "2 3 11", "its own picture of the table");
    let before = pair.commits();
    assert_eq!(pair.other.sqlstate("COMMIT").await, "40001");
    assert_eq!(pair.commits(), before);
    // The block is over, and a second try goes through.
    pair.other.batch_execute("BEGIN; UPDATE t SET id = id + 10 WHERE id = 11; COMMIT").await.unwrap();
    assert_eq!(ids(&pair.one).await, "2 3 21");

    // Reads are repeatable; what is based on them may still append.
    pair.one.batch_execute("BEGIN").await.unwrap();
    pair.one.batch_execute("INSERT INTO t VALUES (100)").await.unwrap();
    pair.other.batch_execute("UPDATE t SET id = 0 WHERE id = 21").await.unwrap();
    pair.other.batch_execute("INSERT INTO t VALUES (200)").await.unwrap();
    assert_eq!(ids(&pair.one).await, "2 3 21 100");
    pair.one.batch_execute("COMMIT").await.unwrap();
    assert_eq!(ids(&pair.one).await, "0 2 3 100 200");

    // A table that another session drops is not brought back.
    pair.one.batch_execute("BEGIN").await.unwrap();
    pair.one.batch_execute("INSERT INTO t VALUES (300)").await.unwrap();
    pair.other.batch_execute("DROP TABLE t").await.unwrap();
    assert_eq!(pair.one.sqlstate("COMMIT").await, "40001");
    assert!(!pair.folder.join("_delta_log").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appending_blocks_lose_nothing() {
    let pair = pair().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_i64 {
        let client = Client::admin(support::server()).await.unwrap();
        client.batch_execute(&format!("SET search_path = {}", pair.schema)).await.unwrap();
        writers.spawn(async move {
            for n in 0..5 {
                client.batch_execute("BEGIN").await.unwrap();
                for row in 0..3 {
                    client.batch_execute(&format!("INSERT INTO t VALUES ({})", 1000 + writer * 100 + n * 10 + row)).await.unwrap();
                }
                client.batch_execute("COMMIT").await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    assert_eq!(pair.one.value("SELECT count(*) || ' ' || count(DISTINCT id) FROM t WHERE id >= 1000").await.unwrap(), "120 120");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_is_part_of_the_block() {
    let pair = pair().await;
    let copy = async |data: &'static str| {
        let mut sink = Box::pin(pair.one.copy_in::<_, Bytes>("COPY t (id) FROM STDIN").await?);
        sink.send(Bytes::from_static(data.as_bytes())).await?;
        sink.as_mut().finish().await
    };
    pair.one.batch_execute("BEGIN").await.unwrap();
    assert_eq!(copy("10\n11\n").await.unwrap(), 2);
    assert_eq!(ids(&pair.one).await, "1 2 3 10 11");
    pair.one.batch_execute("DELETE FROM t WHERE id = 10").await.unwrap();
    assert_eq!(ids(&pair.other).await, "1 2 3");
    pair.one.batch_execute("COMMIT").await.unwrap();
    assert_eq!(ids(&pair.other).await, "1 2 3 11");

    pair.one.batch_execute("BEGIN").await.unwrap();
    assert_eq!(copy("12\n").await.unwrap(), 1);
    pair.one.batch_execute("SAVEPOINT s").await.unwrap();
    assert_eq!(sqlstate_of(&copy("13\nwrong\n").await.unwrap_err()), "22P02");
    pair.one.batch_execute("ROLLBACK TO s").await.unwrap();
    assert_eq!(ids(&pair.one).await, "1 2 3 11 12");
    pair.one.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(ids(&pair.one).await, "1 2 3 11");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_roll_back() {
    let pair = pair().await;
    let before = pair.commits();
    // Terminated.
    let pid = pair.one.value("SELECT pg_backend_pid()").await.unwrap();
    pair.one.batch_execute("BEGIN").await.unwrap();
    pair.one.batch_execute("INSERT INTO t VALUES (4)").await.unwrap();
    assert_eq!(ids(&pair.one).await, "1 2 3 4");
    assert_eq!(pair.other.value(&format!("SELECT pg_terminate_backend({pid})")).await.unwrap(), "t");
    // Vanished: without a word.
    let mut vanishing = Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap();
    let sql = format!("SET search_path = {}; BEGIN; UPDATE t SET id = 0; SELECT count(*) FROM t", pair.schema);
    vanishing.send(&wire::query(&sql)).await.unwrap();
    assert!(vanishing.until_ready().await.unwrap().iter().all(|message| message.tag != b'E'));
    drop(vanishing);
    let files = async || {
        let files = std::fs::read_dir(&pair.folder)?.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_file())).count();
        Ok(files == 1)
    };
    eventually("the files are deleted", Duration::from_secs(10), files).await.unwrap();
    assert_eq!((ids(&pair.other).await, pair.commits()), ("1 2 3".to_owned(), before));
    pair.other.batch_execute("UPDATE t SET id = id + 1").await.unwrap();
    assert_eq!(ids(&pair.other).await, "2 3 4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_leaves_nothing_visible() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(&folder.path().join("data"));
    let mut server = tokio::task::block_in_place(|| Server::start(&options)).unwrap();
    let client = Client::admin(&server).await.unwrap();
    client.batch_execute("CREATE TABLE t (id bigint)").await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO t VALUES (1), (2); COMMIT").await.unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    client.batch_execute("UPDATE t SET id = id + 10").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (3)").await.unwrap();
    assert_eq!(ids(&client).await, "3 11 12");
    server.process.signal("KILL").unwrap();
    server.process.wait(Duration::from_secs(10)).unwrap();
    drop(server);
    let server = tokio::task::block_in_place(|| Server::start(&options)).unwrap();
    let client = Client::admin(&server).await.unwrap();
    assert_eq!(ids(&client).await, "1 2");
    let history = "SELECT DISTINCT execution_status FROM system.query.history WHERE statement_type = 'UPDATE'";
    assert_eq!(client.rows(history).await.unwrap(), [["LOST"]]);
    client.batch_execute("BEGIN; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (4); COMMIT").await.unwrap();
    assert_eq!(ids(&client).await, "2 4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_several_statements_is_one_transaction() {
    let pair = pair().await;
    let before = pair.commits();
    assert_eq!(pair.one.sqlstate("INSERT INTO t VALUES (4); SELECT 1/0; INSERT INTO t VALUES (5)").await, "22012");
    assert_eq!((ids(&pair.one).await, pair.commits()), ("1 2 3".to_owned(), before));
    let rows = pair.one.rows("INSERT INTO t VALUES (4); UPDATE t SET id = 5 WHERE id = 4; SELECT max(id) FROM t").await.unwrap();
    assert_eq!((rows, pair.commits() - before), (vec![vec!["5".to_owned()]], 1));
    // COMMIT and ROLLBACK end it; BEGIN takes over what came before.
    assert_eq!(pair.one.sqlstate("INSERT INTO t VALUES (6); COMMIT; INSERT INTO t VALUES (7); SELECT 1/0").await, "22012");
    assert_eq!(ids(&pair.other).await, "1 2 3 5 6");
    pair.one.batch_execute("INSERT INTO t VALUES (8); ROLLBACK").await.unwrap();
    pair.one.batch_execute("INSERT INTO t VALUES (9); BEGIN; INSERT INTO t VALUES (10)").await.unwrap();
    assert_eq!(ids(&pair.other).await, "1 2 3 5 6");
    pair.one.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(ids(&pair.one).await, "1 2 3 5 6");
    // With DDL and a second table, too.
    assert_eq!(
        pair.one.sqlstate("CREATE TABLE u (id bigint); INSERT INTO u VALUES (1); INSERT INTO t VALUES (7); SELECT 1/0").await,
        "22012"
    );
    assert_eq!(pair.other.sqlstate("SELECT * FROM u").await, "42P01");
    pair.one
        .batch_execute("CREATE TABLE u (id bigint); INSERT INTO u VALUES (1); INSERT INTO t VALUES (7); INSERT INTO u VALUES (2)")
        .await
        .unwrap();
    assert_eq!(pair.other.value("SELECT count(*) FROM u").await.unwrap(), "2");
    pair.one.batch_execute("DELETE FROM u; DROP TABLE u").await.unwrap();
    assert_eq!(ids(&pair.one).await, "1 2 3 5 6 7");
}

/// Messages up to ReadyForQuery after one write.
async fn pipeline(wire: &mut Wire, messages: &[Vec<u8>]) -> Vec<Message> {
    wire.send(&messages.concat()).await.unwrap();
    wire.until_ready().await.unwrap()
}

fn statement(sql: &str) -> [Vec<u8>; 3] {
    [wire::parse("", sql, &[]), wire::bind("", "", &[], &[], &[]), wire::execute("", 0)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_up_to_sync_is_one_transaction() {
    let pair = pair().await;
    let before = pair.commits();
    let mut wire = Wire::login(&Target::of_server(support::server()), true, &[]).await.unwrap();
    let (select, sync) = (format!("SET search_path = {}", pair.schema), wire::bare(b'S'));
    pipeline(&mut wire, &[wire::query(&select)]).await;
    let failing = [statement("INSERT INTO t VALUES (4)").as_slice(), &statement("SELECT 1/0"), std::slice::from_ref(&sync)].concat();
    assert!(pipeline(&mut wire, &failing).await.iter().any(|message| message.tag == b'E'));
    assert_eq!((ids(&pair.other).await, pair.commits()), ("1 2 3".to_owned(), before));
    let running = [
        statement("INSERT INTO t VALUES (4)").as_slice(),
        &statement("UPDATE t SET id = id + 10 WHERE id = 4"),
        &statement("INSERT INTO t SELECT max(id) + 1 FROM t"),
        std::slice::from_ref(&sync),
    ]
    .concat();
    assert!(pipeline(&mut wire, &running).await.iter().all(|message| message.tag != b'E'));
    assert_eq!((ids(&pair.other).await, pair.commits() - before), ("1 2 3 14 15".to_owned(), 1));
    // One statement executed again and again sees what it did before.
    let mut again = vec![wire::parse("", "INSERT INTO t SELECT max(id) + 1 FROM t", &[])];
    for _ in 0..3 {
        again.extend([wire::bind("", "", &[], &[], &[]), wire::execute("", 0)]);
    }
    again.push(sync.clone());
    assert!(pipeline(&mut wire, &again).await.iter().all(|message| message.tag != b'E'));
    assert_eq!((ids(&pair.other).await, pair.commits() - before), ("1 2 3 14 15 16 17 18".to_owned(), 2));
    // A client that leaves without Sync has committed nothing.
    wire.send(&[statement("DELETE FROM t").as_slice(), &statement("SELECT count(*) FROM t"), &[wire::bare(b'H')]].concat().concat())
        .await
        .unwrap();
    loop {
        if wire.must_receive().await.unwrap().tag == b'D' {
            break;
        }
    }
    drop(wire);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pair.commits() - before, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_says_what_became_visible() {
    let pair = pair().await;
    let marker = unique("history");
    let status = async |what: &str| {
        let sql = format!(
            "SELECT execution_status, coalesce(sqlstate, ''), coalesce(written_rows, 0) FROM system.query.history \
             WHERE statement_text LIKE 'INSERT%{marker} {what}%'"
        );
        Ok(pair.other.rows(&sql).await?.concat().join(" "))
    };
    let insert = async |what: &str| pair.one.batch_execute(&format!("INSERT INTO t /* {marker} {what} */ VALUES (4)")).await.unwrap();
    pair.one.batch_execute("BEGIN").await.unwrap();
    insert("kept").await;
    assert_eq!(status("kept").await.unwrap(), "RUNNING  0");
    pair.one.batch_execute("SAVEPOINT s").await.unwrap();
    insert("undone").await;
    pair.one.batch_execute("ROLLBACK TO s").await.unwrap();
    pair.one.batch_execute("COMMIT").await.unwrap();
    pair.one.batch_execute("BEGIN").await.unwrap();
    insert("rolled back").await;
    pair.one.batch_execute("ROLLBACK").await.unwrap();
    for (what, expected) in [("kept", "FINISHED  1"), ("undone", "CANCELED 40000 0"), ("rolled back", "CANCELED 40000 0")] {
        eventually(what, Duration::from_secs(5), async || {
            let came: lakegate_tests::Result<String> = status(what).await;
            Ok(came? == expected)
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn an_exported_snapshot_is_what_others_read() {
    let Pair { one, other, schema, .. } = pair().await;
    one.batch_execute("CREATE TABLE u (id bigint)").await.unwrap();
    one.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE t IN ACCESS SHARE MODE").await.unwrap();
    let name = one.value("SELECT pg_export_snapshot()").await.unwrap();
    let writer = Client::admin(support::server()).await.unwrap();
    writer.batch_execute(&format!("INSERT INTO {schema}.t VALUES (4, 'late')")).await.unwrap();
    assert_eq!(other.value("SELECT count(*) FROM t").await.unwrap(), "4");
    other.batch_execute(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{name}'")).await.unwrap();
    assert_eq!(other.value("SELECT count(*) FROM t").await.unwrap(), "3");
    // What the importer reads first, the exporter reads the same way.
    assert_eq!(other.value("SELECT count(*) FROM u").await.unwrap(), "0");
    writer.batch_execute(&format!("INSERT INTO {schema}.u VALUES (1)")).await.unwrap();
    assert_eq!(one.value("SELECT count(*) FROM u").await.unwrap(), "0");
    one.batch_execute("COMMIT").await.unwrap();
    assert_eq!(other.value("SELECT count(*) FROM u").await.unwrap(), "0");
    other.batch_execute("COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    assert_eq!(other.sqlstate(&format!("SET TRANSACTION SNAPSHOT '{name}'")).await, "22023");
}
