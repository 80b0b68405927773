//! Tables shared with another Delta implementation, python `deltalake`, on local disk and on S3; and the whole flow with
//! PostgreSQL as catalog and S3 as warehouse.

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::python;

use crate::support::{self, in_new_schema, unique};

const TYPES: &str = "CREATE TABLE types (id bigint NOT NULL, b boolean, i2 smallint, i4 integer, f4 real, f8 double precision, \
    n numeric(20,4), t text, v varchar(10), by bytea, d date, ts timestamp, tz timestamptz, u uuid, j jsonb, a integer[], at text[])";
const ROWS: &str = "INSERT INTO types VALUES \
    (1, true, -32768, 2147483647, 1.5, 0.1, 1234567890123456.7891, 'äöü 🦆', 'short', '\\x00ff10', '2024-02-29', \
     '2024-02-29 12:34:56.789012', '2024-07-01 12:00:00+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"k\": [1, null]}', \
     ARRAY[1, NULL, 3], ARRAY['x', '', NULL]), \
    (2, false, 32767, -2147483648, -0.25, -1e300, -0.0001, '', '', '\\x', '0001-01-01', '9999-12-31 23:59:59.999999', \
     '1969-12-31 23:59:59.5+00', '00000000-0000-0000-0000-000000000000', '\"text\"', '{}', '{}'), \
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
/// As the Python side prints them.
const EXPECTED: &[&str] = &[
    "1|true|-32768|2147483647|1.5|0.1|1234567890123456.7891|äöü 🦆|short|00ff10|2024-02-29|2024-02-29 12:34:56.789012|\
     2024-07-01 10:00:00+00:00|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|{\"k\": [1, null]}|[1,null,3]|[x,,null]",
    "2|false|32767|-2147483648|-0.25|-1e+300|-0.0001|||0x|0001-01-01|9999-12-31 23:59:59.999999|1969-12-31 23:59:59.500000+00:00|\
     00000000-0000-0000-0000-000000000000|\"text\"|[]|[]",
    "3|null|null|null|null|null|null|null|null|null|null|null|null|null|null|null|null",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_reads_what_lakegate_wrote() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    client.batch_execute(TYPES).await.unwrap();
    client.batch_execute(ROWS).await.unwrap();
    let root = newest_table(&server.data_dir.join("warehouse"), "types");
    assert_eq!(python("read_table.py", &[&root, "id"], &[]).unwrap().lines().collect::<Vec<_>>(), EXPECTED);
    // Changes, too.
    client.batch_execute("UPDATE types SET t = 'changed', n = 1.5 WHERE id = 3").await.unwrap();
    client.batch_execute("DELETE FROM types WHERE id = 2").await.unwrap();
    client.batch_execute("ALTER TABLE types ADD COLUMN added text").await.unwrap();
    client.batch_execute("INSERT INTO types (id, added) VALUES (4, 'new')").await.unwrap();
    let lines = python("read_table.py", &[&root, "id"], &[]).unwrap();
    let ids: Vec<_> = lines.lines().map(|line| line.split('|').next().unwrap()).collect();
    assert_eq!(ids, ["1", "3", "4"]);
    assert!(lines.contains("3|null|null|null|null|null|1.5000|changed|"), "{lines}");
    assert!(lines.lines().last().unwrap().ends_with("|new"), "{lines}");
    client.batch_execute("TRUNCATE types").await.unwrap();
    assert_eq!(python("read_table.py", &[&root, "id"], &[]).unwrap(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitioned_tables_are_partitioned_for_everyone() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    client.batch_execute("CREATE TABLE parts (day date, city text, n bigint) PARTITIONED BY (day, city)").await.unwrap();
    client
        .batch_execute("INSERT INTO parts SELECT date '2024-01-01' + (g % 3), CASE WHEN g % 5 = 0 THEN NULL ELSE 'Köln/' || g % 2 END, g FROM generate_series(1, 300) g")
        .await
        .unwrap();
    let root = newest_table(&server.data_dir.join("warehouse"), "parts");
    let lines = python("read_table.py", &[&root, "n"], &[]).unwrap();
    assert_eq!(lines.lines().count(), 300);
    assert_eq!(lines.lines().next().unwrap(), "2024-01-02|Köln/1|1");
    assert_eq!(client.value("SELECT count(*) FROM parts WHERE city IS NULL").await.unwrap(), "60");
    assert_eq!(client.value("SELECT sum(n) FROM parts WHERE day = '2024-01-02' AND city = 'Köln/1'").await.unwrap(), {
        (1..=300).filter(|g| g % 3 == 1 && g % 2 == 1 && g % 5 != 0).sum::<i64>().to_string()
    });
}

/// What python `deltalake` wrote, registered and read: on local disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lakegate_reads_what_python_wrote_on_disk() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    register_and_compare(&client, &root, &format!("file://{root}"), &[]).await;
}

/// The same on S3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lakegate_reads_what_python_wrote_on_s3() {
    let store = support::s3();
    let bucket = unique("foreign").replace('_', "-");
    store.make_bucket(&bucket).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(&folder.path().join("data"));
    options.environment = store.environment(&store.endpoint());
    let server = Server::start(&options).unwrap();
    let (client, _) = in_new_schema(&server).await;
    let root = format!("s3://{bucket}/tables");
    register_and_compare(&client, &root, &root, &options.environment).await;
}

async fn register_and_compare(client: &Client, root: &str, url: &str, environment: &[(String, String)]) {
    let expected = python("write_tables.py", &[root], environment).unwrap();
    let location = unique("loc");
    client.batch_execute(&format!("CREATE EXTERNAL LOCATION {location} URL '{url}/'")).await.unwrap();
    let mut differences = Vec::new();
    let mut tables = 0;
    for block in expected.split("== ").filter(|block| !block.trim().is_empty()) {
        let (name, rows) = block.split_once('\n').unwrap();
        tables += 1;
        client
            .batch_execute(&format!("CREATE TABLE {name} USING DELTA LOCATION '{url}/{name}'"))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let rows: Vec<_> = rows.lines().collect();
        let query = match rows[0].strip_prefix("query: ") {
            Some(query) => query.to_owned(),
            None => panic!("{name}: no query"),
        };
        let came = match client.rows(&query).await {
            Ok(came) => came.into_iter().map(|row| row.join("|")).collect::<Vec<_>>(),
            Err(error) => vec![format!("{error:?}")],
        };
        if came != rows[1..] {
            differences.push(format!("{name}: {query}\n  expected {:?}\n  came     {came:?}", &rows[1..]));
        }
    }
    assert!(tables >= 8, "{expected}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // A table that another system changes shows the change to the next statement.
    let before: i64 = client.value("SELECT count(*) FROM plain").await.unwrap().parse().unwrap();
    python("append_row.py", &[&format!("{root}/plain")], environment).unwrap();
    assert_eq!(client.value("SELECT count(*) FROM plain").await.unwrap(), (before + 1).to_string());
    // Lakegate may write to it as well, and drops it without its files.
    client.batch_execute("INSERT INTO plain (id, name) VALUES (1000, 'from lakegate')").await.unwrap();
    let lines = python("read_table.py", &[&format!("{root}/plain"), "id"], environment).unwrap();
    assert!(lines.contains("1000|from lakegate"), "{lines}");
    client.batch_execute("DROP TABLE plain").await.unwrap();
    assert_eq!(python("read_table.py", &[&format!("{root}/plain"), "id"], environment).unwrap(), lines);
}

/// Catalog in PostgreSQL, warehouse on S3: everything that the embedded defaults do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_flow_on_postgres_and_s3() {
    let (cluster, store) = (support::postgres(), support::s3());
    let (database, bucket) = (unique("catalog"), unique("flow").replace('_', "-"));
    cluster.execute("main", &format!("CREATE DATABASE {database}")).unwrap();
    store.make_bucket(&bucket).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(&folder.path().join("data"))
        .argument("--catalog-url")
        .argument(cluster.url(&database))
        .argument("--warehouse-root")
        .argument(format!("s3://{bucket}/wh"));
    options.environment = store.environment(&store.endpoint());
    {
        let server = Server::start(&options).unwrap();
        let client = Client::admin(&server).await.unwrap();
        for sql in [
            "CREATE ROLE analyst LOGIN PASSWORD 'analyst-secret'",
            "CREATE SCHEMA sales",
            "SET search_path = sales",
            TYPES,
            ROWS,
            "CREATE TABLE doubled AS SELECT id * 2 AS id, n FROM types",
            "UPDATE doubled SET n = 7 WHERE id = 2",
            "DELETE FROM doubled WHERE id = 4",
            "CREATE VIEW shown AS SELECT id FROM doubled",
            "GRANT USAGE ON SCHEMA sales TO analyst",
            "GRANT SELECT ON shown TO analyst",
        ] {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    }
    // Killed, not stopped; and the data dir is gone with everything but the key: the state is in PostgreSQL and S3.
    let server = Server::start(&options).unwrap();
    let client = Client::admin(&server).await.unwrap();
    assert_eq!(client.rows("SELECT id, n FROM sales.doubled ORDER BY id").await.unwrap(), [["2", "7.0000"], ["6", "∅"]]);
    let analyst = Client::login(&server, "analyst", "analyst-secret", "main").await.unwrap();
    assert_eq!(analyst.rows("SELECT * FROM sales.shown ORDER BY id").await.unwrap(), [["2"], ["6"]]);
    assert_eq!(analyst.sqlstate("SELECT * FROM sales.types").await, "42501");
    let history = "SELECT count(*) FROM system.query.history WHERE statement_text LIKE 'UPDATE doubled%' AND execution_status = 'FINISHED'";
    assert_eq!(client.value(history).await.unwrap(), "1");
    let dump = cluster
        .execute(&database, "SELECT count(*) FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')")
        .unwrap();
    assert_ne!(dump.trim(), "0", "the catalog is in PostgreSQL");
    client.batch_execute("DROP TABLE sales.types").await.unwrap();
    assert_eq!(client.sqlstate("SELECT * FROM sales.types").await, "42P01");
}

/// The most recently made folder with a Delta log whose path names the table.
fn newest_table(warehouse: &std::path::Path, table: &str) -> String {
    let mut found = Vec::new();
    let mut folders = vec![warehouse.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.join("_delta_log").is_dir() {
            let log = std::fs::read_to_string(folder.join("_delta_log/00000000000000000000.json")).unwrap_or_default();
            let made = std::fs::metadata(folder.join("_delta_log")).unwrap().modified().unwrap();
            found.push((made, folder, log));
            continue;
        }
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    let first_column = if table == "parts" { "day" } else { "i2" };
    let root = found.into_iter().rev().find(|(_, _, log)| log.contains(&format!("\\\"{first_column}\\\""))).expect("the table's folder");
    root.1.display().to_string()
}
