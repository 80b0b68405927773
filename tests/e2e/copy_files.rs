//! COPY from and to files, on disk and S3.

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::python;

use crate::support::{self, in_new_schema, unique};

const TABLE: &str = "CREATE TABLE t (a int, b text, c numeric(10,2), d date, e int[], f jsonb, g timestamptz, u uuid, x bool, y bytea)";
const ROWS: &str = r#"INSERT INTO t VALUES
    (1, 'x "q", y', 1.50, '2026-01-02', '{1,2,NULL}', '{"k":[1,"v"]}', '2026-01-02 03:04:05.5+00', '11111111-1111-1111-1111-111111111111', true, '\x00ff'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, E'new\nline', -3.00, '0001-01-01', '{}', '[]', '1999-12-31 23:59:59+00', NULL, false, '')"#;

/// How many rows the tag tells.
async fn copied(client: &Client, sql: &str) -> Result<u64, tokio_postgres::Error> {
    client.execute(sql, &[]).await
}

/// What goes out comes back the same, whatever the format.
async fn round_trips(client: &Client, root: &str) {
    client.batch_execute(TABLE).await.unwrap();
    client.batch_execute(ROWS).await.unwrap();
    client.batch_execute("CREATE TABLE back (LIKE t)").await.unwrap();
    for (file, options) in [
        ("t.csv", "(HEADER)"),
        ("t.csv.gz", ""),
        ("t.tsv", ""),
        ("t.json", ""),
        ("t.jsonl.zst", ""),
        ("t.bin", "(FORMAT binary)"),
        ("t.parquet", ""),
        // A second time: the file is replaced.
        ("t.json", ""),
    ] {
        let tag = copied(client, &format!("COPY t TO '{root}/{file}' {options}")).await.unwrap_or_else(|error| panic!("{file}: {error:?}"));
        assert_eq!(tag, 3, "{file}");
        client.batch_execute("TRUNCATE back").await.unwrap();
        let rows = copied(client, &format!("COPY back FROM '{root}/{file}' {options}")).await;
        assert_eq!(rows.unwrap_or_else(|error| panic!("{file}: {error:?}")), 3, "{file}");
        let differences = "SELECT count(*) FROM ((TABLE t EXCEPT ALL TABLE back) UNION ALL (TABLE back EXCEPT ALL TABLE t)) d";
        assert_eq!(client.value(differences).await.unwrap(), "0", "{file}");
    }
    // A folder and a pattern; one commit for all.
    client.batch_execute(&format!("COPY (SELECT a, b FROM t WHERE a = 1) TO '{root}/many/one.csv'")).await.unwrap();
    client.batch_execute(&format!("COPY (SELECT a, b FROM t WHERE a > 1) TO '{root}/many/two.csv'")).await.unwrap();
    for (place, options) in [("many/", "(FORMAT csv)"), ("many/*.csv", ""), ("m*/t*o.csv", "")] {
        client.batch_execute("TRUNCATE back").await.unwrap();
        client
            .batch_execute(&format!("COPY back (a, b) FROM '{root}/{place}' {options} WHERE a <> 2"))
            .await
            .unwrap_or_else(|error| panic!("{place}: {error:?}"));
        let expected = if place.contains("t*o") { "3" } else { "1,3" };
        assert_eq!(client.value("SELECT string_agg(a::text, ',' ORDER BY a) FROM back").await.unwrap(), expected, "{place}");
    }
    assert_eq!(client.sqlstate(&format!("COPY back FROM '{root}/none*.csv'")).await, "58P01");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_on_disk() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    client.batch_execute(&format!("CREATE EXTERNAL LOCATION {} URL 'file://{root}'", unique("files"))).await.unwrap();
    round_trips(&client, root).await;

    // A query that fails leaves the file that was there.
    let before = std::fs::read(folder.path().join("t.csv")).unwrap();
    assert_eq!(client.sqlstate(&format!("COPY (SELECT 1 / (a - 3) FROM t) TO '{root}/t.csv'")).await, "22012");
    assert_eq!(std::fs::read(folder.path().join("t.csv")).unwrap(), before);

    // Nothing is reached by a link that leads out, and nothing without a grant.
    std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
    for sql in [
        format!("COPY back (b) FROM '{root}/link/hostname'"),
        format!("COPY back (b) FROM '{root}/link/*'"),
        format!("COPY t TO '{root}/link/lakegate.csv'"),
        format!("COPY back FROM '{root}/link/x.parquet'"),
        format!("CREATE TABLE led_out USING DELTA LOCATION '{root}/link/table'"),
        "COPY t TO '/tmp/lakegate-nowhere.csv'".to_owned(),
    ] {
        assert_eq!(client.sqlstate(&sql).await, "42501", "{sql}");
    }
    let role = unique("reader");
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'reader-secret'; GRANT SELECT ON t TO {role}")).await.unwrap();
    let schema = client.value("SELECT current_schema()").await.unwrap();
    client.batch_execute(&format!("GRANT USAGE ON SCHEMA {schema} TO {role}")).await.unwrap();
    let reader = Client::login(server, &role, "reader-secret", "main").await.unwrap();
    assert_eq!(reader.sqlstate(&format!("COPY {schema}.t TO '{root}/stolen.csv'")).await, "42501");
    assert!(!folder.path().join("stolen.csv").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_read() {
    let (client, _) = in_new_schema(support::server()).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    client.batch_execute(&format!("CREATE EXTERNAL LOCATION {} URL 'file://{root}'", unique("bad"))).await.unwrap();
    client.batch_execute("CREATE TABLE t (a int, b int[], c date)").await.unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("bad.csv", "1,{1},2026-01-01\nx,{1},2026-01-01\n3,\"{1,y}\",2026-01-01\n4,{4},2026-13-01\n5,{5},2026-01-05\n");
    write("bad.json", "[{\"a\": 1, \"b\": [1, null]}, {\"a\": \"x\"}, {\"a\": 3}]");
    let rows = || async { client.value("SELECT string_agg(a || coalesce(b::text, ''), ' ' ORDER BY a) FROM t").await.unwrap() };
    assert_eq!(client.sqlstate(&format!("COPY t FROM '{root}/bad.csv'")).await, "22P02");
    assert_eq!(client.sqlstate(&format!("COPY t FROM '{root}/bad.csv' (ON_ERROR ignore, REJECT_LIMIT 2)")).await, "22P02");
    assert_eq!(copied(&client, &format!("COPY t FROM '{root}/bad.csv' (ON_ERROR ignore, REJECT_LIMIT 3)")).await.unwrap(), 2);
    assert_eq!(rows().await, "1{1} 5{5}");
    assert_eq!(copied(&client, &format!("COPY t FROM '{root}/bad.json' (ON_ERROR ignore)")).await.unwrap(), 2);
    assert_eq!(rows().await, "1{1} 1{1,NULL} 3 5{5}");
    write("cut.json", "[{\"a\": 1}, {\"a\": 2}");
    write("other.json", "{\"a\": 1, \"z\": 2}");
    write("cut.csv.gz", "no gzip");
    for (file, code) in [("cut.json", "22P04"), ("other.json", "42703"), ("cut.csv.gz", "XX001")] {
        assert_eq!(client.sqlstate(&format!("COPY t FROM '{root}/{file}'")).await, code, "{file}");
    }
    assert_eq!(rows().await, "1{1} 1{1,NULL} 3 5{5}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_on_s3() {
    let store = support::s3();
    let bucket = unique("files").replace('_', "-");
    store.make_bucket(&bucket).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(&folder.path().join("data"));
    options.environment = store.environment(&store.endpoint());
    let server = Server::start(&options).unwrap();
    let (client, _) = in_new_schema(&server).await;
    client.batch_execute(&format!("CREATE EXTERNAL LOCATION files URL 's3://{bucket}/in'")).await.unwrap();
    round_trips(&client, &format!("s3://{bucket}/in")).await;
    // Larger than what is sent at once.
    client
        .batch_execute(&format!("COPY (SELECT g, repeat('x', 1000) FROM generate_series(1, 30000) g) TO 's3://{bucket}/in/large.csv'"))
        .await
        .unwrap();
    client.batch_execute("CREATE TABLE large (g int, x text)").await.unwrap();
    assert_eq!(copied(&client, &format!("COPY large FROM 's3://{bucket}/in/large.csv'")).await.unwrap(), 30_000);
    assert_eq!(client.value("SELECT sum(g) || ' ' || sum(length(x)) FROM large").await.unwrap(), "450015000 30000000");
}

/// Parquet files become a table where they lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_become_a_table() {
    let server = support::server();
    let (client, _) = in_new_schema(server).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    client.batch_execute(&format!("CREATE EXTERNAL LOCATION {} URL 'file://{root}'", unique("converted"))).await.unwrap();
    for (day, rows) in [("2026-01-01", "1, 100"), ("2026-01-02", "101, 150")] {
        let rows = format!("SELECT g AS id, 'v' || g AS v FROM generate_series({rows}) g");
        client.batch_execute(&format!("COPY ({rows}) TO '{root}/days/day={day}/part.parquet'")).await.unwrap();
    }
    assert_eq!(client.sqlstate(&format!("CONVERT TO DELTA '{root}/days'")).await, "42P16");
    assert_eq!(client.sqlstate(&format!("CONVERT TO DELTA '{root}/nothing'")).await, "42P16");
    assert_eq!(client.sqlstate("CONVERT TO DELTA '/tmp/lakegate-nowhere'").await, "42501");
    client.batch_execute(&format!("CONVERT TO DELTA '{root}/days' PARTITIONED BY (day date)")).await.unwrap();
    assert_eq!(client.sqlstate(&format!("CONVERT TO DELTA '{root}/days' PARTITIONED BY (day date)")).await, "42P07");
    client.batch_execute(&format!("CREATE TABLE days USING DELTA LOCATION '{root}/days'")).await.unwrap();
    let query = "SELECT string_agg(day || ' ' || n || ' ' || top, ', ' ORDER BY day) FROM (SELECT day, count(*) n, max(v) top FROM days GROUP BY 1) d";
    assert_eq!(client.value(query).await.unwrap(), "2026-01-01 100 v99, 2026-01-02 50 v150");
    client.batch_execute("INSERT INTO days (id, v, day) VALUES (500, 'new', '2026-01-03')").await.unwrap();
    let lines = python("read_table.py", &[&format!("{root}/days"), "id"], &[]).unwrap();
    assert_eq!(lines.lines().last().unwrap(), "500|new|2026-01-03");
}
