//! Small files are put together and logs cleaned without anybody asking, and without anybody minding.

use std::path::Path;
use std::time::{Duration, SystemTime};

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::{eventually, python};

use crate::definitions::folder_of;
use crate::gateways;
use crate::support;

const LIMIT: Duration = Duration::from_secs(40);

async fn insert_one_by_one(client: &Client, table: &str, from: usize) {
    for id in from..from + 40 {
        client.batch_execute(&format!("INSERT INTO {table} VALUES ({id}, {})", id % 2)).await.unwrap();
    }
}

async fn files(client: &Client, table: &str) -> usize {
    client.rows(&format!("DESCRIBE DETAIL {table}")).await.unwrap()[0][9].parse().unwrap()
}

fn options(folder: &Path) -> Options {
    Options::new(&folder.join("data")).environment("LAKEGATE_MAINTENANCE_SECONDS", "1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&options(folder.path())).unwrap();
    let client = Client::admin(&server).await.unwrap();
    for (table, more) in
        [("small", ""), ("parts", "PARTITIONED BY (k)"), ("left_alone", "TBLPROPERTIES ('delta.autoOptimize.autoCompact' = 'false')")]
    {
        client.batch_execute(&format!("CREATE TABLE {table} (id bigint, k bigint) {more}")).await.unwrap();
    }
    insert_one_by_one(&client, "left_alone", 0).await;
    insert_one_by_one(&client, "small", 0).await;
    // A statement that has begun reads what there was.
    let old = Client::admin(&server).await.unwrap();
    old.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT id FROM small ORDER BY id; FETCH 1 FROM c").await.unwrap();
    eventually("small files are gone", LIMIT, async || Ok(files(&client, "small").await < 32)).await.unwrap();
    assert_eq!(old.rows("FETCH ALL FROM c").await.unwrap().len(), 39);
    // Of each partition there are few.
    insert_one_by_one(&client, "parts", 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(files(&client, "parts").await, 40);
    insert_one_by_one(&client, "parts", 40).await;
    eventually("partitions have few files", LIMIT, async || Ok(files(&client, "parts").await < 32)).await.unwrap();
    assert_eq!(files(&client, "left_alone").await, 40);
    for (table, sum) in [("small", "40 780"), ("parts", "80 3160"), ("left_alone", "40 780")] {
        assert_eq!(client.value(&format!("SELECT count(*) || ' ' || sum(id) FROM {table}")).await.unwrap(), sum, "{table}");
    }
    let read = python("py/read_table.py", &[&folder_of(&server, "small").display().to_string(), "id"], &[]).unwrap();
    assert_eq!(read.lines().count(), 40);
    let told = "SELECT DISTINCT statement_type || ' ' || execution_status || ' ' || (written_files > 0) FROM system.query.history \
                WHERE client_application = 'lakegate maintenance' AND tables_written::text LIKE '%small%'";
    eventually("the history shows it", LIMIT, async || Ok(client.rows(told).await? == [["OPTIMIZE FINISHED true"]])).await.unwrap();
}

/// A block that has changed the table commits; files are put together after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&options(folder.path())).unwrap();
    let client = Client::admin(&server).await.unwrap();
    client.batch_execute("CREATE TABLE t (id bigint, k bigint)").await.unwrap();
    let block = Client::admin(&server).await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (-1, 0)").await.unwrap();
    block.batch_execute("BEGIN; UPDATE t SET k = 7 WHERE id = -1").await.unwrap();
    insert_one_by_one(&client, "t", 0).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(files(&client, "t").await >= 41);
    block.batch_execute("COMMIT").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (-2, 0)").await.unwrap();
    eventually("files are few", LIMIT, async || Ok(files(&client, "t").await < 32)).await.unwrap();
    assert_eq!(client.value("SELECT count(*) || ' ' || max(k) FROM t").await.unwrap(), "42 7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_log_entries_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&options(folder.path())).unwrap();
    let client = Client::admin(&server).await.unwrap();
    for (table, more) in [("cleaned", ""), ("kept", ", 'delta.enableExpiredLogCleanup' = 'false'")] {
        let properties = format!("'delta.checkpointInterval' = '10', 'delta.logRetentionDuration' = 'interval 7 days'{more}");
        client.batch_execute(&format!("CREATE TABLE {table} (id bigint, k bigint) TBLPROPERTIES ({properties})")).await.unwrap();
        for id in 0..25 {
            client.batch_execute(&format!("INSERT INTO {table} VALUES ({id}, 0)")).await.unwrap();
        }
    }
    let commits = |table: &str| {
        let log = folder_of(&server, table).join("_delta_log");
        let files = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect::<Vec<_>>()
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    for table in ["cleaned", "kept"] {
        assert_eq!(commits(table).len(), 26, "{table}");
        let log = folder_of(&server, table).join("_delta_log");
        for entry in std::fs::read_dir(log).unwrap() {
            let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(30 * 86_400)).unwrap();
        }
    }
    eventually("old entries are gone", LIMIT, async || Ok(commits("cleaned").len() <= 10)).await.unwrap();
    assert_eq!(commits("kept").len(), 26);
    assert_eq!(client.value("SELECT count(*) || ' ' || sum(id) FROM cleaned").await.unwrap(), "25 300");
    let read = python("py/read_table.py", &[&folder_of(&server, "cleaned").display().to_string(), "id"], &[]).unwrap();
    assert_eq!(read.lines().count(), 25);
    client.batch_execute("UPDATE cleaned SET k = 1 WHERE id = 3").await.unwrap();
}

/// Of two gateways one does it; and none where it is turned off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_do_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = gateways::options_over(support::postgres(), folder.path())
        .map(|options| Server::start(&options.environment("LAKEGATE_MAINTENANCE_SECONDS", "1")).unwrap());
    let (client, other) = (Client::admin(&one).await.unwrap(), Client::admin(&two).await.unwrap());
    client.batch_execute("CREATE TABLE t (id bigint, k bigint)").await.unwrap();
    for round in 0..3 {
        insert_one_by_one(if round % 2 == 0 { &client } else { &other }, "t", round * 40).await;
        eventually("files are few", LIMIT, async || Ok(files(&client, "t").await < 32)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let failed =
        "SELECT count(*) FROM system.query.history WHERE client_application = 'lakegate maintenance' AND execution_status <> 'FINISHED'";
    assert_eq!(client.value(failed).await.unwrap(), "0");
    assert_eq!(other.value("SELECT count(*) || ' ' || sum(id) FROM t").await.unwrap(), "120 7140");
    drop((one, two));
    let off = Server::start(&options(&folder.path().join("off")).argument("--maintenance").argument("false")).unwrap();
    let client = Client::admin(&off).await.unwrap();
    client.batch_execute("CREATE TABLE t (id bigint, k bigint)").await.unwrap();
    insert_one_by_one(&client, "t", 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(files(&client, "t").await, 40);
}
